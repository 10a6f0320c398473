# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The studio: a web page with the live picture of a node, and a control for each of its parameters."""

from __future__ import annotations

if __name__ == '__main__':  # before the imports, which take seconds
    from ..process import program
    raise SystemExit(program('studio.studio_node', keeps_large_buffers=True)())

import functools
import queue
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import ParameterEvent
from rclpy.node import Node

from ..errors import LibraryMissingError, ListenError, SettingsError
from ..nodes.lifetime import STEADY, log_failure, log_warnings, run
from ..nodes.parameters import fixed_parameter
from ..resources import data_path
from ..settings import LOOKS, TUNABLES, look_file, read_yaml
from .node_state import NodeState, Privacy, is_full_name, nodes_with_parameters

if TYPE_CHECKING:  # it needs aiohttp
    from .server import Browser

__all__ = ['StudioNode', 'main']

_PORT = 8080  # if it is taken, any that is free
_POLL_PERIOD = 0.2  # seconds, while something is not known yet
_SLOW = 5  # times this period, when all is known
_MOST_UNANSWERED = 16  # requests of one browser


class StudioNode(Node):
    """
    Serves the page, and subscribes, asks and sets for it, by topics and services alone. Without browsers it does nothing.

    All here runs in the thread of ROS; calls of the server's thread come through :meth:`_later`.

    :raises SettingsError: a parameter is not allowed.
    :raises LibraryMissingError: aiohttp is not installed.
    :raises ListenError: the server cannot listen.
    """

    def __init__(self) -> None:
        super().__init__('studio')
        log_warnings(self)
        self._server: Any = None
        self._ticks = 0
        fixed = functools.partial(fixed_parameter, self)
        host = fixed('host', '127.0.0.1', 'Address to listen on; one that others reach takes a token, which is in the log.')
        port = fixed('port', _PORT, 'Port to listen on; 0 takes any that is free.', limits=(0, 65535))
        preferred = fixed('node', '', 'Full name of the node that the page shows first; empty takes one with an output.')
        if preferred and not preferred.startswith('/'):
            preferred = f'{self.get_namespace().rstrip("/")}/{preferred}'
        if preferred and not is_full_name(preferred):
            reason = f'studio: node = {preferred!r} is not allowed: it takes the full name of a node, such as /segmentation'
            raise SettingsError({'node': reason})
        self._preferred = preferred
        folder = fixed('background_dir', str(data_path('demo', 'backgrounds')),
                       'Folder of the backgrounds to choose from; the node that shows them must find it under the same path.')
        self._options = {
            'width': fixed('width', 1280, 'Pictures that are wider, in pixels, are sent smaller.', limits=(64, 8192)),
            'quality': fixed('jpeg_quality', 80, 'Quality of the pictures.', limits=(1, 100)),
            'prefers_compressed': fixed('compressed', False, 'Whether compressed pictures are subscribed where there are some: '
                                                             'for a studio on another machine than the node.')}
        try:
            from . import server as studio_server
        except ModuleNotFoundError as error:
            raise LibraryMissingError(f'studio: {error.name} is not installed: sudo apt install python3-aiohttp (or pip install '
                                      'aiohttp)') from error
        self._audience = studio_server.Audience
        try:
            place = Path(folder).expanduser()
        except RuntimeError as error:
            raise SettingsError({'background_dir': f'studio: background_dir = {folder!r} is not a path: {error}'}) from error
        self._backgrounds, self._presets = studio_server.Backgrounds(place), _presets()
        self._node_states: dict[str, NodeState] = {}
        self._privacy = Privacy(self)
        self._subscriptions_for_browsers: list[Any] = []
        self._unanswered: dict[Browser, int] = {}  # requests
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._wake = self.create_guard_condition(self._run_calls)
        serve = functools.partial(studio_server.Server, host, backgrounds=self._backgrounds)
        try:
            self._server = serve(port=port)
        except ListenError as error:
            if port != _PORT:
                raise
            self._server = serve(port=0)
            self.get_logger().warning(f'{error}; another one is used')
        self._server.on_message = lambda browser, message: self._later(functools.partial(self._on_message, browser, message))
        self._server.on_coming = lambda: self._later(self._follow_browsers)
        self._follow_browsers()
        self.create_timer(_POLL_PERIOD, self._poll, clock=STEADY)
        self.get_logger().info(f'open {self._server.url}')

    def destroy_node(self) -> None:
        """End the server, then the node."""
        if self._server is not None:
            self._server.close()
        super().destroy_node()

    def _later(self, function: Callable[[], None]) -> None:
        """Have the thread of ROS call a function."""
        self._calls.put(function)
        self._wake.trigger()

    def _run_calls(self) -> None:
        for _ in range(self._calls.qsize()):
            try:
                self._calls.get_nowait()()
            except Exception as error:
                log_failure(self, 'a call of the server failed', error)

    # ---- subscriptions of browsers

    def _follow_browsers(self) -> None:
        """Follow the subscriptions of browsers: without browsers nothing is subscribed."""
        browsers = self._server.browsers
        self._unanswered = {browser: count for browser, count in self._unanswered.items() if browser in browsers}
        if browsers and not self._subscriptions_for_browsers:
            self._subscriptions_for_browsers = [
                self.create_subscription(ParameterEvent, '/parameter_events', self._on_parameter_event, 100),
                self.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 20)]
        while self._subscriptions_for_browsers and not browsers:
            self.destroy_subscription(self._subscriptions_for_browsers.pop())
        self._poll_graph()
        self._for_each(NodeState.send_all)

    def _poll_graph(self) -> None:
        """Find nodes, and follow the states of those with subscribers."""
        browsers = self._server.browsers
        names = [*filter(None, [self._preferred]), *nodes_with_parameters(self), *self._node_states] if browsers else []
        names = [*dict.fromkeys(names)]
        self._privacy.poll(names)
        subscribed = {browser.node for browser in browsers}
        for name in self._node_states.keys() - subscribed:
            self._node_states.pop(name).close()
        for name in (subscribed & {*names}) - self._node_states.keys():
            self._node_states[name] = NodeState(self, name, self._audience(self._server, name), self._privacy, **self._options)
        self._for_each(NodeState.poll)
        message = {'about': 'studio', 'nodes': names, 'backgrounds': self._backgrounds.names(),
                   'looks': {name: [*values] for name, values in self._presets.items()}}
        for browser in browsers:
            self._server.call(browser.update, 'studio', message)

    def _poll(self) -> None:
        self._ticks += 1
        if self._server.browsers:
            is_settled = self._privacy.is_sure and all(node_state.is_settled for node_state in self._node_states.values())
            if not self._ticks % _SLOW or not is_settled:
                self._poll_graph()
            if not self._ticks % _SLOW:
                self._for_each(NodeState.send_figures)

    def _for_each(self, act: Callable[[NodeState], None]) -> None:
        """Act for each node with subscribers. An error of one node does not stop the others."""
        for name, node_state in self._node_states.items():
            try:
                act(node_state)
            except Exception as error:
                log_failure(self, f'{name} cannot be shown', error)

    def _on_parameter_event(self, event: ParameterEvent) -> None:
        self._privacy.follow(event)
        if event.node in self._node_states:
            self._node_states[event.node].node_parameters.follow(event)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.hardware_id in self._node_states:
                self._node_states[status.hardware_id].report(status)

    # ---- requests of browsers

    def _on_message(self, browser: Browser, message: dict[str, Any]) -> None:
        """Answer a request: ``set`` parameters by name, ``apply`` a look, show a ``background``, ``act``."""
        number = message.get('id') if isinstance(message.get('id'), int) else 0

        def answer(**more: Any) -> None:
            self._unanswered[browser] = self._unanswered.get(browser, 1) - 1
            self._server.call(browser.answer, {'about': 'answer', 'id': number, **more})

        count = self._unanswered[browser] = self._unanswered.get(browser, 0) + 1
        try:
            self._answer(self._node_states.get(browser.node), message, count, answer)
        except Exception as error:
            log_failure(self, 'a request of a browser failed', error)
            answer(done=False, message='not done: see the log of the studio')

    def _answer(self, node_state: NodeState | None, message: Mapping[str, Any], count: int, answer: Callable[..., None]) -> None:
        if node_state is None or count > _MOST_UNANSWERED:
            answer(done=False, message='no node' if node_state is None else 'too much at once')
        elif isinstance(message.get('act'), str):
            node_state.node_parameters.act(message['act'], lambda done, text: answer(done=done, message=text))
        else:
            values = self._wanted_values(node_state, message)
            if values:
                node_state.node_parameters.set(values, lambda refused: answer(done=not refused, refused=refused))
            else:
                answer(done=False, message='there is nothing to set')

    def _wanted_values(self, node_state: NodeState, message: Mapping[str, Any]) -> dict[str, Any]:
        parameters = node_state.node_parameters.parameters
        path = self._backgrounds.path(message['background']) if isinstance(message.get('background'), str) else None
        if isinstance(message.get('set'), dict):
            return dict(message['set'])
        if message.get('apply') in [*self._presets]:
            return {name: value for name, value in self._presets[message['apply']].items() if name in parameters}
        if path is not None:
            groups = [name.removesuffix('.image') for name in parameters if name.endswith('.image')]
            return {name: value for group in groups if f'{group}.type' in parameters
                    for name, value in ((f'{group}.image', str(path)), (f'{group}.type', 'image'))}
        return {}


def _presets() -> dict[str, dict[str, Any]]:
    """Return the package's presets (looks): the values of all parameters that change the picture."""
    usual = {name: tunable.default for name, tunable in TUNABLES.items() if not (tunable.node or tunable.read_only)}
    own = {look: read_yaml(look_file(look)) for look in LOOKS}
    return {look: {name: own[look].get(name, default) for name, default in usual.items()} for look in LOOKS}


def main(args: list[str] | None = None) -> int:
    """Run the node."""
    return run(StudioNode, args)

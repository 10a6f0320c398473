# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Reports of a running node for its operator: once a second on ``/diagnostics``, and in the log."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock
from rclpy.node import Node
from rclpy.utilities import get_rmw_implementation_identifier

from ..middleware import advice
from ..picture.masks import PRESENT
from ..picture.models.runtimes import Runtime
from ..settings import Settings
from .frame_counts import FrameCounts, Recent
from .inputs import Input
from .outputs import Output

__all__ = ['Diagnostics', 'Status', 'start_diagnostics', 'what_helps']

_TASK = 'frames'
_SILENCE = 3.0  # seconds without a frame before it is reported
_SMALL = 480  # pixels of height; the work for smaller images hardly depends on their size
_REPEAT_INTERVAL = 30.0  # seconds between two equal log lines
_LOGGED_ONCE = {'stamps'}  # and not again: the camera is as it is
_MIN_LOG_INTERVAL = 1.0  # seconds between two lines of skipped frames that differ


class Status(NamedTuple):
    """A report: ``level`` is OK, WARN, ERROR or STALE of DiagnosticStatus; ``values`` are figures by name."""

    level: bytes
    message: str
    values: dict[str, str]


class Diagnostics:
    """
    Finds what is wrong with a running node, logs it without flooding the log, and makes the report for ``/diagnostics``.

    :param counts: what became of the frames.
    """

    def __init__(self, node: Node, counts: FrameCounts) -> None:
        self._node, self._counts = node, counts
        self._logged: dict[str, float] = {}  # seconds, by kind of trouble
        self._last_skip = ''
        self._advice = advice(get_rmw_implementation_identifier())

    def skip(self, reason: str) -> None:
        """Count and log a frame that could not be used."""
        self._counts.skip(reason)
        interval = _REPEAT_INTERVAL if reason == self._last_skip else _MIN_LOG_INTERVAL
        if self._is_due('skip', interval):
            self._last_skip = reason
            self._node.get_logger().error(f'frame skipped: {reason}')

    def status(self, inactive: str, source: Input | None, outputs: list[Output], coverage: float | None,
               people: int | None, runtime: Runtime | None, others: Mapping[str, str], remedy: str, paused: bool) -> Status:
        """
        Return the report of the last second, and log what is wrong.

        :param inactive: the state of a node that does not serve; empty for one that does.
        :param source: the subscription of the camera, None while there is none.
        :param coverage: fraction of the last frame that people cover, None if there was none.
        :param people: how many people the last frame shows, None if they are not counted.
        :param runtime: what runs the models, None without a pipeline.
        :param others: what else is wrong, by kind.
        :param remedy: what makes the node faster.
        :param paused: whether the last picture is shown.
        """
        recent, values = self._counts.report()
        seen = 'unknown' if coverage is None or not recent.went else 'yes' if coverage > PRESENT else 'no'
        values['person present'] = seen
        values['people'] = 'unknown' if people is None or not recent.went else str(people)
        values['runtime'] = 'none' if runtime is None else runtime.title
        if recent.came:
            self._node.get_logger().debug(', '.join(f'{name} {value}' for name, value in values.items()))
        troubles = {**dict(self._troubles(source, outputs, recent, remedy)), **others}
        for kind, text in troubles.items():
            if self._is_due(kind, math.inf if kind in _LOGGED_ONCE else _REPEAT_INTERVAL):
                self._node.get_logger().warning(text)
        if runtime is not None and runtime.warning:
            troubles['runtime'] = runtime.warning  # logged when it was chosen
        level, message = self._state(inactive, source, recent, bool(troubles), paused)
        return Status(level, '; '.join((message, *troubles.values())), values)

    def _is_due(self, kind: str, interval: float) -> bool:
        """Return whether a kind of line may be logged again; if so, it counts as logged."""
        now = time.monotonic()
        if now - self._logged.get(kind, -interval) < interval:
            return False
        self._logged[kind] = now
        return True

    def _state(self, inactive: str, source: Input | None, recent: Recent, is_troubled: bool,
               paused: bool) -> tuple[bytes, str]:
        if inactive:
            return DiagnosticStatus.STALE, inactive
        if recent.skipped or self._counts.is_failing:
            level = DiagnosticStatus.WARN if recent.went else DiagnosticStatus.ERROR
            return level, f'frames are skipped: {self._counts.last_error}'
        level = DiagnosticStatus.WARN if is_troubled else DiagnosticStatus.OK
        if source is None:
            return level, 'idle: no subscribers'
        return level, f'{recent.sent} frames a second in, {recent.went:.1f} out{", paused" if paused else ""}'

    def _troubles(self, source: Input | None, outputs: list[Output], recent: Recent, remedy: str) -> Iterator[tuple[str, str]]:
        """Yield what is wrong, by kind."""
        if source is not None and self._counts.silence > _SILENCE:
            yield 'silence', self.silence(source, outputs)
        elif pace := self._counts.too_slow:
            figures = (f'{pace.served:.0f} of {pace.sent:.0f} frames a second are served' if pace.sent is not None else
                       f'{pace.served:.0f} frames a second are served, and the node is busy all the time')
            yield 'slow', f'too slow: {figures}. {remedy}'
        if (lost := self._counts.lost_fraction) and (recent.came or self._counts.silence <= _SILENCE):
            yield 'loss', f'{lost:.0%} of the camera frames are lost on the way. {self._advice}'
        node = self._node
        if node.get_node_names_and_namespaces().count((node.get_name(), node.get_namespace())) > 1:
            yield 'namesake', (f'another node is named {node.get_fully_qualified_name()} too: a parameter set by name reaches '
                               'either one, and their outputs mix; start one with another name or namespace')

    def silence(self, source: Input, outputs: list[Output]) -> str:
        """Return why no camera frames come, judged by the graph."""
        begin = f'no camera frames on {source.topic} for {self._counts.silence:.0f} s'
        publishers = self._node.count_publishers(source.topic)
        if publishers:
            return f'{begin}: {publishers} publisher(s). Is the camera still running, is the network down? {self._advice}'
        for transport, topic in source.topics.items():
            if self._node.count_publishers(topic):
                return f'{begin}: no publishers, but there are some on {topic}: set image_transport to {transport}'
        name = f'sensor_msgs/msg/{source.message_type.__name__}'
        own = {source.topic, *(output.topic for output in outputs)}
        others = [topic for topic, types in self._node.get_topic_names_and_types() if name in types and topic not in own]
        return (f'{begin}: no publishers. Is the camera running, is the topic remapped? '
                f'Topics of type {name}: {", ".join(others) or "none"}')


def what_helps(settings: Settings, size: tuple[int, int]) -> str:
    """
    Return what makes a node faster.

    :param size: width and height of the camera's images, pixels; 0 if it is not known.
    """
    ways = []
    if size[1] > _SMALL:
        ways.append('smaller images (these have {}x{} pixels)'.format(*size))
    if settings.model == 'general':
        ways.append('model landscape')
    if settings.people_detector and settings.people_most > 1:
        ways.append('people.most 1')
    if settings.image_transport == 'compressed':
        ways.append('image_transport raw')
    return f'What helps: {", ".join([*ways, "a lower frame rate of the camera", "less other work on this machine"])}'


def start_diagnostics(node: Node, status: Callable[[], Status], clock: Clock) -> None:
    """
    Report on ``/diagnostics`` (diagnostic_msgs/DiagnosticArray) once a second.

    :param status: returns the present report.
    """
    publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 1)
    name = node.get_fully_qualified_name()  # several cameras have nodes of one name

    def publish() -> None:
        level, message, values = status()
        array = DiagnosticArray(status=[DiagnosticStatus(
            level=level, name=f'{name.removeprefix("/")}: {_TASK}', message=message, hardware_id=name,
            values=[KeyValue(key=key, value=value) for key, value in values.items()])])
        array.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(array)

    node.create_timer(1.0, publish, clock=clock)

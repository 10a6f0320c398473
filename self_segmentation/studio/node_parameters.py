# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Another node, seen and changed by its services alone: its parameters as it describes them, and what it can be asked to do."""

from __future__ import annotations

import functools
import json
import math
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterDescriptor, ParameterEvent, ParameterValue
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters, SetParameters
from rclpy.client import Client
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.task import Future
from std_srvs.srv import SetBool, Trigger

from ..nodes.lifetime import log_failure

__all__ = ['NodeParameters', 'Requests', 'parameter_message', 'plain', 'summary']

_PATIENCE = 5.0  # seconds for an answer
_PAUSES = (1.0, 8.0)  # seconds before a node that did not answer is asked again: first, and at most
_MOST_PARAMETERS = 500
_LONGEST_NAME = 200  # characters of a parameter's
_LONGEST_TEXT = 2000  # characters of what a node says of a parameter or answers
_LONGEST_VALUE = 16 << 10  # characters of a value as JSON: a browser sends no more either
_OF_ROS_ITSELF = ('qos_overrides.', 'use_sim_time', 'start_type_description_service')
_CHOICES = re.compile(r'[\w.+-]+(, [\w.+-]+)+')
_DEFAULT = 'default '
_TYPES = {each.value: each for each in Parameter.Type}
_KINDS = {Parameter.Type[name].value: kind for name, kind in {
    'BOOL': 'bool', 'INTEGER': 'int', 'DOUBLE': 'float', 'STRING': 'text', 'BOOL_ARRAY': 'bools', 'INTEGER_ARRAY': 'ints',
    'DOUBLE_ARRAY': 'floats', 'STRING_ARRAY': 'texts'}.items()}
_LARGEST_EXACT = 1 << 53  # a whole number beyond which a browser's numbers have gaps
_ACTIONS: dict[str, tuple[str, Any, dict[str, bool]]] = {  # what a node can be asked: service, its type, the request's fields
    'save': ('save', Trigger, {}), 'pause': ('pause', SetBool, {'data': True}), 'resume': ('pause', SetBool, {'data': False})}
_LOADING = (ListParameters, DescribeParameters, GetParameters)


class _AnswerError(Exception):
    """An answer is not what was asked for."""


class _Request(NamedTuple):
    message: Any
    then: Callable[[Any], None]
    fail: Callable[[str], None]


class Requests:
    """
    Requests of another node's services: of each service one at a time, the others wait.

    One that is not answered is given up, and with it those that wait for it: nothing grows where a node hangs. Where its answer
    comes late, the node hangs no more.

    :param node: that asks.
    :param name: full name of the other.
    :param services: the name of each service within the node, by its type.
    """

    def __init__(self, node: Node, name: str, services: Mapping[Any, str]) -> None:
        self._node, self._name = node, name
        self._clients: dict[Any, Client[Any, Any]] = {kind: node.create_client(kind, f'{name}/{service}')
                                                      for kind, service in services.items()}
        self._waiting: dict[Any, deque[_Request]] = {kind: deque() for kind in services}  # the first is sent where one is
        self._sent: dict[Any, tuple[Future[Any], float]] = {}  # by the type of its service, and until when it may be answered
        self._late: dict[Any, Future[Any]] = {}  # that was given up last
        self._pauses: dict[Any, tuple[float, float]] = {}  # after a failure: until when, and how many seconds it was

    def close(self) -> None:
        """Ask nothing any more."""
        self._sent.clear()
        self._late.clear()
        for waiting in self._waiting.values():
            waiting.clear()
        for client in self._clients.values():
            self._node.destroy_client(client)

    def has(self, *kinds: Any) -> bool:
        """Return whether the node offers all these services."""
        return all(self._clients[kind].service_is_ready() for kind in kinds)

    def are_open(self, *kinds: Any) -> bool:
        """Return whether one of these services has not answered yet."""
        return any(self._waiting[kind] for kind in kinds)

    def are_due(self, *kinds: Any) -> bool:
        """Return whether something may be asked that is asked again and again: a service that failed has a pause."""
        now = time.monotonic()
        return self.has(*kinds) and not self.are_open(*kinds) and all(now > self._pauses.get(kind, (0.0,))[0] for kind in kinds)

    def ask(self, kind: Any, message: Any, then: Callable[[Any], None], fail: Callable[[str], None]) -> None:
        """
        Ask for something.

        :param then: takes the answer.
        :param fail: takes the reason where there is none, or ``then`` raised an exception.
        """
        self._waiting[kind].append(_Request(message, then, fail))
        self._send(kind)

    def poll(self) -> None:
        """Give up what is not answered."""
        now = time.monotonic()
        for kind, (future, end) in [*self._sent.items()]:
            if now > end:
                del self._sent[kind]
                self._late[kind] = future
                self._pause(kind)
                given_up, self._waiting[kind] = self._waiting[kind], deque()
                for request in given_up:
                    request.fail(f'{self._name} did not answer within {_PATIENCE:.0f} s')
        for kind in [kind for kind in self._pauses if not self.has(kind)]:
            del self._pauses[kind]  # it is gone: what comes next is another

    def _send(self, kind: Any) -> None:
        if kind not in self._sent and self._waiting[kind]:
            if kind in self._late:
                self._clients[kind].remove_pending_request(self._late.pop(kind))
            future = self._clients[kind].call_async(self._waiting[kind][0].message)
            self._sent[kind] = future, time.monotonic() + _PATIENCE
            future.add_done_callback(functools.partial(self._take, kind))

    def _take(self, kind: Any, future: Future[Any]) -> None:
        if self._late.get(kind) is future:
            del self._late[kind]
            self._pauses.pop(kind, None)
        if self._sent.get(kind, (None,))[0] is not future:
            return
        del self._sent[kind]
        request = self._waiting[kind].popleft()
        try:
            request.then(future.result())
        except Exception as error:
            what = f'the answer of {self._clients[kind].srv_name} is not understood'
            if isinstance(error, _AnswerError):
                self._node.get_logger().error(f'{what}: {error}', throttle_duration_sec=30.0)
            else:
                log_failure(self._node, what, error)
            self._pause(kind)
            request.fail(f'{what}: {str(error)[:_LONGEST_TEXT]}')
        else:
            self._pauses.pop(kind, None)
        self._send(kind)

    def _pause(self, kind: Any) -> None:
        seconds = min(2 * self._pauses.get(kind, (0.0, _PAUSES[0] / 2))[1], _PAUSES[1])
        self._pauses[kind] = time.monotonic() + seconds, seconds


class NodeParameters:
    """
    A node that may come and go.

    :param node: that asks.
    :param name: full name of the other.
    :param on_change: called when it came or went or offers something else (True), and when only values changed (False).
    """

    def __init__(self, node: Node, name: str, on_change: Callable[[bool], None]) -> None:
        self.name, self._on_change = name, on_change
        self.is_known = False  # whether its parameters are: not while it is not there
        self.parameters: dict[str, dict[str, Any]] = {}  # by name, see :func:`summary`
        self.actions: tuple[str, ...] = ()
        self._descriptors: dict[str, ParameterDescriptor] = {}
        self._is_outdated = False  # it has other parameters than those that are loaded
        self._changed: dict[str, ParameterValue] = {}  # told while they are loaded: what was asked for may be older
        self._requests = Requests(node, name, {
            ListParameters: 'list_parameters', DescribeParameters: 'describe_parameters', GetParameters: 'get_parameters',
            SetParameters: 'set_parameters', Trigger: 'save', SetBool: 'pause'})

    def close(self) -> None:
        """Ask nothing any more."""
        self._requests.close()

    def poll(self) -> None:
        """Look whether it is there; once a second."""
        self._requests.poll()
        actions = tuple(name for name, (_, kind, _) in _ACTIONS.items() if self._requests.has(kind))
        if self.is_known and not self._requests.has(*_LOADING):
            self.is_known, self.parameters = False, {}
            self._on_change(True)
        elif (self._is_outdated or not self.is_known) and self._requests.are_due(*_LOADING):
            self.load()
        if actions != self.actions:
            self.actions = actions
            self._on_change(True)

    # ---- parameters

    @property
    def _is_loading(self) -> bool:
        return self._requests.are_open(*_LOADING)

    def load(self) -> None:
        """Ask for all parameters, their descriptions and values."""
        def failed(_reason: str) -> None:
            self._is_outdated = True  # so it is asked again at a later look

        def listed(answer: Any) -> None:
            found = (name for name in answer.result.names if not name.startswith(_OF_ROS_ITSELF) and len(name) <= _LONGEST_NAME)
            names = [*dict.fromkeys(found)][:_MOST_PARAMETERS]
            self._requests.ask(DescribeParameters, DescribeParameters.Request(names=names), functools.partial(described, names),
                               failed)

        def described(names: list[str], answer: Any) -> None:
            _check_count('descriptions', answer.descriptors, names)
            descriptors.update(zip(names, answer.descriptors))
            ask_values(names)

        def ask_values(names: list[str]) -> None:
            self._requests.ask(GetParameters, GetParameters.Request(names=names), functools.partial(got, names), failed)

        def got(names: list[str], answer: Any) -> None:
            if len(answer.values) == len(names):
                values.update(zip(names, answer.values))
            elif len(names) > 1:  # a parameter without a value takes the others with it
                ask_values(names[:len(names) // 2])
                ask_values(names[len(names) // 2:])
            else:
                values[names[0]] = ParameterValue()
            if values.keys() == descriptors.keys():
                know()

        def know() -> None:
            self.parameters = {name: summary(name, descriptor, values[name]) for name, descriptor in descriptors.items()}
            self._descriptors, self.is_known = descriptors, True
            self._take(self._changed)
            self._on_change(True)
            if self._is_outdated:
                self.load()

        descriptors: dict[str, ParameterDescriptor] = {}
        values: dict[str, ParameterValue] = {}
        self._is_outdated, self._changed = False, {}
        self._requests.ask(ListParameters, ListParameters.Request(), listed, failed)

    def follow(self, event: ParameterEvent) -> None:
        """Take what the node says of its changes."""
        if any(each.name not in self.parameters for each in event.new_parameters) or event.deleted_parameters:
            if self._is_loading:
                self._is_outdated = True
            elif self.is_known:
                self.load()  # it was started again, or has others now
        values = {changed.name: changed.value for changed in (*event.new_parameters, *event.changed_parameters)}
        if self._is_loading:
            self._changed.update(values)
        self._take(values, self._on_change)

    def _take(self, values: Mapping[str, ParameterValue], on_change: Callable[[bool], None] = lambda _is_other: None) -> None:
        """Take new values of the parameters that are known; of another type one is described anew."""
        known, is_other = values.keys() & self.parameters.keys(), False
        for name in known:
            before = self.parameters[name]
            self.parameters[name] = {**summary(name, self._descriptors[name], values[name]), 'default': before['default']}
            is_other |= {**self.parameters[name], 'value': before['value']} != before
        if known:
            on_change(is_other)

    def set(self, values: Mapping[str, Any], then: Callable[[dict[str, str]], None]) -> None:
        """
        Set parameters.

        :param then: takes the reasons of those that were refused, by name: the node's own.
        """
        messages, refused = [], {}
        for name, value in values.items():
            try:
                messages.append(parameter_message(name, self.parameters[name]['kind'], value))
            except KeyError:
                refused[name] = f'{self.name} has no parameter {name}'
            except ValueError as error:
                refused[name] = str(error)

        def answered(answer: Any) -> None:
            _check_count('results', answer.results, messages)
            then({**refused, **{message.name: result.reason[:_LONGEST_TEXT] or 'refused, without a reason'
                                for message, result in zip(messages, answer.results) if not result.successful}})

        if messages:
            self._requests.ask(SetParameters, SetParameters.Request(parameters=messages), answered,
                               lambda reason: then({**refused, **{message.name: reason for message in messages}}))
        else:
            then(refused)

    # ---- what it can be asked to do

    def act(self, action: str, then: Callable[[bool, str], None]) -> None:
        """Ask for ``save``, ``pause`` or ``resume``; ``then`` takes whether it was done, and what the node says."""
        if action not in self.actions:
            then(False, f'{self.name} offers no such service')
            return
        _, kind, fields = _ACTIONS[action]
        self._requests.ask(kind, kind.Request(**fields), lambda answer: then(answer.success, answer.message[:_LONGEST_TEXT]),
                           lambda reason: then(False, reason))


def _check_count(what: str, found: Iterable[Any], asked: Iterable[Any]) -> None:
    counts = len([*found]), len([*asked])
    if counts[0] != counts[1]:
        raise _AnswerError('{1} parameters were asked for, and {0} {what} came'.format(*counts, what=what))


def plain(value: ParameterValue) -> Any:
    """Return the value as JSON can say it: what it has no number for, no type, or is too long, as text."""
    return _kind_and_value(value)[1]


def _kind_and_value(value: ParameterValue, declared: int = 0) -> tuple[str, Any]:
    """
    Return the kind of a value, and the value as :func:`plain` does; no kind where it cannot be changed.

    :param declared: type of a parameter that has no value.
    """
    if value.type not in _TYPES:
        return '', f'a value of an unknown type, {value.type}'
    found = Parameter.from_parameter_msg(ParameterMessage(name='value', value=value)).value
    is_single = isinstance(found, (bool, int, float, str, type(None)))
    shown = _plain_item(found) if is_single else [_plain_item(item) for item in found]
    length = len(json.dumps(shown))
    if length > _LONGEST_VALUE:
        return '', f'a value of {length} characters, which is too long to be shown'
    return _KINDS.get(value.type or declared, ''), shown


def _plain_item(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, int):
        return value if abs(value) <= _LARGEST_EXACT else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value


def summary(name: str, descriptor: ParameterDescriptor, value: ParameterValue) -> dict[str, Any]:
    """
    Return a parameter as the page takes it.

    ``kind`` is that of its value (empty: it cannot be changed), ``range`` least, greatest and step. What has no field in ROS is
    read from ``additional_constraints``, as this package writes it: ``UNIT; WHAT IS ALLOWED; default JSON``. There, words with
    commas between them are the choices of a text, and ``red, green, blue`` is the unit of a colour.
    """
    kind, now = _kind_and_value(value, descriptor.type)
    limits = [each for found in (*descriptor.floating_point_range, *descriptor.integer_range)
              for each in (found.from_value, found.to_value, found.step)][:3]
    constraints = descriptor.additional_constraints[:_LONGEST_TEXT]
    allowed, _, default = f'; {constraints}'.rpartition(f'; {_DEFAULT}')
    if not allowed and not constraints.startswith(_DEFAULT):
        allowed, default = f'; {constraints}', ''
    parts = [part for part in allowed.split('; ') if part]
    has_choices = kind == 'text' and bool(parts) and bool(_CHOICES.fullmatch(parts[-1]))
    is_color = kind == 'ints' and now is not None and len(now) == 3 and 'red, green, blue' in parts
    return {'name': name, 'kind': kind, 'text': descriptor.description[:_LONGEST_TEXT], 'value': now,
            'fixed': descriptor.read_only or not kind,
            'range': limits if all(math.isfinite(each) for each in limits) and limits else None,
            'choices': parts[-1].split(', ') if has_choices else None, 'unit': parts[0] if len(parts) > 1 else '',
            'allowed': parts[-1] if parts else '', 'color': is_color,
            'default': _default(default, now)}


def _default(text: str, now: Any) -> Any:
    """Return the default that the node names, else the value that it was met with."""
    try:
        found = json.loads(text, parse_constant=str, parse_float=lambda number: _plain_item(float(number)),
                           parse_int=lambda number: _plain_item(int(number)))
    except (ValueError, RecursionError):
        return now
    items = found if isinstance(found, list) else [found]
    return found if all(isinstance(item, (bool, int, float, str)) for item in items) else now


def parameter_message(name: str, kind: str, value: Any) -> ParameterMessage:
    """
    Return the message that sets a parameter.

    :param value: as JSON has it.
    :raises ValueError: it is none of this kind.
    """
    items: dict[str, Callable[[Any], Any]] = {'bool': _boolean, 'int': _whole, 'float': _number, 'text': _text}
    item = items.get(kind.removesuffix('s'))
    try:
        if item is None:
            raise ValueError('it cannot be changed here')
        if not kind.endswith('s'):
            given: Any = item(value)
        elif isinstance(value, list):
            given = [item(each) for each in value]
        else:
            raise ValueError('it takes a list')
    except (ValueError, OverflowError) as error:
        raise ValueError(f'{name} = {json.dumps(value)[:100]} is not allowed: {error}') from error
    ros = next(ros for ros, own in _KINDS.items() if own == kind)
    return Parameter(name, _TYPES[ros], given).to_parameter_msg()


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError('it takes true or false')
    return value


def _whole(value: Any) -> int:
    try:
        number = int(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else None
    except (ValueError, OverflowError):
        number = None
    if number is None or (isinstance(value, float) and number != value) or not -1 << 63 <= number < 1 << 63:
        raise ValueError('it takes a whole number')
    return number


def _number(value: Any) -> float:
    try:
        if isinstance(value, (int, float, str)) and not isinstance(value, bool):
            return float(value)
    except (ValueError, OverflowError):
        pass
    raise ValueError('it takes a number')


def _text(value: Any) -> str:
    if not isinstance(value, str) or '\0' in value or any('\ud800' <= letter <= '\udfff' for letter in value):
        raise ValueError('it takes text')
    return value

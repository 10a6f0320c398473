# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The parameters and actions of another node, by its services alone."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import re
import time
from collections import deque
from collections.abc import Callable, Mapping, Sized
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
_PAUSE = 2.0  # seconds before a service that failed is asked again
_MOST_PARAMETERS = 500
_LONGEST_NAME = 200  # characters of a parameter's
_LONGEST_TEXT = 2000  # characters of a description or an answer
_LONGEST_VALUE = 16 << 10  # characters of a value as JSON: a browser sends no more either
_OF_ROS_ITSELF = ('qos_overrides.', 'use_sim_time', 'start_type_description_service')
_CHOICES = re.compile(r'[\w.+-]+(, [\w.+-]+)+')
_DEFAULT = 'default '
_TYPES = {each.value: each for each in Parameter.Type}
_KINDS = {Parameter.Type[name].value: kind for name, kind in {
    'BOOL': 'bool', 'INTEGER': 'int', 'DOUBLE': 'float', 'STRING': 'text', 'BOOL_ARRAY': 'bools', 'INTEGER_ARRAY': 'ints',
    'DOUBLE_ARRAY': 'floats', 'STRING_ARRAY': 'texts'}.items()}
_LARGEST_EXACT = 1 << 53  # a whole number beyond which a browser's numbers have gaps
_LOADING = (ListParameters, DescribeParameters, GetParameters)
_SERVICES = {ListParameters: 'list_parameters', DescribeParameters: 'describe_parameters', GetParameters: 'get_parameters',
             SetParameters: 'set_parameters', Trigger: 'save', SetBool: 'pause'}
_ACTIONS: dict[str, tuple[Any, dict[str, bool]]] = {  # service and fields of the request
    'save': (Trigger, {}), 'pause': (SetBool, {'data': True}), 'resume': (SetBool, {'data': False})}
_TAKES = {'bool': 'true or false', 'int': 'a whole number', 'float': 'a number', 'text': 'text'}


class _AnswerError(Exception):
    """An answer is not what was asked for."""


class _Request(NamedTuple):
    message: Any
    then: Callable[[Any], None]
    fail: Callable[[str], None]


class Requests:
    """
    Requests of another node's services, of each service one at a time.

    A request that is not answered in time fails, with those that wait for it: nothing grows while a node hangs.

    :param node: that asks.
    :param name: full name of the other.
    :param services: the name of each service within the node, by its type.
    """

    def __init__(self, node: Node, name: str, services: Mapping[Any, str]) -> None:
        self._node, self._name = node, name
        self._clients: dict[Any, Client[Any, Any]] = {kind: node.create_client(kind, f'{name}/{service}')
                                                      for kind, service in services.items()}
        self._waiting: dict[Any, deque[_Request]] = {kind: deque() for kind in services}  # the first one is sent
        self._sent: dict[Any, tuple[Future[Any], float]] = {}  # by the type of its service, and until when it may be answered
        self._pauses: dict[Any, float] = {}  # until when a service that failed is not asked again

    def close(self) -> None:
        """Ask nothing any more."""
        self._sent.clear()
        for kind, client in self._clients.items():
            self._waiting[kind].clear()
            self._node.destroy_client(client)

    def has(self, *kinds: Any) -> bool:
        """Return whether the node offers all these services."""
        return all(self._clients[kind].service_is_ready() for kind in kinds)

    def are_open(self, *kinds: Any) -> bool:
        """Return whether one of these services has not answered yet."""
        return any(self._waiting[kind] for kind in kinds)

    def are_due(self, *kinds: Any) -> bool:
        """Return whether these services may be polled: they are there, nothing is open, and none failed a short while ago."""
        now = time.monotonic()
        return self.has(*kinds) and not self.are_open(*kinds) and all(now > self._pauses.get(kind, 0.0) for kind in kinds)

    def ask(self, kind: Any, message: Any, then: Callable[[Any], None], fail: Callable[[str], None]) -> None:
        """
        Send a request, when those before it are answered.

        :param then: takes the answer.
        :param fail: takes the reason if there is no answer, or ``then`` raised an exception.
        """
        self._waiting[kind].append(_Request(message, then, fail))
        self._send(kind)

    def poll(self) -> None:
        """Give up requests that are not answered in time."""
        now = time.monotonic()
        for kind, (future, end) in [*self._sent.items()]:
            if now > end:
                del self._sent[kind]
                self._clients[kind].remove_pending_request(future)
                self._pauses[kind] = now + _PAUSE
                given_up, self._waiting[kind] = self._waiting[kind], deque()
                for request in given_up:
                    request.fail(f'{self._name} did not answer within {_PATIENCE:.0f} s')

    def _send(self, kind: Any) -> None:
        if kind not in self._sent and self._waiting[kind]:
            future = self._clients[kind].call_async(self._waiting[kind][0].message)
            self._sent[kind] = future, time.monotonic() + _PATIENCE
            future.add_done_callback(functools.partial(self._take, kind))

    def _take(self, kind: Any, future: Future[Any]) -> None:
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
            self._pauses[kind] = time.monotonic() + _PAUSE
            request.fail(f'{what}: {str(error)[:_LONGEST_TEXT]}')
        self._send(kind)


class NodeParameters:
    """
    A node that may come and go.

    :param node: that asks.
    :param name: full name of the other.
    :param on_change: called with True when the node comes, goes or has other parameters or actions; with False when only values
        change.
    """

    def __init__(self, node: Node, name: str, on_change: Callable[[bool], None]) -> None:
        self.name, self._on_change = name, on_change
        self.is_known = False  # whether its parameters are known
        self.parameters: dict[str, dict[str, Any]] = {}  # by name, see :func:`summary`
        self.actions: tuple[str, ...] = ()
        self._descriptors: dict[str, ParameterDescriptor] = {}
        self._is_outdated = False  # whether the parameters must be loaded again
        self._changed: dict[str, ParameterValue] = {}  # by events while they are loaded: an answer may be older
        self._requests = Requests(node, name, _SERVICES)

    def close(self) -> None:
        """Ask nothing any more."""
        self._requests.close()

    def poll(self) -> None:
        """Check whether the node is there; once a second."""
        self._requests.poll()
        actions = tuple(name for name, (kind, _) in _ACTIONS.items() if self._requests.has(kind))
        if self.is_known and not self._requests.has(*_LOADING):
            self.is_known, self.parameters = False, {}
            self._on_change(True)
        elif (self._is_outdated or not self.is_known) and self._requests.are_due(*_LOADING):
            self.load()
        if actions != self.actions:
            self.actions = actions
            self._on_change(True)

    # ---- parameters

    def load(self) -> None:
        """Ask for all parameters, their descriptions and values."""
        def failed(_reason: str) -> None:
            self._is_outdated = True  # so a later poll asks again

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
            elif len(names) > 1:  # one without a value: rclpy and rclcpp answer with none at all
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
        """Take an event of the node's parameters."""
        if any(each.name not in self.parameters for each in event.new_parameters) or event.deleted_parameters:
            if self._requests.are_open(*_LOADING):
                self._is_outdated = True
            elif self.is_known:
                self.load()  # it was started again, or has other parameters
        values = {changed.name: changed.value for changed in (*event.new_parameters, *event.changed_parameters)}
        if self._requests.are_open(*_LOADING):
            self._changed.update(values)
        self._take(values, self._on_change)

    def _take(self, values: Mapping[str, ParameterValue], on_change: Callable[[bool], None] = lambda _is_other: None) -> None:
        """Take new values of known parameters. A value of another type changes the description too."""
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

        :param then: takes the node's reasons for those that were refused, by name.
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

    # ---- actions

    def act(self, action: str, then: Callable[[bool, str], None]) -> None:
        """Ask for ``save``, ``pause`` or ``resume``; ``then`` takes whether it was done, and the node's message."""
        if action not in self.actions:
            then(False, f'{self.name} offers no such service')
            return
        kind, fields = _ACTIONS[action]
        self._requests.ask(kind, kind.Request(**fields), lambda answer: then(answer.success, answer.message[:_LONGEST_TEXT]),
                           lambda reason: then(False, reason))


def _check_count(what: str, found: Sized, asked: Sized) -> None:
    if len(found) != len(asked):
        raise _AnswerError(f'{len(asked)} parameters were asked for, and {len(found)} {what} came')


def plain(value: ParameterValue) -> Any:
    """Return the value for JSON. Numbers beyond JSON become text; so do unknown types and values that are too long."""
    return _kind_and_value(value)[1]


def _kind_and_value(value: ParameterValue, declared: int = 0) -> tuple[str, Any]:
    """
    Return the kind of a value, empty if it cannot be changed, and the value as :func:`plain` returns it.

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
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def summary(name: str, descriptor: ParameterDescriptor, value: ParameterValue) -> dict[str, Any]:
    """
    Return a parameter as the page takes it.

    ``kind`` is that of its value (empty: it cannot be changed), ``range`` least, greatest and step. Unit, choices and default are
    read from ``additional_constraints``, in this package's form: ``UNIT; WHAT IS ALLOWED; default JSON``. Words with commas
    between them are the choices of a text. ``red, green, blue`` is the unit of a colour.
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
    """Return the default that the node names, else the first value that was seen."""
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

    :param value: from JSON.
    :raises ValueError: it is not of this kind.
    """
    try:
        if kind not in _KINDS.values():
            raise ValueError('it cannot be changed here')
        if not kind.endswith('s'):
            given: Any = _item(kind, value)
        elif isinstance(value, (list, tuple)):
            given = [_item(kind[:-1], each) for each in value]
        else:
            raise ValueError('it takes a list')
    except ValueError as error:
        raise ValueError(f'{name} = {json.dumps(value)[:100]} is not allowed: {error}') from error
    ros = next(ros for ros, own in _KINDS.items() if own == kind)
    return Parameter(name, _TYPES[ros], given).to_parameter_msg()


def _item(kind: str, value: Any) -> bool | int | float | str:
    """
    Return a single value of a kind. Numbers may be text: JSON has no infinity and no long whole numbers.

    :raises ValueError: it is not of this kind.
    """
    is_number = isinstance(value, (int, float, str)) and not isinstance(value, bool)
    with contextlib.suppress(ValueError, OverflowError):
        if kind == 'bool' and isinstance(value, bool):
            return value
        if kind == 'text' and isinstance(value, str) and '\0' not in value:
            value.encode()  # without single surrogates
            return value
        if kind == 'float' and is_number:
            return float(value)
        if kind == 'int' and is_number and -1 << 63 <= int(value) < 1 << 63 and not (isinstance(value, float) and value % 1):
            return int(value)
    raise ValueError(f'it takes {_TAKES[kind]}')

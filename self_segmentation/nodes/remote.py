# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Another node, seen and changed by its services alone: its parameters as it describes them, and what it can be asked to do."""

from __future__ import annotations

import functools
import json
import math
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterDescriptor, ParameterEvent, ParameterValue
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters, SetParameters
from rclpy.client import Client
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.task import Future
from std_srvs.srv import SetBool, Trigger

__all__ = ['RemoteNode', 'parameter_message', 'plain', 'summary']

_PATIENCE = 5.0  # seconds for an answer
_MOST_PARAMETERS = 500
_OF_ROS_ITSELF = ('qos_overrides.', 'use_sim_time', 'start_type_description_service')
_CHOICES = re.compile(r'[\w.+-]+(, [\w.+-]+)+')
_DEFAULT = 'default '
_KINDS = {'BOOL': 'bool', 'INTEGER': 'int', 'DOUBLE': 'float', 'STRING': 'text', 'BOOL_ARRAY': 'bools', 'INTEGER_ARRAY': 'ints',
          'DOUBLE_ARRAY': 'floats', 'STRING_ARRAY': 'texts'}
_LARGEST_EXACT = 1 << 53  # a whole number beyond which a browser's numbers have gaps
_ACTIONS: dict[str, tuple[str, Any, dict[str, bool]]] = {  # what a node can be asked: service, its type, the request's fields
    'save': ('save', Trigger, {}), 'pause': ('pause', SetBool, {'data': True}), 'resume': ('pause', SetBool, {'data': False})}


class RemoteNode:
    """
    A node that may come and go.

    :param node: that asks.
    :param name: full name of the other.
    :param on_change: called when it came or went or offers something else (True), and when only values changed (False).
    """

    def __init__(self, node: Node, name: str, on_change: Callable[[bool], None]) -> None:
        self.name, self._node, self._on_change = name, node, on_change
        self.parameters: dict[str, dict[str, Any]] = {}  # by name, see :func:`summary`; empty while it is not there
        self.actions: tuple[str, ...] = ()
        self._waiting: dict[Future[Any], tuple[float, Callable[[str], None]]] = {}  # until when, and who is told if nothing comes
        self._is_loading = self._is_outdated = False  # outdated: it has other parameters than those that are loaded
        self._changed: dict[str, Any] = {}  # values that it told while they are loaded: what was asked for may be older
        self._clients: dict[Any, Client[Any, Any]] = {kind: node.create_client(kind, f'{name}/{service}') for kind, service in (
            (ListParameters, 'list_parameters'), (DescribeParameters, 'describe_parameters'),
            (GetParameters, 'get_parameters'), (SetParameters, 'set_parameters'), (Trigger, 'save'), (SetBool, 'pause'))}

    def close(self) -> None:
        """Ask nothing any more."""
        for client in self._clients.values():
            self._node.destroy_client(client)
        self._waiting.clear()

    def poll(self) -> None:
        """Look whether it is there; once a second."""
        now = time.monotonic()
        for future, (end, fail) in [*self._waiting.items()]:
            if now > end:
                del self._waiting[future]
                fail(f'{self.name} did not answer within {_PATIENCE:.0f} s')
        is_there = all(self._clients[kind].service_is_ready() for kind in (ListParameters, DescribeParameters, GetParameters))
        actions = tuple(name for name, (_, kind, _) in _ACTIONS.items() if self._clients[kind].service_is_ready())
        if not is_there and self.parameters:
            self.parameters = {}
            self._on_change(True)
        elif is_there and not self.parameters and not self._is_loading:
            self.load()
        if actions != self.actions:
            self.actions = actions
            self._on_change(True)

    # ---- parameters

    def load(self) -> None:
        """Ask for all parameters, their descriptions and values."""
        def failed(_reason: str) -> None:
            self._is_loading = False  # asked again at the next look

        def listed(answer: Any) -> None:
            names = [name for name in answer.result.names if not name.startswith(_OF_ROS_ITSELF)][:_MOST_PARAMETERS]
            self._ask(DescribeParameters, DescribeParameters.Request(names=names), functools.partial(described, names), failed)

        def described(names: list[str], answer: Any) -> None:
            self._ask(GetParameters, GetParameters.Request(names=names),
                      functools.partial(got, dict(zip(names, answer.descriptors))), failed)

        def got(descriptors: dict[str, Any], answer: Any) -> None:
            self._is_loading = False
            self.parameters = {name: summary(name, descriptor, value)
                               for (name, descriptor), value in zip(descriptors.items(), answer.values)}
            self._take(self._changed)
            self._on_change(True)
            if self._is_outdated:
                self.load()

        self._is_loading, self._is_outdated, self._changed = True, False, {}
        self._ask(ListParameters, ListParameters.Request(), listed, failed)

    def follow(self, event: ParameterEvent) -> None:
        """Take what the node says of its changes."""
        if any(each.name not in self.parameters for each in event.new_parameters) or event.deleted_parameters:
            if self._is_loading:
                self._is_outdated = True
            elif self.parameters:
                self.load()  # it was started again, or has others now
        values = {changed.name: plain(changed.value) for changed in (*event.new_parameters, *event.changed_parameters)}
        if self._is_loading:
            self._changed.update(values)
        if self._take(values):
            self._on_change(False)

    def _take(self, values: Mapping[str, Any]) -> bool:
        """Take new values of the parameters that are known; return whether there is one."""
        known = values.keys() & self.parameters.keys()
        for name in known:
            self.parameters[name]['value'] = values[name]
        return bool(known)

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
            then({**refused, **{message.name: result.reason or 'refused, without a reason'
                                for message, result in zip(messages, answer.results) if not result.successful}})

        if messages:
            self._ask(SetParameters, SetParameters.Request(parameters=messages), answered,
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
        self._ask(kind, kind.Request(**fields), lambda answer: then(answer.success, answer.message),
                  lambda reason: then(False, reason))

    def _ask(self, kind: Any, request: Any, then: Callable[[Any], None], fail: Callable[[str], None]) -> None:
        future = self._clients[kind].call_async(request)
        self._waiting[future] = time.monotonic() + _PATIENCE, fail

        def done(future: Future[Any]) -> None:
            if self._waiting.pop(future, None) is not None:  # else it came too late
                then(future.result())

        future.add_done_callback(done)


def plain(value: ParameterValue) -> Any:
    """Return the value as JSON can say it: what it has no number for as text."""
    found = Parameter.from_parameter_msg(ParameterMessage(name='value', value=value)).value
    return _plain_item(found) if isinstance(found, (bool, int, float, str, type(None))) else [_plain_item(item) for item in found]


def _plain_item(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    is_exact = not isinstance(value, (int, float)) or (math.isfinite(value) and not (isinstance(value, int)
                                                                                     and abs(value) > _LARGEST_EXACT))
    return value if is_exact else str(value)


def summary(name: str, descriptor: ParameterDescriptor, value: ParameterValue) -> dict[str, Any]:
    """
    Return a parameter as the page takes it.

    ``kind`` is that of its value (empty: it cannot be changed), ``range`` least, greatest and step. What has no field in ROS is
    read from ``additional_constraints``, as this package writes it: ``UNIT; WHAT IS ALLOWED; default JSON``. There, words with
    commas between them are the choices of a text, and ``red, green, blue`` is the unit of a colour.
    """
    kind = _KINDS.get(Parameter.Type(value.type if value.type else descriptor.type).name, '')
    limits = [each for found in (*descriptor.floating_point_range, *descriptor.integer_range)
              for each in (found.from_value, found.to_value, found.step)][:3]
    allowed, _, default = f'; {descriptor.additional_constraints}'.rpartition(f'; {_DEFAULT}')
    if not allowed and not descriptor.additional_constraints.startswith(_DEFAULT):
        allowed, default = f'; {descriptor.additional_constraints}', ''
    parts = [part for part in allowed.split('; ') if part]
    has_choices = kind == 'text' and bool(parts) and bool(_CHOICES.fullmatch(parts[-1]))
    now = plain(value)
    return {'name': name, 'kind': kind, 'text': descriptor.description, 'value': now, 'fixed': descriptor.read_only or not kind,
            'range': limits if all(math.isfinite(each) for each in limits) and limits else None,
            'choices': parts[-1].split(', ') if has_choices else None, 'unit': parts[0] if len(parts) > 1 else '',
            'allowed': parts[-1] if parts else '', 'color': kind == 'ints' and len(now) == 3 and 'red, green, blue' in parts,
            'default': _default(default, now)}


def _default(text: str, now: Any) -> Any:
    """Return the default that the node names, else the value that it was met with."""
    try:
        return json.loads(text, parse_constant=str)
    except ValueError:
        return now


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
    return Parameter(name, Parameter.Type[ros], given).to_parameter_msg()


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

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The settings as ROS parameters: declared once, changed live, refused as a whole with the reason."""

from __future__ import annotations

import array
import json
import traceback
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.exceptions import ParameterNotDeclaredException
from rclpy.node import Node
from rclpy.parameter import Parameter

from ..errors import SelfSegmentationError, SettingsError, masked
from ..settings import TUNABLES, Settings, Tunable, Value, unknown_name
from .kept_cover import KeptCover

__all__ = ['QOS_OVERRIDES', 'SettingsParameters', 'descriptor', 'fixed_parameter', 'given_at_start', 'report_unknown']

QOS_OVERRIDES = 'qos_overrides.'  # declared when a topic is made
_CHANGE = 'a parameter change'
_START = 'the start-up parameters'
Built = TypeVar('Built')


class SettingsParameters:
    """
    The settings and the node's parameters, which are always the same.

    Wrong start-up values are logged and replaced by their defaults; wrong changes are refused. Hidden people stay hidden after a
    restart (:class:`~self_segmentation.nodes.kept_cover.KeptCover`). The services that set parameters are answered here: those of
    rclpy refuse a whole number or a text such as 3e-05 for a float, and end the node at an unknown type.

    :param apply: called with the changed names when :attr:`settings` are the new ones. If it raises SelfSegmentationError the
        change is refused, and it is called again with no names and the old settings.
    """

    def __init__(self, node: Node, apply: Callable[[Collection[str]], None]) -> None:
        self._node, self._apply = node, apply
        self._changed: set[str] = set()  # names that were set since the start
        self._kept = KeptCover(node)
        self.settings = self._declare()
        node.add_on_set_parameters_callback(self._on_set)
        for service in node.services:
            if service.srv_type is SetParameters:
                service.callback = self._on_set_request
            elif service.srv_type is SetParametersAtomically:
                service.callback = self._on_set_atomically_request

    def built(self, build: Callable[[Settings], Built]) -> Built:
        """
        Return what ``build`` makes of the settings. Start-up values that it refuses are logged and replaced by their defaults.

        :raises SelfSegmentationError: it refuses a default, or a value that was set since the start.
        """
        try:
            return build(self.settings)
        except SelfSegmentationError as error:
            defaults = {name: TUNABLES[name].default for name in error.settings}
            are_defaults = all(getattr(self.settings, TUNABLES[name].attribute) == value for name, value in defaults.items())
            if are_defaults or self._changed & defaults.keys():
                raise
            self._node.get_logger().error(f'{error}; going on with the default of {", ".join(defaults)}')
            self.settings = self.settings.updated(defaults)
            self._node.set_parameters([Parameter(name, value=_ros(value)) for name, value in defaults.items()])
            return self.built(build)

    def _declare(self) -> Settings:
        values = self._kept.at_start({name: value for name, value in given_at_start(self._node).items() if name in TUNABLES})
        while True:  # without the wrong ones, the rest may still not fit together
            try:
                settings = Settings().updated(values, _START)
                break
            except SettingsError as error:
                for name, reason in error.problems.items():
                    values.pop(name, None)
                    fallback = TUNABLES[name].fallback if name in TUNABLES else None
                    if fallback is not None:
                        values[name] = fallback
                    instead = 'the default' if fallback is None else f'{fallback!r}, to be safe'
                    self._node.get_logger().error(f'{reason}; going on with {instead}')
        for name, value in settings.items():
            self._node.declare_parameter(name, _ros(value), descriptor(TUNABLES[name]), ignore_override=True)
        return settings

    # ---- changes

    def _on_set(self, parameters: list[Parameter[Any]]) -> SetParametersResult:
        changes = {p.name: _plain(p.value) for p in parameters if p.name in TUNABLES}
        if not changes:
            return SetParametersResult(successful=True)
        before = self.settings
        try:
            self.settings = before.updated(changes, _CHANGE)
            self._apply(changes)
        except Exception as error:  # SelfSegmentationError, or an unexpected one: nothing changes
            self.settings = before
            self._apply(())
            if isinstance(error, SelfSegmentationError):
                return SetParametersResult(successful=False, reason=str(error))
            self._node.get_logger().error(masked(traceback.format_exc()))
            return SetParametersResult(successful=False, reason=masked(f'{type(error).__name__}: {error}'))
        self._changed |= changes.keys()
        self._kept.follow(changes)
        self._node.get_logger().debug(masked('set: ' + ', '.join(f'{name} = {value!r}' for name, value in changes.items())))
        return SetParametersResult(successful=True)

    def _on_set_atomically_request(self, request: Any, response: Any) -> Any:
        response.result = self._set(request.parameters)
        self._log_reasons([response.result])
        return response

    def _on_set_request(self, request: Any, response: Any) -> Any:
        """Set each parameter alone, in any order that works: a background's type may stand before its image."""
        response.results = [self._set(request.parameters)] * len(request.parameters)
        left = [] if response.results and response.results[0].successful else [*enumerate(request.parameters)]
        while left:
            for index, message in left:
                response.results[index] = self._set([message])
            refused = [(index, message) for index, message in left if not response.results[index].successful]
            left = refused if len(refused) < len(left) else []
        self._log_reasons(response.results)
        return response

    def _log_reasons(self, results: list[SetParametersResult]) -> None:
        for is_taken, reason in dict.fromkeys((result.successful, result.reason) for result in results if result.reason):
            self._node.get_logger().warning(reason if is_taken else f'parameter change refused: {reason}')

    def _set(self, messages: Sequence[Any]) -> SetParametersResult:
        """Set all parameters of a request, or none."""
        try:
            parameters = self._converted(messages)
            if not parameters:
                return SetParametersResult(successful=True)
            result = self._node.set_parameters_atomically(parameters)
            if result.successful:
                result.reason = self.settings.without_effect([each.name for each in parameters if each.name in TUNABLES])
            return result
        except SettingsError as error:
            return SetParametersResult(successful=False, reason=str(error))
        except ParameterNotDeclaredException:
            unknown = [each.name for each in parameters if not self._node.has_parameter(each.name)]
            return SetParametersResult(successful=False, reason='; '.join(unknown_name(name, _CHANGE) for name in unknown))

    def _converted(self, messages: Sequence[Any]) -> list[Parameter[Any]]:
        """
        Return the parameters of a request in the settings' own types.

        Read-only ones that stay the same are left out, so that a file of ``ros2 param dump`` can be loaded.

        :raises SettingsError: naming every value that is not allowed.
        """
        others, changes, problems = [], {}, {}
        for message in messages:
            try:
                parameter = Parameter.from_parameter_msg(message)
            except ValueError:
                problems[message.name] = f'{message.name} (from {_CHANGE}) has a value of the unknown type {message.value.type}'
                continue
            if message.name in TUNABLES:
                changes[message.name] = _plain(parameter.value)
            elif not self._is_as_it_was(parameter):
                others.append(parameter)
        if problems:
            raise SettingsError(problems)
        settings, new = self.settings.updated(changes, _CHANGE), []
        for tunable in (TUNABLES[name] for name in changes):
            value = getattr(settings, tunable.attribute)
            if not tunable.read_only:
                new.append(Parameter(tunable.name, value=_ros(value)))
            elif value != getattr(self.settings, tunable.attribute):
                problems[tunable.name] = f'{tunable.name} (from {_CHANGE}) is read-only: it is decided when the node starts'
        if problems:
            raise SettingsError(problems)
        return [*new, *others]

    def _is_as_it_was(self, parameter: Parameter[Any]) -> bool:
        has_it = self._node.has_parameter(parameter.name)
        return has_it and bool(self._node.get_parameter(parameter.name).value == parameter.value)


def descriptor(tunable: Tunable) -> ParameterDescriptor:
    """
    Return the ROS description of a tunable.

    Ranges of floats have no step: rqt_reconfigure would refuse values of its own slider. ``additional_constraints`` has the unit,
    what is allowed and the default.
    """
    constraints = [tunable.unit, tunable.allowed, f'default {json.dumps(tunable.default)}']
    described = ParameterDescriptor(name=tunable.name, description=tunable.text, read_only=tunable.read_only,
                                    additional_constraints='; '.join(filter(None, constraints)))
    least, greatest = tunable.limits
    if isinstance(tunable.default, float):
        described.floating_point_range = [FloatingPointRange(from_value=least, to_value=greatest)]
    elif isinstance(tunable.default, int) and not isinstance(tunable.default, bool):
        described.integer_range = [IntegerRange(from_value=int(least), to_value=int(greatest), step=tunable.step)]
    return described


def fixed_parameter(node: Node, name: str, default: Value, text: str,
                    limits: tuple[float | None, float | None] = (None, None)) -> Any:
    """
    Declare a parameter that is fixed from the node's start on, and return its value.

    :param limits: least and greatest of a number.
    :raises SettingsError: naming the value and what is allowed.
    """
    tunable = Tunable(name, name, default, text, minimum=limits[0], maximum=limits[1])
    described = ParameterDescriptor(description=text, read_only=True, dynamic_typing=True, additional_constraints=tunable.allowed)
    value: Any = node.declare_parameter(name, default, described).value
    try:
        return tunable.checked(str(value) if isinstance(default, str) else value)
    except ValueError as error:
        raise SettingsError({name: f'{node.get_name()}: {error}'}) from error


def given_at_start(node: Node) -> dict[str, Any]:
    """Return the parameters that a node was given when it started, by name."""
    # rclpy silently drops those that are not declared; the attribute exists from Humble to Rolling.
    return {name: _plain(parameter.value) for name, parameter in getattr(node, '_parameter_overrides', {}).items()}


def report_unknown(node: Node) -> None:
    """Log unknown start-up parameters, with the nearest known names."""
    known = [*node.get_parameters_by_prefix('')]
    for name in given_at_start(node):
        if not node.has_parameter(name) and not name.startswith(QOS_OVERRIDES):
            node.get_logger().error(f'{unknown_name(name, _START, known)}; it is ignored')


def _ros(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _plain(value: Any) -> Any:
    """Return a value of rclpy with lists in place of arrays."""
    return value.tolist() if isinstance(value, array.array) else value

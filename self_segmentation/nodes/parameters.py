# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The settings as ROS parameters: declared once, changed live, refused as a whole with the reason."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from ..errors import SelfSegmentationError, SettingsError
from ..settings import TUNABLES, Settings, Tunable, unknown_name

__all__ = ['SettingsParameters', 'descriptor']

_DECLARED_BY_OTHERS = ('qos_overrides.', 'diagnostic_updater.')  # later


Built = TypeVar('Built')


class SettingsParameters:
    """
    Keeps the settings, the node's parameters and what is built from them the same thing.

    What is wrong at start-up is said in the log and replaced by its default; a wrong change is refused.

    :param node: on which the parameters are declared.
    :param apply: called with the names that were given once :attr:`settings` are the new ones; where it raises
        SelfSegmentationError, having changed nothing, they are the old ones again and the change is refused.
    """

    def __init__(self, node: Node, apply: Callable[[Collection[str]], None]) -> None:
        self._node, self._apply = node, apply
        self.settings = self._declare()
        node.add_on_set_parameters_callback(self._on_set)

    def built(self, build: Callable[[Settings], Built]) -> Built:
        """
        Return what ``build`` makes of the settings; those that cannot be had are replaced by their defaults, and said.

        :raises SelfSegmentationError: not even the defaults can be had.
        """
        try:
            return build(self.settings)
        except SelfSegmentationError as error:
            if all(getattr(self.settings, TUNABLES[name].attribute) == TUNABLES[name].default for name in error.settings):
                raise  # the default itself cannot be had
            self._set_defaults({name: str(error) for name in error.settings})
            return self.built(build)

    def _set_defaults(self, problems: dict[str, str]) -> None:
        for reason in dict.fromkeys(problems.values()):
            self._node.get_logger().error(f'{reason}; going on with the default')
        defaults = {name: TUNABLES[name].default for name in problems}
        self.settings = self.settings.updated(defaults)
        self._node.set_parameters([Parameter(name, value=_ros(value)) for name, value in defaults.items()])

    def _declare(self) -> Settings:
        origin = 'the start-up parameters'
        problems, values = {}, {}
        for tunable in TUNABLES.values():
            try:
                values[tunable.name] = self._declare_one(tunable)
            except InvalidParameterValueException as error:  # out of the descriptor's range
                problems[tunable.name] = f'{error}; {tunable.name} (from {origin}) takes {tunable.allowed}'
                self._declare_one(tunable, ignore_override=True)
        self.settings = Settings()
        while True:  # without the wrong ones, the rest may still not fit together
            try:
                self.settings = self.settings.updated(values, origin)
                break
            except SettingsError as error:
                problems.update(error.problems)
                values = {name: value for name, value in values.items() if name not in error.problems}
        if problems:
            self._set_defaults(problems)
        # rclpy drops what nobody declares without a word; the attribute is there from Humble to Rolling.
        for name in getattr(self._node, '_parameter_overrides', {}):
            if not self._node.has_parameter(name) and not name.startswith(_DECLARED_BY_OTHERS):
                self._node.get_logger().error(f'{unknown_name(name, origin)}; it is ignored')
        return self.settings

    def _declare_one(self, tunable: Tunable, ignore_override: bool = False) -> Any:
        return self._node.declare_parameter(tunable.name, _ros(tunable.default), descriptor(tunable),
                                            ignore_override=ignore_override).value

    def _on_set(self, parameters: list[Parameter[Any]]) -> SetParametersResult:
        changes = {p.name: p.value for p in parameters if p.name in TUNABLES}
        if not changes:
            return SetParametersResult(successful=True)
        before = self.settings
        try:
            self.settings = before.updated(changes, 'a parameter change')
            self._apply(changes)
        except SelfSegmentationError as error:
            self.settings = before
            self._node.get_logger().warning(f'parameter change refused: {error}')
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)


def descriptor(tunable: Tunable) -> ParameterDescriptor:
    """
    Return the ROS description of a tunable.

    The type is left open, so that ``ros2 param set ... threshold 1`` may send an integer; the settings check
    it. Ranges have no step: rqt_reconfigure refuses its own slider's values otherwise.
    """
    described = ParameterDescriptor(name=tunable.name, description=tunable.text, dynamic_typing=True,
                                    additional_constraints='; '.join(filter(None, [tunable.unit, tunable.allowed])))
    least, greatest = tunable.limits
    if isinstance(tunable.default, float):
        described.floating_point_range = [FloatingPointRange(from_value=least, to_value=greatest)]
    elif isinstance(tunable.default, int) and not isinstance(tunable.default, bool):
        described.integer_range = [IntegerRange(from_value=int(least), to_value=int(greatest), step=1)]
    return described


def _ros(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value

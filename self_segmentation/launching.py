# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
What the launch file decides: values of arguments, paths of files and programs, names, and what follows a program's end.

Only the functions that need ROS import it.
"""

from __future__ import annotations

import contextlib
import difflib
import re
import shutil
from collections.abc import Collection, Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from .errors import ExitCode, SelfSegmentationError, SettingsError, masked
from .resources import data_path
from .settings import TUNABLES, Value, imply_type, names_node, no_section_for

__all__ = ['CAMERAS', 'After', 'Argument', 'Camera', 'LogLine', 'after_exit', 'cover_misspelt', 'ending', 'find_file',
           'find_program', 'is_started_directly', 'join_namespaces', 'parameter_files', 'read_arguments', 'refuse_unknown',
           'remapped', 'unused', 'words']

_PACKAGE = 'self_segmentation'
_NAMESPACE = re.compile(r'(/[A-Za-z_]\w*)+|/', re.ASCII)
_SHELL_SIGNALS = 128  # a shell's exit code of a program that a signal ended is larger
_OF_LAUNCH_ITSELF = ('emulate_tty', 'launch-prefix', 'launch-prefix-filter', 'sigkill_timeout', 'sigterm_timeout')
_OF_LAUNCH_ROS = 'ros_namespace'  # an argument that launch_ros makes
_COVERING = ('look', 'replace')  # arguments that can hide people
_COVERED = {'replace': 'people'}
_LARGEST = 100_000  # of the numbers that launch arguments take
_NEARLY, _PERHAPS = 0.8, 0.6  # difflib's ratio of a misspelt name; loop, replay and camera_name lie between


class Argument(NamedTuple):
    """
    A launch argument: its default, its description, and its values by their names in lower case.

    Without choices it takes any text, or a number above 0 where ``number`` is ``int`` or ``float``.
    """

    default: str
    text: str
    choices: Mapping[str, Any] = {}
    number: type[int] | type[float] | None = None

    @property
    def allowed(self) -> str:
        """What may be given, in words."""
        if self.number is not None:
            return 'a whole number above 0' if self.number is int else 'a number above 0'
        return ', '.join(self.choices) or 'text'

    def value(self, name: str, text: str) -> Any:
        """
        Return the value that a text stands for; None for an empty text that is the default.

        :raises ValueError: naming the argument, the text and what is allowed.
        """
        if self.number is None and not self.choices:
            return text
        if text == self.default == '':
            return None
        if self.number is not None:
            with contextlib.suppress(ValueError):
                if 0 < (value := self.number(text)) < _LARGEST:
                    return value
        if text.lower() not in self.choices:
            raise ValueError(masked(f'{name} = {text!r} is not allowed: it takes {self.allowed}'))
        return self.choices[text.lower()]


class Camera(NamedTuple):
    """A camera driver's package and executable, and the names of its parameters."""

    package: str
    executable: str
    device: str = 'video_device'
    width: str = 'image_width'
    height: str = 'image_height'
    framerate: str = 'framerate'
    frame_id: str = 'frame_id'
    size: str = ''  # of both sides in one, where a driver has that

    def parameters(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """
        Return the driver's parameters.

        :param given: the values of the launch arguments by name; None and empty texts leave them to the driver.
        :raises SettingsError: an argument that this driver needs is missing.
        """
        device, width, height, rate = (given[name] for name in ('video_device', 'image_width', 'image_height', 'framerate'))
        if self.size and (width is None) != (height is None):
            missing = 'image_width' if width is None else 'image_height'
            raise SettingsError({missing: f'{self.package} takes image_width and image_height together: give {missing} too'})
        sizes = {self.size: [width, height]} if self.size else {self.width: width, self.height: height}
        if self.device == 'camera':  # camera_ros: a number or a name, and the first camera without one
            device = None if device.startswith('/dev/') else int(device) if device.isdecimal() else device
        values = {self.device: device, **sizes, self.frame_id: given['frame_id'], 'camera_info_url': given['camera_info_url']}
        if rate is not None:
            values[self.framerate] = self._rate(rate)
        return {name: value for name, value in values.items() if value not in (None, '', [None, None])}

    def _rate(self, rate: float) -> Any:
        if self.framerate == 'time_per_frame':  # seconds, as a fraction of whole numbers
            images = Fraction(rate).limit_denominator(1000)
            return [images.denominator, images.numerator]
        if self.framerate == 'FrameDurationLimits':  # microseconds, least and most
            return [round(1e6 / rate)] * 2
        return rate


# By the launch argument `camera`.
CAMERAS = {
    'usb_cam': Camera('usb_cam', 'usb_cam_node_exe'),
    'v4l2_camera': Camera('v4l2_camera', 'v4l2_camera_node', size='image_size', framerate='time_per_frame',
                          frame_id='camera_frame_id'),
    'camera_ros': Camera('camera_ros', 'camera_node', device='camera', width='width', height='height',
                         framerate='FrameDurationLimits'),
    'opencv': Camera('self_segmentation', 'camera_node'),
}


class LogLine(NamedTuple):
    """A line for the log, and its level: ``info``, ``warning`` or ``error``."""

    level: str
    text: str


def words(*names: str) -> dict[str, str]:
    """Return choices that stand for themselves."""
    return {name: name for name in names}


def read_arguments(arguments: Mapping[str, Argument], texts: Mapping[str, str],
                   strict: bool) -> tuple[dict[str, Any], dict[str, Value], list[LogLine]]:
    """
    Return the values of the arguments, the settings that were given, and lines for the log.

    :param arguments: by name; all others in ``texts`` are settings, where an empty text leaves the value to the parameter file.
    :param strict: whether a wrong value is an error; else it is logged and ignored. A launch file that is included inherits all
        arguments of its parent, and one of the same name may mean something else there. A wrong ``look`` or ``replace`` may have
        been meant to hide people: then they are hidden, and the line is an error.
    :raises SettingsError: naming all values that are not allowed.
    """
    values: dict[str, Any] = {}
    settings: dict[str, Value] = {}
    problems: dict[str, str] = {}
    for name, text in texts.items():
        try:
            if name in arguments:
                values[name] = arguments[name].value(name, text)
            elif text:
                settings[name] = TUNABLES[name].from_text(text, 'a launch argument')
        except ValueError as error:
            problems[name] = str(error)
            if name in arguments:
                values[name] = arguments[name].value(name, arguments[name].default)
    if problems and strict:
        raise SettingsError(problems)
    lines = []
    for name, problem in problems.items():
        if name in _COVERING:
            settings.update(_COVERED)
            lines.append(LogLine('error', f'{problem}. People are hidden (replace: people), to be safe.'))
        else:
            lines.append(LogLine('info', f'{problem}. It is ignored: the including launch file may mean something else.'))
    imply_type(settings)
    return values, settings, lines


def cover_misspelt(inherited: Mapping[str, Any], arguments: Mapping[str, Argument], settings: dict[str, Value]) -> list[LogLine]:
    """
    Return warnings of inherited arguments whose names are nearly those of this launch file; all others are ignored.

    If the name is nearly ``look`` or ``replace``, people may have to be hidden: ``settings`` hide them then.

    :param inherited: launch's configurations; those that are texts are arguments.
    :param arguments: those of this launch file, by name, without the settings.
    """
    known, lines = {*arguments, *TUNABLES}, []
    choices = {name: arguments[name].choices if name in arguments else TUNABLES[name].choices or () for name in _COVERING}
    for name, text in inherited.items():
        if name in known or name == _OF_LAUNCH_ROS or not isinstance(text, str):
            continue
        near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=_NEARLY) or [
            each for each in difflib.get_close_matches(name.lower(), _COVERING, n=1, cutoff=_PERHAPS)
            if text.lower() in choices[each]]
        if not near:
            continue
        sentence = f'{name} is not an argument of this launch file: did you mean {near[0]}?'
        if near[0] in _COVERING:
            settings.update(_COVERED)
            sentence += ' People are hidden (replace: people) until it has another name.'
        lines.append(LogLine('warning', masked(sentence)))
    return lines


def refuse_unknown(given: Iterable[str], known: Collection[str]) -> None:
    """
    Raise for arguments ``name:=value`` that the launch file does not declare: launch ignores them silently.

    :param known: the names that it declares.
    :raises SettingsError: naming all of them, each with the nearest known name.
    """
    problems = {}
    for name in (each.partition(':=')[0] for each in given):
        if name not in known and name not in _OF_LAUNCH_ITSELF:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f'did you mean {near[0]}?' if near else 'ros2 launch self_segmentation segment.launch.py --show-args lists all'
            problems[name] = f'{name} is not an argument of this launch file: {hint}'
    if problems:
        raise SettingsError(problems)


def is_started_directly(context: Any, file: str | Path) -> bool:
    """
    Return whether ``ros2 launch`` starts this file and nothing else; otherwise another launch file includes it.

    :param context: launch's context, during its start.
    """
    from launch.actions import IncludeLaunchDescription
    from launch.events import IncludeLaunchDescription as Started

    event = getattr(context.locals, 'event', None)  # of another kind later, as in a timer's actions
    entities = event.launch_description.entities if isinstance(event, Started) else []
    return [Path(each.launch_description_source.location).resolve() for each in entities
            if isinstance(each, IncludeLaunchDescription)] == [Path(file).resolve()] and len(entities) == 1


def find_file(text: str) -> Path:
    """
    Return the path of a parameter file: as it is, or from the package's share folder.

    :raises SettingsError: it is in neither; the message names both places.
    """
    path = Path(text).expanduser()
    places = dict.fromkeys((Path.cwd() / path, data_path() / path))  # an absolute path is itself in both
    for place in places:
        if place.is_file():
            return place
    raise SettingsError({'params_file': f'params_file = {text!r} is not a file: looked for {" and ".join(map(str, places))}'})


def unused(path: Path, node: str) -> str:
    """Return what to report if a parameter file has nothing for a node; empty if the node itself reports the file."""
    try:
        return no_section_for(node, path)
    except SettingsError:
        return ''


def parameter_files(path: Path, node: str) -> list[Path]:
    """Return the parameter file if it has a section that names a node (not ``/**``); else nothing."""
    try:
        return [path] if names_node(node, path) else []
    except SettingsError:
        return []


def find_program(package: str, name: str) -> str:
    """
    Return why launch would not find a package's program. Launch would end, and leave running what it started before.

    :returns: a sentence with what to install; empty if the program is there.
    """
    from ament_index_python.packages import PackageNotFoundError, get_package_prefix

    try:
        folder = Path(get_package_prefix(package), 'lib', package)
    except PackageNotFoundError:
        mend = 'build its workspace and source install/setup.bash' if package == _PACKAGE else (
            f'sudo apt install ros-$ROS_DISTRO-{package.replace("_", "-")}')
        return f'{package} is not installed: {mend}'
    return '' if shutil.which(name, path=str(folder)) else f'{package} has no program {name} in {folder}: install it again'


class After(NamedTuple):
    """What follows a program's end: whether it is started again, and otherwise why it would fail again; empty: it was done."""

    is_restarted: bool
    reason: str = ''


def after_exit(code: int, name: str, last_line: str = '') -> After:
    """
    Return what follows the end of one of this package's programs (:class:`~self_segmentation.errors.ExitCode`).

    It is started again after a failure that may pass, and after a signal. It is not after a code of somebody else, such as that
    of a middleware that is not installed.

    :param code: negative for a signal.
    :param last_line: what the program reported last.
    """
    if code == ExitCode.DONE:
        return After(is_restarted=False)
    if code == ExitCode.FAILED or code < 0 or code > _SHELL_SIGNALS:
        return After(is_restarted=True)
    reason = f'{name} ended with exit code {code}, as it would again: {last_line or "see above"}'
    return After(is_restarted=False, reason=reason)


def ending(reason: str) -> list[Any]:
    """
    Return the actions that end the launch with an error line and exit code 1.

    They raise while an event is handled: launch then ends all nodes. An action that raises at its first visit would leave the
    nodes before it running.
    """
    from launch.actions import EmitEvent, OpaqueFunction, RegisterEventHandler
    from launch.event import Event
    from launch.event_handler import EventHandler

    def fail(_context: Any) -> None:
        raise SelfSegmentationError(reason)

    event = Event()
    handler = EventHandler(matcher=lambda each: each is event, entities=[OpaqueFunction(function=fail)])
    return [RegisterEventHandler(handler), EmitEvent(event=event)]


def join_namespaces(outer: str, given: str) -> str:
    """
    Return the absolute namespace of ``given`` inside ``outer``; if ``outer`` ends with ``given``, it is not added again.

    That happens when a parent pushes its own argument ``namespace``, which the launch file then inherits too.

    :raises SettingsError: ``given`` is no namespace.
    """
    outer, inner = outer.strip('/'), given.strip('/')
    if not _NAMESPACE.fullmatch(f'/{inner}'):
        raise SettingsError({'namespace': f'namespace = {given!r} is not allowed: it takes names of letters, digits and _, none '
                                          'beginning with a digit, with / between them'})
    if given.startswith('/') or not outer:
        return f'/{inner}'
    if not inner or f'/{outer}'.endswith(f'/{inner}'):
        return f'/{outer}'
    return f'/{outer}/{inner}'


def remapped(name: str, rules: Iterable[tuple[str, str]], namespace: str, node: str) -> str:
    """
    Return the topic that a node uses for a name: the first rule that fits counts, as in ROS itself.

    :param rules: (from, to), names of any form; no rule acts on the result of another.
    :param namespace: absolute.
    """
    def full(each: str) -> str:
        if each.startswith('/'):
            return each
        base = namespace.rstrip('/')
        return f'{base}/{node}{each[1:]}' if each.startswith('~') else f'{base}/{each}'

    return next((full(to) for source, to in rules if full(source) == full(name)), full(name))

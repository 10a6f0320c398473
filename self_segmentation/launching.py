# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What the launch file decides before anything is started: its arguments as values, files and names found. No ROS in it."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .errors import SettingsError
from .resources import share
from .settings import TUNABLES, Value, imply_type

__all__ = ['Argument', 'find_file', 'is_started_directly', 'join_namespaces', 'read_arguments', 'refuse_unknown', 'remapped',
           'words']

_OF_LAUNCH_ITSELF = ('emulate_tty', 'launch-prefix', 'launch-prefix-filter', 'sigkill_timeout', 'sigterm_timeout')


class Argument(NamedTuple):
    """A launch argument: its default, what it is for, and the values by the words for them, in lower case; none: any text."""

    default: str
    text: str
    choices: Mapping[str, Any] = {}

    @property
    def allowed(self) -> str:
        """What may be given, in words."""
        return ', '.join(self.choices) or 'text'

    def value(self, name: str, text: str) -> Any:
        """
        Return what a text stands for; an empty one that is the default is None.

        :raises ValueError: naming the argument, the text and what is allowed.
        """
        if not self.choices:
            return text
        if text == self.default == '':
            return None
        if text.lower() not in self.choices:
            raise ValueError(f'{name} = {text!r} is not allowed: it takes {self.allowed}')
        return self.choices[text.lower()]


def words(*names: str) -> dict[str, str]:
    """Return choices that stand for themselves."""
    return {name: name for name in names}


def read_arguments(arguments: Mapping[str, Argument], texts: Mapping[str, str],
                   strict: bool) -> tuple[dict[str, Any], dict[str, Value], list[str]]:
    """
    Return the values of the arguments, the settings that were given, and what is to be said.

    :param arguments: by name; all others in ``texts`` are settings, where an empty text means: as the parameter file says.
    :param strict: whether a value that is not allowed is an error; else it is said and left out. A launch file that is included
        inherits all arguments of its parent, and one of the same name may mean something else there.
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
    imply_type(settings)
    return values, settings, [f'{problem}. It is ignored, as if the launch file that includes this one meant its own {name}.'
                              for name, problem in problems.items()]


def refuse_unknown(given: Iterable[str], known: Collection[str]) -> None:
    """
    Raise for arguments ``name:=value`` that the launch file does not declare: launch drops them without a word.

    :param known: the names that it declares.
    :raises SettingsError: naming all of them, with the nearest known name each.
    """
    problems = {}
    for name in (each.partition(':=')[0] for each in given):
        if name not in known and name not in _OF_LAUNCH_ITSELF:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f'did you mean {near[0]}?' if near else 'ros2 launch self_segmentation segment.launch.py --show-args lists all'
            problems[name] = f'{name} is not an argument of this launch file: {hint}'
    if problems:
        raise SettingsError(problems)


def is_started_directly(package: str, file: str | Path, command: Sequence[str] | None = None) -> bool:
    """
    Return whether ``ros2 launch`` was told to start this very file, by package and name or by path; else another includes it.

    :param command: the process's command line, ``sys.argv`` if None.
    """
    command, file = sys.argv if command is None else command, Path(file).resolve()
    return (package, file.name) in zip(command, command[1:]) or any(Path(word).resolve() == file for word in command)


def find_file(text: str) -> Path:
    """
    Return the path of a parameter file: as it is, or from the package's share folder.

    :raises SettingsError: it is in neither; the message says where it was looked for.
    """
    path = Path(text).expanduser()
    places = dict.fromkeys((Path.cwd() / path, share() / path))  # an absolute path is itself in both
    for place in places:
        if place.is_file():
            return place
    raise SettingsError({'params_file': f'params_file = {text!r} is not a file: looked for {" and ".join(map(str, places))}'})


def join_namespaces(outer: str, given: str) -> str:
    """
    Return the absolute namespace that ``given`` means inside ``outer``; what ``outer`` ends with already is not added again.

    A parent that pushes its own argument ``namespace`` and then includes the launch file hands on that argument, too.
    """
    outer, inner = outer.strip('/'), given.strip('/')
    if given.startswith('/') or not outer:
        return f'/{inner}'
    if not inner or f'/{outer}'.endswith(f'/{inner}'):
        return f'/{outer}'
    return f'/{outer}/{inner}'


def remapped(name: str, rules: Iterable[tuple[str, str]], namespace: str, node: str) -> str:
    """
    Return the topic that a node uses for a name: of the rules the first that fits, as in ROS itself.

    :param rules: (from, to), names of any form; later ones do not act on the result.
    :param namespace: absolute.
    """
    def full(each: str) -> str:
        if each.startswith('/'):
            return each
        base = namespace.rstrip('/')
        return f'{base}/{node}{each[1:]}' if each.startswith('~') else f'{base}/{each}'

    return next((full(to) for source, to in rules if full(source) == full(name)), full(name))

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Errors and their exit codes. Every message names the wrong value, its origin and what is allowed."""

import enum
import re

__all__ = ['BackgroundError', 'DamagedInputError', 'DetectorError', 'DisplayError', 'ExitCode', 'ImageError', 'InputError',
           'LibraryMissingError', 'ListenError', 'ModelError', 'OutputError', 'RuntimeMissingError', 'SelfSegmentationError',
           'SettingsError', 'UnavailableError', 'WrongOutputError', 'masked']

_HIDDEN = '***'
# An address in a text: up to its closing quote, as a password may hold spaces, or without quotes up to the next space.
_ADDRESS = re.compile(r"""(?P<quote>['"])?(?P<scheme>(?<![\w+.-])[\w+.-]+:/+)(?P<rest>(?(quote)(?:\\.|(?!(?P=quote)).)*|\S+))""")
_BARE = re.compile(r"""(?<![^\s'"(=])(?P<user>[^\s'":/@]+):(?![/=])\S+@(?=[\w\[])""")  # user:password@host, without a scheme
_VALUE = re.compile(r'=[^&;]+')  # of a query; some cameras have user=...&password=... in the path


class ExitCode(enum.IntEnum):
    """
    The exit codes of every program of this package.

    A supervisor (the launch file's ``respawn``, systemd's ``RestartPreventExitStatus=2``) starts a program again after 1 and
    after a signal, not after 0 or 2.
    """

    DONE = 0  # finished, or ended by SIGINT, SIGTERM or SIGHUP
    FAILED = 1  # may succeed at another try, or the result is not complete
    WILL_FAIL_AGAIN = 2  # until an argument, a setting or a file changes


def masked(text: str) -> str:
    """
    Return a text with the passwords of all addresses hidden: ``rtsp://admin:***@10.0.0.5/stream?token=***``.

    In doubt it hides too much: everything between the first colon and the last @, and every value after an equals sign.
    """
    text = _ADDRESS.sub(lambda found: f'{found["quote"] or ""}{found["scheme"]}{_without_secrets(found["rest"])}', text)
    return _BARE.sub(rf'\g<user>:{_HIDDEN}@', text)


def _without_secrets(rest: str) -> str:
    """Return what follows the scheme of an address, with its secrets hidden."""
    before, at, after = rest.rpartition('@')
    user, colon, _ = before.partition(':')
    if colon:
        begin, rest = f'{user}:{_HIDDEN}@', after
    elif at and not re.search('[/?#]', before):  # a token instead of user and password; otherwise the @ is in a path
        begin, rest = f'{_HIDDEN}@', after
    else:
        begin = ''
    return begin + _VALUE.sub(f'={_HIDDEN}', rest)


class SelfSegmentationError(Exception):
    """
    The base of this package's errors. Passwords in addresses are masked in every message.

    ``settings`` names the settings that caused it; ``exit_code`` is that of a program that ends because of it.
    """

    settings: tuple[str, ...] = ()
    exit_code = ExitCode.FAILED

    def __init__(self, message: str = '') -> None:
        super().__init__(masked(message))


class SettingsError(SelfSegmentationError, ValueError):
    """
    One or more settings are wrong.

    ``problems`` maps the name of each to the reason.
    """

    exit_code = ExitCode.WILL_FAIL_AGAIN

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__('; '.join(problems.values()))
        self.problems = {name: masked(problem) for name, problem in problems.items()}
        self.settings = tuple(problems)


class ModelError(SelfSegmentationError):
    """A model file is missing, truncated or not a selfie segmentation model."""

    exit_code = ExitCode.WILL_FAIL_AGAIN
    settings = ('model',)


class DetectorError(ModelError):
    """The person detector's file is missing or damaged."""

    settings = ('people.detector',)


class LibraryMissingError(SelfSegmentationError):
    """A library is not installed, too old, or lacks a part."""

    exit_code = ExitCode.WILL_FAIL_AGAIN


class RuntimeMissingError(LibraryMissingError):
    """The chosen runtime is not installed. No other replaces it: it might send usage data."""


class BackgroundError(SelfSegmentationError):
    """A background's file cannot be read; ``settings`` names its setting, and ``background.type`` if it is shown."""

    exit_code = ExitCode.WILL_FAIL_AGAIN


class ImageError(SelfSegmentationError, ValueError):
    """An image message or file cannot be decoded."""


class InputError(SelfSegmentationError):
    """A camera, video, image, folder or recording cannot be read: it does not exist, or is of another kind."""

    exit_code = ExitCode.WILL_FAIL_AGAIN


class UnavailableError(InputError):
    """A camera or stream gives no images now; it may later."""

    exit_code = ExitCode.FAILED


class DamagedInputError(InputError):
    """A part of a video or recording cannot be read; everything else was read."""

    exit_code = ExitCode.FAILED


class OutputError(SelfSegmentationError):
    """An image, video, folder or recording cannot be written now: the disk is full, or another program writes it."""


class WrongOutputError(OutputError):
    """The place to write to exists already, is the input itself, or is of the wrong kind."""

    exit_code = ExitCode.WILL_FAIL_AGAIN


class DisplayError(SelfSegmentationError):
    """No window can be shown."""


class ListenError(SelfSegmentationError):
    """The studio cannot listen on its host and port."""

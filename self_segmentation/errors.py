# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, and with which exit code. Every message names the bad value, where it came from and what is allowed."""

import enum

__all__ = ['BackgroundError', 'DetectorError', 'ExitCode', 'ImageError', 'InputError', 'ModelError', 'RuntimeMissingError',
           'SelfSegmentationError', 'SettingsError', 'SourceError']


class ExitCode(enum.IntEnum):
    """
    The exit codes of every program of this package.

    A supervisor (the launch file's ``respawn``, systemd's ``RestartPreventExitStatus=2``) starts a program again after 1 and
    after a signal, not after 0 or 2.
    """

    DONE = 0  # finished, or told to end (SIGINT, SIGTERM)
    FAILED = 1  # may succeed when it is tried again, or the result is not whole
    WILL_FAIL_AGAIN = 2  # until somebody changes an argument, a setting or a file


class SelfSegmentationError(Exception):
    """
    Anything this package reports about its input.

    ``settings`` names the settings it came from, if any; ``exit_code`` is that of a program that ends because of it.
    """

    settings: tuple[str, ...] = ()
    exit_code = ExitCode.FAILED


class SettingsError(SelfSegmentationError, ValueError):
    """
    One or more settings are wrong.

    ``problems`` maps the setting's name to the reason it was refused.
    """

    exit_code = ExitCode.WILL_FAIL_AGAIN

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__('; '.join(problems.values()))
        self.problems = problems
        self.settings = tuple(problems)


class ModelError(SelfSegmentationError):
    """A model file is missing, truncated or not a selfie segmentation model."""

    exit_code = ExitCode.WILL_FAIL_AGAIN
    settings = ('model',)


class DetectorError(ModelError):
    """The person detector's file is missing or damaged."""

    settings = ('people.detector',)


class RuntimeMissingError(SelfSegmentationError):
    """What should run the models is not there. No setting's default takes its place: another might send what must not be sent."""

    exit_code = ExitCode.WILL_FAIL_AGAIN


class BackgroundError(SelfSegmentationError):
    """A background cannot be read."""

    exit_code = ExitCode.WILL_FAIL_AGAIN
    settings = ('background.type', 'background.image', 'background.video')


class ImageError(SelfSegmentationError, ValueError):
    """An image message or file cannot be decoded."""


class SourceError(SelfSegmentationError):
    """A camera, video, image or folder cannot be read."""


class InputError(SourceError):
    """A file or folder is not there, or is not what it should be."""

    exit_code = ExitCode.WILL_FAIL_AGAIN

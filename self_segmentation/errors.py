# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What can go wrong. Every message names the bad value, where it came from and what is allowed."""

__all__ = ['BackgroundError', 'DetectorError', 'ImageError', 'ModelError', 'RuntimeMissingError', 'SelfSegmentationError',
           'SettingsError', 'SourceError']


class SelfSegmentationError(Exception):
    """Anything this package reports about its input. ``settings`` names the settings it came from, if any."""

    settings: tuple[str, ...] = ()


class SettingsError(SelfSegmentationError, ValueError):
    """
    One or more settings are wrong.

    ``problems`` maps the setting's name to the reason it was refused.
    """

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__('; '.join(problems.values()))
        self.problems = problems
        self.settings = tuple(problems)


class ModelError(SelfSegmentationError):
    """A model file is missing, truncated or not a selfie segmentation model."""

    settings = ('model',)


class DetectorError(ModelError):
    """The person detector's file is missing or damaged."""

    settings = ('people.detector',)


class RuntimeMissingError(SelfSegmentationError):
    """What should run the models is not there. No setting's default takes its place: another might send what must not be sent."""


class BackgroundError(SelfSegmentationError):
    """A background cannot be read."""

    settings = ('background.type', 'background.image', 'background.video')


class ImageError(SelfSegmentationError, ValueError):
    """An image message or file cannot be decoded."""


class SourceError(SelfSegmentationError):
    """A camera, video, image or folder cannot be read."""

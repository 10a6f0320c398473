# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What is put behind the person: one small class each, behind one protocol and one registry."""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np

from .errors import BackgroundError, ImageError
from .images import PICTURE_FORMATS, decoded
from .resources import read_file
from .settings import Settings

__all__ = ['BACKGROUNDS', 'Background', 'Color', 'Image', 'fitted', 'make_background']

_LARGEST_FILE = 256 << 20  # bytes


class Background(Protocol):
    """Gives the picture behind the person."""

    def behind(self, frame: np.ndarray) -> np.ndarray:
        """
        Return the background for a frame.

        :param frame: (height, width, 3) uint8, blue green red.
        :returns: an array like it, which stays the background's own: read it, do not write to it.
        """


class Color:
    """One colour everywhere."""

    def __init__(self, settings: Settings) -> None:
        self._bgr = settings.background_color[::-1]
        self._picture = np.empty((0, 0, 3), np.uint8)

    def behind(self, frame: np.ndarray) -> np.ndarray:
        """Return the colour at the frame's size, made once per size."""
        if self._picture.shape != frame.shape:
            self._picture = np.full(frame.shape, self._bgr, np.uint8)
        return self._picture


class Image:
    """
    A picture, fitted to the frame.

    :raises BackgroundError: the file cannot be read as a picture.
    """

    def __init__(self, settings: Settings) -> None:
        self._image = _read_image(settings.background_image)
        self._fit, self._bars = settings.background_fit, settings.background_color[::-1]
        self._picture = np.empty((0, 0, 3), np.uint8)

    def behind(self, frame: np.ndarray) -> np.ndarray:
        """Return the picture at the frame's size, fitted once per size."""
        if self._picture.shape != frame.shape:
            self._picture = fitted(self._image, frame.shape[1::-1], self._fit, self._bars)
        return self._picture


BACKGROUNDS: dict[str, type[Background]] = {'color': Color, 'image': Image}


def make_background(settings: Settings) -> Background:
    """
    Return the background that the settings ask for.

    :raises BackgroundError: it cannot be read.
    """
    if settings.background_image and settings.background_type != 'image':
        _read_image(settings.background_image)  # what is wrong with it is said when it is set, not when it is first used
    return BACKGROUNDS[settings.background_type](settings)


def fitted(image: np.ndarray, size: tuple[int, int], fit: str, bars: tuple[int, ...] = (0, 0, 0)) -> np.ndarray:
    """
    Return an image fitted to a size.

    :param image: (h, w, 3) uint8.
    :param size: (width, height) in pixels.
    :param fit: ``cover`` fills the size and crops the middle, ``contain`` shows all of the image between
        bars, ``stretch`` distorts it.
    :param bars: the bars' colour, in the image's colour order.
    :returns: (height, width, 3) uint8.
    """
    width, height = size
    if fit == 'stretch':
        return _resized(image, width, height)
    scales = width / image.shape[1], height / image.shape[0]
    scale = max(scales) if fit == 'cover' else min(scales)
    if fit == 'cover':  # cropped before it is scaled: a long thin image would become huge
        shown = max(1, min(image.shape[1], round(width / scale))), max(1, min(image.shape[0], round(height / scale)))
        left, top = (image.shape[1] - shown[0]) // 2, (image.shape[0] - shown[1]) // 2
        return _resized(image[top:top + shown[1], left:left + shown[0]], width, height)
    scaled = _resized(image, max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    left, top = (width - scaled.shape[1]) // 2, (height - scaled.shape[0]) // 2
    picture = np.full((height, width, 3), bars, np.uint8)
    picture[top:top + scaled.shape[0], left:left + scaled.shape[1]] = scaled
    return picture


def _resized(image: np.ndarray, width: int, height: int) -> np.ndarray:
    shrinks = width < image.shape[1] or height < image.shape[0]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _read_image(name: str) -> np.ndarray:
    try:
        return decoded(read_file(name, _LARGEST_FILE), PICTURE_FORMATS)
    except (OSError, ImageError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BackgroundError(f'background.image = {name!r} {reason}: give the path of a picture (PNG, JPEG, ...)') from error

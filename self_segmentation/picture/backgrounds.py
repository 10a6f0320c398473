# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What is put behind the person: one small class each, behind one protocol and one registry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import cv2
import numpy as np

from ..settings import Settings
from .arrays import Array
from .decoding import flattened

__all__ = ['BACKGROUNDS', 'Background', 'Color', 'Image', 'fitted', 'make_background']


class Background(Protocol):
    """Gives the image behind the person."""

    def behind(self, frame: Array) -> Array:
        """
        Return the background for a frame.

        :param frame: (height, width, 3) uint8, blue green red.
        :returns: an array like it, which stays the background's own: read it, do not write to it.
        """


class Color:
    """One colour everywhere."""

    def __init__(self, settings: Settings, image: Array | None = None) -> None:
        self._bgr = settings.background_color[::-1]
        self._filled: Array = np.empty((0, 0, 3), np.uint8)

    def behind(self, frame: Array) -> Array:
        """Return the colour at the frame's size, made once per size."""
        if self._filled.shape != frame.shape:
            self._filled = np.full(frame.shape, self._bgr, np.uint8)
        return self._filled


class Image:
    """
    An image, fitted to the frame.

    :param image: (h, w, 3) uint8, blue green red; or (h, w, 4) with alpha, then it stands on ``background.color``.
    :raises ValueError: without an image.
    """

    def __init__(self, settings: Settings, image: Array | None) -> None:
        if image is None:
            raise ValueError(f"background.type = 'image' needs the content of background.image = {settings.background_image!r}")
        self._image = flattened(image, settings.background_color)
        self._fit, self._bars = settings.background_fit, settings.background_color[::-1]
        self._fitted: Array = np.empty((0, 0, 3), np.uint8)

    def behind(self, frame: Array) -> Array:
        """Return the image at the frame's size, fitted once per size."""
        if self._fitted.shape != frame.shape:
            height, width = frame.shape[:2]
            self._fitted = fitted(self._image, (width, height), self._fit, self._bars)
        return self._fitted


BACKGROUNDS: dict[str, Callable[[Settings, Array | None], Background]] = {'color': Color, 'image': Image}


def make_background(settings: Settings, image: Array | None) -> Background:
    """
    Return the background that the settings ask for.

    :param image: the content of the file ``background.image``, (h, w, 3) uint8 blue green red; None where it names none.
    """
    return BACKGROUNDS[settings.background_type](settings, image)


def fitted(image: Array, size: tuple[int, int], fit: str, bars: tuple[int, ...] = (0, 0, 0)) -> Array:
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
    out = np.full((height, width, 3), bars, np.uint8)
    out[top:top + scaled.shape[0], left:left + scaled.shape[1]] = scaled
    return out


def _resized(image: Array, width: int, height: int) -> Array:
    shrinks = width < image.shape[1] or height < image.shape[0]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


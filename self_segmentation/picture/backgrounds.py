# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What is put behind the person: one small class each, behind one protocol and one registry."""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np

from ..settings import Settings

__all__ = ['BACKGROUNDS', 'Background', 'Color', 'Image', 'fitted', 'make_background']


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

    def __init__(self, settings: Settings, image: np.ndarray | None = None) -> None:
        self._bgr = settings.background_color[::-1]
        self._picture = np.empty((0, 0, 3), np.uint8)

    def behind(self, frame: np.ndarray) -> np.ndarray:
        """Return the colour at the frame's size, made once per size."""
        if self._picture.shape != frame.shape:
            self._picture = np.full(frame.shape, self._bgr, np.uint8)
        return self._picture


class Image:
    """
    An image, fitted to the frame.

    :param image: (h, w, 3) uint8, blue green red.
    """

    def __init__(self, settings: Settings, image: np.ndarray | None) -> None:
        self._image = image
        self._fit, self._bars = settings.background_fit, settings.background_color[::-1]
        self._picture = np.empty((0, 0, 3), np.uint8)

    def behind(self, frame: np.ndarray) -> np.ndarray:
        """Return the picture at the frame's size, fitted once per size."""
        if self._picture.shape != frame.shape:
            self._picture = fitted(self._image, frame.shape[1::-1], self._fit, self._bars)
        return self._picture


BACKGROUNDS: dict[str, type[Background]] = {'color': Color, 'image': Image}


def make_background(settings: Settings, image: np.ndarray | None) -> Background:
    """
    Return the background that the settings ask for.

    :param image: what ``background.image`` names, (h, w, 3) uint8 blue green red; None where it names nothing.
    """
    return BACKGROUNDS[settings.background_type](settings, image)


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


# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The type of an array in signatures (shape, dtype and range stand in the docstring), and what pictures have in common."""

from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ['Array', 'flattened', 'least', 'most', 'over_checks']

_CHECK, _CHECK_GREYS = 16, (245, 205)  # pixels of a square of the checkerboard, and its grey levels

Array: TypeAlias = NDArray[Any]


def least(image: Array) -> Array:
    """Return the least of the three channels of each pixel, (height, width)."""
    blue, green, red = cv2.split(image)
    return cv2.min(cv2.min(blue, green), red)


def most(image: Array) -> Array:
    """Return the most of the three channels of each pixel, (height, width)."""
    blue, green, red = cv2.split(image)
    return cv2.max(cv2.max(blue, green), red)


def flattened(pixels: Array, color: tuple[int, ...]) -> Array:
    """
    Return an image over one colour, which is seen through its transparent parts.

    :param pixels: (height, width, 4) uint8, blue green red alpha; (height, width, 3) is returned as it is.
    :param color: red, green, blue, 0..255.
    :returns: (height, width, 3) uint8, blue green red.
    """
    if pixels.shape[2] == 3:
        return pixels
    alpha = cv2.cvtColor(pixels[..., 3], cv2.COLOR_GRAY2BGR)
    behind = np.empty_like(alpha)
    behind[:] = color[::-1]
    over = cv2.add(cv2.multiply(pixels[..., :3], alpha, scale=1 / 255), cv2.multiply(behind, 255 - alpha, scale=1 / 255))
    return np.asarray(over, np.uint8)


def over_checks(image: Array, alpha: Array) -> Array:
    """
    Return an image over a checkerboard, which shows where it is transparent: (height, width, 3) uint8, blue green red.

    :param image: (height, width, 3) uint8, blue green red.
    :param alpha: (height, width) uint8.
    """
    y, x = np.ogrid[:alpha.shape[0], :alpha.shape[1]]
    checks = np.array(_CHECK_GREYS, np.uint16)[(y // _CHECK + x // _CHECK) % 2, np.newaxis]
    opacity = alpha[..., np.newaxis].astype(np.uint16)
    return np.asarray((image * opacity + checks * (255 - opacity)) // 255, np.uint8)

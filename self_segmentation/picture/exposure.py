# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Dark frames made bright for the neural networks, which were trained on well-lit photographs."""

from __future__ import annotations

import functools

import cv2
import numpy as np

from .arrays import Array, most

__all__ = ['brightened', 'brightening']

_DARK = 112  # grey levels; of a frame whose brightest 2 % begin below, it is dark
_BRIGHTEST = 98.0  # percentile that is taken for white
_STEP = 8  # grey levels by which it is rounded, so that a video does not flicker
_GAMMA = 0.7  # of the curve: less lifts the shadows more


def brightening(small: Array) -> Array | None:
    """
    Return the curve that makes a dark frame bright, (256,) uint8; None where it is bright enough.

    :param small: (h, w, 3) uint8, the frame at any size.
    """
    white = float(np.percentile(most(small), _BRIGHTEST))
    return None if white >= _DARK else _curve(max(_STEP, _STEP * round(white / _STEP)))


def brightened(image: Array, curve: Array | None) -> Array:
    """Return an image with a curve of :func:`brightening` applied: the image itself for None."""
    return image if curve is None else cv2.LUT(image, curve)


@functools.lru_cache(maxsize=32)
def _curve(white: int) -> Array:
    curve: Array = (255 * np.clip(np.arange(256) / white, 0, 1) ** _GAMMA).round().astype(np.uint8)
    curve.flags.writeable = False
    return curve

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""From probability to alpha matte: cut at the threshold, hard or soft, at the frame's size."""

from __future__ import annotations

import functools

import cv2
import numpy as np

from ..arrays import Array

__all__ = ['alpha_curve', 'to_alpha']


@functools.lru_cache(maxsize=8)  # each frame asks
def alpha_curve(threshold: float, softness: float) -> Array:
    """
    Return the alpha of each probability k/255.

    A straight rise from ``threshold * (1 - softness)`` through one half at the threshold to
    ``threshold + (1 - threshold) * softness``; a step at the threshold where the softness is 0.

    :param threshold: probability, 0..1.
    :param softness: 0..1; 1 makes a soft edge of all probabilities.
    :returns: (256,) uint8, 0..255; above 127 exactly where the probability is above the threshold.
    """
    probability = np.arange(256) / 255.0
    low, high = threshold * (1 - softness), threshold + (1 - threshold) * softness
    smallest = float(np.finfo(float).tiny)  # a step where there is no softness, however near to 0 or 1 the threshold is
    below = np.clip((probability - low) / max(threshold - low, smallest), 0, 1) * 127
    above = 128 + np.clip((probability - threshold) / max(high - threshold, smallest), 0, 1) * 127
    curve: Array = np.where(probability > threshold, above, below).round().astype(np.uint8)
    curve.flags.writeable = False
    return curve


def to_alpha(probability: Array, size: tuple[int, int], curve: Array, out: Array | None = None) -> Array:
    """
    Return the alpha matte of a map, upsampled.

    :param probability: (h, w) float32; what is outside 0..1 counts as 0 or 1.
    :param size: (width, height) in pixels of the frame of what the map covers.
    :param curve: (256,) uint8, see :func:`alpha_curve`.
    :param out: (height, width) uint8 to write to.
    :returns: (height, width) uint8, 0..255.
    """
    small = cv2.convertScaleAbs(cv2.threshold(probability, 0, 0, cv2.THRESH_TOZERO)[1], alpha=255)
    if ((curve > 0) & (curve < 255)).any():  # a soft edge stays soft when it is upsampled, and to bend the small map is cheaper
        return cv2.resize(cv2.LUT(small, curve), size, dst=out, interpolation=cv2.INTER_LINEAR)
    return cv2.LUT(cv2.resize(small, size, interpolation=cv2.INTER_LINEAR), curve, dst=out)

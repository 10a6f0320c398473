# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Temporal smoothing: a still outline stays still. The probability is smoothed over time where nothing moves, with hysteresis."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from ...settings import Settings
from .. import regions
from ..arrays import Array

__all__ = ['Motion', 'TemporalSmoother', 'Weights']

_MOVING = 0.15  # fraction of the smoothing that stays where the image moves; 0: -0.0005 of mean IoU, a tenth more flicker
_NOT_SHOWN = -512.0  # grey levels that stand for what the last frame did not show: more than 255 from any


class Motion(NamedTuple):
    """
    How a frame differs from the last one, in grey levels 0..255.

    ``luma`` (h, w) float32, this frame; ``difference`` (h, w) float32, the absolute difference to the last frame, above 255 where
    that frame showed nothing, None for the first frame.
    """

    luma: Array
    difference: Array | None


class Weights(NamedTuple):
    """
    What the coming map is combined with, in its own region: arrays of (height, width) float32.

    ``memory`` 0..1, the weight of the last map; ``last`` that map; ``bias`` the hysteresis: what holds a pixel on the side of the
    threshold where it was.
    """

    memory: Array
    last: Array
    bias: Array


class _State(NamedTuple):
    """What is kept of the last frame: its smoothed map, what was returned, its luma, and the region of all three."""

    smoothed: Array
    output: Array
    luma: Array
    region: regions.Region


class TemporalSmoother:
    """
    Motion-aware smoothing and hysteresis of a map over time.

    Where the image stands still the map is averaged over the last few frames and a pixel changes sides only when it is clear (two
    thresholds, as in Canny 1986); where the image moves, the newest map counts at once, so nothing drags a ghost. Motion is the
    difference of small images, spread by one of their pixels (without that: -0.007 of mean IoU over six clips).

    For each frame: :meth:`estimate_motion`, :meth:`precompute`, :meth:`update`. Only the last one changes what is remembered.
    """

    def __init__(self) -> None:
        self._last: _State | None = None

    def estimate_motion(self, low: Array, region: regions.Region) -> Motion:
        """
        Compare a frame with the last one, whether anything is smoothed or not.

        :param low: (h, w, 3) uint8 blue green red, a region of the frame, about 64 pixels wide; of the same size for each frame.
        :param region: that region.
        """
        luma = cv2.cvtColor(low, cv2.COLOR_BGR2GRAY).astype(np.float32)
        if self._last is None:
            return Motion(luma, None)
        return Motion(luma, cv2.absdiff(luma, regions.warp(self._last.luma, self._last.region, region, _NOT_SHOWN)))

    def precompute(self, motion: Motion, region: regions.Region, size: tuple[int, int], settings: Settings) -> Weights | None:
        """
        Weigh the last map against the coming one: the part of the work that needs not wait for it.

        It may run in another thread, between :meth:`estimate_motion` and :meth:`update`.

        :param region: of the motion and of the coming map.
        :param size: (width, height) of the coming map.
        :param settings: ``temporal.smoothing``, ``temporal.hysteresis``, ``temporal.motion_threshold`` and ``threshold`` count.
        :returns: None where nothing is smoothed: the first frame, or settings that ask for none.
        """
        last, s = self._last, settings
        if last is None or motion.difference is None or not (s.temporal_smoothing or s.temporal_hysteresis):
            return None
        moved: Array = np.clip(motion.difference * (1 / s.temporal_motion_threshold) - 1.0, 0.0, 1.0)
        moved = cv2.blur(cv2.dilate(moved, np.ones((3, 3), np.uint8)), (3, 3))
        # a little memory even where it moves, but none when everything does: then it is the camera
        calm = min(1.0, max(0.0, 1.5 - 2.0 * cv2.mean(moved)[0]))
        still = cv2.resize(1.0 - moved, size, interpolation=cv2.INTER_LINEAR)
        floor = _MOVING * calm
        memory = (s.temporal_smoothing * (1.0 - floor)) * still
        memory += s.temporal_smoothing * floor
        bias = np.copysign(np.float32(s.temporal_hysteresis), last.output - np.float32(s.threshold))
        bias = cv2.multiply(still, regions.warp(bias, last.region, region, -s.temporal_hysteresis))
        return Weights(memory, regions.warp(last.smoothed, last.region, region, 0.0), bias)

    def update(self, probability: Array, motion: Motion, weights: Weights | None, region: regions.Region,
               penalty: Array | None = None) -> Array:
        """
        Return the smoothed map, and remember it for the next frame.

        :param probability: (height, width) float32, the map of the region. It is kept: do not write to it.
        :param motion: from :meth:`estimate_motion` of this frame.
        :param weights: from :meth:`precompute` of this frame.
        :param region: of all of these.
        :param penalty: like the map, taken from the result; it does not enter the average.
        :returns: like the map, not clipped. It is kept: do not write to it.
        """
        smoothed = output = probability
        if weights is not None:
            smoothed = cv2.add(probability, cv2.multiply(weights.memory, cv2.subtract(weights.last, probability)))
            output = cv2.add(smoothed, weights.bias)
        if penalty is not None:
            output = cv2.subtract(output, penalty)
        self._last = _State(smoothed, output, motion.luma, region)
        return output

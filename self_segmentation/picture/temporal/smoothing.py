# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""A still outline stays still: smoothing and hysteresis of the probability over time, where nothing moves."""

from __future__ import annotations

import cv2
import numpy as np

from .. import roi

__all__ = ['Steady']


class Steady:
    """Motion-aware smoothing and hysteresis of a map over time.

    Where the picture stands still the map is averaged over the last few frames and a pixel changes sides only when it is
    clear (two thresholds, as in Canny 1986); where the picture moves, the newest map counts at once, so nothing drags a
    ghost. Motion is the difference of small blurred pictures (the "k" of motion-adaptive temporal noise reduction).
    """

    MOVING = 0.15   # share of the memory that stays where the picture moves

    def __init__(self) -> None:
        self.memory = self.band = 0.0
        self.motion, self.threshold = 1.0, 0.5
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._state = self._side = self._seen = self._region = self._weights = None

    def see(self, low: np.ndarray, region: roi.Region) -> float:
        """
        Look at the next picture, (h, w, 3) uint8 blue green red, about 64 pixels wide, of a region.

        :returns: the mean difference to the last one in grey levels, 0 for the first.
        """
        self._luma = cv2.cvtColor(low, cv2.COLOR_BGR2GRAY).astype(np.float32)
        self._difference = None
        if self._seen is None:
            return 0.0
        self._difference = cv2.absdiff(self._luma, roi.warp(self._seen, self._region, region, -512.0))
        if region == self._region:
            return cv2.mean(self._difference)[0]
        known = self._difference <= 255.0
        return float(self._difference[known].mean()) if known.any() else 0.0

    def weigh(self, region: roi.Region, size: tuple[int, int]) -> None:
        """
        Weigh memory against motion for the coming map: the part of the work that does not wait for it.

        :param region: the one last given to :meth:`see`.
        :param size: (width, height) of the map.
        """
        if self._difference is None or self._state is None:
            self._weights = None
            return
        moved = cv2.dilate(np.clip(self._difference * (1 / self.motion) - 1.0, 0.0, 1.0), np.ones((3, 3), np.uint8))
        moved = cv2.blur(moved, (3, 3))
        # a little memory even where it moves, but none when everything does: then it is the camera
        calm = min(1.0, max(0.0, 1.5 - 2.0 * cv2.mean(moved)[0]))
        still = cv2.resize(1.0 - moved, size, interpolation=cv2.INTER_LINEAR)
        floor = self.MOVING * calm
        keep = (self.memory * (1.0 - floor)) * still
        keep += self.memory * floor
        side = cv2.multiply(still, roi.warp(self._side, self._region, region, -self.band))
        self._weights = keep, side, roi.warp(self._state, self._region, region, 0.0)

    def update(self, p: np.ndarray, region: roi.Region, doubt: np.ndarray | None = None) -> np.ndarray:
        """
        Return the steadied map.

        :param p: (h, w) float32, the map of the region.
        :param region: the one last given to :meth:`weigh`.
        :param doubt: like ``p``, taken from the result; it does not enter the memory.
        :returns: like ``p``, not clipped.
        """
        if self._weights is None:
            state = out = p.copy()
        else:
            keep, side, state = self._weights
            state = cv2.add(p, cv2.multiply(keep, cv2.subtract(state, p)))
            out = cv2.add(state, side)
            if doubt is not None:
                out = cv2.subtract(out, doubt)
        self._side = np.copysign(np.float32(self.band), out - np.float32(self.threshold))
        self._state, self._seen, self._region = state, self._luma, region
        return out

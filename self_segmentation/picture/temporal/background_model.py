# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The scene behind the people, learnt while it can be seen: a second opinion beside the model's."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ['Plate']


class Plate:
    """
    The clean background behind the people, learnt while nobody is in front of it.

    It is of use only while the camera stands still.

    A pixel that looks like the background known to be there is doubted; a person whom the model loses from one frame to the
    next, while the picture there still differs from the background, is held for a while. A moving camera or a change of
    light makes the known background wrong nearly everywhere at once; then it is forgotten.
    Running-average background subtraction (Wren et al., "Pfinder", 1997), here only as a second opinion, on a grid of
    ``SIDE`` x ``SIDE`` cells over the whole frame.
    """

    SIDE = 128
    GROW, CLEAR = 7, 0.5  # cells a held person may move a frame; how clearly they must differ from the background
    KNOWN = 5           # frames of quiet background before a cell is known
    SHADE = 0.45, 1.4, 0.15   # brightness ratios within the first two, alike in all channels up to the third, are mere shade
    SAME, OTHER = 6.0, 16.0   # grey levels: below the first a cell looks the same, above the second it looks different

    _NEUTRAL = int((2 * SAME + OTHER) / 2)  # neither the same nor other
    _IS_SAME = np.clip(2.0 - np.arange(256, dtype=np.float32) / SAME, 0.0, 1.0)
    _IS_OTHER = np.clip(np.arange(256, dtype=np.float32) / OTHER - 1.0, 0.0, 1.0)

    def __init__(self) -> None:
        self.patience = 0.0
        self.reset()

    def reset(self) -> None:
        """Forget the background."""
        self._plate: np.ndarray | None = None
        self._last: np.ndarray | None = None
        self._held = 0.0

    def look(self, small: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """
        Compare a frame with the background.

        :param small: the frame on the grid, (SIDE, SIDE, 3) uint8 blue green red.
        :returns: how surely a cell is, and is not, the known background: two (SIDE, SIDE) float32 in 0..1.
        """
        self._picture = cv2.blur(small, (3, 3))
        if self._plate is None:
            self._plate, self._age = self._picture.astype(np.float32), np.zeros((self.SIDE, self.SIDE), np.uint8)
        b, g, r = cv2.split(cv2.absdiff(self._picture, cv2.convertScaleAbs(self._plate)))
        self._far = cv2.max(cv2.max(b, g), r)
        known = cv2.compare(self._age, self.KNOWN, cv2.CMP_GE)
        free = known if self._last is None else cv2.subtract(known, cv2.dilate(self._last, np.ones((9, 9), np.uint8)) * 255)
        wrong = cv2.bitwise_and(free, cv2.compare(self._far, self.OTHER, cv2.CMP_GT))
        if cv2.countNonZero(wrong) > 0.25 * cv2.countNonZero(free):
            self._age[:] = 0
            known[:] = 0
        shown = cv2.copyTo(self._far, known, np.full(known.shape, self._NEUTRAL, np.uint8))
        same, other = cv2.LUT(shown, self._IS_SAME), cv2.LUT(shown, self._IS_OTHER)
        if cv2.countNonZero(other):
            # all channels scaled alike is a shadow, a reflection or the camera's exposure on the same background
            # (Horprasert et al. 1999, brightness and chromaticity distortion)
            b, g, r = cv2.split(cv2.divide(self._picture.astype(np.float32) + 4.0, self._plate + 4.0))
            least, most = cv2.min(cv2.min(b, g), r), cv2.max(cv2.max(b, g), r)
            other *= (least < self.SHADE[0]) | (most > self.SHADE[1]) | (most - least > self.SHADE[2])
        return same, other

    def hold(self, p: np.ndarray, other: np.ndarray, step: float) -> np.ndarray | None:
        """
        Find the people of the last mask whom the model lost although something still stands there.

        :param p: the probability on the grid.
        :param other: from :meth:`look`.
        :param step: seconds since the last frame.
        :returns: (SIDE, SIDE) bool, or None for nobody.
        """
        if self._last is None or self.patience <= 0:
            return None
        now = (p > 0.5).astype(np.uint8)
        before = cv2.countNonZero(self._last)
        if before == 0 or cv2.countNonZero(now & self._last) > 0.8 * before:
            self._held = 0.0
            return None
        count, labels, stats, _ = cv2.connectedComponentsWithStats(self._last)
        held = np.zeros(p.shape, bool)
        for index in range(1, count):
            piece = labels == index
            if stats[index, 4] < 8 or now[piece].mean() > 0.5:
                continue
            near = cv2.dilate(piece.astype(np.uint8), np.ones((self.GROW, self.GROW), np.uint8)) > 0
            held |= near & (other > self.CLEAR)
        self._held = self._held + step if held.any() else 0.0
        return held if 0 < self._held <= self.patience else None

    def doubt(self, same: np.ndarray, other: np.ndarray) -> np.ndarray:
        """-1..1 float32: 1 where the known background shows, -1 where it does not and the last mask was near."""
        if self._last is None:
            return same
        return same - cv2.dilate(self._last, np.ones((3, 3), np.uint8)) * other

    def learn(self, p: np.ndarray) -> None:
        """Take the final map of this frame on the grid: what is surely no person is background."""
        self._last = (p > 0.5).astype(np.uint8)
        busy = cv2.dilate(cv2.compare(p, 0.1, cv2.CMP_GT), np.ones((5, 5), np.uint8))
        quiet = cv2.bitwise_not(busy)
        self._age[cv2.bitwise_and(quiet, cv2.compare(self._far, self.OTHER, cv2.CMP_GT)) > 0] = 0
        fresh = cv2.bitwise_and(quiet, cv2.compare(self._age, 0, cv2.CMP_EQ))
        cv2.accumulateWeighted(self._picture, self._plate, 0.1, mask=quiet)
        if cv2.countNonZero(fresh):
            cv2.copyTo(self._picture.astype(np.float32), fresh, self._plate)
        self._age = cv2.add(self._age, cv2.min(quiet, 1))

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Nobody there: tells people from things that the model takes for people."""

from __future__ import annotations

import cv2
import numpy as np

from . import roi

__all__ = ['SURE', 'Presence', 'agreement']

SURE = 0.8  # agreement of somebody who is there for certain; then nothing else in the frame is hidden


def agreement(pixels: np.ndarray, maps: list[np.ndarray]) -> float:
    """The lowest mean probability that any of ``maps`` gives to the pixels of one component.

    A person stays a person in a mirror and in dimmer light (test-time augmentation as a consistency check, after
    Bahat & Shakhnarovich 2018, "Confidence from Invariance to Image Transformations"); a toaster often does not.
    """
    return min(float(m[pixels].mean()) for m in maps)


class Presence:
    """Remembers over a clip which pieces of the map are things, not people.

    Every re-read of the whole frame is made on a changed picture (variant 0 mirrored, variant 1 dimmed). A piece that the changed
    picture does not show loses trust; below ``reject`` it is hidden, above ``accept`` it is shown again. Trust is kept as an
    exponential mean per variant, so that one miss never hides anybody. Grid: 64x64 over the whole frame.
    """

    GRID = (64, 64)
    UNKNOWN = 0.75

    def __init__(self) -> None:
        self.reject = 0.0
        self.reset()

    @property
    def accept(self) -> float:
        """How much trust shows a hidden piece again."""
        return min(1.0, self.reject + 0.25)

    def reset(self) -> None:
        """Trust everything again."""
        self._trust = [np.full(self.GRID, self.UNKNOWN, np.float32) for _ in range(2)]
        self._hidden = np.zeros(self.GRID, bool)

    def check(self, raw: np.ndarray, changed: np.ndarray, variant: int) -> None:
        """
        Take a re-read.

        :param raw: the map now, nothing hidden, over the whole frame.
        :param changed: the map of the changed picture, likewise.
        :param variant: how it was changed, 0 or 1.
        """
        frame = roi.Region(0, 0, *self.GRID)
        raw, changed = (cv2.resize(m, self.GRID, interpolation=cv2.INTER_AREA) for m in (raw, changed))
        trust, hidden = np.full(self.GRID, self.UNKNOWN, np.float32), np.zeros(self.GRID, bool)
        other = np.full(self.GRID, self.UNKNOWN, np.float32)
        sure = False
        for part in roi.components(raw, frame, 1 / raw.size):
            piece = part.pixels
            trust[piece] = 0.5 * (self._trust[variant][piece].mean() + changed[piece].mean())
            other[piece] = self._trust[1 - variant][piece].mean()
            level = self.accept if self._hidden[piece].mean() > 0.5 else self.reject
            least = min(trust[piece].mean(), other[piece].mean())
            hidden[piece] = least < level
            sure |= least > SURE
        if sure:  # somebody is there for certain: what else stands out is more likely another person than a thing
            hidden[:] = False
        self._trust[variant], self._trust[1 - variant], self._hidden = trust, other, hidden

    def hide(self, p: np.ndarray, region: roi.Region, frame: roi.Region) -> np.ndarray:
        """``p`` (map of ``region``) without the pieces that are hidden; ``p`` itself where there is nothing to hide."""
        if not self._hidden.any():
            return p
        known = roi.warp(self._hidden.astype(np.float32), frame, region, 0.0)
        small = cv2.resize(p, self.GRID, interpolation=cv2.INTER_AREA)
        drop = np.zeros(self.GRID, np.uint8)
        for part in roi.components(small, region, 1 / small.size):
            if known[part.pixels].mean() > 0.5:
                drop |= part.pixels.astype(np.uint8)
        drop |= ((known > 0.5) & (small < 0.5)).astype(np.uint8)
        people = cv2.dilate(((small > 0.5) & (drop == 0)).astype(np.uint8), np.ones((3, 3), np.uint8))
        drop = cv2.dilate(drop, np.ones((5, 5), np.uint8)) & (people ^ 1)
        return p * (1.0 - cv2.resize(drop.astype(np.float32), p.shape[::-1], interpolation=cv2.INTER_LINEAR))

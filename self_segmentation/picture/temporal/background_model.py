# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The background behind the people, learnt while it can be seen: a second opinion beside the segmentation model's."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from ...settings import Settings
from .. import roi
from ..arrays import Array

__all__ = ['GRID', 'BackgroundModel', 'Comparison', 'from_grid', 'to_grid']

GRID = 128  # cells across and down, over the full frame
_GROW, _CLEAR = 7, 0.5  # cells a held person may move a frame; how clearly they must differ from the background
_KNOWN = 5  # frames of quiet background before a cell is known
_SMALLEST = 33  # cells of a piece that is held, 0.2 % of the frame; smaller ones are specks beside people
_ABSORBED = 30  # frames for which what changed must stay before it is background: a second; somebody who enters is found in less
_BESIDE = 31  # cells across, around one of a person's: beside people shade changes, and is background at once
_SHADE = 0.45, 1.4, 0.15  # brightness ratios within the first two, alike in all channels up to the third, are mere shade
_SAME, _OTHER = 6.0, 16.0  # grey levels: below the first a cell looks the same, above the second it looks different
_IS_SAME = np.clip(2.0 - np.arange(256, dtype=np.float32) / _SAME, 0.0, 1.0)
_IS_OTHER = np.clip(np.arange(256, dtype=np.float32) / _OTHER - 1.0, 0.0, 1.0)


class Comparison(NamedTuple):
    """
    A frame compared with the known background, on the grid: arrays of (GRID, GRID).

    ``image`` (GRID, GRID, 3) uint8 blue green red, the frame; ``distance`` uint8, the largest difference of the three channels
    in grey levels; ``same`` and ``other`` float32 in 0..1, how surely a cell is, and is not, the known background, both 0 where
    that is not known; ``outdated`` whether the known background is wrong nearly everywhere.
    """

    image: Array
    distance: Array
    same: Array
    other: Array
    outdated: bool


class BackgroundModel:
    """
    The clean background behind the people, learnt while nobody is in front of it.

    It is of use only while the camera stands still. A pixel that looks like the background known to be there is penalised; a
    person whom the model loses from one frame to the next, while the image there still differs from the background, is held for a
    while. A moving camera or a change of light makes the known background wrong nearly everywhere at once; then it is forgotten.

    Running-average background subtraction (Wren et al., "Pfinder", 1997), here only as a second opinion.

    For each frame: :meth:`compare`, :meth:`hold` and :meth:`penalty`, :meth:`learn`. Only the last one changes what is known.

    :param settings: of which ``temporal.background_penalty`` and ``temporal.hold_time`` count.
    """

    def __init__(self, settings: Settings) -> None:
        self.configure(settings)
        self.reset()

    def configure(self, settings: Settings) -> None:
        """Take new settings from the next frame on."""
        self._settings = settings

    def reset(self) -> None:
        """Forget the background and the people."""
        self._background: Array | None = None  # (GRID, GRID, 3) float32
        self._age: Array = np.zeros((GRID, GRID), np.uint8)  # frames for which a cell was background
        self._changed = np.zeros((GRID, GRID), np.uint8)  # frames for which a cell has looked other than the background
        self._people: Array | None = None  # (GRID, GRID) uint8, 1 where the last map showed somebody
        self._held_time = 0.0  # seconds

    def compare(self, frame: Array) -> Comparison:
        """
        Compare a frame with the background. It may run in another thread, before the other methods.

        :param frame: (height, width, 3) uint8 blue green red, the full frame at any size.
        """
        image = cv2.blur(cv2.resize(frame, (GRID, GRID), interpolation=cv2.INTER_LINEAR), (3, 3))
        unknown = np.zeros((GRID, GRID), np.float32)
        if self._background is None:
            return Comparison(image, np.zeros((GRID, GRID), np.uint8), unknown, unknown, False)
        b, g, r = cv2.split(cv2.absdiff(image, cv2.convertScaleAbs(self._background)))
        distance = cv2.max(cv2.max(b, g), r)  # numpy's max over three channels takes ten times as long
        known = self._age >= _KNOWN
        free = known if self._people is None else known & (cv2.dilate(self._people, np.ones((9, 9), np.uint8)) == 0)
        if np.count_nonzero(free & (distance > _OTHER)) > 0.25 * np.count_nonzero(free):
            return Comparison(image, distance, unknown, unknown, True)
        same, other = cv2.LUT(distance, _IS_SAME) * known, cv2.LUT(distance, _IS_OTHER) * known
        if cv2.countNonZero(other):
            # all channels scaled alike is a shadow, a reflection or the camera's exposure on the same background
            # (Horprasert et al. 1999, brightness and chromaticity distortion)
            b, g, r = cv2.split(cv2.divide(image.astype(np.float32) + 4.0, self._background + 4.0))
            least, most = cv2.min(cv2.min(b, g), r), cv2.max(cv2.max(b, g), r)
            other *= (least < _SHADE[0]) | (most > _SHADE[1]) | (most - least > _SHADE[2])
        return Comparison(image, distance, same, other, False)

    def hold(self, probability: Array, comparison: Comparison, step: float) -> Array | None:
        """
        Find the people of the last map whom the model lost although something still stands there.

        :param probability: (GRID, GRID) float32, see :func:`to_grid`.
        :param comparison: of this frame.
        :param step: seconds since the last frame.
        :returns: (GRID, GRID) bool, or None for nobody.
        """
        limit = self._settings.temporal_hold_time
        if self._people is None or limit <= 0:
            return None
        now = (probability > 0.5).astype(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(self._people)
        held = np.zeros(probability.shape, bool)
        for index in range(1, count):
            piece = labels == index
            if stats[index, 4] < _SMALLEST or now[piece].mean() > 0.5:
                continue
            near = cv2.dilate(piece.astype(np.uint8), np.ones((_GROW, _GROW), np.uint8)) > 0
            held |= near & (comparison.other > _CLEAR)
        self._held_time = self._held_time + step if held.any() else 0.0
        return held if 0 < self._held_time <= limit else None

    def penalty(self, comparison: Comparison) -> Array:
        """
        Return what to take from the probability.

        :returns: (GRID, GRID) float32, up to ``temporal.background_penalty`` where the known background shows, down to minus that
            where it does not and the last map showed somebody beside.
        """
        weight = comparison.same
        if self._people is not None:
            weight = weight - cv2.dilate(self._people, np.ones((3, 3), np.uint8)) * comparison.other
        return self._settings.temporal_background_penalty * weight

    def learn(self, probability: Array, comparison: Comparison) -> None:
        """
        Take what is surely no person for background.

        :param probability: (GRID, GRID) float32, the final map of this frame, see :func:`to_grid`.
        :param comparison: of this frame.
        """
        image = comparison.image
        if self._background is None:
            self._background = image.astype(np.float32)
        if comparison.outdated:
            self._age[:] = 0
        self._people = (probability > 0.5).astype(np.uint8)
        quiet = cv2.dilate((probability > 0.1).astype(np.uint8), np.ones((5, 5), np.uint8)) == 0
        changed = quiet & (comparison.distance > _OTHER)
        self._changed = np.where(changed, np.minimum(self._changed + 1, _ABSORBED), 0).astype(np.uint8)
        # What changes far from the people who are known is waited for: it may be somebody whom the model does not see yet.
        far = cv2.dilate(self._people, np.ones((_BESIDE, _BESIDE), np.uint8)) == 0
        waits = changed & far & (self._changed < _ABSORBED) & (self._age >= _KNOWN)
        self._age[changed & ~waits] = 0
        fresh = quiet & (self._age == 0)
        cv2.accumulateWeighted(image, self._background, 0.1, mask=(quiet & ~waits).astype(np.uint8))
        self._background[fresh] = image[fresh]
        self._age = np.minimum(self._age + quiet, _KNOWN)


def _cells(region: roi.Region, frame: roi.Region) -> tuple[slice, slice]:
    """Return the cells that a region covers, to the nearest cell, at least one: rows and columns."""
    x0, y0 = min(GRID - 1, round(region.x0 * GRID / frame.width)), min(GRID - 1, round(region.y0 * GRID / frame.height))
    x1, y1 = max(x0 + 1, round(region.x1 * GRID / frame.width)), max(y0 + 1, round(region.y1 * GRID / frame.height))
    return slice(y0, y1), slice(x0, x1)


def to_grid(probability: Array, region: roi.Region, frame: roi.Region) -> Array:
    """
    Return a region's map on the grid over the full frame.

    :param probability: (h, w) float32.
    :param region: what the map covers.
    :param frame: the full frame.
    :returns: (GRID, GRID) float32, 0 outside the region.
    """
    if region == frame:
        return cv2.resize(probability, (GRID, GRID), interpolation=cv2.INTER_AREA)
    grid = np.zeros((GRID, GRID), np.float32)
    cells = _cells(region, frame)
    grid[cells] = cv2.resize(probability, grid[cells].shape[::-1], interpolation=cv2.INTER_LINEAR)
    return grid


def from_grid(values: Array, shape: tuple[int, ...], region: roi.Region, frame: roi.Region) -> Array:
    """
    Return values on the grid as a map of a region: the way back from :func:`to_grid`.

    :param values: (GRID, GRID) float32.
    :param shape: (h, w) of the map.
    :returns: (h, w) float32.
    """
    return cv2.resize(values[_cells(region, frame)], shape[::-1], interpolation=cv2.INTER_LINEAR)

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The background behind the people, learnt while it can be seen: a second opinion beside the segmentation model's."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from .. import regions
from ..arrays import Array, least, most

__all__ = ['GRID', 'BackgroundModel', 'Comparison', 'from_grid', 'to_grid']

# Chosen on six clips with truth. The figures tell how much each matters, as a change of the mean IoU (0.977; with a moving camera
# 0.92: three of the clips, of which a moving part is shown).
GRID = 128  # cells across and down, over the full frame; 64: -0.004
_SAME = 6.0  # grey levels up to which a cell looks the same, and from twice this on not; 4 and 9: 0.0002
_OTHER = 16.0  # grey levels up to which a cell does not look different, and from twice this on surely; 11: -0.001, 24: +0.0005
_DIFFERS = 16  # grey levels above which something may stand before a cell, clothed like the room
_BRIGHTNESS = 0.45, 1.4  # brightness that is mere shadow or light on a cell, as a fraction of what it was; 0.3 and 1.8: -0.002
_COLORS = 0.15  # how unlike the fractions of the three channels may be in shadow or light
_KNOWN = 5  # frames for which a cell must be background until it is known; 2 and 10: 0.0002
_OUTDATED = 0.25  # fraction of the known cells, or of those at outlines, that must differ; 0.4: -0.008 with a moving camera
_SMALLEST = 33  # cells, 0.2 % of the frame; a smaller piece is a speck beside people, fewer that differ are no moving camera
_NEAR = 7  # cells, odd: a held person moves half as far from one frame to the next; 3: -0.008, 13: +0.0003
_NOBODY = 0.1  # probability up to which a cell is learnt; 0.05: no change, 0.5: -0.0007, -0.011 with a moving camera
_EDGE = 5  # cells, odd: half as far beside people nothing is learnt; 1: -0.007, 9: -0.0007
_ABSORBED = 30  # frames for which what changed must stay before it is background: a second; somebody who enters is found in less
_BESIDE = 31  # cells across, around one of a person's: beside people shade changes, and is background at once
_IS_SAME = np.clip(2.0 - np.arange(256, dtype=np.float32) / _SAME, 0.0, 1.0)
_IS_OTHER = np.clip(np.arange(256, dtype=np.float32) / _OTHER - 1.0, 0.0, 1.0)


class Comparison(NamedTuple):
    """
    A frame compared with the known background, on the grid: arrays of (GRID, GRID).

    ``image`` (GRID, GRID, 3) uint8 blue green red, the frame; ``distance`` uint8, the largest difference of the three channels
    in grey levels; ``same`` and ``other`` float32 in 0..1, how surely a cell is, and is not, the known background, both 0 where
    that is not known; ``differs`` float32, 1 where something may be that is not the known background, be it a shadow;
    ``outdated`` whether the known background is wrong nearly everywhere.
    """

    image: Array
    distance: Array
    same: Array
    other: Array
    differs: Array
    outdated: bool


class BackgroundModel:
    """
    The clean background behind the people, learnt while nobody is in front of it.

    It is of use only while the camera stands still. A pixel that looks like the background known to be there is penalised; a
    person whom the model loses from one frame to the next, while the image there still differs from the background, is held for a
    while. A moving camera or a change of light makes the known background wrong nearly everywhere at once; then it is forgotten.

    Background subtraction that learns only where nobody is (Wren et al., "Pfinder", 1997), here only as a second opinion. The
    background of a cell is what was last seen there: a running average follows the light later, and is no better in noise.

    For each frame: :meth:`compare`, :meth:`hold` and :meth:`penalty`, :meth:`learn`. The last one alone changes what is known of
    background and people; :meth:`hold` counts how long it has held somebody.
    """

    def __init__(self) -> None:
        self._background: Array = np.zeros((GRID, GRID, 3), np.uint8)  # blurred
        self._age: Array = np.zeros((GRID, GRID), np.uint8)  # frames for which a cell was background, up to _KNOWN
        self._changed: Array = np.zeros((GRID, GRID), np.uint8)  # frames for which a cell has looked other than the background
        self._people: Array = np.zeros((GRID, GRID), np.uint8)  # 1 where the last map showed somebody
        self._far: Array = np.ones((GRID, GRID), bool)  # whether that is far from everybody
        self._held_time = 0.0  # seconds

    def compare(self, frame: Array) -> Comparison:
        """
        Compare a frame with the background. It may run in another thread, before the other methods.

        :param frame: (height, width, 3) uint8 blue green red, the full frame at any size.
        """
        image = cv2.blur(cv2.resize(frame, (GRID, GRID), interpolation=cv2.INTER_LINEAR), (3, 3))
        distance = most(cv2.absdiff(image, self._background))
        known = self._age == _KNOWN
        free = known & (self._people == 0)
        outdated = self._differs(free, distance) or self._differs(known & self._far & self._outlines(), distance)
        if outdated:
            known[:] = False
        same, other = cv2.LUT(distance, _IS_SAME) * known, cv2.LUT(distance, _IS_OTHER) * known
        if other.any():
            # all channels scaled alike is a shadow, a reflection or the camera's exposure on the same background
            # (Horprasert et al. 1999, brightness and chromaticity distortion)
            scale = cv2.divide(image.astype(np.float32) + 1, self._background.astype(np.float32) + 1)
            lowest, highest = least(scale), most(scale)
            other *= (lowest < _BRIGHTNESS[0]) | (highest > _BRIGHTNESS[1]) | (highest - lowest > _COLORS)
        return Comparison(image, distance, same, other, (known & (distance > _DIFFERS)).astype(np.float32), outdated)

    def _differs(self, cells: Array, distance: Array) -> bool:
        other = np.count_nonzero(cells & (distance > _OTHER))
        return other > max(_OUTDATED * np.count_nonzero(cells), _SMALLEST)

    def _outlines(self) -> Array:
        """Return where the background is not plain: there alone a camera shows that it moves. (GRID, GRID) bool."""
        grey = cv2.cvtColor(self._background, cv2.COLOR_BGR2GRAY)
        steepness: Array = cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
        return steepness > 2 * _OTHER

    def hold(self, probability: Array, comparison: Comparison, step: float, hold_time: float) -> Array | None:
        """
        Find the people of the last map whom the model lost although something still stands there.

        :param probability: (GRID, GRID) float32, see :func:`to_grid`.
        :param comparison: of this frame.
        :param step: seconds since the last frame.
        :param hold_time: for so many seconds at most somebody is held, see ``temporal.hold_time``.
        :returns: (GRID, GRID) bool, or None for nobody.
        """
        now = (probability > 0.5).astype(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(self._people)
        held = np.zeros(probability.shape, bool)
        for index in range(1, count):
            piece = labels == index
            if stats[index, cv2.CC_STAT_AREA] < _SMALLEST or now[piece].mean() > 0.5:
                continue
            near = cv2.dilate(piece.astype(np.uint8), np.ones((_NEAR, _NEAR), np.uint8)) > 0
            held |= near & (comparison.other > 0.5)
        self._held_time = self._held_time + step if held.any() else 0.0
        return held if 0 < self._held_time <= hold_time else None

    def penalty(self, comparison: Comparison, strength: float) -> Array:
        """
        Return what to take from the probability.

        :param strength: probability, see ``temporal.background_penalty``.
        :returns: (GRID, GRID) float32, up to the strength where the known background shows, down to minus that
            where it does not, in a piece that reaches somebody of the last map: a head that comes after its shoulder.
        """
        count, labels = cv2.connectedComponents((comparison.other > 0.5).astype(np.uint8))
        joined = np.zeros(count, bool)
        joined[labels[cv2.dilate(self._people, np.ones((_NEAR, _NEAR), np.uint8)) > 0]] = True
        joined[0] = False
        weight: Array = comparison.same - joined[labels] * comparison.other
        return strength * weight

    def learn(self, probability: Array, comparison: Comparison) -> None:
        """
        Take what is surely no person for background.

        :param probability: (GRID, GRID) float32, the final map of this frame, see :func:`to_grid`.
        :param comparison: of this frame.
        """
        if comparison.outdated:
            self._age[:] = 0
        self._people = (probability > 0.5).astype(np.uint8)
        quiet = cv2.dilate((probability > _NOBODY).astype(np.uint8), np.ones((_EDGE, _EDGE), np.uint8)) == 0
        changed = quiet & (comparison.distance > _OTHER)
        self._changed = np.where(changed, np.minimum(self._changed + 1, _ABSORBED), 0).astype(np.uint8)
        # What changes far from the people who are known is waited for: it may be somebody whom the model does not see yet.
        self._far = cv2.dilate(self._people, np.ones((_BESIDE, _BESIDE), np.uint8)) == 0
        waits = changed & self._far & (self._changed < _ABSORBED) & (self._age == _KNOWN)
        self._age[changed & ~waits] = 0
        learnt = quiet & ~waits
        cv2.copyTo(comparison.image, learnt.astype(np.uint8), self._background)
        self._age = np.minimum(self._age + learnt, _KNOWN)


def _cells(region: regions.Region, frame: regions.Region) -> tuple[slice, slice]:
    """Return the cells that a region covers, to the nearest cell, at least one: rows and columns."""
    x0, y0 = min(GRID - 1, round(region.x0 * GRID / frame.width)), min(GRID - 1, round(region.y0 * GRID / frame.height))
    x1, y1 = max(x0 + 1, round(region.x1 * GRID / frame.width)), max(y0 + 1, round(region.y1 * GRID / frame.height))
    return slice(y0, y1), slice(x0, x1)


def to_grid(probability: Array, region: regions.Region, frame: regions.Region) -> Array:
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


def from_grid(values: Array, shape: tuple[int, ...], region: regions.Region, frame: regions.Region) -> Array:
    """
    Return values on the grid as a map of a region: the way back from :func:`to_grid`.

    :param values: (GRID, GRID) float32.
    :param shape: (h, w) of the map.
    :returns: (h, w) float32.
    """
    return cv2.resize(values[_cells(region, frame)], shape[::-1], interpolation=cv2.INTER_LINEAR)

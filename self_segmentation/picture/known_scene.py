# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
The scene as it is known to be empty, and what differs from it: where people must not be seen, what differs is covered.

There is no rule for shadows, and standing still alone makes nobody background: see :class:`KnownScene`.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from .arrays import Array, most
from .matting.background_model import GRID

__all__ = ['Difference', 'KnownScene', 'is_cut']

_FRAMES = 5  # frames for which a cell must be free until it is known
_NOISE = 0.5  # grey levels of noise that each cell has at least
_LARGEST_NOISE = 5.0  # grey levels; a larger median change is motion
_TIMES_NOISE = 3.5  # times the noise of a cell from which on it differs
_LEAST = 1.5  # grey levels added to that
_SURE = 1.6  # times the limit that one cell at least of what differs must reach
_FOLLOW = 0.1  # how fast the scene follows slow changes of light, a frame
_OTHER = 0.5  # fraction of the cells that change from one frame to the next where it is a cut
_LOST = 0.35  # fraction of the free cells that differ where the scene is not known any more
_DARK, _BRIGHT = 6.0, 249.0  # grey levels beyond which a cell does not tell the camera's exposure
_SAMPLE = np.s_[::3, ::3]  # cells by which exposure and noise are judged
_LEAST_CHANGE = 6.0  # mean grey levels below which no frame is looked at as a cut
_AROUND, _ALIKE = 15, 0.4  # cells, odd, of one light; correlation of the outlines of one scene; of two rooms 0.15 at most
_CHANGED_MUCH = 10.0  # grey levels that a cell of another scene differs by
_EVERYWHERE = np.ones((GRID, GRID), bool)
_CHANGED = 0.02  # fraction of the cells that change where the camera may move
_LEAST_POINTS, _AGREE = 12, 0.5  # points that move alike at least; fraction of all
_APART = 0.35  # cells that two points may disagree
_STILL = 0.25  # cells that a corner of the frame moves at least, else the camera stands still
_REMEMBERED = 15  # frames for which a camera that moved counts as moving
_FEW = 48  # cells of the sample from which on the exposure is judged


class Difference(NamedTuple):
    """
    What a frame shows that is not the known scene: arrays of (GRID, GRID).

    ``image`` float32 (GRID, GRID, 3), the frame; ``differs`` uint8, 1 where something is not the known scene, 0 where it is, or
    where that is not known; ``unknown`` bool; ``is_lost`` whether the known scene is wrong nearly everywhere; ``is_cut`` whether
    the frame has nothing to do with the last one.
    """

    image: Array
    differs: Array
    unknown: Array
    is_lost: bool
    is_cut: bool


class KnownScene:
    """
    The scene without people, as far as it was proven to be empty.

    A cell is known once it was free (nothing was covered there) for five frames, and no person may have been there before. What
    differs from then on, and where a person may have been, stays unknown until :meth:`absorb` is called: after it was still for
    long, and a detector found nobody in it. The known scene follows slow changes of light where nothing is covered. The
    camera's exposure, one factor for each channel, is taken out before.
    """

    def __init__(self) -> None:
        self._scene: Array = np.zeros((GRID, GRID, 3), np.float32)
        self._free: Array = np.zeros((GRID, GRID), np.uint8)  # frames for which a cell was free, up to _FRAMES
        self._suspect: Array = np.zeros((GRID, GRID), bool)  # where a person may have been before the cell was known
        self._noise: Array = np.full((GRID, GRID), _NOISE, np.float32)
        self._covered: Array = np.ones((GRID, GRID), bool)
        self._last: Array | None = None
        self._gain: Array = np.ones(3, np.float32)
        self._limit: Array = self._noise  # grey levels from which on a cell differs
        self._level = 0.0  # grey levels, the noise of the whole frame
        self._grey: Array = np.zeros((GRID, GRID), np.uint8)  # the last frame
        self._moved = 0  # frames for which the camera counts as moving
        self._seen: Array = np.zeros((GRID, GRID, 3), np.float32)  # what a cell has shown since it last changed
        self._still: Array = np.zeros((GRID, GRID), np.float32)  # seconds since then

    @property
    def known(self) -> Array:
        """Where the scene is known, (GRID, GRID) bool."""
        return self._free == _FRAMES

    def compare(self, bgr: Array) -> Difference:
        """
        Compare a frame with the known scene.

        :param bgr: (height, width, 3) uint8.
        """
        while min(bgr.shape[:2]) >= 4 * GRID:  # far faster than at once
            bgr = cv2.resize(bgr, (bgr.shape[1] // 2, bgr.shape[0] // 2), interpolation=cv2.INTER_AREA)
        grid = cv2.resize(bgr, (GRID, GRID), interpolation=cv2.INTER_AREA)
        image = cv2.blur(grid.astype(np.float32), (3, 3))
        grey = cv2.cvtColor(grid, cv2.COLOR_BGR2GRAY)
        is_cut = False
        if self._last is not None:
            change = _distance(image, _exposed(self._last, _gain(image, self._last, _EVERYWHERE)))
            changed = np.count_nonzero(change > 2 * (self._level * _TIMES_NOISE + _LEAST)) / change.size
            motion = _motion(self._grey, grey, self._covered) if changed > _CHANGED else None
            is_cut = changed > _OTHER and motion is None
            if motion is not None:
                self._warp(motion)
                self._moved = _REMEMBERED
            else:
                level = min(float(np.median(change[_SAMPLE])), _LARGEST_NOISE)
                self._level = level if self._level == 0.0 else self._level + _FOLLOW * (level - self._level)
                self._moved = max(0, self._moved - 1)
        self._last, self._grey = image, grey
        self._limit = limit = np.maximum(self._noise, self._level) * _TIMES_NOISE + _LEAST
        known = self.known
        judged = known & ~self._covered
        self._gain = _gain(image, self._scene, judged)
        expected = _exposed(self._scene, self._gain)
        if self._moved:  # as far as the neighbouring cells: the motion is known to a fraction of a cell
            around = np.ones((3, 3), np.uint8)
            distance = most(np.maximum(image - cv2.dilate(expected, around), cv2.erode(expected, around) - image))
        else:
            distance = _distance(image, expected)
        weak = (known & (distance > limit)).astype(np.uint8)
        differs = _sure_pieces(weak, known & (distance > _SURE * limit))
        count = np.count_nonzero(judged)
        is_lost = count < _FEW or np.count_nonzero(differs[judged]) > _LOST * count
        return Difference(image, differs, ~known, is_lost, is_cut)

    def _warp(self, motion: Array) -> None:
        """Move what is known with the camera; what comes into view is unknown."""
        size = (GRID, GRID)
        self._scene = cv2.warpAffine(self._scene, motion, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        self._noise = cv2.warpAffine(self._noise, motion, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        known = cv2.warpAffine(self.known.astype(np.uint8) * 255, motion, size, flags=cv2.INTER_LINEAR)
        free = cv2.warpAffine(self._free, motion, size, flags=cv2.INTER_NEAREST)
        self._free = np.where(known > 254, _FRAMES, np.minimum(free, _FRAMES - 1)).astype(np.uint8)
        covered = self._covered.astype(np.uint8)
        self._covered = cv2.warpAffine(covered, motion, size, flags=cv2.INTER_NEAREST, borderValue=(1,)) > 0
        self._still[:] = 0
        suspect = self._suspect.astype(np.uint8)
        self._suspect = cv2.warpAffine(suspect, motion, size, flags=cv2.INTER_NEAREST) > 0

    def learn(self, difference: Difference, covered: Array, people: Array, step: float) -> None:
        """
        Learn the scene where nothing is covered.

        :param covered: (GRID, GRID), not 0 where the frame is covered for a reason other than that it is unknown.
        :param people: (GRID, GRID), not 0 where a person may be.
        :param step: seconds since the last frame.
        """
        self._covered = covered > 0
        free, known = (covered == 0).astype(np.uint8), self.known
        changed = ((_distance(difference.image, self._seen) > self._limit) | (people > 0)).astype(np.uint8)
        cv2.copyTo(difference.image, changed, self._seen)
        self._still = np.where(changed > 0, np.float32(0), self._still + np.float32(step))
        image = difference.image * (1 / np.maximum(self._gain, 0.05))
        cv2.copyTo(image, free * (self._free == 0).astype(np.uint8), self._scene)
        cv2.accumulateWeighted(np.maximum(_distance(image, self._scene), _NOISE), self._noise, _FOLLOW, free)
        cv2.accumulateWeighted(image, self._scene, _FOLLOW, free)
        self._suspect |= (people > 0) & ~known
        counted = np.minimum(self._free + 1, np.where(self._suspect, _FRAMES - 1, _FRAMES))
        self._free = np.where(known, _FRAMES, np.where(free > 0, counted, 0)).astype(np.uint8)

    def unproven(self, difference: Difference, seconds: float) -> Array | None:
        """
        Return a piece that differs or is unknown, and that has not moved for so long; the largest one, None for none.

        :returns: (GRID, GRID) bool. A piece of which any cell moved is none: what is joined to it is not known either.
        """
        open_cells = ((difference.differs > 0) | difference.unknown).astype(np.uint8)
        if not (self._still[open_cells > 0] >= seconds).any():
            return None
        count, labels, stats, _ = cv2.connectedComponentsWithStats(open_cells, connectivity=8)
        for index in sorted(range(1, count), key=lambda index: -stats[index, cv2.CC_STAT_AREA]):
            piece: Array = labels == index
            if self._still[piece].min() >= seconds:
                return piece
        return None

    def absorb(self, piece: Array) -> None:
        """Take a piece for the scene: it is proven to be empty of people."""
        gain = np.maximum(self._gain, 0.05)
        self._scene[piece] = self._seen[piece] / gain
        self._free[piece] = _FRAMES
        self._noise[piece] = _NOISE
        self._suspect[piece] = False


def is_cut(last: Array, grey: Array) -> bool:
    """
    Return whether a frame has nothing to do with the last one: most of it changed, and its outlines are nowhere in the other.

    :param last: (GRID, GRID) uint8.
    """
    if cv2.norm(last, grey, cv2.NORM_L1) < _LEAST_CHANGE * grey.size:
        return False
    before, now = cv2.blur(last, (3, 3)).astype(np.float32), cv2.blur(grey, (3, 3)).astype(np.float32)
    expected = _exposed(before, _gain(now[..., None], before[..., None], _EVERYWHERE))
    changed = np.count_nonzero(cv2.absdiff(now, expected) > _CHANGED_MUCH)
    if changed <= _OTHER * grey.size or _similarity(last, grey, ~_EVERYWHERE) is not None:
        return False
    first, second = _outlines(before), _outlines(now)
    return bool(np.vdot(first, second) < _ALIKE * np.sqrt(np.vdot(first, first) * np.vdot(second, second)))


def _outlines(grey: Array) -> Array:
    """Return an image without its light: each cell less the mean around it, in standard deviations there. (h, w) float32."""
    size = (_AROUND, _AROUND)
    rest = grey - cv2.blur(grey, size)
    outlines: Array = rest / (np.sqrt(cv2.blur(rest * rest, size)) + _NOISE * _TIMES_NOISE)
    return outlines


def _motion(last: Array, grey: Array, covered: Array) -> Array | None:
    """Return how the camera moved since the last frame, as :func:`_similarity` does; None where it stands still, too."""
    motion = _similarity(last, grey, covered)
    if motion is None:
        return None
    corners = np.array([[0, 0, 1], [GRID, 0, 1], [0, GRID, 1], [GRID, GRID, 1]], np.float64)
    return motion if np.abs(corners @ motion.T - corners[:, :2]).max() > _STILL else None


def _similarity(last: Array, grey: Array, covered: Array) -> Array | None:
    """
    Return where the last frame's points are in this one: a similarity on the grid, (2, 3) float64; None where that is not clear.

    :param covered: (GRID, GRID) bool, where nothing is told by what moves.
    """
    free = (~covered).astype(np.uint8)
    points = cv2.goodFeaturesToTrack(last, 150, 0.01, 3, mask=free if free.mean() > 0.2 else None)
    if points is None or len(points) < _LEAST_POINTS:
        return None
    moved, status, _ = cv2.calcOpticalFlowPyrLK(last, grey, points, np.empty_like(points), winSize=(15, 15), maxLevel=3)
    is_found = status.ravel() > 0
    if np.count_nonzero(is_found) < _LEAST_POINTS:
        return None
    found, there = points[is_found], moved[is_found]
    motion, inliers = cv2.estimateAffinePartial2D(found, there, method=cv2.RANSAC, ransacReprojThreshold=_APART)
    if motion is None or np.count_nonzero(inliers) < max(_LEAST_POINTS, _AGREE * np.count_nonzero(is_found)):
        return None
    similarity: Array = motion
    return similarity


def _gain(image: Array, scene: Array, where: Array) -> Array:
    """Return how much brighter an image is than the scene, a factor for each channel: the median over a sample of cells."""
    gains = np.ones(image.shape[2], np.float32)
    usable = where[_SAMPLE]
    if np.count_nonzero(usable) < _FEW:
        return gains
    new, old = image[_SAMPLE][usable], scene[_SAMPLE][usable]
    fits = (old > _DARK) & (old < _BRIGHT) & (new > _DARK) & (new < _BRIGHT)
    for channel in range(len(gains)):
        chosen = fits[:, channel]
        if np.count_nonzero(chosen) >= _FEW:
            gains[channel] = np.median(new[chosen, channel] / old[chosen, channel])
    return gains


def _exposed(scene: Array, gain: Array) -> Array:
    """Return a scene as the camera's exposure shows it."""
    exposed: Array = np.minimum(scene * gain, np.float32(255))
    return exposed


def _distance(a: Array, b: Array) -> Array:
    """Return the largest difference of the three channels, (GRID, GRID) float32."""
    return most(cv2.absdiff(a, b))


def _sure_pieces(weak: Array, sure: Array) -> Array:
    """Return the connected pieces that hold a sure cell, (GRID, GRID) uint8."""
    if not sure.any():
        return np.zeros_like(weak)
    count, labels = cv2.connectedComponents(weak, connectivity=8)
    kept = np.zeros(count, np.uint8)
    kept[labels[sure]] = 1
    kept[0] = 0
    return kept[labels]

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Figures of masks against the truth; all masks are (h, w) bool."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ['LeakTally', 'Mask', 'PeopleTally', 'boundary_iou', 'entries', 'flicker_still', 'ghost_lag', 'iou', 'outline', 'spill']

Mask = NDArray[np.bool_]
_BOUNDARY = 0.02  # fraction of the diagonal
_LAGS = 6  # frames; how far the areas are shifted against each other
_ENTERED = 0.01  # fraction of the frame; with less nobody is there
_COVERED = 0.5  # fraction of a person in the mask from which they are found
_SLACK = 4  # pixels around people in which the mask is not beside them
_SEEN, _KNOWN_AGAIN = 0.01, 0.1  # fractions of a person left visible from which a frame, and a person, counts as a leak
_BAND, _FURTHER_IN, _NEAR = 0.0065, (0.01, 0.024), 0.03  # fractions of the frame's height: inside of the outline; what is near
_BANDS = {'people': (0.0, math.inf), 'far': (0.0, 0.3), 'middle': (0.3, 0.6), 'near': (0.6, math.inf)}  # of the frame's height


def iou(found: Mask, truth: Mask) -> float:
    """Return the intersection over the union of two masks; 1 where both are empty."""
    union = np.count_nonzero(found | truth)
    return 1.0 if union == 0 else np.count_nonzero(found & truth) / union


def boundary_iou(found: Mask, truth: Mask) -> float:
    """
    Return the IoU of the inner boundary bands of two masks.

    Cheng et al., "Boundary IoU", CVPR 2021: the band is 2 % of the diagonal wide, the frame's border counts as background.
    """
    return iou(_band(found), _band(truth))


def _band(mask: Mask) -> Mask:
    width = max(1, round(_BOUNDARY * math.hypot(*mask.shape)))
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=[0])
    inner = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1]
    return np.logical_and(mask, np.equal(inner, 0))


def flicker_still(found: Sequence[Mask], truth: Sequence[Mask]) -> float:
    """Return the area that changes where the truth does not, as a fraction of the person's area; mean over the clip."""
    fractions = []
    for before, now, truth_before, truth_now in zip(found, found[1:], truth, truth[1:]):
        moving = cv2.dilate((truth_now ^ truth_before).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        fractions.append(np.count_nonzero((now ^ before) & ~moving) / max(np.count_nonzero(truth_now), 0.01 * now.size))
    return float(np.mean(fractions)) if fractions else 0.0


def ghost_lag(found: Sequence[Mask], truth: Sequence[Mask]) -> int:
    """Return the delay of the mask's area behind the truth's, in frames, by cross-correlation."""
    areas = [np.array([mask.mean() for mask in masks]) for masks in (found, truth)]
    if len(areas[0]) <= 2 * _LAGS or areas[1].std() < 1e-6:
        return 0

    def agreement(lag: int) -> float:
        late, early = (areas[0][lag:], areas[1][:len(areas[1]) - lag]) if lag >= 0 else (areas[0][:lag], areas[1][-lag:])
        return -float(np.mean((late - late.mean() - early + early.mean()) ** 2))

    return max(range(-_LAGS, _LAGS + 1), key=lambda lag: (agreement(lag), -abs(lag)))


def entries(found: Sequence[Mask], truth: Sequence[Mask]) -> list[int]:
    """
    Return, for each person who enters, the frames until half of them is covered, or until they leave.

    Somebody enters when the truth rises from below 1 % of the frame to above it.
    """
    delays: list[int] = []
    since: int | None = None  # the frame in which somebody entered who is not covered yet
    for index in range(1, len(truth)):
        was_there, is_there = truth[index - 1].mean() >= _ENTERED, truth[index].mean() >= _ENTERED
        if is_there and not was_there:
            since = index
        if since is not None and (not is_there or found[index][truth[index]].mean() >= _COVERED):
            delays.append(index - since)
            since = None
    return delays if since is None else [*delays, len(truth) - since]


def outline(segmentation: Any, width: int, height: int) -> Mask:
    """
    Return the pixels of a person in COCO's form.

    :param segmentation: polygons ``[[x, y, x, y, ...], ...]``, or the run lengths ``{'counts': [...]}`` down the columns.
    """
    if isinstance(segmentation, Mapping):
        runs = segmentation['counts']
        return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T
    pixels = np.zeros((height, width), np.uint8)
    for polygon in segmentation:  # one by one: together they would be even-odd
        cv2.fillPoly(pixels, [np.array(polygon).reshape(-1, 2).round().astype(np.int32)], (1,))
    return np.greater(pixels, 0)


def spill(colors: NDArray[np.uint8], alpha: NDArray[np.uint8], truth: Mask) -> float:
    """
    Return how far the colour just inside of a person's outline is from their colour a few pixels further in.

    :param colors: (h, w, 3) uint8, what is composited.
    :param alpha: (h, w) uint8; what is less than half visible does not count.
    :returns: grey levels, mean of the channels; NaN where there is no outline.
    """
    height = truth.shape[0]
    depth = cv2.distanceTransform(truth.astype(np.uint8), cv2.DIST_L2, 5)
    inner = (truth & (depth > _FURTHER_IN[0] * height) & (depth <= _FURTHER_IN[1] * height)).astype(np.float32)
    box = (2 * round(_NEAR * height) + 1,) * 2
    weight = cv2.blur(inner, box)[..., None]
    person = cv2.blur(colors * inner[..., None], box) / np.maximum(weight, 1e-4)
    band = truth & (depth <= _BAND * height) & (alpha > 127) & (weight[..., 0] > 0.01)
    return float(np.abs(colors - person)[band].mean()) if band.any() else math.nan


class LeakTally:
    """What stays visible of people who must not be seen, over many frames, and what is covered without need."""

    def __init__(self) -> None:
        self._visible: list[float] = []
        self._worst: list[float] = []
        self._needless: list[float] = []

    def add(self, alpha: NDArray[np.uint8], people: Sequence[Mask], others: Sequence[Mask] = ()) -> None:
        """
        Add one frame.

        :param alpha: (h, w) uint8, 255 where the frame is covered; less is a leak.
        :param people: the pixels of each person who counts.
        :param others: of those who may be covered, but need not.
        """
        fractions = [float((alpha[pixels] < 255).mean()) for pixels in people if pixels.any()]
        self._visible += fractions
        self._worst += [max(fractions)] if fractions else []
        everybody = _union(alpha.shape, [*people, *others])
        self._needless.append(float(((alpha > 127) & ~everybody).mean()))

    def figures(self) -> dict[str, float]:
        """Return visible fractions of people, counts of people and of frames with people, and the fraction of frames covered."""
        return {'leak': _mean(self._visible), 'worst': max(self._worst, default=math.nan), 'frames': len(self._worst),
                'frames_above_1_percent': _above(_SEEN, self._worst), 'people': len(self._visible),
                'people_above_10_percent': _above(_KNOWN_AGAIN, self._visible), 'needless': _mean(self._needless)}


class PeopleTally:
    """Which people were found, and what was found where nobody is, over many images."""

    def __init__(self) -> None:
        self._people: list[tuple[float, bool]] = []  # height as a fraction of the frame's, and whether they were found
        self._ious: list[float] = []
        self._beside: list[float] = []
        self._empty: list[float] = []

    def add(self, mask: Mask, people: Sequence[tuple[Mask, float | None]]) -> None:
        """
        Add one image and its mask.

        :param people: the pixels of each person, and their height as a fraction of the frame's; None: they need not be found.
        """
        if not people:
            self._empty.append(float(mask.mean()))
            return
        everybody = _union(mask.shape, [pixels for pixels, _ in people])
        self._people += [(height, bool(pixels.any() and mask[pixels].mean() >= _COVERED))
                         for pixels, height in people if height is not None]
        around = cv2.dilate(everybody.astype(np.uint8), np.ones((2 * _SLACK + 1, 2 * _SLACK + 1), np.uint8)) > 0
        self._beside.append(float((mask & ~around).mean()))
        self._ious.append(iou(mask, everybody))

    def figures(self) -> dict[str, float]:
        """
        Return how many people there are and were found, in all and by their height, and means over the images.

        A mean over no images is NaN.
        """
        counts: dict[str, float] = {}
        for name, (low, high) in _BANDS.items():
            found = [is_found for height, is_found in self._people if low <= height < high]
            counts |= {name: len(found), f'{name}_found': sum(found)}
        return {**counts, 'iou': _mean(self._ious), 'beside': _mean(self._beside), 'false_area': _mean(self._empty),
                'above_1_percent': _above(0.01, self._empty), 'empty': len(self._empty)}


def _union(shape: tuple[int, ...], masks: Sequence[Mask]) -> Mask:
    return np.logical_or.reduce([np.zeros(shape, bool), *masks])


def _above(limit: float, values: Sequence[float]) -> int:
    return sum(value > limit for value in values)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan

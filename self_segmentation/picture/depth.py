# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Depth images without people, of people alone, and where people stand."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from .arrays import Array

__all__ = ['Camera', 'Depth', 'Nearest', 'Position', 'in_metres', 'of_people', 'positions', 'without_people']

Depth = NDArray[np.uint16] | NDArray[np.float32]
_MILLIMETRES = 1000.0
_LEAST_PIXELS = 20  # with depth, of a person whose place is told
_CLOSER = 0.85  # times the distance of the person who is followed, below which another one is followed instead
_SAME_PLACE = 0.8  # metres within which somebody with another id is the person who was just lost
_WAIT = 1.0  # seconds for which nobody else takes the place of a person who was lost
_THICK = 0.5  # metres before and behind the median depth of a person that are still the person, and not what shows beside an arm


Position = tuple[float, float, float]


class Camera(NamedTuple):
    """A pinhole camera, in pixels: focal lengths and the principal point."""

    fx: float
    fy: float
    cx: float
    cy: float


def without_people(depth: Depth, mask: Array, margin: int) -> Depth:
    """
    Return a depth image in which people have no depth.

    :param depth: (height, width) uint16 millimetres, 0 where it is not known, or float32 metres, NaN there.
    :param mask: (h, w) uint8 of any size, not 0 where people are.
    :param margin: pixels of the depth image around people that have none either: their edges are between person and wall.
    :returns: like ``depth``, another array.
    """
    return _removed(depth, _grown(_fitting(mask, depth), margin))


def of_people(depth: Depth, mask: Array, margin: int) -> Depth:
    """
    Return a depth image in which all but people have no depth.

    :param depth: see :func:`without_people`.
    :param mask: see :func:`without_people`.
    :param margin: pixels of the depth image at people's edges that have none either.
    :returns: like ``depth``, another array.
    """
    others = (_fitting(mask, depth) == 0).astype(np.uint8)
    return _removed(depth, _grown(others, margin))


def in_metres(depth: Depth) -> NDArray[np.float32]:
    """Return a depth image in metres, (height, width) float32, NaN where it is not known."""
    if depth.dtype == np.float32:
        return np.where(np.isfinite(depth) & (depth > 0), depth, np.nan).astype(np.float32)
    return np.where(depth > 0, depth / np.float32(_MILLIMETRES), np.nan).astype(np.float32)


def positions(depth: Depth, instances: Array, values: Iterable[int], camera: Camera,
              margin: int) -> dict[int, Position]:
    """
    Return where people stand, in metres in the camera's optical frame (x right, y down, z forward), by their value in the mask.

    ``z`` is the median depth of a person, ``x`` and ``y`` the mean of what is about as far. People without depth are left out.

    :param depth: see :func:`without_people`.
    :param instances: (h, w) uint8 of any size, 0 or a person's value.
    :param values: of the people who are wanted.
    :param camera: of the depth image.
    :param margin: pixels of the depth image at people's edges that do not count, where enough is left.
    """
    fitting = _fitting(instances, depth)
    found = {}
    for value in values:
        person = (fitting == value).astype(np.uint8)
        left, top, width, height = cv2.boundingRect(person)
        box = np.s_[top:top + height, left:left + width]
        inner = 1 - _grown(1 - person, margin)
        for part in (inner[box], person[box]):
            rows, columns = np.nonzero(part)
            z = in_metres(depth[box][rows, columns])
            known = np.isfinite(z)
            if np.count_nonzero(known) < _LEAST_PIXELS:
                continue
            median = float(np.median(z[known]))
            near = known & (abs(z - median) < _THICK)
            x = float((columns[near] + left - camera.cx).mean()) * median / camera.fx
            y = float((rows[near] + top - camera.cy).mean()) * median / camera.fy
            found[value] = x, y, median
            break
    return found


class Nearest:
    """
    Chooses the nearest person, without a swap between two who are about as near, or while one is lost for some frames.

    Another person is chosen who is clearly closer, or once the last one has been gone for a second.
    """

    def __init__(self) -> None:
        self._last: tuple[int, Position, float] | None = None  # id, position, seconds

    def choose(self, found: Mapping[int, Position], seconds: float) -> int | None:
        """
        Return the id of the person; None for nobody.

        :param found: positions in metres, by id.
        :param seconds: when, by the images' stamps. A jump backwards begins anew.
        """
        nearest = min(found, key=lambda key: _distance(found[key]), default=None)
        chosen = nearest
        if self._last is not None:
            key, place, when = self._last
            if key in found:
                chosen = nearest if _distance(found[nearest]) < _CLOSER * _distance(found[key]) else key  # type: ignore[index]
            elif 0 <= seconds - when < _WAIT:
                chosen = min((each for each in found if _distance(found[each], place) < _SAME_PLACE),
                             key=lambda each: _distance(found[each], place), default=None)
        if chosen is not None:
            self._last = chosen, found[chosen], seconds
        return chosen


def _distance(a: Position, b: Position = (0.0, 0.0, 0.0)) -> float:
    return math.dist(a, b)


def _fitting(mask: Array, depth: Depth) -> Array:
    if mask.shape == depth.shape:
        return mask
    return cv2.resize(mask, depth.shape[::-1], interpolation=cv2.INTER_NEAREST)


def _grown(mask: Array, margin: int) -> Array:
    if margin <= 0:
        return mask
    return cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_RECT, (2 * margin + 1, 2 * margin + 1)))


def _removed(depth: Depth, mask: Array) -> Depth:
    result = np.full_like(depth, 0 if depth.dtype == np.uint16 else np.nan)
    cv2.copyTo(depth, (mask == 0).astype(np.uint8), result)
    return result

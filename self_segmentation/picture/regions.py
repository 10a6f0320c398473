# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
Regions of interest: parts of the frame around people, and how they follow them.

Geometry and maps only: no model, no image. A *map* is an (h, w) float32 array of person probability, 0..1, that covers a region
of the frame, whatever its own size.

The idea of cutting the next frame at the last result is MediaPipe's own tracking ROI
(Bazarevsky et al. 2020, "BlazePose: On-device Real-time Body Pose tracking", section 2.1), here without landmarks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from .arrays import Array

__all__ = ['Component', 'Region', 'around', 'components', 'coverage', 'full_frame', 'grown', 'part', 'suits',
           'union', 'warp']

_BORDER = 0.01, 2  # who is as near to the left or right border is cut by it: fraction of the frame's width, pixels at least
_CLEAR_GAIN = 0.7  # fraction of the frame; a crop must be smaller than this to be worth leaving the full frame for
_FAR = 0.6  # fraction of the frame's height; of smaller people the full frame shows too little


class Region(NamedTuple):
    """A rectangle of the frame (a bounding box) in whole pixels; ``x1`` and ``y1`` are exclusive."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def width(self) -> int:
        """In pixels."""
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        """In pixels."""
        return self.y1 - self.y0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, in OpenCV's order."""
        return self.width, self.height

    @property
    def middle(self) -> tuple[float, float]:
        """Its middle in pixels."""
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2

    @property
    def area(self) -> int:
        """In pixels."""
        return self.width * self.height

    def intersect(self, other: Region) -> Region:
        """Return what both cover: a region of area 0 where that is nothing."""
        x0, y0 = max(self.x0, other.x0), max(self.y0, other.y0)
        return Region(x0, y0, max(x0, min(self.x1, other.x1)), max(y0, min(self.y1, other.y1)))

    def iou(self, other: Region) -> float:
        """Return the intersection over the union of both, 0..1; 0 where both are empty."""
        both = self.intersect(other).area
        return both / max(1, self.area + other.area - both)

    def inside(self, other: Region) -> float:
        """Return the fraction of this region that the other one covers, 0..1."""
        return self.intersect(other).area / max(1, self.area)

    def moved(self, dx: int, dy: int) -> Region:
        """Return the region so many pixels further right and down."""
        return Region(self.x0 + dx, self.y0 + dy, self.x1 + dx, self.y1 + dy)

    def cut(self, image: Array) -> Array:
        """Return the region's part of an image of the whole frame, (height, width[, channels]): a view."""
        return image[self.y0:self.y1, self.x0:self.x1]

    def padded(self, margin: float, frame: Region) -> Region:
        """
        Return the region with a margin on every side, as far as the frame reaches.

        :param margin: fraction of the region's longer side.
        """
        pad = int(margin * max(self.size))
        return Region(self.x0 - pad, self.y0 - pad, self.x1 + pad, self.y1 + pad).intersect(frame)


class Component(NamedTuple):
    """
    One connected piece of a map.

    ``region`` of the frame; ``fraction`` of the map's area, 0..1; ``pixels`` (h, w) bool, where it is in the map.
    """

    region: Region
    fraction: float
    pixels: Array


def full_frame(shape: Sequence[int]) -> Region:
    """
    Return the region that covers a frame.

    :param shape: of the frame's array: (height, width, ...).
    """
    return Region(0, 0, int(shape[1]), int(shape[0]))


def union(*regions: Region) -> Region:
    """Return the smallest region that holds all of them; there is one at least."""
    x0, y0, x1, y1 = zip(*regions)
    return Region(min(x0), min(y0), max(x1), max(y1))


def coverage(values: Array, region: Region, box: Region, level: float = 0.5) -> float:
    """Return the fraction of a box in which a map of a region is above a level, 0..1."""
    return float((part(values, box, region) > level).mean())


def components(probability: Array, region: Region, minimum: float, level: float = 0.5) -> list[Component]:
    """
    Return the connected pieces of a map, neighbours across a corner included.

    :param probability: (h, w) float32, the map.
    :param region: what the map covers.
    :param minimum: smaller pieces are left out: fraction of the map's area, 0..1.
    :param level: probability above which a pixel belongs to a piece.
    """
    height, width = probability.shape
    count, labels, stats, _ = cv2.connectedComponentsWithStats((probability > level).astype(np.uint8), connectivity=8)
    sx, sy = region.width / width, region.height / height
    found = []
    for index in range(1, count):
        x, y, w, h, pixels = stats[index].tolist()
        if pixels >= minimum * probability.size:
            box = Region(region.x0 + int(x * sx), region.y0 + int(y * sy),
                         region.x0 + int(np.ceil((x + w) * sx)), region.y0 + int(np.ceil((y + h) * sy)))
            found.append(Component(box, pixels / probability.size, labels == index))
    return found


def around(person: Region, frame: Region, margin: float, limit: float) -> Region:
    """
    Return the region to segment around a person: with a margin, inside the frame.

    It is the full frame where it would be nearly that anyway, or where the person is cut by the left or right border: half people
    are recognised better with all of the frame around them. Somebody far away, small and upright, is cut out there too.

    :param margin: fraction of the person's longer side.
    :param limit: fraction of the frame's area from which on the region is the full frame.
    """
    border = max(_BORDER[1], int(_BORDER[0] * frame.width))
    is_far = person.width < person.height < _FAR * frame.height
    if (person.x0 <= border or person.x1 >= frame.width - border) and not is_far:
        return frame
    region = person.padded(margin, frame)
    return frame if region.area > limit * frame.area else region


def grown(box: Region, region: Region, margin: float, frame: Region) -> Region:
    """
    Return a box with room where it touches the border of the region in which it was found: whoever is in it goes on beyond.

    :param margin: fraction of the box's longer side.
    """
    if region == frame:
        return box
    slack_x, slack_y, grow = region.width // 32, region.height // 32, int(margin * max(box.size))
    more = Region(box.x0 - grow * (box.x0 <= region.x0 + slack_x), box.y0 - grow * (box.y0 <= region.y0 + slack_y),
                  box.x1 + grow * (box.x1 >= region.x1 - slack_x), box.y1 + grow * (box.y1 >= region.y1 - slack_y))
    return more.intersect(frame)


def suits(region: Region, box: Region, wanted: Region, margin: float, frame: Region) -> bool:
    """
    Return whether a region still suits the people in a box, so that it need not become the one that is wanted (a dead band).

    A region that moves a little with every frame changes the model's answer a little with every frame, which the eye sees as
    flicker. It suits while it leaves at least half of the margin on every inner side and is at most half larger than wanted; the
    full frame is left only for a clear gain.
    """
    if wanted == frame or region == frame:
        return region == wanted or (region == frame and wanted.area > _CLEAR_GAIN * frame.area)
    half = 0.5 * margin * max(box.size)
    return ((region.x0 == 0 or box.x0 - region.x0 >= half) and (region.y0 == 0 or box.y0 - region.y0 >= half)
            and (region.x1 == frame.width or region.x1 - box.x1 >= half)
            and (region.y1 == frame.height or region.y1 - box.y1 >= half) and region.area < 1.5 * wanted.area)


def warp(probability: Array, source: Region, target: Region, outside: float) -> Array:
    """
    Return the map of a region, resampled to cover another region of the same frame.

    :param probability: (h, w) float32, the map of ``source``. Any value per pixel can be warped.
    :param outside: the value where the source shows nothing.
    :returns: (h, w) float32, bilinear; the very same array where the regions are the same.
    """
    if source == target:
        return probability
    height, width = probability.shape[:2]
    ax, ay = target.width / source.width, target.height / source.height
    bx = (target.x0 - source.x0) / source.width * width + 0.5 * ax - 0.5
    by = (target.y0 - source.y0) / source.height * height + 0.5 * ay - 0.5
    matrix = np.array([[ax, 0, bx], [0, ay, by]], np.float64)
    return cv2.warpAffine(probability, matrix, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                          borderMode=cv2.BORDER_CONSTANT, borderValue=(outside,))


def part(values: Array, box: Region, region: Region) -> Array:
    """The cells of a map of a ``region`` that show a ``box``, at least one: a view, which may be written to."""
    height, width = values.shape[:2]
    x0 = min(max(int((box.x0 - region.x0) * width / region.width), 0), width - 1)
    y0 = min(max(int((box.y0 - region.y0) * height / region.height), 0), height - 1)
    x1 = max(int(np.ceil((box.x1 - region.x0) * width / region.width)), x0 + 1)
    y1 = max(int(np.ceil((box.y1 - region.y0) * height / region.height)), y0 + 1)
    return values[y0:y1, x0:x1]

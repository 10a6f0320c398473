# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Regions of interest: crops of the frame around people, and how they follow them.

Geometry and maps only: no model, no picture. A *region* is ``(x0, y0, x1, y1)`` in whole frame pixels, right and bottom
exclusive. A *map* is an ``HxW`` float32 array of person probability, 0..1, that covers some region of the frame.

The idea of cutting the next frame at the last result is MediaPipe's own tracking ROI
(Bazarevsky et al. 2020, "BlazePose: On-device Real-time Body Pose tracking", section 2.1), here without landmarks.
"""
from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

__all__ = ['Component', 'Region', 'around', 'components', 'follow', 'full_frame', 'part', 'union', 'warp']

_NEAR = 0.3  # fraction of the frame's height; of smaller people the full frame shows too little


class Region(NamedTuple):
    """A rectangle of the frame in pixels; ``x1`` and ``y1`` are exclusive."""

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
        """Width and height."""
        return self.width, self.height

    @property
    def area(self) -> int:
        """In pixels; 0 where nothing is left."""
        return max(self.width, 0) * max(self.height, 0)

    def intersect(self, other: Region) -> Region:
        """What both cover; its area is 0 where they do not meet."""
        return Region(max(self.x0, other.x0), max(self.y0, other.y0), min(self.x1, other.x1), min(self.y1, other.y1))

    def iou(self, other: Region) -> float:
        """Intersection over union, 0..1."""
        both = self.intersect(other).area
        return both / max(self.area + other.area - both, 1)

    def inside(self, other: Region) -> float:
        """The fraction of this region that the other one covers, 0..1."""
        return self.intersect(other).area / max(self.area, 1)

    def moved(self, dx: int, dy: int) -> Region:
        """The region, so many pixels further right and down."""
        return Region(self.x0 + dx, self.y0 + dy, self.x1 + dx, self.y1 + dy)

    def padded(self, margin: float, frame: Region) -> Region:
        """The region with ``margin`` (fraction of its longer side) added on every side, inside a frame."""
        pad = int(margin * max(self.width, self.height))
        return Region(self.x0 - pad, self.y0 - pad, self.x1 + pad, self.y1 + pad).intersect(frame)


class Component(NamedTuple):
    """One connected piece of a map: its region in frame pixels, its area as a share of the map, its pixels in the map."""

    region: Region
    share: float
    pixels: np.ndarray


def full_frame(shape: tuple[int, ...]) -> Region:
    """The region that covers a frame of ``shape`` (height, width, ...)."""
    return Region(0, 0, int(shape[1]), int(shape[0]))


def union(regions: list[Region]) -> Region | None:
    """The smallest region around all of them; None for none."""
    if not regions:
        return None
    x0, y0, x1, y1 = zip(*regions)
    return Region(min(x0), min(y0), max(x1), max(y1))


def components(probability: np.ndarray, region: Region, minimum: float, level: float = 0.5) -> list[Component]:
    """The connected pieces of ``probability > level`` larger than ``minimum`` (share of the map), in frame pixels."""
    height, width = probability.shape
    count, labels, stats, _ = cv2.connectedComponentsWithStats((probability > level).astype(np.uint8), connectivity=8)
    sx, sy = region.width / width, region.height / height
    found = []
    for index in range(1, count):
        x, y, w, h, pixels = stats[index]
        if pixels >= minimum * probability.size:
            box = Region(region.x0 + int(x * sx), region.y0 + int(y * sy),
                         region.x0 + int(np.ceil((x + w) * sx)), region.y0 + int(np.ceil((y + h) * sy)))
            found.append(Component(box, pixels / probability.size, labels == index))
    return found


def around(person: Region, shape: tuple[int, ...], margin: float, limit: float) -> Region:
    """``person`` with ``margin`` (of its longer side) on every side, inside the frame.

    The full frame instead, where the crop would be more than ``limit`` of it, or where somebody near is cut by the left or
    right frame edge: half people are recognised better with all of the frame around them. Somebody far away, small and upright,
    is cut out there too.
    """
    frame = full_frame(shape)
    edge = max(2, int(0.01 * frame.width))
    is_far = person.width < person.height < _NEAR * frame.height
    if (person.x0 <= edge or person.x1 >= frame.width - edge) and not is_far:
        return frame
    crop = person.padded(margin, frame)
    return frame if crop.area > limit * frame.area else crop


def follow(region: Region, people: Region, shape: tuple[int, ...], margin: float, limit: float) -> Region:
    """
    Return the region of interest of the next frame: the old one as long as it still suits.

    A region that moves a little with every frame changes the model's answer a little with every frame, which the eye sees as
    flicker. So it is kept (a dead band) while it leaves at least half and at most about one and a half of the margin on every
    inner side.

    :param region: what was segmented.
    :param people: the smallest region around the people in its map.
    """
    frame = full_frame(shape)
    if region != frame:
        # what touches the crop's border (but not the frame's) goes on beyond it: grow there at once
        slack_x, slack_y = region.width // 32, region.height // 32
        grow = int(margin * max(people.width, people.height))
        people = Region(people.x0 - grow * (people.x0 <= region.x0 + slack_x), people.y0 - grow * (people.y0 <= region.y0 + slack_y),
                        people.x1 + grow * (people.x1 >= region.x1 - slack_x),
                        people.y1 + grow * (people.y1 >= region.y1 - slack_y)).intersect(frame)
    wanted = around(people, shape, margin, limit)
    if wanted == frame:
        return frame
    if region == frame:  # leave the full frame only for a clear gain
        return frame if wanted.area > 0.85 * limit * frame.area else wanted
    half = 0.5 * margin * max(people.width, people.height)
    roomy = ((region.x0 == 0 or people.x0 - region.x0 >= half) and (region.y0 == 0 or people.y0 - region.y0 >= half)
             and (region.x1 == frame.width or region.x1 - people.x1 >= half)
             and (region.y1 == frame.height or region.y1 - people.y1 >= half))
    return region if roomy and region.area < 1.5 * wanted.area else wanted


def warp(old: np.ndarray, source: Region, target: Region, outside: float) -> np.ndarray:
    """A map of region ``source`` resampled bilinearly to region ``target`` (same map size); ``outside`` where it knew nothing."""
    if source == target:
        return old
    height, width = old.shape[:2]
    ax, ay = target.width / source.width, target.height / source.height
    bx = (target.x0 - source.x0) / source.width * width + 0.5 * ax - 0.5
    by = (target.y0 - source.y0) / source.height * height + 0.5 * ay - 0.5
    matrix = np.array([[ax, 0, bx], [0, ay, by]], np.float64)
    return cv2.warpAffine(old, matrix, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                          borderMode=cv2.BORDER_CONSTANT, borderValue=outside)


def part(values: np.ndarray, box: Region, region: Region) -> np.ndarray:
    """The cells of a map of a ``region`` that show a ``box``, at least one: a view, which may be written to."""
    height, width = values.shape[:2]
    x0 = min(max(int((box.x0 - region.x0) * width / region.width), 0), width - 1)
    y0 = min(max(int((box.y0 - region.y0) * height / region.height), 0), height - 1)
    x1 = max(int(np.ceil((box.x1 - region.x0) * width / region.width)), x0 + 1)
    y1 = max(int(np.ceil((box.y1 - region.y0) * height / region.height)), y0 + 1)
    return values[y0:y1, x0:x1]

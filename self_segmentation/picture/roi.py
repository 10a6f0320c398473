# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Where to look: crops a frame around the people of the last map, and never for so long that a newcomer is missed.

Geometry and maps only: no model, no picture. A *region* is ``(x0, y0, x1, y1)`` in whole frame pixels, right and bottom
exclusive. A *map* is an ``HxW`` float32 array of person probability, 0..1, that covers some region of the frame.

The idea of cutting the next frame at the last result is MediaPipe's own tracking ROI
(Bazarevsky et al. 2020, "BlazePose: On-device Real-time Body Pose tracking", section 2.1), here without landmarks.
"""
from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

__all__ = ['Component', 'RegionOfInterest', 'Region', 'around', 'components', 'union', 'warp', 'whole']


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
        """In pixels."""
        return self.width * self.height


class Component(NamedTuple):
    """One connected piece of a map: its region in frame pixels, its area as a share of the map, its pixels in the map."""

    region: Region
    share: float
    pixels: np.ndarray


def whole(shape: tuple[int, ...]) -> Region:
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

    The whole frame instead, where the crop would be more than ``limit`` of it, or where the person is cut by the left or
    right frame edge: half people are recognised better with all of the frame around them.
    """
    frame = whole(shape)
    edge = max(2, int(0.01 * frame.width))
    if person.x0 <= edge or person.x1 >= frame.width - edge:
        return frame
    pad = int(margin * max(person.width, person.height))
    crop = Region(max(0, person.x0 - pad), max(0, person.y0 - pad),
                  min(frame.width, person.x1 + pad), min(frame.height, person.y1 + pad))
    return frame if crop.area > limit * frame.area else crop


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


class RegionOfInterest:
    """
    The region to segment next.

    Call :meth:`region` before the frame, :meth:`update` after it, :meth:`whole_seen` after a re-read.
    """

    def __init__(self, limit: float, minimum: float) -> None:
        self.margin = 0.15
        self.limit, self.minimum = limit, minimum
        self.reset()

    def reset(self) -> None:
        """Look at the whole frame next."""
        self._box: Region | None = None
        self._hold = 0

    def region(self, shape: tuple[int, ...]) -> Region:
        """The region of the coming frame to segment."""
        return self._box if self._box is not None else whole(shape)

    def update(self, probability: np.ndarray, region: Region, shape: tuple[int, ...]) -> None:
        """Choose the next region from the map of this one.

        The old box is kept as long as it still suits (a dead band): a box that moves a little with every frame changes
        the model's answer a little with every frame, which the eye sees as flicker.
        """
        frame = whole(shape)
        if self._hold:
            self._hold -= 1
            self._box = None
            return
        small = cv2.resize(probability, (64, 64), interpolation=cv2.INTER_AREA)
        people = union([c.region for c in components(small, region, self.minimum * frame.area / region.area, 0.4)])
        if people is None:
            self._box = None
            return
        if region != frame:
            # what touches the crop's border (but not the frame's) goes on beyond it: grow there at once
            slack_x, slack_y = region.width // 32, region.height // 32
            grow = self.margin * max(people.width, people.height)
            people = Region(
                max(0, int(people.x0 - grow)) if people.x0 <= region.x0 + slack_x else people.x0,
                max(0, int(people.y0 - grow)) if people.y0 <= region.y0 + slack_y else people.y0,
                min(frame.width, int(people.x1 + grow)) if people.x1 >= region.x1 - slack_x else people.x1,
                min(frame.height, int(people.y1 + grow)) if people.y1 >= region.y1 - slack_y else people.y1)
        wanted = around(people, shape, self.margin, self.limit)
        self._box = wanted if not self._suits(region, people, wanted, frame) else region
        if self._box == frame:
            self._box = None

    def _suits(self, region: Region, people: Region, wanted: Region, frame: Region) -> bool:
        """True while ``region`` leaves at least half and at most about one and a half of the margin on every inner side."""
        if wanted == frame:
            return region == frame
        if region == frame:  # leave the whole frame only for a clear gain
            return wanted.area > 0.85 * self.limit * frame.area
        half = 0.5 * self.margin * max(people.width, people.height)
        inside = ((region.x0 == 0 or people.x0 - region.x0 >= half) and (region.y0 == 0 or people.y0 - region.y0 >= half)
                  and (region.x1 == frame.width or region.x1 - people.x1 >= half)
                  and (region.y1 == frame.height or region.y1 - people.y1 >= half))
        return inside and region.area < 1.5 * wanted.area

    def whole_seen(self, probability: np.ndarray, region: Region, seen: np.ndarray, shape: tuple[int, ...], hold: int) -> None:
        """Compare a whole-frame map ``probability`` with what the crop ``seen`` (map of ``region``) shows.

        Whoever the whole frame shows and the crop does not makes the next ``hold`` frames whole-frame ones.
        """
        frame = whole(shape)
        if region == frame:
            return
        small = cv2.resize(probability, (64, 64), interpolation=cv2.INTER_AREA)
        known = warp(cv2.resize(seen, (64, 64), interpolation=cv2.INTER_AREA), region, frame, 0.0)
        for part in components(small, frame, self.minimum):
            if known[part.pixels].mean() < 0.4:
                self._box, self._hold = None, hold
                return

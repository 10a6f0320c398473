# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Views: the regions of interest of a video, one for each place where people stand, each with its own memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from ...settings import Settings
from .. import regions
from ..arrays import Array
from ..matting.smoothing import TemporalSmoother
from ..regions import Region
from .tracks import Person

__all__ = ['REACH', 'SMALLEST_PIECE', 'View', 'arrange', 'boxes_in', 'without_others']

_LARGEST_CROP = 0.85  # fraction of the frame; a larger crop gains nothing over the full frame
_TOGETHER = 1.25  # how much smaller one inference for two places may show each of them; 1.5 costs far people more than it saves
_PIECE = 0.4  # probability above which a pixel belongs to a piece of the map
_HELD_BY_BOX, _FILLS_BOX = 0.3, 0.4  # a piece is a box's that holds as much of it, or of which it fills as much
SMALLEST_PIECE = 0.002  # fraction of the frame; smaller pieces of a map are nobody
REACH = 0.1  # fraction of a box's longer side around it that belongs to its person
_GAP_IN_PERSON = 0.15  # fraction of a box's longer side between two pieces of one person at most
_CROSSING = 0.05  # fraction of the smaller of two boxes from which their people hide each other
_OWNS, _OWNED = 0.25, 0.5  # fraction of a box that a piece of a map fills, or of the piece inside the box, where it is theirs
_WIDE = 0.8  # fraction of a person's longer side around them in a second try


class RegionMap(NamedTuple):
    """A map and the region of the frame that it covers."""

    region: Region
    probability: Array


@dataclasses.dataclass(eq=False)
class View:
    """
    A region of interest of a video.

    ``region`` of the frame; ``ids`` of the people in it; ``smoother`` its memory; ``tries`` how often the map did not show the
    person whom the detector sees there; ``turn`` how the model sees the region turned, for who lies, of ``cv2.rotate``.
    """

    region: Region
    ids: frozenset[int]
    smoother: TemporalSmoother = dataclasses.field(default_factory=TemporalSmoother)
    tries: int = 0
    turn: int | None = None
    _map: RegionMap | None = None

    @property
    def is_new(self) -> bool:
        """Whether the model never segmented it."""
        return self._map is None

    def take(self, probability: Array) -> None:
        """Take the model's map of the region as it is now, (h, w) float32."""
        self._map = RegionMap(self.region, probability)

    @property
    def probability(self) -> Array:
        """The model's last map, moved to the region as it is now: (h, w) float32; nobody outside of what it covered."""
        if self._map is None:
            raise ValueError('a view that was never segmented has no map')
        return regions.warp(self._map.probability, self._map.region, self.region, 0.0)

    def shows_only(self, people: Iterable[Person]) -> bool:
        """Whether nobody else of these people is in the region, so that the mask alone tells where its person is."""
        return len(self.ids) == 1 and not any(each.box.inside(self.region) > 0.5 for each in people if each.id not in self.ids)

    def covered(self, people: Mapping[int, Person]) -> dict[int, float]:
        """Return the fraction of each person's box in which the model's map shows somebody, by id."""
        if self.is_new:
            return {}
        small = cv2.resize(self.probability, (64, 64), interpolation=cv2.INTER_AREA)
        return {key: regions.coverage(small, self.region, people[key].box) for key in self.ids}


@dataclasses.dataclass
class _Place:
    region: Region
    box: Region
    ids: frozenset[int]
    turn: int | None = None  # of a single person


def arrange(old: Sequence[View], people: Iterable[Person], frame: Region, settings: Settings) -> list[View]:
    """
    Return the views of the next frame: one for each place where people stand who count.

    People who stand close share one. A view goes on, with its memory, while one of its people is in it.
    """
    left, views = list(old), []
    for place in _places([each for each in people if each.counts], frame, settings):
        view = max((each for each in left if each.ids & place.ids), key=lambda each: len(each.ids & place.ids), default=None)
        if view is None:
            views.append(View(place.region, place.ids, turn=place.turn))
            continue
        left.remove(view)
        views.append(view)
        margin = settings.roi_margin
        if view.tries % 3 and place.region != frame:  # with more around them, or in the full frame, the map may show them
            margin = _WIDE
            place.region = frame if view.tries % 3 == 2 else place.box.padded(margin, frame)
        elif len(place.ids) == 1:
            place.region = regions.around(regions.grown(place.box, view.region, margin, frame), frame, margin, _LARGEST_CROP)
        if not (view.ids == place.ids and regions.suits(view.region, place.box, place.region, margin, frame)):
            view.region = place.region
        view.ids, view.turn = place.ids, place.turn
    return views


def _places(people: Sequence[Person], frame: Region, settings: Settings) -> list[_Place]:
    places: list[_Place] = []
    for person in people:
        region = regions.around(person.box, frame, settings.roi_margin, _LARGEST_CROP)
        new = _Place(region, person.box, frozenset([person.id]), person.turn)
        for place in [each for each in places if _together(each.region, new.region)]:
            places.remove(place)
            new = _Place(regions.union(new.region, place.region), regions.union(new.box, place.box), new.ids | place.ids)
        places.append(new)
    return places


def _together(a: Region, b: Region) -> bool:
    """Whether one inference for two regions shows each of them nearly as large as one for each would."""
    return max(regions.union(a, b).size) <= _TOGETHER * min(max(a.size), max(b.size))


def without_others(probability: Array, region: Region, boxes: Sequence[Region]) -> Array:
    """
    Return a map without the connected pieces that belong to no box; the map itself where there are none.

    A piece belongs to a box that holds a third of it, or of which it fills a good part: a person grows out of the box of the last
    frame.

    :param probability: (h, w) float32, the map of a region.
    :param boxes: in pixels of the frame.
    """
    small = cv2.resize(probability, (64, 64), interpolation=cv2.INTER_AREA)
    inside = np.zeros(small.shape, bool)
    for box in boxes:
        regions.part(inside, box, region)[:] = True
    drop, kept = np.zeros(small.shape, np.uint8), np.zeros(small.shape, np.uint8)
    for piece in regions.components(small, region, 0.0, _PIECE):
        fills = any(regions.part(piece.pixels, box, region).mean() > _FILLS_BOX for box in boxes)
        (kept if fills or inside[piece.pixels].mean() > _HELD_BY_BOX else drop)[piece.pixels] = 1
    if not drop.any():
        return probability
    around = (cv2.dilate(drop, np.ones((5, 5), np.uint8)) > 0) & (cv2.dilate(kept, np.ones((3, 3), np.uint8)) == 0)
    taken: Array = cv2.resize(around.astype(np.float32), probability.shape[::-1], interpolation=cv2.INTER_LINEAR)
    rest: Array = probability * (1.0 - taken)
    return rest


def boxes_in(view: View, probability: Array, people: Mapping[int, Person], frame: Region) -> dict[int, Region]:
    """Return the boxes of people by a view's map, of each who shares no piece of it with somebody else; by id."""
    small = cv2.resize(probability, (64, 64), interpolation=cv2.INTER_AREA)
    smallest = min(SMALLEST_PIECE * frame.area / view.region.area, 0.02)
    boxes: dict[int, list[Region]] = {}
    shared = set[int]()
    for piece in regions.components(small, view.region, smallest, 0.4):
        owners = [key for key, each in people.items()
                  if regions.part(piece.pixels, each.box, view.region).mean() > _OWNS
                  or each.box.padded(REACH, frame).intersect(piece.region).area > _OWNED * piece.region.area]
        if len(owners) == 1 and owners[0] in view.ids:
            boxes.setdefault(owners[0], []).append(piece.region)
        else:
            shared.update(owners)
    crossing = {key for key, each in people.items() if any(
        each.box.intersect(other.box).area > _CROSSING * min(each.box.area, other.box.area)
        for number, other in people.items() if number != key)}  # their pieces are one, or a part of one
    return {key: _joined(parts) for key, parts in boxes.items() if key not in shared | crossing}


def _joined(parts: list[Region]) -> Region:
    """Return the box of the largest piece and of those beside it: one far from it is somebody else's."""
    parts = sorted(parts, key=lambda part: -part.area)
    box = parts[0]
    for part in parts[1:]:
        gap = max(part.x0 - box.x1, box.x0 - part.x1, part.y0 - box.y1, box.y0 - part.y1)
        if gap <= _GAP_IN_PERSON * max(box.size):
            box = regions.union(box, part)
    return box

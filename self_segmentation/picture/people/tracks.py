# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Who is there, and where: people followed from frame to frame, each with an id of their own."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

from ...settings import Settings
from ..models.detector import Detection
from ..regions import Region

__all__ = ['Person', 'Tracks', 'who_counts']

_SAME = 0.3  # IoU from which a detection is a person who is known
_PART = 0.8  # fraction of a detection inside a known person's box from which it is a part of them
_MISSES = 3  # looks in a row without the person before they are forgotten; in large frames as many for each of their parts
_COVERED = 0.05  # fraction of the box that the mask covers while somebody is there
_FORGET = 0.5  # seconds without any of it before they are forgotten, where temporal.hold_time is less
_CLEARLY = 1.25  # how much larger, or nearer to the middle, somebody else must be to count instead


@dataclasses.dataclass(frozen=True)
class Person:
    """
    Somebody in a frame.

    ``id`` stays theirs while they stay in view and is not given again; ``box`` in pixels of the frame; ``score`` the
    detector's, 0..1 (of somebody found by the segmentation alone, its mean probability); ``counts`` whether they are kept, see
    ``people.who``.
    """

    id: int
    box: Region
    score: float
    counts: bool = True


@dataclasses.dataclass
class _Track:
    person: Person
    misses: int = 0
    unseen: float = 0.0  # seconds


class Tracks:
    """
    The people of a video.

    :param ids: the numbers of people who come.
    """

    def __init__(self, ids: Iterator[int]) -> None:
        self._ids = ids
        self._tracks: dict[int, _Track] = {}

    @property
    def all(self) -> list[Person]:
        """Everybody, in the order in which they came."""
        return [track.person for track in self._tracks.values()]

    @property
    def doubted(self) -> bool:
        """Whether the last look missed somebody who is known."""
        return any(track.misses for track in self._tracks.values())

    def appear(self, box: Region, score: float) -> None:
        """Begin a new track."""
        number = next(self._ids)
        self._tracks[number] = _Track(Person(number, box, score))

    def merge(self, found: Iterable[Detection], before: Mapping[int, Region], supported: Iterable[int] = (),
              part: Region | None = None, parts: int = 1) -> None:
        """
        Take what a look of the detector found.

        :param found: detections, best first.
        :param before: boxes by id when it looked; people have moved since.
        :param supported: ids of people who are known to be there by other means.
        :param part: of the frame, at which it looked; whoever reaches beyond it is not missed. None for all of it.
        :param parts: how many it looks at in turn: whom one shows, another may not.
        """
        found = list(found)
        matched: dict[int, int] = {}  # index in found to id
        boxes = {key: box for key, box in before.items() if key in self._tracks}
        for likeness, least in ((Region.iou, _SAME), (_contains, _PART)):  # the whole of somebody of whom a part was known
            pairs = sorted(((likeness(each.box, box), index, key) for index, each in enumerate(found)
                            for key, box in boxes.items()), reverse=True)
            for value, index, key in pairs:
                if value >= least and index not in matched and key not in matched.values():
                    matched[index] = key
        for key, box in boxes.items():
            track = self._tracks[key]
            is_part = any(box.inside(boxes[other]) > _PART for other in matched.values() if other != key)
            if key in matched.values() or (key in supported and not is_part):
                track.misses = 0
                continue
            if part is not None and box.inside(part) < 1.0:
                continue
            track.misses += 1
            if track.misses >= _MISSES * parts:
                del self._tracks[key]
        for index, each in enumerate(found):
            if index in matched:
                track = self._tracks[matched[index]]
                box, old = track.person.box, before[matched[index]]
                box = each.box.moved((box.x0 + box.x1 - old.x0 - old.x1) // 2, (box.y0 + box.y1 - old.y0 - old.y1) // 2)
                track.person = dataclasses.replace(track.person, box=box, score=each.score)
            elif not any(each.box.inside(box) > _PART for box in before.values()):
                self.appear(each.box, each.score)

    def move(self, key: int, box: Region) -> None:
        """Somebody's box is known better."""
        track = self._tracks[key]
        track.person = dataclasses.replace(track.person, box=box)

    def cover(self, covered: Mapping[int, float], step: float, hold_time: float) -> None:
        """
        Take how much of each box the mask covers, and forget people of whom there has been nothing for a while.

        :param covered: fraction of the box, by id.
        :param step: seconds since the last frame.
        :param hold_time: seconds.
        """
        for key, fraction in covered.items():
            track = self._tracks[key]
            track.unseen = 0.0 if fraction >= _COVERED else track.unseen + step
            if track.unseen > max(hold_time, _FORGET):
                del self._tracks[key]

    def choose(self, settings: Settings, frame: Region) -> None:
        """Decide who counts."""
        people = [track.person for track in self._tracks.values()]
        for person in who_counts(people, settings, frame):
            self._tracks[person.id].person = person


def _contains(outer: Region, inner: Region) -> float:
    return inner.inside(outer)


def who_counts(people: list[Person], settings: Settings, frame: Region) -> list[Person]:
    """
    Return people with ``counts`` set as ``people.who`` asks.

    Whoever counted before goes on until somebody else does clearly more.
    """
    if settings.people_who == 'all' or not people:
        return [dataclasses.replace(person, counts=True) for person in people]

    def weight(person: Person) -> float:
        if settings.people_who == 'largest':
            value = float(person.box.area)
        else:
            box = person.box
            off = (box.x0 + box.x1 - frame.width) / frame.width, (box.y0 + box.y1 - frame.height) / frame.height
            value = 1.0 / (0.1 + abs(off[0]) + abs(off[1]))
        return value * (_CLEARLY if person.counts and some_do_not else 1.0)

    some_do_not = any(not person.counts for person in people)
    best = max(people, key=weight)
    return [dataclasses.replace(person, counts=person is best) for person in people]

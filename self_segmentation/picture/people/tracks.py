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

_SAME = 0.3  # IoU of a detection and a track's box, as it was predicted, from which they are one person
_NEAR = 0.6  # widths of the box that their middles may lie apart instead, where nobody else is nearer
_LIKE = 0.6  # ratio of their heights at least, in that case
_PART = 0.8  # fraction of a detection inside a known person's box from which it is a part of them
_TWICE = 0.6  # IoU from which two tracks are one person
_SMALLEST = 36  # pixels of the detector's input: a smaller person whom it does not find may be there all the same
_INPUT = 320  # pixels of its sides
_OVERLAP = 0.15  # IoU with somebody who was found, from which the map tells nothing of who was not
_HIDDEN = 0.7  # fraction of the area of somebody's box that is left of it where somebody hides them
_HALF = 0.5  # fraction of a small detection inside somebody's box from which it is a piece of them
_KNOWN_WELL = 2  # measurements of a track that is certainly a person
_DOUBTS = 2  # detections in a row that do not find a person whom the map shows, until the track ends
_COVERED = 0.05  # fraction of the box that the mask covers while somebody is there
_SHOWN = 0.2  # fraction of the box that the mask covers where somebody is certainly there
_FORGET = 0.5  # seconds without any of it before they are forgotten, where temporal.hold_time is less
_GONE = 0.03  # fraction of a predicted box inside of the frame at least
_CLEARLY = 1.25  # how much larger, or nearer to the middle, somebody else must be to count instead
_SMOOTH = 0.25  # seconds over which a velocity is averaged
_BORDER = 2  # pixels from the frame's border up to which it cuts a box
_EVERYWHERE = Region(-1 << 20, -1 << 20, 1 << 20, 1 << 20)
_COAST = 1.0  # seconds without a measurement after which a track stands still


@dataclasses.dataclass(frozen=True)
class Person:
    """
    Somebody in a frame.

    ``id`` stays theirs while they stay in view and is not given again; ``box`` in pixels of the frame; ``score`` the
    detector's, 0..1 (of somebody found by the segmentation alone, its mean probability); ``counts`` whether they are kept, see
    ``people.who``; ``turn`` how the image must be turned for them to be upright, of ``cv2.rotate``, None where they are.
    """

    id: int
    box: Region
    score: float
    counts: bool = True
    turn: int | None = None


@dataclasses.dataclass
class _Track:
    """
    A person who is followed.

    ``whole`` x0, y0, x1, y1 of all of the person, pixels, beyond the frame's border too, as far as that is known; ``velocity``
    pixels a second; ``since`` seconds since the last measurement; ``last`` the box that was measured then; ``misses`` detections
    in a row without the person; ``unseen`` seconds for which the map has shown nobody; ``shown`` the fraction of the box that
    the last map covered.
    """

    person: Person
    whole: tuple[float, float, float, float]
    last: Region
    velocity: tuple[float, float] = (0.0, 0.0)
    since: float = 0.0
    measures: int = 0
    misses: int = 0
    unseen: float = 0.0
    shown: float = 0.0

    def measure(self, box: Region, frame: Region) -> None:
        """Take a box that was measured now. A side that the frame's border cuts tells nothing of where the person ends."""
        left, right = box.x0 <= _BORDER, box.x1 >= frame.width - _BORDER
        if self.since > 0:
            sides = (box.x0 - self.last.x0, left), (box.x1 - self.last.x1, right)
            moves = [move for move, is_cut in sides if not is_cut]
            across = sum(moves) / len(moves) / self.since if moves else 0.0
            down = (box.y0 + box.y1 - self.last.y0 - self.last.y1) / 2 / self.since
            weight, (vx, vy) = min(1.0, self.since / _SMOOTH), self.velocity
            self.velocity = vx + weight * (across - vx), vy + weight * (down - vy)
        width = self.whole[2] - self.whole[0]
        x0 = min(box.x0, box.x1 - width) if left and not right else box.x0
        x1 = max(box.x1, box.x0 + width) if right and not left else box.x1
        self.whole, self.last, self.since, self.measures = (x0, box.y0, x1, box.y1), box, 0.0, self.measures + 1
        self.person = dataclasses.replace(self.person, box=box)

    def advance(self, step: float, frame: Region) -> bool:
        """Move the person to where they are expected; return whether they are still in the frame."""
        self.since += step
        if self.since > _COAST:
            self.velocity = 0.0, 0.0
        vx, vy = self.velocity
        x0, y0, x1, y1 = self.whole = (self.whole[0] + vx * step, self.whole[1] + vy * step, self.whole[2] + vx * step,
                                       self.whole[3] + vy * step)
        whole = Region(round(x0), round(y0), round(x1), round(y1))
        inside = whole.intersect(frame)
        self.person = dataclasses.replace(self.person, box=inside)
        return inside.area >= max(_GONE * whole.area, 1)


class Tracks:
    """
    The people of a video, with constant velocities between measurements.

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
        """Whether the last detection missed somebody who is known."""
        return any(track.misses for track in self._tracks.values())

    def appear(self, box: Region, score: float, turn: int | None = None) -> None:
        """Begin a new track."""
        number = next(self._ids)
        self._tracks[number] = _Track(Person(number, box, score, turn=turn), (box.x0, box.y0, box.x1, box.y1), box)

    def advance(self, step: float, frame: Region) -> None:
        """
        Move everybody to where they are expected in the next frame; who left the frame is forgotten.

        :param step: seconds since the last frame.
        """
        self._tracks = {key: track for key, track in self._tracks.items() if track.advance(step, frame)}

    def merge(self, found: Iterable[Detection], before: Mapping[int, Region], supported: Iterable[int] = (),
              part: Region | None = None, frame: Region = _EVERYWHERE, turn: int | None = None) -> None:
        """
        Take what a detection found.

        :param found: detections, best first.
        :param before: boxes by id in the frame that was searched; people have moved since.
        :param supported: ids of people who are known to be there by other means.
        :param part: of the frame, that was searched; who reaches beyond it is not missed. None for all of it.
        :param frame: the full frame.
        :param turn: how the image was turned for it: who is upright in another one is not missed.
        """
        found = list(found)
        boxes = {key: box for key, box in before.items() if key in self._tracks}
        matched = _matched(found, boxes)
        several = [key for key, box in boxes.items() if _are_several(box, found)]
        for key in several:  # two people had one box: it goes to the first of them
            if key not in matched.values():
                free = [index for index, each in enumerate(found) if index not in matched and each.box.inside(boxes[key]) > _PART]
                matched.update(dict.fromkeys(free[:1], key))
        for key, box in boxes.items():
            track = self._tracks[key]
            if key in matched.values():
                track.misses = 0
                continue
            is_part = any(box.inside(boxes[other]) > _PART for other in matched.values() if other != key)
            if key in supported and not is_part:
                track.misses = 0
                continue
            if track.person.turn != turn and not is_part:
                continue
            if part is not None and (box.inside(part) < 1.0 or box.height * _INPUT < _SMALLEST * part.height):
                continue
            track.misses += 1
            overlaps = any(box.iou(boxes[other]) > _OVERLAP for other in matched.values() if other != key)
            is_shown = track.shown > _SHOWN and (track.measures >= _KNOWN_WELL or not overlaps)
            if is_part or track.misses >= (_DOUBTS if is_shown else 1):
                del self._tracks[key]
        for index, each in enumerate(found):
            if index in matched:
                track = self._tracks[matched[index]]
                old = before[matched[index]]
                hides = any(old.iou(box) > _OVERLAP for key, box in before.items() if key != matched[index])
                reaches_beyond = part is not None and old.inside(part) < 1.0
                is_poorer = each.turn != track.person.turn and each.score < track.person.score  # seen the wrong way
                if is_poorer or (hides or reaches_beyond) and each.box.area < _HIDDEN * old.area:  # or a piece of somebody
                    track.measures += 1
                    continue
                (x, y), (ox, oy) = track.person.box.middle, old.middle
                box = each.box.moved(round(x - ox), round(y - oy))
                track.measure(box.intersect(frame), frame)
                track.person = dataclasses.replace(track.person, score=each.score, turn=each.turn)
            elif not any(_is_piece(each.box, box) for key, box in before.items() if key not in several):
                self.appear(each.box, each.score, each.turn)
        self._join()

    def _join(self) -> None:
        """End the younger one of two tracks of one place."""
        tracks = [*self._tracks.items()]
        for index, (_, older) in enumerate(tracks):
            for key, younger in tracks[index + 1:]:
                if key in self._tracks and older.person.box.iou(younger.person.box) > _TWICE:
                    del self._tracks[key]

    def move(self, key: int, box: Region, frame: Region = _EVERYWHERE) -> None:
        """Take a better box of somebody."""
        self._tracks[key].measure(box, frame)

    def cover(self, covered: Mapping[int, float], step: float, hold_time: float) -> None:
        """
        Take how much of each box the mask covers, and forget people of whom there has been nothing for a while.

        :param covered: fraction of the box, by id.
        :param step: seconds since the last frame.
        :param hold_time: seconds.
        """
        for key, fraction in covered.items():
            track = self._tracks[key]
            track.shown = fraction
            track.unseen = 0.0 if fraction >= _COVERED else track.unseen + step
            if track.unseen > max(hold_time, _FORGET):
                del self._tracks[key]

    def is_new(self, key: int) -> bool:
        """Whether somebody was not measured since they were found."""
        return self._tracks[key].measures == 0

    def choose(self, settings: Settings, frame: Region) -> None:
        """Decide who counts."""
        people = [track.person for track in self._tracks.values()]
        for person in who_counts(people, settings, frame):
            self._tracks[person.id].person = person


def _matched(found: list[Detection], boxes: Mapping[int, Region]) -> dict[int, int]:
    """Return which detection is which known person: index in ``found`` to id; over all pairs, the most alike first."""
    matched: dict[int, int] = {}
    for likeness, least in ((Region.iou, _SAME), (_contains, _PART), (_nearness, 1.0 - _NEAR)):
        pairs = sorted(((likeness(each.box, box), index, key) for index, each in enumerate(found)
                        for key, box in boxes.items()), reverse=True)
        for value, index, key in pairs:
            if value >= least and index not in matched and key not in matched.values():
                matched[index] = key
    return matched


def _is_piece(box: Region, whole: Region) -> bool:
    """Whether a detection shows a piece of somebody who is known."""
    inside = box.inside(whole)
    return inside > _PART or inside > _HALF and box.area < _HIDDEN * whole.area


def _are_several(box: Region, found: list[Detection]) -> bool:
    """Whether a box holds several people who were found side by side."""
    inside = [each.box for each in found if each.box.inside(box) > _PART and each.box.height > _LIKE * box.height]
    return any(a.iou(b) < _OVERLAP for index, a in enumerate(inside) for b in inside[index + 1:])


def _nearness(a: Region, b: Region) -> float:
    """Return how near two boxes of one size lie: 1 at one place, 0 a width apart or of another size."""
    if min(a.height, b.height) < _LIKE * max(a.height, b.height):
        return 0.0
    (ax, ay), (bx, by) = a.middle, b.middle
    width = max(1.0, (a.width + b.width) / 2)
    return 1.0 - max(abs(ax - bx), abs(ay - by)) / width


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

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""When the person detector runs on a video: at once where nothing is known, else in a thread beside the segmentation."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import cv2

from ...settings import Settings
from ..arrays import Array
from ..models.detector import (
    CLEAR_IN_PART,
    MOST_DOUBTFUL,
    Detection,
    Detector,
    TurnedDetector,
    close_parts,
    find_people,
    parts_to_look_at,
)
from ..regions import Region, full_frame
from .tracks import Person

__all__ = ['DetectionSchedule', 'DetectionThread', 'Detections', 'Place']

_TAKES = 2  # frames until the result of a detection is taken: a fixed number, so that a video gives the same masks each time
_DOUBTFUL_AT_ONCE, _DOUBTFUL_BESIDE = 8, 1  # close-ups a detection; each costs as much as a detection
_DOUBT = 0.15  # score from which a still thing may be a person; rooms alone reach 0.1
_TOUCHES = 0.2  # fraction of an image's middle that a box covers at least of who may be there
_REMEMBERED = 16  # refused boxes, and places
_RECENT = 2  # times the interval for which a search of the whole frame is recent enough to search a part of it
_NEVER = 1 << 30  # frames
_LATELY = 150  # frames after which a place that was searched in vain is another one
_SAME_PLACE = 0.7  # IoU of two boxes of one place


class Place(NamedTuple):
    """
    Where to search from close up.

    ``box`` of what stands there; ``region`` to search; ``turn`` how it is turned for that, of ``cv2.rotate``, None for upright.
    """

    box: Region
    region: Region
    turn: int | None = None


class DetectionThread:
    """
    Runs a person detector, one frame after the other, for any number of videos and pictures.

    :param detector: it is used in this thread alone; it stays open.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._executor = ThreadPoolExecutor(1, 'detector')

    def start(self, bgr: Array, settings: Settings, most_doubtful: int = MOST_DOUBTFUL, known: list[Region] | None = None,
              parts: list[Region] | None = None, refused: deque[Region] | None = None) -> Future[list[Detection]]:
        """Begin :func:`~self_segmentation.picture.models.detector.find_people`, which has the same arguments."""
        return self._executor.submit(find_people, self._detector, bgr, settings.people_score, settings.people_smallest,
                                     most_doubtful, known or [], parts, refused)

    def start_turned(self, bgr: Array, settings: Settings, part: Region, turn: int,
                     refused: deque[Region]) -> Future[list[Detection]]:
        """Begin to search one part of a frame that is turned as ``cv2.rotate`` does; things that are turned look like people."""
        return self._executor.submit(find_people, TurnedDetector(self._detector, turn), bgr,
                                     max(settings.people_score, CLEAR_IN_PART), settings.people_smallest, _DOUBTFUL_BESIDE, [],
                                     [part], refused)

    def doubt(self, images: list[Array]) -> Future[bool]:
        """Begin to search images, each (h, w, 3) uint8; the result is whether somebody may be in the middle of any of them."""
        return self._executor.submit(lambda: any(_may_be_in_middle(self._detector.detect(image), image) for image in images))

    def close(self) -> None:
        """End the thread, after the detection that runs."""
        self._executor.shutdown()


def _may_be_in_middle(found: list[Detection], image: Array) -> bool:
    height, width = image.shape[:2]
    middle = Region(width // 4, height // 4, width - width // 4, height - height // 4)
    return any(each.score >= _DOUBT and middle.intersect(each.box).area > _TOUCHES * middle.area for each in found)


class Detections(NamedTuple):
    """
    What was found, best first.

    ``before`` the boxes of the people who were known at its frame, by id; ``part`` of the frame that was searched; ``turn`` how
    it was turned for that, of ``cv2.rotate``: only people who are upright then can be missed.
    """

    found: list[Detection]
    before: Mapping[int, Region]
    part: Region
    turn: int | None = None


class _Running(NamedTuple):
    """A detection that runs since a frame."""

    frame: int
    before: dict[int, Region]
    part: Region
    place: Place | None
    found: Future[list[Detection]]


class _Visits(NamedTuple):
    """The box of a place, how often it was searched in vain, and in which frame last."""

    box: Region
    times: int
    last: int


class DetectionSchedule:
    """
    When the detector runs on one video: one detection at a time.

    In large frames the whole and the parts take turns: a detection of all of them at once would delay the frames. A new scene is
    searched once from close up, part after part, while the detector is idle: nobody knows yet what moved into it.
    """

    def __init__(self) -> None:
        self._running: _Running | None = None
        self._last = self.count = self._parts = 0  # the frame that was searched last; searches of parts; those whose turn it was
        self._refused: deque[Region] = deque(maxlen=_REMEMBERED)
        self._refused_turned: deque[Region] = deque(maxlen=_REMEMBERED)
        self._close_parts = self._last_close = 0  # those of the scene that were searched; the frame of the last of them
        self.places = 0  # searches of places
        self._interval = _NEVER  # frames, the least that was asked for since the whole was searched
        self._was_whole = True  # whether the last search was of the whole frame
        self._visits: deque[_Visits] = deque(maxlen=_REMEMBERED)

    def has_seen_everything(self, frame: Region) -> bool:
        """Return whether every part of the frame was searched, and the result of it taken."""
        return self.count > 0 and (self._running is None or self.count > len(parts_to_look_at(frame)))

    def run_now(self, thread: DetectionThread, bgr: Array, settings: Settings) -> Detections:
        """
        Search a frame and wait for the result: the first one, or the first after a cut, where it is not covered anyway.

        :param bgr: (height, width, 3) uint8, blue green red.
        """
        frame = full_frame(bgr.shape)
        parts = parts_to_look_at(frame)
        self.count += len(parts)
        return Detections(thread.start(bgr, settings, _DOUBTFUL_AT_ONCE, [], parts, self._refused).result(), {}, frame)

    def start(self, thread: DetectionThread, number: int, bgr: Array, people: list[Person], settings: Settings,
              interval: int, curve: Array | None = None, place: Place | None = None) -> None:
        """
        Begin to search a frame, if the last detection is done and began long enough ago.

        :param number: of the frame, counted from 0.
        :param bgr: (height, width, 3) uint8, blue green red; it is copied.
        :param people: who is known.
        :param interval: frames.
        :param curve: (256,) uint8, makes a dark frame bright; None leaves it as it is.
        :param place: to search in every other search; None: there is none.
        """
        frame = full_frame(bgr.shape)
        parts, close = parts_to_look_at(frame), close_parts(frame)
        self._interval = interval = min(self._interval, interval)  # a change that lasts for one frame is searched, too
        is_first, is_due = not self.count, number - self._last >= interval
        is_idle = not is_due and self._close_parts < len(close) and number - self._last_close >= _TAKES
        if self._running is not None or not (is_first or is_due or is_idle):
            return
        before = {each.id: each.box for each in people}
        lit = bgr.copy() if curve is None else cv2.LUT(bgr, curve)
        searched, chosen = [frame], None
        if is_first:
            searched = parts
        elif is_idle:
            searched, self._close_parts, self._last_close = [close[self._close_parts]], self._close_parts + 1, number
        elif self._was_whole and place is not None:
            searched, chosen = [place.region], place
        elif self._was_whole and len(parts) > 1 and number - self._last <= _RECENT * interval:  # else something just changed
            searched, self._parts = [parts[1 + self._parts % (len(parts) - 1)]], self._parts + 1
        turn = None if chosen is None else chosen.turn
        if interval <= 1 and not (is_first or is_idle or turn is not None or searched == [frame]):
            searched = [frame, *searched]  # a slow camera: people may be anywhere, and there is time
        part = frame if is_first else searched[0]
        if turn is not None:
            found = thread.start_turned(lit, settings, part, turn, self._refused_turned)
        else:
            doubtful = _DOUBTFUL_AT_ONCE if is_first else _DOUBTFUL_BESIDE
            found = thread.start(lit, settings, doubtful, list(before.values()), searched, self._refused)
        self._running = _Running(number, before, part, chosen, found)
        self.count += len(searched)
        if is_idle:
            return
        self._last, self._was_whole = number, turn is None and frame in searched
        if self._was_whole:
            self._interval = _NEVER
        if chosen is not None:
            times = self.visits(chosen.box, number) + 1
            self._forget(chosen.box)
            self._visits.append(_Visits(chosen.box, times, number))
            self.places += 1

    def visits(self, box: Region, number: int) -> int:
        """
        Return how often the place of a box was searched lately, and nobody found.

        :param number: of the frame.
        """
        lately = (each for each in self._visits if number - each.last <= _LATELY)
        return next((each.times for each in lately if each.box.iou(box) >= _SAME_PLACE), 0)

    def _forget(self, box: Region) -> None:
        self._visits = deque([each for each in self._visits if each.box.iou(box) < _SAME_PLACE], _REMEMBERED)

    def result(self, number: int, at_once: bool = False) -> Detections | None:
        """
        Return what the detection found that began two frames ago; None where none did.

        :param at_once: whether to wait for the detection that began in this frame.

        :raises Exception: what went wrong in the detector.
        """
        running = self._running
        if running is None or number < running.frame + _TAKES and not at_once:
            return None
        self._running = None
        found, place = running.found.result(), running.place
        if found and place is not None:
            self._forget(place.box)
        return Detections(found, running.before, running.part, None if place is None else place.turn)

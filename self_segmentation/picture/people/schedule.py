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
from ..models.detector import MOST_DOUBTFUL, Detection, Detector, find_people, parts_to_look_at
from ..regions import Region, full_frame
from .tracks import Person

__all__ = ['DetectionSchedule', 'DetectionThread', 'Detections']

_TAKES = 2  # frames until the result of a detection is taken: a fixed number, so that a video gives the same masks each time
_DOUBTFUL_AT_ONCE, _DOUBTFUL_BESIDE = 4, 1  # close-ups a detection; each costs as much as a detection
_DOUBT = 0.15  # score from which a still thing may be a person; rooms alone reach 0.1
_TOUCHES = 0.2  # fraction of an image's middle that a box covers at least of who may be there
_REMEMBERED = 16  # refused boxes


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
    """What was found, best first; the boxes of the people who were known at its frame, by id; the part of the frame searched."""

    found: list[Detection]
    before: Mapping[int, Region]
    part: Region


class _Running(NamedTuple):
    """A detection that runs since a frame."""

    frame: int
    before: dict[int, Region]
    part: Region
    found: Future[list[Detection]]


class DetectionSchedule:
    """
    When the detector runs on one video: one detection at a time.

    In large frames the whole and the parts take turns: a detection of all of them at once would delay the frames.
    """

    def __init__(self) -> None:
        self._running: _Running | None = None
        self._last = self.count = self._searches = 0  # the frame that was searched last; parts that were searched; searches
        self._refused: deque[Region] = deque(maxlen=_REMEMBERED)

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
              interval: int, curve: Array | None = None, place: Region | None = None) -> None:
        """
        Begin to search a frame, if the last detection is done and began long enough ago.

        :param number: of the frame, counted from 0.
        :param bgr: (height, width, 3) uint8, blue green red; it is copied.
        :param people: who is known.
        :param interval: frames.
        :param curve: (256,) uint8, makes a dark frame bright; None leaves it as it is.
        :param place: to search in the place of the part whose turn it is; None: that part.
        """
        frame = full_frame(bgr.shape)
        parts = parts_to_look_at(frame)
        if self._running is None and (not self.count or number - self._last >= interval):
            before, searched = {each.id: each.box for each in people}, [parts[_turn(self._searches, len(parts))]]
            part = searched[0]
            if not self.count:
                searched, part = parts, frame
            elif place is not None and self._searches % 2:
                searched, part = [place], place
            lit = bgr.copy() if curve is None else cv2.LUT(bgr, curve)
            doubtful = _DOUBTFUL_BESIDE if self.count else _DOUBTFUL_AT_ONCE
            found = thread.start(lit, settings, doubtful, list(before.values()), searched, self._refused)
            self._running = _Running(number, before, part, found)
            self._last, self.count, self._searches = number, self.count + len(searched), self._searches + 1

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
        return Detections(running.found.result(), running.before, running.part)


def _turn(search: int, parts: int) -> int:
    """Return which part a search is for: the whole every other time, and the parts in turn between."""
    return 1 + search // 2 % (parts - 1) if parts > 1 and search % 2 else 0

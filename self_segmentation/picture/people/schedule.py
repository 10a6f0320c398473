# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""When the person detector looks at a video: at once where nothing is known, else in a thread beside the segmentation."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from ...settings import Settings
from ..arrays import Array
from ..models.detector import Detection, Finder, parts_to_look_at
from ..regions import Region, full_frame
from .tracks import Person

__all__ = ['Lookout', 'Seen']

_TAKES = 2  # frames until the result of a look is taken: a fixed number, so that a video gives the same masks each time
_FIRST_ROUND = 3  # frames between two looks, until every part of a large frame was looked at
_DOUBTFUL_AT_ONCE, _DOUBTFUL_BESIDE = 4, 1  # close-ups a look; each costs as much as a look


class Seen(NamedTuple):
    """What a look found, best first; the boxes of the people who were known then, by id; the part of the frame it looked at."""

    found: list[Detection]
    before: Mapping[int, Region]
    part: Region


class _Look(NamedTuple):
    """A look that is under way since a frame."""

    frame: int
    before: dict[int, Region]
    part: Region
    found: Future[list[Detection]]


class Lookout:
    """
    Has a detector look at frames, one look at a time.

    In large frames it looks at the whole and at the parts in turn: a look at all of them would be in the frames' way.
    """

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
        self._thread = ThreadPoolExecutor(1, 'detector')
        self._look: _Look | None = None
        self._last = self._looks = 0

    def reset(self) -> None:
        """Forget the video; a look that is under way is waited for and dropped."""
        if self._look is not None:
            wait([self._look.found])
            self._look = None
        self._finder.forget()
        self._last = self._looks = 0

    def has_looked_everywhere(self, frame: Region) -> bool:
        """Return whether every part of the frame was looked at, and the result of it taken."""
        return self._looks - (self._look is not None) >= len(parts_to_look_at(frame))

    def close(self) -> None:
        """End the thread; the detector stays."""
        self._thread.shutdown()

    def look_now(self, bgr: Array, settings: Settings) -> Seen:
        """
        Look at a frame and wait for it: the first one, or the first after a cut, where it is not covered anyway.

        :param bgr: (height, width, 3) uint8, blue green red.
        """
        self._looks += 1
        frame = full_frame(bgr.shape)
        return Seen(self._find(bgr, settings, _DOUBTFUL_AT_ONCE, [], frame), {}, frame)

    def look(self, number: int, bgr: Array, people: list[Person], settings: Settings, interval: int) -> None:
        """
        Begin to look at a frame if the last look is long enough ago, and done.

        :param number: of the frame, counted from 0.
        :param bgr: (height, width, 3) uint8, blue green red; it is copied.
        :param people: who is known.
        :param interval: frames.
        """
        parts = parts_to_look_at(full_frame(bgr.shape))
        if self._looks < len(parts):
            interval = min(interval, _FIRST_ROUND)
        if self._look is None and (not self._looks or number - self._last >= interval):
            before, part = {each.id: each.box for each in people}, parts[_turn(self._looks, len(parts))]
            found = self._thread.submit(self._find, bgr.copy(), settings, _DOUBTFUL_BESIDE, list(before.values()), part)
            self._look = _Look(number, before, part, found)
            self._last, self._looks = number, self._looks + 1

    def result(self, number: int) -> Seen | None:
        """Return what the look found that began two frames ago; None where none did. What went wrong in it is raised here."""
        look = self._look
        if look is None or number < look.frame + _TAKES:
            return None
        self._look = None
        return Seen(look.found.result(), look.before, look.part)

    def _find(self, bgr: Array, settings: Settings, most_doubtful: int, known: list[Region], part: Region) -> list[Detection]:
        return self._finder.find(bgr, settings.people_score, settings.people_smallest, most_doubtful, known, [part])


def _turn(look: int, parts: int) -> int:
    """Return which part a look is for: a first round over all, then the whole every other time and the others between."""
    if look < parts:
        return look
    return 1 + look // 2 % (parts - 1) if parts > 1 and look % 2 else 0

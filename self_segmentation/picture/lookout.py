# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""When the person detector looks at a video: at once where nothing is known, else in a thread beside the segmentation."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from ..settings import Settings
from .arrays import Array
from .detector import Detection, Finder
from .people import Person
from .roi import Region

__all__ = ['Lookout', 'Seen']

_TAKES = 2  # frames until the result of a look is taken: a fixed number, so that a video gives the same masks each time
_DOUBTFUL_AT_ONCE, _DOUBTFUL_BESIDE = 4, 1  # close-ups a look; each costs as much as a look


class Seen(NamedTuple):
    """What a look found, best first, and the boxes of the people who were known when it looked, by id."""

    found: list[Detection]
    before: Mapping[int, Region]


class _Look(NamedTuple):
    frame: int
    before: dict[int, Region]
    found: Future[list[Detection]]


class Lookout:
    """Has a detector look at frames, one look at a time."""

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
        self._thread = ThreadPoolExecutor(1, 'detector')
        self._look: _Look | None = None
        self._last = 0

    def reset(self) -> None:
        """Forget the video; a look that is under way is waited for and dropped."""
        if self._look is not None:
            wait([self._look.found])
            self._look = None
        self._finder.forget()
        self._last = 0

    def close(self) -> None:
        """End the thread; the detector stays."""
        self._thread.shutdown()

    def look_now(self, bgr: Array, settings: Settings) -> Seen:
        """
        Look at a frame and wait for it: the first one, or the first after a cut.

        :param bgr: (height, width, 3) uint8, blue green red.
        """
        return Seen(self._find(bgr, settings, _DOUBTFUL_AT_ONCE, []), {})

    def look(self, number: int, bgr: Array, people: list[Person], settings: Settings, interval: int) -> None:
        """
        Begin to look at a frame if the last look is long enough ago, and done.

        :param number: of the frame, counted from 0.
        :param bgr: (height, width, 3) uint8, blue green red; it is copied.
        :param people: who is known.
        :param interval: frames.
        """
        if self._look is None and number - self._last >= interval:
            self._last = number
            before = {each.id: each.box for each in people}
            found = self._thread.submit(self._find, bgr.copy(), settings, _DOUBTFUL_BESIDE, list(before.values()))
            self._look = _Look(number, before, found)

    def result(self, number: int) -> Seen | None:
        """Return what the look found that began two frames ago; None where none did. What went wrong in it is raised here."""
        look = self._look
        if look is None or number < look.frame + _TAKES:
            return None
        self._look = None
        return Seen(look.found.result(), look.before)

    def _find(self, bgr: Array, settings: Settings, most_doubtful: int, known: list[Region]) -> list[Detection]:
        return self._finder.find(bgr, settings.people_score, settings.people_smallest, most_doubtful, known)

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Looking ahead: a place where somebody is found is covered in the frames before too, which wait until then."""

from __future__ import annotations

import dataclasses
import logging
from collections import deque
from typing import Generic, TypeVar

import cv2

from .arrays import Array
from .pipeline import Result
from .video import USUAL_STEP, Scene

__all__ = ['LookingAhead', 'Waiting']

_ROUNDING = 1e-3  # seconds by which stamps may be off
_MEMORY = 512 << 20  # bytes; a second of 30 frames of 1920x1080 has 250 MB
_LOGGER = logging.getLogger('self_segmentation.picture')
T = TypeVar('T')


@dataclasses.dataclass(eq=False)
class Waiting(Generic[T]):  # no NamedTuple: Python 3.10 has no generic ones
    """
    A frame that waits, or that has waited.

    ``of`` is what the caller gave with it; ``pixels`` (height, width, 3) uint8, blue green red; ``result`` has no arrays:
    :meth:`~.pipeline.Pipeline.complete` makes them from ``cover``, (height, width) uint8; ``time`` in seconds, ``size`` in bytes.
    """

    of: T
    pixels: Array
    result: Result
    cover: Array
    time: float
    size: int


class LookingAhead(Generic[T]):
    """
    Keeps the frames of one video in which people are hidden until enough frames after them are known.

    What is covered in a frame is covered in all frames of its scene that still wait: the union, so nothing is shown that would be
    covered without looking ahead. The frames before a cut take nothing of those after it.

    ``scene`` is that of the last frame.

    :param seconds: how long frames wait: for the first one that is so much later, so at least for one.
    :param memory: bytes that waiting frames may take. Where they would take more, the first ones wait less; it is logged once.
    """

    def __init__(self, seconds: float, memory: int = _MEMORY) -> None:
        self.seconds, self._memory = seconds, memory
        self.scene: Scene | None = None
        self._used, self._time = 0, 0.0
        self._stamp: float | None = None
        self._waiting: deque[Waiting[T]] = deque()
        self._is_short = False

    def add(self, of: T, pixels: Array, result: Result, stamp: float | None) -> list[Waiting[T]]:
        """
        Take the next frame; return those that need not wait any longer, in order.

        :param of: comes back with the frame.
        :param pixels: (height, width, 3) uint8; they are kept, so they must stay as they are.
        :param result: of :meth:`~.pipeline.Pipeline.process`, with alpha in an array of its own, which is written to.
        :param stamp: when the frame was taken, in seconds.
        """
        step = USUAL_STEP if stamp is None or self._stamp is None else stamp - self._stamp
        self._time += step if step > 0 else USUAL_STEP
        cover, self._stamp, self.scene = result.alpha, stamp, result.scene
        assert cover is not None
        self._cover_before(cover, result.scene)
        self._waiting.append(Waiting(of, pixels, dataclasses.replace(result, alpha=None), cover, self._time, 0))
        self._grow(pixels.nbytes + cover.nbytes)
        done = []
        while len(self._waiting) > 1 and (self._time - self._waiting[0].time >= self.seconds - _ROUNDING or self._is_full()):
            done.append(self._pop())
        return done

    def burden(self, size: int) -> list[Waiting[T]]:
        """
        Note that something waits behind the last frame; return the frames that may not wait any longer, for memory.

        :param size: bytes.
        """
        if self._waiting:
            self._grow(size)
        done = []
        while self._waiting and self._is_full():
            done.append(self._pop())
        return done

    def _grow(self, size: int) -> None:
        self._waiting[-1].size += size
        self._used += size

    def _cover_before(self, cover: Array, scene: Scene | None) -> None:
        """Cover in the waiting frames of a scene what its next frame covers."""
        waiting = [each.cover for each in self._waiting if each.result.scene is scene]
        if not waiting:
            return
        x, y, width, height = cv2.boundingRect(cv2.compare(cover, waiting[-1], cv2.CMP_GT))  # each covers what later ones do
        place = slice(y, y + height), slice(x, x + width)
        for each in waiting if width else ():
            cv2.max(each[place], cover[place], dst=each[place])

    def flush(self) -> list[Waiting[T]]:
        """Return all that wait, in order: the video has ended."""
        return [self._pop() for _ in range(len(self._waiting))]

    def _is_full(self) -> bool:
        if self._used <= self._memory:
            return False
        if not self._is_short:
            self._is_short = True
            _LOGGER.warning('people are covered only %.2f s before they are found: more frames of this size do not fit into '
                            '%d MB', self._time - self._waiting[0].time, self._memory >> 20)
        return True

    def _pop(self) -> Waiting[T]:
        first = self._waiting.popleft()
        self._used -= first.size
        return first

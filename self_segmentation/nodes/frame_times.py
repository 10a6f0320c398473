# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""When the frames of a live video were taken, also if their stamps are wrong."""

from __future__ import annotations

__all__ = ['FrameTimes']

_SETTLED = 5  # frames in a row after which stamps are no longer used, or used again
_SLOWEST, _FASTEST = 1e-3, 100.0  # seconds that the stamps of a bag or a simulation may advance in a second
_BURST = 1.0  # seconds that stamps may advance at once: delayed frames come together


class FrameTimes:
    """
    The times of a video's frames: by their stamps while these advance, else by a clock.

    Stamps may run faster or slower than the clock, as those of a bag do. A single odd stamp adds no time. After five in a row
    that are equal, decrease or jump, the clock is used, until five in a row advance.
    """

    def __init__(self) -> None:
        self.time = self.stamp = 0.0  # of the last frame, seconds; the time never runs backwards
        self.is_by_clock = False
        self.is_jump = False  # whether the last stamp jumped, back or ahead
        self._now: float | None = None
        self._others = 0  # frames in a row that ask for the other way

    def next(self, stamp: float, now: float) -> None:
        """
        Take the next frame.

        :param stamp: of the frame, seconds.
        :param now: of a clock that runs steadily, seconds.
        """
        if self._now is None:
            self.time = self.stamp = stamp
            self._now = now
            return
        step, passed = stamp - self.stamp, now - self._now
        self.stamp, self._now = stamp, now
        self.is_jump = step < 0 or step > _BURST + _FASTEST * passed
        advances = step > _SLOWEST * passed and not self.is_jump
        self._others = self._others + 1 if advances == self.is_by_clock else 0
        if self._others >= _SETTLED:
            self.is_by_clock, self._others = not self.is_by_clock, 0
        if self.is_by_clock:
            self.time += passed
        elif advances:
            self.time += step

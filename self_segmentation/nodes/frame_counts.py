# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What became of the frames: how many came, were served, skipped, lost and replaced, and how long each stage took."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .inputs import Origin

__all__ = ['FrameCounts', 'Pace', 'Recent']

_REMEMBERED = 300  # frames whose latencies count
_PUBLISHERS = 16  # whose last numbers are kept: a camera that starts again has a new one
_JUDGED = 3  # spans that are too slow in a row before it is reported: one hiccup, or the start, is not
_FRAMES_TO_JUDGE = 5  # in such a span, which has a second at least
_BEHIND, _LOSS = 0.1, 0.2  # fractions of a camera's frames that newer ones may replace, and that may be lost
_BUSY = 0.9  # fraction of the time from which a node is too slow, if frames have no numbers (Humble, Cyclone DDS)


class Recent(NamedTuple):
    """Frames that the camera sent, in words, and results out, each a second; frames that came, and those skipped."""

    sent: str
    came: int
    went: float
    skipped: int


class Pace(NamedTuple):
    """What is served of what a camera sends, each a second; ``sent`` is None if it is not known."""

    served: float
    sent: float | None


class _Span(NamedTuple):
    """Frames of a span of time: sent by the camera, lost, replaced by newer ones, served. ``busy``: seconds, without numbers."""

    sent: float = 0
    lost: float = 0
    replaced: float = 0
    served: float = 0
    seconds: float = 0.0
    busy: float = 0.0

    @property
    def is_busy(self) -> bool:
        return self.busy > _BUSY * self.seconds

    @staticmethod
    def sum(*spans: _Span) -> _Span:
        return _Span(*map(sum, zip(*spans)))


class FrameCounts:
    """
    What became of the frames, for the next report.

    Since :meth:`reset`: ``received``, ``served``, ``skipped`` (not usable), ``lost`` (by the middleware's count) and
    :attr:`replaced`. ``is_failing`` tells whether the last frame was skipped.

    :param now: the clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.last_error, self._now = '', now
        self._error_time = 0.0
        self.reset()

    def reset(self) -> None:
        """Start counting again: from now on frames are wanted."""
        self.received = self.served = self.skipped = self.lost = self._missed = 0
        self.is_failing = False
        self._numbers: dict[bytes, int] = {}  # of the last frame, by publisher
        self._has_numbers = False
        self._latest = self._since = self._now()
        self._used, self._cpu_between = 0.0, time.thread_time()
        self._at_report, self._cpu_at_report = (0, 0, 0, 0, 0, 0.0), time.process_time()
        self._span, self._spans = _Span(), deque[_Span](maxlen=_JUDGED)
        self._seconds: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_REMEMBERED))

    @property
    def silence(self) -> float:
        """Seconds since the last frame came, or since frames are wanted."""
        return self._now() - self._latest

    @property
    def replaced(self) -> int | None:
        """Frames that were replaced by newer ones before the node took them; None if frames have no numbers."""
        return max(self._missed - self.lost, 0) if self._has_numbers else None

    @property
    def too_slow(self) -> Pace | None:
        """What is served, if it was too little in the last three spans; else None."""
        is_too_slow = all(span.is_busy or span.replaced > _BEHIND * span.sent for span in self._spans)
        if len(self._spans) < _JUDGED or not is_too_slow:
            return None
        span = _Span.sum(*self._spans)
        return Pace(span.served / span.seconds, span.sent / span.seconds if span.replaced else None)

    @property
    def lost_fraction(self) -> float:
        """The fraction of the camera's frames that is lost on the way, if it was too much in the last three spans; else 0."""
        if len(self._spans) < _JUDGED or not all(span.lost > _LOSS * span.sent for span in self._spans):
            return 0.0
        span = _Span.sum(*self._spans)
        return span.lost / span.sent

    def arrive(self, origin: Origin = None) -> None:
        """Count a frame, by its publisher and number if they are known."""
        self.received += 1
        self._used += time.thread_time() - self._cpu_between  # in the executor: the frame was copied
        self._latest = self._now()
        self._has_numbers = origin is not None
        if origin is not None:
            publisher, number = origin
            self._missed += max(number - self._numbers.pop(publisher, number) - 1, 0)
            self._numbers[publisher] = number
            if len(self._numbers) > _PUBLISHERS:
                del self._numbers[next(iter(self._numbers))]

    def serve(self, seconds: dict[str, float]) -> None:
        """Count a frame whose results are out, with the seconds of each stage."""
        self.served += 1
        self.is_failing = False
        for stage, value in seconds.items():
            self._seconds[stage].append(value)
        self._end_frame()

    def wait(self) -> None:
        """Take a frame whose results come later."""
        self.is_failing = False
        self._end_frame()

    def skip(self, reason: str) -> None:
        """Count a frame that could not be used."""
        self.skipped += 1
        self.is_failing = True
        self.fail(reason)
        self._end_frame()

    def _end_frame(self) -> None:
        self._used += self._now() - self._latest
        self._cpu_between = time.thread_time()

    def lose(self, total: int) -> None:
        """Take how many frames the middleware lost so far."""
        self.lost = total

    def fail(self, reason: str) -> None:
        """Keep an error for the reports."""
        self.last_error, self._error_time = reason, self._now()

    def report(self) -> tuple[Recent, dict[str, str]]:
        """Return what happened since the last report, and all figures."""
        now, counts = self._now(), (self.received, self.served, self.skipped, self.lost, self._missed, self._used)
        seconds = max(now - self._since, 1e-3)
        came, went, skipped, lost, missed, used = (count - before for count, before in zip(counts, self._at_report))
        sent = came + max(missed, lost)
        recent = _Span(sent, lost, max(missed - lost, 0), went, seconds, 0.0 if self._has_numbers else used)
        self._span = _Span.sum(self._span, recent)
        if self._span.sent >= _FRAMES_TO_JUDGE:  # a single late frame of a slow camera is no sign
            self._spans.append(self._span)
            self._span = _Span()
        cpu = time.process_time()
        cores, self._cpu_at_report = (cpu - self._cpu_at_report) / seconds, cpu
        self._since, self._at_report = now, counts
        replaced = self.replaced
        rate_in = f'{"at least " if recent.is_busy else ""}{sent / seconds:.1f}'
        values = {'rate in (Hz)': rate_in, 'rate out (Hz)': f'{went / seconds:.1f}',
                  'CPU (cores)': f'{cores:.2f}', 'frames dropped': f'{self.skipped + self.lost + (replaced or 0)}',
                  'frames dropped: unusable': f'{self.skipped}', 'frames dropped: lost on the way': f'{self.lost}',
                  'frames dropped: replaced by newer ones': 'unknown' if replaced is None else f'{replaced}'}
        for stage, durations in self._seconds.items():
            p50, p95 = 1e3 * np.percentile(durations, (50, 95))
            values[f'{stage} p50 / p95 (ms)'] = f'{p50:.1f} / {p95:.1f}'
        values['last error'] = f'{self.last_error} ({now - self._error_time:.0f} s ago)' if self.last_error else 'none'
        return Recent(rate_in, int(came), went / seconds, int(skipped)), values

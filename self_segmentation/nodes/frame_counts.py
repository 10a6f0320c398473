# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What became of the frames: how many came, were served, skipped, lost and replaced, and how long each stage took."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection
from typing import NamedTuple

import numpy as np

from .inputs import Origin

__all__ = ['FrameCounts', 'Pace', 'Recent', 'replaced_for_each']

_REMEMBERED = 300  # frames whose latencies count
_PUBLISHERS = 16  # whose last numbers are kept: cameras that start again and again have new ones
_JUDGED = 3  # spans of a second or more that are too slow before it is reported: one hiccup, or the start, is not
_FRAMES_TO_JUDGE = 5  # in such a span
_BEHIND, _LOSS = 0.1, 0.2  # fraction of a camera's frames that newer ones may replace, and that may be lost
# Where frames have no numbers:
_BUSY = 0.9  # fraction of the time from which a node is busy all of it
_TAKEN, _LEAST_TAKEN = 60, 15  # frames by whose stamps it is told what was replaced
_MOST_REPLACED = 12  # times as many frames as are taken
_JITTER = 0.2  # periods


class Recent(NamedTuple):
    """Frames that the camera sent, in words, and results out, each a second; frames that came, and those skipped."""

    sent: str
    came: int
    went: float
    skipped: int


class Pace(NamedTuple):
    """What is served of what a camera sends, each a second; ``sent`` is None where it is not known."""

    served: float
    sent: float | None


class _Counts(NamedTuple):
    """Of a span: what the camera sent, what of it was lost, what newer frames replaced, what was served; its seconds."""

    sent: float = 0
    lost: float = 0
    replaced: float = 0
    served: float = 0
    seconds: float = 0.0


class FrameCounts:
    """
    What became of the frames, for the next report.

    ``received`` counts what came, ``served`` what was published, ``skipped`` what could not be used, ``lost`` what the middleware
    says did not arrive, ``replaced`` what newer frames took the place of (None where frames have no numbers): all since
    :meth:`reset`. ``is_failing`` tells whether the last frame was skipped.

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
        self._taken: deque[tuple[float, float, float]] = deque(maxlen=_TAKEN)  # stamp, when it came, seconds idle before it
        self._latest = self._since = self._end = self._now()
        self._used, self._cpu_between = 0.0, time.thread_time()
        self._at_report, self._cpu_at_report = (0, 0, 0, 0, 0, 0.0), time.process_time()
        self._judged, self._counts = deque[tuple[_Counts, bool]](maxlen=_JUDGED), _Counts()
        self._seconds: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_REMEMBERED))

    @property
    def silence(self) -> float:
        """Seconds since the last frame came, or since frames are wanted."""
        return self._now() - self._latest

    @property
    def replaced(self) -> int | None:
        """Frames that a newer one took the place of, as the node was not done with those before."""
        return max(self._missed - self.lost, 0) if self._has_numbers else None

    @property
    def too_slow(self) -> Pace | None:
        """What is served, where that is too little for three spans of a second or more; None where the node keeps up."""
        if len(self._judged) < _JUDGED or not all(is_behind for _, is_behind in self._judged):
            return None
        counts = self._judged_counts
        return Pace(counts.served / counts.seconds, counts.sent / counts.seconds if counts.replaced else None)

    @property
    def lost_fraction(self) -> float:
        """The fraction of the camera's frames that is lost on the way, where it is too much for three such spans; else 0."""
        if len(self._judged) < _JUDGED or not all(counts.lost > _LOSS * counts.sent for counts, _ in self._judged):
            return 0.0
        return self._judged_counts.lost / self._judged_counts.sent

    @property
    def _judged_counts(self) -> _Counts:
        return _Counts(*(sum(each) for each in zip(*(counts for counts, _ in self._judged))))

    def arrive(self, stamp: float, origin: Origin = None) -> None:
        """
        Note a frame.

        :param stamp: of its header, seconds.
        :param origin: its publisher, and its number.
        """
        self.received += 1
        self._used += time.thread_time() - self._cpu_between  # in the executor: the frame was copied
        self._latest = self._now()
        self._taken.append((stamp, self._latest, self._latest - self._end))
        self._has_numbers = origin is not None
        if origin is not None:
            publisher, number = origin
            self._missed += max(number - self._numbers.pop(publisher, number) - 1, 0)
            self._numbers[publisher] = number
            if len(self._numbers) > _PUBLISHERS:
                del self._numbers[next(iter(self._numbers))]

    def serve(self, seconds: dict[str, float]) -> None:
        """Note that its results are out, and how long each stage took."""
        self.served += 1
        self.is_failing = False
        for stage, value in seconds.items():
            self._seconds[stage].append(value)
        self._end_frame()

    def wait(self) -> None:
        """Note that its results come later."""
        self.is_failing = False
        self._end_frame()

    def skip(self, reason: str) -> None:
        """Note that it could not be used."""
        self.skipped += 1
        self.is_failing = True
        self.fail(reason)
        self._end_frame()

    def _end_frame(self) -> None:
        self._end = self._now()
        self._used += self._end - self._latest
        self._cpu_between = time.thread_time()

    def lose(self, more: int) -> None:
        """Note that the middleware lost more frames."""
        self.lost += more

    def fail(self, reason: str) -> None:
        """Note an error."""
        self.last_error, self._error_time = reason, self._now()

    def report(self) -> tuple[Recent, dict[str, str]]:
        """Return what there was since the last report, and all figures."""
        now, counts = self._now(), (self.received, self.served, self.skipped, self.lost, self._missed, self._used)
        span = max(now - self._since, 1e-3)
        came, went, skipped, lost, missed, used = (count - before for count, before in zip(counts, self._at_report))
        is_busy = False
        if not self._has_numbers:
            for_each = replaced_for_each(self._taken)
            missed, is_busy = lost + round(came * (for_each or 0)), for_each is None and used > _BUSY * span
        sent = came + max(missed, lost)
        self._judge(_Counts(sent, lost, max(missed - lost, 0), went, span), is_busy)
        cpu = time.process_time()
        cores, self._cpu_at_report = (cpu - self._cpu_at_report) / span, cpu
        self._since, self._at_report = now, counts
        replaced = self.replaced
        rate_in = f'at least {sent / span:.1f}' if is_busy else f'{sent / span:.1f}'
        values = {'rate in (Hz)': rate_in, 'rate out (Hz)': f'{went / span:.1f}',
                  'CPU (cores)': f'{cores:.2f}', 'frames dropped': f'{self.skipped + self.lost + (replaced or 0)}',
                  'frames dropped: unusable': f'{self.skipped}', 'frames dropped: lost on the way': f'{self.lost}',
                  'frames dropped: replaced by newer ones': 'unknown' if replaced is None else f'{replaced}'}
        for stage, seconds in self._seconds.items():
            p50, p95 = 1e3 * np.percentile(seconds, (50, 95))
            values[f'{stage} p50 / p95 (ms)'] = f'{p50:.1f} / {p95:.1f}'
        values['last error'] = f'{self.last_error} ({now - self._error_time:.0f} s ago)' if self.last_error else 'none'
        return Recent(rate_in, int(came), went / span, int(skipped)), values

    def _judge(self, recent: _Counts, is_busy: bool) -> None:
        """Judge the time since the last judgement, once it has enough frames: one that is late in a slow camera's is no sign."""
        self._counts = counts = _Counts(*(sum(pair) for pair in zip(self._counts, recent)))
        if counts.sent >= _FRAMES_TO_JUDGE:
            self._judged.append((counts, is_busy or counts.replaced > _BEHIND * counts.sent))
            self._counts = _Counts()


def replaced_for_each(taken: Collection[tuple[float, float, float]]) -> float | None:
    """
    Return how many frames were replaced for each that was taken, by the stamps of these; None where they do not tell.

    Their stamps are whole numbers of the camera's period apart. What was not taken was replaced where the node was idle for less
    than a period before the next one: else the camera did not send it.

    :param taken: the stamp of each, when it came, and how long nothing was done before it; seconds.
    """
    if len(taken) < _LEAST_TAKEN:
        return None
    stamps, came, idle = np.array(taken).T
    steps = np.diff(stamps)
    if steps.min() <= 0:
        return None
    for parts in range(1, _MOST_REPLACED):
        period = np.median(steps) / parts
        periods = np.round(steps / period)
        if np.percentile(np.abs(steps / period - periods), 95) < _JITTER:
            seconds = period * (came[-1] - came[0]) / (stamps[-1] - stamps[0])  # a bag may be played faster
            return float(np.where(idle[1:] < seconds, np.maximum(periods - 1, 0), 0).mean())
    return None

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""How the node is, once a second on ``/diagnostics``."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock
from rclpy.node import Node

__all__ = ['Health', 'Status', 'start_diagnostics']

_TASK = 'frames'
_REMEMBERED = 300  # frames whose latencies count
_FASTEST = 2000.0  # Hz; numbers that run faster are those of several cameras on one topic


class Status(NamedTuple):
    """What is reported: ``level`` is one of DiagnosticStatus.OK, WARN, ERROR, STALE; ``values`` figures by name."""

    level: bytes
    message: str
    values: dict[str, str]


class Recent(NamedTuple):
    """Frames in and results out (each a second), frames skipped, and the fraction that was lost on the way."""

    came: float
    went: float
    skipped: int
    lost: float


class Health:
    """
    What became of the frames, for the next report.

    ``received`` counts what came, ``served`` what was published, ``skipped`` what could not be used, ``lost`` what the middleware
    says did not arrive, ``replaced`` what newer frames took the place of (None before the first frame, and on Humble, where
    frames have no numbers): all since :meth:`reset`.
    """

    def __init__(self) -> None:
        self.last_error = ''
        self._error_time = 0.0
        self.reset()

    def reset(self) -> None:
        """Start counting again: from now on frames are wanted."""
        self.received = self.served = self.skipped = self.lost = self._missed = 0
        self._number: int | None = None
        self._latest = self._since = time.monotonic()
        self._at_report, self._cpu_at_report = (0, 0, 0, 0), time.process_time()
        self._seconds: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_REMEMBERED))

    @property
    def silence(self) -> float:
        """Seconds since the last frame came, or since frames are wanted."""
        return time.monotonic() - self._latest

    @property
    def replaced(self) -> int | None:
        """Frames that a newer one took the place of, as the node was not done with those before."""
        return None if self._number is None else max(self._missed - self.lost, 0)

    def arrive(self, number: int | None = None) -> None:
        """
        Note a frame.

        :param number: that its publisher gave it, which counts them all; None where it is not known.
        """
        self.received += 1
        before, self._latest = self._latest, time.monotonic()
        if number is not None:
            missed = number - self._number - 1 if self._number is not None else 0
            if 0 < missed <= 1 + (self._latest - before) * _FASTEST:  # else another publisher, or one that started again
                self._missed += missed
            self._number = number

    def serve(self, seconds: dict[str, float]) -> None:
        """Note that its results are out, and how long each stage took."""
        self.served += 1
        for stage, value in seconds.items():
            self._seconds[stage].append(value)

    def skip(self, reason: str) -> None:
        """Note that it could not be used."""
        self.skipped += 1
        self.fail(reason)

    def lose(self, total: int) -> None:
        """Note how many frames the middleware lost so far."""
        self.lost = total

    def fail(self, reason: str) -> None:
        """Note an error."""
        self.last_error, self._error_time = reason, time.monotonic()

    def report(self) -> tuple[Recent, dict[str, str]]:
        """Return what there was since the last report, and all figures."""
        now, counts = time.monotonic(), (self.received, self.served, self.skipped, self.lost)
        span = max(now - self._since, 1e-3)
        came, went, skipped, lost = (count - before for count, before in zip(counts, self._at_report))
        cpu = time.process_time()
        cores, self._cpu_at_report = (cpu - self._cpu_at_report) / span, cpu
        self._since, self._at_report = now, counts
        replaced = self.replaced
        values = {'rate in (Hz)': f'{came / span:.1f}', 'rate out (Hz)': f'{went / span:.1f}',
                  'CPU (cores)': f'{cores:.2f}', 'frames dropped': f'{self.skipped + self.lost + (replaced or 0)}',
                  'frames dropped: unusable': f'{self.skipped}', 'frames dropped: lost on the way': f'{self.lost}',
                  'frames dropped: replaced by newer ones': 'unknown' if replaced is None else f'{replaced}'}
        for stage, seconds in self._seconds.items():
            p50, p95 = 1e3 * np.percentile(seconds, (50, 95))
            values[f'{stage} p50 / p95 (ms)'] = f'{p50:.1f} / {p95:.1f}'
        values['last error'] = f'{self.last_error} ({now - self._error_time:.0f} s ago)' if self.last_error else 'none'
        return Recent(came / span, went / span, skipped, lost / max(came + lost, 1)), values


def start_diagnostics(node: Node, status: Callable[[], Status], clock: Clock) -> None:
    """
    Report on ``/diagnostics`` (diagnostic_msgs/DiagnosticArray) once a second.

    :param node: that reports. Its full name is in the report's: several cameras have nodes of one name.
    :param status: how it is now.
    :param clock: that the reports go by.
    """
    publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 1)
    name = node.get_fully_qualified_name()

    def publish() -> None:
        level, message, values = status()
        array = DiagnosticArray(status=[DiagnosticStatus(
            level=level, name=f'{name.removeprefix("/")}: {_TASK}', message=message, hardware_id=name,
            values=[KeyValue(key=key, value=value) for key, value in values.items()])])
        array.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(array)

    node.create_timer(1.0, publish, clock=clock)

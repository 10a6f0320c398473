# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""How a process is told to end: SIGINT, SIGTERM and SIGHUP."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

__all__ = ['handle_signals', 'ignore_signals', 'note_signals']

_OUTLIVES_TERMINAL = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN  # as nohup has it
Handler = Callable[[int, FrameType | None], Any] | signal.Handlers


def note_signals() -> list[int]:
    """Interrupt nothing from now on; return the list that signals are noted in."""
    noted: list[int] = []
    handle_signals(lambda number, _frame: noted.append(number))
    return noted


def ignore_signals() -> None:
    """Ignore signals from now on: the interpreter brings the default back while it ends, and a second one would show."""
    handle_signals(signal.SIG_IGN)


def handle_signals(handler: Handler) -> None:
    """Have SIGINT, SIGTERM and, unless the program was started by nohup, SIGHUP handled."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)
    if not _OUTLIVES_TERMINAL:
        signal.signal(signal.SIGHUP, handler)

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The signals that end a process: SIGINT, SIGTERM and SIGHUP."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

__all__ = ['handle_signals', 'ignore_signals', 'note_signals']

_OUTLIVES_TERMINAL = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN  # under nohup
Handler = Callable[[int, FrameType | None], Any] | signal.Handlers


def note_signals() -> list[int]:
    """Return a list that gets the numbers of all signals from now on; they interrupt nothing."""
    received: list[int] = []
    handle_signals(lambda number, _frame: received.append(number))
    return received


def ignore_signals() -> None:
    """Ignore signals from now on: at the interpreter's end a second one would show a traceback."""
    handle_signals(signal.SIG_IGN)


def handle_signals(handler: Handler) -> None:
    """Handle SIGINT, SIGTERM and, unless nohup started the program, SIGHUP."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)
    if not _OUTLIVES_TERMINAL:
        signal.signal(signal.SIGHUP, handler)

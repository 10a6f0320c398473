# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
How the package's programs start and end: SIGINT and SIGTERM end them with exit code 0 and no traceback, at any moment.

Imports nothing heavy, so that the signals are in hand before that is imported, which takes seconds.
"""

from __future__ import annotations

import functools
import importlib
import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

__all__ = ['ignore_signals', 'note_signals', 'start']

_Handler = Callable[[int, FrameType | None], Any] | signal.Handlers


def start(module: str) -> int:
    """
    Run a program and return its exit code.

    :param module: name in this package of a module with a function ``main``.
    """
    _handle_signals(lambda _number, _frame: os._exit(0))  # nothing is there yet that has to be closed
    main: Callable[[], int] = importlib.import_module(f'{__package__}.{module}').main
    _handle_signals(signal.default_int_handler)  # SIGINT too: it is ignored in a shell's background jobs
    try:
        return main()
    except KeyboardInterrupt:
        return 0
    finally:
        ignore_signals()


def note_signals() -> list[int]:
    """Interrupt nothing from now on; return the list that signals are noted in."""
    noted: list[int] = []
    _handle_signals(lambda number, _frame: noted.append(number))
    return noted


def ignore_signals() -> None:
    """Ignore signals from now on: the interpreter brings the default back while it ends, and a second one would show."""
    _handle_signals(signal.SIG_IGN)


def _handle_signals(handler: _Handler) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


benchmark = functools.partial(start, 'tools.benchmark')
camera_node = functools.partial(start, 'nodes.camera_node')
evaluate = functools.partial(start, 'tools.evaluate')
segmentation_node = functools.partial(start, 'nodes.segmentation_node')
self_segmentation = functools.partial(start, '__main__')
soak = functools.partial(start, 'tools.soak')
viewer_node = functools.partial(start, 'nodes.viewer_node')

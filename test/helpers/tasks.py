# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Tasks that end in every way, for the tests of the processes that do them; it imports nothing heavy."""

from __future__ import annotations

import os
import resource
import signal
import time
from pathlib import Path

from self_segmentation.recordings import workers


def work(task: str, told: list[int]) -> str | None:
    """Do what the task is named after; one that is named after a file waits, with its process's number in that."""
    if task == 'kill':
        os.kill(os.getpid(), signal.SIGKILL)
    if task == 'exit':
        os._exit(3)
    if task == 'raise':
        raise LookupError('never foreseen')
    if task == 'memory':
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        bytes(1 << 31)
    if task.startswith('/'):
        Path(task).write_text(str(os.getpid()))
        while not told:
            time.sleep(0.01)
        Path(task).unlink()
        return None
    if task == 'stubborn':
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(1)
    return {'fine': '', 'large': 'x' * 1_000_000}.get(task, f'{task} is wrong')


def deaf(task: str, _told: list[int]) -> None:
    """Never look whether it should end, for which it gets little time."""
    workers._PATIENCE = 0.5
    Path(task).write_text(str(os.getpid()))
    while True:
        time.sleep(1)

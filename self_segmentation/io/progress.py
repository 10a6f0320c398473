# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Progress bars, which threads share and processes do not."""

from threading import RLock

from tqdm import tqdm

__all__ = ['tqdm']

# tqdm's own lock is a semaphore, for processes. From Python 3.14 on each starts a process, which reports it as leaked at the end.
tqdm.set_lock(RLock())

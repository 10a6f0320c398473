# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""One program at a time writes to an output."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ..errors import OutputError

__all__ = ['claim', 'claimed']

_LOGGER = logging.getLogger('self_segmentation.files')


def claim(path: Path, shared: bool = False) -> int:
    """
    Open an output and lock it with ``flock``; return its file descriptor. Closing it, or the end of the process, frees it.

    A file keeps its content; a missing one is made. A folder must exist. Only regular files and folders are locked.

    :param shared: whether other programs may share the lock.
    :raises OutputError: another program writes to it.
    :raises OSError: it cannot be opened.
    """
    while True:
        descriptor = os.open(path, os.O_CLOEXEC | (os.O_RDONLY if path.is_dir() else os.O_WRONLY | os.O_CREAT), 0o666)
        try:
            _lock(path, descriptor, shared)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(path.stat(), os.fstat(descriptor)):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # what was opened was renamed or removed by the program that had it


@contextlib.contextmanager
def claimed(path: Path, shared: bool = False) -> Iterator[None]:
    """Keep an output locked while the block runs: see :func:`claim`."""
    descriptor = claim(path, shared)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(path: Path, descriptor: int, shared: bool) -> None:
    mode = os.fstat(descriptor).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_NB | (fcntl.LOCK_SH if shared else fcntl.LOCK_EX))
    except BlockingIOError as error:
        raise OutputError(f'{path} is being written by another program: wait for its end, or give another output') from error
    except OSError as error:  # some network file systems know no locks
        _LOGGER.warning('%s cannot be locked (%s): let no other program write to it', path, error.strerror)

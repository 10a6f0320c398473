# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What MediaPipe, LiteRT, OpenCV and FFmpeg write to stderr while they open something: to the log, not to the console."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator

from ..errors import SelfSegmentationError, masked

__all__ = ['LOGGER', 'library_lines_logged']

LOGGER = logging.getLogger('self_segmentation.libraries')
# MediaPipe 0.10.21 and LiteRT 2.3 heed no environment variable for the level of these.
_HARMLESS = (r'[IW]\d{4} |WARNING: (All log messages before absl|Logging before InitGoogle)|'  # MediaPipe's
             r'INFO: Created TensorFlow|'  # LiteRT's
             r'\[ ?\w+:\d+@|VIDEOIO |'  # OpenCV's
             r'\[[\w, ]+ @ 0x')  # FFmpeg's
_LINE = re.compile(rf'{_HARMLESS}|E\d{{4}} ')  # and what becomes an error of ours
# What a process of its own does when the pipe to it is closed, as this process is gone.
_REPORT = """
import re, sys
sys.stdin.read()
with open(f'/proc/self/fd/{sys.argv[1]}', errors='replace') as lines:
    sys.stdout.writelines(line for line in lines if not re.match(sys.argv[2], line))
"""


@contextlib.contextmanager
def library_lines_logged() -> Iterator[None]:
    """
    Log the libraries' lines at the level DEBUG, which Python shows nobody who does not ask; other lines come out afterwards.

    All of them come out where the block fails in a way that nobody foresaw. Where a library ends the whole process, what is not
    harmless comes out.
    """
    try:
        stderr = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    kept = os.memfd_create('stderr')
    is_expected = True
    try:
        with _reported_if_aborted(kept, stderr):
            os.dup2(kept, 2)
            try:
                yield
            finally:
                os.dup2(stderr, 2)
    except SelfSegmentationError:
        raise
    except BaseException:
        is_expected = False
        raise
    finally:
        lines = os.pread(kept, os.fstat(kept).st_size, 0).decode(errors='replace').splitlines(keepends=True)
        for line in lines:
            if is_expected and _LINE.match(line):
                LOGGER.debug(masked(line).rstrip())
            else:
                with contextlib.suppress(OSError):  # a terminal that is gone, a full disk
                    os.write(2, masked(line).encode())
        os.close(kept)
        os.close(stderr)


@contextlib.contextmanager
def _reported_if_aborted(kept: int, stderr: int) -> Iterator[None]:
    """Have another process write what was kept if this one ends inside the block: nothing runs here after a library's abort."""
    try:
        reporter = subprocess.Popen([sys.executable, '-ISc', _REPORT, str(kept), _HARMLESS], stdin=subprocess.PIPE, stdout=stderr,
                                    stderr=subprocess.DEVNULL, pass_fds=[kept], start_new_session=True)
    except OSError as error:
        LOGGER.debug('what a library writes before it ends the process would be lost: %s', error)
        yield
        return
    try:
        yield
    finally:
        reporter.kill()
        reporter.communicate()

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What MediaPipe, LiteRT, OpenCV and FFmpeg write to stderr while they open something: to the log, not to the console."""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Iterator

from ..errors import SelfSegmentationError, masked

__all__ = ['LOGGER', 'library_lines_logged']

LOGGER = logging.getLogger('self_segmentation.libraries')
_LINE = re.compile(r'[IWEF]\d{4} |WARNING: (All log messages before absl|Logging before InitGoogle)|'  # MediaPipe's
                   r'INFO: Created TensorFlow|'  # LiteRT's
                   r'\[ ?\w+:\d+@|VIDEOIO |'  # OpenCV's
                   r'\[[\w, ]+ @ 0x')  # FFmpeg's


@contextlib.contextmanager
def library_lines_logged() -> Iterator[None]:
    """
    Log the libraries' lines at the level DEBUG, which Python shows nobody who does not ask; other lines come out afterwards.

    All of them come out where the block fails in a way that nobody foresaw.
    """
    try:
        stderr = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    kept = os.memfd_create('stderr')
    os.dup2(kept, 2)
    is_expected = True
    try:
        yield
    except SelfSegmentationError:
        raise
    except BaseException:
        is_expected = False
        raise
    finally:
        os.dup2(stderr, 2)
        lines = os.pread(kept, os.fstat(kept).st_size, 0).decode(errors='replace').splitlines(keepends=True)
        for line in lines:
            if is_expected and _LINE.match(line):
                LOGGER.debug(masked(line).rstrip())
            else:
                with contextlib.suppress(OSError):  # a terminal that is gone, a full disk
                    os.write(2, masked(line).encode())
        os.close(kept)
        os.close(stderr)

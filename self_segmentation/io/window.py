# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The tutorial's window, where there is a display."""

from __future__ import annotations

import os
import subprocess
import sys

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ['TITLE', 'Window', 'why_no_window']

TITLE = 'MediaPipe Selfie Segmentation'
_TRIAL = 'import cv2; cv2.namedWindow("x")'
_TRIAL_TIME = 30.0  # seconds
_END_KEYS = (ord('q'), 27)  # q, Esc


def why_no_window() -> str:
    """Return why no window can be shown, in words; nothing where one can."""
    if 'GUI:                           NONE' in cv2.getBuildInformation():
        return 'this OpenCV was built without windows (opencv-python-headless)'
    if sys.platform == 'linux' and not (os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')):
        return 'there is no display (DISPLAY and WAYLAND_DISPLAY are not set)'
    # In a process of its own: where the display does not answer, Qt ends it.
    try:
        tried = subprocess.run([sys.executable, '-c', _TRIAL], capture_output=True, text=True, errors='replace',
                               timeout=_TRIAL_TIME)
    except subprocess.TimeoutExpired:
        return f'{_display()} does not answer'
    if tried.returncode:
        lines = tried.stderr.split('\n', 1) if tried.stderr.startswith('qt') else tried.stderr.strip().rsplit('\n', 1)[::-1]
        return f'{_display()} cannot be used ({lines[0].strip()})'
    return ''


def _display() -> str:
    names = [name for name in ('DISPLAY', 'WAYLAND_DISPLAY') if os.environ.get(name)]
    return ', '.join(f'{name}={os.environ[name]}' for name in names) or 'the display'


class Window:
    """
    A window that shows frames.

    :raises cv2.error: the display refuses.
    """

    def __init__(self) -> None:
        cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        self._sized = False

    def show(self, frame: NDArray[np.uint8], milliseconds: int = 1) -> bool:
        """
        Show a frame, (height, width, 3) uint8 blue green red; of (height, width, 4) the alpha is not seen.

        :param milliseconds: how long at least, 1 or more.
        :returns: whether to go on: False after q, Esc or when the window was closed.
        """
        if not self._sized:
            cv2.resizeWindow(TITLE, frame.shape[1], frame.shape[0])
            self._sized = True
        cv2.imshow(TITLE, frame)
        return self.poll(milliseconds)

    def poll(self, milliseconds: int = 1) -> bool:
        """Let the window handle its events; return whether to go on."""
        if cv2.waitKey(milliseconds) & 0xFF in _END_KEYS:
            return False
        return cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) >= 1

    def close(self) -> None:
        """Close the window."""
        cv2.destroyAllWindows()

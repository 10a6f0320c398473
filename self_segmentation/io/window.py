# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The tutorial's window: OpenCV's, or pygame's if OpenCV has none (opencv-python-headless)."""

from __future__ import annotations

import ctypes.util
import importlib
import os
import subprocess
import sys
import time
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..resources import Closing

__all__ = ['TITLE', 'Window', 'has_display', 'why_no_window']

TITLE = 'MediaPipe Selfie Segmentation'
_TRIAL = 'from self_segmentation.io.window import Window; Window()'
_TRIAL_TIME = 30.0  # seconds
_END_KEYS = (ord('q'), 27)  # q, Esc
_QT_NEEDS = 'SM', 'ICE'  # libraries of the system that the Qt in OpenCV's wheels loads
_INVISIBLE = 'dummy', 'offscreen'  # SDL's drivers without a display
_OF_SCREEN = 0.9  # how much of it a window takes at most
_POLL_INTERVAL = 0.01  # seconds


def has_display() -> bool:
    """Return whether a display is named; it need not answer."""
    return sys.platform != 'linux' or bool(os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY'))


def why_no_window() -> str:
    """Return why no window can be shown; '' if one can."""
    if not has_display():
        return 'there is no display (DISPLAY and WAYLAND_DISPLAY are not set)'
    if not _opencv_has_windows():
        try:
            _pygame()
        except ImportError as error:
            return f'this OpenCV has none (opencv-python-headless), and {error}: {sys.executable} -m pip install pygame-ce'
    # In a process of its own: if the display does not answer, Qt ends it.
    try:
        tried = subprocess.run([sys.executable, '-c', _TRIAL], capture_output=True, text=True, errors='replace',
                               timeout=_TRIAL_TIME)
    except subprocess.TimeoutExpired:
        return f'{_display()} does not answer'
    if not tried.returncode:
        return ''
    missing = [f'lib{name}' for name in _QT_NEEDS if _opencv_has_windows() and not ctypes.util.find_library(name)]
    if missing:
        return f'{" and ".join(missing)} cannot be loaded: sudo apt install libsm6 libice6'
    lines = tried.stderr.split('\n', 1) if tried.stderr.startswith('qt') else tried.stderr.strip().rsplit('\n', 1)[::-1]
    return f'{_display()} cannot be used ({lines[0].strip()})'


def _display() -> str:
    names = [name for name in ('DISPLAY', 'WAYLAND_DISPLAY') if os.environ.get(name)]
    return ', '.join(f'{name}={os.environ[name]}' for name in names) or 'the display'


def _opencv_has_windows() -> bool:
    return 'GUI:                           NONE' not in cv2.getBuildInformation()


def _pygame() -> Any:
    os.environ.setdefault('PYGAME_HIDE_SUPPORT_PROMPT', '1')
    return importlib.import_module('pygame')


class Window(Closing):
    """
    A window that shows frames.

    :raises RuntimeError: the display refuses; or cv2.error.
    """

    def __init__(self) -> None:
        self._made: _OpenCvWindow | _PygameWindow = _OpenCvWindow() if _opencv_has_windows() else _PygameWindow()

    def show(self, frame: NDArray[np.uint8], milliseconds: int = 1) -> bool:
        """
        Show a frame, (height, width, 3) uint8 blue green red, or (height, width, 4), whose alpha is ignored.

        :param milliseconds: how long at least, 1 or more.
        :returns: whether to go on: False after q, Esc or when the window was closed.
        """
        self._made.show(frame)
        return self._made.poll(milliseconds)

    def poll(self, milliseconds: int = 1) -> bool:
        """Let the window handle its events; return whether to go on."""
        return self._made.poll(milliseconds)

    def close(self) -> None:
        """Close the window."""
        self._made.close()


class _OpenCvWindow:

    def __init__(self) -> None:
        cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        self._sized = False

    def show(self, frame: NDArray[np.uint8]) -> None:
        if not self._sized:
            cv2.resizeWindow(TITLE, frame.shape[1], frame.shape[0])
            self._sized = True
        cv2.imshow(TITLE, frame)

    def poll(self, milliseconds: int) -> bool:
        if cv2.waitKey(milliseconds) & 0xFF in _END_KEYS:
            return False
        return cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) >= 1

    def close(self) -> None:
        cv2.destroyAllWindows()


class _PygameWindow:

    def __init__(self) -> None:
        self._pygame = _pygame()
        self._display = self._pygame.display
        self._display.init()
        if self._display.get_driver() in _INVISIBLE and 'SDL_VIDEODRIVER' not in os.environ:
            raise RuntimeError('SDL finds no display that answers')
        self._display.set_caption(TITLE)
        self._frame = np.empty((0, 0, 3), np.uint8)

    def show(self, frame: NDArray[np.uint8]) -> None:
        if self._display.get_surface() is None:
            width, height = self._display.get_desktop_sizes()[0]
            most = _inside(frame, int(_OF_SCREEN * width), int(_OF_SCREEN * height))
            self._display.set_mode(min(most, frame.shape[1::-1]), self._pygame.RESIZABLE)
        self._frame = frame
        self._draw()

    def _draw(self) -> None:
        surface = self._display.get_surface()
        size = _inside(self._frame, *surface.get_size())
        rgb = cv2.cvtColor(cv2.resize(self._frame[..., :3], size), cv2.COLOR_BGR2RGB)
        surface.fill(0)
        corner = [(whole - part) // 2 for whole, part in zip(surface.get_size(), size)]
        surface.blit(self._pygame.image.frombuffer(rgb, size, 'RGB'), corner)
        self._display.flip()

    def poll(self, milliseconds: int) -> bool:
        end = time.monotonic() + milliseconds / 1e3
        while True:
            for event in self._pygame.event.get():
                is_key = event.type == self._pygame.KEYDOWN and event.key in _END_KEYS
                if is_key or event.type == self._pygame.QUIT:
                    return False
                if event.type in (self._pygame.VIDEORESIZE, self._pygame.VIDEOEXPOSE) and self._frame.size:
                    self._draw()
            left = end - time.monotonic()
            if left <= 0:
                return True
            time.sleep(min(left, _POLL_INTERVAL))

    def close(self) -> None:
        self._display.quit()


def _inside(frame: NDArray[np.uint8], width: int, height: int) -> tuple[int, int]:
    """Return the largest size with the frame's proportions within another."""
    factor = min(width / frame.shape[1], height / frame.shape[0])
    return max(round(factor * frame.shape[1]), 1), max(round(factor * frame.shape[0]), 1)

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Where frames come from when it is not a topic: a camera, a video, a stream, an image, a folder of images."""

from __future__ import annotations

import os
import re
import select
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from ..errors import InputError, OutputError, UnavailableError
from ..resources import as_path, read_file
from ..settings import TUNABLES
from .decoding import MAX_FILE_BYTES
from .frames import ArrivalTimes, Frame, Source, SourceKind, plausible_fps
from .image_files import AnimatedImage, PictureFiles, chosen_pictures, is_animated, picture_kind, pictures_of
from .videos import Video

__all__ = ['Frame', 'Source', 'SourceKind', 'is_camera', 'is_stream', 'keep_pipe', 'open_pictures', 'open_source']

_PLACES = ('give a camera number (0, 1, ...), a device such as /dev/video0, a video, a stream (rtsp://, http://), an image or a '
           'folder of images')
_STREAM = re.compile(r'(https?|rtmps?|rtsps?|rtp|udp|tcp|srt|mms)://', re.IGNORECASE)
_OWN_FILES = ('/dev/stdin', '/dev/fd/', '/proc/self/fd/')  # what this process was started with
_NO_DEVICES = (*_OWN_FILES, '/dev/shm/')
_POLL = 0.2  # seconds
_BACKGROUND_COLOR = TUNABLES['background.color'].default


class _Camera(Source):
    """A camera, through OpenCV."""

    kind, is_live = SourceKind.CAMERA, True

    def __init__(self, place: int | str, width: int, height: int, fps: float) -> None:
        self._place, self._wanted = place, (width, height, fps)
        self._begin()

    def _begin(self) -> None:
        self._capture, self._index, self._arrivals = self._opened(), 0, ArrivalTimes()
        self.fps = plausible_fps(self._capture.get(cv2.CAP_PROP_FPS))

    def _opened(self) -> cv2.VideoCapture:
        try:
            str(self._place).encode()  # of other names OpenCV's FFmpeg ends the process
            capture = cv2.VideoCapture(self._place)
        except UnicodeEncodeError as error:
            raise InputError(f'camera {self._place!r} cannot be opened: its name is not UTF-8') from error
        if not capture.isOpened():
            raise UnavailableError(f'camera {self._place!r} cannot be opened: {_PLACES}')
        for setting, value in zip((cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS), self._wanted):
            if value:
                capture.set(setting, value)
        return capture

    def read(self) -> Frame | None:
        is_there, pixels = self._capture.read()
        if not is_there:
            raise UnavailableError(f'camera {self._place!r} gives no frame: is it unplugged, in use, or damaged?')
        index, self._index = self._index, self._index + 1
        return Frame(np.asarray(pixels, np.uint8), f'{index:05d}', index, *self._arrivals.next())

    def rewind(self) -> None:
        self._capture.release()
        self._begin()

    def close(self) -> None:
        self._capture.release()


def is_stream(place: str) -> bool:
    """Return whether a place is the address of a stream from the network."""
    return _STREAM.match(place) is not None


def is_camera(place: str) -> bool:
    """Return whether a place is a camera: a device, or a number, unless a file or folder has that name."""
    try:
        return stat.S_ISCHR(as_path(place).stat().st_mode)
    except (OSError, ValueError):
        return place.isdecimal() or (place.startswith('/dev/') and not place.startswith(_NO_DEVICES))


def keep_pipe(place: str, stop: Sequence[object]) -> None:
    """
    Replace a pipe of this process (``/dev/stdin``, or a shell's ``<(...)``) by a temporary file, which can be read twice.

    Other places stay as they are.

    :param stop: not empty when it must end early.
    :raises OutputError: there is no room for it.
    """
    try:
        mode = Path(place).stat().st_mode if place.startswith(_OWN_FILES) else 0
    except (OSError, ValueError):
        return
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return
    descriptor = 0 if place == '/dev/stdin' else int(place.rpartition('/')[2])
    try:
        with tempfile.TemporaryFile() as file:
            data = b'more'
            while data and not stop:
                if select.select([descriptor], [], [], _POLL)[0]:
                    data = os.read(descriptor, 1 << 20)
                    file.write(data)
            file.flush()
            os.dup2(file.fileno(), descriptor)
    except OSError as error:
        raise OutputError(f'{place!r} cannot be kept in {tempfile.gettempdir()}: {error.strerror}') from error


def open_source(place: str, width: int = 0, height: int = 0, fps: float = 0.0,
                color: tuple[int, ...] = _BACKGROUND_COLOR) -> Source:  # type: ignore[assignment]
    """
    Open a source of frames. A file's content tells what it is, not its name.

    :param place: a camera number or device (``0``, ``/dev/video0``), a video file, the address of a stream (``rtsp://``,
        ``http://``), an image, or a folder of images. A number is a camera unless a file or folder has that name.
    :param width: and ``height`` in pixels, ``fps`` frames a second: asked of a camera; 0 for its own.
    :param color: red, green, blue, 0..255: what is seen through transparent parts of images and videos.
    :raises InputError: there is no such file, or it cannot be read.
    :raises UnavailableError: the camera or stream cannot be opened.
    """
    if is_stream(place):
        scheme, separator, rest = place.partition('://')
        return Video(scheme.lower() + separator + rest, color)  # FFmpeg knows it in small letters alone
    path = as_path(place)
    if is_camera(place):
        return _Camera(int(place) if place.isdecimal() else str(path), width, height, fps)
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:  # also a zero byte in the name
        reason = getattr(error, 'strerror', '') or error
        problem = 'does not exist' if isinstance(error, FileNotFoundError) else f'cannot be opened ({reason})'
        raise InputError(f'{place!r} {problem}: {_PLACES}') from error
    if stat.S_ISDIR(mode):
        return PictureFiles(pictures_of(path), color)
    if not stat.S_ISREG(mode):
        raise InputError(f'{place!r} is not a regular file: {_PLACES}')
    if not picture_kind(path):
        return Video(path, color)
    if not is_animated(path):
        return PictureFiles([path], color)
    try:
        source = AnimatedImage(read_file(path, MAX_FILE_BYTES), f'animated image {str(path)!r}', color)
        source.measure_rate()
        return source
    except OSError as error:
        raise InputError(f'animated image {str(path)!r} {error.strerror}') from error


def open_pictures(places: Sequence[str], color: tuple[int, ...] = _BACKGROUND_COLOR) -> Source:  # type: ignore[assignment]
    """
    Open several image files as if they lay in one folder. Other files are logged.

    :param color: red, green, blue, 0..255: what is seen through transparent parts.
    :raises InputError: no file is an image, or two have one name, which their results would have too.
    """
    return PictureFiles(chosen_pictures([as_path(place) for place in places]), color)

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Where frames come from when it is not a topic: a camera, a video, a stream, an image, a folder of images."""

from __future__ import annotations

import re
import stat

import cv2
import numpy as np

from ..errors import InputError, SourceError
from ..resources import as_path
from ..settings import TUNABLES
from .frames import Frame, Source, SourceKind
from .image_files import Animation, PictureFiles, is_animated, picture_kind, pictures_of
from .library_lines import library_lines_logged
from .videos import Video

__all__ = ['Frame', 'Source', 'SourceKind', 'is_stream', 'open_source']

_PLACES = ('give a camera number (0, 1, ...), a device such as /dev/video0, a video, a stream (rtsp://, http://), an image or a '
           'folder of images')
_STREAM = re.compile(r'(https?|rtmps?|rtsps?|rtp|udp|tcp|srt|mms)://', re.IGNORECASE)
_BACKGROUND_COLOR = TUNABLES['background.color'].default


class _Camera(Source):
    """A camera, through OpenCV."""

    kind, is_live = SourceKind.CAMERA, True

    def __init__(self, place: int | str, width: int, height: int, fps: float) -> None:
        self._place, self._wanted, self._index = place, (width, height, fps), 0
        self._capture = self._open()
        self.fps = self._capture.get(cv2.CAP_PROP_FPS)

    def _open(self) -> cv2.VideoCapture:
        try:
            str(self._place).encode()  # of other names OpenCV's FFmpeg ends the process
            with library_lines_logged():
                capture = cv2.VideoCapture(self._place)
        except UnicodeEncodeError as error:
            raise SourceError(f'camera {self._place!r} cannot be opened: its name is not UTF-8') from error
        if not capture.isOpened():
            raise SourceError(f'camera {self._place!r} cannot be opened: {_PLACES}')
        for setting, value in zip((cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS), self._wanted):
            if value:
                capture.set(setting, value)
        return capture

    def read(self) -> Frame | None:
        is_there, pixels = self._capture.read()
        if not is_there:
            raise SourceError(f'camera {self._place!r} gives no frame: is it unplugged, in use, or damaged?')
        index, self._index = self._index, self._index + 1
        return Frame(np.asarray(pixels, np.uint8), f'{index:05d}', index)

    def rewind(self) -> None:
        self._capture.release()
        self._capture, self._index = self._open(), 0

    def close(self) -> None:
        self._capture.release()


def is_stream(place: str) -> bool:
    """Return whether a place is the address of a stream from the network."""
    return _STREAM.match(place) is not None


def open_source(place: str, width: int = 0, height: int = 0, fps: float = 0.0,
                color: tuple[int, ...] = _BACKGROUND_COLOR) -> Source:  # type: ignore[assignment]
    """
    Open a source of frames. What a file is, its content tells, whatever its name.

    :param place: a camera number or device (``0``, ``/dev/video0``), a video file, the address of a stream (``rtsp://``,
        ``http://``), an image, or a folder of images. A number is a camera unless a file or folder has that name.
    :param width: which the camera is asked for, 0 for its own; files keep theirs.
    :param height: likewise.
    :param fps: likewise, frames a second.
    :param color: red, green, blue, 0..255: what is seen through transparent parts of images and videos.
    :raises SourceError: it cannot be opened.
    """
    if is_stream(place):
        scheme, separator, rest = place.partition('://')
        return Video(scheme.lower() + separator + rest, color)  # FFmpeg knows it in small letters alone
    try:
        path = as_path(place)
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:  # also a zero byte in the name
        if place.isdecimal():
            return _Camera(int(place), width, height, fps)
        if place.startswith('/dev/'):
            return _Camera(place, width, height, fps)
        reason = getattr(error, 'strerror', '') or error
        problem = 'does not exist' if isinstance(error, FileNotFoundError) else f'cannot be opened ({reason})'
        raise InputError(f'{place!r} {problem}: {_PLACES}') from error
    if stat.S_ISDIR(mode):
        return PictureFiles(pictures_of(path), color)
    if stat.S_ISCHR(mode):
        return _Camera(str(path), width, height, fps)
    if not stat.S_ISREG(mode):
        raise InputError(f'{place!r} is not a regular file: {_PLACES}')
    if not picture_kind(path):
        is_device = str(path).startswith('/dev/')  # what lies there comes and goes as a camera does
        return _Camera(str(path), width, height, fps) if is_device else Video(path, color)
    return Animation(path, color) if is_animated(path) else PictureFiles([path], color)

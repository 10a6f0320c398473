# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Where frames come from when it is not a topic: a camera, a video, a picture, a folder of pictures."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from ..errors import ImageError, SourceError
from ..picture.decoding import IMAGE_FORMATS, decode
from ..resources import read_file

__all__ = ['Frame', 'Source', 'SourceKind', 'open_source']

_PICTURES = {'.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp'}
_LARGEST_FILE = 1 << 30  # bytes
_LARGEST_SIDE = 16384  # pixels


class SourceKind:
    """
    What a source is.

    A ``CAMERA`` (a stream from the network too) never ends, a ``VIDEO`` has frames that follow each other, ``PICTURES`` do not.
    """

    CAMERA, VIDEO, PICTURES = 'camera', 'video', 'pictures'


@dataclasses.dataclass
class Frame:
    """A frame: ``pixels`` (height, width, 3) uint8 blue green red, ``name`` of its own, ``index`` from 0."""

    pixels: np.ndarray
    name: str
    index: int


class Source:
    """
    Frames, one after the other. Made by :func:`open_source`.

    ``kind`` is one of :class:`SourceKind`, ``fps`` the frames a second of a camera or video (0 where it is not
    known), ``count`` how many frames there are (None for a camera).
    """

    kind: str
    fps: float = 0.0
    count: int | None = None

    def read(self) -> Frame | None:
        """
        Return the next frame, None after the last.

        :raises SourceError: the camera is gone, or a picture cannot be read.
        """
        raise NotImplementedError

    def rewind(self) -> None:
        """Start again at the first frame."""
        raise NotImplementedError

    def close(self) -> None:
        """Give the camera or file back."""


class _Capture(Source):
    """A camera or a video, through OpenCV."""

    def __init__(self, place: int | str, kind: str, width: int, height: int, fps: float) -> None:
        self.kind = kind
        self._place, self._index = place, 0
        self._capture = cv2.VideoCapture(place)
        if not self._capture.isOpened():
            what = 'camera' if kind == SourceKind.CAMERA else 'video'
            raise SourceError(f'{what} {place!r} cannot be opened: give a camera number (0, 1, ...), a device such as '
                              '/dev/video0, a video, a picture or a folder of pictures')
        if kind == SourceKind.CAMERA:
            for setting, value in ((cv2.CAP_PROP_FRAME_WIDTH, width), (cv2.CAP_PROP_FRAME_HEIGHT, height),
                                   (cv2.CAP_PROP_FPS, fps)):
                if value:
                    self._capture.set(setting, value)
        else:
            self.count = max(int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0) or None
        self.fps = self._capture.get(cv2.CAP_PROP_FPS)

    def read(self) -> Frame | None:
        there, pixels = self._capture.read()
        if not there:
            if self.kind == SourceKind.CAMERA or self._index == 0:
                raise SourceError(f'{self.kind} {self._place!r} gives no frame: is it unplugged, in use, or damaged?')
            return None
        self._index += 1
        return Frame(pixels, f'{self._index - 1:05d}', self._index - 1)

    def rewind(self) -> None:
        self._capture.release()
        self._capture = cv2.VideoCapture(self._place)
        self._index = 0

    def close(self) -> None:
        self._capture.release()


class _Pictures(Source):
    """Picture files, independent of each other."""

    kind = SourceKind.PICTURES

    def __init__(self, files: list[Path]) -> None:
        self._files, self._index, self._last = files, 0, None
        self._stems = Counter(file.stem for file in files)  # a.jpg and a.png must not become the same a.png
        self.count = len(files)

    def read(self) -> Frame | None:
        if self._index == len(self._files):
            return None
        path, self._index = self._files[self._index], self._index + 1
        if self._last is None or self._last[0] != path:  # a looped single picture is read once
            try:
                pixels = decode(read_file(path, _LARGEST_FILE), IMAGE_FORMATS, _LARGEST_SIDE)
            except (OSError, ImageError) as error:
                reason = error.strerror if isinstance(error, OSError) else error
                raise SourceError(f'picture {str(path)!r} cannot be read: it {reason}: give a PNG or JPEG file') from error
            self._last = (path, pixels)
        return Frame(self._last[1], path.stem if self._stems[path.stem] == 1 else path.name, self._index - 1)

    def rewind(self) -> None:
        self._index = 0


def open_source(place: str, width: int = 0, height: int = 0, fps: float = 0.0) -> Source:
    """
    Open a source of frames.

    :param place: a camera number or device (``0``, ``/dev/video0``), a video file or stream address, a picture,
        or a folder of pictures.
    :param width: which the camera is asked for, 0 for its own; files keep theirs.
    :param height: likewise.
    :param fps: likewise, frames a second.
    :raises SourceError: it cannot be opened.
    """
    if re.fullmatch(r'\d+', place):
        return _Capture(int(place), SourceKind.CAMERA, width, height, fps)
    try:
        path = Path(place).expanduser()
    except RuntimeError as error:
        raise SourceError(f'{place!r} is no path: {error}') from error
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in _PICTURES)
        if not files:
            raise SourceError(f'folder {place!r} has no picture in it: it takes ' + ', '.join(sorted(_PICTURES)))
        return _Pictures(files)
    if path.suffix.lower() in _PICTURES and '://' not in place:
        if not path.is_file():
            raise SourceError(f'picture {place!r} is not there')
        return _Pictures([path])
    if path.is_char_device() or place.startswith('/dev/') or '://' in place:
        return _Capture(place, SourceKind.CAMERA, width, height, fps)
    if not path.exists():
        raise SourceError(f'{place!r} is not there: give a camera number (0, 1, ...), a device such as /dev/video0, '
                          'a video, a picture or a folder of pictures')
    return _Capture(str(path), SourceKind.VIDEO, width, height, fps)

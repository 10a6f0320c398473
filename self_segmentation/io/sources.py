# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Where frames come from when it is not a topic: a camera, a video, an image, a folder of images."""

from __future__ import annotations

import dataclasses
import io
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray

from ..errors import ImageError, SourceError
from ..picture.decoding import IMAGE_FORMATS, decode
from ..resources import read_file
from .library_lines import library_lines_logged

__all__ = ['Frame', 'Source', 'SourceKind', 'open_source']

_IMAGE_ENDINGS = {'.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp'}
_LARGEST_FILE = 1 << 30  # bytes
_LARGEST_SIDE = 16384  # pixels
_SHORTEST_DELAY, _DEFAULT_DELAY = 0.02, 0.1  # seconds; browsers show a GIF's frame with a shorter delay, or none, for 0.1 s


class SourceKind:
    """
    What a source is.

    A ``CAMERA`` (a stream from the network too) never ends, a ``VIDEO`` has frames that follow each other, ``IMAGES`` do not.
    """

    CAMERA, VIDEO, IMAGES = 'camera', 'video', 'images'


@dataclasses.dataclass
class Frame:
    """
    A frame.

    ``pixels`` (height, width, 3) uint8 blue green red, ``name`` of its own, ``index`` from 0. A video's frames have a ``stamp``,
    seconds since the first one, and a ``duration`` in seconds; the others have None.
    """

    pixels: NDArray[np.uint8]
    name: str
    index: int
    stamp: float | None = None
    duration: float | None = None


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

        :raises SourceError: the camera is gone, or an image cannot be read.
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
        with library_lines_logged():
            self._capture = cv2.VideoCapture(place)
        if not self._capture.isOpened():
            what = 'camera' if kind == SourceKind.CAMERA else 'video'
            raise SourceError(f'{what} {place!r} cannot be opened: give a camera number (0, 1, ...), a device such as '
                              '/dev/video0, a video, an image or a folder of images')
        if kind == SourceKind.CAMERA:
            for setting, value in ((cv2.CAP_PROP_FRAME_WIDTH, width), (cv2.CAP_PROP_FRAME_HEIGHT, height),
                                   (cv2.CAP_PROP_FPS, fps)):
                if value:
                    self._capture.set(setting, value)
        else:
            self.count = max(int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0) or None
        self.fps = self._capture.get(cv2.CAP_PROP_FPS)

    def read(self) -> Frame | None:
        is_there, pixels = self._capture.read()
        if not is_there:
            if self.kind == SourceKind.CAMERA or self._index == 0:
                raise SourceError(f'{self.kind} {self._place!r} gives no frame: is it unplugged, in use, or damaged?')
            return None
        index, self._index = self._index, self._index + 1
        frame = Frame(np.asarray(pixels, np.uint8), f'{index:05d}', index)
        if self.kind == SourceKind.VIDEO and self.fps:
            frame.stamp, frame.duration = index / self.fps, 1 / self.fps
        return frame

    def rewind(self) -> None:
        self._capture.release()
        self._capture = cv2.VideoCapture(self._place)
        self._index = 0

    def close(self) -> None:
        self._capture.release()


class _ImageFiles(Source):
    """Image files, independent of each other."""

    kind = SourceKind.IMAGES

    def __init__(self, files: list[Path]) -> None:
        self._files, self._index = files, 0
        self._last: tuple[Path, NDArray[np.uint8]] | None = None
        self._stems = Counter(file.stem for file in files)  # a.jpg and a.png must not become the same a.png
        self.count = len(files)

    def read(self) -> Frame | None:
        if self._index == len(self._files):
            return None
        path, self._index = self._files[self._index], self._index + 1
        if self._last is None or self._last[0] != path:  # a looped single image is read once
            try:
                pixels = decode(read_file(path, _LARGEST_FILE), IMAGE_FORMATS, _LARGEST_SIDE)
            except (OSError, ImageError) as error:
                reason = error.strerror if isinstance(error, OSError) else error
                raise SourceError(f'image {str(path)!r} cannot be read: it {reason}: give a PNG or JPEG file') from error
            self._last = (path, pixels)
        return Frame(self._last[1], path.stem if self._stems[path.stem] == 1 else path.name, self._index - 1)

    def rewind(self) -> None:
        self._index = 0


class _Gif(Source):
    """A GIF: a video whose frames have delays of their own, or an image where there is one frame only."""

    def __init__(self, path: Path) -> None:
        self._path, self._index = path, 0
        try:
            self._image = PIL.Image.open(io.BytesIO(read_file(path, _LARGEST_FILE)), formats=('GIF',))
            delays = list(self._delays())
        except (OSError, ValueError, SyntaxError, EOFError, PIL.Image.DecompressionBombError) as error:
            raise SourceError(f'GIF {str(path)!r} cannot be read: {error}') from error
        if max(self._image.size) > _LARGEST_SIDE:
            raise SourceError(f'GIF {str(path)!r} has {"x".join(map(str, self._image.size))} pixels: each side must be 1 to '
                              f'{_LARGEST_SIDE}')
        self.count, self.fps, self._stamps = len(delays), len(delays) / sum(delays), np.cumsum([0.0, *delays]).tolist()
        self.kind = SourceKind.VIDEO if self.count > 1 else SourceKind.IMAGES

    def _delays(self) -> Iterator[float]:
        for index in range(getattr(self._image, 'n_frames', 1)):
            self._image.seek(index)
            delay = self._image.info.get('duration', 0) / 1000
            yield delay if delay >= _SHORTEST_DELAY else _DEFAULT_DELAY

    def read(self) -> Frame | None:
        index = self._index
        if index == self.count:
            return None
        self._index += 1
        try:
            self._image.seek(index)
            pixels = np.ascontiguousarray(np.asarray(self._image.convert('RGB'))[..., ::-1])
        except (OSError, ValueError, SyntaxError, EOFError) as error:
            raise SourceError(f'GIF {str(self._path)!r} is damaged at frame {index}: {error}') from error
        if self.kind == SourceKind.IMAGES:
            return Frame(pixels, self._path.stem, index)
        stamp, end = self._stamps[index:index + 2]
        return Frame(pixels, f'{index:05d}', index, stamp, end - stamp)

    def rewind(self) -> None:
        self._index = 0

    def close(self) -> None:
        self._image.close()


def open_source(place: str, width: int = 0, height: int = 0, fps: float = 0.0) -> Source:
    """
    Open a source of frames.

    :param place: a camera number or device (``0``, ``/dev/video0``), a video file (an animated GIF too) or stream
        address, an image, or a folder of images.
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
        raise SourceError(f'{place!r} is not a path: {error}') from error
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in _IMAGE_ENDINGS)
        if not files:
            raise SourceError(f'folder {place!r} has no image in it: it takes ' + ', '.join(sorted(_IMAGE_ENDINGS)))
        return _ImageFiles(files)
    if path.suffix.lower() in _IMAGE_ENDINGS and '://' not in place:
        if not path.is_file():
            raise SourceError(f'image {place!r} does not exist')
        return _ImageFiles([path])
    if path.is_char_device() or place.startswith('/dev/') or '://' in place:
        return _Capture(place, SourceKind.CAMERA, width, height, fps)
    if not path.exists():
        raise SourceError(f'{place!r} does not exist: give a camera number (0, 1, ...), a device such as /dev/video0, '
                          'a video, an image or a folder of images')
    if path.suffix.lower() == '.gif':
        return _Gif(path)
    return _Capture(str(path), SourceKind.VIDEO, width, height, fps)

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Where images are written to: a file, a folder of PNG files, a video."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
import sys
from collections.abc import Iterable
from fractions import Fraction
from math import inf
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import LibraryMissingError, OutputError
from ..resources import Closing
from .frames import Source
from .locks import claim
from .videos import Sound, Video, av_for

__all__ = ['ALPHA_ENDINGS', 'IMAGE_ENDINGS', 'VIDEO_ENDINGS', 'Folder', 'ImageFile', 'PictureError', 'VideoFile',
           'Writer', 'is_file_ending']

_LOGGER = logging.getLogger('self_segmentation.files')
# What OpenCV writes, by the file's ending.
IMAGE_ENDINGS = {'.png': '.png', '.jpg': '.jpg', '.jpeg': '.jpg', '.jpe': '.jpg', '.jfif': '.jpg', '.bmp': '.bmp',
                 '.webp': '.webp', '.tif': '.tiff', '.tiff': '.tiff'}
VIDEO_ENDINGS = {'.mp4': 'mp4', '.mkv': 'matroska', '.mov': 'mov'}  # as FFmpeg names the containers
ALPHA_ENDINGS = ('.png', '.webp', '.tif', '.tiff', '.mkv', '.mov', '.webm')  # of files that take alpha
_VP9 = 'libvpx-vp9', 'yuva420p', {'deadline': 'realtime', 'cpu-used': '8', 'crf': '24', 'b': '0'}
_ALPHA_CODECS = {'.mov': ('prores_ks', 'yuva444p10le', {'profile': '4444'}), '.mkv': _VP9, '.webm': _VP9}
_TIME_BASE = Fraction(1, 90000)  # seconds, without a video to copy it from: fits any rate
_CODEC, _OPTIONS = 'libx264', {'preset': 'veryfast', 'crf': '18'}  # plays everywhere; 18 looks like the original
_BT601 = 6  # as FFmpeg numbers it
_MPEG_RANGE = 1
_OF_ONE_NAME = (errno.ENAMETOOLONG, errno.EISDIR, errno.EINVAL, errno.EILSEQ)  # what a file system has against a name


class PictureError(OutputError):
    """One picture cannot be written, because of its name or size; others may be."""


def is_file_ending(ending: str) -> bool:
    """Return whether a name with this ending means a file; a number is no ending: ``results_v1.2`` is a folder."""
    return bool(ending) and not ending[1:].isdecimal()


class Writer(Closing):
    """Takes images, (height, width[, 3]) uint8 blue green red, or (height, width, 4) with alpha."""

    def claim(self, shared: bool = False) -> None:
        """
        Keep other programs from writing to the same place until it is closed.

        :param shared: whether other programs may share a folder.
        :raises OutputError: another program writes to it, or it cannot be written.
        """

    def write(self, name: str, image: NDArray[np.uint8], stamp: float | None = None, duration: float | None = None) -> None:
        """Write one image, of a video with its time in seconds. :raises OutputError: it cannot be written."""
        raise NotImplementedError

    def close(self) -> None:
        """Finish the file. :raises OutputError: it is not whole."""


def _write(path: Path, image: NDArray[np.uint8]) -> None:
    ending = IMAGE_ENDINGS[path.suffix.lower()]
    try:
        is_encoded, data = cv2.imencode(ending, image)
        if not is_encoded:
            raise ValueError(f'{image.shape[1]}x{image.shape[0]} pixels are too many for {ending}')
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.fdopen(claim(path), 'wb')
        try:
            with file:  # imwrite does not tell when the disk is full
                _empty(file)
                file.write(data.tobytes())
        except OSError:
            if path.is_file():  # a part of it, which looks whole
                path.unlink()
            raise
    except (OSError, ValueError, cv2.error) as error:
        is_of_one = not isinstance(error, OSError) or error.errno in _OF_ONE_NAME
        raise (PictureError if is_of_one else OutputError)(f'{path} cannot be written: {error}') from error


def _empty(file: BinaryIO) -> None:
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.truncate(0)


class ImageFile(Writer):
    """One image file; of several images the last stays. It is claimed while it is written."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, name: str, image: NDArray[np.uint8], stamp: float | None = None, duration: float | None = None) -> None:
        """Write the image."""
        _write(self._path, image)


class Folder(Writer):
    """A folder with one ``NAME.png`` each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._claim: int | None = None

    def claim(self, shared: bool = False) -> None:
        """Make the folder and keep other programs from writing to it."""
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            self._claim = claim(self._path, shared)
        except OSError as error:
            raise OutputError(f'{self._path} cannot be written: {error}') from error

    def write(self, name: str, image: NDArray[np.uint8], stamp: float | None = None, duration: float | None = None) -> None:
        """Write ``NAME.png``. :raises PictureError: it cannot be written under its name; others may."""
        _write(self._path / f'{name}.png', image)

    def close(self) -> None:
        """Give the folder back."""
        if self._claim is not None:
            os.close(self._claim)
            self._claim = None


class VideoFile(Writer):
    """
    A video of frames of one size.

    H.264 in an ``.mp4``, ``.mkv`` or ``.mov``. Frames with alpha: VP9 in an ``.mkv`` or ``.webm``, ProRes 4444 in a ``.mov``.

    :param fps: frames a second, if they have no times.
    :param like: the video whose sound and pixel aspect are kept.
    :param is_turned: whether the frames are turned by a quarter.
    :raises LibraryMissingError: PyAV is not there.
    """

    def __init__(self, path: Path, fps: float, like: Source | None = None, is_turned: bool = False) -> None:
        self._path, self._fps, self._like, self._is_turned = path, fps, like, is_turned
        self._av = av_for(f'video {str(path)!r}')
        self._reformatter = self._av.video.reformatter.VideoReformatter()
        self._file: BinaryIO | None = None
        self._is_new = False
        self._container: Any = None
        self._stream: Any = None
        self._sound: Sound | None = None
        self._sound_stream: Any = None
        self._shape: tuple[int, ...] = ()
        self._time_base = like.time_base if isinstance(like, Video) and not like.is_live else _TIME_BASE
        self._count, self._last, self._end = 0, -1, 0.0

    def _error(self, error: Exception) -> OutputError:
        reason = getattr(error, 'strerror', None) or error
        return OutputError(f'{self._path} cannot be written as a video ({reason}): is there room, and may you write there?')

    def claim(self, shared: bool = False) -> None:
        """Open the file and keep other programs from writing to it. Its content stays until the first frame."""
        if self._file is not None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._is_new = not self._path.exists()
            self._file = os.fdopen(claim(self._path), 'wb')  # Python takes every name
        except OSError as error:
            raise self._error(error) from error

    def _open(self, image: NDArray[np.uint8]) -> None:
        self.claim()
        assert self._file is not None
        self._shape = image.shape
        ending = self._path.suffix.lower()
        height, width, channels = image.shape
        pixels = 'yuv444p' if height % 2 or width % 2 else 'yuv420p'  # 420 needs pairs of pixels
        codec, pixels, more = _ALPHA_CODECS[ending] if channels == 4 else (_CODEC, pixels, _OPTIONS)
        with contextlib.ExitStack() as closing:
            container = self._av.open(self._file, 'w', format=VIDEO_ENDINGS.get(ending, ending[1:]))
            closing.callback(container.close)
            try:
                stream = container.add_stream(codec, rate=Fraction(self._fps).limit_denominator(100000), options=more)
            except ValueError as error:  # PyAV's own class of it is in another place in each version
                reason = f'{self._path} cannot be written as a video: this PyAV does not encode {codec} ({error})'
                raise LibraryMissingError(f"{reason}; take PyPI's: {sys.executable} -m pip install --no-deps --force-reinstall av"
                                          ) from error
            stream.height, stream.width, stream.pix_fmt = height, width, pixels
            context = stream.codec_context
            context.time_base, context.colorspace, context.color_range = self._time_base, _BT601, _MPEG_RANGE
            aspect = Fraction(1) if self._like is None else self._like.pixel_aspect  # known once a frame was read
            if aspect != 1:
                context.sample_aspect_ratio = 1 / aspect if self._is_turned else aspect
            self._sound = self._like.open_sound() if isinstance(self._like, Video) else None
            if self._sound is not None:
                self._add_sound(self._sound, container, _ALPHA_CODECS if channels == 4 else VIDEO_ENDINGS)
            _empty(self._file)
            closing.pop_all()
        self._container, self._stream = container, stream

    def _add_sound(self, sound: Sound, container: Any, endings: Iterable[str]) -> None:
        if sound.is_taken_by(container.format.name):
            self._sound_stream = container.add_stream_from_template(sound.stream)
            return
        here = self._path.suffix.lower()
        takers = [ending for ending in endings if sound.is_taken_by(VIDEO_ENDINGS.get(ending, ending[1:]))]
        _LOGGER.warning('%s: the sound (%s) is left out, which %s does not take; %s', self._path, sound.stream.codec_context.name,
                        self._path.suffix, f'give a file that ends in {" or ".join(takers)}' if takers else
                        f'nor does {" or ".join(ending for ending in endings if ending != here)}')
        sound.close()
        self._sound = None

    def write(self, name: str, image: NDArray[np.uint8], stamp: float | None = None, duration: float | None = None) -> None:
        """Append a frame, at its own time where it has one."""
        try:
            if self._container is None:
                self._open(image)
            if image.shape != self._shape:
                raise OutputError(f'{self._path}: frame {name} measures {image.shape[1]}x{image.shape[0]}, the first one '
                                  f'{self._shape[1]}x{self._shape[0]}: a video has one size; give a folder')
            at = self._count / self._fps if stamp is None else stamp
            duration = duration or 1 / self._fps
            frame = self._av.VideoFrame.from_ndarray(image, format='bgr24' if image.shape[2] == 3 else 'bgra')
            frame = self._reformatter.reformat(frame, format=self._stream.pix_fmt, dst_colorspace='ITU601')
            frame.pts = self._last = max(round(at / self._time_base), self._last + 1)
            frame.time_base, frame.duration = self._time_base, round(duration / self._time_base)
            self._count, self._end = self._count + 1, at + duration
            self._mux(self._stream.encode(frame), self._end)
        except (self._av.FFmpegError, OSError, ValueError) as error:
            raise self._error(error) from error

    def _mux(self, packets: list[Any], end: float) -> None:
        if self._sound is not None:
            for packet in self._sound.until(end):
                packet.stream = self._sound_stream
                self._container.mux(packet)
        self._container.mux(packets)

    def close(self) -> None:
        """
        Finish the video.

        :raises OutputError: it cannot be written to its end.
        """
        if self._file is None:
            return
        try:
            with self._file:
                if self._container is not None:
                    is_whole = isinstance(self._like, Video) and self._like.has_ended  # else the sound ends with the frames
                    self._mux(self._stream.encode(None), inf if is_whole else self._end)
                    self._container.close()
        except (self._av.FFmpegError, OSError, ValueError) as error:
            raise self._error(error) from error
        finally:
            if self._is_new and self._path.is_file() and not self._path.stat().st_size:
                self._path.unlink()  # nothing was written
            self._file = self._container = self._stream = None
            if self._sound is not None:
                self._sound.close()

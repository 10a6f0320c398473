# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Images, folders of them, and animated ones."""

from __future__ import annotations

import contextlib
import io
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import DamagedInputError, ImageError, InputError
from ..picture.arrays import flattened
from ..resources import read_file
from .decoding import MAX_FILE_BYTES, MAX_FILE_SIDE, PILLOW_ERRORS, decode_file, kind_of, open_picture, upright
from .frames import Frame, Source, SourceKind

__all__ = ['AnimatedImage', 'PictureFiles', 'chosen_pictures', 'is_animated', 'picture_kind', 'pictures_of', 'warn_of_others']

_LOGGER = logging.getLogger('self_segmentation.files')
_IMAGE_ENDINGS = {'.avif', '.bmp', '.gif', '.heic', '.heif', '.jfif', '.jpe', '.jpeg', '.jpg', '.mpo', '.png', '.tif', '.tiff',
                  '.webp'}
_ANIMATED = ('GIF', 'PNG', 'WEBP', 'AVIF')  # the images of an MPO or TIFF do not follow each other
_HEAD = 64  # bytes that tell what a file is
_SHORTEST_DELAY, _DEFAULT_DELAY = 0.02, 0.1  # seconds; browsers show a GIF's frame with a shorter delay, or none, for 0.1 s
_SHOWN = 5  # names in a line
_TAKEN = 'PNG, JPEG, WebP, TIFF, BMP, GIF, HEIC and AVIF'


def picture_kind(path: Path) -> str:
    """Return Pillow's name of a file's image format, by its content; '' if it is no image."""
    try:
        with path.open('rb') as file:
            return kind_of(file.read(_HEAD))
    except OSError:
        return ''


def pictures_of(folder: Path) -> list[Path]:
    """
    Return a folder's images, by name. Hidden files are skipped; other files are logged.

    :raises InputError: it has no image, or cannot be read.
    """
    try:
        files = sorted(file for file in folder.iterdir() if not file.name.startswith('.') and not file.is_dir())
    except OSError as error:
        raise InputError(f'folder {str(folder)!r} cannot be read: {error.strerror}') from error
    pictures = [file for file in files if _may_be_picture(file)]
    if not pictures:
        raise InputError(f'folder {str(folder)!r} has no image in it: it takes {_TAKEN} files')
    warn_of_others(folder, sorted({*files} - {*pictures}), 'no image')
    return pictures


def chosen_pictures(files: Sequence[Path]) -> list[Path]:
    """
    Return those of several files that are images, each once; other files are logged.

    :raises InputError: no file is an image, or two have one name.
    """
    files = list(dict.fromkeys(files))
    pictures = [file for file in files if _may_be_picture(file) or not _is_there(file)]
    if not pictures:
        raise InputError(f'none of the {len(files)} inputs is an image ({_TAKEN}): give one video, recording or folder at a time')
    others = {file.name: file for file in pictures}
    double = next((file for file in pictures if others[file.name] != file), None)
    if double is not None:
        raise InputError(f'{str(double)!r} and {str(others[double.name])!r} have one name, and so would their results: give the '
                         'images of one folder at a time')
    warn_of_others(None, [file for file in files if file not in pictures], 'no image')
    return pictures


def _may_be_picture(file: Path) -> bool:
    """Return whether a file is an image by content or name; a broken link with such a name is reported when it is read."""
    is_named_so = file.suffix.lower() in _IMAGE_ENDINGS
    return (is_named_so or bool(picture_kind(file))) if file.is_file() else is_named_so and not file.exists()


def _is_there(file: Path) -> bool:
    try:
        return file.exists()
    except (OSError, ValueError):  # a name that cannot be one: reported when it is read
        return False


def warn_of_others(folder: Path | None, others: list[Path], what: str) -> None:
    """Log which files of a folder, or of the inputs, are not taken: those that are ``what``."""
    if others:
        names = ', '.join([*(repr(file.name) for file in others[:_SHOWN]), *(['...'] if len(others) > _SHOWN else [])])
        place = 'the inputs' if folder is None else f'folder {str(folder)!r}'
        _LOGGER.warning('%s: passed over %d that %s %s: %s', place, len(others), 'is' if len(others) == 1 else 'are', what, names)


class PictureFiles(Source):
    """Image files, independent of each other; of an animated one the first image."""

    kind = SourceKind.IMAGES

    def __init__(self, files: list[Path], color: tuple[int, ...]) -> None:
        self.files, self.count, self._color, self._index = tuple(files), len(files), color, 0
        self._last: tuple[Path, NDArray[np.uint8]] | None = None  # a looped single image is read once
        stems = Counter(file.stem for file in files)
        names = {file.name for file in files}
        self._names = [file.stem if stems[file.stem] == 1 and file.stem not in names else file.name  # a.jpg, a.png, a.jpg.png
                       for file in files]

    def read(self) -> Frame | None:
        """Read the next file."""
        if self._index == len(self.files):
            return None
        path, self._index = self.files[self._index], self._index + 1
        if self._last is None or self._last[0] != path:
            try:
                content = read_file(path, MAX_FILE_BYTES)
                pixels = flattened(decode_file(content, MAX_FILE_SIDE, f'image {str(path)!r}'), self._color)
            except (OSError, ImageError) as error:
                reason = error.strerror if isinstance(error, OSError) else error
                raise InputError(f'image {str(path)!r} cannot be read: it {reason}: give a PNG or JPEG file') from error
            self._last = (path, pixels)
        return Frame(self._last[1], self._names[self._index - 1], self._index - 1)

    def rewind(self) -> None:
        """Start again at the first one."""
        self._index = 0


def is_animated(file: BinaryIO | Path) -> bool:
    """Return whether an image file moves: a GIF, WebP, PNG or AVIF of several images, with sides up to :data:`MAX_SIDE`."""
    try:
        image = open_picture(file)
    except (ImageError, *PILLOW_ERRORS):
        return False  # it is refused where it is read, with the reason
    with image:
        try:
            return image.format in _ANIMATED and bool(getattr(image, 'is_animated', False))
        except PILLOW_ERRORS:
            return True  # this, too


class AnimatedImage(Source):
    """
    An animated image: a video whose frames have delays of their own. Frames are decoded one after the other.

    :param content: of the file.
    :param what: its name in messages.
    :param color: red, green, blue, 0..255: what is seen through transparent parts.
    :raises InputError: it cannot be read.
    """

    kind = SourceKind.VIDEO

    def __init__(self, content: bytes, what: str, color: tuple[int, ...]) -> None:
        self._content, self._what, self._color = content, what, color
        try:
            self._open()
            # A PNG may have a picture before the first one, for programs that show no animations.
            self._begin = int(bool(getattr(self._image, 'default_image', False)))
            self.count = getattr(self._image, 'n_frames', 1) - self._begin
        except (ImageError, *PILLOW_ERRORS) as error:
            raise InputError(f'{what} cannot be read: {error}') from error

    def read(self) -> Frame | None:
        """Decode the next image."""
        index, stamp = self._index, self._stamp
        if index == self.count:
            return None
        self._index += 1
        try:
            self._image.seek(self._begin + index)
            pixels = flattened(upright(self._image, self._what), self._color)
        except PILLOW_ERRORS as error:
            raise DamagedInputError(f'{self._what} is damaged: {index} of {self.count} frames could be read ({error})') from error
        delay = self._delay()
        self._stamp += delay
        return Frame(pixels, f'{index:05d}', index, stamp, delay)

    def _delay(self) -> float:
        """Return the seconds for which the present image is shown."""
        delay = float(self._image.info.get('duration') or 0) / 1000
        return delay if delay >= _SHORTEST_DELAY else _DEFAULT_DELAY

    def measure_rate(self) -> None:
        """Set ``fps`` to the mean rate, by which a video of it is written. It decodes all images, and begins anew."""
        delays: list[float] = []
        with contextlib.suppress(*PILLOW_ERRORS):  # read reports damage
            for index in range(self.count or 0):
                self._image.seek(self._begin + index)
                delays.append(self._delay())
        self.fps = len(delays) / sum(delays) if delays else 0.0
        self.rewind()

    def _open(self) -> None:
        self._image, self._index, self._stamp = open_picture(io.BytesIO(self._content)), 0, 0.0

    def rewind(self) -> None:
        """Open it again: after damage, a decoder may not find back."""
        self._image.close()
        self._open()

    def close(self) -> None:
        """Free the memory of its decoder."""
        self._image.close()

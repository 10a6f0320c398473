# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Where images are written to: a file, a folder of PNG files, a video."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import SourceError

__all__ = ['Folder', 'ImageFile', 'VideoFile', 'Writer']


class Writer(Protocol):
    """Takes images, (height, width[, 3]) uint8 blue green red."""

    def write(self, name: str, image: NDArray[np.uint8]) -> None:
        """Write one image. :raises SourceError: it cannot be written."""

    def close(self) -> None:
        """Finish the file. :raises SourceError: it is not whole."""


def _write(path: Path, image: NDArray[np.uint8]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())  # imwrite does not say when the disk is full
    except (OSError, cv2.error) as error:
        raise SourceError(f'{path} cannot be written: {error}') from error


class ImageFile:
    """One image file; of several images the last stays."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, name: str, image: NDArray[np.uint8]) -> None:
        """Write the image."""
        _write(self._path, image)

    def close(self) -> None:
        """Nothing to finish."""


class Folder:
    """A folder with one ``NAME.png`` each."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, name: str, image: NDArray[np.uint8]) -> None:
        """Write ``NAME.png``."""
        _write(self._path / f'{name}.png', image)

    def close(self) -> None:
        """Nothing to finish."""


class VideoFile:
    """An ``.mp4`` of frames of one size."""

    def __init__(self, path: Path, fps: float) -> None:
        self._path, self._fps = path, fps
        self._writer: cv2.VideoWriter | None = None
        self._count = 0
        self._shape: tuple[int, ...] = ()

    def write(self, name: str, image: NDArray[np.uint8]) -> None:
        """Append a frame."""
        if self._writer is None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise SourceError(f'{self._path} cannot be written: {error}') from error
            size, self._shape = image.shape[1::-1], image.shape
            # The one codec that every build of OpenCV brings.
            self._writer = cv2.VideoWriter(str(self._path), cv2.VideoWriter_fourcc(*'mp4v'), self._fps, size)  # type: ignore[attr-defined]
            if not self._writer.isOpened():
                raise SourceError(f'{self._path} cannot be written as a video: is there room, and may you write there?')
        if image.shape != self._shape:
            raise SourceError(f'{self._path}: frame {name} measures {image.shape[1]}x{image.shape[0]}, the first one '
                              f'{self._shape[1]}x{self._shape[0]}: a video has one size')
        self._writer.write(image)
        self._count += 1

    def close(self) -> None:
        """
        Finish the video.

        :raises SourceError: it is not whole, which OpenCV does not say by itself.
        """
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        written = cv2.VideoCapture(str(self._path))
        count = int(written.get(cv2.CAP_PROP_FRAME_COUNT))
        written.release()
        if count != self._count:
            raise SourceError(f'{self._path} has {count} of {self._count} frames: is there room on the disk?')

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What one sends to a colleague: before and after side by side, with names, as a video and as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..io.frames import UNKNOWN_FPS
from ..io.writers import ImageFile, VideoFile

__all__ = ['BeforeAfter', 'captioned', 'grid']

_WIDEST = 960, 640  # pixels of a half of the video, of a cell of the picture
_GAP = 8  # white pixels between two
_FONT, _LINE = cv2.FONT_HERSHEY_DUPLEX, 22  # pixels that its capitals are high at scale 1
_CAPTION_HEIGHT, _TITLE_HEIGHT = 0.035, 0.05  # of the picture's
_BAND, _VEIL = 0.35, 0.5  # how much of the picture shines through behind a caption, and a title
_BEFORE = 'camera'


def captioned(picture: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """Return a copy of a picture, (h, w, 3) uint8 blue green red, with a text in its upper left corner, on a dark band."""
    made = picture.copy()
    scale, (width, height) = _text_size(text, picture.shape[0] * _CAPTION_HEIGHT)
    margin = round(0.7 * height)
    band = made[:height + 2 * margin, :width + 2 * margin]
    band[:] = cv2.convertScaleAbs(band, alpha=_BAND)
    _write(made, text, (margin, height + margin), scale)
    return made


def _titled(picture: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """Return a darker picture with a text in its middle."""
    made = np.asarray(cv2.convertScaleAbs(picture, alpha=_VEIL), np.uint8)
    scale, (width, height) = _text_size(text, picture.shape[0] * _TITLE_HEIGHT)
    _write(made, text, ((made.shape[1] - width) // 2, (made.shape[0] + height) // 2), scale)
    return made


def _text_size(text: str, height: float) -> tuple[float, tuple[int, int]]:
    scale = max(height / _LINE, 0.4)
    (width, height), _ = cv2.getTextSize(text, _FONT, scale, _thickness(scale))
    return scale, (width, height)


def _write(picture: NDArray[np.uint8], text: str, corner: tuple[int, int], scale: float) -> None:
    cv2.putText(picture, text, corner, _FONT, scale, (255, 255, 255), _thickness(scale), cv2.LINE_AA)


def _thickness(scale: float) -> int:
    return max(round(1.3 * scale), 1)


def grid(rows: Sequence[Sequence[NDArray[np.uint8]]]) -> NDArray[np.uint8]:
    """Return pictures of one size as one, in rows, with white gaps between them."""
    return _joined([_joined(row, 1) for row in rows], 0)


def _joined(pictures: Sequence[NDArray[np.uint8]], axis: int) -> NDArray[np.uint8]:
    shape = list(pictures[0].shape)
    shape[axis] = _GAP
    gap = np.full(shape, 255, np.uint8)
    parts = [part for picture in pictures for part in (gap, picture)]
    return np.concatenate(parts[1:], axis)


def _scaled(picture: NDArray[np.uint8], widest: int) -> NDArray[np.uint8]:
    """Return a picture no wider than that, and even in both directions, as the colours of a video that everything plays are."""
    factor = min(widest / picture.shape[1], 1)
    width, height = (max(2 * round(factor * size / 2), 2) for size in picture.shape[1::-1])
    if (height, width) == picture.shape[:2]:
        return picture
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


class BeforeAfter:
    """
    Writes ``output.mp4`` frame by frame, and ``output.png`` when it is closed: of each name the best pair, before above after.

    In the video each name is a title first, then a caption.

    :param folder: where they go.
    :param names: in the order of the picture's columns.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.video, self.picture = folder / 'output.mp4', folder / 'output.png'
        self._writer = VideoFile(self.video, UNKNOWN_FPS)
        self._best: dict[str, tuple[Any, NDArray[np.uint8], NDArray[np.uint8]] | None] = dict.fromkeys(names)
        self._first: float | None = None
        self._name, self._since = '', 0.0  # what was written last, and from which stamp on

    def add(self, before: NDArray[np.uint8], after: NDArray[np.uint8], stamp: float, name: str,
            title_seconds: float) -> None:
        """
        Append a pair to the video.

        :param before: (h, w, 3) uint8 blue green red; ``after`` alike.
        :param stamp: seconds, on any clock.
        :param name: what is written into ``after``.
        :param title_seconds: how long a new name is a title.
        :raises OutputError: it cannot be written.
        """
        if self._first is None:
            self._first = stamp
        if name != self._name:
            self._name, self._since = name, stamp
        label = _titled if stamp - self._since < title_seconds else captioned
        halves = captioned(_scaled(before, _WIDEST[0]), _BEFORE), label(_scaled(after, _WIDEST[0]), name)
        self._writer.write(name, grid([halves]), max(stamp - self._first, 0.0))

    def offer(self, before: NDArray[np.uint8], after: NDArray[np.uint8], name: str, rank: Any) -> None:
        """Take a pair for the picture, if its rank is above that of what there is under this name."""
        best = self._best[name]
        if best is None or rank > best[0]:
            self._best[name] = rank, before, after

    def close(self) -> bool:
        """
        Finish the video and write the picture; return whether there is anything in them.

        :raises OutputError: one of them cannot be written.
        """
        self._writer.close()
        found = [(name, *best[1:]) for name, best in self._best.items() if best is not None]
        if found:
            cells = [(_scaled(before, _WIDEST[1]), captioned(_scaled(after, _WIDEST[1]), name)) for name, before, after in found]
            cells[0] = captioned(cells[0][0], _BEFORE), cells[0][1]
            ImageFile(self.picture).write('', grid([*zip(*cells)]))
        return self._first is not None

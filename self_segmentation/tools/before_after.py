# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Before and after side by side, with names, as a video and as one picture."""

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
_GAP = 8  # white pixels between pictures
_WHITE = (255, 255, 255)
_FONT = cv2.FONT_HERSHEY_DUPLEX
_CAPTION_HEIGHT, _TITLE_HEIGHT = 0.035, 0.05  # fractions of the picture's
_BAND, _VEIL = 0.35, 0.5  # brightness of the picture behind a caption, and behind a title
_BEFORE = 'camera'


def captioned(picture: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """Return a copy of a picture, (h, w, 3) uint8 blue green red, with a text on a dark band in its upper left corner."""
    made = picture.copy()
    scale, (width, height) = _text_size(text, picture.shape[0] * _CAPTION_HEIGHT)
    margin = round(0.7 * height)
    band = made[:height + 2 * margin, :width + 2 * margin]
    band[:] = cv2.convertScaleAbs(band, alpha=_BAND)
    cv2.putText(made, text, (margin, height + margin), _FONT, scale, _WHITE, lineType=cv2.LINE_AA)
    return made


def _titled(picture: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """Return a darker picture with a text in its middle."""
    made = np.asarray(cv2.convertScaleAbs(picture, alpha=_VEIL), np.uint8)
    scale, (width, height) = _text_size(text, picture.shape[0] * _TITLE_HEIGHT)
    corner = (made.shape[1] - width) // 2, (made.shape[0] + height) // 2
    cv2.putText(made, text, corner, _FONT, scale, _WHITE, lineType=cv2.LINE_AA)
    return made


def _text_size(text: str, height: float) -> tuple[float, Sequence[int]]:
    """Return the scale at which a text has a height in pixels, and its width and height."""
    scale = max(cv2.getFontScaleFromHeight(_FONT, round(height)), 0.4)
    return scale, cv2.getTextSize(text, _FONT, scale, 1)[0]


def grid(rows: Sequence[Sequence[NDArray[np.uint8]]]) -> NDArray[np.uint8]:
    """Return pictures of one size as one, in rows, with white gaps between them."""
    made = [np.hstack([cv2.copyMakeBorder(picture, 0, _GAP, 0, _GAP, cv2.BORDER_CONSTANT, value=_WHITE) for picture in row])
            for row in rows]
    return np.ascontiguousarray(np.vstack(made)[:-_GAP, :-_GAP], np.uint8)


def _scaled(picture: NDArray[np.uint8], widest: int) -> NDArray[np.uint8]:
    """Return a picture no wider than ``widest``, with even width and height: videos with other sizes do not play everywhere."""
    factor = min(widest / picture.shape[1], 1)
    width, height = (max(2 * round(factor * size / 2), 2) for size in picture.shape[1::-1])
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


class BeforeAfter:
    """
    Writes ``output.mp4`` frame by frame, and ``output.png`` when it is closed.

    In the video each name is a title first, then a caption. The picture has the best pair of each name, before above after.

    :param names: in the order of the picture's columns.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.video, self.picture = folder / 'output.mp4', folder / 'output.png'
        self._writer = VideoFile(self.video, UNKNOWN_FPS)
        self._best: dict[str, tuple[Any, NDArray[np.uint8], NDArray[np.uint8]] | None] = dict.fromkeys(names)
        self._first: float | None = None
        self._name, self._since = '', 0.0  # the last name, and the stamp of its first frame

    def add(self, before: NDArray[np.uint8], after: NDArray[np.uint8], stamp: float, name: str,
            title_seconds: float) -> None:
        """
        Append a pair to the video.

        :param before: (h, w, 3) uint8 blue green red; ``after`` alike.
        :param stamp: seconds, on any clock.
        :param name: the text in ``after``.
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
        """Keep a pair for the picture if its rank is the highest of this name."""
        best = self._best[name]
        if best is None or rank > best[0]:
            self._best[name] = rank, before, after

    def close(self) -> bool:
        """
        Finish the video and write the picture; return whether any pair was added.

        :raises OutputError: one of them cannot be written.
        """
        self._writer.close()
        found = [(name, *best[1:]) for name, best in self._best.items() if best is not None]
        if found:
            cells = [(_scaled(before, _WIDEST[1]), captioned(_scaled(after, _WIDEST[1]), name)) for name, before, after in found]
            cells[0] = captioned(cells[0][0], _BEFORE), cells[0][1]
            ImageFile(self.picture).write('', grid([*zip(*cells)]))
        return self._first is not None

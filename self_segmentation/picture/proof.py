# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The proof that something that stands still is nobody: a detector finds no person in it, upright and turned, several times."""

from __future__ import annotations

from concurrent.futures import Future

import cv2
import numpy as np

from .arrays import Array
from .exposure import brightened
from .people.schedule import DetectionThread
from .regions import Region, full_frame

__all__ = ['Proof']

_TIMES = 3  # searches that must find nobody
_APART = 1.0  # seconds between two of them
_TAKES = 10  # frames until the result of a search is taken: a fixed number, so that a video is covered alike each time
_SAME = 0.8  # IoU from which a piece is still the same
_AROUND = 0.3, 1.0  # fractions of the longer side that are left around the piece: close up, and with more to see
_TURNS = None, cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_COUNTERCLOCKWISE


class Proof:
    """
    Searches one piece of the frame for people.

    :param piece: (GRID, GRID) bool, where it is on the grid over the frame.
    """

    def __init__(self, piece: Array) -> None:
        self._piece = piece
        self._clean = 0
        self._wait, self._frames = 0.0, 0
        self._running: Future[bool] | None = None

    def is_of(self, piece: Array) -> bool:
        """Return whether this is the proof of a piece."""
        return np.count_nonzero(self._piece & piece) >= _SAME * np.count_nonzero(self._piece | piece)

    def goes_on(self, detections: DetectionThread, bgr: Array, curve: Array | None, step: float) -> bool:
        """
        Search the piece in a frame, if it is time; return whether it is proven that nobody is there.

        A single doubt begins it anew.

        :param bgr: (height, width, 3) uint8, blue green red.
        :param curve: makes a dark frame bright, see :mod:`~self_segmentation.picture.exposure`.
        :param step: seconds since the last frame.
        """
        self._wait -= step
        self._frames += 1
        if self._running is not None and self._frames >= _TAKES:
            self._clean = 0 if self._running.result() else self._clean + 1
            self._running, self._wait = None, _APART
        if self._running is None and self._wait <= 0 and self._clean < _TIMES:
            lit, box = brightened(bgr, curve), _box_of(self._piece, full_frame(bgr.shape))
            crops = [box.padded(margin, full_frame(bgr.shape)).cut(lit).copy() for margin in _AROUND]
            turned = [crop if turn is None else cv2.rotate(crop, turn) for crop in crops for turn in _TURNS]
            self._running, self._frames = detections.doubt(turned), 0
        return self._clean >= _TIMES


def _box_of(piece: Array, frame: Region) -> Region:
    rows, columns = np.flatnonzero(piece.any(axis=1)), np.flatnonzero(piece.any(axis=0))
    height, width = piece.shape
    return Region(int(columns[0] * frame.width / width), int(rows[0] * frame.height / height),
                  int(np.ceil((columns[-1] + 1) * frame.width / width)), int(np.ceil((rows[-1] + 1) * frame.height / height)))

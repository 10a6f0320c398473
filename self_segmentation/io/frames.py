# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What every source of frames is."""

from __future__ import annotations

import dataclasses
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..resources import Closing

__all__ = ['UNKNOWN_FPS', 'ArrivalTimes', 'Frame', 'Source', 'SourceKind', 'plausible_fps']

UNKNOWN_FPS = 30.0  # frames a second of a video that does not say
_LARGEST_FPS = 1000.0  # frames a second; headers with more (90000, 180000) have a unit of time there
_BURST = 60.0  # seconds of frames that a stream may send at once, as those of a playlist do at their start


class SourceKind:
    """
    What a source is.

    A ``CAMERA`` never ends, a ``STREAM`` from the network may. A ``VIDEO`` has frames that follow each other, ``IMAGES`` do not.
    """

    CAMERA, STREAM, VIDEO, IMAGES = 'camera', 'stream', 'video', 'images'


@dataclasses.dataclass
class Frame:
    """
    A frame.

    ``pixels`` (height, width, 3) uint8 blue green red, the right way up; ``name`` of its own; ``index`` from 0; ``stamp`` seconds
    since the first one; ``duration`` in seconds. Images have neither time. The first frame of a camera or live stream has no
    ``duration``.
    """

    pixels: NDArray[np.uint8]
    name: str
    index: int
    stamp: float | None = None
    duration: float | None = None


def plausible_fps(value: float | Fraction | None) -> float:
    """Return the frames a second of a header; 0 if they are missing, not a number, or more than 1000."""
    fps = float(value or 0)
    return fps if 0 < fps <= _LARGEST_FPS else 0.0


class ArrivalTimes:
    """
    When the frames of a camera or live stream were taken, by the clock: times in their headers may be wrong.

    A stream's own times are kept unless a frame has a time before it arrived: they run evenly, the network does not.
    """

    def __init__(self) -> None:
        self._first: float | None = None
        self._last, self._shift = 0.0, 0.0

    def next(self, own: float | None = None) -> tuple[float, float | None]:
        """
        Return stamp and duration, in seconds, of the frame that arrives now. The duration is the time since the last one.

        :param own: seconds since the first frame, by the stream's own times; None where it has none.
        """
        now = time.monotonic()
        if self._first is None:
            self._first = now
            self._shift = -(own or 0.0)
            return 0.0, None
        passed = now - self._first
        stamp = passed if own is None else own + self._shift
        if not passed <= stamp <= passed + _BURST:
            stamp = max(passed, self._last)
        if own is not None:
            self._shift = stamp - own
        duration, self._last = stamp - self._last, stamp
        return stamp, duration


class Source(Closing):
    """
    Frames, one after the other. Made by :func:`~.sources.open_source`.

    ``kind`` of :class:`SourceKind`; ``fps`` frames a second, 0 if unknown; ``count`` of frames, None if unknown; ``is_live``:
    frames come at their own pace; ``pixel_aspect``: width of a pixel by its height; ``sound``: the video file, if it has sound;
    ``files``: the image files.
    """

    kind: str
    fps: float = 0.0
    count: int | None = None
    is_live = False
    pixel_aspect = Fraction(1)
    sound: Path | None = None
    files: tuple[Path, ...] = ()

    def read(self) -> Frame | None:
        """
        Return the next frame, None after the last.

        :raises UnavailableError: the camera or stream is gone.
        :raises DamagedInputError: a video is damaged or cut off; raised after all frames that are whole.
        :raises InputError: an image cannot be read.
        """
        raise NotImplementedError

    def rewind(self) -> None:
        """Start again at the first frame."""
        raise NotImplementedError

    def close(self) -> None:
        """Give the camera or file back."""

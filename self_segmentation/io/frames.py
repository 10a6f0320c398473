# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What every source of frames is."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ['UNKNOWN_FPS', 'Frame', 'Source', 'SourceKind']

UNKNOWN_FPS = 30.0  # frames a second of a video that does not say


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

    ``pixels`` (height, width, 3) uint8 blue green red, the right way up, ``name`` of its own, ``index`` from 0. A video's frames
    have a ``stamp``, seconds since the first one, and a ``duration`` in seconds; the others have None.
    """

    pixels: NDArray[np.uint8]
    name: str
    index: int
    stamp: float | None = None
    duration: float | None = None


class Source:
    """
    Frames, one after the other. Made by :func:`~.sources.open_source`.

    ``kind`` is one of :class:`SourceKind`, ``fps`` the frames a second of a camera or video (0 where it is not
    known), ``count`` how many frames there are (None for a camera), ``pixel_aspect`` the width of a pixel by its height.
    ``is_live`` tells whether its frames come in their own time.
    ``sound`` is the video file, where it has any. ``files`` are the image files.
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

        :raises SourceError: the camera is gone, an image cannot be read, or a video is damaged or cut off: said at its end, after
            all frames that are whole.
        """
        raise NotImplementedError

    def rewind(self) -> None:
        """Start again at the first frame."""
        raise NotImplementedError

    def close(self) -> None:
        """Give the camera or file back."""

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Videos and animated images behind people, decoded beside the pipeline and repeated."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, SelfSegmentationError
from ..picture.backgrounds import Fitting, fitted
from ..resources import Closing, as_path
from ..settings import Settings
from .decoding import MAX_SIDE
from .frames import Frame, Source, SourceKind
from .image_files import AnimatedImage
from .sources import open_source

__all__ = ['PlayedVideo', 'open_animation', 'open_video']

_AHEAD = 3  # pictures that are ready at most
_USUAL_DURATION = 1 / 25  # seconds of a picture, if the file has no times
_LARGEST_STEP = 2.0  # seconds that the video advances between two moments at most: more is a jump, or a long pause
_log = logging.getLogger(__name__)


class _Picture(NamedTuple):
    """A picture fitted to the frame, the original, and for how many seconds it is shown."""

    fitted: NDArray[np.uint8]
    fitting: Fitting
    original: NDArray[np.uint8]
    duration: float


class PlayedVideo(Closing):
    """
    A video behind the people, repeated without end. A thread decodes and fits a few pictures ahead.

    A damaged video restarts at the damaged picture. If decoding is too slow, the video is slow, not the camera.

    :param source: a video, which :meth:`close` closes.
    :param what: its name in the log.
    :raises InputError: it has no first picture, or one that is too large.
    """

    def __init__(self, source: Source, what: str = 'the background') -> None:
        self._source, self._what = source, what
        first = self._read()
        if first is None:
            raise InputError('it has no picture')
        self._first = first
        self._condition = threading.Condition()  # guards all below
        self._ready: deque[_Picture] = deque()
        self._shown: _Picture | None = None
        self._fitting: Fitting | None = None
        self._moment: float | None = None
        self._step = self._left = 0.0  # seconds: between the last two moments; until the next picture
        self._closed = False
        self.problem = ''
        self._thread: threading.Thread | None = None

    def picture(self, moment: float, fitting: Fitting) -> NDArray[np.uint8]:
        """Return the picture of a moment, at once: see :class:`~self_segmentation.picture.backgrounds.VideoBackground`."""
        with self._condition:
            if self._thread is None:
                self._thread = threading.Thread(target=self._play, name='background', daemon=True)
                self._thread.start()
            step = 0.0 if self._moment is None else moment - self._moment
            self._moment, self._step, self._fitting = moment, min(max(step, 0.0), _LARGEST_STEP), fitting
            shown = self._shown or self._fit(self._first.pixels, fitting, self._first.duration or _USUAL_DURATION)
            if self._shown is None:
                self._left = shown.duration
            self._left -= self._step
            while self._left <= 0 and self._ready:
                shown = self._ready.popleft()
                self._left += shown.duration
            self._left = max(self._left, 0.0)  # a late decoder delays the video
            if shown.fitting != fitting:
                shown = self._fit(shown.original, fitting, shown.duration)
            self._shown = shown
            self._condition.notify()
            return shown.fitted

    def close(self) -> None:
        """End the thread and close the source."""
        with self._condition:
            self._closed = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join()
        self._source.close()
        self._ready.clear()

    def _play(self) -> None:
        try:
            self._decode()
        except Exception as error:  # the last picture stays
            self.problem = f'{self._what} stands still: {type(error).__name__}: {error}'
            _log.error(self.problem, exc_info=error)

    def _decode(self) -> None:
        duration = 0.0
        for frame in self._frames():
            duration += frame.duration or _USUAL_DURATION
            with self._condition:
                if duration < self._step / 2:  # faster than the camera: most pictures would never be seen
                    continue
                self._condition.wait_for(lambda: self._closed or len(self._ready) < _AHEAD)
                fitting = self._fitting
            if self._closed or fitting is None:
                return
            ready = self._fit(frame.pixels, fitting, duration)
            duration = 0.0
            with self._condition:
                self._ready.append(ready)

    def _frames(self) -> Iterator[Frame]:
        """Yield the pictures after the first one, then all of them again and again, as far as they can be read."""
        count, problem = 1, ''
        while not self._closed:
            frame = None
            try:
                if count == 0:
                    self._source.rewind()
                frame = self._read()
            except SelfSegmentationError as error:
                is_logged, problem = bool(problem), f'{self._what} ends at its picture {count}: {error}'
                if not is_logged:
                    _log.warning(problem)
            if frame is not None:
                count += 1
                yield frame
            elif count <= 1:
                self.problem = problem
                return  # one picture only: it stays
            else:
                count = 0

    @staticmethod
    def _fit(pixels: NDArray[np.uint8], fitting: Fitting, duration: float) -> _Picture:
        return _Picture(fitted(pixels, *fitting), fitting, pixels, duration)

    def _read(self) -> Frame | None:
        frame = self._source.read()
        if frame is not None and max(frame.pixels.shape) > MAX_SIDE:
            height, width = frame.pixels.shape[:2]
            raise InputError(f'it has pictures of {width}x{height}: each side must be 1 to {MAX_SIDE}')
        return frame


def open_animation(content: bytes, name: str) -> PlayedVideo:
    """Return the content of an animated image as a background. :raises InputError: it cannot be read."""
    return _shown(AnimatedImage(content, 'the image', Settings.background_color), name)


def open_video(name: str) -> PlayedVideo:
    """
    Return a video file as a background.

    :raises InputError: it cannot be read; a pipe, a device, a stream and an image are refused too.
    """
    try:
        path = as_path(name)
        is_file = path.is_file()
    except (OSError, ValueError) as error:
        raise InputError(f'is not a path ({error})') from error
    if not is_file:
        reason = 'is a folder' if path.is_dir() else 'is not a regular file' if path.exists() else 'does not exist'
        raise InputError(reason)
    return _shown(open_source(str(path.absolute())), name)


def _shown(source: Source, name: str) -> PlayedVideo:
    """Return a source as a background; close it if it cannot be one."""
    try:
        if source.kind != SourceKind.VIDEO:
            raise InputError('is not a video')
        return PlayedVideo(source, f'background {name!r}')
    except BaseException:
        source.close()
        raise

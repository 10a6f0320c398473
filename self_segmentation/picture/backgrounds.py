# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What is put in the place of the background, or of people: one small class each, behind one protocol and one registry."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

import cv2
import numpy as np

from ..settings import LEAST_TO_HIDE, Settings
from .arrays import Array, flattened

__all__ = ['BACKGROUNDS', 'Background', 'CleanPlate', 'Color', 'Film', 'Fitting', 'Image', 'Live', 'Media', 'NO_MEDIA',
           'close_films', 'fitted', 'make_background']

_SILENCE = 2.0  # seconds after which a picture that came on a topic is of the past
_LARGEST = 2  # pixels: the deviation that a blur has at least at the size at which it is made; more changes nothing visible
_CLEAR = 0.9  # fraction of a cell that the background must show before it may change the cell
_NOISE = 3.0  # grey levels by which the mean of a cell changes while the camera is at rest
_QUIET = 15  # frames for which a place must show nobody before it is taken for what stands behind people
_PLATE = 128  # cells of the clean plate's memory, across and down


class Fitting(NamedTuple):
    """How an image is fitted to a frame: ``size`` (width, height), ``fit`` as in ``background.fit``, ``bars`` blue green red."""

    size: tuple[int, int]
    fit: str
    bars: tuple[int, ...]


class Film(Protocol):
    """
    Pictures that follow each other at their own pace, without end.

    ``problem`` tells why it stands still; it is empty while it plays.
    """

    problem: str

    def picture(self, moment: float, fitting: Fitting) -> Array:
        """
        Return the picture of a moment, at once; it stays the film's own.

        :param moment: seconds, of any beginning; a jump is no jump in the film, which goes on by 2 s at most.
        :returns: (height, width, 3) uint8, blue green red.
        """

    def close(self) -> None:
        """Give file and memory back."""


class Media(NamedTuple):
    """The content of the files that settings name, for :func:`make_background`; None where they name none."""

    image: Array | Film | None = None
    video: Film | None = None


NO_MEDIA = Media()


def close_films(media: Iterable[Array | Film | None]) -> None:
    """Close the films among media; images have nothing to close."""
    for each in media:
        if each is not None and not isinstance(each, np.ndarray):
            each.close()


class Background(Protocol):
    """Gives the image behind the person, or that which hides people."""

    def behind(self, frame: Array, alpha: Array | None = None, moment: float = 0.0) -> Array:
        """
        Return the background for a frame.

        :param frame: (height, width, 3) uint8, blue green red.
        :param alpha: (height, width) uint8, 255 where people are; None for nobody.
        :param moment: when the frame was taken, in seconds.
        :returns: an array like the frame, which stays the background's own: read it, do not write to it.
        """


class Color:
    """One colour everywhere."""

    def __init__(self, settings: Settings, media: Media = NO_MEDIA) -> None:
        self._bgr = settings.background_color[::-1]
        self._filled: Array = np.empty((0, 0, 3), np.uint8)

    def behind(self, frame: Array, alpha: Array | None = None, moment: float = 0.0) -> Array:
        """Return the colour at the frame's size, made once per size."""
        if self._filled.shape != frame.shape:
            self._filled = np.full(frame.shape, self._bgr, np.uint8)
        return self._filled


class Image:
    """
    An image, fitted to the frame, or a film.

    :param media: of which ``kind`` counts: (h, w, 3) uint8 blue green red, or (h, w, 4) with alpha, then it stands on
        ``background.color``; or a film.
    :raises ValueError: without it.
    """

    kind = 'image'

    def __init__(self, settings: Settings, media: Media) -> None:
        content: Array | Film | None = getattr(media, self.kind)
        if content is None:
            name = getattr(settings, f'background_{self.kind}')
            raise ValueError(f'background.type = {self.kind!r} needs the content of background.{self.kind} = {name!r}')
        self._content: Array | Film = content
        if isinstance(content, np.ndarray):
            self._content = flattened(content, settings.background_color)
        self._fit, self._bars = settings.background_fit, settings.background_color[::-1]
        self._fitted: Array = np.empty((0, 0, 3), np.uint8)

    @property
    def problem(self) -> str:
        """Why a film stands still; empty while it plays, and of an image."""
        return '' if isinstance(self._content, np.ndarray) else self._content.problem

    def behind(self, frame: Array, alpha: Array | None = None, moment: float = 0.0) -> Array:
        """Return the image at the frame's size, fitted once per size, or the film's picture of the moment."""
        fitting = Fitting((frame.shape[1], frame.shape[0]), self._fit, self._bars)
        if not isinstance(self._content, np.ndarray):
            return self._content.picture(moment, fitting)
        if self._fitted.shape != frame.shape:
            self._fitted = fitted(self._content, *fitting)
        return self._fitted


class Video(Image):
    """A film, at its own pace."""

    kind = 'video'


class Blur:
    """
    The camera picture, blurred. Where people stay, only the background is blurred into it, so that they have no halo.

    Normalized convolution (Knutsson, Westin 1993), at a fraction of the size.
    """

    def __init__(self, settings: Settings, media: Media = NO_MEDIA) -> None:
        self._hides = settings.replace == 'people'
        self._strength = max(settings.background_blur, LEAST_TO_HIDE) if self._hides else settings.background_blur
        self._out: Array = np.empty((0, 0, 3), np.uint8)

    def behind(self, frame: Array, alpha: Array | None = None, moment: float = 0.0) -> Array:
        """Return the blurred camera picture."""
        sigma = self._strength * frame.shape[0]
        small, room = _reduced(frame, None if self._hides else alpha, sigma / _LARGEST)
        sigma *= small.shape[0] / frame.shape[0]
        if room is None:
            blurred = cv2.GaussianBlur(small, (0, 0), sigma)
        else:
            seen = cv2.merge([plane * room for plane in cv2.split(small)] + [room])
            *planes, weight = cv2.split(cv2.GaussianBlur(seen, (0, 0), sigma))
            blurred = cv2.merge([plane / np.maximum(weight, 1e-6) for plane in planes])
        if self._out.shape != frame.shape:
            self._out = np.empty(frame.shape, np.uint8)
        return cv2.resize(cv2.convertScaleAbs(blurred), frame.shape[1::-1], dst=self._out, interpolation=cv2.INTER_LINEAR)


class Pixelate:
    """The camera picture in cells, which stay as they are while the camera and what is behind people is at rest."""

    def __init__(self, settings: Settings, media: Media = NO_MEDIA) -> None:
        self._hides = settings.replace == 'people'
        self._cell = max(settings.background_cell, LEAST_TO_HIDE) if self._hides else settings.background_cell
        self._cells: Array = np.empty((0, 0, 3), np.float32)
        self._clear: Array = np.empty((0, 0), np.bool_)

    def behind(self, frame: Array, alpha: Array | None = None, moment: float = 0.0) -> Array:
        """Return the camera picture in cells."""
        height, width = frame.shape[:2]
        side = max(2.0, self._cell * height)
        size = max(1, round(width / side)), max(1, round(height / side))
        small, room = _reduced(frame, None if self._hides else alpha, side / 4)
        cells = cv2.resize(small, size, interpolation=cv2.INTER_AREA)
        clear = np.ones(cells.shape[:2], np.bool_)
        if room is not None:
            seen = cv2.resize(room, size, interpolation=cv2.INTER_AREA)
            shown = cv2.resize(small * room[..., None], size, interpolation=cv2.INTER_AREA)
            cells = np.where(seen[..., None] > 0.01, shown / np.maximum(seen, 0.01)[..., None], cells)
            clear = seen > _CLEAR
        if self._cells.shape == cells.shape:
            changes = (cv2.absdiff(cells, self._cells).max(axis=2) > _NOISE) & (clear | ~self._clear)
            cells, clear = np.where(changes[..., None], cells, self._cells), clear | self._clear
        self._cells, self._clear = cells, clear
        return cv2.resize(cv2.convertScaleAbs(cells), (width, height), interpolation=cv2.INTER_NEAREST)


class Live:
    """The newest picture of a topic; the colour until one came, and where none came for 2 s."""

    def __init__(self, settings: Settings, media: Media = NO_MEDIA) -> None:
        self._settings = settings
        self._color = Color(settings)
        self._image: Array | None = None
        self._fitted: Array = np.empty((0, 0, 3), np.uint8)
        self._came = 0.0

    def show(self, image: Array) -> None:
        """Take the newest picture, (h, w, 3) uint8 blue green red. It is read until the next one comes."""
        self._image, self._came = image, time.monotonic()
        self._fitted = np.empty((0, 0, 3), np.uint8)

    def take_over(self, other: Live) -> None:
        """Go on with the newest picture of another one, which had other settings."""
        self._image, self._came = other._image, other._came

    @property
    def is_silent(self) -> bool:
        """Whether no picture came for 2 s."""
        return self._image is None or time.monotonic() - self._came > _SILENCE

    def behind(self, frame: Array, alpha: Array | None = None, moment: float = 0.0) -> Array:
        """Return the newest picture, or the colour."""
        if self._image is None or self.is_silent:
            self._image = None  # memory
            return self._color.behind(frame)
        if self._fitted.shape != frame.shape:
            s = self._settings
            self._fitted = fitted(self._image, (frame.shape[1], frame.shape[0]), s.background_fit, s.background_color[::-1])
        return self._fitted


class Unchanged:
    """The camera picture itself: nothing is replaced."""

    def __init__(self, settings: Settings, media: Media = NO_MEDIA) -> None:
        pass

    def behind(self, frame: Array, alpha: Array | None = None, moment: float = 0.0) -> Array:
        """Return the frame."""
        return frame


class CleanPlate:
    """
    What stands behind people, as it was last seen; the colour where that never was.

    A place is taken once it has shown nobody for half a second of a video: somebody who comes is found in less.
    """

    def __init__(self, settings: Settings, media: Media = NO_MEDIA) -> None:
        self._bgr = settings.background_color[::-1]
        self._plate: Array = np.empty((0, 0, 3), np.uint8)
        self._quiet: Array = np.zeros((_PLATE, _PLATE), np.uint8)  # frames for which a place has shown nobody

    def behind(self, frame: Array, alpha: Array | None = None, moment: float = 0.0) -> Array:
        """Return what was learnt so far, this frame included."""
        if self._plate.shape != frame.shape:
            self._plate = np.full(frame.shape, self._bgr, np.uint8)
            self._quiet[:] = 0
        if alpha is not None:
            covered = cv2.resize(alpha, (_PLATE, _PLATE), interpolation=cv2.INTER_AREA) > 0
            self._quiet = np.where(covered, 0, np.minimum(self._quiet, _QUIET) + 1).astype(np.uint8)
            learnt = cv2.resize((self._quiet > _QUIET).astype(np.uint8), frame.shape[1::-1], interpolation=cv2.INTER_NEAREST)
            cv2.copyTo(frame, cv2.bitwise_and(learnt, cv2.compare(alpha, np.array([0]), cv2.CMP_EQ)), self._plate)
        return self._plate


BACKGROUNDS: dict[str, Callable[[Settings, Media], Background]] = {
    'color': Color, 'image': Image, 'blur': Blur, 'pixelate': Pixelate, 'video': Video, 'topic': Live, 'transparent': Color,
    'clean_plate': CleanPlate, 'none': Unchanged,
}


def make_background(settings: Settings, media: Media = NO_MEDIA) -> Background:
    """Return the background that the settings ask for; of ``transparent`` the composite takes nothing but its absence."""
    return BACKGROUNDS[settings.background_type](settings, media)


def fitted(image: Array, size: tuple[int, int], fit: str, bars: tuple[int, ...] = (0, 0, 0)) -> Array:
    """
    Return an image fitted to a size.

    :param image: (h, w, 3) uint8.
    :param size: (width, height) in pixels.
    :param fit: ``cover`` fills the size and crops the middle, ``contain`` shows all of the image between
        bars, ``stretch`` distorts it, ``tile`` repeats it at its own size from the upper left corner on.
    :param bars: the bars' colour, in the image's colour order.
    :returns: (height, width, 3) uint8.
    """
    width, height = size
    if fit == 'stretch':
        return _resized(image, width, height)
    if fit == 'tile':
        rows, columns = np.arange(height) % image.shape[0], np.arange(width) % image.shape[1]
        return np.ascontiguousarray(image[rows[:, None], columns])
    scales = width / image.shape[1], height / image.shape[0]
    scale = max(scales) if fit == 'cover' else min(scales)
    if fit == 'cover':  # cropped before it is scaled: a long thin image would become huge
        shown = max(1, min(image.shape[1], round(width / scale))), max(1, min(image.shape[0], round(height / scale)))
        left, top = (image.shape[1] - shown[0]) // 2, (image.shape[0] - shown[1]) // 2
        return _resized(image[top:top + shown[1], left:left + shown[0]], width, height)
    scaled = _resized(image, max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    left, top = (width - scaled.shape[1]) // 2, (height - scaled.shape[0]) // 2
    out = np.full((height, width, 3), bars, np.uint8)
    out[top:top + scaled.shape[0], left:left + scaled.shape[1]] = scaled
    return out


def _resized(image: Array, width: int, height: int) -> Array:
    shrinks = width < image.shape[1] or height < image.shape[0]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _reduced(frame: Array, alpha: Array | None, factor: float) -> tuple[Array, Array | None]:
    """
    Return a frame at a fraction of its size, and where it shows nobody.

    :param alpha: (height, width) uint8, or None.
    :param factor: by which it may be made smaller at most; it is halved, which is several times faster than any other size.
    :returns: (h, w, 3) float32 0..255, and (h, w) float32, 1 where alpha is 0 and so it is beside, else 0; None without alpha.
    """
    while factor >= 2 and min(frame.shape[:2]) >= 2:
        size, factor = (frame.shape[1] // 2, frame.shape[0] // 2), factor / 2
        frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
        alpha = None if alpha is None else cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    if alpha is None:
        return frame.astype(np.float32), None
    people = cv2.dilate(cv2.threshold(alpha, 0, 1, cv2.THRESH_BINARY)[1], np.ones((3, 3), np.uint8))
    return frame.astype(np.float32), np.float32(1) - people

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What replaces the background, or people: a small class each, with one protocol and one registry."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeAlias

import cv2
import numpy as np

from ..settings import LEAST_TO_HIDE, Settings
from .arrays import Array, flattened

__all__ = ['BACKGROUNDS', 'Background', 'Fitting', 'LivePicture', 'Media', 'Medium', 'NO_MEDIA', 'VideoBackground',
           'close_videos', 'fitted', 'video_of']

_SILENCE = 2.0  # seconds after which a topic's last picture is too old
_LARGEST = 2  # pixels: least deviation of a blur at its reduced size; more looks the same
_CLEAR = 0.9  # fraction of a cell in which the background must be visible before the cell changes
_NOISE = 3.0  # grey levels by which the mean of a cell changes while the camera is at rest
_QUIET = 15  # frames for which a place must show nobody before it is learnt
_PLATE = 128  # cells of the clean plate's memory, across and down


class Fitting(NamedTuple):
    """How an image is fitted to a frame: ``size`` (width, height), ``fit`` as in ``background.fit``, ``bars`` blue green red."""

    size: tuple[int, int]
    fit: str
    bars: tuple[int, ...]


class VideoBackground(Protocol):
    """
    A video that plays at its own pace, again and again.

    ``problem`` tells why it stands still; '' while it plays.
    """

    problem: str

    def picture(self, moment: float, fitting: Fitting) -> Array:
        """
        Return the picture of a moment, at once: read it, do not write to it.

        :param moment: seconds, of any beginning. The video goes on by 2 s at most, also where the moment jumps.
        :returns: (height, width, 3) uint8, blue green red.
        """

    def close(self) -> None:
        """Give file and memory back."""


class LivePicture:
    """The newest picture of a topic."""

    def __init__(self) -> None:
        self._image: Array | None = None
        self._came = 0.0

    def show(self, image: Array) -> None:
        """Take the newest picture, (h, w, 3) uint8 blue green red. Do not write to it before the next one."""
        self._image, self._came = image, time.monotonic()

    @property
    def image(self) -> Array | None:
        """The newest picture; None before the first one, and 2 s after the last one."""
        if time.monotonic() - self._came > _SILENCE:
            self._image = None  # memory
        return self._image


class Media(NamedTuple):
    """
    The content of the files that settings name, and the picture of a topic.

    ``image`` (h, w, 3) uint8 blue green red, (h, w, 4) with alpha, which stands on ``background.color``, or an animated image;
    ``video``; ``live`` the picture of ``~/background``; each may be None.
    """

    image: Array | VideoBackground | None = None
    video: VideoBackground | None = None
    live: LivePicture | None = None


NO_MEDIA = Media()
Medium: TypeAlias = 'Array | VideoBackground | LivePicture | None'


def close_videos(media: Iterable[Medium]) -> None:
    """Close the videos among media."""
    for each in media:
        if each is not None and not isinstance(each, (np.ndarray, LivePicture)):
            each.close()


class Background(Protocol):
    """Gives the picture behind people, or the one that hides them. It remembers one scene."""

    def behind(self, frame: Array, alpha: Array | None, moment: float, settings: Settings, media: Media) -> Array:
        """
        Return the background for a frame.

        :param frame: (height, width, 3) uint8, blue green red.
        :param alpha: (height, width) uint8, 255 where people are; None for nobody.
        :param moment: when the frame was taken, in seconds.
        :param settings: of this frame; ``background.*`` and ``replace`` are used.
        :param media: the content of the files that they name.
        :returns: an array like the frame: read it, do not write to it.
        """


class Color:
    """One colour everywhere."""

    def __init__(self) -> None:
        self._made: tuple[Any, ...] = ()
        self._filled: Array = np.empty((0, 0, 3), np.uint8)

    def behind(self, frame: Array, alpha: Array | None, moment: float, settings: Settings, media: Media) -> Array:
        """Return the colour at the frame's size, made once for each."""
        asked = frame.shape, settings.background_color
        if self._made != asked:
            self._made, self._filled = asked, np.full(frame.shape, settings.background_color[::-1], np.uint8)
        return self._filled


class _Fitted:
    """An image at the frame's size, on the colour: made once for each."""

    def __init__(self) -> None:
        self._source: Array | None = None
        self._fitting: Fitting | None = None
        self._image: Array = np.empty((0, 0, 3), np.uint8)

    def of(self, source: Array, fitting: Fitting) -> Array:
        if self._source is not source or self._fitting != fitting:
            self._source, self._fitting = source, fitting
            self._image = fitted(flattened(source, fitting.bars[::-1]), *fitting)
        return self._image


class File:
    """
    The content of the file of ``background.image`` or ``background.video``: an image, fitted to the frame, or a video.

    :param kind: ``image`` or ``video``.
    """

    def __init__(self, kind: str) -> None:
        self._kind, self._fitted = kind, _Fitted()

    def behind(self, frame: Array, alpha: Array | None, moment: float, settings: Settings, media: Media) -> Array:
        """
        Return the image at the frame's size, or the video's picture of the moment.

        :raises ValueError: the media have none.
        """
        content = _content(self._kind, media)
        if content is None:
            name = getattr(settings, f'background_{self._kind}')
            raise ValueError(f'background.type = {self._kind!r} needs the content of background.{self._kind} = {name!r}')
        if isinstance(content, np.ndarray):
            return self._fitted.of(content, _fitting(frame, settings))
        return content.picture(moment, _fitting(frame, settings))


class Blur:
    """
    The camera picture, blurred. If people stay, only the background is blurred, so they have no halo.

    Normalized convolution (Knutsson, Westin 1993), at a fraction of the size.
    """

    def __init__(self) -> None:
        self._out: Array = np.empty((0, 0, 3), np.uint8)

    def behind(self, frame: Array, alpha: Array | None, moment: float, settings: Settings, media: Media) -> Array:
        """Return the blurred camera picture."""
        hides = settings.hides_people
        sigma = frame.shape[0] * (max(settings.background_blur, LEAST_TO_HIDE) if hides else settings.background_blur)
        small, room = _reduced(frame, None if hides else alpha, sigma / _LARGEST)
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
    """The camera picture in cells, which do not change while camera and background are at rest."""

    def __init__(self) -> None:
        self._cells: Array = np.empty((0, 0, 3), np.float32)
        self._clear: Array = np.empty((0, 0), np.bool_)

    def behind(self, frame: Array, alpha: Array | None, moment: float, settings: Settings, media: Media) -> Array:
        """Return the camera picture in cells."""
        height, width = frame.shape[:2]
        hides = settings.hides_people
        side = max(2.0, height * (max(settings.background_cell, LEAST_TO_HIDE) if hides else settings.background_cell))
        size = max(1, round(width / side)), max(1, round(height / side))
        small, room = _reduced(frame, None if hides else alpha, side / 4)
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
    """The newest picture of a topic, or the colour."""

    def __init__(self) -> None:
        self._color, self._fitted = Color(), _Fitted()

    def behind(self, frame: Array, alpha: Array | None, moment: float, settings: Settings, media: Media) -> Array:
        """Return the newest picture, or the colour."""
        image = None if media.live is None else media.live.image
        if image is None:
            return self._color.behind(frame, alpha, moment, settings, media)
        return self._fitted.of(image, _fitting(frame, settings))


class Unchanged:
    """The camera picture itself: nothing is replaced."""

    def behind(self, frame: Array, alpha: Array | None, moment: float, settings: Settings, media: Media) -> Array:
        """Return the frame."""
        return frame


class CleanPlate:
    """
    The background behind people, as it was last seen; the colour where it was never seen.

    A place is learnt after it has shown nobody for half a second of a video: a new person is found sooner.
    """

    def __init__(self) -> None:
        self._color: tuple[int, ...] = ()
        self._plate: Array = np.empty((0, 0, 3), np.uint8)
        self._unknown: Array = np.empty((0, 0), np.uint8)  # 255 where the plate is the colour
        self._quiet: Array = np.zeros((_PLATE, _PLATE), np.uint8)  # frames for which a place has shown nobody

    def behind(self, frame: Array, alpha: Array | None, moment: float, settings: Settings, media: Media) -> Array:
        """Return what was learnt, this frame included."""
        if self._plate.shape != frame.shape:
            self._plate, self._unknown = np.empty(frame.shape, np.uint8), np.full(frame.shape[:2], 255, np.uint8)
            self._quiet[:] = 0
            self._color = ()
        if self._color != settings.background_color:
            self._color = settings.background_color
            self._plate[self._unknown > 0] = self._color[::-1]
        if alpha is not None:
            covered = cv2.resize(alpha, (_PLATE, _PLATE), interpolation=cv2.INTER_AREA) > 0
            self._quiet = np.where(covered, 0, np.minimum(self._quiet, _QUIET) + 1).astype(np.uint8)
            quiet = cv2.resize((self._quiet > _QUIET).astype(np.uint8), frame.shape[1::-1], interpolation=cv2.INTER_NEAREST)
            learnt = cv2.bitwise_and(quiet, cv2.compare(alpha, np.array([0]), cv2.CMP_EQ))
            cv2.copyTo(frame, learnt, self._plate)
            self._unknown = cv2.bitwise_and(self._unknown, cv2.compare(learnt, np.array([0]), cv2.CMP_EQ))
        return self._plate


BACKGROUNDS: dict[str, Callable[[], Background]] = {
    'color': Color, 'image': partial(File, 'image'), 'video': partial(File, 'video'),
    'blur': Blur, 'pixelate': Pixelate, 'topic': Live,
    'transparent': Color,  # the composite takes nothing of it
    'clean_plate': CleanPlate, 'none': Unchanged,
}


def video_of(settings: Settings, media: Media) -> VideoBackground | None:
    """Return the video that the settings show; None where they show none."""
    shown = _content(settings.background_type, media)
    return None if isinstance(shown, np.ndarray) else shown


def _content(kind: str, media: Media) -> Array | VideoBackground | None:
    return media.image if kind == 'image' else media.video if kind == 'video' else None


def _fitting(frame: Array, settings: Settings) -> Fitting:
    return Fitting((frame.shape[1], frame.shape[0]), settings.background_fit, settings.background_color[::-1])


def fitted(image: Array, size: tuple[int, int], fit: str, bars: tuple[int, ...] = (0, 0, 0)) -> Array:
    """
    Return an image fitted to a size.

    :param image: (h, w, 3) uint8.
    :param size: (width, height) in pixels.
    :param fit: ``cover`` fills the size and crops the image, ``contain`` shows all of it between bars, ``stretch`` distorts it,
        ``tile`` repeats it at its own size from the upper left corner on.
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
    :param factor: by which it is reduced at most, in halves: several times faster than other factors.
    :returns: (h, w, 3) float32 0..255; (h, w) float32, 1 where alpha and its neighbours are 0, else 0, or None without alpha.
    """
    while factor >= 2 and min(frame.shape[:2]) >= 2:
        size, factor = (frame.shape[1] // 2, frame.shape[0] // 2), factor / 2
        frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
        alpha = None if alpha is None else cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    if alpha is None:
        return frame.astype(np.float32), None
    people = cv2.dilate(cv2.threshold(alpha, 0, 1, cv2.THRESH_BINARY)[1], np.ones((3, 3), np.uint8))
    return frame.astype(np.float32), np.float32(1) - people

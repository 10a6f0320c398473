# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Frame in; composite, mask and alpha out."""

from __future__ import annotations

import dataclasses
import time
from contextlib import ExitStack, closing
from typing import NamedTuple, TypeVar

import cv2
import numpy as np

from ..settings import Settings
from .arrays import Array
from .backgrounds import BACKGROUNDS, NO_MEDIA, Media, close_videos
from .engine import Engine, StageTimer
from .masks import HALF
from .matting.compositor import blend, cut_out, edge_corrected
from .models.detector import PersonDetector
from .models.runtimes import Runtime, choose_runtime
from .models.segmenter import Segmenter
from .models.types import ModelFile
from .people.schedule import DetectionThread
from .people.tracks import Person
from .privacy import cover_still, private
from .stills import segment_still
from .video import Scene, Video

__all__ = ['Assets', 'Pipeline', 'Result', 'channels_of', 'turned_shape']

_ROTATIONS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}

P = TypeVar('P', bound='Pipeline')


class Assets(NamedTuple):
    """
    The content of the files that settings name.

    ``model`` the segmentation model; ``detector`` the person detector, None where ``people.detector`` is false; ``media`` the
    backgrounds.
    """

    model: ModelFile
    detector: ModelFile | None = None
    media: Media = NO_MEDIA


@dataclasses.dataclass
class Result:
    """
    What became of one frame. Arrays are None where they were not asked for.

    ``composite`` (height, width, 3) uint8 blue green red, or with ``background.type`` transparent (height, width, 4), straight
    alpha last; ``mask`` (height, width) uint8, 0 or 255; ``alpha`` (height, width) uint8, 0..255, what is kept, or covered where
    people are replaced; ``people`` everybody who was found; ``seconds`` the time each stage took; ``scene`` that the frame
    belongs to, None of a picture of its own. Height, width and all pixels are those of the frame after ``camera.rotation`` and
    ``flip``.
    """

    composite: Array | None = None
    mask: Array | None = None
    alpha: Array | None = None
    people: list[Person] = dataclasses.field(default_factory=list)
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    scene: Scene | None = dataclasses.field(default=None, repr=False)
    _matte: Array = dataclasses.field(default_factory=lambda: np.empty((0, 0), np.uint8), repr=False)
    _behind: Array | None = dataclasses.field(default=None, repr=False)
    _moment: float = dataclasses.field(default=0.0, repr=False)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the frame, in pixels."""
        return self._matte.shape[1], self._matte.shape[0]

    @property
    def matte(self) -> Array:
        """Alpha, whether it was asked for or not: in that case valid until the next call. It is not written to."""
        return self._matte

    def has(self, name: str) -> bool:
        """Return whether an array was asked for: composite, mask or alpha."""
        return getattr(self, name) is not None


class Pipeline:
    """
    The whole way of a frame. It holds models and media only: settings and a video's memory go with each frame.

    Not for several threads at once.

    :param assets: the content of the files that the settings of the frames name.
    :param runtime: what runs the models, as :func:`~self_segmentation.picture.models.runtimes.choose_runtime` takes it.
    :raises ModelError: a model cannot be loaded.
    :raises RuntimeMissingError: the runtime is not there.
    """

    def __init__(self, assets: Assets, runtime: str = 'auto') -> None:
        self._setting = runtime
        with ExitStack() as opened:
            self._model = opened.enter_context(closing(Segmenter(assets.model, runtime)))
            self._detector = None if assets.detector is None else PersonDetector(assets.detector, runtime)
            opened.pop_all()
        self._assets = assets
        self._start()
        self._unseen: Array = np.empty((0, 0), np.uint8)  # the alpha of frames whose alpha nobody wants
        self._mirrored: Array = np.empty((0, 0, 3), np.uint8)  # frames that may not lie in the composite's memory

    def _start(self) -> None:
        self._detections = None if self._detector is None else DetectionThread(self._detector)
        self._engine = Engine(self._model, self._detections)

    def _stop(self) -> None:
        self._engine.close()
        if self._detections is not None:
            self._detections.close()

    def __enter__(self: P) -> P:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the models and the videos."""
        self._stop()
        self._model.close()
        if self._detector is not None:
            self._detector.close()
        close_videos(self._assets.media)

    @property
    def assets(self) -> Assets:
        """The content of the files in use."""
        return self._assets

    @property
    def runtime(self) -> Runtime:
        """What runs the models."""
        return choose_runtime(self._setting)

    @property
    def inferences(self) -> int:
        """How often the segmentation model was asked so far for frames of videos."""
        return self._engine.inferences

    def take(self, assets: Assets) -> None:
        """
        Take other models and media; when they cannot be had, the old ones stay. Videos that are replaced are closed.

        :param assets: what is the same object as before is not loaded again.
        :raises ModelError: a model cannot be loaded.
        """
        old, model, detector = self._assets, self._model, self._detector
        with ExitStack() as opened:
            if assets.model is not old.model:
                model = opened.enter_context(closing(Segmenter(assets.model, self._setting)))
            if assets.detector is not old.detector:
                detector = None if assets.detector is None else PersonDetector(assets.detector, self._setting)
            opened.pop_all()
        if (model, detector) != (self._model, self._detector):
            self._stop()
            for before, now in ((self._model, model), (self._detector, detector)):
                if before is not None and before is not now:
                    before.close()
            self._model, self._detector = model, detector
            self._start()
        self._assets = assets
        close_videos(before for before, now in zip(old.media, assets.media) if before is not now)

    def process(self, frame: Array, settings: Settings, video: Video, *, stamp: float | None = None, still: bool = False,
                composite: bool | Array = True, mask: bool | Array = True, alpha: bool | Array = True,
                hide: bool = False) -> Result:
        """
        Segment one frame and replace its background, or its people.

        Where people are replaced, an error leaves no uncovered picture in the arrays that were given. After an error the video
        starts over: its next frame is covered as a whole.

        :param frame: (height, width, 3) uint8, blue green red. It is not written to.
        :param settings: of this frame. They act at once.
        :param video: the memory of the frames before; this frame becomes a part of it.
        :param stamp: when the frame was taken, in seconds; a jump backwards starts the video over.
        :param still: whether it is a picture of its own and not the video's next frame: slower and better. The video stays as it
            is, but for what is told of its last frame.
        :param composite: whether the composite is wanted, or an array to write it to: C-contiguous, uint8, shaped as in
            :class:`Result`.
        :param mask: whether the mask is wanted, or an array to write it to.
        :param alpha: whether alpha is wanted, or an array to write it to.
        :param hide: whether to replace all of the frame, whoever is there.
        :raises ValueError: an array that was given cannot take its result.
        """
        try:
            _check_arrays(turned_shape(frame.shape, settings), settings, composite, mask, alpha)
            return self._process(frame, settings, video, stamp, still, composite, mask, alpha, hide)
        except BaseException:
            video.start_over()
            raise

    def _process(self, frame: Array, settings: Settings, video: Video, stamp: float | None, still: bool, composite: bool | Array,
                 mask: bool | Array, alpha: bool | Array, hide: bool) -> Result:
        timer = StageTimer()
        out, hides_people = _array(composite), settings.hides_people
        if settings.camera_rotation or settings.flip:
            frame = self._upright(frame, settings, None if hides_people else out)
            timer.lap('prepare')
        result = Result(seconds=timer.seconds)
        if alpha is False and self._unseen.shape != frame.shape[:2]:
            self._unseen = np.empty(frame.shape[:2], np.uint8)
        matte = self._unseen if alpha is False else _array(alpha)
        if hide:
            matte = np.empty(frame.shape[:2], np.uint8) if matte is None else matte
            matte[:] = 255 if hides_people else 0
        elif still:
            used = private(settings) if hides_people else settings
            matte, result.people = segment_still(frame, self._infer, self._detections, self._model.size, used, matte)
            if hides_people:
                cover_still(matte, result.people, used.privacy_margin)
            timer.lap('segment')
        else:
            matte = self._engine.frame(frame, settings, video, stamp, matte, timer)
            result.people = video.people
        video.matte = result._matte = matte
        result.scene = None if still else video.scene
        result._moment = stamp if stamp is not None else 0.0 if still else time.monotonic()
        if alpha is not False:
            result.alpha = matte
        if mask is not False:
            result.mask = _mask(matte, _array(mask))
        if composite is not False:
            result._behind = self._behind(result, frame, settings)
            result.composite = _composite(frame, matte, result._behind, settings, out)
        timer.lap('composite')
        return result

    def complete(self, result: Result, frame: Array, settings: Settings, *, composite: bool | Array = False,
                 mask: bool | Array = False, alpha: bool | Array = False) -> Result:
        """
        Return the result of a frame with more arrays. Those that it has stay.

        :param result: of a call of :meth:`process` for which alpha was wanted, or of the last call.
        :param frame: of that call, (height, width, 3) uint8, blue green red.
        :param settings: of that call; those of the background may be others.
        :param composite: as :meth:`process` takes it.
        :param mask: as :meth:`process` takes it.
        :param alpha: as :meth:`process` takes it.
        """
        _check_arrays(turned_shape(frame.shape, settings), settings, composite, mask, alpha)
        matte, more = result._matte, dataclasses.replace(result)
        if alpha is not False and result.alpha is None:
            more.alpha = _copied(matte, _array(alpha))
        if mask is not False and result.mask is None:
            more.mask = _mask(matte, _array(mask))
        if composite is not False and result.composite is None:
            seen = self._upright(frame, settings)
            if more._behind is None:
                more._behind = self._behind(result, seen, settings)
            more.composite = _composite(seen, matte, more._behind, settings, _array(composite))
        return more

    def _behind(self, result: Result, frame: Array, settings: Settings) -> Array:
        """Return what stands behind people, or in their place."""
        kind, scene = settings.background_type, result.scene
        replacement = BACKGROUNDS[kind]() if scene is None else scene.replacement(kind)
        return replacement.behind(frame, result._matte, result._moment, settings, self._assets.media)

    def _upright(self, frame: Array, settings: Settings, out: Array | None = None) -> Array:
        """Return the frame turned and mirrored as the settings have it, in the composite's memory where that has its shape."""
        if settings.camera_rotation:
            frame = cv2.rotate(frame, _ROTATIONS[settings.camera_rotation])
        if not settings.flip:
            return frame
        if out is None or out.shape != frame.shape:
            if self._mirrored.shape != frame.shape:
                self._mirrored = np.empty(frame.shape, np.uint8)
            out = self._mirrored
        return cv2.flip(frame, 1, dst=out)

    def _infer(self, bgr: Array) -> Array:
        return self._model.probability(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))


def turned_shape(shape: tuple[int, ...], settings: Settings) -> tuple[int, int]:
    """Return height and width of a frame of a shape as ``camera.rotation`` turns it: those of its results."""
    height, width = shape[:2]
    return (width, height) if settings.camera_rotation in (90, 270) else (height, width)


def channels_of(settings: Settings) -> int:
    """Return how many channels a composite has: 4 with ``background.type`` transparent, else 3."""
    return 4 if settings.background_type == 'transparent' else 3


def _check_arrays(shape: tuple[int, int], settings: Settings, composite: bool | Array, mask: bool | Array,
                  alpha: bool | Array) -> None:
    of_composite = *shape, channels_of(settings)
    wanted = {'composite': (composite, of_composite), 'mask': (mask, shape), 'alpha': (alpha, shape)}
    for name, (array, fitting) in wanted.items():
        if isinstance(array, bool) or (array.shape == fitting and array.dtype == np.uint8 and array.flags.c_contiguous):
            continue
        is_contiguous = 'C-contiguous' if array.flags.c_contiguous else 'not C-contiguous'
        raise ValueError(f'{name} cannot be written to an array of {array.shape} {array.dtype}, {is_contiguous}: '
                         f'give one of {fitting} uint8, C-contiguous')


def _composite(frame: Array, matte: Array, behind: Array, settings: Settings, out: Array | None) -> Array:
    is_transparent = settings.background_type == 'transparent'
    if settings.hides_people:
        return cut_out(frame, cv2.bitwise_not(matte), out) if is_transparent else blend(behind, matte, frame, out)
    if behind is frame:
        return frame if out is frame else _copied(frame, out)
    light_wrap = 0.0 if is_transparent else settings.edge_light_wrap
    if settings.decontamination > 0 or light_wrap > 0:
        frame = edge_corrected(frame, matte, behind, settings.decontamination, light_wrap, None if is_transparent else out)
    return cut_out(frame, matte, out) if is_transparent else blend(frame, matte, behind, out)


def _array(wanted: bool | Array) -> Array | None:
    return wanted if isinstance(wanted, np.ndarray) else None


def _copied(frame: Array, out: Array | None) -> Array:
    if out is None:
        return frame.copy()
    np.copyto(out, frame)
    return out


def _mask(matte: Array, out: Array | None) -> Array:
    return cv2.threshold(matte, HALF, 255, cv2.THRESH_BINARY, dst=out)[1]

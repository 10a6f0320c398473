# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Frame in; composite, mask and alpha out. Strings the rooms together, without ROS."""

from __future__ import annotations

import dataclasses
import time
from typing import NamedTuple

import cv2
import numpy as np

from ..settings import Settings
from .arrays import Array
from .backgrounds import Image, Live, Media, close_films, make_background
from .engine import Engine, StageTimer
from .matting.compositor import blend, cut_out, edge_corrected
from .models.detector import Finder, PersonDetector
from .models.runtimes import Runtime, choose_runtime
from .models.segmenter import Segmenter
from .models.types import ModelFile
from .people.tracks import Person
from .privacy import cover_still, private
from .stills import segment_still

__all__ = ['Assets', 'Pipeline', 'Result']


class Assets(NamedTuple):
    """
    The content of the files that settings name.

    ``model`` the segmentation model; ``detector`` the person detector, None where ``people.detector`` is false; ``media`` the
    backgrounds.
    """

    model: ModelFile
    detector: ModelFile | None = None
    media: Media = Media()


@dataclasses.dataclass
class Result:
    """
    What became of one frame. Arrays are None where they were not asked for.

    ``composite`` (height, width, 3) uint8 blue green red, or with ``background.type`` transparent (height, width, 4), straight
    alpha last; ``mask`` (height, width) uint8, 0 or 255; ``alpha`` (height, width) uint8, 0..255, what is kept, or covered where
    people are replaced; ``people`` everybody who was found, in pixels of the (mirrored) frame; ``seconds`` the time each stage
    took.
    """

    composite: Array | None = None
    mask: Array | None = None
    alpha: Array | None = None
    people: list[Person] = dataclasses.field(default_factory=list)
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)


class Pipeline:
    """
    The whole way of a frame.

    :raises ModelError: the model cannot be loaded.
    :raises RuntimeMissingError: the runtime is not there.
    """

    def __init__(self, settings: Settings, assets: Assets) -> None:
        self.settings, self.assets = settings, assets
        self._background = make_background(settings, assets.media)
        self._model, self._detector = self._loaded(assets, settings.runtime)
        self._engine = self._make_engine(settings)
        self._unseen: Array = np.empty((0, 0), np.uint8)  # the alpha of frames whose alpha nobody wants
        self._matte = self._unseen
        self._mirrored: Array = np.empty((0, 0, 3), np.uint8)  # frames that may not lie in the composite's memory
        self._moment = 0.0  # of the last frame

    def _loaded(self, assets: Assets, runtime: str, model: Segmenter | None = None) -> tuple[Segmenter, PersonDetector | None]:
        """Return the models, the first one newly loaded unless it is given; when the second cannot be had, none stays loaded."""
        new = model or Segmenter(assets.model, runtime)
        try:
            return new, None if assets.detector is None else PersonDetector(assets.detector, runtime)
        except BaseException:
            if model is None:
                new.close()
            raise

    def _make_engine(self, settings: Settings) -> Engine:
        return Engine(self._model, None if self._detector is None else Finder(self._detector), settings)

    @property
    def runtime(self) -> Runtime:
        """What runs the models."""
        return choose_runtime(self.settings.runtime)

    @property
    def inferences(self) -> int:
        """How often the segmentation model was asked so far for frames of a video."""
        return self._engine.inferences

    @property
    def people(self) -> list[Person]:
        """The people of the last frame of a video; nobody without the person detector."""
        return self._engine.people

    @property
    def coverage(self) -> float:
        """The fraction of the last frame that people cover, 0..1."""
        return cv2.mean(self._matte)[0] / 255 if self._matte.size else 0.0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the last frame, in pixels; 0 before the first one."""
        return self._matte.shape[1], self._matte.shape[0]

    def configure(self, settings: Settings, assets: Assets) -> None:
        """
        Take new settings from the next frame on; when they cannot be had, the old ones stay.

        :param assets: what is the same object as before is not loaded again.
        :raises ModelError: the model cannot be loaded.
        """
        changed = {name for name, _ in set(settings.items()) - set(self.settings.items())}
        background = self._background
        films = [old for old, new in zip(self.assets.media, assets.media) if old is not new]
        if films or any(name == 'replace' or name.startswith('background.') for name in changed):
            background = make_background(settings, assets.media)
            if isinstance(background, Live) and isinstance(self._background, Live):
                background.take_over(self._background)
        same_model = 'runtime' not in changed and assets.model is self.assets.model
        same_detector = 'runtime' not in changed and assets.detector is self.assets.detector
        if not same_model or not same_detector:
            if same_detector:
                model, detector = Segmenter(assets.model, settings.runtime), self._detector
            else:
                model, detector = self._loaded(assets, settings.runtime, self._model if same_model else None)
            self._engine.close()
            for old, new in ((self._model, model), (self._detector, detector)):
                if old is not None and old is not new:
                    old.close()
            self._model, self._detector = model, detector
            self._engine = self._make_engine(settings)
        elif any(not name.startswith('background.') for name in changed):
            self._engine.configure(settings)
        self.settings, self.assets, self._background = settings, assets, background
        close_films(films)

    def reset(self) -> None:
        """Forget the video: the next frame has nothing to do with the last."""
        self._engine.reset()

    def close(self) -> None:
        """Free the models."""
        self._engine.close()
        self._model.close()
        if self._detector is not None:
            self._detector.close()
        close_films(self.assets.media)

    @property
    def channels(self) -> int:
        """How many channels a composite has: 4 with ``background.type`` transparent, else 3."""
        return 4 if self.settings.background_type == 'transparent' else 3

    def show_background(self, image: Array) -> None:
        """Take the newest picture for ``background.type`` topic, (h, w, 3) uint8 blue green red; others take no notice."""
        if isinstance(self._background, Live):
            self._background.show(image)

    @property
    def waits_for_background(self) -> bool:
        """Whether the colour is shown because no picture came for ``background.type`` topic."""
        return isinstance(self._background, Live) and self._background.is_silent

    @property
    def background_problem(self) -> str:
        """Why the film that is shown stands still; empty where it does not, or none is shown."""
        return self._background.problem if isinstance(self._background, Image) else ''

    def process(self, frame: Array, *, stamp: float | None = None, still: bool = False, composite: bool | Array = True,
                mask: bool | Array = True, alpha: bool | Array = True, hide: bool = False) -> Result:
        """
        Segment one frame and replace its background, or its people.

        Where people are replaced, an error leaves no uncovered picture in the arrays that were given, and the next frame of the
        video is covered as a whole.

        :param frame: (height, width, 3) uint8, blue green red. It is not written to.
        :param stamp: when the frame was taken, in seconds; a jump backwards forgets the video.
        :param still: whether it is a picture of its own and not the next frame of a video: slower and better.
        :param composite: whether the composite is wanted, or an array to write it to: like the frame, of :attr:`channels`.
        :param mask: likewise, (height, width) uint8.
        :param alpha: likewise, (height, width) uint8.
        :param hide: whether to replace all of the frame, whoever is there.
        """
        try:
            return self._process(frame, stamp, still, composite, mask, alpha, hide)
        except BaseException:
            self.reset()
            raise

    def _process(self, frame: Array, stamp: float | None, still: bool, composite: bool | Array, mask: bool | Array,
                 alpha: bool | Array, hide: bool) -> Result:
        timer = StageTimer()
        out, s = _array(composite), self.settings
        hides_people = s.replace == 'people'
        if s.flip:
            own = hides_people or out is None or out.shape != frame.shape
            if own and self._mirrored.shape != frame.shape:
                self._mirrored = np.empty(frame.shape, np.uint8)
            frame = cv2.flip(frame, 1, dst=self._mirrored if own else out)
            timer.lap('prepare')
        result = Result(seconds=timer.seconds)
        if alpha is False and self._unseen.shape != frame.shape[:2]:
            self._unseen = np.empty(frame.shape[:2], np.uint8)
        matte = self._unseen if alpha is False else _array(alpha)
        if hide:
            matte = np.empty(frame.shape[:2], np.uint8) if matte is None else matte
            matte[:] = 255 if hides_people else 0
        elif still:
            finder = None if self._detector is None else Finder(self._detector)
            s = private(s) if hides_people else s
            matte, result.people = segment_still(frame, self._infer, finder, self._model.size, s, matte)
            if hides_people:
                cover_still(matte, result.people, s.privacy_margin)
            timer.lap('segment')
        else:
            matte = self._engine.frame(frame, stamp, matte, timer)
            result.people = self._engine.people
        self._matte = matte
        if alpha is not False:
            result.alpha = matte
        self._moment = stamp if stamp is not None else 0.0 if still else time.monotonic()
        if mask is not False:
            result.mask = _mask(matte, _array(mask))
        if composite is not False:
            result.composite = self._composite(frame, matte, self._moment, out)
        timer.lap('composite')
        return result

    def complete(self, result: Result, frame: Array, *, composite: bool | Array = False, mask: bool | Array = False,
                 alpha: bool | Array = False) -> Result:
        """
        Return the result of the last frame with more arrays. Those that it has stay, and so does what the next frames go by.

        :param result: of the last call of :meth:`process`.
        :param frame: the same, (height, width, 3) uint8, blue green red.
        :param composite: as :meth:`process` takes it.
        :param mask: as :meth:`process` takes it.
        :param alpha: as :meth:`process` takes it.
        """
        matte, more = self._matte, dataclasses.replace(result)
        if alpha is not False and result.alpha is None:
            more.alpha = _copied(matte, _array(alpha))
        if mask is not False and result.mask is None:
            more.mask = _mask(matte, _array(mask))
        if composite is not False and result.composite is None:
            seen = cv2.flip(frame, 1) if self.settings.flip else frame
            more.composite = self._composite(seen, matte, self._moment, _array(composite))
        return more

    def _composite(self, frame: Array, matte: Array, moment: float, out: Array | None) -> Array:
        s = self.settings
        is_transparent = s.background_type == 'transparent'
        if s.replace == 'people':
            if is_transparent:
                return cut_out(frame, cv2.bitwise_not(matte), out)
            return blend(self._background.behind(frame, matte, moment), matte, frame, out)
        behind = self._background.behind(frame, matte, moment)
        if behind is frame:
            return frame if out is frame else _copied(frame, out)
        light_wrap = 0.0 if is_transparent else s.edge_light_wrap
        if s.decontamination > 0 or light_wrap > 0:
            frame = edge_corrected(frame, matte, behind, s.decontamination, light_wrap, None if is_transparent else out)
        return cut_out(frame, matte, out) if is_transparent else blend(frame, matte, behind, out)

    def _infer(self, bgr: Array) -> Array:
        return self._model.probability(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))


def _array(wanted: bool | Array) -> Array | None:
    return wanted if isinstance(wanted, np.ndarray) else None


def _copied(frame: Array, out: Array | None) -> Array:
    if out is None:
        return frame.copy()
    np.copyto(out, frame)
    return out


def _mask(matte: Array, out: Array | None) -> Array:
    return cv2.threshold(matte, 127, 255, cv2.THRESH_BINARY, dst=out)[1]

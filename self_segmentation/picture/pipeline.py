# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Frame in; composite, mask and alpha out. Strings the rooms together, without ROS."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import cv2
import numpy as np

from ..settings import Settings
from .arrays import Array
from .backgrounds import make_background
from .compositor import blend, edge_corrected
from .detector import Finder, PersonDetector
from .engine import Engine, StageTimer
from .people import Person
from .runtimes import Runtime, choose_runtime
from .segmenter import ModelFile, Segmenter
from .stills import segment_still

__all__ = ['Assets', 'Pipeline', 'Result']


class Assets(NamedTuple):
    """
    The content of the files that settings name.

    ``model`` the segmentation model; ``detector`` the person detector, None where ``people.detector`` is false;
    ``background_image`` (h, w, 3) uint8 blue green red, or (h, w, 4) with alpha, None where none is named.
    """

    model: ModelFile
    detector: ModelFile | None = None
    background_image: Array | None = None


@dataclasses.dataclass
class Result:
    """
    What became of one frame. Arrays are None where they were not asked for.

    ``composite`` (height, width, 3) uint8 blue green red; ``mask`` (height, width) uint8, 0 or 255; ``alpha``
    (height, width) uint8, 0..255; ``people`` everybody who was found, in pixels of the (mirrored) frame; ``seconds`` the time
    each stage took.
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
        self._background = make_background(settings, assets.background_image)
        self._model = Segmenter(assets.model, settings.runtime)
        self._detector = None if assets.detector is None else PersonDetector(assets.detector, settings.runtime)
        self._engine = self._make_engine(settings)
        self._matte = self._unseen = np.empty((0, 0), np.uint8)  # the alpha of frames whose alpha nobody wants

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

    def configure(self, settings: Settings, assets: Assets) -> None:
        """
        Take new settings from the next frame on; when they cannot be had, the old ones stay.

        :param assets: what is the same object as before is not loaded again.
        :raises ModelError: the model cannot be loaded.
        """
        changed = {name for name, _ in set(settings.items()) - set(self.settings.items())}
        background = self._background
        if assets.background_image is not self.assets.background_image or any(name.startswith('background.') for name in changed):
            background = make_background(settings, assets.background_image)
        same_model = 'runtime' not in changed and assets.model is self.assets.model
        same_detector = 'runtime' not in changed and assets.detector is self.assets.detector
        if not same_model or not same_detector:
            model = self._model if same_model else Segmenter(assets.model, settings.runtime)
            detector = self._detector
            if not same_detector:
                detector = None if assets.detector is None else PersonDetector(assets.detector, settings.runtime)
            self._engine.close()
            for old, new in ((self._model, model), (self._detector, detector)):
                if old is not None and old is not new:
                    old.close()
            self._model, self._detector = model, detector
            self._engine = self._make_engine(settings)
        elif any(not name.startswith('background.') for name in changed):
            self._engine.configure(settings)
        self.settings, self.assets, self._background = settings, assets, background

    def reset(self) -> None:
        """Forget the video: the next frame has nothing to do with the last."""
        self._engine.reset()

    def close(self) -> None:
        """Free the models."""
        self._engine.close()
        self._model.close()
        if self._detector is not None:
            self._detector.close()

    def process(self, frame: Array, *, stamp: float | None = None, still: bool = False, composite: bool | Array = True,
                mask: bool | Array = True, alpha: bool | Array = True) -> Result:
        """
        Segment one frame and put the background behind its people.

        :param frame: (height, width, 3) uint8, blue green red. It is not written to.
        :param stamp: when the frame was taken, in seconds; a jump backwards forgets the video.
        :param still: whether it is a picture of its own and not the next frame of a video: slower and better.
        :param composite: whether the composite is wanted, or an array like the frame to write it to.
        :param mask: likewise, (height, width) uint8.
        :param alpha: likewise, (height, width) uint8.
        """
        timer = StageTimer()
        out, s = _array(composite), self.settings
        if self.settings.flip:
            frame = out = cv2.flip(frame, 1, dst=out)
            timer.lap('prepare')
        result = Result(seconds=timer.seconds)
        if still:
            finder = None if self._detector is None else Finder(self._detector)
            matte, result.people = segment_still(frame, self._infer, finder, self._model.size, s, _array(alpha))
            timer.lap('segment')
        else:
            if alpha is False and self._unseen.shape != frame.shape[:2]:
                self._unseen = np.empty(frame.shape[:2], np.uint8)
            matte = self._engine.frame(frame, stamp, self._unseen if alpha is False else _array(alpha), timer)
            result.people = self._engine.people
        self._matte = matte
        if alpha is not False:
            result.alpha = matte
        if mask is not False:
            result.mask = cv2.threshold(matte, 127, 255, cv2.THRESH_BINARY, dst=_array(mask))[1]
        if composite is not False:
            behind = self._background.behind(frame)
            if s.edge_decontaminate or s.edge_light_wrap:
                frame = edge_corrected(frame, matte, behind, s.edge_decontaminate, s.edge_light_wrap)
            result.composite = blend(frame, matte, behind, out)
        timer.lap('composite')
        return result

    def _infer(self, bgr: Array) -> Array:
        return self._model.probability(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))


def _array(wanted: bool | Array) -> Array | None:
    return wanted if isinstance(wanted, np.ndarray) else None

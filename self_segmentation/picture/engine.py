# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""From frame to alpha: focus, segmenter, presence, steadiness and edges strung together, for video and for pictures."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Protocol

import cv2
import numpy as np

from ..settings import Settings
from . import matte, roi
from .presence import SURE, Presence, agreement
from .segmenter import resize_like_mediapipe
from .temporal.background_model import Plate
from .temporal.smoothing import Steady

__all__ = ['Clock', 'Engine', 'Model']

_LARGEST_CROP = 0.85  # share of the frame; a larger crop gains nothing over the whole frame
_SMALLEST = 0.002  # share of the frame; smaller pieces do not steer the focus and are not judged
_SCENE_CUT = 50.0  # grey levels; a mean difference from one frame to the next above this is another scene
_USUAL_STEP = 1 / 30  # seconds between frames without stamps
_GAP = 2.0  # seconds; after a longer one what was seen before is of no use
_HELD = 0.9  # probability of a person who is held although the model lost them


class Model(Protocol):
    """What looks at a picture: :class:`~self_segmentation.segmenter.Segmenter`."""

    size: tuple[int, int]

    def probability(self, rgb: np.ndarray) -> np.ndarray:
        """Return (height, width) float32 in 0..1 for a uint8 picture of the model's size, red green blue."""

    def close(self) -> None:
        """Free the model."""


class Clock:
    """Laps of one frame: ``laps`` maps the stage's name to its seconds."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """End a stage."""
        now = time.perf_counter()
        self.laps[name] = self.laps.get(name, 0.0) + now - self._last
        self._last = now


class Engine:
    """
    Finds the alpha of pictures (:meth:`picture`) and of the frames of a video (:meth:`frame`).
    """

    def __init__(self, model: Model, settings: Settings) -> None:
        self._model = model
        self._inferences = 0
        # One more thread: what does not need the model runs beside it, and what only the next frame needs after the picture.
        self._beside = ThreadPoolExecutor(1, 'beside')
        self._follow_up: Future | None = None
        self._roi = roi.RegionOfInterest(_LARGEST_CROP, _SMALLEST)
        self._steady, self._presence, self._plate = Steady(), Presence(), Plate()
        self._settings = settings
        self.configure(settings)
        self.reset()

    @property
    def inferences(self) -> int:
        """How often the model was asked so far."""
        self._settle()
        return self._inferences

    def configure(self, settings: Settings) -> None:
        """Take new settings from the next frame on. What is known of the video stays, unless left and right change places."""
        self._settle()
        if settings.flip != self._settings.flip or settings.roi_enabled != self._settings.roi_enabled:
            self.reset()
        self._settings = s = settings
        self._curve = matte.alpha_curve(s.threshold, s.softness)
        self._roi.margin = s.roi_margin
        self._steady.memory, self._steady.band = s.temporal_smoothing, s.temporal_hysteresis
        self._steady.motion = s.temporal_motion_threshold
        self._steady.threshold = s.threshold
        self._presence.reject = s.presence_agreement
        self._plate.patience = s.temporal_hold_time
        self._judges = s.presence_agreement > 0
        self._remembers = s.temporal_smoothing > 0 or s.temporal_hysteresis > 0
        self._knows_scene = s.temporal_background_penalty > 0 or s.temporal_hold_time > 0

    def close(self) -> None:
        """Free the model."""
        self._beside.shutdown()
        self._model.close()

    def reset(self) -> None:
        """Forget the video: another scene, another camera, a jump in time."""
        self._settle()
        for part in (self._roi, self._steady, self._presence, self._plate):
            part.reset()
        self._shape: tuple[int, ...] | None = None
        self._stamp: float | None = None
        self._count = 0

    # ---- video

    def frame(self, bgr: np.ndarray, stamp: float | None = None, out: np.ndarray | None = None,
              clock: Clock | None = None) -> np.ndarray:
        """
        Return the alpha of the next frame of a video, from this frame and earlier ones.

        :param bgr: (height, width, 3) uint8, blue green red. Another size starts over.
        :param stamp: seconds; a jump backwards, or by more than 2 s, starts over.
        :param out: (height, width) uint8 to write to.
        :param clock: takes the stages' times.
        :returns: (height, width) uint8.
        """
        clock = clock or Clock()
        if self._follow_up is not None:
            last, self._follow_up = self._follow_up, None
            last.result()
        step = _USUAL_STEP if stamp is None or self._stamp is None or stamp == self._stamp else stamp - self._stamp
        if bgr.shape != self._shape or not 0 < step < _GAP:
            self.reset()
        whole = roi.whole(bgr.shape)
        region = self._roi.region(bgr.shape)
        small, low = self._small(bgr, region)
        if self._remembers and self._steady.see(low, region) > _SCENE_CUT:
            self.reset()
            region = whole
            small, low = self._small(bgr, region)
            self._steady.see(low, region)
        self._shape, self._stamp = bgr.shape, stamp
        clock.lap('prepare')
        beside = self._beside.submit(self._see, bgr, small, low, region)
        try:
            raw = self._look(small)
        finally:  # never left running on its own
            scene, smooth = beside.result()
        clock.lap('segment')
        probability = self._presence.hide(raw, region, whole) if self._judges else raw
        doubt = None
        if scene is not None:
            probability, doubt = self._second_opinion(*scene, probability, region, whole, step)
        clock.lap('scene')
        seen = probability
        if self._remembers:
            probability = self._steady.update(probability, region, doubt)
        elif doubt is not None:
            probability = probability - doubt
        clock.lap('steady')
        self._count += 1
        again = None
        if self._count % self._settings.roi_full_frame_interval == 0 and (self._judges or region != whole):
            again = small if region == whole else self._small(bgr, whole)[0]
        self._follow_up = self._beside.submit(self._learn, raw, seen, probability, again, region, whole)
        alpha = self._raised(smooth(probability), region, bgr.shape, out)
        clock.lap('edge')
        return alpha

    def _see(self, bgr: np.ndarray, small: np.ndarray, low: np.ndarray,
             region: roi.Region) -> tuple[tuple[np.ndarray, np.ndarray] | None, matte.EdgeFilter]:
        """Do what needs the picture and not the model: the scene's second opinion, and the edge filter."""
        scene = None
        if self._knows_scene:
            scene = self._plate.look(cv2.resize(bgr, (Plate.SIDE, Plate.SIDE), interpolation=cv2.INTER_LINEAR))
        if self._remembers:
            self._steady.weigh(region, self._model.size)
        return scene, matte.edge_filter(small, low, region.size, self._settings)

    def _second_opinion(self, same: np.ndarray, other: np.ndarray, probability: np.ndarray, region: roi.Region,
                        whole: roi.Region, step: float) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the probability with those held whom the model lost, and how much to doubt it where the scene shows."""
        held = self._plate.hold(_on_grid(probability, region, whole), other, step)
        if held is not None:
            held = _from_grid(held.astype(np.float32), probability.shape, region, whole)
            probability = np.maximum(probability, _HELD * held)
        if not self._settings.temporal_background_penalty:
            return probability, None
        doubt = _from_grid(self._plate.doubt(same, other), probability.shape, region, whole)
        return probability, self._settings.temporal_background_penalty * doubt

    def _learn(self, raw: np.ndarray, seen: np.ndarray, final: np.ndarray, again: np.ndarray | None, region: roi.Region,
               whole: roi.Region) -> None:
        """
        Do what only the next frame needs.

        :param raw: the model's own map of the region.
        :param seen: the same, corrected by presence and scene.
        :param final: the same, steadied.
        :param again: the whole frame at the model's size when it is time to read it as well, changed: for newcomers beside
            the crop, and to doubt things that are no people.
        """
        shape = whole.height, whole.width
        if self._settings.roi_enabled:
            self._roi.update(seen, region, shape)
        if again is not None:
            variant = (self._count // self._settings.roi_full_frame_interval) % 2
            changed = self._look_changed(again, variant)
            if self._judges:
                self._presence.check(roi.warp(raw, region, whole, 0.0), changed, variant)
            if region != whole:
                people = self._presence.hide(changed, whole, whole) if self._judges else changed
                self._roi.whole_seen(people, region, raw, shape, hold=2 * self._settings.roi_full_frame_interval)
        if self._knows_scene:
            self._plate.learn(_on_grid(final, region, whole))

    def _settle(self) -> None:
        """Wait until the last frame's follow-up is done. What went wrong in it is the next frame's error."""
        if self._follow_up is not None:
            wait([self._follow_up])

    # ---- pictures

    def picture(self, bgr: np.ndarray, out: np.ndarray | None = None, clock: Clock | None = None) -> np.ndarray:
        """
        Return the alpha of one picture, from at most five inferences, and keep nothing.

        The whole picture as it is, mirrored and dimmed; then the crop around the people, as it is and mirrored,
        averaged with the whole's. Whoever the whole picture shows stays, whatever the crop says. Without focus
        and presence it is one inference.

        :param bgr: (height, width, 3) uint8, blue green red.
        :param out: (height, width) uint8 to write to.
        :param clock: takes the stages' times.
        :returns: (height, width) uint8.
        """
        clock = clock or Clock()
        self._settle()
        whole = region = roi.whole(bgr.shape)
        small, low = self._small(bgr, whole)
        clock.lap('prepare')
        probability = self._look(small)
        keep = []
        if self._settings.roi_enabled or self._judges:
            probability, keep = self._judged(small, probability, whole)
        people = roi.union([part.region for part in keep])
        if self._settings.roi_enabled and people is not None:
            region = roi.around(people, bgr.shape, self._settings.roi_margin, 1.0)
        if region != whole:
            small, low = self._small(bgr, region)
            probability = self._closer(small, probability, keep, region, whole)
        clock.lap('segment')
        view = bgr[region.y0:region.y1, region.x0:region.x1]
        smooth = matte.edge_filter(small, low, region.size, self._settings)
        alpha = self._raised(smooth(probability, view), region, bgr.shape, out)
        clock.lap('edge')
        return alpha

    def _judged(self, small: np.ndarray, plain: np.ndarray,
                whole: roi.Region) -> tuple[np.ndarray, list[roi.Component]]:
        """Return the map without the things that are no people, and the pieces that are."""
        changed = [self._look_changed(small, variant) for variant in ((0, 1) if self._judges else (0,))]
        probability = 0.5 * (plain + changed[0])
        parts = roi.components(probability, whole, _SMALLEST, 0.4)
        trust = [agreement(part.pixels, [plain, *changed]) for part in parts]
        least = 0.0 if any(t > SURE for t in trust) else self._settings.presence_agreement
        for part, t in zip(parts, trust):
            if t < least:
                probability = probability * (1.0 - cv2.dilate(part.pixels.astype(np.float32), np.ones((5, 5), np.uint8)))
        return probability, [part for part, t in zip(parts, trust) if t >= least]

    def _closer(self, small: np.ndarray, probability: np.ndarray, keep: list[roi.Component], region: roi.Region,
                whole: roi.Region) -> np.ndarray:
        """Return the map of the crop, averaged with the whole picture's; who is not seen from close up stays as they were."""
        rough = roi.warp(probability, whole, region, 0.0)
        close = 0.5 * (self._look(small) + self._look_changed(small, 0))
        lost = np.zeros_like(rough)
        for part in keep:
            pixels = roi.warp(part.pixels.astype(np.float32), whole, region, 0.0)
            if (close * pixels).sum() < 0.4 * pixels.sum():
                lost = np.maximum(lost, pixels)
        close = close + lost * (rough - close)
        return 0.5 * (rough + close)

    # ---- both

    def _small(self, bgr: np.ndarray, region: roi.Region) -> tuple[np.ndarray, np.ndarray]:
        """Return a region at the model's size, and at a quarter of it."""
        if self._settings.roi_enabled:
            view = bgr[region.y0:region.y1, region.x0:region.x1]
            small = cv2.resize(view, self._model.size, interpolation=cv2.INTER_LINEAR)
        else:
            small = resize_like_mediapipe(bgr, self._model.size)  # MediaPipe's own sampling, to the last bit
        return small, matte.downsample_by_4(small)

    def _look(self, small: np.ndarray) -> np.ndarray:
        self._inferences += 1
        return self._model.probability(cv2.cvtColor(small, cv2.COLOR_BGR2RGB))

    def _look_changed(self, small: np.ndarray, variant: int) -> np.ndarray:
        """Return the map of the mirrored (variant 0) or dimmed (variant 1) picture, in the picture's own coordinates."""
        if variant == 0:
            return cv2.flip(self._look(cv2.flip(small, 1)), 1)
        return self._look(cv2.convertScaleAbs(small, alpha=0.5))

    def _raised(self, probability: np.ndarray, region: roi.Region, shape: tuple[int, ...],
                out: np.ndarray | None) -> np.ndarray:
        """Return the alpha of the frame: the region's, and nobody around it."""
        if region == roi.whole(shape):
            return matte.to_alpha(probability, region.size, self._curve, out)
        if out is None:
            out = np.empty(shape[:2], np.uint8)
        out[:] = 0
        matte.to_alpha(probability, region.size, self._curve, out[region.y0:region.y1, region.x0:region.x1])
        return out


def _cells(region: roi.Region, whole: roi.Region) -> tuple[slice, slice]:
    """Return the cells of the scene's grid that a region covers, to the nearest cell, at least one."""
    side = Plate.SIDE
    x0, y0 = min(side - 1, round(region.x0 * side / whole.width)), min(side - 1, round(region.y0 * side / whole.height))
    x1, y1 = max(x0 + 1, round(region.x1 * side / whole.width)), max(y0 + 1, round(region.y1 * side / whole.height))
    return slice(y0, y1), slice(x0, x1)


def _on_grid(probability: np.ndarray, region: roi.Region, whole: roi.Region) -> np.ndarray:
    """Return a region's map on the scene's grid over the whole frame, 0 outside."""
    side = Plate.SIDE
    if region == whole:
        return cv2.resize(probability, (side, side), interpolation=cv2.INTER_AREA)
    out = np.zeros((side, side), np.float32)
    cells = _cells(region, whole)
    out[cells] = cv2.resize(probability, out[cells].shape[::-1], interpolation=cv2.INTER_LINEAR)
    return out


def _from_grid(values: np.ndarray, shape: tuple[int, ...], region: roi.Region, whole: roi.Region) -> np.ndarray:
    """Return values on the scene's grid as a map of a region."""
    return cv2.resize(values[_cells(region, whole)], shape[::-1], interpolation=cv2.INTER_LINEAR)

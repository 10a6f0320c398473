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
from .temporal.background_model import BackgroundModel, Comparison, from_grid, to_grid
from .temporal.smoothing import Motion, TemporalSmoother, Weights

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
        self._smoother, self._presence = TemporalSmoother(settings), Presence()
        self._background = BackgroundModel(settings)
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
        self._smoother.configure(s)
        self._background.configure(s)
        self._presence.reject = s.presence_agreement
        self._judges = s.presence_agreement > 0
        self._knows_scene = s.temporal_background_penalty > 0 or s.temporal_hold_time > 0

    def close(self) -> None:
        """Free the model."""
        self._beside.shutdown()
        self._model.close()

    def reset(self) -> None:
        """Forget the video: another scene, another camera, a jump in time."""
        self._settle()
        for part in (self._roi, self._smoother, self._presence, self._background):
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
        whole = roi.full_frame(bgr.shape)
        region = self._roi.region(bgr.shape)
        small, low = self._small(bgr, region)
        motion = self._smoother.estimate_motion(low, region)
        if motion.mean_change > _SCENE_CUT:
            self.reset()
            region = whole
            small, low = self._small(bgr, region)
            motion = self._smoother.estimate_motion(low, region)
        self._shape, self._stamp = bgr.shape, stamp
        clock.lap('prepare')
        beside = self._beside.submit(self._see, bgr, small, low, motion, region)
        try:
            raw = self._look(small)
        finally:  # never left running on its own
            comparison, weights, smooth = beside.result()
        clock.lap('segment')
        probability = self._presence.hide(raw, region, whole) if self._judges else raw
        penalty = None
        if comparison is not None:
            probability, penalty = self._second_opinion(comparison, probability, region, whole, step)
        clock.lap('scene')
        seen = probability
        probability = self._smoother.update(probability, motion, weights, region, penalty)
        clock.lap('steady')
        self._count += 1
        again = None
        if self._count % self._settings.roi_full_frame_interval == 0 and (self._judges or region != whole):
            again = small if region == whole else self._small(bgr, whole)[0]
        self._follow_up = self._beside.submit(self._learn, comparison, raw, seen, probability, again, region, whole)
        alpha = self._raised(smooth(probability), region, bgr.shape, out)
        clock.lap('edge')
        return alpha

    def _see(self, bgr: np.ndarray, small: np.ndarray, low: np.ndarray, motion: Motion,
             region: roi.Region) -> tuple[Comparison | None, Weights | None, matte.EdgeFilter]:
        """Do what needs the picture and not the model: the scene's second opinion, the smoothing's weights, the edge filter."""
        comparison = self._background.compare(bgr) if self._knows_scene else None
        weights = self._smoother.precompute(motion, region, self._model.size)
        return comparison, weights, matte.edge_filter(small, low, region.size, self._settings)

    def _second_opinion(self, comparison: Comparison, probability: np.ndarray, region: roi.Region,
                        whole: roi.Region, step: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the probability with those held whom the model lost, and what to take from it where the scene shows."""
        held = self._background.hold(to_grid(probability, region, whole), comparison, step)
        if held is not None:
            held = from_grid(held.astype(np.float32), probability.shape, region, whole)
            probability = np.maximum(probability, _HELD * held)
        return probability, from_grid(self._background.penalty(comparison), probability.shape, region, whole)

    def _learn(self, comparison: Comparison | None, raw: np.ndarray, seen: np.ndarray, final: np.ndarray,
               again: np.ndarray | None, region: roi.Region, whole: roi.Region) -> None:
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
        if comparison is not None:
            self._background.learn(to_grid(final, region, whole), comparison)

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
        whole = region = roi.full_frame(bgr.shape)
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
        if region == roi.full_frame(shape):
            return matte.to_alpha(probability, region.size, self._curve, out)
        if out is None:
            out = np.empty(shape[:2], np.uint8)
        out[:] = 0
        matte.to_alpha(probability, region.size, self._curve, out[region.y0:region.y1, region.x0:region.x1])
        return out

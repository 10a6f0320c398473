# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
From frame to alpha for a video: who is there, then one view for each place where people stand, then what is remembered.

Pictures of their own: :mod:`~self_segmentation.picture.stills`.
"""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import compress
from typing import NamedTuple, Protocol

import cv2
import numpy as np

from ..settings import Settings
from . import regions
from .arrays import Array
from .exposure import brightened, brightening
from .frame import Frame
from .known_scene import is_cut
from .matting.alpha import alpha_curve, to_alpha
from .matting.background_model import GRID, from_grid, to_grid
from .matting.edge_filters import EdgeFilter, downsample_by_4, edge_filter
from .matting.smoothing import Motion, Weights
from .models.detector import opposite_turn
from .models.segmenter import resize_like_mediapipe
from .people.schedule import DetectionThread
from .people.search import (
    NEWCOMER_EVERY,
    SLOW,
    detection_interval,
    follow_far,
    place_to_search,
    standing_before_background,
    take_newcomers,
    unexplained,
)
from .people.views import REACH, View, arrange, boxes_in, without_others
from .privacy import cover_to_alpha, covered, private
from .proof import Proof
from .regions import Region
from .video import REASONS, USUAL_STEP, Video

__all__ = ['Engine', 'Model', 'StageTimer']

_SCENE_CUT = 50.0  # grey levels; a frame that differs by more in the mean is another scene, where people are replaced
_GAP = 2.0  # seconds; after a longer one what was seen before is of no use
_HELD = 0.9  # probability of a person who is held although the model lost them
_NEWCOMER = 0.01  # fraction of the grid from which it may be somebody who comes in, near
_LOST = 0.1  # fraction of the box that the map covers at least of somebody whom the detector sees well
_LOST_FOR = 5  # frames in a row in which the known scene was wrong nearly everywhere, after which it is learnt anew
_BLIND = 5  # frames from the first on that are covered whole where people are replaced, at least: until the background is known
_HELD_STEPS = 2  # frames for which a place stays covered at least
_AT_ONCE = 1  # frames between two detections, as many as there can be, where people are replaced and the background is not known
_SIDES = GRID // 12  # cells at the left and right that are covered then: the model knows nobody by the first tenth of the frame
_SHOWN = 0.3  # fraction of the grid that shows the known background at least, where it tells who comes


class Model(Protocol):
    """What segments an image: :class:`~self_segmentation.picture.models.segmenter.Segmenter`."""

    size: tuple[int, int]

    def probability(self, rgb: Array) -> Array:
        """Return (height, width) float32 in 0..1 for a uint8 image of the model's size, red green blue."""


class StageTimer:
    """Seconds of each stage of one frame, by its name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """End a stage."""
        now = time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._last
        self._last = now


class _Crop(NamedTuple):
    """A view's part of a frame: at the model's size, at a quarter of it, and how it moved."""

    small: Array
    low: Array
    motion: Motion


class _Prepared(NamedTuple):
    """What does not wait for the model: how the last map is weighed against the coming one, and the edge filter."""

    weights: Weights | None
    smooth: EdgeFilter


class _Map(NamedTuple):
    """A view's final map of a frame, (h, w) float32, and the filter for its edge."""

    view: View
    probability: Array
    smooth: EdgeFilter


class Engine:
    """
    Finds the alpha of the frames of videos.

    :param model: the segmentation model.
    :param detections: the person detector's thread; None segments the full frame, whoever is there.
    """

    def __init__(self, model: Model, detections: DetectionThread | None) -> None:
        self._model, self._detections = model, detections
        self._worker = ThreadPoolExecutor(1, 'precompute')
        self.inferences = 0

    def close(self) -> None:
        """End its thread; the models stay."""
        self._worker.shutdown()

    def frame(self, bgr: Array, settings: Settings, video: Video, stamp: float | None = None, out: Array | None = None,
              timer: StageTimer | None = None) -> Array:
        """
        Return the alpha of a video's next frame, from this frame and earlier ones; where people are replaced, what is covered.

        The video starts over where the frame has another size, is mirrored the other way or meets another model, where the stamp
        jumps backwards or by more than 2 s, at a cut, and where people are replaced from now on.

        :param bgr: (height, width, 3) uint8, blue green red.
        :param settings: of this frame.
        :param stamp: seconds.
        :param out: (height, width) uint8 to write to.
        :param timer: takes the stages' times.
        :returns: (height, width) uint8.
        """
        timer = timer or StageTimer()
        frame = self._compare(bgr, settings, video, stamp)
        timer.lap('prepare')
        full_frame_map = self._find_people(frame)
        timer.lap('people')
        maps = self._segment(frame, full_frame_map, timer)
        out = np.empty(bgr.shape[:2], np.uint8) if out is None else out
        likely = _on_grid(maps, frame.region)
        if frame.settings.hides_people:
            alpha = self._covered(frame, likely, full_frame_map, out, video.covered_for)
        else:
            alpha = _alpha(maps, frame, out)
        timer.lap('edge')
        _remember(frame, maps, likely)
        timer.lap('follow')
        return alpha

    def _compare(self, bgr: Array, settings: Settings, video: Video, stamp: float | None) -> Frame:
        """Compare a frame with the last one and with the known background; start over where it is another scene."""
        scene, hides_people = video.scene, settings.hides_people
        step = USUAL_STEP if stamp is None or scene.stamp is None or stamp == scene.stamp else stamp - scene.stamp
        grid = cv2.resize(bgr, (GRID, GRID), interpolation=cv2.INTER_LINEAR)
        grey = cv2.cvtColor(grid, cv2.COLOR_BGR2GRAY)
        key = bgr.shape, settings.flip, settings.camera_rotation, self
        is_other = (key != scene.key or not 0 < step < _GAP or scene.lost >= _LOST_FOR
                    or hides_people != scene.hides_people and (hides_people or scene.number < _BLIND))
        change = None if is_other or scene.grey is None else cv2.absdiff(grey, scene.grey)
        if change is not None and scene.grey is not None:  # where people are replaced any great change counts
            is_other = cv2.mean(change)[0] > _SCENE_CUT if hides_people else is_cut(scene.grey, grey)
        difference = scene.known.compare(bgr) if hides_people and not is_other else None
        if is_other or (difference is not None and difference.is_cut):
            video.start_over(key)
            scene, change = video.scene, None
            difference = scene.known.compare(bgr) if hides_people else None
        scene.stamp, scene.grey, scene.hides_people = stamp, grey, hides_people
        uses_background = settings.temporal_background_penalty > 0 or settings.temporal_hold_time > 0
        comparison = scene.background.compare(grid) if uses_background else None
        settings = private(settings) if hides_people else settings
        return Frame(bgr, settings, scene, regions.full_frame(bgr.shape), step, change, comparison, difference,
                      brightening(grid))

    # ---- who is there

    def _find_people(self, frame: Frame) -> Array | None:
        """
        Bring the people and their views up to date: by the detector, and by what stands before the known background.

        :returns: the model's map of the full frame, where it was asked for newcomers.
        """
        scene, settings, number = frame.scene, frame.settings, frame.scene.number
        if self._detections is None:
            scene.views = scene.views or [View(frame.region, frozenset())]
            return None
        scene.tracks.advance(frame.step, frame.region)
        is_slow = frame.step >= SLOW
        if is_slow and number:  # the frame waits for its own detection
            self._start_detection(frame, False)
        found = scene.schedule.result(number, at_once=is_slow)
        if number == 0 and not frame.settings.hides_people:  # else the frame is covered whole, and need not wait
            found = scene.schedule.run_now(self._detections, brightened(frame.bgr, frame.curve), settings)
        if found is not None:
            supported = standing_before_background(frame)
            scene.tracks.merge(found.found, found.before, supported, found.part, frame.region, found.turn)
        follow_far(frame)
        new = unexplained(frame)
        is_somebody_new = new is not None and np.count_nonzero(new > 0.5) > _NEWCOMER * new.size
        full_frame_map = None
        hides_blindly = _hides_blindly(frame)
        is_due = scene.last_full_frame is None or number - scene.last_full_frame >= NEWCOMER_EVERY
        if hides_blindly or (is_somebody_new and is_due):
            scene.last_full_frame = number
            full_frame_map = self._infer(self._small(frame.bgr, frame.region), frame.curve)
        if full_frame_map is not None and new is not None and is_somebody_new:
            take_newcomers(frame, to_grid(full_frame_map, frame.region, frame.region), new)
        scene.tracks.choose(settings, frame.region)
        scene.views = arrange(scene.views, scene.tracks.all, frame.region, settings)
        if not is_slow or not number:
            self._start_detection(frame, is_somebody_new, hides_blindly)
        return full_frame_map

    def _start_detection(self, frame: Frame, is_somebody_new: bool, hides_blindly: bool = False) -> None:
        assert self._detections is not None  # who calls has asked
        place = None if hides_blindly else place_to_search(frame)
        interval = _AT_ONCE if hides_blindly else detection_interval(frame, is_somebody_new or place is not None)
        frame.scene.schedule.start(self._detections, frame.scene.number, frame.bgr, frame.scene.tracks.all, frame.settings,
                                   interval, frame.curve, place)

    # ---- segmentation

    def _segment(self, frame: Frame, full_frame_map: Array | None, timer: StageTimer) -> list[_Map]:
        """Return the maps of all views."""
        due = _due(frame, 1 if full_frame_map is not None else 0)
        views = [view for view in frame.scene.views if not view.is_new or view in due]
        crops = [self._crop(frame.bgr, view) for view in views]
        futures = [self._worker.submit(self._precompute, view, crop, frame.settings) for view, crop in zip(views, crops)]
        try:
            for view, crop in zip(views, crops):
                if full_frame_map is not None and view.region == frame.region and view.turn is None:
                    view.take(full_frame_map)
                elif view in due:
                    view.take(self._infer(crop.small, frame.curve, view.turn))
        finally:
            wait(futures)  # never left running on their own
        timer.lap('segment')
        maps = [_Map(view, self._only_people(view, frame), future.result().smooth) for view, future in zip(views, futures)]
        held = penalty = None
        if frame.comparison is not None and maps:
            background, settings = frame.scene.background, frame.settings
            held = background.hold(_on_grid(maps, frame.region), frame.comparison, frame.step, settings.temporal_hold_time)
            penalty = background.penalty(frame.comparison, settings.temporal_background_penalty)
        for index, (each, crop, future) in enumerate(zip(maps, crops, futures)):
            region, probability, taken = each.view.region, each.probability, None
            if held is not None:
                there = from_grid(held.astype(np.float32), probability.shape, region, frame.region)
                probability = np.maximum(probability, _HELD * there)
            if penalty is not None:
                taken = from_grid(penalty, probability.shape, region, frame.region)
            probability = each.view.smoother.update(probability, crop.motion, future.result().weights, region, taken)
            maps[index] = each._replace(probability=probability)
        timer.lap('temporal')
        return maps

    def _crop(self, bgr: Array, view: View) -> _Crop:
        small = self._small(bgr, view.region)
        low = downsample_by_4(small)
        return _Crop(small, low, view.smoother.estimate_motion(low, view.region))

    def _precompute(self, view: View, crop: _Crop, settings: Settings) -> _Prepared:
        weights = view.smoother.precompute(crop.motion, view.region, self._model.size, settings)
        return _Prepared(weights, edge_filter(crop.small, crop.low, view.region.size, settings))

    def _small(self, bgr: Array, region: Region) -> Array:
        """Return a region at the model's size."""
        if self._detections is None:
            return resize_like_mediapipe(bgr, self._model.size)  # to the last bit
        return cv2.resize(region.cut(bgr), self._model.size, interpolation=cv2.INTER_LINEAR)

    def _infer(self, small: Array, curve: Array | None, turn: int | None = None) -> Array:
        self.inferences += 1
        rgb = cv2.cvtColor(brightened(small, curve), cv2.COLOR_BGR2RGB)
        if turn is None:
            return self._model.probability(rgb)
        upright = self._model.probability(cv2.resize(cv2.rotate(rgb, turn), self._model.size))
        back: Array = cv2.resize(cv2.rotate(upright, opposite_turn(turn)), self._model.size)
        return back

    def _only_people(self, view: View, frame: Frame) -> Array:
        """Return a view's map without the pieces that belong to nobody in it who counts."""
        if self._detections is None:
            return view.probability
        boxes = [each.box.padded(REACH, frame.region) for each in frame.scene.tracks.all if each.id in view.ids]
        return without_others(view.probability, view.region, boxes)

    def _covered(self, frame: Frame, probability: Array, full_frame_map: Array | None, out: Array,
                 covered_for: Counter[str]) -> Array:
        """
        Write what is covered, 255, and its soft edge: all of the frame while too little is known.

        :param probability: (GRID, GRID) float32, of the views' final maps.
        :param covered_for: counts the frames by reason, see :class:`~self_segmentation.picture.video.Video`.
        """
        scene = frame.scene
        maps = [probability, *(to_grid(view.probability, view.region, frame.region) for view in scene.views if not view.is_new)]
        if full_frame_map is not None:
            maps.append(to_grid(full_frame_map, frame.region, frame.region))
        if frame.comparison is not None:
            maps.append(frame.comparison.other)
        likely = np.maximum.reduce(maps)
        is_blind = (scene.number < _BLIND or self._detections is None or not scene.schedule.has_seen_everything(frame.region))
        if not is_blind and _hides_blindly(frame):
            likely[:, :_SIDES] = likely[:, -_SIDES:] = 1.0
        assert frame.difference is not None  # people are replaced
        now = covered(likely, scene.tracks.all, frame.settings.privacy_margin, frame.region)
        people = scene.cover.update(now, max(frame.settings.privacy_hold, _HELD_STEPS * frame.step), frame.step)
        held = people.copy()
        scene.lost = scene.lost + 1 if frame.difference.is_lost and scene.number >= _BLIND else 0
        if not frame.difference.is_lost:
            held |= cv2.dilate(frame.difference.differs, np.ones((3, 3), np.uint8))
        scene.known.learn(frame.difference, held, people, frame.step)
        if not is_blind and not scene.lost:
            self._prove(frame)
        held |= frame.difference.unknown.astype(np.uint8)
        is_blind = is_blind or scene.lost > 0
        covered_for.update(compress(REASONS, (now.any(), (people > now).any(), (held > people).any(), is_blind)))
        if is_blind:
            held[:] = 1
        return cover_to_alpha(held, out)

    def _prove(self, frame: Frame) -> None:
        """Have the detector search what has not moved for long, and take it for the scene once it found nobody several times."""
        scene, difference = frame.scene, frame.difference
        assert difference is not None and self._detections is not None  # people are replaced
        piece = scene.known.unproven(difference, frame.settings.privacy_proof)
        if piece is None:
            scene.proof = None
            return
        if scene.proof is None or not scene.proof.is_of(piece):
            scene.proof = Proof(piece)
        if scene.proof.goes_on(self._detections, frame.bgr, frame.curve, frame.step):
            scene.known.absorb(piece)
            scene.proof = None


# ---- segmentation

def _due(frame: Frame, spent: int) -> list[View]:
    """Return the views that are segmented in this frame: all, where the settings allow as many inferences, else in turn."""
    views, number = frame.scene.views, frame.scene.number
    most, count = max(1, frame.settings.people_most - spent), len(views)
    turns = sorted(range(count), key=lambda index: (not views[index].is_new, (index - number * most) % count))
    return [views[index] for index in turns[:most]]


def _alpha(maps: list[_Map], frame: Frame, out: Array) -> Array:
    """Write the alpha of the frame: that of the views, the larger one where they overlap, and nobody around them."""
    curve = alpha_curve(frame.settings.threshold, frame.settings.softness)
    if len(maps) == 1 and maps[0].view.region == frame.region:
        return to_alpha(maps[0].smooth(maps[0].probability), frame.region.size, curve, out)
    out[:] = 0
    for each in maps:
        region = each.view.region
        part = region.cut(out)
        cv2.max(part, to_alpha(each.smooth(each.probability), region.size, curve), dst=part)
    return out


# ---- for the next frame

def _remember(frame: Frame, maps: list[_Map], probability: Array) -> None:
    """
    Learn the background, move the boxes of people with their masks, and forget people who are gone.

    :param probability: (GRID, GRID) float32, of the final maps.
    """
    scene, settings = frame.scene, frame.settings
    if frame.comparison is not None:
        scene.background.learn(probability, frame.comparison)
    people = {each.id: each for each in scene.tracks.all}
    fractions: dict[int, float] = {}
    for view, refined, _ in maps:
        raw = view.covered(people)  # by the model's own map, not by what was held without it
        fractions.update(raw)
        clear = [key for key in raw if people[key].score >= settings.people_score]
        view.tries += any(raw[key] < _LOST for key in clear)
        for key, box in boxes_in(view, refined, people, frame.region).items():
            scene.tracks.move(key, box, frame.region)
    scene.tracks.cover(fractions, frame.step, settings.temporal_hold_time)
    scene.number += 1


def _hides_blindly(frame: Frame) -> bool:
    """Whether people are replaced and too little of the known scene is seen to tell who comes."""
    difference = frame.difference
    return difference is not None and (difference.is_lost or difference.unknown.mean() > 1 - _SHOWN)


def _on_grid(maps: list[_Map], frame: Region) -> Array:
    """Return all maps on the background model's grid, (GRID, GRID) float32."""
    grids = [to_grid(each.probability, each.view.region, frame) for each in maps]
    return np.maximum.reduce(grids) if grids else np.zeros((GRID, GRID), np.float32)

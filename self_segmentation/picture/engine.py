# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
From frame to alpha for a video: who is there, then one view for each place where people stand, then what is remembered.

Pictures of their own: :mod:`~self_segmentation.picture.stills`.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, wait
from typing import NamedTuple, Protocol

import cv2
import numpy as np

from ..settings import Settings
from . import regions
from .arrays import Array
from .matting.alpha import alpha_curve, to_alpha
from .matting.background_model import GRID, BackgroundModel, Comparison, from_grid, to_grid
from .matting.edge_filters import EdgeFilter, downsample_by_4, edge_filter
from .matting.smoothing import Motion, TemporalSmoother, Weights
from .models.detector import Finder, parts_to_look_at
from .models.segmenter import resize_like_mediapipe
from .people.schedule import Lookout
from .people.tracks import People, Person
from .people.views import View, arrange, without_others
from .privacy import Cover, cover_to_alpha, covered, private
from .regions import Region

__all__ = ['Engine', 'Model', 'StageTimer']

_SCENE_CUT = 50.0  # grey levels; a mean difference from one frame to the next above this is another scene
_USUAL_STEP = 1 / 30  # seconds between frames without stamps
_GAP = 2.0  # seconds; after a longer one what was seen before is of no use
_HELD = 0.9  # probability of a person who is held although the model lost them
_CALM, _CALM_AND_KNOWN = 5, 10  # times people.interval between two looks while nothing changes: with nobody, with somebody there
_CHANGED = 0.01  # fraction of the grid from which the image changes
_NOISE = 2.0  # times temporal.motion_threshold: a cell that changes by more is no noise
_SMALLEST_PIECE = 0.002  # fraction of the frame; smaller pieces of a map are nobody
_LOST = 0.1  # fraction of the box that the map covers at least of somebody whom the detector sees well
_REACH = 0.1  # fraction of a box's longer side around it that belongs to its person
_MOVED = 0.2  # fraction of a piece of the map that stands before the known background, of a person who moved there
_SUPPORTED = 0.25  # fraction of a box that differs from the known background while somebody stands in it
_BLIND = 5  # frames from the first on that are covered whole where people are replaced, at least: until the background is known
_AT_ONCE = 1  # frames between two looks, as many as there can be, where people are replaced and the background is not known
_SIDES = GRID // 12  # cells at the left and right that are covered then: the model knows nobody by the first tenth of the frame
_SHOWN = 0.3  # fraction of the grid that shows the known background at least, where it tells who comes
_NEWCOMER_EVERY = 3  # frames between two reads of the full frame, and two looks, while something new stands before the background


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


class _Frame(NamedTuple):
    """
    A frame and what is known of it at once.

    ``bgr`` (height, width, 3) uint8; ``region`` all of it; ``step`` seconds since the last one; ``change`` (GRID, GRID) uint8,
    grey levels since the last one, None for the first; ``comparison`` with the known background, None where that is not used.
    """

    bgr: Array
    region: Region
    step: float
    change: Array | None
    comparison: Comparison | None


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
    Finds the alpha of the frames of a video.

    :param model: the segmentation model.
    :param finder: the person detector; None segments the full frame, whoever is there.
    """

    def __init__(self, model: Model, finder: Finder | None, settings: Settings) -> None:
        self._model, self._settings = model, settings
        self._lookout = None if finder is None else Lookout(finder)
        self._worker = ThreadPoolExecutor(1, 'precompute')
        self._background = BackgroundModel(settings)
        self._people = People()
        self._cover = Cover()
        self._views: list[View] = []
        self.inferences = 0
        self.configure(settings)
        self.reset()

    @property
    def people(self) -> list[Person]:
        """The people of the last frame."""
        return self._people.all

    def configure(self, settings: Settings) -> None:
        """
        Take new settings from the next frame on.

        What is known of the video stays, unless left and right change, or people are replaced from now on, or were until now and
        too little is known.
        """
        changes_sides = settings.replace != self._settings.replace
        if settings.flip != self._settings.flip or changes_sides and (settings.replace == 'people' or self._number < _BLIND):
            self.reset()
        if settings.replace == 'people':
            settings = private(settings)
        self._settings = settings
        self._curve = alpha_curve(settings.threshold, settings.softness)
        self._background.configure(settings)
        for view in self._views:
            view.smoother.configure(settings)

    def close(self) -> None:
        """End the threads; the models stay."""
        if self._lookout is not None:
            self._lookout.close()
        self._worker.shutdown()

    def reset(self) -> None:
        """Forget the video: another scene, another camera, a jump in time."""
        if self._lookout is not None:
            self._lookout.reset()
        self._background.reset()
        self._people.forget()
        self._cover.reset()
        self._views = []
        self._shape: tuple[int, ...] | None = None
        self._stamp: float | None = None
        self._grey: Array | None = None  # (GRID, GRID) uint8, the last frame
        self._number = 0
        self._read = -_NEWCOMER_EVERY

    def frame(self, bgr: Array, stamp: float | None = None, out: Array | None = None, timer: StageTimer | None = None) -> Array:
        """
        Return the alpha of the next frame, from this frame and earlier ones; where people are replaced, what is covered.

        :param bgr: (height, width, 3) uint8, blue green red. Another size starts over.
        :param stamp: seconds; a jump backwards, or by more than 2 s, starts over.
        :param out: (height, width) uint8 to write to.
        :param timer: takes the stages' times.
        :returns: (height, width) uint8.
        """
        timer = timer or StageTimer()
        frame = self._compare(bgr, stamp)
        timer.lap('prepare')
        full_frame_map = self._find_people(frame)
        timer.lap('people')
        maps = self._segment(frame, full_frame_map, timer)
        out = np.empty(bgr.shape[:2], np.uint8) if out is None else out
        hides_people = self._settings.replace == 'people'
        likely = _on_grid(maps, frame.region)
        alpha = self._covered(frame, likely, full_frame_map, out) if hides_people else self._alpha(maps, frame.region, out)
        timer.lap('edge')
        self._remember(frame, maps, likely)
        timer.lap('follow')
        self._number += 1
        return alpha

    def _compare(self, bgr: Array, stamp: float | None) -> _Frame:
        """Compare a frame with the last one and with the known background; start over where it is another scene."""
        step = _USUAL_STEP if stamp is None or self._stamp is None or stamp == self._stamp else stamp - self._stamp
        if bgr.shape != self._shape or not 0 < step < _GAP:
            self.reset()
        grid = cv2.resize(bgr, (GRID, GRID), interpolation=cv2.INTER_LINEAR)
        grey = cv2.cvtColor(grid, cv2.COLOR_BGR2GRAY)
        change = None if self._grey is None else cv2.absdiff(grey, self._grey)
        if change is not None and cv2.mean(change)[0] > _SCENE_CUT:
            self.reset()
            change = None
        self._shape, self._stamp, self._grey = bgr.shape, stamp, grey
        s = self._settings
        uses_background = s.temporal_background_penalty > 0 or s.temporal_hold_time > 0
        comparison = self._background.compare(grid) if uses_background else None
        return _Frame(bgr, regions.full_frame(bgr.shape), step, change, comparison)

    # ---- who is there

    def _find_people(self, frame: _Frame) -> Array | None:
        """
        Bring the people and their views up to date: by the detector, and by what stands before the known background.

        :returns: the model's map of the full frame, where it was asked for newcomers.
        """
        if self._lookout is None:
            self._views = self._views or [View(frame.region, frozenset(), TemporalSmoother(self._settings))]
            return None
        hides_people = self._settings.replace == 'people'
        seen = self._lookout.result(self._number)
        if self._number == 0 and not hides_people:  # else the frame is covered whole, and need not wait
            seen = self._lookout.look_now(frame.bgr, self._settings)
        if seen is not None:
            parts = len(parts_to_look_at(frame.region))
            self._people.merge(seen.found, seen.before, self._standing_before_background(frame), seen.part, parts)
        unexplained = self._unexplained(frame)
        full_frame_map = None
        hides_blindly = hides_people and not _shows_background(frame.comparison)
        if hides_blindly or (unexplained is not None and self._number - self._read >= _NEWCOMER_EVERY):
            self._read = self._number
            full_frame_map = self._infer(self._small(frame.bgr, frame.region))
        if full_frame_map is not None and unexplained is not None:
            self._take_newcomers(to_grid(full_frame_map, frame.region, frame.region), unexplained, frame.region)
        self._people.choose(self._settings, frame.region)
        self._views = arrange(self._views, self._people.all, frame.region, self._settings)
        interval = _AT_ONCE if hides_blindly else self._interval(frame, unexplained is not None)
        self._lookout.look(self._number, frame.bgr, self._people.all, self._settings, interval)
        return full_frame_map

    def _standing_before_background(self, frame: _Frame) -> list[int]:
        """Return the ids of people who stand before the known background, whatever the detector says of them."""
        if frame.comparison is None:
            return []
        other = frame.comparison.other
        return [each.id for each in self._people.all if cv2.mean(regions.part(other, each.box, frame.region))[0] > _SUPPORTED]

    def _unexplained(self, frame: _Frame) -> Array | None:
        """Return where something that nobody accounts for stands before the known background; None where that is nowhere."""
        if frame.comparison is None:
            return None
        other = frame.comparison.other.copy()
        for each in self._people.all:
            regions.part(other, each.box.padded(_REACH, frame.region), frame.region)[:] = 0
        return other if np.count_nonzero(other > 0.5) > _CHANGED * other.size else None

    def _take_newcomers(self, grid: Array, unexplained: Array, region: Region) -> None:
        """Take pieces of the full frame's map that stand before the background for people, or for more of those who are known."""
        for piece in regions.components(grid, region, _SMALLEST_PIECE):
            if unexplained[piece.pixels].mean() > _MOVED:
                known = [each for each in self._people.all if each.box.inside(piece.region) > 0.5]
                if known:
                    self._people.move(known[0].id, regions.cover(piece.region, known[0].box))
                else:
                    self._people.appear(piece.region, float(grid[piece.pixels].mean()))

    def _interval(self, frame: _Frame, is_somebody_new: bool) -> int:
        """Return the frames between two looks: few while the image changes where nobody is known, or somebody is doubted."""
        interval = self._settings.people_interval
        if is_somebody_new:
            return min(interval, _NEWCOMER_EVERY)
        if self._people.doubted or frame.change is None:
            return interval
        changed = cv2.threshold(frame.change, _NOISE * self._settings.temporal_motion_threshold, 255, cv2.THRESH_BINARY)[1]
        for view in self._views:
            if view.shows_only(self._people.all):  # else the boxes are the detector's
                regions.part(changed, view.region, frame.region)[:] = 0
        if cv2.countNonZero(changed) > _CHANGED * changed.size:
            return interval
        return interval * (_CALM_AND_KNOWN if self._people.all else _CALM)

    # ---- segmentation

    def _segment(self, frame: _Frame, full_frame_map: Array | None, timer: StageTimer) -> list[_Map]:
        """Return the maps of all views."""
        due = self._due(1 if full_frame_map is not None else 0)
        views = [view for view in self._views if view.probability is not None or view in due]
        crops = [self._crop(frame.bgr, view) for view in views]
        futures = [self._worker.submit(self._precompute, view, crop) for view, crop in zip(views, crops)]
        try:
            for view, crop in zip(views, crops):
                if full_frame_map is not None and view.region == frame.region:
                    view.probability = full_frame_map
                elif view in due:
                    view.probability = self._infer(crop.small)
        finally:
            wait(futures)  # never left running on their own
        timer.lap('segment')
        maps = [_Map(view, self._only_people(view, frame.region), future.result().smooth) for view, future in zip(views, futures)]
        held = penalty = None
        if frame.comparison is not None and maps:
            held = self._background.hold(_on_grid(maps, frame.region), frame.comparison, frame.step)
            penalty = self._background.penalty(frame.comparison)
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

    def _due(self, spent: int) -> list[View]:
        """Return the views that are segmented in this frame: all, where the settings allow as many inferences, else in turn."""
        most, count = max(1, self._settings.people_most - spent), len(self._views)
        turns = sorted(range(count), key=lambda index: (self._views[index].probability is not None,
                                                        (index - self._number * most) % count))
        return [self._views[index] for index in turns[:most]]

    def _crop(self, bgr: Array, view: View) -> _Crop:
        small = self._small(bgr, view.region)
        low = downsample_by_4(small)
        return _Crop(small, low, view.smoother.estimate_motion(low, view.region))

    def _precompute(self, view: View, crop: _Crop) -> _Prepared:
        weights = view.smoother.precompute(crop.motion, view.region, self._model.size)
        return _Prepared(weights, edge_filter(crop.small, crop.low, view.region.size, self._settings))

    def _small(self, bgr: Array, region: Region) -> Array:
        """Return a region at the model's size."""
        if self._lookout is None:
            return resize_like_mediapipe(bgr, self._model.size)  # to the last bit
        return cv2.resize(region.cut(bgr), self._model.size, interpolation=cv2.INTER_LINEAR)

    def _infer(self, small: Array) -> Array:
        self.inferences += 1
        return self._model.probability(cv2.cvtColor(small, cv2.COLOR_BGR2RGB))

    def _only_people(self, view: View, frame: Region) -> Array:
        """Return a view's map without the pieces that belong to nobody in it who counts."""
        assert view.probability is not None  # inferred above
        if self._lookout is None:
            return view.probability
        boxes = [each.box.padded(_REACH, frame) for each in self._people.all if each.id in view.ids]
        return without_others(view.probability, view.region, boxes)

    def _alpha(self, maps: list[_Map], frame: Region, out: Array) -> Array:
        """Write the alpha of the frame: that of the views, the larger one where they overlap, and nobody around them."""
        if len(maps) == 1 and maps[0].view.region == frame:
            return to_alpha(maps[0].smooth(maps[0].probability), frame.size, self._curve, out)
        out[:] = 0
        for each in maps:
            region = each.view.region
            part = region.cut(out)
            cv2.max(part, to_alpha(each.smooth(each.probability), region.size, self._curve), dst=part)
        return out

    def _covered(self, frame: _Frame, probability: Array, full_frame_map: Array | None, out: Array) -> Array:
        """
        Write what is covered, 255, and its soft edge: all of the frame while too little is known.

        :param probability: (GRID, GRID) float32, of the views' final maps.
        """
        maps = [probability, *(to_grid(view.probability, view.region, frame.region) for view in self._views
                               if view.probability is not None)]
        if full_frame_map is not None:
            maps.append(to_grid(full_frame_map, frame.region, frame.region))
        if frame.comparison is not None:
            maps.append(frame.comparison.other)
        likely = np.maximum.reduce(maps)
        is_blind = (self._number < _BLIND or self._lookout is None
                    or not self._lookout.has_looked_everywhere(frame.region))
        if not is_blind and not _shows_background(frame.comparison):
            likely[:, :_SIDES] = likely[:, -_SIDES:] = 1.0
        now = covered(likely, self._people.all, self._settings.privacy_margin, frame.region)
        held = self._cover.update(now, self._settings.privacy_hold, frame.step)
        if is_blind:
            held[:] = 1
        return cover_to_alpha(held, out)

    # ---- for the next frame

    def _remember(self, frame: _Frame, maps: list[_Map], probability: Array) -> None:
        """
        Learn the background, move the boxes of people with their masks, and forget who is gone.

        :param probability: (GRID, GRID) float32, of the final maps.
        """
        if frame.comparison is not None:
            self._background.learn(probability, frame.comparison)
        people = {each.id: each for each in self._people.all}
        fractions: dict[int, float] = {}
        for view, refined, _ in maps:
            raw = view.covered(people)  # by the model's own word, not by what was held without it
            fractions.update(raw)
            clear = [key for key in raw if people[key].score >= self._settings.people_score]
            view.tries += any(raw[key] < _LOST for key in clear)
            if view.shows_only(people.values()):
                small = cv2.resize(refined, (64, 64), interpolation=cv2.INTER_AREA)
                smallest = min(_SMALLEST_PIECE * frame.region.area / view.region.area, 0.02)
                box = regions.union([piece.region for piece in regions.components(small, view.region, smallest, 0.4)])
                if box is not None:
                    self._people.move(next(iter(view.ids)), box)
        self._people.cover(fractions, frame.step, self._settings.temporal_hold_time)


def _shows_background(comparison: Comparison | None) -> bool:
    """Whether so much of the known background is seen that whoever comes stands out from it: not where the camera moves."""
    return comparison is not None and cv2.countNonZero(comparison.same) > _SHOWN * comparison.same.size


def _on_grid(maps: list[_Map], frame: Region) -> Array:
    """Return all maps on the background model's grid, (GRID, GRID) float32."""
    grids = [to_grid(each.probability, each.view.region, frame) for each in maps]
    return np.maximum.reduce(grids) if grids else np.zeros((GRID, GRID), np.float32)

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
From frame to alpha: who is there, then one region of interest for each place where people stand.

Frames of a video: :class:`Engine`. Pictures of their own: :mod:`~self_segmentation.picture.stills`.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Protocol

import cv2
import numpy as np

from ..settings import Settings
from . import matte, roi
from .detector import Detection, Finder
from .people import People, Person
from .roi import Region
from .segmenter import resize_like_mediapipe
from .temporal.background_model import GRID, BackgroundModel, Comparison, from_grid, to_grid
from .temporal.smoothing import Motion, TemporalSmoother
from .views import View, arrange

__all__ = ['Engine', 'Model', 'StageTimer']

_SCENE_CUT = 50.0  # grey levels; a mean difference from one frame to the next above this is another scene
_USUAL_STEP = 1 / 30  # seconds between frames without stamps
_GAP = 2.0  # seconds; after a longer one what was seen before is of no use
_HELD = 0.9  # probability of a person who is held although the model lost them
_LOOK_TAKES = 2  # frames until the result of a look is taken: a fixed number, so that a video gives the same masks each time
_CALM = 5  # how many times less often the detector looks while nothing changes
_CHANGED = 0.01  # fraction of the grid from which the image changes
_SMALLEST_PIECE = 0.002  # fraction of the frame; smaller pieces of a map are nobody
_LOST = 0.1  # fraction of the box that the map covers at least of somebody who is seen well
_REACH = 0.1  # fraction of a box's longer side around it in which a piece of the map belongs to its person
_MOVED = 0.2  # fraction of a piece of the map that clearly stands before the known background, of a person who moved there
_NEWCOMER_EVERY = 3  # frames between two reads of the full frame while something moves before the background


class Model(Protocol):
    """What segments an image: :class:`~self_segmentation.picture.segmenter.Segmenter`."""

    size: tuple[int, int]

    def probability(self, rgb: np.ndarray) -> np.ndarray:
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
    """A view's part of one frame: at the model's size, at a quarter of it, and how it moved."""

    small: np.ndarray
    low: np.ndarray
    motion: Motion


class _Look(NamedTuple):
    """A look of the detector that is under way: at which frame it began, who was where then, and what it will find."""

    frame: int
    before: dict[int, Region]
    found: Future[list[Detection]]


class Engine:
    """
    Finds the alpha of the frames of a video.

    :param model: the segmentation model.
    :param finder: the person detector; None segments the full frame, whoever is there.
    """

    def __init__(self, model: Model, finder: Finder | None, settings: Settings) -> None:
        self._model, self._finder, self._settings = model, finder, settings
        self._worker = ThreadPoolExecutor(1, 'precompute')  # what does not wait for the model
        self._looker = ThreadPoolExecutor(1, 'detector')
        self._look: _Look | None = None
        self._background = BackgroundModel(settings)
        self._people = People()
        self.inferences = 0
        self.configure(settings)
        self.reset()

    @property
    def people(self) -> list[Person]:
        """The people of the last frame."""
        return self._people.all

    def configure(self, settings: Settings) -> None:
        """Take new settings from the next frame on. What is known of the video stays, unless left and right change places."""
        if settings.flip != self._settings.flip or settings.people_detector != self._settings.people_detector:
            self.reset()
        self._settings = settings
        self._curve = matte.alpha_curve(settings.threshold, settings.softness)
        self._background.configure(settings)
        for view in getattr(self, '_views', []):
            view.smoother.configure(settings)

    def close(self) -> None:
        """End the threads; the models stay."""
        self._looker.shutdown()
        self._worker.shutdown()

    def reset(self) -> None:
        """Forget the video: another scene, another camera, a jump in time."""
        if self._look is not None:
            self._look.found.cancel()
            self._look = None
        if self._finder is not None:
            self._finder.forget()
        self._background.reset()
        self._people.forget()
        self._views: list[View] = []
        self._shape: tuple[int, ...] | None = None
        self._stamp: float | None = None
        self._grid: np.ndarray | None = None
        self._count = self._looked = 0
        self._read = -_NEWCOMER_EVERY
        self._someone_new = False

    def frame(self, bgr: np.ndarray, stamp: float | None = None, out: np.ndarray | None = None,
              timer: StageTimer | None = None) -> np.ndarray:
        """
        Return the alpha of the next frame, from this frame and earlier ones.

        :param bgr: (height, width, 3) uint8, blue green red. Another size starts over.
        :param stamp: seconds; a jump backwards, or by more than 2 s, starts over.
        :param out: (height, width) uint8 to write to.
        :param timer: takes the stages' times.
        :returns: (height, width) uint8.
        """
        timer = timer or StageTimer()
        frame = roi.full_frame(bgr.shape)
        step = _USUAL_STEP if stamp is None or self._stamp is None or stamp == self._stamp else stamp - self._stamp
        if bgr.shape != self._shape or not 0 < step < _GAP:
            self.reset()
        grid = cv2.resize(bgr, (GRID, GRID), interpolation=cv2.INTER_LINEAR)
        grey = cv2.cvtColor(grid, cv2.COLOR_BGR2GRAY)
        change = None if self._grid is None else cv2.absdiff(grey, self._grid)
        if change is not None and cv2.mean(change)[0] > _SCENE_CUT:
            self.reset()
            change = None
        self._shape, self._stamp, self._grid = bgr.shape, stamp, grey
        comparison = self._background.compare(grid) if self._uses_background else None
        timer.lap('prepare')
        newcomers = self._find_people(bgr, frame, comparison) if self._finder is not None else None
        timer.lap('people')
        maps = self._segment(bgr, frame, newcomers, comparison, step, out := _array(out, frame), timer)
        if comparison is not None:
            self._background.learn(self._on_grid(maps, frame), comparison)
        if self._finder is not None:
            self._follow(maps, frame, step)
            self._look_again(bgr, frame, change)
        self._count += 1
        timer.lap('follow')
        return out

    @property
    def _uses_background(self) -> bool:
        return self._settings.temporal_background_penalty > 0 or self._settings.temporal_hold_time > 0

    # ---- who is there

    def _find_people(self, bgr: np.ndarray, frame: Region, comparison: Comparison | None) -> np.ndarray | None:
        """
        Bring the people up to date: by the detector, and by what moved before the known background.

        :returns: the model's map of the full frame where it was read for newcomers.
        """
        if self._count == 0:  # the first frame, or a cut: at once
            self._people.merge(self._find(bgr, most_doubtful=4), {})
        elif self._look is not None and self._count >= self._look.frame + _LOOK_TAKES:
            look, self._look = self._look, None
            self._people.merge(look.found.result(), look.before, self._supported(frame, comparison))
        moved = self._moved_elsewhere(frame, comparison)
        self._someone_new = moved is not None
        full = None
        if moved is not None and self._count - self._read >= _NEWCOMER_EVERY:
            self._read = self._count
            full = self._infer(self._small(bgr, frame))
            map_on_grid = to_grid(full, frame, frame)
            for piece in roi.components(map_on_grid, frame, _SMALLEST_PIECE):
                if moved[piece.pixels].mean() > _MOVED:
                    known = [each for each in self._people.all if each.box.inside(piece.region) > 0.5]
                    if known:  # more of somebody than was known
                        self._people.move(known[0].id, roi.union([piece.region, known[0].box]))
                    else:
                        self._people.appear(piece.region, float(map_on_grid[piece.pixels].mean()))
        self._people.choose(self._settings, frame)
        self._views = arrange(self._views, self._people.all, frame, self._settings)
        return full

    def _find(self, bgr: np.ndarray, most_doubtful: int = 1) -> list[Detection]:
        s = self._settings
        return self._finder.find(bgr, s.people_score, s.people_smallest, most_doubtful, [each.box for each in self._people.all])

    def _supported(self, frame: Region, comparison: Comparison | None) -> list[int]:
        """Return the ids of people who stand before the known background, whatever the detector says."""
        if comparison is None:
            return []
        return [each.id for each in self._people.all
                if cv2.mean(roi.part(comparison.other, each.box, frame))[0] > 0.25]

    def _moved_elsewhere(self, frame: Region, comparison: Comparison | None) -> np.ndarray | None:
        """Return where something that nobody accounts for stands before the known background; None where that is nowhere."""
        if comparison is None:
            return None
        moved = comparison.other.copy()
        for each in self._people.all:
            roi.part(moved, each.box.padded(_REACH, frame), frame)[:] = 0
        return moved if np.count_nonzero(moved > 0.5) > _CHANGED * moved.size else None

    def _look_again(self, bgr: np.ndarray, frame: Region, change: np.ndarray | None) -> None:
        """Let the detector look at this frame when it is time to, beside the next frames."""
        if self._look is not None:
            return
        busy = self._people.doubted
        if change is not None and not busy:
            changed = cv2.compare(change, 2 * self._settings.temporal_motion_threshold, cv2.CMP_GT)
            for view in self._views:
                if view.shows_only(self._people.all):  # else the boxes are the detector's
                    roi.part(changed, view.region, frame)[:] = 0
            busy = cv2.countNonZero(changed) > _CHANGED * changed.size
        interval = self._settings.people_interval * (1 if busy else _CALM)
        if self._count - self._looked >= (min(interval, _NEWCOMER_EVERY) if self._someone_new else interval):
            self._looked = self._count
            before = {each.id: each.box for each in self._people.all}
            self._look = _Look(self._count, before, self._looker.submit(self._find, bgr.copy()))

    # ---- segmentation

    def _segment(self, bgr: np.ndarray, frame: Region, full: np.ndarray | None, comparison: Comparison | None, step: float,
                 out: np.ndarray, timer: StageTimer) -> list[tuple[View, np.ndarray]]:
        """Write the alpha of all views to ``out``, and return their maps."""
        if self._finder is None and not self._views:
            self._views = [View(frame, frozenset(), TemporalSmoother(self._settings))]
        views, crops, prepared = self._views, [], []
        for view in views:
            crop = self._crop(bgr, view)
            crops.append(crop)
            prepared.append(self._worker.submit(self._precompute, view, crop))
        timer.lap('prepare')
        for view, crop in zip(views, crops):
            if view.region == frame and full is not None:
                view.probability = full
            elif view.probability is None or self._is_turn(view):
                view.probability = self._infer(crop.small)
        ready = [future.result() for future in prepared]
        timer.lap('segment')
        maps = [self._only_people(view, frame) for view in views]
        held = penalty = None
        if comparison is not None and views:
            held = self._background.hold(self._on_grid(list(zip(views, maps)), frame), comparison, step)
            penalty = self._background.penalty(comparison)
        alphas = []
        for view, crop, probability, (weights, smooth) in zip(views, crops, maps, ready):
            if held is not None:
                probability = np.maximum(probability, _HELD * from_grid(held.astype(np.float32), probability.shape, view.region, frame))
            taken = None if penalty is None else from_grid(penalty, probability.shape, view.region, frame)
            probability = view.smoother.update(probability, crop.motion, weights, view.region, taken)
            alphas.append((view, probability, smooth))
        timer.lap('temporal')
        if not (len(views) == 1 and views[0].region == frame):
            out[:] = 0
        for view, probability, smooth in alphas:
            _add(out, view.region, smooth(probability), self._curve, alone=len(views) == 1)
        timer.lap('edge')
        return [(view, probability) for view, probability, _ in alphas]

    def _is_turn(self, view: View) -> bool:
        """Whether a view is segmented in this frame: all are, where the settings allow as many inferences; else in turn."""
        most, count = self._settings.people_most, len(self._views)
        if count <= most:
            return True
        return (self._views.index(view) - self._count * most) % count < most

    def _crop(self, bgr: np.ndarray, view: View) -> _Crop:
        small = self._small(bgr, view.region)
        low = matte.downsample_by_4(small)
        return _Crop(small, low, view.smoother.estimate_motion(low, view.region))

    def _precompute(self, view: View, crop: _Crop):
        weights = view.smoother.precompute(crop.motion, view.region, self._model.size)
        return weights, matte.edge_filter(crop.small, crop.low, view.region.size, self._settings)

    def _small(self, bgr: np.ndarray, region: Region) -> np.ndarray:
        """Return a region at the model's size."""
        if self._finder is None:
            return resize_like_mediapipe(bgr, self._model.size)  # to the last bit
        return cv2.resize(bgr[region.y0:region.y1, region.x0:region.x1], self._model.size, interpolation=cv2.INTER_LINEAR)

    def _infer(self, small: np.ndarray) -> np.ndarray:
        self.inferences += 1
        return self._model.probability(cv2.cvtColor(small, cv2.COLOR_BGR2RGB))

    def _only_people(self, view: View, frame: Region) -> np.ndarray:
        """Return a view's map without the pieces that belong to nobody who counts."""
        if self._finder is None:
            return view.probability
        boxes = [each.box.padded(_REACH, frame) for each in self._people.all if each.id in view.ids]
        return only_inside(view.probability, view.region, boxes)

    # ---- after the picture

    def _follow(self, maps: list[tuple[View, np.ndarray]], frame: Region, step: float) -> None:
        """Move the boxes of people with their masks, and forget who is gone."""
        boxes, covered = {each.id: each.box for each in self._people.all}, {}
        clear = {each.id for each in self._people.all if each.score >= self._settings.people_score}
        for view, probability in maps:
            raw, final = (cv2.resize(each, (64, 64), interpolation=cv2.INTER_AREA) for each in (view.probability, probability))
            for key in view.ids:  # by the model's own word, not by what was held without it
                covered[key] = float((roi.part(raw, boxes[key], view.region) > 0.5).mean())
            view.tries += any(covered[key] < _LOST for key in view.ids & clear)
            if view.shows_only(self._people.all):
                minimum = min(_SMALLEST_PIECE * frame.area / view.region.area, 0.02)
                box = roi.union([piece.region for piece in roi.components(final, view.region, minimum, 0.4)])
                if box is not None:
                    self._people.move(next(iter(view.ids)), box)
        self._people.cover(covered, step, self._settings.temporal_hold_time)

    def _on_grid(self, maps: list[tuple[View, np.ndarray]], frame: Region) -> np.ndarray:
        grids = [to_grid(probability, view.region, frame) for view, probability in maps]
        return np.maximum.reduce(grids) if grids else np.zeros((GRID, GRID), np.float32)


def only_inside(probability: np.ndarray, region: Region, boxes: list[Region]) -> np.ndarray:
    """
    Return a map without the connected pieces that belong to no box; the map itself where there are none.

    A piece belongs to a box that holds a third of it, or of which it fills the most: a person grows out of the box of the last frame.

    :param probability: (h, w) float32, the map of a region.
    :param boxes: in pixels of the frame.
    """
    small = cv2.resize(probability, (64, 64), interpolation=cv2.INTER_AREA)
    inside = np.zeros(small.shape, bool)
    for box in boxes:
        roi.part(inside, box, region)[:] = True
    drop, kept = np.zeros(small.shape, np.uint8), np.zeros(small.shape, np.uint8)
    for piece in roi.components(small, region, 0.0, 0.4):
        belongs = inside[piece.pixels].mean() > 0.3 or any(roi.part(piece.pixels, box, region).mean() > 0.4 for box in boxes)
        (kept if belongs else drop)[piece.pixels] = 1
    if not drop.any():
        return probability
    drop = cv2.dilate(drop, np.ones((5, 5), np.uint8)) & (cv2.dilate(kept, np.ones((3, 3), np.uint8)) ^ 1)
    return probability * (1.0 - cv2.resize(drop.astype(np.float32), probability.shape[::-1], interpolation=cv2.INTER_LINEAR))


def _array(out: np.ndarray | None, frame: Region) -> np.ndarray:
    return np.empty((frame.height, frame.width), np.uint8) if out is None else out


def _add(out: np.ndarray, region: Region, probability: np.ndarray, curve: np.ndarray, alone: bool) -> None:
    """Write the alpha of a region into the frame's; where regions overlap the larger one counts."""
    part = out[region.y0:region.y1, region.x0:region.x1]
    if alone:
        matte.to_alpha(probability, region.size, curve, part)
    else:
        cv2.max(part, matte.to_alpha(probability, region.size, curve), dst=part)

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The alpha of a picture of its own: slower than a frame of a video, and better."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import cv2
import numpy as np

from ..settings import Settings
from . import regions
from .arrays import Array
from .exposure import brightened, brightening
from .matting.alpha import alpha_curve, to_alpha
from .matting.edge_filters import downsample_by_4, edge_filter
from .models.detector import Detection, opposite_turn
from .people.schedule import DetectionThread
from .people.tracks import Person, who_counts
from .regions import Region

__all__ = ['segment_still']

_CROP = 0.25  # fraction of a person's longer side left around them in the crop; 0.15 and 0.4 find one or two people of 57 less
_WIDE = 0.8  # the same for a second try, with more of the surroundings
_REACH = 0.08  # fraction of a box's longer side around it that may belong to the person; 0 loses arms, 0.2 takes in things
_LOST = 0.2  # fraction of the box: where the map shows less of a person whom the detector sees, another crop may show more
_LARGE = 0.5  # fraction of the frame's sides from which the full frame shows a person as well as a crop does
_LARGEST_CROP = 0.85  # fraction of the frame's area; a larger crop is the full frame
_TURNS = cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_COUNTERCLOCKWISE
_KNOWN = 0.5  # fraction of a box inside another one from which a turned picture shows somebody who was found already

Infer = Callable[[Array], Array]


def segment_still(bgr: Array, infer: Infer, detections: DetectionThread | None, size: tuple[int, int],
                  settings: Settings, out: Array | None = None) -> tuple[Array, list[Person]]:
    """
    Return the alpha of one picture and its people.

    Each person is segmented in a crop, as it is and mirrored (test-time augmentation); where the map shows nobody although the
    detector does, also in the full frame and with more around them, and what shows most counts. Where people are hidden, the
    picture is also searched turned to either side and upside down.

    :param bgr: (height, width, 3) uint8, blue green red.
    :param infer: the segmentation model: (h, w, 3) uint8 blue green red, of any size, to (h, w) float32 at the model's size.
    :param detections: the person detector's thread; None segments the full frame once.
    :param size: (width, height) of the model's input.
    :param out: (height, width) uint8 to write to.
    :returns: (height, width) uint8, and everybody who was found, whether they count or not.
    """
    frame = regions.full_frame(bgr.shape)
    curve = alpha_curve(settings.threshold, settings.softness)
    lit = brightened(bgr, brightening(bgr))
    if detections is None:
        return to_alpha(_smooth(bgr, infer(lit), frame, size, settings), frame.size, curve, out), []
    found = detections.start(lit, settings).result()
    if settings.hides_people:
        found = _with_turned(found, lit, frame, detections, settings)
    people = who_counts([Person(number, each.box, each.score, turn=each.turn) for number, each in enumerate(found, 1)],
                        settings, frame)
    out = np.empty(bgr.shape[:2], np.uint8) if out is None else out
    out[:] = 0
    still = _Still(lit, infer, frame)
    for person in people:
        if person.counts:
            region, probability = still.map_of(person.box, person.turn)
            alpha = to_alpha(_smooth(bgr, probability, region, size, settings), region.size, curve)
            reach = person.box.padded(_REACH, region)
            part = reach.cut(out)
            cv2.max(part, reach.moved(-region.x0, -region.y0).cut(alpha), dst=part)
    return out, people


def _with_turned(found: list[Detection], bgr: Array, frame: Region, detections: DetectionThread,
                 settings: Settings) -> list[Detection]:
    """Return who was found, and who is found only when the picture is turned."""
    everybody = list(found)
    for turn in _TURNS:
        for each in detections.start_turned(bgr, settings, frame, turn, deque()).result():
            if all(each.box.inside(other.box) < _KNOWN for other in everybody):
                everybody.append(each)
    return everybody


def _smooth(bgr: Array, probability: Array, region: Region, size: tuple[int, int], settings: Settings) -> Array:
    view = region.cut(bgr)
    small = cv2.resize(view, size, interpolation=cv2.INTER_LINEAR)
    return edge_filter(small, downsample_by_4(small), region.size, settings)(probability, view)


class _Still:
    """The maps of one picture, each asked for once."""

    def __init__(self, bgr: Array, infer: Infer, frame: Region) -> None:
        self._bgr, self._infer, self._frame = bgr, infer, frame
        self._maps: dict[tuple[Region, int | None], Array] = {}

    def map_of(self, box: Region, turn: int | None = None) -> tuple[Region, Array]:
        """
        Return the region that shows a person best, and its map.

        :param turn: how the picture must be turned for the person to be upright, of ``cv2.rotate``; None: not at all.
        """
        crop, frame = box.padded(_CROP, self._frame), self._frame
        if crop.area > _LARGEST_CROP * frame.area:
            return frame, self._map(frame, turn)
        probability = self._map(crop, turn)
        if regions.coverage(probability, crop, box) < _LOST:
            choices = [crop, frame, box.padded(_WIDE, frame)]
            best = max(choices, key=lambda region: regions.coverage(self._map(region, turn), region, box))
            return best, self._map(best, turn)
        if max(box.width / frame.width, box.height / frame.height) > _LARGE:
            whole = self._map(frame, turn)
            if regions.coverage(whole, frame, box) >= _LOST:
                probability = 0.5 * (probability + regions.warp(whole, frame, crop, 0.0))
        return crop, probability

    def _map(self, region: Region, turn: int | None) -> Array:
        if (region, turn) not in self._maps:
            view = region.cut(self._bgr)
            view = view if turn is None else cv2.rotate(view, turn)
            mirrored = cv2.flip(self._infer(cv2.flip(view, 1)), 1)
            probability = 0.5 * (self._infer(view) + mirrored)
            self._maps[region, turn] = probability if turn is None else cv2.rotate(probability, opposite_turn(turn))
        return self._maps[region, turn]

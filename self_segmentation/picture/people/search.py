# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Where somebody may be whom nobody knows yet, and how soon the detector searches there."""

from __future__ import annotations

import cv2
import numpy as np

from .. import regions
from ..arrays import Array
from ..frame import Frame
from ..regions import Region
from ..video import USUAL_STEP
from .schedule import Place
from .views import REACH, SMALLEST_PIECE

__all__ = ['NEWCOMER_EVERY', 'SLOW', 'detection_interval', 'follow_far', 'place_to_search', 'standing_before_background',
           'take_newcomers', 'unexplained']

_CALM, _CALM_AND_KNOWN = 8, 15  # times people.interval between two detections while nothing changes: with nobody, with somebody
_UNEXPLAINED = 0.001  # fraction of the grid from which something that differs may be a person far away
_PLACE = 0.2  # fraction of the frame's height of a person in a place, who may be larger than what differs
_SMALL = 0.35  # fraction of the frame's height; smaller people are followed by what stands before the known background
_FIRST_REACH, _NEXT_REACH, _NUDGE = 8.0, 1.5, 0.3  # widths of their box within which it may be; nearer is near enough
_OTHERS = 0.2  # IoU of a piece with the box of somebody else, from which it is theirs
_LIKE = 0.5  # ratio of the heights of box and piece at least
_JOINED = 5  # cells, odd, across which pieces of one person are joined
_PLACES = 4  # of such places that are searched in turn
_IN_VAIN = 12  # searches of one place that found nobody, after which it is left
# How a place is searched, time after time: whether with more around it, what is large the other way round, and how it is turned.
_SEARCHES = (False, None), (True, None), (False, cv2.ROTATE_90_CLOCKWISE), (False, cv2.ROTATE_90_COUNTERCLOCKWISE)
_SEARCHES_OF_WIDE = _SEARCHES[0], _SEARCHES[2], _SEARCHES[3], _SEARCHES[1]  # somebody may lie there
_SHADE = 0.4  # fraction of a box's longer side around it in which something dark may be a person's shadow
_CHANGED = 0.004  # fraction of the grid from which the image changes
_NOISE = 2.0  # times temporal.motion_threshold: a cell that changes by more is no noise
_MOVED = 0.2  # fraction of a piece of the map that stands before the known background, of a person who moved there
_SUPPORTED = 0.25  # fraction of a box that differs from the known background while somebody stands in it
_AT_LEAST_EVERY = 0.5  # seconds between two detections of such a slow camera, whose people may be anywhere in the next frame
SLOW = 0.06  # seconds between frames from which on a frame waits for the detector
NEWCOMER_EVERY = 3  # frames between two maps of the full frame, and two detections, while something new is before the background


def standing_before_background(frame: Frame) -> list[int]:
    """Return the ids of people who stand before the known background, whatever the detector found of them."""
    if frame.comparison is None:
        return []
    other = frame.comparison.other
    return [each.id for each in frame.scene.tracks.all
            if cv2.mean(regions.part(other, each.box, frame.region))[0] > _SUPPORTED]


def follow_far(frame: Frame) -> None:
    """Move small boxes to the piece before the known background that they belong to: walkers leave a small box in few frames."""
    if frame.comparison is None:
        return
    tracks = frame.scene.tracks
    small = [each for each in tracks.all if each.box.height < _SMALL * frame.region.height]
    if not small:
        return
    layers = [[piece.region for piece in regions.components(layer, frame.region, _UNEXPLAINED)]
              for layer in (frame.comparison.other, frame.comparison.differs)]
    settled = [each.box for each in tracks.all if not tracks.is_new(each.id)]
    for each in small:
        width, reach = each.box.width, _FIRST_REACH if tracks.is_new(each.id) else _NEXT_REACH
        for pieces in layers:  # what is certain first; without it, what is as dark as a shadow
            distance, piece = min(((_apart(piece, each.box), piece) for piece in pieces
                                   if _LIKE * each.box.height < piece.height < each.box.height / _LIKE
                                   and not any(piece.iou(box) > _OTHERS for box in settled if box != each.box)),
                                  default=(float('inf'), each.box))
            if distance < reach * width:
                if distance > _NUDGE * width:
                    (x, y), (px, py) = each.box.middle, piece.middle
                    tracks.move(each.id, each.box.moved(round(px - x), round(py - y)), frame.region)
                break


def _apart(a: Region, b: Region) -> float:
    (ax, ay), (bx, by) = a.middle, b.middle
    return max(abs(ax - bx), abs(ay - by))


def unexplained(frame: Frame) -> Array | None:
    """Return where something that no known person explains stands before the known background; None where that is nowhere."""
    return None if frame.comparison is None else _without_people(frame, frame.comparison.other, REACH)


def _without_people(frame: Frame, other: Array, reach: float) -> Array | None:
    """Return what differs where no known person is; None where that is too little."""
    other = other.copy()
    for each in frame.scene.tracks.all:
        regions.part(other, each.box.padded(reach, frame.region), frame.region)[:] = 0
    return other if np.count_nonzero(other > 0.5) > _UNEXPLAINED * other.size else None


def place_to_search(frame: Frame) -> Place | None:
    """
    Return where to look from close up: around one of the largest pieces that no known person explains; None for none.

    What is as dark as a shadow counts too, but not beside people.
    """
    if frame.comparison is None:
        return None
    joined = cv2.dilate(frame.comparison.differs, np.ones((_JOINED, _JOINED), np.uint8))
    differs = _without_people(frame, joined, _SHADE)
    if differs is None:
        return None
    pieces = regions.components(differs, frame.region, _JOINED * _UNEXPLAINED)
    if not pieces:
        return None
    boxes = [piece.region for piece in sorted(pieces, key=lambda piece: -piece.fraction)[:_PLACES]]
    schedule = frame.scene.schedule
    counts = [schedule.visits(box, frame.scene.number) for box in boxes]
    visits = min(counts)
    if visits >= _IN_VAIN:
        return None
    least = [box for box, count in zip(boxes, counts) if count == visits]
    box = least[schedule.places % len(least)]
    is_wide, turn = (_SEARCHES_OF_WIDE if box.width > box.height else _SEARCHES)[visits % len(_SEARCHES)]
    longer = max(box.size)
    is_wide ^= longer > _SMALL * frame.region.height
    half = max(1, int(max(longer, _PLACE * frame.region.height) * 1.25 if is_wide else longer * 0.75))
    x, y = (box.x0 + box.x1) // 2, (box.y0 + box.y1) // 2
    return Place(box, Region(x - half, y - half, x + half, y + half).intersect(frame.region), turn)


def take_newcomers(frame: Frame, grid: Array, unexplained: Array) -> None:
    """Take pieces of the full frame's map that stand before the background for people, or for more of known people."""
    tracks = frame.scene.tracks
    for piece in regions.components(grid, frame.region, SMALLEST_PIECE):
        if unexplained[piece.pixels].mean() > _MOVED:
            known = [each for each in tracks.all if each.box.inside(piece.region) > 0.5]
            if known:
                tracks.move(known[0].id, regions.union(piece.region, known[0].box))
            else:
                tracks.appear(piece.region, float(grid[piece.pixels].mean()))


def detection_interval(frame: Frame, is_somebody_new: bool) -> int:
    """Return the frames between two detections: few while the image changes where nobody is known, or somebody is doubted."""
    scene, interval = frame.scene, frame.settings.people_interval
    interval = max(1, min(interval, round(interval * USUAL_STEP / frame.step)))
    if is_somebody_new:
        return min(interval, NEWCOMER_EVERY)
    if scene.tracks.doubted or frame.change is None:
        return interval
    noise = _NOISE * frame.settings.temporal_motion_threshold
    changed = cv2.threshold(frame.change, noise, 255, cv2.THRESH_BINARY)[1]
    for view in scene.views:
        if view.shows_only(scene.tracks.all):  # else the boxes are the detector's
            regions.part(changed, view.region, frame.region)[:] = 0
    if cv2.countNonZero(changed) > _CHANGED * changed.size:
        return interval
    calm = interval * (_CALM_AND_KNOWN if scene.tracks.all else _CALM)
    return min(calm, max(interval, int(_AT_LEAST_EVERY / frame.step))) if frame.step >= SLOW else calm

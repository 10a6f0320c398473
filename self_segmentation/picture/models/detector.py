# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
The person detector: boxes of the people in a frame.

EfficientDet-Lite0 (Tan, Pang, Le, "EfficientDet", CVPR 2020), run by MediaPipe Tasks or LiteRT.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import cv2

from ...errors import DetectorError
from ..arrays import Array
from ..regions import Region, full_frame
from .runtimes import choose_runtime
from .segmenter import resize_like_mediapipe
from .types import ModelFile

__all__ = ['CLEAR_IN_PART', 'MOST_DOUBTFUL', 'Detection', 'Detector', 'PersonDetector', 'TurnedDetector', 'close_parts',
           'find_people', 'opposite_turn', 'parts_to_look_at']

_SHA256 = '0720bf247bd76e6594ea28fa9c6f7c5242be774818997dbbeffc4da460c723bb'
_SIDE = 320  # pixels of the detector's input, both ways
_DOUBTFUL = 0.08  # score from which something may be a person; lower finds nobody more (0.05 on 41 pictures: the same people)
_CONFIRMED = 0.6  # score that a doubtful one must reach from close up; things reach 0.4 there, people mostly 0.7 and more
_CLOSE_UP = 0.25  # fraction of the longer side left around a doubtful one
_SAME = 0.4  # IoU from which two boxes are one person; a crowd's neighbours overlap by less
_DUPLICATE = 0.6  # IoU from which the weaker of two detections of one look is dropped
_PART = 0.8  # fraction of a doubtful box inside a clear one from which it is a part of that person
_TILE = 0.6  # fraction of the frame's sides that each of its four overlapping parts has
_CLOSE_TILE = 0.4  # ... and each of the nine that show people of a tenth of its height
_TILED_FROM = 1.2  # times the detector's input: frames with sides of as much are also looked at in parts
CLEAR_IN_PART = 0.6  # score from which somebody whom a part alone shows needs no close-up; things reach 0.5 there
_OPPOSITE = {cv2.ROTATE_90_CLOCKWISE: cv2.ROTATE_90_COUNTERCLOCKWISE, cv2.ROTATE_90_COUNTERCLOCKWISE: cv2.ROTATE_90_CLOCKWISE}
MOST_DOUBTFUL = 12  # close-ups a picture: each costs as much as a look at the whole


class Detection(NamedTuple):
    """
    Somebody who was detected.

    ``box`` in pixels of the frame; ``score`` 0..1; ``turn`` how the image must be turned for them to be upright, of
    ``cv2.rotate``, None where they are.
    """

    box: Region
    score: float
    turn: int | None = None


class Detector(Protocol):
    """Finds people in an image: :class:`PersonDetector`."""

    def detect(self, bgr: Array) -> list[Detection]:
        """Return who may be in an image of any size, (h, w, 3) uint8 blue green red, best first."""

    def close(self) -> None:
        """Free the model."""


class PersonDetector:
    """
    EfficientDet-Lite0, its class "person".

    :param file: ``models/efficientdet_lite0.tflite``, no other.
    :param runtime: what runs it, as :func:`~self_segmentation.picture.models.runtimes.choose_runtime` takes it.
    :raises DetectorError: it is another file, or damaged.
    :raises RuntimeMissingError: the runtime is not there.
    """

    def __init__(self, file: ModelFile, runtime: str = 'auto') -> None:
        if hashlib.sha256(file.content).hexdigest() != _SHA256:
            raise DetectorError(f'person detector {file.name}: damaged or another file ({len(file.content)} bytes): copy models/ '
                                'of this package again, or set people.detector to false')
        chosen = choose_runtime(runtime)
        try:
            self._model = chosen.backend.load_detection(file.content, _DOUBTFUL)
        except (RuntimeError, ValueError) as error:
            raise DetectorError(f'person detector {file.name}: {chosen.title} cannot load it ({error})') from error

    def detect(self, bgr: Array) -> list[Detection]:
        """
        Return who may be in an image, best first: all of a score of 0.08 and more.

        :param bgr: (h, w, 3) uint8, blue green red, any size; it is scaled to 320x320 as MediaPipe does.
        """
        height, width = bgr.shape[:2]
        small = resize_like_mediapipe(bgr, (_SIDE, _SIDE))
        found = []
        for x0, y0, x1, y1, score in self._model.infer(cv2.cvtColor(small, cv2.COLOR_BGR2RGB)):
            region = Region(round(x0 * width / _SIDE), round(y0 * height / _SIDE),
                            round(x1 * width / _SIDE), round(y1 * height / _SIDE)).intersect(full_frame(bgr.shape))
            if region.area > 0:
                found.append(Detection(region, score))
        return sorted(found, key=lambda each: -each.score)

    def close(self) -> None:
        """Free the model."""
        self._model.close()


class TurnedDetector:
    """
    A detector that sees each image turned: it finds who lies or stands on their head.

    :param detector: it stays open.
    :param turn: of ``cv2.rotate``.
    """

    def __init__(self, detector: Detector, turn: int) -> None:
        self._detector, self._turn = detector, turn

    def detect(self, bgr: Array) -> list[Detection]:
        """Return who may be in an image, as any detector does; boxes are those of the image as it is."""
        return [Detection(_box_turned_back(each.box, self._turn, full_frame(bgr.shape)), each.score, self._turn)
                for each in self._detector.detect(cv2.rotate(bgr, self._turn))]

    def close(self) -> None:
        """Do nothing: the detector is another's."""


def opposite_turn(turn: int) -> int:
    """Return the turn that undoes one of ``cv2.rotate``."""
    return _OPPOSITE.get(turn, turn)


def _box_turned_back(box: Region, turn: int, frame: Region) -> Region:
    """Return where a box of the turned frame is in the frame."""
    if turn == cv2.ROTATE_180:
        return Region(frame.width - box.x1, frame.height - box.y1, frame.width - box.x0, frame.height - box.y0)
    if turn == cv2.ROTATE_90_CLOCKWISE:
        return Region(box.y0, frame.height - box.x1, box.y1, frame.height - box.x0)
    return Region(frame.width - box.y1, box.x0, frame.width - box.y0, box.x1)


def find_people(detector: Detector, bgr: Array, score: float, smallest: float, most_doubtful: int = MOST_DOUBTFUL,
                known: Sequence[Region] = (), parts: Sequence[Region] | None = None,
                refused: deque[Region] | None = None) -> list[Detection]:
    """
    Return the people of a frame, best first: from the whole of it, its parts where it is large, and close-ups of doubtful ones.

    A score below ``score`` alone proves nobody: from close up a person becomes clear, and a thing does not.

    :param bgr: (height, width, 3) uint8, blue green red.
    :param score: from which one detection is enough, 0..1.
    :param smallest: height of a person at least, as a fraction of the frame's.
    :param most_doubtful: how many doubtful ones are looked at from close up; one more who is clear in a small part.
    :param known: boxes of people who are known; a doubtful one there is taken without a close-up.
    :param parts: which parts of the frame to search; None for all that :func:`parts_to_look_at` gives.
    :param refused: boxes of things that a close-up refused, which get no other one; new ones are added.
    """
    frame = full_frame(bgr.shape)
    refused = deque() if refused is None else refused
    in_whole: list[Detection] = []
    in_parts: list[Detection] = []
    smallest_parts = close_parts(frame)
    unsure: list[Detection] = []  # in the smallest parts: things look like people there, too
    for part in parts_to_look_at(frame) if parts is None else parts:
        tall = [each for each in _whole_in(detector, bgr, part, frame) if each.box.height >= smallest * frame.height]
        (in_whole if part == frame else in_parts).extend(tall)
        unsure += tall if part in smallest_parts else []
    found = [each for each in in_whole if each.score >= score]
    # A part shows a piece of somebody near, which may look like a person. Somebody far whom it alone shows must be clear there.
    in_parts = [each for each in in_parts if not any(each.box.inside(other.box) > _PART for other in found)]
    clear = [each for each in in_parts if each.score >= max(score, CLEAR_IN_PART)]
    found += [each for each in clear if each not in unsure and not _is_part(each.box, found)]
    for each in sorted(in_whole + in_parts, key=lambda each: -each.score):
        if each in found or _is_part(each.box, found):
            continue
        if any(each.box.iou(box) > _SAME for box in known):
            found.append(each)
        elif most_doubtful + (each in unsure and each in clear) > 0 and not any(each.box.iou(box) > _SAME for box in refused):
            most_doubtful -= 1
            confirmed = _from_close_up(detector, bgr, each.box, frame)
            if confirmed is None:
                refused.append(each.box)
            elif not _is_part(confirmed.box, found):
                found.append(confirmed)
    return _without_duplicates(found)


def _whole_in(detector: Detector, bgr: Array, part: Region, frame: Region) -> list[Detection]:
    """Return the people whom a part of the frame shows whole: a box at a border inside the frame is a part of a person."""
    found = []
    for each in detector.detect(part.cut(bgr)):
        box = each.box.moved(part.x0, part.y0)
        cut = ((box.x0 <= part.x0 + 2 and part.x0 > 0) or (box.x1 >= part.x1 - 2 and part.x1 < frame.width)
               or (box.y0 <= part.y0 + 2 and part.y0 > 0) or (box.y1 >= part.y1 - 2 and part.y1 < frame.height))
        if not cut:
            found.append(each._replace(box=box))
    return found


def _from_close_up(detector: Detector, bgr: Array, box: Region, frame: Region) -> Detection | None:
    part = box.padded(_CLOSE_UP, frame)
    seen = [each._replace(box=each.box.moved(part.x0, part.y0))
            for each in detector.detect(part.cut(bgr)) if each.score >= _CONFIRMED]
    return next((each for each in seen if each.box.iou(box) > _SAME), None)


def parts_to_look_at(frame: Region) -> list[Region]:
    """Return the full frame and, where it is so large that far people are lost in it, four parts that overlap."""
    if min(frame.size) < _TILED_FROM * _SIDE:
        return [frame]
    return [frame, *_tiles(frame, _TILE, 2)]


def close_parts(frame: Region) -> list[Region]:
    """Return nine smaller parts that overlap, where :func:`parts_to_look_at` gives any."""
    return _tiles(frame, _CLOSE_TILE, 3) if len(parts_to_look_at(frame)) > 1 else []


def _tiles(frame: Region, side: float, count: int) -> list[Region]:
    width, height = int(side * frame.width), int(side * frame.height)
    steps = [index / (count - 1) for index in range(count)]
    corners = [(round(x * (frame.width - width)), round(y * (frame.height - height))) for x in steps for y in steps]
    return [Region(x0, y0, x0 + width, y0 + height) for x0, y0 in corners]


def _is_part(box: Region, found: list[Detection]) -> bool:
    """Whether a box shows somebody who is found already, or a part of them."""
    return any(box.iou(each.box) > _SAME or box.inside(each.box) > _PART for each in found)


def _without_duplicates(found: list[Detection]) -> list[Detection]:
    kept: list[Detection] = []
    for each in sorted(found, key=lambda each: -each.score):
        if all(each.box.iou(other.box) < _DUPLICATE for other in kept):
            kept.append(each)
    return kept

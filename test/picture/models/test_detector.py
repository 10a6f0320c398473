# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The person detector, and whom it is believed."""
import shutil
from collections import deque

import cv2
import numpy as np
import pytest
from conftest import EMPTY_ROOM, ROOT

from self_segmentation.errors import DetectorError
from self_segmentation.picture.models.detector import (
    Detection,
    PersonDetector,
    TurnedDetector,
    close_parts,
    find_people,
    opposite_turn,
    parts_to_look_at,
)
from self_segmentation.picture.models.types import ModelFile
from self_segmentation.picture.regions import Region, full_frame

FILE = ROOT / 'models' / 'efficientdet_lite0.tflite'


@pytest.fixture(scope='module')
def detector():
    detector = PersonDetector(ModelFile(str(FILE), FILE.read_bytes()))
    yield detector
    detector.close()


class Scripted:
    """Says what it is told to of the whole frame, and of close-ups."""

    def __init__(self, whole, close_up=0.0):
        self.whole, self.close_up, self.looks = whole, close_up, []

    def detect(self, bgr):
        self.looks.append(bgr.shape[:2])
        if bgr.shape[:2] == (480, 640):
            return self.whole
        height, width = bgr.shape[:2]
        return [Detection(Region(0, 0, width, height).padded(-0.16, full_frame(bgr.shape)), self.close_up)]

    def close(self):
        pass


FRAME = np.zeros((480, 640, 3), np.uint8)
WHOLE = [full_frame(FRAME.shape)]
BOX = Region(200, 100, 300, 400)


def test_detector_gives_one_box_in_frame_pixels(detector, astronaut):
    frame = cv2.resize(cv2.imread(str(EMPTY_ROOM)), (1024, 768))
    frame[200:712, 300:812] = astronaut
    best, *others = detector.detect(frame)
    assert best.score > 0.5 and all(other.score < 0.25 for other in others)
    assert 280 <= best.box.x0 < 450 and 650 < best.box.x1 <= 830 and best.box.height > 350


def test_detector_finds_nobody_in_empty_room(detector, sample):
    for frame in (cv2.imread(str(EMPTY_ROOM)), sample[0]):
        assert find_people(detector, frame, 0.25, 0.0) == []


def test_detector_finds_lying_person(detector, astronaut):
    lying = cv2.rotate(astronaut, cv2.ROTATE_90_CLOCKWISE)
    assert find_people(detector, lying, 0.25, 0.0)


def test_close_up_confirms_doubtful_detection():
    found = find_people(Scripted([Detection(BOX, 0.1)], close_up=0.8), FRAME, 0.25, 0.0, parts=WHOLE)
    assert len(found) == 1 and found[0].box.iou(BOX) > 0.6 and found[0].score == 0.8


def test_unclear_close_up_drops_detection_and_is_not_repeated():
    detector = Scripted([Detection(BOX, 0.2)], close_up=0.4)
    refused = deque()
    assert find_people(detector, FRAME, 0.25, 0.0, parts=WHOLE, refused=refused) == [] and len(detector.looks) == 2
    assert find_people(detector, FRAME, 0.25, 0.0, parts=WHOLE, refused=refused) == [] and len(detector.looks) == 3
    refused.clear()
    assert find_people(detector, FRAME, 0.25, 0.0, parts=WHOLE, refused=refused) == [] and len(detector.looks) == 5


def test_known_person_confirms_doubtful_detection():
    detector = Scripted([Detection(BOX, 0.1)], close_up=0.0)
    assert find_people(detector, FRAME, 0.25, 0.0, parts=WHOLE, known=[BOX.moved(5, 5)]) == [Detection(BOX, 0.1)]


def test_drops_part_of_detected_person():
    whole, head = Detection(BOX, 0.9), Detection(Region(220, 110, 280, 180), 0.2)
    detector = Scripted([whole, head], close_up=0.9)
    assert find_people(detector, FRAME, 0.25, 0.0, parts=WHOLE) == [whole] and len(detector.looks) == 1


def test_drops_small_detections():
    detector = Scripted([Detection(BOX, 0.9), Detection(Region(10, 10, 20, 40), 0.8)])
    assert find_people(detector, FRAME, 0.25, 0.1, parts=WHOLE) == [Detection(BOX, 0.9)]


def test_large_frame_is_covered_by_parts():
    assert parts_to_look_at(Region(0, 0, 320, 240)) == [Region(0, 0, 320, 240)] and close_parts(Region(0, 0, 320, 240)) == []
    frame = Region(0, 0, 1920, 1080)
    whole, *parts = parts_to_look_at(frame)
    assert whole == frame and len(parts) == 4 and len(close_parts(frame)) == 9
    for each in (parts, close_parts(frame)):
        seen = np.zeros((1080, 1920), bool)
        for part in each:
            seen[part.y0:part.y1, part.x0:part.x1] = True
        assert seen.all()


@pytest.mark.parametrize('turn', [cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_COUNTERCLOCKWISE])
def test_turned_detector_gives_boxes_of_the_image_as_it_is(turn):
    class White:
        def detect(self, bgr):
            ys, xs = np.nonzero(bgr[..., 0])
            return [Detection(Region(xs.min(), ys.min(), xs.max() + 1, ys.max() + 1), 0.9)]

    image = np.zeros((40, 60, 3), np.uint8)
    image[5:12, 20:50] = 255
    assert TurnedDetector(White(), turn).detect(image) == [Detection(Region(20, 5, 50, 12), 0.9, turn)]
    assert np.array_equal(cv2.rotate(cv2.rotate(image, turn), opposite_turn(turn)), image)


@pytest.mark.parametrize('close_up, is_taken', [(0.3, False), (0.8, True)])
def test_who_is_seen_in_a_close_part_alone_needs_a_close_up(close_up, is_taken):
    part = close_parts(full_frame(FRAME.shape))[0]

    class InPart(Scripted):
        def detect(self, bgr):
            return [Detection(Region(100, 80, 130, 150), 0.7)] if bgr.shape[:2] == part.size[::-1] else super().detect(bgr)

    assert bool(find_people(InPart([], close_up), FRAME, 0.25, 0.0, most_doubtful=0, parts=[part])) == is_taken


def test_detector_finds_far_person_in_part_of_large_frame(detector, astronaut):
    frame = cv2.resize(cv2.imread(str(EMPTY_ROOM)), (1920, 1080))
    frame[700:770, 1300:1370] = cv2.resize(astronaut, (70, 70), interpolation=cv2.INTER_AREA)
    there = Region(1300, 700, 1370, 770)
    assert any(found.box.inside(there) > 0.8 for found in find_people(detector, frame, 0.25, 0.0))


def in_parts(detections, frame):
    """A detector that sees only in the parts of a frame what lies in them."""
    class InParts(Scripted):
        def detect(self, bgr):
            return [] if bgr.shape == frame.shape else detections if bgr.shape[1] > 300 else super().detect(bgr)
    return InParts([], close_up=0.0)


@pytest.mark.parametrize('score, is_taken', [(0.5, False), (0.7, True)])
def test_who_is_seen_in_a_part_alone_must_be_clear(score, is_taken):
    detector = in_parts([Detection(Region(100, 100, 130, 190), score)], FRAME)
    assert bool(find_people(detector, FRAME, 0.25, 0.0)) == is_taken


OTHER = ROOT / 'models' / 'selfie_segmentation.tflite'


@pytest.mark.parametrize('content', [b'', b'no model', FILE.read_bytes()[:-1], OTHER.read_bytes()],
                         ids=['empty', 'a text', 'cut by a byte', 'another model'])
def test_refuses_wrong_or_damaged_detector_file(content):
    with pytest.raises(DetectorError, match=r'some\.tflite.*damaged or another file.*people\.detector'):
        PersonDetector(ModelFile('some.tflite', content))


def test_refuses_missing_detector_file(tmp_path, monkeypatch):
    from self_segmentation.io import assets
    from self_segmentation.settings import Settings
    shutil.copytree(ROOT / 'models', tmp_path / 'models')
    (tmp_path / 'models' / FILE.name).unlink()
    monkeypatch.setattr(assets, 'data_path', lambda *parts: tmp_path.joinpath(*parts))
    with pytest.raises(DetectorError, match=rf'{FILE.name} does not exist.*people\.detector'):
        assets.load_assets(Settings())
    assert assets.load_assets(Settings().updated({'people.detector': False})).detector is None

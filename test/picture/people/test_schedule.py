# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""When the detector runs on a video, and where it looks."""
import threading

import cv2
import numpy as np
import pytest
from conftest import PATIENCE

from self_segmentation.picture.models.detector import Detection
from self_segmentation.picture.people.schedule import DetectionSchedule, DetectionThread, Place
from self_segmentation.picture.regions import Region
from self_segmentation.settings import Settings

FRAME = np.zeros((480, 640, 3), np.uint8)
WHOLE = Region(0, 0, 640, 480)
BOX = Region(100, 200, 140, 280)
PLACE = Place(BOX, Region(60, 160, 180, 320))
OTHER_PLACE = Place(BOX.moved(300, 0), Region(360, 160, 480, 320))


@pytest.fixture
def thread():
    """Searches images, whose ``shapes`` are height and width, and finds ``people`` in each."""
    class Scripted:
        shapes, people = [], []

        def detect(self, bgr):
            self.shapes.append(bgr.shape[:2])
            return self.people

        def close(self):
            pass

    detector = Scripted()
    thread = DetectionThread(detector)
    thread.shapes, thread.people = detector.shapes, detector.people
    detector.shapes.clear()
    detector.people.clear()
    yield thread
    thread.close()


def searched(thread, interval, places):
    """The parts that were searched after the first frame: a place, or None, for each frame."""
    schedule, parts = DetectionSchedule(), []
    schedule.run_now(thread, FRAME, Settings())
    for number, place in enumerate(places, 1):
        schedule.start(thread, number, FRAME, [], Settings(), interval, None, place)
        if (found := schedule.result(number + 1)) is not None:
            parts.append(found.part)
    return schedule, parts


def test_detector_sees_a_frame_whose_buffer_was_used_again():
    goes_on, means = threading.Event(), []

    class Waiting:
        def detect(self, bgr):
            assert goes_on.wait(PATIENCE)
            means.append(bgr.mean())
            return []

        def close(self):
            pass

    thread, schedule, frame = DetectionThread(Waiting()), DetectionSchedule(), np.full_like(FRAME, 200)
    schedule.start(thread, 0, frame, [], Settings(), 1)
    frame[:] = 0  # as a message's memory is written again
    goes_on.set()
    assert schedule.result(2) is not None and {*means} == {200}
    thread.close()


def test_whole_frame_and_parts_take_turns(thread):
    _, parts = searched(thread, 2, [None] * 24)
    assert parts[0] != WHOLE and WHOLE in parts[:2]
    usual = [part for part in parts if part.width in (640, 384)]
    assert all((part == WHOLE) != (after == WHOLE) for part, after in zip(usual, usual[1:]))
    assert len({part for part in usual if part != WHOLE}) > 2


def test_place_is_searched_in_every_other_detection(thread):
    schedule, parts = searched(thread, 2, [PLACE] * 20)
    usual = [part for part in parts if part in (WHOLE, PLACE.region)]
    assert usual[0] == PLACE.region and usual[1] == WHOLE and len(usual) >= 8
    assert abs(usual.count(WHOLE) - usual.count(PLACE.region)) <= 1
    assert schedule.visits(BOX, 20) == schedule.places == usual.count(PLACE.region)
    assert schedule.visits(BOX.moved(3, 3), 20) == schedule.visits(BOX, 20) and schedule.visits(OTHER_PLACE.box, 20) == 0
    assert schedule.visits(BOX, 1000) == 0  # long ago


def test_place_where_somebody_was_found_was_not_searched_in_vain(thread):
    thread.people[:] = [Detection(Region(10, 10, 60, 110), 0.9)]
    schedule, _ = searched(thread, 2, [PLACE] * 20)
    assert schedule.places > 3 and schedule.visits(BOX, 20) <= 1


def test_whole_frame_is_searched_upright_between_places_as_large_as_it(thread):
    _, parts = searched(thread, 2, [Place(BOX, WHOLE, cv2.ROTATE_90_CLOCKWISE)] * 20)
    shapes = [shape for shape in thread.shapes[6:] if 640 in shape]  # after those of the first frame
    assert len(shapes) > 4 and {(480, 640), (640, 480)} == {*shapes}
    assert all(shape != after for shape, after in zip(shapes, shapes[1:]))


def test_idle_detector_searches_each_close_part_once(thread):
    _, parts = searched(thread, 1000, [None] * 60)
    assert len(parts) == len({*parts}) == 9 and {part.size for part in parts} == {(256, 192)}


def test_whole_frame_is_searched_at_once_where_a_calm_picture_changes(thread):
    schedule = DetectionSchedule()
    schedule.run_now(thread, FRAME, Settings())
    schedule.start(thread, 100, FRAME, [], Settings(), 4)
    assert schedule.result(102).part == WHOLE


def test_change_of_one_frame_is_searched_although_the_detector_was_running(thread):
    schedule = DetectionSchedule()
    schedule.run_now(thread, FRAME, Settings())
    schedule.start(thread, 50, FRAME, [], Settings(), 4)  # the whole
    schedule.start(thread, 51, FRAME, [], Settings(), 4)  # something changes while it runs
    assert schedule.result(52).part == WHOLE
    for number in range(52, 60):
        schedule.start(thread, number, FRAME, [], Settings(), 1000)  # and nothing any more
        found = schedule.result(number + 2)
        if found is not None and found.part.width > 300:
            break
    assert number <= 55


def test_slow_camera_has_the_whole_searched_in_each_frame(thread):
    _, parts = searched(thread, 1, [PLACE] * 16)
    assert {*parts} == {WHOLE} and PLACE.region.size[::-1] in thread.shapes


def test_place_is_searched_as_it_is_turned(thread):
    searched(thread, 2, [PLACE._replace(turn=cv2.ROTATE_90_CLOCKWISE)] * 3)
    assert PLACE.region.size in thread.shapes  # width by height

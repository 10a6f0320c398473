# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What differs from the known scene, on rooms without the neural networks."""

import cv2
import numpy as np
import pytest
from conftest import EMPTY_ROOM

from self_segmentation.picture.known_scene import KnownScene
from self_segmentation.picture.matting.background_model import GRID

ROOM = cv2.resize(cv2.imread(str(EMPTY_ROOM)), (640, 480), interpolation=cv2.INTER_AREA)
NOWHERE = np.zeros((GRID, GRID), np.uint8)
STEP = 1 / 15
PLACE = np.s_[200:320, 300:360]
CELLS = np.s_[56:82, 62:70]


def see(scene, frame, covered=NOWHERE, people=NOWHERE):
    difference = scene.compare(frame)
    scene.learn(difference, covered | difference.differs, people, STEP)
    return difference


def of_the_room(frames=8):
    scene = KnownScene()
    for _ in range(frames):
        see(scene, ROOM)
    return scene


def with_thing(room=ROOM, value=30):
    frame = room.copy()
    frame[PLACE] = value
    return frame


def test_first_frames_know_nothing():
    scene = KnownScene()
    for _ in range(5):
        assert see(scene, ROOM).unknown.all()
    assert not see(scene, ROOM).unknown.any()


def test_what_is_covered_is_not_learnt():
    scene, covered = KnownScene(), NOWHERE.copy()
    covered[CELLS] = 1
    for _ in range(8):
        see(scene, ROOM, covered)
    assert see(scene, ROOM, covered).unknown[CELLS].all() and scene.known.mean() > 0.9


@pytest.mark.parametrize('frames', [1, 200])
def test_thing_differs_however_long_it_stands(frames):
    scene = of_the_room()
    for _ in range(frames):
        difference = see(scene, with_thing())
    assert difference.differs[CELLS].all() and difference.differs.mean() < 0.06
    assert not see(scene, ROOM).differs.any()


def test_grey_thing_before_grey_wall_differs():
    grey = cv2.cvtColor(cv2.cvtColor(ROOM, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    scene = KnownScene()
    for _ in range(8):
        see(scene, grey)
    shadow = grey.copy()
    shadow[PLACE] = (shadow[PLACE] * 0.7).astype(np.uint8)  # what a shadow rule would pass
    assert see(scene, shadow).differs[CELLS].mean() > 0.9


@pytest.mark.parametrize('gain', [0.55, 0.8, 1.2])
def test_exposure_is_no_difference(gain):
    scene = of_the_room()
    frame = np.clip(ROOM * gain, 0, 255).astype(np.uint8)
    difference = see(scene, frame)
    most = 0.02 if gain < 1 else 0.1  # what was nearly white is white now: it differs
    assert not difference.is_lost and difference.differs.mean() < most
    assert see(scene, with_thing(frame)).differs[CELLS].mean() > 0.9


@pytest.mark.parametrize('light', [1.0, 0.3])
def test_cut_to_another_room_is_noticed(light):
    scene, other = KnownScene(), cv2.flip(ROOM, -1)
    for _ in range(8):
        assert not see(scene, (ROOM * light).astype(np.uint8)).is_cut
    assert scene.compare((other * light).astype(np.uint8)).is_cut


def test_moving_camera_keeps_what_is_known_and_knows_not_what_comes():
    large = cv2.resize(cv2.imread(str(EMPTY_ROOM)), (960, 720))
    scene = KnownScene()
    for _ in range(8):
        see(scene, np.ascontiguousarray(large[100:580, 100:740]))
    for step in range(1, 7):
        difference = see(scene, np.ascontiguousarray(large[100:580, 100 + 6 * step:740 + 6 * step]))
    assert not difference.is_lost and not difference.is_cut and difference.differs.mean() < 0.1
    assert difference.unknown[:, -1].all() and not difference.unknown[:, :100].any()


def test_still_thing_is_unproven_until_it_is_absorbed():
    scene = of_the_room()
    for _ in range(30):
        difference = see(scene, with_thing())
    assert scene.unproven(difference, 5.0) is None
    piece = scene.unproven(difference, 1.5)
    assert piece is not None and piece[CELLS].all()
    scene.absorb(piece)
    assert not see(scene, with_thing()).differs.any() and see(scene, ROOM).differs[CELLS].mean() > 0.9


@pytest.mark.parametrize('why', ['moves', 'may be a person'])
def test_thing_that_moves_or_may_be_a_person_is_never_unproven(why):
    scene, people = of_the_room(), NOWHERE.copy()
    if why == 'may be a person':
        people[70, 66] = 1
    for number in range(60):
        frame = with_thing()
        if why == 'moves':
            frame[210 + number % 2 * 20:230, 310:330] = 250
        difference = see(scene, frame, people=people)
        assert scene.unproven(difference, 1.0) is None

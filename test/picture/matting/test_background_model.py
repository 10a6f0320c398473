# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The background behind the people: learnt, penalised, held and forgotten, on small frames."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from self_segmentation.picture.matting.background_model import GRID, BackgroundModel, from_grid, to_grid
from self_segmentation.picture.regions import Region

STRENGTH, HOLD_TIME = 0.4, 0.5
RNG = np.random.default_rng(8)
ROOM = cv2.resize(cv2.GaussianBlur(RNG.integers(0, 256, (48, 64, 3), np.uint8), (0, 0), 1), (256, 192)) // 2 + 40
PLACE = np.s_[60:160, 100:160]  # of a person in the frame
NOBODY = np.zeros((GRID, GRID), np.float32)
STEP = 0.1  # seconds from frame to frame


def person_in(room, place=PLACE):
    frame = room.copy()
    frame[place] = (5, 10, 250)
    return frame


def shown(place=PLACE):
    """The probability of the person, on the grid."""
    mask = np.zeros(ROOM.shape[:2], np.float32)
    mask[place] = 1.0
    return cv2.resize(mask, (GRID, GRID), interpolation=cv2.INTER_AREA)


PERSON = shown()
INSIDE = cv2.erode((PERSON > 0.9).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
OUTSIDE = cv2.dilate((PERSON > 0).astype(np.uint8), np.ones((15, 15), np.uint8)) == 0


def see(model, frame, probability, hold_time=HOLD_TIME):
    """One frame, as the engine does it: the comparison, and whom the model holds."""
    comparison = model.compare(frame)
    held = model.hold(probability, comparison, STEP, hold_time)
    model.learn(probability if held is None else np.maximum(probability, held), comparison)
    return comparison, held


def of_the_empty_room(frames=12):
    model = BackgroundModel()
    for _ in range(frames):
        see(model, ROOM, NOBODY)
    return model


def test_first_frames_know_no_background():
    model = BackgroundModel()
    for _ in range(3):
        comparison, _ = see(model, ROOM, NOBODY)
        assert not comparison.same.any() and not comparison.other.any()
        assert not model.penalty(comparison, STRENGTH).any()


def test_learns_empty_background_and_person_differs():
    comparison = of_the_empty_room().compare(person_in(ROOM))
    assert (comparison.same[OUTSIDE] == 1).all() and (comparison.other[OUTSIDE] == 0).all()
    assert (comparison.other[INSIDE] > 0.5).mean() > 0.95 and comparison.same[INSIDE].mean() < 0.05


def test_does_not_learn_background_behind_person():
    model = BackgroundModel()
    for _ in range(12):
        see(model, person_in(ROOM), PERSON)
    comparison = model.compare(person_in(ROOM))
    assert (comparison.same[OUTSIDE] == 1).all() and not comparison.same[INSIDE].any()


def test_departure_of_initial_person_is_no_difference():
    model = BackgroundModel()
    for _ in range(12):
        see(model, person_in(ROOM), PERSON)
    comparison, held = see(model, ROOM, NOBODY)
    assert held is None and not comparison.other.any()


def test_near_person_does_not_outdate_background():
    model = of_the_empty_room()
    for reach in range(10, 81, 10):
        place = np.s_[:, 128 - reach:128 + reach]
        comparison, _ = see(model, person_in(ROOM, place), shown(place))
        assert not comparison.outdated
    assert (comparison.same[:, :20] == 1).all()


def state(comparison, cells):
    return 'same' if (comparison.same[cells] == 1).all() else 'other' if comparison.other[cells].mean() > 0.9 else 'unknown'


def test_far_change_turns_unknown_then_background():
    model = of_the_empty_room()
    states = [state(see(model, person_in(ROOM), NOBODY)[0], INSIDE) for _ in range(40)]
    assert states == ['other'] * 30 + ['unknown'] * 4 + ['same'] * 6


def test_far_flicker_never_becomes_background():
    model = of_the_empty_room()
    for index in range(60):
        comparison, _ = see(model, ROOM if index % 20 == 0 else person_in(ROOM), NOBODY)
    assert state(comparison, INSIDE) == 'other'


def test_change_beside_people_soon_becomes_background():
    model, beside = of_the_empty_room(), np.s_[60:160, 170:190]
    for _ in range(3):
        see(model, person_in(ROOM), PERSON)
    states = [state(see(model, person_in(person_in(ROOM), beside), PERSON)[0], shown(beside) == 1) for _ in range(8)]
    assert states == ['other'] + ['unknown'] * 4 + ['same'] * 3


def test_learns_uncovered_background():
    model = BackgroundModel()
    for _ in range(12):
        see(model, person_in(ROOM), PERSON)
    for _ in range(12):
        see(model, ROOM, NOBODY)
    assert (model.compare(ROOM).same == 1).all()


def test_follows_slow_light_change():
    model = of_the_empty_room()
    for third in range(90):
        comparison, _ = see(model, ROOM + np.uint8(third // 3), NOBODY)
        assert (comparison.same == 1).all()


def test_penalises_known_background_only():
    model = of_the_empty_room()
    penalty = model.penalty(model.compare(person_in(ROOM)), STRENGTH)
    assert penalty.dtype == np.float32 and penalty.shape == (GRID, GRID)
    assert np.allclose(penalty[OUTSIDE], 0.4) and penalty[INSIDE].max() < 0.05


def test_favours_difference_where_last_map_had_person():
    model = of_the_empty_room()
    see(model, person_in(ROOM), PERSON)
    penalty = model.penalty(model.compare(person_in(ROOM)), STRENGTH)
    assert np.allclose(penalty[INSIDE], -0.4)
    elsewhere = np.s_[60:160, 200:240]
    penalty = model.penalty(model.compare(person_in(ROOM, elsewhere)), STRENGTH)
    assert penalty[shown(elsewhere) > 0].min() >= 0


def test_favours_head_above_known_shoulders_only():
    model = of_the_empty_room()
    shoulders, head, thing = np.s_[150:192, 100:170], np.s_[80:150, 118:150], np.s_[60:120, 10:50]
    see(model, person_in(ROOM, shoulders), shown(shoulders))
    frame = ROOM.copy()
    for place in (shoulders, head, thing):
        frame[place] = (5, 10, 250)
    penalty = model.penalty(model.compare(frame), STRENGTH)
    assert penalty[shown(head) == 1.0].mean() < -0.3 and penalty[shown(thing) == 1.0].min() >= 0.0


def test_holds_lost_person_while_difference_remains():
    model = of_the_empty_room()
    for _ in range(3):
        assert see(model, person_in(ROOM), PERSON)[1] is None
    held = see(model, person_in(ROOM), NOBODY)[1]
    assert held[INSIDE].mean() > 0.95 and not held[OUTSIDE].any()


def test_holds_moving_person_at_new_place():
    model = of_the_empty_room()
    see(model, person_in(ROOM), PERSON)
    moved = np.s_[60:160, 104:164]
    held = see(model, person_in(ROOM, moved), NOBODY)[1]
    assert held[:, 80:82].any() and not held[:, 48:51].any()


def test_holds_no_longer_than_hold_time():
    model = of_the_empty_room()
    see(model, person_in(ROOM), PERSON)
    held = [see(model, person_in(ROOM), NOBODY)[1] is not None for _ in range(8)]
    assert held == [True] * 5 + [False] * 3


def test_hold_time_restarts_when_person_is_found_again():
    model = of_the_empty_room()
    held = []
    for probability in (PERSON, *[NOBODY] * 4, PERSON, *[NOBODY] * 7):
        held.append(see(model, person_in(ROOM), probability)[1] is not None)
    assert held == [False] + [True] * 4 + [False] + [True] * 5 + [False] * 2


def test_does_not_hold_person_who_left():
    model = of_the_empty_room()
    see(model, person_in(ROOM), PERSON)
    assert see(model, ROOM, NOBODY)[1] is None


def test_holds_only_lost_one_of_two_people():
    model, second = of_the_empty_room(), np.s_[60:160, 20:60]
    both = person_in(person_in(ROOM), second)
    see(model, both, np.maximum(PERSON, shown(second)))
    held = see(model, both, shown(second))[1]
    assert held[INSIDE].mean() > 0.95 and not held[shown(second) > 0].any()


def test_holds_far_person_but_no_speck():
    for size, holds in ((20, True), (8, False)):
        model, far = of_the_empty_room(), np.s_[60:60 + size, 200:200 + size]
        both = person_in(person_in(ROOM), far)
        see(model, both, np.maximum(PERSON, shown(far)))
        held = see(model, both, PERSON)[1]
        assert (held is not None) == holds
        assert not holds or held[shown(far) == 1].mean() > 0.7 and not held[INSIDE].any()


def test_zero_hold_time_holds_nobody():
    model = of_the_empty_room()
    see(model, person_in(ROOM), PERSON)
    assert see(model, person_in(ROOM), NOBODY, hold_time=0.0)[1] is None


def test_penalty_has_strength_that_is_asked_for():
    model = of_the_empty_room()
    assert np.allclose(model.penalty(model.compare(ROOM), 0.1)[OUTSIDE], 0.1)


@pytest.mark.parametrize('change', [lambda room: np.roll(room, 25, axis=1), lambda room: 255 - room], ids=['moved', 'changed'])
def test_camera_motion_resets_and_relearns_background(change):
    model = of_the_empty_room()
    comparison, _ = see(model, change(ROOM), NOBODY)
    assert comparison.outdated and not comparison.same.any() and not comparison.other.any()
    assert not model.compare(ROOM).same.any()
    for _ in range(8):
        comparison, _ = see(model, change(ROOM), NOBODY)
    assert not comparison.outdated and (comparison.same == 1).all()


def test_outlines_reveal_camera_motion_before_plain_walls():
    room = np.full_like(ROOM, 180)
    for x in (20, 40, 60):
        room[:, x:x + 8] = 60  # a shelf, in a fifth of the frame
    model = BackgroundModel()
    for _ in range(12):
        see(model, room, NOBODY)
    assert model.compare(room).same.any()
    assert model.compare(np.roll(room, 5, axis=1)).outdated and not model.compare(person_in(room)).outdated


@pytest.mark.parametrize('light, changed', [
    (0.65, False), (1.25, False), (0.3, True), (1.7, True), ((0.7, 1.0, 1.3), True),
], ids=['shadow', 'light', 'dark thing', 'bright thing', 'coloured thing'])
def test_shadow_or_light_is_no_change_but_object_is(light, changed):
    model, frame = of_the_empty_room(), ROOM.copy()
    frame[PLACE] = np.minimum(ROOM[PLACE] * light, 255).astype(np.uint8)
    comparison = model.compare(frame)
    assert comparison.distance[INSIDE].mean() > 20
    assert comparison.other[INSIDE].mean() > 0.5 if changed else not comparison.other[INSIDE].any()


def test_only_learn_updates_background():
    model = of_the_empty_room()
    for _ in range(20):
        model.penalty(model.compare(255 - ROOM), STRENGTH)
    assert (model.compare(ROOM).same == 1).all()


# ---- the grid

FRAME = Region(0, 0, 640, 480)


def test_grid_round_trip_keeps_full_frame_map():
    probability = cv2.GaussianBlur(RNG.random((256, 256), np.float32), (0, 0), 6)
    back = from_grid(to_grid(probability, FRAME, FRAME), probability.shape, FRAME, FRAME)
    assert back.shape == probability.shape and np.abs(back - probability).max() < 0.01


def test_grid_round_trip_keeps_roi_map_in_place():
    region = Region(160, 120, 480, 360)
    probability = np.outer(np.linspace(0, 1, 144), np.linspace(0, 1, 256)).astype(np.float32)
    grid = to_grid(probability, region, FRAME)
    assert grid.shape == (GRID, GRID) and grid[32:96, 32:96].any()
    grid_outside = grid.copy()
    grid_outside[32:96, 32:96] = 0
    assert not grid_outside.any()
    assert np.abs(from_grid(grid, probability.shape, region, FRAME) - probability).max() < 0.02


@given(st.data())
def test_grid_round_trip_keeps_uniform_map(data):
    width, height = data.draw(st.integers(1, 2000)), data.draw(st.integers(1, 2000))
    x0, y0 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    region = Region(x0, y0, data.draw(st.integers(x0 + 1, width)), data.draw(st.integers(y0 + 1, height)))
    frame = Region(0, 0, width, height)
    probability = np.full((144, 256), 0.75, np.float32)
    grid = to_grid(probability, region, frame)
    assert grid.shape == (GRID, GRID) and np.isin(grid.round(5), (0, 0.75)).all()
    assert np.allclose(from_grid(grid, (144, 256), region, frame), probability)

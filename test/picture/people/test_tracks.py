# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Who stays who, who is forgotten and who counts, by boxes alone."""
import dataclasses
import itertools

import pytest

from self_segmentation.picture.models.detector import Detection
from self_segmentation.picture.people.tracks import Person, Tracks, who_counts
from self_segmentation.picture.regions import Region
from self_segmentation.settings import Settings

FRAME = Region(0, 0, 640, 480)
LEFT, RIGHT = Region(50, 100, 150, 400), Region(400, 100, 500, 400)


def people_at(*boxes) -> Tracks:
    people = Tracks(itertools.count(1))
    people.merge([Detection(box, 0.9) for box in boxes], {})
    return people


def boxes(people) -> dict[int, Region]:
    return {person.id: person.box for person in people.all}


def look(people, *found, supported=(), before=None) -> dict[int, Region]:
    """Everybody's box by id after a look of the detector."""
    people.merge([Detection(box, 0.8) for box in found], boxes(people) if before is None else before, supported)
    return boxes(people)


# ---- matching

def test_first_detection_gets_id_box_and_score():
    assert people_at(LEFT, RIGHT).all == [Person(1, LEFT, 0.9), Person(2, RIGHT, 0.9)]


def test_ids_follow_people_detected_in_any_order():
    people = people_at(LEFT, RIGHT)
    for step in range(1, 6):
        left, right = LEFT.moved(20 * step, 0), RIGHT.moved(-20 * step, 0)
        assert look(people, *((left, right) if step % 2 else (right, left))) == {1: left, 2: right}


def test_nearest_detection_matches_known_person():
    near, far = LEFT.moved(5, 0), LEFT.moved(45, 0)
    assert look(people_at(LEFT), far, near) == {1: near, 2: far}


def test_known_part_grows_into_whole_person():
    head = Region(80, 100, 120, 150)
    assert look(people_at(head), LEFT) == {1: LEFT}


def test_part_of_known_person_gets_no_id():
    head = Region(80, 100, 120, 150)
    assert look(people_at(LEFT), LEFT, head) == {1: LEFT}


def test_detection_elsewhere_is_new_person():
    assert look(people_at(LEFT), LEFT, RIGHT) == {1: LEFT, 2: RIGHT}


def test_late_detection_moves_with_person():
    people = people_at(LEFT)
    before = boxes(people)
    people.move(1, LEFT.moved(30, 4))
    larger = Region(40, 90, 160, 410)
    assert look(people, larger, before=before) == {1: larger.moved(30, 4)}


def test_late_detection_does_not_miss_newcomer():
    people = people_at(LEFT)
    before = boxes(people)
    people.appear(RIGHT, 0.5)
    for _ in range(3):
        look(people, LEFT, before=before)
    assert boxes(people) == {1: LEFT, 2: RIGHT}


# ---- patience

def shown(people, *keys):
    """The map shows these people."""
    people.cover(dict.fromkeys(keys, 0.9), 1 / 30, 1.5)
    return people


def test_person_whom_neither_detection_nor_map_shows_is_forgotten():
    assert look(people_at(LEFT, RIGHT), RIGHT) == {2: RIGHT}


def test_person_whom_the_map_shows_is_forgotten_at_the_second_miss():
    people = shown(people_at(LEFT, RIGHT), 1, 2)
    assert look(people, RIGHT) == {1: LEFT, 2: RIGHT} and people.doubted
    assert look(people, RIGHT) == {2: RIGHT} and not people.doubted


def test_detection_resets_missed_count():
    people = shown(people_at(LEFT), 1)
    for _ in range(5):
        look(people)
        assert look(people, LEFT) == {1: LEFT} and not people.doubted


def test_supported_person_is_not_forgotten():
    people = people_at(LEFT)
    for _ in range(10):
        assert look(people, supported=[1]) == {1: LEFT} and not people.doubted


def test_detection_in_other_part_neither_misses_nor_confirms():
    people, right_half = shown(people_at(LEFT), 1), Region(320, 0, 640, 480)
    look(people)
    for _ in range(5):
        people.merge([], boxes(people), part=right_half)
        assert people.doubted and boxes(people) == {1: LEFT}
    people.merge([], boxes(people), part=FRAME)
    assert not people.all


def test_far_person_is_not_missed_where_the_detector_cannot_see_them():
    far = Region(300, 200, 312, 236)  # 24 pixels of the detector's input
    people = people_at(far)
    people.merge([], boxes(people), part=FRAME, frame=FRAME)
    assert boxes(people) == {1: far}
    people.merge([], boxes(people), part=Region(250, 150, 370, 270), frame=FRAME)
    assert not people.all


def test_detection_in_part_does_not_shrink_who_reaches_beyond_it():
    people, part = people_at(LEFT), Region(0, 0, 320, 240)
    people.merge([Detection(Region(50, 100, 150, 235), 0.9)], boxes(people), part=part, frame=FRAME)
    assert boxes(people) == {1: LEFT}


# ---- motion

def walked(people, speed, steps, step=0.1):
    """Somebody who is measured while they walk, pixels a second."""
    for number in range(1, steps + 1):
        people.advance(step, FRAME)
        people.move(1, LEFT.moved(round(speed * step * number), 0), FRAME)
    return people


def test_person_is_expected_where_they_walk():
    people = walked(people_at(LEFT), 120, 10)
    people.advance(0.1, FRAME)
    assert abs(boxes(people)[1].x0 - (LEFT.x0 + 132)) <= 2
    people.advance(0.1, FRAME)
    assert abs(boxes(people)[1].x0 - (LEFT.x0 + 144)) <= 3


def test_person_who_walks_keeps_id_between_rare_detections():
    people = walked(people_at(LEFT), 120, 10)
    for _ in range(8):
        people.advance(0.1, FRAME)
    assert set(look(people, LEFT.moved(216, 0))) == {1}


def test_person_who_is_no_longer_measured_stops():
    people = walked(people_at(LEFT), 120, 10)
    for _ in range(15):
        people.advance(0.1, FRAME)
    there = boxes(people)[1]
    people.advance(0.1, FRAME)
    assert boxes(people)[1] == there


def test_person_who_walks_out_of_the_frame_is_forgotten():
    people = walked(people_at(LEFT), -120, 8)
    for _ in range(9):
        people.advance(0.1, FRAME)
    assert not people.all


def test_two_people_of_one_box_become_two():
    both = Region(50, 100, 400, 400)
    people = people_at(both)
    found = look(people, LEFT, Region(300, 100, 400, 400))
    assert set(found) == {1, 2} and {*found.values()} == {LEFT, Region(300, 100, 400, 400)}


def test_piece_of_somebody_who_is_hidden_does_not_shrink_their_box():
    front, behind = Region(100, 100, 200, 400), Region(150, 100, 250, 400)
    people = people_at(front, behind)
    assert look(people, front, Region(200, 100, 250, 400)) == {1: front, 2: behind}


def test_duplicate_part_is_removed_despite_support():
    people = people_at(LEFT)
    people.appear(Region(80, 100, 120, 150), 0.5)
    for _ in range(3):
        look(people, LEFT, supported=[1, 2])
    assert boxes(people) == {1: LEFT}


def test_ids_are_not_reused():
    people = people_at(LEFT)
    for _ in range(3):
        look(people)
    assert look(people, LEFT) == {2: LEFT}


@pytest.mark.parametrize('hold_time, frames', [(0.0, 16), (1.5, 46)])
def test_person_without_mask_is_forgotten_after_hold_time(hold_time, frames):
    people = people_at(LEFT, RIGHT)
    for _ in range(frames - 2):
        people.cover({1: 0.0, 2: 0.9}, 1 / 30, hold_time)
    assert set(boxes(people)) == {1, 2}
    people.cover({1: 0.5, 2: 0.9}, 1 / 30, hold_time)  # there again: from the beginning
    for _ in range(frames - 2):
        people.cover({1: 0.0, 2: 0.9}, 1 / 30, hold_time)
    assert set(boxes(people)) == {1, 2}
    for _ in range(3):
        people.cover({key: fraction for key, fraction in ((1, 0.0), (2, 0.9)) if key in boxes(people)}, 1 / 30, hold_time)
    assert set(boxes(people)) == {2}


# ---- who counts

def chosen(settings, *people) -> list[int]:
    return [person.id for person in who_counts(list(people), settings, FRAME) if person.counts]


def person(number, box, counts=True) -> Person:
    return Person(number, box, 0.9, counts)


SMALL_IN_THE_MIDDLE, LARGE_AT_THE_SIDE = person(1, Region(300, 200, 340, 300)), person(2, Region(0, 0, 200, 480))


@pytest.mark.parametrize('who, expected', [('all', [1, 2]), ('central', [1]), ('largest', [2])])
def test_people_who_selects_people(who, expected):
    assert chosen(Settings(people_who=who), SMALL_IN_THE_MIDDLE, LARGE_AT_THE_SIDE) == expected
    assert chosen(Settings(people_who=who)) == []


@pytest.mark.parametrize('who', ['largest', 'central'])
def test_people_who_has_hysteresis(who):
    settings = Settings(people_who=who)
    old, new = person(1, Region(200, 100, 300, 300), True), person(2, Region(336, 96, 440, 304), False)  # by a tenth
    assert chosen(settings, old, new) == [1]
    assert chosen(settings, dataclasses.replace(old, counts=False), dataclasses.replace(new, counts=True)) == [2]
    clearly = person(2, Region(260, 40, 400, 460), False)
    assert chosen(settings, old, clearly) == [2]


def test_people_who_is_remembered_between_frames():
    people, settings = people_at(LEFT, RIGHT), Settings(people_who='largest')
    people.choose(settings, FRAME)
    assert [each.counts for each in people.all] == [True, False]
    for grown, counts in ((1.2, [True, False]), (1.3, [False, True]), (0.9, [False, True])):
        people.move(2, Region(400, 100, 400 + round(100 * grown), 400))
        people.choose(settings, FRAME)
        assert [each.counts for each in people.all] == counts
    people.choose(Settings(), FRAME)
    assert [each.counts for each in people.all] == [True, True]


def test_person_is_not_missed_by_a_search_that_turns_the_image():
    people = people_at(LEFT)
    for _ in range(5):
        people.merge([], boxes(people), turn=0)
    assert people.all
    people.merge([], boxes(people))
    assert not people.all


def test_person_is_not_taken_for_lying_by_a_weaker_detection():
    people = people_at(LEFT)
    people.merge([Detection(LEFT, 0.7, 0)], boxes(people))
    assert people.all == [Person(1, LEFT, 0.9)]
    people.merge([Detection(LEFT, 0.95, 0)], boxes(people))
    assert people.all == [Person(1, LEFT, 0.95, turn=0)]

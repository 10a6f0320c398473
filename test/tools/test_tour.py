# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What the demo shows by turns, and that it does not do so against its user."""
from self_segmentation.tools.tour import TURNS, Tour

FIRST, SECOND, *_ = TURNS


def test_turns_follow_each_other_and_begin_anew():
    tour, seen = Tour(), []
    tour.begin(0)
    for second in range(200):
        tour.advance(second)
        seen += [tour.name] if seen[-1:] != [tour.name] else []
    assert seen[:5] == [*TURNS, FIRST] and len(TURNS) == 4


def test_no_turn_is_over_before_the_first_image():
    tour = Tour()
    assert not tour.advance(1000) and tour.name == FIRST


def test_each_turn_is_shown_in_a_short_time():
    tour, shown = Tour(), set()
    tour.begin(100, left=4)
    for tenth in range(40):
        tour.advance(100 + tenth / 10)
        shown.add(tour.name)
    assert shown == {*TURNS}


def test_turn_is_over_when_its_people_have_left():
    tour = Tour()
    tour.begin(0)
    for now, people in ((1, 1), (2, 0), (3, 0)):  # those of the turn before
        tour.see(now, people)
        assert not tour.advance(now)
    for now, people in ((7, 1), (8, 2), (9, 1)):
        tour.see(now, people)
        assert not tour.advance(now)
    tour.see(9.5, 0)
    assert tour.advance(9.5) and tour.name == SECOND and not tour.advance(9.6)


def test_own_change_goes_on_and_a_users_ends_it():
    tour = Tour()
    tour.changed(dict(TURNS[SECOND]))
    assert not tour.has_ended
    tour.changed({'background.color': ''})
    tour.changed(dict(TURNS[SECOND]))
    assert tour.has_ended

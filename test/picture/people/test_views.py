# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Which regions of interest people get, and which pieces of a map are theirs: on boxes and small maps."""
import numpy as np
import pytest

from self_segmentation.picture.people.tracks import Person
from self_segmentation.picture.people.views import arrange, without_others
from self_segmentation.picture.regions import Region, coverage
from self_segmentation.settings import Settings

FRAME, SETTINGS = Region(0, 0, 640, 480), Settings()


def person(number, x, y=200, width=60, height=150, counts=True) -> Person:
    return Person(number, Region(x, y, x + width, y + height), 0.9, counts)


def views_of(*people, old=()):
    return arrange(list(old), people, FRAME, SETTINGS)


def shown(views) -> list[set[int]]:
    return [set(view.ids) for view in views]


# ---- where

def test_view_shows_person_with_margin():
    [view] = views_of(person(1, 300))
    assert view.region == person(1, 300).box.padded(SETTINGS.roi_margin, FRAME) and view.ids == {1}


def test_close_people_share_view():
    assert shown(views_of(person(1, 100), person(2, 150), person(3, 500))) == [{1, 2}, {3}]
    assert shown(views_of(person(1, 100), person(2, 300), person(3, 500))) == [{1}, {2}, {3}]


def test_small_person_does_not_share_view_of_large_one():
    near, far = person(1, 100, 20, 200, 400), person(2, 180, 300, 20, 50)
    assert shown(views_of(near, far)) == [{1}, {2}]  # the far one would be lost in it


def test_uncounted_person_has_no_view():
    assert shown(views_of(person(1, 100), person(2, 500, counts=False))) == [{1}]
    assert views_of(person(1, 100, counts=False)) == views_of() == []


def test_person_filling_frame_gets_full_frame():
    [view] = views_of(person(1, 20, 10, 600, 460))
    assert view.region == FRAME


# ---- from frame to frame

def test_view_and_roi_stay_under_small_movement():
    [view] = views_of(person(1, 300))
    region = view.region
    for x in (303, 298, 305):
        assert views_of(person(1, x), old=[view]) == [view] and view.region == region


def test_roi_follows_person():
    [view] = views_of(person(1, 300))
    for x in range(310, 500, 10):
        [same] = views_of(person(1, x), old=[view])
        box = person(1, x).box
        assert same is view and box.inside(view.region) == 1.0 and view.region.area < 3 * box.area


def test_view_ends_with_person():
    views = views_of(person(1, 100), person(2, 500))
    assert views_of(person(2, 500), old=views) == [views[1]]


def test_parting_people_get_own_views():
    [together] = views_of(person(1, 200), person(2, 260))
    parted = views_of(person(1, 100), person(2, 400), old=[together])
    assert shown(parted) == [{1}, {2}] and together in parted and parted[0].smoother is not parted[1].smoother


def test_meeting_people_share_existing_view():
    views = views_of(person(1, 100), person(2, 400))
    [together] = views_of(person(1, 200), person(2, 260), old=views)
    assert together in views and together.ids == {1, 2}
    assert all(each.box.inside(together.region) == 1.0 for each in (person(1, 200), person(2, 260)))


def test_roi_widens_then_returns_when_map_misses_person():
    [view] = views_of(person(1, 300))
    crop, regions = view.region, []
    for view.tries in range(1, 4):
        views_of(person(1, 300), old=[view])
        regions.append(view.region)
    wider, all_of_it, again = regions
    assert crop.inside(wider) == 1.0 and crop.area < wider.area < FRAME.area and all_of_it == FRAME and again == crop


# ---- whose map

def test_shows_only_is_false_while_others_are_in_roi():
    alone, beside, behind = person(1, 300), person(2, 500), person(3, 320, 220, 20, 60)
    [view] = views_of(alone)
    assert view.shows_only([alone]) and view.shows_only([alone, beside])
    assert not view.shows_only([alone, behind])
    [together] = views_of(person(1, 300), person(2, 340))
    assert not together.shows_only([])


def test_covered_is_fraction_of_box_in_map():
    [view] = views_of(person(1, 200), person(2, 260))
    people = {each.id: each for each in (person(1, 200), person(2, 260))}
    assert view.covered(people) == {}
    probability = np.zeros((256, 256), np.float32)
    middle = round(256 * (275 - view.region.x0) / view.region.width)
    probability[:, :middle] = 0.9
    view.take(probability)
    assert view.covered(people) == {1: 1.0, 2: pytest.approx(0.25, abs=0.05)}


def test_map_of_a_view_that_is_not_segmented_moves_with_its_region():
    """A view's region may move in a frame in which it is not the view's turn."""
    [view] = views_of(person(1, 100))
    probability = np.zeros((256, 256), np.float32)
    probability[96:160, 96:160] = 1.0
    view.take(probability)
    old = view.region
    there = Region(round(old.x0 + old.width * 0.375), round(old.y0 + old.height * 0.375),
                   round(old.x0 + old.width * 0.625), round(old.y0 + old.height * 0.625))
    view.region = Region(old.x0 + 40, old.y0, old.x1 + 40, old.y1)
    assert coverage(view.probability, view.region, there) > 0.9
    assert coverage(view.probability, view.region, there.moved(40, 0)) < 0.7
    assert np.array_equal(probability, np.where(probability > 0, 1.0, 0.0))  # the model's own map stays


def blobs(*corners) -> np.ndarray:
    """A map of the frame with squares of 64x48 pixels of the frame."""
    probability = np.zeros((256, 256), np.float32)
    for x, y in corners:
        probability[y * 256 // 480:(y + 48) * 256 // 480, x * 256 // 640:(x + 64) * 256 // 640] = 0.8
    return probability


def test_without_others_removes_pieces_outside_boxes():
    probability, box = blobs((100, 100), (500, 300)), Region(90, 90, 180, 160)
    kept = without_others(probability, FRAME, [box])
    assert np.array_equal(kept, blobs((100, 100)))
    assert not without_others(probability, FRAME, []).any()


def test_without_others_keeps_map_of_people_only():
    probability = blobs((100, 100), (500, 300))
    assert without_others(probability, FRAME, [Region(90, 90, 180, 160), Region(490, 290, 570, 350)]) is probability


def test_without_others_keeps_piece_growing_out_of_box():
    probability = blobs((100, 100), (164, 100), (228, 100))
    assert without_others(probability, FRAME, [Region(100, 100, 164, 148)]) is probability
    small = Region(100, 100, 140, 130)  # holds a tenth, all of it filled
    assert without_others(probability, FRAME, [small]) is probability

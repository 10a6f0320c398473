# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Regions of the frame and the maps that cover them, on small arrays."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from self_segmentation.picture.regions import Region, around, components, grown, part, suits, union, warp

FRAME = Region(0, 0, 40, 30)


@st.composite
def regions(draw, frame=FRAME):
    """Not empty, inside the frame."""
    x0, y0 = draw(st.integers(0, frame.width - 1)), draw(st.integers(0, frame.height - 1))
    return Region(x0, y0, draw(st.integers(x0 + 1, frame.width)), draw(st.integers(y0 + 1, frame.height)))


def painted(region, frame=FRAME):
    """The region as a mask of the frame."""
    mask = np.zeros((frame.height, frame.width), bool)
    mask[region.y0:region.y1, region.x0:region.x1] = True
    return mask


def coordinates(region, size):
    """A map of the region in which each pixel holds where its centre is in the frame: two channels, x and y."""
    width, height = size
    x = region.x0 + (np.arange(width) + 0.5) * region.width / width
    y = region.y0 + (np.arange(height) + 0.5) * region.height / height
    return np.dstack(np.meshgrid(x, y)).astype(np.float32)


@given(regions(), regions())
def test_intersection_and_iou_match_painted_masks(a, b):
    both = painted(a) & painted(b)
    assert np.array_equal(painted(a.intersect(b)), both)
    assert a.intersect(b).area == both.sum()
    assert a.iou(b) == b.iou(a) == both.sum() / (painted(a) | painted(b)).sum()


def test_iou_is_1_with_itself_and_0_when_empty():
    assert FRAME.iou(FRAME) == 1.0
    assert Region(3, 3, 3, 3).iou(Region(5, 5, 5, 9)) == 0.0


@given(regions(), st.floats(0, 2))
def test_padding_adds_margin_within_frame(region, margin):
    pad = int(margin * max(region.width, region.height))
    expected = Region(max(0, region.x0 - pad), max(0, region.y0 - pad), min(40, region.x1 + pad), min(30, region.y1 + pad))
    assert region.padded(margin, FRAME) == expected


@given(st.lists(regions(), min_size=1, max_size=4))
def test_union_is_smallest_covering_region(parts):
    rows, columns = np.nonzero(np.any([painted(part) for part in parts], axis=0))
    assert union(*parts) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


def test_components_have_region_and_fraction():
    probability = np.zeros((10, 20), np.float32)
    probability[2:4, 3:8] = 0.9
    probability[6:10, 15:20] = 0.6
    first, second = components(probability, Region(100, 50, 140, 70), 0.0)
    assert first.region == (106, 54, 116, 58) and second.region == (130, 62, 140, 70)
    assert first.fraction == 10 / 200 and second.fraction == 20 / 200
    assert np.array_equal(first.pixels | second.pixels, probability > 0.5) and not (first.pixels & second.pixels).any()


def test_components_skip_small_and_faint():
    probability = np.zeros((10, 20), np.float32)
    probability[2:4, 3:8] = 0.9
    probability[6:10, 15:20] = 0.6
    frame = Region(0, 0, 20, 10)
    assert [part.region for part in components(probability, frame, 11 / 200)] == [(15, 6, 20, 10)]
    assert [part.region for part in components(probability, frame, 10 / 200, level=0.6)] == [(3, 2, 8, 4)]
    assert components(np.zeros((10, 20), np.float32), frame, 0.0) == []


def test_components_are_8_connected():
    assert len(components(np.eye(5, dtype=np.float32), FRAME, 0.0)) == 1


VGA = Region(0, 0, 640, 480)


def test_around_adds_margin_of_longer_side():
    assert around(Region(300, 200, 340, 300), VGA, 0.2, 0.85) == (280, 180, 360, 320)
    assert around(Region(300, 0, 340, 100), VGA, 0.2, 0.85) == (280, 0, 360, 120)


@pytest.mark.parametrize('person', [Region(0, 100, 200, 480), Region(6, 100, 200, 480), Region(500, 180, 640, 480),
                                    Region(500, 180, 634, 480), Region(0, 300, 200, 380)])
def test_around_near_person_cut_by_side_is_full_frame(person):
    assert around(person, VGA, 0.1, 0.85) == VGA


def test_around_far_person_cut_by_border_is_crop():
    assert around(Region(0, 200, 60, 400), VGA, 0.1, 0.85) == (0, 180, 80, 420)


def test_around_above_limit_is_full_frame():
    person = Region(100, 50, 500, 480)
    assert around(person, VGA, 0.1, 0.85) != VGA
    assert around(person, VGA, 0.1, 0.7) == VGA


def test_box_grows_at_roi_border_but_not_at_frame_border():
    region = Region(100, 100, 300, 480)
    assert grown(Region(150, 200, 250, 300), region, 0.2, VGA) == (150, 200, 250, 300)
    assert grown(Region(100, 200, 250, 480), region, 0.1, VGA) == (72, 200, 250, 480)
    assert grown(Region(0, 200, 640, 480), VGA, 0.1, VGA) == (0, 200, 640, 480)


def test_roi_is_kept_until_margin_is_half_used():
    box = Region(200, 150, 300, 350)
    wanted = around(box, VGA, 0.2, 0.85)
    assert suits(wanted, box, wanted, 0.2, VGA)
    moved = box.moved(15, 0)
    assert suits(wanted, moved, around(moved, VGA, 0.2, 0.85), 0.2, VGA)
    far = box.moved(30, 0)
    assert not suits(wanted, far, around(far, VGA, 0.2, 0.85), 0.2, VGA)
    small = Region(240, 220, 270, 280)
    assert not suits(wanted, small, around(small, VGA, 0.2, 0.85), 0.2, VGA)


def test_full_frame_is_left_only_for_clear_gain():
    assert suits(VGA, Region(50, 50, 560, 470), Region(20, 20, 600, 480), 0.1, VGA)
    assert not suits(VGA, Region(200, 150, 300, 350), Region(160, 110, 340, 390), 0.2, VGA)
    assert not suits(Region(160, 110, 340, 390), Region(0, 10, 630, 470), VGA, 0.2, VGA)


@given(regions(), regions())
def test_part_of_map_is_writable_view_of_box(region, box):
    cells = np.zeros((24, 32), np.float32)
    shown = part(cells, box, region)
    assert shown.size > 0
    shown[:] = 1
    if box.inside(region) == 1.0:
        assert abs(cells.mean() - box.area / region.area) <= 2 / 24 + 2 / 32
    if box == region:
        assert cells.all()


@given(regions(), regions())
def test_warp_keeps_place_in_frame(source, target):
    size = 32, 24
    known = coordinates(target, size)
    margin = 0.5 * np.array([source.width / size[0], source.height / size[1]])
    inside = ((known >= np.array(source[:2]) + margin) & (known <= np.array(source[2:]) - margin)).all(axis=2)
    for channel in range(2):
        warped = warp(coordinates(source, size)[..., channel], source, target, -1.0)
        tolerance = 0.05 * (source.width, source.height)[channel] / size[channel] + 1e-3
        assert np.abs(warped - known[..., channel])[inside].max(initial=0) < tolerance


def test_warp_round_trip_keeps_map():
    source, target = Region(0, 0, 320, 240), Region(40, 30, 280, 210)
    person = cv2.GaussianBlur(np.pad(np.ones((20, 20), np.float32), 22), (0, 0), 3)
    back = warp(warp(person, source, target, 0.0), target, source, 0.0)
    assert np.abs(back - person).max() < 0.02
    assert warp(person, source, source, 0.0) is person


def test_warp_outside_source_gives_fill_value():
    warped = warp(np.ones((8, 8), np.float32), Region(0, 0, 80, 80), Region(40, 0, 120, 80), -512.0)
    assert (warped[:, :4] == 1).all() and (warped[:, 4:] == -512).all()

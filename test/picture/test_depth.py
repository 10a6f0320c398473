# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Depth images without people, of people alone, and where people stand, in made scenes whose truth is known."""
import numpy as np
import pytest

from self_segmentation.picture.depth import Camera, Nearest, of_people, positions, without_people

HEIGHT, WIDTH = 240, 320
CAMERA = Camera(260.0, 262.0, 161.0, 119.0)
WALL = 4.0  # metres


def scene(dtype, *people: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """A wall, and people of 0.5 by 1.2 m with the middle at (x, y, z), with the values 1, 2, ... in the second array."""
    depth, instances = np.full((HEIGHT, WIDTH), WALL), np.zeros((HEIGHT, WIDTH), np.uint8)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    for value, (x, y, z) in sorted(enumerate(people, 1), key=lambda each: -each[1][2]):
        across, down = (columns - CAMERA.cx) / CAMERA.fx * z - x, (rows - CAMERA.cy) / CAMERA.fy * z - y
        there = (abs(across) < 0.25) & (abs(down) < 0.6)
        depth[there], instances[there] = z, value
    return (depth * 1000).astype(np.uint16) if dtype == np.uint16 else depth.astype(np.float32), instances


def is_known(depth: np.ndarray) -> np.ndarray:
    return depth > 0 if depth.dtype == np.uint16 else np.isfinite(depth)


@pytest.mark.parametrize('dtype', [np.uint16, np.float32])
def test_people_are_removed_and_the_rest_stays_to_the_last_bit(dtype):
    depth, instances = scene(dtype, (0.0, 0.0, 2.0))
    before = depth.copy()
    result = without_people(depth, instances, 0)
    assert np.array_equal(is_known(result), instances == 0) and result.dtype == dtype
    assert np.array_equal(result[instances == 0], depth[instances == 0]) and np.array_equal(depth, before)


@pytest.mark.parametrize('dtype', [np.uint16, np.float32])
def test_people_alone_stay(dtype):
    depth, instances = scene(dtype, (0.0, 0.0, 2.0))
    result = of_people(depth, instances, 0)
    assert np.array_equal(is_known(result), instances > 0) and np.array_equal(result[instances > 0], depth[instances > 0])


def test_margin_leaves_pixels_at_the_edge_in_neither_image():
    depth, instances = scene(np.uint16, (0.0, 0.0, 2.0))
    background, people = without_people(depth, instances, 3), of_people(depth, instances, 3)
    neither = (background == 0) & (people == 0)
    row, [left, *_, right] = HEIGHT // 2, np.nonzero(instances[HEIGHT // 2])[0]
    assert neither[row].sum() == 12
    for edge in (left, right + 1):
        assert neither[row, edge - 3:edge + 3].all()


@pytest.mark.parametrize('scale', [(1, 1), (2, 1), (1, 2)])
def test_mask_of_another_size_fits(scale):
    depth, instances = scene(np.uint16, (0.0, 0.0, 2.0))
    mask = np.repeat(np.repeat(instances, scale[0], 0), scale[1], 1)
    assert np.array_equal(without_people(depth, mask, 0), without_people(depth, instances, 0))


@pytest.mark.parametrize('dtype', [np.uint16, np.float32])
@pytest.mark.parametrize('place', [(0.0, 0.0, 3.0), (-0.7, 0.2, 3.0), (0.4, -0.05, 1.5)])
def test_person_is_placed_within_5_cm(place, dtype):
    depth, instances = scene(dtype, place)
    depth[::3, ::2] = 0 if dtype == np.uint16 else np.nan  # holes, as stereo cameras have them
    instances = np.roll(instances, 2, axis=1)  # a mask that is off by two pixels
    [found] = positions(depth, instances, [1], CAMERA, 2).values()
    assert np.linalg.norm(np.subtract(found, place)) < 0.05


def test_each_person_is_placed():
    places = (-0.8, 0.0, 3.0), (0.5, 0.1, 2.0)
    depth, instances = scene(np.uint16, *places)
    found = positions(depth, instances, [1, 2], CAMERA, 2)
    assert np.abs(np.subtract([found[1], found[2]], places)).max() < 0.05


def test_people_without_depth_have_no_place():
    depth, instances = scene(np.uint16, (0.0, 0.0, 3.0))
    assert positions(np.where(instances, 0, depth).astype(np.uint16), instances, [1, 2], CAMERA, 2) == {}


NEAR, FAR = (0.0, 0.0, 2.0), (1.5, 0.0, 3.0)


def test_nearest_person_is_chosen_and_kept_while_others_are_about_as_near():
    nearest = Nearest()
    assert nearest.choose({1: NEAR, 2: FAR}, 0.0) == 1
    assert nearest.choose({1: (0.0, 0.0, 2.1), 2: (1.0, 0.0, 1.8)}, 0.1) == 1
    assert nearest.choose({1: (0.0, 0.0, 2.1), 2: (1.0, 0.0, 1.0)}, 0.2) == 2  # clearly closer


def test_nobody_takes_the_place_of_a_lost_person_at_once():
    nearest = Nearest()
    assert nearest.choose({1: NEAR, 2: FAR}, 0.0) == 1
    assert nearest.choose({2: FAR}, 0.5) is None and nearest.choose({}, 0.6) is None
    assert nearest.choose({2: FAR, 7: (0.2, 0.0, 2.1)}, 0.7) == 7  # another id in the same place
    assert nearest.choose({2: FAR}, 1.0) is None and nearest.choose({2: FAR}, 1.8) == 2  # a second later


def test_choice_begins_anew_when_time_jumps_back():
    nearest = Nearest()
    assert nearest.choose({1: NEAR}, 100.0) == 1 and nearest.choose({2: FAR}, 1.0) == 2

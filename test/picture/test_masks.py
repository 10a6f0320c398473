# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Masks for other nodes: their values, their size, and how sure they are."""
import numpy as np
import pytest

from self_segmentation.picture.masks import confidence, instance_value, mask_of, mask_size
from self_segmentation.picture.people.tracks import Person
from self_segmentation.picture.regions import Region

SIZE = WIDTH, HEIGHT = 160, 120


def alpha_of(*boxes: Region) -> np.ndarray:
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    for box in boxes:
        box.cut(alpha)[:] = 255
    return alpha


def test_binary_and_class_masks_hold_two_values():
    alpha = alpha_of(Region(20, 20, 60, 100))
    alpha[:, 60:64] = 100  # below half
    for values, person in (('binary', 255), ('class', 1)):
        mask = mask_of(alpha, [], values, SIZE)
        assert np.array_equal(mask, np.where(alpha > 127, person, 0))


def test_instance_mask_holds_number_of_each_person():
    left, right = Region(10, 20, 70, 110), Region(60, 20, 120, 110)
    mask = mask_of(alpha_of(left, right), [Person(7, left, 0.9), Person(260, right, 0.8)], 'instance', SIZE)
    assert set(np.unique(mask)) == {0, 8, 260 % 254 + 1}
    assert (mask[20:110, 10:60] == 8).all() and (mask[20:110, 70:120] == 7).all()  # each where it is alone
    assert (mask[60, 60:65] == 8).all() and (mask[60, 66:70] == 7).all()  # shared pixels go to the nearer middle
    assert not mask[:20].any()


def test_instance_values_are_never_background_nor_unlabeled():
    values = {instance_value(number) for number in range(1, 600)}
    assert values == set(range(1, 255))


def test_people_who_do_not_count_get_no_pixels():
    near, far = Region(10, 20, 70, 110), Region(60, 20, 120, 110)
    mask = mask_of(alpha_of(near), [Person(1, near, 0.9), Person(2, far, 0.9, counts=False)], 'instance', SIZE)
    assert set(np.unique(mask)) == {0, 2}


@pytest.mark.parametrize('values', ['binary', 'class', 'instance'])
def test_small_mask_has_aspect_of_picture_and_people_in_their_places(values):
    box = Region(40, 32, 80, 88)
    size = mask_size(*SIZE, 40)
    assert size == (40, 30)
    mask = mask_of(alpha_of(box), [Person(1, box, 0.9)], values, size)
    assert mask.shape == (30, 40) and mask.dtype == np.uint8
    assert np.array_equal(mask > 0, alpha_of(box)[2::4, 2::4] > 0)


@pytest.mark.parametrize('values', ['binary', 'class', 'instance'])
def test_small_mask_of_hidden_people_counts_each_cell_that_is_partly_covered(values):
    alpha = alpha_of(Region(41, 31, 42, 32))  # one pixel
    assert (mask_of(alpha, [], values, (40, 30), hides_people=True) > 0).sum() == 1
    assert not mask_of(alpha, [], values, (40, 30)).any()


def test_writes_to_given_array():
    out = np.full((HEIGHT, WIDTH), 7, np.uint8)
    box = Region(20, 20, 60, 100)
    for values in ('binary', 'class', 'instance'):
        assert mask_of(alpha_of(box), [Person(1, box, 0.9)], values, SIZE, out=out) is out
        assert not out[0].any() and out[50, 50]


def test_confidence_is_lowest_at_the_edge():
    alpha = alpha_of(Region(20, 20, 60, 100))
    alpha[:, 60] = 128
    sure = confidence(alpha, SIZE)
    assert sure[50, 40] == 255 and sure[50, 100] == 255 and sure[50, 60] == 128

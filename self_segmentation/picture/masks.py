# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Masks as other nodes take them: small ones, with class or person numbers, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from .arrays import Array
from .people.tracks import Person

__all__ = ['HALF', 'INSTANCES', 'PRESENT', 'confidence', 'instance_value', 'mask_of', 'mask_size']

HALF = 127  # of alpha, 0..255; a pixel with more is a person
PRESENT = 0.001  # fraction of a picture that people cover at least, where somebody is there
INSTANCES = 254  # different numbers of people; 0 is background, and 255 is "unlabeled" for vision_msgs
_VALUES = {'binary': 255, 'class': 1}


def instance_value(person_id: int) -> int:
    """Return a person's value in a mask of instances, 1..254: the track's id modulo 254, plus 1."""
    return person_id % INSTANCES + 1


def mask_size(width: int, height: int, wanted_width: int) -> tuple[int, int]:
    """Return width and height of a mask of a picture: ``wanted_width``, 0 for the picture's own, with the picture's aspect."""
    if not wanted_width:
        return width, height
    return wanted_width, max(1, round(height * wanted_width / width))


def mask_of(alpha: Array, people: Sequence[Person], values: str, size: tuple[int, int], hides_people: bool = False,
            out: Array | None = None) -> Array:
    """
    Return a mask.

    A pixel in the boxes of several people belongs to the one whose box fits it best: to whose middle it is nearest, measured in
    sizes of the box.

    :param alpha: (height, width) uint8, 0..255.
    :param people: of this frame; those who do not count are in no alpha.
    :param values: ``binary`` (0, 255), ``class`` (0, 1), or ``instance`` (0, :func:`instance_value`).
    :param size: width and height of the mask, pixels.
    :param hides_people: whether alpha is what is covered: then each pixel counts that it covers a part of.
    :param out: array of that size, uint8, to write to.
    :returns: (height, width) uint8.
    """
    small = _scaled(alpha, size)
    if values != 'instance':
        mask = cv2.threshold(small, 0 if hides_people else HALF, _VALUES[values], cv2.THRESH_BINARY, dst=out)[1]
        return np.asarray(mask, np.uint8)
    mask = np.zeros(small.shape, np.uint8) if out is None else out
    mask[:] = 0
    inside = small > (0 if hides_people else HALF)
    found = [person for person in people if person.counts or hides_people]
    if not found:
        mask[inside] = instance_value(0)  # what is not known to be nobody
        return mask
    scale_x, scale_y = size[0] / alpha.shape[1], size[1] / alpha.shape[0]
    rows, columns = np.nonzero(inside)
    off = np.empty((len(found), rows.size), np.float32)
    for row, person in zip(off, found):
        (x, y), (width, height) = person.box.middle, person.box.size
        across, down = (columns - x * scale_x) / max(width * scale_x, 1.0), (rows - y * scale_y) / max(height * scale_y, 1.0)
        row[:] = across ** 2 + down ** 2
    mask[rows, columns] = np.array([instance_value(person.id) for person in found], np.uint8)[off.argmin(axis=0)]
    return mask


def confidence(alpha: Array, size: tuple[int, int]) -> Array:
    """
    Return how sure a mask is of what it says of each pixel, person or background.

    :param alpha: (height, width) uint8, 0..255: how surely a pixel is a person.
    :param size: width and height of the mask, pixels.
    :returns: (height, width) uint8, 128 (it could be either) to 255 (sure).
    """
    small = _scaled(alpha, size)
    return np.maximum(small, 255 - small)


def _scaled(alpha: Array, size: tuple[int, int]) -> Array:
    if alpha.shape[::-1] == size:
        return alpha
    is_smaller = size[0] < alpha.shape[1]
    return cv2.resize(alpha, size, interpolation=cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR)

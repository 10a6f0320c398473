# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
What is covered where people must not be seen: more than the mask, and everything while nothing is known.

On the grid of the background model; what is covered is covered whole, and the soft edge lies outside of it.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable

import cv2
import numpy as np

from ..settings import Settings
from . import regions
from .arrays import Array
from .matting.background_model import GRID
from .people.tracks import Person
from .regions import Region

__all__ = ['Cover', 'cover_still', 'cover_to_alpha', 'covered', 'private']

_SCORE = 0.15  # of the detector from which somebody may be there; below, things are as many as people
_SURE = 0.25  # of the detector from which its box need not be covered as a whole
_PERSON = 0.2  # probability from which a pixel may be a person
_MISSED = 0.35  # fraction of the box that the map covers at least of a person whom it shows
_NEW = 0.25  # how surely something must differ from the known background


@functools.lru_cache(maxsize=4)  # each frame asks
def private(settings: Settings) -> Settings:
    """Return the settings with which people are looked for where nobody may be missed."""
    return dataclasses.replace(settings, people_who='all', people_smallest=0.0, people_score=min(settings.people_score, _SCORE),
                               threshold=0.5, softness=1.0)  # alpha is the probability


def covered(probability: Array, people: Iterable[Person], margin: float, frame: Region) -> Array:
    """
    Return what is covered in one frame.

    :param probability: (GRID, GRID) float32, how likely each cell is a person.
    :param people: everybody whom the detector sees.
    :param margin: fraction of the height of a person.
    :returns: (GRID, GRID) uint8, 0 or 1.
    """
    likely = (probability > _PERSON).astype(np.uint8)
    for person in people:
        part = regions.part(likely, person.box, frame)
        if person.score < _SURE or part.mean() < _MISSED:
            part[:] = 1
    grown = likely.copy()
    for piece in regions.components(likely.astype(np.float32), frame, 0.0):
        reach = margin * piece.region.height
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * int(np.ceil(reach * GRID / frame.width)) + 1,
                                                               2 * int(np.ceil(reach * GRID / frame.height)) + 1))
        cv2.bitwise_or(grown, cv2.dilate(piece.pixels.astype(np.uint8), kernel), dst=grown)
    return grown


def cover_to_alpha(cover: Array, out: Array) -> Array:
    """
    Write a cover at the frame's size, 255 wherever it is, with a soft edge outside of it.

    :param cover: (GRID, GRID) uint8, 0 or 1.
    :param out: (height, width) uint8.
    """
    grown = cv2.dilate(cover, np.ones((3, 3), np.uint8)) * np.uint8(255)
    return cv2.resize(grown, out.shape[::-1], dst=out, interpolation=cv2.INTER_LINEAR)


def cover_still(alpha: Array, people: Iterable[Person], margin: float) -> None:
    """
    Turn the alpha of a picture of its own into its cover.

    :param alpha: (height, width) uint8, found with :func:`private` settings; it is written to.
    :param people: everybody whom the detector sees.
    :param margin: fraction of the height of a person.
    """
    probability = cv2.resize(alpha, (GRID, GRID), interpolation=cv2.INTER_AREA) * np.float32(1 / 255)
    cover_to_alpha(covered(probability, people, margin, regions.full_frame(alpha.shape)), alpha)


class Cover:
    """What is covered in a video: a place stays covered for a while after a person was last seen there."""

    def __init__(self) -> None:
        self._since: Array = np.full((GRID, GRID), np.inf, np.float32)  # seconds since somebody was there

    def update(self, now: Array, hold: float, step: float) -> Array:
        """
        Return what is covered.

        :param now: (GRID, GRID) uint8, not 0 where somebody is.
        :param hold: seconds for which a place stays covered.
        :param step: seconds since the last frame.
        :returns: like it, 0 or 1.
        """
        self._since = np.where(now > 0, 0, self._since + np.float32(step))
        return (self._since <= hold).astype(np.uint8)

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What is remembered of one camera or video from frame to frame."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator

import numpy as np

from .arrays import Array
from .backgrounds import BACKGROUNDS, Background
from .known_scene import KnownScene
from .matting.background_model import BackgroundModel
from .people.schedule import DetectionSchedule
from .people.tracks import Person, Tracks
from .people.views import View
from .privacy import Cover
from .proof import Proof

__all__ = ['REASONS', 'USUAL_STEP', 'Scene', 'Video']

REASONS = 'person', 'held', 'unknown', 'blind'  # why something is covered, see Video
USUAL_STEP = 1 / 30  # seconds between frames without stamps, or whose stamps do not advance


class Scene:
    """
    What is remembered since the video's first frame, or since its last cut. A new one knows nothing.

    ``key`` is what all its frames have in common (their shape, whether they are mirrored, the models): a frame with another key
    begins another scene. ``number`` counts its frames; ``stamp`` of the last frame, seconds; ``grey`` (GRID, GRID) uint8, the
    last frame; ``last_full_frame`` the number of the frame that was last segmented as a whole, in search of people;
    ``hides_people`` whether people were replaced in the last frame.
    """

    def __init__(self, ids: Iterator[int], key: object = None) -> None:
        self.key = key
        self.number = 0
        self.stamp: float | None = None
        self.grey: Array | None = None
        self.last_full_frame: int | None = None
        self.hides_people = False
        self.schedule = DetectionSchedule()
        self.background = BackgroundModel()
        self.tracks = Tracks(ids)
        self.views: list[View] = []
        self.cover = Cover()
        self.known = KnownScene()
        self.proof: Proof | None = None
        self.lost = 0  # frames in a row in which the known scene was wrong nearly everywhere
        self._replacement: tuple[str, Background] | None = None

    def replacement(self, kind: str) -> Background:
        """
        Return what is put behind people, or in their place, with all that it remembers of this scene.

        :param kind: ``background.type``; another one begins anew.
        """
        if self._replacement is None or self._replacement[0] != kind:
            self._replacement = kind, BACKGROUNDS[kind]()
        return self._replacement[1]


class Video:
    """
    The memory of one camera or video. Make a new one for another camera, or to forget everything.

    Give it to each call of ``process``, in the order of the frames. It holds no models: one pipeline serves many videos.

    ``covered_for`` counts the frames in which something was covered, where people are replaced, by reason. ``person``: somebody
    was found. ``held``: somebody was there just now. ``unknown``: it differs from the known scene, or was never seen empty.
    ``blind``: too little is known, so all is covered. A frame can have several reasons.
    """

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self.scene = Scene(self._ids)
        self.matte: Array = np.empty((0, 0), np.uint8)  # of the last frame
        self.covered_for: Counter[str] = Counter()

    def start_over(self, key: object = None) -> None:
        """
        Begin a new scene: nothing of what was seen is of use. People who come have new ids.

        :param key: of the new scene, see :class:`Scene`.
        """
        self.scene = Scene(self._ids, key)

    @property
    def people(self) -> list[Person]:
        """The people of the last frame; none without the person detector."""
        return self.scene.tracks.all

    @property
    def coverage(self) -> float:
        """The fraction of the last frame that its alpha covers, 0..1."""
        return float(self.matte.mean()) / 255 if self.matte.size else 0.0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the last frame, in pixels; 0 before the first one."""
        return self.matte.shape[1], self.matte.shape[0]

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What the demo shows in turn, and when: no ROS, no clock of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping

__all__ = ['TURNS', 'Tour']

TURNS: dict[str, dict[str, str]] = {  # parameters, by the name in the video
    'background: image': {'replace': 'background', 'background.type': 'image'},
    'background: blur': {'replace': 'background', 'background.type': 'blur'},
    'people: covered': {'replace': 'people', 'background.type': 'pixelate'},
    'people: erased (clean plate)': {'replace': 'people', 'background.type': 'clean_plate'},  # the room is known by now
}
_LONGEST = 12.0  # seconds of a turn


class Tour:
    """
    The turns, repeated until the user changes a parameter.

    A turn ends after :attr:`longest`. In its second half it ends as soon as people have left: the next one may have to learn the
    empty room.
    """

    def __init__(self) -> None:
        self.longest = _LONGEST  # seconds
        self.over = 0  # turns that are over; they are counted on after the tour has ended
        self.has_ended = False
        self._start, self._has_people, self._have_left = math.inf, False, False

    @property
    def name(self) -> str:
        """The name of the current turn."""
        return [*TURNS][self.over % len(TURNS)]

    def begin(self, now: float, left: float | None = None) -> None:
        """Begin the first turn; ``left``: seconds for all turns together, if there is a limit."""
        self._start = now
        if left is not None:
            self.longest = min(_LONGEST, max(left, 0.1) / len(TURNS))

    def see(self, now: float, people: int) -> None:
        """Take note of how many people are in view."""
        in_second_half = now - self._start >= self.longest / 2
        self._have_left = self._have_left or (in_second_half and self._has_people and not people)
        self._has_people = people > 0

    def advance(self, now: float) -> bool:
        """Go on to the next turn if this one is over; return whether it was."""
        is_over = self._have_left or now - self._start >= self.longest
        if is_over:
            self._start, self._have_left = now, False
            self.over += 1
        return is_over

    def changed(self, values: Mapping[str, str]) -> None:
        """Take note of a change of parameters; the tour ends if it is not a turn."""
        self.has_ended = self.has_ended or values not in TURNS.values()

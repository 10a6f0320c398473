# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What the demo shows by turns, and when: no ROS, no clock of its own."""

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
    The turns, over and over, until somebody else changes a parameter.

    A turn is over after :attr:`longest`, or in its second half as soon as the people in it have left: the next one finds the room
    empty, which it may have to learn.
    """

    def __init__(self) -> None:
        self.longest = _LONGEST  # seconds
        self.over = 0  # turns that are over; they go on when the tour has ended
        self.has_ended = False
        self._start, self._has_people, self._have_left = math.inf, False, False
        self._expected: list[Mapping[str, str]] = []  # own changes that are under way

    @property
    def name(self) -> str:
        """Whose turn it is."""
        return [*TURNS][self.over % len(TURNS)]

    def begin(self, now: float, left: float | None = None) -> None:
        """Begin the first turn; ``left``: seconds that all turns have together, if there is a limit."""
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

    def expect(self, values: Mapping[str, str]) -> None:
        """Take note of a change that the tour itself has asked for."""
        self._expected.append(values)

    def forget(self, values: Mapping[str, str]) -> None:
        """Expect a change no longer: it was refused."""
        self._expected.remove(values)

    def changed(self, values: Mapping[str, str]) -> None:
        """Take note of a change of parameters; one that is not expected ends the tour."""
        if values in self._expected:
            self._expected.remove(values)
        else:
            self.has_ended = True

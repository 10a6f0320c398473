# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Messages of two topics that belong together, by their stamps."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

__all__ = ['ByStamp', 'Pairing']

_KEPT = 30  # items of each side that wait for their partners
_JUMP = 2_000_000_000  # nanoseconds; a stamp that is older by more than this begins anew, as a bag that starts again

T = TypeVar('T')
A = TypeVar('A')
B = TypeVar('B')


class ByStamp(Generic[T]):
    """The latest items of a topic, by their stamps in nanoseconds."""

    def __init__(self) -> None:
        self._items: deque[tuple[int, T]] = deque(maxlen=_KEPT)

    def add(self, stamp: int, item: T) -> None:
        """Keep an item. One whose stamp is much older than the last one's takes the place of all."""
        if self._items and stamp < self._items[-1][0] - _JUMP:
            self._items.clear()
        self._items.append((stamp, item))

    @property
    def newest(self) -> int | None:
        """The stamp of the last item; None without one."""
        return self._items[-1][0] if self._items else None

    def nearest(self, stamp: int, slop: int = 0) -> T | None:
        """
        Return the item whose stamp is nearest; None where none is near enough.

        :param slop: nanoseconds by which stamps may differ; 0 takes the very same stamp only.
        """
        best = min(self._items, key=lambda each: abs(each[0] - stamp), default=None)
        return best[1] if best is not None and abs(best[0] - stamp) <= slop else None


class Pairing(Generic[A, B]):
    """
    Finds for each item of a topic (``waiting``) its partner on another topic (``partner``).

    An item waits until its partner is certain: one of the very same stamp, or the nearest one once a later one came. What has no
    partner within ``slop`` is dropped and counted in ``dropped``. No stamp of zero has a partner.
    """

    def __init__(self) -> None:
        self._partners = ByStamp[B]()
        self._waiting: deque[tuple[int, A]] = deque()
        self.dropped = 0

    def add(self, stamp: int, item: A, slop: int) -> list[tuple[A, B]]:
        """
        Add an item that needs a partner, and return the pairs that are certain now.

        :param stamp: nanoseconds.
        :param slop: nanoseconds by which stamps may differ.
        """
        if self._waiting and stamp < self._waiting[-1][0] - _JUMP:
            self.dropped += len(self._waiting)
            self._waiting.clear()
        self._waiting.append((stamp, item))
        if len(self._waiting) > _KEPT:
            self._waiting.popleft()
            self.dropped += 1
        return self._certain(slop)

    def add_partner(self, stamp: int, partner: B, slop: int) -> list[tuple[A, B]]:
        """Add a partner, and return the pairs that are certain now."""
        self._partners.add(stamp, partner)
        return self._certain(slop)

    def _certain(self, slop: int) -> list[tuple[A, B]]:
        pairs, waiting = [], deque[tuple[int, A]]()
        newest = self._partners.newest
        for stamp, item in self._waiting:
            partner = self._partners.nearest(stamp) if stamp else None
            is_certain = not stamp or partner is not None or newest is not None and stamp <= newest <= stamp + _JUMP
            if partner is None and stamp and is_certain:
                partner = self._partners.nearest(stamp, slop)
            if partner is not None:
                pairs.append((item, partner))
            elif is_certain:
                self.dropped += 1
            else:
                waiting.append((stamp, item))
        self._waiting = waiting
        return pairs

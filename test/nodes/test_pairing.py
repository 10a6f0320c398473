# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Messages of two topics by their stamps: which belong together, and what has no partner."""
import pytest

from self_segmentation.nodes.pairing import ByStamp, Pairing

MS = 1_000_000
SLOP = 30 * MS
BEGIN = 1_700_000_000_000 * MS


def pairs_of(events: list[tuple[str, int]], slop: int = SLOP) -> tuple[list[tuple[int, int]], int]:
    """What becomes of depth images (d) and masks (m) that come in this order, by the milliseconds of their stamps."""
    pairing, pairs = Pairing(), []
    for kind, stamp in events:
        add = pairing.add if kind == 'd' else pairing.add_partner
        pairs += add(BEGIN + stamp * MS, stamp, slop)
    return pairs, pairing.dropped


@pytest.mark.parametrize('order', ['dm', 'md'])
def test_same_stamps_are_a_pair_in_both_orders(order):
    events = [(kind, stamp) for stamp in range(0, 330, 33) for kind in order]
    assert pairs_of(events) == ([(stamp, stamp) for stamp in range(0, 330, 33)], 0)


def test_nearest_stamp_is_the_partner_once_a_later_one_came():
    assert pairs_of([('d', 10), ('m', 0)]) == ([], 0)  # a better one may come
    assert pairs_of([('d', 10), ('m', 0), ('m', 33)]) == ([(10, 0)], 0)
    assert pairs_of([('d', 20), ('m', 0), ('m', 33)]) == ([(20, 33)], 0)
    assert pairs_of([('m', 0), ('m', 33), ('d', 20)]) == ([(20, 33)], 0)


def test_depth_without_partner_is_dropped_and_counted():
    assert pairs_of([('d', 50), ('m', 0), ('m', 100)]) == ([], 1)
    assert pairs_of([('d', 10), ('m', 0), ('m', 33)], slop=0) == ([], 1)


def test_no_mask_no_pair():
    pairs, dropped = pairs_of([('d', stamp) for stamp in range(0, 3300, 33)])
    assert not pairs and dropped == 100 - 30


def test_depth_at_half_and_double_rate_has_partners():
    masks = [('m', stamp) for stamp in range(0, 660, 33)]
    for step in (66, 16.5):
        depth = [('d', stamp) for stamp in (round(step * number) for number in range(int(600 / step)))]
        pairs, dropped = pairs_of(sorted([*masks, *depth], key=lambda each: each[1]))
        assert len(pairs) == len(depth) and not dropped and all(abs(a - b) <= 17 for a, b in pairs)


def test_late_masks_still_find_their_depth():
    depth, masks = [('d', stamp) for stamp in range(0, 330, 33)], [('m', stamp) for stamp in range(0, 330, 33)]
    assert len(pairs_of([*depth, *masks])[0]) == len(pairs_of([*masks, *depth])[0]) == 10


def test_bag_that_starts_again_pairs_again():
    one = [(kind, stamp) for stamp in range(0, 5000, 100) for kind in 'dm']
    assert len(pairs_of([*one, *one])[0]) == 100


def test_zero_stamps_have_no_partner():
    pairing = Pairing()
    assert pairing.add_partner(0, 'mask', SLOP) == pairing.add(0, 'depth', SLOP) == [] and pairing.dropped == 1


def test_by_stamp_takes_the_very_same_stamp_unless_told():
    items = ByStamp()
    items.add(BEGIN, 'a')
    assert items.nearest(BEGIN) == 'a' and items.nearest(BEGIN + 1) is None and items.nearest(BEGIN + 1, 1) == 'a'

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What became of the frames, as counted by their numbers, or told by their stamps."""

import numpy as np
import pytest

from self_segmentation.nodes.frame_counts import FrameCounts, replaced_for_each


def test_several_or_restarted_cameras_count_no_drops():
    counts = FrameCounts()
    one, other, again = b'one', b'other', b'one, started again'
    for origin in ((one, 7), (other, 10), (one, 8), (other, 11), (one, 9), (again, 40), (other, 12), (again, 41)):
        counts.arrive(0.0, origin)
    assert counts.replaced == 0
    counts.arrive(0.0, (again, 44))
    assert counts.replaced == 2
    counts.arrive(0.0)
    assert counts.replaced is None  # a frame without a number


def pace_of(spans) -> object:
    """What is reported after spans of a camera's frames, each given by the numbers of those that were taken."""
    counts = FrameCounts()
    for numbers in spans:
        for number in numbers:
            counts.arrive(0.0, (b'camera', number))
            counts.serve({})
        counts.report()
    return counts.too_slow


def test_is_too_slow_only_where_frames_are_replaced_all_the_time():
    third = [range(first, first + 30, 3) for first in range(0, 300, 30)]
    assert pace_of(third[:2]) is None and (pace := pace_of(third)) is not None
    assert pace.sent is not None and 2.9 < pace.sent / pace.served < 3.1
    assert pace_of([*third, range(300, 330), range(330, 360), range(360, 390)]) is None  # it keeps up again
    start = [[0], [*range(40, 70)], [*range(70, 100)], [*range(100, 130)]]  # the model is loaded meanwhile
    assert pace_of(start) is None
    assert pace_of([[0, 1, 2, 4, 5], [6, 7, 8, 9, 11], range(12, 18)]) is None  # a lost frame, now and then
    assert pace_of([[number] for number in range(20)]) is None  # a slow camera
    assert pace_of([[2 * number] for number in range(20)]) is not None  # and a slower node


def taken_of(stamps, seconds=0.075, idle=0.005):
    """Frames that were taken one after the other, each after some idle seconds."""
    return [(stamp, number * seconds, idle) for number, stamp in enumerate(stamps)]


def test_tells_replaced_frames_by_their_stamps():
    """Of a camera of 30 Hz of which every second, third or fourth frame is taken, by turns, with noise in its stamps."""
    noise = np.random.default_rng(1).normal(0, 0.002, 60)
    numbers = np.cumsum([2, 2, 3, 2, 2, 4] * 8)
    taken = taken_of([1e9 + number / 30 + noise[index] for index, number in enumerate(numbers)])
    assert replaced_for_each(taken) == pytest.approx(1.5, abs=0.05)
    fast = [(stamp * 3, came, idle) for stamp, came, idle in taken]  # of a bag that is played fast
    assert replaced_for_each(fast) == pytest.approx(1.5, abs=0.05)
    assert replaced_for_each(taken_of([number / 10 for number in range(40)], 0.1)) == 0  # nothing is replaced
    gaps = np.cumsum([1, 1, 2, 1, 3] * 8) / 10
    assert replaced_for_each(taken_of(gaps, 0.16, 0.12)) == 0  # the camera left them out: the node was idle


@pytest.mark.parametrize('stamps', [[0.0] * 40, [-float(number) for number in range(40)], [0.1 * number for number in range(10)],
                                    np.cumsum(np.random.default_rng(1).uniform(0.02, 0.2, 60))],
                         ids=['zero', 'decreasing', 'few', 'irregular'])
def test_stamps_that_tell_nothing_of_replaced_frames_are_not_believed(stamps):
    assert replaced_for_each(taken_of(stamps)) is None


def test_node_that_is_busy_all_the_time_is_too_slow_where_nothing_tells_what_it_misses():
    for busy, idle, is_too_slow in ((0.02, 0.0, True), (0.0, 0.02, False)):
        seconds = [0.0]
        counts = FrameCounts(lambda seconds=seconds: seconds[0])
        for number in range(48):
            counts.arrive(0.0)
            seconds[0] += busy
            counts.serve({})
            seconds[0] += idle
            if number % 16 == 15:
                counts.report()
        assert (counts.too_slow is not None) == is_too_slow
        assert counts.too_slow is None or counts.too_slow.sent is None


def test_frames_whose_results_come_later_are_counted_when_they_are_out():
    counts = FrameCounts()
    counts.skip('the frame before')
    for number in range(5):
        counts.arrive(0.0, (b'camera', number))
        counts.wait()
    assert (counts.received, counts.served, counts.replaced) == (5, 0, 0) and not counts.is_failing
    counts.serve({})
    assert counts.served == 1

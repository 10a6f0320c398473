# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What became of the frames, as counted by their numbers."""


from self_segmentation.nodes.frame_counts import FrameCounts


def test_several_or_restarted_cameras_count_no_drops():
    counts = FrameCounts()
    one, other, again = b'one', b'other', b'one, started again'
    for origin in ((one, 7), (other, 10), (one, 8), (other, 11), (one, 9), (again, 40), (other, 12), (again, 41)):
        counts.arrive(origin)
    assert counts.replaced == 0
    counts.arrive((again, 44))
    assert counts.replaced == 2
    counts.arrive()
    assert counts.replaced is None  # a frame without a number


def pace_of(spans) -> object:
    """What is reported after spans of a camera's frames, each given by the numbers of those that were taken."""
    counts = FrameCounts()
    for numbers in spans:
        for number in numbers:
            counts.arrive((b'camera', number))
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


def test_node_that_is_busy_all_the_time_is_too_slow_where_nothing_tells_what_it_misses():
    for busy, idle, is_too_slow in ((0.02, 0.0, True), (0.0, 0.02, False)):
        seconds = [0.0]
        counts = FrameCounts(lambda seconds=seconds: seconds[0])
        for number in range(48):
            counts.arrive()
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
        counts.arrive((b'camera', number))
        counts.wait()
    assert (counts.received, counts.served, counts.replaced) == (5, 0, 0) and not counts.is_failing
    counts.serve({})
    assert counts.served == 1

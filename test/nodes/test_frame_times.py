# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Time is what passed, whatever the stamps of a camera's frames say."""
import pytest

from self_segmentation.nodes.frame_times import FrameTimes

EPOCH = 1.7e9


def times_of(stamps, period=0.1) -> tuple[list[float], FrameTimes]:
    """The times of frames that come one after the other, with these stamps."""
    times, taken = FrameTimes(), []
    for number, stamp in enumerate(stamps):
        times.next(stamp, 50.0 + number * period)
        taken.append(times.time)
    return taken, times


@pytest.mark.parametrize('rate', [0.02, 0.1, 1.0, 10.0, 100.0])
def test_goes_by_stamps_of_bag_or_simulation_at_any_rate(rate):
    stamps = [EPOCH + 0.1 * rate * number for number in range(30)]
    taken, times = times_of(stamps)
    assert taken == pytest.approx(stamps, abs=1e-5) and not times.is_by_clock


@pytest.mark.parametrize('stamps', [
    [0.0] * 40, [EPOCH] * 40, [EPOCH - number for number in range(40)], [7.0, 50.0, EPOCH, 3.0, 2e9] * 8,
    [EPOCH + 1e-9 * number for number in range(40)], [number * 1e6 for number in range(40)],
], ids=['zero', 'constant', 'decreasing', 'jumping', 'counting nanoseconds', 'jumping ahead'])
def test_goes_by_clock_where_stamps_do_not_advance(stamps):
    taken, times = times_of(stamps)
    assert times.is_by_clock and taken == sorted(taken)
    assert taken[-1] - taken[10] == pytest.approx(0.1 * 29, abs=1e-3)


def test_single_jump_is_no_time_and_reported():
    """A bag that starts again, or a clock that was set."""
    for jump in (-1000.0, 1e6):
        times = FrameTimes()
        for number in range(20):
            times.next(EPOCH + 0.1 * number + (jump if number >= 10 else 0.0), 0.1 * number)
            assert times.is_jump == (number == 10) and not times.is_by_clock
        assert times.time == pytest.approx(EPOCH + 1.8, abs=1e-5)


def test_gap_is_time_that_passed():
    """Of a slow camera, or one that was away for a while."""
    taken, times = times_of([EPOCH, EPOCH + 30, EPOCH + 630], 30.0)
    assert taken == [EPOCH, EPOCH + 30, EPOCH + 630] and not times.is_jump and not times.is_by_clock


def test_frames_that_come_late_and_at_once_are_no_jump():
    taken, times = times_of([EPOCH + 0.1 * number for number in range(10)], 1e-6)
    assert taken[-1] == pytest.approx(EPOCH + 0.9, abs=1e-5) and not times.is_jump and not times.is_by_clock


def test_repeated_frames_take_no_time():
    """A driver that publishes each frame three times."""
    taken, times = times_of([EPOCH + 0.1 * (number // 3) for number in range(60)], 0.1 / 3)
    assert taken[-1] - taken[0] == pytest.approx(1.9, abs=1e-5) and not times.is_by_clock


def test_goes_by_stamps_again_once_they_advance():
    taken, times = times_of([0.0] * 20 + [EPOCH + 0.1 * number for number in range(20)])
    assert not times.is_by_clock and taken == sorted(taken)
    assert taken[-1] - taken[0] == pytest.approx(0.1 * 39, abs=0.6)  # but for the frames until the stamps were not believed

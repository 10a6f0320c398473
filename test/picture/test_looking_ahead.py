# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What is found in a frame covers the frames before it too, which wait until then."""
import numpy as np
import pytest

from self_segmentation.picture.looking_ahead import LookingAhead
from self_segmentation.picture.pipeline import Result
from self_segmentation.picture.video import Video

SIZE = (40, 60)


class Camera:
    """Frames of one video, each with its number, in which the given rows and columns are covered."""

    def __init__(self, ahead: LookingAhead) -> None:
        self.ahead, self.video, self.covers = ahead, Video(), {}

    def frame(self, number: int, stamp: float | None, *place: slice) -> list[int]:
        """Give the next frame; return the numbers of those that are ready, and keep their covers."""
        alpha = np.zeros(SIZE, np.uint8)
        alpha[place or (slice(0),)] = 255
        result = Result(alpha=alpha, scene=self.video.scene)
        return self.taken(self.ahead.add(number, np.zeros((*SIZE, 3), np.uint8), result, stamp))

    def taken(self, ready: list) -> list[int]:
        self.covers.update({each.of: each.cover > 0 for each in ready})
        return [each.of for each in ready]


def test_covers_what_is_covered_in_the_next_second_and_no_later():
    camera = Camera(LookingAhead(1.0))
    places = {5: (slice(3, 9), slice(4, 20)), 12: (slice(20, 30), slice(1, 9))}
    ready = [camera.frame(number, 50 + 0.25 * number, *places.get(number, ())) for number in range(20)]
    assert ready == [[]] * 4 + [[number] for number in range(16)]
    assert camera.taken(camera.ahead.flush()) == [16, 17, 18, 19] and camera.ahead.flush() == []
    for number, cover in camera.covers.items():
        expected = np.zeros(SIZE, bool)
        for found, place in places.items():
            expected[place] |= number <= found <= number + 4
        assert np.array_equal(cover, expected), number


def test_covers_are_the_union_whatever_comes():
    """Against the plain rule, with covers and stamps by chance."""
    chance = np.random.default_rng(5)
    camera, alphas, stamps = Camera(LookingAhead(0.5)), [], []
    scenes = []
    for number in range(120):
        if chance.random() < 0.1:
            camera.video.start_over()
        scenes.append(camera.video.scene)
        stamps.append((stamps[-1] if stamps else 0.0) + float(chance.uniform(0.01, 0.4)))
        alphas.append((chance.random(SIZE) < 0.02).astype(np.uint8) * 255)
        result = Result(alpha=alphas[-1].copy(), scene=scenes[-1])
        camera.taken(camera.ahead.add(number, np.zeros((*SIZE, 3), np.uint8), result, stamps[-1]))
    camera.taken(camera.ahead.flush())
    assert list(camera.covers) == list(range(120))
    for number, cover in camera.covers.items():
        for later in range(number, 120):
            if scenes[later] is scenes[number] and stamps[later] - stamps[number] <= 0.5:
                assert cover[alphas[later] > 0].all()
            elif scenes[later] is not scenes[number]:
                break


def test_frames_before_a_cut_take_nothing_of_those_after_it():
    camera = Camera(LookingAhead(1.0))
    camera.frame(0, 0.0, slice(0, 5))
    camera.video.start_over()
    camera.frame(1, 0.1, slice(None))
    camera.taken(camera.ahead.flush())
    assert camera.covers[0][:5].all() and not camera.covers[0][5:].any() and camera.covers[1].all()


@pytest.mark.parametrize('stamps', [[None] * 60, [7.0] * 60, [7.0 - number for number in range(60)]])
def test_frames_without_useful_stamps_are_a_thirtieth_of_a_second_apart(stamps):
    camera = Camera(LookingAhead(1.0))
    waits = [len(camera.frame(number, stamp)) for number, stamp in enumerate(stamps)]
    assert waits[:29] == [0] * 29 and waits[32:] == [1] * 28


def test_slow_camera_waits_for_one_frame():
    camera = Camera(LookingAhead(0.5))
    assert [camera.frame(number, 10.0 * number, slice(number)) for number in range(4)] == [[], [0], [1], [2]]
    assert camera.covers[1][:2].all()


def test_memory_bounds_what_waits_and_is_reported_once(caplog):
    one = SIZE[0] * SIZE[1] * 4
    camera = Camera(LookingAhead(10.0, memory=5 * one))
    ready = [camera.frame(number, 0.1 * number) for number in range(20)]
    assert ready == [[]] * 5 + [[number] for number in range(15)]
    assert camera.taken(camera.ahead.burden(2 * one)) == [15, 16]
    assert camera.taken(camera.ahead.burden(99 * one)) == [17, 18, 19] and camera.ahead.burden(99 * one) == []
    [record] = caplog.records
    assert 'only 0.50 s before' in record.getMessage()

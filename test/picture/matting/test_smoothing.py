# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Temporal smoothing and hysteresis of maps, on small arrays."""

import cv2
import numpy as np
import pytest

from self_segmentation.picture.matting.smoothing import TemporalSmoother
from self_segmentation.picture.regions import Region
from self_segmentation.settings import Settings

REGION = Region(0, 0, 320, 320)
SMOOTHING = Settings(temporal_smoothing=0.7, temporal_hysteresis=0.0)
HYSTERESIS = Settings(temporal_smoothing=0.0, temporal_hysteresis=0.2)
OFF = Settings(temporal_smoothing=0.0, temporal_hysteresis=0.0)
IMAGE = cv2.merge([cv2.GaussianBlur(np.random.default_rng(3).integers(0, 256, (64, 64), np.uint8), (0, 0), 1)] * 3)
OTHER_IMAGE = IMAGE ^ 128  # 128 grey levels from it everywhere
SIZE = 64, 64


class Smoother(TemporalSmoother):
    """A smoother of one video whose settings never change."""

    def __init__(self, settings):
        super().__init__()
        self.settings = settings


def flat(value):
    return np.full(SIZE, value, np.float32)


def step(smoother, image, probability, region=REGION, penalty=None):
    """One frame, as the engine does it."""
    motion = smoother.estimate_motion(image, region)
    weights = smoother.precompute(motion, region, SIZE, smoother.settings)
    return smoother.update(probability, motion, weights, region, penalty)


def part_moves(columns=32):
    """The image with another content in its left columns."""
    image = IMAGE.copy()
    image[:, :columns] = OTHER_IMAGE[:, :columns]
    return image


def mean_change(motion) -> float:
    """The mean difference where both frames show something; 0 for the first frame."""
    if motion.difference is None:
        return 0.0
    known = motion.difference[motion.difference <= 255.0]
    return float(known.mean()) if known.size else 0.0


def test_first_map_is_unchanged():
    assert np.array_equal(step(Smoother(Settings()), IMAGE, flat(0.3)), flat(0.3))


def test_still_image_is_smoothed_over_time():
    smoother = Smoother(SMOOTHING)
    step(smoother, IMAGE, flat(1.0))
    assert np.allclose(step(smoother, IMAGE, flat(0.0)), 0.7, atol=1e-6)
    assert np.allclose(step(smoother, IMAGE, flat(0.0)), 0.49, atol=1e-6)


def test_smooths_below_motion_threshold_only():
    for change, still in ((6, True), (12, False)):
        smoother = Smoother(SMOOTHING.updated({'temporal.motion_threshold': 6.0}))
        step(smoother, np.full((64, 64, 3), 100, np.uint8), flat(1.0))
        found = step(smoother, np.full((64, 64, 3), 100 + change, np.uint8), flat(0.0))
        assert np.allclose(found, 0.7 if still else 0.0, atol=1e-6), change


def test_moving_pixels_take_newest_map():
    smoother = Smoother(SMOOTHING)
    step(smoother, IMAGE, flat(1.0))
    found = step(smoother, part_moves(12), flat(0.0))
    assert found[:, :8].max() < 0.2 and np.allclose(found[:, 20:], 0.7, atol=1e-6)


def test_full_motion_discards_last_map():
    smoother = Smoother(Settings(temporal_smoothing=0.7, temporal_hysteresis=0.2))
    step(smoother, np.zeros_like(IMAGE), flat(1.0))
    assert np.allclose(step(smoother, np.full_like(IMAGE, 255), flat(0.0)), 0.0, atol=1e-6)


def test_hysteresis_holds_pixel_until_clear():
    smoother = Smoother(HYSTERESIS)
    sides = [bool((step(smoother, IMAGE, flat(value)) > 0.5).all()) for value in (0.55, 0.45, 0.35, 0.25, 0.45, 0.65, 0.75)]
    assert sides == [True, True, True, False, False, False, True]


def test_hysteresis_releases_moving_pixels():
    smoother = Smoother(HYSTERESIS)
    step(smoother, IMAGE, flat(0.55))
    found = step(smoother, part_moves(), flat(0.45))
    assert (found[:, :24] < 0.5).all() and (found[:, 40:] > 0.5).all()


def test_hysteresis_follows_threshold():
    smoother = Smoother(HYSTERESIS.updated({'threshold': 0.2}))
    step(smoother, IMAGE, flat(0.25))
    assert (step(smoother, IMAGE, flat(0.1)) > 0.2).all()


def test_settings_act_on_next_frame_and_keep_last_map():
    smoother = Smoother(OFF)
    step(smoother, IMAGE, flat(1.0))
    smoother.settings = SMOOTHING
    assert np.allclose(step(smoother, IMAGE, flat(0.0)), 0.7, atol=1e-6)
    smoother.settings = OFF
    assert np.array_equal(step(smoother, IMAGE, flat(0.0)), flat(0.0))


def test_last_map_is_warped_from_other_roi():
    """A still scene of which the frame after shows the middle half: a map that follows the scene is smoothed as if still."""
    large, middle = Region(0, 0, 256, 256), Region(64, 64, 192, 192)
    x = np.linspace(0, 1, 256, dtype=np.float32)
    scene = cv2.merge([(120 + 80 * np.outer(np.sin(3 * x), np.cos(2 * x))).astype(np.uint8)] * 3)
    probability = np.outer(x, x)

    def seen(array, region):
        return cv2.resize(array[region.y0:region.y1, region.x0:region.x1], SIZE, interpolation=cv2.INTER_AREA)

    smoother = Smoother(SMOOTHING)
    step(smoother, seen(scene, large), seen(probability, large), large)
    motion = smoother.estimate_motion(seen(scene, middle), middle)
    assert mean_change(motion) < 1.5
    found = step(smoother, seen(scene, middle), np.zeros(SIZE, np.float32), middle)
    assert np.abs(found - 0.7 * seen(probability, middle)).max() < 0.02


def test_newly_visible_pixels_take_newest_map():
    smoother = Smoother(Settings(temporal_smoothing=0.7, temporal_hysteresis=0.2))
    image = np.full_like(IMAGE, 90)
    step(smoother, image, flat(1.0), Region(0, 0, 160, 320))
    found = step(smoother, image, flat(0.4))
    assert (found[:, 40:] < 0.5).all() and (found[:, :24] > 0.5).all()


@pytest.mark.parametrize('settings', [Settings(), OFF], ids=['smoothing', 'off'])
def test_mean_change_is_measured_without_smoothing_too(settings):
    smoother = Smoother(settings)
    assert mean_change(smoother.estimate_motion(IMAGE, REGION)) == 0.0
    step(smoother, IMAGE, flat(0.5))
    assert mean_change(smoother.estimate_motion(IMAGE, REGION)) == 0.0
    assert mean_change(smoother.estimate_motion(OTHER_IMAGE, REGION)) == pytest.approx(128)
    assert mean_change(smoother.estimate_motion(part_moves(16), REGION)) == pytest.approx(128 / 4)


def test_mean_change_is_measured_in_overlap_only():
    smoother = Smoother(OFF)
    step(smoother, np.full_like(IMAGE, 90), flat(0.5), Region(0, 0, 160, 320))
    assert mean_change(smoother.estimate_motion(np.full_like(IMAGE, 100), REGION)) == pytest.approx(10, abs=0.5)
    assert mean_change(smoother.estimate_motion(np.full_like(IMAGE, 100), Region(200, 0, 320, 320))) == 0.0


@pytest.mark.parametrize('settings', [SMOOTHING, OFF], ids=['smoothing', 'off'])
def test_penalty_does_not_enter_average(settings):
    smoother = Smoother(settings)
    assert np.allclose(step(smoother, IMAGE, flat(0.6), penalty=flat(0.4)), 0.2, atol=1e-6)
    assert np.allclose(step(smoother, IMAGE, flat(0.6)), 0.6, atol=1e-6)


def test_nothing_is_remembered_before_update():
    smoother = Smoother(SMOOTHING)
    step(smoother, IMAGE, flat(1.0))
    for _ in range(2):  # a frame whose model failed
        smoother.precompute(smoother.estimate_motion(OTHER_IMAGE, REGION), REGION, SIZE, smoother.settings)
    assert np.allclose(step(smoother, IMAGE, flat(0.0)), 0.7, atol=1e-6)

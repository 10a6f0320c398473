# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Edge filters, threshold and softness, on small arrays."""

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from self_segmentation.picture.matting.alpha import alpha_curve, to_alpha
from self_segmentation.picture.matting.edge_filters import (
    GuidedFilter,
    bilateral_kernel,
    downsample_by_4,
    edge_filter,
    joint_bilateral,
)
from self_segmentation.settings import TUNABLES, Settings

RNG = np.random.default_rng(5)
HALVES = np.repeat(np.repeat(np.array([[40, 200]], np.uint8), 64, 0), 32, 1)  # (64, 64), dark left, bright right
PROBABILITY = st.floats(0, 1, width=32)


def colored(grey):
    return np.dstack([grey, grey // 2, 255 - grey])


def guided(guide, radius=2, epsilon=3.0):
    return GuidedFilter(guide, downsample_by_4(guide), radius, epsilon)


def cv2_disc(diameter, sigma):
    """The weights by distance that OpenCV's own bilateral filter uses: its answer to a single pixel, for all colours alike."""
    impulse = np.zeros((diameter + 2, diameter + 2), np.float32)
    impulse[diameter // 2 + 1, diameter // 2 + 1] = 1
    return cv2.bilateralFilter(impulse, diameter, 1e6, sigma)[1:-1, 1:-1]


# ---- guided filter

def test_guided_filter_keeps_image_edge():
    step = (HALVES > 100).astype(np.float32)
    assert np.abs(guided(colored(HALVES))(step) - step).max() < 0.1


def test_guided_filter_pulls_blurred_edge_to_image_edge():
    step = (HALVES > 100).astype(np.float32)
    blurred = cv2.blur(step, (9, 9))
    found = guided(colored(HALVES))(blurred)
    assert np.abs(found - step)[:, 28:36].mean() < 0.6 * np.abs(blurred - step)[:, 28:36].mean()


def test_guided_filter_smooths_noise_in_plain_image():
    noise = (0.5 + RNG.normal(0, 0.1, (64, 64))).astype(np.float32)
    found = guided(np.full((64, 64, 3), 128, np.uint8))(noise)
    assert found.std() < 0.2 * noise.std() and abs(found.mean() - noise.mean()) < 0.01


def test_guided_filter_smooths_edges_fainter_than_epsilon():
    faint = np.where(HALVES > 100, 102, 98).astype(np.uint8)
    step = (HALVES > 100).astype(np.float32)
    contrast = {epsilon: np.ptp(guided(colored(faint), epsilon=epsilon)(step)[32, 28:36]) for epsilon in (0.5, 40.0)}
    assert contrast[0.5] > 0.8 and contrast[40.0] < contrast[0.5] - 0.1


def test_guided_filter_matches_paper():
    guide = cv2.GaussianBlur(RNG.integers(0, 256, (32, 48, 3), np.uint8), (0, 0), 2)
    probability, epsilon = cv2.GaussianBlur(RNG.random((32, 48), np.float32), (0, 0), 2), 5.0
    low, p = downsample_by_4(guide).astype(np.float64), downsample_by_4(probability).astype(np.float64)

    def mean(values):
        return cv2.blur(values, (3, 3))

    means = mean(low)
    outer = np.dstack([mean(low[..., i] * low[..., j]) - means[..., i] * means[..., j] for i in range(3) for j in range(3)])
    system = outer.reshape(*p.shape, 3, 3) + epsilon ** 2 * np.eye(3)
    covariance = np.dstack([mean(low[..., i] * p) - means[..., i] * mean(p) for i in range(3)])
    slopes = np.linalg.solve(system, covariance[..., None])[..., 0]
    offset = mean(p) - (slopes * means).sum(axis=2)
    slopes, offset = (cv2.resize(mean(values), (48, 32)) for values in (slopes, offset))
    expected = (slopes * guide).sum(axis=2) + offset
    assert np.abs(GuidedFilter(guide, downsample_by_4(guide), 1, epsilon)(probability) - expected).max() < 1e-3


def test_guided_filter_clips_probability():
    step = (HALVES > 100).astype(np.float32)
    smooth = guided(colored(HALVES))
    assert np.array_equal(smooth(step * 1.6 - 0.3), smooth(step))


def test_guided_filter_gives_target_size():
    large = cv2.resize(colored(HALVES), (200, 160), interpolation=cv2.INTER_NEAREST)
    found = guided(colored(HALVES))((HALVES > 100).astype(np.float32), large)
    assert found.shape == (160, 200) and found.dtype == np.float32
    assert np.abs(found - (np.arange(200) >= 100)).max() < 0.1


def test_downsample_by_4_averages_blocks():
    values = RNG.random((16, 24), np.float32)
    assert np.allclose(downsample_by_4(values), values.reshape(4, 4, 6, 4).mean(axis=(1, 3)), atol=1e-6)
    assert downsample_by_4(np.zeros((18, 27, 3), np.uint8)).shape == (4, 6, 3)


# ---- bilateral filters

@given(st.floats(1, 49), st.floats(0.1, 1000), st.floats(0.01, 8), st.floats(0.01, 8))
def test_bilateral_kernel_is_normalised_odd_and_symmetric(diameter, sigma, scale_x, scale_y):
    kernel = bilateral_kernel(diameter, sigma, scale_x, scale_y)
    assert kernel.sum() == pytest.approx(1, abs=1e-5) and (kernel >= 0).all()
    assert all(side % 2 == 1 and side <= 25 for side in kernel.shape)
    assert np.allclose(kernel, kernel[::-1, ::-1], atol=1e-6)


@pytest.mark.parametrize('diameter, sigma', [(5, 1.5), (7, 3.0), (9, 4.0), (9, 75.0), (15, 4.0), (21, 6.0)])
def test_bilateral_kernel_matches_opencv_at_full_scale(diameter, sigma):
    kernel, disc = bilateral_kernel(diameter, sigma, 1.0, 1.0), cv2_disc(diameter, sigma)
    assert kernel.shape == disc.shape == (diameter, diameter)
    assert np.abs(kernel - disc).sum() < 0.2


@pytest.mark.parametrize('scale', [1.0, 0.13, 0.02])
def test_bilateral_kernel_of_one_pixel_is_identity(scale):
    assert bilateral_kernel(1, 0.1, scale, scale).tolist() == [[1.0]]


@pytest.mark.parametrize('scale', [0.25, 0.5, 2.0])
def test_bilateral_kernel_reaches_equally_far_at_any_scale(scale):
    def spread(factor):
        kernel = bilateral_kernel(15, 4.0, factor, factor)
        distance = (np.arange(len(kernel)) - len(kernel) // 2) / factor
        return np.sqrt((kernel.sum(axis=0) * distance ** 2).sum())

    assert spread(scale) == pytest.approx(spread(1.0), rel=0.15)


def test_self_guided_joint_bilateral_matches_opencv():
    probability = cv2.GaussianBlur(RNG.random((30, 40), np.float32), (0, 0), 1.5)
    probability = cv2.normalize(probability, None, 0, 1, cv2.NORM_MINMAX)
    found = joint_bilateral(probability, cv2.convertScaleAbs(probability, alpha=255), cv2_disc(7, 3.0), 255 * 0.1)
    expected = cv2.bilateralFilter(probability, 7, 0.1, 3.0, borderType=cv2.BORDER_REPLICATE)
    assert np.abs(found - expected).max() < 0.01
    assert np.abs(probability - expected).max() > 0.05


def test_joint_bilateral_matches_definition():
    values, guide = RNG.random((6, 7), np.float32), RNG.integers(0, 256, (6, 7), np.uint8)
    kernel, sigma = bilateral_kernel(5, 2.0, 1.0, 0.6), 40.0
    down, across = kernel.shape[0] // 2, kernel.shape[1] // 2
    expected = np.zeros_like(values)
    for y, x in np.ndindex(values.shape):
        rows = np.clip(np.arange(y - down, y + down + 1), 0, 5)
        columns = np.clip(np.arange(x - across, x + across + 1), 0, 6)
        window = np.ix_(rows, columns)
        weights = kernel * np.exp(-0.5 * ((guide[window].astype(float) - guide[y, x]) / sigma) ** 2)
        expected[y, x] = (weights * values[window]).sum() / weights.sum()
    assert np.allclose(joint_bilateral(values, guide, kernel, sigma), expected, atol=1e-5)


# ---- the filter that the settings ask for

@pytest.mark.parametrize('kind', TUNABLES['edge.filter'].choices)
def test_every_edge_filter_smooths_noise_and_keeps_plain_map(kind):
    guide = np.full((64, 64, 3), 128, np.uint8)
    smooth = edge_filter(guide, downsample_by_4(guide), (256, 256), Settings(edge_filter=kind, edge_diameter=49))
    noise = (0.5 + RNG.normal(0, 0.05, (64, 64))).astype(np.float32)
    assert smooth(noise).std() < 0.6 * noise.std() if kind != 'none' else smooth(noise) is noise
    plain = np.full((64, 64), 0.3, np.float32)
    assert smooth(plain).shape == (64, 64) and np.abs(smooth(plain) - 0.3).max() < 0.01


@pytest.mark.parametrize('kind', ['bilateral', 'joint_bilateral'])
def test_bilateral_diameter_is_in_frame_pixels(kind):
    guide, noise = np.full((64, 64, 3), 128, np.uint8), (0.5 + RNG.normal(0, 0.05, (64, 64))).astype(np.float32)

    def rest(side):
        return edge_filter(guide, downsample_by_4(guide), (side, side), Settings(edge_filter=kind))(noise).std() / noise.std()

    assert rest(64) < 0.4 and rest(256) > 1.3 * rest(64) and rest(2048) > 0.99


@pytest.mark.parametrize('kind, keeps', [('guided', True), ('joint_bilateral', True), ('bilateral', False)])
def test_only_guided_and_joint_bilateral_keep_image_edge(kind, keeps):
    guide = colored(HALVES)
    faint = np.where(HALVES > 100, 0.53, 0.47).astype(np.float32)
    smooth = edge_filter(guide, downsample_by_4(guide), (64, 64), Settings(edge_filter=kind))
    found = smooth(faint)[32]
    assert (found[32] - found[31] > 0.03) == keeps


def test_large_sigma_mask_turns_bilateral_into_blur():
    noise = RNG.random((64, 64), np.float32)
    guide = np.zeros((64, 64, 3), np.uint8)
    found = [edge_filter(guide, guide, (64, 64), Settings(edge_filter='bilateral', edge_sigma_mask=sigma))(noise)
             for sigma in (6.99, 7.0, 75.0)]
    assert np.abs(found[0] - found[1]).max() < 0.01 and np.array_equal(found[1], found[2])


# ---- alpha

@given(st.floats(0, 1), st.floats(0, 1))
def test_alpha_rises_and_passes_127_at_threshold(threshold, softness):
    curve = alpha_curve(threshold, softness)
    assert curve.shape == (256,) and curve.dtype == np.uint8
    assert (np.diff(curve.astype(int)) >= 0).all()
    assert np.array_equal(curve > 127, np.arange(256) / 255 > threshold)


@given(st.floats(0, 1))
@example(np.nextafter(1.0, 0.0))
@example(np.nextafter(0.0, 1.0))
def test_zero_softness_gives_binary_alpha(threshold):
    above = np.arange(256) / 255 > threshold
    assert np.array_equal(alpha_curve(threshold, 0.0), np.where(above, 255, 0))


def test_softness_sets_ends_of_soft_edge():
    curve = alpha_curve(0.4, 0.5)
    probability = np.arange(256) / 255
    assert (curve[probability <= 0.2] == 0).all() and (curve[probability >= 0.7] == 255).all()
    inside = (probability > 0.21) & (probability < 0.69)
    assert ((curve > 0) & (curve < 255))[inside].all()
    assert curve[round(0.3 * 255)] == pytest.approx(64, abs=2) and curve[round(0.55 * 255)] == pytest.approx(192, abs=2)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 90), st.integers(1, 90), st.floats(0, 1), st.integers(0, 9))
def test_alpha_has_target_size_and_is_binary_without_softness(height, width, tall, wide, softness, seed):
    probability = np.random.default_rng(seed).random((height, width), np.float32)
    alpha = to_alpha(probability, (wide, tall), alpha_curve(0.5, softness))
    assert alpha.shape == (tall, wide) and alpha.dtype == np.uint8
    assert softness or set(np.unique(alpha)) <= {0, 255}


@pytest.mark.parametrize('softness', [0.0, 1.0])
def test_alpha_clips_probability(softness):
    curve = alpha_curve(0.5, softness)
    probability = np.array([[-3.0, -0.6, 0.0, 0.3, 1.0, 1.4, 9.0]], np.float32)
    assert np.array_equal(to_alpha(probability, (7, 1), curve), to_alpha(np.clip(probability, 0, 1), (7, 1), curve))
    assert to_alpha(probability, (7, 1), curve)[0, [0, 1, 2, 4, 5, 6]].tolist() == [0, 0, 0, 255, 255, 255]


@pytest.mark.parametrize('softness', [0.0, 1.0])
def test_alpha_is_written_to_given_array(softness):
    probability, curve = RNG.random((8, 8), np.float32), alpha_curve(0.5, softness)
    frame = np.full((40, 40), 77, np.uint8)
    part = frame[4:36, 10:30]
    alpha = to_alpha(probability, (20, 32), curve, part)
    assert np.shares_memory(alpha, frame) and np.array_equal(part, to_alpha(probability, (20, 32), curve))
    assert (frame[:4] == 77).all() and (frame[:, :10] == 77).all()

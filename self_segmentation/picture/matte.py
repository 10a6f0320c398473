# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""From probability to alpha: smooth the edge, cut at the threshold, hard or soft."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from ..settings import Settings

__all__ = ['EdgeFilter', 'GuidedFilter', 'alpha_curve', 'bilateral_kernel', 'downsample_by_4', 'edge_filter',
           'joint_bilateral', 'to_alpha']

EdgeFilter = Callable[..., np.ndarray]

_FLAT = 7.0  # a range sigma from which on all weights are within 1 % of each other: probabilities differ by 1 at most
_WIDEST = 12  # pixels; what a window may reach here at most, or a small crop of a large frame would take seconds


def edge_filter(guide: np.ndarray, low: np.ndarray, size: tuple[int, int], settings: Settings) -> EdgeFilter:
    """
    Return the edge filter that the settings ask for: a map of a part of the picture to one with smooth edges.

    What depends on the picture alone is done here, so it can be done while the model is still at work.

    :param guide: (h, w, 3) uint8, that part at the map's size, blue green red.
    :param low: the guide, :func:`downsample_by_4`.
    :param size: (width, height) of that part in pixels of the frame, in whose pixels a filter's size is set.
    :returns: a function of ``probability``, (h, w) float32, and optionally of that part at the frame's own size, (H, W, 3)
        uint8, to (h, w) float32. With the latter the guided filter gives a map of (H, W): finer, and dear.
    """
    kind = settings.edge_filter
    if kind == 'none':
        return lambda probability, view=None: probability
    if kind == 'guided':
        return GuidedFilter(guide, low, settings.edge_radius, settings.edge_epsilon)
    height, width = guide.shape[:2]
    kernel = bilateral_kernel(settings.edge_diameter, settings.edge_sigma_space, width / size[0], height / size[1])
    if kind == 'joint_bilateral':
        grey = cv2.cvtColor(guide, cv2.COLOR_BGR2GRAY)
        return lambda probability, view=None: joint_bilateral(probability, grey, kernel, settings.edge_sigma_color)
    if settings.edge_sigma_mask >= _FLAT:
        return lambda probability, view=None: cv2.filter2D(probability, -1, kernel, borderType=cv2.BORDER_REPLICATE)
    return lambda probability, view=None: joint_bilateral(probability, cv2.convertScaleAbs(probability, alpha=255), kernel,
                                                          255 * settings.edge_sigma_mask)


class GuidedFilter:
    """
    The part of the guided filter that knows the picture only, so that it can be made while the model is still at work.

    He, Sun, Tang, "Guided Image Filtering", 2013, equations 19 to 21, with a colour guide; the coefficients are found at a
    quarter of the size and applied at the whole one as in He, Sun, "Fast Guided Filter", 2015, arXiv:1505.00996. The 3x3
    systems are solved in closed form (adjugate), in 64 bit: the covariance of a grey picture's three equal channels is
    nearly singular.

    :param guide: (h, w, 3) uint8.
    :param low: the guide, :func:`downsample_by_4`.
    :param radius: of the box, in pixels at a quarter of the size.
    :param epsilon: regularisation, in grey levels (0..255): edges fainter than this are smoothed.
    """

    def __init__(self, guide: np.ndarray, low: np.ndarray, radius: int, epsilon: float) -> None:
        self._target = _planes(guide)
        self._box = (2 * radius + 1, 2 * radius + 1)
        self._guide = cv2.split(low.astype(np.float64))
        (i0, i1, i2), mean, epsilon = self._guide, self._mean, epsilon ** 2
        self._means = m0, m1, m2 = [mean(i) for i in self._guide]
        s00, s01, s02 = mean(i0 * i0) - m0 * m0 + epsilon, mean(i0 * i1) - m0 * m1, mean(i0 * i2) - m0 * m2
        s11, s12, s22 = mean(i1 * i1) - m1 * m1 + epsilon, mean(i1 * i2) - m1 * m2, mean(i2 * i2) - m2 * m2 + epsilon
        k00, k01, k02 = s11 * s22 - s12 * s12, s02 * s12 - s01 * s22, s01 * s12 - s02 * s11
        k11, k12, k22 = s00 * s22 - s02 * s02, s01 * s02 - s00 * s12, s00 * s11 - s01 * s01
        scale = 1.0 / (s00 * k00 + s01 * k01 + s02 * k02)
        self._inverse = [[k * scale for k in row] for row in ((k00, k01, k02), (k01, k11, k12), (k02, k12, k22))]

    def _mean(self, plane: np.ndarray) -> np.ndarray:
        return cv2.blur(plane, self._box)

    def __call__(self, p: np.ndarray, target: np.ndarray | None = None) -> np.ndarray:
        """
        Return a probability whose edges follow the picture's.

        :param p: (h, w) float32; what is outside 0..1 counts as 0 or 1.
        :param target: (H, W, 3) uint8, the same part of the picture at the size that is wanted; the guide if None.
        :returns: (h, w) or (H, W) float32, not clipped.
        """
        mean, low = self._mean, downsample_by_4(np.clip(p, 0.0, 1.0)).astype(np.float64)
        mp = mean(low)
        c0, c1, c2 = (mean(i * low) - m * mp for i, m in zip(self._guide, self._means))
        slopes = [k0 * c0 + k1 * c1 + k2 * c2 for k0, k1, k2 in self._inverse]
        offset = mp - sum(a * m for a, m in zip(slopes, self._means))
        planes = self._target if target is None else _planes(target)
        size = planes[0].shape[::-1]
        *slopes, out = (cv2.resize(mean(x).astype(np.float32), size, interpolation=cv2.INTER_LINEAR) for x in (*slopes, offset))
        for slope, plane in zip(slopes, planes):
            cv2.accumulateProduct(slope, plane, out)
        return out


def _planes(picture: np.ndarray) -> list[np.ndarray]:
    return [plane.astype(np.float32) for plane in cv2.split(picture)]


def downsample_by_4(picture: np.ndarray) -> np.ndarray:
    """Return a picture or map, (h, w[, channels]), averaged to a quarter of its width and height."""
    height, width = picture.shape[:2]
    # twice by 2 is several times faster than by 4
    half = cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return cv2.resize(half, (width // 4, height // 4), interpolation=cv2.INTER_AREA)


def bilateral_kernel(diameter: float, sigma: float, scale_x: float, scale_y: float) -> np.ndarray:
    """
    Return the weights of a bilateral filter's window, seen at another scale.

    OpenCV's window is a disc of whole pixels, weighed by a Gaussian. Here its diameter may be a fraction of a
    pixel: each weight is the share of the pixel that the disc covers, so that a filter of a few pixels of the
    frame stays what it is at the model's size.

    :param diameter: of the window, in pixels of the frame.
    :param sigma: of the Gaussian, in pixels of the frame.
    :param scale_x: pixels here for each pixel of the frame, across.
    :param scale_y: likewise, down.
    :returns: (odd, odd) float32 with sum 1.
    """
    samples = 8
    radius = (diameter - 1) / 2
    scale_x, scale_y = (min(scale, _WIDEST / max(radius, 1)) for scale in (scale_x, scale_y))
    reach = [int(np.ceil(max(radius * scale - 0.5, 0))) for scale in (scale_y, scale_x)]
    y, x = (((np.arange((2 * r + 1) * samples) + 0.5) / samples - r - 0.5) / scale
            for r, scale in zip(reach, (scale_y, scale_x)))
    square = y[:, None] ** 2 + x[None, :] ** 2
    weights = np.where(square <= max(radius, 0.25) ** 2, np.exp(-0.5 * square / sigma ** 2), 0)
    weights = weights.reshape(2 * reach[0] + 1, samples, 2 * reach[1] + 1, samples).sum(axis=(1, 3))
    return (weights / weights.sum()).astype(np.float32)


def joint_bilateral(values: np.ndarray, guide: np.ndarray, kernel: np.ndarray, sigma: float) -> np.ndarray:
    """
    Smooth ``values`` where ``guide`` is smooth, and not across its edges.

    Petschnig et al., "Digital photography with flash and no-flash image pairs", SIGGRAPH 2004. OpenCV has it
    only in its contrib modules, which robots' packages lack. Guided by itself it is the plain bilateral filter.

    :param values: (h, w) float32.
    :param guide: (h, w) uint8.
    :param kernel: (odd, odd) float32, the weights by distance.
    :param sigma: how different the guide may be, in grey levels.
    :returns: (h, w) float32.
    """
    height, width = values.shape
    down, across = kernel.shape[0] // 2, kernel.shape[1] // 2
    padded_values = cv2.copyMakeBorder(values, down, down, across, across, cv2.BORDER_REPLICATE)
    padded_guide = cv2.copyMakeBorder(guide, down, down, across, across, cv2.BORDER_REPLICATE)
    likeness = np.exp(-0.5 * (np.arange(256) / sigma) ** 2)
    total, weights = np.zeros_like(values), np.zeros_like(values)
    for row, column in np.argwhere(kernel > 0):
        window = np.s_[row:row + height, column:column + width]
        weight = cv2.LUT(cv2.absdiff(guide, padded_guide[window]), (likeness * kernel[row, column]).astype(np.float32))
        weights += weight
        cv2.accumulateProduct(weight, np.ascontiguousarray(padded_values[window]), total)
    return total / weights


def alpha_curve(threshold: float, softness: float) -> np.ndarray:
    """
    Return the alpha of each probability k/255.

    A straight rise from ``threshold * (1 - softness)`` through one half at the threshold to
    ``threshold + (1 - threshold) * softness``; a step at the threshold where the softness is 0.

    :returns: (256,) uint8; above 127 exactly where the probability is above the threshold.
    """
    probability = np.arange(256) / 255.0
    low, high = threshold * (1 - softness), threshold + (1 - threshold) * softness
    below = np.clip((probability - low) / max(threshold - low, 1e-6), 0, 1) * 127
    above = 128 + np.clip((probability - threshold) / max(high - threshold, 1e-6), 0, 1) * 127
    return np.where(probability > threshold, above, below if softness else 0).round().astype(np.uint8)


def to_alpha(probability: np.ndarray, frame_size: tuple[int, int], curve: np.ndarray,
             out: np.ndarray | None = None) -> np.ndarray:
    """
    Raise a probability to the frame's size and bend it by a curve.

    :param probability: (h, w) float32; what is outside 0..1 counts as 0 or 1.
    :param frame_size: (width, height) in pixels.
    :param curve: (256,) uint8, see :func:`alpha_curve`.
    :param out: (height, width) uint8 to write to.
    :returns: (height, width) uint8, 0..255.
    """
    small = cv2.convertScaleAbs(cv2.max(probability, 0.0), alpha=255)
    if ((curve > 0) & (curve < 255)).any():  # a soft edge stays one when it is raised, and bending the small map is cheaper
        return cv2.resize(cv2.LUT(small, curve), frame_size, dst=out, interpolation=cv2.INTER_LINEAR)
    return cv2.LUT(cv2.resize(small, frame_size, interpolation=cv2.INTER_LINEAR), curve, dst=out)

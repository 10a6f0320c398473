# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Edge filters: smooth the edge of a map of person probability."""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from ...settings import Settings
from ..arrays import Array

__all__ = ['EdgeFilter', 'GuidedFilter', 'bilateral_kernel', 'downsample_by_4', 'edge_filter', 'joint_bilateral']

# A sigma in units of probability from which on the weights of a bilateral filter are alike to 1 % (probabilities differ by 1 at
# most): the filter is then a mere blur, and made as one. Follows from exp(-1 / (2 * 7 ** 2)) = 0.99.
_FLAT_SIGMA = 7.0
# Pixels of the map that a bilateral window reaches at most. Only a very small crop of a large frame asks for more, and would take
# seconds; at 12 the window has 500 pixels already.
_MAX_RADIUS = 12


class EdgeFilter(Protocol):
    """Smooths the edge of a map."""

    def __call__(self, probability: Array, target: Array | None = None) -> Array:
        """
        Return a map with a smooth edge.

        :param probability: (h, w) float32, 0..1; the guided filter counts what is outside as 0 or 1.
        :param target: (H, W, 3) uint8 blue green red, what the map covers, at the size that is wanted. Only the guided filter
            takes notice: its result is then finer, and many times more expensive.
        :returns: (h, w) float32, or (H, W); not clipped.
        """


def edge_filter(guide: Array, low: Array, size: tuple[int, int], settings: Settings) -> EdgeFilter:
    """
    Return the edge filter that the settings ask for.

    What depends on the image alone is done here, so it can be done while the model is still at work.

    :param guide: (h, w, 3) uint8 blue green red, what the map covers, at the map's size.
    :param low: the guide, :func:`downsample_by_4`.
    :param size: (width, height) in pixels of the frame of what the map covers: the bilateral filters' size is set in them.
    """
    kind = settings.edge_filter
    if kind == 'none':
        return lambda probability, target=None: probability
    if kind == 'guided':
        return GuidedFilter(guide, low, settings.edge_radius, settings.edge_epsilon)
    height, width = guide.shape[:2]
    kernel = bilateral_kernel(settings.edge_diameter, settings.edge_sigma_space, width / size[0], height / size[1])
    if kind == 'joint_bilateral':
        grey = cv2.cvtColor(guide, cv2.COLOR_BGR2GRAY)
        return lambda probability, target=None: joint_bilateral(probability, grey, kernel, settings.edge_sigma_color)
    if settings.edge_sigma_mask >= _FLAT_SIGMA:
        return lambda probability, target=None: cv2.filter2D(probability, -1, kernel, borderType=cv2.BORDER_REPLICATE)
    return lambda probability, target=None: joint_bilateral(probability, cv2.convertScaleAbs(probability, alpha=255), kernel,
                                                            255 * settings.edge_sigma_mask)


class GuidedFilter:
    """
    An edge filter: the guided filter, with a colour image as the guide.

    He, Sun, Tang, "Guided Image Filtering", 2013, equations 19 to 21; the coefficients are found at a quarter of the size and
    applied at the full one as in He, Sun, "Fast Guided Filter", 2015, arXiv:1505.00996. The 3x3 systems are solved in closed form
    (adjugate), in 64 bit: the covariance of a grey image's three equal channels is nearly singular. All that depends on the guide
    alone is found by the constructor.

    :param guide: (h, w, 3) uint8, h and w at least 4.
    :param low: (h // 4, w // 4, 3) uint8, the guide, :func:`downsample_by_4`.
    :param radius: of the box, in pixels at a quarter of the size.
    :param epsilon: regularisation, in grey levels (0..255): edges fainter than this are smoothed.
    """

    def __init__(self, guide: Array, low: Array, radius: int, epsilon: float) -> None:
        self._target = _planes(guide)
        self._box = (2 * radius + 1, 2 * radius + 1)
        self._guide = [channel.astype(np.float64) for channel in cv2.split(low)]
        self._means = [self._mean(channel) for channel in self._guide]
        s00, s11, s22 = (self._covariance(i, i) + epsilon ** 2 for i in range(3))
        s01, s02, s12 = self._covariance(0, 1), self._covariance(0, 2), self._covariance(1, 2)
        k00, k01, k02 = s11 * s22 - s12 * s12, s02 * s12 - s01 * s22, s01 * s12 - s02 * s11
        k11, k12, k22 = s00 * s22 - s02 * s02, s01 * s02 - s00 * s12, s00 * s11 - s01 * s01
        scale = 1.0 / (s00 * k00 + s01 * k01 + s02 * k02)
        self._inverse = [[k * scale for k in row] for row in ((k00, k01, k02), (k01, k11, k12), (k02, k12, k22))]

    def _mean(self, plane: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(cv2.blur(plane, self._box), np.float64)

    def _covariance(self, i: int, j: int) -> NDArray[np.float64]:
        """Of two channels of the guide."""
        return self._mean(self._guide[i] * self._guide[j]) - self._means[i] * self._means[j]

    def __call__(self, probability: Array, target: Array | None = None) -> Array:
        """Return a map whose edges follow the image's: see :class:`EdgeFilter`."""
        low = downsample_by_4(np.clip(probability, 0.0, 1.0)).astype(np.float64)
        mean = self._mean(low)
        c0, c1, c2 = (self._mean(channel * low) - m * mean for channel, m in zip(self._guide, self._means))
        slopes: list[Array] = [k0 * c0 + k1 * c1 + k2 * c2 for k0, k1, k2 in self._inverse]
        offset = mean - sum(a * m for a, m in zip(slopes, self._means))
        planes = self._target if target is None else _planes(target)
        size = planes[0].shape[::-1]
        *slopes, out = (cv2.resize(self._mean(x).astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
                        for x in (*slopes, offset))
        for slope, plane in zip(slopes, planes):
            cv2.accumulateProduct(slope, plane, out)
        return out


def _planes(image: Array) -> list[Array]:
    return [plane.astype(np.float32) for plane in cv2.split(image)]


def downsample_by_4(image: Array) -> Array:
    """
    Return an image or map averaged to a quarter of its width and height.

    :param image: (h, w) or (h, w, channels), uint8 or float32, h and w at least 4.
    :returns: (h // 4, w // 4[, channels]) of the same dtype and range.
    """
    height, width = image.shape[:2]
    # twice by 2 is several times faster than by 4
    half = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return cv2.resize(half, (width // 4, height // 4), interpolation=cv2.INTER_AREA)


def bilateral_kernel(diameter: float, sigma: float, scale_x: float, scale_y: float) -> Array:
    """
    Return the weights by distance of a bilateral filter's window, seen at another scale.

    OpenCV's window is a disc of whole pixels, weighed by a Gaussian. Here its diameter may be a fraction of a pixel: each weight
    is the fraction of the pixel that the disc covers, so that a filter of a few pixels of the frame stays what it is at the map's
    size.

    :param diameter: of the window, in pixels of the frame.
    :param sigma: of the Gaussian, in pixels of the frame.
    :param scale_x: pixels of the map for each pixel of the frame, across.
    :param scale_y: pixels of the map for each pixel of the frame, down.
    :returns: (odd, odd) float32 with sum 1, each side at most 25.
    """
    samples = 8  # points of each pixel, across and down, at which the disc is asked: more change the weights by 2 % of their sum
    radius = (diameter - 1) / 2
    scale_x, scale_y = (min(scale, _MAX_RADIUS / max(radius, 1)) for scale in (scale_x, scale_y))
    reach = [int(np.ceil(max(radius * scale - 0.5, 0))) for scale in (scale_y, scale_x)]
    y, x = (((np.arange((2 * r + 1) * samples) + 0.5) / samples - r - 0.5) / scale
            for r, scale in zip(reach, (scale_y, scale_x)))
    square = y[:, None] ** 2 + x[None, :] ** 2
    nearest = square.min()  # it counts however small the disc, and as 1: its Gaussian may be too small for a number
    weights = np.where(square <= max(radius ** 2, nearest), np.exp(-0.5 * (square - nearest) / sigma ** 2), 0)
    weights = weights.reshape(2 * reach[0] + 1, samples, 2 * reach[1] + 1, samples).sum(axis=(1, 3))
    kernel: Array = weights / weights.sum()
    return kernel.astype(np.float32)


def joint_bilateral(probability: Array, guide: Array, kernel: Array, sigma: float) -> Array:
    """
    Smooth a map where a guide is smooth, and not across the guide's edges.

    Petschnig et al., "Digital photography with flash and no-flash image pairs", SIGGRAPH 2004. OpenCV has it only in its contrib
    modules, which robots' packages lack. Guided by itself it is the plain bilateral filter.

    :param probability: (h, w) float32, any range.
    :param guide: (h, w) uint8.
    :param kernel: (odd, odd) float32, the weights by distance, see :func:`bilateral_kernel`.
    :param sigma: how different the guide may be, in grey levels.
    :returns: (h, w) float32, in the range of the map.
    """
    height, width = probability.shape
    down, across = kernel.shape[0] // 2, kernel.shape[1] // 2
    padded_values = cv2.copyMakeBorder(probability, down, down, across, across, cv2.BORDER_REPLICATE)
    padded_guide = cv2.copyMakeBorder(guide, down, down, across, across, cv2.BORDER_REPLICATE)
    likeness = np.exp(-0.5 * (np.arange(256) / sigma) ** 2)
    total, weights = np.zeros_like(probability), np.zeros_like(probability)
    for row, column in np.argwhere(kernel > 0):
        window = np.s_[row:row + height, column:column + width]
        weight = cv2.LUT(cv2.absdiff(guide, padded_guide[window]), (likeness * kernel[row, column]).astype(np.float32))
        weights += weight
        cv2.accumulateProduct(weight, np.ascontiguousarray(padded_values[window]), total)
    return total / weights

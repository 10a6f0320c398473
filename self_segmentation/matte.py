# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""From probability to alpha: smooth the edge, cut at the threshold, hard or soft."""

from __future__ import annotations

import cv2
import numpy as np

from .settings import Settings

__all__ = ['alpha_curve', 'disc', 'joint_bilateral', 'smooth_edge', 'to_alpha']

_FLAT = 7.0  # a range sigma from which on all weights are within 1 % of each other: probabilities differ by 1 at most


def smooth_edge(probability: np.ndarray, guide: np.ndarray, frame_size: tuple[int, int], settings: Settings) -> np.ndarray:
    """
    Apply the edge filter, at the probability's own size.

    :param probability: (h, w) float32 in 0..1.
    :param guide: (h, w, 3) uint8, the picture at the same size, any colour order.
    :param frame_size: (width, height) in pixels of the frame, in whose pixels the filter's size is set.
    :returns: (h, w) float32 in 0..1; the same array where there is nothing to do.
    """
    if settings.edge_filter == 'none':
        return probability
    height, width = probability.shape
    kernel = disc(settings.edge_diameter, settings.edge_sigma_space, width / frame_size[0], height / frame_size[1])
    if settings.edge_filter == 'bilateral':
        if settings.edge_sigma_mask >= _FLAT:
            return cv2.filter2D(probability, -1, kernel, borderType=cv2.BORDER_REPLICATE)
        return joint_bilateral(probability, cv2.convertScaleAbs(probability, alpha=255), kernel, 255 * settings.edge_sigma_mask)
    return joint_bilateral(probability, cv2.cvtColor(guide, cv2.COLOR_BGR2GRAY), kernel, settings.edge_sigma_color)


def disc(diameter: float, sigma: float, scale_x: float, scale_y: float) -> np.ndarray:
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

    :param probability: (h, w) float32 in 0..1.
    :param frame_size: (width, height) in pixels.
    :param curve: (256,) uint8, see :func:`alpha_curve`.
    :param out: (height, width) uint8 to write to.
    :returns: (height, width) uint8, 0..255.
    """
    small = cv2.convertScaleAbs(probability, alpha=255)
    large = cv2.resize(small, frame_size, interpolation=cv2.INTER_LINEAR)
    return cv2.LUT(large, curve, dst=out)

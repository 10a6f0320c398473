# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The composite: the person over the background; work only where it makes a difference."""

from __future__ import annotations

import cv2
import numpy as np

from .arrays import Array

__all__ = ['blend', 'cut_out', 'edge_corrected']

_REACH = 15  # pixels at a quarter of the frame's size: the box whose mean colour an edge takes; 9 to 25 look alike


def blend(frame: Array, alpha: Array, background: Array, out: Array | None = None) -> Array:
    """
    Return ``frame`` where alpha is 255, ``background`` where it is 0, and their blend between.

    :param frame: (height, width, 3) uint8.
    :param alpha: (height, width) uint8.
    :param background: like the frame, the same colour order.
    :param out: like the frame, C-contiguous, to write to; it may be the frame itself.
    :returns: the composite, (height, width, 3) uint8: ``out``, or a new array.
    """
    if out is None:
        out = np.empty(frame.shape, np.uint8)
    if out is not frame:
        np.copyto(out, frame)
    cv2.copyTo(background, _between(alpha, 0, 0), out)
    # The edge is blended by runs of 8 pixels, found as 64 bit words: several times faster than pixel by pixel.
    run = 8 if alpha.size % 8 == 0 else 1
    words = _between(alpha, 1, 254).reshape(-1).view(np.uint64 if run == 8 else np.uint8)
    edge = np.flatnonzero(words != 0)
    if edge.size:
        runs = out.reshape(-1, run * 3)
        near = runs.take(edge, axis=0).reshape(-1, run, 3)
        far = background.reshape(-1, run * 3).take(edge, axis=0).reshape(-1, run, 3)
        fraction = alpha.reshape(-1, run).take(edge, axis=0) * np.float32(1 / 255)
        runs[edge] = cv2.blendLinear(near, far, fraction, 1 - fraction).reshape(-1, run * 3)
    return out


def cut_out(frame: Array, alpha: Array, out: Array | None = None) -> Array:
    """
    Return a frame with its alpha as a fourth channel: straight, so its colours are those of the frame, and 0 where alpha is 0.

    :param frame: (height, width, 3) uint8.
    :param alpha: (height, width) uint8.
    :param out: (height, width, 4) uint8 to write to.
    """
    if out is None:
        out = np.empty((*alpha.shape, 4), np.uint8)
    cv2.mixChannels([cv2.bitwise_and(frame, frame, mask=alpha), alpha], [out], [0, 0, 1, 1, 2, 2, 3, 3])
    return out


def edge_corrected(frame: Array, alpha: Array, background: Array, decontaminate: float,
                   light_wrap: float) -> Array:
    """
    Return the frame with the colours of the person's edge mended, to be composited with the same alpha.

    Where alpha is between 0 and 255 the camera saw person and old background mixed (Brinkmann, "The Art and Science of Digital
    Compositing", 2008, has both remedies).

    :param frame: (height, width, 3) uint8.
    :param alpha: (height, width) uint8.
    :param background: like the frame, the same colour order.
    :param decontaminate: 0..1, how much of the old background is replaced by the colour of the person nearby.
    :param light_wrap: 0..1, how much of the new background's light then falls on the edge.
    :returns: a new array, or the frame where there is nothing to mend.
    """
    size = frame.shape[1::-1]
    small = max(1, size[0] // 4), max(1, size[1] // 4)
    if decontaminate:
        sure = _between(cv2.resize(alpha, small, interpolation=cv2.INTER_LINEAR), 250, 255)
        weight = cv2.blur(sure, (_REACH, _REACH)).astype(np.float32)[..., None]
        colors = cv2.bitwise_and(cv2.resize(frame, small, interpolation=cv2.INTER_LINEAR), cv2.merge((sure, sure, sure)))
        person = cv2.blur(colors, (_REACH, _REACH)) * (255 / np.maximum(weight, 1))
        person = cv2.resize(np.clip(person, 0, 255).astype(np.uint8), size, interpolation=cv2.INTER_LINEAR)
        known = cv2.resize((weight[..., 0] > 8).astype(np.uint8) * 255, size, interpolation=cv2.INTER_NEAREST)
        frame = blend(person, cv2.bitwise_and(cv2.LUT(alpha, _edge_fraction(decontaminate)), known), frame)
    if light_wrap:
        light = cv2.blur(cv2.resize(background, small, interpolation=cv2.INTER_LINEAR), (_REACH, _REACH))
        light = cv2.resize(light, size, interpolation=cv2.INTER_LINEAR)
        frame = blend(light, cv2.LUT(alpha, _edge_fraction(light_wrap)), frame)
    return frame


def _between(alpha: Array, least: float, most: float) -> Array:
    """Return 255 where alpha is from ``least`` to ``most``, else 0. Arrays, because OpenCV's type stubs know no plain numbers."""
    return cv2.inRange(alpha, np.array([least]), np.array([most]))


def _edge_fraction(strength: float) -> Array:
    """Return for each alpha how much of another colour the edge takes, (256,) uint8: the more, the less it is person."""
    fraction: Array = (strength * (255 - np.arange(256))).round().astype(np.uint8)
    fraction[0] = 0
    return fraction

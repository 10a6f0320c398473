# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The person over the background: work only where it makes a difference."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ['blend', 'edge_corrected']

_REACH = 15  # quarter pixels from which an edge takes the person's and the background's colour


def blend(frame: np.ndarray, alpha: np.ndarray, background: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """
    Return ``frame`` where alpha is 255, ``background`` where it is 0, and their blend between.

    :param frame: (height, width, 3) uint8.
    :param alpha: (height, width) uint8.
    :param background: like the frame, the same colour order.
    :param out: like the frame, C-contiguous, to write to; it may be the frame itself.
    :returns: ``out``, or a new array.
    """
    if out is None:
        out = np.empty(frame.shape, np.uint8)
    if out is not frame:
        np.copyto(out, frame)
    cv2.copyTo(background, cv2.inRange(alpha, 0, 0), out)
    # The edge is blended by runs of 8 pixels, found as 64 bit words: several times faster than pixel by pixel.
    run = 8 if alpha.size % 8 == 0 else 1
    words = cv2.inRange(alpha, 1, 254).reshape(-1).view(np.uint64 if run == 8 else np.uint8)
    edge = np.flatnonzero(words != 0)
    if edge.size:
        runs = out.reshape(-1, run * 3)
        near = runs.take(edge, axis=0).reshape(-1, run, 3)
        far = background.reshape(-1, run * 3).take(edge, axis=0).reshape(-1, run, 3)
        share = alpha.reshape(-1, run).take(edge, axis=0) * np.float32(1 / 255)
        runs[edge] = cv2.blendLinear(near, far, share, 1 - share).reshape(-1, run * 3)
    return out


def edge_corrected(frame: np.ndarray, alpha: np.ndarray, background: np.ndarray, decontaminate: float,
                   light_wrap: float) -> np.ndarray:
    """
    Return the frame with the colours of the person's edge mended, to be composited with the same alpha.

    Where alpha is between 0 and 255 the camera saw person and old background mixed. ``decontaminate`` (0..1) replaces
    the old background's share by the colour of the person nearby; ``light_wrap`` (0..1) then lets the new background's
    light fall on the edge, as in film compositing (Brinkmann, "The Art and Science of Digital Compositing", 2008).

    :param frame: (height, width, 3) uint8.
    :param alpha: (height, width) uint8.
    :param background: like the frame.
    :returns: a new array, or the frame where there is nothing to mend.
    """
    size = frame.shape[1::-1]
    small = max(1, size[0] // 4), max(1, size[1] // 4)
    if decontaminate:
        sure = cv2.inRange(cv2.resize(alpha, small, interpolation=cv2.INTER_LINEAR), 250, 255)
        weight = cv2.blur(sure, (_REACH, _REACH)).astype(np.float32)[..., None]
        colors = cv2.bitwise_and(cv2.resize(frame, small, interpolation=cv2.INTER_LINEAR), cv2.merge((sure, sure, sure)))
        person = cv2.blur(colors, (_REACH, _REACH)) * (255 / np.maximum(weight, 1))
        person = cv2.resize(np.clip(person, 0, 255).astype(np.uint8), size, interpolation=cv2.INTER_LINEAR)
        known = cv2.resize((weight[..., 0] > 8).astype(np.uint8) * 255, size, interpolation=cv2.INTER_NEAREST)
        frame = blend(person, cv2.bitwise_and(cv2.LUT(alpha, _edge_share(decontaminate)), known), frame)
    if light_wrap:
        light = cv2.blur(cv2.resize(background, small, interpolation=cv2.INTER_LINEAR), (_REACH, _REACH))
        light = cv2.resize(light, size, interpolation=cv2.INTER_LINEAR)
        frame = blend(light, cv2.LUT(alpha, _edge_share(light_wrap)), frame)
    return frame


def _edge_share(strength: float) -> np.ndarray:
    """Return for each alpha how much of another colour the edge takes: the more, the less it is person."""
    share = (strength * (255 - np.arange(256))).round().astype(np.uint8)
    share[0] = 0
    return share

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The person over the background: work only where it makes a difference."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ['composite']


def composite(frame: np.ndarray, alpha: np.ndarray, background: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
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

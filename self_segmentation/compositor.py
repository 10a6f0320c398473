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
    cv2.copyTo(background, cv2.compare(alpha, 0, cv2.CMP_EQ), out)
    edge = np.flatnonzero(cv2.inRange(alpha, 1, 254))
    if edge.size:
        pixels, behind = out.reshape(-1, 3), background.reshape(-1, 3)
        near = pixels[edge].astype(np.int16)
        far = behind[edge].astype(np.int16)
        share = alpha.reshape(-1)[edge].astype(np.int32)[:, None]
        pixels[edge] = far + ((near - far) * share + 127) // 255
    return out

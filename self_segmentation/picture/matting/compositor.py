# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The composite: the person over the background; work only where it makes a difference."""

from __future__ import annotations

import cv2
import numpy as np

from ..arrays import Array

__all__ = ['blend', 'cut_out', 'edge_corrected']

_SIDE = 144  # pixels of the frame's shorter side at the size at which colours beside the edge are found
_NEAR, _FAR, _NEAREST = 5, 15, 20.0  # pixels of the boxes there whose mean colours count, and how much more the smaller one does
_LIGHT = 15  # pixels at a quarter of the frame's size: the box from which light falls on an edge; 9 to 25 look alike
_ALIKE = 20.0  # grey levels over three channels by which person and room must differ to tell them apart: the camera's noise
_NO_MIX = 60.0  # grey levels over three channels by which a pixel differs from every mix of them that is a colour of its own
_BLOCK = 4  # pixels across and down that share the colours beside them


def blend(frame: Array, alpha: Array, background: Array, out: Array | None = None) -> Array:
    """
    Return ``frame`` where alpha is 255, ``background`` where it is 0, and their blend between.

    :param frame: (height, width, 3) uint8.
    :param alpha: (height, width) uint8.
    :param background: like the frame, the same colour order; not ``out``.
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
                   light_wrap: float, out: Array | None = None) -> Array:
    """
    Return the frame with the colours of the person's edge mended, to be composited with the same alpha.

    At the edge the camera saw person and old background mixed, by its optics and its coarse colours a few pixels inside of the
    alpha too (Brinkmann, "The Art and Science of Digital Compositing", 2008, on spill and light wrap).

    :param frame: (height, width, 3) uint8.
    :param alpha: (height, width) uint8.
    :param background: the new one, like the frame, the same colour order.
    :param decontaminate: 0..1, how much of the old background is taken out of the edge.
    :param light_wrap: 0..1, how much of the new background's light then falls on the edge.
    :param out: like the frame, C-contiguous, that may be written to; it may be the frame itself.
    :returns: ``out``, or a new array.
    """
    if out is None:
        out = np.empty(frame.shape, np.uint8)
    if out is not frame:
        np.copyto(out, frame)
    if decontaminate:
        _take_spill_out(out, alpha, decontaminate)
    if light_wrap:
        size = frame.shape[1], frame.shape[0]
        light = cv2.blur(cv2.resize(background, _quarter(size), interpolation=cv2.INTER_LINEAR), (_LIGHT, _LIGHT))
        light = cv2.resize(light, size, interpolation=cv2.INTER_LINEAR)
        return blend(light, cv2.LUT(alpha, _edge_fraction(light_wrap)), out, light)
    return out


def _take_spill_out(frame: Array, alpha: Array, strength: float) -> None:
    """
    Solve the pixels of the edge for the person's colour, in place.

    A pixel that is a mix of what lies beside it, the old background outside and the person further in, is the person's colour and
    a part of the way to the background, which is taken off. What is no such mix, another colour of the person, stays.
    """
    height, width = alpha.shape
    scale, quarter = max(1.0, min(height, width) / _SIDE), (width // _BLOCK, height // _BLOCK)
    size = max(1, round(width / scale)), max(1, round(height / scale))
    if not all(quarter):
        return
    small, small_alpha = (cv2.resize(each, size, interpolation=cv2.INTER_LINEAR) for each in (frame, alpha))
    sure, nobody = _between(small_alpha, 250, 255), _between(small_alpha, 0, 0)
    inner, outer = (cv2.erode(each, np.ones((3, 3), np.uint8)) for each in (sure, nobody))
    band = cv2.bitwise_not(cv2.bitwise_or(inner, nobody))
    rows, columns = np.nonzero(cv2.resize(band, quarter, interpolation=cv2.INTER_LINEAR))
    if not rows.size:
        return
    person, room = _nearby(small, inner), _nearby(small, outer)
    fields = (cv2.resize(each, quarter, interpolation=cv2.INTER_LINEAR)[rows, columns] for each in (room, person - room))
    room, way = (np.nan_to_num(each).T[..., None] for each in fields)  # of one of them nothing may be near
    row, pixel = frame.strides[:2]
    blocks = np.lib.stride_tricks.as_strided(frame, (quarter[1], _BLOCK, quarter[0], _BLOCK * pixel),
                                             (_BLOCK * row, row, _BLOCK * pixel, 1))
    seen = [plane.reshape(len(rows), -1) for plane in cv2.split(blocks[rows, :, columns].reshape(-1, 1, 3))]
    away = [plane - each for plane, each in zip(seen, room)]
    length, along, square = ((a[0] * b[0] + a[1] * b[1] + a[2] * b[2]) for a, b in ((way, way), (away, way), (away, away)))
    part = np.clip(along / (length + _ALIKE ** 2), 0, 1)
    rest = square - part * (2 * along - part * length)
    gain = strength * (1 - part) * np.exp(rest * np.float32(-1 / _NO_MIX ** 2))
    solved = [cv2.add(plane, gain * each, dtype=cv2.CV_8U) for plane, each in zip(seen, way)]
    blocks[rows, :, columns] = cv2.merge(solved).reshape(-1, _BLOCK, _BLOCK * pixel)


def _nearby(small: Array, mask: Array) -> Array:
    """Return for each pixel the mean colour of what lies near it in a mask, the nearest above all; NaN where nothing does."""
    ones = cv2.threshold(mask, 0, 1, cv2.THRESH_BINARY)[1]
    planes = cv2.merge((*cv2.split(cv2.bitwise_and(small, small, mask=mask)), ones))
    near, far = (cv2.boxFilter(planes, cv2.CV_32F, (side, side), normalize=False) for side in (_NEAR, _FAR))
    colors: list[Array] = list(cv2.split(cv2.scaleAdd(near, _NEAREST, far)))
    weight = colors.pop()
    with np.errstate(invalid='ignore'):
        return cv2.merge([each / weight for each in colors])


def _quarter(size: tuple[int, int]) -> tuple[int, int]:
    return max(1, size[0] // 4), max(1, size[1] // 4)


def _between(alpha: Array, least: float, most: float) -> Array:
    """Return 255 where alpha is from ``least`` to ``most``, else 0. Arrays, because OpenCV's type stubs know no plain numbers."""
    return cv2.inRange(alpha, np.array([least]), np.array([most]))


def _edge_fraction(strength: float) -> Array:
    """Return for each alpha how much of another colour the edge takes, (256,) uint8: the more, the less it is person."""
    fraction: Array = (strength * (255 - np.arange(256))).round().astype(np.uint8)
    fraction[0] = 0
    return fraction

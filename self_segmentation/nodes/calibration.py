# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""A camera's calibration, turned, mirrored and scaled as the node's pictures are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

__all__ = ['calibration_of_output']

_Matrix = NDArray[np.float64]
_DISTORTIONS = {'plumb_bob': (0, 4, 5), 'rational_polynomial': (0, 8), 'equidistant': (0, 4), '': (0,)}
_TANGENTIAL = 2, 4  # where p1 and p2 are; equidistant has none
# How a picture's camera axes x, y, z turn with it, by camera.rotation (clockwise).
_TURNS = {0: np.eye(3), 90: np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), 180: np.diag([-1.0, -1, 1]),
          270: np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])}
_MIRROR = np.diag([-1.0, 1, 1])


def calibration_of_output(info: Any, size: tuple[int, int], output_size: tuple[int, int] | None = None, rotation: int = 0,
                          flip: bool = False) -> Any:
    """
    Return the calibration of a picture that was turned by ``camera.rotation``, mirrored by ``flip``, and scaled.

    A point (X, Y, Z) of the camera's frame that the mirrored calibration projects is (-X, Y, Z) of the real one. Binning and
    region of interest become a part of the matrices: the result is for exactly the picture.

    :param info: sensor_msgs/CameraInfo of the camera's image.
    :param size: width and height of the camera's image, pixels.
    :param output_size: width and height of the result; None for that of the camera's image, turned.
    :param rotation: degrees clockwise: 0, 90, 180 or 270.
    :param flip: whether the turned picture is mirrored left to right.
    :returns: another sensor_msgs/CameraInfo. Its header is that of ``info``.
    :raises InputError: it is not calibrated, is for images of another size, or its distortion model is not known.
    """
    if not (info.k[0] > 0 and info.k[4] > 0):  # drivers without a calibration publish zeros
        raise InputError('camera_info holds no calibration (k is 0)')
    if len(info.d) not in _DISTORTIONS.get(info.distortion_model, ()):
        raise InputError(f'camera_info has distortion_model = {info.distortion_model!r} with {len(info.d)} values: '
                         f'known are {", ".join(filter(None, _DISTORTIONS))}')
    pixels, width, height = _cropped(info)
    if (width, height) != size:
        raise InputError('camera_info is for images of {}x{}, the images have {}x{}'.format(width, height, *size))
    turn = _TURNS[rotation]
    pixels = _turned_pixels(turn, width, height) @ pixels
    if rotation in (90, 270):
        width, height = height, width
    if flip:
        pixels, turn = _turned_pixels(_MIRROR, width, height) @ pixels, _MIRROR @ turn
    if output_size is not None:
        pixels, (width, height) = _scaled_pixels((width, height), output_size) @ pixels, output_size
    k, p, r = (np.array(values, float).reshape(3, -1) for values in (info.k, info.p, info.r))
    result = type(info)(header=info.header, width=width, height=height, distortion_model=info.distortion_model)
    result.d = _turned_distortion(info, turn)
    result.k = (pixels @ k @ turn.T).ravel().tolist()
    result.r = (turn @ r @ turn.T).ravel().tolist()
    result.p = np.hstack([pixels @ p[:, :3] @ turn.T, pixels @ p[:, 3:]]).ravel().tolist()
    return result


def _cropped(info: Any) -> tuple[_Matrix, int, int]:
    """Return the step from the sensor's pixels to those of the image, and the image's width and height."""
    roi, binning = info.roi, (max(1, info.binning_x), max(1, info.binning_y))
    width, height = roi.width or info.width, roi.height or info.height
    crop = np.array([[1.0, 0, -roi.x_offset], [0, 1, -roi.y_offset], [0, 0, 1]])
    size = width // binning[0], height // binning[1]
    return _scaled_pixels((size[0] * binning[0], size[1] * binning[1]), size) @ crop, *size


def _scaled_pixels(size: tuple[int, int], output_size: tuple[int, int]) -> _Matrix:
    """Return the step from the pixels of an image to those of a scaled one. The middle of the first pixel is (0, 0)."""
    (x, y) = (after / before for before, after in zip(size, output_size))
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1.0]])


def _turned_pixels(turn: _Matrix, width: int, height: int) -> _Matrix:
    """Return the step from an image's pixels to those of the turned or mirrored one."""
    pixels = turn.copy()
    for row, last in enumerate((width - 1, height - 1) if turn[0, 0] else (height - 1, width - 1)):
        pixels[row, 2] = last if turn[row].sum() < 0 else 0.0
    return pixels


def _turned_distortion(info: Any, turn: _Matrix) -> list[float]:
    """Return the distortion; only p1 and p2 have a direction: p2 along x, p1 along y."""
    d = [float(value) for value in info.d]
    first, end = _TANGENTIAL
    if info.distortion_model != 'equidistant' and len(d) >= end:
        p2, p1 = turn[:2, :2] @ (d[first + 1], d[first])
        d[first:end] = [float(p1), float(p2)]
    return d

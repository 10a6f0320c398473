# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/Image and CompressedImage to arrays and back, without a copy where none is needed."""

from __future__ import annotations

import array
import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError
from ..picture.decoding import MAX_SIDE, decode

__all__ = ['ENCODINGS', 'BitDepth', 'ImageWriter', 'Stamp', 'compress', 'compressed_to_bgr', 'seconds_of', 'stamp_of', 'to_bgr']

Stamp = tuple[int, int]


# encoding: (bytes a pixel in a row, conversion to bgr8; None where it is bgr8 already)
ENCODINGS: dict[str, tuple[int, int | None]] = {
    'bgr8': (3, None),
    'rgb8': (3, cv2.COLOR_RGB2BGR),
    'bgra8': (4, cv2.COLOR_BGRA2BGR),
    'rgba8': (4, cv2.COLOR_RGBA2BGR),
    'mono8': (1, cv2.COLOR_GRAY2BGR),
    '8UC3': (3, None),  # by OpenCV's types, which say nothing of colours: OpenCV's own order
    '8UC4': (4, cv2.COLOR_BGRA2BGR),
    '8UC1': (1, cv2.COLOR_GRAY2BGR),
    'bayer_rggb8': (1, cv2.COLOR_BayerBG2BGR),  # OpenCV names the second row, from its second pixel on
    'bayer_bggr8': (1, cv2.COLOR_BayerRG2BGR),
    'bayer_gbrg8': (1, cv2.COLOR_BayerGR2BGR),
    'bayer_grbg8': (1, cv2.COLOR_BayerGB2BGR),
    'yuv422_yuy2': (2, cv2.COLOR_YUV2BGR_YUY2),
    'yuyv': (2, cv2.COLOR_YUV2BGR_YUY2),
    'yuv422': (2, cv2.COLOR_YUV2BGR_UYVY),
    'uyvy': (2, cv2.COLOR_YUV2BGR_UYVY),
    'nv12': (1, cv2.COLOR_YUV2BGR_NV12),
}
_PLANAR = 'nv12'  # half as many rows again, of colour, below the image
_DEEP = {  # of 16 bits; conversion to bgr8 once they have 8
    'mono16': cv2.COLOR_GRAY2BGR,
    '16UC1': cv2.COLOR_GRAY2BGR,
    'bayer_rggb16': cv2.COLOR_BayerBG2BGR,
    'bayer_bggr16': cv2.COLOR_BayerRG2BGR,
    'bayer_gbrg16': cv2.COLOR_BayerGR2BGR,
    'bayer_grbg16': cv2.COLOR_BayerGB2BGR,
}
_DEPTHS = (10, 12, 14, 16)  # bits that cameras use of 16
_STREAMED = ('JPEG', 'PNG')


class BitDepth:
    """
    How many bits of 16 a camera uses: as many as its brightest value so far takes, of 10, 12, 14 and 16.

    :param on_change: called with the bits and that value when it takes more than before.
    """

    def __init__(self, on_change: Callable[[int, int], object]) -> None:
        self._on_change, self._bits = on_change, 0

    def of(self, values: NDArray[np.uint16]) -> int:
        """Return the bits that are used, now that these values came too."""
        if self._bits < _DEPTHS[-1]:
            brightest = int(values.max())
            bits = next(bits for bits in _DEPTHS if brightest < 1 << bits)
            if bits > self._bits:
                self._bits = bits
                self._on_change(bits, brightest)
        return self._bits


def stamp_of(header: Any) -> Stamp:
    """Return the stamp of a std_msgs/Header: seconds and nanoseconds, which compare exactly."""
    return header.stamp.sec, header.stamp.nanosec


def seconds_of(stamp: Sequence[int]) -> float:
    """Return a stamp's seconds; of today's they are exact to a quarter of a microsecond."""
    return stamp[0] + stamp[1] * 1e-9


def to_bgr(message: Any, depth: BitDepth | None = None) -> NDArray[np.uint8]:
    """
    Return the image of a message.

    Row padding (``step``) is honoured, and the byte order of 16 bit encodings. Encodings that are not in
    :data:`ENCODINGS` go through cv_bridge where it is installed.

    :param message: sensor_msgs/Image.
    :param depth: that of the camera's 16 bit encodings; all 16 are used if None.
    :returns: (height, width, 3) uint8, blue green red. For bgr8 a view of the message's own data: do not
        write to it.
    :raises ImageError: naming what is wrong with the message and what is allowed.
    """
    width, height, encoding = message.width, message.height, message.encoding
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise ImageError(f'an image of {width}x{height} pixels came in: each side must be 1 to {MAX_SIDE}')
    if encoding in _DEEP:
        return np.asarray(cv2.cvtColor(_in_8_bits(message, depth), _DEEP[encoding]), np.uint8)
    if encoding not in ENCODINGS:
        return _to_bgr_by_cv_bridge(message)
    pixel, conversion = ENCODINGS[encoding]
    if (pixel == 2 and width % 2) or (encoding == _PLANAR and (width % 2 or height % 2)):
        raise ImageError(f'a {encoding} image of {width}x{height} pixels came in: its colours are for pairs of pixels, '
                         'so the sides must be even')
    rows = _rows(message, height * 3 // 2 if encoding == _PLANAR else height, width * pixel)
    if encoding == _PLANAR or pixel == 1:
        image = rows
    else:  # a view, whatever the padding
        image = np.lib.stride_tricks.as_strided(rows, (height, width, pixel), (rows.strides[0], pixel, 1), writeable=False)
    return image if conversion is None else np.asarray(cv2.cvtColor(image, conversion), np.uint8)


def _rows(message: Any, rows: int, row_bytes: int) -> NDArray[np.uint8]:
    """Return the rows of a message, (rows, row_bytes) uint8, a view without the padding."""
    step, data = message.step, np.frombuffer(message.data, np.uint8)
    if step < row_bytes:
        raise ImageError(f'step = {step} is less than a row of {message.width} {message.encoding} pixels '
                         f'takes: at least {row_bytes} bytes')
    if data.size < step * (rows - 1) + row_bytes:
        raise ImageError(f'data has {data.size} bytes, and {message.width}x{message.height} {message.encoding} with '
                         f'step = {step} takes {step * rows}')
    return np.lib.stride_tricks.as_strided(data, (rows, row_bytes), (step, 1), writeable=False)


def _in_8_bits(message: Any, depth: BitDepth | None) -> NDArray[np.uint8]:
    rows = _rows(message, message.height, message.width * 2)
    values = np.ascontiguousarray(rows).view('>u2' if message.is_bigendian else '<u2')
    bits = depth.of(values) if depth is not None else 16
    return (values >> (bits - 8)).astype(np.uint8)


def _to_bgr_by_cv_bridge(message: Any) -> NDArray[np.uint8]:
    own = ', '.join([*ENCODINGS, *_DEEP])
    try:
        bridge = importlib.import_module('cv_bridge').CvBridge()
    except ImportError as error:
        raise ImageError(f'encoding = {message.encoding!r} needs cv_bridge, which cannot be imported ({error}); '
                         f'without it: {own}') from error
    try:
        return np.asarray(bridge.imgmsg_to_cv2(message, 'bgr8'), np.uint8)
    except Exception as error:  # cv_bridge raises its own error, cv2's and plain ones, by version
        raise ImageError(f'encoding = {message.encoding!r} is unknown to cv_bridge too ({error}); known: {own}') from error


def compressed_to_bgr(message: Any) -> NDArray[np.uint8]:
    """
    Return the image of a compressed message.

    :param message: sensor_msgs/CompressedImage, JPEG or PNG.
    :returns: (height, width, 3) uint8, blue green red.
    :raises ImageError: naming what is wrong with the message and what is allowed.
    """
    try:
        return decode(message.data, _STREAMED, flags=cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except ImageError as error:
        raise ImageError(f'a compressed image of format = {message.format!r} and {len(message.data)} bytes {error}') from error


def compress(message: Any, pixels: NDArray[np.uint8], quality: int | None = None) -> None:
    """
    Write an image into a compressed message, named as image_transport's own plugin names it.

    :param message: sensor_msgs/CompressedImage; ``format`` and ``data`` are set.
    :param pixels: (height, width, 3) uint8 blue green red, (height, width, 4) with alpha, or (height, width) uint8.
    :param quality: of a JPEG, 1..100; None for a PNG, which loses nothing. With alpha it is always a PNG: a JPEG has none.
    """
    encoding = 'mono8' if pixels.ndim == 2 else {3: 'bgr8', 4: 'bgra8'}[pixels.shape[2]]
    if quality is None or encoding == 'bgra8':
        _, data = cv2.imencode('.png', pixels)
        message.format = f'{encoding}; png compressed ' + ('' if pixels.ndim == 2 else encoding)
    else:
        _, data = cv2.imencode('.jpg', pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
        message.format = f'{encoding}; jpeg compressed {encoding}'
    message.data = array.array('B', data.tobytes())


class ImageWriter:
    """
    A message that is written again for every frame, so that no frame costs a fresh buffer.

    rclpy serializes a message while it is published, so the buffer is free again afterwards.

    :param message: an empty sensor_msgs/Image.
    :param encoding: ``bgr8``, ``bgra8`` or ``mono8``.
    """

    def __init__(self, message: Any, encoding: str) -> None:
        self.message = message
        self.message.encoding = encoding
        self.message.is_bigendian = sys.byteorder == 'big'
        self._channels = ENCODINGS[encoding][0]
        self._pixels: NDArray[np.uint8] = np.empty((0, 0, self._channels), np.uint8)

    def pixels(self, width: int, height: int) -> NDArray[np.uint8]:
        """
        Return the message's own pixels, to be written to.

        :returns: (height, width, 3) uint8 for bgr8, (height, width, 4) for bgra8, (height, width) for mono8; the same memory
            every time until the size changes.
        """
        if self._pixels.shape[:2] != (height, width):
            self.message.data = array.array('B', bytes(height * width * self._channels))
            self.message.width, self.message.height, self.message.step = width, height, width * self._channels
            shape = (height, width, self._channels) if self._channels > 1 else (height, width)
            self._pixels = np.frombuffer(self.message.data, np.uint8).reshape(shape)  # some rclpy copy when it is set
        return self._pixels

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
from ..io.decoding import MAX_SIDE, PNG_BEGIN, decode

__all__ = ['ENCODINGS', 'BitDepth', 'ImageWriter', 'Stamp', 'alpha_of', 'compress', 'compressed_to_bgr', 'has_16_bits',
           'has_allowed_size', 'nanoseconds_of', 'seconds_of', 'stamp_of', 'to_bgr', 'to_depth']

Stamp = tuple[int, int]


# encoding: (bytes a pixel in a row, conversion to bgr8; None where it is bgr8 already)
ENCODINGS: dict[str, tuple[int, int | None]] = {
    'bgr8': (3, None),
    'rgb8': (3, cv2.COLOR_RGB2BGR),
    'bgra8': (4, cv2.COLOR_BGRA2BGR),
    'rgba8': (4, cv2.COLOR_RGBA2BGR),
    'mono8': (1, cv2.COLOR_GRAY2BGR),
    '8UC3': (3, None),  # OpenCV's types have OpenCV's order of colours
    '8UC4': (4, cv2.COLOR_BGRA2BGR),
    '8UC1': (1, cv2.COLOR_GRAY2BGR),
    'bayer_rggb8': (1, cv2.COLOR_BayerBG2BGR),  # OpenCV's names start at the second pixel of the second row
    'bayer_bggr8': (1, cv2.COLOR_BayerRG2BGR),
    'bayer_gbrg8': (1, cv2.COLOR_BayerGR2BGR),
    'bayer_grbg8': (1, cv2.COLOR_BayerGB2BGR),
    'yuv422_yuy2': (2, cv2.COLOR_YUV2BGR_YUY2),
    'yuyv': (2, cv2.COLOR_YUV2BGR_YUY2),
    'yuv422': (2, cv2.COLOR_YUV2BGR_UYVY),
    'uyvy': (2, cv2.COLOR_YUV2BGR_UYVY),
    'nv12': (1, cv2.COLOR_YUV2BGR_NV12),
    'nv21': (1, cv2.COLOR_YUV2BGR_NV21),
}
_HALF_PLANAR = ('nv12', 'nv21')  # half as many rows again, of colour, below the image
_PLANAR = 'nv24'  # below the image a plane of two bytes of colour a pixel, whose rows are two steps long
_BT601 = np.array([[1.164, 2.018, 0, -1.164 * 16 - 2.018 * 128],  # of y, u, v, 1: blue green red, as OpenCV converts nv12
                   [1.164, -0.391, -0.813, -1.164 * 16 + 1.204 * 128],
                   [1.164, 0, 1.596, -1.164 * 16 - 1.596 * 128]])
# With 16 bits, such as mono16; values a pixel, conversion to bgr8 once they have 8
_DEEP = {name.replace('8', '16'): form for name, form in ENCODINGS.items() if '8' in name}
_DEPTHS = (10, 12, 14, 16)  # bits that cameras use of 16
_STREAMED = ('JPEG', 'PNG')
_PNG_BITS = 24  # where a PNG has its number of bits
_LONGEST_NAME = 100  # characters of a foreign text in a message


class BitDepth:
    """
    How many bits of 16 a camera uses: 10, 12, 14 or 16, by its brightest value so far.

    :param on_change: called with the bits and that value when the bits grow.
    """

    def __init__(self, on_change: Callable[[int, int], object] = lambda _bits, _brightest: None) -> None:
        self._on_change, self._bits = on_change, 0

    def of(self, values: NDArray[np.uint16]) -> int:
        """Take more values; return the bits that are used."""
        if self._bits < _DEPTHS[-1]:
            brightest = int(values.max())
            bits = next(bits for bits in _DEPTHS if brightest < 1 << bits)
            if bits > self._bits:
                self._bits = bits
                self._on_change(bits, brightest)
        return self._bits

    def in_8_bits(self, values: NDArray[np.uint16]) -> NDArray[np.uint8]:
        """Take more values; return the upper 8 of the bits that are used. The last of four channels is alpha."""
        colors = values[..., :3] if values.ndim == 3 else values
        return (values >> (self.of(colors) - 8)).astype(np.uint8)


def stamp_of(header: Any) -> Stamp:
    """Return the stamp of a std_msgs/Header: seconds and nanoseconds, which compare exactly."""
    return header.stamp.sec, header.stamp.nanosec


def nanoseconds_of(header: Any) -> int:
    """Return the stamp of a std_msgs/Header in nanoseconds."""
    return int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)


def seconds_of(stamp: Sequence[int]) -> float:
    """Return a stamp's seconds, exact to a quarter of a microsecond."""
    return stamp[0] + stamp[1] * 1e-9


def to_bgr(message: Any, depth: BitDepth | None = None) -> NDArray[np.uint8]:
    """
    Return the image of a message.

    Row padding (``step``) and byte order are honoured. Other encodings go through cv_bridge if it is installed.

    :param message: sensor_msgs/Image.
    :param depth: that of a camera's 16 bit encodings, kept from image to image; if None, that of this image alone.
    :returns: (height, width, 3) uint8, blue green red. For bgr8 a view of the message's own data: do not
        write to it.
    :raises ImageError: naming what is wrong with the message and what is allowed.
    """
    width, height, encoding = message.width, message.height, message.encoding
    _check_size(message)
    if encoding in _DEEP:
        channels, conversion = _DEEP[encoding]
        return _converted((depth or BitDepth()).in_8_bits(_values(message, np.uint16, channels)), conversion)
    if encoding == _PLANAR:
        return _from_nv24(message)
    if encoding not in ENCODINGS:
        return _to_bgr_by_cv_bridge(message)
    pixel, conversion = ENCODINGS[encoding]
    is_half_planar = encoding in _HALF_PLANAR
    if (pixel == 2 and width % 2) or (is_half_planar and (width % 2 or height % 2)):
        raise ImageError(f'a {encoding} image of {width}x{height} pixels came in: its colours are for pairs of pixels, '
                         'so the sides must be even')
    rows = _rows(message, height * 3 // 2 if is_half_planar else height, width * pixel)
    return _converted(rows if pixel == 1 else _pixels(rows, pixel), conversion)


def to_depth(message: Any) -> NDArray[np.uint16] | NDArray[np.float32]:
    """
    Return a depth image.

    :param message: sensor_msgs/Image, 16UC1 (or mono16) or 32FC1.
    :returns: (height, width) uint16 millimetres, 0 where it is not known, or float32 metres, NaN there. It may be a view of the
        message's own data: do not write to it.
    :raises ImageError: naming what is wrong with the message and what is allowed.
    """
    kinds: dict[str, Any] = {'16UC1': np.uint16, 'mono16': np.uint16, '32FC1': np.float32}
    if message.encoding not in kinds:
        raise ImageError(f'encoding = {message.encoding[:_LONGEST_NAME]!r} is no depth: it takes {", ".join(kinds)}')
    _check_size(message)
    kind = kinds[message.encoding]
    return _values(message, kind).astype(kind, copy=False)


def alpha_of(message: Any) -> NDArray[np.uint8]:
    """
    Return the alpha of a message that :func:`to_bgr` takes: a view of its data, (height, width) uint8.

    :param message: sensor_msgs/Image, bgra8 or rgba8.
    """
    return _pixels(_rows(message, message.height, message.width * 4), 4)[..., 3]


def _check_size(message: Any) -> None:
    if not has_allowed_size(message):
        raise ImageError(f'an image of {message.width}x{message.height} pixels came in: each side must be 1 to {MAX_SIDE}')


def has_allowed_size(message: Any) -> bool:
    """Return whether no side of a sensor_msgs/Image is empty or too long."""
    return 0 < message.width <= MAX_SIDE and 0 < message.height <= MAX_SIDE


def _converted(image: NDArray[np.uint8], conversion: int | None) -> NDArray[np.uint8]:
    return image if conversion is None else np.asarray(cv2.cvtColor(image, conversion), np.uint8)


def _pixels(rows: NDArray[np.uint8], pixel: int) -> NDArray[np.uint8]:
    """Return rows as (height, width, pixel): a view, whatever the padding."""
    shape = rows.shape[0], rows.shape[1] // pixel, pixel
    return np.lib.stride_tricks.as_strided(rows, shape, (rows.strides[0], pixel, 1), writeable=False)


def _rows(message: Any, rows: int, row_bytes: int) -> NDArray[np.uint8]:
    """Return the rows of a message, (rows, row_bytes) uint8, a view without the padding, which the last row need not have."""
    data = _data(message, row_bytes, message.step * (rows - 1) + row_bytes, message.step * rows)
    return np.lib.stride_tricks.as_strided(data, (rows, row_bytes), (message.step, 1), writeable=False)


def _data(message: Any, row_bytes: int, least: int, whole: int) -> NDArray[np.uint8]:
    """
    Return the data of a message.

    :raises ImageError: its rows, or all of it, are shorter than they must be; ``whole`` is its length with all padding.
    """
    if message.step < row_bytes:
        raise ImageError(f'step = {message.step} is less than a row of {message.width} {message.encoding} pixels '
                         f'takes: at least {row_bytes} bytes')
    data = np.frombuffer(message.data, np.uint8)
    if data.size < least:
        raise ImageError(f'data has {data.size} bytes, and {message.width}x{message.height} {message.encoding} with '
                         f'step = {message.step} takes {whole}')
    return data


def _from_nv24(message: Any) -> NDArray[np.uint8]:
    width, height, step = message.width, message.height, message.step
    data = _data(message, width, step * (3 * height - 2) + 2 * width, step * 3 * height)
    y = np.lib.stride_tricks.as_strided(data, (height, width), (step, 1), writeable=False)
    uv = np.lib.stride_tricks.as_strided(data[step * height:], (height, width, 2), (2 * step, 2, 1), writeable=False)
    return np.asarray(cv2.transform(np.dstack((y, uv)), _BT601), np.uint8)


def _values(message: Any, kind: Any, channels: int = 1) -> NDArray[Any]:
    """Return the values of a message, in its byte order: (height, width) of ``kind``, or (height, width, channels)."""
    dtype = np.dtype(kind).newbyteorder('>' if message.is_bigendian else '<')
    values = np.ascontiguousarray(_rows(message, message.height, message.width * dtype.itemsize * channels)).view(dtype)
    return values if channels == 1 else values.reshape(message.height, message.width, channels)


def _to_bgr_by_cv_bridge(message: Any) -> NDArray[np.uint8]:
    own, name = ', '.join([*ENCODINGS, _PLANAR, *_DEEP]), message.encoding[:_LONGEST_NAME]
    try:
        bridge = importlib.import_module('cv_bridge').CvBridge()
    except ImportError as error:
        raise ImageError(f'encoding = {name!r} needs cv_bridge, which cannot be imported ({error}); '
                         f'without it: {own}') from error
    try:
        return np.asarray(bridge.imgmsg_to_cv2(message, 'bgr8'), np.uint8)
    except Exception as error:  # cv_bridge's errors have many types, by version
        raise ImageError(f'encoding = {name!r} is unknown to cv_bridge too ({str(error)[:300]}); known: {own}') from error


def compressed_to_bgr(message: Any, depth: BitDepth | None = None) -> NDArray[np.uint8]:
    """
    Return the image of a compressed message.

    :param message: sensor_msgs/CompressedImage, JPEG or PNG.
    :param depth: that of a camera whose PNGs have 16 bits, kept from image to image; if None, that of this image alone.
    :returns: (height, width, 3) uint8, blue green red.
    :raises ImageError: naming what is wrong with the message and what is allowed.
    """
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        if not has_16_bits(message):
            return decode(message.data, _STREAMED, flags=flags)
        values: Any = decode(message.data, _STREAMED, flags=flags | cv2.IMREAD_ANYDEPTH)
    except ImageError as error:
        name = message.format[:_LONGEST_NAME]
        raise ImageError(f'a compressed image of format = {name!r} and {len(message.data)} bytes {error}') from error
    return (depth or BitDepth()).in_8_bits(values)


def has_16_bits(message: Any) -> bool:
    """Return whether a sensor_msgs/CompressedImage is a PNG of 16 bits, as image_transport makes of mono16."""
    head = bytes(message.data[:_PNG_BITS + 1])
    return head.startswith(PNG_BEGIN) and head[_PNG_BITS:] == b'\x10'


def compress(message: Any, pixels: NDArray[np.uint8], quality: int | None = None) -> None:
    """
    Write an image into a compressed message, in the form of image_transport's plugin.

    :param message: sensor_msgs/CompressedImage; ``format`` and ``data`` are set.
    :param pixels: (height, width, 3) uint8 blue green red, (height, width, 4) with alpha, or (height, width) uint8.
    :param quality: of a JPEG, 1..100; None for a PNG, which loses nothing. With alpha it is always a PNG: a JPEG has none.
    """
    encoding = 'mono8' if pixels.ndim == 2 else {3: 'bgr8', 4: 'bgra8'}[pixels.shape[2]]
    if quality is None or encoding == 'bgra8':
        name, (_, data) = 'png', cv2.imencode('.png', pixels)
    else:
        name, (_, data) = 'jpeg', cv2.imencode('.jpg', pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    message.format = f'{encoding}; {name} compressed ' + ('' if pixels.ndim == 2 else encoding)
    message.data = array.array('B', data.tobytes())


class ImageWriter:
    """
    A message whose buffer is written again for every frame: rclpy has serialized it when ``publish`` returns.

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
            self._pixels = np.frombuffer(self.message.data, np.uint8).reshape(shape)  # some versions of rclpy copy it
        return self._pixels

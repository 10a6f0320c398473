# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Bytes of an image file to an array: sizes are checked first, so that a hostile file costs neither memory nor time."""

from __future__ import annotations

import io
import warnings
from typing import Any

import cv2
import numpy as np
import PIL.Image

from ..errors import ImageError

__all__ = ['IMAGE_FORMATS', 'MAX_SIDE', 'decode']

MAX_SIDE = 8192  # pixels; what a frame may measure at most, so that a damaged header cannot take all memory
IMAGE_FORMATS = ('BMP', 'JPEG', 'PNG', 'TIFF', 'WEBP')  # as Pillow names them
_JPEG = ('JPEG', 'MPO')
_PIXELS_PER_BYTE = 512  # of a JPEG at most: 64 pixels take a bit or more; what is missing would become grey
_SCAN, _MOST_SCANS = b'\xff\xda', 100  # progressive ones have about 10, and each costs the time of a whole picture
_PNG_BEGIN = b'\x89PNG\r\n\x1a\n'


def decode(data: Any, formats: tuple[str, ...], most: int = MAX_SIDE, flags: int = cv2.IMREAD_COLOR) -> np.ndarray:
    """
    Return the picture of an encoded file.

    Its size is read first, so that a few kilobytes which say that they are a huge picture take neither memory nor time.

    :param data: bytes of the file.
    :param formats: Pillow's names of the formats that are taken.
    :param most: what each side may measure, in pixels.
    :param flags: ``cv2.IMREAD_...``.
    :returns: (height, width, 3) uint8, blue green red.
    :raises ImageError: with the reason, a half sentence.
    """
    data = bytes(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of damaged tags, which do not matter, and of sizes: the limit here is another
            with PIL.Image.open(io.BytesIO(data), formats=formats) as picture:
                kind, (width, height) = picture.format, picture.size
    except PIL.Image.DecompressionBombError as error:
        raise ImageError(f'is too large a picture ({error})') from error
    except (OSError, ValueError, SyntaxError, OverflowError) as error:  # what Pillow raises, by format
        raise ImageError(f'is no picture of {" or ".join(formats)}') from error
    if not (0 < width <= most and 0 < height <= most):
        raise ImageError(f'is a picture of {width}x{height} pixels: each side must be 1 to {most}')
    if kind == 'PNG':
        data = _without_animation(data)
    elif kind in _JPEG and (width * height > _PIXELS_PER_BYTE * len(data) or data.count(_SCAN) > _MOST_SCANS):
        raise ImageError(f'is damaged: {width}x{height} pixels in {len(data)} bytes, {data.count(_SCAN)} scans')
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ImageError(f'cannot be decoded ({error})') from error
    if pixels is None:
        raise ImageError('cannot be decoded: damaged or truncated')
    return pixels


def _without_animation(png: bytes) -> bytes:
    """
    Return a PNG with nothing in it but its picture.

    OpenCV 4.11 and 4.12 end the process where the first picture of an animation is damaged (opencv issue 27744), and take as
    much memory as a truncated chunk says that it has bytes.

    :raises ImageError: it is truncated.
    """
    view, kept, end, name = memoryview(png), [_PNG_BEGIN], len(_PNG_BEGIN), b''
    while name != b'IEND':
        begin, end = end, end + 12 + int.from_bytes(view[end:end + 4], 'big')
        if end > len(view):
            raise ImageError('cannot be decoded: truncated')
        name = bytes(view[begin + 4:begin + 8])
        if name[:1].isupper() or name == b'eXIf':  # what a decoder must know, and which side is up
            kept.append(view[begin:end])
    return b''.join(kept)

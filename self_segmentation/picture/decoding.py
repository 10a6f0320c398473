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
from .arrays import Array

__all__ = ['IMAGE_FORMATS', 'MAX_SIDE', 'decode']

MAX_SIDE = 8192  # pixels that a side of a frame may have, so that a damaged header cannot take all memory
IMAGE_FORMATS = ('BMP', 'JPEG', 'PNG', 'TIFF', 'WEBP')  # as Pillow names them
_JPEG = ('JPEG', 'MPO')
_MAX_PIXELS_PER_BYTE = 512  # of a JPEG: 64 pixels take a bit or more; what is missing would become grey
_SCAN, _MAX_SCANS = b'\xff\xda', 100  # of a JPEG: progressive ones have about 10, and each costs as much time as the whole image
_PNG_BEGIN = b'\x89PNG\r\n\x1a\n'


def decode(data: Any, formats: tuple[str, ...], max_side: int = MAX_SIDE, flags: int = cv2.IMREAD_COLOR) -> Array:
    """
    Return the image of an encoded file.

    Its size is read first, so that a few kilobytes which say that they are a huge image take neither memory nor time.

    :param data: bytes of the file, or any buffer of them.
    :param formats: Pillow's names of the formats that are allowed.
    :param max_side: what each side may measure, in pixels.
    :param flags: ``cv2.IMREAD_...``.
    :returns: (height, width, 3) uint8, blue green red.
    :raises ImageError: with the reason, a half sentence.
    """
    data = bytes(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of damaged tags, which do not matter, and of sizes: the limit here is another
            with PIL.Image.open(io.BytesIO(data), formats=formats) as image:
                kind, (width, height) = image.format, image.size
    except PIL.Image.DecompressionBombError as error:
        raise ImageError(f'is too large an image ({error})') from error
    except (OSError, ValueError, SyntaxError, OverflowError) as error:  # what Pillow raises, by format
        raise ImageError(f'is not an image ({", ".join(formats)})') from error
    if not (0 < width <= max_side and 0 < height <= max_side):
        raise ImageError(f'is an image of {width}x{height} pixels: each side must be 1 to {max_side}')
    if kind == 'PNG':
        data = _without_animation(data)
    elif kind in _JPEG and (width * height > _MAX_PIXELS_PER_BYTE * len(data) or data.count(_SCAN) > _MAX_SCANS):
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
    Return a PNG with nothing in it but its image.

    OpenCV 4.11 and 4.12 end the process where the first image of an animation is damaged (opencv issue 27744), and take as
    much memory as a truncated chunk says that it has bytes.

    :raises ImageError: it is truncated.
    """
    view, end, name = memoryview(png), len(_PNG_BEGIN), b''
    kept: list[bytes | memoryview] = [_PNG_BEGIN]
    while name != b'IEND':
        begin, end = end, end + 12 + int.from_bytes(view[end:end + 4], 'big')
        if end > len(view):
            raise ImageError('cannot be decoded: truncated')
        name = bytes(view[begin + 4:begin + 8])
        if name[:1].isupper() or name == b'eXIf':  # what a decoder must know, and which side is up
            kept.append(view[begin:end])
    return b''.join(kept)

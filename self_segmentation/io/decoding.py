# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
Images of messages and of files to arrays. Sizes are checked first: a hostile image costs neither memory nor time.

OpenCV decodes messages, because it is fast. Pillow decodes files: it knows orientation, colour profiles, transparency, HEIC and
AVIF.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
import struct
import sys
import warnings
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
import PIL.Image
from PIL import ImageCms
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from ..errors import ImageError
from ..picture.arrays import Array

__all__ = ['MAX_FILE_BYTES', 'MAX_FILE_SIDE', 'MAX_SIDE', 'PILLOW_ERRORS', 'PNG_BEGIN', 'decode', 'decode_file',
           'kind_of', 'open_picture', 'upright']

# What an image may measure at most, so that a damaged header cannot take all memory.
MAX_SIDE = 8192  # pixels of a side: of a message, and of a background, which stays in memory
MAX_FILE_SIDE = 16384  # pixels of a side: of a file that is processed
MAX_FILE_BYTES = 1 << 30  # of the file itself
# What Pillow raises for damaged files.
PILLOW_ERRORS = (ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError,
                 SyntaxError, TypeError, ValueError, struct.error, zlib.error, PIL.Image.DecompressionBombError)
_LOGGER = logging.getLogger('self_segmentation.files')
_JPEG = ('JPEG', 'MPO')
_MAX_PIXELS_PER_BYTE = 512  # of a JPEG: 64 pixels take at least a bit; missing ones would be grey
_MOST_SUB_IMAGES = 16  # of a TIFF: raw photographs have 1 to 4
_MAX_SCANS = 100  # of a JPEG: progressive ones have about 10, and each costs as much time as the whole image
_MARKER, _END = re.compile(rb'\xff[^\0\xff\xd0-\xd7]', re.DOTALL), b'\xff\xd9'  # of a JPEG; those left out stand in its pixels
PNG_BEGIN = b'\x89PNG\r\n\x1a\n'
_KINDS = {  # Pillow's name: how a file begins
    # A camera's raw photographs: Canon, Phase One, Fujifilm, Olympus, Panasonic, Minolta, Sigma; others are TIFF files.
    'RAW': rb'II\*\0....CR|II\x1a\0\0\0HEAPCCDR|....ftypcrx |II\*\0....IIII|MM\0\*....MMMM|FUJIFILMCCD-RAW|IIR[OS]|MMOR|IIU\0|'
           rb'\0MRM|FOVb',
    'JPEG': rb'\xff\xd8\xff', 'PNG': re.escape(PNG_BEGIN), 'GIF': rb'GIF8[79]a', 'WEBP': rb'RIFF....WEBP',
    'TIFF': rb'II[*+]\0|MM\0[*+]', 'BMP': rb'BM....\0\0\0\0', 'PPM': rb'P[1-6]\s',
    'JPEG2000': rb'\0\0\0\x0cjP  |\xff\x4f\xff\x51',
    'AVIF': rb'....ftyp(avi[fs]|.{4,40}avi[fs])', 'HEIF': rb'....ftyp(hei[cmsx]|hev[cx]|mif1|msf1)',
}
_TAKEN = tuple(kind for kind in _KINDS if kind != 'RAW')
_READER = {'HEIF': 'pillow-heif', 'AVIF': "'pillow>=11.3'"}  # what reads those that not every Pillow reads
_SUBFILE_TYPE, _PHOTOMETRIC, _SUB_IMAGES, _DNG_VERSION = 254, 262, 330, 50706  # TIFF tags
_PREVIEW = 1  # bit of the subfile type: a smaller version of another image in the file
_SENSOR = (32803, 34892)  # photometric interpretations: a sensor's own values
_Turn: Any = getattr(PIL.Image, 'Transpose', PIL.Image)  # Ubuntu 22.04's Pillow has the names in the module
_ORIENTATION = 274  # the EXIF tag
_TURNED: dict[Any, Any] = {  # by its value: what puts the image right
    2: _Turn.FLIP_LEFT_RIGHT, 3: _Turn.ROTATE_180, 4: _Turn.FLIP_TOP_BOTTOM,
    5: _Turn.TRANSPOSE, 6: _Turn.ROTATE_270, 7: _Turn.TRANSVERSE,
    8: _Turn.ROTATE_90,
}
PIL.Image.MAX_IMAGE_PIXELS = MAX_FILE_SIDE ** 2  # each side is checked here, with more room than Pillow's 179 megapixels


def decode(data: Any, formats: tuple[str, ...], flags: int = cv2.IMREAD_COLOR) -> Array:
    """
    Return the image of an encoded message.

    :param data: its bytes, or any buffer of them.
    :param formats: Pillow's names of the formats that are allowed.
    :param flags: ``cv2.IMREAD_...``.
    :returns: (height, width, 3) uint8, blue green red.
    :raises ImageError: with the reason, a half sentence.
    """
    data = bytes(data)
    with _opened(io.BytesIO(data), MAX_SIDE, formats, f'is not an image ({", ".join(formats)})') as image:
        kind, size = image.format, image.size
    if kind == 'PNG':
        data = _without_animation(data)
    elif kind in _JPEG:
        data = _first_jpeg(data, *size)
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ImageError(f'cannot be decoded ({error})') from error
    if pixels is None:
        raise ImageError('cannot be decoded: damaged or truncated')
    return pixels


def decode_file(data: bytes, max_side: int = MAX_SIDE, what: str = 'an image') -> Array:
    """
    Return the first image of a file, the right way up, its colours in sRGB.

    :param max_side: what each side may measure, in pixels.
    :param what: its name in the log.
    :returns: (height, width, 3) uint8, blue green red; (height, width, 4), the last is alpha, where it has transparent parts.
    :raises ImageError: with the reason, a half sentence.
    """
    with open_picture(io.BytesIO(data), max_side) as image:
        if image.format in _JPEG:
            _first_jpeg(data, *image.size)
        try:
            return upright(image, what)
        except PILLOW_ERRORS as error:
            raise ImageError(f'cannot be decoded: damaged or truncated ({error})') from error


def kind_of(head: bytes) -> str:
    """Return Pillow's name of an image format, by the first 64 bytes of a file; '' if it is no image."""
    return next((kind for kind, begin in _KINDS.items() if re.match(begin, head, re.DOTALL)), '')


def open_picture(file: BinaryIO | Path, max_side: int = MAX_SIDE) -> PIL.Image.Image:
    """
    Open an image file; only its header is read.

    :param max_side: what each side may measure, in pixels.
    :raises ImageError: with the reason, a half sentence: it is no image, too large, or of a format that cannot be read here.
    """
    if isinstance(file, Path):
        try:
            file = file.open('rb')
        except OSError as error:
            raise ImageError(error.strerror or str(error)) from error
    kind = kind_of(file.read(64))
    file.seek(0)
    if kind == 'HEIF':
        try:
            import pillow_heif
            pillow_heif.register_heif_opener()
        except ImportError as error:
            _LOGGER.debug('%s', error)
    if kind in _READER:
        PIL.Image.init()
        if kind not in PIL.Image.OPEN:
            name = 'a HEIC' if kind == 'HEIF' else 'an AVIF'
            raise ImageError(f'is {name} image, which this Pillow cannot read: {sys.executable} -m pip install {_READER[kind]}, '
                             'or convert it to JPEG')
    if kind == 'RAW' or (kind == 'TIFF' and _is_raw(file)):
        raise ImageError("is a camera's raw photograph, of which only the preview could be read: convert it to JPEG or TIFF, "
                         'with darktable or RawTherapee')
    if not kind:
        raise ImageError(f'is not an image ({", ".join(_TAKEN)})')
    return _opened(file, max_side, (kind,), f'is damaged, cut off, or a kind of {kind} that cannot be read')


def _is_raw(file: BinaryIO) -> bool:
    """Return whether a TIFF file is a raw photograph: Pillow shows its preview as if it were the photograph."""
    def tags(at: int) -> ImageFileDirectory_v2:
        directory = ImageFileDirectory_v2(head)
        file.seek(at)
        directory.load(file)
        return directory

    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of damaged tags
            head = file.read(8)
            first = tags(ImageFileDirectory_v2(head).next)
            below = np.atleast_1d(first.get(_SUB_IMAGES, ())).tolist()[:_MOST_SUB_IMAGES]
            return (_DNG_VERSION in first or bool(first.get(_SUBFILE_TYPE, 0) & _PREVIEW)
                    or any(each.get(_PHOTOMETRIC) in _SENSOR for each in (first, *map(tags, below))))
    except PILLOW_ERRORS:
        return False  # cut off: Pillow tells
    finally:
        file.seek(0)


def _opened(file: BinaryIO, max_side: int, formats: tuple[str, ...], problem: str) -> PIL.Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of damaged tags, and of sizes: the limit here is another
            image = PIL.Image.open(file, formats=formats)
    except PIL.Image.DecompressionBombError as error:
        raise ImageError(f'is too large an image ({error})') from error
    except PILLOW_ERRORS as error:
        raise ImageError(problem) from error
    width, height = image.size
    if not (0 < width <= max_side and 0 < height <= max_side):
        image.close()
        raise ImageError(f'is an image of {width}x{height} pixels: each side must be 1 to {max_side}')
    return image


def upright(image: PIL.Image.Image, what: str = 'an image') -> Array:
    """
    Return an opened image, the right way up, its colours in sRGB.

    :param what: its name in the log.
    :returns: (height, width, 3) uint8, blue green red; (height, width, 4), the last is alpha, where it has transparent parts.
    :raises PILLOW_ERRORS: it is damaged.
    """
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of damaged tags
        image.load()
        seen = _in_8_bits(image)
        turn = None
        with contextlib.suppress(*PILLOW_ERRORS):  # of damaged tags
            turn = _TURNED.get(image.getexif().get(_ORIENTATION))
        if turn is not None:
            seen = seen.transpose(turn)
    if image.info.get('icc_profile'):
        seen = _in_srgb(seen, image.info['icc_profile'], what)
    has_alpha = 'A' in seen.getbands() or 'transparency' in seen.info
    mode = 'RGBA' if has_alpha else 'RGB'
    pixels = np.asarray(seen if seen.mode == mode else seen.convert(mode))  # convert() would copy it: much for 200 megapixels
    if has_alpha and pixels[..., 3].min() < 255:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA), np.uint8)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGR if has_alpha else cv2.COLOR_RGB2BGR), np.uint8)


def _in_8_bits(image: PIL.Image.Image) -> PIL.Image.Image:
    """Return an image with values in 0..255; ``convert`` would clip brighter ones."""
    if image.mode.startswith('I'):
        values = np.asarray(image).astype(np.int64)
        return PIL.Image.fromarray((np.clip(values, 0, 65535) >> 8).astype(np.uint8))
    if image.mode == 'F':
        values = np.nan_to_num(np.asarray(image))
        white = next((white for white in (1, 255) if values.max() <= white), 65535)  # which of the usual ranges they are of
        return PIL.Image.fromarray(np.clip(values * (255 / white), 0, 255).astype(np.uint8))
    return image


def _in_srgb(image: PIL.Image.Image, profile: bytes, what: str) -> PIL.Image.Image:
    """Return an image in sRGB; unchanged if its colour profile cannot be used."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if 'srgb' in (ImageCms.getProfileDescription(source) or '').lower():
            return image
        alpha = image.convert('RGBA').getchannel('A') if 'A' in image.getbands() or 'transparency' in image.info else None
        color = image if image.mode in ('CMYK', 'L', 'LAB') else image.convert('L' if image.mode == 'LA' else 'RGB')
        made = ImageCms.profileToProfile(color, source, ImageCms.createProfile('sRGB'), outputMode='RGB')
        if made is None:
            raise ValueError('no result')
        if alpha is not None:
            made.putalpha(alpha)
        return made
    except (ImportError, ImageCms.PyCMSError, *PILLOW_ERRORS) as error:
        _LOGGER.warning('%s has a colour profile that cannot be used (%s): its colours are taken as sRGB', what, error)
        return image


def _first_jpeg(data: bytes, width: int, height: int) -> bytes:
    """
    Return the first image of a JPEG file: telephones put a video or more images behind it.

    :raises ImageError: its size needs more bytes than it has, or it has too many scans.
    """
    at, scans = 2, 0
    while at + 4 <= len(data) and data[at] == 0xff and data[at + 1] != 0xd9:
        if data[at + 1] in (0xff, 0x01, *range(0xd0, 0xd9)):  # no length follows
            at += 1 if data[at + 1] == 0xff else 2
            continue
        scans += data[at + 1] == 0xda
        at += 2 + int.from_bytes(data[at + 2:at + 4], 'big')
        if scans:
            found = _MARKER.search(data, at)
            at = found.start() if found else len(data)
    first = data[:at + 2]
    if first[at:] != _END:  # damaged: the decoder may still read it, and find more scans
        first, scans = data, data.count(b'\xff\xda')
    if width * height > _MAX_PIXELS_PER_BYTE * len(first) or scans > _MAX_SCANS:
        raise ImageError(f'is damaged: {width}x{height} pixels in {len(first)} bytes, {scans} scans')
    return first


def _without_animation(png: bytes) -> bytes:
    """
    Return a PNG that has only its image.

    OpenCV 4.11 and 4.12 crash if the first image of an animation is damaged (opencv issue 27744). For a truncated chunk they
    allocate the memory that its header names.

    :raises ImageError: it is truncated.
    """
    view, end, name = memoryview(png), len(PNG_BEGIN), b''
    kept: list[bytes | memoryview] = [PNG_BEGIN]
    while name != b'IEND':
        begin, end = end, end + 12 + int.from_bytes(view[end:end + 4], 'big')
        if end > len(view):
            raise ImageError('cannot be decoded: truncated')
        name = bytes(view[begin + 4:begin + 8])
        if name[:1].isupper() or name == b'eXIf':  # what a decoder must know, and which side is up
            kept.append(view[begin:end])
    return b''.join(kept)

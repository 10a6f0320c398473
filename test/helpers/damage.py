# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Bad input for the tests: damaged pictures and models, and what a setting allows."""

from __future__ import annotations

import contextlib
import io
import random
import re
import struct
import zlib

import cv2
import numpy as np
import PIL.Image
from conftest import ASTRONAUT
from fuzz.promises import mended
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from self_segmentation.io.assets import model_path

ONES = [0, 1, 2, 127, 128, 255]
NUMBERS = [0, 1, 2, 7, 255, 256, 8192, 8193, 30000, 65535, 65536, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]


def many(examples: int):
    """The same examples every time, without a clock."""
    return settings(max_examples=examples, deadline=None, derandomize=True, database=None,
                    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


def encoded(kind: str, mode: str = 'RGB', **more) -> bytes:
    """A part of the astronaut."""
    with PIL.Image.open(ASTRONAUT) as whole:
        picture = whole.convert('RGB').resize((48, 32))
    if more.pop('animated', False):
        more |= {'save_all': True, 'append_images': [picture.rotate(90)], 'duration': 100}  # Pillow 9 has no default for WebP
    if mode == 'I;16':
        picture = PIL.Image.fromarray(np.asarray(picture.convert('L')).astype(np.uint16) * 257)
    picture.convert(mode).save(file := io.BytesIO(), kind, **more)
    return file.getvalue()


EXIF = b'Exif\0\0MM\0*\0\0\0\x08\0\1' + struct.pack('>HHII', 0x10e, 2, 41, 26) + bytes(4) + b'x' * 41
JPEGS = [encoded('JPEG', **more) for more in ({}, {'mode': 'L'}, {'progressive': True}, {'exif': EXIF})]
PNGS = [encoded('PNG', animated=True), *(encoded('PNG', mode) for mode in ('RGB', 'L', 'P', 'RGBA', '1', 'I;16'))]
OTHERS = [encoded(kind, **more) for kind, more in (
    ('BMP', {}), ('BMP', {'mode': 'P'}), ('WEBP', {}), ('WEBP', {'lossless': True}), ('WEBP', {'animated': True}),
    ('TIFF', {}), ('TIFF', {'compression': 'tiff_lzw'}), ('TIFF', {'compression': 'jpeg'}), ('TIFF', {'mode': 'I;16'}))]
if cv2.imdecode(np.frombuffer(OTHERS[4], np.uint8), cv2.IMREAD_COLOR) is None:
    del OTHERS[4]  # Ubuntu 22.04's OpenCV reads no animated WebP


@st.composite
def damaged(draw, contents: list[bytes], head: int = 400) -> bytes:
    """One of the contents with a few changes, most of them near its beginning; a PNG's check sums may be right again."""
    content = bytearray(draw(st.sampled_from(contents)))
    for _ in range(draw(st.integers(1, 4))):
        length = len(content)
        at = draw(st.integers(0, max(0, min(length, draw(st.sampled_from([64, head, 2 ** 20]))) - 1)))
        change = draw(st.sampled_from(['set', 'set', 'number', 'number', 'insert', 'delete', 'copy', 'cut']))
        if change == 'set':
            content[at:at + 1] = bytes([draw(st.sampled_from(ONES) | st.integers(0, 255))])
        elif change == 'number':
            form = draw(st.sampled_from(['>I', '<I', '>H', '<H']))
            size = struct.calcsize(form)
            content[at:at + size] = struct.pack(form, draw(st.sampled_from(NUMBERS)) % 256 ** size)
        elif change == 'insert':
            content[at:at] = draw(st.binary(min_size=1, max_size=20))
        elif change == 'delete':
            del content[at:at + draw(st.integers(1, 40))]
        elif change == 'copy':
            begin = draw(st.integers(0, length))
            content[at:at] = content[begin:begin + draw(st.integers(1, 200))]
        else:
            del content[draw(st.integers(0, length)):]
    content = bytes(content)
    return mended(content) if content[:4] == b'\x89PNG' and draw(st.booleans()) else content


def with_wrong_filter(png: bytes) -> bytes:
    """A PNG whose first row is filtered in a way that there is not."""
    at = png.index(b'IDAT')
    length, = struct.unpack_from('>I', png, at - 4)
    rows = zlib.compress(b'M' + zlib.decompress(png[at + 4:at + 4 + length])[1:])
    return mended(png[:at - 4] + struct.pack('>I', len(rows)) + b'IDAT' + rows + png[at + 4 + length:])


def model_of_size(width: int, height: int) -> bytes:
    content = model_path('landscape').read_bytes()
    for channels in (3, 1):
        content = content.replace(struct.pack('<4i', 1, 144, 256, channels), struct.pack('<4i', 1, height, width, channels))
    return content


def changed(content: bytes, at: int, value: int) -> bytes:
    return content[:at] + struct.pack('<i', value) + content[at + 4:]


def damaged_models() -> dict[str, bytes]:
    """Most of them end the process that has MediaPipe load them: what is damaged passes for a flatbuffer."""
    whole = model_path('landscape').read_bytes()
    return {
        'without_metadata': whole.replace(b'TFLITE_METADATA', b'TFLITE_METADATO'),
        'wrong_operand': changed(whole, 217600, 1),
        'wrong_shape': changed(whole, 233092, 100000),
        'noise_in_the_weights': whole[:100000] + random.Random(1).randbytes(99) + whole[100099:],
    }


def is_allowed(tunable, value) -> bool:
    """By what the tunable says in words."""
    kind = type(tunable.default)
    if tunable.name == 'background.type' and value in ('image', 'video'):
        return False  # without its file
    if tunable.choices or kind in (bool, str):
        return type(value) is kind and value in (tunable.choices or [value])
    if kind is tuple and isinstance(value, str):
        parts = re.fullmatch(r'[\[( ]*(\d+) *, *(\d+) *, *(\d+)[\]) ]*', value, re.ASCII)
        return bool(re.fullmatch('#[0-9a-fA-F]{6}', value) or parts and all(int(part) <= 255 for part in parts.groups()))
    if kind is tuple:
        return (isinstance(value, (list, tuple, bytes)) and len(value) == 3
                and all(type(part) is int and 0 <= part <= 255 for part in value))
    if kind is float and type(value) is str and re.fullmatch(r'[-+.0-9eE]+', value):
        with contextlib.suppress(ValueError):
            value = float(value)
    return type(value) in {kind, int} and tunable.minimum <= value <= tunable.maximum and (
        kind is float or (value - tunable.minimum) % tunable.step == 0)

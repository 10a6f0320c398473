# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
What holds for any input, however damaged: a result of the promised form or the package's own error, which names the value.

``python -m fuzz.targets FILE ...`` in test/ runs inputs that are kept in test/data/fuzz/TARGET/ and prints each, and by how
many MB it raised the most memory that was ever taken.
"""

from __future__ import annotations

import array
import resource
import struct
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from fuzz.promises import mended, settings_of, soon
from sensor_msgs.msg import CompressedImage, Image

from self_segmentation.errors import ImageError, masked
from self_segmentation.io.decoding import MAX_SIDE
from self_segmentation.nodes.messages import compressed_to_bgr, to_bgr

__all__ = ['TARGETS', 'message_of_input', 'input_of_message', 'read']

_RAW, _COMPRESSED, _MENDED = range(3)


def read(message: Image | CompressedImage) -> np.ndarray | None:
    """Return the picture of a message, None where it was refused with its own values. Nothing else is said: frames are many."""
    with soon(), warnings.catch_warnings():
        warnings.simplefilter('error')
        try:
            if isinstance(message, Image):
                named = [f'{message.width}x{message.height}', repr(message.encoding[:100]), f'step = {message.step}']
                picture = to_bgr(message)
            else:
                named = [masked(f'format = {message.format[:100]!r} and {len(message.data)} bytes')]
                picture = compressed_to_bgr(message)
        except ImageError as error:
            assert any(name in str(error) for name in named), f'{error} names none of {named}'
            return None
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3, (picture.dtype, picture.shape)
    assert 0 < picture.shape[0] <= MAX_SIDE and 0 < picture.shape[1] <= MAX_SIDE, picture.shape
    if isinstance(message, Image):
        assert picture.shape[:2] == (message.height, message.width), picture.shape
    return picture


def input_of_message(message: Image | CompressedImage, mend: bool = False) -> bytes:
    """Return the input of the target ``codec`` that stands for a message; with ``mend`` a PNG's check sums stay right."""
    if isinstance(message, Image):
        name = message.encoding.encode()
        head = struct.pack('<BIIIB', _RAW, message.width, message.height, message.step, message.is_bigendian)
    else:
        name, head = message.format.encode(), bytes([_MENDED if mend else _COMPRESSED])
    return head + bytes([len(name)]) + name + message.data.tobytes()


def message_of_input(data: bytes) -> Image | CompressedImage:
    """Return the message that an input of the target ``codec`` stands for."""
    kind, data = data[0] % 3 if data else _RAW, data[1:]
    fields = {}
    if kind == _RAW:
        data = data.ljust(13, b'\0')
        fields = dict(zip(('width', 'height', 'step', 'is_bigendian'), struct.unpack_from('<IIIB', data)))
        data = data[13:]
    length = data[0] if data else 0
    name, data = data[1:1 + length].decode(errors='replace'), data[1 + length:]
    if kind == _RAW:
        return Image(encoding=name, data=array.array('B', data), **fields)
    return CompressedImage(format=name, data=array.array('B', mended(data) if kind == _MENDED else data))


def _codec(data: bytes) -> None:
    read(message_of_input(data))


def _settings(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix='.yaml') as file:
        file.write(data)
        file.flush()
        settings_of(Path(file.name))


TARGETS: dict[str, Callable[[bytes], None]] = {'codec': _codec, 'settings': _settings}


if __name__ == '__main__':
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for path in map(Path, sys.argv[1:]):
        TARGETS[path.parent.name](path.read_bytes())
        before, most = most, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(path.name, (most - before) // 1024, flush=True)

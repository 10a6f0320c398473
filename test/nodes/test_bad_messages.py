# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
Bad images in messages: the promised result, or the package's own error that names the value; nothing else, and soon.

The promises themselves are in fuzz/targets.py, where ``make fuzz`` takes them from.
"""
import array
import random
import resource
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT, background_of
from damage import JPEGS, NUMBERS, PNGS, damaged, many
from fuzz.promises import mended
from fuzz.targets import TARGETS, read
from hypothesis import example, given
from hypothesis import strategies as st
from sensor_msgs.msg import CompressedImage, Image

from self_segmentation.nodes.messages import ENCODINGS
from self_segmentation.settings import Settings

pytestmark = pytest.mark.slow

KEPT = sorted((ROOT / 'test' / 'data' / 'fuzz').glob('*/*'))
HALF_PLANAR, PLANAR = ('nv12', 'nv21'), 'nv24'
BAYER = ['rggb', 'bggr', 'gbrg', 'grbg']
BYTES = {**dict.fromkeys(['bgr8', 'rgb8', '8UC3'], 3), **dict.fromkeys(['bgra8', 'rgba8', '8UC4'], 4),
         **dict.fromkeys(['mono8', '8UC1', *HALF_PLANAR, PLANAR, *(f'bayer_{order}8' for order in BAYER)], 1),
         **dict.fromkeys(['bgr16', 'rgb16', '16UC3'], 6), **dict.fromkeys(['bgra16', 'rgba16', '16UC4'], 8)}  # two for all others
DEEP = ['mono16', 'bgr16', 'rgb16', 'bgra16', 'rgba16', '16UC1', '16UC3', '16UC4', *(f'bayer_{order}16' for order in BAYER)]
FOREIGN = ['32FC1', 'nv42', '8UC9999', '16SC3', '16UC2', '8UC2']
sizes = st.integers(1, 40) | st.sampled_from(NUMBERS)


def least(encoding: str, width: int, height: int, step: int) -> int:
    """How many bytes an image takes at least: its last row need not have the padding."""
    if encoding == PLANAR:
        return step * (3 * height - 2) + 2 * width
    return step * ((height * 3 // 2 if encoding in HALF_PLANAR else height) - 1) + width * BYTES.get(encoding, 2)


@st.composite
def images(draw) -> Image:
    """Messages of which some are right, and most are wrong in a field or two."""
    encoding = draw(st.sampled_from([*ENCODINGS, PLANAR, *DEEP]) | st.sampled_from(FOREIGN) | st.text(max_size=9))
    width, height = draw(sizes), draw(sizes)
    row = min(width * BYTES.get(encoding, 2), 2 ** 20)
    step = draw(st.sampled_from([row, row + 5, max(0, row - 1)]) | st.integers(0, 200) | st.sampled_from(NUMBERS))
    enough = least(encoding, width, height, step)
    length = draw(st.sampled_from([enough, enough + step - row, enough - 1, 0]) | st.integers(0, 4000))
    return Image(width=width, height=height, encoding=encoding, step=step, is_bigendian=draw(st.sampled_from([0, 1, 255])),
                 data=array.array('B', bytes(max(0, min(length, 2 ** 16)))))


def is_right(message: Image) -> bool:
    """Whether a message in one of our own encodings holds its picture, by the definition of sensor_msgs/Image."""
    half = message.encoding in HALF_PLANAR
    pairs = message.encoding in ('yuv422', 'yuv422_yuy2', 'yuyv', 'uyvy') or half
    return (0 < message.width <= 8192 and 0 < message.height <= 8192
            and message.step >= message.width * BYTES.get(message.encoding, 2)
            and len(message.data) >= least(message.encoding, message.width, message.height, message.step)
            and not (pairs and message.width % 2) and not (half and message.height % 2))


@many(800)
@given(images())
def test_decodes_or_refuses_any_image_message(message):
    picture = read(message)
    if message.encoding in [*ENCODINGS, PLANAR, *DEEP]:
        assert (picture is not None) == is_right(message)


def compressed(data: bytes, kind: str = 'jpeg') -> CompressedImage:
    return CompressedImage(format=kind, data=array.array('B', data))


@many(1000)
@given(damaged(JPEGS + PNGS), st.sampled_from(['jpeg', 'png', 'rgb8; jpeg compressed bgr8']) | st.text(max_size=20))
def test_decodes_or_refuses_damaged_compressed_message(data, kind):
    read(compressed(data, kind))


@many(300)
@given(st.binary(max_size=300), st.sampled_from([b'', b'\xff\xd8', b'\x89PNG\r\n\x1a\n', PNGS[0][:33], JPEGS[0][:200]]))
def test_decodes_or_refuses_noise_after_image_header(noise, beginning):
    read(compressed(beginning + noise))


def test_decodes_undamaged_compressed_message_like_file(tmp_path):
    """Without it the tests of damaged ones could all pass by refusing everything."""
    for content in JPEGS + PNGS:
        (tmp_path / 'picture').write_bytes(content)
        settings = Settings().updated({'background.type': 'image', 'background.image': str(tmp_path / 'picture')})
        picture = read(compressed(content))
        assert picture.std() > 10 and np.array_equal(picture, background_of(settings).behind(picture)), content[:100]


def sized(content: bytes, width: int, height: int) -> bytes:
    """A JPEG or PNG whose header says that it has another size."""
    if content in PNGS:
        return mended(content[:16] + struct.pack('>II', width, height) + content[24:])
    at = max(content.find(b'\xff\xc0'), content.find(b'\xff\xc2')) + 5
    return content[:at] + struct.pack('>HH', height % 65536, width % 65536) + content[at + 4:]


@many(300)
@given(st.sampled_from(JPEGS + PNGS), sizes, sizes)
@example(JPEGS[0], 8192, 8192)
@example(PNGS[0], 8192, 8192)
def test_false_size_in_header_takes_no_memory(content, width, height):
    data = sized(content, width, height)
    picture = read(compressed(data))
    assert picture is None or picture.size <= 3 * 512 * len(data)


def test_refuses_jpeg_with_too_many_scans():
    """A scan of 10 bytes costs the time of a whole picture: thousands of them stop a node for minutes."""
    content = cv2.imencode('.jpg', np.zeros((2048, 2048), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    assert read(compressed(content)) is not None
    last = content.rindex(b'\xff\xda')
    assert read(compressed(content[:-2] + content[last:last + 10] * 5000 + b'\xff\xd9')) is None


def test_refuses_truncated_png():
    for content in PNGS:
        for kept in range(0, len(content) - 12, 7):
            assert read(compressed(content[:kept])) is None


def test_fuzz_regressions_stay_fixed():
    """In a process of its own, which some of them ended. None takes more memory than a picture of its length can need."""
    assert {path.parent.name for path in KEPT} == set(TARGETS)
    done = subprocess.run([sys.executable, '-m', 'fuzz.targets', *KEPT], capture_output=True, text=True, cwd=ROOT / 'test')
    lines = [line.split() for line in done.stdout.splitlines()]
    assert done.returncode == 0, f'{KEPT[len(lines)]} broke a promise ({done.returncode}): {done.stderr[-3000:]}'
    assert [name for name, _ in lines] == [path.name for path in KEPT]
    assert max((int(megabytes), name) for name, megabytes in lines) < (60,), lines


def test_damaged_images_leak_no_memory():
    dice = random.Random(1)

    def read_damaged(times: int) -> float:
        for _ in range(times):
            content = bytearray(dice.choice(JPEGS + PNGS))
            for _ in range(3):
                content[dice.randrange(len(content))] = dice.randrange(256)
            read(compressed(mended(bytes(content)) if dice.random() < 0.5 else bytes(content)))
        return int(Path('/proc/self/statm').read_text().split()[1]) * resource.getpagesize() / 1e6

    before = read_damaged(500)
    assert read_damaged(2000) < before + 10

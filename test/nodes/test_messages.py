# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
import array
import itertools
import tracemalloc

import cv2
import numpy as np
import pytest
from conftest import ONE_PIXEL
from ros import message_of, picture_of
from sensor_msgs.msg import CompressedImage, Image

from self_segmentation.errors import ImageError
from self_segmentation.io.decoding import MAX_SIDE
from self_segmentation.nodes.messages import ENCODINGS, BitDepth, ImageWriter, compressed_to_bgr, to_bgr

BAYER = ['rggb', 'bggr', 'gbrg', 'grbg']
PADDINGS = [0, 1, 7, 64]
SIZES = [(6, 8), *ONE_PIXEL, (5, 7), (480, 641), (3, 2)]
EVEN_SIZES = [(6, 8), (2, 2), (480, 642)]


# Bytes of a pixel in a row.
BYTES = {**dict.fromkeys([*ENCODINGS, 'mono16', '16UC1'], 2), **dict.fromkeys(['bgr8', 'rgb8', '8UC3'], 3),
         **dict.fromkeys(['bgra8', 'rgba8', '8UC4'], 4), **dict.fromkeys(['mono8', '8UC1', 'nv12', 'nv21', 'nv24'], 1),
         **dict.fromkeys(['bgr16', 'rgb16', '16UC3'], 6), **dict.fromkeys(['bgra16', 'rgba16', '16UC4'], 8),
         **{f'bayer_{order}8': 1 for order in BAYER}, **{f'bayer_{order}16': 2 for order in BAYER}}


def noise(*shape) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(0, 256, shape, np.uint8)


def from_yuv(y, u, v) -> np.ndarray:
    """Studio-range BT.601, by its definition; blue green red."""
    y, u, v = 1.164 * (y.astype(float) - 16), u.astype(float) - 128, v.astype(float) - 128
    return np.clip(np.stack([y + 2.018 * u, y - 0.391 * u - 0.813 * v, y + 1.596 * v], axis=-1), 0, 255)


def assert_close(picture, expected, tolerance=2):
    assert (picture.shape, picture.dtype) == (expected.shape, np.uint8)
    assert np.abs(picture.astype(float) - expected).max() <= tolerance


def by_cv_bridge(message) -> np.ndarray:
    return pytest.importorskip('cv_bridge').CvBridge().imgmsg_to_cv2(message, 'bgr8')


def refused(message) -> str:
    with pytest.raises(ImageError) as raised:
        to_bgr(message)
    return str(raised.value)


@pytest.mark.parametrize('encoding, order', [('bgr8', [0, 1, 2]), ('rgb8', [2, 1, 0]),
                                             ('bgra8', [0, 1, 2]), ('rgba8', [2, 1, 0]), ('8UC3', [0, 1, 2]),
                                             ('8UC4', [0, 1, 2])])
def test_reorders_colour_channels_and_cuts_padding(encoding, order):
    for size, padding in itertools.product(SIZES, PADDINGS):
        pixels = noise(*size, BYTES[encoding])
        picture = to_bgr(message_of(pixels, encoding, padding))
        assert picture.dtype == np.uint8 and np.array_equal(picture, pixels[..., order]), (size, padding)


@pytest.mark.parametrize('encoding', ['mono8', '8UC1'])
def test_grey_becomes_three_equal_channels(encoding):
    for size, padding in itertools.product(SIZES, PADDINGS):
        pixels = noise(*size)
        expected = np.stack([pixels] * 3, axis=-1)
        assert np.array_equal(to_bgr(message_of(pixels, encoding, padding)), expected), (size, padding)


@pytest.mark.parametrize('encoding, channels', [('bgr8', 3), ('rgb8', 3), ('bgra8', 4), ('rgba8', 4), ('mono8', 1)])
def test_conversion_matches_cv_bridge(encoding, channels):
    for size in SIZES:
        message = message_of(noise(*size, channels) if channels > 1 else noise(*size), encoding)
        assert np.array_equal(to_bgr(message), by_cv_bridge(message)), size


@pytest.mark.parametrize('size', EVEN_SIZES)
@pytest.mark.parametrize('encoding, places', [('yuv422_yuy2', (0, 1, 3)), ('yuyv', (0, 1, 3)), ('yuv422', (1, 0, 2)),
                                              ('uyvy', (1, 0, 2))])
def test_decodes_luma_and_chroma_of_packed_yuv(encoding, places, size):
    height, width = size
    y, u, v = noise(height, width).clip(16), noise(height, width // 2), np.flip(noise(height, width // 2))
    first, at_u, at_v = places
    packed = np.zeros((height, width // 2, 4), np.uint8)
    packed[..., first], packed[..., first + 2], packed[..., at_u], packed[..., at_v] = y[:, ::2], y[:, 1::2], u, v
    expected = from_yuv(y, u.repeat(2, axis=1), v.repeat(2, axis=1))
    for padding in PADDINGS:
        assert_close(to_bgr(message_of(packed.reshape(height, width, 2), encoding, padding)), expected)


@pytest.mark.parametrize('size', EVEN_SIZES)
@pytest.mark.parametrize('encoding, at_u, at_v', [('nv12', 0, 1), ('nv21', 1, 0)])
def test_decodes_chroma_plane_of_half_size(encoding, at_u, at_v, size):
    height, width = size
    y, chroma = noise(height, width).clip(16), noise(height // 2, width // 2, 2)
    large = chroma.repeat(2, axis=0).repeat(2, axis=1)
    expected = from_yuv(y, large[..., at_u], large[..., at_v])
    for padding in PADDINGS:
        message = message_of(np.vstack([y, chroma.reshape(height // 2, width)]), encoding, padding, height=height)
        message.data = message.data[:len(message.data) - padding]  # the last row need not have it
        assert_close(to_bgr(message), expected)


@pytest.mark.parametrize('padding', PADDINGS)
@pytest.mark.parametrize('size', SIZES)
def test_decodes_chroma_plane_of_nv24(size, padding):
    """It has all pixels, in rows of two bytes a pixel: twice as long as those of the luma, as V4L2 and libcamera have it."""
    y, chroma = noise(*size).clip(16), noise(*size, 2)
    message = message_of(y, 'nv24', padding)
    message.data += message_of(chroma, 'nv24', 2 * padding).data
    for kept in (len(message.data), len(message.data) - 2 * padding):
        message.data = message.data[:kept]
        assert_close(to_bgr(message), from_yuv(y, chroma[..., 0], chroma[..., 1]))
    message.data = message.data[:-1]
    assert f'{len(message.data)} bytes' in refused(message) and f'takes {3 * size[0] * message.step}' in refused(message)
    message.step = size[1] - 1
    assert f'at least {size[1]} bytes' in refused(message)


@pytest.mark.parametrize('encoding', ['mono16', '16UC1'])
@pytest.mark.parametrize('big', [False, True])
@pytest.mark.parametrize('padding', [0, 1, 6])
def test_mono16_uses_upper_byte_in_either_byte_order(encoding, big, padding):
    values = np.array([[0, 255, 256, 257], [0x1234, 0x8000, 0xff00, 0xffff], [1, 2, 3, 0xabcd]], '>u2' if big else '<u2')
    message = message_of(values[..., None].view(np.uint8).reshape(3, 4, 2), encoding, padding, is_bigendian=big)
    assert np.array_equal(to_bgr(message), np.stack([(values >> 8).astype(np.uint8)] * 3, axis=-1))


@pytest.mark.parametrize('bits, shift', [(10, 2), (12, 4), (14, 6), (16, 8)])
@pytest.mark.parametrize('big', [False, True])
def test_mono16_uses_bit_depth_of_camera(bits, shift, big):
    values = np.array([[0, 5, (1 << bits) - 1, 1 << (bits - 1)]], '>u2' if big else '<u2')
    said = []
    depth = BitDepth(lambda *change: said.append(change))
    message = message_of(values[..., None].view(np.uint8).reshape(1, 4, 2), 'mono16', is_bigendian=big)
    for _ in range(2):
        assert np.array_equal(to_bgr(message, depth)[..., 0], values >> shift)
    assert said == [(bits, (1 << bits) - 1)]


def test_bit_depth_grows_with_brightest_value_only():
    said = []
    depth = BitDepth(lambda *change: said.append(change))
    used = [depth.of(np.array([[0, brightest]], np.uint16)) for brightest in (0, 1023, 1024, 12, 65535, 3)]
    assert used == [10, 10, 12, 12, 16, 16]
    assert said == [(10, 0), (12, 1024), (16, 65535)]


@pytest.mark.parametrize('encoding, order', [('bgr16', [0, 1, 2]), ('rgb16', [2, 1, 0]), ('bgra16', [0, 1, 2]),
                                             ('rgba16', [2, 1, 0]), ('16UC3', [0, 1, 2]), ('16UC4', [0, 1, 2])])
@pytest.mark.parametrize('big', [False, True])
@pytest.mark.parametrize('bits, shift', [(12, 4), (16, 8)])
def test_deep_colours_use_bit_depth_of_camera(bits, shift, big, encoding, order):
    channels = BYTES[encoding] // 2
    values = np.random.default_rng(bits).integers(0, 1 << bits, (5, 7, channels), np.uint16).astype('>u2' if big else '<u2')
    values[0, 0, :3] = (1 << bits) - 1
    values[..., 3:] = 65535  # alpha says nothing of the camera
    picture = to_bgr(message_of(values, encoding, 6, is_bigendian=big))
    assert picture.dtype == np.uint8 and np.array_equal(picture, (values >> shift)[..., order])


@pytest.mark.parametrize('bits, shift', [(10, 2), (12, 4), (16, 8)])
@pytest.mark.parametrize('channels', [1, 3, 4])
def test_png_of_16_bits_uses_bit_depth_of_camera(bits, shift, channels):
    values = np.full((4, 5, channels), 1 << (bits - 1), np.uint16)
    values[0, 0] = (1 << bits) - 1
    message = CompressedImage(format='mono16; png compressed ', data=cv2.imencode('.png', values)[1].tobytes())
    depth, said = BitDepth(lambda *change: said.append(change)), []
    for _ in range(2):
        picture = compressed_to_bgr(message, depth)
        assert picture.dtype == np.uint8 and np.array_equal(picture, np.broadcast_to(values[..., :3] >> shift, (4, 5, 3)))
    assert said == [(bits, (1 << bits) - 1)]


@pytest.mark.parametrize('order', ['rggb', 'bggr', 'gbrg'])  # the fourth one it does not know
def test_bayer_matches_cv_bridge(order):
    message = message_of(noise(12, 16), f'bayer_{order}8')
    assert np.array_equal(to_bgr(message), by_cv_bridge(message))


@pytest.mark.parametrize('order', BAYER)
@pytest.mark.parametrize('bits', [8, 16])
def test_every_bayer_order_keeps_uniform_colour(bits, order):
    for color, padding in itertools.product([(200, 0, 0), (0, 200, 0), (0, 0, 200)], [0, 6]):
        mosaic = np.zeros((12, 16), np.uint8)
        for place, letter in enumerate(order):
            mosaic[place // 2::2, place % 2::2] = color['bgr'.index(letter)]
        values = mosaic if bits == 8 else (mosaic.astype('<u2') << 8)[..., None].view(np.uint8).reshape(12, 16, 2)
        assert (to_bgr(message_of(values, f'bayer_{order}{bits}', padding))[2:-2, 2:-2] == color).all(), (color, padding)


def test_every_encoding_is_tested():
    assert set(ENCODINGS) == {'bgr8', 'rgb8', 'bgra8', 'rgba8', 'mono8', '8UC3', '8UC4', '8UC1', 'yuv422_yuy2', 'yuyv', 'yuv422',
                              'uyvy', 'nv12', 'nv21', *(f'bayer_{order}8' for order in BAYER)}


@pytest.mark.parametrize('encoding', ['yuv422_yuy2', 'yuyv', 'yuv422', 'uyvy', 'nv12', 'nv21'])
def test_refuses_odd_size_of_subsampled_encodings(encoding):
    message = message_of(noise(6, 7, 2), encoding)
    assert encoding in refused(message) and '7x6' in refused(message) and 'even' in refused(message)
    if encoding in ('nv12', 'nv21'):
        message.width, message.height = 6, 7
        assert '6x7' in refused(message)


@pytest.mark.parametrize('encoding', [*ENCODINGS, 'nv24', 'mono16', 'rgba16', 'nonsense'])
def test_refuses_zero_or_absurd_size_without_allocating(encoding):
    for width, height in ((0, 0), (0, 480), (640, 0), (20000, 20000), (MAX_SIDE + 1, 1), (1, MAX_SIDE + 1),
                          (2 ** 32 - 1, 2 ** 32 - 1)):
        message = Image(width=width, height=height, step=min(width * 4, 2 ** 32 - 1), encoding=encoding)
        message.data = array.array('B', bytes(100))
        tracemalloc.start()
        reason = refused(message)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert f'{width}x{height}' in reason and str(MAX_SIDE) in reason and peak < 1e6


def test_accepts_largest_size():
    for size in ((1, MAX_SIDE), (MAX_SIDE, 1)):
        assert to_bgr(message_of(noise(*size), 'mono8')).shape == (*size, 3)


@pytest.mark.parametrize('encoding', [*ENCODINGS, 'mono16', '16UC1', 'rgb16'])
def test_refuses_short_data_with_its_length(encoding):
    message = message_of(noise(6, 8, 6), encoding)
    message.step = 8 * BYTES[encoding]
    whole = message.step * (9 if encoding in ('nv12', 'nv21') else 6)
    message.data = message.data[:whole]
    to_bgr(message)
    for kept in (whole - 1, 1, 0):
        message.data = message.data[:kept]
        assert f'{kept} bytes' in refused(message) and encoding in refused(message) and '8x6' in refused(message)


@pytest.mark.parametrize('encoding', [*ENCODINGS, 'mono16', 'rgba16', 'bayer_rggb16'])
def test_padding_of_last_row_is_optional(encoding):
    half = encoding in ('nv12', 'nv21')
    message = message_of(noise(9 if half else 6, 8 * BYTES[encoding]), encoding, 11, width=8, height=6)
    expected = to_bgr(message)
    message.data = message.data[:-11]
    assert np.array_equal(to_bgr(message), expected)


def test_error_does_not_repeat_all_of_a_foreign_text():
    message = message_of(noise(4, 6), 'x' * 1_000_000)
    assert len(refused(message)) < 2000
    with pytest.raises(ImageError) as raised:
        compressed_to_bgr(CompressedImage(format='x' * 1_000_000, data=b'nothing'))
    assert len(str(raised.value)) < 2000


@pytest.mark.parametrize('encoding', [*ENCODINGS, 'nv24', 'mono16', 'rgba16'])
def test_refuses_step_below_row_length(encoding):
    message = message_of(noise(6, 8, 4), encoding)
    row = 8 * BYTES[encoding]
    for step in (0, 1, row - 1):
        message.step = step
        assert f'step = {step}' in refused(message) and str(row) in refused(message)


@pytest.mark.parametrize('encoding', ['nonsense', '', 'BGR8', 'jpeg', 'rgb', '32FC1', '8UC5'])
def test_refuses_unknown_encoding_with_known_ones(encoding):
    reason = refused(message_of(noise(4, 6, 4), encoding))
    assert repr(encoding) in reason and all(known in reason for known in [*ENCODINGS, 'nv24', 'mono16', 'rgba16'])


def test_refuses_short_data_of_cv_bridge_encoding():
    message = message_of(noise(12, 16, 2), '8UC2')
    message.data = message.data[:50]
    assert '8UC2' in refused(message)


def test_bgr8_is_zero_copy_and_read_only():
    for padding in (0, 8):
        message = message_of(noise(6, 8, 3), 'bgr8', padding)
        picture = to_bgr(message)
        assert np.shares_memory(picture, np.frombuffer(message.data, np.uint8)) and not picture.flags.writeable


@pytest.mark.parametrize('encoding, channels', [('bgr8', 3), ('mono8', 1)])
def test_image_writer_fills_message(encoding, channels):
    writer = ImageWriter(Image(), encoding)
    for height, width in ((5, 7), (480, 640), (5, 7)):
        pixels = noise(height, width, 3) if channels == 3 else noise(height, width)
        writer.pixels(width, height)[...] = pixels
        message = writer.message
        assert (message.height, message.width, message.step, message.encoding) == (height, width, width * channels, encoding)
        assert not message.is_bigendian and np.array_equal(picture_of(message), pixels)
        assert np.array_equal(to_bgr(message), pixels if channels == 3 else cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR))


def test_image_writer_reuses_buffer_until_size_changes():
    writer = ImageWriter(Image(), 'bgr8')
    first = writer.pixels(64, 48)
    place = writer.message.data.buffer_info()
    for value in (1, 2, 3):
        writer.pixels(64, 48)[...] = value
        assert np.shares_memory(first, writer.pixels(64, 48)) and writer.message.data.buffer_info() == place
        assert set(writer.message.data) == {value}
    assert writer.pixels(48, 64).shape == (64, 48, 3) and not np.shares_memory(first, writer.pixels(48, 64))

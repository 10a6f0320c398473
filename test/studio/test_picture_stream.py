# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Pictures for a page: those of one frame together, encoded when somebody takes them."""
import array
import random

import cv2
import numpy as np
import pytest
from conftest import unique
from ros import message_of
from sensor_msgs.msg import CompressedImage, Image

from self_segmentation.errors import ImageError
from self_segmentation.studio.picture_stream import Pictures, Topic, encoded


def decoded(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


class Source:
    """Two topics, and the pictures of both."""

    def __init__(self, graph, kinds=('input', 'output')) -> None:
        self.graph, self.wanted, self.bundles = graph, set(kinds), []
        self.senders = {kind: graph.node.create_publisher(Image, f'/{unique("stream")}', 20) for kind in kinds}
        self.pictures = Pictures(graph.node, lambda: self.wanted, self.bundles.append, width=1280, quality=80)
        self.topics = {kind: Topic(sender.topic_name, False) for kind, sender in self.senders.items()}
        self.pictures.subscribe(self.topics)
        graph.wait_until(lambda: all(each.get_subscription_count() == 1 for each in self.senders.values()), 'the subscriptions')

    def send(self, kind: str, second: int) -> None:
        message = message_of(np.full((48, 64, 3), second, np.uint8))
        message.header.stamp.sec = second
        self.senders[kind].publish(message)
        seen = len(self.pictures._frames), len(self.bundles), self.pictures.count
        self.graph.wait_until(lambda: (len(self.pictures._frames), len(self.bundles), self.pictures.count) != seen
                              or kind in self.pictures._frames.get((second, 0), {}), 'the picture to arrive')


@pytest.fixture
def source(graph):
    source = Source(graph)
    yield source
    source.pictures.subscribe({})


def test_pictures_of_one_frame_come_together(source):
    for second in (1, 2, 3):
        source.send('input', second)
    assert source.bundles == []
    source.send('output', 2)
    [bundle] = source.bundles
    assert bundle.stamp == 2 and bundle.pictures.keys() == {'input', 'output'}
    assert decoded(bundle.pictures['input']).mean() == pytest.approx(2, abs=1)


def test_nothing_is_encoded_that_nobody_takes(source):
    source.wanted = set()
    for kind in ('input', 'output'):
        source.send(kind, 1)
    assert source.bundles == [] and source.pictures.count == 1
    source.wanted = {'output'}
    for kind in ('input', 'output'):
        source.send(kind, 2)
    assert source.bundles[-1].pictures.keys() == {'output'}


def test_one_picture_is_shown_where_the_other_does_not_come(source):
    for second in range(1, 40):
        source.send('input', second)
    assert source.bundles and all(bundle.pictures.keys() == {'input'} for bundle in source.bundles)


def test_what_may_no_longer_be_shown_is_forgotten(source):
    source.send('input', 1)
    source.pictures.subscribe({'output': source.topics['output']})
    source.send('output', 1)
    assert [bundle.pictures.keys() for bundle in source.bundles] == [{'output'}]


@pytest.mark.parametrize('size, width, shown', [((1280, 720), 1280, (1280, 720)), ((1920, 1080), 1280, (960, 540)),
                                                ((3, 5000), 2, (1, 2500)), ((1, 1), 1280, (1, 1))])
def test_wider_pictures_are_sent_smaller(size, width, shown):
    found = decoded(encoded(message_of(np.zeros((size[1], size[0], 3), np.uint8)), width, 80))
    assert found.shape[1::-1] == shown


def test_transparent_pictures_show_checks():
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[:, 32:] = (0, 0, 255, 255)
    found = decoded(encoded(message_of(pixels, 'bgra8', padding=12), 1280, 95))
    assert len({round(value, -1) for value in found[8::16, 8:24:16].mean(axis=-1).ravel().tolist()}) == 2
    assert found[32, 48].tolist() == pytest.approx([0, 0, 254], abs=12)


def test_compressed_pictures_stay_as_they_are():
    data = bytes(cv2.imencode('.png', np.zeros((4, 4, 3), np.uint8))[1])
    assert encoded(CompressedImage(format='png', data=array.array('B', data)), 1280, 80) == data
    with pytest.raises(ImageError, match="format = 'svg'"):
        encoded(CompressedImage(format='svg', data=array.array('B', b'<svg onload="alert(1)"/>')), 1280, 80)


@pytest.mark.parametrize('encoding', ['bgr8', 'bgra8', 'rgba8'])
def test_shows_image_whose_last_row_has_no_padding(encoding):
    pixels = np.full((48, 64, len(encoding) - 1), 200, np.uint8)
    message = message_of(pixels, encoding, padding=12)
    expected = encoded(message, 1280, 95)
    message.data = message.data[:-12]
    assert encoded(message, 1280, 95) == expected


@pytest.mark.parametrize('bits', [10, 12, 16])
@pytest.mark.parametrize('is_compressed', [False, True])
def test_deep_image_is_as_bright_as_its_bits_allow(bits, is_compressed):
    values = np.full((48, 64), 1 << bits - 1, '<u2')
    values[:8] = (1 << bits) - 1
    message = message_of(values[..., None].view(np.uint8).reshape(48, 64, 2), 'mono16')
    if is_compressed:
        message = CompressedImage(format='mono16; png compressed ', data=cv2.imencode('.png', values)[1].tobytes())
    found = decoded(encoded(message, 1280, 95))
    assert found[16:].mean() == pytest.approx(128, abs=4) and found[:6].mean() == pytest.approx(255, abs=4)


def test_strange_images_are_shown_or_refused():
    dice = random.Random(2)
    whole = message_of(np.full((48, 64, 4), 50, np.uint8), padding=12)
    for encoding in ('bgr8', 'bgra8', 'rgba8', 'mono16', 'nv12', 'nv24', 'rgba16', '32FC1', '', 'x' * 100_000, '\U0010ffff'):
        for _ in range(100):
            numbers = [0, 1, 47, 48, 64, 65, 268, 8192, 1 << 31, (1 << 32) - 1]
            sizes = {name: dice.choice(numbers) for name in ('width', 'height', 'step')}
            data = whole.data[:dice.choice([0, 1, 268 * 47 + 256, len(whole.data)])]
            try:
                assert decoded(encoded(Image(**sizes, encoding=encoding, data=data), 1280, 80)) is not None
            except (ImageError, cv2.error) as error:
                assert len(str(error)) < 2000
    for data in (b'', b'\x89PNG\r\n\x1a\n' + bytes(16) + b'\x10' + bytes(9), b'\xff\xd8', bytes(100)):
        with pytest.raises(ImageError) as raised:
            encoded(CompressedImage(format='x' * 100_000, data=data), 1280, 80)
        assert len(str(raised.value)) < 2000

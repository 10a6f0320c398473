# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Compressed images in and out, and the quality of service that each side asks for."""
import array

import cv2
import numpy as np
import pytest
from conftest import TUTORIAL, iou, tutorial_settings, unique
from rclpy.qos import QoSReliabilityPolicy
from ros import Segmentation, message_of, picture_of
from sensor_msgs.msg import CompressedImage

from self_segmentation import Pipeline


def compressed_of(picture: np.ndarray, ending: str = '.png', **fields) -> CompressedImage:
    data = array.array('B', cv2.imencode(ending, picture)[1].tobytes())
    kind = {'.png': 'bgr8; png compressed bgr8', '.jpg': 'bgr8; jpeg compressed bgr8'}[ending]
    return CompressedImage(**{'format': kind, 'data': data, **fields})


@pytest.fixture(scope='module')
def expected(astronaut):
    return Pipeline(tutorial_settings(flip=False)).process(astronaut)


class Compressed(Segmentation):
    """A node whose camera sends on image_raw/compressed."""

    INPUT, SUFFIX = CompressedImage, '/compressed'


@pytest.fixture(scope='module')
def compressed(shared_graph, start_shared):
    """A node that takes compressed images, for all tests of this file."""
    namespace = unique('compressed')
    program = start_shared.node('segmentation_node', namespace, '--params-file', TUTORIAL, flip='false',
                                image_transport='compressed')
    return Compressed(shared_graph, namespace, program)


@pytest.mark.parametrize('ending', ['.png', '.jpg'])
def test_compressed_input_matches_raw(compressed, astronaut, expected, ending):
    results = {kind: picture_of(m) for kind, m in compressed.results(compressed_of(astronaut, ending)).items()}
    assert iou(results['mask'], expected.mask) > 0.98
    if ending == '.png':
        assert np.array_equal(results['output'], expected.composite) and np.array_equal(results['alpha'], expected.alpha)


BAD = {'empty': b'', 'noise': bytes(range(256)) * 40, 'a header alone': b'\x89PNG\r\n\x1a\n', 'a text': b'no picture'}


@pytest.mark.parametrize('data', BAD.values(), ids=list(BAD))
def test_skips_and_logs_undecodable_compressed_image(compressed, astronaut, expected, data):
    bad = compressed_of(astronaut, data=array.array('B', data), format='jpeg')

    def complaints() -> list[str]:
        compressed.send(bad)
        return [line for line in compressed.program.said.splitlines()
                if 'frame skipped' in line and f"format = 'jpeg' and {len(data)} bytes" in line]

    compressed.wait_until(complaints, 'the complaint')  # which comes no sooner than 1 s after another one
    assert all('not an image' in line or 'JPEG or PNG' in line for line in complaints())
    assert np.array_equal(picture_of(compressed.results(compressed_of(astronaut))['mask']), expected.mask)


def test_switches_image_transport_live(node, graph, astronaut, expected):
    senders = {'raw': node._sender, 'compressed': graph.node.create_publisher(CompressedImage, f'{node.topic}/compressed', 1)}
    for transport in ('compressed', 'raw', 'compressed', 'raw'):
        assert node.change(image_transport=transport) == []
        counts = {'raw': 0, 'compressed': 0, transport: 1}
        node.wait_until(lambda counts=counts: {name: each.get_subscription_count() for name, each in senders.items()} == counts,
                        f'the subscription of {transport} alone')
        node._sender = senders[transport]
        message = (message_of if transport == 'raw' else compressed_of)(astronaut)
        assert np.array_equal(picture_of(node.results(message)['mask']), expected.mask)


def test_remapped_image_topic_has_compressed_topic(graph, start):
    namespace = unique('remapped')
    program = start.node('segmentation_node', namespace, '-r', f'image_raw:=/{namespace}/front/picture',
                         '-r', f'~/output:=/{namespace}/seen', image_transport='compressed')
    graph.listen(f'/{namespace}/seen')
    graph.wait_until(lambda: program.code is not None or graph.node.count_subscribers(f'/{namespace}/front/picture/compressed'),
                     'the subscription')
    assert program.code is None, program.said
    assert graph.node.count_publishers(f'/{namespace}/seen/compressed') == 1


def test_compressed_output_matches_raw(node, astronaut, expected):
    node.listen('output/compressed', 'mask/compressed')  # nobody wants the raw ones
    message = message_of(astronaut)
    results = node.results(message)
    output, mask = results['output/compressed'], results['mask/compressed']
    assert output.format == 'bgr8; jpeg compressed bgr8' and mask.format == 'mono8; png compressed '
    assert output.header == mask.header == message.header
    picture, mask = (cv2.imdecode(np.frombuffer(result.data, np.uint8), cv2.IMREAD_UNCHANGED) for result in (output, mask))
    assert np.array_equal(mask, expected.mask)
    assert picture.shape == expected.composite.shape and cv2.PSNR(picture, expected.composite) > 30
    assert node.change(jpeg_quality=20) == []
    assert len(node.results(message_of(astronaut))['output/compressed'].data) < 0.6 * len(output.data)


def test_qos_fits_every_camera_and_can_be_overridden(graph, start, astronaut):
    namespace = unique('qos')
    program = start.node('segmentation_node', namespace, **{
        f'qos_overrides./{namespace}/segmentation/output.publisher.depth': 7,
        f'qos_overrides./{namespace}/segmentation/output.publisher.reliability': 'best_effort',
        f'qos_overrides./{namespace}/segmentation/mask/compressed.publisher.reliability': 'best_effort'})
    for reliability in (QoSReliabilityPolicy.BEST_EFFORT, QoSReliabilityPolicy.RELIABLE):
        node = Segmentation(graph, namespace, program, kinds=('mask',), reliability=reliability)
        assert node.results(message_of(astronaut))
        graph.node.destroy_publisher(node._sender)

    def reliability_of(topic: str) -> QoSReliabilityPolicy:
        [publisher] = graph.node.get_publishers_info_by_topic(f'{node.name}/{topic}')
        return publisher.qos_profile.reliability

    given = {'output': QoSReliabilityPolicy.BEST_EFFORT, 'mask/compressed': QoSReliabilityPolicy.BEST_EFFORT}
    for topic in ('output', 'mask', 'alpha', 'output/compressed', 'mask/compressed'):
        assert reliability_of(topic) == given.get(topic, QoSReliabilityPolicy.RELIABLE), topic


@pytest.mark.parametrize('overridden', ['raw', 'compressed'])
def test_qos_override_affects_one_transport_only(graph, start, overridden):
    namespace = unique('qos')
    topics = {'raw': f'/{namespace}/image_raw', 'compressed': f'/{namespace}/image_raw/compressed'}
    program = start.node('segmentation_node', namespace, **{
        f'qos_overrides.{topics[overridden]}.subscription.reliability': 'reliable'})
    node = Segmentation(graph, namespace, program, kinds=('mask',))
    graph.node.destroy_publisher(node._sender)  # subscriptions follow their publishers; without any they are best effort
    for transport in ('compressed', 'raw', 'compressed'):
        assert node.change(image_transport=transport) == []
        node.wait_until(lambda transport=transport: [graph.node.count_subscribers(topic) for topic in topics.values()]
                        == [each == transport for each in topics], f'the {transport} subscription')
        [camera] = graph.node.get_subscriptions_info_by_topic(topics[transport])
        assert (camera.qos_profile.reliability == QoSReliabilityPolicy.RELIABLE) == (transport == overridden)

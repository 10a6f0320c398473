# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What happens when something fails around the node: each fault is made to happen, in real processes."""
import itertools
import os
import re
import shutil
import signal
import struct
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import EMPTY_ROOM, ROOT, SAMPLE, TUTORIAL, area, tutorial_settings, unique, wait_until, write_clip
from machine import without_shared_memory
from rclpy.parameter import Parameter
from ros import Segmentation, message_of, picture_of
from rosgraph_msgs.msg import Clock

from self_segmentation import Pipeline

LISTENER = """
import sys, rclpy
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node('listener', namespace=sys.argv[1])
seen = 0
def on_image(message):
    global seen
    seen += 1
    print('picture', seen, flush=True)
node.create_subscription(Image, sys.argv[2], on_image, QoSProfile(depth=1))
rclpy.spin(node)
"""


def most_memory(pid: int) -> int:
    """Bytes that a process had at most so far."""
    return 1024 * int(re.search(r'^VmHWM:\s+(\d+) kB', Path(f'/proc/{pid}/status').read_text(), re.M).group(1))


@pytest.fixture(scope='module')
def default_node(shared_graph, start_shared):
    """A node with the defaults, which remembers frames, and a subscriber of its mask."""
    namespace = unique('default')
    return Segmentation(shared_graph, namespace, start_shared.node('segmentation_node', namespace), kinds=('mask',))


@pytest.fixture(scope='module')
def expected(astronaut):
    return Pipeline(tutorial_settings(flip=False)).process(astronaut)


def assert_serves(node, astronaut, expected):
    """The next good frame is served as if nothing had been."""
    assert np.array_equal(node.pictures(astronaut)['mask'], expected.mask)


def test_recovers_when_camera_restarts(graph, start):
    namespace = unique('camera')
    program = start.node('segmentation_node', namespace)
    received, _ = graph.listen(f'/{namespace}/segmentation/output')
    for _ in range(2):
        camera = start.node('camera_node', namespace, video_device=SAMPLE)
        received.clear()
        graph.wait_until(lambda: len(received) >= 5, 'pictures')
        camera.send(signal.SIGKILL)
        camera.exit_code()
    graph.wait_until(lambda: f'no camera frames on /{namespace}/image_raw' in program.said, 'the complaint')
    assert program.code is None, program.said


def test_accepts_change_of_size_encoding_and_rate(node, astronaut):
    grey = cv2.cvtColor(astronaut, cv2.COLOR_BGR2GRAY)
    yuv = cv2.cvtColor(astronaut, cv2.COLOR_BGR2YUV_YUY2)
    for width, (picture, encoding) in itertools.product((512, 200, 302), (
            (astronaut, 'bgr8'), (grey, 'mono8'), (yuv, 'yuv422_yuy2'), (astronaut[..., ::-1], 'rgb8'))):
        part = np.ascontiguousarray(picture[:, :width])
        results = node.pictures(part, encoding)
        assert {kind: each.shape[:2] for kind, each in results.items()} == dict.fromkeys(Segmentation.KINDS, (512, width))
        assert results['mask'].any()


STAMPS = {'equal': lambda number: 50.0, 'decreasing': lambda number: 1e6 - number, 'zero': lambda number: 0.0,
          'jumping': lambda number: (50.0, 1e9, 3.0, 2e9, 0.0, 7.0)[number % 6]}


@pytest.mark.parametrize('stamp', STAMPS.values(), ids=list(STAMPS))
def test_serves_frames_with_odd_stamps(default_node, sample, stamp):
    for number in range(6):
        message = message_of(sample[60 + number])
        message.header.frame_id = f'{number}'
        message.header.stamp.sec = int(stamp(number))
        result = default_node.results(message)['mask']
        assert result.header == message.header
        assert area(picture_of(result)) > 0.2


@pytest.mark.parametrize('stamp', STAMPS.values(), ids=list(STAMPS))
def test_background_video_plays_whatever_the_stamps(graph, start, astronaut, tmp_path, stamp):
    video = write_clip(tmp_path / 'video.mp4', [np.full((48, 64, 3), 20 * number, np.uint8) for number in range(12)], 10)
    namespace = unique('stamps')
    background = {'background__type': 'video', 'background__video': video}
    program = start.node('segmentation_node', namespace, '--params-file', TUTORIAL, **background)
    node = Segmentation(graph, namespace, program, kinds=('output',))
    shown, numbers = set(), itertools.count()

    def go_on() -> None:
        message = message_of(astronaut)
        message.header.frame_id = f'{(number := next(numbers))}'
        message.header.stamp.sec = int(stamp(number))
        shown.add(round(int(picture_of(node.results(message)['output'])[5, 5, 0]) / 20))

    wait_until(lambda: len(shown) > 6, 'the video to go on', go_on)
    node.wait_until(lambda: f'stamps of {node.topic} do not advance' in program.said, 'the word')
    assert program.said.count('do not advance') == 1


def test_serves_when_simulated_time_jumps_back_or_stops(graph, start, sample):
    namespace = unique('time')
    node = Segmentation(graph, namespace, start.node('segmentation_node', namespace, use_sim_time='true'), kinds=('mask',))
    clock = graph.node.create_publisher(Clock, '/clock', 10)
    for number, second in enumerate((1000, 1001, 10, 11, 11, 5)):
        now = Clock()
        now.clock.sec = second
        clock.publish(now)
        message = message_of(sample[60 + number])
        message.header.stamp.sec, message.header.frame_id = second, unique('jump')
        assert area(picture_of(node.results(message)['mask'])) > 0.2
    graph.node.destroy_publisher(node._sender)
    node.wait_until(lambda: 'no camera frames' in node.program.said, 'the complaint, though the clock stands')


def test_stalled_subscriber_does_not_slow_others(node, start, sample, tmp_path):
    namespace = node.name.split('/')[1]
    listener = start('', command=[sys.executable, '-c', LISTENER, namespace, 'segmentation/output'],
                     env={**os.environ, **without_shared_memory(tmp_path)})
    node.listen('mask')
    node.wait_until(lambda: node.results(message_of(sample[60])) and 'picture' in listener.said, 'the listener')
    listener.send(signal.SIGSTOP)
    seen = listener.said.count('picture')
    for _ in range(30):
        node.results(message_of(sample[60]))
    memory = most_memory(node.program.pid)
    for _ in range(100):
        node.results(message_of(sample[60]))
    assert most_memory(node.program.pid) - memory < 50 * sample[60].nbytes  # nothing is kept for it
    assert listener.said.count('picture') == seen
    listener.send(signal.SIGCONT)
    node.wait_until(lambda: node.results(message_of(sample[60])) and listener.said.count('picture') > seen + 2, 'it to go on')


def test_restarted_node_serves_same_subscribers(graph, start, astronaut, expected):
    namespace = unique('killed')
    program = start.node('segmentation_node', namespace, '--params-file', TUTORIAL, flip='false')
    node = Segmentation(graph, namespace, program)
    assert_serves(node, astronaut, expected)
    node.program.send(signal.SIGKILL)
    assert node.program.exit_code() == -signal.SIGKILL
    node.program = start.node('segmentation_node', namespace, '--params-file', TUTORIAL, flip='false')
    assert_serves(node, astronaut, expected)


def test_keeps_serving_after_model_file_is_removed(graph, start, astronaut, expected, tmp_path):
    model = tmp_path / 'model.tflite'
    shutil.copy(ROOT / 'models' / 'selfie_segmentation.tflite', model)
    namespace = unique('model')
    program = start.node('segmentation_node', namespace, '--params-file', TUTORIAL, flip='false', model=model)
    node = Segmentation(graph, namespace, program)
    model.unlink()
    assert node.change(threshold=0.2) == node.change(threshold=0.1) == []
    assert_serves(node, astronaut, expected)
    assert node.change(model='general') == []
    [reason] = node.change(model=str(model))
    assert str(model) in reason and 'does not exist' in reason
    assert_serves(node, astronaut, expected)


def bomb(path: Path) -> None:
    """A PNG of 30000x30000 pixels in a few bytes: 2.7 GB once it is decoded."""
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

    path.write_bytes(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', 30000, 30000, 8, 2, 0, 0, 0))
                     + chunk(b'IDAT', zlib.compress(bytes(30001 * 3))) + chunk(b'IEND', b''))


SPOILT = {
    'truncated': (lambda path: path.write_bytes(EMPTY_ROOM.read_bytes()[:60]), ''),
    'a pipe': (os.mkfifo, 'not a regular file'),
    'a folder': (Path.mkdir, 'folder'),
    'a bomb': (bomb, '900000000 pixels'),
    'endless': (lambda path: path.symlink_to('/dev/zero'), 'not a regular file'),
    'empty': (Path.touch, 'not an image'),
    'huge': (lambda path: (path.touch(), os.truncate(path, 1 << 40)), f'{1 << 40} bytes'),
}


@pytest.mark.parametrize('spoil, reason', SPOILT.values(), ids=list(SPOILT))
def test_refuses_corrupted_background_and_keeps_old_one(node, astronaut, tmp_path, spoil, reason):
    path = tmp_path / 'background.png'
    cv2.imwrite(str(path), np.full((48, 64, 3), (10, 200, 30), np.uint8))
    assert node.change(background__image=str(path)) == node.change(background__type='image') == []
    before = node.pictures(astronaut)['output']
    assert (before[0, 0] == (10, 200, 30)).all()
    path.unlink()
    spoil(path)
    assert np.array_equal(node.pictures(astronaut)['output'], before)
    memory = most_memory(node.program.pid)
    [why] = node.change(background__image=str(path))
    assert str(path) in why and reason in why
    assert most_memory(node.program.pid) - memory < 100e6
    assert np.array_equal(node.pictures(astronaut)['output'], before)


def test_loads_replaced_background_when_set_again(node, astronaut, tmp_path):
    path = tmp_path / 'background.png'
    for color in ((10, 200, 30), (200, 0, 100)):
        cv2.imwrite(str(path), np.full((48, 64, 3), color, np.uint8))
        assert node.change(background__image=str(path)) == node.change(background__type='image') == []
        assert (node.pictures(astronaut)['output'][0, 0] == color).all()


def test_parameter_storm_is_atomic_and_drops_no_frame(node, astronaut, expected):
    """Two states: nothing is kept and all is dark, or the person is kept and what is behind her is not dark."""
    inside = tuple(np.argwhere(expected.alpha == 255)[1000])
    dark, light = [1, 2, 3], [250, 251, 252]
    everything = {'threshold': 0.0, 'background.color': light}
    nothing = {'threshold': 1.0, 'background.color': dark}
    states = [[Parameter(name, value=value) for name, value in state.items()] for state in (everything, nothing)]
    node.listen('output')
    assert node.call(lambda: node.parameters.set_parameters_atomically(states[1])).result.successful
    node.results(message_of(astronaut))
    asked, received = [], node.received['output']
    received.clear()
    sent = served = 0
    kept = {'nothing': 0, 'the person': 0}

    def storm() -> None:
        """Have five changes and one frame on their way: a service's queue holds 10 requests, the camera's 1 frame."""
        nonlocal sent, served
        for message in received:
            assert message.header.frame_id == f'storm {served}'
            corner, person = (picture_of(message)[place].tolist() for place in ((0, 0), inside))
            assert (corner, person) == (dark[::-1],) * 2 or (corner != dark[::-1] and person == astronaut[inside].tolist())
            kept['nothing' if person == dark[::-1] else 'the person'] += 1
            served += 1
        received.clear()
        if sent == served:
            picture = message_of(astronaut)
            picture.header.frame_id = f'storm {sent}'
            node.send(picture)
            sent += 1
        while len(asked) < 5 or asked[-5].done():
            asked.append(node.parameters.set_parameters_atomically(states[len(asked) % 2]))
        node.spin()

    wait_until(lambda: len(asked) >= 300 and served >= 30 and min(kept.values()) >= 10, 'all changes and frames', storm)
    node.wait_until(lambda: all(future.done() for future in asked), 'the last answers')
    assert all(future.result().result.successful for future in asked)

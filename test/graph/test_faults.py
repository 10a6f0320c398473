# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What happens when something fails around the node: each fault is made to happen, in real processes."""
import itertools
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import (
    ASTRONAUT,
    EMPTY_ROOM,
    PATIENCE,
    ROOT,
    SAMPLE,
    TUTORIAL,
    Segmentation,
    area,
    message_of,
    picture_of,
    tutorial_settings,
    unique,
)
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock

from self_segmentation.io.assets import make_pipeline

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


def rss_mb(pid: int) -> float:
    return int(Path(f'/proc/{pid}/statm').read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE') / 1e6


@pytest.fixture
def node(graph, start):
    """A node with the tutorial's settings, which look at each frame by itself, and a subscriber of everything."""
    namespace = unique('faults')
    return Segmentation(graph, namespace, start.node('segmentation_node', namespace, '--params-file', TUTORIAL, flip='false'))


@pytest.fixture(scope='module')
def expected(astronaut):
    return make_pipeline(tutorial_settings(flip=False)).process(astronaut)


def assert_serves(node, astronaut, expected):
    """The next good frame is served as if nothing had been."""
    assert np.array_equal(node.pictures(astronaut)['mask'], expected.mask)


def test_a_camera_that_is_killed_is_missed_aloud_and_served_again_when_it_is_back(graph, start):
    namespace = unique('camera')
    program = start.node('segmentation_node', namespace)
    received, subscription = graph.listen(f'/{namespace}/segmentation/output')
    for _ in range(2):
        camera = start.node('camera_node', namespace, video_device=SAMPLE)
        received.clear()
        graph.wait_until(lambda: len(received) >= 5, 'pictures')
        camera.send(signal.SIGKILL)
        camera.exit_code()
    graph.wait_until(lambda: f'no camera frames on /{namespace}/image_raw' in program.said, 'the complaint')
    assert program.code is None and program.said.count('no camera frames') == 1
    graph.node.destroy_subscription(subscription)


def test_a_camera_may_change_size_encoding_and_rate_at_any_frame(node, astronaut):
    grey = cv2.cvtColor(astronaut, cv2.COLOR_BGR2GRAY)
    yuv = cv2.cvtColor(astronaut, cv2.COLOR_BGR2YUV_YUY2)
    for width, (picture, encoding) in itertools.product((512, 200, 302), (
            (astronaut, 'bgr8'), (grey, 'mono8'), (yuv, 'yuv422_yuy2'), (astronaut[..., ::-1], 'rgb8'))):
        part = np.ascontiguousarray(picture[:, :width])
        results = node.pictures(part, encoding)
        assert {kind: each.shape[:2] for kind, each in results.items()} == dict.fromkeys(Segmentation.KINDS, (512, width))
        assert results['mask'].any()


@pytest.mark.parametrize('stamps', [[50.0] * 6, [50.0 - n for n in range(6)], [0.0] * 6, [50.0, 1e9, 3.0, 2e9, 0.0, 7.0]],
                         ids=['equal', 'decreasing', 'zero', 'jumping'])
def test_frames_with_strange_stamps_are_all_served_and_keep_them(graph, start, sample, stamps):
    namespace = unique('stamps')
    node = Segmentation(graph, namespace, start.node('segmentation_node', namespace), kinds=('mask',))
    for number, stamp in enumerate(stamps):
        message = message_of(sample[60 + number])
        message.header.frame_id = f'{number}'
        message.header.stamp.sec = int(stamp)
        result = node.results(message)['mask']
        assert result.header == message.header
        assert area(picture_of(result)) > 0.2


def test_simulated_time_may_jump_back_or_stand_still(graph, start, sample):
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
    graph.node.destroy_publisher(clock)
    graph.node.destroy_publisher(node._sender)
    node.wait_until(lambda: 'no camera frames' in node.program.said, 'the complaint, though the clock stands')


def test_a_subscriber_that_stands_still_costs_the_others_nothing(node, start, sample):
    namespace = node.name.split('/')[1]
    listener = start('', command=[sys.executable, '-c', LISTENER, namespace, 'segmentation/output'])
    node.listen('mask')
    node.wait_until(lambda: node.results(message_of(sample[60])) and 'picture' in listener.said, 'the listener')
    listener.send(signal.SIGSTOP)
    for _ in range(30):
        node.results(message_of(sample[60]))
    memory, slowest, sent, end = rss_mb(node.program.pid), 0.0, 0, time.monotonic() + 10
    while time.monotonic() < end:
        begin = time.monotonic()
        node.results(message_of(sample[60]), again=30.0)  # once: none may be lost
        slowest, sent = max(slowest, time.monotonic() - begin), sent + 1
    assert sent > 50 and slowest < 2.0
    assert rss_mb(node.program.pid) - memory < 20
    seen = listener.said.count('picture')
    listener.send(signal.SIGCONT)
    node.wait_until(lambda: node.results(message_of(sample[60])) and listener.said.count('picture') > seen + 2, 'it to go on')


def test_a_node_that_is_killed_and_started_again_serves_the_same_subscribers(graph, start, astronaut, expected):
    namespace = unique('killed')
    program = start.node('segmentation_node', namespace, '--params-file', TUTORIAL, flip='false')
    node = Segmentation(graph, namespace, program)
    assert_serves(node, astronaut, expected)
    for _ in range(2):
        node.program.send(signal.SIGKILL)
        assert node.program.exit_code() == -signal.SIGKILL
        node.program = start.node('segmentation_node', namespace, '--params-file', TUTORIAL, flip='false')
        assert_serves(node, astronaut, expected)


def test_a_model_file_that_is_removed_is_not_missed_until_it_is_asked_for(graph, start, astronaut, expected, tmp_path):
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
    'empty': (Path.touch, 'no picture'),
    'huge': (lambda path: (path.touch(), os.truncate(path, 1 << 40)), f'{1 << 40} bytes'),
}


@pytest.mark.parametrize('spoil, reason', SPOILT.values(), ids=list(SPOILT))
def test_a_background_file_that_is_spoilt_while_in_use_is_refused_at_once_and_the_old_picture_stays(node, astronaut, tmp_path,
                                                                                                   spoil, reason):
    path = tmp_path / 'background.png'
    cv2.imwrite(str(path), np.full((48, 64, 3), (10, 200, 30), np.uint8))
    assert node.change(background__image=str(path)) == node.change(background__type='image') == []
    before = node.pictures(astronaut)['output']
    assert (before[0, 0] == (10, 200, 30)).all()
    path.unlink()
    spoil(path)
    assert np.array_equal(node.pictures(astronaut)['output'], before)
    memory, begin = rss_mb(node.program.pid), time.monotonic()
    [why] = node.change(background__image=str(path))
    assert time.monotonic() - begin < 2.5  # before it would be asked again
    assert str(path) in why and reason in why
    assert rss_mb(node.program.pid) - memory < 100
    assert np.array_equal(node.pictures(astronaut)['output'], before)


def test_a_background_file_that_was_replaced_is_taken_when_it_is_set_again(node, astronaut, tmp_path):
    path = tmp_path / 'background.png'
    for color in ((10, 200, 30), (200, 0, 100)):
        cv2.imwrite(str(path), np.full((48, 64, 3), color, np.uint8))
        assert node.change(background__image=str(path)) == node.change(background__type='image') == []
        assert (node.pictures(astronaut)['output'][0, 0] == color).all()


@pytest.mark.parametrize('output', ['picture.png', 'picture.jpg', 'video.mp4'])
def test_a_full_disk_ends_the_program_with_an_error_that_names_the_file(tmp_path, output):
    path = tmp_path / output
    path.symlink_to('/dev/full')
    assert_fails(path, SAMPLE if output.endswith('.mp4') else ASTRONAUT)


@pytest.mark.parametrize('output', ['pictures', 'video.mp4'])
def test_a_disk_that_becomes_full_ends_the_program_with_an_error_that_names_the_file(tmp_path, output):
    """By a limit on the size of a file, which takes no right to set."""
    limit = 100_000 if output == 'video.mp4' else 20_000
    assert_fails(tmp_path / output, SAMPLE, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))


def assert_fails(path: Path, source: Path, **more) -> None:
    done = subprocess.run([sys.executable, '-m', 'self_segmentation', source, '--no-window', '--output', path],
                          capture_output=True, text=True, **more)
    assert done.returncode == 1, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith('self_segmentation: error:') and str(path) in last, done.stderr


def test_a_parameter_storm_never_shows_half_of_a_change_and_costs_no_frames(node, astronaut, expected):
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
    answered = sent = served = 0
    kept = {'nothing': 0, 'the person': 0}
    begin = last = time.monotonic()
    while answered < 1000 or served < sent:
        now = time.monotonic()
        assert now - last < PATIENCE, f'frame {sent} of {sent} is lost, or an answer: {answered} of {len(asked)} came'
        if sent == served and sent < (now - begin) * 30:  # 30 Hz, and none before the last came back: none may be lost
            picture = message_of(astronaut)
            picture.header.frame_id = f'storm {sent}'
            node.send(picture)
            sent += 1
        if len(asked) < 1000 and len(asked) < (now - begin) * 100 and len(asked) - answered < 5:  # a service's queue holds 10
            asked.append(node.parameters.set_parameters_atomically(states[len(asked) % 2]))
        node.spin()
        count = sum(future.done() for future in asked)
        answered, last = count, now if count > answered or received else last
        for message in received:
            assert message.header.frame_id == f'storm {served}'
            corner, person = (picture_of(message)[place].tolist() for place in ((0, 0), inside))
            assert (corner, person) == (dark[::-1],) * 2 or (corner != dark[::-1] and person == astronaut[inside].tolist())
            kept['nothing' if person == dark[::-1] else 'the person'] += 1
            served += 1
        received.clear()
    assert all(future.result().result.successful for future in asked)
    assert served > 50 and min(kept.values()) > 10, kept

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What the node says of itself on /diagnostics."""
import itertools
import os
import re
import signal
import sys
import time

import cv2
import numpy as np
import pytest
from conftest import TUTORIAL, unique
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from ros import Segmentation, message_of, picture_of
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool

from self_segmentation.nodes.topics import HAS_MESSAGE_INFO

OK, WARN, ERROR, STALE = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR, DiagnosticStatus.STALE


class NodeState(Segmentation):
    """A node whose diagnostics are read."""

    def __init__(self, graph, namespace, program, kinds=()) -> None:
        self.reports: list[DiagnosticArray] = []
        self._diagnostics = graph.node.create_subscription(DiagnosticArray, '/diagnostics', self.reports.append, 10)
        super().__init__(graph, namespace, program, kinds)

    def own(self) -> list[DiagnosticStatus]:
        return [status for array in self.reports for status in array.status if status.hardware_id == self.name]

    def report(self, level: bytes, part: str, meanwhile=lambda: None) -> dict[str, str]:
        """Wait for a report of that level that has a text in its message; return its values."""
        self.reports.clear()

        def came() -> list[DiagnosticStatus]:
            meanwhile()
            return [status for status in self.own() if status.level == level and part in status.message]

        self.wait_until(came, f'a report of level {level} with {part!r}')
        return {value.key: value.value for value in came()[-1].values}


@pytest.fixture(scope='module')
def watched(shared_graph, start_shared):
    namespace = unique('watched')
    return NodeState(shared_graph, namespace, start_shared.node('segmentation_node', namespace, '--params-file', TUTORIAL))


@pytest.fixture
def node(watched):
    """A node that the tests of this file share, and nobody who listens."""
    watched.listen()
    return watched


def test_reports_every_second_with_full_node_name(node):
    node.report(OK, 'no subscribers')
    node.wait_until(lambda: len(node.own()) >= 4, 'four reports')
    stamps = [array.header.stamp for array in node.reports if array.status[0] in node.own()]
    times = [stamp.sec + stamp.nanosec * 1e-9 for stamp in stamps]
    steps = [after - before for before, after in zip(times, times[1:])]
    assert sorted(steps)[len(steps) // 2] > 0.5  # more a busy machine may take
    assert {status.name for status in node.own()} == {f'{node.name[1:]}: frames'}


def test_reports_rates_latencies_and_person_present(graph, start, astronaut, sample):
    namespace = unique('watched')
    node = NodeState(graph, namespace, start.node('segmentation_node', namespace, '--params-file', TUTORIAL), kinds=('output',))
    for picture, somebody in ((astronaut, 'yes'), (sample[0], 'no')):
        node.change(flip=True)
        values = node.report(OK, 'frames a second in', lambda picture=picture: node.results(message_of(picture)))
        values = node.report(OK, 'frames a second in', lambda picture=picture: node.results(message_of(picture)))
        assert values['person present'] == somebody
        assert float(values['rate in (Hz)']) > 0 and float(values['rate out (Hz)']) > 0
        for stage in ('decode', 'prepare', 'segment', 'edge', 'composite', 'publish', 'whole'):
            p50, p95 = map(float, values[f'{stage} p50 / p95 (ms)'].split(' / '))
            assert 0 <= p50 <= p95
        assert values['frames dropped'] == '0' and values['last error'] == 'none'


@pytest.mark.skipif(not HAS_MESSAGE_INFO, reason='frames have no numbers in Humble')
def test_counts_dropped_frames(node, astronaut):
    node.listen('mask')
    node.results(message_of(astronaut))
    kinds = ['frames dropped', 'frames dropped: replaced by newer ones', 'frames dropped: lost on the way']

    def dropped() -> list[int]:
        values = node.report(OK, '')
        return [int(values[kind]) for kind in kinds]

    before, sent, received = dropped(), 0, node.received['mask']
    received.clear()
    while sent == len(received):  # a node that was faster than the tests
        for _ in range(20):
            last = node.send(message_of(astronaut))
        sent += 20
        node.wait_until(lambda last=last: received and received[-1].header == last.header, 'the last, which nothing replaces')
    counted = [now - then for now, then in zip(dropped(), before)]
    assert counted[0] == counted[1] + counted[2] == sent - len(received)


FAST_CAMERA = """
import array, sys, time, rclpy
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node('camera', namespace=sys.argv[1])
publisher = node.create_publisher(Image, 'image_raw', QoSProfile(depth=1))
image = Image(width=1920, height=1080, step=5760, encoding='bgr8', data=array.array('B', bytes(1920 * 1080 * 3)))
begin, number = time.monotonic(), 0
while True:
    number += 1
    if sys.argv[2] == 'stamped':
        image.header.stamp.sec, image.header.stamp.nanosec = 1000 + number // 20, number % 20 * 50_000_000
    publisher.publish(image)
    time.sleep(max(begin + number / 20 - time.monotonic(), 0))
"""
HUMBLE = """
from self_segmentation.nodes import inputs
inputs.HAS_MESSAGE_INFO = False
from self_segmentation.nodes.segmentation_node import main
raise SystemExit(main())
"""
TOO_SLOW = r'too slow: (\d+) of (\d+) frames a second are served'


@pytest.mark.parametrize('program, stamped', [(None, 'unstamped'), (HUMBLE, 'stamped')], ids=['with numbers', 'as in Humble'])
def test_warns_of_camera_that_is_too_fast_with_what_helps(graph, start, astronaut, program, stamped):
    namespace = unique('watched')
    slow = '--ros-args', '-r', f'__ns:=/{namespace}', '-p', 'background.type:=blur', '-p', 'background.blur:=0.002'
    command = [sys.executable, '-c', program] if program else None
    node = NodeState(graph, namespace, start('segmentation_node' if not program else '', *slow, command=command))
    camera = start('', namespace, stamped, command=[sys.executable, '-c', FAST_CAMERA])
    graph.listen(f'{node.name}/output')

    def warnings() -> list[re.Match]:
        return [found for status in node.own() if status.level == WARN and (found := re.search(TOO_SLOW, status.message))]

    node.wait_until(warnings, 'the warning')
    warning = warnings()[0]
    served, sent = map(int, warning.groups())
    assert served < sent, warning.string
    assert all(way in warning.string for way in ('1920x1080', 'model landscape', 'people.most 1', 'frame rate')), warning.string
    node.wait_until(lambda: re.search(TOO_SLOW, node.program.said), 'the warning in the log')
    camera.send(signal.SIGKILL)
    node.listen('output')
    node.report(OK, 'frames a second in', lambda: node.results(message_of(astronaut[:300, :400])))


def test_warns_of_missing_camera_with_topics(graph, start):
    namespace = unique('watched')
    nothing = f'/{namespace}/nothing'
    node = NodeState(graph, namespace, start.node('segmentation_node', namespace, '-r', f'image_raw:={nothing}'))
    begin = time.monotonic()
    graph.listen(f'{node.name}/mask')
    node.report(WARN, f'no camera frames on {nothing} for ')
    assert time.monotonic() - begin > 2.5
    node.report(WARN, node.topic)  # which the tests' own camera has
    node.wait_until(lambda: any(f'no camera frames on {nothing} for ' in line and node.topic in line
                                for line in node.program.said.splitlines()), 'the warning in the log')


def test_warns_of_camera_in_other_transport_with_its_topic(node, graph):
    assert node.change(image_transport='compressed') == []  # the tests' own camera publishes raw images alone
    graph.listen(f'{node.name}/mask')
    node.report(WARN, f'no publishers, but there are some on {node.topic}: set image_transport to raw')
    assert node.change(image_transport='raw') == []


def test_reports_unusable_frames_as_error_until_good_ones(node, astronaut):
    node.listen('mask')
    bad = message_of(astronaut, encoding='bgr8', step=7)
    bad.header.frame_id = 'bad'
    values = node.report(ERROR, 'step = 7', lambda: (node.send(bad), node.spin()))
    assert int(values['frames dropped: unusable']) > 0 and 'step = 7' in values['last error']
    values = node.report(OK, 'frames a second in', lambda: node.results(message_of(astronaut)))
    assert 'step = 7' in values['last error']


def test_reports_one_bad_frame_until_a_good_one(node, astronaut):
    """A camera that sends one now and then, and none that can be used."""
    node.listen('mask')
    bad = message_of(astronaut, encoding='bgr8', step=7)
    bad.header.frame_id = 'bad'
    node.report(ERROR, 'step = 7', lambda: node.own() or (node.send(bad), node.spin()))
    node.reports.clear()
    node.wait_until(lambda: len(node.own()) >= 3, 'reports without a frame')
    assert all(status.level == ERROR and 'step = 7' in status.message for status in node.own())
    node.report(OK, 'frames a second in', lambda: node.results(message_of(astronaut)))


def test_warns_of_stamps_that_do_not_advance_until_they_do(node, astronaut):
    node.listen('mask')

    def send(second: int):
        message = message_of(astronaut)
        message.header.frame_id, message.header.stamp.sec = 'camera', second
        node.results(message)

    node.report(WARN, f'the stamps of {node.topic} do not advance', lambda: send(0))
    seconds = itertools.count(1)
    node.report(OK, 'frames a second in', lambda: send(next(seconds)))


def test_warns_of_jumping_stamps_and_covers_all_where_people_are_replaced(graph, start, sample):
    namespace = unique('watched')
    program = start.node('segmentation_node', namespace, replace='people', flip='false')
    node, numbers = NodeState(graph, namespace, program, kinds=('output',)), itertools.count()

    def send():
        message = message_of(sample[0])
        message.header.frame_id, message.header.stamp.sec = 'camera', 1_000_000 - next(numbers)
        assert (picture_of(node.results(message)['output']) == 192).all()

    node.report(WARN, 'all is covered', send)


def test_reports_that_it_is_paused(node, astronaut):
    node.listen('mask')
    pause = node.graph.node.create_client(SetBool, f'{node.name}/pause')
    assert node.call(lambda: pause.call_async(SetBool.Request(data=True))).success
    values = node.report(OK, 'out, paused', lambda: node.results(message_of(astronaut)))
    assert values['people'] == values['person present'] == 'unknown'
    assert node.call(lambda: pause.call_async(SetBool.Request(data=False))).success
    node.report(OK, 'out', lambda: node.results(message_of(astronaut)))


def test_warns_of_video_that_stands_still(graph, start, astronaut, tmp_path):
    """Its file is cut off while it plays."""
    video = tmp_path / 'video.avi'
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*'MJPG'), 30, (320, 240))
    for number in range(60):
        writer.write(np.random.default_rng(number).integers(0, 256, (240, 320, 3), np.uint8))
    writer.release()
    namespace = unique('watched')
    background = {'background__type': 'video', 'background__video': video}
    program = start.node('segmentation_node', namespace, '--params-file', TUTORIAL, **background)
    node = NodeState(graph, namespace, program, kinds=('output',))
    node.results(message_of(astronaut))
    os.truncate(video, 0)
    node.report(WARN, str(video), lambda: node.results(message_of(astronaut)))


def test_names_why_pictures_of_background_topic_are_not_shown(node, astronaut):
    assert node.change(background__type='topic') == []
    node.listen('mask')
    sender = node.graph.node.create_publisher(Image, f'{node.name}/background', 1)

    def send():
        sender.publish(message_of(astronaut, 'no such encoding'))
        node.results(message_of(astronaut))

    node.report(WARN, f'no picture on {node.name}/background (', send)
    assert any('no such encoding' in status.message for status in node.own())
    node.graph.node.destroy_publisher(sender)
    assert node.change(background__type='color') == []


def test_unconfigured_node_reports_stale(graph, start):
    namespace = unique('watched')
    node = NodeState(graph, namespace, start.node('segmentation_node', namespace, autostart='false'))
    node.report(STALE, 'unconfigured')


def test_warns_of_duplicate_node_name(node, start):
    node.report(OK, 'no subscribers')
    node.listen('mask')
    node.report(WARN, 'no camera frames')
    start.node('segmentation_node', node.name.split('/')[1])
    node.wait_until(lambda: f'another node is named {node.name} too' in node.program.said, 'the warning')
    node.wait_until(lambda: any('no camera frames' in status.message and 'another node' in status.message
                                for status in node.own()), 'a report of both')


FOREIGN_CAMERA = """
import itertools, sys, rclpy
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node('camera', namespace=sys.argv[1])
publisher = node.create_publisher(Image, 'image_raw', QoSProfile(depth=1, reliability=QoSReliabilityPolicy.BEST_EFFORT))
image = Image(width=1920, height=1080, step=5760, encoding='bgr8', data=bytes(1920 * 1080 * 3))
numbers = itertools.count()

def publish():
    image.header.frame_id = str(next(numbers))
    publisher.publish(image)

node.create_timer(1 / 15, publish)
rclpy.spin(node)
"""


def test_warns_when_camera_lacks_fastdds_profile(graph, start):
    """Unless none of its frames are lost: Humble's Fast DDS may get all of them across."""
    namespace = unique('watched')
    node = NodeState(graph, namespace, start.node('segmentation_node', namespace, '--params-file', TUTORIAL))
    bare = {name: value for name, value in os.environ.items() if not name.endswith('_DEFAULT_PROFILES_FILE')}
    start('', namespace, command=[sys.executable, '-c', FOREIGN_CAMERA], env=bare)
    graph.listen(f'{node.name}/mask')
    numbers: list[int] = []
    best_effort = QoSProfile(depth=5, reliability=QoSReliabilityPolicy.BEST_EFFORT)
    graph.node.create_subscription(Image, node.topic, lambda image: numbers.append(int(image.header.frame_id)), best_effort)

    def is_logged() -> bool:
        return 'config/fastdds.xml' in node.program.said

    node.wait_until(lambda: is_logged() or (len(numbers) > 99 and numbers[-1] - numbers[-100] == 99), 'the warning in the log')
    if not is_logged():
        pytest.skip('no frame of a hundred was lost without the profile')
    node.report(WARN, 'config/fastdds.xml')  # whether some come or none does


def test_reports_while_simulated_time_stands_still(graph, start):
    namespace = unique('watched')
    node = NodeState(graph, namespace, start.node('segmentation_node', namespace, use_sim_time='true'))
    for _ in range(3):
        node.report(OK, 'no subscribers')

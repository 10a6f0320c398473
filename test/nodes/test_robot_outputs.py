# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What other nodes take: masks by taste, calibrations, depth, positions, detections; each by its own topic, types and stamps."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from conftest import TUTORIAL, unique
from geometry_msgs.msg import PoseArray, PoseStamped
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from ros import Graph, Segmentation, calibration, depth_message, message_of, picture_of
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Bool, Header
from std_srvs.srv import SetBool

LATCHED = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
WALL, PERSON = 4000, 2000  # millimetres
TYPES = {'mask': Image, 'confidence': Image, 'camera_info': CameraInfo, 'mask/camera_info': CameraInfo, 'depth/background': Image,
         'depth/people': Image, 'depth/camera_info': CameraInfo, 'pose': PoseStamped, 'poses': PoseArray}


class Robot(Segmentation):
    """A node whose camera has calibration and depth, and what comes of it."""

    def __init__(self, graph: Graph, start, **parameters) -> None:
        namespace = unique('robot')
        program = start.node('segmentation_node', namespace, '--params-file', TUTORIAL, **{'flip': 'false', **parameters})
        super().__init__(graph, namespace, program, kinds=())
        self.info_sender = graph.node.create_publisher(CameraInfo, f'/{namespace}/camera_info', 10)
        self.depth_sender = graph.node.create_publisher(Image, f'/{namespace}/depth/image', 10)
        self.messages: dict[str, list] = {}

    def take(self, *topics: str) -> None:
        """Subscribe, and wait until the node takes images."""
        for topic in topics:
            kept = self.messages[topic] = []
            self.graph.node.create_subscription(TYPES[topic], f'{self.name}/{topic}', kept.append, 30)
        self.wait_until(lambda: self._sender.get_subscription_count() == 1, 'the node to follow the demand')
        if any(topic.startswith(('depth', 'pose')) for topic in topics):
            self.wait_until(lambda: self.depth_sender.get_subscription_count(), 'the node to take depth')
        if any('info' in topic or 'pose' in topic for topic in topics):
            self.wait_until(lambda: self.info_sender.get_subscription_count(), 'the node to take the calibration')
        for topic in topics:
            self.wait_until(lambda topic=topic: self.graph.node.count_publishers(f'{self.name}/{topic}'), topic)

    def see(self, picture: np.ndarray, info: CameraInfo | None = None, depth: np.ndarray | None = None) -> dict:
        """Publish a picture, its calibration and its depth until all that is subscribed came of it; return that, by topic."""
        def came() -> dict:
            return {topic: each for topic, kept in self.messages.items() for each in kept if each.header.stamp in stamps}

        stamps, turn = [], 0
        while len(came()) < len(self.messages):
            if turn % 100 == 0:
                message = self.send(message_of(picture))
                stamps.append(message.header.stamp)
                if info is not None:
                    info.header = message.header
                    self.info_sender.publish(info)
                if depth is not None:
                    self.depth_sender.publish(depth_message(depth, message.header))
            turn += 1
            assert turn < 6000, f'only {sorted(came())} came; the node said:\n{self.program.said}'
            self.spin()
        return came()


@pytest.fixture
def robot(graph, start):
    return lambda *topics, **parameters: _robot(graph, start, topics, parameters)


def _robot(graph, start, topics, parameters) -> Robot:
    node = Robot(graph, start, **parameters)
    node.take(*topics)
    return node


def test_mask_of_classes_is_small_and_has_its_own_calibration(robot, astronaut):
    node = robot('mask', 'confidence', 'camera_info', 'mask/camera_info', mask__values='class', mask__width=128)
    height, width = astronaut.shape[:2]
    came = node.see(astronaut, calibration(width, height))
    mask, sure = picture_of(came['mask']), picture_of(came['confidence'])
    assert mask.shape == sure.shape == (128, 128) and set(np.unique(mask)) == {0, 1} and 0.2 < mask.mean() < 0.8
    assert sure.min() >= 127 and (sure[mask == 1] > 200).mean() > 0.8
    assert (came['camera_info'].width, came['mask/camera_info'].width) == (width, 128)
    assert came['mask/camera_info'].k[0] == pytest.approx(500 * 128 / width)
    assert came['camera_info'].header.frame_id == came['mask'].header.frame_id == 'camera'


def test_calibration_is_mirrored_with_the_picture(robot, astronaut):
    node = robot('camera_info', flip='true')
    height, width = astronaut.shape[:2]
    info = calibration(width, height)
    info.k[2] = 100.0
    assert node.see(astronaut, info)['camera_info'].k[2] == pytest.approx(width - 1 - 100)


@pytest.mark.parametrize('flip', ['false', 'true'])
@pytest.mark.parametrize('dtype', [np.uint16, np.float32])
def test_depth_is_split_into_background_and_people_as_the_camera_took_it(robot, astronaut, dtype, flip):
    node = robot('depth/background', 'depth/people', 'depth/camera_info', 'pose', 'poses', flip=flip, people__detector='true')
    height, width = astronaut.shape[:2]
    depth = np.full((height // 2, width // 2), WALL, np.uint16)
    depth[:, 40:180] = PERSON  # where the astronaut is
    depth = depth if dtype == np.uint16 else (depth / 1000).astype(np.float32)
    came = node.see(astronaut, calibration(width, height), depth)
    background, people = (np.frombuffer(came[topic].data, dtype).reshape(depth.shape)
                          for topic in ('depth/background', 'depth/people'))
    known = [np.nan_to_num(each) > 0 for each in (background, people)]
    assert not (known[0] & known[1]).any() and 0.2 < known[1].mean() < 0.8 and (~(known[0] | known[1])).mean() < 0.1
    for each, there in zip((background, people), known):
        assert np.array_equal(each[there], depth[there])
    assert known[1][200, 100] and known[0][100, 250]  # not mirrored
    assert came['depth/camera_info'].width == width // 2
    z = came['pose'].pose.position.z
    assert z == pytest.approx(2.0, abs=0.05) and came['poses'].poses[0].position.z == z
    assert came['pose'].pose.position.x < 0  # the astronaut is left of the middle
    assert {came[topic].header.frame_id for topic in came} == {'camera'}


@pytest.mark.parametrize('rotation', [90, 180, 270])
def test_depth_of_turned_camera_is_split_as_the_camera_took_it(robot, astronaut, rotation):
    turns = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
    turn, back = turns[rotation], turns[360 - rotation]
    node = robot('depth/background', 'pose', flip='true', camera__rotation=rotation, people__detector='true')
    upright = np.full((256, 320), WALL, np.uint16)  # of another size than the picture, 448 by 512
    upright[:, 50:230] = PERSON
    picture = np.ascontiguousarray(cv2.rotate(astronaut[:, :448], back))
    info = calibration(picture.shape[1], picture.shape[0])
    depth = np.ascontiguousarray(cv2.rotate(upright, back))
    came = node.see(picture, info, depth)
    again = cv2.rotate(np.frombuffer(came['depth/background'].data, np.uint16).reshape(depth.shape), turn)
    assert not again[200, 130] and again[50, 290] and 0.2 < (again == 0).mean() < 0.8
    place = came['pose'].pose.position
    x, y = {90: (-place.y, place.x), 180: (-place.x, -place.y), 270: (place.y, -place.x)}[rotation]  # of the upright picture
    assert place.z == pytest.approx(2.0, abs=0.05) and abs(x) < 0.3 and 0.05 < y < 0.5


def test_depth_of_another_time_is_paired_within_the_slop(robot, graph, astronaut):
    node = robot('mask', 'depth/background', depth__slop=0.2, depth__margin=20)
    background = node.messages.pop('depth/background')
    depth = np.full((128, 128), WALL, np.uint16)

    while not background:
        stamp = node.see(astronaut)['mask'].header.stamp
        later = Time(sec=stamp.sec, nanosec=(stamp.nanosec + 50_000_000) % 10**9)  # 50 ms, and a later mask tells that it fits
        node.depth_sender.publish(depth_message(depth, Header(frame_id='camera', stamp=later)))
    margins = np.frombuffer(background[0].data, np.uint16).reshape(depth.shape) == 0
    assert margins.mean() > (picture_of(node.messages['mask'][-1]) > 0).mean() + 0.05  # the border of 20 pixels is gone too


def test_people_are_tf_frames(robot, graph, astronaut):
    messages = pytest.importorskip('tf2_msgs.msg', reason='tf2_msgs is not installed')
    kept: list = []
    graph.node.create_subscription(messages.TFMessage, '/tf', kept.append, 10)
    node = robot('poses', tf='true', people__detector='true')
    came = node.see(astronaut, calibration(512, 512), np.full((256, 256), PERSON, np.uint16))
    node.wait_until(lambda: kept, 'TF frames')
    [transform] = kept[-1].transforms
    assert transform.child_frame_id == f'{node.name.split("/")[1]}/person_1' and transform.header.frame_id == 'camera'
    assert transform.transform.translation.z == pytest.approx(came['poses'].poses[0].position.z)


def test_missing_depth_is_logged_once(robot, astronaut):
    node = robot('mask', 'pose')
    node.messages.pop('pose')
    small = np.ascontiguousarray(astronaut[::4, ::4])
    while 'no depth images on' not in node.program.said:
        node.see(small)
    for _ in range(5):
        node.see(small)
    assert node.program.said.count('no depth images on') == 1


def test_presence_is_latched(robot, graph, astronaut):
    node = robot('mask', people__detector='true')
    kept = []
    graph.node.create_subscription(Bool, f'{node.name}/presence', kept.append, LATCHED)
    node.wait_until(lambda: graph.node.count_publishers(f'{node.name}/presence'), 'presence')
    node.see(astronaut)
    node.wait_until(lambda: kept, 'presence')
    late = []
    graph.node.create_subscription(Bool, f'{node.name}/presence', late.append, LATCHED)
    node.wait_until(lambda: late, 'presence for a late subscriber')
    assert kept[-1].data is late[-1].data is True


@pytest.mark.parametrize('replace, value', [('background', 0), ('people', 255)])
def test_frame_that_cannot_be_used_has_a_mask(robot, astronaut, replace, value):
    node = robot('mask', mask__always='true', replace=replace, people__detector='true', background__type='color')
    node.messages['mask'].clear()
    broken = message_of(astronaut)
    broken.encoding = 'nonsense'
    sent = node.send(broken)
    node.wait_until(lambda: any(each.header == sent.header for each in node.messages['mask']), 'a mask of the broken frame')
    mask = picture_of(node.messages['mask'][-1])
    assert mask.shape == astronaut.shape[:2] and (mask == value).all()


def test_pause_shows_the_last_mask_also_after_a_frame_that_could_not_be_used(robot, graph, astronaut):
    node = robot('mask', mask__always='true')
    before = picture_of(node.see(astronaut)['mask'])
    broken = message_of(astronaut)
    broken.encoding = 'nonsense'
    sent = node.send(broken)
    node.wait_until(lambda: any(each.header == sent.header for each in node.messages['mask']), 'a mask of the broken frame')
    pause = graph.node.create_client(SetBool, f'{node.name}/pause')
    node.wait_until(pause.service_is_ready, 'the service')
    assert node.call(lambda: pause.call_async(SetBool.Request(data=True))).success
    assert before.any() and np.array_equal(picture_of(node.see(astronaut)['mask']), before)


@pytest.mark.parametrize('fault, reason', [('encoding', 'is no depth'), ('frame_id', "its frame_id is 'other'"),
                                           ('step', 'step = 1')])
def test_depth_that_does_not_fit_is_reported_once_and_masks_go_on(robot, graph, astronaut, fault, reason):
    node = robot('mask', 'depth/background')
    depth = node.messages.pop('depth/background')
    wrong = depth_message(np.full((64, 64), WALL, np.uint16), Header())
    for _ in range(3):
        stamp = node.see(astronaut)['mask'].header.stamp
        wrong.header.stamp, wrong.header.frame_id = stamp, 'camera'
        if fault == 'encoding':
            wrong.encoding = 'bgr8'
        elif fault == 'step':
            wrong.step = 1
        else:
            wrong.header.frame_id = 'other'
        node.depth_sender.publish(wrong)
    node.wait_until(lambda: reason in node.program.said, 'the complaint')
    node.see(astronaut)
    assert not depth and node.program.said.count(reason) == 1 and 'frame skipped' not in node.program.said


def test_calibration_without_values_is_reported_once_and_pictures_go_on(robot, astronaut):
    node = robot('mask', 'camera_info')
    kept = node.messages.pop('camera_info')
    for _ in range(3):
        node.see(astronaut, CameraInfo(width=512, height=512))
    node.wait_until(lambda: 'holds no calibration' in node.program.said, 'the complaint')
    assert not kept and node.program.said.count('holds no calibration') == 1


def test_zero_stamps_make_no_pair(robot, astronaut):
    node = robot('mask', 'depth/background')
    depth = node.messages.pop('depth/background')
    message = message_of(astronaut)
    message.header.frame_id = 'camera'
    for _ in range(3):
        node.depth_sender.publish(depth_message(np.full((64, 64), WALL, np.uint16), message.header))
        node.messages['mask'].clear()
        node.wait_until(lambda: node.send(message) and node.messages['mask'], 'a mask')
    node.see(astronaut)
    assert not depth


def test_depth_of_people_is_never_shown_where_people_are_hidden(robot, astronaut):
    node = robot('mask', 'depth/background', 'depth/people', 'poses', replace='people', people__detector='true')
    people, poses = node.messages.pop('depth/people'), node.messages.pop('poses')
    depth = np.full((128, 128), PERSON, np.uint16)
    for _ in range(3):
        came = node.see(astronaut, calibration(512, 512), depth)
    background = np.frombuffer(came['depth/background'].data, np.uint16).reshape(depth.shape)
    mask = picture_of(came['mask'])[2::4, 2::4]
    assert mask.any() and not background[mask > 0].any() and not people and not poses

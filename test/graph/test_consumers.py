# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
A robot's other nodes (docs/robot.md): each with its own message types, QoS and synchroniser, and the examples.

Read from the sources of the consumers in 2026. What only a robot has is skipped by name, and the last lines of pytest name it.
"""
from __future__ import annotations

import importlib
import importlib.util
import sys
import time
import types

import cv2
import numpy as np
import pytest
from conftest import EMPTY_ROOM, ROOT, unique, wait_until
from geometry_msgs.msg import PoseArray, PoseStamped, TransformStamped, Twist
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy, qos_profile_sensor_data, qos_profile_system_default
from ros import Graph, Segmentation, calibration, depth_message, message_of, picture_of
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField
from std_msgs.msg import String

from self_segmentation.settings import LOOKS, Settings, look_file, read_yaml

CONSUMERS = sorted((ROOT / 'config' / 'consumers').glob('*.yaml'))
LATCHED = QoSProfile(depth=5, reliability=QoSReliabilityPolicy.RELIABLE, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
SENSOR_50 = QoSProfile(depth=50, reliability=QoSReliabilityPolicy.BEST_EFFORT)
NEAR, FAR, WALL = 1500, 3000, 4500  # millimetres


class Robot(Segmentation):
    """A node with the look ``robot`` and the file of a consumer, and an RGB-D camera whose images have one stamp."""

    def __init__(self, graph: Graph, start, consumer: str, **parameters) -> None:
        self.namespace = unique('robot')
        files = (ROOT / 'config' / 'consumers' / f'{consumer}.yaml', look_file('robot'))  # the look wins, as in the launch file
        program = start.node('segmentation_node', self.namespace, *(part for file in files for part in ('--params-file', file)),
                             **parameters)
        super().__init__(graph, self.namespace, program, kinds=())
        create = graph.node.create_publisher
        self._info = create(CameraInfo, f'/{self.namespace}/camera_info', 10)
        self._depth = create(Image, f'/{self.namespace}/depth/image', 10)
        self.kept: dict[str, list] = {}

    def keep(self, message_type: type, topic: str, qos: QoSProfile | int) -> list:
        """Subscribe as a consumer does, and return the list that messages come into."""
        topic = topic if topic.startswith('/') else f'{self.name}/{topic}'
        kept = self.kept[topic] = []
        self.graph.node.create_subscription(message_type, topic, kept.append, qos)
        return kept

    def synchronised(self, *inputs: tuple[type, str, QoSProfile], slop: float | None = None) -> list[tuple]:
        """Subscribe with the real message_filters, and return the list that sets of messages come into."""
        filters, sets = need('message_filters'), []
        topics = [(kind, topic if topic.startswith('/') else f'{self.name}/{topic}', qos) for kind, topic, qos in inputs]
        subscribers = [filters.Subscriber(self.graph.node, kind, topic, qos_profile=qos) for kind, topic, qos in topics]
        together = filters.TimeSynchronizer(subscribers, 1000) if slop is None else (
            filters.ApproximateTimeSynchronizer(subscribers, 1000, slop))
        together.registerCallback(lambda *messages: sets.append(messages))
        return sets

    def show(self, picture: np.ndarray, depth: np.ndarray | None = None, encoding: str = 'bgr8', cloud=None) -> Image:
        """Publish an image and, under the same header, calibration, depth and point cloud."""
        message = self.send(message_of(picture, encoding))
        info = calibration(picture.shape[1], picture.shape[0])
        info.header = message.header
        self._info.publish(info)
        if depth is not None:
            self._depth.publish(depth_message(depth, message.header))
        if cloud is not None:
            cloud.publish(organised_cloud(message.header))
        return message

    def show_until(self, condition, picture: np.ndarray, depth: np.ndarray | None = None, cloud=None) -> None:
        """Show a picture again and again, each time with a new stamp, until a condition holds."""
        last = 0.0

        def go_on() -> None:
            nonlocal last
            if time.monotonic() > last + 0.5:
                self.show(picture, depth, cloud=cloud)
                last = time.monotonic()
            self.spin()

        wait_until(condition, 'what a consumer takes', go_on)


def need(name: str):
    """Return a module of a robot; skip the test where its package is missing."""
    package = name.partition('.')[0]
    if importlib.util.find_spec(package) is None:
        pytest.skip(f'NOT TESTED, for there is no {package}')
    return importlib.import_module(name)


def organised_cloud(header, width: int = 424, height: int = 424) -> PointCloud2:
    """What depth_image_proc makes of a depth image of that size."""
    fields = [PointField(name=name, offset=4 * place, datatype=PointField.FLOAT32, count=1) for place, name in enumerate('xyz')]
    return PointCloud2(header=header, width=width, height=height, fields=fields, point_step=12, row_step=12 * width,
                       data=np.ones(3 * width * height, np.float32).tobytes())


@pytest.fixture
def robot(graph, start):
    return lambda consumer, **parameters: Robot(graph, start, consumer, **parameters)


@pytest.fixture(scope='module')
def depth(astronaut) -> np.ndarray:
    """Of the astronaut before a wall, at half the size of her picture."""
    image = np.full((astronaut.shape[0] // 2, astronaut.shape[1] // 2), WALL, np.uint16)
    image[:, 40:180] = NEAR
    return image


def headers_of(messages) -> set[tuple]:
    return {(each.header.stamp.sec, each.header.stamp.nanosec, each.header.frame_id) for each in messages}


# ---- parameter files

@pytest.mark.parametrize('file', CONSUMERS, ids=lambda file: file.stem)
def test_parameters_of_a_consumer_are_settings_that_the_look_leaves_alone(file):
    values = read_yaml(file)
    assert values and not values.keys() & read_yaml(look_file('robot')).keys()
    Settings().updated(values)


def test_every_consumer_is_in_the_document():
    text = (ROOT / 'docs' / 'robot.md').read_text(encoding='utf-8')
    assert len(CONSUMERS) >= 8 and not [file.stem for file in CONSUMERS if f'config/consumers/{file.name}' not in text]
    assert 'robot' in LOOKS and not Settings().updated(read_yaml(look_file('robot'))).flip


# ---- consumers

def test_semantic_segmentation_layer_gets_mask_confidence_and_cloud_of_one_stamp_and_size(robot, graph, astronaut):
    label_info = need('vision_msgs.msg').LabelInfo
    node = robot('nav2_semantic_layer')
    cloud = graph.node.create_publisher(PointCloud2, f'/{node.namespace}/points', qos_profile_sensor_data)
    labels = node.keep(label_info, 'label_info', LATCHED)
    sets = node.synchronised((Image, 'mask', SENSOR_50), (Image, 'confidence', SENSOR_50),
                             (PointCloud2, f'/{node.namespace}/points', SENSOR_50))
    node.show_until(lambda: sets and labels, astronaut, cloud=cloud)
    mask, confidence, points = sets[-1]
    assert mask.encoding == confidence.encoding == 'mono8' and mask.step == mask.width
    assert (mask.width, mask.height) == (confidence.width, confidence.height) == (points.width, points.height)
    assert {*np.unique(picture_of(mask))} == {0, 1} and picture_of(confidence).min() >= 127
    assert {each.class_id: each.class_name for each in labels[-1].class_map} == {0: 'background', 1: 'person'}


def test_following_server_gets_pose_and_frame_of_one_person(robot, astronaut, depth):
    tf_message = need('tf2_msgs.msg').TFMessage
    node = robot('nav2_following')
    poses, transforms = node.keep(PoseStamped, 'pose', 1), node.keep(tf_message, '/tf', 100)
    node.show_until(lambda: poses and transforms, astronaut, depth)
    pose, transform = poses[-1], transforms[-1].transforms[0]
    assert pose.header.frame_id == transform.header.frame_id == 'camera' and pose.pose.orientation.w == 1
    assert transform.child_frame_id.startswith(f'{node.namespace}/person_')
    assert pose.pose.position.z == pytest.approx(NEAR / 1000, abs=0.05) == transform.transform.translation.z


@pytest.mark.parametrize('dtype, encoding', [(np.uint16, '16UC1'), (np.float32, '32FC1')])
def test_depth_image_proc_gets_depth_without_people_with_calibration_of_one_stamp(robot, astronaut, depth, dtype, encoding):
    node = robot('depth')
    sets = node.synchronised((Image, 'depth/background', qos_profile_system_default),
                             (CameraInfo, 'depth/camera_info', qos_profile_system_default))
    image = depth if dtype == np.uint16 else (depth / 1000).astype(np.float32)
    node.show_until(lambda: sets, astronaut, image)
    background, info = sets[-1]
    assert background.encoding == encoding and (background.width, background.height) == (info.width, info.height)
    kept = np.nan_to_num(np.frombuffer(background.data, dtype).reshape(image.shape))
    assert not kept[200, 100] and kept[20, 250] == image[20, 250] and info.k[0] == 250


def test_rtabmap_gets_colour_calibration_and_depth_of_one_stamp(robot, astronaut, depth):
    node = robot('rtabmap')
    sets = node.synchronised((Image, node.topic, qos_profile_system_default),
                             (Image, 'depth/background', qos_profile_system_default),
                             (CameraInfo, f'/{node.namespace}/camera_info', qos_profile_system_default))
    node.show_until(lambda: sets, astronaut, depth)
    assert len(headers_of(sets[-1])) == 1


def test_cuvslam_gets_a_mask_of_every_frame(robot, astronaut):
    node = robot('cuvslam')
    masks = node.keep(Image, 'mask', qos_profile_sensor_data)
    node.show_until(lambda: masks, astronaut)
    for picture, encoding in ((astronaut, 'bgr8'), (cv2.imread(str(EMPTY_ROOM)), 'bgr8'), (astronaut, 'nonsense')):
        message = node.show(picture, encoding=encoding)
        node.wait_until(lambda message=message: masks[-1].header == message.header, f'the mask of a frame in {encoding}')
        mask = picture_of(masks[-1])
        assert mask.shape == picture.shape[:2] and masks[-1].encoding == 'mono8'
        assert mask.any() == (picture is astronaut and encoding == 'bgr8')


def test_nvblox_gets_mask_with_colour_exactly_and_with_depth_nearly(robot, astronaut, depth):
    node = robot('nvblox')
    mask, info = (Image, 'mask', qos_profile_system_default), (CameraInfo, 'mask/camera_info', qos_profile_system_default)
    with_colour = node.synchronised((Image, node.topic, qos_profile_system_default), mask, info)
    with_depth = node.synchronised((Image, f'/{node.namespace}/depth/image', qos_profile_system_default), mask, info, slop=0.02)
    node.show_until(lambda: with_colour and with_depth, astronaut, depth)
    colour, people, calibrated = with_colour[-1]
    assert len(headers_of(with_colour[-1])) == 1 and people.encoding == 'mono8' and picture_of(people).any()
    assert (colour.width, colour.height) == (people.width, people.height) == (calibrated.width, calibrated.height)


def test_rviz_gets_boxes_and_poses(robot, astronaut, depth):
    detection_array = need('vision_msgs.msg').Detection2DArray
    node = robot('viewers')
    boxes, poses = node.keep(detection_array, 'detections', 5), node.keep(PoseArray, 'poses', 5)
    node.show_until(lambda: boxes and boxes[-1].detections and poses and poses[-1].poses, astronaut, depth)
    [found] = boxes[-1].detections
    assert found.header == boxes[-1].header and found.header.frame_id == 'camera' and found.id.isdigit()
    assert found.results[0].hypothesis.class_id == 'person' and 0.25 < found.results[0].hypothesis.score <= 1
    assert found.bbox.size_x > 100 and 0 < found.bbox.center.position.x < astronaut.shape[1]


# ---- examples

class Stand:
    """In the place of a message type that cannot be had here: it keeps what it is made of, and has lists."""

    LINE_LOOP = 2

    def __init__(self, **fields) -> None:
        self.points, self.texts = [], []
        self.__dict__.update(fields)


def example(name: str, monkeypatch, **messages: list[str]):
    """Import a file of ``examples/`` with stand-ins for the messages of packages, where those are missing."""
    for package, names in messages.items():
        module = types.ModuleType(f'{package}.msg')
        module.__dict__.update({each: type(each, (Stand,), {}) for each in names})
        monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
        monkeypatch.setitem(sys.modules, f'{package}.msg', module)
    spec = importlib.util.spec_from_file_location(f'example_{name}', ROOT / 'examples' / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def recorded(node_class: type, sent: dict[str, list]) -> type:
    """A node class whose publishers keep what is published, by topic."""
    def create_publisher(self, kind, topic, *qos, **more):
        kept = sent.setdefault(topic, [])
        return types.SimpleNamespace(publish=kept.append) if issubclass(kind, Stand) or 'humans' in topic else (
            super(recording, self).create_publisher(kind, topic, *qos, **more))

    recording = type('Recording', (node_class,), {'create_publisher': create_publisher})
    return recording


def test_ros4hri_example_publishes_bodies(monkeypatch, shared_graph):
    tf2_msgs = need('tf2_msgs.msg')
    module, sent = example('ros4hri', monkeypatch, hri_msgs=['IdsList', 'NormalizedRegionOfInterest2D']), {}
    node = recorded(module.Bodies, sent)()
    node.take_people(String(data='{"stamp": [1, 2], "frame_id": "camera", "width": 200, "height": 100, "people": '
                                          '[{"id": 7, "box": [-10, 10, 60, 50], "score": 0.5, "counts": true}]}'))
    [ids], [roi] = sent['/humans/bodies/tracked'], sent['/humans/bodies/person_7/roi']
    assert ids.ids == ['person_7'] and (ids.header.stamp.nanosec, ids.header.frame_id) == (2, 'camera')
    assert (roi.xmin, roi.ymin, roi.xmax, roi.ymax, roi.c) == (0.0, 0.1, 0.25, 0.6, 0.5)
    transform = TransformStamped(child_frame_id='robot/person_7')
    transform.transform.translation.z = 2.0
    node.take_positions(tf2_msgs.TFMessage(transforms=[transform]))
    assert sent['/humans/bodies/person_7/position'][0].point.z == 2.0
    node.destroy_node()


def test_foxglove_example_draws_boxes(monkeypatch, shared_graph):
    vision = need('vision_msgs.msg')
    module, sent = example('foxglove', monkeypatch, foxglove_msgs=[
        'Color', 'ImageAnnotations', 'Point2', 'PointsAnnotation', 'TextAnnotation']), {}
    node = recorded(module.Annotations, sent)()
    detection = vision.Detection2D(id='7', bbox=vision.BoundingBox2D(size_x=20.0, size_y=10.0), results=[
        vision.ObjectHypothesisWithPose(hypothesis=vision.ObjectHypothesis(class_id='person', score=0.5))])
    detection.bbox.center.position.x = 100.0
    node.draw(vision.Detection2DArray(detections=[detection]))
    [drawn] = sent['annotations']
    assert [(each.x, each.y) for each in drawn.points[0].points] == [(90, -5), (110, -5), (110, 5), (90, 5)]
    assert drawn.texts[0].text == '7: 0.50'
    node.destroy_node()


def two_people(sample, step: int) -> tuple[np.ndarray, np.ndarray]:
    """A person who moves, 1.5 m away on the left, and one 3 m away on the right: picture and depth, 640x480."""
    near = sample[60 + abs(step % 110 - 55)][:, 110:510]
    right = sample[0][:, :240].copy()  # the empty room
    right[240:] = cv2.resize(sample[88], (320, 240), interpolation=cv2.INTER_AREA)[:, 40:280]
    depth = np.full((480, 640), NEAR, np.uint16)
    depth[:, 400:] = FAR
    return np.hstack([near, right]), depth


def test_follower_example_follows_nearer_person_without_a_swap_and_stops_without_one(robot, start, sample):
    node = robot('nav2_following')
    poses = node.keep(PoseStamped, 'pose', 10)
    commands = node.keep(Twist, f'/{node.namespace}/cmd_vel', 10)

    def moving() -> list[Twist]:
        return [each for each in commands if each.linear.x or each.angular.z]

    follower = start('', '--ros-args', '-r', f'__ns:=/{node.namespace}',
                     command=[sys.executable, str(ROOT / 'examples' / 'follow_person.py')])
    node.show_until(moving, *two_people(sample, 0))
    for step in range(120):
        count = len(poses)
        node.show_until(lambda count=count: len(poses) > count, *two_people(sample, step))
    assert follower.code is None
    assert {round(each.pose.position.z, 1) for each in poses} == {NEAR / 1000} and all(each.pose.position.x < 0 for each in poses)
    assert all(0 < each.linear.x <= 0.5 and 0 < each.angular.z <= 0.8 for each in moving())
    commands.clear()
    node.wait_until(lambda: commands and not (commands[-1].linear.x or commands[-1].angular.z), 'the stop')

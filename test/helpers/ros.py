# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What the tests of the ROS part share: a node of their own that sends images and keeps what comes back."""

from __future__ import annotations

import array
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest
import rclpy
from conftest import Program, unique, wait_until
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters, SetParameters, SetParametersAtomically
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from self_segmentation.settings import Settings

# The viewer's program before a screen that says what is shown on it: there is none here.
VIEWER = [sys.executable, '-c', """
import sys
from self_segmentation.nodes import viewer_node

class Screen:
    def show(self, frame):
        print(f'shows {frame.mean():.0f}', flush=True)
        return True
    def poll(self):
        return True
    def close(self):
        pass

viewer_node.why_no_window, viewer_node.Window = lambda: '', Screen
sys.exit(viewer_node.main())
"""]


def message_of(picture: np.ndarray, encoding: str = 'bgr8', padding: int = 0, **fields) -> Image:
    """A message whose rows are those of (rows, row bytes) or (height, width, channels) uint8, each followed by ``padding``."""
    height, width = picture.shape[:2]
    rows = np.full((height, picture[0].nbytes + padding), 123, np.uint8)
    rows[:, :picture[0].nbytes] = np.ascontiguousarray(picture).view(np.uint8).reshape(height, -1)
    message = Image(height=height, width=width, encoding=encoding, step=rows.shape[1], data=array.array('B', rows.tobytes()))
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def picture_of(message: Image) -> np.ndarray:
    """The pixels of a bgr8 or mono8 message, read without the package's own code."""
    channels = {'bgr8': 3, 'bgra8': 4, 'mono8': 1}[message.encoding]
    assert message.step == message.width * channels and len(message.data) == message.step * message.height
    return np.array(message.data, np.uint8).reshape(message.height, message.width, channels).squeeze(2 if channels == 1 else ())


def depth_message(depth: np.ndarray, header) -> Image:
    """A message of (height, width) uint16 millimetres or float32 metres."""
    encoding = '16UC1' if depth.dtype == np.uint16 else '32FC1'
    return message_of(depth[..., None].view(np.uint8), encoding, header=header, width=depth.shape[1])


def calibration(width: int, height: int) -> CameraInfo:
    """A camera without distortion, with its principal point in the middle."""
    info = CameraInfo(width=width, height=height, distortion_model='plumb_bob', d=[0.0] * 5)
    info.k = [500.0, 0.0, width / 2, 0.0, 500.0, height / 2, 0.0, 0.0, 1.0]
    info.r = np.eye(3).ravel().tolist()
    info.p = [500.0, 0.0, width / 2, 0.0, 0.0, 500.0, height / 2, 0.0, 0.0, 0.0, 1.0, 0.0]
    return info


class Graph:
    """A ROS node of the tests, with an executor of its own or another's."""

    def __init__(self, executor: SingleThreadedExecutor | None = None) -> None:
        self._is_first = executor is None
        if executor is None:
            rclpy.init(args=[], signal_handler_options=rclpy.SignalHandlerOptions.NO)
            executor = SingleThreadedExecutor()
        # no services of the node's own: it would answer while it spins only
        self.node = rclpy.create_node(unique('tester'), start_parameter_services=False,
                                      parameter_overrides=[Parameter('start_type_description_service', value=False)])
        self._executor = executor
        executor.add_node(self.node)

    def another(self) -> Graph:
        """Another node of the same participant: Fast DDS tells processes of participants, so it costs next to nothing."""
        return Graph(self._executor)

    def spin(self) -> None:
        self._executor.spin_once(timeout_sec=0.02)

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        wait_until(condition, what, self.spin)

    def call(self, ask: Callable[[], object], spin: Callable[[], object] | None = None):
        """What a service answers; asked again when an answer gets lost, as it may while the two ends find each other."""
        asked = [ask()]
        last = time.monotonic()

        def go_on() -> None:
            nonlocal last
            if time.monotonic() > last + 3:
                asked.append(ask())
                last = time.monotonic()
            (spin or self.spin)()

        wait_until(lambda: any(future.done() for future in asked), 'the answer of a service', go_on)
        return next(future.result() for future in asked if future.done())

    def listen(self, topic: str, reliable: bool = True, depth: int = 300) -> tuple[list[Image], object]:
        """The list that messages will come into, and the subscription."""
        received: list[Image] = []
        reliability = QoSReliabilityPolicy.RELIABLE if reliable else QoSReliabilityPolicy.BEST_EFFORT
        kind = CompressedImage if topic.endswith('/compressed') else Image
        return received, self.node.create_subscription(
            kind, topic, received.append, QoSProfile(depth=depth, reliability=reliability))

    def close(self) -> None:
        self._executor.remove_node(self.node)
        self.node.destroy_node()
        if self._is_first:
            self._executor.shutdown()
            rclpy.shutdown()


class Parameters:
    """A node's parameter services, each answered in a future; rclpy's own client is not in Humble."""

    def __init__(self, node: Node, name: str) -> None:
        self._clients = {service: node.create_client(service, f'{name}/{place}') for service, place in (
            (SetParameters, 'set_parameters'), (SetParametersAtomically, 'set_parameters_atomically'),
            (GetParameters, 'get_parameters'), (DescribeParameters, 'describe_parameters'), (ListParameters, 'list_parameters'))}

    def services_are_ready(self) -> bool:
        return all(client.service_is_ready() for client in self._clients.values())

    def _ask(self, service: type, **fields):
        return self._clients[service].call_async(service.Request(**fields))

    def set_parameters(self, parameters: list[Parameter]):
        return self._ask(SetParameters, parameters=[each.to_parameter_msg() for each in parameters])

    def set_parameters_atomically(self, parameters: list[Parameter]):
        return self._ask(SetParametersAtomically, parameters=[each.to_parameter_msg() for each in parameters])

    def get_parameters(self, names: list[str]):
        return self._ask(GetParameters, names=names)

    def describe_parameters(self, names: list[str]):
        return self._ask(DescribeParameters, names=names)

    def list_parameters(self):
        return self._ask(ListParameters)


def publishers(node: Node, subscription) -> int:
    """How many publishers a subscription has; in Humble it does not know them itself."""
    return (subscription.get_publisher_count() if hasattr(subscription, 'get_publisher_count')
            else node.count_publishers(subscription.topic_name))


class Segmentation:
    """A running segmentation node, seen from outside."""

    KINDS = ('output', 'mask', 'alpha')
    INPUT, SUFFIX = Image, ''  # what its camera sends, and where

    def __init__(self, graph: Graph, namespace: str, program: Program, kinds: tuple[str, ...] = KINDS,
                 reliability: QoSReliabilityPolicy = QoSReliabilityPolicy.RELIABLE) -> None:
        self.graph, self.program, self.name, self.topic = graph, program, f'/{namespace}/segmentation', f'/{namespace}/image_raw'
        self.received: dict[str, list[Image]] = {}
        self._subscriptions = {}
        self._sender = graph.node.create_publisher(self.INPUT, self.topic + self.SUFFIX,
                                                   QoSProfile(depth=2, reliability=reliability))
        self.parameters = Parameters(graph.node, self.name)
        self.wait_until(self.parameters.services_are_ready, f'the start of {self.name}')
        self.listen(*kinds)

    def spin(self) -> None:
        """Take what came; a process that ended unasked fails the test at once."""
        if self.program.code is not None:
            pytest.fail(f'the node ended with exit code {self.program.code}; it said:\n{self.program.said}')
        self.graph.spin()

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        wait_until(condition, what, self.spin)

    def listen(self, *kinds: str) -> None:
        """Subscribe to these and no others, and wait until the node follows."""
        for kind in set(self._subscriptions) - set(kinds):
            self.graph.node.destroy_subscription(self._subscriptions.pop(kind))
        for kind in kinds:
            if kind not in self._subscriptions:
                self.received[kind], self._subscriptions[kind] = self.graph.listen(f'{self.name}/{kind}')
        self.wait_until(lambda: self._sender.get_subscription_count() == bool(kinds), 'the node to follow the demand')
        self.wait_until(lambda: all(publishers(self.graph.node, s) == 1 for s in self._subscriptions.values()), 'the outputs')

    def send(self, message: Image) -> Image:
        """Publish a message, with a stamp of its own unless it has a header."""
        if not message.header.frame_id:
            message.header.frame_id = 'camera'
            message.header.stamp = self.graph.node.get_clock().now().to_msg()
        self._sender.publish(message)
        return message

    def results(self, message: Image, again: float = 2.0) -> dict[str, Image]:
        """Publish a message and return what comes of it, by kind; published again if it was lost, as best effort may."""
        sent = 0.0

        def came() -> dict[str, Image]:
            return {kind: m for kind in self._subscriptions for m in self.received[kind] if m.header == message.header}

        def go_on() -> None:
            nonlocal sent
            if time.monotonic() > sent + again:
                self.send(message)
                sent = time.monotonic()
            self.spin()

        for received in self.received.values():
            received.clear()
        wait_until(lambda: sent and len(came()) == len(self._subscriptions), 'the results of a frame', go_on)
        return came()

    def pictures(self, picture: np.ndarray, *encoding) -> dict[str, np.ndarray]:
        """Send a picture and return the pictures that come of it, by kind."""
        return {kind: picture_of(m) for kind, m in self.results(message_of(picture, *encoding)).items()}

    def call(self, ask: Callable[[], object]):
        return self.graph.call(ask, self.spin)

    def change(self, **values) -> list[str]:
        """Set parameters one after the other; return the reasons of those that were refused."""
        parameters = [Parameter(name.replace('__', '.'), value=value) for name, value in values.items()]
        answers = self.call(lambda: self.parameters.set_parameters(parameters)).results
        return [answer.reason for answer in answers if not answer.successful]

    def restore(self, settings: Settings) -> None:
        """Set all parameters to those of settings."""
        usual = {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}
        if self.values() != dict(settings.items()):
            assert self.change(**{'background.type': 'color'}) == self.change(**usual) == []  # no image is taken away in use
        assert self.values() == dict(settings.items())

    def values(self) -> dict:
        """All settings as the node has them."""
        names = [name for name, _ in Settings().items()]
        answer = self.call(lambda: self.parameters.get_parameters(names))
        return {name: _value(value) for name, value in zip(names, answer.values)}


def _value(message):
    value = rclpy.parameter.parameter_value_to_python(message)
    return value if isinstance(value, (bool, int, float, str, type(None))) else tuple(value)

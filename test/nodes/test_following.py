# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Subscriptions follow the reliability of the publishers, in both orders of starting; an override wins."""
import pytest
from conftest import TUTORIAL, unique
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from ros import Parameters
from sensor_msgs.msg import Image

RELIABLE, BEST_EFFORT = QoSReliabilityPolicy.RELIABLE, QoSReliabilityPolicy.BEST_EFFORT


class Camera:
    """A publisher of ``image_raw``, and how the node subscribes to it."""

    def __init__(self, graph, namespace: str) -> None:
        self._graph, self._topic = graph, f'/{namespace}/image_raw'
        self._senders: list = []

    def start(self, reliability) -> None:
        self._senders.append(self._graph.node.create_publisher(Image, self._topic, QoSProfile(depth=2, reliability=reliability)))

    def stop(self) -> None:
        self._graph.node.destroy_publisher(self._senders.pop())

    def wait_for_subscription(self, reliability) -> None:
        self._graph.wait_until(lambda: [each.qos_profile.reliability for each in self._graph.node.get_subscriptions_info_by_topic(
            self._topic)] == [reliability], f'a subscription that is {reliability.name}')


@pytest.fixture
def world(graph, start):
    def run(*arguments: str):
        namespace = unique('following')
        start.node('segmentation_node', namespace, '--params-file', TUTORIAL, *arguments)
        parameters = Parameters(graph.node, f'/{namespace}/segmentation')
        graph.wait_until(parameters.services_are_ready, 'the node')
        graph.listen(f'/{namespace}/segmentation/mask')
        return Camera(graph, namespace)
    return run


def test_node_that_is_there_first_follows_cameras_that_come_and_go(world):
    camera = world()
    camera.wait_for_subscription(BEST_EFFORT)  # nothing is known
    for reliability in (RELIABLE, BEST_EFFORT, RELIABLE):
        camera.start(reliability)
        camera.wait_for_subscription(reliability)
        camera.stop()


def test_one_best_effort_camera_among_reliable_ones_is_heard(world):
    camera = world()
    camera.start(RELIABLE)
    camera.wait_for_subscription(RELIABLE)
    camera.start(BEST_EFFORT)
    camera.wait_for_subscription(BEST_EFFORT)
    camera.stop()
    camera.wait_for_subscription(RELIABLE)


def test_camera_that_is_there_first_is_followed_at_once(graph, start):
    namespace = unique('following')
    camera = Camera(graph, namespace)
    camera.start(RELIABLE)
    start.node('segmentation_node', namespace, '--params-file', TUTORIAL)
    graph.listen(f'/{namespace}/segmentation/mask')
    camera.wait_for_subscription(RELIABLE)


def test_override_of_reliability_wins(graph, start):
    namespace = unique('following')
    camera = Camera(graph, namespace)
    camera.start(RELIABLE)
    override = f'qos_overrides./{namespace}/image_raw.subscription.reliability:=best_effort'
    start.node('segmentation_node', namespace, '--params-file', TUTORIAL, '-p', override)
    graph.listen(f'/{namespace}/segmentation/mask')
    camera.wait_for_subscription(BEST_EFFORT)
    camera.start(RELIABLE)
    for _ in range(100):  # two seconds, in which nothing may change
        graph.spin()
    camera.wait_for_subscription(BEST_EFFORT)

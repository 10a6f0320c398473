# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 node: ``image_raw`` in; ``~/output``, ``~/mask`` and ``~/alpha`` out, with the very same header."""

from __future__ import annotations

import dataclasses
import inspect

import cv2
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSHistoryPolicy, QoSProfile, QoSReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import Image

try:
    from rclpy.event_handler import PublisherEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks

from .errors import ImageError
from .images import ImageWriter, to_bgr
from .lifetime import run
from .parameters import SettingsParameters
from .pipeline import Pipeline

__all__ = ['SegmentationNode', 'main']

_INPUT_QOS = QoSProfile(depth=1, history=QoSHistoryPolicy.KEEP_LAST, reliability=QoSReliabilityPolicy.BEST_EFFORT)
_OUTPUT_QOS = QoSProfile(depth=1, history=QoSHistoryPolicy.KEEP_LAST, reliability=QoSReliabilityPolicy.RELIABLE)
_KINDS = {'output': 'bgr8', 'mask': 'mono8', 'alpha': 'mono8'}
_PATIENCE = 5.0  # seconds without a frame, or between two equal complaints


@dataclasses.dataclass
class _Output:
    publisher: Publisher
    writer: ImageWriter

    @property
    def wanted(self) -> bool:
        return self.publisher.get_subscription_count() > 0


class SegmentationNode(Node):
    """
    Segments the latest camera frame while somebody subscribes to a result, and does nothing otherwise.

    Subscribes ``image_raw`` (sensor_msgs/Image, best effort, depth 1). Publishes ``~/output`` (bgr8),
    ``~/mask`` (mono8, 0 or 255) and ``~/alpha`` (mono8), reliable, depth 1. All QoS can be overridden by
    parameters. Every setting is a parameter.
    """

    def __init__(self) -> None:
        super().__init__('segmentation')
        self._tuning = SettingsParameters(self, Pipeline)
        self._camera: Subscription | None = None
        self._frames_since_watch = 0
        self._outputs = {kind: self._make_output(kind, encoding) for kind, encoding in _KINDS.items()}
        self.create_timer(_PATIENCE, self._watch)
        if not _HAS_MATCHED_EVENTS:
            self.create_timer(0.5, self._follow_demand)
        self._follow_demand()

    def _make_output(self, kind: str, encoding: str) -> _Output:
        events = {'matched': lambda _: self._follow_demand()} if _HAS_MATCHED_EVENTS else {}
        publisher = self.create_publisher(Image, f'~/{kind}', _OUTPUT_QOS,
                                          event_callbacks=PublisherEventCallbacks(**events),
                                          qos_overriding_options=QoSOverridingOptions.with_default_policies())
        return _Output(publisher, ImageWriter(Image(), encoding))

    def _follow_demand(self) -> None:
        """Subscribe to the camera while a result is wanted, and only then."""
        wanted = any(output.wanted for output in self._outputs.values())
        if wanted and self._camera is None:
            self._camera = self.create_subscription(
                Image, 'image_raw', self._on_image, _INPUT_QOS,
                qos_overriding_options=QoSOverridingOptions.with_default_policies())
            self._tuning.target.reset()  # what was seen before is long ago
            self._frames_since_watch = 0
        elif not wanted and self._camera is not None:
            self.destroy_subscription(self._camera)
            self._camera = None

    def _on_image(self, message: Image) -> None:
        self._frames_since_watch += 1
        try:
            frame = to_bgr(message)
        except ImageError as error:
            self.get_logger().error(f'frame skipped: {error}', throttle_duration_sec=_PATIENCE)
            return
        height, width = frame.shape[:2]
        wanted = {kind: output for kind, output in self._outputs.items() if output.wanted}
        pixels = {kind: output.writer.pixels(width, height) for kind, output in wanted.items()}
        stamp = message.header.stamp.sec + message.header.stamp.nanosec * 1e-9
        try:
            self._tuning.target.process(frame, stamp=stamp, picture=pixels.get('output', False), mask=pixels.get('mask', False),
                                        alpha=pixels.get('alpha', False))
        except cv2.error as error:
            self.get_logger().error(f'frame of {width}x{height} skipped: {error}', throttle_duration_sec=_PATIENCE)
            return
        for output in wanted.values():
            output.writer.message.header = message.header
            output.publisher.publish(output.writer.message)

    def _watch(self) -> None:
        """Say so when frames are sent and do not arrive."""
        if self._camera is not None and self._frames_since_watch == 0:
            topic = self._camera.topic_name
            senders = self.count_publishers(topic)
            reason = 'nobody publishes it: is the camera running, is the topic remapped?' if not senders else (
                f'{senders} publisher(s) are there. Large images are lost when the camera runs without the Fast DDS '
                'profile config/fastdds.xml: see "No images arrive" in the README')
            self.get_logger().warning(f'no image on {topic} for {_PATIENCE:.0f} s: {reason}', throttle_duration_sec=6 * _PATIENCE)
        self._frames_since_watch = 0

    def destroy_node(self) -> None:
        """Free the model, then the node."""
        self._tuning.target.close()
        super().destroy_node()


# Jazzy and later tell when a subscriber comes or goes; Humble has to ask.
_HAS_MATCHED_EVENTS = 'matched' in inspect.signature(PublisherEventCallbacks.__init__).parameters


def main(args: list[str] | None = None) -> int:
    """Run the node."""
    return run(SegmentationNode, args)


if __name__ == '__main__':
    raise SystemExit(main())

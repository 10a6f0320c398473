# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The results on their topics: ``~/output``, ``~/mask`` and ``~/alpha``, raw and compressed; ``~/people``."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSHistoryPolicy, QoSProfile, QoSReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from ..picture.pipeline import Result, channels_of
from ..settings import Settings
from .messages import ImageWriter, compress, stamp_of
from .parameters import wrong_qos_named

try:
    from rclpy.event_handler import PublisherEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks

__all__ = ['HAS_MATCHED_EVENTS', 'Output', 'make_outputs']

# Jazzy and later tell when a subscriber comes or goes; Humble has to ask.
HAS_MATCHED_EVENTS = 'matched' in inspect.signature(PublisherEventCallbacks.__init__).parameters
_TOPICS = {'composite': 'output', 'mask': 'mask', 'alpha': 'alpha'}  # by the result of the pipeline
_ENCODINGS = {'composite': {3: 'bgr8', 4: 'bgra8'}, 'mask': {3: 'mono8'}, 'alpha': {3: 'mono8'}}  # by the composite's channels
_COMPRESSED = ('composite', 'mask')


class Output(Protocol):
    """
    A result on its topics.

    ``topic`` its main one; ``follows_pause`` whether it is published while the node is paused, under each new frame's header.
    """

    topic: str
    follows_pause: bool

    @property
    def is_wanted(self) -> bool:
        """Whether anybody subscribes."""

    def arrays(self, size: tuple[int, int], settings: Settings) -> dict[str, NDArray[np.uint8]]:
        """
        Return the arrays that the pipeline is to write to, by their names in its :class:`Result`.

        :param size: width and height of the frame.
        """

    def publish(self, header: Any, result: Result, settings: Settings) -> None:
        """Publish its part of a result, in the forms that are subscribed."""

    def close(self) -> None:
        """End publishing."""


def make_outputs(node: Node, on_demand: Callable[[], None]) -> list[Output]:
    """
    Return the outputs of a node: reliable, depth 1, with QoS overrides.

    :param on_demand: called when a subscriber comes or goes; never where there are no matched events (Humble).
    :raises SelfSegmentationError: a QoS override is not allowed.
    """
    return [*(ImageOutput(node, result, on_demand) for result in _TOPICS), PeopleOutput(node, on_demand)]


# Not a method: a callback that refers to the output keeps its buffers until the garbage collector finds the circle.
def _publisher(node: Node, message_type: type, topic: str, on_demand: Callable[[], None]) -> Publisher[Any]:
    events: dict[str, Any] = {'matched': lambda _: on_demand()} if HAS_MATCHED_EVENTS else {}
    qos = QoSProfile(depth=1, history=QoSHistoryPolicy.KEEP_LAST, reliability=QoSReliabilityPolicy.RELIABLE)
    with wrong_qos_named(node, topic):
        return node.create_publisher(message_type, topic, qos, event_callbacks=PublisherEventCallbacks(**events),
                                     qos_overriding_options=QoSOverridingOptions.with_default_policies())


class ImageOutput:
    """
    One image of the result: the pixels of its message, and its publishers.

    :param result: its name in :class:`~self_segmentation.picture.pipeline.Result`.
    """

    follows_pause = True

    def __init__(self, node: Node, result: str, on_demand: Callable[[], None]) -> None:
        self._result, self._node = result, node
        self._writer = ImageWriter(Image(), _ENCODINGS[result][3])
        self._raw = _publisher(node, Image, f'~/{_TOPICS[result]}', on_demand)
        self.topic = self._raw.topic_name
        self._compressed = None
        if result in _COMPRESSED:
            self._compressed = _publisher(node, CompressedImage, f'{self.topic}/compressed', on_demand)

    @property
    def is_wanted(self) -> bool:
        """Whether anybody subscribes."""
        return _subscribers(self._raw) + _subscribers(self._compressed) > 0

    def arrays(self, size: tuple[int, int], settings: Settings) -> dict[str, NDArray[np.uint8]]:
        """Return the pixels of the message: (height, width, 3 or 4) for the composite, (height, width) for the others."""
        encodings = _ENCODINGS[self._result]
        encoding = encodings.get(channels_of(settings), encodings[3])
        if encoding != self._writer.message.encoding:
            self._writer = ImageWriter(Image(), encoding)
        return {self._result: self._writer.pixels(*size)}

    def publish(self, header: Any, result: Result, settings: Settings) -> None:
        """Publish what the pipeline wrote to the pixels; again and again, if need be."""
        if _subscribers(self._raw):
            self._writer.message.header = header
            self._raw.publish(self._writer.message)
        if self._compressed is not None and _subscribers(self._compressed):
            message = CompressedImage(header=header)
            compress(message, getattr(result, self._result), settings.jpeg_quality if self._result == 'composite' else None)
            self._compressed.publish(message)

    def close(self) -> None:
        """End publishing."""
        for publisher in (self._raw, self._compressed):
            if publisher is not None:
                self._node.destroy_publisher(publisher)


class PeopleOutput:
    """
    Who is there, frame by frame, on ``~/people``: std_msgs/String, an object of JSON.

    ``stamp`` [seconds, nanoseconds], ``frame_id``, ``width`` and ``height`` are the frame's. ``people`` holds of each the ``id``,
    ``box`` [left, top, width, height] in pixels, ``score`` and ``counts``.
    """

    follows_pause = False

    def __init__(self, node: Node, on_demand: Callable[[], None]) -> None:
        self._node = node
        self._publisher = _publisher(node, String, '~/people', on_demand)
        self.topic = self._publisher.topic_name

    @property
    def is_wanted(self) -> bool:
        """Whether anybody subscribes."""
        return _subscribers(self._publisher) > 0

    def arrays(self, size: tuple[int, int], settings: Settings) -> dict[str, NDArray[np.uint8]]:
        """Return none: people are found in any case."""
        return {}

    def publish(self, header: Any, result: Result, settings: Settings) -> None:
        """Publish the people of a frame."""
        width, height = result.size
        found = [{'id': person.id, 'box': [person.box.x0, person.box.y0, person.box.width, person.box.height],
                  'score': round(float(person.score), 3), 'counts': person.counts} for person in result.people]
        self._publisher.publish(String(data=json.dumps({
            'stamp': stamp_of(header), 'frame_id': header.frame_id, 'width': width, 'height': height, 'people': found})))

    def close(self) -> None:
        """End publishing."""
        self._node.destroy_publisher(self._publisher)


def _subscribers(publisher: Publisher[Any] | None) -> int:
    return publisher.get_subscription_count() if publisher is not None else 0

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What all outputs share: publishers, and whether anybody subscribes to them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSDurabilityPolicy, QoSHistoryPolicy, QoSProfile, QoSReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions

from ...picture.pipeline import Result
from ...settings import Settings
from ..parameters import wrong_qos_named

try:
    from rclpy.event_handler import PublisherEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks

__all__ = ['HAS_MATCHED_EVENTS', 'Output', 'has_subscribers']

# Jazzy and later tell when a subscriber comes or goes; Humble has to ask.
HAS_MATCHED_EVENTS = 'matched' in inspect.signature(PublisherEventCallbacks.__init__).parameters


class Output:
    """
    A result on its topics.

    ``topic`` is its main one. ``follows_pause`` tells whether it is published while the node is paused, under each new frame's
    header. Publishers are reliable, of depth 1, and take QoS overrides.

    :param on_demand: called when a subscriber comes or goes; never where there are no matched events (Humble).
    """

    topic = ''
    follows_pause = False

    def __init__(self, node: Node, on_demand: Callable[[], None]) -> None:
        self._node, self._on_demand = node, on_demand
        self._publishers: list[Publisher[Any]] = []

    def _offer(self, message_type: type, topic: str, latched: bool = False) -> Publisher[Any]:
        """
        Return a publisher, which is closed with the output.

        :param latched: whether a subscriber that comes later gets the last message.
        :raises SelfSegmentationError: a QoS override is not allowed.
        """
        publisher = _publisher(self._node, message_type, topic, self._on_demand, latched)
        self._publishers.append(publisher)
        self.topic = self.topic or publisher.topic_name
        return publisher

    @property
    def is_wanted(self) -> bool:
        """Whether anybody subscribes."""
        return any(map(has_subscribers, self._publishers))

    def arrays(self, size: tuple[int, int], settings: Settings) -> dict[str, NDArray[np.uint8]]:
        """
        Return the arrays that the pipeline is to write to, by their names in its :class:`Result`.

        :param size: width and height of the frame.
        """
        return {}

    def follow(self, is_active: bool) -> None:
        """Subscribe to what it needs beside the camera's images, while it is wanted and the node serves."""

    def publish(self, header: Any, result: Result, settings: Settings) -> None:
        """Publish its part of a result, in the forms that are subscribed."""
        raise NotImplementedError

    def fail(self, header: Any, size: tuple[int, int], settings: Settings) -> None:
        """Take that a frame could not be used. ``size`` is its width and height, 0 where they are not known."""

    @property
    def problem(self) -> str:
        """What is wrong with what it needs; empty where nothing is."""
        return ''

    @property
    def counts(self) -> dict[str, int]:
        """Figures for ``/diagnostics``, by name."""
        return {}

    def close(self) -> None:
        """End publishing."""
        self.follow(False)
        for publisher in self._publishers:
            self._node.destroy_publisher(publisher)
        self._publishers.clear()


# Not a method: a callback that refers to the output keeps its buffers until the garbage collector finds the circle.
def _publisher(node: Node, message_type: type, topic: str, on_demand: Callable[[], None], latched: bool) -> Publisher[Any]:
    events: dict[str, Any] = {'matched': lambda _: on_demand()} if HAS_MATCHED_EVENTS else {}
    durability = QoSDurabilityPolicy.TRANSIENT_LOCAL if latched else QoSDurabilityPolicy.VOLATILE
    qos = QoSProfile(depth=1, history=QoSHistoryPolicy.KEEP_LAST, reliability=QoSReliabilityPolicy.RELIABLE,
                     durability=durability)
    with wrong_qos_named(node, topic):
        return node.create_publisher(message_type, topic, qos, event_callbacks=PublisherEventCallbacks(**events),
                                     qos_overriding_options=QoSOverridingOptions.with_default_policies())


def has_subscribers(publisher: Publisher[Any]) -> bool:
    """Return whether anybody subscribes to a publisher."""
    return bool(publisher.get_subscription_count())

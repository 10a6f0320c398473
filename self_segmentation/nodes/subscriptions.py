# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Subscriptions of images that are as reliable as their publishers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSHistoryPolicy, QoSPolicyKind, QoSProfile, QoSReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription

from .lifetime import STEADY
from .parameters import given_at_start, wrong_qos_named

__all__ = ['FollowingSubscription']

_PERIOD = 0.5  # seconds between two looks at the publishers


class FollowingSubscription:
    """
    A subscription with QoS overrides: reliable where all publishers are, best effort else.

    A best-effort subscription loses large images of a reliable publisher where Fast DDS has no profile for them.
    When publishers come or go, the subscription is made anew if need be. An override of the reliability wins.

    :param callback: takes a message; it must not refer to what holds this subscription.
    :param depth: messages that wait, at most.
    :param options: further arguments of ``create_subscription``.
    :raises SelfSegmentationError: a QoS override is not allowed.
    """

    def __init__(self, node: Node, message_type: type, topic: str, callback: Callable[..., Any], depth: int = 1,
                 **options: Any) -> None:
        self._node, self._arguments, self._depth, self._options = node, (message_type, topic, callback), depth, options
        self.topic = node.resolve_topic_name(topic)
        self._is_given = f'qos_overrides.{self.topic}.subscription.reliability' in given_at_start(node)
        self._reliability = self._of_publishers()
        self._subscription = self._subscribe()
        self._timer = None if self._is_given else node.create_timer(_PERIOD, self._follow, clock=STEADY)

    def _of_publishers(self) -> QoSReliabilityPolicy:
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        is_reliable = publishers and all(each.qos_profile.reliability == QoSReliabilityPolicy.RELIABLE for each in publishers)
        return QoSReliabilityPolicy.RELIABLE if is_reliable else QoSReliabilityPolicy.BEST_EFFORT

    def _subscribe(self) -> Subscription[Any]:
        qos = QoSProfile(depth=self._depth, history=QoSHistoryPolicy.KEEP_LAST, reliability=self._reliability)
        kinds = [QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, *([QoSPolicyKind.RELIABILITY] if self._is_given else [])]
        with wrong_qos_named(self._node, self.topic):
            return self._node.create_subscription(*self._arguments, qos, qos_overriding_options=QoSOverridingOptions(kinds),
                                                  **self._options)

    def _follow(self) -> None:
        """Subscribe anew where the publishers are of another reliability now. Without a publisher nothing changes."""
        reliability = self._of_publishers()
        if reliability != self._reliability and self._node.count_publishers(self.topic):
            self._reliability = reliability
            self._node.destroy_subscription(self._subscription)
            self._subscription = self._subscribe()
            self._node.get_logger().debug(f'subscribed to {self.topic} anew, as its publishers are: {reliability.name.lower()}')

    def close(self) -> None:
        """End the subscription."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
            self._timer = None  # which refers to this
        self._node.destroy_subscription(self._subscription)

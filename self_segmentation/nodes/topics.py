# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Publishers and subscriptions with QoS overrides, and what differs between versions of rclpy."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSDurabilityPolicy, QoSHistoryPolicy, QoSPolicyKind, QoSProfile, QoSReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription

from ..errors import SettingsError
from .lifetime import STEADY
from .parameters import QOS_OVERRIDES, given_at_start

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks, UnsupportedEventTypeError
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks, UnsupportedEventTypeError

__all__ = ['HAS_MATCHED_EVENTS', 'HAS_MESSAGE_INFO', 'FollowingSubscription', 'latest_only', 'offer', 'wrong_qos_named']

_PERIOD = 0.5  # seconds between two looks at the publishers of a topic
HAS_MATCHED_EVENTS = 'matched' in inspect.signature(PublisherEventCallbacks.__init__).parameters  # Jazzy and later
HAS_MESSAGE_INFO = hasattr(Subscription, 'CallbackType')  # Humble's callbacks get the message only


def latest_only() -> QoSProfile:
    """Return the QoS of image subscriptions: best effort, the latest one. New each time: rclpy writes into it."""
    return QoSProfile(depth=1, history=QoSHistoryPolicy.KEEP_LAST, reliability=QoSReliabilityPolicy.BEST_EFFORT)


def offer(node: Node, message_type: type, topic: str, on_demand: Callable[[], object] | None = None,
          depth: int = 1, latched: bool = False) -> Publisher[Any]:
    """
    Return a publisher: reliable, with QoS overrides.

    :param on_demand: called when a subscriber comes or goes; never without matched events (Humble).
    :param latched: whether a subscriber that comes later gets the last message.
    :raises SettingsError: a QoS override is not allowed.
    """
    events: dict[str, Any] = {'matched': lambda _: on_demand()} if on_demand is not None and HAS_MATCHED_EVENTS else {}
    durability = QoSDurabilityPolicy.TRANSIENT_LOCAL if latched else QoSDurabilityPolicy.VOLATILE
    with wrong_qos_named(node, topic):
        return node.create_publisher(message_type, topic, QoSProfile(depth=depth, durability=durability),
                                     event_callbacks=PublisherEventCallbacks(**events),
                                     qos_overriding_options=QoSOverridingOptions.with_default_policies())


class FollowingSubscription:
    """
    A subscription with QoS overrides: reliable where all publishers are, best effort else.

    A best-effort subscription loses large images of a reliable publisher where Fast DDS has no profile for them.
    When publishers come or go, the subscription is made anew if need be. An override of the reliability wins.

    :param callback: takes a message. If it refers to what holds this subscription, that must drop it once it is closed.
    :param depth: messages that wait, at most.
    :param on_lost: takes how many messages the middleware lost since the last call; never called if it does not count them.
    :raises SettingsError: a QoS override is not allowed.
    """

    def __init__(self, node: Node, message_type: type, topic: str, callback: Callable[..., Any], depth: int = 1,
                 on_lost: Callable[[int], None] | None = None) -> None:
        self._node, self._arguments, self._depth, self._on_lost = node, (message_type, topic, callback), depth, on_lost
        self.topic = node.resolve_topic_name(topic)
        self._is_given = f'{QOS_OVERRIDES}{self.topic}.subscription.reliability' in given_at_start(node)
        self._reliability = self._of_publishers() or QoSReliabilityPolicy.BEST_EFFORT
        self._subscription = self._subscribe()
        self._timer = None if self._is_given else node.create_timer(_PERIOD, self._follow, clock=STEADY)

    def _of_publishers(self) -> QoSReliabilityPolicy | None:
        """Return what fits all publishers; None without any."""
        found = {each.qos_profile.reliability for each in self._node.get_publishers_info_by_topic(self.topic)}
        if not found:
            return None
        return QoSReliabilityPolicy.RELIABLE if found == {QoSReliabilityPolicy.RELIABLE} else QoSReliabilityPolicy.BEST_EFFORT

    def _subscribe(self) -> Subscription[Any]:
        qos = QoSProfile(depth=self._depth, history=QoSHistoryPolicy.KEEP_LAST, reliability=self._reliability)
        kinds = [QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, *([QoSPolicyKind.RELIABILITY] if self._is_given else [])]
        on_lost = self._on_lost  # what is called back does not refer to this

        def create(**events: Any) -> Subscription[Any]:
            return self._node.create_subscription(*self._arguments, qos, qos_overriding_options=QoSOverridingOptions(kinds),
                                                  **events)

        with wrong_qos_named(self._node, self.topic):
            if on_lost is not None:
                with contextlib.suppress(UnsupportedEventTypeError):  # not every middleware counts them
                    return create(event_callbacks=SubscriptionEventCallbacks(
                        message_lost=lambda info: on_lost(info.total_count_change)))
            return create()

    def _follow(self) -> None:
        """Subscribe anew where the publishers are of another reliability now. Without a publisher nothing changes."""
        reliability = self._of_publishers()
        if reliability is not None and reliability != self._reliability:
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


@contextlib.contextmanager
def wrong_qos_named(node: Node, topic: str) -> Iterator[None]:
    """
    Report the topic whose ``qos_overrides`` rclpy refuses: its own errors have many types and name no topic.

    :raises SettingsError: with rclpy's own reason.
    """
    try:
        yield
    except Exception as error:
        name = f'{QOS_OVERRIDES}{node.resolve_topic_name(topic)}'
        if not any(given.startswith(f'{name}.') for given in given_at_start(node)):
            raise  # nothing was set: trouble with the middleware
        raise SettingsError({name: f'{name} is not allowed: {error}'}) from error

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
from rclpy.qos import QoSHistoryPolicy, QoSProfile, QoSReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription

from ..errors import SettingsError
from .parameters import QOS_OVERRIDES, given_at_start

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks, UnsupportedEventTypeError
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks, UnsupportedEventTypeError

__all__ = ['HAS_MATCHED_EVENTS', 'HAS_MESSAGE_INFO', 'latest_only', 'offer', 'subscribe']

HAS_MATCHED_EVENTS = 'matched' in inspect.signature(PublisherEventCallbacks.__init__).parameters  # Jazzy and later
HAS_MESSAGE_INFO = hasattr(Subscription, 'CallbackType')  # Humble's callbacks get the message only


def latest_only() -> QoSProfile:
    """Return the QoS of image subscriptions: best effort, the latest one. New each time: rclpy writes into it."""
    return QoSProfile(depth=1, history=QoSHistoryPolicy.KEEP_LAST, reliability=QoSReliabilityPolicy.BEST_EFFORT)


def offer(node: Node, message_type: type, topic: str, on_demand: Callable[[], object] | None = None,
          depth: int = 1) -> Publisher[Any]:
    """
    Return a publisher: reliable, with QoS overrides.

    :param on_demand: called when a subscriber comes or goes; never without matched events (Humble).
    :raises SettingsError: a QoS override is not allowed.
    """
    events: dict[str, Any] = {'matched': lambda _: on_demand()} if on_demand is not None and HAS_MATCHED_EVENTS else {}
    with _wrong_qos_named(node, topic):
        return node.create_publisher(message_type, topic, QoSProfile(depth=depth),
                                     event_callbacks=PublisherEventCallbacks(**events),
                                     qos_overriding_options=QoSOverridingOptions.with_default_policies())


def subscribe(node: Node, message_type: type, topic: str, callback: Callable[..., None],
              on_lost: Callable[[int], None] | None = None) -> Subscription[Any]:
    """
    Return a subscription: best effort, depth 1, with QoS overrides.

    :param on_lost: takes how many messages the middleware lost so far; never called if it does not count them.
    :raises SettingsError: a QoS override is not allowed.
    """
    def create(**events: Any) -> Subscription[Any]:
        return node.create_subscription(message_type, topic, callback, latest_only(),
                                        qos_overriding_options=QoSOverridingOptions.with_default_policies(), **events)

    with _wrong_qos_named(node, topic):
        if on_lost is not None:
            with contextlib.suppress(UnsupportedEventTypeError):  # not every middleware counts them
                return create(event_callbacks=SubscriptionEventCallbacks(message_lost=lambda info: on_lost(info.total_count)))
        return create()


@contextlib.contextmanager
def _wrong_qos_named(node: Node, topic: str) -> Iterator[None]:
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

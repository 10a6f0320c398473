# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The camera's images: raw or compressed, the latest one only."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

from .messages import BitDepth, compressed_to_bgr, to_bgr
from .topics import HAS_MESSAGE_INFO, FollowingSubscription

__all__ = ['Decode', 'Input', 'Origin', 'bit_depth']

Decode = Callable[[Any], NDArray[np.uint8]]
#: The publisher of a message, and the publisher's number for it; None if they are not known.
Origin = tuple[bytes, int] | None


def bit_depth(node: Node, topic: str) -> BitDepth:
    """Return the bit depth of a topic's images of 16 bits. Each change is logged."""
    return BitDepth(lambda bits, brightest: node.get_logger().info(
        f'{topic} uses {bits} of 16 bits, by its brightest value so far, {brightest}'))


class Input:
    """
    A subscription of ``image_raw`` or ``image_raw/compressed``: as reliable as the camera, depth 1, with QoS overrides.

    :param transport: ``raw`` or ``compressed``; ``topics`` has the topic of each.
    :param on_frame: takes a message, the function that decodes it, and where it comes from.
    :param on_lost: takes how many messages the middleware lost so far; never called where it does not count them.
    :raises SettingsError: a QoS override is not allowed.
    """

    def __init__(self, node: Node, transport: str, on_frame: Callable[[Any, Decode, Origin], None],
                 on_lost: Callable[[int], None]) -> None:
        # The callbacks do not refer to self: in a circle the pipeline's memory would wait for the garbage collector.
        raw = node.resolve_topic_name('image_raw')
        self.topics = {'raw': raw, 'compressed': f'{raw}/compressed'}  # image_transport's name
        topic, message_type = self.topics[transport], Image
        convert: Callable[..., NDArray[np.uint8]] = to_bgr
        if transport == 'compressed':
            message_type, convert = CompressedImage, compressed_to_bgr
        decode: Decode = functools.partial(convert, depth=bit_depth(node, topic))

        def on_message(message: Any) -> None:
            on_frame(message, decode, None)

        def on_numbered_message(message: Any, info: Any) -> None:
            on_frame(message, decode, _origin(node, topic, info))

        self.transport, self.topic, self.message_type = transport, topic, message_type
        callback = on_numbered_message if HAS_MESSAGE_INFO else on_message
        self._subscription = FollowingSubscription(node, message_type, topic, callback, on_lost=on_lost)

    def close(self) -> None:
        """End the subscription."""
        self._subscription.close()


def _origin(node: Node, topic: str, info: Mapping[str, Any]) -> Origin:
    number, publisher = info.get('publication_sequence_number'), info.get('publisher_gid')
    if number is None:  # Cyclone DDS, Iron
        return None
    if publisher is not None:
        return bytes(publisher['data']), number
    publishers = node.get_publishers_info_by_topic(topic)  # Jazzy does not tell the publisher
    return (bytes(publishers[0].endpoint_gid), number) if len(publishers) == 1 else None

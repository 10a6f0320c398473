# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""A node's pictures for a page: those of one frame together, each encoded once and only on demand."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import cv2
import numpy as np
from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

from ..errors import ImageError
from ..io.decoding import PNG_BEGIN
from ..nodes.messages import BitDepth, Stamp, alpha_of, compressed_to_bgr, has_16_bits, seconds_of, stamp_of, to_bgr
from ..nodes.topics import latest_only
from ..picture.arrays import over_checks

__all__ = ['Bundle', 'Pictures', 'Topic', 'encoded']

_MOST_FRAMES = 8  # that wait for the rest of their pictures; after so many incomplete ones each is shown alone
_LARGEST = 8 << 20  # bytes of an encoded picture
_BEGINS = (b'\xff\xd8\xff', PNG_BEGIN)  # of JPEG and PNG, which a browser gets unchanged


class Topic(NamedTuple):
    """Where a picture comes from."""

    name: str
    is_compressed: bool


class Bundle(NamedTuple):
    """The pictures of one frame, encoded, by kind; ``stamp`` is the camera's, in seconds."""

    stamp: float
    pictures: dict[str, bytes]


class Pictures:
    """
    The pictures of one node.

    :param wanted: returns the kinds that a browser takes now; nothing else is encoded.
    :param on_bundle: takes the pictures of one frame.
    :param width: pixels; wider pictures are made smaller, by a whole factor.
    :param quality: of the JPEG, 1..100.
    """

    def __init__(self, node: Node, wanted: Callable[[], Collection[str]], on_bundle: Callable[[Bundle], None],
                 width: int, quality: int) -> None:
        self._node, self._wanted, self._on_bundle = node, wanted, on_bundle
        self._width, self._quality = width, quality
        self._subscriptions: dict[str, tuple[Topic, Subscription[Any]]] = {}
        self._depths: dict[str, BitDepth] = {}
        self._frames: OrderedDict[Stamp, dict[str, Any]] = OrderedDict()  # messages by kind, until all kinds are there
        self._incomplete = 0  # frames since the last complete one
        self.count = 0  # frames; its reader sets it to 0
        self.age: float | None = None  # seconds, of the last picture when it came

    def subscribe(self, topics: Mapping[str, Topic]) -> None:
        """Subscribe to these, by kind, and to nothing else."""
        for kind, (topic, subscription) in [*self._subscriptions.items()]:
            if topics.get(kind) != topic:
                self._node.destroy_subscription(subscription)
                del self._subscriptions[kind]
                for frame in self._frames.values():
                    frame.pop(kind, None)  # it must no longer be shown
        for kind, topic in topics.items():
            if kind not in self._subscriptions:
                self._depths[kind] = BitDepth()
                subscription = self._node.create_subscription(CompressedImage if topic.is_compressed else Image, topic.name,
                                                              functools.partial(self._arrive, kind), latest_only())
                self._subscriptions[kind] = topic, subscription

    def _arrive(self, kind: str, message: Any) -> None:
        if kind not in self._subscriptions:
            return
        stamp = stamp_of(message.header)
        self._frames.setdefault(stamp, {})[kind] = message
        if self._subscriptions.keys() == self._frames[stamp].keys():
            while next(iter(self._frames)) != stamp:
                self._frames.popitem(last=False)  # older ones stay incomplete
            self._incomplete = 0
            self._send(stamp, self._frames.pop(stamp))
        elif len(self._frames) > _MOST_FRAMES:
            oldest = self._frames.popitem(last=False)
            self._incomplete += 1
            if self._incomplete > _MOST_FRAMES:  # one kind does not come, or has other stamps
                self._send(*oldest)

    def _send(self, stamp: Stamp, messages: dict[str, Any]) -> None:
        seconds = seconds_of(stamp)
        self.count += 1
        self.age = self._node.get_clock().now().nanoseconds * 1e-9 - seconds
        pictures = {}
        for kind in messages.keys() & set(self._wanted()):
            try:
                pictures[kind] = encoded(messages[kind], self._width, self._quality, self._depths[kind])
            except (ImageError, cv2.error) as error:
                self._node.get_logger().error(f'{kind} is not shown: {error}', throttle_duration_sec=30.0)
        if pictures:
            self._on_bundle(Bundle(seconds, pictures))


def encoded(message: Any, width: int, quality: int, depth: BitDepth | None = None) -> bytes:
    """
    Return the picture of a message as JPEG; a compressed one stays unchanged.

    :param message: sensor_msgs/Image or CompressedImage.
    :raises ImageError: it cannot be shown.
    """
    if not hasattr(message, 'format'):
        pixels = to_bgr(message, depth)
        if message.encoding in ('bgra8', 'rgba8'):
            pixels = over_checks(pixels, alpha_of(message))
    elif has_16_bits(message):  # a browser would show the upper 8
        pixels = compressed_to_bgr(message, depth)
    else:
        data = bytes(message.data)
        if not data.startswith(_BEGINS) or len(data) > _LARGEST:
            raise ImageError(f'a compressed image of format = {message.format[:100]!r} and {len(data)} bytes came in: '
                             f'JPEG or PNG of at most {_LARGEST} bytes is shown')
        return data
    step = -(-pixels.shape[1] // width)
    if step > 1:
        size = max(pixels.shape[1] // step, 1), max(pixels.shape[0] // step, 1)
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    return bytes(cv2.imencode('.jpg', pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])

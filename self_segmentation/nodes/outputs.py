# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
The results on their topics: ``~/output``, ``~/mask`` and ``~/alpha``, raw and compressed; ``~/people``.

To add a topic, write a subclass of :class:`Output` and add it to :data:`OUTPUTS`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from ..picture.pipeline import Result, channels_of
from ..settings import Settings
from .messages import ImageWriter, compress, stamp_of
from .topics import offer

__all__ = ['OUTPUTS', 'Output']


class Output:
    """
    A result on its topics: reliable, depth 1, with QoS overrides.

    ``topic`` is the full name of the main one.

    :param on_demand: called when a subscriber comes or goes; never without matched events (Humble).
    :raises SettingsError: a QoS override is not allowed.
    """

    name: str  # of the topic, within the node
    message_type: type
    follows_pause = False  # whether the last result is published while the node is paused, under each new frame's header

    def __init__(self, node: Node, on_demand: Callable[[], None]) -> None:
        self._node = node
        self._publisher = offer(node, self.message_type, f'~/{self.name}', on_demand)
        self._publishers = [self._publisher]  # with those of other forms
        self.topic = self._publisher.topic_name

    @property
    def is_wanted(self) -> bool:
        """Whether it has subscribers, in any form."""
        return any(each.get_subscription_count() for each in self._publishers)

    def arrays(self, size: tuple[int, int], settings: Settings) -> dict[str, NDArray[np.uint8]]:
        """
        Return the arrays that the pipeline is to write to, by their names in its :class:`Result`; by default none.

        :param size: width and height of the frame.
        """
        return {}

    def publish(self, header: Any, result: Result, settings: Settings) -> None:
        """Publish its part of a result, in the forms that are subscribed."""
        raise NotImplementedError

    def close(self) -> None:
        """End publishing."""
        for each in self._publishers:
            self._node.destroy_publisher(each)


class ImageOutput(Output):
    """An image of the result: the pixels of its message, and its publishers."""

    message_type = Image
    follows_pause = True
    array: str  # its name in Result
    is_compressed = True  # whether there is a compressed form, too

    def __init__(self, node: Node, on_demand: Callable[[], None]) -> None:
        super().__init__(node, on_demand)
        self._writer = ImageWriter(Image(), 'mono8')
        if self.is_compressed:
            self._publishers.append(offer(node, CompressedImage, f'{self.topic}/compressed', on_demand))

    def encoding(self, settings: Settings) -> str:
        """Return the encoding of the raw image."""
        return 'mono8'

    def jpeg_quality(self, settings: Settings) -> int | None:
        """Return the quality of the compressed image, 1..100; None for a PNG."""
        return None

    def arrays(self, size: tuple[int, int], settings: Settings) -> dict[str, NDArray[np.uint8]]:
        """Return the pixels of the message: (height, width, 3 or 4) for the composite, (height, width) for the others."""
        encoding = self.encoding(settings)
        if encoding != self._writer.message.encoding:
            self._writer = ImageWriter(Image(), encoding)
        return {self.array: self._writer.pixels(*size)}

    def publish(self, header: Any, result: Result, settings: Settings) -> None:
        """Publish what the pipeline wrote to the pixels. It can be published again."""
        if self._publisher.get_subscription_count():
            self._writer.message.header = header
            self._publisher.publish(self._writer.message)
        for publisher in self._publishers[1:]:
            if publisher.get_subscription_count():
                message = CompressedImage(header=header)
                compress(message, getattr(result, self.array), self.jpeg_quality(settings))
                publisher.publish(message)


class CompositeOutput(ImageOutput):
    name, array = 'output', 'composite'

    def encoding(self, settings: Settings) -> str:
        return 'bgra8' if channels_of(settings) == 4 else 'bgr8'

    def jpeg_quality(self, settings: Settings) -> int | None:
        return settings.jpeg_quality


class MaskOutput(ImageOutput):
    name = array = 'mask'


class AlphaOutput(ImageOutput):
    name = array = 'alpha'
    is_compressed = False


class PeopleOutput(Output):
    """
    The people of each frame: an object of JSON.

    ``stamp`` [seconds, nanoseconds], ``frame_id``, ``width`` and ``height`` are the frame's. ``people`` holds of each the ``id``,
    ``box`` [left, top, width, height] in pixels, ``score`` and ``counts``.
    """

    name, message_type = 'people', String

    def publish(self, header: Any, result: Result, settings: Settings) -> None:
        width, height = result.size
        found = [{'id': person.id, 'box': [person.box.x0, person.box.y0, person.box.width, person.box.height],
                  'score': round(float(person.score), 3), 'counts': person.counts} for person in result.people]
        self._publisher.publish(String(data=json.dumps({
            'stamp': stamp_of(header), 'frame_id': header.frame_id, 'width': width, 'height': height, 'people': found})))


OUTPUTS: tuple[type[Output], ...] = (CompositeOutput, MaskOutput, AlphaOutput, PeopleOutput)

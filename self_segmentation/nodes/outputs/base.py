# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What all outputs share: publishers, and whether anybody subscribes to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.publisher import Publisher

from ...picture.pipeline import Result
from ...settings import Settings
from ..topics import offer

__all__ = ['Output', 'has_subscribers']


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
        :raises SettingsError: a QoS override is not allowed.
        """
        publisher = offer(self._node, message_type, topic, self._on_demand, latched=latched)
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


def has_subscribers(publisher: Publisher[Any]) -> bool:
    """Return whether anybody subscribes to a publisher."""
    return bool(publisher.get_subscription_count())

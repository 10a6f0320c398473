# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The services ``~/pause`` and ``~/save``, and pictures on ``~/background``."""

from __future__ import annotations

import datetime
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool, Trigger

from ..errors import ImageError, SelfSegmentationError, SettingsError
from ..io.writers import Folder
from .inputs import bit_depth
from .messages import to_bgr
from .topics import FollowingSubscription

__all__ = ['BackgroundInput', 'offer_controls', 'save']

_REPEAT_INTERVAL = 30.0  # seconds between two log lines on pictures that cannot be used


class BackgroundInput:
    """
    A subscription of ``~/background``: as reliable as its publishers, depth 1, with QoS overrides.

    :param show: takes each picture, (h, w, 3) uint8 blue green red.
    :raises SettingsError: a QoS override is not allowed.
    """

    def __init__(self, node: Node, show: Callable[[NDArray[np.uint8]], object]) -> None:
        problems = self._problems = deque[str](maxlen=1)  # not self: the callback must not keep it alive

        def on_message(message: Any) -> None:
            try:
                show(to_bgr(message, depth))
                problems.clear()
            except Exception as error:  # ImageError, or an error of OpenCV or NumPy, by version
                problems.append(str(error) if isinstance(error, ImageError) else f'{type(error).__name__}: {error}')
                node.get_logger().error(f'picture on ~/background skipped: {problems[0]}', throttle_duration_sec=_REPEAT_INTERVAL)

        depth = bit_depth(node, node.resolve_topic_name('~/background'))
        self._subscription = FollowingSubscription(node, Image, '~/background', on_message)
        self.topic = self._subscription.topic

    @property
    def problem(self) -> str:
        """Why its last picture was skipped; empty if it was used."""
        return self._problems[0] if self._problems else ''

    def close(self) -> None:
        """End the subscription."""
        self._subscription.close()


def offer_controls(node: Node, pause: Callable[[bool], str], save: Callable[[], Awaitable[Path]]) -> None:
    """
    Offer the services ``~/pause`` and ``~/save``.

    :param pause: takes whether to pause, and returns the new state in words.
    :param save: writes the last frame, or the next one, and returns the composite's path; raises SelfSegmentationError if none
        comes.
    """
    def on_pause(request: Any, response: Any) -> Any:
        response.success, response.message = True, pause(request.data)
        return response

    async def on_save(request: Any, response: Any) -> Any:
        try:
            response.success, response.message = True, str(await save())
        except SelfSegmentationError as error:
            response.success, response.message = False, str(error)
            node.get_logger().warning(f'not saved: {error}')
        return response

    node.create_service(SetBool, '~/pause', on_pause)
    # A group of its own: frames and timers go on while it waits.
    node.create_service(Trigger, '~/save', on_save, callback_group=ReentrantCallbackGroup())


def save(folder: str, pictures: Mapping[str, NDArray[np.uint8]]) -> Path:
    """
    Write pictures as ``TIME_NAME.png``.

    :param folder: made if need be; ``~`` is the user's own.
    :param pictures: by their names.
    :returns: the path of the last one.
    :raises OutputError: they cannot be written.
    :raises SettingsError: the folder is not a path.
    """
    try:
        place = Path(folder).expanduser().absolute()
    except (RuntimeError, ValueError) as error:
        raise SettingsError({'save_dir': f'save_dir = {folder!r} is not a path: {error}'}) from error
    moment = datetime.datetime.now().strftime('%Y%m%d_%H%M%S_%f')
    writer = Folder(place)
    for name, pixels in pictures.items():
        writer.write(f'{moment}_{name}', pixels)
    return place / f'{moment}_{name}.png'

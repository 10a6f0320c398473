# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Who is there: ``~/detections``, ``~/presence``, ``~/people``; what a class number means: ``~/label_info``."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from std_msgs.msg import Bool, String

from ...picture.masks import PRESENT
from ...picture.pipeline import Result
from ...settings import Settings
from ..messages import seconds_of, stamp_of
from .base import Output

try:
    from vision_msgs.msg import (
        BoundingBox2D,
        Detection2D,
        Detection2DArray,
        LabelInfo,
        ObjectHypothesis,
        ObjectHypothesisWithPose,
        VisionClass,
    )
    HAS_VISION_MSGS = True
except ImportError:  # a robot has it by rosdep
    HAS_VISION_MSGS = False

__all__ = ['HAS_VISION_MSGS', 'DetectionsOutput', 'LabelInfoOutput', 'PeopleOutput', 'PresenceOutput']

PERSON = 'person'
_ABSENT_FOR = 1.0  # seconds without anybody until nobody is present: a person who is missed in a frame is no change


class PeopleOutput(Output):
    """
    Who is there, frame by frame, on ``~/people``: std_msgs/String, an object of JSON, for scripts.

    ``stamp`` [seconds, nanoseconds], ``frame_id``, ``width`` and ``height`` are the frame's. ``people`` holds of each the ``id``,
    ``box`` [left, top, width, height] in pixels, ``score`` and ``counts``.
    """

    def __init__(self, node: Node, on_demand: Callable[[], None]) -> None:
        super().__init__(node, on_demand)
        self._publisher = self._offer(String, '~/people')

    def publish(self, header: Any, result: Result, settings: Settings) -> None:
        """Publish the people of a frame."""
        width, height = result.size
        found = [{'id': person.id, 'box': [person.box.x0, person.box.y0, person.box.width, person.box.height],
                  'score': round(float(person.score), 3), 'counts': person.counts} for person in result.people]
        self._publisher.publish(String(data=json.dumps({
            'stamp': stamp_of(header), 'frame_id': header.frame_id, 'width': width, 'height': height, 'people': found})))


class DetectionsOutput(Output):
    """``~/detections``, vision_msgs/Detection2DArray: everybody who was found, with the id of the track, box and score."""

    def __init__(self, node: Node, on_demand: Callable[[], None]) -> None:
        super().__init__(node, on_demand)
        self._publisher = self._offer(Detection2DArray, '~/detections')

    def publish(self, header: Any, result: Result, settings: Settings) -> None:
        """Publish the people of a frame."""
        message = Detection2DArray(header=header)
        for person in result.people:
            box = BoundingBox2D(size_x=float(person.box.width), size_y=float(person.box.height))
            box.center.position.x = (person.box.x0 + person.box.x1) / 2
            box.center.position.y = (person.box.y0 + person.box.y1) / 2
            hypothesis = ObjectHypothesis(class_id=PERSON, score=float(person.score))
            message.detections.append(Detection2D(header=header, id=str(person.id), bbox=box,
                                                  results=[ObjectHypothesisWithPose(hypothesis=hypothesis)]))
        self._publisher.publish(message)


class PresenceOutput(Output):
    """
    ``~/presence``, std_msgs/Bool, latched: whether somebody is there.

    True at once, false after a second without anybody. It is published when it changes, and for the first frame.
    """

    def __init__(self, node: Node, on_demand: Callable[[], None]) -> None:
        super().__init__(node, on_demand)
        self._publisher = self._offer(Bool, '~/presence', latched=True)
        self._published: bool | None = None
        self._last_seen: float | None = None  # seconds, by the frames' stamps

    def publish(self, header: Any, result: Result, settings: Settings) -> None:
        """Publish whether somebody is there, if that is new."""
        now = seconds_of(stamp_of(header))
        is_there = (any(person.counts for person in result.people) if settings.people_detector
                    else bool(result.matte.mean() > 255 * PRESENT))
        if is_there:
            self._last_seen = now
        elif self._published and self._last_seen is not None and 0 <= now - self._last_seen < _ABSENT_FOR:
            is_there = True
        if is_there != self._published:
            self._published = is_there
            self._publisher.publish(Bool(data=is_there))


class LabelInfoOutput(Output):
    """``~/label_info``, vision_msgs/LabelInfo, latched: what the numbers of a mask of classes mean. It needs no frames."""

    def __init__(self, node: Node, on_demand: Callable[[], None], threshold: float) -> None:
        super().__init__(node, on_demand)
        publisher = self._offer(LabelInfo, '~/label_info', latched=True)
        names = 'background', PERSON
        message = LabelInfo(class_map=[VisionClass(class_id=number, class_name=name) for number, name in enumerate(names)],
                            threshold=threshold)
        message.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(message)

    @property
    def is_wanted(self) -> bool:
        """Whether frames are wanted for it: never."""
        return False

    def publish(self, header: Any, result: Result, settings: Settings) -> None:
        """Do nothing: it was published at the start."""

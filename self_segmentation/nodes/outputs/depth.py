# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Depth without people and of people alone, and where people stand: ``~/depth/...``, ``~/pose``, ``~/poses``, TF."""

from __future__ import annotations

import array
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np
from geometry_msgs.msg import Pose, PoseArray, PoseStamped, TransformStamped
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import CameraInfo, Image

from ...errors import ImageError, InputError
from ...picture.depth import Camera, Depth, Nearest, Position, of_people, positions, without_people
from ...picture.masks import instance_value, mask_of
from ...picture.people.tracks import Person
from ...picture.pipeline import Result
from ...settings import Settings
from ..calibration import calibration_of_output
from ..messages import nanoseconds_of, to_depth
from ..pairing import Pairing
from ..topics import FollowingSubscription
from .base import Output, has_subscribers
from .calibration import CalibrationInput

try:
    from tf2_msgs.msg import TFMessage
    HAS_TF2_MSGS = True
except ImportError:  # a robot has it by rosdep
    HAS_TF2_MSGS = False

__all__ = ['HAS_TF2_MSGS', 'DepthOutputs']

_WITHOUT_DEPTH = 30  # masks without any depth image after which that is logged
_DEPTH = 5  # images that wait while a frame is segmented
_NANOSECONDS = 1e9
_UNTURNED = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}  # by camera.rotation


class _Mask(NamedTuple):
    """A mask of a camera's image as the camera took it, neither turned nor mirrored; of instances where positions are wanted."""

    header: Any
    people: list[Person]
    values: NDArray[np.uint8]
    settings: Settings


class DepthOutputs(Output):
    """
    What a depth camera adds; ``depth/image`` is subscribed while any of it is wanted.

    ``depth/image`` (16UC1 or 32FC1) is registered to the camera: same frame_id, same view, any size. Each depth image is paired
    with the mask of the same stamp, else of the nearest within ``depth.slop``; without one it is dropped. ``~/depth/background``
    and ``~/depth/people`` have its encoding, size and header; ``~/depth/camera_info`` is theirs. ``~/pose`` is the nearest of the
    people who count, ``~/poses`` are all of them, in the camera's optical frame. With ``tf`` each is also a frame below the
    camera's: ``NAMESPACE/person_ID``. Where people are replaced, nothing of people goes out.

    :param settings: returns the settings as they are now.
    """

    def __init__(self, node: Node, on_demand: Callable[[], None], calibrations: CalibrationInput,
                 settings: Callable[[], Settings]) -> None:
        super().__init__(node, on_demand)
        self._calibrations, self._settings = calibrations, settings
        self._background = self._offer(Image, '~/depth/background')
        self._people = self._offer(Image, '~/depth/people')
        self._info = self._offer(CameraInfo, '~/depth/camera_info')
        self._pose = self._offer(PoseStamped, '~/pose')
        self._poses = self._offer(PoseArray, '~/poses')
        self._tf: Publisher[Any] | None = None
        self._subscription: FollowingSubscription | None = None
        self._pairing = Pairing[Image, _Mask]()
        self._uncalibrated = Pairing[tuple[Image, Depth, _Mask], CameraInfo]()
        self._nearest = Nearest()
        self._dropped = 0  # by earlier subscriptions
        self._alone = 0  # masks since the last depth image
        self._reason = self._calibration_problem = ''

    # ---- what comes in

    def follow(self, is_active: bool) -> None:
        """Subscribe to depth, and to the camera's calibration, while they are wanted; offer TF where that is set."""
        self._follow_tf()
        is_needed = is_active and self.is_wanted
        if is_needed and self._subscription is None:
            self._subscription = FollowingSubscription(self._node, Image, 'depth/image', self._take_depth, _DEPTH)
        elif not is_needed and self._subscription is not None:
            self._subscription.close()
            self._subscription, self._alone = None, 0
            self._reason = self._calibration_problem = ''
            self._dropped, self._pairing, self._nearest = self._dropped + self._pairing.dropped, Pairing(), Nearest()
        needs_calibration = is_needed and self._needs_calibration
        if not needs_calibration:
            self._uncalibrated = Pairing()
        self._calibrations.listen(self, self._take_calibration if needs_calibration else None)

    def _follow_tf(self) -> None:
        is_wanted = self._settings().tf
        if is_wanted and self._tf is None:
            if HAS_TF2_MSGS:
                self._tf = self._offer(TFMessage, '/tf')
            else:
                self._node.get_logger().warning('tf = True: no TF frames, for tf2_msgs is not installed', once=True)
        elif not is_wanted and self._tf is not None:
            self._publishers.remove(self._tf)
            self._node.destroy_publisher(self._tf)
            self._tf = None

    @property
    def _needs_calibration(self) -> bool:
        return self._needs_positions or has_subscribers(self._info)

    @property
    def _needs_positions(self) -> bool:
        return any(has_subscribers(each) for each in (self._pose, self._poses, self._tf) if each is not None)

    def publish(self, header: Any, result: Result, settings: Settings) -> None:
        """Take the mask of a frame, for the depth image that belongs to it."""
        if self._subscription is None:
            return
        self._alone += 1
        if self._alone == _WITHOUT_DEPTH:
            self._node.get_logger().info(f'no depth images on {self._subscription.topic}: {self.topic} and all that needs depth '
                                         'stay silent')
        kind = 'instance' if self._needs_positions else 'binary'
        values = mask_of(result.matte, result.people, kind, result.size, settings.hides_people)
        if settings.flip:
            values = cv2.flip(values, 1)
        if settings.camera_rotation:
            values = cv2.rotate(values, _UNTURNED[settings.camera_rotation])
        mask = _Mask(header, [each for each in result.people if each.counts], values, settings)
        self._complete(self._pairing.add_partner(nanoseconds_of(header), mask, round(settings.depth_slop * _NANOSECONDS)))

    def _take_depth(self, message: Image) -> None:
        slop, self._alone = round(self._settings().depth_slop * _NANOSECONDS), 0
        self._complete(self._pairing.add(nanoseconds_of(message.header), message, slop))

    # ---- what goes out

    def _complete(self, pairs: list[tuple[Image, _Mask]]) -> None:
        for message, mask in pairs:
            try:
                self._publish_pair(message, mask)
            except (ImageError, InputError) as error:
                self._reason = f'depth image on {self._node.resolve_topic_name("depth/image")} not used: {error}'
                self._pairing.dropped += 1
            else:
                self._reason = ''

    def _publish_pair(self, message: Image, mask: _Mask) -> None:
        if message.header.frame_id != mask.header.frame_id:
            raise InputError(f'its frame_id is {message.header.frame_id!r}, that of the camera images is '
                             f'{mask.header.frame_id!r}: depth must be registered to the camera')
        depth, margin = to_depth(message), mask.settings.depth_margin
        if has_subscribers(self._background):
            self._background.publish(_like(message, without_people(depth, mask.values, margin)))
        if has_subscribers(self._people) and not mask.settings.hides_people:
            self._people.publish(_like(message, of_people(depth, mask.values, margin)))
        if self._needs_calibration:
            stamp = nanoseconds_of(mask.header)
            self._publish_calibrated(self._uncalibrated.add(stamp, (message, depth, mask), 0))

    def _take_calibration(self, stamp: int, info: CameraInfo) -> None:
        self._publish_calibrated(self._uncalibrated.add_partner(stamp, info, 0))

    def _publish_calibrated(self, pairs: list[tuple[tuple[Image, Depth, _Mask], CameraInfo]]) -> None:
        """Publish what needs the calibration of a depth image, which is the camera's at its size."""
        for (message, depth, mask), camera_info in pairs:
            try:
                size = mask.values.shape[1], mask.values.shape[0]
                info = calibration_of_output(camera_info, size, (message.width, message.height))
            except InputError as error:
                self._calibration_problem = f'no positions of people, no {self._info.topic_name}: {error}'
                continue
            self._calibration_problem = ''
            info.header = message.header
            if has_subscribers(self._info):
                self._info.publish(info)
            if self._needs_positions and not mask.settings.hides_people:
                camera = Camera(info.k[0], info.k[4], info.k[2], info.k[5])
                values = {each.id: instance_value(each.id) for each in mask.people}
                found = positions(depth, mask.values, values.values(), camera, mask.settings.depth_margin)
                self._publish_positions(message.header, {key: found[value] for key, value in values.items() if value in found})

    def _publish_positions(self, header: Any, found: dict[int, Position]) -> None:
        poses = {key: _pose(position) for key, position in found.items()}
        if has_subscribers(self._poses):
            self._poses.publish(PoseArray(header=header, poses=[*poses.values()]))
        nearest = self._nearest.choose(found, nanoseconds_of(header) / _NANOSECONDS)
        if has_subscribers(self._pose) and nearest is not None:
            self._pose.publish(PoseStamped(header=header, pose=poses[nearest]))
        if self._tf is not None:
            prefix = f'{self._node.get_namespace().strip("/")}/'.lstrip('/')
            transforms = []
            for key, (x, y, z) in found.items():
                transform = TransformStamped(header=header, child_frame_id=f'{prefix}person_{key}')
                transform.transform.translation.x, transform.transform.translation.y = x, y
                transform.transform.translation.z = z
                transforms.append(transform)
            if transforms:
                self._tf.publish(TFMessage(transforms=transforms))

    @property
    def problem(self) -> str:
        """Why depth images or calibrations are not used; empty where they are."""
        return self._reason or self._calibration_problem

    @property
    def counts(self) -> dict[str, int]:
        """Depth images without a partner."""
        return {'depth images without a mask': self._dropped + self._pairing.dropped} if self._subscription is not None else {}


def _pose(position: Position) -> Pose:
    pose = Pose()
    pose.position.x, pose.position.y, pose.position.z = position
    return pose


def _like(message: Image, depth: Depth) -> Image:
    """Return a depth image with the header and encoding of another one."""
    height, width = depth.shape
    data = array.array('B')
    data.frombytes(depth.tobytes())
    return Image(header=message.header, height=height, width=width, encoding=message.encoding,
                 is_bigendian=sys.byteorder == 'big', step=width * depth.itemsize, data=data)

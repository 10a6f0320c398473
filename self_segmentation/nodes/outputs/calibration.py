# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The calibration of each picture: ``camera_info`` in, ``~/camera_info`` and ``~/mask/camera_info`` out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSHistoryPolicy, QoSProfile, QoSReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo

from ...errors import InputError
from ...picture.masks import mask_size
from ...picture.pipeline import Result
from ...settings import Settings
from ..calibration import calibration_of_output
from ..messages import nanoseconds_of
from ..pairing import Pairing
from ..topics import wrong_qos_named
from .base import Output

__all__ = ['CalibrationInput', 'CalibrationOutput']

_DEPTH = 30  # messages that wait: while a frame is segmented several may come
_UNPAIRED = 30  # frames without a calibration of their stamp from which that is reported
_Listener = Callable[[int, CameraInfo], None]


class CalibrationInput:
    """
    A subscription of ``camera_info``, while any output needs it: best effort, depth 30, with QoS overrides.

    The topic lies beside that of the images, as image_transport has it, unless ``camera_info`` is remapped.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._listeners: dict[object, _Listener] = {}
        self._subscription: Subscription[Any] | None = None
        own = node.resolve_topic_name('camera_info')
        is_remapped = own != f'{node.get_namespace().rstrip("/")}/camera_info'
        self.topic = own if is_remapped else f'{node.resolve_topic_name("image_raw").rpartition("/")[0]}/camera_info'

    def listen(self, who: object, listener: _Listener | None) -> None:
        """Call a listener with each stamp in nanoseconds and calibration; None ends that."""
        if listener is None:
            self._listeners.pop(who, None)
        else:
            self._listeners[who] = listener
        if self._listeners and self._subscription is None:
            qos = QoSProfile(depth=_DEPTH, history=QoSHistoryPolicy.KEEP_LAST, reliability=QoSReliabilityPolicy.BEST_EFFORT)
            with wrong_qos_named(self._node, self.topic):
                self._subscription = self._node.create_subscription(
                    CameraInfo, self.topic, self._take, qos, qos_overriding_options=QoSOverridingOptions.with_default_policies())
        elif not self._listeners and self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def _take(self, info: CameraInfo) -> None:
        for listener in [*self._listeners.values()]:
            listener(nanoseconds_of(info.header), info)


class CalibrationOutput(Output):
    """
    sensor_msgs/CameraInfo with the header of each picture: turned, mirrored and scaled as the picture.

    It goes out when the camera's calibration with the very same stamp is there, before or after the picture.

    :param is_of_mask: whether it is that of ``~/mask``, which ``mask.width`` scales.
    """

    follows_pause = True

    def __init__(self, node: Node, on_demand: Callable[[], None], calibrations: CalibrationInput, topic: str,
                 is_of_mask: bool) -> None:
        super().__init__(node, on_demand)
        self._calibrations, self._is_of_mask = calibrations, is_of_mask
        self._publisher = self._offer(CameraInfo, topic)
        self._pairing = Pairing[tuple[Any, tuple[int, int], Settings], CameraInfo]()
        self._reason = ''

    def follow(self, is_active: bool) -> None:
        """Subscribe to the camera's calibration while it is wanted."""
        is_needed = is_active and self.is_wanted
        if not is_needed:
            self._pairing, self._reason = Pairing(), ''
        self._calibrations.listen(self, self._take if is_needed else None)

    def publish(self, header: Any, result: Result, settings: Settings) -> None:
        """Publish the calibration of a picture, now or when it comes."""
        self._complete(self._pairing.add(nanoseconds_of(header), (header, result.size, settings), 0))

    def fail(self, header: Any, size: tuple[int, int], settings: Settings) -> None:
        """Publish the calibration of a mask of a frame that could not be used."""
        if self._is_of_mask and settings.mask_always and all(size):
            self._complete(self._pairing.add(nanoseconds_of(header), (header, size, settings), 0))

    def _take(self, stamp: int, info: CameraInfo) -> None:
        self._complete(self._pairing.add_partner(stamp, info, 0))

    def _complete(self, pairs: list[tuple[tuple[Any, tuple[int, int], Settings], CameraInfo]]) -> None:
        for (header, size, settings), info in pairs:
            camera_size = size[::-1] if settings.camera_rotation in (90, 270) else size
            try:
                output_size = mask_size(*size, settings.mask_width) if self._is_of_mask else size
                message = calibration_of_output(info, camera_size, output_size, settings.camera_rotation, settings.flip)
            except InputError as error:
                self._reason = f'no {self.topic}: {error}'
                continue
            message.header = header
            self._reason, self._pairing.dropped = '', 0
            self._publisher.publish(message)

    @property
    def problem(self) -> str:
        """Why no calibration goes out; empty where that works."""
        if self._reason or self._pairing.dropped < _UNPAIRED:
            return self._reason
        return (f'no {self.topic}: {self._calibrations.topic} has no message with the stamps of the images. Does the camera '
                'publish it? Else remap camera_info')

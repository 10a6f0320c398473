# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""A camera driver of our own, for machines without usb_cam: publishes ``image_raw`` from a camera or file."""

from __future__ import annotations

if __name__ == '__main__':  # before the imports, which take seconds
    from ..process import program
    raise SystemExit(program('nodes.camera_node', keeps_large_buffers=True)())

import functools
import threading
import time

import cv2
import numpy as np
from numpy.typing import NDArray
from rclpy.duration import Duration
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image

from ..errors import ExitCode, InputError, SelfSegmentationError, masked
from ..io.decoding import MAX_SIDE
from ..io.frames import UNKNOWN_FPS
from ..io.sources import Frame, Source, SourceKind, is_stream, open_source
from .camera_info import read_camera_info
from .lifetime import log_warnings, run
from .messages import ImageWriter
from .parameters import fixed_parameter
from .topics import offer

__all__ = ['CameraNode', 'main']

_BACK_OFF = (0.5, 8.0)  # seconds before a lost camera is tried again: first, and at most
_IMAGES_FPS = 10.0
_LINGER = 0.5  # seconds from the last frame to the end: best-effort subscribers acknowledge nothing


class CameraNode(Node):
    """
    Publishes ``image_raw`` (sensor_msgs/Image, bgr8) from a camera, a video, a stream, an image or a folder of images.

    With a calibration it also publishes ``camera_info`` (sensor_msgs/CameraInfo). A camera that went away is opened again; a file
    that is not looped ends the node.
    """

    def __init__(self) -> None:
        super().__init__('camera')
        log_warnings(self)
        self.ending, self.exit_code = threading.Event(), ExitCode.DONE
        self._thread: threading.Thread | None = None
        fixed = functools.partial(fixed_parameter, self)
        self._place = fixed('video_device', '/dev/video0', 'Camera (device or number), video, stream (rtsp://, http://), image '
                                                           'or folder of images.')
        self._width = fixed('image_width', 0, "Width of the image in pixels; 0: the source's, or in proportion to the height.",
                            limits=(0, MAX_SIDE))
        self._height = fixed('image_height', 0, "Height of the image in pixels; 0: the source's, or in proportion to the width.",
                             limits=(0, MAX_SIDE))
        self._fps = fixed('framerate', 0.0, "Images a second; 0 is the camera's or the file's own rate.", limits=(0, 1000))
        self._loop = fixed('loop', True, 'Whether a file starts again at its end; without it the node ends there.')
        self._frame_id = fixed('frame_id', 'camera', 'The frame_id of every header.')
        url = fixed('camera_info_url', '', 'Calibration to publish: file:///PATH.yaml or package://PACKAGE/PATH.yaml; may have '
                                           '${ROS_HOME} and ${NAME}, the name of the node.')
        self._publisher = offer(self, Image, 'image_raw', depth=2)
        self._writer = ImageWriter(Image(), 'bgr8')
        self._info = read_camera_info(url, self.get_name()) if url else None
        if self._info is not None:
            self._info_publisher = offer(self, CameraInfo, 'camera_info', depth=2)
        source = self._open()  # a missing file ends the node at once; a camera may come later
        self._thread = threading.Thread(target=self._work, args=(source,), name='camera', daemon=True)
        self._thread.start()

    def _open(self) -> Source | None:
        try:
            source = open_source(self._place, self._width, self._height, self._fps)
        except InputError as error:
            comes_and_goes = self._place.isdecimal() or self._place.startswith('/dev/') or is_stream(self._place)
            if error.exit_code == ExitCode.WILL_FAIL_AGAIN or not comes_and_goes:
                raise
            self.get_logger().warning(f'{error}; trying again', throttle_duration_sec=30.0)
            return None
        self.get_logger().info(f'publishing {source.kind} {masked(self._place)} on {self._publisher.topic_name}')
        return source

    def _work(self, source: Source | None) -> None:
        """Read and publish until the end; runs in a thread of its own, because reading blocks."""
        try:
            self._publish_all(source)
        except SelfSegmentationError as error:
            self.get_logger().fatal(str(error))
            self.exit_code = error.exit_code
        self.ending.set()  # not after an unexpected error, which ends the process as a failed thread

    def _publish_all(self, source: Source | None) -> None:
        wait, due = _BACK_OFF[0], time.monotonic()
        while not self.ending.is_set():
            try:
                source = source or self._open()
                frame = source.read() if source else None
                if source and frame is None and self._loop:
                    if source.kind == SourceKind.STREAM:
                        self.ending.wait(_BACK_OFF[0])
                    source.rewind()
                    continue
            except InputError as error:
                if source is None or source.kind == SourceKind.VIDEO or source.count == 1:
                    raise
                if source.kind == SourceKind.IMAGES:  # the others may be better
                    self.get_logger().error(str(error), throttle_duration_sec=30.0)
                    self.ending.wait(1 / _IMAGES_FPS)
                    continue
                self.get_logger().warning(f'{error}; trying again', throttle_duration_sec=30.0)
                source.close()
                source = None
            if source is None:
                self.ending.wait(wait)
                wait = min(2 * wait, _BACK_OFF[1])
            elif frame is not None:
                wait = _BACK_OFF[0]
                due = self._pace(source, frame, due)
                self._publish(frame.pixels)
            else:
                self.get_logger().info(f'end of {masked(self._place)}')
                self._publisher.wait_for_all_acked(Duration(seconds=1))
                self.ending.wait(_LINGER)
                break
        if source:
            source.close()

    def _pace(self, source: Source, frame: Frame, due: float) -> float:
        """Wait until the frame is due; return when the next one is. A camera or a live stream keeps its own time."""
        if source.is_live and not self._fps:
            return due
        unknown = _IMAGES_FPS if source.kind == SourceKind.IMAGES else UNKNOWN_FPS
        duration = 1 / self._fps if self._fps else frame.duration or 1 / unknown
        self.ending.wait(max(due - time.monotonic(), 0))
        return max(due + duration, time.monotonic() - duration)

    def _publish(self, pixels: NDArray[np.uint8]) -> None:
        size = self._size(*pixels.shape[1::-1])
        out = self._writer.pixels(*size)
        if pixels.shape[1::-1] == size:
            np.copyto(out, pixels)
        else:
            cv2.resize(pixels, size, dst=out, interpolation=cv2.INTER_LINEAR)
        header = self._writer.message.header
        header.stamp = self.get_clock().now().to_msg()
        header.frame_id = self._frame_id
        if self.ending.is_set():
            return
        self._publisher.publish(self._writer.message)
        if self._info is not None and (self._info.width, self._info.height) == size:
            self._info.header = header
            self._info_publisher.publish(self._info)
        elif self._info is not None:
            calibrated = f'{self._info.width}x{self._info.height}'
            self.get_logger().error(f'no camera_info: the calibration is for images of {calibrated} pixels, and these have '
                                    '{}x{}'.format(*size), throttle_duration_sec=30.0)

    def _size(self, width: int, height: int) -> tuple[int, int]:
        """Return the width and height to publish. A single parameter keeps the picture's aspect ratio."""
        if not (self._width or self._height):
            return width, height
        return (self._width or min(max(round(width * self._height / height), 1), MAX_SIDE),
                self._height or min(max(round(height * self._width / width), 1), MAX_SIDE))

    def destroy_node(self) -> None:
        """End the reading thread, then the node."""
        self.ending.set()
        if self._thread:
            self._thread.join(timeout=1.0)  # a camera's driver may block for longer; the thread is a daemon
        super().destroy_node()


def main(args: list[str] | None = None) -> int:
    """Run the node."""
    return run(CameraNode, args)

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""``make demo``: a real graph of camera_node, segmentation_node and a viewer, measured and recorded from outside."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path

import cv2
import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Image

from ..io.window import why_no_window
from ..io.writers import VideoFile
from ..middleware import image_environment
from ..nodes.lifetime import run
from ..nodes.messages import to_bgr
from ..resources import share

__all__ = ['main']

_REPORT_EVERY = 2.0  # seconds
_VIDEO_FPS = 15.0
_QOS = QoSProfile(depth=5, reliability=QoSReliabilityPolicy.BEST_EFFORT)


class DemoNode(Node):
    """Subscribes to what goes in and what comes out; measures, records, and ends after a while."""

    def __init__(self, seconds: float, folder: Path) -> None:
        super().__init__('demo')
        self.ending = threading.Event()
        self._start = self._last_report = time.monotonic()
        self._seconds, self._folder = seconds, folder
        self._video = VideoFile(folder / 'output.mp4', _VIDEO_FPS)
        self._inputs: deque[tuple[tuple, np.ndarray]] = deque(maxlen=30)
        self._masks: deque[tuple[tuple, np.ndarray]] = deque(maxlen=30)
        self._count = {'in': 0, 'out': 0}
        self._latencies: list[float] = []
        self._best_area, self._best = -1.0, None
        self.pictures = 0
        self.create_subscription(Image, 'image_raw', self._on_input, _QOS)
        self.create_subscription(Image, 'segmentation/mask', self._on_mask, _QOS)
        self.create_subscription(Image, 'segmentation/output', self._on_output, _QOS)
        self.create_timer(0.1, self._tick)

    def _on_input(self, message: Image) -> None:
        self._count['in'] += 1
        self._inputs.append((_stamp(message), to_bgr(message)))

    def _on_mask(self, message: Image) -> None:
        self._masks.append((_stamp(message), to_bgr(message)))

    def _on_output(self, message: Image) -> None:
        now = self.get_clock().now().nanoseconds * 1e-9
        stamp = _stamp(message)
        self._latencies.append(now - (stamp[0] + stamp[1] * 1e-9))
        self._count['out'] += 1
        picture = to_bgr(message)
        if not self.pictures:
            print(f'first picture {time.monotonic() - self._start:.1f} s after the start', flush=True)
        self.pictures += 1
        self._video.write(str(self.pictures), picture)
        before, mask = dict(self._inputs).get(stamp), dict(self._masks).get(stamp)
        if before is not None and mask is not None and mask.mean() > self._best_area:
            self._best_area = mask.mean()
            self._best = np.hstack([before, mask, picture])

    def _tick(self) -> None:
        now = time.monotonic()
        if now - self._last_report >= _REPORT_EVERY:
            span, self._last_report = now - self._last_report, now
            latency = f'{np.median(self._latencies) * 1e3:5.1f} ms' if self._latencies else '    -   '
            print(f'{now - self._start:5.1f} s   in {self._count["in"] / span:5.1f} Hz   out {self._count["out"] / span:5.1f} Hz'
                  f'   camera stamp to picture {latency}', flush=True)
            self._count = {'in': 0, 'out': 0}
            self._latencies.clear()
        if now - self._start >= self._seconds:
            self.ending.set()

    def destroy_node(self) -> None:
        """Finish the video and the picture, then the node."""
        self._video.close()
        if self._best is not None:
            cv2.imwrite(str(self._folder / 'output.png'), self._best)
        super().destroy_node()


def _stamp(message: Image) -> tuple[int, int]:
    return message.header.stamp.sec, message.header.stamp.nanosec


def _start(module: str, *arguments: str) -> subprocess.Popen:
    # In a session of its own, so that a terminal's Ctrl-C reaches the demo alone, which then ends the others.
    command = [sys.executable, '-m', f'self_segmentation.nodes.{module}', '--ros-args', '--log-level', 'warn', *arguments]
    return subprocess.Popen(command, start_new_session=True)


def main(args: list[str] | None = None) -> int:
    """Run the demo; return 0 when pictures came."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--camera', default='', help='camera number, device or file (default: the built-in sample)')
    parser.add_argument('--seconds', type=float, default=20.0, help='how long (default: 20)')
    parser.add_argument('--folder', type=Path, default=Path('demo'), help='where output.mp4 and output.png go')
    options = parser.parse_args(args)
    os.environ.setdefault('ROS_DOMAIN_ID', str(1 + os.getpid() % 100))  # meets no other graph
    added, said = image_environment(os.environ)
    os.environ.update(added)
    print(said, flush=True)
    options.folder.mkdir(parents=True, exist_ok=True)
    is_device = options.camera.isdigit() or options.camera.startswith('/dev/')
    children = [
        _start('segmentation_node', '--params-file', str(share('config', 'segmentation.yaml')),
               '-p', f'flip:={str(is_device).lower()}',
               '-p', 'background.type:=image', '-p', f'background.image:={share("demo", "background.jpg")}'),
        _start('camera_node', '-p', f"source:='{options.camera or share('demo', 'sample.mp4')}'"),
    ]
    no_window = why_no_window()
    if no_window:
        print(f'no window: {no_window}', flush=True)
    else:
        children.append(_start('viewer_node', '-r', 'image:=segmentation/output'))
    node = None

    def make_node() -> DemoNode:
        nonlocal node
        node = DemoNode(options.seconds, options.folder)
        return node

    try:
        run(make_node, [])
    finally:
        for child in children:
            child.send_signal(signal.SIGINT)
        for child in children:
            child.wait(timeout=10)
    if not node or not node.pictures:
        print('no picture came: see what the nodes said above', file=sys.stderr)
        return 1
    print(f'{node.pictures} pictures: {options.folder}/output.mp4, and before, mask and after in {options.folder}/output.png')
    return 0


if __name__ == '__main__':
    raise SystemExit(main())

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""``make demo``: a real graph of camera_node, segmentation_node, studio and a viewer, measured and recorded from outside."""

from __future__ import annotations

if __name__ == '__main__':  # before the imports, which take seconds
    from ..programs import demo
    raise SystemExit(demo())

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterType, ParameterValue
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.node import Node
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Image

from ..io.window import why_no_window
from ..io.writers import VideoFile
from ..nodes.lifetime import run
from ..nodes.messages import seconds_of, stamp_of, to_bgr
from ..resources import share

__all__ = ['main']

_REPORT_EVERY = 2.0  # seconds
_VIDEO_FPS = 15.0
_TURNS_LAST = 20.0  # seconds, all together
_TURNS = (  # what is shown by turns, and how it is said
    ('another picture behind the person', {'replace': 'background', 'background.type': 'image'}),
    ('the room blurred', {'replace': 'background', 'background.type': 'blur'}),
    ('the room in cells', {'replace': 'background', 'background.type': 'pixelate'}),
    ('people covered', {'replace': 'people', 'background.type': 'image'}),
)
_QOS = QoSProfile(depth=5, reliability=QoSReliabilityPolicy.BEST_EFFORT)


class DemoNode(Node):
    """Subscribes to what goes in and what comes out; measures, records, and ends after a while."""

    def __init__(self, seconds: float, folder: Path) -> None:
        super().__init__('demo')
        self.ending = threading.Event()
        self._start = self._last_report = time.monotonic()
        self._seconds, self._folder = seconds, folder
        self._video = VideoFile(folder / 'output.mp4', _VIDEO_FPS)
        self._inputs: deque[tuple[tuple[int, int], NDArray[np.uint8]]] = deque(maxlen=30)
        self._masks: deque[tuple[tuple[int, int], NDArray[np.uint8]]] = deque(maxlen=30)
        self._count = {'in': 0, 'out': 0}
        self._latencies: list[float] = []
        self._best_rank = False, -len(_TURNS), 0.0
        self._best: NDArray[np.uint8] | None = None
        self.images, self._first_image = 0, 0.0  # when it came
        self.create_subscription(Image, 'image_raw', self._on_input, _QOS)
        self.create_subscription(Image, 'segmentation/mask', self._on_mask, _QOS)
        self.create_subscription(Image, 'segmentation/output', self._on_output, _QOS)
        self._turn = 0
        self._tuning: Any = self.create_client(SetParametersAtomically, 'segmentation/set_parameters_atomically')
        self.create_timer(0.1, self._tick)

    def _on_input(self, message: Image) -> None:
        self._count['in'] += 1
        self._inputs.append((stamp_of(message.header), to_bgr(message)))

    def _on_mask(self, message: Image) -> None:
        self._masks.append((stamp_of(message.header), to_bgr(message)))

    def _on_output(self, message: Image) -> None:
        now = self.get_clock().now().nanoseconds * 1e-9
        stamp = stamp_of(message.header)
        self._latencies.append(now - seconds_of(stamp))
        self._count['out'] += 1
        composite = to_bgr(message)
        if not self.images:
            self._first_image = time.monotonic()
            print(f'first image {time.monotonic() - self._start:.1f} s after the start', flush=True)
        self.images += 1
        self._video.write(str(self.images), composite)
        before, mask = dict(self._inputs).get(stamp), dict(self._masks).get(stamp)
        if before is not None and mask is not None:
            rank = bool(mask.any()), -self._turn, float(mask.mean())  # the room is empty while a short demo has its first turn
            if rank > self._best_rank:
                self._best_rank, self._best = rank, np.hstack([before, mask, composite])

    def _tick(self) -> None:
        now = time.monotonic()
        if now - self._last_report >= _REPORT_EVERY:
            span, self._last_report = now - self._last_report, now
            latency = f'{np.median(self._latencies) * 1e3:5.1f} ms' if self._latencies else '    -   '
            print(f'{now - self._start:5.1f} s   in {self._count["in"] / span:5.1f} Hz   out {self._count["out"] / span:5.1f} Hz'
                  f'   camera stamp to composite {latency}', flush=True)
            self._count = {'in': 0, 'out': 0}
            self._latencies.clear()
        turn = self._turn_at(now)
        if turn != self._turn and self._tuning.service_is_ready():
            self._turn = turn
            text, values = _TURNS[turn]
            print(text, flush=True)
            self._tuning.call_async(SetParametersAtomically.Request(parameters=[
                ParameterMessage(name=name, value=ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=value))
                for name, value in values.items()]))
        if now - self._start >= self._seconds:
            self.ending.set()

    def _turn_at(self, now: float) -> int:
        """Which turn it is: each once from the first image on, then the first again, and whoever is in the studio goes on."""
        if not self.images:
            return 0
        left = self._start + self._seconds - self._first_image
        turn = int((now - self._first_image) / max(min(left, _TURNS_LAST), 1e-3) * len(_TURNS))
        return turn if turn < len(_TURNS) else 0 if left > _TURNS_LAST else len(_TURNS) - 1

    def destroy_node(self) -> None:
        """Finish the video and the image, then the node."""
        self._video.close()
        if self._best is not None:
            cv2.imwrite(str(self._folder / 'output.png'), self._best)
        super().destroy_node()


def _start(module: str, *arguments: str) -> subprocess.Popen[bytes]:
    # In a session of its own, so that a terminal's Ctrl-C reaches the demo alone, which then ends the others.
    command = [sys.executable, '-m', f'self_segmentation.nodes.{module}', '--ros-args', '--log-level', 'warn', *arguments]
    return subprocess.Popen(command, start_new_session=True)


def main(args: list[str] | None = None) -> int:
    """Run the demo; return 0 when images came."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--camera', default='', help='camera number, device or file (default: the built-in sample)')
    parser.add_argument('--seconds', type=float, default=20.0, help='how long (default: 20)')
    parser.add_argument('--folder', type=Path, default=Path('demo'), help='where output.mp4 and output.png go')
    options = parser.parse_args(args)
    os.environ.setdefault('ROS_DOMAIN_ID', str(1 + os.getpid() % 100))  # meets no other graph
    options.folder.mkdir(parents=True, exist_ok=True)
    no_window = why_no_window()
    if no_window:
        print(f'no window: {no_window}', flush=True)
    print(f'The page of the studio ends with the demo, after {options.seconds:g} s (make demo DEMO_SECONDS=600 for ten minutes).',
          flush=True)
    children: list[subprocess.Popen[bytes]] = []
    nodes: list[DemoNode] = []

    def make_node() -> DemoNode:
        # Not before signals are noted: one that came meanwhile would leave some of them behind.
        children.extend(_start(*command) for command in _commands(options.camera, has_window=not no_window))
        nodes.append(DemoNode(options.seconds, options.folder))
        return nodes[0]

    try:
        run(make_node, [])
    finally:
        for child in children:
            child.terminate()  # silent at every moment of its start, which SIGINT is not
        for child in children:
            child.wait(timeout=30)
    images = nodes[0].images if nodes else 0
    if images:
        print(f'{images} images: {options.folder}/output.mp4, and before, mask and after in {options.folder}/output.png')
    elif nodes and nodes[0].ending.is_set():  # else it was interrupted
        print('no image came: see what the nodes said above', file=sys.stderr)
        return 1
    return 0


def _commands(camera: str, has_window: bool) -> Iterator[tuple[str, ...]]:
    """Yield module and arguments of the nodes to start."""
    is_device = camera.isdigit() or camera.startswith('/dev/')
    yield ('segmentation_node', '--params-file', str(share('config', 'segmentation.yaml')),
           '-p', f'flip:={str(is_device).lower()}',
           '-p', 'background.type:=image', '-p', f'background.image:={_yaml(share("demo", "backgrounds", "china.jpg"))}')
    yield 'camera_node', '-p', f'video_device:={_yaml(camera or share("demo", "sample.mp4"))}'
    yield 'studio_node', '--log-level', 'studio:=info', '-p', 'node:=/segmentation'  # it says its address
    if has_window:
        yield 'viewer_node', '-r', 'image:=segmentation/output'


def _yaml(text: str | Path) -> str:
    """Return a text as YAML, whatever stands in it: as ROS reads the value of a parameter."""
    return json.dumps(str(text), ensure_ascii=False)

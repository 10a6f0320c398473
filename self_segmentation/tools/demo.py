# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""``make demo``: a real graph of camera_node, segmentation_node and studio_node, recorded while it shows what it can in turns."""

from __future__ import annotations

if __name__ == '__main__':  # before the imports, which take seconds
    from ..process import program
    raise SystemExit(program('tools.demo', keeps_large_buffers=True)())

import argparse
import contextlib
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any, TextIO

import cv2
import numpy as np
from numpy.typing import NDArray
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterEvent, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.node import Node
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import String

from ..errors import ExitCode, SelfSegmentationError
from ..io.progress import tqdm
from ..nodes.lifetime import run
from ..nodes.messages import Stamp, seconds_of, stamp_of, to_bgr
from ..resources import data_path
from .before_after import BeforeAfter
from .tour import TURNS, Tour

__all__ = ['main']

_CHANGED = 'as set in the studio'  # the name after the user changed a parameter
_REPORT_EVERY = 1.0, 5.0  # seconds, at a terminal and elsewhere
_KEPT = 30  # frames that wait for their result and their people
_PATIENCE = 30.0  # seconds for the first image without a terminal, and for a node to end
_NODE = '/segmentation'
_IMAGES = QoSProfile(depth=5, reliability=QoSReliabilityPolicy.BEST_EFFORT)
_Picture = NDArray[np.uint8]


class _Screen:
    """Prints lines, and at a terminal a status line below them that is overwritten."""

    def __init__(self) -> None:
        self.is_terminal = sys.stdout.isatty() and not os.environ.get('CI')
        self.is_gone = False  # the other end of the pipe
        self._status = tqdm(bar_format='{desc}', disable=not self.is_terminal, file=sys.stdout, leave=False)
        self.close = self._status.close

    def line(self, text: str, file: TextIO | None = None) -> None:
        """Print a line; from any thread."""
        file = file or sys.stdout
        try:
            tqdm.write(text, file=file)
            file.flush()
        except BrokenPipeError:
            self.is_gone = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), file.fileno())  # later lines do not fail

    def status(self, text: str) -> None:
        """Show the status line, or print it where there is no terminal."""
        if self.is_terminal:
            self._status.set_description_str(text[:shutil.get_terminal_size().columns - 1])
        else:
            self.line(text)


class _Child:
    """A node's process. Its output is printed without the log's stamps; the address of its page is kept."""

    def __init__(self, module: str, arguments: list[str], screen: _Screen) -> None:
        self.name, self.address = module.rpartition('.')[2], ''
        self._screen = screen
        command = [sys.executable, '-m', f'self_segmentation.{module}', '--ros-args', '--log-level', 'warn', *arguments]
        # In a session of its own: a terminal's Ctrl-C reaches the demo alone, which then ends the nodes.
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
                                         env={**os.environ, 'RCUTILS_CONSOLE_OUTPUT_FORMAT': '{name}: {message}'})
        self._reading = threading.Thread(target=self._read, name=self.name, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self._process.stdout is not None  # it is a pipe
        for data in self._process.stdout:
            text = data.decode(errors='replace').rstrip()
            if found := re.search(r'open (http://\S+)', text):
                self.address = found[1]
            else:
                self._screen.line(text, sys.stderr)

    @property
    def end(self) -> tuple[str, ExitCode] | None:
        """How it ended, in words, and the demo's exit code for it; None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        how = f'was ended by {signal.Signals(-code).name}' if code < 0 else f'ended with exit code {code}'
        return f'{self.name} {how}', ExitCode.WILL_FAIL_AGAIN if code == ExitCode.WILL_FAIL_AGAIN else ExitCode.FAILED

    def stop(self) -> None:
        """Ask it to end."""
        self._process.terminate()  # SIGINT would print a traceback while it starts

    def wait(self) -> None:
        """Wait until it has ended and its output is printed."""
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reading.join(_PATIENCE)


class DemoNode(Node):
    """
    Records the node's input and output, and changes its parameters in turns.

    :param seconds: how long it runs; None: until Ctrl-C at a terminal, else until each turn was shown.
    :param folder: for video and picture.
    :param is_mirrored: whether the node mirrors the camera's image.
    :param children: the nodes' processes; the demo ends when one of them does.
    """

    def __init__(self, seconds: float | None, folder: Path, is_mirrored: bool, children: list[_Child], screen: _Screen) -> None:
        super().__init__('demo')
        self.ending, self.exit_code = threading.Event(), ExitCode.DONE
        self.images, self.address = 0, ''
        self._is_mirrored, self._children, self._screen = is_mirrored, children, screen
        self._start = self._last_report = time.monotonic()
        self._seconds, self.tour = seconds, Tour()
        self._recorder: BeforeAfter | None = BeforeAfter(folder, [*TURNS])
        self._inputs: deque[tuple[Stamp, _Picture]] = deque(maxlen=_KEPT)
        self._pairs: deque[tuple[Stamp, tuple[_Picture, _Picture, str]]] = deque(maxlen=_KEPT)
        self._people: deque[tuple[Stamp, tuple[bool, float]]] = deque(maxlen=_KEPT)  # their rank for the picture
        self._count = {'in': 0, 'out': 0}
        self._latencies: list[float] = []
        self._name, self._since, self._is_asking = self.tour.name, 0.0, False  # the turn that is shown, and its first stamp
        self.create_subscription(Image, 'image_raw', self._on_input, _IMAGES)
        self.create_subscription(Image, f'{_NODE}/output', self._on_output, _IMAGES)
        self.create_subscription(String, f'{_NODE}/people', self._on_people, 10)
        self.create_subscription(ParameterEvent, '/parameter_events', self._on_parameter_event, 100)
        self._tuning: Any = self.create_client(SetParametersAtomically, f'{_NODE}/set_parameters_atomically')
        self.create_timer(0.1, self._tick)

    # ---- what is recorded

    def _on_input(self, message: Image) -> None:
        self._count['in'] += 1
        if self._recorder is not None:
            self._inputs.append((stamp_of(message.header), to_bgr(message)))

    def _on_output(self, message: Image) -> None:
        stamp = stamp_of(message.header)
        self._latencies.append(self.get_clock().now().nanoseconds * 1e-9 - seconds_of(stamp))
        self._count['out'] += 1
        if not self.images:
            took = time.monotonic() - self._start
            self.tour.begin(time.monotonic(), None if self._seconds is None else self._seconds - took)
            self._screen.line(f'first image {took:.1f} s after the start')
        self.images += 1
        before = dict(self._inputs).get(stamp)
        if self._recorder is not None and before is not None:
            after = to_bgr(message)
            before = np.asarray(cv2.flip(before, 1), np.uint8) if self._is_mirrored else before
            self._recorder.add(before, after, seconds_of(stamp), self._name, title_seconds=self.tour.longest / 6)
            if not self.tour.has_ended and not self._is_asking and seconds_of(stamp) >= self._since:
                self._pairs.append((stamp, (before, after, self._name)))
                self._offer(stamp)

    def _on_people(self, message: String) -> None:
        """Rank the frame for the picture: people who are whole, large and in the middle."""
        found = json.loads(message.data)
        width, height = found['width'], found['height']
        boxes = np.array([person['box'] for person in found['people']], np.float64).reshape(-1, 4)
        is_whole = all(left > 0 and top > 0 and left + w < width and top + h < height for left, top, w, h in boxes)
        off_middle = abs(2 * boxes[:, 0] + boxes[:, 2] - width) / width  # 0 in the middle, 1 at an edge
        area = float((boxes[:, 2] * boxes[:, 3] * (1 - off_middle)).sum())
        self.tour.see(time.monotonic(), len(found['people']))
        stamp = found['stamp'][0], found['stamp'][1]
        self._people.append((stamp, (is_whole and area > 0, area)))
        self._offer(stamp)

    def _offer(self, stamp: Stamp) -> None:
        """Offer a frame for the picture once its images and its people are known."""
        pair, rank = dict(self._pairs).get(stamp), dict(self._people).get(stamp)
        if self._recorder is not None and pair is not None and rank is not None:
            self._recorder.offer(*pair, rank)

    def finish(self) -> None:
        """
        Finish the video and the picture.

        :raises OutputError: they cannot be written.
        """
        recorder, self._recorder = self._recorder, None
        for kept in (self._inputs, self._pairs, self._people):
            kept.clear()
        if recorder is not None and recorder.close():
            self._screen.line(f'before and after: {recorder.video} and {recorder.picture}')

    # ---- what is shown

    def _on_parameter_event(self, event: ParameterEvent) -> None:
        """End the tour if the user changed a parameter."""
        if event.node == _NODE and event.changed_parameters and not self.tour.has_ended:
            values = {each.name: each.value.string_value for each in event.changed_parameters}
            self.tour.changed(values)
            if self.tour.has_ended:
                self._name = _CHANGED
                self._screen.line(f'{", ".join(values)} changed: the tour ends, the picture is yours')

    def _show(self, name: str) -> None:
        """Set the parameters of a turn."""
        self._is_asking = True
        request = SetParametersAtomically.Request(parameters=[
            ParameterMessage(name=key, value=ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=value))
            for key, value in TURNS[name].items()])

        def take(future: Any) -> None:
            result = future.result().result
            self._is_asking, self._since = False, self.get_clock().now().nanoseconds * 1e-9
            if not result.successful:
                self._screen.line(f'{name}: refused: {result.reason}', sys.stderr)
            if not self.tour.has_ended:
                self._name = name

        self._tuning.call_async(request).add_done_callback(take)

    def _tick(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if child.end and not self.ending.is_set():
                reason, self.exit_code = child.end
                self._screen.line(f'{reason}: the demo ends', sys.stderr)
                self.ending.set()
            if child.address and not self.address:
                self.address = child.address
                until = ' (Ctrl-C ends it)' if self._screen.is_terminal else ''
                self._screen.line(f'The live picture and every parameter{until}:\n{self.address}')
                if self._screen.is_terminal:
                    _open_page(self.address)
        if now - self._last_report >= _REPORT_EVERY[not self._screen.is_terminal]:
            self._report(now)
        if self.tour.advance(now) and self.tour.over == len(TURNS):
            self.finish()
            if self._seconds is None and not self._screen.is_terminal:
                self.ending.set()
        can_show = not self.tour.has_ended and not self._is_asking and self._tuning.service_is_ready()
        if can_show and self.tour.name != self._name:
            self._show(self.tour.name)
        patience = _PATIENCE if not (self.images or self._screen.is_terminal) else math.inf
        if self._screen.is_gone or now - self._start >= (patience if self._seconds is None else self._seconds):
            self.ending.set()

    def _report(self, now: float) -> None:
        span, self._last_report = now - self._last_report, now
        text = 'waiting for the first image'
        if self.images:
            rates = ', '.join(f'{count / span:.1f} Hz {way}' for way, count in self._count.items())
            text = f'{self._name}   {rates}' + (f', {np.median(self._latencies) * 1e3:.0f} ms later' if self._latencies else '')
        self._screen.status(f'{now - self._start:4.0f} s   {text}')
        self._count = {'in': 0, 'out': 0}
        self._latencies.clear()

    def destroy_node(self) -> None:
        """Finish the video and the picture, then the node."""
        try:
            self.finish()
        except SelfSegmentationError as error:
            self._screen.line(str(error), sys.stderr)
            self.exit_code = ExitCode.FAILED
        super().destroy_node()


def _open_page(address: str) -> None:
    """Open a page in the user's browser, if there is a browser or a desktop; without the terminal, which a text browser takes."""
    if any(os.environ.get(name) for name in ('BROWSER', 'DISPLAY', 'WAYLAND_DISPLAY')):
        environment = {name: value for name, value in os.environ.items() if name != 'LD_LIBRARY_PATH'}  # ROS's, not a browser's
        with contextlib.suppress(OSError):  # the address has been printed
            subprocess.Popen([sys.executable, '-S', '-m', 'webbrowser', address], env=environment, stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f'{text} is not allowed: it takes seconds, more than 0')
    return value


def _device(camera: str) -> Path | None:
    """Return the device of a number or a path; None for a file."""
    device = Path(f'/dev/video{camera}' if camera.isdigit() else camera)
    return device if device.is_relative_to('/dev') else None


def main(args: list[str] | None = None) -> int:
    """Run the demo; return its exit code."""
    parser = argparse.ArgumentParser(prog='demo', description=__doc__)
    parser.add_argument('--camera', default='', help='camera number, device or file (default: the built-in sample)')
    parser.add_argument('--seconds', type=_positive, help='how long (default: until Ctrl-C at a terminal, else one tour)')
    parser.add_argument('--folder', type=Path, default=Path('demo'), help='where output.mp4 and output.png go')
    options = parser.parse_args(args)
    device = _device(options.camera)
    if device is not None and not device.exists():
        there = ', '.join(sorted(map(str, Path('/dev').glob('video*')))) or 'none'
        print(f'camera {options.camera}: {device} does not exist (cameras here: {there}); without CAMERA the built-in sample is '
              'shown', file=sys.stderr)
        return ExitCode.WILL_FAIL_AGAIN
    os.environ.setdefault('ROS_DOMAIN_ID', str(1 + os.getpid() % 100))  # no other graph is seen
    screen = _Screen()
    children: list[_Child] = []
    nodes: list[DemoNode] = []

    def make_node() -> DemoNode:
        # After the signals are handled: one before would leave some nodes behind.
        children.extend(_Child(*command, screen) for command in _commands(options.camera, device is not None))
        nodes.append(DemoNode(options.seconds, options.folder, device is not None, children, screen))
        return nodes[0]

    screen.line('Starting camera_node, segmentation_node and studio_node ...')
    with tempfile.TemporaryDirectory() as ros_home:  # the user's own nodes take nothing over from the demo's
        os.environ['ROS_HOME'] = ros_home
        try:
            code = run(make_node, [])
        finally:
            for child in children:
                child.stop()
            for child in children:
                child.wait()
            screen.close()
    if not nodes:
        return code
    [node] = nodes
    if node.images:
        screen.line(f'{node.images} images. The page was at\n{node.address}' if node.address else f'{node.images} images')
    elif node.ending.is_set() and not node.exit_code:  # else it was interrupted
        screen.line('no image came: see what the nodes wrote above', sys.stderr)
        return ExitCode.FAILED
    return code or node.exit_code


def _commands(camera: str, is_mirrored: bool) -> list[tuple[str, list[str]]]:
    """Return the modules of the nodes to start, and their arguments."""
    def path(*parts: str) -> str:
        return str(data_path(*parts))

    return [
        ('nodes.segmentation_node', ['--params-file', path('config', 'segmentation.yaml'), '-p', 'background.type:=image',
                                     '-p', f'background.image:={_yaml(path("demo", "backgrounds", "china.jpg"))}',
                                     '-p', f'flip:={str(is_mirrored).lower()}']),
        ('nodes.camera_node', ['-p', f'video_device:={_yaml(camera or path("demo", "sample.mp4"))}']),
        ('studio.studio_node', ['--log-level', 'studio:=info', '-p', f'node:={_NODE}']),  # it logs its address at this level
    ]


def _yaml(text: str) -> str:
    """Return a text as YAML, as ROS reads the value of a parameter."""
    return json.dumps(text, ensure_ascii=False)

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What the tests share: the pictures, real processes, and a ROS node that sends pictures and keeps what comes back."""

from __future__ import annotations

import array
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import hypothesis
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from self_segmentation.io.assets import load_assets  # noqa: E402
from self_segmentation.middleware import image_environment  # noqa: E402
from self_segmentation.picture.backgrounds import Background, make_background  # noqa: E402
from self_segmentation.settings import Settings, read_yaml  # noqa: E402

# Before rclpy is imported and before any process is started: a graph of this session's own, in which large images arrive.
os.environ['ROS_DOMAIN_ID'] = str(1 + os.getpid() % 100)
os.environ['ROS_LOG_DIR'] = tempfile.mkdtemp(prefix='self_segmentation_test_log_')
os.environ['PYTHONPATH'] = str(ROOT)
os.environ['PYTHONUNBUFFERED'] = '1'
os.environ.update(image_environment(os.environ)[0])

import rclpy  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.parameter_client import AsyncParameterClient  # noqa: E402
from rclpy.qos import QoSProfile, QoSReliabilityPolicy  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

PATIENCE = 30.0  # seconds for anything that is waited for: a loaded machine is slow, not wrong
ASTRONAUT = ROOT / 'test' / 'data' / 'astronaut.png'
EMPTY_ROOM = ROOT / 'demo' / 'background.jpg'
SAMPLE = ROOT / 'demo' / 'sample.mp4'
TUTORIAL = ROOT / 'config' / 'tutorial.yaml'
_numbers = itertools.count(1)
hypothesis.settings.register_profile('repeatable', deadline=None, derandomize=True, database=None)  # no clock, no chance
hypothesis.settings.load_profile('repeatable')


def background_of(settings: Settings) -> Background:
    """The background that settings ask for, with its file read."""
    return make_background(settings, load_assets(settings).background_image)


def tutorial_settings(**changes) -> Settings:
    """The tutorial's settings, which look at each frame by itself; ``__`` stands for the dot in a name."""
    changes = {name.replace('__', '.'): value for name, value in changes.items()}
    return Settings().updated({**read_yaml(TUTORIAL), **changes})


def full_name(module: str) -> str:
    """The dotted name of a module of the package, which has no two of one name."""
    [path] = (ROOT / 'self_segmentation').rglob(f'{module}.py')
    return '.'.join(path.relative_to(ROOT).with_suffix('').parts)


def video_frames(path: Path) -> list[np.ndarray]:
    """All frames of a video."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while (frame := capture.read()[1]) is not None:
        frames.append(frame)
    return frames


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two masks; 1 for two empty ones."""
    a, b = a > 127, b > 127
    return (a & b).sum() / (a | b).sum() if (a | b).any() else 1.0


def area(mask: np.ndarray) -> float:
    """The share of a picture that a mask keeps."""
    return float((mask > 127).mean())


def wait_until(condition: Callable[[], object], what: str, meanwhile: Callable[[], object] = lambda: time.sleep(0.02)) -> None:
    """Wait for a condition; fail and say what did not come."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f'waited {PATIENCE:.0f} s for {what}')
        meanwhile()


def unique(name: str) -> str:
    """A name that no other test has."""
    return f'{name}{next(_numbers)}'


def message_of(picture: np.ndarray, encoding: str = 'bgr8', padding: int = 0, **fields) -> Image:
    """A message whose rows are those of (rows, row bytes) or (height, width, channels) uint8, each followed by ``padding``."""
    height, width = picture.shape[:2]
    rows = np.full((height, picture[0].nbytes + padding), 123, np.uint8)
    rows[:, :picture[0].nbytes] = np.ascontiguousarray(picture).view(np.uint8).reshape(height, -1)
    message = Image(height=height, width=width, encoding=encoding, step=rows.shape[1], data=array.array('B', rows.tobytes()))
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def picture_of(message: Image) -> np.ndarray:
    """The pixels of a bgr8 or mono8 message, read without the package's own code."""
    channels = {'bgr8': 3, 'mono8': 1}[message.encoding]
    assert message.step == message.width * channels and len(message.data) == message.step * message.height
    return np.array(message.data, np.uint8).reshape(message.height, message.width, channels).squeeze(2 if channels == 1 else ())


class Program:
    """A process of the package; what it says on both channels is kept."""

    def __init__(self, module: str, *arguments: str, env: dict[str, str] | None = None, command: list[str] | None = None) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115
        command = [*(command or [sys.executable, '-m', full_name(module)]), *map(str, arguments)]
        self._process = subprocess.Popen(command, stdout=self._said, stderr=subprocess.STDOUT, env=env)

    @property
    def said(self) -> str:
        return os.pread(self._said.fileno(), 1 << 24, 0).decode(errors='replace')

    @property
    def code(self) -> int | None:
        return self._process.poll()

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, number: int) -> None:
        self._process.send_signal(number)

    def exit_code(self, seconds: float = PATIENCE) -> int:
        """Wait for the end by itself."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f'the process did not end within {seconds:.0f} s; it said:\n{self.said}')

    def end(self) -> None:
        """Clean up after a test, whatever became of the process."""
        for number in (signal.SIGINT, signal.SIGKILL):
            if self._process.poll() is None:
                self._process.send_signal(number)
                try:
                    self._process.wait(5)
                except subprocess.TimeoutExpired:
                    continue
        self._said.close()


@pytest.fixture
def start():
    """Start programs that end with the test: ``start(module, *arguments)``, ``start.node(module, namespace, *parameters)``."""
    programs = Programs()
    yield programs
    programs.end()


@pytest.fixture(scope='module')
def start_shared():
    """Likewise, for the tests of one file together."""
    programs = Programs()
    yield programs
    programs.end()


class Programs:
    """The programs of one test."""

    def __init__(self) -> None:
        self._programs: list[Program] = []

    def __call__(self, module: str, *arguments: str, **more) -> Program:
        self._programs.append(Program(module, *arguments, **more))
        return self._programs[-1]

    def node(self, module: str, namespace: str, *arguments: str, **parameters) -> Program:
        """A node in a namespace; ``__`` stands for the dot in a parameter's name."""
        given = [part for name, value in parameters.items() for part in ('-p', f'{name.replace("__", ".")}:={value}')]
        return self(module, '--ros-args', '-r', f'__ns:=/{namespace}', *arguments, *given)

    def end(self) -> None:
        for program in self._programs:
            program.end()


class Graph:
    """The tests' own ROS node."""

    def __init__(self) -> None:
        rclpy.init(args=[], signal_handler_options=rclpy.SignalHandlerOptions.NO)
        self.node = rclpy.create_node('tester')
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)

    def spin(self) -> None:
        self._executor.spin_once(timeout_sec=0.02)

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        wait_until(condition, what, self.spin)

    def listen(self, topic: str, reliable: bool = True, depth: int = 300) -> tuple[list[Image], object]:
        """The list that messages will come into, and the subscription."""
        received: list[Image] = []
        reliability = QoSReliabilityPolicy.RELIABLE if reliable else QoSReliabilityPolicy.BEST_EFFORT
        return received, self.node.create_subscription(
            Image, topic, received.append, QoSProfile(depth=depth, reliability=reliability))

    def close(self) -> None:
        self.node.destroy_node()
        rclpy.shutdown()


@pytest.fixture(scope='session')
def graph():
    graph = Graph()
    yield graph
    graph.close()


class Segmentation:
    """A running segmentation node, seen from outside."""

    KINDS = ('output', 'mask', 'alpha')
    INPUT, SUFFIX = Image, ''  # what its camera sends, and where

    def __init__(self, graph: Graph, namespace: str, program: Program, kinds: tuple[str, ...] = KINDS,
                 reliability: QoSReliabilityPolicy = QoSReliabilityPolicy.RELIABLE) -> None:
        self.graph, self.program, self.name, self.topic = graph, program, f'/{namespace}/segmentation', f'/{namespace}/image_raw'
        self.received: dict[str, list[Image]] = {}
        self._subscriptions = {}
        self._sender = graph.node.create_publisher(self.INPUT, self.topic + self.SUFFIX,
                                                   QoSProfile(depth=2, reliability=reliability))
        self.parameters = AsyncParameterClient(graph.node, self.name)
        self.wait_until(self.parameters.services_are_ready, f'the start of {self.name}')
        self.listen(*kinds)

    def spin(self) -> None:
        """Take what came; a process that ended unasked fails the test at once."""
        if self.program.code is not None:
            pytest.fail(f'the node ended with exit code {self.program.code}; it said:\n{self.program.said}')
        self.graph.spin()

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        wait_until(condition, what, self.spin)

    def listen(self, *kinds: str) -> None:
        """Subscribe to these and no others, and wait until the node follows."""
        for kind in set(self._subscriptions) - set(kinds):
            self.graph.node.destroy_subscription(self._subscriptions.pop(kind))
        for kind in kinds:
            if kind not in self._subscriptions:
                self.received[kind], self._subscriptions[kind] = self.graph.listen(f'{self.name}/{kind}')
        self.wait_until(lambda: self._sender.get_subscription_count() == bool(kinds), 'the node to follow the demand')
        self.wait_until(lambda: all(s.get_publisher_count() == 1 for s in self._subscriptions.values()), 'the outputs')

    def send(self, message: Image) -> Image:
        """Publish a message, with a header of its own unless it has one."""
        if not message.header.frame_id:
            message.header.frame_id = unique('frame')
            message.header.stamp = self.graph.node.get_clock().now().to_msg()
        self._sender.publish(message)
        return message

    def results(self, message: Image, again: float = 2.0) -> dict[str, Image]:
        """Publish a message and return what comes of it, by kind; published again if it was lost, as best effort may."""
        sent = 0.0

        def came() -> dict[str, Image]:
            return {kind: m for kind in self._subscriptions for m in self.received[kind] if m.header == message.header}

        def go_on() -> None:
            nonlocal sent
            if time.monotonic() > sent + again:
                self.send(message)
                sent = time.monotonic()
            self.spin()

        for received in self.received.values():
            received.clear()
        wait_until(lambda: sent and len(came()) == len(self._subscriptions), 'the results of a frame', go_on)
        return came()

    def pictures(self, picture: np.ndarray, *encoding) -> dict[str, np.ndarray]:
        """Send a picture and return the pictures that come of it, by kind."""
        return {kind: picture_of(m) for kind, m in self.results(message_of(picture, *encoding)).items()}

    def call(self, ask: Callable[[], object]):
        """What a service answers; asked again when an answer gets lost, as it may while the two ends find each other."""
        asked = [ask()]
        last = time.monotonic()

        def go_on() -> None:
            nonlocal last
            if time.monotonic() > last + 3:
                asked.append(ask())
                last = time.monotonic()
            self.spin()

        wait_until(lambda: any(future.done() for future in asked), 'the answer of a service', go_on)
        return next(future.result() for future in asked if future.done())

    def change(self, **values) -> list[str]:
        """Set parameters one after the other; return the reasons of those that were refused."""
        parameters = [Parameter(name.replace('__', '.'), value=value) for name, value in values.items()]
        answers = self.call(lambda: self.parameters.set_parameters(parameters)).results
        return [answer.reason for answer in answers if not answer.successful]

    def values(self) -> dict:
        """All settings as the node has them."""
        names = [name for name, _ in Settings().items()]
        answer = self.call(lambda: self.parameters.get_parameters(names))
        return {name: _value(value) for name, value in zip(names, answer.values)}


def _value(message):
    value = rclpy.parameter.parameter_value_to_python(message)
    return value if isinstance(value, (bool, int, float, str, type(None))) else tuple(value)


@pytest.fixture(scope='session')
def astronaut() -> np.ndarray:
    return cv2.imread(str(ASTRONAUT))


@pytest.fixture(scope='session')
def sample() -> list[np.ndarray]:
    """The demo's frames: 0 to 26 and 136 to 149 show an empty room, 45 to 118 the person."""
    return video_frames(SAMPLE)

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
The node in a real ROS graph: a feeder, the node and a listener, each a process of its own.

``python3 -m self_segmentation.tools.benchmark_graph feed|listen ...`` are the feeder and the listener. Each prints its figures
as one line of JSON when it ends.
"""

from __future__ import annotations

import argparse
import array
import contextlib
import importlib
import importlib.util
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..io.sources import open_source
from ..middleware import image_environment
from ..resources import data_path

__all__ = ['PERSON_FRAMES', 'Usage', 'environment', 'measure_graph', 'measure_messages', 'measure_results', 'process',
           'sample_frames']

_TICKS = os.sysconf('SC_CLK_TCK')
_PAGE = os.sysconf('SC_PAGE_SIZE')
_ME = 'self_segmentation.tools.benchmark_graph'
_START = 4.0  # seconds until the node has started and its first frames are served
_DISTANCE = 2000  # millimetres, of all pixels of the depth camera
PERSON_FRAMES = range(120, 180)  # of the sample; 0 to 40 show an empty room


def sample_frames(size: tuple[int, int], numbers: range) -> list[NDArray[np.uint8]]:
    """Return frames of the built-in sample, (height, width, 3) uint8 each."""
    frames: list[NDArray[np.uint8]] = []
    with open_source(str(data_path('demo', 'sample.mp4'))) as source:
        while (frame := source.read()) and frame.index < numbers.stop:
            if frame.index in numbers:
                frames.append(np.asarray(cv2.resize(frame.pixels, size, interpolation=cv2.INTER_LINEAR), np.uint8))
    return frames


def feed(options: argparse.Namespace) -> dict[str, Any]:
    """Publish frames at a steady rate, as a camera does."""
    import rclpy
    from rclpy.qos import QoSProfile
    from sensor_msgs.msg import Image

    from ..nodes.messages import ImageWriter

    rclpy.init()
    node = rclpy.create_node('feeder', namespace=options.namespace)
    publisher = node.create_publisher(Image, 'image_raw', QoSProfile(depth=2))
    depth_publisher = node.create_publisher(Image, 'depth/image', QoSProfile(depth=2)) if options.depth else None
    pixels = np.full((options.height, options.width), _DISTANCE, np.uint16)
    depth = Image(width=options.width, height=options.height, encoding='16UC1', step=2 * options.width,
                  data=array.array('B', pixels.tobytes()))
    frames = sample_frames((options.width, options.height), PERSON_FRAMES[:20])
    writer = ImageWriter(Image(), 'bgr8')
    sent, cpu, due = 0, time.process_time(), time.monotonic()
    with contextlib.suppress(KeyboardInterrupt):
        while options.seconds is None or sent < options.seconds * options.fps:
            np.copyto(writer.pixels(options.width, options.height), frames[sent % len(frames)])
            writer.message.header.stamp = node.get_clock().now().to_msg()
            publisher.publish(writer.message)
            if depth_publisher is not None:
                depth.header = writer.message.header
                depth_publisher.publish(depth)
            sent += 1
            due += 1 / options.fps
            time.sleep(max(due - time.monotonic(), 0))
    return {'sent': sent, 'cpu_ms': 1e3 * (time.process_time() - cpu) / max(sent, 1)}


def listen(options: argparse.Namespace) -> dict[str, Any]:
    """Receive images for a while; measure the latencies."""
    import rclpy
    from rclpy.qos import QoSProfile, QoSReliabilityPolicy
    from sensor_msgs.msg import Image

    from ..nodes.messages import seconds_of, stamp_of

    rclpy.init()
    node = rclpy.create_node('listener', namespace=options.namespace)
    arrivals: list[tuple[float, float]] = []  # stamp and time, in seconds
    kind: Any = Image
    if options.topic.endswith('detections'):
        kind = importlib.import_module('vision_msgs.msg').Detection2DArray
    node.create_subscription(kind, options.topic,
                             lambda message: arrivals.append((seconds_of(stamp_of(message.header)), time.time())),
                             QoSProfile(depth=5, reliability=QoSReliabilityPolicy.BEST_EFFORT))

    def spin(seconds: float, until_image: bool = False) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not (until_image and arrivals):
            rclpy.spin_once(node, timeout_sec=0.05)

    spin(30, until_image=True)
    first = arrivals[0][1] if arrivals else None
    spin(options.settle)
    arrivals.clear()
    cpu = time.process_time()
    spin(options.seconds)
    cpu = time.process_time() - cpu
    count = len(arrivals)
    expected = (arrivals[-1][0] - arrivals[0][0]) * options.fps + 1 if count > 1 else math.nan
    latencies = [now - stamp for stamp, now in arrivals]
    return {'first': first, 'received': count, 'sent_meanwhile': round(expected, 1), 'hz': count / options.seconds,
            'cpu_ms': 1e3 * cpu / max(count, 1),
            **({f'latency_p{q}_ms': 1e3 * float(np.percentile(latencies, q)) for q in (50, 95)} if latencies else {})}


class Usage:
    """CPU seconds and memory of another process, from /proc."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f'/proc/{pid}')
        self._cpu, self._time = self._now(), time.monotonic()

    def _now(self) -> float:
        fields = (self._folder / 'stat').read_text().rpartition(')')[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def cores(self) -> float:
        """Return the cores used since the last call."""
        cpu, now = self._now(), time.monotonic()
        used = (cpu - self._cpu) / (now - self._time)
        self._cpu, self._time = cpu, now
        return used

    def memory_mb(self) -> tuple[float, float]:
        """Return the resident memory in megabytes, and its part that is shared with others: files and shared memory."""
        _, resident, shared, *_ = (self._folder / 'statm').read_text().split()
        return int(resident) * _PAGE / 1e6, int(shared) * _PAGE / 1e6


@contextlib.contextmanager
def process(*command: str, log: IO[Any] | None = None) -> Iterator[subprocess.Popen[str]]:
    """
    Run a module of the package as a process of its own; SIGINT ends it, and SIGKILL where that does not help.

    It has a session of its own: a terminal's Ctrl-C does not reach it.

    :param command: the module's name and its arguments.
    :param log: file for its standard output and error; without it its standard output is a pipe.
    """
    child = subprocess.Popen([sys.executable, '-m', *command], stdout=log or subprocess.PIPE,
                             stderr=subprocess.STDOUT if log else subprocess.DEVNULL, text=True, start_new_session=True)
    try:
        yield child
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGINT)
        try:
            child.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()


def _result(child: subprocess.Popen[str]) -> dict[str, Any]:
    text, _ = child.communicate()
    result: dict[str, Any] = json.loads(text.splitlines()[-1])
    return result


def environment() -> None:
    """Give processes that are started from now on a ROS graph of their own, in which large images arrive."""
    os.environ.setdefault('ROS_DOMAIN_ID', str(1 + os.getpid() % 100))  # no other graph is seen
    os.environ.update(image_environment(os.environ)[0])


def measure_graph(size: tuple[int, int], fps: float, seconds: float, cameras: int = 1, idle: float = 0.0) -> dict[str, Any]:
    """
    Run ``cameras`` feeders, nodes and listeners at once, and measure them from outside.

    :param idle: seconds to measure the node's CPU without subscribers, with the camera running.
    :returns: of the first node: rates, drops, latency, CPU, memory, seconds to the first image; ``hz`` summed over all.
    """
    environment()
    with contextlib.ExitStack() as stack:
        begin = time.time()
        spaces = [f'/bench{index}' for index in range(cameras)]
        nodes = [stack.enter_context(process('self_segmentation.nodes.segmentation_node', '--ros-args', '-r', f'__ns:={space}',
                                             '--params-file', str(data_path('config', 'segmentation.yaml')))) for space in spaces]
        for space in spaces:
            stack.enter_context(process(_ME, 'feed', '--namespace', space, '--width', str(size[0]), '--height', str(size[1]),
                                        '--fps', str(fps)))
        usage = Usage(nodes[0].pid)
        idle_cores = None
        if idle:
            time.sleep(5)  # until the node has started
            usage.cores()
            time.sleep(idle)
            idle_cores = usage.cores()
        listeners = [stack.enter_context(process(_ME, 'listen', '--namespace', space, '--topic', 'segmentation/output',
                                                 '--fps', str(fps), '--seconds', str(seconds))) for space in spaces]
        time.sleep(3)
        usage.cores()
        memory = []
        while listeners[0].poll() is None:
            time.sleep(0.5)
            memory.append((time.monotonic(), usage.memory_mb()[0]))
        cores = usage.cores()
        results = [_result(listener) for listener in listeners]
    late = [(t, m) for t, m in memory if t - memory[0][0] > min(60, (memory[-1][0] - memory[0][0]) / 2)]
    slope = 0.0
    if len(late) > 3:
        times, sizes = np.array(late, np.float64).T
        slope = 60 * float(np.polyfit(times, sizes, 1)[0])
    first = results[0]
    return {**first, 'size': list(size), 'cameras': cameras, 'hz': sum(r['hz'] for r in results),
            'out_of_in': min(1.0, first['received'] / first['sent_meanwhile']), 'cores': cores, 'idle_cores': idle_cores,
            'rss_mb': max(m for _, m in memory), 'rss_slope_mb_min': slope,
            'first_image_s': None if idle else first['first'] - begin}


def measure_results(size: tuple[int, int], seconds: float, rounds: int = 3) -> dict[str, float]:
    """
    Return the node's CPU time in milliseconds a frame at 30 Hz, for one subscriber of each result; the median of some rounds.

    ``detections`` is there where vision_msgs is installed. The depth camera runs for ``depth/background`` alone.
    """
    environment()
    topics: dict[str, list[str]] = {'output': [], 'mask': [], 'mask, 256 wide': ['-p', 'mask.width:=256'], 'detections': [],
                                    'depth/background': []}
    if importlib.util.find_spec('vision_msgs') is None:
        del topics['detections']
    times: dict[str, list[float]] = {name: [] for name in topics}
    sides = ['--width', str(size[0]), '--height', str(size[1]), '--fps', '30']
    for _ in range(rounds):
        for name, arguments in topics.items():
            depth = ['--depth'] if name.startswith('depth') else []
            topic = f'segmentation/{name.partition(",")[0]}'
            with process('self_segmentation.nodes.segmentation_node', '--ros-args', '-r', '__ns:=/bench', *arguments) as node, \
                    process(_ME, 'feed', *sides, *depth), \
                    process(_ME, 'listen', '--topic', topic, '--seconds', str(seconds), '--settle', '3') as listener:
                usage = Usage(node.pid)
                begin, before = time.monotonic(), 0.0
                while listener.poll() is None:
                    time.sleep(0.25)
                    if not before and time.monotonic() - begin > _START:
                        before = time.monotonic()
                        usage.cores()
                cores, result = usage.cores(), _result(listener)
                times[name].append(1e3 * cores / max(result['hz'], 1e-3))
    return {name: float(np.median(each)) for name, each in times.items()}


def measure_messages(size: tuple[int, int], seconds: float = 5.0) -> dict[str, Any]:
    """Return the CPU in milliseconds that a process spends to publish and to receive one image, DDS included."""
    environment()
    with process(_ME, 'listen', '--topic', 'image_raw', '--seconds', str(seconds)) as listener, \
            process(_ME, 'feed', '--width', str(size[0]), '--height', str(size[1]), '--seconds', str(seconds + 6)) as feeder:
        received, sent = _result(listener), _result(feeder)
    return {'publish_ms': sent['cpu_ms'], 'receive_ms': received['cpu_ms'], 'latency_p50_ms': received.get('latency_p50_ms')}


def main() -> int:
    """Run the feeder or the listener."""
    from ..middleware import keep_large_buffers

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('role', choices=['feed', 'listen'])
    parser.add_argument('--namespace', default='/bench')
    parser.add_argument('--topic', default='image_raw')
    parser.add_argument('--width', type=int, default=1280)
    parser.add_argument('--height', type=int, default=720)
    parser.add_argument('--fps', type=float, default=30.0)
    parser.add_argument('--seconds', type=float)
    parser.add_argument('--settle', type=float, default=2.0)
    parser.add_argument('--depth', action='store_true')
    options = parser.parse_args()
    keep_large_buffers()
    print(json.dumps(feed(options) if options.role == 'feed' else listen(options)), flush=True)
    return 0


if __name__ == '__main__':
    raise SystemExit(main())

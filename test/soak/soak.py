# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
What users leave running: a looping camera, a video behind the person, the studio with a browser, settings that change.

``make soak MINUTES=60``. Every process is real, in a ROS graph of its own. In the first third camera, node and studio are killed
at random and started again, as the launch file does; then their memory is judged. The exit code is 1 when memory grows, when
frames are missing that the node does not count as dropped, for an error in a log, a wrong answer, or a process that ends by
itself. Nothing is judged by the speed of the machine.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import itertools
import json
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Image

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / 'test'), str(Path(__file__).parent)]
from changes import FILES, USUAL, changes  # noqa: E402
from conftest import CHROMIUM, own_domain  # noqa: E402
from judge import ERROR, LOST_PORT, growth, leaks, unexplained, without_cause  # noqa: E402
from shared_memory import kill  # noqa: E402

from self_segmentation.errors import ExitCode  # noqa: E402
from self_segmentation.io.progress import tqdm  # noqa: E402
from self_segmentation.middleware import image_environment  # noqa: E402
from self_segmentation.signals import note_signals  # noqa: E402
from self_segmentation.tools.benchmark_graph import Usage  # noqa: E402

KILLS = 1 / 3  # of the time, in which processes are killed
PAUSE = (0.2, 2.0)  # seconds between two changes of parameters
PATIENCE = 30.0  # seconds for an answer; a killed node gives none
SHOWN = 5  # faults of a kind that are printed
STAMP = struct.Struct('<iI')  # of a serialized image, behind 4 bytes
MODULES = {'camera': 'nodes.camera_node', 'segmentation': 'nodes.segmentation_node', 'studio': 'studio.studio_node'}


class Child:
    """One of the programs, started again each time it was killed; ``lives`` has the memory of each life: seconds, MB."""

    def __init__(self, name: str, folder: Path, *command: str) -> None:
        self.name, self._command = name, command
        self.log = folder / f'{name}.log'
        self.lives: list[list[tuple[float, float]]] = []
        self.start()

    def start(self) -> None:
        with self.log.open('ab') as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log, start_new_session=True, cwd=ROOT)
        self._usage, self._begin = Usage(self.process.pid), time.monotonic()
        self.lives.append([])

    def sample(self) -> None:
        """Note its own memory, without what it shares with others."""
        with contextlib.suppress(OSError, ValueError):  # it just ended
            resident, shared = self._usage.memory_mb()
            self.lives[-1].append((time.monotonic() - self._begin, resident - shared))

    @property
    def has_lost_port(self) -> bool:
        """Whether that is the last error that it logged."""
        errors = [line for line in self.log.read_text(errors='replace').splitlines() if ERROR.search(line)]
        return bool(errors and LOST_PORT in errors[-1])

    def restart(self) -> None:
        """Kill it and start it again."""
        kill(self.process)
        self.start()

    def end(self) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            kill(self.process)


class Soak(Node):
    """Starts the programs, changes settings, listens, and notes what became of all."""

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__('soak')
        self._chance, self._changes = random.Random(seed), changes(random.Random(f'changes {seed}'))
        self.sent: list[tuple[float, tuple[int, int]]] = []
        self.shown: set[tuple[int, int]] = set()
        self.reports: list[tuple[float, int]] = []
        self.levels: collections.Counter[str] = collections.Counter()
        self.answers: collections.Counter[str] = collections.Counter()
        self.wrong_answers: list[str] = []
        self.kills: list[float] = []
        self.is_browsed = False  # whether the studio subscribed for the browser
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            port = free.getsockname()[1]
        sample = ROOT / 'test' / 'data' / 'portrait.mp4'
        values = [f'{name}:={json.dumps(value)}' for name, value in USUAL.items() if name in ('background.type', *FILES)]
        python = [sys.executable, '-m']
        self.children = {name: Child(name, folder, *python, f'self_segmentation.{MODULES[name]}', '--ros-args',
                                     *itertools.chain(*(('-p', each) for each in parameters)))
                         for name, parameters in {
                             'camera': [f'video_device:="{sample}"', 'image_width:=1280', 'image_height:=960'],
                             'segmentation': values, 'studio': [f'port:={port}', 'node:=/segmentation']}.items()}
        self._browser_command = [CHROMIUM or '', '--headless=new', '--no-sandbox', '--disable-gpu', '--remote-debugging-port=0',
                                 '--disable-background-networking', '--disable-component-update', '--disable-sync',
                                 '--no-first-run', f'--user-data-dir={folder}/browser', f'http://127.0.0.1:{port}/']
        self.browser: subprocess.Popen[bytes] | None = None
        images = QoSProfile(depth=60, reliability=QoSReliabilityPolicy.BEST_EFFORT)
        self.create_subscription(Image, 'image_raw', self._on_camera, images, raw=True)
        self.create_subscription(Image, 'segmentation/output', self._on_output, QoSProfile(depth=60), raw=True)
        self.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)
        self._client: Any = self.create_client(SetParametersAtomically, 'segmentation/set_parameters_atomically')
        self._asked: Any = None
        self._next = time.monotonic()
        self.create_timer(0.05, self._tune)
        self.create_timer(1.0, self._sample)

    def browse(self) -> None:
        """Open the studio's page in a browser, where there is one."""
        if CHROMIUM:
            self.browser = subprocess.Popen(self._browser_command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                            start_new_session=True)

    def kill_one(self) -> str:
        """Kill one of the programs and start it again."""
        name = self._chance.choice([*self.children])
        self.kills.append(time.monotonic())
        self.children[name].restart()
        return name

    def restart_lost(self) -> None:
        """Start again what ended because Fast DDS had lost its port, as the launch file does."""
        for child in self.children.values():
            if child.process.poll() == ExitCode.FAILED and child.has_lost_port:
                self.kills.append(time.monotonic())
                child.start()

    @property
    def ended(self) -> list[str]:
        """Which programs ended by themselves."""
        return [f'{name} ended by itself, with exit code {child.process.returncode}' for name, child in self.children.items()
                if child.process.poll() is not None]

    def end(self) -> None:
        if self.browser is not None:
            os.killpg(self.browser.pid, signal.SIGTERM)
            self.browser.wait()
        for child in self.children.values():
            child.end()

    def _sample(self) -> None:
        for child in self.children.values():
            child.sample()
        self.is_browsed = self.is_browsed or self.count_subscribers('segmentation/output') > 1

    def _on_camera(self, data: bytes) -> None:
        self.sent.append((time.monotonic(), STAMP.unpack_from(data, 4)))

    def _on_output(self, data: bytes) -> None:
        self.shown.add(STAMP.unpack_from(data, 4))

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        for status in array.status:
            if status.hardware_id == '/segmentation':
                figures = {each.key: each.value for each in status.values}
                self.levels[['OK', 'WARN', 'ERROR', 'STALE'][status.level[0]]] += 1
                self.reports.append((time.monotonic(), int(figures['frames dropped'])))

    def _tune(self) -> None:
        now = time.monotonic()
        if self._asked is not None:
            if now - self._begin > PATIENCE:
                self._client.remove_pending_request(self._asked)
                is_explained = any(self._begin - PATIENCE < at for at in self.kills[-1:])
                self._note(None if not is_explained else self._valid, 'not answered')
        elif now > self._next and self._client.service_is_ready():
            self._values, self._valid = next(self._changes)
            self._begin = now
            self._asked = self._client.call_async(SetParametersAtomically.Request(parameters=[
                Parameter(name, value=list(value) if isinstance(value, tuple) else value).to_parameter_msg()
                for name, value in self._values.items()]))
            self._asked.add_done_callback(self._answered)

    def _answered(self, future: Any) -> None:
        if future is self._asked:
            answer = future.result().result
            self._note(answer.successful, 'taken' if answer.successful else f'refused: {answer.reason}')

    def _note(self, taken: bool | None, what: str) -> None:
        self.answers[what.partition(':')[0]] += 1
        if taken is not self._valid:
            self.wrong_answers.append(f'{self._values!r} was {what}')
        self._asked, self._next = None, time.monotonic() + self._chance.uniform(*PAUSE)


def spans(begin: float, end: float, kills: list[float]) -> list[tuple[float, float]]:
    """Return the spans of time without a kill; each begins some seconds late, when all have found each other again."""
    edges = [begin, *kills, end]
    return [(start + 20, stop - 1) for start, stop in itertools.pairwise(edges) if stop - start > 40]


def run(folder: Path, minutes: float, seed: int) -> dict[str, Any]:
    """Run the soak; return its figures and ``faults``."""
    stop = note_signals()
    rclpy.init(args=[], signal_handler_options=rclpy.SignalHandlerOptions.NO)
    soak = Soak(folder, seed)
    begin = time.monotonic()
    end, kill_until, kill_at = begin + 60 * minutes, begin + 60 * minutes * KILLS, begin + 60
    ended: list[str] = []
    soak.browse()
    try:
        with tqdm(total=round(60 * minutes), unit='s', desc='soak', mininterval=5) as bar:
            while not stop and time.monotonic() < end and not ended:
                rclpy.spin_once(soak, timeout_sec=0.2)
                now = time.monotonic()
                if kill_at < now < kill_until and soak.reports and soak.reports[-1][0] > now - 5:
                    soak.kill_one()
                    kill_at = now + max(60.0, 60 * minutes * KILLS / 8)
                bar.update(round(now - begin) - bar.n)
                soak.restart_lost()
                ended = soak.ended
        end = time.monotonic()
    finally:
        soak.end()
    memory = {f'{name}, {number}': {'start_mb': life[0][1], 'end_mb': life[-1][1], 'mb_a_minute': growth(life)}
              for name, child in soak.children.items() for number, life in enumerate(child.lives, 1) if life}
    faults = {
        'ended': ended,
        'memory grows': [f'{name}: {growth(life)} MB a minute' for name, child in soak.children.items()
                         for life in child.lives if leaks(life)],
        'frames without a cause': without_cause(soak.sent, soak.shown, soak.reports, spans(begin, end, soak.kills)),
        'unexplained error': [f'{name}: {line}' for name, child in soak.children.items()
                              for line in unexplained(child.log.read_text(errors='replace').splitlines())],
        'wrong answer': soak.wrong_answers,
        'nothing seen': [what for what, is_seen in (('outputs', soak.shown), ('diagnostics', soak.reports), (
            'the browser', soak.is_browsed or not CHROMIUM)) if not is_seen]}
    figures = {'seconds': round(end - begin), 'frames of the camera': len(soak.sent), 'outputs': len(soak.shown),
               'kills': len(soak.kills), 'answers': dict(soak.answers), 'diagnostics': dict(soak.levels), 'memory': memory,
               'browser': 'chromium' if CHROMIUM else 'none', 'faults': {kind: each for kind, each in faults.items() if each}}
    soak.destroy_node()
    rclpy.shutdown()
    return figures


def table(figures: dict[str, Any]) -> str:
    """Return the figures as lines of Markdown."""
    lines = ['| | |', '|---|---|']
    lines += [f'| {name} | {value} |' for name, value in figures.items() if name not in ('memory', 'faults')]
    for name, each in figures['memory'].items():
        grows = each['mb_a_minute']
        said = 'too short to judge' if grows is None else f'{grows[0]:+.3f} ± {grows[1]:.3f} MB a minute'
        lines.append(f"| memory of {name} | {each['start_mb']:.0f} to {each['end_mb']:.0f} MB, {said} |")
    return '\n'.join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog='soak', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--minutes', type=float, default=60.0)
    parser.add_argument('--seed', type=int, default=random.SystemRandom().randrange(1 << 31), help='of what is done at random')
    parser.add_argument('--keep', type=Path, metavar='FOLDER', help='keep the logs and figures')
    options = parser.parse_args()
    print(f'seed {options.seed}', flush=True)
    with tempfile.TemporaryDirectory() as temporary, own_domain() as domain:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        os.environ.update(image_environment(os.environ)[0], ROS_DOMAIN_ID=str(domain), PYTHONUNBUFFERED='1')
        os.environ['ROS_HOME'] = str(folder / 'ros')  # with the logs, and with what the node keeps when it is killed
        figures = run(folder, options.minutes, options.seed)
        (folder / 'figures.json').write_text(json.dumps(figures, indent=1) + '\n')
    print(table(figures), flush=True)
    for kind, each in figures['faults'].items():
        print(f'{kind}: ' + '; '.join(re.sub(r'\s+', ' ', line) for line in each[:SHOWN])
              + (f' (and {len(each) - SHOWN} more)' if len(each) > SHOWN else ''), flush=True)
    return 1 if figures['faults'] else 0


if __name__ == '__main__':
    raise SystemExit(main())

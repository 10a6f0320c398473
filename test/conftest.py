# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
What the tests share: the images, real processes, and a surrounding of their own for these. What needs ROS is in ros.py.

Where there is no ROS the tests that need it are left out, and the last lines of pytest's report say so.
"""

from __future__ import annotations

import collections
import contextlib
import faulthandler
import functools
import gc
import importlib.util
import itertools
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import hypothesis
import numpy as np
import pytest
from _pytest.runner import runtestprotocol

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / 'test' / 'helpers')]
from shared_memory import remove_shared_memory, shared_memory_of  # noqa: E402

from self_segmentation.io.assets import load_assets  # noqa: E402
from self_segmentation.middleware import image_environment  # noqa: E402
from self_segmentation.picture.backgrounds import BACKGROUNDS  # noqa: E402
from self_segmentation.settings import Settings, read_yaml  # noqa: E402

NEED_ROS = ['graph', 'nodes', 'tools/test_demo.py', 'tools/test_policy.py', 'soak']
HAS_ROS = importlib.util.find_spec('rclpy') is not None
collect_ignore = [] if HAS_ROS else NEED_ROS

PATIENCE = 120.0  # seconds for anything that is waited for: a loaded machine is slow, not wrong
HANGS = 600.0  # seconds after which a test hangs: what locks up within the middleware never comes back, nor lets Python run
ASTRONAUT = ROOT / 'test' / 'data' / 'astronaut.png'
EMPTY_ROOM = ROOT / 'demo' / 'background.jpg'
SAMPLE = ROOT / 'test' / 'data' / 'portrait.mp4'
CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
TUTORIAL = ROOT / 'config' / 'tutorial.yaml'
ONE_PIXEL = [] if cv2.__version__ == '4.5.4' else [(1, 1)]  # Ubuntu 22.04's OpenCV takes no array of 1x1x3
_numbers = itertools.count(1)
hypothesis.settings.register_profile('repeatable', deadline=None, derandomize=True, database=None)  # no clock, no chance
hypothesis.settings.load_profile('repeatable')
cv2.setNumThreads(1)  # as in our programs: more take more CPU for the same time


def pytest_configure(config: pytest.Config) -> None:
    config._uncaptured = os.dup(2)  # pytest takes the tests' own


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """
    Run a test: once more, with everything made anew, where it fails and starts processes or takes seconds.

    A busy machine, or Fast DDS that loses a port of a process, may make one fail; a line REPEATED says so.

    A test that hangs ends its process and says where: it fails and the others go on.
    """
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    faulthandler.dump_traceback_later(HANGS, exit=True, file=item.config._uncaptured)
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    reasons = [str(report.longrepr) for report in reports if report.failed]
    if reasons and takes_long(item):
        state = item.session._setupstate
        (getattr(state, 'teardown_all', None) or functools.partial(state.teardown_exact, None))()  # pytest 6; from 7 on
        item._initrequest()
        lines = [line for line in reasons[0].splitlines() if line.startswith('E ')] or reasons[0].splitlines()
        item.user_properties.append(('repeated', lines[0].removeprefix('E').strip()))
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
    faulthandler.cancel_dump_traceback_later()
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_terminal_summary(terminalreporter) -> None:
    for report in itertools.chain(*terminalreporter.stats.values()):
        if getattr(report, 'when', '') == 'call' and (reason := dict(report.user_properties).get('repeated')):
            terminalreporter.write_line(f'REPEATED: {report.nodeid}: {reason}', yellow=True)
    if not HAS_ROS:
        terminalreporter.write_line(f'NOT TESTED, for there is no rclpy: {", ".join(NEED_ROS)}', yellow=True)
    if why_no_browser():
        terminalreporter.write_line(f'NOT TESTED, for there is no browser: graph/test_studio_page.py ({why_no_browser()})',
                                    yellow=True)
    missing = ', '.join(name for name in ('vision_msgs', 'tf2_msgs', 'message_filters') if importlib.util.find_spec(name) is None)
    if missing:
        terminalreporter.write_line(f'NOT TESTED, for there is no {missing}: parts of graph/test_consumers.py', yellow=True)
    if importlib.util.find_spec('launch_ros') is None:
        terminalreporter.write_line('NOT TESTED, for there is no launch_ros: graph/test_launch_files.py', yellow=True)


def why_no_browser() -> str:
    """What is missing to look at the studio in a real browser; nothing where it is all there."""
    if not CHROMIUM:
        return 'sudo apt install chromium'
    return '' if importlib.util.find_spec('playwright') else 'pip install playwright'


def pytest_collection_finish() -> None:
    gc.freeze()  # what was imported and collected stays: hundreds of garbage collections need not look through it


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make check` leaves out. The files that have most of it come first: those that end last are short then."""
    for item in items:
        if {'shared_graph', 'start', 'start_shared'} & {*item.fixturenames}:
            item.add_marker('processes')
    long = collections.Counter(item.module for item in items if takes_long(item))
    items.sort(key=lambda item: -long[item.module])


def takes_long(item: pytest.Item) -> bool:
    return not {'processes', 'slow'}.isdisjoint(mark.name for mark in item.iter_markers())


@pytest.fixture(scope='session', autouse=True)
def surrounding(tmp_path_factory):
    """For every process that is started: the source tree, and a ROS graph of this session's own in which large images arrive."""
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_IGN:  # in the background, or with nohup: programs that are started would too
            signal.signal(number, lambda *_: None)
    with pytest.MonkeyPatch.context() as patch, own_domain() as domain:
        patch.setenv('PYTHONPATH', str(ROOT), prepend=os.pathsep)  # to what a sourced setup file put there
        patch.setenv('PYTHONUNBUFFERED', '1')
        patch.setenv('ROS_DOMAIN_ID', str(domain))
        patch.setenv('ROS_HOME', str(tmp_path_factory.mktemp('ros_home')))  # with the logs, and with what nodes keep
        patch.delenv('ROS_LOG_DIR', raising=False)
        for name, value in image_environment(os.environ)[0].items():
            patch.setenv(name, value)
        scheduler = os.sched_getscheduler(0)
        yield
        assert os.sched_getscheduler(0) == scheduler  # a real-time process, as SVT-AV1 makes root's, starves those of other tests


@contextlib.contextmanager
def own_domain() -> Iterator[int]:
    """A ROS domain that no other test session of this machine has: held by the name of a socket, which ends with the process."""
    with socket.socket(socket.AF_UNIX) as holder:
        for domain in random.sample(range(1, 102), 101):
            with contextlib.suppress(OSError):  # another session has it
                holder.bind(f'\0self_segmentation_test_domain_{domain}')
                break
        else:
            pytest.fail('all ROS domains from 1 to 101 are taken by other test sessions')
        yield domain


class background_of:  # noqa: N801
    """The background that settings ask for, with its file read."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._media = settings, load_assets(settings).media
        self._background = BACKGROUNDS[settings.background_type]()

    def behind(self, frame: np.ndarray, alpha: np.ndarray | None = None, moment: float = 0.0) -> np.ndarray:
        return self._background.behind(frame, alpha, moment, self._settings, self._media)


def tutorial_settings(**changes) -> Settings:
    """The tutorial's settings, which look at each frame by itself; ``__`` stands for the dot in a name."""
    changes = {name.replace('__', '.'): value for name, value in changes.items()}
    return Settings().updated({**read_yaml(TUTORIAL), **changes})


def full_name(module: str) -> str:
    """The dotted name of a module of the package; of two of one name give the subpackage too: ``io.pictures``."""
    [path] = (ROOT / 'self_segmentation').rglob(f'{module.replace(".", "/")}.py')
    return '.'.join(path.relative_to(ROOT).with_suffix('').parts)


def video_frames(path: Path) -> list[np.ndarray]:
    """All frames of a video."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while (frame := capture.read()[1]) is not None:
        frames.append(frame)
    return frames


def write_clip(path: Path, frames: list[np.ndarray], fps: float) -> Path:
    """Write a small video, MPEG-4."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), fps, frames[0].shape[1::-1])
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


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


class Program:
    """A process of the package; what it says on both channels is kept, but for what Fast DDS says of itself."""

    # of a variable's old name, and of a port in shared memory whose owner, of whatever domain, does not answer or stands still
    _OF_FAST_DDS = re.compile(r'.*(\[rmw_fastrtps\w*\]: FASTRTPS_DEFAULT_PROFILES_FILE|'
                              r'Failed init_port fastdds_port\d+: open_and_lock_file failed).*\n')

    def __init__(self, module: str, *arguments: str, env: dict[str, str] | None = None, command: list[str] | None = None) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115
        command = [*map(str, command or [sys.executable, '-m', full_name(module)]), *map(str, arguments)]
        self._process = subprocess.Popen(command, stdout=self._said, stderr=subprocess.STDOUT, env=env)
        self._shared_memory: set[Path] = set()  # that it may leave behind

    @property
    def said(self) -> str:
        return self._OF_FAST_DDS.sub('', os.pread(self._said.fileno(), 1 << 24, 0).decode(errors='replace'))

    @property
    def code(self) -> int | None:
        return self._process.poll()

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, number: int) -> None:
        if number == signal.SIGKILL:
            self._shared_memory |= shared_memory_of(self.pid)
        self._process.send_signal(number)

    def exit_code(self, seconds: float = PATIENCE) -> int:
        """Wait for the end by itself."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f'the process did not end within {seconds:.0f} s; it said:\n{self.said}')

    def end(self) -> None:
        """Clean up after a test, whatever became of the process, which was told to end."""
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGKILL)
            self._process.wait()
        remove_shared_memory(self._shared_memory)
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
            if program.code is None:
                program.send(signal.SIGINT)
        for program in self._programs:
            program.end()


@pytest.fixture
def program_run(capfd):
    """``program_run(*arguments)`` runs the program in this process and returns the exit code and what was said on stderr."""
    from self_segmentation.command_line import main

    def run(*arguments) -> tuple[int, str]:
        capfd.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
        return code, capfd.readouterr().err

    # the program takes the signals for itself; give them back
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope='module')
def shared_graph():
    """The ROS node of a file's tests: a new process is told of all that it has, so it does not keep what earlier files had."""
    from ros import Graph

    graph = Graph()
    yield graph
    graph.close()


@pytest.fixture
def graph(start, shared_graph):
    """
    The ROS node of one test.

    It ends before the programs that the test started: Fast DDS 3.2 can lock up in who has a publisher taken away that it listens
    to (docs/reliability.md).
    """
    graph = shared_graph.another()
    yield graph
    graph.close()


@pytest.fixture(scope='module')
def nodes() -> list:
    """The nodes that the tests of a file have shared so far."""
    return []


@pytest.fixture
def node(nodes, shared_graph, start_shared):
    """
    A node with the tutorial's settings, not mirrored, and a subscriber of each result. It looks at each frame by itself.

    The tests of a file share it; each finds it as it was at its start, and a new one where the last test ended it.
    """
    from ros import Segmentation

    if not nodes or nodes[-1].program.code is not None:
        namespace = unique('shared')
        program = start_shared.node('segmentation_node', namespace, '--params-file', TUTORIAL, flip='false')
        nodes.append(Segmentation(shared_graph, namespace, program))
    nodes[-1].restore(tutorial_settings(flip=False))
    nodes[-1].listen(*Segmentation.KINDS)
    return nodes[-1]


@pytest.fixture(scope='session')
def astronaut() -> np.ndarray:
    return cv2.imread(str(ASTRONAUT))


@pytest.fixture(scope='session')
def sample() -> list[np.ndarray]:
    """The portrait's frames: 0 to 26 and 136 to 149 show an empty room, 45 to 118 the person."""
    return video_frames(SAMPLE)


@pytest.fixture(scope='session')
def small(sample) -> list[np.ndarray]:
    """The portrait's frames at half their size: half the work, and enough for a person who is near."""
    return [np.ascontiguousarray(frame[::2, ::2]) for frame in sample]


@pytest.fixture(scope='session')
def clip(tmp_path_factory, sample) -> Path:
    """Two seconds of the sample, with the person in view: a video for tests that do not need all of it."""
    return write_clip(tmp_path_factory.mktemp('clip') / 'clip.mp4', sample[50:80], 15)

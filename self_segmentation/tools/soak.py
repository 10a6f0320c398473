# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
The node for half an hour among cameras that are killed, subscribers that come and go, and parameters that change at random.

Every process is real, in a ROS graph of its own. A frame is *in* when a camera sent it while the node and the permanent listener
were there; each one that does not come out has to have a cause that shows in what the processes recorded. The exit code is 1
after a loss without one, a wrong image or answer, memory that grows (from 9 minutes on), an error in the node's log, or when
the node died. Speed is the benchmark's: a node that is busy, for up to 0.1 s a frame, is a cause.
"""

from __future__ import annotations

if __name__ == '__main__':  # before the imports, which take seconds
    from ..programs import soak
    raise SystemExit(soak())

import argparse
import bisect
import contextlib
import fcntl
import json
import math
import os
import random
import re
import signal
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from tqdm import tqdm

from ..programs import note_signals
from ..resources import share
from .benchmark_graph import Usage, environment, process
from .soak_graph import FORMS, FPS, SIZE, records

__all__ = ['NO_CAUSE', 'Change', 'Evidence', 'Frame', 'Threads', 'leaks', 'main', 'slope']

NO_CAUSE = 'no named cause'
_VISIT = (3.0, 20.0)  # seconds for which a visitor stays
_LOOK = 0.02  # seconds between two looks at the processes
_LIST = 0.06  # seconds between two looks for new threads
_GRACE = 5.0  # seconds for the last results
_WARM_UP = 180.0  # seconds; what the node needs it has by then: every setting was used once
_SEEN, _JUDGED = 150.0, 360.0  # seconds after that from which on the growth of memory is shown, and judged
_SLOPE, _SURE = 1.0, 2.0  # MB/min, standard errors; what grows faster once the node is warm, and surely does, is a leak
_MEETING = 10.0  # seconds in which two ends have to find each other: Fast DDS announces a participant every 3
_BUSY = 0.1  # seconds; a frame that takes longer needs a cause for that
_FIRST = 0.2  # seconds; the first frame after a change belongs to it for so long: the node knows nothing of the camera then
_TURN = 0.005, 0.3  # from publishing a result to taking the next frame: seconds; of the frame's time, where that is more
_HURRY = 0.01  # seconds; of two frames that come closer together the first need not be met
_SHORT = 0.0003  # seconds; shorter waits for a CPU are not noted
_MOST = 0.5  # fraction of the time in which a frame could have been taken that a cause has to fill
_SHOWN = 5  # complaints of a kind that are shown
_ERROR = re.compile(r'\[(ERROR|FATAL)\]| Error\]|^Traceback')
_COSTLY = ('model', 'background')  # files are read, while frames wait


class Frame(NamedTuple):
    """A frame that a camera sent: the number of the camera, the seconds when it began to send and when it had sent."""

    name: str
    run: int
    sent: float
    gone: float


class Change(NamedTuple):
    """A parameter change: the seconds from asking to the answer, and the names."""

    begin: float
    end: float
    names: tuple[str, ...]


class Threads:
    """
    What kept the threads of processes from going on, as spans of seconds, by the kernel's account of each; nothing without one.

    ``waits``: a thread of the node was ready to run and had no CPU, or the host had taken one from this machine (steal).
    ``held``: the middleware of one of them slept. Fast DDS does
    so, for a third of a second, when it opens the port of another process that shows no sign of life in that moment; it holds a
    lock that all processes share (``open_port_internal`` and ``healthy_check`` in its SharedMemGlobal.hpp).
    """

    def __init__(self) -> None:
        self._folders: dict[Path, bool] = {}
        self._files: dict[Path, list[int]] = {}
        self._middleware: set[Path] = set()
        self._waited: dict[Path, int] = {}
        self._listed = self._looked = 0.0
        self._cpu = os.open('/proc/stat', os.O_RDONLY)
        self._stolen = self._steal()
        self.waits: list[tuple[float, float]] = []
        self.held: list[tuple[float, float]] = []

    def watch(self, pid: int, waits: bool = False) -> None:
        """Look at one process more, from now until its end; note when it waits for a CPU too."""
        self._folders[Path(f'/proc/{pid}/task')] = waits
        self._listed = 0.0

    def look(self) -> None:
        """Note what there is since the last look."""
        now, held = time.time(), False
        if now - self._listed > _LIST:
            self._listed = now
            self._list()
        for thread, files in list(self._files.items()):
            try:
                place, *account = (os.pread(file, 128, 0) for file in files)
            except OSError:  # the thread is gone
                self._forget(thread)
                continue
            held = held or (b'nanosleep' in place and thread in self._middleware)
            if account:
                self._note_wait(thread, int(account[0].split()[1]), now)
        if held:
            self.held.append((self._looked, now))
        stolen = self._steal()
        if stolen > self._stolen:
            self.waits.append((now - (stolen - self._stolen), now))
        self._stolen, self._looked = stolen, now

    def _steal(self) -> float:
        """Return the seconds for which the host of a virtual machine had its CPUs."""
        return int(os.pread(self._cpu, 256, 0).split()[8]) / os.sysconf('SC_CLK_TCK')

    def _note_wait(self, thread: Path, waited: int, now: float) -> None:
        span = 1e-9 * (waited - self._waited.get(thread, waited))  # the kernel counts a wait at its end
        self._waited[thread] = waited
        if span > _SHORT:
            self.waits.append((self._looked if span > 0.5 * (now - self._looked) else now - span, now))

    def _list(self) -> None:
        for folder, waits in list(self._folders.items()):
            try:
                for thread in {*folder.iterdir()} - {*self._files}:
                    files = self._files[thread] = []
                    for name in ('wchan', 'schedstat')[:1 + waits]:
                        files.append(os.open(thread / name, os.O_RDONLY))
                    is_publishing = waits and thread.name == folder.parts[2]  # the node's main thread: nothing else sleeps there
                    if is_publishing or (thread / 'comm').read_text().startswith('dds.'):
                        self._middleware.add(thread)
            except OSError:  # a thread is gone, or the process
                if not folder.exists():
                    del self._folders[folder]

    def _forget(self, thread: Path) -> None:
        for file in self._files.pop(thread):
            os.close(file)
        self._middleware.discard(thread)
        self._waited.pop(thread, None)

    def close(self) -> None:
        """End looking."""
        for thread in list(self._files):
            self._forget(thread)
        os.close(self._cpu)


def covered(spans: list[tuple[float, float]], begin: float, end: float) -> float:
    """Return how many seconds of a time are covered by spans of time."""
    total = 0.0
    for start, stop in sorted(span for span in spans if span[1] > begin and span[0] < end):
        total += max(min(stop, end) - max(start, begin), 0.0)
        begin = max(begin, stop)
    return total


class Evidence:
    """
    Finds the cause of each loss.

    :param frames: all that were sent, in order.
    :param done: seconds when the last result of a frame was published, by its name.
    :param came: seconds when the image of a frame came to the listener, by its name.
    :param changes: of parameters.
    :param threads: of the processes.
    :param begin: seconds when listener and node were both there.
    """

    def __init__(self, frames: list[Frame], done: dict[str, float], came: dict[str, float], changes: list[Change],
                 threads: Threads, begin: float) -> None:
        self._frames, self._done, self._came, self._begin = frames, done, came, begin
        self._transports = [change for change in changes if 'image_transport' in change.names]
        self._blocks = {'machine busy: the node waited for a CPU': threads.waits,
                        'middleware held up by a process that came': threads.held}
        results = sorted(done.values())
        for change in changes:
            costly = [name for name in _COSTLY if any(each.startswith(name) for each in change.names)]
            following = next(iter(results[bisect.bisect(results, change.end):]), change.end)
            end = min(following, change.end + _FIRST)
            self._blocks.setdefault(f'change of {(*costly, "other settings")[0]}', []).append((change.begin, end))
        self._run_begins: dict[int, float] = {}
        for frame in frames:
            self._run_begins.setdefault(frame.run, frame.sent)

    def losses(self) -> list[tuple[Frame, str]]:
        """Return every frame that did not come out, with its cause."""
        lost, served, seen = [], None, None
        before = self._turn = 0.0
        self._serving = 0.0, 0.0
        for index, frame in enumerate(self._frames):
            if frame.sent < self._begin:
                continue
            if frame.name in self._came:
                seen = frame
            elif frame.name in self._done:  # the node published what it made of it
                is_late = seen is not None and self._came[seen.name] > self._done[frame.name]
                lost.append((frame, 'listener busy' if is_late else NO_CAUSE))
            else:
                following = self._frames[index + 1] if index + 1 < len(self._frames) else None
                lost.append((frame, self._cause(frame, following, served)))
            if frame.name in self._done:
                begin, done = max(before, frame.gone), self._done[frame.name]
                self._serving = begin, done
                self._turn = max(_TURN[0], _TURN[1] * min(done - begin, _BUSY))
                before, served = done, frame
        return lost

    def _cause(self, frame: Frame, following: Frame | None, served: Frame | None) -> str:
        """
        Return why the node did not serve a frame.

        :param following: the next frame that was sent.
        :param served: the frame that the node served last before it.
        """
        if served is None:
            return "subscriber's own start" if frame.sent - self._begin < _MEETING else NO_CAUSE
        if following is None or following.run != frame.run:
            return 'camera restart'  # killed while it sent this one
        if served.run != frame.run and frame.sent - self._run_begins[frame.run] < _MEETING:
            return 'camera restart'  # node and camera have not found each other yet
        if any(change.begin < following.gone and served.sent < change.end and frame.sent - change.end < _MEETING
               for change in self._transports):
            return 'change of image_transport'
        # Depth 1: it was lost because nobody took it until the following one took its place.
        begin, end = max(self._done[served.name], frame.gone), following.gone
        is_busy = end - begin <= self._turn
        if is_busy:
            begin, end = self._serving
            if end - begin <= _BUSY:
                return 'node busy'
        elif end - frame.gone <= _HURRY:
            return 'camera late'
        spans = {cause: [span for span in each if span[1] > begin and span[0] < end] for cause, each in self._blocks.items()}
        rest = end - begin - covered([span for each in spans.values() for span in each], begin, end)
        if rest > (_BUSY if is_busy else max(self._turn, (1 - _MOST) * (end - begin))):
            return NO_CAUSE
        return max(spans, key=lambda cause: covered(spans[cause], begin, end))


class Soak:
    """
    The processes.

    :param folder: where they record.
    """

    def __init__(self, folder: Path, seed: int, restart_every: float) -> None:
        self._folder, self._seed, self._restart_every = folder, seed, restart_every
        self._space = f'/soak{os.getpid()}'
        self._stack = contextlib.ExitStack()
        self._chance = random.Random(f'visitors {seed}')
        self._leaving: list[tuple[subprocess.Popen[str], float]] = []
        self.cameras = self.visitors = 0
        self.memory: list[tuple[float, float, float]] = []
        self.threads = Threads()
        self.ended: list[str] = []
        self.begin = self.end = self.cores = 0.0
        self._recorded = 0  # bytes of the cameras' record when this camera started

    def run(self, seconds: float, told: list[int]) -> None:
        """Run them until the time is over, one of them ends by itself, or ``told`` has something in it."""
        with self._stack:
            self._log = self._stack.enter_context((self._folder / 'helpers.log').open('ab'))
            bar = self._stack.enter_context(tqdm(total=round(seconds), desc='soak', unit='s', disable=None))
            node_log = self._stack.enter_context((self._folder / 'node.log').open('ab'))
            node = self._start('self_segmentation.nodes.segmentation_node', '--ros-args', '-r', f'__ns:={self._space}',
                               '--params-file', str(share('config', 'segmentation.yaml')), log=node_log)
            usage = Usage(node.pid)
            children = {'node': node, 'listener': self._helper('listen'),
                        'tuner': self._helper('tune', '--seed', f'changes {self._seed}')}
            self.threads.watch(node.pid, waits=True)
            self.begin = now = time.monotonic()
            restart_at = visit_at = now
            while not told and now - self.begin < seconds:
                if now >= restart_at:
                    self._restart_camera(children)
                    restart_at = math.inf
                elif restart_at == math.inf and self._camera_sends():
                    restart_at = now + self._restart_every
                if now >= visit_at:
                    self._replace_visitor(children)
                    visit_at = now + self._chance.uniform(*_VISIT)
                self._see_off()
                self.ended = [f'the {name} ended by itself, with exit code {child.returncode}' for name, child in children.items()
                              if child.poll() is not None]
                if self.ended:
                    break
                self.threads.look()
                if not self.memory or now - self.begin - self.memory[-1][0] > 1.0:
                    self.memory.append((now - self.begin, *usage.memory_mb()))
                    bar.update(round(now - self.begin) - bar.n)
                    bar.set_postfix_str(f'{self.cameras - 1} camera restarts, {self.memory[-1][1]:.0f} MB')
                time.sleep(_LOOK)
                now = time.monotonic()
            self.end = time.time()
            self.threads.close()
            (self._folder / 'node.json').write_text(json.dumps(
                {'memory': self.memory, 'waits': self.threads.waits, 'held': self.threads.held}))
            if node.poll() is None:
                self.cores = usage.cores()
                self._last_images()
            for child in children.values():
                if child.poll() is None:
                    child.send_signal(signal.SIGINT)

    def _start(self, *command: str, log: IO[Any]) -> subprocess.Popen[str]:
        return self._stack.enter_context(process(*command, log=log))

    def _helper(self, role: str, *arguments: str) -> subprocess.Popen[str]:
        child = self._start(f'{__package__}.soak_graph', role, '--namespace', self._space,
                            '--record', str(self._folder / f'{role}.jsonl'), *arguments, log=self._log)
        self.threads.watch(child.pid)
        return child

    def _restart_camera(self, children: dict[str, subprocess.Popen[str]]) -> None:
        if 'camera' in children:
            _kill(children['camera'])
        self.cameras += 1
        self._recorded = self._camera_record_size()
        children['camera'] = self._helper('camera', '--run', str(self.cameras))

    def _camera_sends(self) -> bool:
        """Return whether this camera has begun: on a busy machine its start takes longer than some are given in all."""
        return self._camera_record_size() > self._recorded

    def _camera_record_size(self) -> int:
        path = self._folder / 'camera.jsonl'
        return path.stat().st_size if path.exists() else 0

    def _replace_visitor(self, children: dict[str, subprocess.Popen[str]]) -> None:
        if 'visitor' in children:
            children['visitor'].send_signal(signal.SIGINT)
            self._leaving.append((children['visitor'], time.monotonic() + _GRACE))
        self.visitors += 1
        children['visitor'] = self._helper('visit', '--seed', f'visitor {self._seed} {self.visitors}')

    def _see_off(self) -> None:
        """Kill visitors that do not leave: Python loses a signal that comes while it starts."""
        self._leaving = [(child, until) for child, until in self._leaving if child.poll() is None]
        for child, until in self._leaving:
            if time.monotonic() > until:
                child.kill()

    def _last_images(self) -> None:
        """Wait until the frames that count have come out."""
        begin = time.monotonic()
        while time.monotonic() - begin < _GRACE:
            last = records(self._folder / 'listen.jsonl')[-1:]
            if last and _seconds(last[0].get('stamp', (0, 0))) > self.end:
                break
            time.sleep(0.2)


def _kill(child: subprocess.Popen[str]) -> None:
    """Kill a process, and remove the images that it can no longer remove from the shared memory itself: they add up."""
    maps = Path(f'/proc/{child.pid}/maps').read_text()
    child.kill()
    child.wait()
    for name in set(re.findall(r'/dev/shm/fastdds_[0-9a-f]+$', maps, re.MULTILINE)):
        lock = Path(f'{name}_el')
        with contextlib.suppress(OSError), lock.open() as file:  # somebody else's, who lives, or gone
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            Path(name).unlink()
            lock.unlink()


# ---- what became of it

def judged(soak: Soak, folder: Path) -> dict[str, Any]:
    """Return the figures of a soak that is over, and what is wrong with them: ``faults``."""
    camera, listened, visited, changes = (records(folder / f'{name}.jsonl') for name in ('camera', 'listen', 'visit', 'tune'))
    begin = next((each['listens'] for each in listened if 'listens' in each), soak.end)
    images = [each for each in listened if 'frame' in each]
    sent = {each['frame']: each['stamp'] for each in camera if 'stamp' in each}
    gone = {each['frame']: each['gone'] for each in camera if 'gone' in each}
    frames = [Frame(name, int(name.partition('.')[0]), _seconds(stamp), gone.get(name, _seconds(stamp)))
              for name, stamp in sent.items()]
    done: dict[str, float] = {}
    for each in (*images, *visited):
        done[each['frame']] = max(done.get(each['frame'], 0.0), each['published'])
    evidence = Evidence(frames, done, {each['frame']: each['came'] for each in images},
                        [Change(each['begin'], each['end'], tuple(each['names'])) for each in changes], soak.threads, begin)
    losses = [(frame, cause) for frame, cause in evidence.losses() if frame.sent <= soak.end]
    counted = {frame.name for frame in frames if begin <= frame.sent <= soak.end}
    latencies = {each['frame']: 1e3 * (each['came'] - _seconds(each['stamp'])) for each in images if each['frame'] in counted}
    lines = [line for line in (folder / 'node.log').read_text(errors='replace').splitlines()
             if _ERROR.search(line) and 'parameter change refused' not in line]  # those are judged by their answers
    faults = {
        'ended': soak.ended,
        'lost without a named cause': [f'frame {frame.name}, {frame.sent - begin:.2f} s after the listener came'
                                       for frame, cause in losses if cause == NO_CAUSE],
        'wrong image': _wrong_images(sent, images, visited),
        'wrong answer': _wrong_answers(changes),
        'unexplained line at ERROR': lines,
        'no image': [] if latencies else ['none came at all'],
    }
    growth, error = slope(soak.memory) or (None, None)
    if leaks(soak.memory):
        faults['memory'] = [f'it grows by {growth:.2f} MB/min, with a standard error of {error:.2f}']
    warm = [resident for second, resident, _ in soak.memory if second >= _WARM_UP]
    answers = Counter(each['taken'] for each in changes)
    return {
        'seconds': time.monotonic() - soak.begin, 'frames_in': len(counted),
        'images_out': len(latencies), 'lost': dict(Counter(cause for _, cause in losses).most_common()),
        'latency_p95_ms': float(np.percentile([*latencies.values()], 95)) if latencies else None,
        'latency_worst_ms': max(latencies.values(), default=None), 'rss_mb_warm': warm[0] if warm else None,
        'rss_mb_end': soak.memory[-1][1] if soak.memory else None, 'rss_slope_mb_min': growth,
        'rss_slope_error_mb_min': error, 'cores': soak.cores,
        'changes_taken': answers[True], 'changes_refused': answers[False], 'changes_unanswered': answers[None],
        'camera_restarts': soak.cameras - 1, 'visitors': soak.visitors, 'visitors_images': len(visited),
        'error_lines': len(lines), 'faults': {kind: each for kind, each in faults.items() if each},
    }


def _seconds(stamp: list[int]) -> float:
    return stamp[0] + stamp[1] * 1e-9


def _wrong_images(sent: dict[str, list[int]], images: list[dict[str, Any]], visited: list[dict[str, Any]]) -> list[str]:
    """Return what is wrong with the images that came: header and form, and the order of the listener's."""
    wrong = []
    for each in (*images, *visited):
        name, forms = f"{each['topic']} of frame {each['frame']}", FORMS[each['topic']]
        if sent.get(each['frame']) != each['stamp']:
            wrong.append(f"{name} has a header that was never sent, with the stamp {each['stamp']}")
        if each['form'] not in forms:
            wrong.append(f"{name} is {each['form']} and not {' or '.join(map(str, forms))}")
    order = [tuple(map(int, each['frame'].split('.'))) for each in images if each['frame'] in sent]
    return wrong + [f'the image of frame {after} came after that of frame {before}'
                    for before, after in zip(order, order[1:]) if before >= after]


def _wrong_answers(changes: list[dict[str, Any]]) -> list[str]:
    said = {True: 'taken', False: 'refused', None: 'not answered'}
    return [f"{each['values']} was {said[each['taken']]} {each['reason']}" for each in changes
            if each['taken'] is not each['valid']]


def slope(memory: list[tuple[float, float, float]]) -> tuple[float, float] | None:
    """
    Return how memory grows once the node is warm, in MB/min, and the standard error; None where that was seen too short a time.

    A leak raises the mean of what is the process's own and the least of each minute alike, and what a setting needs for a while
    either the one or the other: the smaller slope counts. Of the shared memory the least of both halves of the time does: 15 MB
    of a camera's come and go at each restart.

    :param memory: seconds, resident memory in MB, how much of it is shared.
    """
    warm = np.array([each for each in memory if each[0] >= _WARM_UP])
    if not len(warm) or warm[-1, 0] - warm[0, 0] < _SEEN:
        return None
    minutes, own, shared = (warm[:, 0] - warm[0, 0]) / 60, warm[:, 1] - warm[:, 2], warm[:, 2]
    half = minutes[-1] / 2
    rise = shared[minutes >= half].min() - shared[minutes < half].min()
    numbers = np.arange(int(minutes[-1]))
    least = np.array([own[minutes.astype(int) == minute].min() for minute in numbers])
    line = np.polyfit(numbers, least, 1)
    spread = ((least - np.polyval(line, numbers)) ** 2).sum() / max(len(numbers) - 2, 1)
    error = (spread / ((numbers - numbers.mean()) ** 2).sum()) ** 0.5
    return float(min(np.polyfit(minutes, own, 1)[0], line[0]) + max(rise, 0) / half), float(error)


def leaks(memory: list[tuple[float, float, float]]) -> bool:
    """Return whether memory surely grows too fast, where that was seen for long enough to say."""
    growth = slope(memory)
    return growth is not None and memory[-1][0] - _WARM_UP >= _JUDGED and growth[0] - _SURE * growth[1] > _SLOPE


def _table(figures: dict[str, Any], seed: int) -> list[str]:
    f, lost = figures, sum(figures['lost'].values())
    warm = f"{f['rss_mb_warm']:.0f}" if f['rss_mb_warm'] else '-'
    slope = '-' if f['rss_slope_mb_min'] is None else f"{f['rss_slope_mb_min']:+.2f} ± {f['rss_slope_error_mb_min']:.2f} MB/min"
    if f['seconds'] < _WARM_UP + _JUDGED:
        slope += f' (not judged: that takes {(_WARM_UP + _JUDGED) / 60:.0f} minutes)'
    latency = f"{f['latency_p95_ms']:.0f} / {f['latency_worst_ms']:.0f} ms" if f['images_out'] else '-'
    rows = {
        'frames in, images out, lost': f"{f['frames_in']}, {f['images_out']}, {lost}",
        **{f'lost: {cause}': count for cause, count in f['lost'].items()},
        f'lost: {NO_CAUSE}': f['lost'].get(NO_CAUSE, 0),
        'latency, camera stamp to image received, p95 / worst': latency,
        f'memory (RSS) after {_WARM_UP / 60:.0f} minutes / at the end, slope': f"{warm} / {f['rss_mb_end'] or 0:.0f} MB, {slope}",
        'node process': f"{f['cores']:.2f} cores",
        'parameter changes taken, refused, not answered':
            f"{f['changes_taken']}, {f['changes_refused']}, {f['changes_unanswered']}",
        'cameras killed and started again': f['camera_restarts'],
        'other subscribers that came and went, their images': f"{f['visitors']}, {f['visitors_images']}",
        'lines at ERROR that no fault explains': f['error_lines'],
    }
    head = f"the node for {f['seconds'] / 60:.1f} minutes, {SIZE[0]}x{SIZE[1]} at {FPS:.0f} Hz, seed {seed}"
    return [f'| {head} | |', '|---|---|', *(f'| {name} | {value} |' for name, value in rows.items())]


def main(args: list[str] | None = None) -> int:
    """Run the soak; return the exit code."""
    parser = argparse.ArgumentParser(prog='soak', description=__doc__)
    parser.add_argument('--minutes', type=float, default=30.0, help='how long (default: 30)')
    parser.add_argument('--restart-every', type=float, default=60.0, metavar='SECONDS',
                        help='how long a camera sends before it is killed and another started (default: 60)')
    parser.add_argument('--seed', type=int, default=random.SystemRandom().randrange(1 << 31),
                        help='of what is done at random (default: another one every time)')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the figures')
    parser.add_argument('--keep', type=Path, metavar='FOLDER', help="keep what the processes recorded, and the node's log")
    options = parser.parse_args(args)
    told = note_signals()
    environment()
    print(f'seed {options.seed}', flush=True)
    with tempfile.TemporaryDirectory(prefix='self_segmentation_soak_') as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        soak = Soak(folder, options.seed, options.restart_every)
        soak.run(60 * options.minutes, told)
        if told and not records(folder / 'listen.jsonl'):
            print('interrupted before the first frame', flush=True)
            return 0
        figures = judged(soak, folder)
    print('\n'.join(_table(figures, options.seed)), flush=True)
    for kind, each in figures['faults'].items():
        more = f' (and {len(each) - _SHOWN} more)' if len(each) > _SHOWN else ''
        print(f'{kind}: ' + '; '.join(each[:_SHOWN]) + more, flush=True)
    if options.json:
        options.json.write_text(json.dumps({'seed': options.seed, **figures}, indent=1) + '\n', encoding='utf-8')
    return 1 if figures['faults'] else 0

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
import contextlib
import json
import math
import os
import random
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO, Any

from tqdm import tqdm

from ..nodes.messages import seconds_of
from ..programs import note_signals
from ..resources import share
from .benchmark_graph import Usage, environment, kill, process
from .soak_graph import records
from .soak_judge import Seen, judged, table

__all__ = ['Soak', 'Threads', 'main']

_VISIT = (3.0, 20.0)  # seconds for which a visitor stays
_LOOK = 0.02  # seconds between two looks at the processes
_LIST = 0.06  # seconds between two looks for new threads
_GRACE = 5.0  # seconds for the last results
_SHORT = 0.0003  # seconds; shorter waits for a CPU are not noted
_SHOWN = 5  # complaints of a kind that are shown


class Threads:
    """
    Notes what kept the threads of processes from going on, by the kernel's account of each; nothing without one.

    :param seen: gets the spans ``waits`` and ``held``.
    """

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._folders: dict[Path, bool] = {}
        self._files: dict[Path, list[int]] = {}
        self._middleware: set[Path] = set()
        self._waited: dict[Path, int] = {}
        self._listed = self._looked = 0.0
        self._cpu = os.open('/proc/stat', os.O_RDONLY)
        self._stolen = self._steal()

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
            self._seen.held.append((self._looked, now))
        stolen = self._steal()
        if stolen > self._stolen:
            self._seen.waits.append((now - (stolen - self._stolen), now))
        self._stolen, self._looked = stolen, now

    def _steal(self) -> float:
        """Return the seconds for which the host of a virtual machine had its CPUs."""
        return int(os.pread(self._cpu, 256, 0).split()[8]) / os.sysconf('SC_CLK_TCK')

    def _note_wait(self, thread: Path, waited: int, now: float) -> None:
        span = 1e-9 * (waited - self._waited.get(thread, waited))  # the kernel counts a wait at its end
        self._waited[thread] = waited
        if span > _SHORT:
            self._seen.waits.append((self._looked if span > 0.5 * (now - self._looked) else now - span, now))

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
        self.seen = Seen()
        self._threads = Threads(self.seen)
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
            self._threads.watch(node.pid, waits=True)
            begin = now = time.monotonic()
            restart_at = visit_at = now
            while not told and now - begin < seconds:
                if now >= restart_at:
                    self._restart_camera(children)
                    restart_at = math.inf
                elif restart_at == math.inf and self._camera_sends():
                    restart_at = now + self._restart_every
                if now >= visit_at:
                    self._replace_visitor(children)
                    visit_at = now + self._chance.uniform(*_VISIT)
                self._see_off()
                self.seen.ended = [f'the {name} ended by itself, with exit code {child.returncode}'
                                   for name, child in children.items() if child.poll() is not None]
                if self.seen.ended:
                    break
                self._threads.look()
                if not self.seen.memory or now - begin - self.seen.memory[-1][0] > 1.0:
                    self.seen.memory.append((now - begin, *usage.memory_mb()))
                    bar.update(round(now - begin) - bar.n)
                    bar.set_postfix_str(f'{self.seen.cameras - 1} camera restarts, {self.seen.memory[-1][1]:.0f} MB')
                time.sleep(_LOOK)
                now = time.monotonic()
            self.seen.end, self.seen.seconds = time.time(), now - begin
            self._threads.close()
            (self._folder / 'node.json').write_text(json.dumps(
                {'memory': self.seen.memory, 'waits': self.seen.waits, 'held': self.seen.held}))
            if node.poll() is None:
                self.seen.cores = usage.cores()
                self._last_images()
            for child in children.values():
                if child.poll() is None:
                    child.send_signal(signal.SIGINT)

    def _start(self, *command: str, log: IO[Any]) -> subprocess.Popen[str]:
        return self._stack.enter_context(process(*command, log=log))

    def _helper(self, role: str, *arguments: str) -> subprocess.Popen[str]:
        child = self._start(f'{__package__}.soak_graph', role, '--namespace', self._space,
                            '--record', str(self._folder / f'{role}.jsonl'), *arguments, log=self._log)
        self._threads.watch(child.pid)
        return child

    def _restart_camera(self, children: dict[str, subprocess.Popen[str]]) -> None:
        if 'camera' in children:
            kill(children['camera'])
        self.seen.cameras += 1
        self._recorded = self._camera_record_size()
        children['camera'] = self._helper('camera', '--run', str(self.seen.cameras))

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
        self.seen.visitors += 1
        children['visitor'] = self._helper('visit', '--seed', f'visitor {self._seed} {self.seen.visitors}')

    def _see_off(self) -> None:
        """Kill visitors that do not leave: Python loses a signal that comes while it starts."""
        self._leaving = [(child, until) for child, until in self._leaving if child.poll() is None]
        for child, until in self._leaving:
            if time.monotonic() > until:
                kill(child)

    def _last_images(self) -> None:
        """Wait until the frames that count have come out."""
        begin = time.monotonic()
        while time.monotonic() - begin < _GRACE:
            last = records(self._folder / 'listen.jsonl')[-1:]
            if last and seconds_of(last[0].get('stamp', (0, 0))) > self.seen.end:
                break
            time.sleep(0.2)


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
        figures = judged(soak.seen, folder)
    print('\n'.join(table(figures, options.seed)), flush=True)
    for kind, each in figures['faults'].items():
        more = f' (and {len(each) - _SHOWN} more)' if len(each) > _SHOWN else ''
        print(f'{kind}: ' + '; '.join(each[:_SHOWN]) + more, flush=True)
    if options.json:
        options.json.write_text(json.dumps({'seed': options.seed, **figures}, indent=1) + '\n', encoding='utf-8')
    return 1 if figures['faults'] else 0

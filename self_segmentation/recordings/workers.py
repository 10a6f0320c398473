# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs each task in a process of its own: if one is killed, its task has failed and the others go on."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TypeVar

from ..signals import note_signals

__all__ = ['run_tasks']

_Task = TypeVar('_Task')
_POLL = 0.2  # seconds between two checks of ``stop``
_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
_PATIENCE = 10.0  # seconds from the signal to end until a process is killed


def run_tasks(work: Callable[[_Task, list[int]], str | None], tasks: Sequence[_Task], workers: int,
              stop: list[int]) -> Generator[tuple[int, str], None, None]:
    """
    Yield the index of each task that is done, and its problem, '' for none.

    No process is left at the end. Processes also end if this one is killed.

    :param work: is called in a new process with a task and a list that is not empty when it must end; returns the problem, None
        if it was stopped.
    :param tasks: their ``str`` names them in problems.
    :param workers: processes at a time.
    :param stop: not empty when it must end.
    """
    waiting = deque(range(len(tasks)))
    running: dict[Connection, tuple[int, BaseProcess]] = {}
    try:
        while (waiting or running) and not stop:
            while waiting and len(running) < max(1, workers):
                index = waiting.popleft()
                try:
                    process, results = _start(work, tasks[index])
                except OSError as error:
                    yield index, f'{tasks[index]}: no process can be started: {error.strerror}'
                else:
                    running[results] = index, process
            ready = wait(list(running), _POLL)  # also if a process is killed
            for results in [each for each in running if each in ready]:
                index, process = running.pop(results)
                problem = _result(tasks[index], results, process)
                if problem is not None:
                    yield index, problem
    finally:
        _end([process for _, process in running.values()])


def _start(work: Callable[[_Task, list[int]], str | None], task: _Task) -> tuple[BaseProcess, Connection]:
    context = multiprocessing.get_context('spawn')
    results, to = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(work, task, to), daemon=True)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # the process unblocks them when it can note them
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        to.close()
    return process, results


def _result(task: _Task, results: Connection, process: BaseProcess) -> str | None:
    try:
        problem: str | None = results.recv()
    except (EOFError, OSError):  # it sent nothing, or not to the end
        process.join()
        code = process.exitcode or 0
        problem = f'{task}: its process ' + (
            f'ended with exit code {code}' if code >= 0 else f'was killed by {signal.Signals(-code).name}'
            + (' (the kernel does so when memory is short: --workers 1 takes less)' if -code == signal.SIGKILL else ''))
    else:
        _end([process], tell=False)
    finally:
        results.close()
    return problem


def _end(processes: list[BaseProcess], tell: bool = True) -> None:
    for process in processes if tell else ():
        process.terminate()
    until = time.monotonic() + _PATIENCE
    for process in processes:
        process.join(max(0.0, until - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()


def _run(work: Callable[[_Task, list[int]], str | None], task: _Task, results: Connection) -> None:
    stop = note_signals()  # a terminal's Ctrl-C reaches this process too
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    logging.basicConfig(format='self_segmentation: %(message)s')
    threading.Thread(target=_end_with_parent, daemon=True).start()
    results.send(work(task, stop))
    results.close()
    os._exit(0)  # as the programs do: see process.py


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_PATIENCE)
        os._exit(1)

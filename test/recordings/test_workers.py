# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Tasks in processes of their own: each ends as a result or as a reason, whatever becomes of its process."""
import signal
import sys
import time
from pathlib import Path

import pytest
from conftest import wait_until
from tasks import deaf, work

from self_segmentation.recordings.workers import run_tasks

pytestmark = pytest.mark.slow

TASKS = ['fine', 'problem', 'kill', 'exit', 'raise', 'large', 'memory', 'fine']


def test_every_task_has_a_result(capfd):
    results = dict(run_tasks(work, TASKS, 3, []))
    assert sorted(results) == list(range(len(TASKS)))
    assert [results[index] for index in (0, 1, 7)] == ['', 'problem is wrong', '']
    assert results[2].startswith('kill: its process was killed by SIGKILL') and '--workers' in results[2]
    assert results[3] == 'exit: its process ended with exit code 3'
    assert results[4] == 'raise: its process ended with exit code 1' and 'never foreseen' in capfd.readouterr().err
    assert len(results[5]) == 1_000_000  # more than a pipe holds
    assert results[6] == 'memory: its process ended with exit code 1'


def test_no_workers_are_one():
    assert list(run_tasks(work, ['kill', 'fine'], 0, []))[1:] == [(1, '')]


def test_nothing_goes_on_after_it_is_told_to_end(tmp_path, monkeypatch):
    monkeypatch.setattr('self_segmentation.recordings.workers._PATIENCE', 1.0)
    told, files = [], [tmp_path / name for name in 'ab']
    started: list[int] = []

    def look() -> None:
        if all(file.exists() and file.read_text() for file in files):
            started.extend(int(file.read_text()) for file in files)
            told.append(signal.SIGTERM)

    monkeypatch.setattr('self_segmentation.recordings.workers.wait', lambda *_: (look(), time.sleep(0.02), [])[2])
    assert list(run_tasks(work, [*map(str, files), 'stubborn', 'fine'], 3, told)) == []
    assert len(started) == 2 and not any(file.exists() for file in files)
    assert not any(Path(f'/proc/{process}').exists() for process in started)


def test_start_that_fails_is_a_result(monkeypatch):
    monkeypatch.setattr('multiprocessing.context.SpawnProcess.start',
                        lambda *_: (_ for _ in ()).throw(BlockingIOError(11, 'Resource temporarily unavailable')))
    assert dict(run_tasks(work, ['a', 'b'], 2, [])) == {
        index: f'{name}: no process can be started: Resource temporarily unavailable' for index, name in enumerate('ab')}


def test_process_that_does_not_tidy_up_ends_with_killed_parent(start, tmp_path):
    code = ('import sys\nsys.path.insert(0, sys.argv[1])\nfrom tasks import deaf\n'
            'from self_segmentation.recordings.workers import run_tasks\nlist(run_tasks(deaf, [sys.argv[2]], 1, []))')
    file = tmp_path / 'pid'
    parent = start('', command=[sys.executable, '-c', code, str(Path(sys.modules[deaf.__module__].__file__).parent), str(file)])
    wait_until(lambda: (file.exists() and file.read_text()) or parent.code is not None, 'the process')
    process = int(file.read_text())
    parent.send(signal.SIGKILL)
    wait_until(lambda: not Path(f'/proc/{process}').exists(), 'its end')

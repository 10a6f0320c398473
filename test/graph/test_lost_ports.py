# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""A test that starts processes is repeated once where it fails; others are not."""
import os
import re
import subprocess
import sys

import pytest
from conftest import ROOT

TESTS = """
import conftest
from conftest import PortWatch, lose_ports

conftest.stand_ins_watch = PortWatch(conftest.lost_by_stand_ins, 0.2, 0.2)
runs = []

def test_loses_once(graph):
    runs.append('once')
    if runs.count('once') == 1:
        lose_ports()
        graph.wait_until(lambda: False, 'what cannot come')

def test_loses_always(graph):
    runs.append('always')
    lose_ports()
    graph.wait_until(lambda: False, 'what cannot come')

def test_fails(graph):
    runs.append('fails')
    assert not runs

def test_fails_without_processes():
    runs.append('plain')
    assert not runs

def test_runs():
    assert runs == ['once', 'once', 'always', 'always', 'fails', 'fails', 'plain']
"""


@pytest.mark.processes
def test_repeats_failing_test_of_processes_once(tmp_path):
    (tmp_path / 'test_it.py').write_text(TESTS)
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join([str(ROOT / 'test'), os.environ['PYTHONPATH']])}
    for name in ('PYTEST_XDIST_WORKER', 'PYTEST_ADDOPTS'):
        environment.pop(name, None)
    options = ['-rA', '--noconftest', '-p', 'conftest', '-p', 'no:cacheprovider', '--rootdir', tmp_path]
    done = subprocess.run([sys.executable, '-m', 'pytest', *options, tmp_path], cwd=tmp_path, env=environment,
                          capture_output=True, text=True)
    outcomes = {line.split()[1].rpartition('::')[2]: line.split()[0] for line in done.stdout.splitlines()
                if line.startswith(('PASSED', 'FAILED', 'ERROR'))}
    expected = {'test_loses_once': 'PASSED', 'test_loses_always': 'FAILED', 'test_fails': 'FAILED',
                'test_fails_without_processes': 'FAILED', 'test_runs': 'PASSED'}
    assert outcomes == expected, done.stdout + done.stderr
    assert len(re.findall('REPEATED: test_it.py::test_loses_once: .*Fast DDS has lost', done.stdout)) == 1, done.stdout

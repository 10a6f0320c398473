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
import pytest

runs = []

@pytest.mark.processes
def test_fails_once():
    runs.append('once')
    assert runs.count('once') == 2, 'the first time'

@pytest.mark.processes
def test_fails():
    runs.append('fails')
    assert not runs

def test_fails_without_processes():
    runs.append('plain')
    assert not runs

def test_runs():
    assert runs == ['once', 'once', 'fails', 'fails', 'plain']
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
    expected = {'test_fails_once': 'PASSED', 'test_fails': 'FAILED', 'test_fails_without_processes': 'FAILED',
                'test_runs': 'PASSED'}
    assert outcomes == expected, done.stdout + done.stderr
    assert len(re.findall('REPEATED: test_it.py::test_fails_once: .*the first time', done.stdout)) == 1, done.stdout

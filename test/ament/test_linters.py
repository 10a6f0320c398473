# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
The linters that `colcon test` runs in other packages, each with a configuration that agrees with ruff and mypy (`make lint`).

ament_copyright knows no SPDX lines (ament_lint issue 462), so it looks at the licence alone; test_package holds the lines.
"""
import importlib.util
import shutil
import socket
import subprocess
import sys
from importlib.metadata import version

import pytest
from conftest import ROOT

pytestmark = pytest.mark.slow

SOURCES = ['self_segmentation', 'launch', 'setup.py']  # what is installed; ruff looks at the tests too
ARGUMENTS = {
    'ament_copyright': ['LICENSE', 'CONTRIBUTING.md'],
    'ament_flake8': [*SOURCES, '--config', 'setup.cfg'],
    'ament_mypy': ['self_segmentation', '--config', '.ci/mypy.ini'],
    'ament_pep257': [*SOURCES, '--add-ignore', 'D401', 'D402'],
    'ament_xmllint': ['package.xml', 'config'],
}


def why_not(linter: str) -> str:
    if importlib.util.find_spec(linter) is None:
        return f'there is no {linter}'
    if linter == 'ament_mypy' and float(version('mypy')[:3]) < 1.0:
        return f"mypy {version('mypy')} does not follow NumPy's types"  # Ubuntu 22.04's
    if linter == 'ament_xmllint' and shutil.which('xmllint') is None:
        return 'there is no xmllint'
    if linter == 'ament_xmllint':  # package.xml names its schema by a URL
        try:
            socket.create_connection(('download.ros.org', 80), timeout=10).close()
        except OSError as error:
            return f'the schema on download.ros.org cannot be reached: {error}'
    return ''


@pytest.mark.parametrize('linter', ARGUMENTS)
def test_ament_linter_finds_nothing(linter):
    if reason := why_not(linter):
        pytest.skip(f'NOT TESTED, for {reason}')
    done = subprocess.run([sys.executable, '-m', f'{linter}.main', *ARGUMENTS[linter]], cwd=ROOT, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout.partition('Checked files:')[0]

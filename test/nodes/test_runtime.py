# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The runtime of the node: what it says of it, and that it is decided at the start."""
import os
import sys

import pytest
from conftest import Program, unique
from test_diagnostics import OK, WARN, NodeState

from self_segmentation.picture.models import runtimes

INSTALLED = [runtime.name for runtime in runtimes.installed_runtimes()]
NODE = """
import sys
sys.modules.update(dict.fromkeys({absent!r}))
from self_segmentation.programs import segmentation_node
raise SystemExit(segmentation_node())
"""


@pytest.fixture
def run(start):
    """``run(namespace, *absent, path=..., runtime=...)``: a node in whose process these modules are not there."""
    def run(namespace: str, *absent: str, path: str = '', **parameters: str) -> Program:
        given = [part for name, value in parameters.items() for part in ('-p', f'{name}:={value}')]
        command = [sys.executable, '-c', NODE.format(absent=absent), '--ros-args', '-r', f'__ns:=/{namespace}', *given]
        return start('', command=command,
                     env={**os.environ, 'PYTHONPATH': f'{path}{os.pathsep}{os.environ["PYTHONPATH"]}'})

    return run


@pytest.mark.parametrize('name', INSTALLED)
def test_runtime_is_reported_and_read_only(name, run, graph):
    runtime, other = runtimes.choose_runtime(name), 'litert' if name == 'mediapipe' else 'mediapipe'
    node = NodeState(graph, space := unique('runtime'), run(space, runtime=name))
    assert node.report(WARN if runtime.warning else OK, 'no subscribers')['runtime'] == runtime.title
    [reason] = node.change(runtime=other)
    assert 'runtime' in reason and 'read-only' in reason
    assert node.change(runtime=name) == [] and node.values()['runtime'] == name


@pytest.mark.skipif('mediapipe' not in INSTALLED, reason='MediaPipe is not installed')
def test_mediapipe_with_metrics_is_logged_once_and_reported(run, graph, tmp_path):
    folder = tmp_path / 'mediapipe-1.2.3.dist-info'  # for the choice alone: what runs is what is installed
    folder.mkdir()
    (folder / 'METADATA').write_text('Metadata-Version: 2.1\nName: mediapipe\nVersion: 1.2.3\n')
    node = NodeState(graph, space := unique('talks'), run(space, 'ai_edge_litert', path=str(tmp_path)))
    for _ in range(3):
        assert node.report(WARN, 'MediaPipe 1.2.3 sends usage metrics to Google')['runtime'] == 'MediaPipe 1.2.3'
    assert node.program.said.count('sends usage metrics') == 1
    assert '[WARN]' in next(line for line in node.program.said.splitlines() if 'sends usage metrics' in line)


def test_missing_runtime_ends_node_with_reason(run):
    program = run(unique('missing'), 'ai_edge_litert', runtime='litert')
    assert program.exit_code() == 2
    assert "runtime 'litert': ai-edge-litert cannot be used (ImportError: it is not installed): install it" in program.said
    assert 'going on with the default' not in program.said and 'Traceback' not in program.said

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Whole programs on one runtime alone, and the sockets that they open."""
import importlib.util
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from conftest import ASTRONAUT, ROOT, area
from test_package import imports
from tracing import needs_strace, sockets, traced

from self_segmentation.picture.models import runtimes
from self_segmentation.process import _ROS as ROS_MODULES

pytestmark = pytest.mark.slow

INSTALLED = [runtime.name for runtime in runtimes.installed_runtimes()]
NEEDS = {'litert': {'mediapipe', 'matplotlib', 'google.protobuf', 'absl', 'flatbuffers', 'attr'}, 'mediapipe': {'ai_edge_litert'}}
PROGRAM = """
import sys
sys.modules.update(dict.fromkeys({absent!r}))
from self_segmentation.command_line import main
raise SystemExit(main(sys.argv[1:]))
"""


def program(*arguments, absent=(), **more) -> subprocess.CompletedProcess:
    command = [sys.executable, '-c', PROGRAM.format(absent=sorted(absent)), *map(str, arguments), '--no-window']
    return subprocess.run([*more.pop('before', []), *command], capture_output=True, text=True, **more)


@pytest.mark.parametrize('name', INSTALLED)
def test_program_runs_with_one_runtime_alone(name, tmp_path):
    done = program(ASTRONAUT, '--mask', tmp_path, absent=NEEDS[name])
    assert done.returncode == 0, done.stderr
    assert 0.45 < area(cv2.imread(str(tmp_path / 'astronaut.png'), 0)) < 0.65


def test_program_without_runtime_says_what_to_install(tmp_path):
    done = program(ASTRONAUT, '--mask', tmp_path, absent={'mediapipe', 'ai_edge_litert'})
    assert done.returncode == 2
    assert done.stderr.strip() == ("self_segmentation: error: runtime 'auto': neither ai-edge-litert nor mediapipe is installed: "
                                   'pip install --no-deps ai-edge-litert')


@pytest.mark.parametrize('module', ['self_segmentation', 'self_segmentation.tools.evaluate'])
def test_names_missing_system_library(module, tmp_path):
    other = Path(importlib.util.find_spec('PIL._imaging').origin)
    (tmp_path / 'cv2.abi3.so').write_bytes(other.read_bytes().replace(b'libc.so.6', b'libc.so.9'))  # which is nowhere
    done = subprocess.run([sys.executable, '-m', module, str(ASTRONAUT)], capture_output=True, text=True,
                          env={**os.environ, 'PYTHONPATH': f'{tmp_path}{os.pathsep}{ROOT}'})
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
    assert re.search(r'OpenCV needs lib\S+\.so\.\S+: sudo apt install libgl1 libglib2.0-0 libsm6 libice6', done.stderr)


@pytest.mark.parametrize('module', ['nodes.camera_node', 'nodes.segmentation_node', 'nodes.viewer_node', 'studio.studio_node',
                                    'tools.demo'])
def test_ros_programs_without_ros_end_with_one_sentence(module):
    name = module.rpartition('.')[2]
    code = f"""if True:
        import runpy
        import sys
        sys.modules.update(dict.fromkeys({sorted(ROS_MODULES)!r}))
        runpy.run_module('self_segmentation.{module}', run_name='__main__')
    """
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ''
    [line] = done.stderr.splitlines()
    assert line.startswith(f'{name}: error: this program needs ROS 2') and '/opt/ros/' in line


def test_every_ros_module_is_known_by_name():
    used = {name.split('.')[0] for path in (ROOT / 'self_segmentation').rglob('*.py') for name in imports(path)}
    known = used & {'rclpy', *(name for name in used if name.endswith(('_msgs', '_srvs', '_interfaces')))}
    assert 'rclpy' in known and known <= ROS_MODULES


@needs_strace
@pytest.mark.parametrize('name', INSTALLED)
def test_program_opens_no_socket_without_warning(name, tmp_path, clip):
    model = tmp_path / 'own.tflite'  # none of the two: it is tried in a process of its own
    model.write_bytes((ROOT / 'models' / 'selfie_segmentation.tflite').read_bytes() + b'\0')
    done = program(clip, '--output', tmp_path / 'out.mp4', '--runtime', name, '--model', model,
                   before=traced(tmp_path / 'trace'))
    assert done.returncode == 0, done.stderr
    opened, warning = sockets(tmp_path / 'trace'), runtimes.choose_runtime(name).warning
    assert bool(opened) == bool(warning) and warning in done.stderr, (opened, done.stderr)


@needs_strace
def test_trace_shows_opened_socket(tmp_path):
    code = 'import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("192.0.2.1", 53))'
    subprocess.run([*traced(tmp_path / 'trace'), sys.executable, '-c', code], check=True)
    assert any(each.startswith('socket AF_INET, SOCK_DGRAM') for each in sockets(tmp_path / 'trace'))
    assert 'to INET 192.0.2.1 53' in sockets(tmp_path / 'trace')


# A stand-in for a library that ends the process while it opens a model: its last words, and how it ends.
ABORTING = """
import os, signal
from self_segmentation import Pipeline
from self_segmentation.picture.models import runtimes, segmenter
from self_segmentation.settings import Settings

def load_segmentation(content):
    os.write(2, b'F0000 00:00:2.0 1 x.cc:2] Check failed: a == b\\n')
    {end}

backend = runtimes.Runtime('own', 'own', type('', (), dict(load_segmentation=load_segmentation)))
segmenter.choose_runtime = lambda setting: backend
Pipeline(Settings())
"""


@pytest.mark.parametrize('end', ['os.abort()', 'os.kill(os.getpid(), signal.SIGSEGV)'])
def test_last_words_of_library_that_ends_process_are_shown(end):
    done = subprocess.run([sys.executable, '-c', ABORTING.format(end=end)], capture_output=True, text=True)
    assert done.returncode in (-signal.SIGABRT, -signal.SIGSEGV)
    assert 'F0000 00:00:2.0 1 x.cc:2] Check failed: a == b\n' in done.stderr


def test_last_words_of_library_that_cannot_open_foreign_model_are_shown(tmp_path):
    (tmp_path / 'ai_edge_litert').mkdir()
    (tmp_path / 'ai_edge_litert' / '__init__.py').touch()
    (tmp_path / 'ai_edge_litert' / 'interpreter.py').write_text(
        "import os\ndef Interpreter(**_):\n    os.write(2, b'F0000 00:00:2.0 1 x.cc:2] Check failed: a == b')\n    os.abort()\n")
    model = tmp_path / 'own.tflite'
    model.write_bytes((ROOT / 'models' / 'selfie_segmentation.tflite').read_bytes() + b'\0')
    done = program(ASTRONAUT, '--mask', tmp_path, '--runtime', 'litert', '--model', model,
                   env={**os.environ, 'PYTHONPATH': f'{tmp_path}:{ROOT}'})
    assert done.returncode == 2 and 'crashes with it (-6)' in done.stderr
    assert 'Check failed: a == b' in done.stderr


@pytest.mark.parametrize('name', INSTALLED)
def test_libraries_write_few_lines_and_no_errors(name, tmp_path):
    done = program(ASTRONAUT, '--mask', tmp_path, '--runtime', name)
    lines = done.stderr.splitlines()
    assert len(lines) <= 6 and all(re.match(r'(INFO|WARNING): |[IW]\d{4} ', line) for line in lines), done.stderr


def test_camera_that_cannot_be_opened_is_one_line():
    done = subprocess.run([sys.executable, '-m', 'self_segmentation', '97', '--output', 'none.mp4', '--no-window'],
                          capture_output=True, text=True)
    lines = [line for line in done.stderr.splitlines() if not re.match(r'(INFO|WARNING): |[IW]\d{4} ', line)]
    assert done.returncode == 1 and len(lines) == 1 and lines[0].startswith('self_segmentation: error: camera 97'), done.stderr

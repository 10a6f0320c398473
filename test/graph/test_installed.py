# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The package as colcon installs it."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ASTRONAUT, ROOT, SAMPLE, TUTORIAL, area, unique, wait_until
from ros import Segmentation
from test_distribution import LEFT_OUT

pytestmark = pytest.mark.slow
STDERR = 'stderr.txt'


def without_source_tree() -> dict[str, str]:
    """The environment with what a sourced setup file put on PYTHONPATH, but without this source tree."""
    places = [place for place in os.environ['PYTHONPATH'].split(os.pathsep) if place and place != str(ROOT)]
    return {**os.environ, 'PYTHONPATH': os.pathsep.join(places)}


@pytest.fixture(scope='module')
def workspace(tmp_path_factory) -> Path:
    """A workspace with the package in it, built by colcon."""
    workspace = tmp_path_factory.mktemp('workspace')
    shutil.copytree(ROOT, workspace / 'src' / 'self_segmentation', ignore=shutil.ignore_patterns(*LEFT_OUT))
    environment = without_source_tree()
    for name in ('PYTHONDONTWRITEBYTECODE', 'AMENT_PREFIX_PATH'):  # setuptools warns of the one, colcon of a .venv in the other
        environment.pop(name, None)
    python = Path(sys.executable)
    if ' ' in str(python):  # which the first line of an installed program cannot hold
        place = tmp_path_factory.mktemp('python') / 'venv'
        place.symlink_to(sys.prefix)
        python = place / 'bin' / python.name
    environment['PATH'] = f'{python.parent}:{environment["PATH"]}'
    done = subprocess.run([python, '-m', 'colcon', 'build'], cwd=workspace, env=environment, text=True, capture_output=True)
    assert done.returncode == 0 and 'Finished <<< self_segmentation' in done.stdout, done.stdout + done.stderr
    (workspace / STDERR).write_text(done.stderr)
    return workspace


def test_colcon_build_prints_nothing_on_stderr(workspace):
    assert (workspace / STDERR).read_text() == ''


def sourced(workspace: Path, *command: str) -> tuple[list[str], dict[str, str]]:
    """A command with the workspace's setup.bash sourced and nothing of the source tree in its environment."""
    environment = without_source_tree()
    return ['bash', '-c', f'source {workspace}/install/setup.bash && cd / && exec "$@"', '-', *map(str, command)], environment


def test_colcon_installs_models_config_launch_and_demo(workspace):
    share = workspace / 'install' / 'self_segmentation' / 'share' / 'self_segmentation'
    for pattern in ('models/*', 'config/*', 'config/consumers/*', 'examples/*.py', 'launch/**/*.launch.py', 'demo/sample*',
                    'demo/background.jpg', 'demo/backgrounds/*'):
        files = [path for path in ROOT.glob(pattern) if path.is_file()]
        assert files
        for file in files:
            assert (share / file.relative_to(ROOT)).read_bytes() == file.read_bytes(), file
    assert (share / 'package.xml').is_file()
    assert (share.parent / 'ament_index' / 'resource_index' / 'packages' / 'self_segmentation').is_file()


def test_colcon_installs_every_executable(workspace):
    folder = workspace / 'install' / 'self_segmentation' / 'lib' / 'self_segmentation'
    programs = {path.name for path in folder.iterdir()}
    assert programs >= {'benchmark', 'camera_node', 'evaluate', 'segmentation_node', 'self_segmentation', 'viewer_node'}
    assert all(os.access(folder / program, os.X_OK) for program in programs)


def test_installed_package_finds_own_files(workspace):
    code = ('import self_segmentation.resources as r; from self_segmentation.middleware import image_environment as e; '
            'print(r.__file__, r.data_path("models"), e({})[0]["FASTDDS_DEFAULT_PROFILES_FILE"])')
    command, environment = sourced(workspace, sys.executable, '-c', code)
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    paths, installed = [Path(path).resolve() for path in done.stdout.split()], (workspace / 'install').resolve()
    assert len(paths) == 3 and all(path.is_relative_to(installed) and path.exists() for path in paths), paths


def test_installed_node_segments_and_exits_on_sigint(workspace, graph, start, astronaut):
    namespace = unique('installed')
    executable = workspace / 'install' / 'self_segmentation' / 'lib' / 'self_segmentation' / 'segmentation_node'
    command, environment = sourced(workspace, executable, '--ros-args', '-r', f'__ns:=/{namespace}', '--params-file', TUTORIAL)
    program = start('', command=command, env=environment)
    node = Segmentation(graph, namespace, program)
    assert 0.4 < area(node.pictures(astronaut)['mask']) < 0.7
    program.send(signal.SIGINT)
    assert program.exit_code() == 0 and 'Traceback' not in program.said, program.said


def test_installed_program_runs_without_ros(workspace, tmp_path):
    executable = workspace / 'install' / 'self_segmentation' / 'lib' / 'self_segmentation' / 'self_segmentation'
    command, environment = sourced(workspace, executable, ASTRONAUT, '--no-window', '--mask', tmp_path)
    assert subprocess.run(command, env=environment, stderr=subprocess.DEVNULL).returncode == 0
    assert (tmp_path / 'astronaut.png').is_file()


def in_container(workspace: Path, service: str, *more: str) -> tuple[list[str], dict[str, str]]:
    """What Docker starts for a service of compose.yaml, with this workspace in the image's place, and ROS as it is here."""
    [entry] = re.findall(r'^ENTRYPOINT (.*)$', (ROOT / 'Dockerfile').read_text(encoding='utf-8'), re.MULTILINE)
    init, *rest = [part.replace('/ws/', f'{workspace}/') for part in json.loads(entry) if part != '/ros_entrypoint.sh']
    command = yaml.safe_load((ROOT / 'compose.yaml').read_text(encoding='utf-8'))['services'][service]['command']
    [folder] = re.findall(r'^ENV .*PATH=/ws/(\S+):\$PATH', (ROOT / 'Dockerfile').read_text(encoding='utf-8'), re.MULTILINE)
    environment = without_source_tree()
    environment['PATH'] = f'{workspace / folder}:{environment["PATH"]}'
    return [init, '-s', *rest, *command, *more], environment  # -s, as it is not the first process here


@pytest.mark.skipif(not shutil.which('tini'), reason='NOT TESTED, for tini is not installed')
@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize('service, more', [('node', ()), ('camera', ('-p', f'video_device:="{SAMPLE}"'))])
def test_stopped_container_ends_its_program(workspace, graph, start, service, more, number):
    namespace = unique('container')
    arguments = [*([] if more else ['--ros-args']), *more, '-r', f'__ns:=/{namespace}']
    command, environment = in_container(workspace, service, *arguments)
    init = start('', command=command, env=environment)
    wait_until(lambda: init.code is not None or [each for each in graph.node.get_node_names_and_namespaces()
                                                 if each[1] == f'/{namespace}'], 'its node')
    [program] = Path(f'/proc/{init.pid}/task/{init.pid}/children').read_text().split()
    os.kill(init.pid, number)  # not its group: Docker knows the first process alone
    assert init.exit_code() == 0 and 'Traceback' not in init.said, init.said
    assert not Path(f'/proc/{program}').exists()


@pytest.mark.skipif(not shutil.which('tini'), reason='NOT TESTED, for tini is not installed')
def test_container_is_not_started_again_where_it_would_fail_again(workspace, start):
    command, environment = in_container(workspace, 'camera', '-p', 'video_device:=/nowhere.mp4')
    init = start('', command=command, env=environment)
    assert init.exit_code() == 0 and '/nowhere.mp4' in init.said, init.said

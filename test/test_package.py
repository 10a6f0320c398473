# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The package as colcon installs it, and what holds for all of its files."""
import ast
import os
import re
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from conftest import ASTRONAUT, ROOT, TUTORIAL, Segmentation, area, unique

import self_segmentation

SPDX = ['# SPDX-FileCopyrightText: 2026 self_segmentation contributors', '# SPDX-License-Identifier: Apache-2.0']
OWN = [path for path in sorted(ROOT.rglob('*.py'))
       if not any(part.startswith('.') or part in ('build', 'install', 'log') for part in path.relative_to(ROOT).parts)]


@pytest.fixture(scope='module')
def workspace(tmp_path_factory) -> Path:
    """A workspace with the package in it, built by colcon."""
    workspace = tmp_path_factory.mktemp('workspace')
    shutil.copytree(ROOT, workspace / 'src' / 'self_segmentation', ignore=shutil.ignore_patterns(
        '.*', 'build', 'install', 'log', '__pycache__', '*.egg-info', 'output.*'))
    environment = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    environment['PATH'] = f'{Path(sys.executable).parent}:{environment["PATH"]}'
    done = subprocess.run(['colcon', 'build'], cwd=workspace, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    assert done.returncode == 0 and 'Finished <<< self_segmentation' in done.stdout, done.stdout
    return workspace


def sourced(workspace: Path, *command: str) -> tuple[list[str], dict[str, str]]:
    """A command with the workspace's setup.bash sourced and nothing of the source tree in its environment."""
    environment = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    return ['bash', '-c', f'source {workspace}/install/setup.bash && cd / && exec "$@"', '-', *map(str, command)], environment


def test_colcon_installs_models_configuration_launch_file_and_demo_whole(workspace):
    share = workspace / 'install' / 'self_segmentation' / 'share' / 'self_segmentation'
    for pattern in ('models/*', 'config/*', 'launch/*.launch.py', 'demo/sample*', 'demo/background*'):
        files = [path for path in ROOT.glob(pattern) if path.is_file()]
        assert files
        for file in files:
            assert (share / file.relative_to(ROOT)).read_bytes() == file.read_bytes(), file
    assert (share / 'package.xml').is_file()
    assert (share.parent / 'ament_index' / 'resource_index' / 'packages' / 'self_segmentation').is_file()


def test_colcon_installs_every_program_where_ros2_run_looks(workspace):
    folder = workspace / 'install' / 'self_segmentation' / 'lib' / 'self_segmentation'
    programs = {path.name for path in folder.iterdir()}
    assert programs >= {'camera_node', 'segmentation_node', 'self_segmentation', 'viewer_node'}
    assert all(os.access(folder / program, os.X_OK) for program in programs)


def test_the_installed_package_finds_its_own_files(workspace):
    code = ('import self_segmentation.resources as r; from self_segmentation.middleware import image_environment as e; '
            'print(r.__file__, r.share("models"), e({})[0]["FASTDDS_DEFAULT_PROFILES_FILE"])')
    command, environment = sourced(workspace, sys.executable, '-c', code)
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    paths, installed = [Path(path).resolve() for path in done.stdout.split()], (workspace / 'install').resolve()
    assert len(paths) == 3 and all(path.is_relative_to(installed) and path.exists() for path in paths), paths


def test_the_installed_node_segments_a_frame_and_ends_on_sigint(workspace, graph, start, astronaut):
    namespace = unique('installed')
    executable = workspace / 'install' / 'self_segmentation' / 'lib' / 'self_segmentation' / 'segmentation_node'
    command, environment = sourced(workspace, executable, '--ros-args', '-r', f'__ns:=/{namespace}', '--params-file', TUTORIAL)
    program = start('', command=command, env=environment)
    node = Segmentation(graph, namespace, program)
    assert 0.4 < area(node.pictures(astronaut)['mask']) < 0.7
    program.send(signal.SIGINT)
    assert program.exit_code() == 0 and 'Traceback' not in program.said, program.said


def test_the_installed_program_works_without_ros_around_it(workspace, tmp_path):
    executable = workspace / 'install' / 'self_segmentation' / 'lib' / 'self_segmentation' / 'self_segmentation'
    command, environment = sourced(workspace, executable, ASTRONAUT, '--no-window', '--mask', tmp_path)
    assert subprocess.run(command, env=environment, stderr=subprocess.DEVNULL).returncode == 0
    assert (tmp_path / 'astronaut.png').is_file()


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add('.' * node.level + (node.module or ''))
    return found


def test_the_launch_file_imports_neither_opencv_nor_mediapipe_and_of_the_package_what_is_light():
    found = imports(ROOT / 'launch' / 'segment.launch.py')
    assert not {name for name in found if name.split('.')[0] in ('cv2', 'mediapipe', 'numpy')}
    own = {name for name in found if name.startswith('self_segmentation')}
    assert own
    code = f'import sys, {", ".join(sorted(own))}; print(sorted({{"cv2", "mediapipe", "numpy"}} & set(sys.modules)))'
    assert subprocess.run([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True, check=True).stdout.strip() == '[]'


def test_the_launch_file_starts_programs_that_are_installed():
    text = (ROOT / 'launch' / 'segment.launch.py').read_text(encoding='utf-8')
    setup = (ROOT / 'setup.py').read_text(encoding='utf-8')
    for program in ('camera_node', 'segmentation_node', 'viewer_node'):
        assert re.search(rf"executable'?(=|: ){program!r}", text)
        assert f'{program} = {{NAME}}.programs:{program}' in setup


ROS = {'rclpy', 'sensor_msgs', 'rcl_interfaces', 'diagnostic_msgs', 'std_msgs', 'std_srvs', 'builtin_interfaces', 'cv_bridge'}
LAYERS = {'picture': {'self_segmentation.io', 'self_segmentation.nodes', 'self_segmentation.tools', *ROS},
          'io': {'self_segmentation.nodes', 'self_segmentation.tools', *ROS},
          'nodes': {'self_segmentation.tools'}}


def imported_names(path: Path) -> set[str]:
    """Full names of all that a module of the package imports, wherever in it; relative ones resolved."""
    package, found = path.relative_to(ROOT).parent.parts, set()
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[:len(package) - node.level + 1] if node.level else ()
            base = '.'.join([*above, *filter(None, [node.module])])
            found |= {base, *(f'{base}.{alias.name}' for alias in node.names)}
    return found


@pytest.mark.parametrize('layer', LAYERS)
def test_imports_run_one_way_only(layer):
    modules = sorted((ROOT / 'self_segmentation' / layer).rglob('*.py'))
    assert len(modules) >= {'picture': 10, 'io': 4, 'nodes': 7}[layer]
    for path in modules:
        wrong = {name for name in imported_names(path) for forbidden in LAYERS[layer] if f'{name}.'.startswith(f'{forbidden}.')}
        assert not wrong, f'{path.relative_to(ROOT)} imports {sorted(wrong)}'


def test_what_is_shared_imports_nothing_from_the_subpackages():
    for name in ('settings', 'errors', 'resources', 'middleware'):
        names = imported_names(ROOT / 'self_segmentation' / f'{name}.py')
        assert not {each for each in names if each.split('.')[1:2] and each.split('.')[1] in (*LAYERS, 'tools')}


@pytest.mark.parametrize('path', OWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_python_file_carries_the_two_spdx_lines(path):
    assert path.read_text(encoding='utf-8').splitlines()[:2] == SPDX


def test_the_version_is_the_same_everywhere():
    version = ElementTree.parse(ROOT / 'package.xml').findtext('version')
    assert version == self_segmentation.__version__
    assert f"version='{version}'" in (ROOT / 'setup.py').read_text(encoding='utf-8')


def test_what_the_package_needs_to_run_is_declared():
    declared = {element.text for element in ElementTree.parse(ROOT / 'package.xml').iter('exec_depend')}
    names = {'cv2': 'python3-opencv', 'numpy': 'python3-numpy', 'yaml': 'python3-yaml', 'tqdm': 'python3-tqdm',
             'mediapipe': 'python3-mediapipe-pip', 'matplotlib': 'python3-matplotlib', 'PIL': 'python3-pil'}
    used = {name.split('.')[0] for path in [*(ROOT / 'self_segmentation').rglob('*.py'), *(ROOT / 'launch').glob('*.py')]
            for name in imports(path) if not name.startswith('.')}
    foreign = used - set(sys.stdlib_module_names) - {'self_segmentation'}
    assert 'rclpy' in foreign and 'cv2' in foreign
    assert {names.get(name, name) for name in foreign} <= declared


def test_every_test_that_the_documentation_names_is_there():
    named = {name for path in (ROOT / 'docs').glob('*.md')
             for name in re.findall(r'`(test_\w+)`', path.read_text(encoding='utf-8'))}
    tests = {name for path in (ROOT / 'test').rglob('test_*.py')
             for name in re.findall(r'^def (test_\w+)', path.read_text(encoding='utf-8'), re.MULTILINE)}
    assert len(named) > 15 and named <= tests, named - tests

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What sdist and wheel hold, and what they ask pip for."""
import configparser
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from conftest import ROOT
from test_package import imports

import self_segmentation.programs

pytestmark = pytest.mark.slow

LEFT_OUT = ('.venv', '.git', '.nox', 'build', 'install', 'log', 'dist', '__pycache__', '*.egg-info', '.*_cache', '.hypothesis',
            '.fuzz', '.interfaces', 'output.*')
LIBRARIES = {'cv2': 'opencv-python-headless', 'yaml': 'PyYAML', 'PIL': 'pillow', 'ai_edge_litert': 'ai-edge-litert',
             'backports': 'backports.zstd'}
# ROS's alone, and what the wheels of others bring
FROM_APT = {'cv_bridge', 'launch', 'launch_ros', 'rcl_interfaces', 'std_msgs', 'tf2_msgs', 'vision_msgs'}
FROM_ELSEWHERE = {'mediapipe'}  # it brings another OpenCV into the same folder, and has nothing that LiteRT has not


@pytest.fixture(scope='module')
def source(tmp_path_factory) -> Path:
    """A copy of the sources, as a clone has them."""
    copy = tmp_path_factory.mktemp('source') / 'clone'
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))
    return copy


def run_setup(source: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, 'setup.py', '-q', *arguments], cwd=source, check=True, capture_output=True)


@pytest.fixture(scope='module')
def metadata(source, tmp_path_factory) -> Path:
    """What pip reads of a wheel."""
    folder = tmp_path_factory.mktemp('metadata')
    run_setup(source, 'egg_info', '--egg-base', str(folder))
    return folder / 'self_segmentation.egg-info'


def test_sdist_holds_every_file(source, tmp_path):
    files = {path.relative_to(source).as_posix() for path in source.rglob('*') if path.is_file()}
    run_setup(source, 'egg_info', '--egg-base', str(tmp_path), 'sdist', '--formats', 'gztar', '--dist-dir', str(tmp_path))
    [archive] = tmp_path.glob('*.tar.gz')
    with tarfile.open(archive) as tar:
        held = {name.partition('/')[2] for name in tar.getnames()}
    assert {'test/conftest.py', 'test/data/astronaut.png', '.ci/requirements-demo.txt', 'demo/sample.mp4'} <= files
    assert files <= held, files - held


def test_wheel_programs_carry_package_name(metadata):
    points = configparser.ConfigParser()
    points.read(metadata / 'entry_points.txt')
    programs = dict(points['console_scripts'])
    assert {'self_segmentation', 'self_segmentation-benchmark', 'self_segmentation-segmentation_node'} <= programs.keys()
    for name, target in programs.items():
        assert name.startswith('self_segmentation') and hasattr(self_segmentation.programs, target.split(':')[1])


def test_pip_builds_a_wheel_also_where_it_is_old():
    """Without it pip before 23.1 runs setup.py install, which puts the programs where ROS has them."""
    text = (ROOT / 'pyproject.toml').read_text(encoding='utf-8')
    assert re.search(r'^requires = \["setuptools.*\nbuild-backend = "setuptools.build_meta"$', text, re.MULTILINE)


def test_no_requirement_brings_another_opencv_or_metrics(metadata):
    asked = [line for lines in requirements(metadata).values() for line in lines]
    assert [line for line in asked if 'opencv' in line] == ['opencv-python-headless>=4.5']
    assert not [line for line in asked if 'mediapipe' in line]


def requirements(metadata: Path) -> dict[str, list[str]]:
    """Requirements by extra; those of all by ''."""
    found: dict[str, list[str]] = {'': []}
    section = ''
    for line in filter(None, (metadata / 'requires.txt').read_text().splitlines()):
        if line.startswith('['):
            section = line.strip('[]')
            found[section] = []
        else:
            found[section].append(line)
    return found


def test_requires_every_imported_library(metadata):
    asked = {re.split('[<>=!~]', line)[0].replace('ros-', '').replace('-', '_').lower()
             for lines in requirements(metadata).values() for line in lines}
    used = {name.split('.')[0] for path in (ROOT / 'self_segmentation').rglob('*.py') for name in imports(path)
            if not name.startswith('.')} - set(sys.stdlib_module_names) - FROM_APT - FROM_ELSEWHERE - {'compression'}  # 3.14's
    assert 'rclpy' in used and 'cv2' in used
    assert {LIBRARIES.get(name, name).replace('-', '_').lower() for name in used} <= asked


def test_ros_extra_matches_tested_versions(metadata):
    pins = (ROOT / '.ci' / 'requirements-demo.txt').read_text(encoding='utf-8').splitlines()
    assert requirements(metadata)['ros-wheels'] and {*requirements(metadata)['ros-wheels']} <= {*pins}

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What `make` sets up: .venv becomes whole whatever happened before, and the requirement files are."""
import importlib.metadata
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT, wait_until

Requirement = pytest.importorskip('packaging.requirements').Requirement
HAS_VENV = shutil.which('uv') or importlib.util.find_spec('ensurepip')
NEEDS_VENV = pytest.mark.skipif(not HAS_VENV, reason='there is no python3-venv')
# What packages ask for and is not installed, by what asks for it.
LEFT_OUT = {
    'ai-edge-litert': {'backports-strenum', 'flatbuffers', 'ml-dtypes', 'protobuf'},  # its interpreter imports NumPy alone
    'mediapipe': {'jax', 'jaxlib', 'opencv-contrib-python', 'sentencepiece', 'sounddevice'},  # segmentation imports none of them
    'colcon-core': {'pytest-cov', 'pytest-repeat', 'pytest-rerunfailures'},  # for `colcon test`
    'ros-rosidl-adapter': {'empy'},  # makes messages' sources; the tests bring it, for colcon
}


def name_of(requirement: str) -> str:
    return Requirement(requirement).name.lower().replace('_', '-').replace('.', '-')


def pins(*names: str) -> dict[str, Requirement]:
    """The requirements of these files that this Python takes, by name."""
    lines = [line.partition('#')[0].strip() for name in names
             for line in (ROOT / '.ci' / f'requirements-{name}.txt').read_text(encoding='utf-8').splitlines()]
    return {name_of(line): Requirement(line) for line in lines
            if line and (Requirement(line).marker is None or Requirement(line).marker.evaluate())}


@pytest.mark.parametrize('names', [('demo',), ('demo', 'test'), ('demo', 'test', 'lint')], ids='+'.join)
def test_requirements_name_all_that_they_need(names):
    named, missing, looked_at = pins(*names), {}, 0
    assert all(len(pin.specifier) == 1 and str(pin.specifier).startswith('==') for pin in named.values())
    for name, pin in named.items():
        try:
            package = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if pin.specifier.contains(package.version):  # a robot has others
            looked_at += 1
            needs = {name_of(line) for line in package.requires or []
                     if Requirement(line).marker is None or Requirement(line).marker.evaluate({'extra': ''})}
            missing[name] = needs - named.keys() - LEFT_OUT.get(name, set())
    if looked_at < len(named) // 2:
        pytest.skip('the packages are not those of the requirement files')
    assert not {name: needs for name, needs in missing.items() if needs}


@pytest.fixture
def project(tmp_path) -> Path:
    """A folder like the clone, whose demo needs a package with one module."""
    folder = tmp_path / 'my clone'
    (folder / '.ci').mkdir(parents=True)
    shutil.copy(ROOT / '.ci' / 'make_venv.py', folder / '.ci')
    for version in ('1', '2'):
        with zipfile.ZipFile(tmp_path / f'small-{version}-py3-none-any.whl', 'w') as wheel:
            info = f'small-{version}.dist-info'
            wheel.writestr('small.py', f'VERSION = {version}\n')
            wheel.writestr(f'{info}/METADATA', f'Metadata-Version: 2.1\nName: small\nVersion: {version}\n')
            wheel.writestr(f'{info}/WHEEL', 'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n')
            wheel.writestr(f'{info}/RECORD', f'small.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n')
    require(folder, 1)
    return folder


def require(project: Path, version: int) -> None:
    (project / '.ci' / 'requirements-demo.txt').write_text(f'# A small thing: 1 kB\nsmall=={version}\n')


def set_up(project: Path, **more) -> subprocess.Popen:
    wheels = str(project.parent)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(('PIP_', 'UV_', 'PYTHONPATH'))}
    environment |= {'PIP_NO_INDEX': '1', 'PIP_FIND_LINKS': wheels, 'UV_NO_INDEX': '1', 'UV_FIND_LINKS': wheels}
    return subprocess.Popen([sys.executable, '.ci/make_venv.py', 'demo'], cwd=project, env=environment, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)


def printed(project: Path) -> str:
    """Set up, and return what was printed."""
    process = set_up(project)
    text = process.communicate()[0]
    assert process.returncode == 0, text
    return text


def version_of(project: Path) -> str:
    done = subprocess.run([project / '.venv' / 'bin' / 'python', '-c', 'import small; print(small.VERSION)'], text=True,
                          stdout=subprocess.PIPE, check=True)
    return done.stdout.strip()


@NEEDS_VENV
@pytest.mark.slow
def test_set_up_starts_again_after_ctrl_c(project, tmp_path):
    (tmp_path / 'other').mkdir()
    (tmp_path / 'other' / 'mine').touch()
    (project / '.venv').symlink_to(tmp_path / 'other')  # another clone's, which stays
    process = set_up(project)
    state = project / '.venv' / '.state'
    wait_until(lambda: state.exists() and 'unfinished' in state.read_text(), 'the set-up')
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate()[0]
    assert process.returncode != 0 and 'Traceback' not in said, said
    assert 'interrupted' in printed(project)
    assert version_of(project) == '1'
    assert printed(project) == ''  # nothing to do
    assert (tmp_path / 'other' / 'mine').exists() and not (tmp_path / 'other' / 'bin').exists()


@NEEDS_VENV
@pytest.mark.slow
def test_set_up_follows_failure_requirements_and_place(project):
    require(project, 3)  # which is nowhere
    process = set_up(project)
    said = process.communicate()[0]
    assert process.returncode == 1 and 'small==3' in said and 'Traceback' not in said, said
    require(project, 1)
    assert 'A small thing: 1 kB ...' in printed(project)
    assert version_of(project) == '1'
    require(project, 2)
    assert 'other versions' in printed(project)
    assert version_of(project) == '2'
    moved = project.rename(project.with_name('elsewhere'))
    assert 'another folder' in printed(moved)
    assert version_of(moved) == '2' and str(moved) in (moved / '.venv' / 'bin' / 'activate').read_text()


def test_set_up_keeps_environment_of_others(project):
    (project / '.venv').mkdir()
    (project / '.venv' / 'mine').touch()
    process = set_up(project)
    assert 'was not made by' in process.communicate()[0] and process.returncode == 1
    assert (project / '.venv' / 'mine').exists()


def test_opencv_without_windows_is_taken_where_their_libraries_are_missing(monkeypatch):
    spec = importlib.util.spec_from_file_location('make_venv', ROOT / '.ci' / 'make_venv.py')
    make_venv = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_venv)
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(make_venv, 'WINDOWS_NEED', {'libc.so.6': 'libc6'})
    assert 'opencv-contrib-python==' in make_venv.read_requirements('demo')
    monkeypatch.setattr(make_venv, 'WINDOWS_NEED', {'libnowhere.so.1': 'libnowhere1'})
    text = make_venv.read_requirements('demo')
    assert 'opencv-contrib-python-headless==' in text and 'opencv-contrib-python==' not in text
    assert make_venv.missing_for_windows() == ['libnowhere1']

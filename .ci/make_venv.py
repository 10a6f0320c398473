# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
Set up .venv: ``python3 .ci/make_venv.py demo test`` installs requirements-demo.txt and -test.txt, unless they are there.

A .venv is made anew when it is not whole, was made by another Python or in another folder, or when requirements changed.
Without arguments it only checks whether this Python can be used.
"""

import ctypes
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
import venv
from importlib.util import find_spec
from pathlib import Path

VENV = Path('.venv')
STATE = VENV / '.state'  # lines: who made it, then each file of requirements that is installed, with the hash of its text
UNFINISHED = 'unfinished'
MAKER = f'Python {sys.version_info[0]}.{sys.version_info[1]} of {sys.base_prefix} in {Path.cwd()}'
WINDOWS_NEED = {'libGL.so.1': 'libgl1', 'libgthread-2.0.so.0': 'libglib2.0-0', 'libSM.so.6': 'libsm6', 'libXext.so.6': 'libxext6'}
UV = shutil.which('uv')


def check_python() -> None:
    """Exit where ROS 2 from PyPI cannot be installed."""
    if not (3, 10) <= sys.version_info[:2] <= (3, 14) or not (UV or find_spec('ensurepip')):
        sys.exit(f'Python 3.10 to 3.14 with venv is needed (sudo apt install python3 python3-venv), not {sys.executable}')
    if platform.machine() != 'x86_64':
        sys.exit(f'PyPI has ROS 2 for x86-64 alone; on {platform.machine()} take it from apt: README.md, "On the robot"')


def missing_for_windows() -> list[str]:
    """Return the apt packages without which OpenCV with windows cannot be imported."""
    missing = []
    for library, package in WINDOWS_NEED.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            missing.append(package)
    return missing


def read_requirements(name: str) -> str:
    """Return the lines for pip; without windows' libraries OpenCV's headless build."""
    text = Path(f'.ci/requirements-{name}.txt').read_text(encoding='utf-8')
    return text.replace('opencv-contrib-python==', 'opencv-contrib-python-headless==') if missing_for_windows() else text


def state_line(name: str) -> str:
    """Return the line of a file of requirements: its name and the hash of what it asks for."""
    asked = [line.partition('#')[0].strip() for line in read_requirements(name).splitlines()]
    return f'{name} {hashlib.sha256(chr(10).join(filter(None, asked)).encode()).hexdigest()}'


def read_state() -> list[str]:
    """Return the lines of STATE; none where there is no such file."""
    return STATE.read_text(encoding='utf-8', errors='surrogateescape').splitlines() if STATE.exists() else []


def write_state(*lines: str) -> None:
    """Write the lines of STATE."""
    STATE.write_text('\n'.join(lines), encoding='utf-8', errors='surrogateescape')


def why_anew(names: list[str]) -> str:
    """Return why .venv cannot be kept; empty when it can."""
    maker, *installed = read_state() or ['']
    if UNFINISHED in installed:
        return ' again, for the last time was interrupted'
    if maker and maker != MAKER:
        return ' again, for it was made by another Python or in another folder'
    held = {line.partition(' ')[0] for line in installed}
    if any(name in held and state_line(name) not in installed for name in names):
        return ' again, with other versions'
    return '' if maker else ', once'


def make_empty() -> None:
    """Make .venv with nothing in it."""
    if VENV.is_symlink():
        VENV.unlink()
    elif VENV.exists():
        if not (STATE.exists() or (VENV / '.complete').exists()):
            sys.exit(f'{VENV.absolute()} was not made by this program: move it away, or run `make clean`')
        shutil.rmtree(VENV)
    VENV.mkdir()
    write_state(MAKER, UNFINISHED)
    venv.create(VENV, symlinks=True, with_pip=not UV)
    write_state(MAKER)


def install(name: str) -> None:
    """Install one file of requirements; print its title and how long it took."""
    text, start, state = read_requirements(name), time.monotonic(), read_state()
    print(f'  {text.splitlines()[0].strip("# ")} ...', end='', flush=True)
    write_state(MAKER, UNFINISHED)
    file, python = VENV / f'requirements-{name}.txt', str(VENV / 'bin' / 'python')
    file.write_text(text, encoding='utf-8')
    pip = ([UV, 'pip', 'install', '--quiet', '--python', python] if UV else
           [python, '-m', 'pip', '-qq', '--disable-pip-version-check', 'install', '--use-pep517'])
    if subprocess.run([*pip, '--no-deps', '--no-build-isolation', '-r', str(file)]).returncode:
        sys.exit(f'\n{file} was not installed, for the reason above (is pypi.org reachable?). The next make starts again.')
    write_state(*state, state_line(name))
    print(f' {time.monotonic() - start:.0f} s', flush=True)


def main(names: list[str]) -> None:
    """Bring .venv to where it holds the requirements of all names."""
    check_python()
    fcntl.flock(os.open('.ci', os.O_RDONLY), fcntl.LOCK_EX)  # where two of make's set up at once, one waits
    if names and (reason := why_anew(names)):
        print(f'Setting up .venv with Python {platform.python_version()}{reason}:', flush=True)
        if missing := missing_for_windows():
            print(f'  OpenCV comes without windows, which need: sudo apt install {" ".join(missing)}', flush=True)
        make_empty()
    for name in names:
        if state_line(name) not in read_state():
            install(name)


if __name__ == '__main__':
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit('\ninterrupted; the next make starts again')

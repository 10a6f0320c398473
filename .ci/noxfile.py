# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
The worlds that the package runs in, each with its tests: `make test-matrix`.

One of them: `make test-matrix SESSIONS='world(jazzy-0.10.18)'`. A Python that this machine does not have is said and left out.
"""

from pathlib import Path

import nox
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
ALL, QUICK = (), ('-m', 'not processes')
NEWEST = ('mediapipe==1.2.3', 'numpy<3', 'opencv-contrib-python', 'certifi', 'sounddevice', 'absl-py', 'flatbuffers')
WORLDS = [  # Python, ROS, what is other than in the requirement files or left out (!), and which tests
    nox.param('3.11', 'kilted', (), ALL, id='kilted-0.10.21'),
    nox.param('3.13', 'kilted', (), ALL, id='kilted-litert-3.13'),  # as on Debian 13: there is no mediapipe that sends nothing
    nox.param('3.14', 'kilted', (), ALL, id='kilted-litert-3.14'),
    nox.param('3.11', 'kilted', ('!mediapipe',), QUICK, id='kilted-litert-3.11'),
    nox.param('3.10', 'jazzy', ('mediapipe==0.10.18', '!ai-edge-litert'), QUICK, id='jazzy-0.10.18'),
    nox.param('3.11', 'jazzy', ('mediapipe==0.10.14', '!ai-edge-litert'), QUICK, id='jazzy-0.10.14'),
    nox.param('3.13', 'kilted', (*NEWEST, '!cv-bridge'), QUICK, id='kilted-1.2.3-newest'),
]
nox.options.default_venv_backend = 'venv'
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = False
nox.options.envdir = str(ROOT / '.nox')


def requirements(changes: tuple[str, ...]) -> list[str]:
    """The lines of the demo's and the tests' requirement files, with these in the place of those of their names."""
    lines = [line.partition('#')[0].strip() for name in ('demo', 'test')
             for line in (ROOT / '.ci' / f'requirements-{name}.txt').read_text(encoding='utf-8').splitlines()]
    others = {Requirement(change.lstrip('!')).name for change in changes}
    return [*(line for line in lines if line and Requirement(line).name not in others),
            *(change for change in changes if not change.startswith('!'))]


@nox.session
@nox.parametrize('python,ros,changes,chosen', WORLDS)
def world(session: nox.Session, ros: str, changes: tuple[str, ...], chosen: tuple[str, ...]) -> None:
    """Run the tests in a world."""
    session.chdir(ROOT)
    lines = requirements(changes)
    if ros != 'kilted':
        lines = [line for line in lines if not line.startswith('ros-')]
    session.install('-q', '--no-deps', 'setuptools==79.0.1')  # with which empy is built
    session.install('-q', '--no-deps', '--no-build-isolation', '--use-pep517', *lines)
    if ros != 'kilted':
        session.install('-q', '-r', f'.ci/requirements-{ros}.txt')
    session.run('python', '-m', 'pytest', '-q', '-n', '2', '--dist', 'loadscope', *(session.posargs or chosen), env={
        'AMENT_PREFIX_PATH': session.virtualenv.location, 'ROS_DISTRO': ros,
        **dict.fromkeys(('PYTHONPATH', 'LD_LIBRARY_PATH', '_ROS_WHEELS_BOOTSTRAP_COMPLETE'))})  # of the Python that runs this


@nox.session(python='3.11')
def wheel(session: nox.Session) -> None:
    """Install the wheel as a user does, into nothing, and cut a person out of an image; run a part of the tests of the sdist."""
    session.chdir(ROOT)
    session.install('-q', 'build')
    built = Path(session.create_tmp())
    session.run('python', '-m', 'build', '--outdir', str(built / 'dist'), '.', silent=True)
    session.run('tar', 'xzf', *map(str, (built / 'dist').glob('*.tar.gz')), '-C', str(built), external=True)
    session.install('-q', *(f'{path}[test]' for path in (built / 'dist').glob('*.whl')))
    session.chdir(built)
    session.run('python', '-m', 'self_segmentation', '--help', silent=True)
    session.run('self_segmentation', str(ROOT / 'test' / 'data' / 'astronaut.png'), '--mask', 'masks', '--no-window')
    [sources] = built.glob('self_segmentation-*')
    session.chdir(sources)
    session.run('python', '-m', 'pytest', '-q', 'test/test_settings.py', 'test/test_package.py',
                'test/picture/models/test_segmenter.py',
                'test/picture/models/test_detector.py', 'test/io/test_window.py')


@nox.session(python='3.11')
def constraints(session: nox.Session) -> None:
    """Ask the registry for a wheel of each version in config/constraints.txt, for every Python and machine."""
    lines = (ROOT / 'config' / 'constraints.txt').read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith('#')]
    for version in ('3.10', '3.11', '3.12', '3.13', '3.14'):
        has_mediapipe = version in ('3.10', '3.11', '3.12')
        for machine in ('x86_64', 'aarch64'):
            wanted = {'python_version': version, 'platform_machine': machine}
            names = [f'{pin.name}{pin.specifier}' for pin in pins if pin.marker is None or pin.marker.evaluate(wanted)]
            names = [name for name in names if has_mediapipe or not name.startswith('mediapipe')]
            platforms = [f'--platform=manylinux_2_{minor}_{machine}' for minor in range(17, 36)]  # Ubuntu 22.04 has glibc 2.35
            session.run('python', '-m', 'pip', 'install', '-q', '--dry-run', '--no-deps', '--only-binary=:all:', *platforms,
                        f'--python-version={version}', '--target', session.create_tmp(), *names)
            session.log(f'Python {version} on {machine}: {", ".join(names)}')

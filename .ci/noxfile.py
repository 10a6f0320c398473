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
OLD, NEW = ('numpy==1.26.4', 'opencv-contrib-python==4.11.0.86', 'protobuf<5', 'cv-bridge==1.13.0.post0'), (
    'numpy<3', 'opencv-contrib-python', 'certifi', 'sounddevice')  # the newest, with which cv-bridge does not work
MEDIAPIPE, LITERT = 'mediapipe==', 'ai-edge-litert==2.3.0'
WORLDS = [  # Python, ROS, what the models run on, libraries
    nox.param('3.11', 'kilted', (f'{MEDIAPIPE}0.10.21', LITERT), OLD, id='kilted-0.10.21'),
    nox.param('3.10', 'jazzy', (f'{MEDIAPIPE}0.10.18',), OLD, id='jazzy-0.10.18'),
    nox.param('3.11', 'jazzy', (f'{MEDIAPIPE}0.10.14',), OLD, id='jazzy-0.10.14'),
    nox.param('3.13', 'kilted', (f'{MEDIAPIPE}1.2.3', LITERT), NEW, id='kilted-1.2.3-numpy-2'),
    nox.param('3.11', 'kilted', (LITERT,), OLD, id='kilted-litert'),
]
nox.options.default_venv_backend = 'venv'
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = False
nox.options.envdir = str(ROOT / '.nox')


@nox.session
@nox.parametrize('python,ros,runtimes,libraries', WORLDS)
def world(session: nox.Session, ros: str, runtimes: tuple[str, ...], libraries: tuple[str, ...]) -> None:
    """Run the whole suite in the first world, and in the others what `make check` takes and the slow tests."""
    session.chdir(ROOT)
    session.install('-q', '-r', f'.ci/requirements-{ros}.txt', '-r', '.ci/requirements-test.txt', *libraries)
    session.install('-q', '--no-deps', *runtimes)
    chosen = session.posargs or ([] if libraries is OLD and len(runtimes) == 2 else ['-m', 'not processes'])
    session.run('python', '-m', 'pytest', '-q', '-n', '2', '--dist', 'loadscope', *chosen, env={
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
    session.run('python', '-m', 'pytest', '-q', 'test/test_settings.py', 'test/test_package.py', 'test/picture/test_segmenter.py',
                'test/picture/test_detector.py')


@nox.session(python='3.11')
def constraints(session: nox.Session) -> None:
    """Ask the registry for a wheel of each version in config/constraints.txt, for every Python and machine."""
    lines = (ROOT / 'config' / 'constraints.txt').read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith('#')]
    for version in ('3.10', '3.11', '3.12', '3.13'):
        for machine in ('x86_64', 'aarch64'):
            wanted = {'python_version': version, 'platform_machine': machine}
            names = [f'{pin.name}{pin.specifier}' for pin in pins if pin.marker is None or pin.marker.evaluate(wanted)]
            platforms = [f'--platform=manylinux_2_{minor}_{machine}' for minor in range(17, 36)]  # Ubuntu 22.04 has glibc 2.35
            session.run('python', '-m', 'pip', 'install', '-q', '--dry-run', '--no-deps', '--only-binary=:all:', *platforms,
                        f'--python-version={version}', '--target', session.create_tmp(), *names)
            session.log(f'Python {version} on {machine}: {", ".join(names)}')

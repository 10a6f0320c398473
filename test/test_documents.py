# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
The documents, and what runs elsewhere (workflow, Dockerfile, compose.yaml).

Links lead somewhere, named files and programs are there, every command is run or excused.
"""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from conftest import ASTRONAUT, EMPTY_ROOM, ROOT

from self_segmentation.settings import TUNABLES, Settings

DOCUMENTS = [*sorted(ROOT.glob('*.md')), *sorted((ROOT / 'docs').glob('*.md')), *sorted((ROOT / 'models').glob('*.md'))]
ELSEWHERE = [ROOT / '.github' / 'workflows' / 'ci.yml', ROOT / 'Dockerfile', ROOT / 'compose.yaml', ROOT / '.ci' / 'run']
MADE = {'demo/output.mp4', 'demo/output.png'}  # by running it
FOLDERS = '|'.join(re.escape(path.name) for path in sorted(ROOT.iterdir())
                   if path.is_dir() and not re.match(r'\.(?!ci|github)|build|install|log', path.name))


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def read(path: Path) -> str:
    return path.read_text(encoding='utf-8')


def run_in(folder: Path, *arguments: str | Path) -> None:
    """Run Python in a folder; it must succeed."""
    done = subprocess.run([sys.executable, *arguments], cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env={**os.environ, 'PYTHONPATH': f'{folder}:{ROOT}'})
    assert done.returncode == 0, done.stdout


def blocks(path: Path, language: str) -> list[str]:
    """The fenced blocks of a document in a language."""
    return re.findall(rf'^```{language}\n(.*?)^```', read(path), re.DOTALL | re.MULTILINE)


def code(path: Path) -> str:
    """What a document shows as code, in a line and in blocks; of other files, all."""
    text = read(path)
    if path.suffix != '.md':
        return re.sub(r'\[\s*"|",\s*"|"\s*\]', ' ', text)  # a Dockerfile's lists
    return '\n'.join([*re.findall(r'^```\w*\n(.*?)^```', text, re.DOTALL | re.MULTILINE), *re.findall(r'`([^`\n]+)`', text)])


def anchors(path: Path) -> set[str]:
    """The headings of a document, as GitHub names them."""
    headings = re.findall(r'^#+ (.*)$', read(path), re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings}


def test_links_lead_to_files_and_headings():
    links = [(path, target) for path in DOCUMENTS for target in re.findall(r'\]\(([^)\s]+)\)', read(path)) if '://' not in target]

    def leads_nowhere(path: Path, target: str) -> bool:
        file, _, heading = target.partition('#')
        linked = path.parent / file if file else path
        return not linked.exists() or bool(heading) and heading not in anchors(linked)

    assert len(links) > 50
    assert not [(shown(path), target) for path, target in links if leads_nowhere(path, target)]


def test_code_in_a_line_ends_in_it():
    """The tests below do not see it otherwise."""
    outside = [(shown(path), re.sub(r'^(```|~~~).*?^\1', '', read(path), flags=re.DOTALL | re.MULTILINE)) for path in DOCUMENTS]
    assert not [(name, line) for name, text in outside for line in text.splitlines() if line.count('`') % 2]


def found_in_code(pattern: str) -> set[tuple[str, str]]:
    """What a pattern finds in the code of all documents and of what runs elsewhere, each with its file; there is some."""
    found = {(shown(path), each) for path in (*DOCUMENTS, *ELSEWHERE) for each in re.findall(pattern, code(path), re.MULTILINE)}
    assert found, pattern
    return found


def test_named_files_exist():
    named = found_in_code(rf'(?<![\w./~-])(?:src/self_segmentation/)?((?:{FOLDERS})/[\w./*-]*[\w*])')
    assert not {each for each in named if each[1] not in MADE and not list(ROOT.glob(each[1]))
                and not list((ROOT / 'self_segmentation').glob(each[1]))}
    copied = ' '.join(re.findall(r'^COPY (.*) \S+$', read(ROOT / 'Dockerfile'), re.MULTILINE)).split()
    assert copied and all((ROOT / name).exists() for name in copied)


def test_named_targets_programs_and_arguments_exist():
    targets = set(re.findall(r'^\.PHONY: (.*)$', read(ROOT / 'Makefile'), re.MULTILINE)[0].split())
    assert not {each for each in found_in_code(r'(?:^|[\s&;])make ([a-z][\w-]*)') if each[1] not in targets}
    setup = read(ROOT / 'setup.py')
    assert not {each for each in found_in_code(r'ros2 run self_segmentation (\w+)') if repr(each[1]) not in setup}
    for name, module in found_in_code(r'python3 -m (self_segmentation[\w.]*)'):
        place = ROOT.joinpath(*module.split('.'))
        assert place.with_suffix('.py').exists() or (place / '__main__.py').exists(), (name, module)
    for name, (file, arguments) in found_in_code(r'ros2 launch self_segmentation (\S+)(.*)'):
        [launch] = (ROOT / 'launch').rglob(file)
        for argument in re.findall(r'([\w.]+):=', arguments):
            assert argument in TUNABLES or re.search(f"    '{argument}': Argument\\(|DeclareLaunchArgument\\('{argument}'",
                                                     read(launch)), (name, argument)
    assert not {each for each in found_in_code(r'(?<!\S)(\.ci/\w+)(?!\S)') if not os.access(ROOT / each[1], os.X_OK)}


def test_containers_start_installed_programs_and_keep_what_they_save():
    services = yaml.safe_load(read(ROOT / 'compose.yaml'))['services']
    dockerfile, setup = read(ROOT / 'Dockerfile'), read(ROOT / 'setup.py')
    assert 'install_scripts=$base/lib/self_segmentation' in read(ROOT / 'setup.cfg')
    assert 'PATH=/ws/install/self_segmentation/lib/self_segmentation:$PATH' in dockerfile
    for service in services.values():
        program, *arguments = service['command']
        assert repr(program) in setup  # not ros2 run, which passes no signal on
        for name in re.findall(r'(\S+):=', ' '.join(arguments)):
            assert f"'{name}'" in read(ROOT / 'self_segmentation' / 'nodes' / f'{program}.py'), name
        assert all(re.search(r'\b\d+\b', group) for group in service.get('group_add', []))  # a name is the image's own
    images = {service['image'] for service in services.values()}
    [builder] = [service for service in services.values() if 'build' in service]
    assert len(images) == 1 and builder['build']['args'].keys() == set(re.findall(r'^ARG (\w+)', dockerfile, re.MULTILINE))
    [volume] = services['node']['volumes']
    home = f"/home/{re.findall(r'^USER (.*)$', dockerfile, re.MULTILINE)[-1]}"
    assert volume.endswith(folder := Settings().save_dir.replace('~', home)) and f'install -d -o robot {folder}\n' in dockerfile


def test_one_dockerfile_serves_every_distribution():
    code = re.sub(r'^#.*$', '', read(ROOT / 'Dockerfile'), flags=re.MULTILINE)
    assert re.search(r'^FROM ros:\$\{ROS_DISTRO\}$', code, re.MULTILINE)
    assert re.findall('humble|jazzy|kilted|lyrical|rolling', code) == ['jazzy']  # what it is where nobody says


def test_benchmark_and_fuzzer_write_to_nothing_that_is_committed():
    make = [shutil.which('make') or pytest.skip('NOT TESTED, for there is no make'), '--dry-run', '--no-print-directory', 'bench']
    plain, drawn = (subprocess.run([*make, *more], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
                    for more in ((), ('PLOT=a b.png',)))
    assert plain.rstrip().endswith('tools.benchmark') and drawn.endswith("tools.benchmark --plot 'a b.png'")
    [folder] = re.findall(r"^FINDS = ROOT / '(.*?)'", read(ROOT / 'test' / 'fuzz' / 'run.py'), re.MULTILINE)
    assert f'/{folder}/' in read(ROOT / '.gitignore').splitlines() and folder in read(ROOT / '.dockerignore').splitlines()


def test_everywhere_pip_brings_the_same_packages():
    for path in (ROOT / 'docs' / 'install.md', *ELSEWHERE[:2]):
        lines = re.findall(r'pip3? install .*(?:mediapipe|litert|requirements).*', read(path))
        assert lines
        for line in lines:
            assert re.match(r'pip3? install --no-deps -r \S*config/requirements\.txt', line), (path, line)


@pytest.mark.parametrize('python', ['3.10', '3.11', '3.12', '3.13', '3.14', '3.15'])
@pytest.mark.parametrize('machine', ['x86_64', 'aarch64'])
def test_robots_get_litert_alone_and_no_constraint_that_sends_metrics(python, machine):
    requirement = pytest.importorskip('packaging.requirements').Requirement

    def asked(name: str) -> dict[str, str]:
        lines = [requirement(line) for line in read(ROOT / 'config' / name).splitlines() if line and line[0] not in '#-']
        world = {'python_version': python, 'platform_machine': machine}
        return {line.name: str(line.specifier) for line in lines if line.marker is None or line.marker.evaluate(world)}

    packages, versions = asked('requirements.txt'), asked('constraints.txt')
    assert packages.keys() == {'ai-edge-litert', 'av'}
    assert versions['mediapipe'] in ('==0.10.18', '==0.10.21')  # these send nothing
    assert {'av', 'ai-edge-litert', 'numpy', 'opencv-python'} <= versions.keys()


# Commands of the documents' sh blocks: those that run here, as they stand, and why the others do not.
RUN = {
    'self_segmentation photo.jpg --output out.png': ['out.png'],
    'self_segmentation talk.mp4 --output out.mp4 --background-image beach.jpg': ['out.mp4'],
    'self_segmentation photos/ --output cut/ --mask masks/ --alpha alphas/': ['cut', 'masks', 'alphas'],
    'self_segmentation talk.mp4 --output cut.webm --look cutout': ['cut.webm'],
    'self_segmentation --help': [],
    'python3 -m self_segmentation talk.mcap --output new.mcap': ['new.mcap'],
    'python3 -m self_segmentation talk.mcap --in-place --output private.mcap': ['private.mcap'],
    'python3 -m self_segmentation bags/ --workers 2 --resume --output new/': ['new'],
}
EXCUSED = {
    r'make (demo|lint|test|check|coverage)\b': 'sets up what runs this test; test_ctrl_c_ends_demo_and_its_nodes runs the demo',
    r'self_segmentation 0': 'needs a camera and a display; test_camera_node has a camera of its own',
    r'python3 cutout\.py': 'test_python_example_cuts_people_out runs it',
    r'python3 examples/follow_person\.py': 'test_consumers runs it',
    r'(source|export|for|done)\b': 'prepares the shell for the commands beside it',
    r'git clone': 'needs the place where this repository lies',
    r'sudo |rosdep ': 'changes the machine',
    r'pip[3x]? install|python3 -m venv': 'needs the network; test_everywhere_pip_brings_the_same_packages compares them',
    r'(python3 -m )?colcon (build|test)': 'test_installed builds a workspace of its own',
    r'ros2 \w+ ': 'needs ros2cli, which is not on PyPI; test_launch_files starts the launch file',
    r'docker |ROS_DISTRO=.* docker ': 'needs a Docker daemon; test_installed starts what it would',
    r'gst-launch-1\.0|v4l2-ctl|cat /etc/nv_tegra_release': 'needs a Jetson',
}


def commands() -> list[tuple[str, str]]:
    """Every command of every sh block with its document: without comments, continued lines joined."""
    lines = [(path.name, line) for path in DOCUMENTS for block in blocks(path, 'sh')
             for line in block.replace('\\\n', ' ').splitlines()]
    return [(name, command) for name, line in lines if (command := re.sub(r'(^|\s)#.*$', '', line).strip())]


def test_design_names_every_module():
    layout = re.search(r'## Layout.*?###', (ROOT / 'docs' / 'design.md').read_text(encoding='utf-8'), re.DOTALL)[0]
    modules = {path.stem for path in (ROOT / 'self_segmentation').rglob('*.py')} - {'__init__'}
    assert len(modules) > 50
    assert not modules - {*re.findall(r'\w+', layout)}


def test_every_command_is_run_or_excused():
    unknown = [each for each in commands() if each[1] not in RUN and not any(re.match(excuse, each[1]) for excuse in EXCUSED)]
    assert not unknown, 'say in RUN or EXCUSED how they are tested, or why they are not'
    told = {command for _, command in commands()}
    assert set(RUN) <= told
    assert all(any(re.match(excuse, command) for command in told) for excuse in EXCUSED)


@pytest.mark.slow
@pytest.mark.parametrize('command', RUN)
def test_command_of_the_documents_runs(command, tmp_path, clip):
    (tmp_path / 'photos').mkdir()
    files = {'talk.mp4': clip, 'photo.jpg': ASTRONAUT, 'beach.jpg': EMPTY_ROOM, 'photos/1.png': ASTRONAUT,
             'photos/2.jpg': EMPTY_ROOM}
    for name, source in files.items():
        shutil.copy(source, tmp_path / name)
    if 'mcap' in command or 'bags' in command:
        bags = pytest.importorskip('bags', reason='there is no rosbags')
        for name in ('talk', 'bags/1', 'bags/2'):
            bags.write_bag(tmp_path / name, [cv2.imread(str(ASTRONAUT))] * 2)
        for name in ('talk.mcap', 'drive.mcap'):
            shutil.copy(tmp_path / 'talk' / 'talk.mcap', tmp_path / name)
    program, *arguments = command.split()
    run_in(tmp_path, *(arguments if program == 'python3' else ['-m', program, *arguments]))
    for name in RUN[command]:
        made = tmp_path / name
        assert made.stat().st_size > 10000 if made.is_file() else len(list(made.iterdir())) == 2


@pytest.mark.slow
def test_background_of_the_document_appears(tmp_path):
    [example] = blocks(ROOT / 'docs' / 'writing_a_background.md', 'python')
    assert len(example.strip().splitlines()) <= 20
    for name in ('self_segmentation', 'models', 'config'):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns('__pycache__'))
    shutil.copy(ROOT / 'package.xml', tmp_path)
    with (tmp_path / 'self_segmentation' / 'picture' / 'backgrounds.py').open('a', encoding='utf-8') as file:
        file.write(f'\n\n{example}')
    settings = tmp_path / 'self_segmentation' / 'settings.py'
    choices = r'(background_type: str = _tunable\(.*?choices=\()'
    text, count = re.subn(choices, r"\1'stripes', ", read(settings), count=1, flags=re.DOTALL)
    assert count == 1
    settings.write_text(text, encoding='utf-8')
    run_in(tmp_path, '-m', 'self_segmentation', ASTRONAUT, '--no-window', '--output', 'out.png', '--alpha', 'alpha',
           '--background-type', 'stripes', '--background-color', '0,128,255')
    image = cv2.imread(str(tmp_path / 'out.png'))
    alpha = cv2.imread(str(tmp_path / 'alpha' / 'astronaut.png'), cv2.IMREAD_GRAYSCALE)
    assert {tuple(colour) for colour in np.unique(image[alpha == 0], axis=0)} == {(0, 0, 0), (255, 128, 0)}
    assert np.array_equal(image[alpha == 255], cv2.imread(str(ASTRONAUT))[alpha == 255])


def test_readme_is_one_page():
    assert len(read(ROOT / 'README.md').splitlines()) <= 150


@pytest.mark.slow
def test_library_example_of_the_readme_runs(tmp_path):
    [example] = blocks(ROOT / 'README.md', 'python')
    shutil.copy(ASTRONAUT, tmp_path / 'photo.jpg')
    (tmp_path / 'example.py').write_text(f"{example}\ncv2.imwrite('out.png', composite)\n", encoding='utf-8')
    run_in(tmp_path, 'example.py')
    assert cv2.imread(str(tmp_path / 'out.png')).shape == cv2.imread(str(ASTRONAUT)).shape

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What holds for all files of the package."""
import ast
import functools
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from conftest import ROOT

import self_segmentation

SPDX = ['# SPDX-FileCopyrightText: 2026 self_segmentation contributors', '# SPDX-License-Identifier: Apache-2.0']
OF_OTHERS = re.compile(r'\.(?!ci$)|(build|install|log)$')  # folders
OWN = sorted([*ROOT.glob('*.py'), *(path for folder in ROOT.iterdir() if not OF_OTHERS.match(folder.name)
                                    for path in folder.rglob('*.py'))])


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add('.' * node.level + (node.module or ''))
    return found


def test_launch_file_imports_light_modules_only():
    found = imports(ROOT / 'launch' / 'segment.launch.py')
    assert not {name for name in found if name.split('.')[0] in ('cv2', 'mediapipe', 'numpy')}
    own = {name for name in found if name.startswith('self_segmentation')}
    assert own
    code = f'import sys, {", ".join(sorted(own))}; print(sorted({{"cv2", "mediapipe", "numpy"}} & set(sys.modules)))'
    assert subprocess.run([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True, check=True).stdout.strip() == '[]'


def test_launch_file_starts_installed_programs():
    text = (ROOT / 'launch' / 'segment.launch.py').read_text(encoding='utf-8')
    setup = (ROOT / 'setup.py').read_text(encoding='utf-8')
    for program in ('camera_node', 'segmentation_node', 'studio_node', 'viewer_node'):
        assert repr(program) in text
        assert repr(program) in setup


PACKAGE = ROOT / 'self_segmentation'
ROS = {'rclpy', 'sensor_msgs', 'rcl_interfaces', 'diagnostic_msgs', 'std_msgs', 'std_srvs', 'builtin_interfaces', 'cv_bridge'}
MAY_IMPORT = {  # rooms, in the direction of the arrows in docs/design.md
    'picture': set(),
    'io': {'picture'},
    'recordings': {'picture', 'io', 'nodes.messages'},  # the message codec knows no ROS
    'nodes': {'picture', 'io'},
    'studio': {'picture', 'io', 'nodes'},
    'tools': {'picture', 'io', 'nodes', 'studio', 'recordings'},
}
WITHOUT_ROS = ('picture', 'io', 'recordings')
MODULES = {path.relative_to(PACKAGE).with_suffix('').as_posix().replace('/', '.'): path for path in sorted(PACKAGE.rglob('*.py'))}


@functools.cache
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


def own_imports(path: Path) -> set[str]:
    """The package's modules that a module imports, wherever in it."""
    names = {name.removeprefix('self_segmentation.') for name in imported_names(path)}
    return {name for name in names if name in MODULES}


def test_rooms_import_one_way_only():
    rooms = {name.partition('.')[0] for name in MODULES if '.' in name}
    assert rooms == {*MAY_IMPORT}
    for name, path in MODULES.items():
        room, dot, _ = name.partition('.')
        if dot:
            others = {each for each in own_imports(path) if '.' in each and each.partition('.')[0] != room}
            assert not {each for each in others if not {each, each.partition('.')[0]} & MAY_IMPORT[room]}, name
        if dot and (room in WITHOUT_ROS or name == 'nodes.messages'):
            assert not {each.partition('.')[0] for each in imported_names(path)} & ROS, name


def test_modules_beside_rooms_import_no_room():
    faces = {'command_line', 'programs', '__main__', 'library', '__init__'}
    for name, path in MODULES.items():
        if '.' not in name and name not in faces:
            assert not {each for each in own_imports(path) if '.' in each}, name


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Circles of imports, each as the names along it."""
    found, done = [], set()

    def visit(name: str, way: list[str]) -> None:
        if name in way:
            found.append([*way[way.index(name):], name])
        elif name not in done:
            for other in sorted(graph[name]):
                visit(other, [*way, name])
            done.add(name)

    for name in graph:
        visit(name, [])
    return found


def test_no_circle_of_imports():
    assert circles({'a': {'b'}, 'b': {'c'}, 'c': {'a'}, 'd': {'a'}}) == [['a', 'b', 'c', 'a']]
    graph = {name: own_imports(path) for name, path in MODULES.items()}
    assert sum(map(len, graph.values())) > 100
    assert not circles(graph)


def test_every_python_file_has_spdx_lines():
    assert len(OWN) > 100
    assert not [str(path.relative_to(ROOT)) for path in OWN if path.read_text(encoding='utf-8').splitlines()[:2] != SPDX]


def test_named_tuples_inherit_nothing_else():
    """Python 3.10, that of Humble, refuses it at the import; later ones do not."""
    classes = [(path, node) for path in (ROOT / 'self_segmentation').rglob('*.py')
               for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))) if isinstance(node, ast.ClassDef)]
    named = [(path.name, node.name, len(node.bases)) for path, node in classes
             if 'NamedTuple' in map(ast.unparse, node.bases)]
    assert len(named) > 20 and not [each for each in named if each[2] > 1]


def test_package_xml_links_repository_and_bug_tracker():
    links = {url.get('type'): url.text for url in ElementTree.parse(ROOT / 'package.xml').iter('url')}
    assert set(links) == {'repository', 'bugtracker'} and all(link.startswith('https://') for link in links.values())


def test_version_is_same_everywhere():
    version = ElementTree.parse(ROOT / 'package.xml').findtext('version')
    assert version == self_segmentation.__version__
    assert f"version='{version}'" in (ROOT / 'setup.py').read_text(encoding='utf-8')


def test_runtime_dependencies_are_declared():
    declared = {element.text for element in ElementTree.parse(ROOT / 'package.xml').iter('exec_depend')}
    names = {'cv2': 'python3-opencv', 'numpy': 'python3-numpy', 'yaml': 'python3-yaml', 'tqdm': 'python3-tqdm',
             'PIL': 'python3-pil', 'aiohttp': 'python3-aiohttp'}
    # No rosdep keys, or one that brings a MediaPipe which sends usage metrics: config/requirements.txt and the README name them.
    # matplotlib: `benchmark --plot` names it.
    # compression is Python 3.14's own.
    optional = {'ai_edge_litert', 'av', 'backports', 'compression', 'matplotlib', 'mcap', 'mediapipe', 'pillow_heif', 'rosbags',
                'zstandard'}
    used = {name.split('.')[0] for path in [*(ROOT / 'self_segmentation').rglob('*.py'), *(ROOT / 'launch').rglob('*.py')]
            for name in imports(path) if not name.startswith('.')}
    foreign = used - set(sys.stdlib_module_names) - {'self_segmentation'}
    assert 'rclpy' in foreign and 'cv2' in foreign
    assert {names.get(name, name) for name in foreign - optional} <= declared


def test_tests_named_in_documentation_exist():
    named = {name for path in (*ROOT.glob('*.md'), *(ROOT / 'docs').glob('*.md'))
             for name in re.findall(r'`(test_\w+)`', path.read_text(encoding='utf-8'))}
    tests = {name for path in (ROOT / 'test').rglob('test_*.py')
             for name in re.findall(r'^def (test_\w+)', path.read_text(encoding='utf-8'), re.MULTILINE)}
    assert len(named) > 15 and named <= tests, named - tests


def test_make_clean_stays_in_clone_with_space_and_quote(tmp_path):
    beside, clone = tmp_path / 'my', tmp_path / "my robot's clone"
    for folder in (beside, clone / '.venv'):
        folder.mkdir(parents=True)
        (folder / 'file').touch()
    shutil.copy(ROOT / 'Makefile', clone)
    shutil.copytree(ROOT / '.ci', clone / '.ci')
    targets = re.search(r'^.PHONY: (.*)$', (ROOT / 'Makefile').read_text(encoding='utf-8'), re.M).group(1).split()
    assert 'demo' in targets and 'clean' in targets
    would = subprocess.run(['make', '-n', '--no-print-directory', *targets], cwd=clone, check=True, text=True,
                           stdout=subprocess.PIPE)
    assert str(tmp_path) not in would.stdout and 'my robot' not in would.stdout  # every path is relative
    subprocess.run(['make', 'clean'], cwd=clone, check=True, capture_output=True)
    assert (beside / 'file').exists() and not (clone / '.venv').exists() and (clone / 'Makefile').exists()

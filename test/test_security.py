# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What the package never does, what it needs to run, and what is said of both in docs/security.md and config/policy.xml."""
import ast
import fnmatch
import importlib
import os
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from conftest import ASTRONAUT, PATIENCE, ROOT, SAMPLE, TUTORIAL, Segmentation, area, full_name, unique, wait_until
from machine import NOWHERE, VIEWER, as_it_is, as_nobody, as_nobody_who_may_read, first_possible, read_only
from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient

from self_segmentation.tools.policy import shortened

POLICY = ROOT / 'config' / 'policy.xml'
SOURCES = sorted([*(ROOT / 'self_segmentation').rglob('*.py'), *(ROOT / 'launch').glob('*.py')])
NODES = ('segmentation_node', 'camera_node', 'viewer_node')

# ---- what the source never does

NEVER = ['eval', 'exec', 'compile', '__import__', 'breakpoint', 'input', 'code.*', 'codeop.*', 'runpy.*',  # runs what it is given
         'pickle*', '_pickle*', 'marshal*', 'shelve*', 'dill*', 'cloudpickle*', 'joblib*', 'numpy.load', 'torch*',  # so do these
         'yaml.load_all', 'yaml.full_*', 'yaml.unsafe_*', 'yaml.Loader', 'yaml.FullLoader', 'yaml.UnsafeLoader',
         'os.system', 'os.popen', 'os.exec*', 'os.spawn*', 'os.posix_spawn*', 'os.fork*', 'pty.*', 'subprocess.get*',  # shells
         'socket*', 'ssl*', 'http*', 'urllib*', 'ftplib*', 'smtplib*', 'requests*', 'webbrowser*',  # networks besides ROS's
         'tempfile.mktemp', 'ctypes.cdll*', 'ctypes.PyDLL*']


def offences(source: str) -> list[str]:
    """What a source does that it must not, each with its line."""
    tree, found = ast.parse(source), []
    meanings: dict[str, str] = {}  # of the names that were imported
    safe = {'yaml.SafeLoader', 'yaml.CSafeLoader'}

    def meaning(node: ast.AST) -> str:
        if isinstance(node, ast.Name):
            return meanings.get(node.id, node.id)
        return f'{meaning(node.value)}.{node.attr}' if isinstance(node, ast.Attribute) else ''

    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            meanings.update({alias.asname or alias.name.split('.')[0]: alias.name if alias.asname else alias.name.split('.')[0]
                             for alias in node.names})
        elif isinstance(node, ast.ImportFrom) and not node.level:
            meanings.update({alias.asname or alias.name: f'{node.module}.{alias.name}' for alias in node.names})
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and safe & {meaning(base) for base in node.bases}:
            safe.add(node.name)
    for node in ast.walk(tree):
        used = [meaning(node)] if isinstance(node, (ast.Name, ast.Attribute)) else []
        if isinstance(node, ast.Import):
            used = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            used = [f'{node.module}.{alias.name}' for alias in node.names]
        elif isinstance(node, ast.Call):
            called, given = meaning(node.func), {keyword.arg: keyword.value for keyword in node.keywords}
            if 'shell' in given or (called.startswith('subprocess.') and None in given):
                used.append('a shell')
            loader = node.args[1] if len(node.args) > 1 else given.get('Loader')
            if called == 'yaml.load' and (loader is None or meaning(loader) not in safe):
                used.append('yaml.load without a safe loader')
            if called in ('importlib.import_module', 'ctypes.CDLL') and not isinstance(node.args[0], ast.Constant):
                used.append(f'{called} of what is not known')
            found += [f'{node.lineno}: {each}' for each in used]
            continue
        found += [f'{node.lineno}: {each}' for each in used if any(fnmatch.fnmatchcase(each, never) for never in NEVER)]
    return found


@pytest.mark.parametrize('source', [
    'eval(text)', 'run = exec', 'import pickle', 'from pickle import loads', 'import numpy as np\nnp.load(path)',
    'import os\nos.system(line)', 'from os import popen as p\np(line)', 'import os as o\no.execvp(a, b)',
    'import subprocess\nsubprocess.run(line, shell=True)', 'import subprocess\nsubprocess.run(line, **more)',
    'from subprocess import getoutput', 'import yaml\nyaml.load(text)', 'import yaml\nyaml.load(text, yaml.Loader)',
    'import yaml\nclass L(yaml.Loader): pass\nyaml.load(text, L)', 'import yaml\nyaml.unsafe_load(text)',
    'import importlib\nimportlib.import_module(name)', 'import ctypes\nctypes.CDLL(path)', 'import urllib.request',
    'def f():\n    import socket', 'from tempfile import mktemp'], ids=lambda source: source.splitlines()[-1])
def test_the_check_of_the_source_finds_what_is_forbidden(source):
    assert offences(source)


@pytest.mark.parametrize('source', [
    'import yaml\nclass L(yaml.SafeLoader): pass\nyaml.load(text, L)', 'import yaml\nyaml.safe_load(text)',
    'import re\nre.compile(text)', 'import subprocess, sys\nsubprocess.run([sys.executable, text])', 'self.exec(1)',
    'import importlib\nimportlib.import_module("cv_bridge")', 'import ctypes\nctypes.CDLL(None)'],
    ids=lambda source: source.splitlines()[-1])
def test_the_check_of_the_source_passes_what_is_allowed(source):
    assert not offences(source)


def test_the_check_of_the_source_sees_every_module():
    folders = {path.parent.name for path in SOURCES}
    assert len(SOURCES) >= 35 and folders >= {'picture', 'temporal', 'io', 'nodes', 'tools', 'launch'}


@pytest.mark.parametrize('path', SOURCES, ids=lambda path: path.name)
def test_no_source_evaluates_unpickles_or_starts_a_shell_or_speaks_to_a_network_besides_ros(path):
    assert not offences(path.read_text(encoding='utf-8'))


def modules_of(*names: str) -> set[Path]:
    """The sources of the package that these import, all the way down, but for the list of all programs."""
    found, left = set(), [ROOT.joinpath(*full_name(name).split('.')).with_suffix('.py') for name in names]
    while left:
        path = left.pop()
        if path not in found and path.is_file() and path.name != 'programs.py':
            found.add(path)
            for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
                if isinstance(node, ast.ImportFrom) and node.level:
                    base = path.parents[node.level - 1].joinpath(*(node.module or '').split('.'))
                    left += [base.with_suffix('.py'), *(base / f'{alias.name}.py' for alias in node.names)]
    return found


def test_the_nodes_start_no_program_but_their_own_interpreter_and_that_without_a_shell():
    sources = modules_of(*NODES)
    assert {'segmenter.py', 'resources.py', 'sources.py'} <= {path.name for path in sources}
    for path in sources:
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ('subprocess.run', 'subprocess.Popen', 'subprocess.call'):
                assert ast.unparse(node.args[0]).startswith('[sys.executable, '), f'{path.name}:{node.lineno}'


# ---- what the documentation says

UNITS = {'pixels': 1, 'scans': 1, 'names': 1, 's': 1, 'KiB': 1 << 10, 'MiB': 1 << 20, 'GiB': 1 << 30, 'pixels a byte': 1}


def test_the_limits_that_the_documentation_names_are_those_of_the_source():
    text = (ROOT / 'docs' / 'security.md').read_text(encoding='utf-8')
    rows = re.findall(r'\| (\d+) ([\w ]+?) \| `(\w+)\.(\w+)` \|$', text, re.M)
    assert len(rows) >= 8
    for number, unit, module, name in rows:
        assert getattr(importlib.import_module(full_name(module)), name) == int(number) * UNITS[unit], (module, name)


# ---- the policy

def allowed(policy: str) -> dict[str, dict[tuple[str, str], set[str]]]:
    """What each node may do by a policy: node to (services or topics, what it does with them) to full names."""
    root, found = ElementTree.fromstring(policy.encode()), {}
    assert (root.tag, root.get('version')) == ('policy', '0.2.0')
    for enclave in root.iterfind('enclaves/enclave'):
        [profile] = enclave.iterfind('profiles/profile')
        above, node = profile.get('ns').rstrip('/'), profile.get('node')
        assert enclave.get('path') == f'{above}/{node}'
        begins = {'~': f'{above}/{node}', '/': '/'}
        found[node] = {}
        for group in profile:
            [(does, qualifier)] = group.items()
            assert qualifier == 'ALLOW'
            found[node][group.tag, does] = {begins.get(each.text[0], f'{above}/{each.text[0]}') + each.text[1:] for each in group}
            assert len(found[node][group.tag, does]) == len(group)
    return found


def test_the_policy_allows_the_nodes_what_they_have_and_nothing_else(graph, start):
    """Looked at from outside while they run and a result is wanted: of raw pictures, and then of compressed ones."""
    expected = allowed(POLICY.read_text(encoding='utf-8'))
    programs = [start('segmentation_node', '--ros-args', '-p', 'use_sim_time:=true'),
                start('camera_node', '--ros-args', '-p', 'use_sim_time:=true', '-p', f'video_device:={SAMPLE}')]
    seen = {node: {key: set() for key in (('services', 'reply'), ('services', 'request'), ('topics', 'publish'),
                                          ('topics', 'subscribe'))} for node in expected}
    asks = dict(zip(seen['camera'], (
        graph.node.get_service_names_and_types_by_node, graph.node.get_client_names_and_types_by_node,
        graph.node.get_publisher_names_and_types_by_node, graph.node.get_subscriber_names_and_types_by_node)))
    _, subscription = graph.listen('/segmentation/output')

    def look() -> dict:
        assert all(program.code is None for program in programs), [program.said for program in programs]
        known = graph.node.get_node_names_and_namespaces()
        for node, kinds in seen.items():
            if (node, '/') in known:
                for key in kinds:
                    kinds[key] |= {name for name, _ in asks[key](node, '/')}
        graph.spin()
        return {node: {key: names for key, names in kinds.items() if names} for node, kinds in seen.items()}

    def look_for(seconds: float) -> dict:
        end = time.monotonic() + seconds
        while look() != expected and time.monotonic() < end:
            pass
        return look()

    graph.wait_until(lambda: '/image_raw' in look()['segmentation'].get(('topics', 'subscribe'), ()), 'the subscription')
    client = AsyncParameterClient(graph.node, '/segmentation')
    graph.wait_until(client.services_are_ready, 'the parameters')
    client.set_parameters([Parameter('image_transport', value='compressed')])
    assert look_for(PATIENCE / 2) == expected
    end = time.monotonic() + 1.0  # whatever else there is, is known by then
    wait_until(lambda: time.monotonic() > end, 'more', look)
    assert look() == expected
    graph.node.destroy_subscription(subscription)


def test_the_policy_is_the_one_that_make_reference_makes():
    done = subprocess.run([sys.executable, '-m', 'self_segmentation.tools.policy'], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == POLICY.read_text(encoding='utf-8')
    assert 'self_segmentation.tools.policy > config/policy.xml' in (ROOT / 'Makefile').read_text(encoding='utf-8')


@pytest.mark.parametrize('full, namespace, short', [
    ('/cut/mask', '/', '~/mask'), ('/front/cut/mask', '/front', '~/mask'), ('/rosout', '/', 'rosout'),
    ('/rosout', '/front', '/rosout'), ('/front/image_raw', '/front', 'image_raw'),
    ('/image_raw/compressed', '/', '/image_raw/compressed'),
    ('/front/image_raw/compressed', '/front', 'image_raw/compressed'), ('/cutter/mask', '/', '/cutter/mask')])
def test_names_are_shortened_as_sros2_writes_them(full, namespace, short):
    assert shortened(full, 'cut', namespace) == short


# ---- users and file systems

def environment(**changes: str) -> dict[str, str]:
    """The tests' own, but that nothing says where ROS may write its log file; and with changes."""
    return {**{name: value for name, value in os.environ.items() if name not in ('ROS_LOG_DIR', 'ROS_HOME')}, **changes}


def user_of(pid: int) -> int:
    return int(re.search(r'^Uid:\s+(\d+)', Path(f'/proc/{pid}/status').read_text(), re.M).group(1))


def test_an_unprivileged_user_who_has_no_home_is_served(start):
    """Camera, segmentation and viewer are all this user's: shared memory is for one user."""
    user = first_possible('an unprivileged user', as_nobody, as_nobody_who_may_read, as_it_is)
    namespace = unique('nobody')

    def started(*command: str):
        return start('', command=[*user, sys.executable, *command], env=environment(HOME=NOWHERE))

    def node(module: str, *parameters: str):
        return started('-m', full_name(module), '--ros-args', '-r', f'__ns:=/{namespace}', *parameters)

    nodes = [node('segmentation_node'), node('camera_node', '-p', f'video_device:={SAMPLE}')]
    viewer = started('-c', VIEWER, namespace, 'raw', '', '0')
    wait_until(lambda: viewer.said.count('picture') >= 5 or any(p.code is not None for p in (*nodes, viewer)), 'pictures')
    for program in nodes:
        assert program.code is None, program.said
        assert user_of(program.pid) or not (user or os.geteuid())
        assert program.said.count('no log file') == 1 and f'{NOWHERE}/.ros/log' in program.said and 'ROS_LOG_DIR' in program.said
        program.send(signal.SIGINT)
        assert program.exit_code() == 0 and 'Traceback' not in program.said, program.said
    assert viewer.code is None, viewer.said


def test_the_node_serves_where_no_file_can_be_written_but_in_dev_shm(graph, start, astronaut):
    files = first_possible('a read-only file system', read_only, as_it_is)
    namespace = unique('fixed')
    command = [*files, sys.executable, '-m', 'self_segmentation.nodes.segmentation_node']
    program = start('', '--ros-args', '-r', f'__ns:=/{namespace}', '--params-file', TUTORIAL, command=command,
                    env=environment() if files else environment(HOME=NOWHERE))
    node = Segmentation(graph, namespace, program)
    assert 0.4 < area(node.pictures(astronaut)['mask']) < 0.7
    assert program.said.count('no log file') == 1 and 'ROS_LOG_DIR' in program.said
    program.send(signal.SIGINT)
    assert program.exit_code() == 0 and 'Traceback' not in program.said, program.said


def test_the_log_file_is_written_where_ros_writes_it_and_missed_aloud_where_it_cannot(start, tmp_path):
    folders = {('ROS_LOG_DIR', 'own'): 'own', ('ROS_HOME', 'ros'): 'ros/log', ('HOME', 'home'): 'home/.ros/log'}
    started = [(Path(root) / below, start('camera_node', '--ros-args', '-p', f'video_device:={ASTRONAUT}', '-p', 'loop:=false',
                                          env=environment(**{variable: f'{root}/{name}'})))
               for root in (tmp_path, NOWHERE) for (variable, name), below in folders.items()]
    for folder, program in started:
        assert program.exit_code() == 0, program.said
        assert len(list(folder.glob('*.log'))) == folder.is_relative_to(tmp_path)
        assert (f'no log file in {folder}' in program.said) == folder.is_relative_to(NOWHERE), program.said

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What the package never does, what it needs to run, and what is said of both in docs/security.md."""
import ast
import fnmatch
import importlib
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from conftest import ROOT, full_name

from self_segmentation.settings import TUNABLES

SOURCES = sorted([*(ROOT / 'self_segmentation').rglob('*.py'), *(ROOT / 'launch').rglob('*.py')])
NODES = ('segmentation_node', 'camera_node', 'studio_node', 'viewer_node')
SERVER = ('server.py', 'connections.py')  # what speaks to a network besides ROS's, by these
OF_SERVER = ('aiohttp', 'asyncio')

# ---- what the source never does

NEVER = ['eval', 'exec', 'compile', '__import__', 'breakpoint', 'input', 'code.*', 'codeop.*', 'runpy.*',  # runs what it is given
         'pickle*', '_pickle*', 'marshal*', 'shelve*', 'dill*', 'cloudpickle*', 'joblib*', 'numpy.load', 'torch*',  # so do these
         'yaml.load_all', 'yaml.full_*', 'yaml.unsafe_*', 'yaml.Loader', 'yaml.FullLoader', 'yaml.UnsafeLoader',
         'os.system', 'os.popen', 'os.exec*', 'os.spawn*', 'os.posix_spawn*', 'os.fork*', 'pty.*', 'subprocess.get*',  # shells
         'socket*', 'ssl*', 'http*', 'urllib.re*', 'urllib.ro*', 'urllib3*', 'ftplib*', 'smtplib*', 'requests*',
         'webbrowser*', 'aiohttp*', 'asyncio*',  # networks besides ROS's
         'tempfile.mktemp', 'ctypes.cdll*', 'ctypes.PyDLL*']
FORBIDDEN = re.compile('|'.join(map(fnmatch.translate, NEVER)))


def is_in_own_package(call: ast.Call) -> bool:
    """Whether what is imported is named f'{__package__}.{...}', with nothing else before the dot."""
    return bool(call.args) and ast.unparse(call.args[0]).startswith("f'{__package__}.")


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
            known = isinstance(node.args[0] if node.args else None, ast.Constant) or is_in_own_package(node)
            if called in ('importlib.import_module', 'ctypes.CDLL') and not known:
                used.append(f'{called} of what is not known')
            found += [f'{node.lineno}: {each}' for each in used]
            continue
        found += [f'{node.lineno}: {each}' for each in used if FORBIDDEN.match(each)]
    return found


@pytest.mark.parametrize('source', [
    'eval(text)', 'run = exec', 'import pickle', 'from pickle import loads', 'import numpy as np\nnp.load(path)',
    'import os\nos.system(line)', 'from os import popen as p\np(line)', 'import os as o\no.execvp(a, b)',
    'import subprocess\nsubprocess.run(line, shell=True)', 'import subprocess\nsubprocess.run(line, **more)',
    'from subprocess import getoutput', 'import yaml\nyaml.load(text)', 'import yaml\nyaml.load(text, yaml.Loader)',
    'import yaml\nclass L(yaml.Loader): pass\nyaml.load(text, L)', 'import yaml\nyaml.unsafe_load(text)',
    'import importlib\nimportlib.import_module(name)', 'import importlib\nimportlib.import_module(f"{name}.{__package__}")',
    'import ctypes\nctypes.CDLL(path)', 'import urllib.request', 'from aiohttp import web',
    'def f():\n    import socket', 'from tempfile import mktemp'], ids=lambda source: source.splitlines()[-1])
def test_source_check_finds_forbidden(source):
    assert offences(source)


@pytest.mark.parametrize('source', [
    'import yaml\nclass L(yaml.SafeLoader): pass\nyaml.load(text, L)', 'import yaml\nyaml.safe_load(text)',
    'import re\nre.compile(text)', 'import subprocess, sys\nsubprocess.run([sys.executable, text])', 'self.exec(1)',
    'import importlib\nimportlib.import_module("cv_bridge")',
    'import importlib\nimportlib.import_module(f"{__package__}.{name}")',
    'import ctypes\nctypes.CDLL(None)'],
    ids=lambda source: source.splitlines()[-1])
def test_source_check_passes_allowed(source):
    assert not offences(source)


def test_source_check_sees_every_module():
    folders = {path.parent.name for path in SOURCES}
    assert len(SOURCES) >= 35 and folders >= {'picture', 'matting', 'io', 'nodes', 'recordings', 'studio', 'tools', 'launch'}


def test_source_has_no_eval_pickle_shell_or_network():
    found = [(path.name, offence) for path in SOURCES for offence in offences(path.read_text(encoding='utf-8'))]
    assert not [each for each in found if each[0] not in SERVER or not each[1].partition(': ')[2].startswith(OF_SERVER)]


def modules_of(*names: str) -> set[Path]:
    """The sources of the package that these import, all the way down."""
    found, left = set(), [ROOT.joinpath(*full_name(name).split('.')).with_suffix('.py') for name in names]
    while left:
        path = left.pop()
        if path not in found and path.is_file():
            found.add(path)
            for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
                if isinstance(node, ast.ImportFrom) and node.level:
                    base = path.parents[node.level - 1].joinpath(*(node.module or '').split('.'))
                    left += [base.with_suffix('.py'), *(base / f'{alias.name}.py' for alias in node.names)]
    return found


def test_nodes_start_own_interpreter_only():
    sources = modules_of(*NODES)
    assert {'segmenter.py', 'resources.py', 'sources.py'} <= {path.name for path in sources}
    for path in (path for path in sources if 'subprocess' in path.read_text(encoding='utf-8')):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ('subprocess.run', 'subprocess.Popen', 'subprocess.call'):
                assert ast.unparse(node.args[0]).startswith('[sys.executable, '), f'{path.name}:{node.lineno}'


# ---- what the documentation says

DOCUMENT = (ROOT / 'docs' / 'security.md').read_text(encoding='utf-8')


def fixed_paths() -> set[str]:
    """The parameters of the other nodes whose descriptions speak of files."""
    found = set()
    for name in NODES:
        path = ROOT.joinpath(*full_name(name).split('.')).with_suffix('.py')
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == 'fixed':
                text = node.args[2].value.lower()
                found |= {node.args[0].value} if re.search(r'\b(folder|file|path)\b', text) and type(
                    getattr(node.args[1], 'value', '')) is str else set()
    return found


def test_every_setting_that_is_path_is_marked():
    paths = {tunable.name for tunable in TUNABLES.values() if type(tunable.default) is str and not tunable.choices
             and re.search(r'\b(folder|file|path)\b', tunable.text.lower())}
    assert paths == {tunable.name for tunable in TUNABLES.values() if tunable.file} and len(paths) >= 4


def test_every_parameter_that_reads_or_writes_files_is_documented():
    rows = dict(re.findall(r'^\| `([\w.]+)` \| `\w+`, [\w ]+ \| (read|written):', DOCUMENT, re.MULTILINE))
    settings = {tunable.name: tunable.file for tunable in TUNABLES.values() if tunable.file}
    assert len(fixed_paths()) >= 3
    assert rows == {**settings, **dict.fromkeys(fixed_paths(), 'read')}


def test_every_topic_and_service_of_the_policy_is_documented():
    policy = ElementTree.parse(ROOT / 'config' / 'policy.xml')
    [profile] = [each for each in policy.iter('profile') if each.get('node') == 'segmentation']
    names = {element.text.strip() for element in profile.iter() if element.tag in ('topic', 'service')}
    own = {name for name in names if name.startswith('~/')}
    general = {name for name in own if re.search('parameter|state|transition|type_description', name)}  # summed up
    assert {'~/people', '~/save', '~/pause'} <= own - general
    assert not {name for name in own - general if f'`{name.removesuffix("/compressed")}`' not in DOCUMENT}


UNITS = {**dict.fromkeys(('pixels', 'scans', 'names', 's', 'browsers', 'messages', 'requests', 'answers', 'frames', 'images',
                          'parameters', 'connections', 'characters'), 1),
         'KiB': 1 << 10, 'MiB': 1 << 20, 'GiB': 1 << 30, 'pixels a byte': 1}


def test_documented_limits_match_source():
    text = ''.join((ROOT / 'docs' / name).read_text(encoding='utf-8') for name in ('security.md', 'studio.md'))
    rows = re.findall(r'\| (\d+) ([\w ]+?) \| `([\w.]+)\.(\w+)` \|$', text, re.M)
    assert len(rows) >= 19
    for number, unit, module, name in rows:
        assert getattr(importlib.import_module(full_name(module)), name) == int(number) * UNITS[unit], (module, name)

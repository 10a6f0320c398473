# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The soak finds what is wrong, and nothing where nothing is."""
import json
import os
import random
import signal
import sys
from itertools import islice
from pathlib import Path

import pytest
from conftest import ROOT, unique, wait_until
from shared_memory import kill, remove_shared_memory, shared_memory_of

from self_segmentation.errors import SelfSegmentationError
from self_segmentation.io.assets import load_assets
from self_segmentation.picture.models.segmenter import Segmenter
from self_segmentation.settings import Settings
from self_segmentation.tools.benchmark_graph import process

sys.path.insert(0, str(Path(__file__).parent))
from changes import LIVE, USUAL, changes  # noqa: E402
from judge import SLACK, growth, leaks, unexplained, without_cause  # noqa: E402


@pytest.fixture
def soak(start, tmp_path):
    """A soak that is under way, the numbers of its processes by name, and the file of its figures."""
    program = start('soak', '--minutes', '60', '--keep', tmp_path, command=[sys.executable, str(ROOT / 'test/soak/soak.py')])
    parts = {'camera': 'camera_node', 'segmentation': 'segmentation_node', 'studio': 'studio_node'}

    def children() -> dict[str, int]:
        pids = Path(f'/proc/{program.pid}/task/{program.pid}/children').read_text().split()
        commands = {pid: Path(f'/proc/{pid}/cmdline').read_text() for pid in pids}
        return {name: int(pid) for pid, command in commands.items() for name, part in parts.items() if part in command}

    def is_under_way() -> bool:
        log = tmp_path / 'segmentation.log'
        return program.code is not None or (log.exists() and log.read_text().count('change refused') > 2)

    wait_until(is_under_way, 'changes of parameters')
    found = children()
    assert program.code is None and {*found} == {*parts}, program.said
    return program, found, tmp_path / 'figures.json'


def test_ctrl_c_ends_soak_with_figures_and_every_process(soak):
    program, children, file = soak
    program.send(signal.SIGINT)
    code = program.exit_code()
    figures = json.loads(file.read_text())
    assert {*figures['faults']} <= {'nothing seen'} and code == bool(figures['faults']), program.said  # a browser starts slowly
    assert figures['outputs'] > 0 and figures['answers']['refused'] > 0 and f"| outputs | {figures['outputs']} |" in program.said
    assert not [pid for pid in children.values() if Path(f'/proc/{pid}').exists()]


def test_process_that_ends_by_itself_fails_soak(soak):
    program, children, file = soak
    os.kill(children['camera'], signal.SIGTERM)
    assert program.exit_code() == 1, program.said
    assert json.loads(file.read_text())['faults']['ended'] == ['camera ended by itself, with exit code 0']


def test_frames_that_node_does_not_count_have_no_cause():
    sent = [(float(number) / 10, (number, 0)) for number in range(1000)]
    shown = {stamp for _, stamp in sent[:500]}
    dropped = [(0.0, 7), (50.0, 7), (99.0, 7 + 500)]
    assert not without_cause(sent, shown, dropped, [(0, 100)])
    assert without_cause(sent, shown, dropped, [(60, 100)])  # the count stands still there
    assert without_cause(sent, shown, [], [(0, 100)])
    assert not without_cause(sent, {stamp for _, stamp in sent[SLACK:]}, [], [(0, 100)])


def test_killed_process_leaves_no_shared_memory(graph):
    name = unique('killed')
    with process('self_segmentation.nodes.segmentation_node', '--ros-args', '-r', f'__ns:=/{name}') as child:
        graph.wait_until(lambda: child.poll() is not None or ('segmentation', f'/{name}') in
                         graph.node.get_node_names_and_namespaces(), 'the node')
        places = shared_memory_of(child.pid)
        kill(child)
    assert places and not remove_shared_memory(places)


@pytest.mark.parametrize('mb_a_minute, is_leak', [(0.0, False), (0.1, False), (0.4, True), (20.0, True)])
def test_memory_that_grows_after_warm_up_is_a_leak(mb_a_minute, is_leak):
    chance = random.Random(1)
    samples = [(float(second), mb_a_minute * second / 60 + chance.random() + 40 * (second % 60 > 20) + 50 * min(second, 240))
               for second in range(2400)]
    assert growth(samples)[0] == pytest.approx(mb_a_minute, abs=0.05) and leaks(samples) is is_leak
    assert growth(samples[:600]) is None and not leaks(samples[:600])


def test_error_line_needs_explanation():
    lines = ['[INFO] [1.0] [camera]: publishing', '[ERROR] [1.0] [camera]: lost', 'Traceback (most recent call last):',
             '[RTPS_TRANSPORT_SHM Error] Failed init_port fastdds_port7411: open_and_lock_file failed -> open_port_internal',
             '[FATAL] [1.0] [camera]: Fast DDS has lost fastdds_port7411 in /dev/shm']
    assert unexplained(lines) == lines[1:3]


def test_changes_match_labels_and_seed():
    made = list(islice(changes(random.Random('one')), 1500))
    assert made == list(islice(changes(random.Random('one')), 1500)) != list(islice(changes(random.Random('two')), 1500))
    settings, seen = Settings().updated(USUAL), {True: set(), False: set()}
    for values, valid in made:
        seen[valid] |= set(values)
        if valid:
            settings = settings.updated(values)
            continue
        with pytest.raises(SelfSegmentationError):
            Segmenter(load_assets(settings.updated(values)).model)
    assert seen[True] == {*LIVE} and seen[False] >= {*LIVE, 'treshold'}

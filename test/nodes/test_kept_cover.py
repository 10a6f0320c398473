# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""A node that was told to hide people does so after a restart, whatever its parameters are then."""
import signal
from pathlib import Path

import numpy as np
import pytest
import rclpy
import yaml
from conftest import unique
from machine import NOWHERE
from rclpy.node import Node
from rclpy.parameter import Parameter
from ros import Segmentation, message_of, picture_of

from self_segmentation.nodes.parameters import SettingsParameters

pytestmark = pytest.mark.processes  # each test starts a few ROS nodes in this process

GREEN = [0, 255, 0]
KEPT = {'replace': 'people'}
TO_END = 'ros2 param set /front/segmentation replace background'


class Started(Node):
    """A node with the settings as parameters, as at the start of its process."""

    def __init__(self, context: rclpy.Context, namespace: str, values: dict) -> None:
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        super().__init__('segmentation', namespace=namespace, context=context, parameter_overrides=overrides)
        self.tuning = SettingsParameters(self, lambda given: None)

    @property
    def replaces(self) -> str:
        assert self.get_parameter('replace').value == self.tuning.settings.replace
        return self.tuning.settings.replace

    def change(self, **values) -> None:
        assert self.set_parameters_atomically([Parameter(name, value=value) for name, value in values.items()]).successful


@pytest.fixture(scope='module')
def context():
    context = rclpy.Context()
    rclpy.init(args=[], context=context)
    yield context
    rclpy.shutdown(context=context)


@pytest.fixture
def start_node(context):
    """``start_node(namespace, values)`` ends the node that was started before."""
    nodes: list[Started] = []

    def end() -> None:
        while nodes:
            nodes.pop().destroy_node()

    def start_node(namespace: str = '/front', values: dict | None = None) -> Started:
        end()
        nodes.append(Started(context, namespace, values or {}))
        return nodes[0]

    yield start_node
    end()


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """ROS's folder, which is not there yet."""
    monkeypatch.setenv('ROS_HOME', str(tmp_path / 'ros'))
    return tmp_path / 'ros'


@pytest.fixture
def state(home) -> Path:
    """The state file of /front/segmentation, whose folder is there."""
    (home / 'self_segmentation').mkdir(parents=True)
    return home / 'self_segmentation' / 'front.segmentation.yaml'


@pytest.mark.parametrize('values', [{}, {'replace': 'background'}, {'replace': 'foreground'}], ids=str)
def test_node_that_was_told_to_hide_people_starts_so_and_tells_how_to_end_it(start_node, home, capfd, values):
    start_node().change(replace='people')
    capfd.readouterr()
    assert start_node(values=values).replaces == 'people'
    [line] = [line for line in capfd.readouterr().err.splitlines() if 'WARN' in line]
    assert TO_END in line and 'starts with replace = people' in line and str(home) in line


def test_node_that_is_to_hide_people_anyway_starts_without_a_word(start_node, state, capfd):
    start_node().change(replace='people')
    capfd.readouterr()
    assert start_node(values={'replace': 'people'}).replaces == 'people'
    assert 'WARN' not in capfd.readouterr().err


def test_replace_background_ends_it(start_node, home):
    start_node().change(replace='people')
    start_node().change(replace='background')
    assert start_node().replaces == 'background' and not list(home.rglob('*.*'))


def test_other_changes_and_start_up_parameters_are_not_kept(start_node, home):
    start_node(values={'replace': 'people'}).change(threshold=0.3)
    assert start_node().replaces == 'background' and not home.exists()


def test_refused_change_is_not_kept(start_node, home):
    node = start_node()
    assert not node.set_parameters_atomically([Parameter('replace', value='people'),
                                               Parameter('background.type', value='none')]).successful
    assert start_node().replaces == 'background' and not home.exists()


def test_nodes_of_other_names_are_told_apart(start_node):
    start_node('/a/b').change(replace='people')
    assert [start_node(name).replaces for name in ('/a/b', '/', '/a', '/a_b', '/b/a', '/b')] == ['people'] + 5 * ['background']


def test_what_shows_people_gives_way_to_what_was_kept(start_node, home, capfd):
    start_node().change(replace='people')
    node = start_node(values={'background.type': 'none', 'people.detector': False})
    assert node.replaces == 'people' and node.tuning.settings.people_detector
    assert node.tuning.settings.background_type not in ('none', 'topic') and "background.type = 'none'" in capfd.readouterr().err


@pytest.mark.parametrize('content', [b'', b'replace: background\n', b'replace', b'{', b'\xff\0', b'x' * (1 << 24)],
                         ids=lambda content: str(content[:20]))
def test_damaged_state_file_hides_people_and_is_reported(start_node, state, capfd, content):
    state.write_bytes(content)
    assert start_node().replaces == 'people'
    warning = capfd.readouterr().err
    assert str(state) in warning and TO_END in warning and ('is damaged' in warning or 'cannot be read' in warning)
    start_node().change(replace='background')
    assert start_node().replaces == 'background'


@pytest.mark.parametrize('make', [lambda state: state.symlink_to(NOWHERE), lambda state: state.mkdir(),
                                  lambda state: state.symlink_to(state)], ids=['broken link', 'folder', 'link to itself'])
def test_unreadable_state_file_hides_people_and_is_reported(start_node, state, capfd, make):
    make(state)
    assert start_node().replaces == 'people' and 'cannot be read' in capfd.readouterr().err


def test_state_file_is_whole_whatever_an_interrupted_write_left(start_node, state):
    Path(f'{state}.new').write_text('repl')
    assert start_node().replaces == 'background'
    start_node().change(replace='people')
    assert yaml.safe_load(state.read_text()) == KEPT and TO_END in state.read_text() and [*state.parent.iterdir()] == [state]


@pytest.mark.parametrize('variables', [{'ROS_HOME': NOWHERE}, {'ROS_HOME': '', 'HOME': NOWHERE},
                                       {'ROS_HOME': '~no.such.user/ros'}], ids=str)
def test_change_is_taken_where_it_cannot_be_kept_and_that_is_logged_once(start_node, monkeypatch, capfd, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    node = start_node()
    for value in ('people', 'background', 'people'):
        node.change(replace=value)
        assert node.replaces == value
    warnings = [line for line in capfd.readouterr().err.splitlines() if 'WARN' in line]
    assert len(warnings) == 1 and 'replace = people is not kept' in warnings[0] and 'ROS_HOME' in warnings[0]


def test_killed_node_never_shows_people_again(graph, start, astronaut):
    def start_process():
        return start.node('segmentation_node', namespace, replace='background', flip='false', background__color=str(GREEN))

    namespace = unique('kept')
    node = Segmentation(graph, namespace, start_process())
    before = node.pictures(astronaut)
    person = before['mask'] == 255
    assert person.any() and np.array_equal(before['output'][before['alpha'] == 255], astronaut[before['alpha'] == 255])
    assert node.change(replace='people') == []
    node.program.send(signal.SIGKILL)
    node.program.exit_code()
    for received in node.received.values():
        received.clear()
    node.program = start_process()
    for _ in range(8):  # more than it takes to know a scene
        node.results(message_of(astronaut))
        assert all((picture_of(message)[person] == GREEN).all() for message in node.received['output'])
    assert node.program.said.count(f'ros2 param set {node.name} replace background') == 1

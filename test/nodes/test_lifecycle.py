# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The segmentation node as a managed node: it brings itself up, and a lifecycle manager can take over."""
import resource
import shutil
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT, TUTORIAL, tutorial_settings, unique
from lifecycle_msgs.srv import ChangeState, GetState
from ros import Segmentation, message_of

from self_segmentation import Pipeline


class Managed(Segmentation):
    """The node with a lifecycle manager."""

    def __init__(self, graph, namespace, program) -> None:
        self._change = graph.node.create_client(ChangeState, f'/{namespace}/segmentation/change_state')
        self._get = graph.node.create_client(GetState, f'/{namespace}/segmentation/get_state')
        super().__init__(graph, namespace, program, kinds=())
        self.wait_until(lambda: self._change.service_is_ready() and self._get.service_is_ready(), 'the lifecycle services')

    @property
    def state(self) -> str:
        return self.call(lambda: self._get.call_async(GetState.Request())).current_state.label

    def change_state(self, label: str) -> bool:
        request = ChangeState.Request()
        request.transition.label = label
        return self.call(lambda: self._change.call_async(request)).success

    @property
    def outputs(self) -> int:
        return self.graph.node.count_publishers(f'{self.name}/output')

    def subscribe(self, *kinds: str) -> None:
        """Subscribe without waiting for the node to follow: it may not."""
        for kind in kinds:
            self.received[kind], self._subscriptions[kind] = self.graph.listen(f'{self.name}/{kind}')

    @property
    def camera_subscribed(self) -> bool:
        return self.graph.node.count_subscribers(self.topic) > 0


@pytest.fixture
def managed(nodes, shared_graph, start_shared):
    """A node that waits for its manager; the tests of this file share it until one shuts it down."""
    if not nodes or nodes[-1].program.code is not None:
        namespace = unique('managed')
        nodes.append(Managed(shared_graph, namespace, start_shared.node(
            'segmentation_node', namespace, '--params-file', TUTORIAL, autostart='false', flip='false')))
        assert nodes[-1].state == 'unconfigured'
    managed = nodes[-1]
    managed.listen()
    for state, label in (('active', 'deactivate'), ('inactive', 'cleanup')):
        assert managed.state != state or managed.change_state(label)
    managed.restore(tutorial_settings(flip=False, autostart=False))
    managed.wait_until(lambda: managed.outputs == 0 and managed.state == 'unconfigured', 'the node as it was')
    return managed


def test_autostart_activates_node(graph, start, astronaut):
    namespace = unique('managed')
    node = Managed(graph, namespace, start.node('segmentation_node', namespace))
    node.wait_until(lambda: node.state == 'active', 'the node to come up')
    node.listen('mask')
    assert node.pictures(astronaut)['mask'].any()


def test_without_autostart_waits_for_manager(managed, astronaut):
    assert managed.state == 'unconfigured' and managed.outputs == 0
    managed.subscribe('output')
    assert managed.change_state('configure') and managed.state == 'inactive'
    managed.wait_until(lambda: managed.outputs == 1, 'the outputs')
    for _ in range(3):
        managed.state  # noqa: B018  the node's turn: it has seen its subscriber by now
    assert not managed.camera_subscribed
    assert managed.change_state('activate') and managed.state == 'active'
    expected = Pipeline(tutorial_settings(flip=False)).process(astronaut).composite
    assert np.array_equal(managed.pictures(astronaut)['output'], expected)


def test_logs_one_line_per_lifecycle_state(managed):
    before = len(managed.program.said)
    for label in ('configure', 'activate'):
        assert managed.change_state(label)
    managed.listen('mask')
    managed.listen()
    for label in ('deactivate', 'cleanup'):
        assert managed.change_state(label)
    lines = [line.split(']: ')[1] for line in managed.program.said[before:].splitlines() if line.startswith('[INFO]')]
    assert len(lines) == 4  # subscribers that come and go are none of them
    begin, _, topics = lines[0].partition('; results on ')
    assert begin == 'configured: model general, background color'
    assert {f'{managed.name}/{kind}' for kind in ('output', 'mask', 'alpha', 'people', 'presence')} <= {*topics.split(', ')}
    assert [line.split()[0] for line in lines[1:]] == ['active:', 'inactive', 'unconfigured']


def test_debug_log_level_shows_changes_and_timings(graph, start, astronaut):
    namespace = unique('debug')
    level = '--log-level', f'{namespace}.segmentation:=debug'
    node = Managed(graph, namespace, start.node('segmentation_node', namespace, *level))
    node.listen('mask')
    assert node.change(threshold=0.4) == []

    def said(*parts: str) -> bool:
        return any(line.startswith('[DEBUG]') and all(part in line for part in parts) for line in node.program.said.splitlines())

    node.wait_until(lambda: node.pictures(astronaut) and said('segment p50 / p95 (ms)'), 'the times')
    assert said('threshold = 0.4') and '[rcl]' not in node.program.said
    assert said(f'subscribed to {node.topic} (raw)')
    node.listen()
    node.wait_until(lambda: said('idle: no result has subscribers'), 'the end of the subscription')


def test_deactivate_unsubscribes_and_activate_resumes(managed, astronaut):
    assert managed.change_state('configure') and managed.change_state('activate')
    managed.listen('mask')
    before = managed.pictures(astronaut)['mask']
    assert managed.change_state('deactivate') and managed.state == 'inactive'
    managed.wait_until(lambda: not managed.camera_subscribed, 'the end of the subscription')
    assert managed.outputs == 1
    assert managed.change_state('activate')
    assert np.array_equal(managed.pictures(astronaut)['mask'], before)


def test_cleanup_releases_memory(managed, astronaut):
    status = Path(f'/proc/{managed.program.pid}/statm')

    def memory() -> int:
        return int(status.read_text().split()[1]) * resource.getpagesize()

    large = message_of(cv2.resize(astronaut, (3840, 2160)))
    managed.subscribe('output', 'mask')
    idle = []
    for _ in range(3):
        assert managed.change_state('configure') and managed.change_state('activate')
        managed.results(large)
        active = memory()
        assert managed.change_state('deactivate') and managed.change_state('cleanup') and managed.state == 'unconfigured'
        managed.wait_until(lambda: managed.outputs == 0, 'the end of the outputs')
        managed.wait_until(lambda active=active: memory() < active - 2 * len(large.data), 'the memory of a frame and its results')
        idle.append(memory())
    assert idle[-1] - idle[-2] < len(large.data), idle


def test_checks_and_keeps_parameters_in_every_state(managed, astronaut):
    assert managed.change(background__color=[1, 2, 3]) == []
    assert managed.change(threshold=7.0) != []
    assert managed.change_state('configure')
    assert managed.change(flip=True) == []
    assert managed.change(background__image='/missing.png') != []
    assert managed.change_state('activate')
    managed.listen('output')
    expected = Pipeline(tutorial_settings(flip=True, background__color=[1, 2, 3])).process(astronaut).composite
    assert np.array_equal(managed.pictures(astronaut)['output'], expected)


@pytest.mark.parametrize('values', [
    {'model': '/missing.tflite'}, {'background__image': '/missing.png'}, {'background__video': '/missing.mp4'},
    {'model': str(ROOT / 'package.xml')}, {'background__type': 'image', 'background__image': str(ROOT / 'package.xml')}],
    ids=lambda values: ' '.join(values))
def test_unconfigured_node_refuses_file_that_cannot_be_used(managed, values):
    before = managed.values()
    reasons = managed.change(**values)
    assert reasons and all('missing' in reason or 'package.xml' in reason or 'needs background.image' in reason
                           for reason in reasons)
    assert managed.values() == before and managed.outputs == 0
    assert managed.change_state('configure') and 'going on with the default' not in managed.program.said


def test_configure_fails_where_file_that_was_set_is_gone(managed, tmp_path):
    model = tmp_path / 'model.tflite'
    shutil.copy(ROOT / 'models' / 'selfie_segmentation.tflite', model)
    assert managed.change(model=str(model)) == []
    model.unlink()
    assert not managed.change_state('configure') and managed.state == 'unconfigured'
    assert f'on_configure failed: model {model} does not exist' in managed.program.said
    assert managed.values()['model'] == str(model)  # nothing else is taken in its place
    assert managed.change(model='general') == [] and managed.change_state('configure') and managed.state == 'inactive'


def test_refuses_invalid_transition(managed):
    assert not managed.change_state('activate') and managed.state == 'unconfigured'
    assert managed.change_state('configure')
    assert not managed.change_state('configure') and managed.state == 'inactive'


def test_shutdown_finalizes_and_sigint_ends_process(managed):
    assert managed.change_state('configure') and managed.change_state('activate') and managed.change_state('shutdown')
    assert managed.state == 'finalized'
    managed.wait_until(lambda: managed.outputs == 0, 'the end of the outputs')
    managed.program.send(signal.SIGINT)
    assert managed.program.exit_code() == 0 and 'Traceback' not in managed.program.said

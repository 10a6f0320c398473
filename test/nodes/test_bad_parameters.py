# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Bad values for the parameters of a running node, and what is set and changes nothing."""
import re
import sys

import numpy as np
import pytest
from conftest import EMPTY_ROOM, SAMPLE, TUTORIAL, tutorial_settings, unique, wait_until
from damage import PNGS, damaged_models, is_allowed, many, with_wrong_filter
from hypothesis import assume, given
from hypothesis import strategies as st
from rclpy.parameter import Parameter
from ros import Segmentation

from self_segmentation import Pipeline
from self_segmentation.io.assets import MODELS
from self_segmentation.settings import TUNABLES

words = st.text(st.characters(exclude_categories=['Cs'], exclude_characters='\0'), max_size=20)
whole = st.integers(-2 ** 63, 2 ** 63 - 1)
ros = st.one_of(st.booleans(), whole, st.floats(), words, *(st.lists(kind, min_size=1, max_size=4)
                                                           for kind in (st.booleans(), whole, st.floats(), words)))


def test_running_node_refuses_every_invalid_parameter(graph, start, astronaut, tmp_path):
    namespace = unique('bad')
    program = start.node('segmentation_node', namespace, '--params-file', TUTORIAL, flip='false')
    node = Segmentation(graph, namespace, program)
    expected = Pipeline(tutorial_settings(flip=False)).process(astronaut)
    assert np.array_equal(node.pictures(astronaut)['mask'], expected.mask)
    before = node.values()

    def refused(name: str, value) -> None:
        [reason] = node.change(**{name: value})
        assert name in reason, (value, reason)

    @many(120)
    @given(st.sampled_from(list(TUNABLES.values())).flatmap(lambda tunable: st.tuples(st.just(tunable), ros)))
    def refused_whatever_it_is(drawn) -> None:
        tunable, value = drawn
        file = tunable.name in ('model', 'background.image') and value not in ('', *MODELS)
        assume(file or not is_allowed(tunable, value))
        refused(tunable.name, value)

    refused_whatever_it_is()
    (tmp_path / 'model.tflite').write_bytes(damaged_models()['wrong_shape'])
    (tmp_path / 'picture.png').write_bytes(with_wrong_filter(PNGS[0]))
    for name, file in (('model', 'model.tflite'), ('background.image', 'picture.png')):
        for value in ('~no_such_user/x', 'x' * 10000, str(tmp_path / file)):
            refused(name, value)
    assert node.values() == before
    results = node.pictures(astronaut)
    assert np.array_equal(results['mask'], expected.mask) and np.array_equal(results['output'], expected.composite)


# ---- at the start

def test_unusable_video_that_is_not_shown_leaves_image_and_type(graph, start, astronaut, tmp_path):
    namespace = unique('bad')
    program = start.node('segmentation_node', namespace, '--params-file', TUTORIAL, flip='false', background__type='image',
                         background__image=EMPTY_ROOM, background__video=tmp_path / 'missing.mp4')
    node = Segmentation(graph, namespace, program)
    values = node.values()
    assert (values['background.type'], values['background.image'], values['background.video']) == ('image', str(EMPTY_ROOM), '')
    with Pipeline(tutorial_settings(flip=False, background__type='image', background__image=str(EMPTY_ROOM))) as pipeline:
        assert np.array_equal(node.pictures(astronaut)['output'], pipeline.process(astronaut).composite)
    [line] = [line for line in program.said.splitlines() if 'missing.mp4' in line]
    assert line.endswith('going on with the default of background.video')


PLAIN = """
import rclpy, sys
from self_segmentation.nodes.lifetime import run

def make_node():
    node = rclpy.create_node('viewer')
    node.declare_parameter('title', '')
    return node

sys.exit(run(make_node))
"""
STARTED = {'camera_node': 'publishing', 'segmentation_node': 'active:', 'studio_node': 'open http'}


@pytest.mark.parametrize('node, name, nearest', [
    ('camera_node', 'video_devise', 'did you mean video_device?'), ('camera_node', 'fps', 'the nearest are '),
    ('studio_node', 'prot', 'did you mean port?'), ('segmentation_node', 'background.colour', 'did you mean background.color?'),
    ('', 'titel', 'did you mean title?')])
def test_unknown_start_up_parameter_is_named_with_nearest(start, node, name, nearest):
    own = ['-p', f'video_device:={SAMPLE}'] if node == 'camera_node' else ['-p', 'port:=0'] if node == 'studio_node' else []
    arguments = ['--ros-args', '-r', f'__ns:=/{unique("unknown")}', '-p', f'{name}:=1', *own]
    program = start(node, *arguments) if node else start('', *arguments, command=[sys.executable, '-c', PLAIN])
    wait_until(lambda: program.code is not None or f'{name} (from the start-up parameters)' in program.said, 'the word')
    [line] = [line for line in program.said.splitlines() if name in line]
    assert line.startswith('[ERROR]') and nearest in line and 'it is ignored' in line and len(line) < 300


SECTIONS = {  # and whether they are for /front/segmentation
    'segmentation2': False, '/segmentation': False, 'segmentation': False, '/rear/segmentation': False, '/*': False,
    '/*/*/segmentation': False, '/front': False, '/**': True, '/front/segmentation': True, 'front/segmentation': True,
    '/*/segmentation': True, '/**/segmentation': True, '/front/*': True}


def test_parameter_files_without_section_for_node_are_reported(start, tmp_path):
    """ROS itself decides: what it passes on is not reported, and what it leaves out is."""
    paths = {}
    for number, section in enumerate(SECTIONS):
        paths[section] = tmp_path / f'{number}.yaml'
        paths[section].write_text(f'{section!r}:\n  ros__parameters:\n    unknown{number}: 1\n')
    program = start('camera_node', '--ros-args', '-r', '__ns:=/front', '-r', '__node:=segmentation', '-p',
                    f'video_device:={SAMPLE}', *(part for path in paths.values() for part in ('--params-file', path)))
    for number, (section, path) in enumerate(paths.items()):
        said = rf'\[WARN\].*parameter file {path}: nothing is taken from it: it is for {re.escape(section)}, and this is ' \
               '/front/segmentation'
        wait_until(lambda number=number, said=said: f'unknown{number} (from the start-up parameters)' in program.said
                   or re.search(said, program.said), f'a word of {section}')
        is_taken = f'unknown{number} (from the start-up parameters)' in program.said
        assert is_taken == SECTIONS[section] or '*' in section  # some versions of ROS know fewer patterns
        assert is_taken != bool(re.search(said, program.said)), section


def test_parameter_file_of_many_nodes_is_reported_briefly(start, tmp_path):
    path = tmp_path / 'robot.yaml'
    path.write_text(''.join(f'/robot/node{number}: {{ros__parameters: {{a: 1}}}}\n' for number in range(60)))
    program = start('camera_node', '--ros-args', '--params-file', path, '-p', f'video_device:={SAMPLE}')
    wait_until(lambda: program.code is not None or 'nothing is taken from it' in program.said, 'the word')
    [line] = [line for line in program.said.splitlines() if 'nothing is taken from it' in line]
    assert '/robot/node4 and 55 more' in line and 'node5' not in line


@pytest.mark.parametrize('given', ['file', 'argument'])
def test_color_is_taken_at_start_in_hexadecimal(graph, start, tmp_path, given):
    path = tmp_path / 'color.yaml'
    path.write_text('/**:\n  ros__parameters:\n    background:\n      color: "#008000"\n')
    arguments, namespace = ['--params-file', path] if given == 'file' else ['-p', 'background.color:=#008000'], unique('color')
    node = Segmentation(graph, namespace, start.node('segmentation_node', namespace, *arguments), kinds=())
    assert node.values()['background.color'] == (0, 128, 0) and 'is not allowed' not in node.program.said


@pytest.mark.parametrize('value', ['0,128,0', '[0, 128, 0]', '#008000', [0, 128, 0]], ids=str)
def test_color_is_changed_in_every_spelling(node, value):
    assert node.change(background__color=value) == [] and node.values()['background.color'] == (0, 128, 0)


def test_color_that_yaml_takes_for_comment_names_quotes(start, tmp_path):
    path = tmp_path / 'color.yaml'
    path.write_text('/**:\n  ros__parameters:\n    background.color: #008000\n')
    program = start('segmentation_node', '--ros-args', '--params-file', path)
    assert program.exit_code() == 2 and str(path) in program.said and '"#008000"' in program.said


# ---- changes

def results_of(node, **values):
    parameters = [Parameter(name.replace('__', '.'), value=value) for name, value in values.items()]
    return node.call(lambda: node.parameters.set_parameters(parameters)).results


@pytest.mark.parametrize('values, reason', [
    ({'background__image': str(EMPTY_ROOM)}, 'background.image has no effect while background.type is color: set '
                                             'background.type to image'),
    ({'background__video': str(SAMPLE)}, 'set background.type to video'), ({'background__blur': 0.1}, 'background.type to blur'),
    ({'background__fit': 'tile'}, 'background.type to image or video or topic'),
    ({'privacy__margin': 0.1}, 'set replace to people'), ({'edge__radius': 5}, 'edge.filter to guided'),
    ({'edge__sigma_color': 5.0, 'edge__epsilon': 1.0}, 'edge.filter to joint_bilateral')])
def test_change_without_effect_is_taken_and_reported(node, values, reason):
    before = len(node.program.said)
    for result in results_of(node, **values):
        assert result.successful and reason in result.reason
    lines = [line for line in node.program.said[before:].splitlines() if 'has no effect' in line]
    assert len(lines) == 1 and lines[0].startswith('[WARN]') and reason in lines[0]


def test_change_with_effect_is_not_reported(node):
    before = len(node.program.said)
    for values in ({'background__image': str(EMPTY_ROOM), 'background__type': 'image'}, {'background__fit': 'tile'},
                   {'threshold': 0.2, 'background__blur': 0.2}):
        assert all(result.successful and not result.reason for result in results_of(node, **values))
    assert 'has no effect' not in node.program.said[before:]

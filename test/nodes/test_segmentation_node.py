# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The segmentation node as its users meet it: a process of its own, topics and parameters."""
import array
import signal
import sys

import cv2
import numpy as np
import pytest
from conftest import EMPTY_ROOM, ROOT, TUTORIAL, area, iou, tutorial_settings, unique
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.parameter import Parameter, parameter_value_to_python
from ros import Segmentation, message_of, picture_of
from sensor_msgs.msg import Image

from self_segmentation import Pipeline
from self_segmentation.settings import TUNABLES, Settings, read_yaml

# The tutorial's settings look at each frame by itself, so what one test sends does not show in the next one's results.
USUAL = dict(tutorial_settings(flip=False).items())


@pytest.fixture(scope='module')
def expected(astronaut):
    """What the pipeline makes of the astronaut."""
    return Pipeline(tutorial_settings(flip=False)).process(astronaut)


def ros(values: dict) -> dict:
    """Values as :meth:`Segmentation.change` takes them."""
    return {name.replace('.', '__'): list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def test_results_keep_header_of_frame(node, astronaut):
    message = message_of(astronaut)
    message.header.frame_id = 'some_camera_optical_frame'
    message.header.stamp.sec, message.header.stamp.nanosec = 1234567890, 123456789
    results = node.results(message)
    for kind, encoding, channels in (('output', 'bgr8', 3), ('mask', 'mono8', 1), ('alpha', 'mono8', 1)):
        result = results[kind]
        assert result.header == message.header
        assert (result.header.stamp.sec, result.header.stamp.nanosec) == (1234567890, 123456789)
        assert (result.width, result.height, result.encoding, result.step) == (512, 512, encoding, 512 * channels)


def test_keeps_person_and_replaces_background(node, astronaut, expected):
    results = node.pictures(astronaut)
    assert 0.4 < area(results['mask']) < 0.7 and set(np.unique(results['mask'])) == {0, 255}
    assert (results['output'][results['alpha'] == 0] == 192).all()
    assert np.array_equal(results['output'][results['alpha'] == 255], astronaut[results['alpha'] == 255])
    for kind, picture in (('output', expected.composite), ('mask', expected.mask), ('alpha', expected.alpha)):
        assert np.array_equal(results[kind], picture), kind


def test_empty_room_gives_empty_mask_and_grey_composite(node, sample):
    assert node.change(flip=True) == []  # as in the tutorial; the other way round its model sees a speck in this room
    results = node.pictures(sample[0])
    assert not results['mask'].any() and not results['alpha'].any() and (results['output'] == 192).all()


def test_defaults_find_person_and_leave_room_empty(graph, start, astronaut, sample):
    namespace = unique('defaults')
    node = Segmentation(graph, namespace, start.node('segmentation_node', namespace))
    assert node.values() == dict(Settings().items())
    results = node.pictures(sample[0])
    assert not results['mask'].any() and (results['output'] == 192).all()
    for _ in range(30):  # the next frames of a video in which somebody came
        results = node.pictures(astronaut)
        if 0.45 < area(results['mask']) < 0.65:
            break
    assert 0.45 < area(results['mask']) < 0.65
    mirrored = cv2.flip(astronaut, 1)
    assert np.array_equal(results['output'][results['alpha'] == 255], mirrored[results['alpha'] == 255])
    assert (results['output'][results['alpha'] == 0] == 192).all()


@pytest.mark.parametrize('changes', [
    {'threshold': 0.9}, {'threshold': 1}, {'flip': True}, {'background.color': [10, 100, 250]}, {'model': 'landscape'},
    {'softness': 1.0, 'edge.filter': 'none'}, {'background.image': str(EMPTY_ROOM), 'background.type': 'image'},
], ids=lambda changes: '+'.join(changes))
def test_parameter_change_acts_on_next_frame(node, astronaut, expected, changes):
    assert node.change(**ros(changes)) == []
    results = node.pictures(astronaut)
    changed = Pipeline(tutorial_settings(**{'flip': False, **ros(changes)})).process(astronaut)
    assert not np.array_equal(changed.composite, expected.composite)  # it makes a difference
    for kind, picture in (('output', changed.composite), ('mask', changed.mask), ('alpha', changed.alpha)):
        assert np.array_equal(results[kind], picture), kind


def test_flip_mirrors_mask_and_composite(node, astronaut):
    plain = node.pictures(astronaut)
    assert node.change(flip=True) == []
    mirrored = node.pictures(astronaut)
    assert iou(mirrored['mask'], cv2.flip(plain['mask'], 1)) > 0.98 > iou(mirrored['mask'], plain['mask']) + 0.1
    both = (mirrored['mask'] > 0) & (cv2.flip(plain['mask'], 1) > 0)
    assert np.array_equal(mirrored['output'][both], cv2.flip(plain['output'], 1)[both])


def test_parameters_change_atomically(node):
    def change(**values):
        parameters = [Parameter(name.replace('__', '.'), value=value) for name, value in values.items()]
        return node.call(lambda: node.parameters.set_parameters_atomically(parameters)).result

    assert change(background__type='image', background__image=str(EMPTY_ROOM), threshold=0.4).successful
    before = node.values()
    refused = change(threshold=0.2, softness=7.0)
    assert not refused.successful and 'softness' in refused.reason
    assert node.values() == before and before['threshold'] == 0.4


@pytest.mark.parametrize('name, value, reasons', [
    ('threshold', float('nan'), ['threshold', 'nan', '0', '1']), ('threshold', 1.5, ['threshold', '1.5', '0', '1']),
    ('threshold', -1, ['threshold', '-1', '0', '1']), ('threshold', 'much', ['threshold', 'much', 'a number from 0 to 1']),
    ('flip', 1, ['flip', '1', 'true or false']),
    ('edge.diameter', 500, ['edge.diameter', '500', '49']), ('edge.filter', 'median', ['edge.filter', 'median', 'bilateral']),
    ('background.color', [1, 2], ['background.color = [1, 2]', 'three whole numbers red, green, blue']),
    ('background.color', [1.0, 2.0, 3.0], ['background.color', 'three whole numbers']),
    ('background.image', '/', ['background.image', "'/'", 'folder']),
    ('background.image', '/missing.png', ['background.image', '/missing.png', 'does not exist']),
    ('background.type', 'image', ['background.type', 'background.image']),
    ('model', '/missing.tflite', ['/missing.tflite', "'general', 'landscape'"]), ('model', '', ['model']),
])
def test_refuses_invalid_parameter_and_keeps_serving(node, astronaut, expected, name, value, reasons):
    [reason] = node.change(**ros({name: value}))
    assert all(part in reason for part in reasons), reason
    assert node.values() == USUAL
    results = node.pictures(astronaut)
    assert np.array_equal(results['output'], expected.composite) and np.array_equal(results['mask'], expected.mask)


def describe(node, name):
    return node.call(lambda: node.parameters.describe_parameters([name])).descriptors[0]


@pytest.mark.parametrize('name, value, taken', [('threshold', 1, 1.0), ('threshold', '3e-01', 0.3), ('edge.epsilon', '1', 1.0)])
def test_accepts_integer_and_text_as_float(node, name, value, taken):
    before = describe(node, name)
    assert node.change(**ros({name: value})) == []
    assert node.values()[name] == taken and type(node.values()[name]) is float
    assert describe(node, name) == before


def test_refused_change_keeps_parameter_description(node):
    before = describe(node, 'threshold')
    [reason] = node.change(threshold=True)
    assert 'threshold = True' in reason and describe(node, 'threshold') == before


def test_read_only_parameter_refuses_change(node):
    [reason] = node.change(autostart=False)
    assert 'autostart' in reason and 'read-only' in reason
    assert node.change(autostart=True) == [] and node.values() == USUAL


def test_one_request_takes_parameters_in_any_order(node):
    complaints = node.program.said.count('needs background.image')
    image = {'background.type': 'image', 'background.image': str(EMPTY_ROOM)}
    assert node.change(**ros(image)) == []
    assert node.change(**ros({'background.image': '', 'background.type': 'color'})) == []
    [reason] = node.change(**ros({**image, 'threshold': 7.0}))
    assert 'threshold = 7.0' in reason
    assert node.values() == {**USUAL, **image}
    assert node.program.said.count('needs background.image') == complaints


def test_ros2_param_load_takes_shipped_configuration(node):
    """Its client makes texts of numbers with an exponent, and sends one request in the order of the file."""
    values = read_yaml(ROOT / 'config' / 'segmentation.yaml')
    texts = {name: f'{value:e}' if type(value) is float else value for name, value in values.items()}
    assert node.change(**ros(texts)) == [] and node.values() == dict(Settings().items())


def test_ros2_param_dump_can_be_loaded_again(node):
    names = node.call(lambda: node.parameters.list_parameters()).result.names
    values = node.call(lambda: node.parameters.get_parameters(names)).values
    dumped = {name: parameter_value_to_python(value) for name, value in zip(names, values)}
    assert any(name.startswith('qos_overrides.') for name in dumped) and 'use_sim_time' in dumped
    assert node.change(**ros(dumped)) == [] and node.values() == USUAL
    [override] = [name for name in dumped if name.endswith('segmentation/mask.publisher.depth')]
    [reason] = node.change(**{override: 5})
    assert override in reason and 'read-only' in reason


@pytest.mark.parametrize('service', [SetParameters, SetParametersAtomically])
def test_refuses_parameter_of_unknown_type(node, graph, service):
    name = {SetParameters: 'set_parameters', SetParametersAtomically: 'set_parameters_atomically'}[service]
    client = graph.node.create_client(service, f'{node.name}/{name}')
    node.wait_until(client.service_is_ready, 'the service')
    request = service.Request(parameters=[ParameterMessage(name='threshold', value=ParameterValue(type=99))])
    answer = node.call(lambda: client.call_async(request))
    result = answer.results[0] if service is SetParameters else answer.result
    assert not result.successful and 'threshold' in result.reason and '99' in result.reason
    assert node.values() == USUAL


TRIPS = """
from self_segmentation import Pipeline
from self_segmentation.nodes import segmentation_node

def read(pipeline, settings, named=(), really=Pipeline.read):
    if settings.threshold == 0.9:
        raise ZeroDivisionError('nobody expects it')
    really(pipeline, settings, named)

Pipeline.read = read
raise SystemExit(segmentation_node.main())
"""


def test_change_that_fails_unexpectedly_is_refused_and_leaves_all_as_it_was(graph, start, astronaut):
    namespace = unique('trips')
    program = start('', '--ros-args', '-r', f'__ns:=/{namespace}', command=[sys.executable, '-c', TRIPS])
    node = Segmentation(graph, namespace, program, kinds=('mask',))
    before = node.values()
    [reason] = node.change(threshold=0.9)
    assert 'ZeroDivisionError: nobody expects it' in reason and node.values() == before
    assert node.change(flip=not before['flip']) == [] and node.values() == {**before, 'flip': not before['flip']}
    assert node.results(message_of(astronaut)) and 'Traceback' in program.said


def test_parameter_cannot_be_deleted(node):
    [reason] = node.change(threshold=None)
    assert 'threshold = None' in reason
    assert node.values() == USUAL


def test_every_parameter_has_description_and_range(node):
    described = node.call(lambda: node.parameters.describe_parameters(list(TUNABLES))).descriptors
    assert [d.name for d in described] == list(TUNABLES)
    for descriptor, tunable in zip(described, TUNABLES.values()):
        assert descriptor.description == tunable.text and tunable.allowed in descriptor.additional_constraints
        assert descriptor.read_only == tunable.read_only
        assert descriptor.type == Parameter(tunable.name, value=list(ros({'_': tunable.default}).values())[0]).type_.value
        ranges = [*descriptor.floating_point_range, *descriptor.integer_range]
        if tunable.minimum is None:
            assert not ranges
        else:
            assert [(r.from_value, r.to_value) for r in ranges] == [(tunable.minimum, tunable.maximum)]
    assert node.values() == USUAL


BAD = {
    'an unknown encoding': (6, 4, 'nonsense', 72, 'nonsense'),
    'short data': (640, 480, 'bgr8', 1000, '1000 bytes'),
    'zero size': (0, 0, 'bgr8', 0, '0x0'),
    'absurd size': (20000, 20000, 'bgr8', 100, '20000x20000'),
}


@pytest.mark.parametrize('bad', BAD.values(), ids=list(BAD))
def test_logs_bad_image_and_serves_next(node, astronaut, expected, bad):
    width, height, encoding, length, named = bad
    bad = Image(width=width, height=height, step=width * 3, encoding=encoding, data=array.array('B', bytes(length)))

    def said() -> bool:
        node.send(bad)
        return named in node.program.said

    node.wait_until(said, f'{named} in the log')  # equal complaints are seconds apart, so it may take a few
    results = node.results(message_of(astronaut))
    assert np.array_equal(picture_of(results['mask']), expected.mask)
    assert all(m.header != bad.header for received in node.received.values() for m in received)
    assert 'Traceback' not in node.program.said


@pytest.mark.parametrize('encoding', ['rgb8', 'bgra8', 'mono8', 'yuv422_yuy2'])
def test_other_encodings_match_bgr8(node, astronaut, expected, encoding):
    conversion = {'rgb8': cv2.COLOR_BGR2RGB, 'bgra8': cv2.COLOR_BGR2BGRA, 'mono8': cv2.COLOR_BGR2GRAY,
                  'yuv422_yuy2': cv2.COLOR_BGR2YUV_YUY2}[encoding]
    results = node.pictures(cv2.cvtColor(astronaut, conversion), encoding, 24)
    if encoding in ('rgb8', 'bgra8'):
        assert np.array_equal(results['output'], expected.composite) and np.array_equal(results['mask'], expected.mask)
    else:
        assert iou(results['mask'], expected.mask) > (0.9 if encoding == 'mono8' else 0.97)
    if encoding == 'yuv422_yuy2':
        both = (results['mask'] > 0) & (expected.mask > 0)
        assert np.abs(results['output'][both].astype(int) - expected.composite[both]).mean() < 3


def test_results_follow_frame_size(node, astronaut):
    for size in ((641, 479), (320, 240), (641, 479)):
        results = node.pictures(cv2.resize(astronaut, size))
        assert {kind: picture.shape[:2] for kind, picture in results.items()} == dict.fromkeys(results, size[::-1])
        assert 0.4 < area(results['mask']) < 0.7


def test_subscribes_camera_only_while_results_are_wanted(node, graph):
    assert graph.node.count_subscribers(node.topic) == 1
    node.listen()
    graph.wait_until(lambda: graph.node.count_subscribers(node.topic) == 0, 'the end of the subscription')
    for kind in Segmentation.KINDS:
        node.listen(kind)
        graph.wait_until(lambda: graph.node.count_subscribers(node.topic) == 1, f'the subscription for {kind}')
    node.listen()
    graph.wait_until(lambda: graph.node.count_subscribers(node.topic) == 0, 'the end of the subscription')


def test_does_not_subscribe_camera_before_first_listener(graph, start, astronaut):
    namespace = unique('fresh')
    node = Segmentation(graph, namespace, start.node('segmentation_node', namespace), kinds=())
    for _ in range(3):  # long after all of the node's own topics have been found
        assert node.values()
        assert graph.node.count_publishers(f'{node.name}/output') == 1
        assert graph.node.count_subscribers(node.topic) == 0
    node.listen('mask')
    assert node.pictures(astronaut)


def test_publishes_only_subscribed_results(node, astronaut, expected):
    for kind, picture in (('mask', expected.mask), ('alpha', expected.alpha), ('output', expected.composite)):
        node.listen(kind)
        results = node.pictures(astronaut)
        assert set(results) == {kind} and np.array_equal(results[kind], picture)


def test_late_subscriber_gets_no_earlier_frame(node, astronaut):
    node.listen('mask')
    early = [node.results(message_of(astronaut))['mask'].header for _ in range(3)]
    node.listen('mask', 'output')
    node.received['output'].clear()
    late = node.results(message_of(astronaut))['output'].header
    assert late not in early and {m.header.frame_id for m in node.received['output']} == {late.frame_id}


def test_namespaces_keep_nodes_apart(node, graph, start, astronaut, sample, expected):
    namespace = unique('other')
    program = start.node('segmentation_node', namespace, '--params-file', TUTORIAL, flip='false', background__color='[1, 2, 3]')
    other = Segmentation(graph, namespace, program)
    here, there = node.send(message_of(astronaut)), other.send(message_of(sample[80]))
    for one, header in ((node, here.header), (other, there.header)):
        results = one.results(message_of(astronaut, header=header) if one is node else message_of(sample[80], header=header))
        assert picture_of(results['mask']).shape == ((512, 512) if one is node else (480, 640))
    ours = node.pictures(astronaut)
    theirs = other.pictures(astronaut)
    assert np.array_equal(ours['output'], expected.composite)
    assert np.array_equal(ours['mask'], theirs['mask']) and (theirs['output'][theirs['alpha'] == 0] == (3, 2, 1)).all()
    assert other.change(threshold=0.9) == [] and node.values() == USUAL


def test_invalid_parameters_at_startup_fall_back_to_defaults(graph, start, astronaut):
    namespace = unique('wrong')
    program = start.node('segmentation_node', namespace, threshold='1', softness='.nan', edge__diameter='99',
                         edge__filter='median', background__color='[1, 2]', background__type='image',
                         background__image='/missing.png', model='/missing.tflite', treshold='0.3', flip='false')
    node = Segmentation(graph, namespace, program)
    defaults = dict(Settings().items())
    assert node.values() == {**defaults, 'threshold': 1.0, 'flip': False}
    said = program.said
    for parts in (('softness', 'nan', TUNABLES['softness'].allowed), ('edge.diameter', '99', TUNABLES['edge.diameter'].allowed),
                  ('edge.filter', 'median', 'none'), ('background.color', '[1, 2]', 'three whole numbers'),
                  ('background.image', '/missing.png', 'does not exist'), ('/missing.tflite', "'general', 'landscape'"),
                  ('treshold', 'did you mean threshold?')):
        assert any(all(part in line for part in parts) for line in said.splitlines() if '[ERROR]' in line), (parts, said)
    assert node.change(threshold=0.5) == []
    assert node.results(message_of(astronaut))


@pytest.mark.parametrize('given', [{'threshold': 'much'}, {'flip': '3'}, {'background__type': 'image'},
                                   {'background__type': 'image', 'background__color': '[1, 2]'}, {'background__type': '7'}],
                         ids=lambda given: '+'.join(f'{name}={value}' for name, value in given.items()))
def test_starts_with_conflicting_or_mistyped_parameters(graph, start, given):
    namespace = unique('wrong')
    program = start.node('segmentation_node', namespace, **given)
    mask = f'/{namespace}/segmentation/mask'
    graph.wait_until(lambda: program.code is not None or graph.node.count_publishers(mask), 'the node')
    assert program.code is None, program.said
    node = Segmentation(graph, namespace, program, kinds=())
    assert node.values() == dict(Settings().items())
    assert all(any(name.replace('__', '.') in line for line in program.said.splitlines() if '[ERROR]' in line) for name in given)
    program.send(signal.SIGINT)
    assert program.exit_code() == 0


def test_argument_overrides_parameter_file(node):
    assert node.values() == USUAL  # started with config/tutorial.yaml and flip:=false
    assert tutorial_settings().flip is True


@pytest.mark.parametrize('bits', [10, 12, 14, 16])
def test_scales_16_bit_image_by_camera_bit_depth(node, astronaut, bits):
    node.listen()  # the depth is that of one subscription
    node.listen('output', 'mask')
    grey = cv2.cvtColor(astronaut, cv2.COLOR_BGR2GRAY)
    grey[0, 0] = 255
    deep = node.pictures((grey.astype('<u2') << (bits - 8))[..., None].view(np.uint8).reshape(512, 512, 2), 'mono16')
    shallow = node.pictures(grey, 'mono8')
    assert np.array_equal(deep['mask'], shallow['mask']) and np.array_equal(deep['output'], shallow['output'])
    assert f'{node.topic} uses {bits} of 16 bits' in node.program.said

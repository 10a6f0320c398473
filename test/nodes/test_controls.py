# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What is put in the place of what, as users of the node see it: topics, services and parameters of a process of its own."""
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import SAMPLE, TUTORIAL, tutorial_settings, unique
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import QoSProfile
from ros import Segmentation, message_of, picture_of
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool, Trigger

from self_segmentation import Pipeline
from self_segmentation.settings import Settings

GREY, GREEN = 192, (0, 255, 0)


@pytest.fixture
def hiding(graph, start):
    """A node that covers people with grey, not mirrored, with a subscriber of each result."""
    namespace = unique('hiding')
    return Segmentation(graph, namespace, start.node('segmentation_node', namespace, replace='people', flip='false'))


def service(node, kind, name):
    client = node.graph.node.create_client(kind, f'{node.name}/{name}')
    node.wait_until(client.service_is_ready, f'the service {name}')

    def call(**values):
        return node.call(lambda: client.call_async(kind.Request(**values)))

    return call


def is_covered(picture) -> bool:
    return bool((picture == GREY).all())


def uncovered(node, frames):
    """Send frames until one is not covered as a whole; return its results and how many were covered before."""
    for count, frame in enumerate(frames):
        results = node.pictures(frame)
        if not is_covered(results['output']):
            return results, count
    pytest.fail('every frame was covered')


def test_topic_background_shows_newest_image_or_color(node, astronaut):
    assert node.change(background__type='topic') == []
    assert (node.pictures(astronaut)['output'][:40, :40] == GREY).all()
    sender = node.graph.node.create_publisher(Image, f'{node.name}/background', QoSProfile(depth=1))
    node.wait_until(lambda: sender.get_subscription_count() == 1, 'the subscription of the background')

    def shows(value, *shape_and_encoding):
        *shape, encoding = shape_and_encoding
        sender.publish(message_of(np.full(shape, value, np.uint8), encoding))
        return (node.pictures(astronaut)['output'][5, 5] == value).all()

    node.wait_until(lambda: shows(40, 90, 120, 3, 'rgb8'), 'a small background')
    node.wait_until(lambda: shows(90, 480, 640, 3, 'bgr8'), 'a background of another size')
    node.wait_until(lambda: shows(140, 33, 77, 1, 'mono8'), 'a grey background')
    deep = np.full((40, 90), 2048, '<u2')  # of a camera of 12 bits
    deep[0, 0] = 4095
    sender.publish(message_of(deep[..., None].view(np.uint8).reshape(40, 90, 2), 'mono16'))
    node.wait_until(lambda: (node.pictures(astronaut)['output'][20, 20] == 128).all(), 'a background of 12 bits')
    wrong = message_of(np.zeros((9, 9, 3), np.uint8), 'no such encoding')
    node.wait_until(lambda: sender.publish(wrong) or 'no such encoding' in node.program.said, 'the report of a wrong background')
    node.wait_until(lambda: (node.pictures(astronaut)['output'][:40, :40] == GREY).all(), 'the colour after silence')
    node.wait_until(lambda: 'the colour is shown' in node.program.said, 'the word that the background is silent')
    assert node.change(background__type='color') == []
    node.wait_until(lambda: sender.get_subscription_count() == 0, 'the end of the subscription')


def test_refused_background_topic_changes_nothing(graph, start, astronaut):
    namespace = unique('refused')
    override = f'qos_overrides./{namespace}/segmentation/background.subscription.depth'
    node = Segmentation(graph, namespace, start.node('segmentation_node', namespace, '--params-file', TUTORIAL, '-p',
                                                     f'{override}:=-3', background__type='blur'), kinds=('output',))
    before = node.pictures(astronaut)['output']
    [reason] = node.change(background__type='topic')
    assert f'/{namespace}/segmentation/background is not allowed' in reason
    assert np.array_equal(node.pictures(astronaut)['output'], before)
    assert node.values()['background.type'] == 'blur'


def test_transparent_output_is_bgra8_with_straight_alpha(node, astronaut):
    assert node.change(background__type='transparent') == []
    results = node.results(message_of(astronaut))
    assert results['output'].encoding == 'bgra8' and results['output'].step == 512 * 4
    picture, alpha = picture_of(results['output']), picture_of(results['alpha'])
    assert np.array_equal(picture[..., 3], alpha) and np.array_equal(picture[alpha == 255][:, :3], astronaut[alpha == 255])
    assert not picture[alpha == 0].any()
    assert node.change(background__type='none') == []
    results = node.results(message_of(astronaut))
    assert results['output'].encoding == 'bgr8' and np.array_equal(picture_of(results['output']), astronaut)
    assert picture_of(results['mask']).any()


def test_switches_background_type_and_keeps_old_one_on_error(node, astronaut, tmp_path):
    broken = tmp_path / 'broken.mp4'
    broken.write_bytes(SAMPLE.read_bytes()[:3000])
    assert node.change(background__color=[0, 255, 0]) == []
    [reason] = node.change(background__video=str(broken))
    assert 'background.video' in reason and str(broken) in reason
    [reason] = node.change(background__type='video')
    assert 'needs background.video' in reason
    assert (node.pictures(astronaut)['output'][:40, :40] == GREEN).all()
    assert node.change(background__video=str(SAMPLE), background__type='video') == []
    assert not (node.pictures(astronaut)['output'][:40, :40] == GREEN).all()


def test_pause_keeps_last_composite_until_resumed(node, astronaut, sample):
    pause = service(node, SetBool, 'pause')
    before = node.pictures(astronaut)
    assert pause(data=True).success
    for frame in (sample[60], sample[0]):
        message = message_of(frame)
        results = node.results(message)
        assert all(np.array_equal(picture_of(results[kind]), before[kind]) for kind in before)
        assert all(m.header == message.header for m in results.values())
    assert pause(data=False).success
    assert node.pictures(sample[0])['output'].shape == sample[0].shape


def test_save_writes_last_frame_and_its_results(node, astronaut, tmp_path):
    save = service(node, Trigger, 'save')
    assert node.change(save_dir=str(tmp_path / 'my pictures')) == []
    results = node.pictures(astronaut)
    answer = save()
    assert answer.success, answer.message
    path = Path(answer.message)
    assert path.parent == tmp_path / 'my pictures' and path.name.endswith('_output.png')
    saved = {kind: cv2.imread(str(path).replace('_output', f'_{kind}'), cv2.IMREAD_UNCHANGED)
             for kind in ('input', 'mask', 'alpha', 'output')}
    assert np.array_equal(saved['input'], astronaut)
    assert all(np.array_equal(saved[kind], results[kind]) for kind in results)
    (tmp_path / 'file').touch()
    assert node.change(save_dir=str(tmp_path / 'file')) == []
    answer = save()
    assert not answer.success and str(tmp_path / 'file') in answer.message


def saved_in(folder: Path) -> dict[str, np.ndarray]:
    return {path.stem.rpartition('_')[2]: cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in folder.iterdir()}


def test_save_writes_what_was_published_and_changes_no_later_frame(graph, start, sample, tmp_path):
    """With the defaults, by which a frame's mask goes by those before it."""
    namespace = unique('saving')
    program = start.node('segmentation_node', namespace, flip='false', save_dir=tmp_path)
    node = Segmentation(graph, namespace, program, kinds=('mask', 'output'))
    save, pipeline = service(node, Trigger, 'save'), Pipeline(Settings().updated({'flip': False}))
    for number, frame in enumerate(sample[40:60]):
        message = message_of(frame)
        message.header.frame_id, message.header.stamp.nanosec = f'{number}', number * 40_000_000
        results = {kind: picture_of(result) for kind, result in node.results(message, again=30.0).items()}
        expected = pipeline.process(frame, stamp=number * 0.04)
        assert np.array_equal(results['mask'], expected.mask) and np.array_equal(results['output'], expected.composite), number
        if number in (7, 12):
            for path in tmp_path.iterdir():
                path.unlink()
            answer = save()
            assert answer.success, answer.message
            saved = saved_in(tmp_path)
            assert np.array_equal(saved['input'], frame) and np.array_equal(saved['alpha'], expected.alpha)
            assert all(np.array_equal(saved[kind], results[kind]) for kind in ('mask', 'output'))
    pipeline.close()


def idle_node(graph, start, **parameters):
    """A node without subscribers, and a way to have it save while frames of a message come."""
    namespace = unique('idle')
    node = Segmentation(graph, namespace, start.node('segmentation_node', namespace, flip='false', **parameters), kinds=())
    client = graph.node.create_client(Trigger, f'{node.name}/save')
    node.wait_until(client.service_is_ready, 'the service')

    def save(message=None):
        def spin():
            if message is not None:
                node.send(message)
            node.spin()

        answer = graph.call(lambda: client.call_async(Trigger.Request()), spin)
        node.wait_until(lambda: graph.node.count_subscribers(node.topic) == 0, 'the end of the subscription')
        return answer

    return node, save, client


def test_save_without_subscriber_takes_next_frame(graph, start, astronaut, tmp_path):
    node, save, _ = idle_node(graph, start, save_dir=tmp_path)
    answer = save(message_of(astronaut))
    assert answer.success, answer.message
    saved = saved_in(tmp_path)
    assert saved.keys() == {'input', 'mask', 'alpha', 'output'} and np.array_equal(saved['input'], astronaut)
    expected = Pipeline(Settings().updated({'flip': False})).process(astronaut, still=True)
    assert all(np.array_equal(saved[kind], getattr(expected, kind)) for kind in ('mask', 'alpha'))
    assert np.array_equal(saved['output'], expected.composite)


def test_save_without_camera_fails_with_reason_and_blocks_nothing(graph, start, astronaut):
    node, save, client = idle_node(graph, start)
    asked = client.call_async(Trigger.Request())
    node.wait_until(lambda: graph.node.count_subscribers(node.topic) == 1, 'the subscription')
    assert node.change(threshold=0.3) == [] and not asked.done()
    answer = save()
    assert not answer.success and f'no camera frames on {node.topic}' in answer.message, answer.message
    answer = save(message_of(astronaut, 'no such encoding'))
    assert not answer.success and 'no such encoding' in answer.message, answer.message


def test_save_fails_at_once_where_node_is_inactive(graph, start):
    _, save, _ = idle_node(graph, start, autostart='false')
    answer = save()
    assert not answer.success and 'unconfigured' in answer.message


def test_paused_node_gives_late_subscriber_last_picture(node, astronaut, sample):
    pause, expected = service(node, SetBool, 'pause'), Pipeline(tutorial_settings(flip=True)).process(astronaut)
    assert node.change(flip=True) == []
    node.listen('mask')
    node.results(message_of(astronaut))
    assert pause(data=True).success
    node.listen('mask', 'output', 'alpha')
    message = message_of(sample[0])
    results = node.results(message)
    node.listen()
    node.listen('output')  # nobody listened meanwhile
    results['output again'] = node.results(message)['output']
    assert pause(data=False).success
    assert all(result.header == message.header for result in results.values())
    for kind, picture in (('mask', expected.mask), ('alpha', expected.alpha), ('output', expected.composite),
                          ('output again', expected.composite)):
        assert np.array_equal(picture_of(results[kind]), picture), kind


def test_paused_node_without_picture_keeps_next_one(node, astronaut, sample):
    pause = service(node, SetBool, 'pause')
    node.listen()
    assert pause(data=True).success
    node.listen('output')
    first = node.pictures(astronaut)['output']
    second = node.pictures(sample[60])['output']
    assert pause(data=False).success
    assert np.array_equal(first, Pipeline(tutorial_settings(flip=False)).process(astronaut).composite)
    assert np.array_equal(second, first)


def test_covers_first_frames_then_shows_empty_room(hiding, sample):
    results, count = uncovered(hiding, sample[:20])
    assert count >= 1 and np.array_equal(results['output'][results['alpha'] == 0], sample[count][results['alpha'] == 0])
    assert (results['alpha'] == 0).mean() > 0.9


def cut(frame):
    return message_of(255 - frame)


def gap(frame):
    message = message_of(frame)
    message.header.stamp.sec, message.header.frame_id = int(time.time()) + 10, 'camera'
    return message


def size(frame):
    return message_of(frame[:-2])


def encoding(frame):
    return message_of(frame, 'rgb8')


def other_camera(frame):
    message = message_of(frame)
    message.header.frame_id, message.header.stamp.sec = 'another camera', int(time.time())
    return message


@pytest.mark.parametrize('change', [cut, gap, size, encoding, other_camera])
def test_covers_whole_frame_after_change(hiding, sample, change):
    uncovered(hiding, sample[:20])
    assert is_covered(picture_of(hiding.results(change(sample[0]))['output']))


def test_two_cameras_on_one_topic_are_covered_and_reported(hiding, sample):
    uncovered(hiding, sample[:20])
    reports = []
    subscription = hiding.graph.node.create_subscription(DiagnosticArray, '/diagnostics', reports.append, 10)
    for number in range(12):
        message = message_of(sample[60 if number % 2 else 0])
        message.header.frame_id, message.header.stamp = f'camera {number % 2}', hiding.graph.node.get_clock().now().to_msg()
        assert is_covered(picture_of(hiding.results(message)['output']))
    hiding.wait_until(lambda: any('several cameras' in str(report.status) and hiding.name in str(report.status)
                                  for report in reports), 'the report')
    hiding.graph.node.destroy_subscription(subscription)


def test_covers_whole_frame_after_unusable_one(hiding, sample):
    uncovered(hiding, sample[:20])
    hiding.send(message_of(sample[0], 'no such encoding'))
    hiding.wait_until(lambda: 'no such encoding' in hiding.program.said, 'the word that a frame was skipped')
    assert is_covered(hiding.pictures(sample[0])['output'])


def test_covers_uncounted_people_too(hiding, sample):
    assert hiding.change(people__who='largest', people__smallest=1.0) == []
    results, _ = uncovered(hiding, sample[55:75])
    assert 0.15 < (results['mask'] > 0).mean() < 0.7 and is_covered(results['output'][results['alpha'] == 255])


def test_pause_covers_whole_frame(hiding, sample):
    uncovered(hiding, sample[:20])
    assert service(hiding, SetBool, 'pause')(data=True).success
    for frame in sample[:3]:
        assert is_covered(hiding.pictures(frame)['output'])


def test_save_writes_no_uncovered_image(hiding, sample, tmp_path):
    assert hiding.change(save_dir=str(tmp_path)) == []
    uncovered(hiding, sample[55:75])
    assert service(hiding, Trigger, 'save')().success
    assert {path.stem.rpartition('_')[2] for path in tmp_path.iterdir()} == {'mask', 'alpha', 'output'}


def test_refuses_settings_that_would_show_people(hiding, graph, start, sample):
    for change in ({'background__type': 'none'}, {'background__type': 'topic'}, {'people__detector': False}):
        [reason] = hiding.change(**change)
        assert "replace = 'people'" in reason, reason
    namespace = unique('wrong')
    node = Segmentation(graph, namespace, start.node('segmentation_node', namespace, replace='peple', background__type='none'))
    assert node.values()['replace'] == 'people' and node.values()['background.type'] == 'color'
    assert "'peple'" in node.program.said and 'to be safe' in node.program.said
    assert is_covered(node.pictures(sample[60])['output'])


def test_pause_hides_composite_from_before_replacing_people(node, astronaut, tmp_path):
    node.pictures(astronaut)
    assert service(node, SetBool, 'pause')(data=True).success
    assert node.change(people__detector=True, replace='people') == []
    assert is_covered(node.pictures(astronaut)['output'])
    assert service(node, SetBool, 'pause')(data=False).success
    node.restore(tutorial_settings(flip=False))

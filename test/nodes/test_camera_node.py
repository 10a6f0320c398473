# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The package's own camera driver, on everything that is no camera: pictures, folders, videos and devices that are not there."""
import signal
import sys

import cv2
import numpy as np
import pytest
from conftest import ASTRONAUT, EMPTY_ROOM, SAMPLE, unique
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import SetParameters
from ros import picture_of
from sensor_msgs.msg import CameraInfo

from self_segmentation.errors import InputError
from self_segmentation.nodes.camera_info import read_camera_info


def numbers_of(received, sample) -> list[int]:
    """The frames of the sample that came, each exactly as it is in the file."""
    known = {frame.tobytes(): number for number, frame in enumerate(sample)}
    return [known[message.data.tobytes()] for message in received]


@pytest.fixture
def camera(graph, start):
    """``camera(video_device=..., ...)`` starts one; it returns the program and the list that its images come into."""
    def camera(**parameters):
        namespace = unique('camera')
        received, _ = graph.listen(f'/{namespace}/image_raw')
        return start.node('camera_node', namespace, **parameters), received

    return camera


def wait_for(graph, program, received, count):
    graph.wait_until(lambda: len(received) >= count or program.code is not None, f'{count} images')
    assert program.code is None, program.said


def assert_ends_with_one_line(program, *parts):
    assert program.exit_code() == 2
    lines = [line for line in program.said.splitlines() if all(part in line for part in parts)]
    assert len(lines) == 1 and 'Traceback' not in program.said, program.said


def test_publishes_image_file_repeatedly_as_bgr8(graph, camera, astronaut):
    before = graph.node.get_clock().now()
    program, received = camera(video_device=ASTRONAUT, frame_id='some_frame', framerate=50)
    wait_for(graph, program, received, 5)
    stamps = [m.header.stamp.sec * 10 ** 9 + m.header.stamp.nanosec for m in received]
    assert stamps == sorted(set(stamps))
    assert before.nanoseconds < stamps[0] and stamps[-1] < graph.node.get_clock().now().nanoseconds
    for message in received:
        assert (message.encoding, message.width, message.height, message.step) == ('bgr8', 512, 512, 1536)
        assert message.header.frame_id == 'some_frame' and np.array_equal(picture_of(message), astronaut)


def test_refuses_parameter_of_unknown_type_with_reason(graph, start):
    """Rclpy's own service would end the node; a client takes one result for each parameter."""
    namespace = unique('camera')
    program = start.node('camera_node', namespace, video_device=ASTRONAUT)
    client = graph.node.create_client(SetParameters, f'/{namespace}/camera/set_parameters')
    graph.wait_until(client.service_is_ready, 'the service')
    request = SetParameters.Request(parameters=[ParameterMessage(name='use_sim_time', value=ParameterValue(type=99))])
    [result] = graph.call(lambda: client.call_async(request)).results
    assert not result.successful and '99' in result.reason and program.code is None


def test_publishes_folder_by_name_and_loops(graph, camera, tmp_path):
    for number, name in enumerate(('b.png', 'a.png', 'c.bmp')):
        cv2.imwrite(str(tmp_path / name), np.full((4, 6, 3), 10 * number, np.uint8))
    (tmp_path / 'notes.txt').write_text('no picture')
    program, received = camera(video_device=tmp_path, framerate=50)
    wait_for(graph, program, received, 7)
    seen = [int(m.data[0]) for m in received]
    first = (10, 0, 20).index(seen[0])
    assert seen == [(10, 0, 20)[(first + n) % 3] for n in range(len(seen))]


def test_skips_and_names_unreadable_image_in_folder(graph, camera, tmp_path):
    for number, name in enumerate(('a.png', 'c.png')):
        cv2.imwrite(str(tmp_path / name), np.full((4, 6, 3), 10 * number, np.uint8))
    (tmp_path / 'b.png').write_text('no picture')
    program, received = camera(video_device=tmp_path, framerate=50)
    wait_for(graph, program, received, 4)
    assert {int(m.data[0]) for m in received} == {0, 10}
    assert 'b.png' in program.said


def test_video_without_loop_ends_after_last_frame(graph, camera, sample):
    program, received = camera(video_device=SAMPLE, loop='false', framerate=25)
    graph.wait_until(lambda: program.code is not None, 'the end of the video')
    graph.wait_until(lambda: received and np.array_equal(picture_of(received[-1]), sample[-1]), 'the last frame')
    assert program.exit_code() == 0 and 'Traceback' not in program.said, program.said
    numbers = numbers_of(received, sample)
    assert numbers == sorted({*numbers})  # each once and in order; a subscriber that is late or slow misses some


def test_video_plays_in_order_and_loops(graph, camera, sample):
    program, received = camera(video_device=SAMPLE, framerate=50)
    graph.wait_until(lambda: len(received) > len(sample) or program.code is not None, 'more images than the file has frames')
    assert program.code is None, program.said
    numbers = numbers_of(received, sample)
    steps = [(after - before) % len(sample) for before, after in zip(numbers, numbers[1:])]
    assert all(steps) and sorted(steps)[len(steps) // 2] < len(sample) / 2  # in order, round and round


def test_image_without_loop_ends_node(camera):
    program, _ = camera(video_device=ASTRONAUT, loop='false')
    assert program.exit_code() == 0 and 'Traceback' not in program.said, program.said


def test_image_width_and_height_resize_frame(graph, camera, astronaut):
    program, received = camera(video_device=ASTRONAUT, image_width=200, image_height=100)
    wait_for(graph, program, received, 1)
    picture = picture_of(received[0])
    assert picture.shape == (100, 200, 3)
    assert np.abs(picture.astype(int) - cv2.resize(astronaut, (200, 100), interpolation=cv2.INTER_AREA)).mean() < 12


@pytest.mark.parametrize('given, size', [({'image_width': 100}, (100, 50)), ({'image_height': 100}, (200, 100)),
                                         ({'image_height': 1}, (2, 1)), ({}, (64, 32))], ids=str)
def test_image_width_or_height_alone_keeps_shape(graph, camera, tmp_path, given, size):
    cv2.imwrite(str(tmp_path / 'wide.png'), np.full((32, 64, 3), 9, np.uint8))
    program, received = camera(video_device=tmp_path / 'wide.png', **given)
    wait_for(graph, program, received, 1)
    assert (received[0].width, received[0].height) == size


def test_framerate_is_not_exceeded(graph, camera):
    """It is lower on a machine that has other things to do, and a few frames make up for that."""
    program, received = camera(video_device=EMPTY_ROOM, framerate=10)
    wait_for(graph, program, received, 30)
    first, last = (received[n].header.stamp.sec + received[n].header.stamp.nanosec * 1e-9 for n in (0, -1))
    assert len(received) <= 10 * (last - first) + 10


def test_missing_file_ends_node_with_one_line(camera, tmp_path):
    for name in ('missing.mp4', 'missing.png', 'missing'):
        program, _ = camera(video_device=tmp_path / name)
        assert_ends_with_one_line(program, str(tmp_path / name), 'does not exist')
        assert program.said.count('\n') == 1


def test_empty_folder_or_invalid_video_ends_node_with_one_line(camera, tmp_path):
    (tmp_path / 'text.mp4').write_text('no video')
    (tmp_path / 'folder').mkdir()
    for name in ('text.mp4', 'folder'):
        program, _ = camera(video_device=tmp_path / name)
        assert_ends_with_one_line(program, str(tmp_path / name))


def test_invalid_image_ends_node_with_error(camera, tmp_path):
    (tmp_path / 'text.png').write_text('no picture')
    program, _ = camera(video_device=tmp_path / 'text.png')
    assert program.exit_code() == 2
    assert str(tmp_path / 'text.png') in program.said and 'Traceback' not in program.said, program.said


@pytest.mark.parametrize('given', [{'image_width': -1}, {'image_height': 20000}, {'framerate': -1.0}, {'framerate': '.nan'},
                                   {'image_width': 'wide'}, {'camera_info_url': '/missing.yaml'}],
                         ids=lambda given: '='.join(map(str, *given.items())))
def test_invalid_parameter_ends_node_with_its_name(camera, given):
    program, _ = camera(video_device=EMPTY_ROOM, **given)
    [(name, value)] = given.items()
    assert program.exit_code() == 2
    assert name in program.said and str(value).strip('.') in program.said and 'Traceback' not in program.said, program.said


BROKEN = """
from self_segmentation.io.frames import Frame, Source, SourceKind
from self_segmentation.nodes import camera_node

class Broken(Source):
    kind = SourceKind.CAMERA

    def read(self):
        return Frame([], '', 0)  # no array

camera_node.open_source = lambda *arguments: Broken()
raise SystemExit(camera_node.main())
"""


def test_unexpected_error_in_camera_thread_ends_node_with_traceback_and_exit_code_1(start):
    program = start('', '--ros-args', '-r', f'__ns:=/{unique("camera")}', command=[sys.executable, '-c', BROKEN])
    assert program.exit_code() == 1
    parts = '[FATAL]', "the thread 'camera' failed", 'Traceback', 'AttributeError'
    assert all(part in program.said for part in parts), program.said


def test_waits_for_missing_camera_with_warning(graph, camera):
    program, received = camera(video_device='/dev/video97')
    graph.wait_until(lambda: '/dev/video97' in program.said and 'trying again' in program.said, 'the warning')
    assert '[WARN]' in program.said and program.code is None
    program.send(signal.SIGINT)
    assert program.exit_code() == 0 and 'Traceback' not in program.said and not received


PLUGGED = """
import sys
from pathlib import Path
import cv2, numpy as np

class Camera:
    def __init__(self, place):
        self.file = Path(sys.argv[-1])
    def isOpened(self):
        return self.file.exists()
    def get(self, setting):
        return 30.0
    def release(self):
        pass
    def read(self):
        return self.file.exists(), np.zeros((48, 64, 3), np.uint8)

cv2.VideoCapture = Camera
from self_segmentation.nodes.camera_node import main
raise SystemExit(main(sys.argv[:-1]))
"""


def test_opens_late_camera_and_reopens_unplugged_one(graph, start, tmp_path):
    """A device that is there while a file is: it comes, gives its frames, is gone, and comes again."""
    namespace, device = unique('camera'), tmp_path / 'plugged'
    received, _ = graph.listen(f'/{namespace}/image_raw')
    program = start('', '--ros-args', '-r', f'__ns:=/{namespace}', '-p', 'video_device:=/dev/video97', '--', device,
                    command=[sys.executable, '-c', PLUGGED])
    graph.wait_until(lambda: '/dev/video97' in program.said and 'trying again' in program.said, 'the warning')
    for _ in range(2):
        received.clear()
        device.touch()
        wait_for(graph, program, received, 10)
        device.unlink()
        graph.wait_until(lambda: 'gives no frame' in program.said, 'the end of the camera')
    assert 'Traceback' not in program.said


CALIBRATION = """
image_width: 512
image_height: 512
camera_name: camera
camera_matrix: {rows: 3, cols: 3, data: [500.0, 0, 256, 0, 510.5, 256, 0, 0, 1]}
distortion_model: rational_polynomial
distortion_coefficients: {rows: 1, cols: 8, data: [0.1, -0.2, 0, 0, 0.05, 0, 0, 1]}
rectification_matrix: {rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}
projection_matrix: {rows: 3, cols: 4, data: [500, 0, 256, 0, 0, 510, 256, 0, 0, 0, 1, 0]}
"""


def test_publishes_camera_info_with_image_header(graph, camera, tmp_path):
    (tmp_path / 'camera.yaml').write_text(CALIBRATION)
    infos: list[CameraInfo] = []
    program, received = camera(video_device=ASTRONAUT, framerate=50, camera_info_url=f'file://{tmp_path}/camera.yaml')

    def topics() -> list[str]:
        return [name for name, _ in graph.node.get_topic_names_and_types() if name.endswith('/camera_info')]

    graph.wait_until(lambda: topics() or program.code is not None, 'the topic')
    graph.node.create_subscription(CameraInfo, topics()[0], infos.append, 300)
    graph.wait_until(lambda: len(infos) >= 3, 'calibrations')
    info = infos[-1]
    graph.wait_until(lambda: any(message.header == info.header for message in received), 'its image')
    assert (info.width, info.height, info.distortion_model) == (512, 512, 'rational_polynomial')
    assert list(info.d) == [0.1, -0.2, 0, 0, 0.05, 0, 0, 1] and list(info.k) == [500, 0, 256, 0, 510.5, 256, 0, 0, 1]
    assert list(info.r) == [1, 0, 0, 0, 1, 0, 0, 0, 1] and list(info.p) == [500, 0, 256, 0, 0, 510, 256, 0, 0, 0, 1, 0]


def test_skips_camera_info_of_another_size(graph, camera, tmp_path):
    (tmp_path / 'camera.yaml').write_text(CALIBRATION)
    program, received = camera(video_device=ASTRONAUT, image_width=100, camera_info_url=tmp_path / 'camera.yaml')
    graph.wait_until(lambda: '512x512' in program.said and '100x100' in program.said, 'the complaint')
    assert program.code is None and program.said.count('no camera_info') == 1


@pytest.mark.parametrize('text, part', [
    ('just: this', 'image_width'), ('[1, 2]', 'list'), ('image_width: 0', '0'), ('{', 'YAML'), ('', 'NoneType'),
    (CALIBRATION.replace('1, 0]}', '1]}'), 'projection_matrix'), (CALIBRATION.replace('500.0', '1' + 400 * '0'), 'camera_matrix'),
    (CALIBRATION.replace('500.0', '.nan'), 'camera_matrix'), (CALIBRATION.replace('500.0', 'f'), 'camera_matrix'),
    (CALIBRATION.replace('image_width: 512', 'image_width: 4294967296'), 'image_width'),
    (CALIBRATION.replace('rational_polynomial', '[7]'), 'distortion_model'),
    (CALIBRATION.replace('data: [500.0, 0, 256, 0, 510.5, 256, 0, 0, 1]', 'data: 9'), 'camera_matrix'),
])
def test_refuses_damaged_calibration_by_path(tmp_path, text, part):
    path = tmp_path / 'camera.yaml'
    path.write_text(text)
    with pytest.raises(InputError) as raised:
        read_camera_info(str(path), 'camera')
    assert str(path) in str(raised.value) and part in str(raised.value)


@pytest.mark.parametrize('url', ['/missing.yaml', 'file:///missing.yaml', 'file://', 'file:///', 'http://localhost/x.yaml', '\0',
                                 'package://', 'package://no such/x.yaml', 'package://rclpy/missing.yaml', '~nobody/x.yaml',
                                 'file:///${HOME}/x.yaml', 'ftp://x/y.yaml'])
def test_refuses_url_without_calibration_by_name(url):
    with pytest.raises(InputError, match='camera_info_url') as raised:
        read_camera_info(url, 'camera')
    assert repr(url) in str(raised.value)


@pytest.mark.parametrize('url', ['file://${ROS_HOME}/a b/camera.yaml', 'file://${ROS_HOME}/a%20b/${NAME}.yaml',
                                 '${ROS_HOME}/a b/camera.yaml'])
def test_reads_urls_as_camera_info_manager_does(tmp_path, monkeypatch, url):
    monkeypatch.setenv('ROS_HOME', str(tmp_path))
    (tmp_path / 'a b').mkdir()
    (tmp_path / 'a b' / 'camera.yaml').write_text(CALIBRATION)
    assert read_camera_info(url, 'camera').width == 512


def test_publishes_phone_video_upright_after_rewind(graph, camera, tmp_path):
    from media import corners, write_video
    program, received = camera(video_device=write_video(tmp_path / 'phone.mp4', turn=90), framerate=50)
    wait_for(graph, program, received, 30)
    assert {(message.width, message.height, corners(picture_of(message))) for message in received} == {(48, 64, 'gwrb')}

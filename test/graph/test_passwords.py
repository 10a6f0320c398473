# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Passwords in the addresses of cameras: in no line, log file, answer or report of any program; only in the parameter itself."""
import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Program, unique, wait_until
from diagnostic_msgs.msg import DiagnosticArray
from ros import Parameters, Segmentation

SECRET = 'S3cretPw'
ADDRESSES = {'user and password': f'rtsp://admin:{SECRET}@127.0.0.1:9/stream', 'query': f'http://127.0.0.1:9/a?pwd={SECRET}',
             'with @ and :': f'rtsp://admin:p@:{SECRET}@127.0.0.1:9/'}


def assert_hidden(program: Program, folder: Path) -> None:
    """End a node, and look at what it wrote to the console and to its log file."""
    program.send(signal.SIGINT)
    assert program.exit_code() == 0
    logged = ''.join(path.read_text(errors='replace') for path in folder.rglob('*') if path.is_file())
    for text in (program.said, logged):
        assert '***' in text and SECRET not in text


@pytest.mark.parametrize('address', ADDRESSES.values(), ids=list(ADDRESSES))
def test_camera_never_logs_password(graph, start, tmp_path, address):
    namespace = unique('secret')
    program = start('camera_node', '--ros-args', '-r', f'__ns:=/{namespace}', '--log-level', f'{namespace}.camera:=debug',
                    '-p', f'video_device:={address}', env={**os.environ, 'ROS_LOG_DIR': str(tmp_path)})
    wait_until(lambda: program.code is not None or 'trying again' in program.said, 'the complaint')
    assert program.code is None and '***' in program.said and '127.0.0.1:9' in program.said
    parameters = Parameters(graph.node, f'/{namespace}/camera')
    graph.wait_until(parameters.services_are_ready, 'the parameters')
    [value] = graph.call(lambda: parameters.get_parameters(['video_device'])).values
    assert value.string_value == address  # who may read parameters reads it there
    assert_hidden(program, tmp_path)


@pytest.mark.parametrize('arguments', [
    ['-p', 'loop=rtsp://a:{}@cam'], ['-p', 'framerate:=rtsp://a:{}@cam/x'], ['-p', 'use_sim_time:=rtsp://a:{}@cam/x'],
    ['-p', 'camera_info_url:=http://a:{}@cam/x'], ['-p', 'video_device:=/rtsp://a:{}@cam/x'], ['--log-level', 'rtsp://a:{}@cam/x'],
    ['--params-file', 'http://a:{}@cam/x']], ids=lambda arguments: arguments[-1].partition('=')[0])
def test_camera_that_cannot_start_shows_no_password(start, arguments):
    program = start('camera_node', '--ros-args', *(each.format(SECRET) for each in arguments))
    assert program.exit_code() == 2 and ':***@cam' in program.said and SECRET not in program.said, program.said


def test_node_never_shows_password(graph, start, tmp_path):
    """An address is no background: it is refused, with the reason, wherever it is given."""
    address, namespace = next(iter(ADDRESSES.values())), unique('secret')
    program = start('segmentation_node', '--ros-args', '-r', f'__ns:=/{namespace}', '--log-level',
                    f'{namespace}.segmentation:=debug', '-p', f'background.video:={address}', '-p', 'background.type:=video',
                    env={**os.environ, 'ROS_LOG_DIR': str(tmp_path)})
    reports: list[str] = []
    graph.node.create_subscription(DiagnosticArray, '/diagnostics', lambda message: reports.append(str(message)), 10)
    node = Segmentation(graph, namespace, program, kinds=())
    for name in ('background.video', 'background.image', 'model', 'edge.filter', 'background.color', 'unknown'):
        [reason] = node.change(**{name.replace('.', '__'): address})
        assert SECRET not in reason and ('***' in reason or name == 'unknown')
    assert node.change(save_dir=address) == []
    reports.clear()
    node.wait_until(lambda: any(node.name in each for each in reports), 'a report')
    assert SECRET not in ''.join(reports)
    assert program.said.count(':***@') > 5
    assert_hidden(program, tmp_path)


FAILING = """
import sys
from rclpy.node import Node
from self_segmentation.nodes import camera_node
from self_segmentation.nodes.lifetime import run

class Failing(camera_node.CameraNode):
    def _publish_all(self, source):
        raise RuntimeError(f'no frame of {self._place}')

class Tripping(Node):
    def __init__(self):
        super().__init__('tripping')
        self.create_timer(0.1, self.trip)

    def trip(self):
        raise RuntimeError(f'no frame of {sys.argv[-1]}')

sys.exit(run(Failing if 'thread' in sys.argv else Tripping))
"""


@pytest.mark.parametrize('place', ['thread', 'callback'])
def test_traceback_of_node_shows_no_password(start, place):
    address = next(iter(ADDRESSES.values()))
    program = start('', '--ros-args', '-p', f'video_device:={address}', '--', place, address,
                    command=[sys.executable, '-c', FAILING])
    wait_until(lambda: program.code is not None or 'no frame of' in program.said, 'the traceback')
    assert 'rtsp://admin:***@127.0.0.1:9/stream' in program.said and SECRET not in program.said
    assert place == 'callback' or program.exit_code() == 1


WAYS = [['{}', '--output', 'out.mp4'], ['clip.mp4', '--background-video', '{}', '--output', 'out.mp4'],
        ['clip.mp4', '--model', '{}', '--output', 'out.mp4'], ['a.png', '--background-color', '{}'], ['a.png', '--config', '{}'],
        ['a.png', '--no-such-option={}'], ['a.png', '--threshold', '{}']]


@pytest.mark.processes
@pytest.mark.parametrize('arguments, address', [
    *((WAYS[0], address) for address in ADDRESSES.values()), *zip(WAYS[1:], itertools.cycle(ADDRESSES.values()))])
def test_program_never_shows_password(tmp_path, clip, astronaut, arguments, address):
    import cv2

    cv2.imwrite(str(tmp_path / 'a.png'), astronaut)
    (tmp_path / 'clip.mp4').symlink_to(clip)
    done = subprocess.run([sys.executable, '-m', 'self_segmentation', *(each.format(address) for each in arguments),
                           '--no-window'], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode in (1, 2) and '***' in done.stderr and SECRET not in done.stderr + done.stdout, done.stderr

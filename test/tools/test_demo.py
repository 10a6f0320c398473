# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What the demo shows and prints, and how it ends; with many signals: test_lifetime."""
import contextlib
import os
import re
import signal
import socket
import sys
import time
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from conftest import Program, wait_until
from rclpy.parameter import Parameter
from ros import Parameters, message_of
from std_msgs.msg import Header, String

from self_segmentation.tools.demo import DemoNode, _Screen
from self_segmentation.tools.tour import TURNS

pytestmark = pytest.mark.processes
WITHOUT_DESKTOP = {'DISPLAY': '', 'WAYLAND_DISPLAY': '', 'CI': ''}


@pytest.fixture
def browser(tmp_path) -> Path:
    """A browser that writes down what it opens; it is beside the file."""
    script = tmp_path / 'browser'
    script.write_text(f'#!/bin/sh\necho "$1" > "{tmp_path}/opened"\n')
    script.chmod(0o755)
    return script


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, **WITHOUT_DESKTOP, **more}


def children_of(program: Program) -> dict[str, int]:
    """The processes that a program started, by the last word of their module."""
    children = Path(f'/proc/{program.pid}/task/{program.pid}/children').read_text().split()
    lines = {int(child): Path(f'/proc/{child}/cmdline').read_bytes().split(b'\0') for child in children}
    return {line[2].decode().rpartition('.')[2]: child for child, line in lines.items()}


def test_demo_in_a_pipe_shows_address_and_ends_tour_for_user(graph, start, browser, tmp_path):
    with socket.socket() as taken:
        with contextlib.suppress(OSError):  # another one has it
            taken.bind(('127.0.0.1', 8080))
            taken.listen()
        demo = start('tools.demo', '--seconds', '600', '--folder', tmp_path, env=environment(BROWSER=str(browser)))
        graph.wait_until(lambda: demo.code is not None or ('first image' in demo.said and '\nhttp' in demo.said), 'an image')
        [address] = re.findall(r'^http://127\.0\.0\.1:\d+/$', demo.said, re.MULTILINE)  # alone on its line
        assert not address.endswith(':8080/')
        with urllib.request.urlopen(address) as page:
            assert page.status == 200
        user = Parameters(graph.node, '/segmentation')
        graph.wait_until(user.services_are_ready, 'the services')
        graph.call(lambda: user.set_parameters([Parameter('background.color', value=[1, 2, 3])]))
        graph.wait_until(lambda: 'background.color changed: the tour ends' in demo.said, 'the end of the tour')
        demo.send(signal.SIGINT)
        assert demo.exit_code() == 0 and 'Traceback' not in demo.said, demo.said
    assert demo.said.splitlines()[-1] == address, demo.said
    assert not re.search(r'\[\d{10}\.', demo.said)  # no stamps of a log
    assert not (tmp_path / 'opened').exists()
    assert all(str(tmp_path / name) in demo.said for name in ('output.mp4', 'output.png')), demo.said
    assert (tmp_path / 'output.mp4').stat().st_size > 1000


def test_demo_at_a_terminal_opens_page_and_runs_until_ctrl_c(browser, tmp_path):
    master, terminal = os.openpty()
    process = os.posix_spawn(sys.executable, [sys.executable, '-m', 'self_segmentation.tools.demo', '--folder', str(tmp_path)],
                             environment(BROWSER=str(browser)), setsid=True,
                             file_actions=[(os.POSIX_SPAWN_DUP2, terminal, number) for number in range(3)])
    os.close(terminal)
    os.set_blocking(master, False)
    said = b''

    def read() -> bytes:
        nonlocal said
        with contextlib.suppress(OSError):  # nothing is there, or nobody any more
            said += os.read(master, 1 << 16)
        time.sleep(0.02)
        return said

    try:
        wait_until(lambda: b'first image' in read() and (tmp_path / 'opened').exists(), 'the page')
        assert re.search(rb'^http://127\.0\.0\.1:\d+/\r?$', said, re.MULTILINE)
        wait_until(lambda: (tmp_path / 'opened').read_bytes().strip(), 'its address')
        assert (tmp_path / 'opened').read_bytes().strip() in said
        os.kill(process, signal.SIGINT)
        wait_until(lambda: read() and os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT), 'the end')
    except BaseException:
        os.kill(process, signal.SIGKILL)
        raise
    finally:
        status = os.waitpid(process, 0)[1]
        os.close(master)
    assert os.waitstatus_to_exitcode(status) == 0 and b'Traceback' not in said, (status, said.decode())


def test_node_that_ends_is_named_and_ends_demo(graph, start, tmp_path):
    demo = start('tools.demo', '--seconds', '600', '--folder', tmp_path, env=environment())
    wait_until(lambda: demo.code is not None or 'first image' in demo.said, 'an image')
    os.kill(children_of(demo)['camera_node'], signal.SIGTERM)
    assert demo.exit_code() == 1
    assert 'camera_node ended with exit code 0: the demo ends' in demo.said


def test_camera_that_is_not_there_is_named(start, tmp_path):
    demo = start('tools.demo', '--camera', '97', '--folder', tmp_path)
    assert demo.exit_code() == 2
    assert '/dev/video97 does not exist' in demo.said and 'Traceback' not in demo.said


def test_file_that_is_not_there_ends_demo(start, tmp_path):
    demo = start('tools.demo', '--camera', tmp_path / 'nothing.mp4', '--folder', tmp_path)
    assert demo.exit_code() != 0
    assert 'nothing.mp4' in demo.said and 'camera_node ended' in demo.said and 'Traceback' not in demo.said


@pytest.mark.parametrize('seconds', ['0', 'nan'])
def test_wrong_seconds_are_refused(start, seconds):
    demo = start('tools.demo', f'--seconds={seconds}')
    assert demo.exit_code() == 2
    assert seconds in demo.said


@pytest.fixture
def demo_node(graph, start, tmp_path):
    """The demo's node beside a real segmentation node, and what both are told by the test; all in the root namespace."""
    start('segmentation_node', '--ros-args', '-p', 'flip:=false')
    node = DemoNode(None, tmp_path, False, [], _Screen())
    graph._executor.add_node(node)
    yield node
    graph._executor.remove_node(node)
    node.destroy_node()


def test_tour_changes_node_until_user_does(graph, demo_node):
    user = Parameters(graph.node, '/segmentation')
    graph.wait_until(user.services_are_ready, 'the services')
    graph.wait_until(demo_node._tuning.service_is_ready, 'the service')

    def shown() -> tuple[str, str]:
        values = graph.call(lambda: user.get_parameters(['replace', 'background.type'])).values
        return values[0].string_value, values[1].string_value

    turns = [(turn['replace'], turn['background.type']) for turn in TURNS.values()]
    demo_node.tour.begin(time.monotonic(), left=4 * 0.5)
    graph.wait_until(lambda: shown() == turns[-1], 'the last turn')
    assert not demo_node.tour.has_ended
    graph.call(lambda: user.set_parameters_atomically([
        Parameter('background.type', value='color'), Parameter('replace', value='background')]))
    graph.wait_until(lambda: demo_node.tour.has_ended, 'the end of the tour')
    over = demo_node.tour.over
    graph.wait_until(lambda: demo_node.tour.over > over + 4, 'the time of some turns')
    assert shown() == ('background', 'color')


def test_picture_shows_people_who_are_whole_in_the_middle(demo_node, tmp_path):
    people = {1: [], 2: [[0, 100, 300, 379]], 3: [[250, 100, 100, 300]], 4: [[30, 100, 100, 300]], 5: [[280, 100, 50, 150]]}
    for second, boxes in people.items():
        header = Header(stamp=Time(sec=second))
        picture = message_of(np.full((480, 640, 3), 50 * second, np.uint8), header=header)
        demo_node._on_input(picture)
        demo_node._on_output(picture)
        demo_node._on_people(String(data=f'{{"stamp": [{second}, 0], "width": 640, "height": 480, "people": ['
                                         + ', '.join(f'{{"box": {box}}}' for box in boxes) + ']}'))
    demo_node.finish()
    assert cv2.imread(str(tmp_path / 'output.png'))[-1, 0].tolist() == [150] * 3  # the third


def test_camera_is_mirrored_as_the_result_is(graph, tmp_path):
    node = DemoNode(None, tmp_path, True, [], _Screen())
    before, after = np.zeros((480, 640, 3), np.uint8), np.zeros((480, 640, 3), np.uint8)
    before[:, :320], after[:, 320:] = 255, 255
    header = Header(stamp=Time(sec=1))
    node._on_input(message_of(before, header=header))
    node._on_output(message_of(after, header=header))
    node._on_people(String(data='{"stamp": [1, 0], "width": 640, "height": 480, "people": []}'))
    node.destroy_node()
    picture = cv2.imread(str(tmp_path / 'output.png'))
    assert picture[400, 100].tolist() == picture[-100, 100].tolist() == [0, 0, 0]
    assert picture[400, 600].tolist() == picture[-100, 600].tolist() == [255, 255, 255]

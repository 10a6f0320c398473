# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""How the nodes' processes end when they are told to."""
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import PATIENCE, SAMPLE, Program, unique, wait_until
from lifecycle_msgs.srv import ChangeState
from shared_memory import remove_shared_memory, shared_memory_of
from std_msgs.msg import String

from self_segmentation.errors import ExitCode

SIGNALS = {'SIGINT': [signal.SIGINT], 'SIGTERM': [signal.SIGTERM], 'four SIGINT': [signal.SIGINT] * 4,
           'SIGINT and SIGTERM': [signal.SIGINT, signal.SIGTERM], 'SIGHUP': [signal.SIGHUP]}


def press(programs: list[Program], numbers: list[int]) -> None:
    """Send signals to programs until they end, as far apart as those of somebody who is in a hurry."""
    for number in numbers:
        for program in programs:
            if program.code is None:
                program.send(number)
        time.sleep(0.1)


@pytest.mark.parametrize('state, name', [('idle', 'SIGINT'), ('idle', 'SIGTERM'), ('while frames flow', 'SIGHUP'),
                                         ('while frames flow', 'four SIGINT'), ('while frames flow', 'SIGINT and SIGTERM')])
def test_signal_ends_nodes_cleanly(graph, start, state, name):
    namespace = unique('lifetime')
    flows = state == 'while frames flow'
    programs = [start.node('segmentation_node', namespace),
                start.node('camera_node', namespace, video_device=SAMPLE if flows else '/dev/video97')]
    if flows:
        received, _ = graph.listen(f'/{namespace}/segmentation/output')
        graph.wait_until(lambda: len(received) >= 3, 'frames to flow')
    else:
        graph.wait_until(lambda: 'trying again' in programs[1].said, 'the camera')
        graph.wait_until(lambda: graph.node.count_publishers(f'/{namespace}/segmentation/mask'), 'the segmentation node')
    shared_memory = set.union(*(shared_memory_of(program.pid) for program in programs))
    press(programs, SIGNALS[name])
    for program in programs:
        assert program.exit_code() == 0, program.said
        assert 'Traceback' not in program.said and 'Error' not in program.said, program.said
    assert shared_memory and not remove_shared_memory(shared_memory)  # nothing is left behind


@pytest.mark.processes
def test_ctrl_c_ends_demo_and_its_nodes(tmp_path):
    """To a whole foreground group, as a terminal sends it; and no process of the demo stays behind."""
    environment = {**os.environ, 'DISPLAY': '', 'WAYLAND_DISPLAY': ''}
    command = [sys.executable, '-m', 'self_segmentation.tools.demo', '--seconds', '60', '--folder', str(tmp_path)]
    children: list[int] = []
    with (tmp_path / 'said').open('w+b') as said:
        demo = subprocess.Popen(command, env=environment, stdout=said, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            end = time.monotonic() + PATIENCE
            while b'first image' not in (text := os.pread(said.fileno(), 1 << 20, 0)) and time.monotonic() < end:
                time.sleep(0.1)
            assert b'first image' in text, text.decode()
            children = children_of(demo.pid)
            assert len(children) == 3
            for _ in range(4):
                if demo.poll() is None:
                    os.killpg(demo.pid, signal.SIGINT)
                    time.sleep(0.1)
            assert demo.wait(PATIENCE) == 0
        finally:
            if demo.poll() is None:
                demo.kill()
            left = [child for child in children if is_running(child)]
            for child in left:
                os.kill(child, signal.SIGKILL)
        text = os.pread(said.fileno(), 1 << 20, 0).decode()
        assert 'Traceback' not in text, text
        assert not left
        assert (tmp_path / 'output.mp4').stat().st_size > 1000


def children_of(parent: int) -> list[int]:
    return [int(child) for child in Path(f'/proc/{parent}/task/{parent}/children').read_text().split()]


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


# Programs, and how far their imports are when the signals come: which library is mapped by then.
STARTED = {
    'segmentation_node': ['-m', 'self_segmentation.nodes.segmentation_node'],
    'entry point': ['-c', 'from self_segmentation.programs import segmentation_node; raise SystemExit(segmentation_node())'],
    'camera_node': ['-m', 'self_segmentation.nodes.camera_node', '--ros-args', '-p', f'video_device:={SAMPLE}'],
    'program': ['-m', 'self_segmentation', SAMPLE, '--no-window', '--mask', os.devnull],
    'demo': ['-m', 'self_segmentation.tools.demo', '--folder', '/tmp'],
}
RUNTIME = 'mediapipe|ai_edge_litert'  # whichever is there
LIBRARIES = {'segmentation_node': ['', 'numpy', 'cv2', 'rclpy', RUNTIME], 'entry point': [''], 'camera_node': ['', 'cv2'],
             'program': ['', 'cv2', RUNTIME], 'demo': ['', 'rclpy']}


def has_mapped(pid: int, library: str) -> bool:
    """Whether a process has a library, or one of several, and its signals in hand."""
    status, maps = (Path(f'/proc/{pid}/{name}').read_text() for name in ('status', 'maps'))
    caught = next(line for line in status.splitlines() if line.startswith('SigCgt'))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1 and re.search(f'/({library})', maps))


@pytest.mark.parametrize('name, library', [(name, library) for name in STARTED for library in LIBRARIES[name]])
def test_repeated_signals_during_startup_end_quietly(start, name, library):
    environment = {**os.environ, 'DISPLAY': '', 'WAYLAND_DISPLAY': ''}
    program = start('', *STARTED[name], command=[sys.executable], env=environment)
    wait_until(lambda: program.code is not None or has_mapped(program.pid, library), f'{library} in the process')
    press([program], [signal.SIGINT] * 4)
    assert program.exit_code() == 0, program.said
    assert 'Traceback' not in program.said and 'rror' not in program.said, program.said
    of_libraries = r'\[INFO\]|(INFO|WARNING): |[IW]\d{4} '
    lines = [line for line in program.said.splitlines() if not re.match(of_libraries, line)]
    assert name == 'demo' or len(lines) <= 1, program.said  # those say what they are about to do


# A node that is told to end at a given moment of its start.
EARLY = """
import os, signal, sys, threading
import rclpy
from self_segmentation.nodes import lifetime

def signal_now():
    os.kill(os.getpid(), getattr(signal, sys.argv[2]))

def init(*args, really=rclpy.init, **more):
    if sys.argv[1] == 'before ROS is up':
        signal_now()
    really(*args, **more)
    if sys.argv[1] == 'when ROS is up':
        signal_now()

def make_node():
    if sys.argv[1] == 'before the node is made':
        signal_now()
    node = rclpy.create_node('early')
    if sys.argv[1] == 'when the node is made':
        signal_now()
    return node

class Executor(lifetime.SingleThreadedExecutor):
    def add_node(self, node):
        super().add_node(node)
        if sys.argv[1] == 'when the executor is made':
            signal_now()

    def wait_for_ready_callbacks(self, *args, **more):
        if sys.argv[1] == 'while it waits':
            threading.Timer(0.3, signal_now).start()
        return super().wait_for_ready_callbacks(*args, **more)

rclpy.init, lifetime.SingleThreadedExecutor = init, Executor
raise SystemExit(lifetime.run(make_node, []))
"""


@pytest.mark.parametrize('moment, number', [
    ('before ROS is up', 'SIGTERM'), ('when ROS is up', 'SIGINT'), ('before the node is made', 'SIGTERM'),
    ('when the node is made', 'SIGINT'), ('when the executor is made', 'SIGTERM'), ('while it waits', 'SIGINT'),
    ('while it waits', 'SIGTERM')])
def test_signal_during_node_creation_ends_process(start, moment, number):
    program = start('', moment, number, command=[sys.executable, '-c', EARLY])
    assert program.exit_code() == 0, program.said
    assert 'Traceback' not in program.said, program.said


FILES = {
    'tab.yaml': '/**:\n  ros__parameters:\n\tthreshold: 0.3\n',
    'flat.yaml': '/**:\n  threshold: 0.3\n',
    'mixed.yaml': '/**:\n  ros__parameters:\n    threshold: 0.3\n    color: [255, 0.5, 0]\n',
    'empty_section.yaml': 'camera:\n  ros__parameters:\nother:\n  ros__parameters:\n    fps: 1.0\n',
}
WRONG = {  # arguments, environment, what the reason names
    'a tab': (['--params-file', 'tab.yaml'], {}, ['tab.yaml', 'line 3', 'spaces']),
    'no ros__parameters': (['--params-file', 'flat.yaml'], {}, ['flat.yaml', 'line 2', 'ros__parameters']),
    'a list of two types': (['--params-file', 'mixed.yaml'], {}, ['mixed.yaml', '4', 'one type']),
    'an empty section': (['--params-file', 'empty_section.yaml'], {}, ['empty_section.yaml', 'line', 'empty']),
    'a missing file': (['--params-file', 'missing.yaml'], {}, ['missing.yaml', 'exist']),
    'a parameter': (['-p', 'threshold=0.3'], {}, ['threshold=0.3', 'NAME:=VALUE']),
    'a relative namespace': (['-r', '__ns:=robot1'], {}, ['__ns:=robot1', '/']),
    'a node name': (['-r', '__node:=my-node'], {}, ['my-node']),
    'a log level': (['--log-level', 'loud'], {}, ['loud', 'debug, info']),
    'an argument': (['--loud'], {}, ['--loud', 'unknown']),
    'an enclave': (['--enclave', 'a b'], {}, ['Enclave', 'absolute name']),
    'a parameter of ROS': (['-p', 'use_sim_time:=5'], {}, ['use_sim_time', '5', 'BOOL']),
    'a domain': ([], {'ROS_DOMAIN_ID': 'abc'}, ['ROS_DOMAIN_ID', '232']),
    'a domain without ports': ([], {'ROS_DOMAIN_ID': '233'}, ['ROS_DOMAIN_ID', '233', '232']),
    'a keystore': ([], {'ROS_SECURITY_ENABLE': 'true', 'ROS_SECURITY_STRATEGY': 'Enforce', 'ROS_SECURITY_KEYSTORE': '/missing'},
                   ['/missing']),
    'no keystore': ([], {'ROS_SECURITY_ENABLE': 'true', 'ROS_SECURITY_STRATEGY': 'Enforce'},
                    ['ROS_SECURITY_KEYSTORE', 'enclaves']),
}


@pytest.mark.parametrize('arguments, environment, parts', WRONG.values(), ids=list(WRONG))
def test_invalid_ros_argument_exits_2_with_reason(start, tmp_path, arguments, environment, parts):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    arguments = [str(tmp_path / each) if each.endswith('.yaml') else each for each in arguments]
    program = start('camera_node', '--ros-args', *arguments, '-p', f'video_device:={SAMPLE}',
                    env={**os.environ, **environment})
    assert program.exit_code() == ExitCode.WILL_FAIL_AGAIN and 'Traceback' not in program.said, program.said
    last = program.said.strip().splitlines()[-1]
    assert all(part in last for part in parts) and '.c:' not in last, program.said


@pytest.mark.parametrize('node, topic, name, value', [
    ('camera_node', 'image_raw', 'publisher.reliability', 'good'),
    ('segmentation_node', 'segmentation/mask', 'publisher.depth', 'two'),
    ('segmentation_node', 'image_raw', 'subscription.depth', '-3'),
    ('segmentation_node', 'image_raw', 'subscription.history', 'all'),
    ('segmentation_node', 'segmentation/background', 'subscription.reliability', 'good')])
def test_invalid_qos_override_exits_2_with_topic_and_reason(graph, start, node, topic, name, value):
    namespace = unique('qos')
    override = f'qos_overrides./{namespace}/{topic}'
    graph.listen(f'/{namespace}/segmentation/output')  # the node subscribes for it
    program = start.node(node, namespace, video_device=SAMPLE, background__type='topic', **{f'{override}.{name}': value})
    graph.wait_until(lambda: program.code is not None, 'the end')
    assert program.exit_code() == ExitCode.WILL_FAIL_AGAIN and 'Traceback' not in program.said, program.said
    assert program.said.strip().splitlines()[-1].startswith(f'{override} is not allowed: '), program.said


UNANSWERABLE = """
import rclpy, sys
from lifecycle_msgs.srv import ChangeState
from self_segmentation.nodes.lifetime import run

def make_node():
    node = rclpy.create_node('strict')
    def change(request, response):
        if request.transition.id != 1:
            raise RuntimeError('Failed to trigger transition')  # as rclpy of Humble does
        response.success = True
        return response
    node.create_service(ChangeState, '~/change_state', change)
    return node

raise SystemExit(run(make_node))
"""


def test_failing_service_request_does_not_end_node(graph, start):
    name = unique('strict')
    program = start('', '--ros-args', '-r', f'__node:={name}', command=[sys.executable, '-c', UNANSWERABLE])
    client = graph.node.create_client(ChangeState, f'/{name}/change_state')
    graph.wait_until(lambda: client.service_is_ready() or program.code is not None, 'the service')

    def spin() -> None:
        assert program.code is None, program.said
        graph.spin()

    def success(number: int) -> bool:
        request = ChangeState.Request()
        request.transition.id = number
        return graph.call(lambda: client.call_async(request), spin).success

    assert [success(number) for number in (1, 7, 1)] == [True, False, True]
    assert 'Failed to trigger transition' in program.said and 'Traceback' not in program.said


FAILING = """
import rclpy, sys
from self_segmentation.nodes import lifetime
from std_msgs.msg import String

def make_node():
    node = rclpy.create_node('failing')

    def on_timer():
        raise ValueError('x' * 5000)

    def on_message(message):
        print(f'got {message.data}', flush=True)
        {}[message.data]

    if sys.argv[1] == 'in a callback':
        node.create_timer(0.01, on_timer)
        node.create_timer(0.01, lambda: node.executor.create_task(lambda: 1 / 0))  # as what waits for an answer is called
        node.create_subscription(String, '~/words', on_message, 10)
    else:
        def take(self, timer):
            raise ValueError('no timer for you')
        lifetime.SingleThreadedExecutor._take_timer = take
        node.create_timer(0.01, on_timer)
    return node

sys.exit(lifetime.run(make_node))
"""


def test_failing_callbacks_do_not_end_node_and_are_logged_once(graph, start):
    name = unique('failing')
    program = start('', 'in a callback', '--ros-args', '-r', f'__node:={name}', command=[sys.executable, '-c', FAILING])
    sender = graph.node.create_publisher(String, f'/{name}/words', 10)

    def send() -> None:
        assert program.code is None, program.said
        sender.publish(String(data='hello'))
        graph.spin()

    graph.wait_until(lambda: sender.get_subscription_count() or program.code is not None, 'the subscription')
    wait_until(lambda: program.said.count('got hello') >= 5 and 'by zero' in program.said, 'messages', send)
    said = program.said
    origin = f'a message on /{name}/words (published by {graph.node.get_fully_qualified_name()})'
    assert f"{origin} was not handled: KeyError: 'hello'" in said
    assert 'a callback failed: ValueError: xxx' in said and 'x' * 500 not in said
    assert said.count('in on_message') == said.count('in on_timer') == said.count('ZeroDivisionError: division by zero\n') == 1
    assert said.count('[ERROR]') < 30  # hundreds failed
    program.send(signal.SIGINT)
    assert program.exit_code() == 0


def test_node_whose_callbacks_are_held_up_ends(start):
    """What fails in rclpy itself leaves it with a callback that never ends: nothing would be served any more."""
    program = start('', 'in rclpy', command=[sys.executable, '-c', FAILING])
    assert program.exit_code() == 1 and 'no timer for you' in program.said


FAILING_THREAD = """
import sys, threading, rclpy
from self_segmentation.nodes.lifetime import run

def make_node():
    def fail():
        raise {'SystemExit': SystemExit, 'KeyError': KeyError}[sys.argv[1]]('nobody expects it')
    threading.Thread(target=fail, name='worker').start()
    return rclpy.create_node('failing')

raise SystemExit(run(make_node, []))
"""


def test_failed_thread_ends_node_with_traceback_and_exit_code_1(start):
    program = start('', 'KeyError', command=[sys.executable, '-c', FAILING_THREAD])
    assert program.exit_code() == 1
    parts = '[FATAL]', "the thread 'worker' failed", 'Traceback', "KeyError: 'nobody expects it'"
    assert all(part in program.said for part in parts), program.said


def test_thread_that_ends_itself_does_not_end_node(graph, start):
    program = start('', 'SystemExit', command=[sys.executable, '-c', FAILING_THREAD])
    graph.wait_until(lambda: 'failing' in graph.node.get_node_names() or program.code is not None, 'the node')
    program.send(signal.SIGINT)
    assert program.exit_code() == 0 and not program.said, program.said


UNENDING = """
import ctypes, rclpy, sys, threading
from self_segmentation.nodes import lifetime

class Unending(rclpy.node.Node):
    ending = threading.Event()
    ending.set()

    def destroy_node(self):
        print('ends', flush=True)
        ctypes.PyDLL(None).sleep(3600)  # no Python runs meanwhile

lifetime._END_PATIENCE = 1
sys.exit(lifetime.run(lambda: Unending('unending')))
"""


def test_node_that_hangs_at_its_end_is_ended(start):
    program = start('', command=[sys.executable, '-c', UNENDING])
    wait_until(lambda: program.code is not None or program.said, 'its end')
    left = shared_memory_of(program.pid)
    assert program.exit_code() == -signal.SIGALRM
    remove_shared_memory(left)
    assert program.said == 'ends\n'


def shared_memory(pid: int) -> list[int]:
    """Sizes of Fast DDS's segments in a process, in bytes."""
    segments = {str(place) for place in shared_memory_of(pid)}
    spans = [line.split()[0].split('-') for line in Path(f'/proc/{pid}/maps').read_text().splitlines()
             if line.split()[-1] in segments]
    return [int(end, 16) - int(begin, 16) for begin, end in spans]


@pytest.mark.parametrize('name', ['segmentation_node', 'camera_node'])
def test_node_without_environment_has_large_shared_memory(start, name):
    bare = {name: value for name, value in os.environ.items() if not name.endswith('_DEFAULT_PROFILES_FILE')}
    program = start(name, '--ros-args', '-r', f'__ns:=/{unique("bare")}', '-p', f'video_device:={SAMPLE}', env=bare)
    wait_until(lambda: program.code is not None or max(shared_memory(program.pid), default=0) >= 64 << 20, 'the shared memory')
    assert program.code is None, program.said

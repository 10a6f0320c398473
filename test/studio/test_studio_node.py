# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The studio's process: how it starts and ends, and what other nodes and foreign connections do to it."""
import asyncio
import contextlib
import functools
import json
import random
import re
import resource
import signal
import socket
import sys
import threading
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import rclpy
from conftest import Program, unique, wait_until
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import (
    FloatingPointRange,
    ParameterDescriptor,
    ParameterEvent,
    ParameterValue,
    SetParametersResult,
)
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters, SetParameters
from rclpy.parameter import Parameter
from rclpy.serialization import serialize_message
from ros import message_of
from sensor_msgs.msg import Image
from std_msgs.msg import String

aiohttp = pytest.importorskip('aiohttp', reason='aiohttp is not installed: the studio is not tested')


class Page:
    """A page of the studio without a browser: the latest message of each kind."""

    def __init__(self, program: Program, node: str, *show: str) -> None:
        wait_until(lambda: 'open http' in program.said or program.code is not None, 'the start of the studio')
        self.url = re.search(r'open (http\S+)', program.said).group(1)
        self.program, self.seen, self.pictures, self.answers = program, {}, 0, {}
        self._loop, self._socket = asyncio.new_event_loop(), None
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._listen(),), daemon=True)
        self._thread.start()
        wait_until(lambda: self._socket is not None, 'the connection')
        self.send(subscribe=node, show=show)

    async def _listen(self) -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(f'{self.url}socket', max_msg_size=0) as self._socket:
            async for message in self._socket:
                if message.type is aiohttp.WSMsgType.BINARY:
                    self.pictures += 1
                    await self._socket.send_json({'drew': 1})
                else:
                    found = json.loads(message.data)
                    self.seen[found['about']] = found
                    if found['about'] == 'answer':
                        self.answers[found['id']] = found
            self._socket = None

    def send(self, **message) -> None:
        asyncio.run_coroutine_threadsafe(self._socket.send_json(message), self._loop).result()

    def close(self) -> None:
        if self._socket is not None:
            asyncio.run_coroutine_threadsafe(self._socket.close(), self._loop).result()
        self._thread.join()

    def wait(self, condition, what: str, meanwhile) -> None:
        def go_on() -> None:
            assert self.program.code is None and self._socket is not None, self.program.said
            meanwhile()

        wait_until(condition, what, go_on)


class Node:
    """A node of the tests' process that answers and publishes what it is told to; by itself it is a good one."""

    def __init__(self, graph) -> None:
        self.graph, self.name = graph, f'/{unique("foreign")}'
        self.node = rclpy.create_node(self.name[1:], start_parameter_services=False,
                                      parameter_overrides=[Parameter('start_type_description_service', value=False)])
        graph._executor.add_node(self.node)
        self.values = {'gain': Parameter('gain', value=1.5).get_parameter_value()}
        self.descriptors = {}
        self.asked = {ListParameters: 0, DescribeParameters: 0, GetParameters: 0, SetParameters: 0}
        self.changes = []
        for kind, name in zip(self.asked, ('list', 'describe', 'get', 'set')):
            self.node.create_service(kind, f'~/{name}_parameters', functools.partial(self._answer, kind, name))
        self.output = self.node.create_publisher(Image, '~/output', 10)
        self.people = self.node.create_publisher(String, '~/people', 10)
        self.diagnostics = self.node.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self.events = self.node.create_publisher(ParameterEvent, '/parameter_events', 10)

    def _answer(self, kind, name, request, response):
        self.asked[kind] += 1
        getattr(self, name)(request, response)
        return response

    def list(self, request, response) -> None:
        response.result.names = [*self.values]

    def describe(self, request, response) -> None:
        response.descriptors = [self.descriptors.get(name, ParameterDescriptor(name=name)) for name in request.names]

    def get(self, request, response) -> None:
        response.values = [self.values.get(name, ParameterValue()) for name in request.names]

    def set(self, request, response) -> None:
        self.changes += request.parameters
        response.results = [SetParametersResult(successful=True) for _ in request.parameters]

    def publish_change(self, **values: ParameterValue) -> None:
        """Say that parameters changed."""
        self.events.publish(ParameterEvent(node=self.name, changed_parameters=[
            ParameterMessage(name=name, value=value) for name, value in values.items()]))

    def show(self, page: Page, image: Image | None = None, reason: str = '') -> None:
        """Publish a good picture, or another one, until a page shows it, or the studio says why not."""
        image, before = image or message_of(np.full((48, 64, 3), 99, np.uint8)), page.pictures

        def publish() -> None:
            image.header.stamp = self.node.get_clock().now().to_msg()
            self.output.publish(image)
            self.graph.spin()

        page.wait(lambda: reason in page.program.said if reason else page.pictures > before, 'the picture', publish)

    def close(self) -> None:
        self.graph._executor.remove_node(self.node)
        self.node.destroy_node()


@pytest.fixture
def foreign(graph):
    """A node of somebody else."""
    node = Node(graph)
    yield node
    node.close()


@pytest.fixture
def studio(start):
    """``studio(node, *show)`` starts a studio and returns a page that looks at a node."""
    pages = []

    def studio(node: str, *show: str, command=()) -> Page:
        arguments = ('--ros-args', '-p', 'port:=0', '-p', f'node:={node}')
        program = start('', *arguments, command=command) if command else start('studio_node', *arguments)
        pages.append(Page(program, node, *show))
        return pages[-1]

    yield studio
    for page in pages:
        page.close()


def shows(page: Page, node: Node) -> bool:
    """Whether a page works: the studio answers, tells its figures, and hands on pictures."""
    page.wait(lambda: 'gain' in page.seen.get('node', {}).get('parameters', ()), 'the parameters', node.graph.spin)
    page.seen.pop('figures', None)
    page.answers.clear()
    node.changes.clear()
    page.send(set={'gain': 2.5}, id=7)
    page.wait(lambda: page.answers.get(7) and 'figures' in page.seen, 'an answer and the figures', node.graph.spin)
    node.show(page)
    return page.answers[7]['done'] and [each.value.double_value for each in node.changes] == [2.5]


@pytest.mark.parametrize('parameter, reason, code', [
    ('port:=70000', 'studio: port = 70000 is not allowed: it takes a whole number from 0 to 65535', 2),
    ('port:=web', "studio: port = 'web' is not allowed", 2),
    ('host:=203.0.113.7', "cannot listen on host = '203.0.113.7'", 1)])  # the address may be there later
def test_wrong_parameter_ends_with_reason(start, parameter, reason, code):
    program = start('studio_node', '--ros-args', '-p', parameter)
    assert program.exit_code() == code and reason in program.said and 'Traceback' not in program.said, program.said


def test_missing_aiohttp_ends_with_reason(start):
    code = 'import sys\nsys.modules["aiohttp"] = None\nfrom self_segmentation.programs import studio_node as run\nsys.exit(run())'
    program = start('', command=[sys.executable, '-c', code])
    assert program.exit_code() == 2 and 'sudo apt install python3-aiohttp' in program.said and 'Traceback' not in program.said


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_studio_cleanly(start, number):
    program = start('studio_node', '--ros-args', '-p', 'port:=0')
    wait_until(lambda: 'open http://127.0.0.1:' in program.said, 'the start')
    program.send(number)
    assert program.exit_code() == 0 and 'Traceback' not in program.said, program.said


def test_taken_port_is_said_and_replaced(start):
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind(('127.0.0.1', 8080))
            other.listen()
        except OSError:
            pass  # somebody has it already
        program = start('studio_node')
        wait_until(lambda: 'open http' in program.said, 'the start')
        assert 'port = 8080: it is taken; another one is used' in program.said
        assert re.search(r'open http://127.0.0.1:(\d+)/', program.said).group(1) != '8080'


# ---- what other nodes say

def test_relative_node_is_of_own_namespace(start):
    program = start('studio_node', '--ros-args', '-r', '__ns:=/front', '-p', 'port:=0', '-p', 'node:=segmentation')
    page = Page(program, '/front/segmentation')
    wait_until(lambda: 'studio' in page.seen, 'what there is')
    assert '/front/segmentation' in page.seen['studio']['nodes']
    page.close()


STRANGE = {  # parameters whose values, descriptions or names are not as they should be
    'unknown': ParameterValue(type=77), 'none': ParameterValue(), 'inf': ParameterValue(type=3, double_value=float('inf')),
    'bytes': ParameterValue(type=5, byte_array_value=[b'\xff', b'\0']),
    'long': ParameterValue(type=4, string_value='x' * 3_000_000),
    'many': ParameterValue(type=7, integer_array_value=[5] * 300_000),
    'nans': ParameterValue(type=8, double_array_value=[float('nan')] * 3),
    'large': ParameterValue(type=2, integer_value=-1 << 63),
    '': ParameterValue(type=1), 'a/b c.d\n"\'<b>': ParameterValue(type=1), 'x' * 100_000: ParameterValue(type=1)}
TEXTS = ['default 1e999', 'default [1e999, -1e999]', 'default ' + '[' * 100_000, 'default {"a": {"b": NaN}}', 'default ',
         'default "\\ud800"', 'default ' + '9' * 5000, 'default ' + '9' * 1900, '; ; ;', ', , ,', 'red, green, blue; default 5',
         'a, ' * 100_000, '\0', '\U0010ffff']


def test_strange_parameters_do_not_end_studio(foreign, studio):
    foreign.values.update(STRANGE)
    for number, text in enumerate(TEXTS):
        name = f'text{number}'
        foreign.values[name] = ParameterValue()
        foreign.descriptors[name] = ParameterDescriptor(
            name='another', type=(7, 77, 200)[number % 3], description=text * 2, additional_constraints=text,
            floating_point_range=[FloatingPointRange(from_value=float('nan'), to_value=float('inf'), step=-1.0)])
    page = studio(foreign.name, 'output')
    assert shows(page, foreign)
    found = page.seen['node']['parameters']
    assert len(json.dumps(page.seen)) < 300_000
    assert set(foreign.values) - set(found) == {'x' * 100_000} and found['gain']['kind'] == 'float'
    assert found['unknown']['fixed'] and '77' in found['unknown']['value']
    assert found['long']['fixed'] and found['many']['fixed'] and 'too long' in found['many']['value']
    for value in [*STRANGE.values(), ParameterValue(type=255), Parameter('gain', value='a text').get_parameter_value()]:
        foreign.publish_change(gain=value, **{f'text{number}': value for number in range(5)}, other=value)
    page.wait(lambda: page.seen['node']['parameters'].get('gain', {}).get('kind') == 'text', 'the other type', foreign.graph.spin)
    foreign.publish_change(gain=foreign.values['gain'])
    page.wait(lambda: page.seen['node']['parameters'].get('gain', {}).get('kind') == 'float', 'the first', foreign.graph.spin)
    assert shows(page, foreign) and 'ERROR' not in page.program.said, page.program.said


def test_answer_with_less_than_was_asked_is_reported(foreign, studio):
    foreign.describe = lambda request, response: None
    page = studio(foreign.name, 'output')
    reason = (f'the answer of {foreign.name}/describe_parameters is not understood: '
              '1 parameters were asked for, and 0 descriptions came')
    page.wait(lambda: reason in page.program.said, 'the reason', foreign.graph.spin)
    del foreign.describe
    page.wait(lambda: 'gain' in page.seen['node']['parameters'], 'the parameters', foreign.graph.spin)
    assert shows(page, foreign) and page.program.said.count('ERROR') == 1, page.program.said


def test_parameters_without_value_take_no_others_with_them(foreign, studio):
    """A node of rclpy or rclcpp answers with no value at all where one that is asked for has none."""
    names = [f'{number}' for number in range(20)]
    foreign.values.update({name: Parameter('p', value=name).get_parameter_value() for name in names})
    unset, get = ('3', '4', '17'), foreign.get
    foreign.get = lambda request, response: set(request.names) & {*unset} or get(request, response)
    page = studio(foreign.name, 'output')
    page.wait(lambda: page.seen.get('node', {}).get('parameters'), 'the parameters', foreign.graph.spin)
    found = {name: each['value'] for name, each in page.seen['node']['parameters'].items()}
    assert found == {'gain': 1.5, **{name: None if name in unset else name for name in names}}
    assert foreign.asked[GetParameters] < 25 and 'ERROR' not in page.program.said, page.program.said
    del foreign.get
    assert shows(page, foreign)


def test_set_without_result_is_no_success(foreign, studio):
    page = studio(foreign.name, 'output')
    assert shows(page, foreign)
    foreign.set = lambda request, response: None
    page.send(set={'gain': 3.0}, id=9)
    page.wait(lambda: 9 in page.answers, 'the answer', foreign.graph.spin)
    assert not page.answers[9]['done'] and '0 results came' in page.answers[9]['refused']['gain']
    del foreign.set
    assert shows(page, foreign)


PEOPLE = ['', 'null', '[]', '{}', '{"width": NaN, "height": 1, "people": []}',
          '{"width": 0, "height": 0, "people": [{"id": 1, "box": [1]}]}',
          '{"width": 1, "height": 1, "people": [{"id": 1, "box": [NaN, 1, 1e999, 1]}]}', '[' * 100_000, '{"people": "abc"}',
          '{"width": 1, "height": 1e-300, "people": [{"id": 1, "box": [1e300, 1e300, 1, 1]}]}', 'x' * 1_000_000,
          '{"width": 9, "height": 9, "people": {"a": 1}}', '{"width": "x", "height": 1}',
          '{"width": 1, "height": 1, "people": [{"id": "' + '9' * 5000 + '", "box": []}]}']


def strange_reports(name: str) -> list[DiagnosticArray]:
    values = [KeyValue(key='k' * 100_000, value='v' * 100_000), KeyValue(key='rate', value='nan'), KeyValue(value='\0')]
    long = DiagnosticStatus(level=b'\0', name='x', message='m' * 100_000, hardware_id=name, values=values + [KeyValue()] * 1000)
    return [DiagnosticArray(), DiagnosticArray(status=[DiagnosticStatus(level=b'\xff', hardware_id=name)] * 5000),
            DiagnosticArray(status=[long])]


def test_strange_messages_do_not_end_studio(foreign, studio):
    page = studio(foreign.name, 'output', 'people')
    page.wait(lambda: foreign.output.get_subscription_count() and foreign.people.get_subscription_count(), 'the subscriptions',
              foreign.graph.spin)
    for text in PEOPLE:
        foreign.people.publish(String(data=text))
    for report in strange_reports(foreign.name):
        foreign.diagnostics.publish(report)
    page.wait(lambda: page.seen.get('figures', {}).get('values', {}).get('rate') == 'nan', 'the report', foreign.graph.spin)
    assert len(json.dumps(page.seen)) < 50_000
    for encoding, reason in (('bgr8', ''), ('bgra8', ''), ('rgba8', ''), ('x' * 100_000, 'encoding = ')):
        image = message_of(np.full((48, 64, 4 if encoding[3:4] == 'a' else 3), 50, np.uint8), encoding, padding=12)
        image.data = image.data[:-12]  # the last row's padding
        foreign.show(page, image, reason)
    assert shows(page, foreign) and 'Traceback' not in page.program.said, page.program.said
    assert len(page.program.said) < 5000


def test_garbage_on_topics_does_not_end_studio(foreign, studio):
    """Serialized messages that were damaged on the way, or are of another type."""
    page = studio(foreign.name, 'output', 'people')
    page.wait(lambda: foreign.output.get_subscription_count() and foreign.people.get_subscription_count(), 'the subscriptions',
              foreign.graph.spin)
    dice = random.Random(3)
    event = ParameterEvent(node=foreign.name, changed_parameters=[Parameter('gain', value='a text').to_parameter_msg()])
    for sender, message in ((foreign.output, message_of(np.zeros((4, 4, 3), np.uint8))), (foreign.people, String(data=PEOPLE[4])),
                            (foreign.diagnostics, strange_reports(foreign.name)[1]), (foreign.events, event)):
        good = serialize_message(message)[:4000]
        for _ in range(30):
            damaged = bytearray(good[:dice.choice([len(good), dice.randrange(len(good))])])
            for _ in range(min(len(damaged), 3)):
                damaged[dice.randrange(len(damaged))] = dice.randrange(256)
            sender.publish(bytes(damaged))

    for last, kind in ((['the end'], 'texts'), (1.5, 'float')):
        foreign.publish_change(gain=Parameter('gain', value=last).get_parameter_value())
        page.wait(lambda: page.seen['node']['parameters'].get('gain', {}).get('kind') == kind, 'the value', foreign.graph.spin)  # noqa: B023
    assert shows(page, foreign), page.program.said


# A studio with a fault: it trips over the second person's name.
FAULTY = """
import sys
from self_segmentation.studio import node_state, studio_node
real = node_state.NodeState._on_people

def on_people(watched, message):
    if message.data == 'trip':
        {}['no such key']
    real(watched, message)

node_state.NodeState._on_people = on_people
sys.exit(studio_node.main())
"""


def test_fault_of_callback_is_logged_once_with_topic_and_publisher(foreign, studio):
    page = studio(foreign.name, 'output', 'people', command=[sys.executable, '-c', FAULTY])
    page.wait(foreign.people.get_subscription_count, 'the subscription', foreign.graph.spin)
    reason = f"a message on {foreign.name}/people (published by {foreign.name}) was not handled: KeyError: 'no such key'"
    for _ in range(20):
        foreign.people.publish(String(data='trip'))
        foreign.graph.spin()
    page.wait(lambda: reason in page.program.said and 'in on_people' in page.program.said, 'the reason', foreign.graph.spin)
    assert shows(page, foreign) and page.program.said.count('in on_people') == 1, page.program.said


# ---- foreign connections

HALF = b'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: '


@contextlib.contextmanager
def connections(url: str, count: int):
    """Connections that send half a request, and stay."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(count + 1000, limits[1]), limits[1]))
    port = int(url.rstrip('/').rpartition(':')[2])
    try:
        with contextlib.ExitStack() as stack:
            for _ in range(count):
                connection = stack.enter_context(socket.create_connection(('127.0.0.1', port), timeout=20))
                with contextlib.suppress(ConnectionError):
                    connection.sendall(HALF)
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def loads(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return b'studio.js' in answer.read()


def open_files(program: Program) -> int:
    return len([*Path(f'/proc/{program.pid}/fd').iterdir()])


def assert_one_kind_of_line(program: Program, reason: str) -> None:
    """One a minute: a test may take longer."""
    lines = [line for line in program.said.splitlines() if not line.startswith('[INFO]')]
    assert 0 < len(lines) < 5 and all(reason in line for line in lines), lines


def test_1100_half_sent_requests_keep_nobody_away(foreign, studio):
    page = studio(foreign.name, 'output')
    assert shows(page, foreign) and loads(page.url)
    before = open_files(page.program)
    with connections(page.url, 1100):
        assert open_files(page.program) < before + 300
        assert loads(page.url) and shows(page, foreign)
        other = Page(page.program, foreign.name, 'output')
        assert shows(other, foreign)
        other.close()
    wait_until(lambda: open_files(page.program) <= before + 5, 'the end of all connections')
    assert loads(page.url) and shows(page, foreign)
    assert_one_kind_of_line(page.program, 'more than 128 connections sent no request')


def test_goes_on_when_no_file_can_be_opened(foreign, studio):
    """Each connection is a file of the process."""
    page = studio(foreign.name, 'output')
    assert shows(page, foreign)
    limit = open_files(page.program) + 10
    resource.prlimit(page.program.pid, resource.RLIMIT_NOFILE, (limit, limit))
    with connections(page.url, 25):
        wait_until(lambda: 'no connection can be accepted: Too many open files' in page.program.said, 'the reason')
        assert shows(page, foreign)
    assert loads(page.url) and shows(page, foreign)
    assert_one_kind_of_line(page.program, 'no connection can be accepted: Too many open files')

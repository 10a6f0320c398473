# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Another node's parameters as a page takes them, and back."""
import json

import pytest
import rclpy
from conftest import unique, wait_until
from hypothesis import given
from hypothesis import strategies as st
from rcl_interfaces.msg import FloatingPointRange, ParameterDescriptor, ParameterEvent, ParameterValue
from rcl_interfaces.srv import GetParameters, ListParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image

from self_segmentation.nodes.parameters import descriptor
from self_segmentation.settings import TUNABLES
from self_segmentation.studio import node_parameters, node_state
from self_segmentation.studio.node_parameters import NodeParameters, Requests, parameter_message, plain, summary
from self_segmentation.studio.node_state import Privacy
from self_segmentation.studio.picture_stream import Topic

JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)
KINDS = ('bool', 'int', 'float', 'text', 'bools', 'ints', 'floats', 'texts', '')


def message(value) -> ParameterValue:
    return Parameter('p', value=value).get_parameter_value()


def test_own_parameters_are_described_whole():
    for name, tunable in TUNABLES.items():
        default = list(tunable.default) if isinstance(tunable.default, tuple) else tunable.default
        found = summary(name, descriptor(tunable), message(default))
        is_number = isinstance(default, (int, float)) and not isinstance(default, bool)
        assert found.items() >= {
            'default': default, 'value': default, 'text': tunable.text, 'choices': list(tunable.choices) or None,
            'unit': tunable.unit, 'color': isinstance(tunable.default, tuple), 'fixed': tunable.read_only,
            'range': [*tunable.limits, found['range'][2]] if is_number else None}.items(), name


@pytest.mark.parametrize('constraints, expected', [
    ('', {'unit': '', 'allowed': '', 'choices': None, 'default': 'now'}),
    ('Only primes, please', {'unit': '', 'allowed': 'Only primes, please', 'choices': None, 'default': 'now'}),
    ('a, b, c', {'choices': ['a', 'b', 'c'], 'default': 'now'}), ('default "x; default 3"', {'default': 'now'}),
    ('default "x"', {'default': 'x', 'allowed': ''}), ('a; default NaN', {'default': 'NaN'}),
    ('mm; a, b; default "b"', {'unit': 'mm', 'choices': ['a', 'b'], 'default': 'b'}),
    ('default nonsense', {'default': 'now'})])
def test_descriptions_of_others_are_read_as_far_as_they_go(constraints, expected):
    found = summary('p', ParameterDescriptor(additional_constraints=constraints), message('now'))
    assert found.items() >= expected.items()
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize('value', [float('inf'), float('nan'), [float('-inf')], 2 ** 60, [2 ** 60]])
def test_numbers_beyond_json_survive(value):
    described = ParameterDescriptor(floating_point_range=[FloatingPointRange(to_value=float('inf'))])
    found = summary('p', described, message(value))
    json.dumps(found, allow_nan=False)
    assert found['range'] is None
    again = parameter_message('p', found['kind'], found['value'])
    assert str(plain(again.value)) == str(found['value'])


@given(st.sampled_from(KINDS), JSON)
def test_any_value_becomes_parameter_or_is_refused(kind, value):
    try:
        made = parameter_message('p', kind, value)
    except ValueError as error:
        assert str(error).startswith('p = ')
    else:
        json.dumps(plain(made.value), allow_nan=False)
        assert summary('p', ParameterDescriptor(), made.value)['kind'] == kind


@pytest.mark.parametrize('kind, value', [
    ('int', 2.5), ('int', True), ('int', 2 ** 63), ('int', 'x'), ('int', '9' * 5000), ('bool', 1), ('float', None),
    ('float', 'x'), ('text', 5), ('text', '\0'), ('text', '\ud800'), ('ints', 5), ('ints', ['x']), ('', 1), ('bytes', 1)])
def test_wrong_values_are_refused(kind, value):
    with pytest.raises(ValueError, match='p = .* is not allowed'):
        parameter_message('p', kind, value)


@pytest.fixture
def other():
    """Another node, which has one parameter."""
    node = rclpy.create_node(unique('other'))
    node.declare_parameter('gain', 1.0)
    yield node
    node.destroy_node()


class ToldWhileLoading(NodeParameters):
    """One that is told of a change when it has asked for all and has no answer yet."""

    def load(self) -> None:
        super().load()
        if self.event is not None:
            self.follow(self.event)
            self.event = None

    def load_until(self, condition, graph, other) -> None:
        def answer():
            self.poll()
            graph.spin()
            rclpy.spin_once(other, timeout_sec=0.02)

        wait_until(lambda: condition(self.parameters), 'the parameters', answer)


def test_change_told_while_parameters_load_is_kept(graph, other):
    parameters = ToldWhileLoading(graph.node, other.get_fully_qualified_name(), lambda _: None)
    parameters.event = ParameterEvent(changed_parameters=[Parameter('gain', value=2.0).to_parameter_msg()])
    parameters.load_until(bool, graph, other)
    assert parameters.parameters['gain']['value'] == 2.0


def test_parameter_declared_while_others_load_is_found(graph, other):
    def declare(_: bool) -> None:
        if parameters.parameters and not other.has_parameter('late'):
            other.declare_parameter('late', 3)

    parameters = ToldWhileLoading(graph.node, other.get_fully_qualified_name(), declare)
    parameters.event = ParameterEvent(new_parameters=[Parameter('late', value=3).to_parameter_msg()])
    parameters.load_until(lambda found: 'late' in found, graph, other)
    assert parameters.parameters['late']['value'] == 3 and parameters.parameters['gain']['value'] == 1.0


# ---- a node that hangs: its services are there, and nothing is answered

@pytest.fixture
def quick(monkeypatch):
    """Less patience than a user has."""
    monkeypatch.setattr(node_parameters, '_PATIENCE', 0.1)
    monkeypatch.setattr(node_parameters, '_PAUSE', 0.1)


@pytest.fixture
def requests(graph, other):
    requests = Requests(graph.node, other.get_fully_qualified_name(), {GetParameters: 'get_parameters'})
    graph.wait_until(lambda: requests.has(GetParameters), 'the service')
    yield requests
    requests.close()


def spin(graph, other) -> None:
    """Let the one ask and the other answer."""
    rclpy.spin_once(other, timeout_sec=0.02)
    graph.spin()


def open_requests(node) -> int:
    """How many requests rclpy keeps for the clients of a node."""
    return sum(len(client._pending_requests) for client in node.clients)


def asked(requests) -> list:
    """Ask for a parameter; the list that the answer's values come into, or the reason."""
    result = []
    requests.ask(GetParameters, GetParameters.Request(names=['gain']), lambda answer: result.append(answer.values), result.append)
    return result


def test_one_request_of_a_service_is_open_at_a_time(graph, other, requests):
    results, most = [asked(requests) for _ in range(5)], []

    def answer() -> None:
        most.append(open_requests(graph.node))
        spin(graph, other)

    wait_until(lambda: all(results), 'the answers', answer)
    assert max(most) == 1 and [result[0][0].double_value for result in results] == [1.0] * 5
    assert not requests.are_open(GetParameters) and open_requests(graph.node) == 0


def test_unanswered_request_fails_with_those_that_wait(graph, requests, quick):
    results = [asked(requests) for _ in range(5)]
    graph.wait_until(lambda: requests.poll() or all(results), 'the end of the patience')
    assert all('did not answer within' in result[0] for result in results)
    assert not requests.are_open(GetParameters) and open_requests(graph.node) == 0


def test_hung_node_is_polled_with_pauses_until_it_answers(graph, other, requests, quick):
    for _ in range(2):
        graph.wait_until(lambda: requests.are_due(GetParameters), 'the end of the pause')
        result = asked(requests)
        graph.wait_until(lambda: requests.poll() or result, 'the end of the patience')  # noqa: B023
        assert not requests.are_due(GetParameters)
    result = []

    def go_on() -> None:
        requests.poll()
        if requests.are_due(GetParameters):
            result[:] = [asked(requests)]
        spin(graph, other)

    wait_until(lambda: result and result[0] and not isinstance(result[0][0], str), 'the answer', go_on)
    assert requests.are_due(GetParameters)


def test_late_answer_is_ignored(graph, other, requests, quick):
    result = asked(requests)
    graph.wait_until(lambda: requests.poll() or result, 'the end of the patience')
    for _ in range(20):
        spin(graph, other)
    assert len(result) == 1 and 'did not answer' in result[0] and open_requests(graph.node) == 0


def test_failing_answer_is_reported_to_who_asked(graph, other, requests):
    result = []
    requests.ask(GetParameters, GetParameters.Request(names=['gain']), lambda answer: answer.nothing, result.append)
    wait_until(lambda: result, 'the reason', lambda: spin(graph, other))
    assert 'get_parameters is not understood' in result[0] and 'nothing' in result[0]
    assert not requests.are_due(GetParameters)  # not at once again
    wait_until(lambda: requests.are_due(GetParameters), 'the end of the pause')


def test_nothing_grows_while_a_node_hangs(graph, other, quick):
    """Neither by asking for its parameters, nor by asking whether it covers people."""
    name = other.get_fully_qualified_name()
    parameters, privacy, most = NodeParameters(graph.node, name, lambda _: None), Privacy(graph.node), []
    failures = set()

    def poll() -> None:
        parameters.poll()
        privacy.poll([name])
        graph.spin()
        most.append(open_requests(graph.node))
        failures.update((*parameters._requests._pauses.values(), *privacy._asked[name][1]._pauses.values()))

    wait_until(lambda: len(failures) >= 6, 'three failures of each', poll)
    assert max(most) == 2 and ListParameters in parameters._requests._pauses
    wait_until(lambda: parameters.is_known and name in privacy._covers, 'the answers', lambda: poll() or spin(graph, other))
    assert parameters.parameters['gain']['value'] == 1.0 and open_requests(graph.node) == 0
    parameters.close()
    privacy.poll([])


def test_node_that_hangs_hides_the_cameras_it_subscribes_to_and_no_others(graph, other, monkeypatch):
    monkeypatch.setattr(node_state, '_PATIENCE', 0.2)
    privacy, name, camera = Privacy(graph.node), other.get_fully_qualified_name(), f'/{unique("camera")}'
    other.create_subscription(Image, camera, lambda _: None, 1)
    topics = {each: [Topic(each, False)] for each in (camera, '/elsewhere')}
    poll = lambda: privacy.poll([name]) or graph.spin()  # noqa: E731
    wait_until(lambda: name in privacy._asked and privacy.is_sure and privacy._inputs.get(name), 'the end of the patience', poll)
    assert privacy.hides('/own', topics[camera]) == '?' and privacy.hides('/own', topics['/elsewhere']) == ''
    wait_until(lambda: name in privacy._covers, 'the answer', lambda: poll() or rclpy.spin_once(other, timeout_sec=0.02))
    assert privacy.hides('/own', topics[camera]) == ''  # it covers nobody
    privacy.poll([])


def test_node_without_parameters_is_asked_once(graph, other):
    other.undeclare_parameter('gain')
    loads = []

    class Counting(NodeParameters):
        def load(self) -> None:
            loads.append(1)
            super().load()

    parameters = Counting(graph.node, other.get_fully_qualified_name(), lambda _: None)
    wait_until(lambda: parameters.is_known, 'the answers', lambda: parameters.poll() or spin(graph, other))
    for _ in range(20):
        parameters.poll()
        spin(graph, other)
    assert loads == [1] and parameters.parameters == {}
    parameters.close()


def test_parameters_are_loaded_again_after_a_reload_that_failed(graph, other):
    parameters = NodeParameters(graph.node, other.get_fully_qualified_name(), lambda _: None)
    wait_until(lambda: parameters.is_known, 'the parameters', lambda: parameters.poll() or spin(graph, other))
    other.declare_parameter('late', 3)
    event = ParameterEvent(new_parameters=[Parameter('late', value=3).to_parameter_msg()])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(node_parameters, '_PATIENCE', 0.1)
        parameters.follow(event)
        graph.wait_until(lambda: parameters.poll() or parameters._requests._pauses, 'the end of the patience')
    assert 'late' not in parameters.parameters
    wait_until(lambda: 'late' in parameters.parameters, 'the new one', lambda: parameters.poll() or spin(graph, other))
    parameters.close()

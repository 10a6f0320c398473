# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The state of a node for its subscribers: parameters, pictures, figures; and which pictures must not be shown."""

from __future__ import annotations

import functools
import json
import math
import time
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from diagnostic_msgs.msg import DiagnosticStatus
from rcl_interfaces.msg import ParameterEvent
from rcl_interfaces.srv import GetParameters
from rclpy.exceptions import InvalidTopicNameException
from rclpy.node import Node
from rclpy.subscription import Subscription
from rclpy.validate_full_topic_name import validate_full_topic_name
from std_msgs.msg import String

from ..nodes.topics import latest_only
from .node_parameters import NodeParameters, Requests, plain
from .picture_stream import Pictures, Topic

if TYPE_CHECKING:  # it needs aiohttp
    from .server import Audience

__all__ = ['Privacy', 'NodeState', 'image_kinds', 'is_full_name', 'nodes_with_parameters']

_NOT_SHOWN = 'confidence', 'depth/background', 'depth/people'
_IMAGE, _COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
_PEOPLE, _STRING = 'people', 'std_msgs/msg/String'  # the topic with the people of each frame
_MOST_PEOPLE, _LONGEST_PEOPLE = 50, 32 << 10  # characters
_SUFFIX = '/compressed'
_DESCRIBES = '/describe_parameters'
_INPUT = 'input'
_COVERS = ('replace', 'people')  # the parameter of a node that covers people, and its value
_PATIENCE = 3.0  # seconds for the answer whether a node covers people
_SETTLING = 5.0  # seconds
_REPORT_LASTS = 3.0  # seconds
_MOST_FIGURES, _LONGEST_FIGURE = 60, 200  # of a diagnostic status


def is_full_name(name: str) -> bool:
    """Return whether it is a valid full name of a topic or service. DDS programs without ROS may have others."""
    try:
        validate_full_topic_name(name)
    except InvalidTopicNameException:
        return False
    return True


def nodes_with_parameters(node: Node) -> list[str]:
    """Return the full names of the nodes that describe their parameters, but for ``node``; those with an output first."""
    images = {topic for topic, types in node.get_topic_names_and_types() if _IMAGE in types}
    services = {service for service, _ in node.get_service_names_and_types()}  # also of nodes that ended, while a client exists
    names = {f'{namespace.rstrip("/")}/{name}' for name, namespace in node.get_node_names_and_namespaces() if name[:1] != '_'}
    shown = (name for name in names - {node.get_fully_qualified_name()}
             if f'{name}{_DESCRIBES}' in services and is_full_name(f'{name}{_DESCRIBES}'))
    return sorted(shown, key=lambda name: (f'{name}/output' not in images, name))


def _image_topics(node: Node, name: str) -> tuple[set[Topic], set[Topic]]:
    """Return the pictures that another node publishes, and those that it subscribes; none if it is gone."""
    namespace, _, own = name.rpartition('/')
    try:
        found = [ask(own, namespace or '/') for ask in (node.get_publisher_names_and_types_by_node,
                                                        node.get_subscriber_names_and_types_by_node)]
    except Exception as error:  # NodeNameNonExistentError, which is at another place in each rclpy
        node.get_logger().debug(f'{name}: {error}')
        return set(), set()
    published, subscribed = ({Topic(topic, _COMPRESSED in types) for topic, types in topics
                              if {_IMAGE, _COMPRESSED} & {*types} and is_full_name(topic)} for topics in found)
    return published, subscribed


def image_kinds(name: str, published: Iterable[Topic], subscribed: Iterable[Topic], prefers_compressed: bool) -> dict[str, Topic]:
    """
    Return a node's pictures by kind: ``input`` for the subscribed one, else the last part of the topic.

    Images for other nodes (confidence, depth) are left out.

    :param prefers_compressed: whether the compressed form is taken if there are both.
    """
    kinds: dict[str, Topic] = {}
    for topic in sorted(subscribed, key=lambda topic: ('depth' in topic.name, topic)):
        if not topic.name.startswith(f'{name}/'):
            kinds.setdefault(_INPUT, topic)
    for topic in sorted(published, key=lambda topic: (topic.is_compressed != prefers_compressed, topic.name)):
        base = topic.name.removesuffix(_SUFFIX) if topic.is_compressed else topic.name
        kind = base.removeprefix(f'{name}/') if base.startswith(f'{name}/') else base.rpartition('/')[2]
        if kind not in _NOT_SHOWN:
            kinds.setdefault(kind, topic)
    return kinds


def _bases(topics: Iterable[Topic]) -> set[str]:
    return {topic.name.removesuffix(_SUFFIX) for topic in topics}


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f'{value} is not finite')
    return value


class Privacy:
    """
    Which nodes cover people (``replace`` is people). Their input, and what other nodes make of it, is not shown.

    A node that has not answered yet counts as one that covers people. One that does not answer for 3 s counts for the cameras to
    which it subscribes only: what is not known to subscribe to them cannot hide them for ever.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._asked: dict[str, tuple[float, Requests]] = {}  # since when, and by what
        self._covers: dict[str, bool] = {}
        self._inputs: dict[str, set[str]] = {}

    @property
    def is_sure(self) -> bool:
        """Whether all nodes that were asked a short while ago have answered."""
        return not any(map(self._is_asked, self._asked))

    def poll(self, names: Collection[str]) -> None:
        """Ask new nodes, and forget those that are gone."""
        for name in self._asked.keys() - set(names):
            self._asked.pop(name)[1].close()
            self._covers.pop(name, None)
            self._inputs.pop(name, None)
        for name in set(names) - self._asked.keys():
            self._asked[name] = time.monotonic(), Requests(self._node, name, {GetParameters: 'get_parameters'})
        for name, (_, node) in self._asked.items():
            node.poll()
            if name not in self._covers and node.are_due(GetParameters):
                node.ask(GetParameters, GetParameters.Request(names=[_COVERS[0]]), functools.partial(self._take, name),
                         lambda _reason: None)  # it is asked again
        for name in self._covering:
            self._inputs.setdefault(name, set()).update(_bases(_image_topics(self._node, name)[1]))

    def _take(self, name: str, answer: Any) -> None:
        self._covers.setdefault(name, [plain(each) for each in answer.values] == [_COVERS[1]])

    @property
    def _covering(self) -> set[str]:
        """The nodes that cover people, and those that have not answered."""
        return {name for name in self._asked if self._covers.get(name, True)}

    def _is_asked(self, name: str) -> bool:
        """Whether an answer of a node may still come soon."""
        return name not in self._covers and time.monotonic() - self._asked[name][0] < _PATIENCE

    def follow(self, event: ParameterEvent) -> None:
        """Take an event of a node's parameters."""
        for each in (*event.new_parameters, *event.changed_parameters):
            if each.name == _COVERS[0] and event.node in self._asked:
                self._covers[event.node] = plain(each.value) == _COVERS[1]

    def hides(self, name: str, topics: Iterable[Topic]) -> str:
        """
        Return the node that covers people whom pictures of another node may show; empty if they may be shown.

        ``?`` stands for a node that has not answered yet.
        """
        bases = _bases(topics)
        for other in sorted(self._covering - {name}):
            inputs = self._inputs.get(other, set())
            is_unknown = not inputs and (other in self._covers or self._is_asked(other))  # its camera may be the same
            if is_unknown or inputs & bases:
                return other if other in self._covers else '?'
        return ''


class NodeState:
    """
    A node with subscribers.

    :param node: that subscribes and asks.
    :param name: full name of the other.
    """

    def __init__(self, node: Node, name: str, audience: Audience, privacy: Privacy, *, width: int, quality: int,
                 prefers_compressed: bool) -> None:
        self.node_parameters = NodeParameters(node, name, self._on_change)
        self._node, self._name, self._audience, self._privacy = node, name, audience, privacy
        self._prefers_compressed = prefers_compressed
        self._pictures = Pictures(node, lambda: audience.wanted, audience.send_pictures, width, quality)
        self._kinds: dict[str, Topic] = {}
        self._people: Subscription[Any] | None = None
        self._sent: dict[str, Any] = {}
        self._status: dict[str, Any] = {}
        self._since = self._counted = self._reported = time.monotonic()

    def close(self) -> None:
        """Subscribe nothing and ask nothing any more."""
        self._pictures.subscribe({})
        self._follow_people(False)
        self.node_parameters.close()

    def poll(self) -> None:
        """Follow the node's pictures and services."""
        self.node_parameters.poll()
        published, subscribed = _image_topics(self._node, self._name)
        self._kinds.update(image_kinds(self._name, published, subscribed, self._prefers_compressed))
        self.show()

    def send_figures(self) -> None:
        """Send rate, latency and report; once a second."""
        now = time.monotonic()
        rate, self._pictures.count = self._pictures.count / (now - self._counted), 0
        self._counted, age = now, self._pictures.age
        self._pictures.age = None
        report = self._status if now - self._reported < _REPORT_LASTS else {}
        self._audience.update('figures', {'about': 'figures', 'node': self._name, 'rate': rate, 'latency': age, **report})

    def report(self, status: DiagnosticStatus) -> None:
        """Take a report of the node on /diagnostics."""
        self._reported = time.monotonic()
        self._status = {'level': status.level[0], 'message': status.message[:_LONGEST_FIGURE * 3], 'values': {
            value.key[:_LONGEST_FIGURE]: value.value[:_LONGEST_FIGURE] for value in status.values[:_MOST_FIGURES]}}

    def show(self) -> None:
        """Subscribe to the pictures that have subscribers and may be shown; send what changed."""
        replace = self.node_parameters.parameters.get(_COVERS[0])
        covers, hidden_for = replace is not None and replace['value'] == _COVERS[1], ''
        kinds: dict[str, Topic] = {}
        if self.node_parameters.is_known:
            kinds = {kind: topic for kind, topic in self._kinds.items() if not (covers and kind == _INPUT)}
        else:
            self._kinds = {}
        if not covers:
            hidden_for = self._privacy.hides(self._name, kinds.values())
        if hidden_for:
            kinds = {}
        self._pictures.subscribe({kind: topic for kind, topic in kinds.items() if kind in self._audience.shown})
        topics = self._node.get_topic_names_and_types() if self.node_parameters.is_known else []
        has_people = (f'{self._name}/{_PEOPLE}', [_STRING]) in topics
        self._follow_people(has_people and _PEOPLE in self._audience.shown)
        message = {'about': 'node', 'node': self._name, 'parameters': self.node_parameters.parameters, 'pictures': sorted(kinds),
                'actions': self.node_parameters.actions, 'covers': covers, 'hidden_for': hidden_for,
                'has_people': has_people}
        without_values = {**message, 'parameters': [*self.node_parameters.parameters]}
        if without_values != self._sent:
            self._sent = without_values
            self._audience.update('node', message)

    def _follow_people(self, is_wanted: bool) -> None:
        if self._people is None and is_wanted:
            self._people = self._node.create_subscription(String, f'{self._name}/{_PEOPLE}', self._on_people, latest_only())
        elif self._people is not None and not is_wanted:
            self._node.destroy_subscription(self._people)
            self._people = None

    def _on_people(self, message: String) -> None:
        """Send the people of a frame. A message of another form is logged and left out."""
        try:
            found = json.loads(message.data[:_LONGEST_PEOPLE], parse_constant=str)
            width, height = float(found['width']), float(found['height'])
            people = [{'id': int(each['id']), 'counts': each.get('counts') is not False,
                       'box': [_finite(float(part) / side) for part, side in zip(each['box'], (width, height) * 2)]}
                      for each in found['people'][:_MOST_PEOPLE]]
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
            reason = f'{self._name}/{_PEOPLE} is not understood: {repr(error)[:_LONGEST_FIGURE]}'
            self._node.get_logger().error(reason, throttle_duration_sec=30.0)
            return
        self._audience.update(_PEOPLE, {'about': _PEOPLE, 'node': self._name, 'people': people})

    @property
    def is_settled(self) -> bool:
        """Whether its parameters are known, and it had time to subscribe to its camera."""
        return self.node_parameters.is_known and time.monotonic() - self._since > _SETTLING

    def send_all(self) -> None:
        """Send the whole state again, for new subscribers."""
        self._sent = {}
        self.show()

    def _on_change(self, is_other: bool) -> None:
        if is_other:
            self.send_all()
        else:
            self.show()
            values = {name: each['value'] for name, each in self.node_parameters.parameters.items()}
            self._audience.update('values', {'about': 'values', 'node': self._name, 'values': values})

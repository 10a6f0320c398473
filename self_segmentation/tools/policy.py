# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
What the nodes may do in a graph that is secured by SROS 2: ``config/policy.xml``, made from the nodes as they run.

``python3 -m self_segmentation.tools.policy`` prints it, in the form of ``ros2 security generate_policy``. Give the ROS arguments
that the nodes are started with (``--ros-args -r __ns:=/front -r image_raw:=camera/image``) for a policy with other names.
"""

from __future__ import annotations

import functools
import os
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Callable

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image

from ..nodes.camera_node import CameraNode
from ..nodes.segmentation_node import SegmentationNode
from ..settings import TUNABLES

__all__ = ['as_xml', 'interface', 'main', 'shortened']

_VERSION = '0.2.0'  # of the form
_LICENCE = ' SPDX-FileCopyrightText: 2026 self_segmentation contributors ', ' SPDX-License-Identifier: Apache-2.0 '
_HEAD = """\
  What each node may do in a graph that is secured by SROS 2, and nothing else. Made by `make reference`; docs/security.md says
  how it is used, and how it is made for other names.
"""
# No camera is switched on, and nobody else's nodes are met.
_ARGUMENTS = ['--ros-args', '--log-level', 'fatal', '-p', 'video_device:=/dev/none']
_ALONE = {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'OFF'}
_PATIENCE = 30.0  # seconds

Interface = dict[tuple[str, str], set[str]]


def interface(asker: Node, name: str, namespace: str) -> Interface:
    """
    Return what a node has now: (``topic`` or ``service``, what it does with it) to full names.

    :param asker: a node of the same graph.
    """
    return {(kind, does): {found for found, _ in ask(name, namespace)} for kind, does, ask in (
        ('service', 'reply', asker.get_service_names_and_types_by_node),
        ('service', 'request', asker.get_client_names_and_types_by_node),
        ('topic', 'publish', asker.get_publisher_names_and_types_by_node),
        ('topic', 'subscribe', asker.get_subscriber_names_and_types_by_node))}


def shortened(full: str, name: str, namespace: str) -> str:
    """Return a name as it is written in the policy of a node: ``~/`` for its own, relative for its namespace's."""
    above = namespace.rstrip('/') + '/'
    own = f'{above}{name}/'
    if full.startswith(own):
        return '~/' + full.removeprefix(own)
    if above != '/' and full.startswith(above):
        return full.removeprefix(above)
    return full.removeprefix('/') if above == '/' and full.count('/') == 1 else full


def as_xml(nodes: dict[tuple[str, str], Interface]) -> str:
    """
    Return a policy: each node may do what it has, in an enclave that is named as the node.

    :param nodes: (name, namespace) to what the node has.
    """
    policy = ElementTree.Element('policy', version=_VERSION)
    enclaves = ElementTree.SubElement(policy, 'enclaves')
    for (name, namespace), has in sorted(nodes.items()):
        enclave = ElementTree.SubElement(enclaves, 'enclave', path=f'{namespace.rstrip("/")}/{name}')
        profiles = ElementTree.SubElement(enclave, 'profiles')
        profile = ElementTree.SubElement(profiles, 'profile', node=name, ns=namespace)
        for (kind, does), names in sorted(has.items()):
            if names:
                allowed = ElementTree.SubElement(profile, f'{kind}s', {does: 'ALLOW'})
                for short in sorted(shortened(full, name, namespace) for full in names):
                    ElementTree.SubElement(allowed, kind).text = short
    ElementTree.indent(policy)
    comments = ''.join(f'<!--{line}-->\n' for line in _LICENCE) + f'<!--\n{_HEAD}-->\n'
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{comments}{ElementTree.tostring(policy, encoding="unicode")}\n'


def _running(args: list[str]) -> dict[tuple[str, str], Interface]:
    """Start the nodes, want their results in each way that there is, and return all that they ever had."""
    rclpy.init(args=[*args, *_ARGUMENTS])
    nodes: list[Node] = []
    executor = SingleThreadedExecutor()
    has: dict[tuple[str, str], Interface] = defaultdict(lambda: defaultdict(set))

    def look() -> int:
        """Note what is there now; return how much is known."""
        for node in nodes[1:]:
            key = node.get_name(), node.get_namespace()
            for what, names in interface(nodes[0], *key).items():
                has[key][what] |= names
        return sum(len(names) for each in has.values() for names in each.values())

    def knows_more_than(known: int) -> bool:
        return look() > known

    def spin_until(condition: Callable[[], bool]) -> None:
        end = time.monotonic() + _PATIENCE
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError('the nodes do not come up')
            executor.spin_once(timeout_sec=0.1)

    try:
        makers: list[Callable[[], Node]] = [functools.partial(Node, 'policy'), CameraNode, SegmentationNode]
        for make in makers:
            nodes.append(make())
            executor.add_node(nodes[-1])
        asker, _, segmentation = nodes
        for node in nodes[1:]:
            node.set_parameters([Parameter('use_sim_time', value=True)])
        known = look()
        asker.create_subscription(Image, f'{segmentation.get_fully_qualified_name()}/output', lambda _: None, 1)
        transports = [('image_transport', each) for each in TUNABLES['image_transport'].choices]
        for name, value in (*transports, ('background.type', 'topic')):
            segmentation.set_parameters([Parameter(name, value=value)])
            spin_until(functools.partial(knows_more_than, known))
            known = look()
    finally:
        for node in reversed(nodes):
            node.destroy_node()
        rclpy.try_shutdown()
    return has


def main() -> int:
    """Print the policy."""
    os.environ.update(_ALONE)
    print(as_xml(_running(sys.argv)), end='')
    return 0


if __name__ == '__main__':
    raise SystemExit(main())

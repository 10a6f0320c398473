# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
What the nodes may do in a graph that is secured by SROS 2: ``config/policy.xml``, made from the running nodes.

``python3 -m self_segmentation.tools.policy`` prints it, in the form of ``ros2 security generate_policy``. For other names
give the ROS arguments of the nodes (``--ros-args -r __ns:=/front -r image_raw:=camera/image``).
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
from sensor_msgs.msg import CameraInfo, Image

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
# No camera is switched on, and no other nodes are seen.
_ARGUMENTS = ['--ros-args', '--log-level', 'fatal', '-p', 'video_device:=/dev/none']
_ALONE = {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'OFF'}
_PATIENCE = 30.0  # seconds
_NOT_EVERYWHERE = ('/tf', '~/detections', '~/label_info')  # topics whose messages may not be installed

Interface = dict[tuple[str, str], set[str]]


def interface(asker: Node, name: str, namespace: str) -> Interface:
    """
    Return what a node has now: (``topic`` or ``service``, the action) to full names.

    :param asker: a node of the same graph.
    """
    return {(kind, does): {found for found, _ in ask(name, namespace)} for kind, does, ask in (
        ('service', 'reply', asker.get_service_names_and_types_by_node),
        ('service', 'request', asker.get_client_names_and_types_by_node),
        ('topic', 'publish', asker.get_publisher_names_and_types_by_node),
        ('topic', 'subscribe', asker.get_subscriber_names_and_types_by_node))}


def shortened(full: str, name: str, namespace: str) -> str:
    """Return a name as in the policy of a node: ``~/`` for its own names, relative for names of its namespace."""
    above = namespace.rstrip('/') + '/'
    own = f'{above}{name}/'
    if full.startswith(own):
        return '~/' + full.removeprefix(own)
    if above != '/' and full.startswith(above):
        return full.removeprefix(above)
    return full.removeprefix('/') if above == '/' and full.count('/') == 1 else full


def as_xml(nodes: dict[tuple[str, str], Interface]) -> str:
    """
    Return a policy: each node may use what it has, in an enclave with the node's name.

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
    """Start the nodes, subscribe to a result with each transport and a background topic, and return all that they ever had."""
    rclpy.init(args=[*args, *_ARGUMENTS])
    nodes: list[Node] = []
    executor = SingleThreadedExecutor()
    has: dict[tuple[str, str], Interface] = defaultdict(lambda: defaultdict(set))

    def note() -> int:
        """Note what the nodes have now; return how much is new."""
        new = 0
        for node in nodes[1:]:
            key = node.get_name(), node.get_namespace()
            for what, names in interface(nodes[0], *key).items():
                new += len(names - has[key][what])
                has[key][what] |= names
        return new

    makers: list[Callable[[], Node]] = [functools.partial(Node, 'policy'), CameraNode, SegmentationNode]
    try:
        for make in makers:
            nodes.append(make())
            executor.add_node(nodes[-1])
        asker, _, segmentation = nodes
        for node in nodes[1:]:
            node.set_parameters([Parameter('use_sim_time', value=True)])
        note()
        own = segmentation.get_fully_qualified_name()
        for kind, topic in ((Image, 'output'), (Image, 'depth/background'), (CameraInfo, 'camera_info')):
            asker.create_subscription(kind, f'{own}/{topic}', lambda _: None, 1)
        key = segmentation.get_name(), segmentation.get_namespace()
        has[key]['topic', 'publish'] |= {each.replace('~', own) for each in _NOT_EVERYWHERE}
        transports = [('image_transport', each) for each in TUNABLES['image_transport'].choices]
        for name, value in (*transports, ('background.type', 'topic')):
            segmentation.set_parameters([Parameter(name, value=value)])
            end = time.monotonic() + _PATIENCE
            while not note():
                if time.monotonic() > end:
                    raise TimeoutError(f'the node shows nothing new with {name} = {value}')
                executor.spin_once(timeout_sec=0.1)
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

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Which nodes a page offers."""
import rclpy
from conftest import unique
from rcl_interfaces.srv import DescribeParameters

from self_segmentation.studio.node_state import nodes_with_parameters


def test_lists_running_nodes_with_parameters(graph):
    namespace = '/' + unique('watched')
    nodes = {name: rclpy.create_node(name, namespace=namespace, start_parameter_services=name != 'mute')
             for name in ('one', 'mute', '_hidden')}
    graph.node.create_client(DescribeParameters, f'{namespace}/one/describe_parameters')

    def listed() -> list[str]:
        return [name for name in nodes_with_parameters(graph.node) if name.startswith(namespace)]

    graph.wait_until(lambda: listed() == [f'{namespace}/one'], 'the node')
    for node in nodes.values():
        node.destroy_node()
    graph.wait_until(lambda: listed() == [], 'its end, though somebody has a client of its service')

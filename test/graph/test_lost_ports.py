# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What a node does once Fast DDS has lost the port at which its process waits for messages."""
import os

import pytest
from conftest import ASTRONAUT, TUTORIAL, own_domain, unique, wait_until
from ros import VIEWER, Segmentation, message_of
from shared_memory import lose_ports, own_ports


@pytest.mark.parametrize('name', ['camera', 'segmentation', 'studio', 'viewer'])
def test_node_that_lost_its_ports_logs_one_line_and_exits_with_1(start, name):
    """In a domain of its own: who still sends to a lost port takes it from the process that gets its number next."""
    with own_domain() as domain:
        program = start(f'{name}_node', '--ros-args', '-r', '__ns:=/lost', '-p', f'video_device:={ASTRONAUT}', '-p', 'port:=0',
                        command=VIEWER if name == 'viewer' else None, env={**os.environ, 'ROS_DOMAIN_ID': str(domain)})
        wait_until(lambda: program.code is not None or own_ports(program.pid), 'the node')
        ports = lose_ports(program.pid)
        assert program.exit_code() == 1, program.said
    [line] = [line for line in program.said.splitlines() if 'Fast DDS' in line]
    assert '[FATAL]' in line and f'[lost.{name}]' in line and 'Traceback' not in program.said, program.said
    assert all(port in line for port in ports) and 'exit code 1' in line and 'respawn' in line


def test_node_that_is_started_again_after_it_lost_its_ports_serves_same_subscribers(graph, start, astronaut):
    namespace = unique('lost')
    program = start.node('segmentation_node', namespace, '--params-file', TUTORIAL)
    node = Segmentation(graph, namespace, program)
    node.results(message_of(astronaut))
    lose_ports(program.pid)
    wait_until(lambda: program.code is not None, 'its end', graph.spin)
    has_served = []

    def serves() -> bool:  # as a supervisor does: a new process may lose its port too, until senders forget the old one's
        node.program = start.node('segmentation_node', namespace, '--params-file', TUTORIAL)
        try:
            has_served.append(node.results(message_of(astronaut)))
        except pytest.fail.Exception:
            assert node.program.code == 1, node.program.said
        return bool(has_served)

    wait_until(serves, 'a process that serves', graph.spin)

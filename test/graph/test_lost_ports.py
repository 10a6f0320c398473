# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What a node does once Fast DDS has lost the port at which its process waits for messages."""
import sys

import pytest
from conftest import ASTRONAUT, TUTORIAL, unique, wait_until
from ros import Segmentation, message_of
from shared_memory import lose_ports

from self_segmentation.middleware import ports_of

# The viewer, without a screen.
VIEWER = """
import sys
from self_segmentation.nodes import viewer_node

class Screen:
    def poll(self):
        return True
    def close(self):
        pass

viewer_node.why_no_window, viewer_node.Window = lambda: '', Screen
sys.exit(viewer_node.main())
"""


@pytest.mark.parametrize('name', ['camera', 'segmentation', 'studio', 'viewer'])
def test_node_that_lost_its_ports_logs_one_line_and_exits_with_1(graph, start, name):
    namespace = unique('lost')
    command = [sys.executable, '-c', VIEWER] if name == 'viewer' else None
    program = start(f'{name}_node', '--ros-args', '-r', f'__ns:=/{namespace}', '-p', f'video_device:={ASTRONAUT}',
                    '-p', 'port:=0', command=command)
    graph.wait_until(lambda: program.code is not None or (name, f'/{namespace}') in graph.node.get_node_names_and_namespaces()
                     and ports_of(program.pid), 'the node')
    ports = lose_ports(program.pid)
    assert program.exit_code() == 1, program.said
    [line] = [line for line in program.said.splitlines() if 'Fast DDS' in line]
    assert '[FATAL]' in line and f'[{namespace}.{name}]' in line and 'Traceback' not in program.said, program.said
    assert all(port in line for port in ports) and 'exit code 1' in line and 'respawn' in line


def test_node_that_is_started_again_after_it_lost_its_ports_serves_same_subscribers(graph, start, astronaut):
    namespace = unique('lost')
    program = start.node('segmentation_node', namespace, '--params-file', TUTORIAL)
    node = Segmentation(graph, namespace, program)
    node.results(message_of(astronaut))
    lose_ports(program.pid)
    wait_until(lambda: program.code is not None, 'its end', graph.spin)
    for _ in range(10):  # as the launch file does: a new process may lose its port too, while the old one's is cleaned up
        node.program = start.node('segmentation_node', namespace, '--params-file', TUTORIAL)
        try:
            node.results(message_of(astronaut))
            break
        except pytest.fail.Exception:
            assert node.program.code == 1, node.program.said
    else:
        pytest.fail(f'no process served: {node.program.said}')

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The sockets of whole runs of the nodes: ROS's own and no others."""
import signal
import sys

import pytest
from conftest import SAMPLE, full_name, unique
from tracing import needs_strace, sockets, traced

from self_segmentation.picture.models import runtimes

pytestmark = needs_strace
INSTALLED = [runtime.name for runtime in runtimes.installed_runtimes()]

# A node that does nothing but ROS: it takes images and gives images, and all that a node offers by itself.
PLAIN = """
import sys, rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node('plain')
publisher = node.create_publisher(Image, sys.argv[1], 1)
node.create_subscription(Image, sys.argv[2], publisher.publish, qos_profile_sensor_data)
try:
    rclpy.spin(node)
except (KeyboardInterrupt, Exception):  # rclpy ends in several ways, some of which fail
    pass
"""


@pytest.fixture
def run(start, graph, tmp_path):
    """``run(output, command, ...)``: the sockets of programs, by the time that images came out, and they ended."""
    def run(output: str, *commands: list[str]) -> set[str]:
        received, _ = graph.listen(output)
        traces = [tmp_path / unique('trace') for _ in commands]
        programs = [start('', command=[*traced(trace), sys.executable, *command]) for trace, command in zip(traces, commands)]
        graph.wait_until(lambda: len(received) > 20, 'images')
        for program in programs:
            program.send(signal.SIGINT)
            assert program.exit_code() == 0, program.said
        return set().union(*map(sockets, traces))

    return run


def camera(space: str) -> list[str]:
    return ['-m', full_name('camera_node'), '--ros-args', '-r', f'__ns:=/{space}', '-p', f'video_device:={SAMPLE}']


@pytest.mark.parametrize('name', INSTALLED)
def test_nodes_open_no_socket_beyond_plain_node(name, run):
    plain, ours = unique('plain'), unique('ours')
    expected = run(f'/{plain}/out', ['-c', PLAIN, f'/{plain}/out', f'/{plain}/image_raw'], camera(plain))
    assert any(each.startswith('to INET') and each.endswith('of the domain') for each in expected)
    opened = run(f'/{ours}/segmentation/output', camera(ours), [
        '-m', full_name('segmentation_node'), '--ros-args', '-r', f'__ns:=/{ours}', '-p', f'runtime:={name}'])
    talks = runtimes.choose_runtime(name).warning  # and then says so
    assert bool(opened - expected) == bool(talks), opened - expected

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Who asks ROS to stay on the machine stays there: looked at from the sockets, and from another host."""
import os
import sys
from pathlib import Path

import pytest
from conftest import SAMPLE, Program, full_name, unique, wait_until
from machine import NotAllowedError, TwoHosts

LOCAL = {'ROS_LOCALHOST_ONLY=1': {'ROS_LOCALHOST_ONLY': '1'},
         'ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST': {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}}
ENOUGH = 40  # images: longer than two nodes take to find each other

LISTENER = """
import sys, rclpy
from sensor_msgs.msg import Image
rclpy.init(args=['--ros-args', '--disable-external-lib-logs'])
node = rclpy.create_node('listener')
node.create_subscription(Image, sys.argv[1], lambda _: print('image', flush=True), 10)
print('listens', flush=True)
rclpy.spin(node)
"""


def environment(local: dict[str, str]) -> dict[str, str]:
    """As of somebody who sets these variables and no others: our nodes see to the rest."""
    bare = {name: value for name, value in os.environ.items() if not name.endswith('_DEFAULT_PROFILES_FILE')}
    return {**bare, **local}


class Host:
    """Camera, segmentation and a listener on one machine."""

    def __init__(self, start, local: dict[str, str], at: tuple[str, ...] = ()) -> None:
        self._start, self._env, self._at, self._space = start, environment(local), at, unique('local')
        self.nodes = [self.run('-m', full_name('segmentation_node'), '--ros-args', '-r', f'__ns:=/{self._space}'),
                      self.run('-m', full_name('camera_node'), '--ros-args', '-r', f'__ns:=/{self._space}',
                               '-p', f'video_device:={SAMPLE}', '-p', 'image_width:=1280', '-p', 'image_height:=720')]
        self.topic = f'/{self._space}/segmentation/output'
        self.listener = self.run('-c', LISTENER, self.topic)

    def run(self, *arguments: str) -> Program:
        return self._start('', command=[*self._at, sys.executable, *arguments], env=self._env)

    def wait_for_images(self) -> None:
        def have_come() -> bool:
            assert all(node.code is None for node in self.nodes), [node.said for node in self.nodes]
            return self.listener.said.count('image') >= ENOUGH

        wait_until(have_come, 'images on the host itself')


def listening_addresses(pid: int) -> set[str]:
    """Addresses on which a process's DDS can be reached: those of its UDP sockets on the ports of this domain."""
    first = 7400 + 250 * int(os.environ['ROS_DOMAIN_ID'])
    sockets = {str(file.readlink()) for file in Path(f'/proc/{pid}/fd').iterdir() if file.is_symlink()}
    lines = [line.split() for line in Path(f'/proc/{pid}/net/udp').read_text().splitlines()[1:]]
    places = [fields[1].split(':') for fields in lines if f'socket:[{fields[9]}]' in sockets]
    return {'.'.join(map(str, reversed(bytes.fromhex(address)))) for address, port in places if 0 <= int(port, 16) - first < 250}


@pytest.mark.parametrize('local', LOCAL.values(), ids=list(LOCAL))
def test_listens_on_loopback_only_with_large_images(start, local):
    host = Host(start, local)
    host.wait_for_images()
    for node in host.nodes:
        assert listening_addresses(node.pid) - {'239.255.0.1'} == {'127.0.0.1'}  # the group is joined on the same interface


@pytest.mark.parametrize('local', LOCAL.values(), ids=list(LOCAL))
def test_sends_nothing_to_another_host(start, local):
    try:
        hosts = TwoHosts()
    except NotAllowedError as error:
        pytest.skip(f'two hosts: {error}')
    try:
        near = Host(start, local, tuple(hosts.at('near')))
        other = start('', near.topic, command=[*hosts.at('far'), sys.executable, '-c', LISTENER], env=environment({}))
        wait_until(lambda: 'listens' in other.said, 'the listener on the other host')
        before = hosts.sent('near')
        near.wait_for_images()
        assert 'image' not in other.said
        assert hosts.sent('near') - before < 1280 * 720 * 3
    finally:
        hosts.close()

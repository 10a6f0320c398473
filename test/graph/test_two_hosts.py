# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Camera and viewer on one host, the segmentation on another: both ways over a cable that is cut and that is slow."""
import contextlib
import functools
import os
import signal
import sys
import time
from typing import NamedTuple

import pytest
from conftest import SAMPLE, Program, full_name, wait_until
from machine import VIEWER, NotAllowedError, OneHost, TwoHosts, as_it_is, first_possible

RATE = 15.0  # Hz, of both cameras
FEW = 10  # pictures that are on their way at most: every queue holds one or two


class Picture(NamedTuple):
    """One that came back: the seconds when it was taken and when it came, its bytes."""

    taken: float
    came: float
    size: int


class Flow:
    """Pictures of 640x480 from the near host through the segmentation on the far one and back."""

    def __init__(self, hosts: TwoHosts | OneHost, start, transport: str) -> None:
        env = {**os.environ, **hosts.environment}

        def on(host: str, *command: str) -> Program:
            return start('', command=[*hosts.at(host), sys.executable, *command], env=env)

        def node(host: str, module: str, *parameters: str) -> Program:
            given = [part for parameter in parameters for part in ('-p', parameter)]
            return on(host, '-m', full_name(module), '--ros-args', '-r', f'__ns:=/{transport}', *given)

        self.far = node('far', 'segmentation_node', f'image_transport:={transport}')
        self.viewer = self.camera = on('near', '-c', VIEWER, transport, transport, str(SAMPLE), str(RATE))
        if transport == 'raw':
            self.camera = node('near', 'camera_node', f'video_device:={SAMPLE}', 'image_width:=640', 'image_height:=480',
                               f'framerate:={RATE}')
        self.programs = {self.far, self.viewer, self.camera}

    def pictures(self, since: float = 0.0) -> list[Picture]:
        """All that were taken since then and came."""
        lines = [line.split()[1:] for line in self.viewer.said.splitlines(keepends=True)
                 if line.startswith('picture') and line.endswith('\n')]
        pictures = [Picture(float(taken), float(came), int(size)) for taken, came, size in lines]
        return [picture for picture in pictures if picture.taken > since]

    def wait_for(self, count: int, what: str) -> list[Picture]:
        """Wait for so many that are taken from now on."""
        now = time.time()
        wait_until(lambda: self.dead() or len(self.pictures(now)) >= count, what)
        assert not self.dead(), self.dead()
        return self.pictures(now)

    def dead(self) -> list[str]:
        """What those said that ended."""
        return [program.said for program in self.programs if program.code is not None]


@pytest.fixture(scope='module')
def hosts(tmp_path_factory):
    hosts = first_possible('two hosts', TwoHosts, functools.partial(OneHost, tmp_path_factory.mktemp('hosts')))
    yield hosts
    hosts.close()


@pytest.fixture(scope='module')
def flows(hosts, start_shared):
    """Both flows, at once."""
    return {transport: Flow(hosts, start_shared, transport) for transport in ('raw', 'compressed')}


@pytest.fixture(params=['raw', 'compressed'])
def flow(flows, request):
    """One of them; the other stands still, for the cable is slow."""
    others = [flows[transport] for transport in flows if transport != request.param]
    for other in others:
        other.camera.send(signal.SIGSTOP)
    yield flows[request.param]
    for other in others:
        other.camera.send(signal.SIGCONT)


def test_images_and_results_cross_hosts(hosts, flow):
    sent = {name: hosts.sent(name) for name in TwoHosts.NAMES}
    size = sum(picture.size for picture in flow.wait_for(20, 'pictures from the other host'))
    assert hosts.sent('far') - sent['far'] > size  # nothing has gone around the cable
    assert hosts.sent('near') - sent['near'] > size / 4


def test_recovers_when_network_is_cut(hosts, flows):
    for flow in flows.values():
        flow.wait_for(5, 'pictures')
    for flow in flows.values():
        hosts.cut(flow.far)
    cut = time.time()
    time.sleep(5)
    mended = time.time()
    for flow in flows.values():
        hosts.mend(flow.far)
    for transport, flow in flows.items():
        flow.wait_for(20, f'{transport} pictures again')
        meanwhile = [picture for picture in flow.pictures(cut) if picture.taken < mended]
        assert all(picture.came > mended for picture in meanwhile)  # it was cut
        assert len(meanwhile) < FEW  # of 75: nothing queues


def test_slow_network_keeps_compressed_rate_and_raw_latency(hosts, flow):
    """100 Mbit/s take 14 raw pictures of 640x480 a second and hundreds of compressed ones; the way back takes half as many."""
    first_possible('a slow cable', functools.partial(hosts.slow, near='100mbit', far='50mbit'), as_it_is)
    try:
        pictures = flow.wait_for(30, 'pictures over the slow cable')  # 30 more raw ones than these do not fit through
        stopped = time.time()
        flow.camera.send(signal.SIGSTOP)
    finally:
        with contextlib.suppress(NotAllowedError):  # it was not slow then
            hosts.slow(near='', far='')
    flow.camera.send(signal.SIGCONT)
    if flow.camera is flow.viewer:
        assert max(picture.size for picture in pictures) * 8 * RATE < 25e6
    flow.wait_for(1, 'a picture after all that was on its way')
    assert len([picture for picture in flow.pictures() if picture.taken < stopped < picture.came]) < FEW

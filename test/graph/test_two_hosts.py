# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Camera and viewer on one host, the segmentation on another: both ways over a cable that is cut and that is slow."""
import contextlib
import functools
import os
import signal
import statistics
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import SAMPLE, Program, full_name, wait_until
from machine import VIEWER, NotAllowedError, OneHost, TwoHosts, as_it_is, first_possible

SECONDS = 5.0  # for which pictures are counted
RATE = 15.0  # Hz, of both cameras


class Picture(NamedTuple):
    """One that came back."""

    taken: float
    came: float
    size: int

    @property
    def age(self) -> float:
        """Seconds."""
        return self.came - self.taken


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

    def pictures(self, since: int = 0) -> list[Picture]:
        """All that came, from a number on."""
        lines = [line.split()[1:] for line in self.viewer.said.splitlines(keepends=True)
                 if line.startswith('picture') and line.endswith('\n')]
        return [Picture(float(taken), float(came), int(size)) for taken, came, size in lines[since:]]

    def wait_for(self, count: int, what: str) -> None:
        """Wait for so many more."""
        before = len(self.pictures())
        wait_until(lambda: self.dead() or len(self.pictures()) >= before + count, what)
        assert not self.dead(), self.dead()

    def dead(self) -> list[str]:
        """What those said that ended."""
        return [program.said for program in self.programs if program.code is not None]

    def during(self, seconds: float) -> list[Picture]:
        """All that come in the next seconds."""
        before, end = len(self.pictures()), time.monotonic() + seconds
        wait_until(lambda: time.monotonic() >= end, 'time to pass')
        return self.pictures(before)

    def memory(self) -> float:
        """MB of the segmentation."""
        return int(Path(f'/proc/{self.far.pid}/statm').read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE') / 1e6


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


def test_pictures_cross_to_the_other_host_and_their_results_come_back(hosts, flow):
    before = len(flow.pictures())
    sent = {name: hosts.sent(name) for name in TwoHosts.NAMES}
    flow.wait_for(20, 'pictures from the other host')
    size = sum(picture.size for picture in flow.pictures(before)[:20])
    came_back = hosts.sent('far') - sent['far']
    assert came_back > size  # nothing has gone around the cable
    assert hosts.sent('near') - sent['near'] > size / 4


def test_a_cable_that_was_cut_for_5_seconds_costs_these_5_seconds_and_nothing_else(hosts, flows):
    for flow in flows.values():
        flow.wait_for(5, 'pictures')
    memory = {transport: flow.memory() for transport, flow in flows.items()}
    for flow in flows.values():
        hosts.cut(flow.far)
    during_the_cut = {transport: len(flow.during(2.5)) for transport, flow in flows.items()}  # one after the other: 5 s
    counts = {transport: len(flow.pictures()) for transport, flow in flows.items()}
    for flow in flows.values():
        hosts.mend(flow.far)
    assert during_the_cut['compressed'] == 0 and during_the_cut['raw'] < RATE
    for transport, flow in flows.items():
        wait_until(lambda flow=flow, count=counts[transport]: len(flow.pictures()) >= count + 20, f'{transport} pictures again')
        assert not flow.dead(), flow.dead()
        assert flow.pictures(counts[transport] + 10)[-1].age < 1.0  # not those of the time of the cut
        assert flow.memory() - memory[transport] < 20


def test_on_a_slow_cable_compressed_pictures_keep_their_rate_and_raw_ones_get_fewer_but_not_older(hosts, flow):
    """100 Mbit/s take 14 raw pictures of 640x480 a second and hundreds of compressed ones; the way back takes half as many."""
    first_possible('a slow cable', functools.partial(hosts.slow, near='100mbit', far='50mbit'), as_it_is)
    try:
        flow.wait_for(5, 'pictures over the slow cable')
        ages = [picture.age for picture in flow.during(SECONDS)]
    finally:
        with contextlib.suppress(NotAllowedError):  # it was not slow then
            hosts.slow(near='', far='')
    assert not flow.dead(), flow.dead()
    if flow.camera is flow.viewer:
        assert len(ages) > 0.6 * RATE * SECONDS and statistics.median(ages) < 0.5, ages
    assert len(ages) > SECONDS / 2, ages
    assert max(ages) < 2.0, ages  # those that do not fit through are left out: a queue would be longer than this by now

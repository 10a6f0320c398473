# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The viewer: what it shows, and why it cannot."""
import array
import os

import numpy as np
import pytest
from conftest import unique, wait_until
from ros import VIEWER, message_of
from sensor_msgs.msg import Image

from self_segmentation.io.window import why_no_window


@pytest.fixture
def show(graph, start):
    """``show(message, what)`` sends a message to a viewer until it prints so."""
    namespace = unique('viewer')
    program = start('', '--ros-args', '-r', f'__ns:=/{namespace}', command=VIEWER)
    sender = graph.node.create_publisher(Image, f'/{namespace}/image', 2)

    def show(message: Image, what: str) -> None:
        def send() -> None:
            assert program.code is None, program.said
            sender.publish(message)
            graph.spin()

        graph.wait_until(sender.get_subscription_count, 'the viewer')
        wait_until(lambda: what in program.said, what, send)

    return show


@pytest.mark.parametrize('bits', [10, 12, 16])
def test_deep_image_is_as_bright_as_its_bits_allow(show, bits):
    values = np.full((48, 64), 1 << bits - 1, '<u2')
    values[0, 0] = (1 << bits) - 1
    show(message_of(values[..., None].view(np.uint8).reshape(48, 64, 2), 'mono16'), 'shows 128')


def test_goes_on_after_bad_images(show):
    show(Image(width=2, height=2, encoding='bgr8', step=6, data=array.array('B', [1])), 'data has 1 bytes')
    show(Image(width=2 ** 32 - 1, height=2 ** 32 - 1, encoding='bgr8'), '4294967295x4294967295')
    show(message_of(np.full((2, 2, 3), 77, np.uint8)), 'shows 77')


def test_viewer_without_display_ends_with_one_line(start):
    environment = {name: value for name, value in os.environ.items() if name not in ('DISPLAY', 'WAYLAND_DISPLAY')}
    program = start('viewer_node', env=environment)
    assert program.exit_code() == 1
    lines = program.said.splitlines()
    assert len(lines) == 1 and 'no window' in lines[0] and 'Traceback' not in program.said
    assert 'DISPLAY' in lines[0] or 'headless' in lines[0]


def test_explains_missing_window(monkeypatch):
    monkeypatch.delenv('DISPLAY', raising=False)
    monkeypatch.delenv('WAYLAND_DISPLAY', raising=False)
    assert 'no display' in why_no_window() or 'headless' in why_no_window()


def test_refuses_unreachable_display(start):
    environment = {name: value for name, value in os.environ.items() if name != 'WAYLAND_DISPLAY'}
    program = start('viewer_node', env={**environment, 'DISPLAY': ':7654'})
    assert program.exit_code() == 1
    lines = program.said.splitlines()
    assert len(lines) == 1 and 'no window' in lines[0] and (':7654' in lines[0] or 'headless' in lines[0])

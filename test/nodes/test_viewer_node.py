# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
import os

from self_segmentation.io.window import why_no_window


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

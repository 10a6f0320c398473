# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The window that pygame shows where OpenCV has none; without a display: test_viewer_node, test_command_line."""
import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

from self_segmentation.io import window

HAS_PYGAME = importlib.util.find_spec('pygame') is not None
needs_pygame = pytest.mark.skipif(not HAS_PYGAME, reason='pygame-ce is not installed')
SHOW = """if True:
    import numpy as np
    from self_segmentation.io import window
    window._opencv_has_windows = lambda: False
    shown = window.Window()
    import pygame
    frame = np.zeros((100, 200, {channels}), np.uint8)
    frame[:, :100], frame[:, 100:] = 10, 200
    frame[..., 0] //= 2  # blue
    assert shown.show(frame, 20)
    surface = pygame.display.get_surface()
    {then}
"""


def run(then: str, channels: int = 3, **environment: str) -> subprocess.CompletedProcess:
    more = {'SDL_VIDEODRIVER': 'dummy', **environment}
    return subprocess.run([sys.executable, '-c', SHOW.format(then=then, channels=channels)], capture_output=True, text=True,
                          env={name: value for name, value in {**os.environ, **more}.items() if value})


@needs_pygame
@pytest.mark.parametrize('channels', [3, 4])
def test_shows_frame_in_its_colours(channels):
    done = run('print(surface.get_size(), surface.get_at((20, 50))[:3], surface.get_at((180, 50))[:3])', channels)
    assert done.stdout == '(200, 100) (10, 10, 5) (200, 200, 100)\n', done.stderr  # nothing of pygame's own


@needs_pygame
@pytest.mark.parametrize('event, goes_on', [
    ('pygame.QUIT', False), ('pygame.KEYDOWN, key=pygame.K_q', False), ('pygame.KEYDOWN, key=pygame.K_ESCAPE', False),
    ('pygame.KEYDOWN, key=pygame.K_a', True)])
def test_closing_q_and_escape_end_it(event, goes_on):
    done = run(f'pygame.event.post(pygame.event.Event({event})); print(shown.poll(20)); shown.close()')
    assert done.stdout == f'{goes_on}\n', done.stderr


@needs_pygame
def test_resized_window_shows_whole_frame_between_bars():
    done = run('pygame.display.set_mode((100, 200), pygame.RESIZABLE); '
               'pygame.event.post(pygame.event.Event(pygame.VIDEORESIZE)); shown.poll(20); '
               'surface = pygame.display.get_surface(); '
               'print([surface.get_at((80, y))[0] for y in (10, 100, 190)])')
    assert done.stdout == '[0, 200, 0]\n', done.stderr


@needs_pygame
def test_display_that_does_not_answer_is_refused():
    done = run('', SDL_VIDEODRIVER='', DISPLAY=':7654', WAYLAND_DISPLAY='')
    assert done.returncode and 'no display that answers' in done.stderr


@pytest.mark.skipif(HAS_PYGAME, reason='pygame is installed')
def test_without_any_windows_names_what_to_install(monkeypatch):
    monkeypatch.setenv('DISPLAY', ':7654')
    monkeypatch.setattr(window, '_opencv_has_windows', lambda: False)
    assert 'pip install pygame-ce' in window.why_no_window()


def test_missing_libraries_of_qt_are_named(monkeypatch):
    monkeypatch.setenv('DISPLAY', ':7654')
    monkeypatch.setattr(window, '_opencv_has_windows', lambda: True)
    monkeypatch.setattr(window, '_QT_NEEDS', ('c', 'nowhere'))
    reason = window.why_no_window()
    assert reason.startswith('libnowhere cannot be loaded') and 'sudo apt install libsm6 libice6' in reason


@pytest.mark.parametrize('within, expected', [((400, 400), (400, 200)), ((50, 400), (50, 25)), ((1, 1), (1, 1))])
def test_frame_keeps_its_proportions(within, expected):
    assert window._inside(np.zeros((100, 200, 3), np.uint8), *within) == expected

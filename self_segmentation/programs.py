# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
How the package's programs start and end: SIGINT, SIGTERM and SIGHUP end them with exit code 0 and no traceback, at any moment.

The exit codes are those of :class:`~self_segmentation.errors.ExitCode`.

Imports nothing heavy, so that the signals are in hand before that is imported, which takes seconds.
"""

from __future__ import annotations

import functools
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any

from .errors import ExitCode, masked
from .middleware import keep_large_buffers

__all__ = ['ignore_signals', 'note_signals']

_ROS = {'builtin_interfaces', 'diagnostic_msgs', 'lifecycle_msgs', 'rcl_interfaces', 'rclpy', 'sensor_msgs', 'std_msgs',
        'std_srvs'}
_NO_LIBRARY = ': cannot open shared object file'  # glibc's words
_OUTLIVES_TERMINAL = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN  # as nohup has it
_Main = Callable[[], int]
_Handler = Callable[[int, FrameType | None], Any] | signal.Handlers


def note_signals(noted: list[int] | None = None) -> list[int]:
    """Interrupt nothing from now on; return the list that signals are noted in, which may be given."""
    noted = [] if noted is None else noted
    _handle_signals(lambda number, _frame: noted.append(number))
    return noted


def ignore_signals() -> None:
    """Ignore signals from now on: the interpreter brings the default back while it ends, and a second one would show."""
    _handle_signals(signal.SIG_IGN)


def _handle_signals(handler: _Handler) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)
    if not _OUTLIVES_TERMINAL:
        signal.signal(signal.SIGHUP, handler)


class _Stderr(io.FileIO):
    """Drops what cannot be written: a terminal that is gone, a closed pipe or a full disk is no reason to end."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except OSError:
            return len(data)


def _open_standard_files() -> None:
    """Have something behind stdin, stdout and stderr, also where they were closed: the next file would take their place."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it takes the lowest number that is free
    if sys.stdout is None:
        sys.stdout = open(1, 'w', closefd=False)  # noqa: SIM115
    stderr = io.BufferedWriter(_Stderr(2, 'w', closefd=False))
    sys.stderr = io.TextIOWrapper(stderr, errors='backslashreplace', line_buffering=True)


def _missing(error: ImportError) -> str:
    """Return what this machine lacks and how to get it, in words; nothing where it is not known."""
    name = str(error.name).partition('.')[0]
    if isinstance(error, ModuleNotFoundError) and name in _ROS:
        return (f'this program needs ROS 2, and there is no {name} for {sys.executable}: source /opt/ros/DISTRIBUTION/setup.bash '
                '(the program self_segmentation runs without ROS)')
    library, found, _ = str(error).partition(_NO_LIBRARY)
    if found and name == 'cv2':
        return (f'OpenCV needs {library}: sudo apt install libgl1 libglib2.0-0 libsm6 libice6 (or take opencv-python-headless in '
                'its place, which needs none of them)')
    return f'{name} needs the library {library}, which this machine lacks' if found else ''


def _program(load: Callable[[], _Main]) -> _Main:
    """
    Make a program, which returns its exit code, of a function that imports it and returns its ``main``.

    Until ``main`` sees to them itself, signals end it at once while it is imported, and raise KeyboardInterrupt afterwards.
    """
    @functools.wraps(load)
    def program() -> int:
        _handle_signals(lambda _number, _frame: os._exit(0))  # nothing is there yet that has to be closed
        _open_standard_files()
        os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')  # numpy's others have nothing to do, and cost a tenth of the start
        try:
            main = load()
            _handle_signals(signal.default_int_handler)  # SIGINT too: it is ignored in a shell's background jobs
            code = main()
        except KeyboardInterrupt:
            code = ExitCode.DONE
        except Exception as error:
            if isinstance(error, ImportError) and (missing := _missing(error)):
                print(f'{load.__name__}: error: {missing}', file=sys.stderr)
            else:
                print(masked(traceback.format_exc()), end='', file=sys.stderr)  # Python itself would show passwords of addresses
            code = ExitCode.WILL_FAIL_AGAIN if isinstance(error, ImportError) else ExitCode.FAILED
        finally:
            ignore_signals()
        sys.stderr.flush()
        try:
            sys.stdout.flush()
        except OSError:  # a full disk, a pipe that was closed
            code = code or ExitCode.FAILED
        # All is closed. Threads that are still in a camera driver's call, and what libraries do while the interpreter ends, have
        # crashed or held up processes that were done.
        os._exit(code)
    return program


@_program
def benchmark() -> _Main:
    from .tools.benchmark import main
    return main


@_program
def camera_node() -> _Main:
    keep_large_buffers()
    from .nodes.camera_node import main
    return main


@_program
def demo() -> _Main:
    keep_large_buffers()
    from .tools.demo import main
    return main


@_program
def evaluate() -> _Main:
    from .tools.evaluate import main
    return main


@_program
def segmentation_node() -> _Main:
    keep_large_buffers()
    from .nodes.segmentation_node import main
    return main


@_program
def studio_node() -> _Main:
    keep_large_buffers()
    from .nodes.studio_node import main
    return main


@_program
def viewer_node() -> _Main:
    keep_large_buffers()
    from .nodes.viewer_node import main
    return main


@_program
def self_segmentation() -> _Main:
    from .__main__ import main
    return main

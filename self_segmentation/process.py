# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
How the package's programs start and end.

SIGINT, SIGTERM and SIGHUP end them with exit code 0 and no traceback, at any moment. The exit codes are those of
:class:`~self_segmentation.errors.ExitCode`. Nothing heavy is imported here: signals are handled before that.
"""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

from .errors import ExitCode, masked
from .middleware import keep_large_buffers
from .signals import handle_signals, ignore_signals

__all__ = ['program']

_ROS = {'builtin_interfaces', 'diagnostic_msgs', 'geometry_msgs', 'lifecycle_msgs', 'rcl_interfaces', 'rclpy', 'sensor_msgs',
        'std_msgs', 'std_srvs', 'tf2_msgs', 'vision_msgs'}
_LIBRARY_SETTINGS = {
    'OPENBLAS_NUM_THREADS': '1',  # numpy's other threads cost a tenth of the start
    'OPENCV_FFMPEG_LOGLEVEL': '-8',  # quiet: this package reports its errors
    'OPENCV_LOG_LEVEL': 'SILENT',
}
_NO_LIBRARY = ': cannot open shared object file'  # glibc's words


class _Stderr(io.FileIO):
    """Drops what cannot be written: a closed terminal or pipe, or a full disk, does not end the program."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except OSError:
            return len(data)


def _open_standard_files() -> None:
    """Open stdin, stdout and stderr if they are closed: the next file would take their numbers."""
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
    """Return what this machine lacks and how to install it; empty if unknown."""
    name = str(error.name).partition('.')[0]
    if isinstance(error, ModuleNotFoundError) and name in _ROS:
        return (f'this program needs ROS 2, and there is no {name} for {sys.executable}: source /opt/ros/DISTRIBUTION/setup.bash '
                '(the program self_segmentation runs without ROS)')
    library, found, _ = str(error).partition(_NO_LIBRARY)
    if found and name == 'cv2':
        return (f'OpenCV needs {library}: sudo apt install libgl1 libglib2.0-0 libsm6 libice6 (or take opencv-python-headless in '
                'its place, which needs none of them)')
    return f'{name} needs the library {library}, which this machine lacks' if found else ''


def program(module: str, name: str = '', keeps_large_buffers: bool = False) -> Callable[[], int]:
    """
    Return a program: a function that imports a module, runs its ``main()``, and ends the process with its exit code.

    Signals end the process at once while the module is imported. Afterwards they raise KeyboardInterrupt, until ``main`` handles
    them itself.

    :param module: its name within the package.
    :param name: for messages; that of the module by default.
    :param keeps_large_buffers: see :func:`~self_segmentation.middleware.keep_large_buffers`.
    """
    name = name or module.rpartition('.')[2]

    def run() -> int:
        handle_signals(lambda _number, _frame: os._exit(0))  # nothing is open yet
        _open_standard_files()
        if keeps_large_buffers:
            keep_large_buffers()
        for variable, value in _LIBRARY_SETTINGS.items():
            os.environ.setdefault(variable, value)
        try:
            main = importlib.import_module(f'{__package__}.{module}').main
            handle_signals(signal.default_int_handler)  # SIGINT too: it is ignored in a shell's background jobs
            code = main()
        except KeyboardInterrupt:
            code = ExitCode.DONE
        except Exception as error:
            if isinstance(error, ImportError) and (missing := _missing(error)):
                print(f'{name}: error: {missing}', file=sys.stderr)
            else:
                print(masked(traceback.format_exc()), end='', file=sys.stderr)  # without passwords of addresses
            code = ExitCode.WILL_FAIL_AGAIN if isinstance(error, ImportError) else ExitCode.FAILED
        finally:
            ignore_signals()
        sys.stderr.flush()
        try:
            sys.stdout.flush()
        except OSError:  # a full disk, a pipe that was closed
            code = code or ExitCode.FAILED
        # All is closed. Threads in a camera driver, and libraries at the interpreter's end, have crashed or held up processes.
        os._exit(code)
    return run

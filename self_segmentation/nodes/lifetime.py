# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
How each node's process starts and ends: on a read-only file system too; SIGINT and SIGTERM end it with exit code 0 and no
traceback.
"""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions, install_signal_handlers

from ..errors import SelfSegmentationError
from ..middleware import keep_large_buffers
from ..programs import ignore_signals, note_signals

__all__ = ['run']

_SPIN_TIMEOUT = 0.5  # seconds
_NO_LOG_FILE = ['--ros-args', '--disable-external-lib-logs']
_FALLBACK_TEMPORARY_FOLDER = '/dev/shm'  # which Fast DDS needs too


def run(make_node: Callable[[], Node], args: list[str] | None = None) -> int:
    """
    Spin a node until it is told to end.

    :param make_node: makes the node; it may raise SelfSegmentationError. A node that ends by itself sets its attribute
        ``ending``, a threading.Event; one that failed has a true attribute ``failed``.
    :param args: command line, ``sys.argv`` if None.
    :returns: the process's exit code.
    """
    told = note_signals()  # a launch file's Ctrl-C arrives twice, and the second one must not interrupt the cleaning up
    keep_large_buffers()
    cv2.setNumThreads(1)  # more take a tenth more CPU for the same time
    node = None
    try:
        _provide_temporary_folder()
        problem = _log_folder_problem()
        rclpy.init(args=[*(sys.argv if args is None else args), *_NO_LOG_FILE] if problem else args,
                   signal_handler_options=SignalHandlerOptions.NO)
        if problem:
            rclpy.logging.get_logger('self_segmentation').warning(problem)
        node = make_node()
        install_signal_handlers()  # they wake the executor at once, but would end ROS in the middle of making the node
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        ending = getattr(node, 'ending', threading.Event())
        while rclpy.ok() and not told and not ending.is_set():
            executor.spin_once(timeout_sec=_SPIN_TIMEOUT)
    except ExternalShutdownException:
        pass
    except SelfSegmentationError as error:
        print(error, file=sys.stderr)
        return 1
    except Exception:
        # What is done when the signal comes fails in many ways. rclpy hears of it before Python does.
        if not told and rclpy.ok():
            raise
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
        ignore_signals()
    return 1 if getattr(node, 'failed', False) else 0


def _provide_temporary_folder() -> None:
    """Have libraries keep their temporary files in memory where nothing else can be written: MediaPipe's matplotlib must."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        os.environ['TMPDIR'] = _FALLBACK_TEMPORARY_FOLDER


def _log_folder_problem() -> str:
    """Return why ROS cannot write its log file, nothing if it can: it would give up."""
    place = os.environ.get('ROS_LOG_DIR') or f'{os.environ.get("ROS_HOME") or "~/.ros"}/log'
    home = os.environ.get('HOME', '')
    folder = Path(home + place[1:] if place.startswith('~') and home else place)  # as ROS takes it
    try:
        if str(folder).startswith('~'):
            raise OSError(errno.ENOENT, 'HOME is not set')
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return ''
    except OSError as error:
        return f'no log file in {folder} ({error.strerror}): set ROS_LOG_DIR to a folder that can be written'

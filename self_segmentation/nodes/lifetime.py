# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
How each node's process starts and ends: on a file system that cannot be written too; SIGINT and SIGTERM end it with exit
code 0 and no traceback.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from ..errors import SelfSegmentationError
from ..middleware import keep_large_buffers

__all__ = ['run']

_GLANCE = 0.5  # seconds
_NO_LOG_FILE = ['--ros-args', '--disable-external-lib-logs']
_LAST_ROOM = '/dev/shm'  # which Fast DDS needs too


def run(make_node: Callable[[], Node], args: list[str] | None = None) -> int:
    """
    Spin a node until it is told to end.

    :param make_node: makes the node; it may raise SelfSegmentationError. A node that ends by itself sets its attribute
        ``ending``, a threading.Event; one that failed has a true attribute ``failed``.
    :param args: command line, ``sys.argv`` if None.
    :returns: the process's exit code.
    """
    told: list[int] = []
    for each in (signal.SIGINT, signal.SIGTERM):
        # Only noted: a launch file's Ctrl-C arrives twice, and the second one must not interrupt the cleaning up.
        signal.signal(each, lambda number, _frame: told.append(number))
    keep_large_buffers()
    cv2.setNumThreads(1)  # more take a tenth more CPU for the same time
    node = None
    try:
        _make_room()
        trouble = _log_trouble()
        rclpy.init(args=[*(sys.argv if args is None else args), *_NO_LOG_FILE] if trouble else args)
        if trouble:
            rclpy.logging.get_logger('self_segmentation').warning(trouble)
        node = make_node()
        if told or not rclpy.ok():
            return 0
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        ending = getattr(node, 'ending', threading.Event())
        # rclpy's own signal handler wakes the executor at once, but it is not there yet when the signal comes early.
        while rclpy.ok() and not told and not ending.is_set():
            executor.spin_once(timeout_sec=_GLANCE)
    except ExternalShutdownException:
        pass
    except SelfSegmentationError as error:
        print(error, file=sys.stderr)
        return 1
    except Exception:
        # What is half made when the signal comes fails in many ways. rclpy hears of it before Python does.
        if not told and rclpy.ok():
            raise
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 1 if getattr(node, 'failed', False) else 0


def _make_room() -> None:
    """Have libraries keep their temporary files in memory where nothing else can be written: MediaPipe's matplotlib must."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        os.environ['TMPDIR'] = _LAST_ROOM


def _log_trouble() -> str:
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

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""How each node's process starts and ends: SIGINT and SIGTERM end it with exit code 0 and no traceback."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable

import cv2
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from .errors import SelfSegmentationError
from .middleware import keep_large_buffers

__all__ = ['run']

_GLANCE = 0.5  # seconds


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
        rclpy.init(args=args)
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



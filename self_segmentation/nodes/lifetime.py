# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
How each node's process starts and ends.

It starts on a read-only file system, too. SIGINT, SIGTERM and SIGHUP end it with exit code 0 and no traceback. The exit codes are
those of :class:`~self_segmentation.errors.ExitCode`. A callback that fails does not end it. A process that no message reaches any
more exits with 1, so that it is started again.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import gc
import inspect
import logging
import os
import re
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import rclpy
from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.clock import Clock, ClockType  # type: ignore[attr-defined]  # Humble has no rclpy.clock_type
from rclpy.exceptions import NameValidationException, ParameterException
from rclpy.executors import Executor, ShutdownException, SingleThreadedExecutor, TimeoutException
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.subscription import Subscription
from rclpy.utilities import get_rmw_implementation_identifier

from ..errors import ExitCode, SelfSegmentationError, SettingsError, masked
from ..middleware import PortWatch, fast_dds_environment, give_memory_back
from ..settings import load_yaml, no_section_for
from ..signals import ignore_signals, note_signals
from .parameters import given_at_start, report_unknown

__all__ = ['STEADY', 'log_failure', 'log_warnings', 'run']

STEADY = Clock(clock_type=ClockType.STEADY_TIME)  # a simulated clock may stop or jump

_SPIN_TIMEOUT = 0.2  # seconds after which a signal is noticed at the latest: the executor waits without running Python
_HEAP_TRIM_PERIOD = 30.0  # seconds
_REPEAT_INTERVAL = 30.0  # seconds between two log lines of one failure
_MOST_FAILURES = 100  # that are remembered
_LONGEST_REASON = 500  # characters in the log
_END_PATIENCE = 20  # seconds for the middleware's end: Fast DDS can hang (docs/reliability.md)
_NO_LOG_FILE = ['--ros-args', '--disable-external-lib-logs']
_SOURCE_LINE = re.compile(r', at /?[\w./-]+\.c(pp)?:\d+')  # of ROS, in its messages
_HINTS = {  # by a part of ROS's message
    'opening YAML file': '(does it exist, may it be read?)',
    'parse params file': "(the form is 'NODE: ros__parameters: NAME: VALUE', indented by spaces; no section is empty, a list has "
                         'one type of values, and # begins a comment: a colour is "#008000", in quotes)',
    'parse parameter override rule': '(it takes NAME:=VALUE)',
    'parse remap rule': '(it takes FROM:=TO; __ns:= a name with / at its beginning, __node:= letters, digits and _)',
    'parse log level': '(it takes debug, info, warn, error or fatal)',
    'ROS_DOMAIN_ID': '(it takes a whole number from 0 to 232)',
    'Enclave name': '(it takes an absolute name, such as /segmentation)',
    'SECURITY ERROR': '(ROS_SECURITY_KEYSTORE takes the folder that has enclaves/)',
}
_MOST_DOMAINS = 233  # of DDS: the ports of a higher one have numbers over 65535
_COLOR_ARGUMENT = re.compile(r'([\w.]+:=)(#[0-9a-fA-F]{6})', re.ASCII)
_PARAMETER_FILE = re.compile(r"'--params-file (.*?)'\. Error")
_NO_REASON = 'error not set'


def run(make_node: Callable[[], Node], args: list[str] | None = None) -> int:
    """
    Spin a node until it is told to end.

    An unexpected exception in any thread, or a lost port (:func:`~self_segmentation.middleware.lost_ports`), is logged and ends
    the node with exit code 1.

    :param make_node: makes the node; it may raise SelfSegmentationError. A node that ends by itself sets its attribute
        ``ending``, a threading.Event, and before that ``exit_code`` where it is not 0.
    :param args: command line, ``sys.argv`` if None.
    :returns: the process's exit code.
    """
    # Without quotes a colour such as #008000 is a comment in ROS's YAML.
    args = [_COLOR_ARGUMENT.sub(r"\1'\2'", each) for each in (sys.argv if args is None else args)]
    cv2.setNumThreads(1)  # more take a tenth more CPU for the same time
    try:
        return _spin(make_node, args)
    finally:
        ignore_signals()


def _spin(make_node: Callable[[], Node], args: list[str]) -> int:
    """Make a node, spin it until it ends, and free it. Return the exit code."""
    stop = note_signals()  # a launch file's Ctrl-C arrives twice; the second one must not interrupt the cleaning up
    node: Node | None = None
    executor: SingleThreadedExecutor | None = None
    failed_threads = _log_failing_threads()
    lost_ports = set[str]()
    try:
        _start_ros(args)
        if stop:
            return ExitCode.DONE
        node = make_node()
        report_unknown(node)
        _report_unused_files(node, args)
        _guard_services(node)
        # Else keep_large_buffers keeps the memory of an earlier model.
        node.create_timer(_HEAP_TRIM_PERIOD, give_memory_back, clock=STEADY)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        ending, watch = getattr(node, 'ending', threading.Event()), PortWatch()
        while not (stop or ending.is_set() or failed_threads or (lost_ports := watch.lost())):
            _serve(executor, node)
        if lost_ports:
            node.get_logger().fatal(
                f'Fast DDS has lost {", ".join(sorted(lost_ports))} in /dev/shm: no message of this machine reaches the node. It '
                'ends with exit code 1 to be started again: the launch file does so (respawn; docs/reliability.md)')
    except SelfSegmentationError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except (ParameterException, NameValidationException) as error:
        print(masked(str(error)), file=sys.stderr)
        return ExitCode.WILL_FAIL_AGAIN
    finally:
        code = ExitCode.FAILED if failed_threads or lost_ports else getattr(node, 'exit_code', ExitCode.DONE)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process also while no Python runs
        signal.alarm(_END_PATIENCE)
        if executor is not None:
            executor.shutdown(timeout_sec=0)
        if node is not None:
            node.destroy_node()
        executor = node = None  # what they hold of the participant would leave its shared memory behind
        gc.collect()
        rclpy.try_shutdown()
        signal.alarm(0)
    return code


def _serve(executor: Executor, node: Node) -> None:
    """
    Run the callback that is due next. One that fails is logged, and the node goes on.

    :raises SelfSegmentationError: the package's own reason why the node cannot go on.
    :raises Exception: the executor can run no callback any more.
    """
    try:
        handler, entity, _ = executor.wait_for_ready_callbacks(timeout_sec=_SPIN_TIMEOUT)
    except (TimeoutException, ShutdownException):
        return
    handler()
    error = handler.exception()
    if error is None:
        return
    # An error in rclpy itself, before the callback, would come again for ever.
    if isinstance(error, SelfSegmentationError) or (entity is not None and not executor.can_execute(entity)):
        raise error
    what = 'a callback failed'
    if isinstance(entity, Subscription):
        publishers = node.get_publishers_info_by_topic(entity.topic_name)
        names = sorted({f'{each.node_namespace.rstrip("/")}/{each.node_name}' for each in publishers})
        what = f'a message on {entity.topic_name} (published by {", ".join(names) or "none any more"}) was not handled'
    log_failure(node, what, error)


_failures: dict[str, float] = {}  # when each was logged last, in seconds


def log_failure(node: Node, what: str, error: Exception) -> None:
    """
    Log an unexpected exception: ERROR with its traceback once, then a line at most every 30 s.

    :param what: what was not done because of it.
    """
    place = traceback.extract_tb(error.__traceback__)[-1]
    failure, now = f'{what} {type(error)} {place.filename} {place.lineno}', time.monotonic()
    last = _failures.get(failure)
    if last is not None and now - last < _REPEAT_INTERVAL:
        return
    if len(_failures) >= _MOST_FAILURES:
        _failures.clear()
    _failures[failure] = now
    reason = masked(f'{what}: {type(error).__name__}: {error}')[:_LONGEST_REASON]
    trace = '' if last is not None else '\n' + ''.join(traceback.format_tb(error.__traceback__))
    node.get_logger().error(reason + trace)


def _log_failing_threads() -> list[str]:
    """Log unexpected exceptions that end threads; return the list of the threads' names, which grows."""
    failed: list[str] = []

    def log(end: threading.ExceptHookArgs) -> None:
        if end.exc_type is SystemExit:
            return
        name = end.thread.name if end.thread is not None else 'unknown'
        text = masked(''.join(traceback.format_exception(end.exc_type, end.exc_value, end.exc_traceback)))
        rclpy.logging.get_logger('self_segmentation').fatal(f'the thread {name!r} failed, so the node ends: {text}')
        failed.append(name)

    threading.excepthook = log
    return failed


class _RosHandler(logging.Handler):
    """Logs records as a node's warnings."""

    def __init__(self, node: Node) -> None:
        super().__init__(logging.WARNING)
        self._logger = node.get_logger()

    def emit(self, record: logging.LogRecord) -> None:
        self._logger.warning(masked(self.format(record)))


def log_warnings(node: Node) -> None:
    """Let a node log the package's warnings."""
    logging.getLogger('self_segmentation').addHandler(_RosHandler(node))


def _start_ros(args: list[str]) -> None:
    """
    Start ROS in an environment in which large images arrive.

    :raises SelfSegmentationError: an argument or the environment is wrong.
    """
    added, _ = fast_dds_environment(os.environ)
    os.environ.update(added)
    domain = os.environ.get('ROS_DOMAIN_ID', '')
    if domain.isdecimal() and int(domain) >= _MOST_DOMAINS and 'zenoh' not in get_rmw_implementation_identifier():
        raise _explained(f'ROS_DOMAIN_ID = {domain!r}')
    problem = _log_folder_problem()
    try:
        rclpy.init(args=[*args, *_NO_LOG_FILE] if problem else args, signal_handler_options=SignalHandlerOptions.NO)
    except Exception as error:  # rclpy's are private, and differ by distribution
        raise _explained(str(error)) from error
    if problem:
        rclpy.logging.get_logger('self_segmentation').warning(problem)


def _explained(reason: str) -> SelfSegmentationError:
    """
    Return the error of a start that failed: ROS's reason without the places in its own source, and what is allowed.

    An error of a known cause stays until somebody changes something; trouble with the middleware may pass.
    """
    hints = [hint for part, hint in _HINTS.items() if part in reason][:1]
    if reason.startswith('['):
        hints.append('(unknown ROS arguments)')
    if file := _PARAMETER_FILE.search(reason):
        try:
            load_yaml(file[1])
        except SettingsError as error:  # ROS counts lines from 0, and does not tell what is wrong in them
            hints.append(f'({error})')
    if reason.endswith(_NO_REASON) and os.environ.get('ROS_SECURITY_ENABLE') == 'true':
        keystore = os.environ.get('ROS_SECURITY_KEYSTORE', '')
        hints.append(f'(ROS_SECURITY_KEYSTORE = {keystore!r}: it takes the folder that has enclaves/)')
    text = ' '.join(['ROS cannot start:', _SOURCE_LINE.sub('', reason), *hints])
    return SettingsError({'environment': text}) if hints else SelfSegmentationError(text)


def _report_unused_files(node: Node, args: list[str]) -> None:
    """Log which parameter files of the command line have nothing for a node."""
    taken = given_at_start(node)
    for flag, path in zip(args, args[1:]):
        if flag == '--params-file':
            with contextlib.suppress(SettingsError):  # a file of other nodes may be too large
                if reason := no_section_for(node.get_fully_qualified_name(), path, taken):
                    node.get_logger().warning(reason)


def _guard_services(node: Node) -> None:
    """Refuse a request whose callback fails: otherwise its client waits for ever."""
    for service in node.services:
        service.callback = functools.partial(_answer, node, service.callback)


async def _answer(node: Node, callback: Callable[[Any, Any], Any], request: Any, response: Any) -> Any:
    try:
        answer = callback(request, response)
        return await answer if inspect.isawaitable(answer) else answer
    except Exception as error:
        node.get_logger().error(masked(f'request refused: {type(error).__name__}: {error}'))
        refused = SetParametersResult(successful=False, reason=masked(str(error)))
        if isinstance(request, SetParameters.Request):  # its client expects one result for each parameter
            response.results = [refused for _ in request.parameters]
        elif isinstance(request, SetParametersAtomically.Request):
            response.result = refused
        return response  # of other services the empty one: not successful


def _log_folder_problem() -> str:
    """Return why ROS cannot write its log file, which ends its start; empty if it can."""
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

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Settings of the middleware and of the C library for large images."""

from __future__ import annotations

import contextlib
import ctypes
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from .resources import data_path

__all__ = ['PortWatch', 'advice', 'fast_dds_environment', 'give_memory_back', 'image_environment', 'keep_large_buffers',
           'lost_ports', 'ports_of']

_OLD_VARIABLE, _NEW_VARIABLE = 'FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'
_KNOW_OLD_ONLY = ('humble', 'iron', 'jazzy')  # later ones warn of it
_PORT_LOCK = re.compile(r'/dev/shm/(fast\w+_port\d+)_el')  # fastrtps up to Jazzy; the lock may be removed too
_PORT_MAP = re.compile(r'/dev/shm/(fast\w+_port\d+)( \(deleted\))?$', re.MULTILINE)  # in /proc/PID/maps
_KEEP_BUFFERS = {'MALLOC_MMAP_THRESHOLD_': '1073741824', 'MALLOC_TRIM_THRESHOLD_': '1073741824', 'MALLOC_ARENA_MAX': '1'}
_SECTION = 'see "No images arrive, or few" in the README'
_ADVICE = {
    'fastrtps': f'Large images are lost when the camera runs without the Fast DDS profile config/fastdds.xml: {_SECTION}',
    'cyclonedds': 'Large images are lost with Cyclone DDS as it comes: set SocketReceiveBufferSize in CYCLONEDDS_URI and '
                  f'net.core.rmem_max to 4 MB or more: {_SECTION}',
}


def image_environment(environment: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """
    Return the variables to add to the environment of a process with images, and a sentence about them for the log.

    They do what :func:`fast_dds_environment` and :func:`keep_large_buffers` do, which our own nodes call themselves.

    :param environment: the variables that are set already; they win.
    """
    added, message = fast_dds_environment(environment)
    return {**{name: value for name, value in _KEEP_BUFFERS.items() if name not in environment}, **added}, message


def fast_dds_environment(environment: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """
    Return the variables of a Fast DDS profile for large images, and a sentence about them for the log.

    By default Fast DDS has a shared-memory segment of 512 kB and loses nearly every larger best-effort image. None are returned
    if the user has a profile or another middleware. With ``ROS_LOCALHOST_ONLY`` or ``ROS_AUTOMATIC_DISCOVERY_RANGE`` the profile
    stays on this machine, too.

    :param environment: the variables that are set already.
    """
    rmw = environment.get('RMW_IMPLEMENTATION', '')
    if rmw and 'fastrtps' not in rmw:
        return {}, f'RMW_IMPLEMENTATION is {rmw}: no Fast DDS profile is set'
    given = {name: environment[name] for name in (_OLD_VARIABLE, _NEW_VARIABLE) if environment.get(name)}
    for name, value in given.items():
        if Path(value).resolve().parent != data_path('config').resolve():  # else it is one of our own
            return {}, f'{name} is {value}: that profile is used, not the one for large images'
    is_local = (environment.get('ROS_LOCALHOST_ONLY') == '1'
                or environment.get('ROS_AUTOMATIC_DISCOVERY_RANGE') in ('LOCALHOST', 'OFF'))
    profile = str(data_path('config', 'fastdds_localhost.xml' if is_local else 'fastdds.xml'))
    distribution = environment.get('ROS_DISTRO')
    names = [_OLD_VARIABLE] if distribution in _KNOW_OLD_ONLY else [_NEW_VARIABLE]
    if not distribution:
        names.append(_OLD_VARIABLE)
    added = {name: profile for name in {*names, *given} if given.get(name) != profile}
    return added, f'Fast DDS profile for large images: {profile}'


def advice(rmw: str) -> str:
    """
    Return what to do when large images are lost.

    :param rmw: the middleware, as rclpy names it.
    """
    return next((text for name, text in _ADVICE.items() if name in rmw), f'With {rmw} large images may be lost: {_SECTION}')


def keep_large_buffers() -> None:
    """
    Let glibc keep the megabyte buffers of images: to map and unmap each is most of what a message costs.

    All threads share one heap: with one each, memory grows with every model that is loaded. Call it before libraries are
    imported, which start threads. The ``MALLOC_`` variables of :func:`image_environment` do the same. glibc only.
    """
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    if mallopt is not None:
        trim_threshold, mmap_threshold, arena_max = -1, -3, -8  # malloc.h
        mallopt(trim_threshold, 1 << 30)
        mallopt(mmap_threshold, 1 << 30)
        mallopt(arena_max, 1)


def give_memory_back() -> None:
    """Return to the system what :func:`keep_large_buffers` made glibc keep."""
    malloc_trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)
    if malloc_trim is not None:
        malloc_trim(0)


def ports_of(process: int | None = None) -> set[str]:
    """
    Return the names of the ports in shared memory that a process has locked: it waits there for messages.

    Fast DDS also locks a port for a moment when it sends.

    :param process: its number; None: this one. Without /proc, or after the process's end, nothing is returned.
    """
    names = set[str]()
    with contextlib.suppress(OSError):
        for link in Path('/proc', str(process or 'self'), 'fd').iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                if lock := _PORT_LOCK.match(str(link.readlink())):
                    names.add(lock[1])
    return names


def lost_ports() -> set[str]:
    """
    Return the ports at which this process waits, but whose files are gone; nothing without /proc.

    Fast DDS can remove the file of a port that is in use (docs/reliability.md). Then no message of this machine arrives.
    """
    try:
        maps = Path('/proc/self/maps').read_text(errors='replace')  # takes 3 ms
    except OSError:
        return set()
    found = _PORT_MAP.findall(maps)
    removed, there = ({name for name, is_removed in found if bool(is_removed) is wanted} for wanted in (True, False))
    return ports_of() & removed - there  # a process that only sends to a port maps its memory, too, but keeps no lock


class PortWatch:
    """
    Checks periodically which ports are lost.

    :param period: seconds between two checks.
    :param suspect_period: seconds to the next check after one that found some.
    """

    def __init__(self, find: Callable[[], set[str]] = lost_ports, period: float = 5.0, suspect_period: float = 1.0) -> None:
        self._find, self._period, self._suspect_period = find, period, suspect_period
        self._due, self._suspects = 0.0, set[str]()

    def lost(self) -> set[str]:
        """Return the ports that two checks in a row found lost: Fast DDS may just open one again."""
        if time.monotonic() < self._due:
            return set()
        before, self._suspects = self._suspects, self._find()
        self._due = time.monotonic() + (self._suspect_period if self._suspects else self._period)
        return before & self._suspects

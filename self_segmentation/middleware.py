# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The environment in which large images arrive: for every process that the launch file or the demo starts."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping

from .resources import share

__all__ = ['give_memory_back', 'image_environment', 'keep_large_buffers']

_OLD_VARIABLE, _NEW_VARIABLE = 'FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'
_KNOW_OLD_ONLY = ('humble', 'iron', 'jazzy')  # later ones warn of it
_KEEP_BUFFERS = {'MALLOC_MMAP_THRESHOLD_': '1073741824', 'MALLOC_TRIM_THRESHOLD_': '1073741824', 'MALLOC_ARENA_MAX': '1'}


def image_environment(environment: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """
    Return the variables to add to a process's environment, and a sentence that says what they do.

    Fast DDS as it comes has a shared-memory segment of 512 kB and loses nearly every larger best-effort
    image; ``config/fastdds.xml`` brings a large one. It is left out where the user has a profile or another
    middleware. glibc is told what :func:`keep_large_buffers` tells it later, when there are threads already.

    :param environment: the variables that are set already; they win.
    """
    added = {name: value for name, value in _KEEP_BUFFERS.items() if name not in environment}
    rmw = environment.get('RMW_IMPLEMENTATION', '')
    if rmw and 'fastrtps' not in rmw:
        return added, f'RMW_IMPLEMENTATION is {rmw}: no Fast DDS profile is set'
    for name in (_OLD_VARIABLE, _NEW_VARIABLE):
        if environment.get(name):
            return added, f'{name} is {environment[name]}: that profile is used, not the one for large images'
    profile = str(share('config', 'fastdds.xml'))
    distribution = environment.get('ROS_DISTRO')
    if not distribution or distribution in _KNOW_OLD_ONLY:
        added[_OLD_VARIABLE] = profile
    if distribution not in _KNOW_OLD_ONLY:
        added[_NEW_VARIABLE] = profile
    return added, f'Fast DDS profile for large images: {profile}'


def keep_large_buffers() -> None:
    """
    Have glibc keep the megabyte buffers of images, instead of mapping and unmapping each: most of what a message costs.

    And have all threads share one heap, as far as they have none yet: with one each, memory grows with every model that is
    loaded, until they are all full of holes.

    The same as the ``MALLOC_`` variables of :func:`image_environment`, for a process that was started without
    them. Does nothing where the C library is another one.
    """
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    if mallopt is not None:
        trim_threshold, mmap_threshold, arena_max = -1, -3, -8  # malloc.h
        mallopt(trim_threshold, 1 << 30)
        mallopt(mmap_threshold, 1 << 30)
        mallopt(arena_max, 1)


def give_memory_back() -> None:
    """Return the memory to the system that was kept because of :func:`keep_large_buffers`."""
    malloc_trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)
    if malloc_trim is not None:
        malloc_trim(0)

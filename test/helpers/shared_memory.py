# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What tests do with Fast DDS's files in /dev/shm: remove what a killed process left, and lose a port as Fast DDS does."""

from __future__ import annotations

import contextlib
import fcntl
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from self_segmentation.middleware import ports_of


def shared_memory_of(process: int) -> set[Path]:
    """The segments of Fast DDS that a process has mapped, its own and those that it takes images from."""
    try:
        maps = Path(f'/proc/{process}/maps').read_text(errors='replace')
    except OSError:
        return set()
    return {Path(name) for name in re.findall(r'/dev/shm/fast(?:dds|rtps)_[0-9a-f]+$', maps, re.MULTILINE)}


def remove_shared_memory(segments: Iterable[Path]) -> list[Path]:
    """Remove and return the segments that no living process locks: a killed one leaves 64 MiB."""
    removed = []
    for segment in segments:
        lock = segment.with_name(f'{segment.name}_el')
        with contextlib.suppress(OSError), lock.open() as file:  # a living process has it, or it is gone
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            segment.unlink()
            lock.unlink()
            removed.append(segment)
    return removed


def kill(child: subprocess.Popen) -> None:
    """Kill a process, and remove the shared memory that it leaves."""
    segments = shared_memory_of(child.pid)
    child.kill()
    child.wait()
    remove_shared_memory(segments)


def own_ports(process: int) -> set[str]:
    """The ports at which a process waits for messages, without those that all processes of a domain share, as this one does."""
    return ports_of(process) - ports_of()


def lose_ports(process: int) -> set[str]:
    """Remove the files of a process's own ports in shared memory, as Fast DDS does by mistake, and return their names."""
    ports = own_ports(process)
    assert ports
    for port in ports:
        Path('/dev/shm', port).unlink(missing_ok=True)
    return ports

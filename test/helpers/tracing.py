# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The sockets of a process and all its children, by strace."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from pathlib import Path

import pytest
from conftest import wait_until


def _works() -> bool:
    with contextlib.suppress(FileNotFoundError):
        return subprocess.run(['strace', '-o', os.devnull, 'true'], capture_output=True).returncode == 0
    return False


needs_strace = pytest.mark.skipif(not _works(), reason='NOT TESTED, for strace is not installed or not allowed here')
_SOCKET = re.compile(r'\bsocket\((.*?)(?:\)| <unfinished)')
_ADDRESS = re.compile(r'\b(?:connect|send\w+)\(.*?sa_family=AF_(\w+)(?:, (?:sun_path="(.*?)"|sin_port=htons\((\d+)\), '
                      r'sin_addr=inet_addr\("(.*?)"\)))?')


def traced(trace: Path) -> list[str]:
    """What stands before a command whose network calls are written to a file; signals reach the command."""
    return ['strace', '-D', '-f', '-q', '-e', 'trace=%network', '-o', str(trace)]


def sockets(trace: Path) -> set[str]:
    """
    What kinds of sockets were opened, and whom they were to reach, by the time that the process ended.

    A port of this ROS domain is not told from another.
    """
    wait_until(lambda: trace.read_text().endswith('+++\n'), 'the end of the trace')
    first = 7400 + 250 * int(os.environ['ROS_DOMAIN_ID'])
    text, found = trace.read_text(), set()
    for line in text.splitlines():
        found |= {f'socket {kind}' for kind in _SOCKET.findall(line)}
        for family, path, port, address in _ADDRESS.findall(line):
            place = 'of the domain' if port and first <= int(port) < first + 250 else port
            found.add(f'to {family} {path}{address} {place}'.strip())
    return found

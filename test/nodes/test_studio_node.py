# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The studio's process: how it starts and ends."""
import re
import signal
import socket
import sys

import pytest
from conftest import wait_until

pytest.importorskip('aiohttp', reason='aiohttp is not installed: the studio is not tested')


@pytest.mark.parametrize('parameter, reason, code', [
    ('port:=70000', 'studio: port = 70000 is not allowed: it takes a whole number from 0 to 65535', 2),
    ('port:=web', "studio: port = 'web' is not allowed", 2),
    ('host:=203.0.113.7', "cannot listen on host = '203.0.113.7'", 1)])  # the address may be there later
def test_wrong_parameter_ends_with_reason(start, parameter, reason, code):
    program = start('studio_node', '--ros-args', '-p', parameter)
    assert program.exit_code() == code and reason in program.said and 'Traceback' not in program.said, program.said


def test_missing_aiohttp_ends_with_reason(start):
    code = 'import sys\nsys.modules["aiohttp"] = None\nfrom self_segmentation.programs import studio_node as run\nsys.exit(run())'
    program = start('', command=[sys.executable, '-c', code])
    assert program.exit_code() == 2 and 'sudo apt install python3-aiohttp' in program.said and 'Traceback' not in program.said


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_studio_cleanly(start, number):
    program = start('studio_node', '--ros-args', '-p', 'port:=0')
    wait_until(lambda: 'open http://127.0.0.1:' in program.said, 'the start')
    program.send(number)
    assert program.exit_code() == 0 and 'Traceback' not in program.said, program.said


def test_taken_port_is_said_and_replaced(start):
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind(('127.0.0.1', 8080))
            other.listen()
        except OSError:
            pass  # somebody has it already
        program = start('studio_node')
        wait_until(lambda: 'open http' in program.said, 'the start')
        assert 'port = 8080: it is taken; another one is used' in program.said
        assert re.search(r'open http://127.0.0.1:(\d+)/', program.said).group(1) != '8080'

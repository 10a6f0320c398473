# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""One program at a time writes to an output."""
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from self_segmentation.errors import OutputError
from self_segmentation.io.locks import claim

HOLD = ('import sys, time\nfrom pathlib import Path\nfrom self_segmentation.io.locks import claim\n'
        'claim(Path(sys.argv[1]))\nprint(flush=True)\ntime.sleep(600)')


@pytest.mark.parametrize('kind', ['file', 'folder'])
def test_refuses_what_another_process_writes_until_that_is_killed(tmp_path, kind):
    path = tmp_path / kind
    if kind == 'folder':
        path.mkdir()
    with subprocess.Popen([sys.executable, '-c', HOLD, path], stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout.readline() == b'\n'
            for shared in (False, True):
                with pytest.raises(OutputError, match=f'{kind} is being written by another program'):
                    claim(path, shared)
        finally:
            holder.send_signal(signal.SIGKILL)
    os.close(claim(path))


def test_is_free_once_closed_and_keeps_content(tmp_path):
    path = tmp_path / 'old'
    path.write_text('kept')
    for _ in range(2):
        os.close(claim(path))
    assert path.read_text() == 'kept'


def test_some_may_share_a_folder_that_none_has_alone(tmp_path):
    first, second = claim(tmp_path, shared=True), claim(tmp_path, shared=True)
    with pytest.raises(OutputError, match='another program'):
        claim(tmp_path)
    os.close(first)
    os.close(second)
    os.close(claim(tmp_path))


def test_devices_are_not_locked():
    first, second = claim(Path('/dev/null')), claim(Path('/dev/null'))
    os.close(first)
    os.close(second)


def test_one_at_a_time_writes_what_is_renamed_at_its_end(tmp_path):
    """A program that waited for the old file must not take that for the new one."""
    path, lost = tmp_path / 'file', []

    def write_often(name: str) -> None:
        for _ in range(300):
            try:
                descriptor = claim(path)
            except OutputError:
                continue
            os.write(descriptor, name.encode())
            try:
                path.rename(tmp_path / name)
                if (tmp_path / name).read_text() != name:
                    lost.append(name)
            except FileNotFoundError:
                lost.append(name)
            os.close(descriptor)

    threads = [threading.Thread(target=write_often, args=[name]) for name in 'abcd']
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not lost

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What holds for any input, however damaged: a result of the promised form or the package's own error; what needs no ROS."""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from self_segmentation.errors import SettingsError
from self_segmentation.settings import TUNABLES, Settings, read_yaml

__all__ = ['mended', 'settings_of', 'soon']

PATIENCE = 5.0
_PNG = b'\x89PNG\r\n\x1a\n'


@contextmanager
def soon() -> Iterator[None]:
    """Fail where what is inside takes longer than ``PATIENCE`` seconds of this process."""
    begin = time.process_time()
    yield
    taken = time.process_time() - begin
    assert taken < PATIENCE, f'it took {taken:.1f} s'


def settings_of(path: Path) -> Settings | None:
    """Return the settings of a parameter file, None where it was refused by name."""
    with soon():
        try:
            values = read_yaml(path)
        except SettingsError as error:
            assert str(path) in str(error), error
            return None
        assert all(type(name) is str for name in values), values
        try:
            return Settings().updated(values, str(path))
        except SettingsError as error:
            assert set(error.problems) <= {*values, 'background.type'}
            for name, problem in error.problems.items():
                assert name in problem and (str(path) in problem or name == 'background.type'), problem
                assert name not in TUNABLES or TUNABLES[name].allowed in problem or 'needs' in problem, problem
            return None


def mended(png: bytes) -> bytes:
    """Return a PNG with the check sums of its chunks made right, as far as it has any."""
    at, parts = len(_PNG), [png[:len(_PNG)]]
    while at + 12 <= len(png) and at + 12 + (length := struct.unpack_from('>I', png, at)[0]) <= len(png):
        body = png[at + 4:at + 8 + length]
        parts += [png[at:at + 4], body, struct.pack('>I', zlib.crc32(body))]
        at += 12 + length
    return b''.join([*parts, png[at:]])

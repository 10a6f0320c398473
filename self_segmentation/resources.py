# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the package's data (models, config) lies, in a source tree as in an install space; how files are read."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

__all__ = ['Closing', 'as_path', 'data_path', 'read_file']

_PACKAGE = 'self_segmentation'
_Closing = TypeVar('_Closing', bound='Closing')


class Closing:
    """What has to be closed: ``with`` does it."""

    def close(self) -> None:
        """Free what it holds."""

    def __enter__(self: _Closing) -> _Closing:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


def data_path(*parts: str) -> Path:
    """
    Return the path of a file below the package's share folder.

    Looks beside the package (source tree, ``colcon build --symlink-install``) and then for
    ``share/self_segmentation`` above it (install space), so it needs neither ROS nor a sourced shell.

    :raises FileNotFoundError: neither is there: the package is not installed whole.
    """
    module = Path(__file__).resolve()
    candidates = [module.parent.parent, *(up / 'share' / _PACKAGE for up in module.parents)]
    for root in candidates:
        if (root / 'package.xml').is_file():
            return root.joinpath(*parts)
    raise FileNotFoundError(f'no share/{_PACKAGE} above {module}: is the package installed with colcon?')


def as_path(place: str | Path) -> Path:
    """Return the path of a file that a user named: ``~`` is the home folder, and ``file://`` may stand before it."""
    if isinstance(place, str) and place[:7].lower() == 'file://':
        host, slash, rest = place[7:].partition('/')  # not urlsplit: a # or ? in it is part of the name
        host = '' if host.lower() == 'localhost' else host  # file://clip.mp4 is a file of the current folder
        place = unquote(host + slash + rest, errors='surrogateescape')
    try:
        return Path(place).expanduser()
    except RuntimeError:  # there is no such home: a file may have that name, as for a shell
        return Path(place)


def read_file(path: str | Path, most: int) -> bytes:
    """
    Return the content of a regular file; a pipe, which would block, a device, which has no end, and a folder are refused.

    :param most: bytes it may have.
    :raises OSError: with the reason, a half sentence, as ``strerror``.
    """
    try:
        descriptor = os.open(as_path(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, 'does not exist') from error
    except ValueError as error:  # a zero byte in the name
        raise OSError(errno.EINVAL, f'is not a path ({error})') from error
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, 'is a folder')
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, 'is not a regular file')
        if status.st_size > most:
            raise OSError(errno.EFBIG, f'has {status.st_size} bytes, more than {most}')
        with open(descriptor, 'rb', closefd=False) as file:
            return file.read(most)
    finally:
        os.close(descriptor)

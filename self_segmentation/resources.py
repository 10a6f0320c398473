# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The place of the package's data (models, config), in a source tree or installed; reading of files."""

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
    """Something to close: ``with`` does it."""

    def close(self) -> None:
        """Free its resources."""

    def __enter__(self: _Closing) -> _Closing:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


def data_path(*parts: str) -> Path:
    """
    Return the path of a file below the package's share folder.

    It is beside the package (source tree, ``colcon build --symlink-install``) or in ``share/self_segmentation`` above it
    (installed). So it needs neither ROS nor a sourced shell.

    :raises FileNotFoundError: the package is not completely installed.
    """
    module = Path(__file__).resolve()
    candidates = [module.parent.parent, *(up / 'share' / _PACKAGE for up in module.parents)]
    for root in candidates:
        if (root / 'package.xml').is_file():
            return root.joinpath(*parts)
    raise FileNotFoundError(f'no share/{_PACKAGE} above {module}: is the package installed with colcon?')


def as_path(place: str | Path) -> Path:
    """Return the path of a file that a user gave: it may begin with ``~`` for the home folder, or with ``file://``."""
    if isinstance(place, str) and place[:7].lower() == 'file://':
        host, slash, rest = place[7:].partition('/')  # not urlsplit: a # or ? in it is part of the name
        host = '' if host.lower() == 'localhost' else host  # file://clip.mp4 is a file of the current folder
        place = unquote(host + slash + rest, errors='surrogateescape')
    try:
        return Path(place).expanduser()
    except RuntimeError:  # no such user: a file may have that name, as in a shell
        return Path(place)


def read_file(path: str | Path, most: int) -> bytes:
    """
    Return the content of a regular file. Pipes would block and devices have no end: both are refused.

    :param most: bytes it may have.
    :raises OSError: with the reason as ``strerror``, to follow the file's name.
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

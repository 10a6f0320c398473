# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""A node that was set to hide people while it ran hides them after a restart, too."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rclpy.node import Node

from ..errors import SettingsError
from ..settings import load_yaml

__all__ = ['KeptCover']

_KEPT = {'replace': 'people'}
_WARNING_INTERVAL = 30.0  # seconds


class KeptCover:
    """
    Keeps ``replace`` = ``people`` in a state file for the node's next start.

    The file is ``ROS_HOME/self_segmentation/NAMESPACE.NODE.yaml``; ROS_HOME is ``~/.ros`` by default. A file that is damaged or
    cannot be read hides people, too.

    :param node: its full name makes the file's.
    """

    def __init__(self, node: Node) -> None:
        self._node, self._name = node, node.get_fully_qualified_name()
        self._path: Path | None = None  # without a home folder
        home = os.path.expanduser(os.environ.get('ROS_HOME') or '~/.ros')  # noqa: PTH111
        if not home.startswith('~'):
            name = self._name.strip('/').replace('/', '.')  # no name of ROS has a dot
            self._path = Path(home, 'self_segmentation', f'{name}.yaml')

    def at_start(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """
        Return the start-up parameters with what was kept. A difference is logged as a warning.

        :param given: values by name.
        """
        if self._path is None or not self._has_folder:
            return {**given}
        problem = ''
        try:
            self._path.lstat()
            if load_yaml(self._path) != _KEPT:
                problem = f', and {self._path} is damaged'
        except FileNotFoundError:
            return {**given}
        except (OSError, SettingsError) as error:
            problem = f', and what was kept cannot be read ({error})'
        if problem or given.get('replace') != 'people':
            self._node.get_logger().warning(
                f'starts with replace = people, whatever its parameters are: it was set so before ({self._path}){problem}. '
                f'To end this: ros2 param set {self._name} replace background')
        return {**given, **_KEPT}

    def follow(self, changes: Mapping[str, Any]) -> None:
        """
        Keep or forget ``replace`` after a change of parameters. A failure is logged as a warning.

        :param changes: the values that were taken, by name.
        """
        replace = changes.get('replace')
        try:
            if replace == 'people':
                self._keep()
            elif replace is not None and self._path is not None and self._has_folder:
                self._path.unlink(missing_ok=True)
        except OSError as error:
            self._node.get_logger().warning(
                f'replace = {replace} is not kept for the next start: {error}. Set ROS_HOME to a folder that can be written',
                throttle_duration_sec=_WARNING_INTERVAL)

    @property
    def _has_folder(self) -> bool:
        """Whether there is a folder of such files; nothing was kept where ROS's own folder cannot be entered."""
        assert self._path is not None
        return os.path.lexists(self._path.parent)

    def _keep(self) -> None:
        """Write the file whole or not at all, even if the power fails."""
        if self._path is None:
            raise OSError(errno.ENOENT, 'there is no home folder')
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = Path(f'{self._path}.new')
        with new.open('w', encoding='utf-8') as file:
            file.write(f'# The node {self._name} was set to hide people, and does so when it starts again.\n'
                       f'# To end this: ros2 param set {self._name} replace background\nreplace: people\n')
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

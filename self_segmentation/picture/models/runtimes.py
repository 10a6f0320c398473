# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What runs the models: LiteRT or MediaPipe Tasks, behind one protocol, and which of the two."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import logging
import re
from typing import NamedTuple

from ...errors import RuntimeMissingError
from .types import Backend

__all__ = ['Runtime', 'choose_runtime', 'installed_runtimes']

_LAST_SILENT_MEDIAPIPE = (0, 10, 21)  # from the next one, 0.10.30, on it asks for play.googleapis.com; 0.10.14, 18 and 21 do not
_DISTRIBUTIONS = {'litert': 'ai-edge-litert', 'mediapipe': 'mediapipe'}
_ADVICE = 'pip install --no-deps ai-edge-litert'
_ADVICE_ON_ONE = 'install it, or set runtime to auto'
_LOGGER = logging.getLogger('self_segmentation.runtime')


class Runtime(NamedTuple):
    """
    A runtime that is there.

    ``name`` as the setting has it; ``title`` for people, with its version; ``warning`` says what it sends to whom and is empty
    for one that sends nothing.
    """

    name: str
    title: str
    backend: Backend
    warning: str = ''


@functools.cache
def choose_runtime(setting: str) -> Runtime:
    """
    Return the runtime that a setting asks for, imported, which takes up to two seconds; what is wrong with it is logged once.

    :param setting: ``mediapipe``, ``litert`` or ``auto``: LiteRT, or MediaPipe where that cannot be used.
    :raises RuntimeMissingError: it is not installed or cannot be imported.
    """
    names = [name for name in _LOADERS if _is_installed(name)] if setting == 'auto' else [setting]
    problems = []
    for name in names:
        try:
            if not _is_installed(name):
                raise ImportError('it is not installed')
            runtime = _LOADERS[name]()
        except Exception as error:  # whatever a library of the wrong version raises
            problems.append(f'{_DISTRIBUTIONS[name]} cannot be used ({type(error).__name__}: {error})')
            continue
        for text in filter(None, [*problems, runtime.warning]):
            _LOGGER.warning(text)
        return runtime
    reason = '; '.join(problems) or 'neither ai-edge-litert nor mediapipe is installed'
    raise RuntimeMissingError(f'runtime {setting!r}: {reason}: {_ADVICE if setting == "auto" else _ADVICE_ON_ONE}')


def installed_runtimes() -> list[Runtime]:
    """Return all that are there."""
    return [choose_runtime(name) for name in _LOADERS if _is_installed(name)]


def _is_installed(name: str) -> bool:
    return importlib.util.find_spec(_DISTRIBUTIONS[name].replace('-', '_')) is not None


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(_DISTRIBUTIONS[name])
    except importlib.metadata.PackageNotFoundError:
        return 'of an unknown version'


def _is_silent(mediapipe_version: str) -> bool:
    numbers = re.match(r'(\d+)\.(\d+)\.(\d+)', mediapipe_version)
    return numbers is not None and tuple(map(int, numbers.groups())) <= _LAST_SILENT_MEDIAPIPE


def _load_mediapipe() -> Runtime:
    from . import mediapipe_tasks
    mediapipe_tasks.import_tasks()
    version = _version('mediapipe')
    title = f'MediaPipe {version}'
    warning = '' if _is_silent(version) else (
        f'{title} sends usage metrics to Google (play.googleapis.com) and cannot be told not to; so that nothing is sent: '
        f'{_ADVICE}, and runtime auto, which then takes that')
    return Runtime('mediapipe', title, mediapipe_tasks, warning)


def _load_litert() -> Runtime:
    from . import litert
    return Runtime('litert', f'LiteRT {_version("litert")}', litert)


_LOADERS = {'litert': _load_litert, 'mediapipe': _load_mediapipe}  # as auto prefers them

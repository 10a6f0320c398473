# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""MediaPipe Tasks, imported late and without what segmentation has no use for."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ['import_tasks']


def import_tasks() -> tuple[Any, Any, Any]:
    """
    Import MediaPipe, which takes a second.

    :returns: the modules ``mediapipe``, ``mediapipe.tasks.python`` and ``mediapipe.tasks.python.vision``.
    """
    # Its audio part looks for a library with ldconfig and gcc, at every start, and is not used; without sounddevice it does not.
    absent = sys.modules.setdefault('sounddevice', None) is None  # type: ignore[arg-type]
    import mediapipe
    from mediapipe.tasks import python as tasks
    from mediapipe.tasks.python import vision
    if absent:
        del sys.modules['sounddevice']
    return mediapipe, tasks, vision

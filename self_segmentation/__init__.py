# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
Take people out of a camera image and put any background behind them, or hide them.

A picture of its own::

    import cv2
    from self_segmentation import Pipeline

    with Pipeline(background_type='blur') as pipeline:
        composite = pipeline.process(cv2.imread('photo.jpg'), still=True).composite

Give the frames of a camera one after the other, without ``still``, and each further camera a :class:`Video` of its own. The names
here are stable; all others may change with any version. Importing the package is cheap: no OpenCV, no MediaPipe, no ROS.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import SelfSegmentationError
    from .library import Pipeline
    from .picture.pipeline import Result
    from .picture.video import Video
    from .settings import Settings

__all__ = ['Pipeline', 'Result', 'SelfSegmentationError', 'Settings', 'Video', '__version__']  # noqa: F822  by __getattr__


_ROOMS = {'Pipeline': 'library', 'Result': 'picture.pipeline', 'SelfSegmentationError': 'errors', 'Settings': 'settings',
          'Video': 'picture.video'}


def __getattr__(name: str) -> Any:
    """Import a name when it is first used; the version stands in package.xml."""
    if name in _ROOMS:
        return getattr(importlib.import_module(f'{__package__}.{_ROOMS[name]}'), name)
    if name != '__version__':
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    from xml.etree import ElementTree

    from .resources import data_path
    return ElementTree.parse(data_path('package.xml')).findtext('version', 'unknown')

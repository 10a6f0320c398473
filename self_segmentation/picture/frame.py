# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""One frame of a video, and what is known of it before anybody is searched."""

from __future__ import annotations

from typing import NamedTuple

from ..settings import Settings
from .arrays import Array
from .known_scene import Difference
from .matting.background_model import Comparison
from .regions import Region
from .video import Scene

__all__ = ['Frame']


class Frame(NamedTuple):
    """
    A frame, what is known of it at once, and what it is processed with.

    ``bgr`` (height, width, 3) uint8; ``settings`` of this frame; ``scene`` the video's memory; ``region`` all of the frame;
    ``step`` seconds since the last one; ``change`` (GRID, GRID) uint8, grey levels since the last one, None for the first;
    ``comparison`` with the known background, None where that is not used; ``difference`` from the known scene, None where people
    are not replaced; ``curve`` makes a dark frame bright for the models, None where it is bright enough.
    """

    bgr: Array
    settings: Settings
    scene: Scene
    region: Region
    step: float
    change: Array | None
    comparison: Comparison | None
    difference: Difference | None
    curve: Array | None

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Frame in; picture, mask and alpha out. Strings the rooms together, without ROS."""

from __future__ import annotations

import dataclasses
import time

import cv2
import numpy as np

from .backgrounds import make_background
from .compositor import composite
from .matte import alpha_curve, smooth_edge, to_alpha
from .segmenter import Segmenter, shrunk
from .settings import Settings

__all__ = ['Pipeline', 'Result']


@dataclasses.dataclass
class Result:
    """
    What became of one frame. Arrays are None where they were not asked for.

    ``picture`` (height, width, 3) uint8 blue green red; ``mask`` (height, width) uint8, 0 or 255; ``alpha``
    (height, width) uint8, 0..255; ``seconds`` the time each stage took.
    """

    picture: np.ndarray | None = None
    mask: np.ndarray | None = None
    alpha: np.ndarray | None = None
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)


class Pipeline:
    """
    The whole way of a frame.

    :raises ModelError: the model cannot be loaded.
    :raises BackgroundError: the background cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        self._segmenter = Segmenter(settings.model)
        self._background = make_background(settings)
        self._apply(settings)

    def _apply(self, settings: Settings) -> None:
        self.settings = settings
        self._curve = alpha_curve(settings.threshold, settings.softness)

    def configure(self, settings: Settings) -> None:
        """
        Take new settings from the next frame on; when they cannot be had, the old ones stay.

        :raises ModelError: the model cannot be loaded.
        :raises BackgroundError: the background cannot be read.
        """
        old = self.settings
        segmenter = self._segmenter if settings.model == old.model else Segmenter(settings.model)
        if _part(settings, 'background_') != _part(old, 'background_'):
            self._background = make_background(settings)
        self._segmenter = segmenter
        self._apply(settings)

    def process(self, frame: np.ndarray, *, picture: bool | np.ndarray = True, mask: bool | np.ndarray = True,
                alpha: bool | np.ndarray = True) -> Result:
        """
        Segment one frame and put the background behind the person.

        :param frame: (height, width, 3) uint8, blue green red. It is not written to.
        :param picture: whether the composite is wanted, or an array like the frame to write it to.
        :param mask: likewise, (height, width) uint8.
        :param alpha: likewise, (height, width) uint8.
        """
        clock = _Clock()
        settings, size = self.settings, frame.shape[1::-1]
        small = shrunk(frame, self._segmenter.size, settings.flip)
        clock.lap('prepare')
        probability = self._segmenter.probability(cv2.cvtColor(small, cv2.COLOR_BGR2RGB))
        clock.lap('segment')
        probability = smooth_edge(probability, small, size, settings)
        matte = to_alpha(probability, size, self._curve, _array(alpha))
        clock.lap('matte')
        result = Result(alpha=None if alpha is False else matte, seconds=clock.laps)
        if mask is not False:
            result.mask = cv2.threshold(matte, 127, 255, cv2.THRESH_BINARY, dst=_array(mask))[1]
        if picture is not False:
            out = _array(picture)
            if settings.flip:
                frame = out = cv2.flip(frame, 1, dst=out)
            result.picture = composite(frame, matte, self._background.behind(frame), out)
        clock.lap('composite')
        return result


class _Clock:
    """Laps of one frame, in seconds."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = now - self._last
        self._last = now


def _array(wanted: bool | np.ndarray) -> np.ndarray | None:
    return wanted if isinstance(wanted, np.ndarray) else None


def _part(settings: Settings, prefix: str) -> list:
    return [getattr(settings, f.name) for f in dataclasses.fields(settings) if f.name.startswith(prefix)]

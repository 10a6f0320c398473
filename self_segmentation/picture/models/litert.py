# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
The models through LiteRT (once TensorFlow Lite), which sends nothing and needs neither MediaPipe nor OpenGL.

https://ai.google.dev/edge/litert. What MediaPipe Tasks does around the models is done here in the same way. Maps differ from
MediaPipe's by less than 1e-4. People and scores are the same; where two boxes of one person have the same score, either may stay.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from ..arrays import Array
from .types import ScoredBox

__all__ = ['load_detection', 'load_segmentation']

_SIDE = 320  # pixels of EfficientDet-Lite0's input, both ways
_LEVELS = range(3, 8)  # of its feature pyramid, whose cells are 2^level pixels wide
_ANCHOR = 3.0  # sides of a level's smallest anchor in cells
_PERSON = 0  # its class
_OVERLAP = 0.3  # IoU from which MediaPipe drops the weaker of two boxes


class _Model:
    def __init__(self, content: bytes) -> None:
        self._interpreter = Interpreter(model_content=content, num_threads=1)  # as MediaPipe; more are hardly faster
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]['index']
        self._outputs = {details['shape'][-1]: details['index'] for details in self._interpreter.get_output_details()}

    def _tensor(self, index: int) -> Any:
        """Return a view, which must be gone when the model is asked next."""
        return self._interpreter.tensor(index)()[0]

    def close(self) -> None:
        """Free it."""
        del self._interpreter


class _Segmentation(_Model):
    def infer(self, rgb: Array) -> Array:
        """Return the map of an image of the model's size."""
        np.multiply(rgb, np.float32(1 / 255), out=self._tensor(self._input))
        self._interpreter.invoke()
        probability: Array = self._tensor(self._outputs[1])[..., 0].copy()
        return probability


class _Detection(_Model):
    """EfficientDet-Lite0 gives a score for each of 90 classes and a box for each of 19206 anchors."""

    def __init__(self, content: bytes, least_score: float) -> None:
        super().__init__(content)
        self._least = np.float32(least_score)
        self._anchors = _anchors()

    def infer(self, rgb: Array) -> list[ScoredBox]:
        """Return people, best first."""
        self._tensor(self._input)[:] = rgb
        self._interpreter.invoke()
        scores = self._tensor(self._outputs[90])[:, _PERSON].copy()
        candidates = np.flatnonzero(scores >= self._least)
        candidates = candidates[np.argsort(-scores[candidates], kind='stable')]
        raw, anchors = self._tensor(self._outputs[4])[candidates], self._anchors[candidates]
        centers, sizes = raw[:, :2] * anchors[:, 2:] + anchors[:, :2], np.exp(raw[:, 2:]) * anchors[:, 2:]
        corners = centers - sizes / 2
        found = []
        for index in _without_overlaps(corners, corners + sizes):
            # As MediaPipe has it: whole pixels; what reaches beyond the image is moved into it, not cut.
            y0, x0 = np.maximum(np.trunc(_SIDE * corners[index]), 0).astype(int).tolist()
            height, width = np.minimum(np.trunc(_SIDE * sizes[index]), _SIDE).astype(int).tolist()
            found.append(ScoredBox(x0, y0, x0 + width, y0 + height, float(scores[candidates[index]])))
        return found


def _anchors() -> Array:
    """Return EfficientDet's anchors, (n, 4) float32: center y, center x, height, width as fractions of the image's sides."""
    levels: list[Array] = []
    for level in _LEVELS:
        count = math.ceil(_SIDE / 2 ** level)
        sides = np.array([(1 / math.sqrt(aspect), math.sqrt(aspect)) for aspect in (1, 2, 0.5)])
        sizes = np.concatenate([_ANCHOR / count * 2 ** (octave / 3) * sides for octave in range(3)])
        centers = (np.indices((count, count)).reshape(2, -1).T + 0.5) / count
        levels.append(np.concatenate([np.repeat(centers, len(sizes), 0), np.tile(sizes, (len(centers), 1))], 1))
    return np.concatenate(levels, dtype=np.float32)


def _without_overlaps(low: Array, high: Array) -> list[int]:
    """
    Return the indices of the boxes that overlap none before them (non-maximum suppression).

    :param low: (n, 2) corners, best first.
    :param high: (n, 2) the opposite corners.
    """
    areas, kept = (high - low).prod(1), []
    left: Array = np.arange(len(low))
    while len(left):
        best, left = left[0], left[1:]
        kept.append(int(best))
        common = np.clip(np.minimum(high[best], high[left]) - np.maximum(low[best], low[left]), 0, None).prod(1)
        left = left[common <= _OVERLAP * (areas[best] + areas[left] - common)]
    return kept


load_segmentation, load_detection = _Segmentation, _Detection

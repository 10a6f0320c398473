# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What the modules of this folder share: model files, and what every runtime offers."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from ..arrays import Array

__all__ = ['Backend', 'DetectionModel', 'ModelFile', 'ScoredBox', 'SegmentationModel']


class ModelFile(NamedTuple):
    """A model file: ``name`` for messages, its path; ``content`` its bytes."""

    name: str
    content: bytes


class ScoredBox(NamedTuple):
    """A person in an image: corners in whole pixels of the image, score 0..1."""

    x0: int
    y0: int
    x1: int
    y1: int
    score: float


class SegmentationModel(Protocol):
    """A segmentation model, loaded."""

    def infer(self, rgb: Array) -> Array:
        """Return (h, w) float32 in 0..1 for (h, w, 3) uint8 of the model's size, red green blue, C-contiguous."""

    def close(self) -> None:
        """Free it."""


class DetectionModel(Protocol):
    """The person detector's model, loaded."""

    def infer(self, rgb: Array) -> list[ScoredBox]:
        """Return people, best first, in (320, 320, 3) uint8, red green blue, C-contiguous."""

    def close(self) -> None:
        """Free it."""


class Backend(Protocol):
    """A module that loads models; what it cannot load raises RuntimeError or ValueError."""

    def load_segmentation(self, content: bytes) -> SegmentationModel:
        """Load a segmentation model from the bytes of its file."""

    def load_detection(self, content: bytes, least_score: float) -> DetectionModel:
        """Load EfficientDet-Lite0, for people of a score of at least this."""

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
The models through MediaPipe Tasks, imported late.

https://ai.google.dev/edge/mediapipe/solutions/vision/image_segmenter and ../object_detector
"""

from __future__ import annotations

import warnings
from typing import Any

from ..arrays import Array
from .types import ScoredBox

__all__ = ['import_tasks', 'load_detection', 'load_segmentation']


def import_tasks() -> tuple[Any, Any, Any]:
    """Import MediaPipe; return the modules ``mediapipe``, ``mediapipe.tasks.python`` and ``mediapipe.tasks.python.vision``."""
    import mediapipe
    from mediapipe.tasks import python as tasks
    from mediapipe.tasks.python import vision
    return mediapipe, tasks, vision


class _Segmentation:
    def __init__(self, content: bytes) -> None:
        self._mediapipe, tasks, vision = import_tasks()
        options = vision.ImageSegmenterOptions(
            base_options=tasks.BaseOptions(model_asset_buffer=content), running_mode=vision.RunningMode.IMAGE,
            output_confidence_masks=True, output_category_mask=False)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # protobuf's, of a call inside MediaPipe
            self._segmenter = vision.ImageSegmenter.create_from_options(options)

    def infer(self, rgb: Array) -> Array:
        """Return the map of an image of any size, at that size; at the model's it is fastest."""
        image = self._mediapipe.Image(image_format=self._mediapipe.ImageFormat.SRGB, data=rgb)
        # Confidence mask 0, never the category mask: that one's meaning is inverted.
        mask = self._segmenter.segment(image).confidence_masks[0]
        probability: Array = mask.numpy_view().reshape(rgb.shape[:2]).copy()
        return probability

    def close(self) -> None:
        """Free it. MediaPipe 1.x prints a traceback at the interpreter's end without it."""
        self._segmenter.close()
        self._segmenter = None  # its threads end with it


class _Detection:
    def __init__(self, content: bytes, least_score: float) -> None:
        self._mediapipe, tasks, vision = import_tasks()
        options = vision.ObjectDetectorOptions(
            base_options=tasks.BaseOptions(model_asset_buffer=content), running_mode=vision.RunningMode.IMAGE,
            score_threshold=least_score, max_results=100, category_allowlist=['person'])
        self._detector = vision.ObjectDetector.create_from_options(options)

    def infer(self, rgb: Array) -> list[ScoredBox]:
        """Return people, best first."""
        image = self._mediapipe.Image(image_format=self._mediapipe.ImageFormat.SRGB, data=rgb)
        found = []
        for detection in self._detector.detect(image).detections:
            box = detection.bounding_box
            found.append(ScoredBox(box.origin_x, box.origin_y, box.origin_x + box.width, box.origin_y + box.height,
                                   float(detection.categories[0].score)))
        return found

    def close(self) -> None:
        """Free it."""
        self._detector.close()
        self._detector = None


load_segmentation, load_detection = _Segmentation, _Detection

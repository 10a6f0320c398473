# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""How judges outside of this repository call the package: mattes and tracks of clips, not mirrored, a new video each time."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from self_segmentation import Pipeline, Settings, Video
from self_segmentation.settings import look_file, read_yaml

Frames = Sequence[np.ndarray]


def segmenter(looks: Sequence[str]) -> Callable[[Frames, float], dict[str, list[np.ndarray]]]:
    """Return a function of (frames, frames a second) that returns the alpha of each frame, by look."""
    cv2.setNumThreads(1)
    pipelines = {look: Pipeline(Settings().updated({} if look == 'default' else read_yaml(look_file(look))), flip=False)
                 for look in looks}

    def segment(frames: Frames, rate: float) -> dict[str, list[np.ndarray]]:
        videos, mattes = {look: Video() for look in looks}, {look: [] for look in looks}
        for number, frame in enumerate(frames):
            for look, pipeline in pipelines.items():
                result = pipeline.process(frame, video=videos[look], stamp=number / rate, composite=False, mask=False)
                mattes[look].append(result.alpha)
        return mattes

    return segment


def tracker() -> Callable[[Frames, float], list[dict[int, tuple[int, int, int, int]]]]:
    """Return a function of (frames, frames a second) that returns the boxes (left, top, right, bottom) of each frame, by id."""
    cv2.setNumThreads(1)
    pipeline = Pipeline(flip=False)

    def track(frames: Frames, rate: float) -> list[dict[int, tuple[int, int, int, int]]]:
        video, boxes = Video(), []
        for number, frame in enumerate(frames):
            people = pipeline.process(frame, video=video, stamp=number / rate, composite=False, mask=False).people
            boxes.append({person.id: tuple(person.box) for person in people})
        return boxes

    return track

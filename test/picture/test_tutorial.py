# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""config/tutorial.yaml against the tutorial's own lines, on MediaPipe's own solution, picture by picture."""
import warnings

import cv2
import numpy as np
import pytest
from conftest import area, iou, tutorial_settings

from self_segmentation import Pipeline

mediapipe = pytest.importorskip('mediapipe')
if not hasattr(mediapipe, 'solutions'):
    pytest.skip('NOT TESTED, for MediaPipe has no solutions from 0.10.30 on', allow_module_level=True)
FRAMES = (30, 45, 60, 80, 100, 118, 130)


@pytest.fixture(scope='module')
def tutorial():
    """The tutorial's program: a frame in; its mask and its composite out."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        solution = mediapipe.solutions.selfie_segmentation.SelfieSegmentation(model_selection=0)

        def result(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            frame = cv2.flip(frame, 1)
            mask = solution.process(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)).segmentation_mask
            mask = cv2.bilateralFilter(mask, 9, 75, 75)
            condition = np.stack((mask,) * 3, axis=-1) > 0.1
            grey = np.full(frame.shape, 192, np.uint8)
            return condition[..., 0] * np.uint8(255), np.where(condition, frame, grey)

        yield result
        solution.close()


@pytest.fixture(scope='module')
def ours():
    return Pipeline(tutorial_settings())


def compared(tutorial, ours, frame):
    """The two masks' likeness; their pictures must be the same byte for byte where the masks agree."""
    mask, picture = tutorial(frame)
    result = ours.process(frame)
    agree = mask == result.mask
    assert np.array_equal(picture[agree], result.composite[agree])
    assert set(np.unique(result.alpha)) <= {0, 255} and np.array_equal(result.alpha, result.mask)
    return iou(mask, result.mask), area(mask)


def test_image_matches_tutorial(tutorial, ours, astronaut):
    likeness, share = compared(tutorial, ours, astronaut)
    assert share > 0.05 and likeness >= 0.99


def test_video_frames_match_tutorial_without_memory(tutorial, ours, sample):
    for index in (*FRAMES, *reversed(FRAMES)):
        likeness, share = compared(tutorial, ours, sample[index])
        assert share > 0.01 and likeness >= 0.99, index


def test_other_frame_sizes_match_tutorial(tutorial, ours, astronaut):
    for size in ((1280, 720), (321, 243), (240, 640)):
        likeness, share = compared(tutorial, ours, cv2.resize(astronaut, size, interpolation=cv2.INTER_AREA))
        assert share > 0.05 and likeness >= 0.99, size


def test_empty_room_matches_tutorial(tutorial, ours, sample):
    for index in (0, 13, 26, 140, 149):
        mask, picture = tutorial(sample[index])
        result = ours.process(sample[index])
        assert not mask.any() and not result.mask.any() and not result.alpha.any(), index
        assert (result.composite == 192).all() and np.array_equal(result.composite, picture), index

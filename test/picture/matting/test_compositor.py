# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from conftest import tutorial_settings

from self_segmentation import Pipeline
from self_segmentation.picture.matting.compositor import blend, cut_out, edge_corrected

SIZES = [(64, 80), (7, 9), (1, 1), (3, 8), (480, 640), (5, 13)]


def scene(size, seed=1):
    """A frame, a matte with every value from 0 to 255, and a background, all noise."""
    dice = np.random.default_rng(seed)
    frame, background = dice.integers(0, 256, (2, *size, 3), np.uint8)
    alpha = dice.integers(0, 256, size, np.uint8)
    alpha[dice.random(size) < 0.3] = 0
    alpha[dice.random(size) < 0.3] = 255
    return frame, alpha, background


@pytest.mark.parametrize('size', SIZES)
def test_alpha_blends_frame_over_background(size):
    frame, alpha, background = scene(size)
    picture = blend(frame, alpha, background)
    share = alpha[..., None] / 255.0
    assert np.abs(picture - (frame * share + background * (1 - share))).max() <= 1
    assert np.array_equal(picture[alpha == 255], frame[alpha == 255])
    assert np.array_equal(picture[alpha == 0], background[alpha == 0])


def test_every_alpha_value_blends_correctly():
    alpha = np.arange(256, dtype=np.uint8).reshape(16, 16)
    black, white = np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), 255, np.uint8)
    for frame, background, expected in ((white, black, alpha), (black, white, 255 - alpha)):
        picture = blend(frame, alpha, background).astype(int)
        assert np.abs(picture - expected[..., None].astype(int)).max() <= 1


@pytest.mark.parametrize('size', SIZES)
def test_writes_composite_in_place_and_nothing_else(size):
    frame, alpha, background = scene(size)
    kept = frame.copy(), alpha.copy(), background.copy()
    expected, out = blend(frame, alpha, background), np.full_like(frame, 77)
    for array in (frame, alpha, background):
        array.setflags(write=False)
    assert blend(frame, alpha, background, out) is out
    assert np.array_equal(out, expected)
    assert all(np.array_equal(now, before) for now, before in zip((frame, alpha, background), kept))


def test_composite_may_overwrite_frame():
    frame, alpha, background = scene((48, 64))
    expected = blend(frame, alpha, background)
    assert blend(frame, alpha, background, frame) is frame
    assert np.array_equal(frame, expected)


@pytest.mark.parametrize('flip', [False, True])
def test_pipeline_writes_to_given_arrays_not_to_frame(flip, astronaut):
    pipeline, frame = Pipeline(tutorial_settings(flip=flip, softness=0.5)), astronaut.copy()
    expected = pipeline.process(frame)
    frame.setflags(write=False)
    out = {kind: np.zeros_like(frame if kind == 'composite' else frame[..., 0]) for kind in ('composite', 'mask', 'alpha')}
    result = pipeline.process(frame, **out)
    for kind, array in out.items():
        assert np.shares_memory(getattr(result, kind), array) and np.array_equal(array, getattr(expected, kind)), kind
    assert np.array_equal(frame, astronaut)


def test_pipeline_makes_only_requested_results(astronaut):
    pipeline = Pipeline(tutorial_settings())
    full = pipeline.process(astronaut)
    for kind in ('composite', 'mask', 'alpha'):
        result = pipeline.process(astronaut, **{other: other == kind for other in ('composite', 'mask', 'alpha')})
        assert np.array_equal(getattr(result, kind), getattr(full, kind))
        assert [other for other in ('composite', 'mask', 'alpha') if getattr(result, other) is not None] == [kind]


def test_pipeline_composite_and_mask_follow_alpha(astronaut):
    result = Pipeline(tutorial_settings(flip=False, softness=1.0, background__color=(10, 100, 250))).process(astronaut)
    assert ((result.alpha > 0) & (result.alpha < 255)).sum() > 1000
    share = result.alpha[..., None] / 255.0
    assert np.abs(result.composite - (astronaut * share + np.array([250, 100, 10]) * (1 - share))).max() <= 1
    assert np.array_equal(result.mask, np.where(result.alpha > 127, 255, 0))


def spilled(size, person=(40, 60, 200), room=(20, 220, 120)):
    """A person before a wall, with a line of the wall's colour that lies inside of the alpha; and where that is."""
    height, width = size
    frame, alpha = np.full((height, width, 3), room, np.uint8), np.zeros((height, width), np.uint8)
    inside = np.s_[height // 4:, width // 4:-(width // 4)]
    frame[inside], alpha[inside] = person, 255
    edge = max(2, height // 100)
    line = np.zeros((height, width), bool)
    line[height // 4:, width // 4:width // 4 + edge] = True
    frame[line] = np.array(person) * 0.4 + np.array(room) * 0.6
    return frame, alpha, line


@pytest.mark.parametrize('size', [(240, 320), (427, 641), (720, 1280)])
def test_decontamination_removes_spill_inside_alpha(size):
    frame, alpha, line = spilled(size)
    before = frame.copy()
    mended = edge_corrected(frame, alpha, frame, 1.0, 0.0)
    middle = line.copy()
    middle[:size[0] // 2] = middle[-8:] = False
    off = np.abs(mended[middle].astype(int) - (40, 60, 200)).mean()
    assert off < 12 and np.abs(before[middle].astype(int) - (40, 60, 200)).mean() > 40
    deep = np.s_[size[0] // 2:, size[1] // 2 - 5:size[1] // 2 + 5]
    assert np.array_equal(mended[deep], before[deep]) and np.array_equal(frame, before)


def test_decontamination_keeps_persons_other_colors():
    frame, alpha, line = spilled((240, 320))
    frame[line] = (250, 250, 250)  # a white sleeve: no mix of red and green
    assert np.abs(edge_corrected(frame, alpha, frame, 1.0, 0.0)[line].astype(int) - 250).mean() < 10


@pytest.mark.parametrize('alpha', [0, 255, 128])
def test_decontamination_keeps_frame_without_edge(alpha):
    frame = scene((48, 64))[0]
    assert np.array_equal(edge_corrected(frame, np.full((48, 64), alpha, np.uint8), frame, 1.0, 0.0), frame)


def test_cut_out_has_straight_alpha():
    frame, alpha, _ = scene((40, 56))
    out = np.empty((40, 56, 4), np.uint8)
    assert cut_out(frame, alpha, out) is out
    assert np.array_equal(out[..., 3], alpha) and np.array_equal(out[alpha > 0][:, :3], frame[alpha > 0])
    assert not out[alpha == 0].any()

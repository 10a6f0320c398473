# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What is found over time and from close up, on the sample and the astronaut."""

import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from self_segmentation.io.assets import make_pipeline, read_model
from self_segmentation.io.sources import open_source
from self_segmentation.picture.engine import Engine
from self_segmentation.picture.segmenter import Segmenter
from self_segmentation.settings import Settings
from self_segmentation.tools.evaluate import iou

ROOT = Path(__file__).resolve().parents[2]
PLAIN = {'roi.enabled': False, 'presence.agreement': 0.0, 'temporal.smoothing': 0.0, 'temporal.hysteresis': 0.0,
         'temporal.background_penalty': 0.0, 'temporal.hold_time': 0.0}


@pytest.fixture(scope='module')
def clip():
    source = open_source(str(ROOT / 'demo' / 'sample.mp4'))
    frames = []
    while frame := source.read():
        frames.append(frame.pixels)
    return frames


@pytest.fixture(scope='module')
def astronaut():
    return cv2.imread(str(ROOT / 'test' / 'data' / 'astronaut.png'))


@pytest.fixture(scope='module')
def cut_out(astronaut):
    """The astronaut and her alpha, from the picture at its full size."""
    return astronaut, make().process(astronaut, still=True).alpha


def make(**settings):
    return make_pipeline(Settings(flip=False).updated({name.replace('__', '.'): value for name, value in settings.items()}))


def placed(room, cut_out, width, left):
    """A frame with the cut-out standing in a room at a width, and where she is."""
    person, alpha = (cv2.resize(part, (width, width), interpolation=cv2.INTER_AREA) for part in cut_out)
    frame, truth = room.copy(), np.zeros(room.shape[:2], bool)
    area = np.s_[room.shape[0] - width:, left:left + width]
    share = alpha[..., None] / 255.0
    frame[area] = (share * person + (1 - share) * frame[area]).astype(np.uint8)
    truth[area] = alpha > 127
    return frame, truth


def mask_of(pipeline, frame, **options):
    return pipeline.process(frame, composite=False, alpha=False, **options).mask > 127


def test_the_person_of_the_sample_is_found_and_the_empty_room_stays_empty(clip):
    pipeline = make()
    areas = [mask_of(pipeline, frame).mean() for frame in clip]
    assert max(areas[:27] + areas[137:]) < 0.003
    assert min(areas[50:115]) > 0.25


def test_a_far_person_is_cut_out_better_with_focus(clip, cut_out):
    room = cv2.resize(clip[0], (1280, 960))
    frame, truth = placed(room, cut_out, 300, 500)
    found = {}
    for enabled in (False, True):
        pipeline = make(**{**PLAIN, 'roi.enabled': enabled})
        for _ in range(5):
            found[enabled] = iou(mask_of(pipeline, frame), truth)
    assert found[True] > 0.95
    assert found[True] > found[False] + 0.1


def test_a_newcomer_beside_the_focused_person_is_noticed_by_the_next_reread(clip, cut_out):
    room = cv2.resize(clip[0], (1280, 960))
    alone, _ = placed(room, cut_out, 300, 150)
    pipeline = make()
    for _ in range(20):
        mask_of(pipeline, alone)
    both, newcomer = placed(alone, cut_out, 300, 850)
    for _ in range(Settings().roi_full_frame_interval + 2):
        mask = mask_of(pipeline, both)
    assert iou(mask & newcomer, newcomer) > 0.8


def test_a_video_costs_at_most_a_tenth_more_than_an_inference_a_frame(clip):
    pipeline = make()
    for frame in clip:
        mask_of(pipeline, frame)
    assert pipeline.inferences <= 1.1 * len(clip)


def test_a_still_outline_is_still_under_camera_noise(clip):
    noise = np.random.default_rng(1)
    frames = [cv2.add(clip[80], noise.normal(0, 1, clip[80].shape), dtype=cv2.CV_8U) for _ in range(16)]

    def flicker(**settings):
        pipeline = make(**settings)
        masks = [mask_of(pipeline, frame) for frame in frames]
        return np.mean([(now ^ before).mean() for before, now in zip(masks[4:], masks[5:])])

    assert flicker() < 0.8 * flicker(**PLAIN)


def test_a_person_who_is_gone_leaves_no_ghost(clip):
    pipeline = make()
    for frame in clip[:90]:
        mask_of(pipeline, frame)
    assert mask_of(pipeline, clip[90]).mean() > 0.25
    mask_of(pipeline, clip[0])
    assert mask_of(pipeline, clip[0]).mean() < 0.003


@pytest.mark.parametrize('change', ['size', 'time', 'scene'])
def test_another_size_a_jump_back_in_time_and_another_scene_start_over(clip, astronaut, change):
    after = {'size': cv2.resize(clip[80], (320, 240)), 'time': clip[80],
             'scene': cv2.resize(astronaut[..., ::-1].copy(), (640, 480))}
    pipeline = make()
    for index, frame in enumerate(clip[40:70]):
        pipeline.process(frame, stamp=10.0 + index / 15)
    stamp = 2.0 if change == 'time' else 13.0
    assert np.array_equal(mask_of(pipeline, after[change], stamp=stamp), mask_of(make(), after[change], stamp=stamp))


def test_a_picture_of_its_own_does_not_depend_on_what_came_before(clip, astronaut):
    pipeline = make()
    alone = mask_of(pipeline, astronaut, still=True)
    for frame in clip[50:60]:
        mask_of(pipeline, frame)
    assert np.array_equal(mask_of(pipeline, astronaut, still=True), alone)


def test_a_softness_of_0_cuts_hard_and_more_leaves_an_edge_between(astronaut):
    assert set(np.unique(make(softness=0.0).process(astronaut).alpha)) == {0, 255}
    assert len(np.unique(make(softness=0.5).process(astronaut).alpha)) > 20


def test_a_lower_threshold_keeps_more(astronaut):
    areas = [mask_of(make(threshold=threshold), astronaut, still=True).mean() for threshold in (0.2, 0.5, 0.8)]
    assert areas[0] > areas[1] > areas[2]


@pytest.mark.parametrize('model', ['general', 'landscape'])
@pytest.mark.parametrize('size', [(1, 1), (7, 3), (64, 400), (641, 479)])
def test_any_size_of_frame_goes_through_both_models(astronaut, model, size):
    frame = cv2.resize(astronaut, size)
    pipeline = make(model=model)
    for still in (False, False, True):
        result = pipeline.process(frame, still=still)
        assert result.composite.shape == frame.shape
        assert result.alpha.shape == result.mask.shape == frame.shape[:2]
        assert set(np.unique(result.mask)) <= {0, 255}


def test_what_goes_wrong_after_a_frame_is_the_next_frames_error_once_and_nothing_is_lost(clip):
    """The whole frame is read again after the picture is out; a model that fails there must not fail in a parameter change."""
    class Failing:
        def __init__(self, model):
            self.model, self.size, self.fails = model, model.size, False

        def probability(self, rgb):
            if self.fails and threading.current_thread() is not threading.main_thread():
                raise RuntimeError('out of order')
            return self.model.probability(rgb)

        def close(self):
            self.model.close()

    model = Failing(Segmenter(read_model('general')))
    engine = Engine(model, Settings())
    count = Settings().roi_full_frame_interval
    for frame in clip[60:60 + count - 1]:
        engine.frame(frame)
    model.fails = True
    engine.frame(clip[72])
    engine.configure(Settings(threshold=0.4))
    model.fails = False
    with pytest.raises(RuntimeError, match='out of order'):
        engine.frame(clip[73])
    assert (engine.frame(clip[74]) > 127).mean() > 0.2
    engine.close()

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Who is found in the frames of a video, and what is remembered: on the sample and on cut-outs of the astronaut."""
import cv2
import numpy as np
import pytest
from conftest import ONE_PIXEL, iou

from self_segmentation import Pipeline
from self_segmentation.io.assets import read_model
from self_segmentation.picture.engine import Engine
from self_segmentation.picture.frame import Frame
from self_segmentation.picture.models.detector import Detection
from self_segmentation.picture.models.segmenter import Segmenter
from self_segmentation.picture.people.schedule import DetectionThread
from self_segmentation.picture.people.search import follow_far
from self_segmentation.picture.regions import Region, full_frame
from self_segmentation.picture.video import Video
from self_segmentation.settings import Settings

ENTERS, LEAVES = 45, 119  # frames of the sample from which, and up to which, the person is there whole
WITHOUT_MEMORY = {'temporal.smoothing': 0.0, 'temporal.hysteresis': 0.0, 'temporal.background_penalty': 0.0,
                  'temporal.hold_time': 0.0}


def make(**settings):
    return Pipeline(Settings(flip=False).updated({name.replace('__', '.'): value for name, value in settings.items()}))


def mask_of(pipeline, frame, **options):
    return pipeline.process(frame, composite=False, alpha=False, **options).mask > 127


def counts(pipeline, frame):
    return [person.box for person in pipeline.process(frame, composite=False, alpha=False).people if person.counts]


@pytest.fixture(scope='module')
def room(sample):
    return cv2.resize(sample[0], (1280, 960))


@pytest.fixture(scope='module')
def cut_out(astronaut):
    """The astronaut and her alpha."""
    return astronaut, make().process(astronaut, still=True).alpha


def placed(room, cut_out, width, left, bottom=None):
    """A frame with the cut-out standing in a room at a width, and where she is, (height, width) bool."""
    person, alpha = (cv2.resize(part, (width, width), interpolation=cv2.INTER_AREA) for part in cut_out)
    frame, truth = room.copy(), np.zeros(room.shape[:2], bool)
    bottom = room.shape[0] if bottom is None else bottom
    area = np.s_[bottom - width:bottom, left:left + width]
    weight = alpha[..., None] / 255.0
    frame[area] = (weight * person + (1 - weight) * frame[area]).astype(np.uint8)
    truth[area] = alpha > 127
    return frame, truth


def noisy(frame, seed=1, grey_levels=1.0):
    cv2.setRNGSeed(seed)
    return cv2.add(frame, cv2.randn(np.empty(frame.shape, np.float32), 0, grey_levels), dtype=cv2.CV_8U)


def test_no_longer_replacing_people_keeps_who_is_known(small):
    pipeline = make(replace='people')
    for frame in small[50:62]:
        known = [person.id for person in pipeline.process(frame).people]
    pipeline.settings = pipeline.settings.updated({'replace': 'background'})
    assert known and [person.id for person in pipeline.process(small[62]).people] == known


@pytest.mark.parametrize('frames', [0, 1, 3])
def test_shows_person_at_once_after_few_covered_frames(small, frames):
    pipeline = make(replace='people')
    for _ in range(frames):
        pipeline.process(small[60])
    pipeline.settings = pipeline.settings.updated({'replace': 'background'})
    assert mask_of(pipeline, small[60]).mean() > 0.1


def test_empty_room_stays_empty_without_inference(small):
    pipeline = make()
    for seed in range(60):
        assert not mask_of(pipeline, noisy(small[seed % 20], seed)).any()
    assert pipeline.inferences == 0


@pytest.mark.slow
def test_finds_sample_person_within_8_frames(sample):
    pipeline = make()
    areas = [mask_of(pipeline, frame, stamp=number / 15).mean() for number, frame in enumerate(sample)]
    assert max(areas[:27]) == 0 and max(areas[-8:]) == 0
    assert min(areas[ENTERS:LEAVES]) > 0.2
    first = next(number for number, area in enumerate(areas) if area > 0.01)
    alone = [mask_of(make(), frame).mean() > 0.01 for frame in sample[27:ENTERS]]
    assert first - 27 - alone.index(True) <= 8


@pytest.mark.slow
def test_video_gives_same_masks_each_time(sample):
    pipelines = make(), make()
    for frame in sample[20:100]:
        assert np.array_equal(*(mask_of(pipeline, frame) for pipeline in pipelines))


@pytest.mark.parametrize('width, left', [(160, 200), (300, 500), (600, 300)])
def test_segments_far_and_near_person(room, cut_out, width, left):
    frame, truth = placed(room, cut_out, width, left)
    pipeline = make()
    for seed in range(5):
        found = mask_of(pipeline, noisy(frame, seed))
    assert iou(found * 255, truth * 255) > 0.8


def test_finds_two_separate_people_with_boxes(room, cut_out):
    frame, truth = placed(room, cut_out, 300, 100)
    frame, other = placed(frame, cut_out, 300, 850)
    pipeline = make()
    result = pipeline.process(frame)
    assert len(result.people) == 2 and iou(result.mask, (truth | other) * 255) > 0.8
    for person, there in zip(sorted(result.people, key=lambda person: person.box.x0), (truth, other)):
        ys, xs = np.nonzero(there)
        assert abs(person.box.x0 - xs.min()) < 40 and abs(person.box.y1 - ys.max()) < 40
    assert pipeline.inferences == 2


@pytest.mark.slow
def test_finds_newcomer_beside_known_person(room, cut_out):
    alone, _ = placed(room, cut_out, 300, 150)
    pipeline = make()
    for seed in range(20):
        mask_of(pipeline, noisy(alone, seed))
    both, newcomer = placed(alone, cut_out, 300, 850)
    for seed in range(8):
        mask = mask_of(pipeline, noisy(both, seed))
    assert mask[newcomer].mean() > 0.8


@pytest.mark.slow
def test_ids_follow_moving_people_and_are_not_reused(room, cut_out):
    pipeline, seen = make(), []
    for left in range(100, 500, 10):
        frame, _ = placed(room, cut_out, 300, left)
        frame, _ = placed(frame, cut_out, 300, 900)
        seen.append({person.id for person in pipeline.process(frame).people})
    assert set.union(*seen[5:]) == seen[-1] and len(seen[-1]) == 2
    mask_of(pipeline, cv2.resize(room, (640, 480)))  # another size starts over
    again = {person.id for person in pipeline.process(frame).people}
    assert len(again) == 2 and not again & seen[-1]


def test_people_who_acts_on_next_frame(room, cut_out):
    frame, small = placed(room, cut_out, 200, 550)
    frame, large = placed(frame, cut_out, 400, 20)
    pipeline = make()
    assert len(counts(pipeline, frame)) == 2
    for who, there, other in (('largest', large, small), ('central', small, large)):
        pipeline.settings = pipeline.settings.updated({'people.who': who})
        result = pipeline.process(frame)
        assert [person.counts for person in result.people].count(True) == 1 and len(result.people) == 2
        assert (result.mask[there] > 127).mean() > 0.8 and not result.mask[other].any()


def test_people_most_limits_inferences_and_misses_nobody(room, cut_out):
    frame, everybody = room, np.zeros(room.shape[:2], bool)
    for left in (20, 360, 700, 1040):
        frame, there = placed(frame, cut_out, 220, left)
        everybody |= there
    pipeline = make(people__most=2)
    for seed in range(10):
        mask = mask_of(pipeline, noisy(frame, seed))
        assert pipeline.inferences <= 2 * (seed + 1)
    assert mask[everybody].mean() > 0.75


def test_people_smallest_excludes_small_person(room, cut_out):
    frame, _ = placed(room, cut_out, 200, 500)
    assert len(counts(make(), frame)) == 1
    assert not counts(make(people__smallest=0.5), frame)


def test_without_detector_segments_full_frame(sample):
    pipeline, model = make(people__detector=False, edge__filter='none', softness=0.0, **{
        name.replace('.', '__'): value for name, value in WITHOUT_MEMORY.items()}), Segmenter(read_model('general'))
    for frame in sample[60:63]:
        probability = model.probability(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
        result = pipeline.process(frame)
        expected = cv2.resize(cv2.convertScaleAbs(probability, alpha=255), frame.shape[1::-1]) > 127
        assert iou(result.mask, expected * 255) > 0.99 and result.people == []


def test_still_outline_flickers_less_under_camera_noise(sample):
    frames = [noisy(sample[80], seed) for seed in range(16)]

    def flicker(settings):
        pipeline = make(**{name.replace('.', '__'): value for name, value in settings.items()})
        masks = [mask_of(pipeline, frame) for frame in frames]
        return np.mean([(now ^ before).mean() for before, now in zip(masks[4:], masks[5:])])

    assert flicker({}) < 0.8 * flicker(WITHOUT_MEMORY)


def test_person_who_left_leaves_no_ghost(small):
    pipeline = make()
    for frame in small[:91]:
        mask = mask_of(pipeline, frame)
    assert mask.mean() > 0.25
    mask_of(pipeline, small[0])
    assert mask_of(pipeline, small[0]).mean() < 0.003


@pytest.mark.parametrize('change', ['size', 'time', 'scene'])
def test_new_size_time_jump_or_scene_resets_memory(small, astronaut, change):
    after = {'size': cv2.resize(small[80], (160, 120)), 'time': small[80],
             'scene': cv2.resize(astronaut[..., ::-1].copy(), (320, 240))}
    pipeline = make()
    for index, frame in enumerate(small[40:70]):
        pipeline.process(frame, stamp=10.0 + index / 15)
    stamp = 2.0 if change == 'time' else 13.0
    expected = mask_of(make(), after[change], stamp=stamp)
    assert np.array_equal(mask_of(pipeline, after[change], stamp=stamp), expected)


@pytest.mark.parametrize('model', ['general', 'landscape'])
@pytest.mark.parametrize('size', [*ONE_PIXEL, (7, 3), (64, 400), (641, 479)])
def test_any_frame_size_passes_both_models(astronaut, model, size):
    frame = cv2.resize(astronaut, size)
    pipeline = make(model=model)
    for still in (False, False, True):
        result = pipeline.process(frame, still=still)
        assert result.composite.shape == frame.shape
        assert result.alpha.shape == result.mask.shape == frame.shape[:2]
        assert set(np.unique(result.mask)) <= {0, 255}


class Failing:
    """A model that fails when it is told to."""

    def __init__(self):
        self.model, self.fails = Segmenter(read_model('general')), False
        self.size = self.model.size

    def probability(self, rgb):
        if self.fails:
            raise RuntimeError('out of order')
        return self.model.probability(rgb)


def test_failed_frame_does_not_affect_next(sample):
    model = Failing()
    engine, video = Engine(model, None), Video()
    engine.frame(sample[60], Settings(), video)
    model.fails = True
    with pytest.raises(RuntimeError, match='out of order'):
        engine.frame(sample[61], Settings(), video)
    model.fails = False
    assert (engine.frame(sample[62], Settings(), video) > 127).mean() > 0.2
    engine.close()


# ---- where the detector looks, with models that only note what they are shown

class Watching:
    """Models that are told what they find: ``boxes`` of an image by its shape, height and width."""

    size = 64, 48

    def __init__(self, boxes=None):
        self.boxes, self.shapes, self.maps = boxes or {}, [], []

    def detect(self, bgr):
        self.shapes.append(bgr.shape[:2])
        return [Detection(box, 0.9) for box in self.boxes.get(bgr.shape[:2], [])]

    def probability(self, rgb):
        self.maps.append(rgb)
        return rgb[..., 0].astype(np.float32) / 255

    def close(self):
        pass


def watched(models, frames, rate=30):
    """The people after these frames."""
    thread = DetectionThread(models)
    engine, video = Engine(models, thread), Video()
    for number, frame in enumerate(frames):
        engine.frame(frame, Settings(flip=False), video, number / rate)
    engine.close()
    thread.close()
    return video.people


def test_wide_thing_is_searched_upright_and_turned_to_both_sides(room):
    empty = cv2.resize(room, (640, 480))
    wide = empty.copy()
    wide[360:460, 180:420] = 30, 90, 160
    models = Watching()
    watched(models, [empty] * 10 + [wide] * 25)
    tall = {shape for shape in models.shapes if shape[0] > shape[1]}
    assert len([shape for shape in models.shapes if shape in tall]) >= 2  # the places are cut by the frame: wider than high
    assert {(width, height) for height, width in tall} <= {*models.shapes}


def test_slow_camera_is_searched_twice_a_second(room):
    calm = cv2.resize(room, (320, 240))
    for rate in (1, 2, 4):
        models = Watching()
        watched(models, [calm] * 20, rate)
        assert len(models.shapes) >= 2 * 20 / max(rate, 2) - 1, rate


def test_who_is_found_turned_is_segmented_turned():
    """A map of a turned image lies where it lies in the image."""
    models = Watching()
    engine = Engine(models, None)
    small = np.zeros((48, 64, 3), np.uint8)
    small[10:20, 40:60] = 255
    upright = engine._infer(small, None)
    for turn in (cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_90_COUNTERCLOCKWISE):
        turned = engine._infer(small, None, turn)
        assert turned.shape == upright.shape and iou(255 * turned, 255 * upright) > 0.7
        assert iou(models.maps[-1][..., 0], models.maps[0][..., 0]) < 0.3
    engine.close()


@pytest.mark.parametrize('turn', [None, cv2.ROTATE_90_CLOCKWISE])
def test_view_of_lying_person_is_segmented_turned(turn):
    stripes = np.zeros((240, 320, 3), np.uint8)
    stripes[::16], stripes[1::16], stripes[2::16], stripes[3::16] = 255, 255, 255, 255
    models, video = Watching(), Video()
    thread = DetectionThread(models)
    engine = Engine(models, thread)
    video.start_over((stripes.shape, False, 0, engine))
    video.scene.tracks.appear(Region(100, 80, 220, 160), 0.9, turn)
    engine.frame(stripes, Settings(flip=False), video, 0.0)
    engine.close()
    thread.close()
    [shown] = models.maps
    across, down = (np.abs(np.diff(shown[..., 0].astype(float), axis=axis)).mean() for axis in (1, 0))
    assert (across > down) == (turn is not None)


def test_far_person_in_dark_clothes_is_followed(room):
    """What is only darker than the background, as a shadow is."""
    empty = cv2.resize(room, (640, 480))
    scene = Video().scene
    for _ in range(8):
        scene.background.learn(np.zeros((128, 128), np.float32), scene.background.compare(empty))
    scene.tracks.appear(Region(440, 200, 465, 280), 0.9)
    dark = empty.copy()
    dark[200:280, 480:505] = dark[200:280, 480:505] * 0.6
    comparison = scene.background.compare(dark)
    assert not comparison.other.any() and comparison.differs.any()
    follow_far(Frame(dark, Settings(), scene, full_frame(dark.shape), 1 / 30, None, comparison, None, None))
    [person] = scene.tracks.all
    assert person.box.iou(Region(480, 200, 505, 280)) > 0.6

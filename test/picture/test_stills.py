# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of their own: people far away, in groups, lying and behind each other, and how the maps of their crops are used."""
import cv2
import numpy as np
import pytest
from conftest import EMPTY_ROOM, iou

from self_segmentation import Pipeline
from self_segmentation.picture.models.detector import Detection
from self_segmentation.picture.people.schedule import DetectionThread
from self_segmentation.picture.regions import Region
from self_segmentation.picture.stills import segment_still
from self_segmentation.settings import Settings


@pytest.fixture(scope='module')
def pipeline():
    return Pipeline(Settings(flip=False))


@pytest.fixture(scope='module')
def astronaut_cut_out(pipeline, astronaut):
    return astronaut, pipeline.process(astronaut, still=True).alpha


@pytest.fixture(scope='module')
def sample_cut_out(pipeline, sample):
    return sample[80], pipeline.process(sample[80], still=True).alpha


def placed(frame, cut_out, height, left, bottom):
    """A frame with a cut-out in front, and where it is, (height, width) bool."""
    person, alpha = (cv2.resize(part, None, fx=height / len(part), fy=height / len(part), interpolation=cv2.INTER_AREA)
                     for part in cut_out)
    frame, truth = frame.copy(), np.zeros(frame.shape[:2], bool)
    there = np.s_[bottom - height:bottom, left:left + person.shape[1]]
    weight = alpha[..., None] / 255.0
    frame[there] = (weight * person + (1 - weight) * frame[there]).astype(np.uint8)
    truth[there] = alpha > 127
    return frame, truth


# ---- on pictures

@pytest.mark.parametrize('height', [80, 130, 200])
def test_finds_far_person(pipeline, sample, astronaut_cut_out, height):
    frame, truth = placed(sample[0], astronaut_cut_out, height, 300, 400)
    result = pipeline.process(frame, still=True)
    assert len(result.people) == 1 and iou(result.mask, truth * 255) > 0.75


def test_finds_everybody_in_group(pipeline, sample, astronaut_cut_out, sample_cut_out):
    frame, truths = sample[0], []
    for cut_out, height, left, bottom in ((sample_cut_out, 140, 0, 480), (astronaut_cut_out, 180, 150, 460),
                                          (sample_cut_out, 140, 300, 440), (astronaut_cut_out, 180, 450, 420)):
        frame, truth = placed(frame, cut_out, height, left, bottom)
        truths.append(truth)
    result = pipeline.process(frame, still=True)
    assert len(result.people) == 4 and [person.id for person in result.people] == [1, 2, 3, 4]
    assert all((result.mask[truth] > 127).mean() > 0.8 for truth in truths)
    assert iou(result.mask, np.logical_or.reduce(truths) * 255) > 0.85


def test_finds_person_behind_another(pipeline, sample, astronaut_cut_out, sample_cut_out):
    frame, behind = placed(sample[0], sample_cut_out, 220, 250, 400)
    frame, before = placed(frame, astronaut_cut_out, 360, 80, 480)
    result = pipeline.process(frame, still=True)
    assert all((result.mask[there] > 127).mean() > 0.9 for there in (behind & ~before, before))
    assert iou(result.mask, (behind | before) * 255) > 0.85


@pytest.mark.parametrize('turn', [cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_90_COUNTERCLOCKWISE])
def test_finds_lying_person(pipeline, sample_cut_out, turn):
    picture, truth = (cv2.rotate(part, turn) for part in sample_cut_out)
    assert iou(pipeline.process(picture, still=True).mask, truth) > 0.9


@pytest.fixture(scope='module')
def hiding():
    return Pipeline(Settings(flip=False, replace='people'))


@pytest.mark.parametrize('turn', [cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_180])
def test_covers_turned_person(hiding, sample, astronaut_cut_out, turn):
    frame, truth = placed(sample[0], astronaut_cut_out, 200, 300, 400)
    frame, truth = cv2.rotate(frame, turn), cv2.rotate(truth.astype(np.uint8), turn) > 0
    alpha = hiding.process(frame, still=True).alpha
    assert (alpha[truth] < 255).mean() < 0.02 and (alpha[~truth] > 127).mean() < 0.1


def test_search_of_turned_picture_covers_nothing_of_empty_room(hiding, sample):
    for picture in (sample[0], cv2.imread(str(EMPTY_ROOM))):
        assert not hiding.process(picture, still=True).alpha.any()


def test_finds_nobody_in_empty_room(pipeline, sample):
    for picture in (sample[0], cv2.imread(str(EMPTY_ROOM))):
        result = pipeline.process(picture, still=True)
        assert result.people == [] and not result.alpha.any()


def test_poster_is_taken_for_person(pipeline, sample, astronaut):
    """As docs/quality.md says: neither the detector nor the model can tell a picture on the wall."""
    frame, there = sample[0].copy(), np.s_[60:220, 60:220]
    frame[54:226, 54:226] = 20
    frame[there] = cv2.resize(astronaut, (160, 160), interpolation=cv2.INTER_AREA)
    result = pipeline.process(frame, still=True)
    assert len(result.people) == 1 and result.people[0].box.inside(Region(50, 50, 230, 230)) == 1.0
    assert (result.mask[there] > 127).mean() > 0.3


# ---- on what a detector and a model might say

FRAME = np.zeros((480, 640, 3), np.uint8)
LEFT, RIGHT = Region(100, 100, 200, 300), Region(400, 150, 460, 300)


class Sees:
    """A detector that sees boxes."""

    def __init__(self, *boxes):
        self.boxes = boxes

    def detect(self, bgr):
        return [Detection(box, 0.9) for box in self.boxes] if bgr.shape == FRAME.shape else []

    def close(self):
        pass


class Infers:
    """A model that gives all of some sizes of pictures a probability, and others none."""

    def __init__(self, of_size=lambda width, height: 1.0):
        self.of_size, self.asked = of_size, []

    def __call__(self, bgr):
        height, width = bgr.shape[:2]
        self.asked.append((width, height))
        return np.full((64, 64), self.of_size(width, height), np.float32)


def segmented(infer, *boxes, **settings):
    settings = Settings(edge_filter='none', **settings)
    detections = DetectionThread(Sees(*boxes))
    try:
        return segment_still(FRAME, infer, detections, (64, 64), settings)
    finally:
        detections.close()


def test_empty_image_costs_no_inference():
    infer = Infers()
    alpha, people = segmented(infer)
    assert not alpha.any() and people == [] and infer.asked == []


def test_alpha_stays_near_detected_person():
    alpha, people = segmented(Infers(), LEFT)
    ys, xs = np.nonzero(alpha)
    painted = Region(int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1)
    assert [person.box for person in people] == [LEFT] and painted == LEFT.padded(0.08, Region(0, 0, 640, 480))


def test_uncounted_people_are_background_without_inference():
    infer = Infers()
    alpha, people = segmented(infer, LEFT, RIGHT, people_who='largest')
    assert [(person.box, person.counts) for person in people] == [(LEFT, True), (RIGHT, False)]
    assert alpha[200, 150] == 255 and not alpha[:, 300:].any() and len(infer.asked) == 2  # as it is and mirrored


@pytest.mark.parametrize('shows', ['full frame', 'wider crop'])
def test_falls_back_to_wider_crop_or_full_frame(shows):
    def of_size(width, height):
        return float({'full frame': width == 640, 'wider crop': 250 < height < 480}[shows])

    infer = Infers(of_size)
    alpha, _ = segmented(infer, RIGHT)
    assert alpha[225, 430] == 255 and len(set(infer.asked)) == 3 and len(infer.asked) == 6


def test_person_missed_by_model_is_still_listed():
    alpha, people = segmented(Infers(lambda width, height: 0.0), LEFT)
    assert not alpha.any() and [person.box for person in people] == [LEFT]


def test_full_frame_is_inferred_once_for_all_people():
    infer = Infers(lambda width, height: float(width == 640))
    alpha, _ = segmented(infer, LEFT, RIGHT)
    assert infer.asked.count((640, 480)) == 2 and alpha[200, 150] == alpha[225, 430] == 255


def test_without_detector_full_frame_is_inferred_once():
    infer = Infers()
    alpha, people = segment_still(FRAME, infer, None, (64, 64), Settings(edge_filter='none'))
    assert (alpha == 255).all() and people == [] and infer.asked == [(640, 480)]

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""People who must not be seen: covered, and more than they, and everything while nothing is known."""
import threading

import cv2
import numpy as np
import pytest
from conftest import EMPTY_ROOM, PATIENCE, SAMPLE

from self_segmentation import Pipeline
from self_segmentation.errors import SettingsError
from self_segmentation.io.assets import load_assets
from self_segmentation.picture.engine import Engine
from self_segmentation.picture.matting.background_model import GRID
from self_segmentation.picture.models.detector import PersonDetector
from self_segmentation.picture.models.segmenter import Segmenter
from self_segmentation.picture.people.schedule import DetectionThread
from self_segmentation.picture.people.tracks import Person
from self_segmentation.picture.privacy import Cover, cover_to_alpha, covered
from self_segmentation.picture.regions import Region
from self_segmentation.picture.video import Video
from self_segmentation.settings import Settings

HIDING = Settings().updated({'replace': 'people', 'flip': False, 'background.color': [255, 0, 255]})
COLOR = (255, 0, 255)
FRAME = Region(0, 0, 4 * GRID, 4 * GRID)


def grid(*rows_and_columns) -> np.ndarray:
    cells = np.zeros((GRID, GRID), np.float32)
    for rows, columns in rows_and_columns:
        cells[rows, columns] = 1
    return cells


def test_margin_grows_with_height():
    likely = grid((slice(20, 80), slice(50, 60)))
    cover = covered(likely, [], 0.1, FRAME)
    assert cover[14:86, 55].all() and not cover[:13, 55].any() and cover[50, 44:66].all() and not cover[50, :43].any()


def test_covers_whole_box_of_missed_or_doubtful_person():
    box = Region(40, 40, 200, 400)
    for likely, score in ((grid(), 0.9), (grid((slice(10, 100), slice(10, 50))), 0.2)):
        assert covered(likely, [Person(1, box, score)], 0.0, FRAME)[10:100, 10:50].all()
    shown = grid((slice(10, 100), slice(20, 45)))
    assert not covered(shown, [Person(1, box, 0.9)], 0.0, FRAME)[10:100, 10:18].any()


def test_holds_cover_for_set_time():
    cover, there = Cover(), grid((slice(20, 30), slice(20, 30)))
    assert cover.update(there, 0.5, 0.1)[25, 25]
    kept = [bool(cover.update(grid(), 0.5, 0.1)[25, 25]) for _ in range(8)]
    assert kept[:4] == [True] * 4 and kept[-2:] == [False] * 2


@pytest.mark.parametrize('size', [(480, 640), (97, 131), (1080, 1920)])
def test_cover_is_opaque_at_every_size(size):
    cells = (np.random.default_rng(1).random((GRID, GRID)) < 0.05).astype(np.uint8)
    alpha = cover_to_alpha(cells, np.empty(size, np.uint8))
    rows, columns = (np.minimum((np.arange(side) + 0.5) * GRID // side, GRID - 1).astype(int) for side in size)
    assert (alpha[cells[rows[:, None], columns] > 0] == 255).all()


def covers_all(result) -> bool:
    return bool((result.alpha == 255).all() and (result.composite == COLOR).all())


def settled(pipeline, frames):
    for frame in frames:
        result = pipeline.process(frame)
        if not covers_all(result):
            return result
    pytest.fail('everything was covered in all frames')


def test_covers_everything_at_start_and_after_cut_error_or_model_change(small):
    pipeline = Pipeline(HIDING)
    assert covers_all(pipeline.process(small[0]))
    room = small[:20]
    settled(pipeline, room)
    assert covers_all(pipeline.process(255 - small[0]))
    settled(pipeline, room)
    with pytest.raises(Exception):  # noqa: B017
        pipeline.process(small[0], composite=np.empty((3, 3, 3), np.uint8))
    assert covers_all(pipeline.process(small[0]))
    for changes in ({'model': 'landscape'}, {'flip': True}, {'replace': 'background'}):
        settled(pipeline, room)
        pipeline.settings = HIDING.updated(changes)
        pipeline.settings = HIDING.updated({**changes, 'replace': 'people'})
        assert covers_all(pipeline.process(small[0])), changes


def test_counts_why_something_is_covered(sample):
    pipeline, reasons = Pipeline(HIDING), []
    for frame in sample:
        before = pipeline.video.covered_for.copy()
        pipeline.process(frame)
        reasons.append(set(pipeline.video.covered_for - before))
    assert all('blind' in each for each in reasons[:5]) and not any('blind' in each for each in reasons[10:])
    assert reasons[20] <= {'unknown'} and all('person' in each for each in reasons[60:110])
    assert any('held' in each for each in reasons)


def test_first_frame_is_covered_without_waiting_for_detector(sample):
    asked, goes_on = threading.Event(), threading.Event()

    class Waiting(PersonDetector):
        def detect(self, bgr):
            asked.set()
            assert goes_on.wait(PATIENCE)
            return super().detect(bgr)

    assets = load_assets(HIDING)
    detections = DetectionThread(Waiting(assets.detector))
    engine = Engine(Segmenter(assets.model), detections)
    assert (engine.frame(sample[60], HIDING, Video()) == 255).all() and asked.wait(PATIENCE)
    goes_on.set()
    engine.close()
    detections.close()


def test_error_leaves_no_uncovered_pixels_in_output(sample):
    pipeline = Pipeline(HIDING.updated({'flip': True}))
    out = np.zeros_like(sample[60])
    pipeline._engine._segment = None  # whatever goes wrong
    with pytest.raises(TypeError):
        pipeline.process(sample[60], composite=out)
    assert not out.any()


@pytest.mark.slow
def test_never_shows_person_of_sample(sample):
    plain, hiding = Pipeline(Settings().updated({'flip': False})), Pipeline(HIDING)
    for number, frame in enumerate(sample):
        mask = plain.process(frame, stamp=number / 15).mask
        result = hiding.process(frame, stamp=number / 15)
        assert (result.composite[mask > 0] == COLOR).all(axis=1).mean() > 0.99 if mask.any() else True, number
    assert (result.alpha > 0).mean() < 0.05


def test_covers_person_in_still(astronaut):
    result = Pipeline(HIDING).process(astronaut, still=True)
    mask = Pipeline(Settings().updated({'flip': False})).process(astronaut, still=True).mask
    assert (result.alpha[mask > 0] == 255).all() and (result.alpha > 0).mean() < 0.8


@pytest.mark.parametrize('kind', ['blur', 'pixelate'])
def test_blur_and_cells_stay_coarse_with_privacy(kind, astronaut):
    """What is left of the picture fits into a few cells: a face that fills it has seven."""
    least = HIDING.updated({'background.type': kind, 'background.blur': 0.002, 'background.cell': 0.005})
    picture = Pipeline(least).process(astronaut, hide=True).composite
    if kind == 'pixelate':
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) <= 49
    else:
        few = cv2.resize(cv2.resize(picture, (16, 16), interpolation=cv2.INTER_AREA), (512, 512), interpolation=cv2.INTER_CUBIC)
        assert np.abs(picture.astype(int) - few).mean() < 3


@pytest.mark.slow
def test_clean_plate_erases_person(sample):
    pipeline = Pipeline(HIDING.updated({'background.type': 'clean_plate'}))
    for number, frame in enumerate(sample[:100]):
        result = pipeline.process(frame, stamp=number / 15)
    empty = sample[10].astype(int)
    assert (result.alpha > 0).mean() > 0.1
    assert np.abs(result.composite - empty).mean() < 12
    assert (result.composite == COLOR).all(axis=2).mean() < 0.1


@pytest.mark.parametrize('changes', [{'background.type': 'none'}, {'background.type': 'topic'}, {'people.detector': False}])
def test_refuses_settings_that_may_show_people(changes):
    with pytest.raises(SettingsError, match="replace = 'people'"):
        HIDING.updated(changes)


def test_video_may_cover_people(sample):
    pipeline = Pipeline(HIDING.updated({'background.type': 'video', 'background.video': str(SAMPLE)}))
    assert pipeline.process(sample[60]).composite.shape == sample[60].shape
    pipeline.close()


@pytest.mark.parametrize('speed, shown', [(12, 0.3), (30, 0.15)])  # pixels a frame: a robot that turns, and one that turns fast
def test_covers_what_comes_into_view_while_camera_moves(speed, shown):
    room = cv2.resize(cv2.imread(str(EMPTY_ROOM)), (1280, 960))
    pipeline = Pipeline(HIDING)
    for step in range(20):
        alpha = pipeline.process(np.ascontiguousarray(room[200:680, speed * step:speed * step + 640]), stamp=step / 30).alpha
    assert (alpha[:, -4 * speed:] == 255).all() and (alpha == 0).mean() > shown

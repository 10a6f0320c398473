# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""People who must not be seen: covered, and more than they, and everything while nothing is known."""
import cv2
import numpy as np
import pytest
from conftest import SAMPLE

from self_segmentation.errors import SettingsError
from self_segmentation.io.assets import make_pipeline, reconfigure
from self_segmentation.picture.people import Person
from self_segmentation.picture.privacy import Cover, cover_to_alpha, covered
from self_segmentation.picture.roi import Region
from self_segmentation.picture.temporal.background_model import GRID
from self_segmentation.settings import Settings

HIDING = Settings().updated({'replace': 'people', 'flip': False, 'background.color': [255, 0, 255]})
COLOR = (255, 0, 255)
FRAME = Region(0, 0, 4 * GRID, 4 * GRID)


def grid(*rows_and_columns) -> np.ndarray:
    cells = np.zeros((GRID, GRID), np.float32)
    for rows, columns in rows_and_columns:
        cells[rows, columns] = 1
    return cells


def test_cover_reaches_beyond_the_mask_by_a_part_of_the_height():
    likely = grid((slice(20, 80), slice(50, 60)))
    cover = covered(likely, [], 0.1, FRAME)
    assert cover[14:86, 55].all() and not cover[:13, 55].any() and cover[50, 44:66].all() and not cover[50, :43].any()


def test_whole_box_is_covered_of_somebody_whom_the_map_misses_or_of_whom_the_detector_is_not_sure():
    box = Region(40, 40, 200, 400)
    for likely, score in ((grid(), 0.9), (grid((slice(10, 100), slice(10, 50))), 0.2)):
        assert covered(likely, [Person(1, box, score)], 0.0, FRAME)[10:100, 10:50].all()
    shown = grid((slice(10, 100), slice(20, 45)))
    assert not covered(shown, [Person(1, box, 0.9)], 0.0, FRAME)[10:100, 10:18].any()


def test_place_stays_covered_for_as_long_as_is_set():
    cover, there = Cover(), grid((slice(20, 30), slice(20, 30)))
    assert cover.update(there, 0.5, 0.1)[25, 25]
    kept = [bool(cover.update(grid(), 0.5, 0.1)[25, 25]) for _ in range(8)]
    assert kept[:4] == [True] * 4 and kept[-2:] == [False] * 2


@pytest.mark.parametrize('size', [(480, 640), (97, 131), (1080, 1920)])
def test_cover_is_whole_wherever_it_is(size):
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


def test_everything_is_covered_at_first_after_a_cut_after_an_error_and_after_a_change_of_model_or_side(sample):
    pipeline = make_pipeline(HIDING)
    assert covers_all(pipeline.process(sample[0]))
    room = sample[:20]
    settled(pipeline, room)
    assert covers_all(pipeline.process(255 - sample[0]))
    settled(pipeline, room)
    with pytest.raises(Exception):  # noqa: B017
        pipeline.process(sample[0], composite=np.empty((3, 3, 3), np.uint8))
    assert covers_all(pipeline.process(sample[0]))
    for changes in ({'model': 'landscape'}, {'flip': True}, {'replace': 'background'}):
        settled(pipeline, room)
        reconfigure(pipeline, HIDING.updated(changes))
        reconfigure(pipeline, HIDING.updated({**changes, 'replace': 'people'}))
        assert covers_all(pipeline.process(sample[0])), changes


def test_error_leaves_nothing_uncovered_in_the_memory_that_was_given(sample):
    pipeline = make_pipeline(HIDING.updated({'flip': True}))
    out = np.zeros_like(sample[60])
    pipeline._engine._segment = None  # whatever goes wrong
    with pytest.raises(TypeError):
        pipeline.process(sample[60], composite=out)
    assert not out.any()


def test_person_of_the_sample_is_never_seen_and_the_empty_room_is(sample):
    plain, hiding = make_pipeline(Settings().updated({'flip': False})), make_pipeline(HIDING)
    for number, frame in enumerate(sample):
        mask = plain.process(frame, stamp=number / 15).mask
        result = hiding.process(frame, stamp=number / 15)
        assert (result.composite[mask > 0] == COLOR).all(axis=1).mean() > 0.99 if mask.any() else True, number
    assert (result.alpha > 0).mean() < 0.05


def test_astronaut_of_a_picture_is_covered(astronaut):
    result = make_pipeline(HIDING).process(astronaut, still=True)
    mask = make_pipeline(Settings().updated({'flip': False})).process(astronaut, still=True).mask
    assert (result.alpha[mask > 0] == 255).all() and (result.alpha > 0).mean() < 0.8


@pytest.mark.parametrize('kind', ['blur', 'pixelate'])
def test_blur_and_cells_that_hide_people_are_coarse_whatever_is_set(kind, astronaut):
    """What is left of the picture fits into a few cells: a face that fills it has seven."""
    least = HIDING.updated({'background.type': kind, 'background.blur': 0.002, 'background.cell': 0.005})
    picture = make_pipeline(least).process(astronaut, hide=True).composite
    if kind == 'pixelate':
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) <= 49
    else:
        few = cv2.resize(cv2.resize(picture, (16, 16), interpolation=cv2.INTER_AREA), (512, 512), interpolation=cv2.INTER_CUBIC)
        assert np.abs(picture.astype(int) - few).mean() < 3


def test_clean_plate_erases_who_comes_and_goes(sample):
    pipeline = make_pipeline(HIDING.updated({'background.type': 'clean_plate'}))
    for number, frame in enumerate(sample[:100]):
        result = pipeline.process(frame, stamp=number / 15)
    empty = sample[10].astype(int)
    assert (result.alpha > 0).mean() > 0.1
    assert np.abs(result.composite - empty).mean() < 12
    assert (result.composite == COLOR).all(axis=2).mean() < 0.1


@pytest.mark.parametrize('changes', [{'background.type': 'none'}, {'background.type': 'topic'}, {'people.detector': False}])
def test_what_may_show_people_is_refused(changes):
    with pytest.raises(SettingsError, match="replace = 'people'"):
        HIDING.updated(changes)


def test_film_may_hide_people(sample):
    pipeline = make_pipeline(HIDING.updated({'background.type': 'video', 'background.video': str(SAMPLE)}))
    assert pipeline.process(sample[60]).composite.shape == sample[60].shape
    pipeline.close()

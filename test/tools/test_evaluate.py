# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The judge: figures on masks whose figures are known, and whole runs on folders of a few images and a clip."""

import json
import math
import shutil

import cv2
import numpy as np
import pytest
from conftest import ASTRONAUT, EMPTY_ROOM, write_clip

from self_segmentation import Pipeline
from self_segmentation.settings import Settings
from self_segmentation.tools.evaluate import main
from self_segmentation.tools.metrics import (
    LeakTally,
    PeopleTally,
    boundary_iou,
    entries,
    flicker_still,
    ghost_lag,
    iou,
    outline,
    spill,
)


def square(left, side=40, size=100):
    mask = np.zeros((size, size), bool)
    mask[30:30 + side, left:left + side] = True
    return mask


NOBODY = square(0, 0)


def test_iou_of_half_overlapping_squares_is_one_third():
    assert iou(square(10), square(30)) == pytest.approx(1 / 3)
    assert iou(np.zeros((5, 5), bool), np.zeros((5, 5), bool)) == 1.0


def test_boundary_iou_sees_small_shift():
    shifted = boundary_iou(square(10, 60), square(13, 60))
    assert boundary_iou(square(10), square(10)) == 1.0
    assert shifted < 0.7 < iou(square(10, 60), square(13, 60))


def test_flicker_counts_changes_of_still_truth_only():
    truth = [square(10)] * 3
    assert flicker_still(truth, truth) == 0.0
    flash = square(10)
    flash[0:4, 0:4] = True
    assert flicker_still([square(10), flash, square(10)], truth) == pytest.approx(16 / 1600)
    moving = [square(left) for left in (10, 12, 14)]
    assert flicker_still(moving, moving) == 0.0


@pytest.mark.parametrize('lag', [0, 1, 3])
def test_ghost_lag_counts_late_frames(lag):
    sides = [20 + int(15 * np.sin(t / 3)) for t in range(40)]
    truth = [square(10, side) for side in sides]
    late = [square(10, side) for side in [sides[0]] * lag + sides[:len(sides) - lag]]
    assert ghost_lag(late, truth) == lag


def test_entries_count_frames_until_half_is_covered():
    there = square(10)
    half, less = there.copy(), there.copy()
    half[:, 30:] = False
    less[:, 29:] = False
    truth = [there, NOBODY, there, there, there, NOBODY, there, there, NOBODY, there]
    found = [NOBODY, NOBODY, NOBODY, less, half, NOBODY, NOBODY, NOBODY, NOBODY, there]
    assert entries(found, truth) == [2, 2, 0]
    assert entries(truth, truth) == [0, 0, 0]
    assert entries([NOBODY] * 3, [NOBODY, there, there]) == [2]  # never covered until the end
    speck = square(10, 9)
    assert entries([NOBODY] * 3, [NOBODY, speck, speck]) == []


def test_outline_reads_polygons_and_runs():
    polygons = outline([[10, 20, 19, 20, 19, 29, 10, 29], [15, 25, 39, 25, 39, 29, 15, 29]], 60, 50)
    expected = np.zeros((50, 60), bool)
    expected[20:30, 10:20] = expected[25:30, 15:40] = True
    assert np.array_equal(polygons, expected)
    runs = [3 * 4 + 1, 2, 2, 2]  # in a frame of 4 rows: rows 1 and 2 of columns 3 and 4
    expected = np.zeros((4, 6), bool)
    expected[1:3, 3:5] = True
    assert np.array_equal(outline({'counts': [*runs, 6 * 4 - sum(runs)]}, 6, 4), expected)


def test_people_tally_counts_found_by_height():
    tally, small = PeopleTally(), square(80, 10)
    tally.add(square(30), [(square(10), 0.7), (small, 0.1), (square(50), None)])
    figures = tally.figures()
    assert [figures[name] for name in ('people', 'people_found', 'near', 'near_found', 'far', 'far_found')] == [2, 1, 1, 1, 1, 0]
    assert figures['iou'] == pytest.approx(0.5)
    tally.add(square(10) | square(60, 20), [(square(10), 0.3)])
    figures = tally.figures()
    assert (figures['middle'], figures['middle_found']) == (1, 1)
    assert figures['beside'] == pytest.approx(0.5 * 20 * 20 / 1e4)  # of two images; the first has none


def test_people_tally_separates_beside_from_false_area():
    tally = PeopleTally()
    tally.add(square(6, 48), [(square(10), 0.4)])
    assert 0 < tally.figures()['beside'] < 0.1
    for mask in (NOBODY, NOBODY, square(10)):
        tally.add(mask, [])
    figures = tally.figures()
    assert figures['false_area'] == pytest.approx(0.16 / 3)
    assert (figures['above_1_percent'], figures['empty']) == (1, 3)


@pytest.mark.slow
def test_evaluates_folder_and_draws_worst_cases(tmp_path, capsys, sample):
    for part in ('images', 'masks', 'empty', 'videos/talk_mattes'):
        (tmp_path / part).mkdir(parents=True)
    shutil.copy(ASTRONAUT, tmp_path / 'images' / 'astronaut.png')
    truth = Pipeline(Settings(flip=False)).process(cv2.imread(str(ASTRONAUT)), still=True).mask
    cv2.imwrite(str(tmp_path / 'masks' / 'astronaut.png'), truth)
    shutil.copy(EMPTY_ROOM, tmp_path / 'empty')
    write_clip(tmp_path / 'videos' / 'talk.mp4', sample[:20] + sample[50:80], 15)
    for index in range(30, 34):
        cv2.imwrite(str(tmp_path / 'videos' / 'talk_mattes' / f'{index:05d}.png'), np.full((480, 640), 255, np.uint8))
    figures, sheet = tmp_path / 'figures.json', tmp_path / 'sheet.png'

    assert main([str(tmp_path), '--json', str(figures), '--sheet', str(sheet)]) == 0

    result = json.loads(figures.read_text())
    assert result['images']['all']['default']['iou'] == 1.0
    assert 0.8 < result['images']['all']['tutorial']['iou'] < 1.0
    assert result['empty']['default']['false_area'] < 0.01
    clip = result['videos']['talk']['default']
    assert clip['frames'] == 50
    assert 0.4 <= clip['inferences_per_frame'] <= 1.1  # none while nobody is there
    assert 0.2 < clip['iou'] < 0.6  # the truth here is the whole frame
    assert cv2.imread(str(sheet)).shape[1] // 320 == 4
    assert '| empty |' in capsys.readouterr().out


def people_folder(folder, **images):
    """A folder with the astronaut, the empty room and a people.json."""
    (folder / 'images').mkdir()
    shutil.copy(ASTRONAUT, folder / 'images' / 'astronaut.png')
    shutil.copy(EMPTY_ROOM, folder / 'images' / 'room.jpg')
    (folder / 'people.json').write_text(json.dumps(images))
    return str(folder)


def test_evaluates_folder_with_outlines_per_person(tmp_path, capsys):
    settings = Settings(flip=False)
    astronaut = Pipeline(settings).process(cv2.imread(str(ASTRONAUT)), still=True).mask
    contours = cv2.findContours(astronaut, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    corner = {'bbox': [0, 0, 99, 99], 'segmentation': [[0, 0, 99, 0, 99, 99, 0, 99]]}
    people = [{'bbox': [0, 0, 512, 512], 'counts': True, 'segmentation': [each.ravel().tolist() for each in contours]},
              {**corner, 'counts': True}, {**corner, 'counts': False}]
    folder = people_folder(tmp_path, astronaut={'width': 512, 'height': 512, 'people': people},
                           room={'width': 640, 'height': 480, 'people': []})
    assert main([folder, '--json', str(tmp_path / 'figures.json'), '--sheet', str(tmp_path / 'sheet.png')]) == 0
    figures = json.loads((tmp_path / 'figures.json').read_text())['people']['default']
    assert [figures[name] for name in ('people', 'people_found', 'near', 'near_found', 'far', 'far_found')] == [2, 1, 1, 1, 1, 0]
    assert 0.9 < figures['iou'] < 0.99 and figures['beside'] < 0.001
    assert [figures[name] for name in ('false_area', 'above_1_percent', 'empty')] == [0, 0, 1]
    leak = json.loads((tmp_path / 'figures.json').read_text())['privacy']['people']['privacy']
    assert leak['people'] == 2 and leak['people_above_10_percent'] == 1 and leak['needless'] < 0.3  # nobody stands in the corner
    assert '| found | 1 of 2 | 1 of 2 |' in capsys.readouterr().out
    assert cv2.imread(str(tmp_path / 'sheet.png')).shape[0] // 240 == 2


@pytest.mark.parametrize('images', [{'astronaut': {'width': 512}}, {'astronaut': []}, {'nobody': {'people': []}}],
                         ids=['without people', 'a list', 'an image that is not there'])
def test_refuses_invalid_people_json(tmp_path, capsys, images):
    folder = people_folder(tmp_path, **images)
    assert main([folder]) == 2
    assert folder in capsys.readouterr().err


def test_refuses_folder_without_data(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_leak_counts_what_is_not_covered_whole():
    tally, person, other = LeakTally(), np.zeros((10, 10), bool), np.zeros((10, 10), bool)
    person[:, :5], other[:, 9] = True, True
    alpha = np.zeros((10, 10), np.uint8)
    alpha[:, :7] = 255
    alpha[0, :5] = 254
    tally.add(alpha, [person], [other])
    tally.add(np.full((10, 10), 255, np.uint8), [person])
    tally.add(np.zeros((10, 10), np.uint8), [])
    assert tally.figures() == pytest.approx({'leak': 0.05, 'worst': 0.1, 'frames': 2, 'frames_above_1_percent': 1, 'people': 2,
                                             'people_above_10_percent': 0, 'needless': (0.2 + 0.5) / 3})


def test_spill_is_the_difference_of_the_edge_to_the_inside():
    truth, colors = np.zeros((400, 400), bool), np.full((400, 400, 3), 100, np.uint8)
    truth[100:300, 100:300] = True
    assert spill(colors, np.full((400, 400), 255, np.uint8), truth) < 1e-3
    inside = cv2.erode(truth.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    colors[truth & ~inside] = 130
    assert 28 < spill(colors, np.full((400, 400), 255, np.uint8), truth) <= 30
    assert math.isnan(spill(colors, np.zeros((400, 400), np.uint8), truth))

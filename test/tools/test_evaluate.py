# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The judge: figures on masks whose figures are known, and a whole run on a folder of two pictures and a clip."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from self_segmentation.io.assets import make_pipeline
from self_segmentation.settings import Settings
from self_segmentation.tools.evaluate import boundary_iou, flicker_still, ghost_lag, iou, main

ROOT = Path(__file__).resolve().parents[2]


def square(left, side=40, size=100):
    mask = np.zeros((size, size), bool)
    mask[30:30 + side, left:left + side] = True
    return mask


def test_the_iou_of_half_overlapping_squares_is_a_third():
    assert iou(square(10), square(30)) == pytest.approx(1 / 3)
    assert iou(np.zeros((5, 5), bool), np.zeros((5, 5), bool)) == 1.0


def test_the_boundary_iou_forgives_no_shift_that_the_iou_hardly_sees():
    shifted = boundary_iou(square(10, 60), square(13, 60))
    assert boundary_iou(square(10), square(10)) == 1.0
    assert shifted < 0.7 < iou(square(10, 60), square(13, 60))


def test_flicker_counts_what_changes_where_the_truth_is_still_and_only_that():
    truth = [square(10)] * 3
    assert flicker_still(truth, truth) == 0.0
    flash = square(10)
    flash[0:4, 0:4] = True
    assert flicker_still([square(10), flash, square(10)], truth) == pytest.approx(16 / 1600)
    moving = [square(left) for left in (10, 12, 14)]
    assert flicker_still(moving, moving) == 0.0


@pytest.mark.parametrize('lag', [0, 1, 3])
def test_the_ghost_lag_is_by_how_many_frames_the_area_comes_late(lag):
    sides = [20 + int(15 * np.sin(t / 3)) for t in range(40)]
    truth = [square(10, side) for side in sides]
    late = [square(10, side) for side in [sides[0]] * lag + sides[:len(sides) - lag]]
    assert ghost_lag(late, truth) == lag


def test_a_folder_is_judged_side_by_side_and_the_worst_cases_are_drawn(tmp_path, capsys):
    for part in ('images', 'masks', 'empty', 'videos/talk_mattes'):
        (tmp_path / part).mkdir(parents=True)
    astronaut = ROOT / 'test' / 'data' / 'astronaut.png'
    shutil.copy(astronaut, tmp_path / 'images' / 'astronaut.png')
    truth = make_pipeline(Settings(flip=False)).process(cv2.imread(str(astronaut)), still=True).mask
    cv2.imwrite(str(tmp_path / 'masks' / 'astronaut.png'), truth)
    shutil.copy(ROOT / 'demo' / 'background.jpg', tmp_path / 'empty')
    shutil.copy(ROOT / 'demo' / 'sample.mp4', tmp_path / 'videos' / 'talk.mp4')
    for index in range(60, 64):
        cv2.imwrite(str(tmp_path / 'videos' / 'talk_mattes' / f'{index:05d}.png'), np.full((480, 640), 255, np.uint8))
    figures, sheet = tmp_path / 'figures.json', tmp_path / 'sheet.png'

    assert main([str(tmp_path), '--json', str(figures), '--sheet', str(sheet)]) == 0

    result = json.loads(figures.read_text())
    assert result['images']['all']['default']['iou'] == 1.0
    assert 0.8 < result['images']['all']['tutorial']['iou'] < 1.0
    assert result['empty']['default']['false_area'] < 0.01
    clip = result['videos']['talk']['default']
    assert clip['frames'] == 150
    assert 0.4 <= clip['inferences_per_frame'] <= 1.1  # none while nobody is there
    assert 0.2 < clip['iou'] < 0.6  # the truth here is the whole frame
    assert cv2.imread(str(sheet)).shape[1] == 4 * 320
    assert '| empty |' in capsys.readouterr().out


def test_a_folder_with_nothing_to_judge_is_refused_by_name(tmp_path, capsys):
    assert main([str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err

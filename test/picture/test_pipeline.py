# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What the pipeline promises whatever the settings and the frame."""
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from conftest import EMPTY_ROOM, ONE_PIXEL, PATIENCE, ROOT, SAMPLE, area, tutorial_settings

from self_segmentation.io.assets import make_pipeline, reconfigure
from self_segmentation.picture.models.runtimes import installed_runtimes
from self_segmentation.settings import TUNABLES, Settings

ENDS = [(tunable.name, type(tunable.default)(end)) for tunable in TUNABLES.values() if tunable.minimum is not None
        for end in (tunable.minimum, tunable.maximum)]
MISSING = {'mediapipe', 'litert'} - {each.name for each in installed_runtimes()}
CHOICES = [(tunable.name, choice) for tunable in TUNABLES.values() for choice in tunable.choices or
           ((True, False) if isinstance(tunable.default, bool) else ()) if choice not in MISSING]


def assert_whole(result, frame, channels=3):
    assert result.composite.shape == (*frame.shape[:2], channels) and result.mask.shape == result.alpha.shape == frame.shape[:2]
    assert {array.dtype for array in (result.composite, result.mask, result.alpha)} == {np.dtype(np.uint8)}
    assert set(np.unique(result.mask)) <= {0, 255} and np.array_equal(result.mask, np.where(result.alpha > 127, 255, 0))


@pytest.fixture(scope='module', params=[Settings(), tutorial_settings()], ids=['default', 'tutorial'])
def shared_pipeline(request):
    pipeline = make_pipeline(request.param)
    yield pipeline, request.param
    pipeline.close()


@pytest.mark.slow
@pytest.mark.parametrize('name, value', [*ENDS, *CHOICES], ids=lambda value: str(value))
def test_every_choice_and_range_limit_gives_results(name, value, shared_pipeline, sample):
    pipeline, base = shared_pipeline
    reconfigure(pipeline, base)
    pipeline.reset()
    pipeline.process(sample[0][::2, ::2])
    more = {'background.image': str(EMPTY_ROOM), 'background.video': str(SAMPLE)}
    if value == 'people':
        more['people.detector'] = True
    reconfigure(pipeline, base.updated({**more, name: value}))
    for index in (45, 60, 60, 0):
        frame = sample[index][::2, ::2]
        assert_whole(pipeline.process(frame), frame, pipeline.channels)


def test_higher_threshold_shrinks_mask(astronaut):
    thresholds = (0.0, 0.1, 0.5, 0.9, 1.0)
    areas = [area(make_pipeline(tutorial_settings(threshold=threshold)).process(astronaut).mask) for threshold in thresholds]
    assert areas == sorted(areas, reverse=True) and areas[-1] == 0 and areas[0] - areas[3] > 0.02


def test_frame_size_may_change_at_any_frame(sample, astronaut):
    pipeline = make_pipeline(Settings())
    for frame in (sample[60], astronaut, sample[60][:100, :101], sample[61], sample[62][::2, ::2]):
        assert_whole(pipeline.process(frame), frame)


def test_frame_buffer_may_be_reused(sample):
    kept, reused = make_pipeline(Settings()), make_pipeline(Settings())
    camera = np.empty_like(sample[0])
    for frame in sample[45:75]:
        np.copyto(camera, frame)
        expected, result = kept.process(frame), reused.process(camera)
        camera[:] = 255
        assert np.array_equal(result.alpha, expected.alpha)


def test_results_survive_next_frame(sample):
    pipeline = make_pipeline(Settings())
    first = pipeline.process(sample[60])
    copies = first.composite.copy(), first.mask.copy(), first.alpha.copy()
    for wanted in (True, False):
        pipeline.process(sample[0], alpha=wanted)
    assert all(np.array_equal(*pair) for pair in zip((first.composite, first.mask, first.alpha), copies))


@pytest.mark.slow
def test_finds_sample_person_and_keeps_room_empty(sample):
    """The main job, with the defaults, over the whole clip."""
    pipeline = make_pipeline(Settings())
    areas = [area(pipeline.process(frame, stamp=number / 15).mask) for number, frame in enumerate(sample)]
    assert max(areas[:27]) < 0.005 and max(areas[-8:]) < 0.005
    assert min(areas[45:119]) > 0.2 and max(areas) < 0.5


# Frames that a header may announce; in a process of its own, which may end or take too long or too much.
TINY = f"""
import sys
from pathlib import Path
import numpy as np
from self_segmentation.io.assets import make_pipeline, reconfigure
from self_segmentation.settings import Settings, read_yaml
pipeline = make_pipeline(Settings().updated(read_yaml('config/tutorial.yaml') if sys.argv[1] == 'tutorial' else {{}}))
for size in ({'(1, 1), ' if ONE_PIXEL else ''}(2, 2), (3, 5), (1, 100), (100, 1), (1, 8192), (8192, 1)):
    print(size, flush=True)
    result = pipeline.process(np.zeros((*size, 3), np.uint8))
    assert result.mask.shape == result.alpha.shape == size and result.composite.shape == (*size, 3)
    # Of this program alone: getrusage would count the test's process that started it too.
    assert int(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0]) < 2e6  # kB
"""


@pytest.mark.slow
@pytest.mark.parametrize('settings', ['tutorial', 'default'])
def test_segments_tiny_and_very_long_frames(settings):
    program = subprocess.Popen([sys.executable, '-c', TINY, settings], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               cwd=ROOT, start_new_session=True)
    try:
        out, err = program.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(program.pid, signal.SIGKILL)
        pytest.fail(f'no end within {PATIENCE:.0f} s at a frame of {program.communicate()[0].splitlines()[-1]} pixels')
    assert program.returncode == 0, f'{out}{err[-2000:]}'

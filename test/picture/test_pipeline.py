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

from self_segmentation import Pipeline, Video
from self_segmentation.picture.models.runtimes import installed_runtimes
from self_segmentation.picture.pipeline import channels_of
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
    pipeline = Pipeline(request.param)
    yield pipeline, request.param
    pipeline.close()


@pytest.mark.slow
@pytest.mark.parametrize('name, value', [*ENDS, *CHOICES], ids=lambda value: str(value))
def test_every_choice_and_range_limit_gives_results(name, value, shared_pipeline, sample):
    pipeline, base = shared_pipeline
    pipeline.settings = base
    pipeline.video = Video()
    pipeline.process(sample[0][::2, ::2])
    more = {'background.image': str(EMPTY_ROOM), 'background.video': str(SAMPLE)}
    if value == 'people':
        more['people.detector'] = True
    if name == 'runtime':  # it is decided when a pipeline is made
        pipeline = Pipeline(base.updated({**more, name: value}))
    else:
        pipeline.settings = base.updated({**more, name: value})
    for index in (45, 60, 60, 0):
        frame = sample[index][::2, ::2]
        turned = np.rot90(frame, -pipeline.settings.camera_rotation // 90)
        assert_whole(pipeline.process(frame), turned, channels_of(pipeline.settings))


def test_higher_threshold_shrinks_mask(astronaut):
    thresholds = (0.0, 0.1, 0.5, 0.9, 1.0)
    areas = [area(Pipeline(tutorial_settings(threshold=threshold)).process(astronaut).mask) for threshold in thresholds]
    assert areas == sorted(areas, reverse=True) and areas[-1] == 0 and areas[0] - areas[3] > 0.02


def test_frame_size_may_change_at_any_frame(sample, astronaut):
    pipeline = Pipeline(Settings())
    for frame in (sample[60], astronaut, sample[60][:100, :101], sample[61], sample[62][::2, ::2]):
        assert_whole(pipeline.process(frame), frame)


def test_frame_buffer_may_be_reused(small):
    kept, reused = Pipeline(Settings()), Pipeline(Settings())
    camera = np.empty_like(small[0])
    for frame in small[45:75]:
        np.copyto(camera, frame)
        expected, result = kept.process(frame), reused.process(camera)
        camera[:] = 255
        assert np.array_equal(result.alpha, expected.alpha)


def test_results_survive_next_frame(sample):
    pipeline = Pipeline(Settings())
    first = pipeline.process(sample[60])
    copies = first.composite.copy(), first.mask.copy(), first.alpha.copy()
    for wanted in (True, False):
        pipeline.process(sample[0], alpha=wanted)
    assert all(np.array_equal(*pair) for pair in zip((first.composite, first.mask, first.alpha), copies))


@pytest.mark.slow
def test_finds_sample_person_and_keeps_room_empty(sample):
    """The main job, with the defaults, over the whole clip."""
    pipeline = Pipeline(Settings())
    areas = [area(pipeline.process(frame, stamp=number / 15).mask) for number, frame in enumerate(sample)]
    assert max(areas[:27]) < 0.005 and max(areas[-8:]) < 0.005
    assert min(areas[45:119]) > 0.2 and max(areas) < 0.5


# Frames that a header may announce; in a process of its own, which may end or take too long or too much.
TINY = f"""
import sys
from pathlib import Path
import numpy as np
from self_segmentation import Pipeline
from self_segmentation.settings import Settings, read_yaml
pipeline = Pipeline(Settings().updated(read_yaml('config/tutorial.yaml') if sys.argv[1] == 'tutorial' else {{}}))
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


# ---- camera.rotation

@pytest.mark.parametrize('still', [False, True])
def test_rotation_turns_the_picture_before_anything_else(astronaut, still):
    astronaut = np.ascontiguousarray(astronaut[::2, ::2])
    with Pipeline(flip=False) as pipeline:
        upright = pipeline.process(astronaut, video=Video(), still=still)
        assert area(upright.mask) > 0.4
        for turn, rotation in ((1, 90), (2, 180), (3, 270)):
            mounted = np.ascontiguousarray(np.rot90(astronaut, turn))  # anticlockwise
            settings = pipeline.settings.updated({'camera.rotation': rotation})
            result = pipeline.process(mounted, settings, Video(), still=still)
            for name in ('mask', 'alpha', 'composite'):
                assert np.array_equal(getattr(result, name), getattr(upright, name)), (rotation, name)
            assert [person.box for person in result.people] == [person.box for person in upright.people]


def test_rotation_by_a_quarter_swaps_width_and_height_of_all_results(sample):
    frame = sample[60][:200, :320]
    with Pipeline() as pipeline:
        settings = pipeline.settings.updated({'camera.rotation': 90, 'flip': True, 'background.type': 'none'})
        arrays = {'composite': np.empty((320, 200, 3), np.uint8), 'mask': np.empty((320, 200), np.uint8)}
        result = pipeline.process(frame, settings, alpha=False, **arrays)
        assert result.size == (200, 320) and result.mask is arrays['mask']
        assert np.array_equal(result.composite, np.rot90(frame, -1)[:, ::-1])
        more = pipeline.complete(result, frame, settings, alpha=True)
        assert more.alpha.shape == (320, 200) and more.composite is arrays['composite']
        with pytest.raises(ValueError, match=r'give one of \(320, 200\)'):
            pipeline.process(frame, settings, mask=np.empty((200, 320), np.uint8))


def test_video_starts_over_when_the_camera_is_turned(small):
    with Pipeline(replace='people', flip=False) as pipeline:
        for number in range(12):
            result = pipeline.process(small[0], stamp=number / 15)
        assert result.alpha.min() == 0
        turned = pipeline.settings.updated({'camera.rotation': 180})
        assert pipeline.process(small[0], turned, stamp=12 / 15).alpha.min() == 255


# ---- settings go with the frame, the video is a value

def test_two_videos_share_a_pipeline_and_know_nothing_of_each_other(small, astronaut):
    with Pipeline(flip=False) as shared, Pipeline(flip=False) as alone:
        first, second = Video(), Video()
        for number, frame in enumerate(small[50:62]):
            mixed = shared.process(frame, video=first, stamp=number / 15)
            shared.process(astronaut[::2, ::2], video=second, stamp=number / 15)
            expected = alone.process(frame, stamp=number / 15)
            assert np.array_equal(mixed.alpha, expected.alpha), number
        assert first.people and {person.id for person in first.people} == {person.id for person in alone.video.people}


def test_settings_of_a_frame_act_on_that_frame_alone(astronaut):
    with Pipeline(tutorial_settings()) as pipeline:
        usual = pipeline.process(astronaut).composite
        red = pipeline.settings.updated({'background.color': (200, 0, 0)})
        assert (pipeline.process(astronaut, red).composite == (0, 0, 200)).all(axis=2).any()
        assert np.array_equal(pipeline.process(astronaut).composite, usual)


def test_new_video_is_covered_whole_where_people_are_replaced(small):
    with Pipeline(replace='people', flip=False) as pipeline:
        for number in range(12):
            result = pipeline.process(small[0], stamp=number / 15)
        assert result.alpha.min() == 0
        assert pipeline.process(small[0], video=Video()).alpha.min() == 255


@pytest.mark.parametrize('name', ['composite', 'mask', 'alpha'])
def test_refuses_array_that_cannot_take_the_result(astronaut, name):
    height, width = astronaut.shape[:2]
    fitting = {'composite': (height, width, 3), 'mask': (height, width), 'alpha': (height, width)}[name]
    wrong = [np.empty((*fitting[:1], 2 * width, *fitting[2:]), np.uint8)[:, ::2], np.empty(fitting, np.float32),
             np.empty((3, *fitting[1:]), np.uint8)]
    with Pipeline() as pipeline:
        for array in wrong:
            with pytest.raises(ValueError, match=f'^{name} cannot be written'):
                pipeline.process(astronaut, **{name: array})


def test_still_pictures_may_come_between_frames_of_a_video(small, astronaut):
    """Both use the detector, which serves one at a time."""
    with Pipeline(flip=False, people_interval=2) as pipeline, Pipeline(flip=False, people_interval=2) as alone:
        for number, frame in enumerate(small[50:62]):
            assert pipeline.process(astronaut[::4, ::4], still=True).mask is not None
            mixed = pipeline.process(frame, stamp=number / 15).alpha
            assert np.array_equal(mixed, alone.process(frame, stamp=number / 15).alpha), number


@pytest.mark.parametrize('runtime', [each.name for each in installed_runtimes()])
def test_clean_plate_keeps_the_room_when_other_settings_of_the_background_change(small, runtime):
    with Pipeline(flip=False, background_type='clean_plate', background_color=(255, 0, 255), runtime=runtime) as pipeline:
        for number in range(24):
            result = pipeline.process(small[0], stamp=number / 15)
        known = (result.composite != (255, 0, 255)).any(axis=2)
        assert known.mean() > 0.99
        pipeline.settings = pipeline.settings.updated({'background.color': (0, 255, 0), 'background.blur': 0.3})
        after = pipeline.process(small[0], stamp=24 / 15).composite
        assert not ((after == (0, 255, 0)).all(axis=2) & known).any()

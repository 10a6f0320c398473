# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Somebody who comes into a video file or a recording is covered from the first visible pixel on, and before."""
import logging

import cv2
import numpy as np
import pytest
from bags import TOPIC, images_of, pixels_of, read_bag, write_bag
from conftest import EMPTY_ROOM, video_frames, write_clip

from self_segmentation import Pipeline
from self_segmentation.io.sources import open_source
from self_segmentation.picture import looking_ahead
from self_segmentation.settings import Settings

pytestmark = pytest.mark.slow

FPS, EMPTY, SIZE = 15, 20, (320, 240)
COLOR = (255, 0, 255)
HIDING = {'replace': 'people', 'background.color': COLOR}
OPTIONS = ('--replace', 'people', '--background-color', '255,0,255')


@pytest.fixture(scope='module')
def entering(astronaut) -> list[tuple[np.ndarray, np.ndarray]]:
    """Frames of a room into which somebody comes from the right after a second, and where they are, (height, width) bool."""
    with Pipeline(flip=False) as pipeline:
        mask = pipeline.process(astronaut, still=True).mask
    side = SIZE[1] * 4 // 5
    person, mask = (cv2.resize(each, (side, side), interpolation=cv2.INTER_AREA) for each in (astronaut, mask))
    inside = mask > 127
    first = int(np.flatnonzero(inside.any(axis=0))[0])
    room = cv2.resize(cv2.imread(str(EMPTY_ROOM)), SIZE, interpolation=cv2.INTER_AREA)
    frames = []
    for number in range(EMPTY + 24):
        frame, where = (np.hstack([each, each]) for each in (room, np.zeros(SIZE[::-1], bool)))
        left = SIZE[0] - first - 8 * (number - EMPTY + 1)
        if number >= EMPTY:
            frame[-side:, left:left + side][inside] = person[inside]
            where[-side:, left:left + side] = inside
        frames.append((np.ascontiguousarray(frame[:, :SIZE[0]]), where[:, :SIZE[0]]))
    assert not frames[EMPTY - 1][1].any() and 0 < frames[EMPTY][1].sum() < 0.01 * SIZE[0] * SIZE[1]
    return frames


def united(covers: list[np.ndarray], count: int) -> list[np.ndarray]:
    """Each cover with those of so many frames after it."""
    return [np.maximum.reduce(covers[number:number + count + 1]) for number in range(len(covers))]


def live_covers(frames: list[np.ndarray], stamps: list[float], **changes) -> list[np.ndarray]:
    """What is covered in each frame where nothing is known of those after it."""
    with Pipeline(Settings().updated({'flip': False, **HIDING, **changes})) as pipeline:
        return [pipeline.process(frame, stamp=stamp).alpha for frame, stamp in zip(frames, stamps)]


def pictures(folder) -> list[np.ndarray]:
    return [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted(folder.iterdir())]


def assert_nobody_visible(covers, composites, entering) -> None:
    for number, (cover, composite, (_, where)) in enumerate(zip(covers, composites, entering)):
        assert (cover[where] == 255).all() and (composite[where] == COLOR[::-1]).all(), number


def test_file_covers_who_enters_from_first_visible_pixel(program_run, tmp_path, entering):
    clip = write_clip(tmp_path / 'clip.mp4', [frame for frame, _ in entering], FPS)
    code, said = program_run(clip, *OPTIONS, '--output', tmp_path / 'new', '--alpha', tmp_path / 'alpha', '--no-window')
    assert code == 0, said
    composites, covers = pictures(tmp_path / 'new'), pictures(tmp_path / 'alpha')
    assert len(composites) == len(covers) == len(entering)
    with open_source(str(clip)) as source:
        read = [source.read() for _ in entering]
    live = live_covers([frame.pixels for frame in read], [frame.stamp for frame in read])
    assert all(np.array_equal(*pair) for pair in zip(covers, united(live, FPS)))
    assert (covers[EMPTY - 1] > 0).sum() > (live[EMPTY - 1] > 0).sum()  # before they come
    assert_nobody_visible(covers, composites, entering)


@pytest.mark.parametrize('before, count', [('0', 0), ('0.4', 6)])
def test_file_covers_as_long_before_as_is_set(program_run, tmp_path, entering, before, count):
    clip = write_clip(tmp_path / 'clip.mp4', [frame for frame, _ in entering], FPS)
    code, said = program_run(clip, *OPTIONS, '--privacy-before', before, '--alpha', tmp_path / 'alpha', '--no-window')
    assert code == 0, said
    with open_source(str(clip)) as source:
        read = [source.read() for _ in entering]
    live = live_covers([frame.pixels for frame in read], [frame.stamp for frame in read])
    assert all(np.array_equal(*pair) for pair in zip(pictures(tmp_path / 'alpha'), united(live, count)))


def test_video_keeps_its_frames_and_times(program_run, tmp_path, entering):
    clip = write_clip(tmp_path / 'clip.mp4', [frame for frame, _ in entering], FPS)
    code, said = program_run(clip, *OPTIONS, '--output', tmp_path / 'new.mp4', '--no-window')
    assert code == 0, said
    assert len(video_frames(tmp_path / 'new.mp4')) == len(entering)
    with open_source(str(clip)) as before, open_source(str(tmp_path / 'new.mp4')) as after:
        assert [after.read().stamp for _ in entering] == pytest.approx([before.read().stamp for _ in entering])


def test_damaged_file_gives_all_frames_that_are_whole(program_run, tmp_path, entering):
    clip = write_clip(tmp_path / 'clip.avi', [frame for frame, _ in entering], FPS)
    clip.write_bytes(clip.read_bytes()[:clip.stat().st_size * 9 // 10])
    counts = []
    for name, more in (('now', ('--privacy-before', '0')), ('ahead', ())):
        code, said = program_run(clip, *OPTIONS, *more, '--output', tmp_path / name, '--no-window')
        assert code == 1 and 'clip.avi' in said
        counts.append(len(pictures(tmp_path / name)))
    assert counts[0] == counts[1] > EMPTY


def test_turned_file_has_turned_frames(program_run, tmp_path, entering):
    clip = write_clip(tmp_path / 'clip.mp4', [frame for frame, _ in entering[:12]], FPS)
    code, said = program_run(clip, *OPTIONS, '--camera-rotation', '90', '--output', tmp_path / 'new.mp4', '--no-window')
    assert code == 0, said
    assert {frame.shape for frame in video_frames(tmp_path / 'new.mp4')} == {(*SIZE, 3)}


@pytest.mark.parametrize('form', ['--in-place', '--add'])
def test_recording_covers_who_enters_from_first_visible_pixel(program_run, tmp_path, entering, form):
    frames = [frame for frame, _ in entering]
    place = write_bag(tmp_path / 'talk', frames)
    code, said = program_run(place, form, *OPTIONS, '--keep', '/own', '--output', tmp_path / 'new')
    assert code == 0, said
    before, after = read_bag(place)[1], read_bag(tmp_path / 'new')[1]
    assert [each for each in after if each[0] == '/own'] == [each for each in before if each[0] == '/own']
    if form == '--in-place':
        assert [each[:2] for each in after] == [each[:2] for each in before]
    images = images_of(tmp_path / 'new', TOPIC if form == '--in-place' else '/segmentation/output')
    assert [image.header for image in images] == [image.header for image in images_of(place, TOPIC)]
    live = live_covers(frames, [100 + number // FPS + number % FPS * 66_000_000 * 1e-9 for number in range(len(frames))])
    covers = united(live, FPS)  # 15 frames are a second
    if form == '--add':
        assert all(np.array_equal(pixels_of(image), cover) for image, cover in
                   zip(images_of(tmp_path / 'new', '/segmentation/alpha'), covers))
    assert_nobody_visible(covers, [pixels_of(image) for image in images], entering)


def test_recording_with_little_memory_looks_ahead_less_and_loses_nothing(program_run, tmp_path, entering, monkeypatch, caplog):
    frames = [frame for frame, _ in entering]
    place = write_bag(tmp_path / 'talk', frames)
    monkeypatch.setattr(looking_ahead.LookingAhead.__init__, '__defaults__', (5 * SIZE[0] * SIZE[1] * 4,))
    with caplog.at_level(logging.WARNING):
        code, said = program_run(place, '--in-place', *OPTIONS, '--keep', '/own', '--output', tmp_path / 'new')
    assert code == 0, said
    assert len([record for record in caplog.records if 'do not fit' in record.getMessage()]) == 1
    before, after = read_bag(place)[1], read_bag(tmp_path / 'new')[1]
    assert [each[:2] for each in after] == [each[:2] for each in before]
    assert_nobody_visible(live_covers(frames, [100 + n // FPS + n % FPS * 66_000_000 * 1e-9 for n in range(len(frames))]),
                          [pixels_of(image) for image in images_of(tmp_path / 'new', TOPIC)], entering)

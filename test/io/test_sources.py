# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Sources of frames, on files that the tests make."""
import itertools
import os
import time
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
from media import COUNT, write_video

from self_segmentation.errors import ExitCode, InputError
from self_segmentation.io.frames import ArrivalTimes
from self_segmentation.io.sources import SourceKind, open_pictures, open_source
from self_segmentation.io.writers import VideoFile

GREYS = [20, 90, 160, 230]


def write_gif(path, *delays):
    """One grey frame for each delay, in milliseconds; of a single one, a GIF that is not animated."""
    frames = [PIL.Image.fromarray(np.full((6, 10), grey, np.uint8)) for grey, _ in zip(GREYS, delays)]
    more = {'save_all': True, 'append_images': frames[1:], 'duration': list(delays)} if len(delays) > 1 else {}
    frames[0].save(path, **more)
    return str(path)


def frames_of(source):
    return list(itertools.takewhile(lambda frame: frame is not None, iter(source.read, object())))


def test_gif_is_video_with_frame_delays(tmp_path):
    source = open_source(write_gif(tmp_path / 'waves.GIF', 100, 500, 40, 60))
    assert (source.kind, source.count) == (SourceKind.VIDEO, 4)
    assert source.fps == pytest.approx(4 / 0.7)
    for _ in range(2):
        frames = frames_of(source)
        assert [int(frame.pixels[0, 0, 0]) for frame in frames] == GREYS
        assert {(frame.pixels.shape, frame.pixels.dtype) for frame in frames} == {((6, 10, 3), np.dtype(np.uint8))}
        assert [frame.stamp for frame in frames] == pytest.approx([0, 0.1, 0.6, 0.64])
        assert [frame.duration for frame in frames] == pytest.approx([0.1, 0.5, 0.04, 0.06])
        source.rewind()


def test_gif_without_delays_runs_at_10_fps(tmp_path):
    source = open_source(write_gif(tmp_path / 'fast.gif', 0, 10, 0))
    assert [frame.stamp for frame in frames_of(source)] == pytest.approx([0, 0.1, 0.2])


def test_gif_of_one_frame_is_image(tmp_path):
    source = open_source(write_gif(tmp_path / 'still.gif', 0))
    [frame] = frames_of(source)
    assert (source.kind, source.count, frame.name, frame.stamp) == (SourceKind.IMAGES, 1, 'still', None)


def test_refuses_damaged_gif_by_name(tmp_path):
    whole = (tmp_path / 'whole.gif')
    write_gif(whole, 100, 100, 100)
    for name, data in (('text.gif', b'GIF?'), ('short.gif', whole.read_bytes()[:20]), ('cut.gif', whole.read_bytes()[:-9])):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=name):
            frames_of(open_source(str(tmp_path / name)))


@pytest.mark.parametrize('place', [os.fsdecode(b'/dev/vid\xe9o97'),
                                   os.fsdecode(b'caf\xe9.mp4'), 'no such folder/x', '', '\0', '~nobody_of_that_name/x'])
def test_refuses_missing_place(place):
    with pytest.raises(InputError):
        open_source(place)


def test_scheme_of_a_stream_may_have_capitals():
    for place in ('http://127.0.0.1:1/a.mp4', 'HTTP://127.0.0.1:1/a.mp4'):
        with pytest.raises(InputError, match='refused'):
            open_source(place)


class SlowCamera:
    """Stands for a device: it gives a frame every 20 ms at most, whatever it says."""

    says = 0.0

    def __init__(self, place):
        pass

    def isOpened(self):  # noqa: N802
        return True

    def get(self, setting):
        return self.says

    def release(self):
        pass

    def read(self):
        time.sleep(0.02)
        return True, np.zeros((24, 32, 3), np.uint8)


@pytest.mark.parametrize('says', [1000.0, float('nan'), 180000.0, 0.0, -1.0])
def test_camera_frames_have_the_time_that_passed_whatever_it_says(tmp_path, monkeypatch, says):
    monkeypatch.setattr(cv2, 'VideoCapture', SlowCamera)
    monkeypatch.setattr(SlowCamera, 'says', says)
    source = open_source('0')
    assert source.fps in (0, 1000)
    for _ in range(2):
        frames = [source.read() for _ in range(20)]
        stamps = [frame.stamp for frame in frames]
        assert stamps[0] == 0 and stamps == sorted(stamps) and stamps[-1] > 0.3
        assert [frame.duration for frame in frames[1:]] == pytest.approx(np.diff(stamps).tolist())
        source.rewind()
    writer = VideoFile(tmp_path / 'video.mp4', source.fps or 30, source)
    for frame in frames:
        writer.write(frame.name, frame.pixels, frame.stamp, frame.duration)
    writer.close()
    assert [frame.stamp for frame in frames_of(open_source(str(tmp_path / 'video.mp4')))] == pytest.approx(stamps, abs=0.001)


@pytest.mark.parametrize('own, passed, stamps', [
    ([0, 1, 2, 3], [0, 0, 0, 0], [0, 1, 2, 3]),  # what waited comes at once
    ([0, 1, 2, 3], [0, 2, 4, 6], [0, 2, 4, 6]),  # slower than it says
    ([0, 1, 2, 3], [0, 1.5, 2, 3], [0, 1.5, 2.5, 3.5]),  # one was late: from then on all are shown as much later
    ([0, 0, 0, 0], [0, 1, 2, 3], [0, 1, 2, 3]),  # constant
    ([5, 6, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3]),  # begins anew
    ([0, 1, 9000, 9001], [0, 1, 2, 3], [0, 1, 2, 3]),  # leaps
    ([None] * 4, [0, 1, 2, 3], [0, 1, 2, 3])])
def test_live_frame_has_its_own_time_unless_that_is_before_it_arrived(monkeypatch, own, passed, stamps):
    arrivals = ArrivalTimes()
    for number, (time_of_stream, moment) in enumerate(zip(own, passed)):
        monkeypatch.setattr(time, 'monotonic', lambda moment=moment: 100.0 + moment)
        stamp, duration = arrivals.next(time_of_stream)
        assert stamp == stamps[number] and duration == (stamp - stamps[number - 1] if number else None)


def test_video_among_devices_is_file():
    path = Path(f'/dev/shm/self_segmentation_{os.getpid()}.mp4')
    try:
        write_video(path, sound='aac')
        source = open_source(str(path))
        assert (source.kind, source.sound, len(frames_of(source))) == (SourceKind.VIDEO, path, COUNT)
        source.close()
    finally:
        path.unlink()
    with pytest.raises(InputError, match='does not exist'):
        open_source(str(path))


def test_file_will_fail_again_and_camera_may_come(tmp_path):
    (tmp_path / 'text.mp4').write_text('no video')
    for place, code in ((tmp_path / 'text.mp4', 2), (tmp_path / 'none.mp4', 2), (tmp_path, 2), ('/dev/video97', 1), ('97', 1),
                        ('http://127.0.0.1:1/a.mp4', 1)):
        with pytest.raises(InputError) as raised:
            open_source(str(place))
        assert raised.value.exit_code == ExitCode(code), place


def test_several_pictures_are_as_one_folder(tmp_path, caplog):
    for name in ('b.png', 'a.jpg', 'a.png', 'notes.txt'):
        PIL.Image.new('RGB', (8, 8)).save(tmp_path / name, 'PNG' if name == 'a.png' else 'BMP')
    (tmp_path / 'notes.txt').write_text('none')
    (tmp_path / 'folder').mkdir()
    places = [str(tmp_path / name) for name in ('b.png', 'a.jpg', 'a.png', 'notes.txt', 'folder', 'b.png', 'gone.png')]
    source = open_pictures(places)
    assert (source.kind, source.count) == (SourceKind.IMAGES, 4)
    assert [source.read().name for _ in range(3)] == ['b', 'a.jpg', 'a.png']
    with pytest.raises(InputError, match='gone.png.* does not exist'):
        source.read()
    assert source.read() is None
    assert [record.message for record in caplog.records] == ["the inputs: passed over 2 that are no image: 'notes.txt', 'folder'"]


def test_refuses_several_inputs_without_picture_or_of_one_name(tmp_path):
    for folder in ('x', 'y'):
        (tmp_path / folder).mkdir()
        PIL.Image.new('RGB', (8, 8)).save(tmp_path / folder / 'a.png')
        write_video(tmp_path / folder / 'clip.mp4')
    with pytest.raises(InputError, match='none of the 2 inputs is an image.* one video'):
        open_pictures([str(tmp_path / 'x' / 'clip.mp4'), str(tmp_path / 'y' / 'clip.mp4')])
    with pytest.raises(InputError, match='x/a.png.*y/a.png.* have one name'):
        open_pictures([str(tmp_path / 'x' / 'a.png'), str(tmp_path / 'y' / 'a.png')])

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Backgrounds that move: at their own pace, over and over, however they were made."""
import io
import os
import threading

import numpy as np
import PIL.Image
import pytest
from conftest import SAMPLE, video_frames, wait_until
from fuzz.promises import soon

from self_segmentation import Pipeline
from self_segmentation.errors import BackgroundError, InputError
from self_segmentation.io.assets import load_assets
from self_segmentation.io.frames import Frame, Source, SourceKind
from self_segmentation.io.video_backgrounds import PlayedVideo, open_animation, open_video
from self_segmentation.picture.backgrounds import Fitting
from self_segmentation.settings import Settings

FITTING = Fitting((16, 12), 'stretch', (0, 0, 0))


class Numbered(Source):
    """Frames whose grey is their number; from some of them on it is damaged."""

    kind = SourceKind.VIDEO

    def __init__(self, count: int, duration: float = 0.1) -> None:
        self.count, self._duration, self._index, self.read_so_far = count, duration, 0, 0

    def read(self):
        if self._index == self.count:
            return None
        self._index += 1
        self.read_so_far += 1
        return Frame(np.full((6, 8, 3), self._index - 1, np.uint8), '', self._index - 1, None, self._duration)

    def rewind(self):
        self._index = 0


def shown(player, moment) -> int:
    return int(player.picture(moment, FITTING)[0, 0, 0])


def waits(player) -> bool:
    return len(player._ready) == 3


def test_plays_at_own_pace_and_loops():
    player, seen = PlayedVideo(Numbered(4)), []
    for tick in range(12):
        seen.append(shown(player, 0.1 * tick + 0.01 * (tick > 0)))
        wait_until(lambda: waits(player), 'the pictures ahead')
    assert seen == [0, 1, 2, 3] * 3
    assert [shown(player, 1.11 + 0.01 * tick) for tick in range(5)] == [3] * 5
    player.close()


def decoders() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == 'background'}


def test_decodes_few_pictures_ahead():
    before = decoders()
    source = Numbered(1000)
    player = PlayedVideo(source)
    shown(player, 0.0)
    wait_until(lambda: waits(player), 'the pictures ahead')
    assert source.read_so_far <= 5
    player.close()
    assert not decoders() - before


def test_clock_jump_does_not_jump_video():
    player = PlayedVideo(Numbered(100))
    assert shown(player, 50.0) == 0
    wait_until(lambda: waits(player), 'the pictures ahead')
    assert shown(player, 3.0) == 0 and shown(player, 3.15) == 1
    wait_until(lambda: waits(player), 'the pictures ahead')
    assert shown(player, 1000.0) <= 4  # 2 s further at most, and what was ready
    player.close()


def test_plays_for_camera_of_few_frames():
    """At its own pace, as far as it is decoded: a picture every 3 s of pictures of half a second."""
    player, seen = PlayedVideo(Numbered(100, 0.5)), []
    for tick in range(4):
        seen.append(shown(player, 3.0 * tick))
        wait_until(lambda: waits(player), 'the pictures ahead')
    assert seen == sorted({*seen}) and seen[-1] >= 9
    player.close()


class Failing(Numbered):
    """A source whose decoder raises what nobody expects."""

    def read(self):
        if self._index == 3:
            raise ZeroDivisionError('no such thing')
        return super().read()


class Gone(Numbered):
    """A video whose file is gone when it starts again."""

    def rewind(self):
        raise InputError('is gone')


@pytest.mark.parametrize('source, reason', [(Failing(9), 'no such thing'), (Gone(3), 'is gone')])
def test_video_that_stands_still_keeps_last_picture_and_says_why(source, reason, caplog):
    player, seen = PlayedVideo(source, 'the video'), []
    assert not player.problem
    wait_until(lambda: player.problem, 'the problem', lambda: seen.append(shown(player, 0.2 * len(seen))))
    seen += [shown(player, 0.2 * (len(seen) + tick)) for tick in range(5)]
    assert seen[-1] == seen[-2] == 2 and seen == sorted(seen)
    assert player.problem.startswith('the video') and reason in player.problem
    wait_until(lambda: caplog.records, 'the line in the log')
    assert [record.message for record in caplog.records] == [player.problem]
    player.close()


def test_video_follows_frame_size():
    player = PlayedVideo(Numbered(4))
    for size in ((16, 12), (7, 5), (64, 48)):
        assert player.picture(0.0, Fitting(size, 'cover', (0, 0, 0))).shape == (size[1], size[0], 3)
    player.close()


def animation(count: int, kind: str) -> bytes:
    images = [PIL.Image.fromarray(np.full((12, 16, 3), (count + index * 40) % 256, np.uint8)) for index in range(count)]
    file = io.BytesIO()
    more = {'lossless': True} if kind == 'WEBP' else {}
    images[0].save(file, kind, save_all=True, append_images=images[1:], duration=100, loop=0, **more)
    return file.getvalue()


@pytest.mark.parametrize('kind', ['GIF', 'WEBP'])
def test_plays_animated_image(tmp_path, kind):
    path = tmp_path / 'animated'
    path.write_bytes(animation(4, kind))
    pipeline = Pipeline(Settings().updated({'background.type': 'image', 'background.image': str(path)}))
    video = pipeline.assets.media.image
    seen = set()
    for tick in range(8):
        seen.add(int(video.picture(0.11 * tick, FITTING)[0, 0, 0]) // 8)
        wait_until(lambda: waits(video), 'the pictures ahead')
    assert len(seen) == 4
    pipeline.close()


@pytest.mark.parametrize('kind', ['GIF', 'PNG'])
def test_plays_damaged_animation_again_and_again_as_far_as_it_goes(kind, caplog):
    noise = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), np.uint8)
    images, file = [PIL.Image.fromarray(each) for each in noise], io.BytesIO()
    images[0].save(file, kind, save_all=True, append_images=images[1:], duration=100)
    content = bytearray(file.getvalue())
    hole = int(len(content) * 0.6)
    content[hole:hole + 200] = bytes(200)
    player, seen = open_animation(bytes(content), 'x'), []
    for tick in range(9):
        seen.append(player.picture(0.1 * tick + 0.01 * (tick > 0), FITTING).tobytes())
        wait_until(lambda: waits(player), 'the pictures ahead')
    assert seen[:3] * 3 == seen and len({*seen}) == 3 and not player.problem
    [line] = [record.message for record in caplog.records]
    assert line.startswith("background 'x' ends at its picture 3: the image is damaged: 3 of ")
    player.close()


@pytest.mark.slow
def test_opens_gif_of_10000_pictures_at_once():
    content = animation(10000, 'GIF')
    with soon():
        player = open_animation(content, 'video.gif')
        assert player.picture(0.0, FITTING).shape == (12, 16, 3)
        player.close()


@pytest.mark.slow
def test_plays_cut_off_video_as_far_as_it_goes(tmp_path):
    path = tmp_path / 'half.mkv'
    import av
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('mpeg4', rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, 'yuv420p'
        for frame in video_frames(SAMPLE)[:40]:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame[:240, :320].copy(), 'bgr24')))
        container.mux(stream.encode(None))
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
    player = open_video(str(path))
    pictures = []
    for tick in range(60):
        pictures.append(player.picture(0.05 * tick, FITTING).copy())
        wait_until(lambda: waits(player), 'the pictures ahead')
    assert len({picture.tobytes() for picture in pictures}) > 5
    player.close()


def test_refuses_what_is_no_video(tmp_path):
    os.mkfifo(tmp_path / 'fifo')
    (tmp_path / 'text.mp4').write_text('no video')
    (tmp_path / 'empty.mp4').touch()
    (tmp_path / 'cut.mp4').write_bytes(SAMPLE.read_bytes()[:2000])
    picture = tmp_path / 'picture.mp4'
    PIL.Image.new('RGB', (8, 8)).save(picture, 'PNG')
    for name in (tmp_path / 'fifo', tmp_path / 'text.mp4', tmp_path / 'empty.mp4', tmp_path / 'cut.mp4', picture, tmp_path,
                 '/dev/zero', '/missing.mp4', 'http://localhost:1/x.mp4', '\0', '~nobody/x.mp4'):
        with soon(), pytest.raises(BackgroundError, match='background.video') as raised:
            load_assets(Settings().updated({'background.video': str(name)}))
        assert repr(str(name)) in str(raised.value) and 'give' in str(raised.value)


def test_closes_replaced_video(astronaut):
    before = decoders()
    video = {'background.type': 'video', 'background.video': str(SAMPLE)}
    pipeline = Pipeline(Settings().updated(video))
    pipeline.process(astronaut)
    first = pipeline.assets.media.video
    pipeline.read(pipeline.settings, ['background.video'])
    pipeline.process(astronaut)
    assert pipeline.assets.media.video is not first and first._closed and not pipeline.assets.media.video._closed
    pipeline.close()
    assert not decoders() - before

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The video and the picture that the demo leaves."""
import av
import cv2
import numpy as np
import pytest

from self_segmentation.tools.before_after import BeforeAfter, captioned

NAMES = ['first', 'second']


def grey(value: int, size: tuple[int, int] = (480, 640)) -> np.ndarray:
    return np.full((*size, 3), value, np.uint8)


@pytest.mark.parametrize('size', [(480, 640), (431, 767), (1080, 1920)])
def test_video_is_one_that_everything_plays(tmp_path, size):
    recorder = BeforeAfter(tmp_path, NAMES)
    for number in range(10):
        recorder.add(grey(50, size), grey(200, size), 1e9 + number / 10, NAMES[0], title_seconds=0)
    assert recorder.close()
    with av.open(str(tmp_path / 'output.mp4')) as video:
        [stream] = video.streams.video
        frames = [*video.decode(stream)]
    assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ('h264', 'yuv420p')
    assert stream.width <= 2048 and not stream.width % 2 and not stream.height % 2
    assert [round(frame.time, 2) for frame in frames] == [number / 10 for number in range(10)]  # at the camera's own pace
    shown = frames[-1].to_ndarray(format='bgr24')
    assert abs(int(shown[-20, 20, 0]) - 50) < 6 and abs(int(shown[-20, -20, 0]) - 200) < 6


def test_name_is_title_first_and_then_caption(tmp_path):
    recorder = BeforeAfter(tmp_path, NAMES)
    for number in range(20):
        recorder.add(grey(100), grey(100), number / 10, NAMES[number // 10], title_seconds=0.5)
    recorder.close()
    frames = [frame.to_ndarray(format='bgr24') for frame in av.open(str(tmp_path / 'output.mp4')).decode(video=0)]
    written = [(int(frame[200:280, 700:].max()) > 200, int(frame[:40, 650:800].max()) > 200) for frame in frames]
    assert written == 2 * (5 * [(True, False)] + 5 * [(False, True)])


def test_picture_has_best_pair_of_each_name(tmp_path):
    recorder = BeforeAfter(tmp_path, [*NAMES, 'never shown'])
    for name, value, rank in (('second', 30, 1), ('first', 10, 2), ('first', 20, 3), ('first', 40, 1), ('second', 50, 1)):
        recorder.offer(grey(value), grey(value + 100), name, rank)
    recorder.close()
    picture = cv2.imread(str(tmp_path / 'output.png'))
    assert picture.shape[1] < 3 * 640  # two columns
    corners = [[int(picture[y, x, 0]) for x in (-20, 600)] for y in (400, -20)]
    assert corners == [[30, 20], [130, 120]]  # right to left; before above after


def test_nothing_is_written_where_nothing_came(tmp_path):
    assert not BeforeAfter(tmp_path, NAMES).close()
    assert not [*tmp_path.iterdir()]


def test_caption_leaves_picture_itself_alone():
    picture = grey(100)
    made = captioned(picture, 'people: covered')
    assert (picture == 100).all() and (made[100:] == 100).all() and made[:40].max() > 200 and made[:40].min() < 50

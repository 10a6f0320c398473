# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Sources of frames, on files that the tests make."""
import itertools
import os

import numpy as np
import PIL.Image
import pytest

from self_segmentation.errors import SourceError
from self_segmentation.io.sources import SourceKind, open_source

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
        with pytest.raises(SourceError, match=name):
            frames_of(open_source(str(tmp_path / name)))


@pytest.mark.parametrize('place', [os.fsdecode(b'/dev/vid\xe9o97'),
                                   os.fsdecode(b'caf\xe9.mp4'), 'no such folder/x', '', '\0', '~nobody_of_that_name/x'])
def test_refuses_missing_place(place):
    with pytest.raises(SourceError):
        open_source(place)


def test_scheme_of_a_stream_may_have_capitals():
    for place in ('http://127.0.0.1:1/a.mp4', 'HTTP://127.0.0.1:1/a.mp4'):
        with pytest.raises(SourceError, match='refused'):
            open_source(place)

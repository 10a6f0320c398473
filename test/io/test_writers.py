# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Where images are written to: one program at a time, and nothing lost that was there."""
import numpy as np
import pytest
from media import quarters

from self_segmentation.errors import OutputError
from self_segmentation.io.sources import open_source
from self_segmentation.io.writers import Folder, ImageFile, PictureError, VideoFile

IMAGE = quarters()[..., ::-1].copy()


def test_second_writer_of_video_is_refused_and_changes_nothing(tmp_path):
    path = tmp_path / 'video.mp4'
    first, second = VideoFile(path, 10), VideoFile(path, 10)
    for _ in range(3):
        first.write('', IMAGE)
    for use in (second.claim, lambda: second.write('', IMAGE)):
        with pytest.raises(OutputError, match=r'video\.mp4 is being written by another program'):
            use()
    second.close()
    first.close()
    assert open_source(str(path)).count == 3
    second.write('', IMAGE)
    second.close()
    assert open_source(str(path)).count == 1


@pytest.mark.parametrize('shared', [(False, False), (True, False), (False, True)])
def test_second_writer_of_folder_is_refused_unless_both_share_it(tmp_path, shared):
    first, second = Folder(tmp_path / 'out'), Folder(tmp_path / 'out')
    first.claim(shared[0])
    with pytest.raises(OutputError, match='out is being written by another program'):
        second.claim(shared[1])
    first.close()
    second.claim(True)
    first.claim(True)
    for each, name in ((first, 'a'), (second, 'b')):
        each.write(name, IMAGE)
        each.close()
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['a.png', 'b.png']


def test_claimed_video_keeps_what_was_there_until_first_frame(tmp_path):
    path = tmp_path / 'video.mp4'
    for content in (None, b'an old video'):
        if content:
            path.write_bytes(content)
        writer = VideoFile(path, 10)
        writer.claim()
        writer.close()
        assert (path.read_bytes() if path.exists() else None) == content
    writer.write('', IMAGE)
    writer.close()
    assert open_source(str(path)).count == 1


def test_picture_that_cannot_have_its_name_or_size_does_not_concern_others(tmp_path):
    folder = Folder(tmp_path)
    (tmp_path / 'taken.png').mkdir()
    for name in ('x' * 252, 'taken'):
        with pytest.raises(PictureError, match='cannot be written'):
            folder.write(name, IMAGE)
    with pytest.raises(PictureError, match='cannot be written'):
        ImageFile(tmp_path / 'wide.webp').write('', np.zeros((1, 20000, 3), np.uint8))
    folder.write('x' * 251, IMAGE)
    (tmp_path / 'file').touch()
    with pytest.raises(OutputError) as raised:
        Folder(tmp_path / 'file').write('a', IMAGE)
    assert not isinstance(raised.value, PictureError)

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Recordings: the images of one topic go the node's way, everything else is copied, and nothing looks whole that is not."""
import contextlib
import os
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from bags import (
    COMPRESSED,
    IMAGE,
    QOS,
    STORE,
    TOPIC,
    add_foreign,
    add_frames,
    add_messages,
    channels_of,
    cloud,
    extras_of,
    images_of,
    killed_recorder,
    mcap_file,
    message,
    pixels_of,
    read_bag,
    write_bag,
    write_split_bag,
)
from conftest import wait_until
from rosbags.rosbag2 import StoragePlugin, Writer

from self_segmentation import Pipeline
from self_segmentation.errors import InputError, OutputError
from self_segmentation.recordings.reader import Recording, is_recording
from self_segmentation.recordings.run import Choice, _chosen, _left_out, process_recordings
from self_segmentation.recordings.types import CLOUD
from self_segmentation.settings import Settings

pytestmark = pytest.mark.slow

COUNT = 6
OUTPUT, MASK, ALPHA = (f'/segmentation/{name}' for name in ('output', 'mask', 'alpha'))


@pytest.fixture
def run(program_run):
    return program_run


@pytest.fixture(scope='module')
def frames(sample) -> list[np.ndarray]:
    return [cv2.resize(frame, (160, 120)) for frame in sample[60:60 + COUNT]]


@pytest.fixture(scope='module')
def expected(frames):
    """What the pipeline makes of the frames, with the stamps of their headers."""
    pipeline = Pipeline(Settings(flip=False))
    results = [pipeline.process(frame, stamp=100 + number * 66_000_000 * 1e-9) for number, frame in enumerate(frames)]
    pipeline.close()
    return results


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize('storage, compression, version', [
    ('MCAP', 'NONE', 9), ('MCAP', 'STORAGE', 8), ('MCAP', 'FILE', 9), ('MCAP', 'MESSAGE', 9), ('SQLITE3', 'NONE', 8),
    ('SQLITE3', 'FILE', 9), ('SQLITE3', 'MESSAGE', 8)])
def test_adds_results_and_copies_rest(run, tmp_path, frames, expected, storage, compression, version):
    place = write_bag(tmp_path / 'talk', frames, storage=storage, compression=compression, version=version)
    code, said = run(place, '--output', tmp_path / 'new')
    assert code == 0, said
    before, old = read_bag(place)
    after, new = read_bag(tmp_path / 'new')
    assert {*after} == {*before, OUTPUT, MASK, ALPHA}
    for topic, connection in before.items():
        for field in ('msgtype', 'msgdef', 'digest', 'msgcount', 'ext'):
            assert getattr(after[topic], field) == getattr(connection, field), (topic, field)
    assert [message for message in new if message[0] in before] == old
    times = [time for topic, time, _ in old if topic == TOPIC]
    for topic, field in ((OUTPUT, 'composite'), (MASK, 'mask'), (ALPHA, 'alpha')):
        assert [time for name, time, _ in new if name == topic] == times
        images = images_of(tmp_path / 'new', topic)
        assert [image.header for image in images] == [image.header for image in images_of(place, TOPIC)]
        assert {image.encoding for image in images} == {'bgr8' if field == 'composite' else 'mono8'}
        for image, result in zip(images, expected):
            assert np.array_equal(pixels_of(image), getattr(result, field))
    assert sorted(path.suffix for path in (tmp_path / 'new').iterdir()) == sorted(path.suffix for path in place.iterdir())
    assert names(tmp_path) == ['new', 'talk']


@pytest.mark.parametrize('ending', ['.mcap', '.db3'])
def test_processes_single_files(run, tmp_path, frames, expected, ending):
    place = next(write_bag(tmp_path / 'talk', frames, storage={'.mcap': 'MCAP', '.db3': 'SQLITE3'}[ending]).glob(f'*{ending}'))
    for to in ('new.mcap', 'new.db3'):
        code, said = run(place, '--output', tmp_path / to)
        assert code == 0, said
        assert [np.array_equal(pixels_of(image), result.composite)
                for image, result in zip(images_of(tmp_path / to, OUTPUT), expected)] == [True] * COUNT
        assert read_bag(tmp_path / to)[0][TOPIC].ext.offered_qos_profiles == QOS
    assert names(tmp_path) == ['new.db3', 'new.mcap', 'talk']


def test_in_place_replaces_images(run, tmp_path, frames, expected):
    place = write_bag(tmp_path / 'talk', frames)
    assert run(place, '--in-place', '--output', tmp_path / 'new')[0] == 0
    before, after = read_bag(place), read_bag(tmp_path / 'new')
    assert {topic: each.ext for topic, each in after[0].items()} == {topic: each.ext for topic, each in before[0].items()}
    assert [message[:2] for message in after[1]] == [message[:2] for message in before[1]]
    assert [message for message in after[1] if message[0] != TOPIC] == [message for message in before[1] if message[0] != TOPIC]
    for image, result in zip(images_of(tmp_path / 'new', TOPIC), expected):
        assert np.array_equal(pixels_of(image), result.composite)


@pytest.mark.parametrize('options, topic', [((), OUTPUT + '/compressed'), (('--in-place',), TOPIC + '/compressed')])
def test_keeps_compression_of_images(run, tmp_path, frames, options, topic):
    place = write_bag(tmp_path / 'talk', frames, COMPRESSED, (TOPIC + '/compressed',))
    code, said = run(place, *options, '--output', tmp_path / 'new')
    assert code == 0, said
    images = images_of(tmp_path / 'new', topic)
    assert len(images) == COUNT and {image.format for image in images} == {'bgr8; jpeg compressed bgr8'}
    assert all(pixels_of(image).shape == (120, 160, 3) for image in images)
    if not options:
        masks = [pixels_of(image) for image in images_of(tmp_path / 'new', MASK + '/compressed')]
        assert {value for mask in masks for value in np.unique(mask)} == {0, 255}


def test_lists_image_topics_to_choose_from(run, tmp_path, frames):
    place = write_bag(tmp_path / 'talk', frames, topics=('/left', '/right'))
    code, said = run(place, '--output', tmp_path / 'new')
    assert code == 2 and '--topic' in said and f'/left ({COUNT})' in said and f'/right ({COUNT})' in said
    code, said = run(place, '--topic', '/middle', '--output', tmp_path / 'new')
    assert code == 2 and '/middle' in said and '/left' in said
    assert run(place, '--topic', '/right', '--in-place', '--output', tmp_path / 'new')[0] == 0
    left, right = images_of(tmp_path / 'new', '/left'), images_of(tmp_path / 'new', '/right')
    assert np.array_equal(pixels_of(left[0]), frames[0]) and not np.array_equal(pixels_of(right[0]), frames[0])


def test_recovers_truncated_mcap(run, tmp_path, sample):
    frames = [cv2.resize(frame, (640, 480)) for frame in sample[60:66]]  # each fills a chunk
    whole = write_bag(tmp_path / 'talk', frames) / 'talk.mcap'
    cut = tmp_path / 'cut.mcap'
    cut.write_bytes(whole.read_bytes()[:int(0.6 * whole.stat().st_size)])
    code, said = run(cut, '--output', tmp_path / 'new.mcap')
    assert code == 1 and str(cut) in said and 'cut off' in said and 'messages could be read' in said and 'Traceback' not in said
    images = images_of(tmp_path / 'new.mcap', TOPIC)
    assert 1 < len(images) < len(frames) and len(images) == len(images_of(tmp_path / 'new.mcap', OUTPUT))


@pytest.mark.parametrize('storage, ending, reason', [('MCAP', '.mcap', 'cut off'), ('SQLITE3', '.db3', 'malformed')])
def test_processes_whole_files_of_split_recording(run, tmp_path, frames, storage, ending, reason):
    place = write_split_bag(tmp_path / 'talk', [frames[:2], frames[2:4], frames[4:]], storage=storage)
    cut = place / f'part_1{ending}'
    cut.write_bytes(cut.read_bytes()[:cut.stat().st_size // 2])
    code, said = run(place, '--output', tmp_path / 'new')
    assert code == 1 and cut.name in said and reason in said and 'messages could be read' in said
    assert said.count('self_segmentation:') == 1 and 'part_0' not in said and 'part_2' not in said
    for topic, which in ((TOPIC, frames[:2] + frames[4:]), (OUTPUT, None)):
        images = images_of(tmp_path / 'new', topic)
        assert len(images) == 4 and (which is None or all(map(np.array_equal, map(pixels_of, images), which)))
    for file in place.glob(f'*{ending}'):
        file.write_bytes(cut.read_bytes())
    code, said = run(place, '--output', tmp_path / 'none')
    assert code == 2 and all(f'part_{number}{ending}' in said for number in range(3))
    assert names(tmp_path) == ['.new.lacks', 'new', 'talk']


def test_names_missing_part_of_split_recording(run, tmp_path, frames):
    place = write_split_bag(tmp_path / 'talk', [frames[:1], frames[1:2], frames[2:4]])
    (place / 'part_1.mcap').unlink()
    code, said = run(place, '--output', tmp_path / 'new')
    assert code == 1 and 'part_1.mcap is missing' in said and 'part_0' not in said
    assert len(images_of(tmp_path / 'new', OUTPUT)) == 3
    for file in place.glob('*.mcap'):
        file.unlink()
    code, said = run(place, '--output', tmp_path / 'none')
    assert code == 2 and 'part_0.mcap is missing' in said and not (tmp_path / 'none').exists()


def test_says_that_recording_without_readable_images_is_cut_off(run, tmp_path, frames):
    """In its only chunk; and after a chunk without images."""
    whole = (write_bag(tmp_path / 'talk', frames) / 'talk.mcap').read_bytes()
    others = (write_bag(tmp_path / 'others', [], topics=()) / 'others.mcap').read_bytes()
    for content in (whole[:len(whole) // 2], others[:-20]):
        (tmp_path / 'cut.mcap').write_bytes(content)
        code, said = run(tmp_path / 'cut.mcap', '--output', tmp_path / 'new')
        assert code == 2 and 'cut.mcap' in said and 'cut off' in said and names(tmp_path) == ['cut.mcap', 'others', 'talk']


@pytest.mark.parametrize('content', [b'', b'neither', b'\x89MCAP0\r\n', b'\x89MCAP0\r\n' + bytes(100),
                                     b'SQLite format 3\0' + bytes(200)])
@pytest.mark.parametrize('name', ['bad.mcap', 'bad.db3', 'bad.bag'])
def test_refuses_invalid_recording(run, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    code, said = run(tmp_path / name, '--output', tmp_path / 'new.mcap')
    assert code == 2 and str(tmp_path / name) in said and 'Traceback' not in said
    assert names(tmp_path) == [name]


def test_reports_truncated_database(run, tmp_path, frames):
    file = write_bag(tmp_path / 'talk', frames, storage='SQLITE3') / 'talk.db3'
    (tmp_path / 'cut.db3').write_bytes(file.read_bytes()[:file.stat().st_size // 2])
    code, said = run(tmp_path / 'cut.db3', '--output', tmp_path / 'new.mcap')
    assert code == 2 and 'cut.db3' in said and 'Traceback' not in said


def test_refuses_recording_without_images(run, tmp_path):
    code, said = run(write_bag(tmp_path / 'talk', [], topics=()), '--output', tmp_path / 'new')
    assert code == 2 and 'no images' in said and '/own' in said and names(tmp_path) == ['talk']


@pytest.mark.parametrize('fields, part', [({'encoding': 'rgbx16'}, 'rgbx16'), ({'step': 7}, 'step = 7'),
                                          ({'height': 9999}, '9999'),
                                          ({'width': 161}, '161')])
def test_refuses_undecodable_images(run, tmp_path, frames, fields, part):
    code, said = run(write_bag(tmp_path / 'talk', frames, **fields), '--output', tmp_path / 'new')
    assert code == 2 and part in said and TOPIC in said and 'Traceback' not in said and names(tmp_path) == ['talk']


def test_leaves_out_single_undecodable_image(run, tmp_path, frames):
    broken = [*frames[:2], frames[2][:, :, :1].repeat(2, 2), *frames[3:]]  # of another length than its header says
    code, said = run(write_bag(tmp_path / 'talk', broken), '--in-place', '--output', tmp_path / 'new')
    assert code == 1 and f'1 of {COUNT} images' in said
    assert len(images_of(tmp_path / 'new', TOPIC)) == COUNT - 1


@pytest.mark.parametrize('ending', ['.MCAP', '.Db3'])
def test_takes_endings_of_files_in_any_case(run, tmp_path, frames, ending):
    place = (write_bag(tmp_path / 'talk', frames) / 'talk.mcap').rename(tmp_path / 'TALK.MCAP')
    code, said = run(place, '--output', tmp_path / f'new{ending}')
    assert code == 0, said
    assert (tmp_path / f'new{ending}').is_file()
    (tmp_path / f'new{ending}').rename(tmp_path / f'new{ending.lower()}')
    assert len(images_of(tmp_path / f'new{ending.lower()}', OUTPUT)) == COUNT


@pytest.mark.parametrize('name', ['new.mp4', 'new.PNG', 'new.webm', 'new.mkv', 'new.gif', 'new.bag'])
def test_refuses_outputs_of_other_kinds(run, tmp_path, frames, name):
    place = write_bag(tmp_path / 'all' / 'talk', frames)
    for source in (place, tmp_path / 'all'):
        code, said = run(source, '--output', tmp_path / name)
        assert code == 2 and name in said and '.mcap' in said and 'folder' in said and names(tmp_path) == ['all']


def test_refuses_file_for_folder_of_recordings(run, tmp_path, frames):
    write_bag(tmp_path / 'all' / 'talk', frames)
    (tmp_path / 'mine').write_text('mine')
    for name in ('new.mcap', 'mine'):
        code, said = run(tmp_path / 'all', '--output', tmp_path / name)
        assert code == 2 and name in said and 'folder' in said and names(tmp_path) == ['all', 'mine']


def test_names_paths_that_cannot_be_looked_at(tmp_path, frames):
    place = write_bag(tmp_path / 'talk', frames)
    (tmp_path / 'loop').symlink_to(tmp_path / 'loop')
    for output in (tmp_path / 'loop', tmp_path / 'loop' / 'new.mcap', tmp_path / ('x' * 300), tmp_path / 'zero\0.mcap'):
        for resume in (False, True) if output.name != 'loop' else (False,):
            with pytest.raises(OutputError, match=re.escape(repr(str(output)))):
                process_recordings(place, output, Settings(), Choice(resume=resume), [])
    for missing in (tmp_path / 'loop', tmp_path / ('x' * 300)):
        assert not is_recording(missing)
        with pytest.raises(InputError, match=re.escape(repr(str(missing)))):
            process_recordings(missing, tmp_path / 'new', Settings(), Choice(), [])
    assert names(tmp_path) == ['loop', 'talk']


def test_never_overwrites_output(run, tmp_path, frames):
    place = write_bag(tmp_path / 'talk', frames)
    for to in (place, tmp_path / 'there.mcap'):
        to.exists() or to.write_text('mine')
        code, said = run(place, '--output', to)
        assert code == 2 and str(to) in said
    assert (tmp_path / 'there.mcap').read_text() == 'mine' and names(tmp_path) == ['talk', 'there.mcap']


@pytest.mark.parametrize('to, room', [('new.mcap', 200_000), ('new.db3', 200_000), ('new.mcap', 10), ('new.db3', 20_000)])
def test_full_disk_leaves_nothing(tmp_path, frames, to, room):
    """While messages are written; and at once, when the recording is opened."""
    place = write_bag(tmp_path / 'talk', frames)
    done = subprocess.run([sys.executable, '-m', 'self_segmentation', place, '--output', tmp_path / to], capture_output=True,
                          text=True, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)))
    assert done.returncode == 1 and str(tmp_path / to) in done.stderr and 'Traceback' not in done.stderr, done.stderr
    assert names(tmp_path) == ['talk']


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_kill_leaves_no_complete_file(start, tmp_path, sample, number):
    place = write_bag(tmp_path / 'talk', sample[:100])
    command = [sys.executable, '-m', 'self_segmentation', str(place), '--output', str(tmp_path / 'new.mcap')]
    running = start('', command=command, env=dict(os.environ))
    partial = tmp_path / '.new.mcap.partial'
    wait_until(lambda: any(path.stat().st_size > 3_000_000 for path in partial.rglob('*.mcap')) or running.code is not None,
               'a part')
    running.send(number)
    wait_until(lambda: running.code is not None, 'the end')
    assert not (tmp_path / 'new.mcap').exists()
    assert partial.exists() == (number == signal.SIGKILL)
    for path in partial.rglob('*.mcap'):
        assert path.read_bytes()[-8:] != b'\x89MCAP0\r\n'


def test_processes_and_resumes_folder_of_recordings(run, tmp_path, frames):
    for name in 'abc':
        write_bag(tmp_path / 'all' / name, frames)
    shutil.move(tmp_path / 'all' / 'c' / 'c.mcap', tmp_path / 'all' / 'd.mcap')
    shutil.rmtree(tmp_path / 'all' / 'c')
    (tmp_path / 'all' / 'e.mcap').write_bytes(b'nothing')
    code, said = run(tmp_path / 'all', '--workers', '2', '--output', tmp_path / 'new')
    assert code == 1 and 'e.mcap' in said and 'Traceback' not in said
    assert names(tmp_path / 'new') == ['a', 'b', 'd.mcap']
    shutil.rmtree(tmp_path / 'new' / 'b')
    before = (tmp_path / 'new' / 'a' / 'a.mcap').stat().st_mtime_ns
    (tmp_path / 'all' / 'e.mcap').unlink()
    time.sleep(0.01)
    assert run(tmp_path / 'all', '--resume', '--output', tmp_path / 'new')[0] == 0
    assert names(tmp_path / 'new') == ['a', 'b', 'd.mcap']
    assert (tmp_path / 'new' / 'a' / 'a.mcap').stat().st_mtime_ns == before
    assert len(images_of(tmp_path / 'new' / 'd.mcap', OUTPUT)) == COUNT


def test_resume_says_again_what_result_lacks(run, tmp_path, frames, caplog):
    """Of a recording that is cut off, and of one with images that cannot be decoded; until it is made of a whole one."""
    broken = [*frames[:2], frames[2][:, :, :1].repeat(2, 2)]
    whole = write_bag(tmp_path / 'talk', frames[:2]) / 'talk.mcap'
    (tmp_path / 'all').mkdir()
    cut = tmp_path / 'all' / 'cut.mcap'
    cut.write_bytes(whole.read_bytes()[:-20])
    write_bag(tmp_path / 'all' / 'broken', broken)
    for place, new in ((tmp_path / 'all', tmp_path / 'new'), (cut, tmp_path / 'new.mcap')):
        code, said = run(place, '--output', new)
        assert code == 1 and 'cut off' in said
        for _ in range(2):
            caplog.clear()
            assert run(place, '--resume', '--output', new)[0] == 1
            assert 'cut off' in caplog.text and str(new) in caplog.text and 'remove' in caplog.text
            assert ('1 of 3 images' in caplog.text) == (place != cut)
    shutil.copy(whole, cut)
    (tmp_path / 'new.mcap').unlink()
    caplog.clear()
    for _ in range(2):
        code, said = run(cut, '--resume', '--output', tmp_path / 'new.mcap')
        assert code == 0 and 'self_segmentation' not in said and not caplog.text
    assert names(tmp_path) == ['all', 'new', 'new.mcap', 'talk']


def test_names_what_it_passes_over_in_folder_of_recordings(run, tmp_path, frames, caplog):
    place = tmp_path / 'all'
    whole = write_bag(tmp_path / 'talk', frames[:1]) / 'talk.mcap'
    (place / 'crashed').mkdir(parents=True)
    for name in ('a.mcap', 'B.MCAP', 'crashed/c.mcap', '._a.mcap'):
        shutil.copy(whole, place / name)
    (place / 'notes.txt').write_text('mine')
    (place / 'e.BAG').write_bytes(b'#ROSBAG V2.0\n')
    code, said = run(place, '--output', tmp_path / 'new')
    assert code == 1 and names(tmp_path / 'new') == ['B.MCAP', 'a.mcap']
    assert 'passed over 2 that are' in caplog.text and "'crashed', 'notes.txt'" in caplog.text and '._a' not in caplog.text
    assert 'e.BAG' in said and 'rosbags-convert' in said


def test_refuses_recordings_without_rosbags(tmp_path, frames):
    place = write_bag(tmp_path / 'talk', frames)
    code = ('import sys\nsys.modules["rosbags"] = None\nfrom self_segmentation.command_line import main\n'
            'print(int(main([sys.argv[1], "--output", sys.argv[2]])))')
    done = subprocess.run([sys.executable, '-c', code, place, tmp_path / 'new'], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ['2'] and str(place) in done.stderr and 'pip install --no-deps rosbags' in done.stderr


def test_reads_recording_without_definitions(run, tmp_path, frames):
    """Humble's databases have no definitions and no hashes of types."""
    place = write_bag(tmp_path / 'talk', frames, storage='SQLITE3', version=8) / 'talk.db3'
    with contextlib.closing(sqlite3.connect(place)) as database:
        database.executescript('UPDATE schema SET schema_version = 3; DROP TABLE message_definitions;'
                               'ALTER TABLE topics DROP COLUMN type_description_hash;')
    for to in ('new.mcap', 'new.db3'):
        code, said = run(place, '--output', tmp_path / to)
        assert code == 0, said
        after, messages = read_bag(tmp_path / to)
        assert after[TOPIC].ext.offered_qos_profiles == QOS and after['/own'].msgdef.data == ''
        assert [message for message in messages if message[0] in (TOPIC, '/own')] == read_bag(place)[1]


def test_in_place_replaces_images_of_every_publisher(run, tmp_path, frames):
    """Merged recordings may have several connections of one topic."""
    place = tmp_path / 'talk'
    with Writer(place, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        two = [writer.add_connection(TOPIC, IMAGE, typestore=STORE, offered_qos_profiles=qos) for qos in (QOS, [])]
        for number, frame in enumerate(frames):
            writer.write(two[number % 2], 10 ** 18 + number, STORE.serialize_cdr(message(frame, number, IMAGE), IMAGE))
    code, said = run(place, '--in-place', '--output', tmp_path / 'new')
    assert code == 0, said
    images = images_of(tmp_path / 'new', TOPIC)
    assert len(images) == COUNT and not any(np.array_equal(pixels_of(image), frame) for image, frame in zip(images, frames))


@pytest.mark.parametrize('in_place', [False, True])
def test_covered_people_are_on_no_other_image_topic(tmp_path, frames, caplog, in_place):
    place = write_bag(tmp_path / 'talk', frames[:1], topics=('/left', '/right', '/third'))
    with contextlib.closing(Recording(place)) as recording:
        topics, settings = {each.id: each.topic for each in recording.connections}, Settings(replace='people')
        replaced = {_chosen(recording, '/left').id} if in_place else set()
        left_out = _left_out(recording, replaced, settings, Choice(in_place=in_place, keep=('/third',)))
        assert {topics[number] for number in left_out} == {'/right', '/own', *(() if in_place else ('/left',))}
        assert '/right' in caplog.text and '--keep' in caplog.text
        assert not _left_out(recording, replaced, Settings(), Choice())
        with pytest.raises(InputError, match='/fourth'):
            _left_out(recording, replaced, settings, Choice(keep=('/fourth',)))


def test_covered_recording_shows_no_people(run, tmp_path, frames):
    place = write_bag(tmp_path / 'talk', frames, topics=('/left', '/right'))
    code, said = run(place, '--topic', '/left', '--replace', 'people', '--in-place', '--output', tmp_path / 'new')
    assert code == 0, said
    assert {*read_bag(tmp_path / 'new')[0]} == {'/left'}  # /own has a string
    pipeline = Pipeline(Settings(flip=False, replace='people'))
    for number, (frame, image) in enumerate(zip(frames, images_of(tmp_path / 'new', '/left'))):
        expected = pipeline.process(frame, stamp=100 + number * 66_000_000 * 1e-9).composite
        assert np.array_equal(pixels_of(image), expected) and not np.array_equal(expected, frame)
    pipeline.close()


def test_adds_transparent_composites(run, tmp_path, frames):
    place = write_bag(tmp_path / 'talk', frames)
    assert run(place, '--background-type', 'transparent', '--output', tmp_path / 'new')[0] == 0
    images = images_of(tmp_path / 'new', OUTPUT)
    assert {image.encoding for image in images} == {'bgra8'} and pixels_of(images[0]).shape == (120, 160, 4)


@pytest.fixture
def mixed(tmp_path, frames):
    """A recording with channels of ROS 2 and others, an attachment and a record of metadata."""
    with mcap_file(tmp_path / 'mixed.mcap', '') as writer:
        add_foreign(writer, '/battery', 'json', b'{"volts": 12}')
        add_foreign(writer, '/points', 'protobuf', b'points')
        add_frames(writer, frames)
        writer.add_attachment(1, 2, 'map.png', 'image/png', b'map')
        writer.add_metadata('robot', {'name': 'seven'})
    return tmp_path / 'mixed.mcap'


@pytest.mark.parametrize('to', ['new.mcap', 'new'])
def test_passes_on_channels_of_other_kinds(run, tmp_path, mixed, caplog, to):
    code, said = run(mixed, '--output', tmp_path / to)
    assert code == 0, said
    made = tmp_path / 'new' / 'new.mcap' if to == 'new' else tmp_path / to
    before, after = channels_of(mixed), channels_of(made)
    assert {*after} == {TOPIC, '/battery', '/points', OUTPUT, MASK, ALPHA} and len(after[OUTPUT][2]) == COUNT
    for topic in ('/battery', '/points'):
        (schema, channel, messages), (old_schema, old_channel, old_messages) = after[topic], before[topic]
        assert (schema.name, schema.encoding, schema.data) == (old_schema.name, old_schema.encoding, old_schema.data)
        assert (channel.message_encoding, channel.metadata) == (old_channel.message_encoding, old_channel.metadata)
        assert messages == old_messages
    assert extras_of(made) == extras_of(mixed) and not caplog.text


def test_names_what_database_does_not_take(run, tmp_path, mixed, caplog):
    code, said = run(mixed, '--output', tmp_path / 'new.db3')
    assert code == 0, said
    assert {*read_bag(tmp_path / 'new.db3')[0]} == {TOPIC, OUTPUT, MASK, ALPHA}
    for name in ('/battery (json)', '/points (protobuf)', 'robot', 'map.png'):
        assert name in caplog.text


def test_leaves_out_what_may_show_covered_people(run, tmp_path, mixed, caplog):
    code, said = run(mixed, '--replace', 'people', '--in-place', '--keep', '/battery', '--output', tmp_path / 'new.mcap')
    assert code == 0, said
    assert {*channels_of(tmp_path / 'new.mcap')} == {TOPIC, '/battery'}
    attachments, records = extras_of(tmp_path / 'new.mcap')
    assert not attachments and not records
    assert '/points (own.protobuf): it is not of ROS 2 but protobuf; --keep /points keeps it' in caplog.text
    assert 'robot, map.png' in caplog.text and '/battery' not in caplog.text


@pytest.fixture
def drive(tmp_path, frames):
    """A recording as robots make them: the picture of one topic is in many others, too."""
    jpeg = bytes(STORE.serialize_cdr(message(frames[0], 0, COMPRESSED), COMPRESSED))
    line = '=' * 80
    image = f'{line}\nMSG: sensor_msgs/Image\n{STORE.generate_msgdef(IMAGE, ros_version=2)[0]}'
    place = tmp_path / 'drive.mcap'
    with mcap_file(place) as writer:
        add_frames(writer, frames)
        for topic, msgtype, definition in (
                ('/camera/rgbd', 'realsense2_camera_msgs/msg/RGBD', f'sensor_msgs/Image rgb\nsensor_msgs/Image depth\n{image}'),
                ('/camera/views', 'robot_msgs/msg/Views', f'sensor_msgs/Image[] views\n{image}'),
                ('/camera/h264', 'h264_msgs/msg/Packet', 'uint64 seq\nuint8[] data\n'),
                ('/camera/ffmpeg', 'ffmpeg_image_transport_msgs/msg/FFMPEGPacket', 'string encoding\nuint8[] data\n'),
                ('/camera/video', 'foxglove_msgs/msg/CompressedVideo', 'uint8[] data\nstring format\n'),
                ('/detections', 'vision_msgs/msg/Detection2D', f'sensor_msgs/Image source_img\n{image}'),
                ('/own/frame', 'my_msgs/msg/Frame', 'uint8[] jpeg\n'), ('/own/unknown', 'my_msgs/msg/Unknown', ''),
                ('/own/base64', 'std_msgs/msg/String', None)):
            add_messages(writer, topic, msgtype, [jpeg], definition)
        add_messages(writer, '/camera/points', CLOUD, [cloud(('x', 'y', 'z', 'rgb'))] * 2)
        add_messages(writer, '/some_points', CLOUD, [cloud(('x', 'y', 'z')), cloud(('x', 'y', 'z', 'intensity'))])
        add_messages(writer, '/lidar', CLOUD, [cloud(('x', 'y', 'z', 'ring'))] * 2)
        add_messages(writer, '/no_points', CLOUD, [])
        add_messages(writer, '/tf', 'tf2_msgs/msg/TFMessage', [bytes(8)])
        add_messages(writer, '/speed', 'robot_msgs/msg/Speed', [bytes(12)], 'float64 speed\n')
        writer.add_attachment(1, 2, 'me.jpg', 'image/jpeg', jpeg)
        writer.add_metadata('photo', {'base64': 'aGVsbG8='})
    return place


@pytest.mark.parametrize('to', ['new.mcap', 'new.db3'])
def test_hidden_people_are_in_no_other_topic(run, tmp_path, drive, caplog, to):
    code, said = run(drive, '--in-place', '--look', 'privacy', '--output', tmp_path / to)
    assert code == 0, said
    with contextlib.closing(Recording(tmp_path / to)) as made:
        assert {each.topic: each.msgcount for each in made.connections if each.msgcount} == {
            TOPIC: COUNT, '/lidar': 2, '/some_points': 1, '/tf': 1, '/speed': 1}
        assert not {'/camera/points', '/camera/rgbd'} & {each.topic for each in made.connections}
        assert not [each for each in made.extras() if each.name != 'rosbag2']
    lines = [record.getMessage() for record in caplog.records if 'may show people' in record.getMessage()]
    for part in ('/camera/rgbd (realsense2_camera_msgs/msg/RGBD): rgb.encoding is a string, rgb.data is bytes',
                 '/camera/views (robot_msgs/msg/Views): views is an array of more than numbers', '/camera/h264 (',
                 '/camera/ffmpeg (', '/camera/video (', '/detections (',
                 '/own/frame (my_msgs/msg/Frame): jpeg is bytes; --keep /own/frame keeps it',
                 '/own/unknown (my_msgs/msg/Unknown): its definition is missing',
                 '/own/base64 (std_msgs/msg/String): data is a string',
                 '/camera/points (sensor_msgs/msg/PointCloud2): its points have rgb (2 of 2 messages)',
                 '/some_points (sensor_msgs/msg/PointCloud2): its points have intensity (1 of 2 messages)'):
        assert len([line for line in lines if f'people: {part}' in line]) == 1, (part, lines)
    assert len(lines) == 11 and 'me.jpg' in caplog.text and 'photo' in caplog.text


def test_topics_to_keep_stay_although_people_are_hidden(run, tmp_path, drive, caplog):
    code, said = run(drive, '--in-place', '--look', 'privacy', '--keep', '/camera/points', '--keep', '/own/frame',
                     '--output', tmp_path / 'new.mcap')
    assert code == 0, said
    before, after = channels_of(drive), channels_of(tmp_path / 'new.mcap')
    for topic in ('/camera/points', '/own/frame', '/lidar'):
        assert after[topic][2] == before[topic][2]
        assert f'people: {topic} ' not in caplog.text
    assert '/camera/h264' not in after and '/no_points' in after


def test_everything_is_copied_where_people_are_not_hidden(run, tmp_path, drive):
    code, said = run(drive, '--in-place', '--output', tmp_path / 'new.mcap')
    assert code == 0, said
    before, after = channels_of(drive), channels_of(tmp_path / 'new.mcap')
    assert {*before} == {*after} and all(after[topic][2] == before[topic][2] for topic in before if topic != TOPIC)


def test_second_definition_of_type_counts_too(run, tmp_path, frames, caplog):
    with mcap_file(tmp_path / 'two.mcap') as writer:
        add_frames(writer, frames[:1])
        add_messages(writer, '/own', 'my_msgs/msg/Own', [bytes(12)], 'float64 v\n')
        add_messages(writer, '/own', 'my_msgs/msg/Own', [bytes(12)], 'uint8[] jpeg\n')
    code, said = run(tmp_path / 'two.mcap', '--in-place', '--look', 'privacy', '--output', tmp_path / 'new.mcap')
    assert code == 0, said
    assert {*channels_of(tmp_path / 'new.mcap')} == {TOPIC} and 'jpeg is bytes' in caplog.text


@pytest.mark.parametrize('options, is_there', [((), True), (('--replace', 'people'), False)])
def test_custom_data_goes_along_unless_people_are_hidden(run, tmp_path, frames, caplog, options, is_there):
    place = write_bag(tmp_path / 'talk', frames[:1])
    code, said = run(place, '--in-place', *options, '--output', tmp_path / 'new')
    assert code == 0, said
    assert ('seven' in (tmp_path / 'new' / 'metadata.yaml').read_text()) == is_there
    assert ('custom_data robot' in caplog.text) != is_there


def test_leaves_out_second_channel_of_topic_that_is_covered(run, tmp_path, frames):
    """Of another encoding or type: it may show the same people."""
    with mcap_file(tmp_path / 'mixed.mcap') as writer:
        add_foreign(writer, TOPIC, 'json', b'{"data": "people"}')
        add_frames(writer, frames)
        other = writer.register_channel(TOPIC, 'cdr', writer.register_schema(COMPRESSED, 'ros2msg', b''))
        writer.add_message(other, 10 ** 18, bytes(STORE.serialize_cdr(message(frames[0], 0, COMPRESSED), COMPRESSED)), 10 ** 18)
    with contextlib.closing(Recording(tmp_path / 'mixed.mcap')) as recording:
        assert len(recording.connections) == 3
    code, said = run(tmp_path / 'mixed.mcap', '--replace', 'people', '--in-place', '--output', tmp_path / 'new.mcap')
    assert code == 0, said
    with contextlib.closing(Recording(tmp_path / 'new.mcap')) as recording:
        assert len(recording.connections) == 1


def test_names_way_from_ros_1(run, tmp_path):
    with mcap_file(tmp_path / 'old.mcap', 'ros1') as writer:
        add_foreign(writer, TOPIC, 'ros1', b'image')
    code, said = run(tmp_path / 'old.mcap', '--output', tmp_path / 'new.mcap')
    assert code == 2 and 'ROS 1: convert it with rosbags-convert' in said and names(tmp_path) == ['old.mcap']


def test_names_types_without_definition(run, tmp_path, frames, caplog):
    place = write_bag(tmp_path / 'talk', frames, storage='SQLITE3') / 'talk.db3'
    with contextlib.closing(sqlite3.connect(place)) as database, database:
        database.execute('UPDATE message_definitions SET encoding = "", encoded_message_definition = "" '
                         'WHERE topic_type LIKE "%Own"')
    code, said = run(place, '--output', tmp_path / 'new')
    assert code == 0, said
    assert 'no definition of robot_msgs/msg/Own' in caplog.text
    assert len([topic for topic, *_ in read_bag(tmp_path / 'new')[1] if topic == '/own']) == 3 * COUNT


def test_processes_what_killed_recorder_left(run, tmp_path, frames):
    write_bag(tmp_path / 'talk', frames, storage='SQLITE3')
    place = killed_recorder(tmp_path / 'talk', tmp_path / 'killed', rows=12)
    code, said = run(place, '--output', tmp_path / 'new.mcap')
    assert code == 0, said
    assert len(images_of(tmp_path / 'new.mcap', OUTPUT)) == COUNT


@pytest.mark.parametrize('before, after', [('mono8', 'mono8'), ('8UC1', '8UC1'), ('mono16', 'mono8'), ('rgb8', 'rgb8'),
                                           ('8UC3', '8UC3'), ('bgr8', 'bgr8'), ('bgra8', 'bgr8'), ('bayer_rggb8', 'bgr8')])
def test_in_place_keeps_encoding(run, tmp_path, frames, caplog, before, after):
    def convert(frame):
        grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        return {'mono8': grey, '8UC1': grey, 'bayer_rggb8': grey, 'mono16': (grey.astype(np.uint16) << 8).view(np.uint8),
                'rgb8': frame[..., ::-1].copy(), 'bgra8': cv2.cvtColor(frame, cv2.COLOR_BGR2BGRA)}.get(before, frame)
    frames = [convert(frame) for frame in frames]
    with Writer(tmp_path / 'talk', version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        image = writer.add_connection(TOPIC, IMAGE, typestore=STORE)
        for number, frame in enumerate(frames):
            fields = {'encoding': before, 'width': 160, 'step': frame[0].size}
            writer.write(image, 10 ** 18 + number, STORE.serialize_cdr(message(frame, number, IMAGE, **fields), IMAGE))
    code, said = run(tmp_path / 'talk', '--in-place', '--background-color', '10,200,30', '--output', tmp_path / 'new')
    assert code == 0, said
    images = images_of(tmp_path / 'new', TOPIC)
    assert {image.encoding for image in images} == {after}
    color = {'mono8': 124, '8UC1': 124, 'rgb8': (10, 200, 30)}.get(after, (30, 200, 10))
    for image in images:
        assert np.abs(pixels_of(image)[0, 0].astype(int) - color).max() <= 3
    assert (f'images of {TOPIC} in {before} are written as {after}' in caplog.text) == (before != after)


@pytest.mark.parametrize('format_, encoding', [('mono8; jpeg compressed ', 'mono8'), ('mono8; png compressed ', 'mono8'),
                                               ('bgr8; jpeg compressed bgr8', 'bgr8'), ('jpeg', 'bgr8')])
def test_in_place_keeps_grey_of_compressed_images(run, tmp_path, frames, format_, encoding):
    place = write_bag(tmp_path / 'talk', frames, COMPRESSED, (TOPIC + '/compressed',), format=format_)
    code, said = run(place, '--in-place', '--output', tmp_path / 'new')
    assert code == 0, said
    images = images_of(tmp_path / 'new', TOPIC + '/compressed')
    assert {image.format.startswith(encoding) for image in images} == {True}
    assert {pixels_of(image).ndim for image in images} == {2 if encoding == 'mono8' else 3}
    assert {'png' in image.format for image in images} == {'png' in format_}


def test_results_beside_grey_images_are_those_of_node(run, tmp_path, frames):
    grey = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in frames]
    place = write_bag(tmp_path / 'talk', grey, encoding='mono8', step=160)
    assert run(place, '--output', tmp_path / 'new')[0] == 0
    assert {image.encoding for image in images_of(tmp_path / 'new', OUTPUT)} == {'bgr8'}


def test_writes_compressed_recordings_of_folder_under_plain_names(run, tmp_path, frames):
    place = write_bag(tmp_path / 'talk', frames, compression='FILE')
    (tmp_path / 'all').mkdir()
    file = shutil.move(place / 'talk.mcap.zstd', tmp_path / 'all')
    assert run(tmp_path / 'all', '--output', tmp_path / 'new')[0] == 0
    assert names(tmp_path / 'new') == ['talk.mcap'] and len(images_of(tmp_path / 'new' / 'talk.mcap', OUTPUT)) == COUNT
    shutil.copy(file, tmp_path / 'all' / 'talk.mcap')
    code, said = run(tmp_path / 'all', '--output', tmp_path / 'newer')
    assert code == 2 and 'talk.mcap.zstd' in said and not (tmp_path / 'newer').exists()
    code, said = run(tmp_path / 'all' / 'talk.mcap.zstd', '--output', tmp_path / 'new.mcap.zstd')
    assert code == 2 and '.zstd' in said


def long_recording(path, sample, frames=600):
    """A recording that takes the program some seconds: a worker must not be done before another has started."""
    return write_bag(path, [cv2.resize(frame, (160, 120)) for frame in sample[:100]] * (frames // 100))


def grown(*partial) -> bool:
    """Whether all of the hidden folders hold a file that is being written."""
    return all(any(path.stat().st_size > 1_000_000 for path in folder.rglob('*.mcap')) for folder in partial)


def processes_of(parent: int) -> list[int]:
    """The workers of a program."""
    found = []
    for entry in Path('/proc').iterdir():
        with contextlib.suppress(OSError, ValueError):
            is_child = int((entry / 'stat').read_text().rpartition(')')[2].split()[1]) == parent
            if is_child and b'spawn_main' in (entry / 'cmdline').read_bytes():
                found.append(int(entry.name))
    return found


def program(start, *arguments):
    return start('', command=[sys.executable, '-m', 'self_segmentation', *map(str, arguments)], env=dict(os.environ))


@pytest.mark.parametrize('kind', ['file', 'folder of recordings'])
def test_second_program_of_one_output_is_refused(start, tmp_path, sample, kind):
    place = long_recording(tmp_path / 'all' / 'talk', sample, 200)
    to = tmp_path / ('new.mcap' if kind == 'file' else 'new')
    partial = to / '.talk.partial' if 'of' in kind else tmp_path / f'.{to.name}.partial'
    arguments = (place.parent if 'of' in kind else place, '--output', to)
    first = program(start, *arguments)
    wait_until(lambda: grown(partial) or first.code is not None, 'a part')
    writing = [first.pid, *processes_of(first.pid)]
    for process in writing:
        os.kill(process, signal.SIGSTOP)
    second = program(start, *arguments)
    code = second.exit_code()
    for process in writing:
        os.kill(process, signal.SIGCONT)
    assert code == 1 and f'{to}' in second.said and 'is being written by another program' in second.said
    assert '.partial' not in second.said and 'Traceback' not in second.said
    assert first.exit_code() == 0, first.said
    made = to / 'talk' if 'of' in kind else to
    assert len(images_of(made, OUTPUT)) == 200 and '.partial' not in ' '.join(names(tmp_path) + names(made.parent))


def test_killed_worker_is_one_failed_recording(start, tmp_path, sample, frames):
    for name in 'ac':
        write_bag(tmp_path / 'all' / name, frames)
    long_recording(tmp_path / 'all' / 'b', sample)
    running = program(start, tmp_path / 'all', '--workers', '1', '--output', tmp_path / 'new')
    wait_until(lambda: grown(tmp_path / 'new' / '.b.partial') or running.code is not None, 'a part')
    [worker] = processes_of(running.pid)
    os.kill(worker, signal.SIGKILL)
    assert running.exit_code() == 1
    assert re.search(r"recording '\S*/all/b': its process was killed by SIGKILL", running.said), running.said
    assert 'Traceback' not in running.said
    assert names(tmp_path / 'new') == ['a', 'c'] and len(images_of(tmp_path / 'new' / 'c', OUTPUT)) == COUNT


def test_workers_end_with_killed_program(start, tmp_path, sample):
    for name in 'ab':
        long_recording(tmp_path / 'all' / name, sample)
    running = program(start, tmp_path / 'all', '--workers', '2', '--output', tmp_path / 'new')
    partial = [tmp_path / 'new' / f'.{name}.partial' for name in 'ab']
    wait_until(lambda: grown(*partial) or running.code is not None, 'parts')
    workers = processes_of(running.pid)
    assert len(workers) == 2
    running.send(signal.SIGKILL)
    wait_until(lambda: not any(Path(f'/proc/{worker}').exists() for worker in workers), 'the end of the workers')
    assert names(tmp_path / 'new') == []


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_signal_to_terminal_ends_workers_too(tmp_path, sample, number):
    for name in 'ab':
        long_recording(tmp_path / 'all' / name, sample)
    command = [sys.executable, '-m', 'self_segmentation', tmp_path / 'all', '--output', tmp_path / 'new']
    partial = [tmp_path / 'new' / f'.{name}.partial' for name in 'ab']
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as running:
        wait_until(lambda: grown(*partial) or running.poll() is not None, 'parts')
        workers = processes_of(running.pid)
        assert len(workers) == 2
        os.killpg(running.pid, number)  # as a terminal does: to all of its processes
        said = running.communicate()[1]
    assert running.returncode == 1 and 'stopped: 2 of 2' in said and 'Traceback' not in said, said
    assert names(tmp_path / 'new') == [] and not any(Path(f'/proc/{worker}').exists() for worker in workers)

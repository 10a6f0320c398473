# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Recordings as recorders, crashes and other programs leave them: what is in them is read or named, never lost in silence."""
import contextlib
import hashlib
import re
import shutil
import sqlite3
import tempfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from bags import (
    COMPRESSED,
    IMAGE,
    QOS,
    STORE,
    TOPIC,
    CompressionType,
    add_foreign,
    add_frames,
    killed_recorder,
    mcap_file,
    message,
    read_bag,
    write_bag,
    write_split_bag,
)
from damage import damaged, many
from fuzz.promises import soon
from hypothesis import given
from hypothesis import strategies as st
from rosbags.interfaces import QosDurability
from rosbags.rosbag2 import StoragePlugin, Writer

from self_segmentation.errors import InputError
from self_segmentation.recordings.files import zstd_module
from self_segmentation.recordings.reader import Recording, is_recording, recordings_in
from self_segmentation.recordings.writer import RecordingWriter

FRAMES = [np.full((24, 32, 3), value, np.uint8) for value in range(10, 60, 10)]
COUNT = 4 * len(FRAMES)  # messages: three others beside each frame


def read(path: Path) -> tuple[list[tuple[str, int, bytes]], str]:
    """Topic, time and content of the messages, and what is not whole."""
    with contextlib.closing(Recording(path)) as recording:
        found, damage = [], ''
        try:
            found.extend((connection.topic, time, bytes(data)) for connection, time, data in recording.messages())
        except InputError as error:
            damage = str(error)
        return found, damage


def state(folder: Path) -> dict[str, str]:
    """What lies in a folder: names and digests of the contents."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def change_metadata(folder: Path, **changes) -> None:
    file = folder / 'metadata.yaml'
    document = yaml.safe_load(file.read_text())
    document['rosbag2_bagfile_information'].update(changes)
    file.write_text(yaml.safe_dump(document))


@pytest.fixture(params=['MCAP', 'SQLITE3'])
def storage(request) -> str:
    return request.param


@pytest.mark.parametrize('mode', ['wal', 'delete'])
@pytest.mark.parametrize('how', ['file', 'folder', 'link'])
def test_reads_what_killed_recorder_left_beside_database(tmp_path, mode, how):
    whole = read_bag(write_bag(tmp_path / 'talk', FRAMES, storage='SQLITE3'))[1]
    file = killed_recorder(tmp_path / 'talk', tmp_path / 'killed', mode)
    (tmp_path / 'link.db3').symlink_to(file)
    before = state(tmp_path / 'killed')
    assert file.name + ('-wal' if mode == 'wal' else '-journal') in before
    found, damage = read({'file': file, 'folder': file.parent, 'link': tmp_path / 'link.db3'}[how])
    assert sorted(found) == sorted(whole) and not damage
    assert state(tmp_path / 'killed') == before  # which may lie on a medium that is read-only


def test_names_wal_of_which_nothing_can_be_read(tmp_path):
    write_bag(tmp_path / 'talk', FRAMES, storage='SQLITE3')
    file = killed_recorder(tmp_path / 'talk', tmp_path / 'killed')
    wal = file.with_name(file.name + '-wal')
    wal.write_bytes(bytes(wal.stat().st_size))
    found, damage = read(file)
    assert 0 < len(found) < COUNT and '-wal' in damage


def test_says_where_copy_of_killed_recording_needs_room(tmp_path, monkeypatch):
    write_bag(tmp_path / 'talk', FRAMES, storage='SQLITE3')
    file = killed_recorder(tmp_path / 'talk', tmp_path / 'killed')
    monkeypatch.setattr(shutil, 'copyfile', lambda *_: (_ for _ in ()).throw(OSError(28, 'No space left on device')))
    with pytest.raises(InputError, match='TMPDIR'):
        Recording(file)


def test_does_not_name_files_of_database_as_passed_over(tmp_path, caplog):
    write_bag(tmp_path / 'talk', FRAMES, storage='SQLITE3')
    file = killed_recorder(tmp_path / 'talk', tmp_path / 'killed')
    (file.parent / 'metadata.yaml').unlink()
    (file.parent / 'notes.txt').touch()
    assert recordings_in(file.parent) == [file]
    assert 'notes.txt' in caplog.text and '-wal' not in caplog.text


@pytest.mark.parametrize('profile', ['', 'ros2', 'another'])
def test_reads_images_beside_channels_of_other_kinds(tmp_path, profile):
    with mcap_file(tmp_path / 'drive', profile) as writer:
        for kind in ('json', 'protobuf', 'flatbuffer', 'ros1'):
            add_foreign(writer, f'/{kind}', kind, kind.encode())
        writer.add_message(writer.register_channel('/bare', 'cbor', 0), 5, b'bare', 5)  # without a schema
        add_frames(writer, FRAMES)
    found, damage = read(tmp_path / 'drive')
    assert not damage
    assert [topic for topic, *_ in found].count(TOPIC) == len(FRAMES)
    assert {topic: data for topic, _, data in found if topic != TOPIC} == {
        '/json': b'json', '/protobuf': b'protobuf', '/flatbuffer': b'flatbuffer', '/ros1': b'ros1', '/bare': b'bare'}


@pytest.mark.parametrize('encoding', ['', 'unknown', 'omgidl'])
def test_reads_types_without_definition(tmp_path, storage, encoding):
    """'unknown' is what rosbag2 writes where it does not find one."""
    if storage == 'MCAP':
        place = tmp_path / 'drive.mcap'
        with mcap_file(place) as writer:
            add_frames(writer, FRAMES, encoding)
        undefined = [IMAGE]
    else:
        place = write_bag(tmp_path / 'drive', FRAMES, storage=storage) / 'drive.db3'
        with contextlib.closing(sqlite3.connect(place)) as database, database:
            database.execute('UPDATE message_definitions SET encoding = ?, encoded_message_definition = "" WHERE topic_type = ?',
                             (encoding, 'robot_msgs/msg/Own'))
        undefined = ['robot_msgs/msg/Own']
    found, damage = read(place)
    assert len([topic for topic, *_ in found if topic == TOPIC]) == len(FRAMES) and not damage
    with contextlib.closing(Recording(place)) as recording:
        assert recording.undefined == undefined


def test_takes_no_definition_of_another_version(tmp_path):
    """One from the store of types describes the messages only if it has the hash that the recorder noted."""
    place = write_bag(tmp_path / 'drive', FRAMES, storage='SQLITE3') / 'drive.db3'
    for digest, is_known in (('RIHS01_' + 'a' * 64, False), (STORE.hash_rihs01(IMAGE), True)):
        with contextlib.closing(sqlite3.connect(place)) as database, database:
            database.execute('DELETE FROM message_definitions')
            database.execute('UPDATE topics SET type_description_hash = ? WHERE type = ?', (digest, IMAGE))
        to = tmp_path / f'{is_known}.db3'
        with contextlib.closing(Recording(place)) as recording:
            writer = RecordingWriter(to, recording)
            for connection in recording.connections:
                writer.add(connection)
            writer.close()
        written = read_bag(to)[0][TOPIC]
        assert (len(written.msgdef.data) > 100) == is_known and written.digest == digest


@pytest.mark.parametrize('name', ['a#b', 'a?b', 'a%25b', 'a%b', "a'b", 'a b', 'ü', '\udcff'])
def test_reads_and_writes_names_with_any_character(tmp_path, storage, name):
    """Of folders and files, for input and output; the last one is a byte that is no UTF-8."""
    ending = {'MCAP': '.mcap', 'SQLITE3': '.db3'}[storage]
    plain = write_bag(tmp_path / 'talk', FRAMES, storage=storage)
    folder = tmp_path / name
    folder.mkdir()
    file = shutil.copy(next(plain.glob(f'*{ending}')), folder / f'{name}{ending}')
    messages = read_bag(plain)[1]
    for to in (f'new {name}{ending}', f'new {name}'):
        with contextlib.closing(Recording(file)) as recording:
            writer = RecordingWriter(folder / to, recording)
            topics = {each.id: writer.add(each) for each in recording.connections}
            for connection, time, data in recording.messages():
                writer.write(topics[connection.id], time, data)
            writer.close()
        assert read(folder / to) == (messages, '')
    assert {path.name for path in folder.iterdir()} == {f'{name}{ending}', f'new {name}{ending}', f'new {name}'}


@pytest.mark.parametrize('name', ['talk.ending.zstd', 'TALK.ENDING.ZSTD', 'talk'])
def test_reads_compressed_file_alone(tmp_path, storage, name):
    place = write_bag(tmp_path / 'talk', FRAMES, storage=storage, compression='FILE')
    file = next(place.glob('*.zstd'))
    ending = file.suffixes[-2].lstrip('.')
    moved = file.rename(tmp_path / name.replace('talk', 'moved').replace('ending', ending).replace('ENDING', ending.upper()))
    assert is_recording(moved)
    found, damage = read(moved)
    assert len(found) == COUNT and not damage
    cut = tmp_path / 'cut.zstd'
    cut.write_bytes(moved.read_bytes()[:-20])
    try:
        damage = read(cut)[1]
    except InputError as error:
        damage = str(error)
    assert 'cut.zstd' in damage and 'is damaged' in damage


def test_names_damaged_compressed_file_of_recording(tmp_path, storage):
    place = write_split_bag(tmp_path / 'talk', [FRAMES[:2], FRAMES[2:]], storage=storage, compression='FILE')
    file = next(place.glob('part_1*'))
    file.write_bytes(file.read_bytes()[:-20])
    found, damage = read(place)
    assert len(found) >= 8 and file.name in damage and 'part_0' not in damage
    file.write_bytes(b'\x28\xb5\x2f\xfd' + bytes(100))
    found, damage = read(place)
    assert len(found) == 8 and file.name in damage


def test_leaves_no_temporary_file(tmp_path, monkeypatch):
    place = write_bag(tmp_path / 'talk', FRAMES, storage='SQLITE3', compression='FILE')
    (tmp_path / 'temporary').mkdir()
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path / 'temporary'))
    with contextlib.closing(Recording(place)):
        assert list((tmp_path / 'temporary').iterdir())
    assert not list((tmp_path / 'temporary').iterdir())


def test_reads_compressed_messages_without_metadata(tmp_path, storage):
    place = write_bag(tmp_path / 'talk', FRAMES, storage=storage, compression='MESSAGE')
    messages = read_bag(place)[1]
    [file] = (path for path in place.iterdir() if path.name != 'metadata.yaml')
    assert read(file) == (messages, '')
    change_metadata(place, compression_mode='')
    assert read(place) == (messages, '')


def test_counts_messages_that_cannot_be_decompressed(tmp_path):
    place = write_bag(tmp_path / 'talk', FRAMES, storage='SQLITE3', compression='MESSAGE')
    with contextlib.closing(sqlite3.connect(place / 'talk.db3')) as database, database:
        database.execute('UPDATE messages SET data = substr(data, 1, 10) WHERE id IN (1, 2)')
    found, damage = read(place)
    assert len(found) == COUNT - 2 and '2 messages' in damage


@pytest.mark.parametrize('changes', [{'message_count': 0, 'topics_with_message_count': []}, {'relative_file_paths': []},
                                     {'message_count': None}, {'topics_with_message_count': None}, {'custom_data': 'odd'}])
def test_reads_files_whatever_metadata_counts(tmp_path, storage, changes):
    place = write_split_bag(tmp_path / 'talk', [FRAMES[:2], FRAMES[2:]], storage=storage)
    if 'topics_with_message_count' in changes and not changes['topics_with_message_count'] and len(changes) > 1:
        topics = yaml.safe_load((place / 'metadata.yaml').read_text())['rosbag2_bagfile_information']['topics_with_message_count']
        changes = {**changes, 'topics_with_message_count': [{**each, 'message_count': 0} for each in topics]}
    change_metadata(place, **changes)
    with contextlib.closing(Recording(place)) as recording:
        assert {each.topic: each.msgcount for each in recording.connections} == {TOPIC: 5, '/own': 15}
    found, damage = read(place)
    assert len(found) == COUNT and not damage


def test_names_messages_that_metadata_counts_and_files_lack(tmp_path, storage):
    place = write_bag(tmp_path / 'talk', FRAMES, storage=storage)
    change_metadata(place, message_count=COUNT + 3)
    found, damage = read(place)
    assert len(found) == COUNT and f'counts {COUNT + 3}' in damage and f'{COUNT} messages could be read' in damage


@pytest.mark.parametrize('content', ['', 'rosbag2_bagfile_information:', 'a: [', '- 1', '\0',
                                     'rosbag2_bagfile_information: {relative_file_paths: 7}'])
def test_reads_files_beside_unreadable_metadata(tmp_path, storage, content):
    """As a recorder leaves it that is killed while it writes that."""
    place = write_split_bag(tmp_path / 'talk', [FRAMES[:2], FRAMES[2:]], storage=storage)
    messages = read(place)[0]
    (place / 'metadata.yaml').write_text(content)
    found, damage = read(place)
    assert found == messages and 'metadata.yaml cannot be read' in damage


def test_reads_numbered_files_that_metadata_does_not_name(tmp_path, storage, caplog):
    """A recorder writes the metadata at its end, or when it begins another file."""
    place = write_split_bag(tmp_path / 'talk', [FRAMES[:1]] * 11, storage=storage)
    ending = next(place.glob('part_0*')).suffix
    messages = read(place)[0]
    assert len(messages) == 11 * 4
    shutil.copy(place / f'part_0{ending}', place / f'people_cut_out{ending}')
    change_metadata(place, relative_file_paths=[f'part_{number}{ending}' for number in range(2)], message_count=8)
    found, damage = read(place)
    assert found == messages and not damage
    assert f'does not name part_2{ending}' in caplog.text and f'part_10{ending}' in caplog.text
    assert f"passed over 1 that is not named by metadata.yaml: 'people_cut_out{ending}'" in caplog.text


def test_reads_file_that_was_decompressed_or_compressed_since(tmp_path, storage):
    place = write_bag(tmp_path / 'talk', FRAMES, storage=storage, compression='FILE')
    packed = next(place.glob('*.zstd'))
    packed.with_suffix('').write_bytes(zstd_module().decompress(packed.read_bytes()))
    assert len(read(place)[0]) == COUNT  # not twice
    packed.unlink()
    found, damage = read(place)
    assert len(found) == COUNT and not damage


def test_names_messages_of_unknown_topics(tmp_path):
    place = write_bag(tmp_path / 'talk', FRAMES, storage='SQLITE3') / 'talk.db3'
    with contextlib.closing(sqlite3.connect(place)) as database, database:
        database.execute('DELETE FROM topics WHERE name = "/own"')
    found, damage = read(place)
    assert len(found) == len(FRAMES) and '15 messages of topics that it does not name' in damage


@pytest.mark.parametrize('more', [{'use_chunking': False}, {'use_statistics': False}, {'repeat_channels': False},
                                  {'repeat_schemas': False}, {'chunk_size': 1}, {'compression': CompressionType.ZSTD},
                                  {'compression': CompressionType.LZ4}], ids=str)
def test_reads_mcap_files_of_any_layout(tmp_path, more):
    with mcap_file(tmp_path / 'drive.mcap', **more) as writer:
        add_frames(writer, FRAMES)
        writer.add_attachment(1, 2, 'map.png', 'image/png', b'map')
        writer.add_metadata('robot', {'name': 'seven'})
    found, damage = read(tmp_path / 'drive.mcap')
    assert len(found) == len(FRAMES) and not damage
    with contextlib.closing(Recording(tmp_path / 'drive.mcap')) as recording:
        assert [(each.topic, each.msgcount) for each in recording.connections] == [(TOPIC, len(FRAMES))]
        assert {each.name for each in recording.extras()} == {'map.png', 'robot'}


def test_reads_rest_of_mcap_file_with_damaged_chunk(tmp_path):
    with mcap_file(tmp_path / 'drive.mcap', chunk_size=1, use_statistics=False) as writer:
        add_frames(writer, FRAMES)
    content = bytearray((tmp_path / 'drive.mcap').read_bytes())
    content[content.index(FRAMES[2].tobytes())] ^= 1
    (tmp_path / 'drive.mcap').write_bytes(content)
    found, damage = read(tmp_path / 'drive.mcap')
    assert len(found) == len(FRAMES) - 1 and 'damaged chunk' in damage


@pytest.mark.parametrize('cut', range(1, 1200, 60))
def test_names_mcap_file_that_is_cut_off_anywhere(tmp_path, cut):
    with mcap_file(tmp_path / 'drive.mcap', chunk_size=1) as writer:
        add_frames(writer, FRAMES)
    content = (tmp_path / 'drive.mcap').read_bytes()
    (tmp_path / 'drive.mcap').write_bytes(content[:-cut])
    found, damage = read(tmp_path / 'drive.mcap')
    assert 0 < len(found) <= len(FRAMES) and 'cut off' in damage


def test_names_messages_that_end_of_mcap_file_counts_and_chunks_lack(tmp_path):
    """Where the index lacks a chunk."""
    with mcap_file(tmp_path / 'drive.mcap', chunk_size=1) as writer:
        add_frames(writer, FRAMES)
        writer._Writer__chunk_indices.pop(2)
        writer._Writer__statistics.chunk_count -= 1
    found, damage = read(tmp_path / 'drive.mcap')
    assert len(found) == len(FRAMES) - 1 and '4 of the 5' in damage


def test_names_messages_that_end_of_mcap_file_counts_and_file_lacks(tmp_path):
    """Where it has no chunks, and so no index."""
    with mcap_file(tmp_path / 'drive.mcap', use_chunking=False) as writer:
        add_frames(writer, FRAMES)
    content = (tmp_path / 'drive.mcap').read_bytes()
    first, second = (content.index(frame.tobytes()) for frame in FRAMES[1:3])
    (tmp_path / 'drive.mcap').write_bytes(content[:first] + content[second:])  # a whole message
    found, damage = read(tmp_path / 'drive.mcap')
    assert len(found) == len(FRAMES) - 1 and '4 of the 5' in damage


def test_ends_at_zeros_that_file_system_left(tmp_path):
    """After a power cut; each of them would be taken for a record."""
    with mcap_file(tmp_path / 'drive.mcap', chunk_size=1) as writer:
        add_frames(writer, FRAMES)
    content = (tmp_path / 'drive.mcap').read_bytes()
    with (tmp_path / 'drive.mcap').open('wb') as file:
        file.write(content[:-1000])
        file.truncate(8 << 30)
    found, damage = read(tmp_path / 'drive.mcap')
    assert 0 < len(found) < len(FRAMES) + 1 and 'zeros' in damage


def test_names_database_whose_last_page_is_cut(tmp_path):
    """Where what is read is whole."""
    place = write_bag(tmp_path / 'talk', FRAMES, storage='SQLITE3') / 'talk.db3'
    with contextlib.closing(sqlite3.connect(place)) as database, database:
        database.execute('CREATE TABLE last AS SELECT zeroblob(9999) AS data')
    place.write_bytes(place.read_bytes()[:-100])
    found, damage = read(place)
    assert len(found) == COUNT and 'cut off' in damage


def test_keeps_messages_of_topics_whose_qos_metadata_tells_otherwise(tmp_path, storage):
    """It is edited, to play a recording with another QoS."""
    place = write_bag(tmp_path / 'talk', FRAMES, storage=storage, version=8)
    topics = yaml.safe_load((place / 'metadata.yaml').read_text())['rosbag2_bagfile_information']['topics_with_message_count']
    for each in topics:
        each['topic_metadata'].update(offered_qos_profiles='', type_description_hash='')
    change_metadata(place, topics_with_message_count=topics)
    found, damage = read(place)
    assert len(found) == COUNT and not damage
    with contextlib.closing(Recording(place)) as recording:
        assert {each.topic: each.ext.offered_qos_profiles for each in recording.connections} == {TOPIC: QOS, '/own': []}


def test_keeps_topics_without_messages_and_latched_ones(tmp_path, storage):
    latched = [QOS[0]._replace(durability=QosDurability.TRANSIENT_LOCAL)]
    with Writer(tmp_path / 'talk', version=9, storage_plugin=StoragePlugin[storage]) as writer:
        writer.add_connection('/map', 'std_msgs/msg/String', typestore=STORE, offered_qos_profiles=latched)
        image = writer.add_connection(TOPIC, IMAGE, typestore=STORE, offered_qos_profiles=QOS)
        writer.write(image, 1, STORE.serialize_cdr(message(FRAMES[0], 0, IMAGE), IMAGE))
    if storage == 'MCAP':  # rosbag2 writes a channel with its first message only
        (tmp_path / 'talk' / 'talk.mcap').unlink()
        with mcap_file(tmp_path / 'talk' / 'talk.mcap') as again:
            add_frames(again, FRAMES[:1])
    with contextlib.closing(Recording(tmp_path / 'talk')) as recording:
        found = {each.topic: each for each in recording.connections}
        assert found['/map'].ext.offered_qos_profiles == latched and found['/map'].msgcount == 0
        assert found[TOPIC].ext.offered_qos_profiles == QOS


def test_unreadable_qos_does_not_stop_the_rest(tmp_path, caplog):
    with mcap_file(tmp_path / 'drive.mcap') as writer:
        add_frames(writer, FRAMES, qos='- history: [')
    found, damage = read(tmp_path / 'drive.mcap')
    assert len(found) == len(FRAMES) and not damage and 'QoS of' in caplog.text and TOPIC in caplog.text


def test_refuses_recording_that_is_missing_or_empty(tmp_path):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'empty' / 'metadata.yaml').write_text('rosbag2_bagfile_information: {relative_file_paths: []}')
    with mcap_file(tmp_path / 'empty.mcap'):
        pass
    for place, reason in (('missing.mcap', 'is missing'), ('empty', 'no topics'), ('empty.mcap', 'no topics')):
        with pytest.raises(InputError, match=f'{re.escape(place)}.*{reason}'):
            Recording(tmp_path / place)


def test_knows_recordings_by_content(tmp_path):
    file = tmp_path / 'file'
    for content in (b'\x89MCAP0\r\n', b'SQLite format 3\0', b'\x28\xb5\x2f\xfd', b'#ROSBAG V2.0\n', b'none'):
        file.write_bytes(content)
        assert is_recording(file) == (content != b'none')


def contents() -> list[bytes]:
    """Small recordings of every kind."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for number, more in enumerate(({'chunk_size': 1}, {'compression': CompressionType.ZSTD}, {'use_chunking': False},
                                       {'compression': CompressionType.LZ4})):
            with mcap_file(place / f'{number}.mcap', **more) as writer:
                add_frames(writer, [frame[:4, :4] for frame in FRAMES])
                writer.add_attachment(1, 2, 'map.png', 'image/png', b'map')
        for compression in ('NONE', 'FILE', 'MESSAGE'):
            write_bag(place / compression, [FRAMES[0]], storage='SQLITE3', compression=compression)
        return [file.read_bytes() for file in sorted(place.rglob('*')) if file.is_file() and file.suffix != '.yaml']


@pytest.mark.slow
@many(300)
@given(st.deferred(lambda: damaged(contents())))
def test_reads_or_refuses_damaged_recording(content):
    with tempfile.TemporaryDirectory() as folder, soon():
        place = Path(folder, 'recording')
        place.write_bytes(content)
        with contextlib.suppress(InputError):
            read(place)


def test_two_publishers_of_one_topic_are_kept(tmp_path):
    place = tmp_path / 'talk'
    with Writer(place, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        two = [writer.add_connection(TOPIC, COMPRESSED, typestore=STORE, offered_qos_profiles=qos) for qos in (QOS, [])]
        for number, frame in enumerate(FRAMES):
            writer.write(two[number % 2], 10 ** 18 + number, STORE.serialize_cdr(message(frame, number, COMPRESSED), COMPRESSED))
    found, damage = read(place)
    assert len(found) == len(FRAMES) and not damage

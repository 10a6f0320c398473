# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Small recordings, made for the tests by rosbags' own writer and MCAP's, and read by their readers."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from mcap.reader import make_reader
from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

STORE = get_typestore(Stores.ROS2_HUMBLE)
STORE.register(get_types_from_msg('float64 value\nstring name\n', 'robot_msgs/msg/Own'))
QOS = [Qos(QosHistory.KEEP_LAST, 5, QosReliability.BEST_EFFORT, QosDurability.VOLATILE, QosTime(1, 2), QosTime(0, 0),
           QosLiveliness.AUTOMATIC, QosTime(0, 0), False)]
IMAGE, COMPRESSED, OWN = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage', 'robot_msgs/msg/Own'
TOPIC = '/camera/image_raw'


def message(frame: np.ndarray, number: int, kind: str, **more: Any) -> Any:
    """The message of a blue green red frame."""
    stamp = STORE.types['builtin_interfaces/msg/Time'](100 + number // 15, number % 15 * 66_000_000)
    header = STORE.types['std_msgs/msg/Header'](stamp, 'cam')
    if kind == COMPRESSED:
        return STORE.types[kind](header, more.get('format', 'jpeg'), cv2.imencode('.jpg', frame)[1].reshape(-1))
    fields = {'height': frame.shape[0], 'width': frame.shape[1], 'encoding': 'bgr8', 'is_bigendian': 0,
              'step': frame.shape[1] * 3, 'data': frame.reshape(-1), **more}
    return STORE.types[kind](header, **fields)


def write_bag(path: Path, frames: list[np.ndarray], kind: str = IMAGE, topics: tuple[str, ...] = (TOPIC,),
              storage: str = 'MCAP', compression: str = 'NONE', version: int = 9, first: int = 0, **more: Any) -> Path:
    """Write a recording: frames on each image topic, and messages of another kind between them."""
    writer = Writer(path, version=version, storage_plugin=StoragePlugin[storage])
    writer.set_compression(CompressionMode[compression], CompressionFormat.ZSTD)
    writer.set_custom_data('robot', 'seven')
    writer.open()
    images = [writer.add_connection(topic, kind, typestore=STORE, offered_qos_profiles=QOS) for topic in topics]
    other = writer.add_connection('/own', OWN, typestore=STORE)
    for number, frame in enumerate(frames, first):
        time = 10 ** 18 + number * 66_000_000
        for image in images:
            writer.write(image, time, STORE.serialize_cdr(message(frame, number, kind, **more), kind))
        for part in range(3):
            own = STORE.types[OWN](float(number), 'x' * part)
            writer.write(other, time + part + 1, STORE.serialize_cdr(own, OWN))
    writer.close()
    return path


def write_split_bag(path: Path, parts: list[list[np.ndarray]], **more: Any) -> Path:
    """Write a recording of several files, as ``ros2 bag record --max-bag-size`` does."""
    merged: dict[str, Any] = {}
    for number, frames in enumerate(parts):
        part = write_bag(path / f'part_{number}', frames, first=sum(map(len, parts[:number])), **more)
        information = yaml.safe_load((part / 'metadata.yaml').read_text())['rosbag2_bagfile_information']
        merged = merged or {**information, 'message_count': 0, 'relative_file_paths': []}
        merged['message_count'] += information['message_count']
        merged['relative_file_paths'] += information['relative_file_paths']
        for name in information['relative_file_paths']:
            (part / name).rename(path / name)
        shutil.rmtree(part)
    (path / 'metadata.yaml').write_text(yaml.safe_dump({'rosbag2_bagfile_information': merged}))
    return path


@contextlib.contextmanager
def mcap_file(path: Path, profile: str = 'ros2', compression: CompressionType = CompressionType.NONE,
              **more: Any) -> Iterator[McapWriter]:
    """An MCAP file, to be written by its own library."""
    with path.open('wb') as file:
        writer = McapWriter(file, compression=compression, **more)
        writer.start(profile)
        yield writer
        writer.finish()


def add_frames(writer: McapWriter, frames: list[np.ndarray], encoding: str = 'ros2msg', qos: str = '') -> None:
    """Write frames as messages of ROS 2 to an MCAP file."""
    definition = STORE.generate_msgdef(IMAGE, ros_version=2)[0].encode() if encoding.startswith('ros2') else b''
    schema = writer.register_schema(IMAGE, encoding, definition)
    channel = writer.register_channel(TOPIC, 'cdr', schema, {'offered_qos_profiles': qos})
    for number, frame in enumerate(frames):
        time = 10 ** 18 + number * 66_000_000
        writer.add_message(channel, time, bytes(STORE.serialize_cdr(message(frame, number, IMAGE), IMAGE)), time)


def add_foreign(writer: McapWriter, topic: str, kind: str, content: bytes) -> None:
    """Write a message that is not of ROS 2 to an MCAP file: JSON, Protocol Buffers, FlatBuffers, ROS 1."""
    schema = {'json': 'jsonschema', 'ros1': 'ros1msg'}.get(kind, kind)
    number = writer.register_schema(f'own.{kind}', schema, b'{"type": "object"}')
    writer.add_message(writer.register_channel(topic, kind, number, {'from': 'the test'}), 10 ** 18 + 5, content, 10 ** 18 + 5)


def cloud(fields: tuple[str, ...], points: int = 6, step: int | None = None, count: int = 1, datatype: int = 7,
          beside: np.ndarray | None = None) -> bytes:
    """A PointCloud2 of fields of four bytes; ``beside``: what is in the bytes of each point that belong to no field."""
    types, kind = STORE.types, 'sensor_msgs/msg/PointCloud2'
    step = 4 * len(fields) * count if step is None else step
    data = np.zeros((points, step or 4), np.uint8)
    if beside is not None:
        data[:, 4 * len(fields):] = beside
    header = types['std_msgs/msg/Header'](types['builtin_interfaces/msg/Time'](100, 0), 'cam')
    named = [types['sensor_msgs/msg/PointField'](name, 4 * place, datatype, count) for place, name in enumerate(fields)]
    made = types[kind](header, 1, points, named, False, step, step * points, data.reshape(-1), True)
    return bytes(STORE.serialize_cdr(made, kind))


def add_messages(writer: McapWriter, topic: str, msgtype: str, contents: list[bytes], definition: str | None = None) -> None:
    """Write messages of ROS 2 to an MCAP file; without a definition, with that of ROS 2."""
    text = STORE.generate_msgdef(msgtype, ros_version=2)[0] if definition is None else definition
    channel = writer.register_channel(topic, 'cdr', writer.register_schema(msgtype, 'ros2msg' if text else '', text.encode()))
    for number, content in enumerate(contents):
        writer.add_message(channel, 10 ** 18 + number, content, 10 ** 18 + number)


def channels_of(path: Path) -> dict[str, tuple[Any, Any, list[bytes]]]:
    """Schema, channel and contents of the messages of an MCAP file, by topic."""
    with path.open('rb') as file:
        reader = make_reader(file)
        summary = reader.get_summary()
        found = {each.topic: (summary.schemas.get(each.schema_id), each, []) for each in summary.channels.values()}
        for _, channel, each in reader.iter_messages():
            found[channel.topic][2].append(each.data)
    return found


def extras_of(path: Path) -> tuple[list[Any], list[Any]]:
    """Attachments, and records of metadata but the recorder's own, of an MCAP file."""
    with path.open('rb') as file:
        reader = make_reader(file)
        return list(reader.iter_attachments()), [each for each in reader.iter_metadata() if each.name != 'rosbag2']


def killed_recorder(folder: Path, to: Path, mode: str = 'wal', rows: int = 3) -> Path:
    """Copy a database as a recorder leaves it that is killed: its last messages lie beside it, in the ``-wal``."""
    [database] = folder.glob('*.db3')
    to.mkdir()
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as recorder:
        recorder.execute(f'PRAGMA journal_mode = {mode}')
        last = recorder.execute('SELECT topic_id, timestamp, data FROM messages ORDER BY timestamp DESC LIMIT ?',
                                (rows,)).fetchall()
        if mode == 'wal':
            recorder.execute('DELETE FROM messages WHERE timestamp >= ?', (last[-1][1],))
            recorder.execute('PRAGMA wal_checkpoint(TRUNCATE)')
            recorder.execute('PRAGMA wal_autocheckpoint = 0')
            recorder.executemany('INSERT INTO messages (topic_id, timestamp, data) VALUES (?, ?, ?)', last)
        else:  # in the middle of what is to be undone
            recorder.execute('PRAGMA cache_size = 1')
            recorder.execute('BEGIN')
            recorder.execute('UPDATE messages SET data = zeroblob(length(data))')
        for file in folder.iterdir():
            if not file.name.endswith('-shm'):
                shutil.copy(file, to)
    return to / database.name


def read_bag(path: Path) -> tuple[dict[str, Any], list[tuple[str, int, bytes]]]:
    """Connections by topic, and messages in order: topic, time, content."""
    with Reader(path) as reader:
        connections = {each.topic: each for each in reader.connections}
        return connections, [(each.topic, time, bytes(data)) for each, time, data in reader.messages()]


def images_of(path: Path, topic: str) -> list[Any]:
    """The decoded messages of a topic."""
    connections, messages = read_bag(path)
    return [STORE.deserialize_cdr(data, connections[name].msgtype) for name, _, data in messages if name == topic]


def pixels_of(message: Any) -> np.ndarray:
    """The pixels of an image message."""
    if hasattr(message, 'format'):
        return cv2.imdecode(message.data, cv2.IMREAD_UNCHANGED)
    return message.data.reshape(message.height, message.width, -1).squeeze()

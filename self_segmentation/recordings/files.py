# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The files of a recording, MCAP or SQLite, compressed or not: what can be read of each, and what cannot."""

from __future__ import annotations

import contextlib
import itertools
import logging
import re
import shutil
import sqlite3
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import yaml

from ..errors import LibraryMissingError
from ..resources import Closing

__all__ = ['ENDINGS', 'ROS1_ENDING', 'ZSTD_ENDING', 'Origin', 'RecordingFile', 'begins_as_recording', 'connection_of', 'is_ros2',
           'library_errors', 'reason_of', 'require_libraries', 'zstd_module']

_LOGGER = logging.getLogger('self_segmentation.files')
_MCAP, _SQLITE, _ZSTD, _ROS1 = b'\x89MCAP0\r\n', b'SQLite format 3\0', b'\x28\xb5\x2f\xfd', b'#ROSBAG V'
ENDINGS = ('.mcap', '.db3')
ZSTD_ENDING, ROS1_ENDING = '.zstd', '.bag'
_BESIDE = ('-wal', '-journal')  # what SQLite has not written to the database yet, or has to undo
_CDR = 'cdr'  # how ROS 2 encodes messages; the first byte of one is zero
_QOS = 'offered_qos_profiles'


class Origin(NamedTuple):
    """Schema (None where it has none) and channel of an MCAP file, as its library gives them."""

    schema: Any
    channel: Any


def zstd_module() -> Any:
    """Return Python's module for zstd, or its backport before Python 3.14."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd


def require_libraries(what: str) -> None:
    """
    Import what recordings need.

    :raises LibraryMissingError: one of them is missing.
    """
    try:
        import mcap.reader  # noqa: F401
        import rosbags.rosbag2  # noqa: F401

        zstd_module()
    except ImportError as error:
        raise LibraryMissingError(f'recording {what!r}: recordings need rosbags and mcap, which cannot be imported ({error}): '
                                  f'{sys.executable} -m pip install --no-deps rosbags mcap apsw backports.zstd lz4 ruamel.yaml '
                                  'typing_extensions zstandard') from error


def library_errors() -> tuple[type[Exception], ...]:
    """Return what the libraries raise for damaged files and full disks."""
    import zstandard
    from mcap.exceptions import McapError
    from rosbags.rosbag2 import ReaderError, WriterError

    return (sqlite3.Error, yaml.YAMLError, McapError, ReaderError, WriterError, zstandard.ZstdError, zstd_module().ZstdError,
            ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError, TypeError,
            ValueError, struct.error)


def reason_of(error: Exception) -> str:
    """Return the text of an error, or the name of its class."""
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


def _begin(path: Path) -> bytes:
    with path.open('rb') as file:
        return file.read(16)


def begins_as_recording(path: Path) -> bool:
    """
    Return whether a file begins as a recording does.

    :raises OSError: it cannot be read.
    """
    return _begin(path).startswith((_MCAP, _SQLITE, _ZSTD, _ROS1))


def is_ros2(connection: Any) -> bool:
    """Return whether the messages of a connection are those of ROS 2."""
    return bool(connection.ext.serialization_format == _CDR)


class _Storage:
    """What files of both kinds have. An object of this class stands for a file of which nothing can be read."""

    name = ''  # as rosbag2 calls the storage
    has_definitions = is_compressed = False  # of types; in itself

    def __init__(self, damages: list[str]) -> None:
        self.connections, self.qos, self.damages = list[Any](), list[str](), damages

    @property
    def has_qos_in_words(self) -> bool:
        """Whether it writes QoS as Jazzy does: ``history: keep_last``, not ``history: 1``."""
        return any(re.search(r'history: [a-z]', text) for text in self.qos)

    @property
    def undefined(self) -> set[str]:
        """Types of ROS 2 whose definition it lacks, though it is a file that has definitions."""
        return {each.msgtype for each in self.connections if self.has_definitions and is_ros2(each) and not each.msgdef.data}

    def messages(self) -> Iterator[tuple[Any, int, bytes]]:
        yield from ()

    def extras(self) -> Iterator[Any]:
        yield from ()


class RecordingFile(Closing):
    """
    A file of a recording: it gives what can be read.

    ``storage`` knows what is in it. Its ``connections`` are rosbags'; the ``owner`` of those of an MCAP file is their
    :class:`Origin`. ``damage`` is what is not whole, as the end of a sentence; reading finds more.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._damages, self._closing = path, list[str](), contextlib.ExitStack()
        self._errors = library_errors()
        self.storage = _Storage(self._damages)
        try:
            self._open()
        except FileNotFoundError:
            self._damages.append('is missing')
        except self._errors as error:
            self._damages.append(f'cannot be read: {reason_of(error)}')

    @property
    def damage(self) -> str:
        """What is not whole, as the end of a sentence; '' as far as nothing was found."""
        return ' and '.join(dict.fromkeys(self._damages))

    def _open(self) -> None:
        place = self.path
        if (begin := _begin(place)).startswith(_ZSTD):
            place = self._decompressed()
            begin = _begin(place)
        if begin.startswith(_ROS1) or self.path.suffix.lower() == ROS1_ENDING:
            raise ValueError(f'ROS 1: convert it with rosbags-convert --src {self.path} --dst {self.path.with_suffix("")}')
        storage: _Database | _Mcap
        if begin.startswith(_SQLITE):
            storage = _Database(self._with_what_lies_beside(place), self._damages)
        elif begin.startswith(_MCAP):
            storage = _Mcap(place, self._damages)
        else:
            raise ValueError('it is neither MCAP nor SQLite' if begin else 'it is empty')
        self._closing.callback(storage.close)
        storage.open()
        self.storage = storage

    def _scratch(self) -> Path:
        """Return a folder for temporary files: the recording's own may be read-only."""
        return Path(self._closing.enter_context(TemporaryDirectory(prefix='self_segmentation_')))

    def _decompressed(self) -> Path:
        place = self._scratch() / 'file'
        zstd = zstd_module()
        with zstd.open(self.path, 'rb') as file, place.open('wb') as to:
            try:
                shutil.copyfileobj(file, to, 1 << 20)
            except (EOFError, zstd.ZstdError) as error:  # what came before may be whole
                self._damages.append(f'is damaged: {reason_of(error)}')
        return place

    def _with_what_lies_beside(self, place: Path) -> Path:
        """
        Return a database with what is in its ``-wal`` or ``-journal``, which a killed recorder leaves.

        SQLite has to write for that, so it gets a copy.
        """
        real = place.resolve()  # SQLite looks there, too
        beside = [path for path in (real.with_name(real.name + ending) for ending in _BESIDE)
                  if path.is_file() and path.stat().st_size]
        if not beside:
            return place
        folder = self._scratch()
        for path in (real, *beside):
            try:
                shutil.copyfile(path, folder / path.name)
            except OSError as error:
                raise OSError(f'{path} cannot be copied to {folder} ({error.strerror}), to take in what {beside[0].name} has: '
                              'give a TMPDIR with room for it') from error
        return folder / real.name

    def messages(self) -> Iterator[tuple[Any, int, bytes]]:
        """Yield connection, time in nanoseconds and content of the messages that can be read, by time."""
        zstd, broken = zstd_module(), 0
        try:
            for connection, time, data in self.storage.messages():
                if data[:4] == _ZSTD and is_ros2(connection):  # rosbag2's compression of messages
                    try:
                        data = zstd.decompress(data)
                    except zstd.ZstdError:
                        broken += 1
                        continue
                yield connection, time, data
        except self._errors as error:
            self._damages.append(f'is damaged: {reason_of(error)}')
        if broken:
            self._damages.append(f'has {broken} messages that cannot be decompressed')

    def extras(self) -> Iterator[Any]:
        """Yield an MCAP file's attachments, and metadata records but rosbag2's own, as the library mcap gives them."""
        try:
            yield from self.storage.extras()
        except self._errors as error:
            self._damages.append(f'is damaged: {reason_of(error)}')

    def close(self) -> None:
        """Close the file, and remove temporary ones."""
        self._closing.close()


def connection_of(number: int, topic: str, msgtype: str, definition: tuple[str, str] = ('', ''), digest: str = '', count: int = 0,
                  encoding: str = _CDR, qos: Any = '', owner: Any = None) -> Any:
    """
    Return rosbags' connection.

    :param definition: encoding and text of the type's definition.
    :param encoding: of the messages.
    :param qos: what the recorder wrote of QoS; what cannot be read of it is logged and left out.
    """
    from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinition, MessageDefinitionFormat
    from rosbags.rosbag2.metadata import parse_qos

    formats = {'ros2msg': MessageDefinitionFormat.MSG, 'ros2idl': MessageDefinitionFormat.IDL,
               'omgidl': MessageDefinitionFormat.IDL}
    kind = formats.get(definition[0] if definition[1] else '', MessageDefinitionFormat.NONE)
    try:
        profiles = parse_qos(qos)
    except library_errors() as error:
        _LOGGER.warning('QoS of %s cannot be read (%s): %r', topic, reason_of(error), qos)
        profiles = []
    text = '' if kind is MessageDefinitionFormat.NONE else definition[1]
    return Connection(number, topic, msgtype, MessageDefinition(kind, text), digest, count,
                      ConnectionExtRosbag2(encoding, profiles), owner)


class _Database(_Storage):
    """A file of SQLite, opened read-only, or a temporary copy."""

    name = 'sqlite3'

    def __init__(self, path: Path, damages: list[str]) -> None:
        super().__init__(damages)
        self._path = path
        wal = path.with_name(path.name + '-wal')
        self._wal = wal if any(path.with_name(path.name + ending).exists() for ending in _BESIDE) else None
        how = 'mode=rw' if self._wal else 'immutable=1'  # immutable: makes no files beside it, wants no lock
        self._database = sqlite3.connect(f'{path.absolute().as_uri()}?{how}', uri=True)

    def close(self) -> None:
        self._database.close()

    def _rows(self, query: str) -> list[Any]:
        return self._database.execute(query).fetchall()

    def open(self) -> None:
        if self._wal is not None and self._wal.is_file():
            size = self._wal.stat().st_size
            [(_, frames, _)] = self._rows('PRAGMA wal_checkpoint(PASSIVE)')
            if frames <= 0 and size > 32:  # of its head
                self.damages.append(f'has a -wal of {size} bytes of which nothing can be read')
        [(page,)], size = self._rows('PRAGMA page_size'), self._path.stat().st_size
        if size % page:  # SQLite itself finds a whole page that is missing
            self.damages.append(f'is cut off: {size} bytes are no whole number of pages of {page}')
        tables = {name for name, in self._rows('SELECT name FROM sqlite_master WHERE type = "table"')}
        if not {'messages', 'topics'} <= tables:
            raise ValueError('it lacks the tables messages and topics')
        columns = {row[1] for row in self._rows('PRAGMA table_info(topics)')}
        qos, digest = (name if name in columns else "''" for name in (_QOS, 'type_description_hash'))
        definitions: dict[str, tuple[str, str]] = {}
        if 'message_definitions' in tables:  # from Iron on
            self.has_definitions = True
            for msgtype, encoding, text in self._rows('SELECT topic_type, encoding, encoded_message_definition '
                                                      'FROM message_definitions ORDER BY id DESC'):
                definitions[msgtype] = (encoding, text)
        counts = dict(self._rows('SELECT topic_id, COUNT(*) FROM messages GROUP BY topic_id'))
        for number, topic, msgtype, format_, profiles, hashed in self._rows(
                f'SELECT id, name, type, serialization_format, {qos}, {digest} FROM topics ORDER BY id'):
            self.connections.append(connection_of(number, topic, msgtype, definitions.get(msgtype, ('', '')), hashed or '',
                                                  counts.pop(number, 0), format_ or _CDR, profiles or ''))
            self.qos.append(profiles or '')
        if counts:
            self.damages.append(f'has {sum(counts.values())} messages of topics that it does not name')

    def messages(self) -> Iterator[tuple[Any, int, bytes]]:
        by_number = {each.id: each for each in self.connections}
        for number, time, data in self._database.execute('SELECT topic_id, timestamp, data FROM messages ORDER BY timestamp'):
            if number in by_number:
                yield by_number[number], time, data


class _Mcap(_Storage):
    """
    An MCAP file. Its end has an index of the messages.

    Without a whole end, the file is read from its begin, in its own order, as far as it goes.
    """

    name, has_definitions = 'mcap', True

    def __init__(self, path: Path, damages: list[str]) -> None:
        super().__init__(damages)
        self._file = path.open('rb')
        self._indexed: Any = None  # reader of a file with a whole end
        self._counted = 0  # messages, by its end

    def close(self) -> None:
        self._file.close()

    def open(self) -> None:
        from mcap.reader import SeekingReader
        from mcap.records import Channel, Message, Schema, Statistics

        summary: Any = None
        try:
            reader = SeekingReader(self._file, validate_crcs=True)
            summary = reader.get_summary()
        except library_errors() as error:
            _LOGGER.debug('%s: %s', self._file.name, reason_of(error))  # reported where it is read from its begin
        if summary is not None and _is_complete(summary):
            self._indexed, self._counted = reader, summary.statistics.message_count
            schemas, channels, counts = summary.schemas, summary.channels, dict(summary.statistics.channel_message_counts)
            self.is_compressed = any(each.compression for each in summary.chunk_indexes)
        else:
            schemas, channels, counts = {}, {}, {}
            for record in self._records():
                if isinstance(record, Schema):
                    schemas[record.id] = record
                elif isinstance(record, Channel):
                    channels[record.id] = record
                elif isinstance(record, Message):
                    counts[record.channel_id] = counts.get(record.channel_id, 0) + 1
                elif isinstance(record, Statistics):
                    self._counted = record.message_count
        for channel in channels.values():
            self._add(schemas.get(channel.schema_id), channel, counts.pop(channel.id, 0))
        if counts:
            self.damages.append(f'has {sum(counts.values())} messages of channels that it does not describe')
        if self.damages and not self.connections:
            raise ValueError('it is cut off before its first message')

    def _add(self, schema: Any, channel: Any, count: int) -> None:
        qos, encoding = channel.metadata.get(_QOS, ''), schema.encoding if schema else ''
        is_text = channel.message_encoding == _CDR and encoding in ('ros2msg', 'ros2idl', 'omgidl')
        self.qos.append(qos)
        self.connections.append(connection_of(
            channel.id, channel.topic, schema.name if schema else '', (encoding, schema.data.decode() if is_text else ''),
            channel.metadata.get('topic_type_hash', ''), count, channel.message_encoding, qos, Origin(schema, channel)))

    def _records(self) -> Iterator[Any]:
        """Yield the records of the file, and of those chunks that are whole, from its begin on."""
        from mcap.records import Chunk, Footer
        from mcap.stream_reader import StreamReader, breakup_chunk

        self._file.seek(len(_MCAP))
        record = None
        while not isinstance(record, Footer):
            try:
                if self._file.peek(1)[:1] == b'\0':  # no record: a file system's zeros, after a power cut
                    raise EOFError('zeros follow')
                record = next(StreamReader(self._file, skip_magic=True, emit_chunks=True).records)
            except library_errors() as error:
                self.damages.append(f'is cut off: its end is missing or damaged ({reason_of(error)})')
                return
            if not isinstance(record, Chunk):
                yield record
                continue
            self.is_compressed |= bool(record.compression)
            try:
                records = breakup_chunk(record, validate_crc=True)
            except library_errors() as error:
                self.damages.append(f'has a damaged chunk: {reason_of(error)}')
            else:
                yield from records
        if self._file.read(len(_MCAP)) != _MCAP:
            self.damages.append('is cut off: its last bytes are missing or damaged')

    def messages(self) -> Iterator[tuple[Any, int, bytes]]:
        from mcap.records import Message

        by_number, count = {each.id: each for each in self.connections}, 0
        messages = (record for record in self._records() if isinstance(record, Message)) if self._indexed is None else (
            message for _, _, message in self._indexed.iter_messages())
        for message in messages:
            if message.channel_id in by_number:
                yield by_number[message.channel_id], message.log_time, message.data
                count += 1
        if count < self._counted:
            self.damages.append(f'has {count} of the {self._counted} messages that its end counts')

    def extras(self) -> Iterator[Any]:
        from mcap.records import Attachment, Metadata

        for record in self._records() if self._indexed is None else itertools.chain(self._indexed.iter_metadata(),
                                                                                    self._indexed.iter_attachments()):
            if isinstance(record, Attachment) or (isinstance(record, Metadata) and record.name != 'rosbag2'):
                yield record


def _is_complete(summary: Any) -> bool:
    """Return whether the end of an MCAP file is complete; parts of it are optional."""
    counted, ids = summary.statistics, {0, *summary.schemas}
    return (counted is not None and len(summary.chunk_indexes) == counted.chunk_count > 0
            and sum(counted.channel_message_counts.values()) == counted.message_count
            and {*counted.channel_message_counts} <= {*summary.channels}
            and all(channel.schema_id in ids for channel in summary.channels.values())
            and len(summary.attachment_indexes) == counted.attachment_count
            and len(summary.metadata_indexes) == counted.metadata_count)

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Recordings of ROS 2 (rosbag2: .mcap, .db3 or a folder), read and written by the library rosbags: no ROS needed."""

from __future__ import annotations

import functools
import logging
import re
import shutil
import sqlite3
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from ..errors import SourceError
from ..resources import read_file

__all__ = ['COMPRESSED', 'IMAGE', 'Recording', 'RecordingWriter', 'is_image_topic', 'is_recording', 'partial_folder',
           'recordings_in', 'typestore']

IMAGE, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
# Types of messages that show something.
_SHOWS = re.compile(r'/(\w*Image|CompressedVideo|FFMPEGPacket)$|^theora_image_transport/')
_LOGGER = logging.getLogger('self_segmentation.files')
_MCAP, _SQLITE = b'\x89MCAP0\r\n', b'SQLite format 3\0'
_ENDINGS = ('.mcap', '.db3')
_METADATA = 'metadata.yaml'
_LARGEST_METADATA = 16 << 20  # bytes
_DATA_END, _FOOTER = 0x0f, 0x02  # kinds of records of an MCAP file
_UNKNOWN_HASH = 'RIHS01_' + 64 * '0'  # of a type whose definition the recording lacks


def _rosbags(what: str) -> Any:
    try:
        import rosbags.rosbag2
    except ImportError as error:
        raise SourceError(f'recording {what!r}: recordings need rosbags, which cannot be imported ({error}): '
                          f'{sys.executable} -m pip install --no-deps rosbags apsw backports.zstd lz4 ruamel.yaml '
                          'typing_extensions') from error
    return rosbags.rosbag2


def _errors() -> tuple[type[Exception], ...]:
    """Return what rosbags and what it uses raise for damaged files and full disks."""
    import apsw
    from rosbags.rosbag2 import ReaderError, WriterError, storage_mcap

    zstd_error: type[Exception] = storage_mcap.zstd.ZstdError  # type: ignore[attr-defined]
    return (apsw.Error, sqlite3.Error, ReaderError, WriterError, zstd_error, ArithmeticError, AssertionError, EOFError,
            LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError, struct.error)


@functools.cache
def typestore() -> Any:
    """Return rosbags' store of ROS 2's common types, which reads and writes their messages."""
    from rosbags.typesys import Stores, get_typestore

    return get_typestore(Stores.ROS2_HUMBLE)


def is_image_topic(msgtype: str) -> bool:
    """Return whether messages of a type show something, as image or as video."""
    return _SHOWS.search(msgtype) is not None


def is_recording(path: Path) -> bool:
    """Return whether a path is a recording or a folder of recordings, by what is in it."""
    try:
        if path.is_dir():
            return (path / _METADATA).is_file() or any(is_recording(entry) for entry in path.iterdir() if _may_be_one(entry))
        return path.is_file() and (path.suffix == '.bag' or path.suffix in _ENDINGS or _begin(path).startswith((_MCAP, _SQLITE)))
    except (OSError, ValueError):  # also a zero byte in its name
        return False


def _may_be_one(entry: Path) -> bool:
    return not entry.name.startswith('.') and (entry.suffix in _ENDINGS or (entry / _METADATA).is_file())


def _begin(path: Path) -> bytes:
    with path.open('rb') as file:
        return file.read(16)


def recordings_in(path: Path) -> list[Path]:
    """Return the recordings of a folder of them, by name; nothing where the path is one recording itself."""
    if not path.is_dir() or (path / _METADATA).is_file():
        return []
    return sorted(entry for entry in path.iterdir() if _may_be_one(entry))


class Recording:
    """
    A recording, opened.

    ``connections`` are rosbags' (topic, msgtype, msgcount, ...), ``is_whole`` tells whether the file has its end.

    :raises SourceError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.is_whole = path, True
        rosbag2 = _rosbags(str(path))
        from rosbags.rosbag2 import storage_mcap, storage_sqlite3

        try:
            if path.is_dir():
                self._storage = rosbag2.reader.DirectoryReader(path)
            elif path.suffix == '.bag':
                raise ValueError(f'it is one of ROS 1: rosbags-convert --src {path} --dst {path.with_suffix("")} makes one of '
                                 'ROS 2 of it')
            elif _begin(path).startswith(_SQLITE):
                self._storage = storage_sqlite3.Sqlite3Reader(path)
            elif _begin(path).startswith(_MCAP):
                self._storage = storage_mcap.McapReader(path)
                self._storage.open = functools.partial(self._open_mcap, self._storage.open)
            else:
                raise ValueError('it is empty' if not path.stat().st_size else 'it is neither MCAP nor SQLite')
            self._storage.open()
        except _errors() as error:
            raise SourceError(f'recording {str(path)!r} cannot be read: {str(error) or type(error).__name__}') from error
        self.connections = list(self._storage.connections)

    def _open_mcap(self, open_whole: Callable[[], None]) -> None:
        """Open an MCAP file; one without its end, or whose end is damaged, up to the last record that is whole."""
        try:
            open_whole()
            return
        except _errors() as error:
            _LOGGER.debug('%s: %s', self.path, error)
        self.is_whole = False
        storage, length = self._storage, self.path.stat().st_size
        storage.data_start = 0
        file = storage.bio = self.path.open('rb')
        file.seek(at := len(_MCAP))
        while at + 9 <= length:
            kind, size = struct.unpack('<BQ', file.read(9))
            if kind in (0, _DATA_END, _FOOTER) or at + 9 + size > length:
                break
            storage.data_start = storage.data_start or at + 9 + size  # the first one is the header
            file.seek(at := at + 9 + size)
        storage.data_start, storage.data_end = storage.data_start or at, at
        storage.meta_scan()
        counts = storage.statistics.channel_message_counts
        storage.connections = [each._replace(msgcount=counts.get(each.id, 0)) for each in storage.connections]

    @property
    def storage_plugin(self) -> Any:
        """Which of rosbags' ``StoragePlugin`` wrote it."""
        from rosbags.rosbag2 import StoragePlugin

        name = type(self._inner).__name__
        return StoragePlugin.MCAP if name == 'McapReader' else StoragePlugin.SQLITE3

    @property
    def _inner(self) -> Any:
        return self._storage.storages[0] if self.path.is_dir() else self._storage

    @property
    def metadata(self) -> Any:
        """The metadata as rosbags gives it: compression_mode, custom, ..."""
        return self._storage.metadata

    @property
    def has_compressed_chunks(self) -> bool:
        """Whether it is an MCAP file that is compressed in itself."""
        return any(chunk.compression for chunk in getattr(self._inner, 'chunks', ()))

    @property
    def version(self) -> int:
        """The version of its metadata, as far as it is known: 9 writes QoS in words, as Jazzy does, 8 in numbers."""
        if self.path.is_dir():
            information = yaml.safe_load(read_file(self.path / _METADATA, _LARGEST_METADATA))['rosbag2_bagfile_information']
            return 9 if information['version'] >= 9 else 8
        channels = getattr(self._inner, 'channels', {}).values()
        return 9 if any(re.search(rb'history: [a-z]', channel.metadata) for channel in channels) else 8

    def messages(self) -> Iterator[tuple[Any, int, bytes]]:
        """
        Yield connection, time in nanoseconds and content of every message, by time.

        :raises SourceError: where it is damaged; and at the end where it was cut off.
        """
        storage = self._storage
        is_indexed = self.path.is_dir() or bool(getattr(storage, 'chunks', True))
        count = 0
        try:
            for message in (storage.messages if is_indexed else storage.messages_scan)(self.connections):
                yield message
                count += 1
        except _errors() as error:
            raise SourceError(f'recording {str(self.path)!r} is damaged: {count} messages could be read '
                              f'({str(error) or type(error).__name__})') from error
        if not self.is_whole:
            raise SourceError(f'recording {str(self.path)!r} is cut off: {count} messages could be read, its end is missing or '
                              'damaged')

    def close(self) -> None:
        """Close the files."""
        self._storage.close()


class RecordingWriter:
    """
    A recording that is written: it appears under its name when it is whole, and not before.

    :param path: an ``.mcap`` or ``.db3`` file, or a folder, which gets the storage of the input.
    :raises SourceError: it cannot be written.
    """

    def __init__(self, path: Path, like: Recording) -> None:
        rosbag2 = _rosbags(str(path))
        self._path, self._connections = path, dict[tuple[str, str, str], Any]()
        self._errors = _errors()
        plugins, modes = rosbag2.StoragePlugin, rosbag2.CompressionMode
        self._is_file = path.suffix in _ENDINGS
        plugin = {'.mcap': plugins.MCAP, '.db3': plugins.SQLITE3}.get(path.suffix, like.storage_plugin)
        mode = modes[(like.metadata.compression_mode or 'none').upper()]
        if self._is_file or like.has_compressed_chunks:
            mode = modes.STORAGE if plugin == plugins.MCAP and (like.has_compressed_chunks or mode != modes.NONE) else modes.NONE
        if path.exists():
            raise SourceError(f'recording {str(path)!r} exists already: give another --output, or remove it')
        try:
            self._folder = partial_folder(path)
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir(parents=True)
            self._writer = rosbag2.Writer(self._folder / path.stem if self._is_file else self._folder / path.name,
                                          version=like.version, storage_plugin=plugin)
            self._writer.set_compression(mode, rosbag2.CompressionFormat.ZSTD)
            for key, value in (like.metadata.custom or {}).items():
                self._writer.set_custom_data(key, value)
            self._writer.open()
        except self._errors as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> SourceError:
        return SourceError(f'recording {str(self._path)!r} cannot be written ({error}): is there room, and may you write there?')

    def add(self, connection: Any) -> Any:
        """Add a topic like another recording's; return what :meth:`write` takes."""
        msgdef, digest = connection.msgdef.data or None, connection.digest or None
        if msgdef is not None and digest is None:
            digest = _hash(connection)
        key = (connection.topic, connection.msgtype, repr(connection.ext))
        try:
            if key not in self._connections:
                known = typestore()
                is_known = msgdef is not None or connection.msgtype in known.types
                self._connections[key] = self._writer.add_connection(
                    connection.topic, connection.msgtype, typestore=known, msgdef=msgdef if is_known else '',
                    rihs01=digest or (None if is_known and msgdef is None else _UNKNOWN_HASH),
                    serialization_format=connection.ext.serialization_format,
                    offered_qos_profiles=connection.ext.offered_qos_profiles)
            return self._connections[key]
        except self._errors as error:
            raise self._failed(error) from error

    def write(self, connection: Any, time: int, data: Any) -> None:
        """Append a message."""
        try:
            self._writer.write(connection, time, data)
        except self._errors as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """
        Finish it and give it its name.

        :raises SourceError: it cannot be written to its end.
        """
        try:
            self._writer.close()
            if self._is_file:
                [file] = self._writer.path.glob(f'*{self._path.suffix}')
                file.replace(self._path)
            else:
                self._writer.path.rename(self._path)
        except self._errors as error:
            raise self._failed(error) from error
        finally:
            self.discard()

    def discard(self) -> None:
        """Leave nothing of it, unless it is finished."""
        try:
            if self._writer.storage is not None:
                self._writer.abort()
        except self._errors as error:
            _LOGGER.debug('%s', error)  # it is removed anyway
        shutil.rmtree(self._folder, ignore_errors=True)


def partial_folder(path: Path) -> Path:
    """Return the hidden folder in which a recording lies until it is finished."""
    return path.parent / f'.{path.name}.partial'


def _hash(connection: Any) -> str | None:
    """Return the hash of a type, which MCAP files do not hold, from its definition; None where that is not understood."""
    from rosbags.interfaces import MessageDefinitionFormat
    from rosbags.typesys import Stores, TypesysError, get_types_from_idl, get_types_from_msg, get_typestore

    store, definition = get_typestore(Stores.EMPTY), connection.msgdef
    try:
        if definition.format == MessageDefinitionFormat.IDL:
            store.register(get_types_from_idl(definition.data))
        else:
            store.register(get_types_from_msg(definition.data, connection.msgtype))
        return str(store.hash_rihs01(connection.msgtype))
    except (TypesysError, LookupError, TypeError, ValueError) as error:
        _LOGGER.debug('%s: %s', connection.msgtype, error)
        return None

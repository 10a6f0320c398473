# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Recordings of ROS 2 (rosbag2: .mcap, .db3 or a folder), read and written by the library rosbags: no ROS needed."""

from __future__ import annotations

import contextlib
import functools
import logging
import re
import shutil
import sqlite3
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ..errors import SourceError
from ..resources import read_file
from .image_files import say_passed_over
from .writers import is_file_ending

__all__ = ['COMPRESSED', 'IMAGE', 'Recording', 'RecordingWriter', 'check_output', 'is_image_topic', 'is_recording', 'is_there',
           'lack_of', 'partial_folder', 'recordings_in', 'typestore']

IMAGE, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
# Types of messages that show something.
_SHOWS = re.compile(r'/(\w*Image|CompressedVideo|FFMPEGPacket)$|^theora_image_transport/')
_LOGGER = logging.getLogger('self_segmentation.files')
_MCAP, _SQLITE = b'\x89MCAP0\r\n', b'SQLite format 3\0'
_ENDINGS = ('.mcap', '.db3')
_ROS1_ENDING = '.bag'
_INPUT_ENDINGS = (*_ENDINGS, _ROS1_ENDING)  # those of ROS 1 are refused, with what to do
_SHOWN = 5  # names in a line
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
        return path.is_file() and (path.suffix.lower() in _INPUT_ENDINGS or _begin(path).startswith((_MCAP, _SQLITE)))
    except (OSError, ValueError):  # also a zero byte in its name
        return False


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _may_be_one(entry: Path) -> bool:
    try:
        return not entry.name.startswith('.') and (entry.suffix.lower() in _INPUT_ENDINGS or (entry / _METADATA).is_file())
    except OSError:  # a folder that may not be looked into
        return False


def _begin(path: Path) -> bytes:
    with path.open('rb') as file:
        return file.read(16)


def is_there(path: Path) -> bool:
    """
    Return whether something has that name already, be it a link to nothing.

    :raises SourceError: it cannot be told.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        raise SourceError(f'recording {str(path)!r} cannot be written ({_reason(error)}): give another --output') from error
    return True


def check_output(path: Path, is_folder: bool) -> None:
    """
    Check the name of an output: of a recording, or of a folder of them.

    :raises SourceError: its ending is one of other files.
    """
    ending = path.suffix.lower()
    if is_folder and ending in _ENDINGS and not path.is_dir():
        raise SourceError(f'--output {path}: give a folder, for the input is a folder of recordings')
    if ending not in _ENDINGS and (is_file_ending(ending) or ending == _ROS1_ENDING) and not path.is_dir():
        raise SourceError(f'--output {path}: a recording is written to an .mcap or .db3 file or to a folder, not to {ending}; '
                          'its results are topics in it')


def recordings_in(path: Path) -> list[Path]:
    """
    Return the recordings of a folder of them, by name; nothing where the path is one recording itself.

    What is hidden is passed over; what else is none is said.

    :raises SourceError: it cannot be read.
    """
    try:
        if not path.is_dir() or (path / _METADATA).is_file():
            return []
        entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith('.'))
    except (OSError, ValueError) as error:
        raise SourceError(f'recording {str(path)!r} cannot be read: {_reason(error)}') from error
    recordings = [entry for entry in entries if _may_be_one(entry)]
    say_passed_over(path, [entry for entry in entries if entry not in recordings],
                    f'no .mcap, no .db3 and no folder with a {_METADATA}', _SHOWN)
    return recordings


class _File:
    """A file of a recording, as rosbags' readers are: it gives what is whole, and ``damage`` says what is not."""

    def __init__(self, path: Path) -> None:
        self.path, self.damage = path, ''
        self.reader: Any = None
        self.connections: list[Any] = []

    def open(self) -> None:
        from rosbags.rosbag2 import storage_mcap, storage_sqlite3

        try:
            begin = _begin(self.path)
            if self.path.suffix.lower() == _ROS1_ENDING:
                raise ValueError(f'it is one of ROS 1: rosbags-convert --src {self.path} --dst {self.path.with_suffix("")} makes '
                                 'one of ROS 2 of it')
            if begin.startswith(_SQLITE):
                self.reader = storage_sqlite3.Sqlite3Reader(self.path)
                self.reader.open()
            elif begin.startswith(_MCAP):
                self.reader = storage_mcap.McapReader(self.path)
                self._open_mcap()
            else:
                raise ValueError('it is neither MCAP nor SQLite' if begin else 'it is empty')
            self.connections = list(self.reader.connections)
        except _errors() as error:
            self.damage = f'cannot be read: {_reason(error)}'

    def _open_mcap(self) -> None:
        """Open an MCAP file; one without its end, or whose end is damaged, up to the last record that is whole."""
        reader = self.reader
        try:
            reader.open()
            return
        except _errors() as error:
            _LOGGER.debug('%s: %s', self.path, error)
        self.damage = 'is cut off: its end is missing or damaged'
        length = self.path.stat().st_size
        reader.data_start = 0
        file = reader.bio = self.path.open('rb')
        file.seek(at := len(_MCAP))
        while at + 9 <= length:
            kind, size = struct.unpack('<BQ', file.read(9))
            if kind in (0, _DATA_END, _FOOTER) or at + 9 + size > length:
                break
            reader.data_start = reader.data_start or at + 9 + size  # the first one is the header
            file.seek(at := at + 9 + size)
        reader.data_start, reader.data_end = reader.data_start or at, at
        reader.meta_scan()
        if not reader.connections:
            raise ValueError('it is cut off before its first message')
        counts = reader.statistics.channel_message_counts
        reader.connections = [each._replace(msgcount=counts.get(each.id, 0)) for each in reader.connections]

    def messages(self, connections: list[Any], start: int | None = None, stop: int | None = None) -> Iterator[Any]:
        is_indexed = bool(getattr(self.reader, 'chunks', True))
        try:
            yield from (self.reader.messages if is_indexed else self.reader.messages_scan)(connections, start, stop)
        except _errors() as error:
            self.damage = f'is damaged: {_reason(error)}'

    def close(self) -> None:
        with contextlib.suppress(AssertionError):  # rosbags', for what is not open
            if self.reader is not None:
                self.reader.close()


class Recording:
    """
    A recording, opened.

    ``connections`` are rosbags' (topic, msgtype, msgcount, ...).

    :raises SourceError: nothing of it can be read.
    """

    def __init__(self, path: Path) -> None:
        rosbag2 = _rosbags(str(path))
        self.path, self._files = path, list[_File]()
        self._storage: Any = _File(path)
        self._is_folder = False
        try:
            self._is_folder = path.is_dir()
            if self._is_folder:
                self._storage = rosbag2.reader.DirectoryReader(path)
                self._storage.STORAGE_PLUGINS = dict.fromkeys(self._storage.STORAGE_PLUGINS, _File)
            self._storage.open()
        except _errors() as error:
            raise SourceError(f'recording {str(path)!r} cannot be read: {_reason(error)}'
                              + ('; its files may be given one by one, those that end in .zstd after zstd -d'
                                 if self._is_folder else '')) from error
        self._files = self._storage.storages if self._is_folder else [self._storage]
        self.connections = list(self._storage.connections)
        if self.damage and not any(file.connections for file in self._files):
            reason = self.damage
            self.close()
            raise SourceError(f'recording {str(path)!r} {reason}')

    @property
    def damage(self) -> str:
        """What is not whole, as the end of a sentence; '' as far as nothing was found. Reading finds more."""
        if not self._is_folder:
            return self._files[0].damage
        found = '; '.join(f'{file.path.name} {file.damage}' for file in self._files if file.damage)
        return found and f'is not whole: {found}'

    @property
    def storage_plugin(self) -> Any:
        """Which of rosbags' ``StoragePlugin`` wrote it."""
        from rosbags.rosbag2 import StoragePlugin, storage_sqlite3

        return StoragePlugin.SQLITE3 if isinstance(self._inner, storage_sqlite3.Sqlite3Reader) else StoragePlugin.MCAP

    @property
    def _inner(self) -> Any:
        return next((file.reader for file in self._files if file.connections), self._files[0].reader)

    @property
    def metadata(self) -> Any:
        """The metadata as rosbags gives it: compression_mode, custom, ..."""
        return (self._storage if self._is_folder else self._inner).metadata

    @property
    def has_compressed_chunks(self) -> bool:
        """Whether it is an MCAP file that is compressed in itself."""
        return any(chunk.compression for chunk in getattr(self._inner, 'chunks', ()))

    @property
    def version(self) -> int:
        """The version of its metadata, as far as it is known: 9 writes QoS in words, as Jazzy does, 8 in numbers."""
        if self._is_folder:
            information = yaml.safe_load(read_file(self.path / _METADATA, _LARGEST_METADATA))['rosbag2_bagfile_information']
            return 9 if information['version'] >= 9 else 8
        channels = getattr(self._inner, 'channels', {}).values()
        return 9 if any(re.search(rb'history: [a-z]', channel.metadata) for channel in channels) else 8

    def messages(self) -> Iterator[tuple[Any, int, bytes]]:
        """
        Yield connection, time in nanoseconds and content of every message, by time.

        :raises SourceError: at the end, where something of it is damaged or cut off.
        """
        count, reason = 0, ''
        try:
            for message in self._storage.messages(self.connections):
                yield message
                count += 1
        except _errors() as error:
            reason = f'is damaged: {_reason(error)}'
        if reason := reason or self.damage:
            raise SourceError(f'recording {str(self.path)!r} {reason}; {count} messages could be read')

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
        ending = path.suffix.lower()
        self._is_file = ending in _ENDINGS
        plugin = {'.mcap': plugins.MCAP, '.db3': plugins.SQLITE3}.get(ending, like.storage_plugin)
        mode = modes[(like.metadata.compression_mode or 'none').upper()]
        if self._is_file or like.has_compressed_chunks:
            mode = modes.STORAGE if plugin == plugins.MCAP and (like.has_compressed_chunks or mode != modes.NONE) else modes.NONE
        if is_there(path):
            raise SourceError(f'recording {str(path)!r} exists already: give another --output, or remove it')
        self._folder = partial_folder(path)
        try:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir(parents=True)
            self._writer = rosbag2.Writer(self._folder / path.stem if self._is_file else self._folder / path.name,
                                          version=like.version, storage_plugin=plugin)
            self._writer.set_compression(mode, rosbag2.CompressionFormat.ZSTD)
            for key, value in (like.metadata.custom or {}).items():
                self._writer.set_custom_data(key, value)
            self._writer.open()
        except self._errors as error:
            shutil.rmtree(self._folder, ignore_errors=True)
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

    def close(self, lack: str = '') -> None:
        """
        Finish it and give it its name.

        :param lack: what it lacks of its input, which is noted beside it: see :func:`lack_of`.
        :raises SourceError: it cannot be written to its end.
        """
        try:
            self._writer.close()
            note = _note(self._path)
            if lack:  # first: it must never look whole
                note.write_text(lack, 'utf-8', 'replace')
            else:
                note.unlink(missing_ok=True)
            if self._is_file:
                [file] = self._writer.path.glob(f'*{self._path.suffix.lower()}')
                file.replace(self._path)
            else:
                self._writer.path.rename(self._path)
        except self._errors as error:
            with contextlib.suppress(OSError):
                _note(self._path).unlink()
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


def lack_of(path: Path) -> str:
    """Return what a recording that was written lacks of its input; '' where it is whole."""
    try:
        return read_file(_note(path), _LARGEST_METADATA).decode('utf-8', 'replace')
    except FileNotFoundError:
        return ''
    except OSError as error:
        return f'{_note(path)} cannot be read: {_reason(error)}'


def _note(path: Path) -> Path:
    return path.parent / f'.{path.name}.lacks'


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

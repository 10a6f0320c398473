# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Recordings of ROS 2 (rosbag2: .mcap, .db3 or a folder), read and written by the libraries rosbags and mcap: no ROS needed."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any, Literal

import yaml

from ..errors import InputError, SourceError
from ..resources import read_file
from .image_files import say_passed_over
from .locks import claim
from .recording_files import (
    ENDINGS,
    ROS1_ENDING,
    ZSTD_ENDING,
    RecordingFile,
    begins_as_recording,
    is_ros2,
    library_errors,
    reason_of,
    require_libraries,
)
from .writers import is_file_ending

__all__ = ['COMPRESSED', 'IMAGE', 'Recording', 'RecordingWriter', 'check_output', 'is_image_topic', 'is_recording', 'is_there',
           'lack_of', 'output_names', 'partial_folder', 'recordings_in', 'remove_partial', 'typestore']

IMAGE, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
# Types of messages that show something.
_SHOWS = re.compile(r'/(\w*Image|CompressedVideo|FFMPEGPacket)$|^theora_image_transport/')
_LOGGER = logging.getLogger('self_segmentation.files')
_INPUT_ENDINGS = (*ENDINGS, ZSTD_ENDING, ROS1_ENDING)  # those of ROS 1 are refused, with what to do
_BESIDE = re.compile(r'\.db3-(wal|shm|journal)$', re.I)  # SQLite's own
_SHOWN = 5  # names in a line
_METADATA = 'metadata.yaml'
_LARGEST_METADATA = 16 << 20  # bytes
_UNKNOWN_HASH = 'RIHS01_' + 64 * '0'  # of a type whose definition the recording lacks


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
        return path.is_file() and (path.suffix.lower() in _INPUT_ENDINGS or begins_as_recording(path))
    except (OSError, ValueError):  # also a zero byte in its name
        return False


def _may_be_one(entry: Path) -> bool:
    try:
        return not entry.name.startswith('.') and (entry.suffix.lower() in _INPUT_ENDINGS or (entry / _METADATA).is_file())
    except OSError:  # a folder that may not be looked into
        return False


def is_there(path: Path) -> bool:
    """
    Return whether something has that name already, be it a link to nothing.

    :raises InputError: it cannot be told.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        raise InputError(f'recording {str(path)!r} cannot be written ({reason_of(error)}): give another --output') from error
    return True


def check_output(path: Path, is_folder: bool) -> None:
    """
    Check the name of an output: of a recording, or of a folder of them.

    :raises InputError: its ending is one of other files.
    """
    ending = path.suffix.lower()
    if is_folder and ending in ENDINGS and not path.is_dir():
        raise InputError(f'--output {path}: give a folder, for the input is a folder of recordings')
    if (ending not in ENDINGS and (is_file_ending(ending) or ending in (ROS1_ENDING, ZSTD_ENDING))) and not path.is_dir():
        raise InputError(f'--output {path}: a recording is written to an .mcap or .db3 file or to a folder, not to {ending}; '
                         'its results are topics in it')


def recordings_in(path: Path) -> list[Path]:
    """
    Return the recordings of a folder of them, by name; nothing where the path is one recording itself.

    What is hidden is passed over; what else is none is reported by name.

    :raises InputError: it cannot be read.
    """
    try:
        if not path.is_dir() or (path / _METADATA).is_file():
            return []
        entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith('.'))
    except (OSError, ValueError) as error:
        raise InputError(f'recording {str(path)!r} cannot be read: {reason_of(error)}') from error
    recordings = [entry for entry in entries if _may_be_one(entry)]
    say_passed_over(path, [entry for entry in entries if entry not in recordings and not _BESIDE.search(entry.name)],
                    f'no .mcap, no .db3 and no folder with a {_METADATA}', _SHOWN)
    return recordings


def output_names(recordings: list[Path]) -> list[str]:
    """
    Return the names of what becomes of the recordings of a folder: their own, without ``.zstd``.

    :raises InputError: two would have one name.
    """
    names = [_without_zstd(path.name) for path in recordings]
    for path, name in zip(recordings, names):
        if names.count(name) > 1 and path.name != name:
            raise InputError(f'folder {str(path.parent)!r}: {name!r} and {path.name!r} would both be written to {name!r}: move '
                             'one of them')
    return names


def _without_zstd(name: str) -> str:
    return name[:-len(ZSTD_ENDING)] if name.lower().endswith(ZSTD_ENDING) else name


class Recording:
    """
    A recording, opened.

    ``connections`` are rosbags' (topic, msgtype, msgcount, ...), with numbers of their own; :func:`.recording_files.is_ros2`
    tells which are ROS 2's. Files say what is in it; ``metadata.yaml`` adds what they do not say.

    :raises InputError: nothing of it can be read.
    """

    def __init__(self, path: Path) -> None:
        require_libraries(str(path))
        self.path, self.connections = path, list[Any]()
        self._information: dict[str, Any] = {}
        self._damages, self._files = list[str](), list[RecordingFile]()
        try:
            self._is_folder = path.is_dir()
            self._files = [RecordingFile(file) for file in (self._listed() if self._is_folder else [path])]
            self._connect()
        except library_errors() as error:
            self.close()
            raise InputError(f'recording {str(path)!r} cannot be read: {reason_of(error)}') from error
        if not any(file.connections for file in self._files):
            reason = self.damage or 'has no topics'
            self.close()
            raise InputError(f'recording {str(path)!r} {reason}')

    def _listed(self) -> list[Path]:
        """Return the files of a folder: those that its metadata names, and further ones that are numbered as they are."""
        names = list[str]()
        try:
            information = yaml.safe_load(read_file(self.path / _METADATA, _LARGEST_METADATA))['rosbag2_bagfile_information']
            names = [PurePath(name).name for name in information['relative_file_paths']]
            self._information = dict(information)
        except library_errors() as error:
            self._damages.append(f'{_METADATA} cannot be read ({reason_of(error)})')
        there = sorted((each.name for each in self.path.iterdir() if each.suffix.lower() in _INPUT_ENDINGS), key=_by_number)
        files = {_without_zstd(name): name for name in names}
        shapes = {re.sub(r'\d+', '', name) for name in files}
        further, others = list[str](), list[Path]()
        for name in there:
            plain = _without_zstd(name)
            if plain in files:  # compressed since, or no more
                if files[plain] not in there:
                    files[plain] = name
            elif not names or re.sub(r'\d+', '', plain) in shapes:
                files[plain] = name
                further.append(name)
            else:
                others.append(self.path / name)
        if names and further:
            _LOGGER.warning('recording %r: %s does not name %s, which %s read too', str(self.path), _METADATA, ', '.join(further),
                            'is' if len(further) == 1 else 'are')
        say_passed_over(self.path, others, f'not named by {_METADATA}', _SHOWN)
        return [self.path / name for name in files.values()]

    def _connect(self) -> None:
        """Join the connections of the files, and what the metadata says of their topics."""
        described = {(each.topic, each.msgtype): each for each in self._described()}
        joined: dict[tuple[Any, ...], Any] = {}
        self._numbers: list[dict[int, tuple[Any, ...]]] = []
        for file in self._files:
            keys = {}
            for each in file.connections:
                known = described.get((each.topic, each.msgtype))
                if known is not None and is_ros2(each):
                    each = each._replace(digest=each.digest or known.digest, ext=each.ext._replace(
                        offered_qos_profiles=each.ext.offered_qos_profiles or known.ext.offered_qos_profiles))
                key = keys[each.id] = (each.topic, each.msgtype, repr(each.ext), each.digest)
                before = joined.get(key)
                if before is not None:
                    each = (before if before.msgdef.data else each)._replace(msgcount=before.msgcount + each.msgcount)
                joined[key] = each
            self._numbers.append(keys)
        there = {(each.topic, each.msgtype) for each in joined.values()}
        for topic, each in described.items():  # MCAP files lack topics without messages
            if topic not in there:
                joined[topic] = each
        joined = {key: each._replace(id=number) for number, (key, each) in enumerate(joined.items(), 1)}
        self._numbers = [{number: joined[key] for number, key in keys.items()} for keys in self._numbers]
        self.connections = list(joined.values())

    def _described(self) -> Iterator[Any]:
        """Yield a connection without messages for each topic that the metadata describes."""
        from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinition, MessageDefinitionFormat
        from rosbags.rosbag2.metadata import parse_qos

        for each in self._information.get('topics_with_message_count') or ():
            try:
                topic = each['topic_metadata']
                yield Connection(0, topic['name'], topic['type'], MessageDefinition(MessageDefinitionFormat.NONE, ''),
                                 topic.get('type_description_hash') or '', 0,
                                 ConnectionExtRosbag2(topic.get('serialization_format') or 'cdr',
                                                      parse_qos(topic.get('offered_qos_profiles') or [])), None)
            except library_errors() as error:
                _LOGGER.warning('recording %r: a topic in %s cannot be read: %s', str(self.path), _METADATA, reason_of(error))

    @property
    def damage(self) -> str:
        """What is not whole, as the end of a sentence; '' as far as nothing was found. Reading finds more."""
        if not self._is_folder:
            return self._files[0].damage
        found = '; '.join([*self._damages, *(f'{file.path.name} {file.damage}' for file in self._files if file.damage)])
        return found and f'is not whole: {found}'

    @property
    def _first(self) -> RecordingFile:
        return next((file for file in self._files if file.connections), self._files[0])

    @property
    def storage(self) -> str:
        """What its files are: ``mcap`` or ``sqlite3``."""
        return self._first.storage

    @property
    def compression_mode(self) -> str:
        """The mode of its compression: ``file``, ``message`` or ``none``. Messages of files alone are not looked into."""
        mode = str(self._information.get('compression_mode') or 'none').lower()
        return mode if mode in ('file', 'message') else 'none'

    @property
    def custom(self) -> dict[str, str]:
        """What its recorder noted in ``custom_data``."""
        custom = self._information.get('custom_data')
        return {str(key): str(value) for key, value in custom.items()} if isinstance(custom, dict) else {}

    @property
    def has_compressed_chunks(self) -> bool:
        """Whether it is an MCAP file that is compressed in itself."""
        return self._first.has_compressed_chunks

    @property
    def version(self) -> Literal[8, 9]:
        """The version of its metadata, as far as it is known: 9 writes QoS in words, as Jazzy does, 8 in numbers."""
        version = self._information.get('version')
        return 9 if (version >= 9 if isinstance(version, int) else self._first.has_qos_in_words) else 8

    @property
    def undefined(self) -> list[str]:
        """Types whose definition its files lack, though they have definitions."""
        return sorted({msgtype for file in self._files for msgtype in file.undefined})

    def messages(self) -> Iterator[tuple[Any, int, bytes]]:
        """
        Yield connection, time in nanoseconds and content of every message, by time.

        :raises SourceError: at the end, where something of it is damaged or cut off.
        """
        count = 0
        for file, connections in zip(self._files, self._numbers):
            for connection, time, data in file.messages():
                yield connections[connection.id], time, data
                count += 1
        told = self._information.get('message_count')
        if isinstance(told, int) and count < told and not self.damage:
            self._damages.append(f'{_METADATA} counts {told} messages')
        if self.damage:
            raise SourceError(f'recording {str(self.path)!r} {self.damage}; {count} messages could be read')

    def extras(self) -> Iterator[Any]:
        """Yield what MCAP files have beside messages: attachments and records of metadata, as the library mcap gives them."""
        for file in self._files:
            yield from file.extras()

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()


def _by_number(name: str) -> list[Any]:
    """Return a key that puts the tenth file behind the second."""
    return [int(part) if part.isdigit() else part for part in re.split(r'(\d+)', name)]


class _McapStorage:
    """What rosbags' writer writes MCAP files by: the library mcap, which takes channels of every kind, and attachments."""

    def __init__(self, path: Path, compression: Any) -> None:
        from mcap.writer import CompressionType, Writer
        from rosbags.rosbag2 import CompressionMode

        self.path = path / f'{path.name}.mcap'
        self._file = self.path.open('xb')
        self._schemas, self._channels = dict[tuple[str, str, bytes], int](), dict[int, int]()
        self._writer = Writer(self._file, compression=CompressionType.ZSTD if compression == CompressionMode.STORAGE
                              else CompressionType.NONE)
        self._writer.start('ros2', 'self_segmentation')

    def _schema(self, name: str, encoding: str, data: bytes) -> int:
        key = (name, encoding, data)
        if key not in self._schemas:
            self._schemas[key] = self._writer.register_schema(*key)
        return self._schemas[key]

    def add_msgtype(self, connection: Any) -> None:
        """Do nothing: a type is added with its first channel."""

    def add_connection(self, connection: Any, offered_qos_profiles: str) -> None:
        """Add a channel of ROS 2."""
        from rosbags.interfaces import MessageDefinitionFormat

        text = connection.msgdef.data
        encoding = ('ros2idl' if connection.msgdef.format == MessageDefinitionFormat.IDL else 'ros2msg') if text else ''
        metadata = {'offered_qos_profiles': offered_qos_profiles, 'topic_type_hash': connection.digest}
        schema = self._schema(connection.msgtype, encoding, text.encode())
        self._channels[connection.id] = self._writer.register_channel(
            connection.topic, connection.ext.serialization_format, schema, metadata)

    def add_foreign(self, origin: Any) -> int:
        """Add a channel of another kind, as it is in another file; return its number."""
        schema, channel = origin
        number = self._schema(schema.name, schema.encoding, schema.data) if schema else 0
        return self._writer.register_channel(channel.topic, channel.message_encoding, number, channel.metadata)

    def write_foreign(self, channel: int, time: int, data: Any) -> None:
        """Append a message to such a channel."""
        self._writer.add_message(channel, time, data, time)

    def write(self, connection: Any, timestamp: int, data: Any) -> None:
        """Append a message."""
        self._writer.add_message(self._channels[connection.id], timestamp, data, timestamp)

    def add_extra(self, record: Any) -> None:
        """Add an attachment or a record of metadata, as it is in another file."""
        from mcap.records import Attachment

        if isinstance(record, Attachment):
            self._writer.add_attachment(record.create_time, record.log_time, record.name, record.media_type, record.data)
        elif record.name != 'rosbag2':  # this file gets its own
            self._writer.add_metadata(record.name, record.metadata)

    def close(self, version: int, metadata: str) -> None:
        """Finish the file."""
        self._writer.add_metadata('rosbag2', {'serialized_metadata': metadata})
        self._writer.finish()
        self._file.close()

    def abort(self) -> None:
        """Close the file as it is."""
        self._file.close()


class RecordingWriter:
    """
    A recording that is written: it appears under its name when it is whole, and not before.

    :param path: an ``.mcap`` or ``.db3`` file, or a folder, which gets the storage of the input.
    :raises InputError: something has that name already.
    :raises SourceError: it cannot be written, or another program writes it.
    """

    def __init__(self, path: Path, like: Recording) -> None:
        require_libraries(str(path))
        from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

        self._path, self._connections = path, dict[tuple[Any, ...], Any]()
        self._errors = library_errors()
        ending = path.suffix.lower()
        self._is_file = ending in ENDINGS
        self._plugin = {'.mcap': StoragePlugin.MCAP, '.db3': StoragePlugin.SQLITE3}.get(
            ending, StoragePlugin.MCAP if like.storage == 'mcap' else StoragePlugin.SQLITE3)
        mode = CompressionMode[like.compression_mode.upper()]
        if self._is_file or like.has_compressed_chunks:
            is_compressed = like.has_compressed_chunks or mode != CompressionMode.NONE
            mode = CompressionMode.STORAGE if self._plugin == StoragePlugin.MCAP and is_compressed else CompressionMode.NONE
        _refuse_overwriting(path)
        self._closing = contextlib.ExitStack()
        try:
            folder = self._claimed_folder()
            name = re.sub('[#?%]', '_', (path.stem if self._is_file else path.name).encode('utf-8', 'replace').decode())
            self._writer = Writer(folder / name, version=like.version, storage_plugin=self._plugin)
            self._writer.STORAGE_PLUGINS = {**self._writer.STORAGE_PLUGINS, StoragePlugin.MCAP: _McapStorage}
            self._writer.set_compression(mode, CompressionFormat.ZSTD)
            for key, value in like.custom.items():
                self._writer.set_custom_data(key, value)
            self._writer.open()
        except self._errors as error:
            self._closing.close()
            raise self._failed(error) from error
        except SourceError:
            self._closing.close()
            raise

    def _claimed_folder(self) -> Path:
        """Return the folder to write to, empty, which no other program has."""
        folder = partial_folder(self._path)
        folder.mkdir(parents=True, exist_ok=True)
        self._closing.callback(os.close, claim(folder))
        _refuse_overwriting(self._path)  # by a program that has just finished
        _empty(folder)  # what a program left that was killed
        self._closing.callback(shutil.rmtree, folder, ignore_errors=True)
        if not re.search('[#?%]', str(folder)):
            return folder
        # rosbags makes a URI of the path, in which these have a meaning.
        link = Path(self._closing.enter_context(TemporaryDirectory(prefix='self_segmentation_'))) / 'partial'
        link.symlink_to(folder.absolute())
        return link

    def _failed(self, error: Exception) -> SourceError:
        return SourceError(f'recording {str(self._path)!r} cannot be written ({error}): is there room, and may you write there?')

    @property
    def _mcap(self) -> Any:
        return self._writer.storage if isinstance(self._writer.storage, _McapStorage) else None

    def takes(self, connection: Any) -> bool:
        """Return whether a connection of a recording can be written: one that is not ROS 2's only from MCAP to MCAP."""
        return is_ros2(connection) or (self._mcap is not None and connection.owner is not None)

    def add(self, connection: Any) -> Any:
        """Add a topic like another recording's; return what :meth:`write` takes."""
        try:
            if not is_ros2(connection):
                return self._mcap.add_foreign(connection.owner)
            key = (connection.topic, connection.msgtype, repr(connection.ext))
            if key not in self._connections:
                known = typestore()
                msgdef, digest = _definition(connection)
                self._connections[key] = self._writer.add_connection(
                    connection.topic, connection.msgtype, typestore=known, msgdef=msgdef, rihs01=digest,
                    serialization_format=connection.ext.serialization_format,
                    offered_qos_profiles=connection.ext.offered_qos_profiles)
            return self._connections[key]
        except self._errors as error:
            raise self._failed(error) from error

    def write(self, connection: Any, time: int, data: Any) -> None:
        """Append a message."""
        try:
            if isinstance(connection, int):
                self._mcap.write_foreign(connection, time, data)
            else:
                self._writer.write(connection, time, data)
        except self._errors as error:
            raise self._failed(error) from error

    def add_extra(self, record: Any) -> bool:
        """Add an attachment or metadata record of an MCAP file; return whether this recording takes one."""
        if self._mcap is None:
            return record.name == 'rosbag2'  # which a recording of any kind has of its own
        try:
            self._mcap.add_extra(record)
        except self._errors as error:
            raise self._failed(error) from error
        return True

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
        self._closing.close()


def _refuse_overwriting(path: Path) -> None:
    if is_there(path):
        raise InputError(f'recording {str(path)!r} exists already: give another --output, or remove it')


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def remove_partial(path: Path) -> None:
    """Remove what a process that was killed left of a recording, unless another one writes it now."""
    folder = partial_folder(path)
    with contextlib.suppress(OSError, SourceError):
        if folder.is_dir():
            lock = claim(folder)
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def lack_of(path: Path) -> str:
    """Return what a recording that was written lacks of its input; '' where it is whole."""
    try:
        return read_file(_note(path), _LARGEST_METADATA).decode('utf-8', 'replace')
    except FileNotFoundError:
        return ''
    except OSError as error:
        return f'{_note(path)} cannot be read: {reason_of(error)}'


def _note(path: Path) -> Path:
    return path.parent / f'.{path.name}.lacks'


def partial_folder(path: Path) -> Path:
    """Return the hidden folder in which a recording lies until it is finished. Who writes it has it locked."""
    return path.parent / f'.{path.name}.partial'


def _definition(connection: Any) -> tuple[str | None, str | None]:
    """Return definition and hash of a type as the writer takes them: None, None for those that the store of types has."""
    msgdef, digest = connection.msgdef.data, connection.digest
    if msgdef:
        return msgdef, digest or _hash(connection) or _UNKNOWN_HASH
    store = typestore()
    if connection.msgtype in store.types and digest in ('', _UNKNOWN_HASH, store.hash_rihs01(connection.msgtype)):
        return None, None
    return '', digest or _UNKNOWN_HASH


def _hash(connection: Any) -> str | None:
    """Return the hash of a type, which MCAP files need not hold, from its definition; None where that is not understood."""
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

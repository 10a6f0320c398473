# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Writes recordings of ROS 2, with the libraries rosbags and mcap: each gets its name when it is complete."""

from __future__ import annotations

import contextlib
import logging
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..errors import OutputError, WrongOutputError
from ..io.locks import claimed
from ..io.writers import is_file_ending
from ..resources import read_file
from .files import ENDINGS, ZSTD_ENDING, is_ros2, library_errors, reason_of, require_libraries
from .reader import Recording
from .types import UNKNOWN_HASH, defined, type_errors, typestore

__all__ = ['RecordingWriter', 'check_output', 'is_there', 'lack_of', 'partial_folder', 'remove_partial']

_LOGGER = logging.getLogger('self_segmentation.files')
_LARGEST_NOTE = 1 << 20  # bytes


def is_there(path: Path) -> bool:
    """
    Return whether something has that name already, even a broken link.

    :raises WrongOutputError: that is unknown.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        reason = f'recording {str(path)!r} cannot be written ({reason_of(error)}): give another --output'
        raise WrongOutputError(reason) from error
    return True


def check_output(path: Path, is_folder: bool) -> None:
    """
    Check the name of an output: of a recording, or of a folder of them.

    :raises WrongOutputError: its ending is one of other files.
    """
    ending = path.suffix.lower()
    if is_folder and ending in ENDINGS and not path.is_dir():
        raise WrongOutputError(f'--output {path}: give a folder, for the input is a folder of recordings')
    if ending not in ENDINGS and (is_file_ending(ending) or ending == ZSTD_ENDING) and not path.is_dir():
        raise WrongOutputError(f'--output {path}: a recording is written to an .mcap or .db3 file or to a folder, not to '
                               f'{ending}; its results are topics in it')


class _McapStorage:
    """Writes MCAP files for rosbags' writer, with the library mcap: it takes channels of every kind, and attachments."""

    def __init__(self, path: Path, compression: Any) -> None:
        from mcap.writer import CompressionType, Writer
        from rosbags.rosbag2 import CompressionMode

        self.path = path / f'{path.name}.mcap'
        self._file = self.path.open('xb')
        self._schemas, self._channels = dict[tuple[Any, ...], int](), dict[int, int]()
        self._writer: Any = Writer(self._file, compression=CompressionType.ZSTD if compression == CompressionMode.STORAGE
                                   else CompressionType.NONE)
        self._writer.start('ros2', 'self_segmentation')

    def _schema(self, *key: Any) -> int:
        """Return the number of a schema, of which ``key`` is name, encoding and content."""
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
        else:
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
    A recording that is written. It gets its name when :meth:`close` is called; without that, ``with`` leaves nothing of it.

    :param path: an ``.mcap`` or ``.db3`` file, or a folder, which gets the storage of the input.
    :param custom: whether it gets the ``custom_data`` of the input.
    :raises WrongOutputError: the name is taken.
    :raises OutputError: it cannot be written, or another program writes it.
    """

    def __init__(self, path: Path, like: Recording, custom: bool = True) -> None:
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
        with contextlib.ExitStack() as self._closing, self._reported():
            folder = self._claimed_folder()
            name = re.sub('[#?%]', '_', (path.stem if self._is_file else path.name).encode('utf-8', 'replace').decode())
            self._writer = Writer(folder / name, version=like.version, storage_plugin=self._plugin)
            self._writer.STORAGE_PLUGINS = {**self._writer.STORAGE_PLUGINS, StoragePlugin.MCAP: _McapStorage}
            self._writer.set_compression(mode, CompressionFormat.ZSTD)
            for key, value in like.custom.items() if custom else ():
                self._writer.set_custom_data(key, value)
            self._writer.open()
            self._closing = self._closing.pop_all()

    def _claimed_folder(self) -> Path:
        """Return the folder to write to: empty, and locked."""
        folder = partial_folder(self._path)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self._closing.enter_context(claimed(folder))
        except OutputError as error:
            raise OutputError(f'recording {str(self._path)!r} is being written by another program: wait for its end, or give '
                              'another --output') from error
        self._closing.callback(shutil.rmtree, folder, ignore_errors=True)
        _refuse_overwriting(self._path)  # by a program that has just finished
        for rest in folder.iterdir():  # what a killed program left
            shutil.rmtree(rest)
        if not re.search('[#?%]', str(folder)):
            return folder
        # rosbags makes a URI of the path; these have a meaning there.
        link = Path(self._closing.enter_context(TemporaryDirectory(prefix='self_segmentation_'))) / 'partial'
        link.symlink_to(folder.absolute())
        return link

    @contextlib.contextmanager
    def _reported(self) -> Iterator[None]:
        """Raise an error of the libraries as an OutputError."""
        try:
            yield
        except self._errors as error:
            raise OutputError(f'recording {str(self._path)!r} cannot be written ({error}): is there room, and may you write '
                              'there?') from error

    @property
    def _mcap(self) -> Any:
        return self._writer.storage if isinstance(self._writer.storage, _McapStorage) else None

    def takes(self, connection: Any) -> bool:
        """Return whether a connection can be written: one that is not of ROS 2 only from MCAP to MCAP."""
        return is_ros2(connection) or (self._mcap is not None and connection.owner is not None)

    def add(self, connection: Any) -> Any:
        """Add a topic like another recording's; return what :meth:`write` takes."""
        with self._reported():
            if not is_ros2(connection):
                return self._mcap.add_foreign(connection.owner)
            key = (connection.topic, connection.msgtype, repr(connection.ext))
            if key not in self._connections:
                msgdef, digest = _definition(connection)
                self._connections[key] = self._writer.add_connection(
                    connection.topic, connection.msgtype, typestore=typestore(), msgdef=msgdef, rihs01=digest,
                    serialization_format=connection.ext.serialization_format,
                    offered_qos_profiles=connection.ext.offered_qos_profiles)
            return self._connections[key]

    def write(self, connection: Any, time: int, data: Any) -> None:
        """Append a message."""
        with self._reported():
            if isinstance(connection, int):
                self._mcap.write_foreign(connection, time, data)
            else:
                self._writer.write(connection, time, data)

    def add_extra(self, record: Any) -> bool:
        """Add an attachment or metadata record of an MCAP file; return whether this recording takes one."""
        if self._mcap is None:
            return False
        with self._reported():
            self._mcap.add_extra(record)
        return True

    def close(self, lack: str = '') -> None:
        """
        Finish it and give it its name.

        :param lack: what it lacks of its input, for :func:`lack_of`.
        :raises OutputError: it cannot be written.
        """
        note = _note(self._path)
        try:
            with self._reported():
                self._writer.close()
                if lack:  # first: it must never look whole
                    note.write_text(lack, 'utf-8', 'replace')
                else:
                    note.unlink(missing_ok=True)
                if self._is_file:
                    [file] = self._writer.path.glob(f'*{self._path.suffix.lower()}')
                    file.replace(self._path)
                else:
                    self._writer.path.rename(self._path)
        except OutputError:
            with contextlib.suppress(OSError):
                note.unlink()
            raise
        finally:
            self.discard()

    def __enter__(self) -> RecordingWriter:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing of it, unless it is finished."""
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
        raise WrongOutputError(f'recording {str(path)!r} exists already: give another --output, or remove it')


def remove_partial(path: Path) -> None:
    """Remove what a killed process left of a recording, unless another one writes it now."""
    folder = partial_folder(path)
    with contextlib.suppress(OSError, OutputError):
        if folder.is_dir():
            with claimed(folder):
                shutil.rmtree(folder, ignore_errors=True)


def lack_of(path: Path) -> str:
    """Return what a written recording lacks of its input; '' if it is complete."""
    try:
        return read_file(_note(path), _LARGEST_NOTE).decode('utf-8', 'replace')
    except FileNotFoundError:
        return ''
    except OSError as error:
        return f'{_note(path)} cannot be read: {reason_of(error)}'


def _note(path: Path) -> Path:
    return path.parent / f'.{path.name}.lacks'


def partial_folder(path: Path) -> Path:
    """Return the hidden folder in which a recording lies until it is complete. Its writer holds a lock."""
    return path.parent / f'.{path.name}.partial'


def _definition(connection: Any) -> tuple[str | None, str | None]:
    """Return definition and hash of a type as the writer takes them: None, None if the store of types has it."""
    msgdef, digest = connection.msgdef.data, connection.digest
    if msgdef:
        return msgdef, digest or _hash(connection) or UNKNOWN_HASH
    store = typestore()
    if connection.msgtype in store.types and digest in ('', UNKNOWN_HASH, store.hash_rihs01(connection.msgtype)):
        return None, None
    return '', digest or UNKNOWN_HASH


def _hash(connection: Any) -> str | None:
    """Return the hash of a type, which MCAP files may lack, by its definition; None if that is not understood."""
    try:
        return str(defined(connection.msgtype, connection.msgdef).hash_rihs01(connection.msgtype))
    except type_errors() as error:
        _LOGGER.debug('%s: %s', connection.msgtype, error)
        return None

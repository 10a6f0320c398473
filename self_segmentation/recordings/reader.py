# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Recordings of ROS 2 (rosbag2: .mcap, .db3 or a folder), read by the libraries rosbags and mcap: no ROS needed."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any, Literal

import yaml

from ..errors import DamagedInputError, InputError
from ..io.image_files import warn_of_others
from ..resources import Closing, read_file
from .files import (
    ROS1_ENDING,
    ZSTD_ENDING,
    RecordingFile,
    begins_as_recording,
    connection_of,
    is_ros2,
    library_errors,
    reason_of,
    require_libraries,
)

__all__ = ['COMPRESSED', 'IMAGE', 'Recording', 'is_recording', 'output_names', 'recordings_in']

IMAGE, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
_LOGGER = logging.getLogger('self_segmentation.files')
_INPUT_ENDINGS = ('.mcap', '.db3', ZSTD_ENDING, ROS1_ENDING)  # those of ROS 1 are refused, with what to do
_BESIDE = re.compile(r'\.db3-(wal|shm|journal)$', re.I)  # SQLite's own
_METADATA = 'metadata.yaml'
_LARGEST_METADATA = 16 << 20  # bytes


def is_recording(path: Path) -> bool:
    """Return whether a path is a recording or a folder of recordings, by its content."""
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


def recordings_in(path: Path) -> list[Path]:
    """
    Return the recordings in a folder, by name; an empty list if the path is one recording itself.

    Hidden files are skipped; other files are logged.

    :raises InputError: it cannot be read.
    """
    try:
        if not path.is_dir() or (path / _METADATA).is_file():
            return []
        entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith('.'))
    except (OSError, ValueError) as error:
        raise InputError(f'recording {str(path)!r} cannot be read: {reason_of(error)}') from error
    recordings = [entry for entry in entries if _may_be_one(entry)]
    warn_of_others(path, [entry for entry in entries if entry not in recordings and not _BESIDE.search(entry.name)],
                   f'no .mcap, no .db3 and no folder with a {_METADATA}')
    return recordings


def output_names(recordings: list[Path]) -> list[str]:
    """
    Return the names of the results for the recordings of a folder: their own, without ``.zstd``.

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


class Recording(Closing):
    """
    A recording, opened. Its files tell what is in it; ``metadata.yaml`` adds what they lack.

    ``connections`` are rosbags' (topic, msgtype, msgcount, ...), numbered anew; ``definitions``: by the number of a connection,
    all definitions of its type in the files, which may differ.

    :raises InputError: nothing of it can be read.
    """

    def __init__(self, path: Path) -> None:
        require_libraries(str(path))
        self.path, self.connections, self.definitions = path, list[Any](), dict[int, set[Any]]()
        self._information: dict[str, Any] = {}
        self._damages, self._files = list[str](), list[RecordingFile]()
        try:
            self._is_folder = path.is_dir()
            self._files = [RecordingFile(file) for file in (self._listed() if self._is_folder else [path])]
            self._connect()
        except library_errors() as error:
            self.close()
            raise InputError(f'recording {str(path)!r} cannot be read: {reason_of(error)}') from error
        if not any(file.storage.connections for file in self._files):
            reason = self.damage or 'has no topics'
            self.close()
            raise InputError(f'recording {str(path)!r} {reason}')

    def _listed(self) -> list[Path]:
        """Return the files of a folder: those in its metadata, and others whose names differ only in the number."""
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
        warn_of_others(self.path, others, f'not named by {_METADATA}')
        return [self.path / name for name in files.values()]

    def _connect(self) -> None:
        """Join the connections of the files and of the metadata."""
        described = {(each.topic, each.msgtype): each for each in self._described()}
        joined: dict[tuple[Any, ...], Any] = {}
        definitions: dict[tuple[Any, ...], set[Any]] = {}
        self._numbers: list[dict[int, tuple[Any, ...]]] = []
        for file in self._files:
            keys = {}
            for each in file.storage.connections:
                known = described.get((each.topic, each.msgtype))
                if known is not None and is_ros2(each):
                    each = each._replace(digest=each.digest or known.digest, ext=each.ext._replace(
                        offered_qos_profiles=each.ext.offered_qos_profiles or known.ext.offered_qos_profiles))
                key = keys[each.id] = (each.topic, each.msgtype, repr(each.ext), each.digest)
                definitions.setdefault(key, set()).add(each.msgdef)
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
        self.definitions = {each.id: definitions.get(key, set()) for key, each in joined.items()}

    def _described(self) -> Iterator[Any]:
        """Yield a connection without messages for each topic that the metadata describes."""
        for each in self._information.get('topics_with_message_count') or ():
            try:
                topic = each['topic_metadata']
                yield connection_of(0, topic['name'], topic['type'], digest=topic.get('type_description_hash') or '',
                                    encoding=topic.get('serialization_format') or 'cdr',
                                    qos=topic.get('offered_qos_profiles') or [])
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
    def _storage(self) -> Any:
        return next(file.storage for file in self._files if file.storage.connections)

    @property
    def storage(self) -> str:
        """What its files are: ``mcap`` or ``sqlite3``."""
        return str(self._storage.name)

    @property
    def compression_mode(self) -> str:
        """The mode of its compression in the metadata: ``file``, ``message`` or ``none``."""
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
        return bool(self._storage.is_compressed)

    @property
    def version(self) -> Literal[8, 9]:
        """The version of its metadata: 9 writes QoS in words, as in Jazzy, 8 in numbers."""
        version = self._information.get('version')
        return 9 if (version >= 9 if isinstance(version, int) else self._storage.has_qos_in_words) else 8

    @property
    def undefined(self) -> list[str]:
        """Types whose definition its files lack, though they have definitions."""
        return sorted(set[str]().union(*(file.storage.undefined for file in self._files)))

    def messages(self) -> Iterator[tuple[Any, int, bytes]]:
        """
        Yield connection, time in nanoseconds and content of every message, by time.

        :raises DamagedInputError: after them, if something is damaged or cut off.
        """
        count = 0
        for file, connections in zip(self._files, self._numbers):
            for connection, time, data in file.messages():
                yield connections[connection.id], time, data
                count += 1
        expected = self._information.get('message_count')
        if isinstance(expected, int) and count < expected and not self.damage:
            self._damages.append(f'{_METADATA} counts {expected} messages')
        if self.damage:
            raise DamagedInputError(f'recording {str(self.path)!r} {self.damage}; {count} messages could be read')

    def extras(self) -> Iterator[Any]:
        """Yield the attachments and metadata records of MCAP files, as the library mcap gives them."""
        for file in self._files:
            yield from file.extras()

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()


def _by_number(name: str) -> list[Any]:
    """Return a key that puts the tenth file behind the second."""
    return [int(part) if part.isdigit() else part for part in re.split(r'(\d+)', name)]

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Processes recordings: segments the images of one topic and copies the rest, if people are hidden only what shows nobody."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import sys
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import cv2
import numpy as np

from ..errors import DamagedInputError, ExitCode, ImageError, InputError, SelfSegmentationError, WrongOutputError
from ..io.locks import claimed
from ..library import Pipeline
from ..nodes.messages import BitDepth, compress, compressed_to_bgr, seconds_of, stamp_of, to_bgr
from ..picture.looking_ahead import LookingAhead, Waiting
from ..picture.pipeline import Result
from ..settings import Settings
from .files import is_ros2
from .reader import COMPRESSED, IMAGE, Recording, output_names, recordings_in
from .types import CLOUD, reason_against, reason_against_cloud, type_errors, typestore
from .workers import run_tasks
from .writer import RecordingWriter, check_output, is_there, lack_of, remove_partial

__all__ = ['Choice', 'process_recordings']

_LOGGER = logging.getLogger('self_segmentation.files')
_RESULTS = {'output': 'composite', 'mask': 'mask', 'alpha': 'alpha'}  # topic below /segmentation: field of a result
# encoding of an image: that of the composite in its place, and how it is made of bgr8; others get bgr8
_KEPT = {
    'mono8': ('mono8', cv2.COLOR_BGR2GRAY),
    '8UC1': ('8UC1', cv2.COLOR_BGR2GRAY),
    'mono16': ('mono8', cv2.COLOR_BGR2GRAY),
    '16UC1': ('mono8', cv2.COLOR_BGR2GRAY),
    'rgb8': ('rgb8', cv2.COLOR_BGR2RGB),
    '8UC3': ('8UC3', None),
}
_AHEAD = 3  # images that are decoded, and encoded, while another is segmented
_WAITING = 100  # messages between them, at most


@dataclasses.dataclass(frozen=True)
class Choice:
    """
    What to make of recordings.

    ``topic`` to segment, '' for the only one; ``in_place``: the composite replaces its images, else results are added; ``keep``:
    topics to copy although people are hidden; ``resume``: skip results that exist; ``workers``: processes for a folder.
    """

    topic: str = ''
    in_place: bool = False
    keep: tuple[str, ...] = ()
    resume: bool = False
    workers: int = 1


@dataclasses.dataclass(frozen=True)
class _Task:
    """A recording of a folder of them, and where it is written."""

    place: Path
    output: Path
    settings: Settings
    choice: Choice

    def __str__(self) -> str:
        return f'recording {str(self.place)!r}'


def process_recordings(place: Path, output: Path, settings: Settings, choice: Choice, stop: list[int]) -> int:
    """
    Process a recording, or a folder of them; return the exit code.

    :param stop: not empty when it must end.
    :raises InputError: the recording cannot be read, or lacks a topic that was chosen.
    :raises OutputError: the output cannot be written, or another program writes it.
    """
    from ..io.progress import tqdm

    recordings = recordings_in(place)
    check_output(output, bool(recordings))
    if not recordings:
        if choice.resume and is_there(output):
            return ExitCode.FAILED if _lacks(output) else ExitCode.DONE
        with tqdm(unit='frame', disable=None) as bar:
            return ExitCode.DONE if _process(place, output, settings, choice, stop, bar) else ExitCode.FAILED
    tasks = [_Task(each, output / name, settings, choice) for each, name in zip(recordings, output_names(recordings))]
    with contextlib.ExitStack() as locked:
        try:
            output.mkdir(parents=True, exist_ok=True)
            locked.enter_context(claimed(output))
        except OSError as error:
            raise WrongOutputError(f'--output {output} cannot be made a folder for recordings: {error.strerror}') from error
        there = [each.output for each in tasks if choice.resume and is_there(each.output)]
        lacking = sum(map(_lacks, there))
        tasks = [each for each in tasks if each.output not in there]
        done, failed = _in_workers(tasks, choice.workers, stop)
    left = len(tasks) - done
    if left:
        _LOGGER.warning('stopped: %d of %d recordings are not made; --resume makes them', left, len(tasks))
    return ExitCode.FAILED if failed or left or lacking else ExitCode.DONE


def _lacks(output: Path) -> bool:
    """Log again what an existing result lacks of its input; return whether it lacks anything."""
    lack = lack_of(output)
    if lack:
        _LOGGER.warning('%s; to make %s again, remove it', lack, output)
    return bool(lack)


def _in_workers(tasks: list[_Task], workers: int, stop: list[int]) -> tuple[int, int]:
    """Process each recording in a process of its own; return how many are done, and how many of these failed."""
    from ..io.progress import tqdm

    failed, left = 0, {each.output for each in tasks}
    with tqdm(total=len(tasks), unit='recording', disable=None) as bar, \
            contextlib.closing(run_tasks(_work, tasks, workers, stop)) as results:
        for index, problem in results:
            left.discard(tasks[index].output)
            bar.update()
            if problem:
                failed += 1
                remove_partial(tasks[index].output)
                bar.write(f'self_segmentation: {problem}', file=sys.stderr)
    for output in left:
        remove_partial(output)
    return len(tasks) - len(left), failed


def _work(task: _Task, stop: list[int]) -> str | None:
    """Process a recording in a process of its own; return what is wrong."""
    cv2.setNumThreads(1)
    try:
        is_done = _process(task.place, task.output, task.settings, task.choice, stop)
    except SelfSegmentationError as error:
        return str(error)
    return '' if is_done else None


def _process(place: Path, output: Path, settings: Settings, choice: Choice, stop: list[int], bar: Any = None) -> bool:
    """
    Process one recording; return False if it was stopped.

    :raises DamagedInputError: a part cannot be read; the rest was written.
    :raises InputError: it cannot be read.
    :raises OutputError: it cannot be written.
    """
    with contextlib.ExitStack() as opened:
        recording = opened.enter_context(Recording(place))
        source = _chosen(recording, choice.topic)
        images = {each.id for each in recording.connections if (each.topic, each.msgtype) == (source.topic, source.msgtype)
                  and is_ros2(each)}
        left_out = _left_out(recording, images if choice.in_place else set(), settings, choice)
        if bar is not None:
            bar.total = sum(each.msgcount for each in recording.connections if each.id in images)
        pipeline = opened.enter_context(Pipeline(settings))
        codec = _Codec(source.msgtype, settings.jpeg_quality, choice.in_place)
        writer = opened.enter_context(RecordingWriter(output, recording, custom=not settings.hides_people))
        clouds = {each.id for each in recording.connections if settings.hides_people and each.msgtype == CLOUD
                  and each.topic not in choice.keep and each.id not in left_out}
        copy = _Copy(recording, source, images, left_out, clouds, codec, writer, choice.in_place)
        if not copy.run(pipeline, stop, bar):
            _LOGGER.warning('stopped: nothing is left of %s', output)
            return False
        lacks = copy.lacks()
        copy.name_left_out_clouds()
        _pass_on_extras(recording, writer, covers=settings.hides_people)
        _name_what_is_special(recording, writer, source.topic, codec)
        writer.close('; '.join(lacks))
        if lacks:
            raise DamagedInputError('; '.join(lacks))
    return True


class _Copy:
    """
    Copies the messages of a recording into another one.

    :param source: the connection of the image topic.
    :param images: ids of the connections of its images; ``left_out``: of those that are not copied; ``clouds``: of those of which
        only messages without colours are copied.
    """

    def __init__(self, recording: Recording, source: Any, images: set[int], left_out: set[int], clouds: set[int], codec: _Codec,
                 writer: RecordingWriter, in_place: bool) -> None:
        self._recording, self._source, self._images, self._codec, self._writer = recording, source, images, codec, writer
        self._in_place, self._names = in_place, ('output',) if in_place else tuple(_RESULTS)
        self._topics = {each.id: writer.add(each) for each in recording.connections
                        if each.id not in left_out and writer.takes(each) and not (each.id in clouds and each.msgcount)}
        self._clouds = {each.id: each for each in recording.connections if each.id in clouds}
        self._shown, self._hidden = Counter[str](), dict[str, list[str]]()  # clouds by topic: how many; why not
        self._added = {} if in_place else {name: writer.add(codec.connection(source, name)) for name in self._names}
        self._count, self._problems, self._damage = 0, list[str](), list[InputError]()

    def run(self, pipeline: Pipeline, stop: list[int], bar: Any) -> bool:
        """Write all messages and results; return False where ``stop`` is not empty before the end."""
        process = _Process(pipeline, self._names, keeps_images=not self._in_place and not self._images.isdisjoint(self._topics))
        for connection, time, data, made in _overlapped(self._messages(), self._images, self._codec, process, self._names):
            if stop:
                return False
            is_image = connection.id in self._images
            if connection.id in self._clouds and self._is_left_out(connection, data):
                continue
            if connection.id in self._topics and not (is_image and self._in_place):
                self._writer.write(self._topics[connection.id], time, data)
            if isinstance(made, ImageError):
                self._problems.append(str(made))
            else:
                for name, message in made.items():
                    self._writer.write(self._added[name] if self._added else self._topics[connection.id], time, message)
            if is_image:
                self._count += 1
                if bar is not None:
                    bar.update()
        return True

    def _is_left_out(self, connection: Any, data: bytes) -> bool:
        """Return whether a cloud may show people; add the topic with the first cloud that does not."""
        if reason := reason_against_cloud(data):
            self._hidden.setdefault(connection.topic, []).append(reason)
            return True
        self._shown[connection.topic] += 1
        if connection.id not in self._topics:
            self._topics[connection.id] = self._writer.add(self._clouds[connection.id])
        return False

    def name_left_out_clouds(self) -> None:
        """Log which topics lack clouds, and why."""
        for topic, reasons in self._hidden.items():
            _say_left_out(self._recording, topic, CLOUD, f'{reasons[0]} ({len(reasons)} of {len(reasons) + self._shown[topic]} '
                                                         'messages)')

    def _messages(self) -> Iterator[tuple[Any, int, bytes]]:
        """Yield the messages that can be read; keep the error that ends them early."""
        try:
            yield from self._recording.messages()
        except InputError as error:
            self._damage.append(error)

    def lacks(self) -> list[str]:
        """
        Return what the result lacks of its input, in sentences.

        :raises InputError: no image can be decoded.
        """
        lacks = [str(error) for error in self._damage]
        if self._problems:
            what = f'recording {str(self._recording.path)!r}'
            if len(self._problems) == self._count:
                raise InputError(f'{what}: no image of {self._source.topic} can be decoded: {self._problems[0]}')
            lacks.append(f'{what}: {len(self._problems)} of {self._count} images of {self._source.topic} '
                         f'{"are left out" if self._in_place else "have no result"}, the first because {self._problems[0]}')
        return lacks


def _pass_on_extras(recording: Recording, writer: RecordingWriter, covers: bool) -> None:
    """Copy attachments and metadata records of MCAP files, unless people are covered; log what is left out."""
    left_out = [record.name for record in recording.extras() if covers or not writer.add_extra(record)]
    left_out += [f'custom_data {key}' for key in recording.custom if covers]
    if left_out:
        _LOGGER.warning('%s: left out of what lies beside its messages: %s', recording.path, ', '.join(left_out))


def _name_what_is_special(recording: Recording, writer: RecordingWriter, topic: str, codec: _Codec) -> None:
    """Log which topics are not copied, which types have no definition, and which encodings are not kept."""
    foreign = [f'{each.topic} ({each.ext.serialization_format})' for each in recording.connections if not writer.takes(each)]
    if foreign:
        _LOGGER.warning('%s: left out, for only .mcap takes messages that are not of ROS 2: %s', recording.path,
                        ', '.join(foreign))
    if recording.undefined:
        _LOGGER.warning('%s: no definition of %s in it: the messages are copied as they are', recording.path,
                        ', '.join(recording.undefined))
    for before, after in sorted(codec.changed.items()):
        _LOGGER.warning('%s: images of %s in %s are written as %s', recording.path, topic, before, after)


def _chosen(recording: Recording, topic: str) -> Any:
    """
    Return the connection of the image topic.

    :raises InputError: there is no such topic, or more than one.
    """
    images = {each.topic: each for each in recording.connections
              if each.msgtype in (IMAGE, COMPRESSED) and each.msgcount and is_ros2(each)}
    what = f'recording {str(recording.path)!r}' + (f' {recording.damage}; what can be read' if recording.damage else '')
    if topic in images:
        return images[topic]
    if not images:
        if any(each.ext.serialization_format == 'ros1' for each in recording.connections):
            raise InputError(f'{what} is of ROS 1: convert it with rosbags-convert --src NAME.bag --dst NAME, from the .bag that '
                             'it was made of')
        others = ', '.join(sorted({each.topic for each in recording.connections})) or 'nothing'
        raise InputError(f'{what} has no images ({IMAGE} or {COMPRESSED}); it has {others}')
    listed = ', '.join(f'{each.topic} ({each.msgcount})' for each in images.values())
    if topic:
        raise InputError(f'{what} has no images on --topic {topic}: it has {listed}')
    if len(images) > 1:
        raise InputError(f'{what} has several image topics: choose with --topic: {listed}')
    return next(iter(images.values()))


def _left_out(recording: Recording, replaced: set[int], settings: Settings, choice: Choice) -> set[int]:
    """
    Return the connections that must not be copied, because they may show people who are to be hidden.

    :param replaced: connections whose messages are replaced.
    """
    topics = {each.topic for each in recording.connections}
    unknown = sorted({*choice.keep} - topics)
    if unknown:
        raise InputError(f'recording {str(recording.path)!r} has no topic {unknown[0]} to --keep: it has '
                         f'{", ".join(sorted(topics))}')
    taken = sorted(topic for topic in topics if topic.startswith('/segmentation/') and not choice.in_place)
    if taken:
        raise InputError(f'recording {str(recording.path)!r} has {taken[0]} already: give --in-place, or the recording that it '
                         'was made of')
    if not settings.hides_people:
        return set()
    reasons = {each.id: _reason_against(recording, each) for each in recording.connections
               if each.id not in replaced and each.topic not in choice.keep}
    left_out = {each.id: (each.topic, each.msgtype, reasons[each.id]) for each in recording.connections if reasons.get(each.id)}
    for topic, msgtype, reason in sorted({*left_out.values()}):
        _say_left_out(recording, topic, msgtype, reason)
    return {*left_out}


def _reason_against(recording: Recording, connection: Any) -> str:
    """Return why a connection may show people; '' if it is known to show nobody."""
    if not is_ros2(connection):
        return f'it is not of ROS 2 but {connection.ext.serialization_format or "unknown"}'
    return reason_against(connection.msgtype, connection.digest, recording.definitions[connection.id])


def _say_left_out(recording: Recording, topic: str, msgtype: str, reason: str) -> None:
    _LOGGER.warning('%s: left out, for it may show people: %s (%s): %s; --keep %s keeps it', recording.path, topic,
                    msgtype or 'no type', reason, topic)


class _Frame(NamedTuple):
    """A decoded message: header, pixels and encoding."""

    header: Any
    pixels: Any
    encoding: str


class _Codec:
    """
    Image messages of a topic to arrays and back, as in the node.

    :param in_place: composites keep the encodings in :data:`_KEPT`; ``changed`` has the others, and what replaced them.
    """

    def __init__(self, msgtype: str, jpeg_quality: int, in_place: bool = False) -> None:
        self._store, self._type, self._quality, self._in_place = typestore(), msgtype, jpeg_quality, in_place
        self._depth = BitDepth(lambda bits, brightest: _LOGGER.info('the camera uses %d bits (%d)', bits, brightest))
        self._is_png = False
        self.changed: dict[str, str] = {}

    def connection(self, source: Any, name: str) -> Any:
        """Return the connection of a result: named as in the node, compressed if the images are."""
        topic = f'/segmentation/{name}' + ('/compressed' if self._type == COMPRESSED else '')
        qos = [each._replace(depth=1, reliability=type(each.reliability).RELIABLE)
               for each in source.ext.offered_qos_profiles[:1]]
        return source._replace(topic=topic, ext=source.ext._replace(offered_qos_profiles=qos))

    def decode(self, data: bytes) -> _Frame:
        """Return the content of a message. :raises ImageError: it cannot be decoded."""
        try:
            message = self._store.deserialize_cdr(data, self._type)
        except type_errors() as error:
            raise ImageError(f'a message of {len(data)} bytes is no {self._type} ({error})') from error
        if self._type == COMPRESSED:
            self._is_png = 'png' in message.format.lower()
            return _Frame(message.header, compressed_to_bgr(message, self._depth), message.format.partition(';')[0].strip())
        return _Frame(message.header, to_bgr(message, self._depth), message.encoding)

    def encode(self, frame: _Frame, name: str, pixels: Any) -> Any:
        """Return a message with a result, as bytes."""
        encoding = 'mono8' if pixels.ndim == 2 else {3: 'bgr8', 4: 'bgra8'}[pixels.shape[2]]
        if self._in_place:
            encoding, pixels = self._as_before(frame.encoding, encoding, pixels)
        if self._type == COMPRESSED:
            made = SimpleNamespace()
            compress(made, pixels, self._quality if name == 'output' and not self._is_png else None)
            message = self._store.types[COMPRESSED](frame.header, made.format, np.frombuffer(made.data, np.uint8))
        else:
            height, width = pixels.shape[:2]
            message = self._store.types[IMAGE](frame.header, height, width, encoding, int(sys.byteorder == 'big'),
                                               pixels.strides[0], pixels.reshape(-1))
        return self._store.serialize_cdr(message, self._type)

    def _as_before(self, before: str, encoding: str, pixels: Any) -> tuple[str, Any]:
        """Return encoding and pixels of a composite that replaces an image; alpha is kept."""
        kept, conversion = _KEPT.get(before, (encoding, None)) if encoding == 'bgr8' else (encoding, None)
        if self._type == COMPRESSED and kept not in ('mono8', '8UC1'):  # a JPEG or PNG has its own encoding
            return encoding, pixels
        if conversion is not None:
            pixels = cv2.cvtColor(pixels, conversion)
        if before != kept:
            self.changed[before] = kept
        return kept, pixels


@dataclasses.dataclass(eq=False)
class _Message:
    """
    A message on its way.

    ``decoded``: the content of an image; ``made``: its results, name to content, None before they are known.
    """

    connection: Any
    time: int
    data: bytes
    decoded: Future[_Frame] | None = None
    made: Future[dict[str, Any]] | ImageError | None = None

    @property
    def waits(self) -> bool:
        """Whether it is an image without results yet."""
        return self.decoded is not None and self.made is None


class _Process:
    """
    Runs the images of a topic through the pipeline. If people are hidden, an image waits for the next ``privacy.before`` seconds.

    :param names: of the results to make.
    :param keeps_images: whether the images are written too.
    """

    def __init__(self, pipeline: Pipeline, names: tuple[str, ...], keeps_images: bool) -> None:
        self._pipeline, self._keeps_images = pipeline, keeps_images
        self._wanted = {field: name in names for name, field in _RESULTS.items()}
        settings = pipeline.settings
        before = settings.privacy_before if settings.hides_people else 0.0
        self._ahead = LookingAhead[_Message](before) if before else None

    def __call__(self, message: _Message) -> Iterator[tuple[_Message, Result]]:
        """Take a message; yield the images whose results are known now. :raises ImageError: the image cannot be decoded."""
        if message.decoded is not None:
            frame = message.decoded.result()
            stamp = seconds_of(stamp_of(frame.header))
            if self._ahead is None:
                yield message, self._pipeline.process(frame.pixels, stamp=stamp, mask=self._wanted['mask'],
                                                      alpha=self._wanted['alpha'])
            else:
                result = self._pipeline.process(frame.pixels, stamp=stamp, composite=False, mask=False)
                yield from self._completed(self._ahead.add(message, frame.pixels, result, stamp))
            if not self._keeps_images:
                message.data = b''  # memory
        if self._ahead is not None:
            yield from self._completed(self._ahead.burden(len(message.data)))

    def rest(self) -> Iterator[tuple[_Message, Result]]:
        """Yield the images that still wait, at the end."""
        return iter(()) if self._ahead is None else self._completed(self._ahead.flush())

    def _completed(self, ready: list[Waiting[_Message]]) -> Iterator[tuple[_Message, Result]]:
        for each in ready:
            yield each.of, self._pipeline.complete(each.result, each.pixels, self._pipeline.settings, **self._wanted)


def _overlapped(messages: Iterator[tuple[Any, int, bytes]], images: set[int], codec: _Codec, process: _Process,
                names: tuple[str, ...]) -> Iterator[tuple[Any, int, bytes, Any]]:
    """
    Yield each message with its results (name to content, or an ImageError), in order.

    Two threads decode and encode images while another one is segmented.

    :param images: ids of the connections of the images.
    """
    def encode(frame: Future[_Frame], result: Result) -> dict[str, Any]:
        return {name: codec.encode(frame.result(), name, getattr(result, _RESULTS[name])) for name in names}

    with ThreadPoolExecutor(1) as decoder, ThreadPoolExecutor(1) as encoder:
        decoding, encoding = deque[_Message](), deque[_Message]()

        def hand_on(known: Iterator[tuple[_Message, Result]]) -> None:
            for each, result in known:
                assert each.decoded is not None  # it is an image
                each.made = encoder.submit(encode, each.decoded, result)

        is_over = False
        while not is_over or decoding or encoding:
            while not is_over and len(decoding) < _WAITING and sum(each.decoded is not None for each in decoding) < _AHEAD:
                message = next(messages, None)
                if message is None:
                    is_over = True
                else:
                    is_image = message[0].id in images
                    decoding.append(_Message(*message, decoder.submit(codec.decode, message[2]) if is_image else None))
            if decoding:
                encoding.append(decoding.popleft())
                try:
                    hand_on(process(encoding[-1]))
                except ImageError as error:
                    encoding[-1].made = error
            if is_over and not decoding:
                hand_on(process.rest())
            while encoding and not encoding[0].waits and (
                    not decoding or not isinstance(encoding[0].made, Future)
                    or sum(isinstance(each.made, Future) for each in encoding) > _AHEAD):
                first = encoding.popleft()
                yield first.connection, first.time, first.data, (
                    first.made.result() if isinstance(first.made, Future) else first.made or {})

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Recordings processed offline: the images of one topic go the node's way, everything else is copied."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import logging
import multiprocessing
import shutil
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

from ..errors import ImageError, SelfSegmentationError, SourceError
from ..io.assets import make_pipeline
from ..io.recordings import (
    COMPRESSED,
    IMAGE,
    Recording,
    RecordingWriter,
    check_output,
    is_image_topic,
    is_there,
    lack_of,
    partial_folder,
    recordings_in,
    typestore,
)
from ..nodes.messages import BitDepth, compress, compressed_to_bgr, seconds_of, stamp_of, to_bgr
from ..picture.pipeline import Result
from ..settings import Settings

__all__ = ['Choice', 'process_recordings']

_LOGGER = logging.getLogger('self_segmentation.files')
_RESULTS = {'output': 'composite', 'mask': 'mask', 'alpha': 'alpha'}  # topic below /segmentation: field of a result
_AHEAD = 3  # images that are decoded, and encoded, while another is segmented
_WAITING = 100  # messages between them, at most
_POLL = 0.2  # seconds


@dataclasses.dataclass(frozen=True)
class Choice:
    """
    What is wanted of recordings.

    ``topic`` that is segmented, '' for the only one; ``in_place``: the composite takes the place of its images, else the results
    are added; ``keep``: other image topics that stay although people are covered; ``resume``: what is there already is not made
    again; ``workers``: processes for a folder of recordings.
    """

    topic: str = ''
    in_place: bool = False
    keep: tuple[str, ...] = ()
    resume: bool = False
    workers: int = 1


def process_recordings(place: Path, output: Path, settings: Settings, choice: Choice, told: list[int]) -> int:
    """
    Process a recording, or a folder of them; return the exit code.

    :param told: not empty when it must end.
    :raises SourceError: the recording cannot be read, or the output not be written.
    """
    from tqdm import tqdm

    recordings = recordings_in(place)
    check_output(output, bool(recordings))
    if not recordings:
        if choice.resume and is_there(output):
            return int(_lacks(output))
        with tqdm(unit='frame', disable=None) as bar:
            return 0 if _process(place, output, settings, choice, told, bar) else 1
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SourceError(f'--output {output} cannot be made a folder for recordings: {error.strerror}') from error
    there = [output / each.name for each in recordings if choice.resume and is_there(output / each.name)]
    lacking = sum(map(_lacks, there))
    tasks = [(each, output / each.name, settings, choice) for each in recordings if output / each.name not in there]
    done, failed = _in_workers(tasks, choice.workers, told)
    left = len(tasks) - done
    if left:
        gc.collect()  # the workers' semaphores: the program ends without tidying up
        for _, path, *_ in tasks:
            shutil.rmtree(partial_folder(path), ignore_errors=True)
        _LOGGER.warning('stopped: %d of %d recordings are not made; --resume makes them', left, len(tasks))
    return 1 if failed or left or lacking else 0


def _lacks(output: Path) -> bool:
    """Say again what a recording that is there already lacks of its input; return whether it does."""
    lack = lack_of(output)
    if lack:
        _LOGGER.warning('%s; to make %s again, remove it', lack, output)
    return bool(lack)


def _in_workers(tasks: list[tuple[Path, Path, Settings, Choice]], workers: int, told: list[int]) -> tuple[int, int]:
    """Process recordings in processes of their own; return how many are done, and how many of these failed."""
    from tqdm import tqdm

    failed = done = 0
    with tqdm(total=len(tasks), unit='recording', disable=None) as bar, \
            multiprocessing.get_context('spawn').Pool(max(1, min(workers, len(tasks))), _prepare_worker) as pool:
        results = pool.imap_unordered(_task, tasks)
        while done < len(tasks) and not told:
            with contextlib.suppress(multiprocessing.TimeoutError):
                problem = results.next(_POLL)
                done += 1
                bar.update()
                if problem:
                    failed += 1
                    bar.write(f'self_segmentation: {problem}', file=sys.stderr)
    return done, failed


def _prepare_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C reaches it too, and the main process ends it
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    cv2.setNumThreads(1)


def _task(task: tuple[Path, Path, Settings, Choice]) -> str:
    """Process a recording in a worker; return what is wrong."""
    place, output, settings, choice = task
    try:
        _process(place, output, settings, choice, [])
    except SelfSegmentationError as error:
        return str(error)
    return ''


def _process(place: Path, output: Path, settings: Settings, choice: Choice, told: list[int], bar: Any = None) -> bool:
    """
    Process one recording; return whether it was done to its end.

    :raises SourceError: it, or some of its images, cannot be read: what is whole is written before; or it cannot be written.
    """
    with contextlib.ExitStack() as closing:
        recording = Recording(place)
        closing.callback(recording.close)
        source = _chosen(recording, choice.topic)
        left_out = _left_out(recording, source, settings, choice)
        images = {each.id for each in recording.connections if (each.topic, each.msgtype) == (source.topic, source.msgtype)}
        if bar is not None:
            bar.total = sum(each.msgcount for each in recording.connections if each.id in images)
        pipeline = make_pipeline(settings)
        closing.callback(pipeline.close)
        codec = _Codec(source.msgtype, settings.jpeg_quality)
        writer = RecordingWriter(output, recording)
        closing.callback(writer.discard)
        topics = {each.id: writer.add(each) for each in recording.connections if each.topic not in left_out}
        names = ('output',) if choice.in_place else tuple(_RESULTS)
        added = {} if choice.in_place else {name: writer.add(codec.connection(source, name)) for name in names}
        count, problems = 0, list[str]()
        damage: list[SourceError] = []

        def process(frame: Any) -> Result:
            header, pixels = frame
            return pipeline.process(pixels, stamp=seconds_of(stamp_of(header)), mask='mask' in names, alpha='alpha' in names)

        for connection, time, data, made in _overlapped(_kept(recording, damage), images, codec, process, names):
            if told:
                _LOGGER.warning('stopped: nothing is left of %s', output)
                return False
            is_image = connection.id in images
            if connection.id in topics and not (is_image and choice.in_place):
                writer.write(topics[connection.id], time, data)
            if isinstance(made, ImageError):
                problems.append(str(made))
            else:
                for name, message in made.items():
                    writer.write(added[name] if added else topics[connection.id], time, message)
            if is_image:
                count += 1
                if bar is not None:
                    bar.update()
        if problems and len(problems) == count:
            raise SourceError(f'recording {str(place)!r}: no image of {source.topic} can be decoded: {problems[0]}')
        lacks = [str(error) for error in damage]
        if problems:
            lacks.append(f'recording {str(place)!r}: {len(problems)} of {count} images of {source.topic} '
                         f'{"are left out" if choice.in_place else "have no result"}, the first because {problems[0]}')
        writer.close('; '.join(lacks))
        if lacks:
            raise SourceError('; '.join(lacks))
    return True


def _kept(recording: Recording, damage: list[SourceError]) -> Iterator[tuple[Any, int, bytes]]:
    """Yield the messages that can be read; note what ends them early."""
    try:
        yield from recording.messages()
    except SourceError as error:
        damage.append(error)


def _chosen(recording: Recording, topic: str) -> Any:
    """
    Return the connection of the image topic.

    :raises SourceError: there is none, or a choice.
    """
    images = {each.topic: each for each in recording.connections if each.msgtype in (IMAGE, COMPRESSED) and each.msgcount}
    what = f'recording {str(recording.path)!r}' + (f' {recording.damage}; what can be read' if recording.damage else '')
    if topic in images:
        return images[topic]
    if not images:
        others = ', '.join(sorted({each.topic for each in recording.connections})) or 'nothing'
        raise SourceError(f'{what} has no images ({IMAGE} or {COMPRESSED}); it has {others}')
    listed = ', '.join(f'{each.topic} ({each.msgcount})' for each in images.values())
    if topic:
        raise SourceError(f'{what} has no images on --topic {topic}: it has {listed}')
    if len(images) > 1:
        raise SourceError(f'{what} has several image topics: choose with --topic: {listed}')
    return next(iter(images.values()))


def _left_out(recording: Recording, source: Any, settings: Settings, choice: Choice) -> set[str]:
    """Return the topics that must not be copied, because they show the people who are to be covered."""
    topics = {each.topic for each in recording.connections}
    unknown = sorted({*choice.keep} - topics)
    if unknown:
        raise SourceError(f'recording {str(recording.path)!r} has no topic {unknown[0]} to --keep: it has '
                          f'{", ".join(sorted(topics))}')
    taken = sorted(topic for topic in topics if topic.startswith('/segmentation/') and not choice.in_place)
    if taken:
        raise SourceError(f'recording {str(recording.path)!r} has {taken[0]} already: give --in-place, or the recording that it '
                          'was made of')
    if getattr(settings, 'replace', 'background') != 'people':
        return set()
    left_out = {each.topic for each in recording.connections if is_image_topic(each.msgtype)} - {*choice.keep}
    if choice.in_place:
        left_out.discard(source.topic)
    if left_out:
        _LOGGER.warning('%s: left out, for they may show people: %s; --keep TOPIC keeps one', recording.path,
                        ', '.join(sorted(left_out)))
    return left_out


class _Codec:
    """The image messages of a topic, to arrays and back, as the node does it."""

    def __init__(self, msgtype: str, jpeg_quality: int) -> None:
        self._store, self._type, self._quality = typestore(), msgtype, jpeg_quality
        self._depth = BitDepth(lambda bits, brightest: _LOGGER.info('the camera uses %d bits (%d)', bits, brightest))
        self._is_png = False

    def connection(self, source: Any, name: str) -> Any:
        """Return the connection of a result beside the images: as the node names it, compressed where they are."""
        topic = f'/segmentation/{name}' + ('/compressed' if self._type == COMPRESSED else '')
        qos = [each._replace(depth=1, reliability=type(each.reliability).RELIABLE)
               for each in source.ext.offered_qos_profiles[:1]]
        return source._replace(topic=topic, ext=source.ext._replace(offered_qos_profiles=qos))

    def decode(self, data: bytes) -> tuple[Any, Any]:
        """Return header and pixels of a message. :raises ImageError: naming what is wrong with it."""
        from rosbags.serde import SerdeError

        try:
            message = self._store.deserialize_cdr(data, self._type)
        except (SerdeError, ArithmeticError, AssertionError, LookupError, TypeError, ValueError) as error:
            raise ImageError(f'a message of {len(data)} bytes is no {self._type} ({error})') from error
        if self._type == COMPRESSED:
            self._is_png = 'png' in message.format.lower()
            return message.header, compressed_to_bgr(message, self._depth)
        return message.header, to_bgr(message, self._depth)

    def encode(self, header: Any, name: str, pixels: Any) -> Any:
        """Return the content of a message with a result."""
        if self._type == COMPRESSED:
            made = SimpleNamespace()
            compress(made, pixels, self._quality if name == 'output' and not self._is_png else None)
            message = self._store.types[COMPRESSED](header, made.format, np.frombuffer(made.data, np.uint8))
        else:
            height, width = pixels.shape[:2]
            encoding = 'mono8' if pixels.ndim == 2 else {3: 'bgr8', 4: 'bgra8'}[pixels.shape[2]]
            message = self._store.types[IMAGE](header, height, width, encoding, int(sys.byteorder == 'big'),
                                               pixels.strides[0], pixels.reshape(-1))
        return self._store.serialize_cdr(message, self._type)


def _overlapped(messages: Iterator[tuple[Any, int, bytes]], images: set[int], codec: _Codec, process: Callable[[Any], Result],
                names: tuple[str, ...]) -> Iterator[tuple[Any, int, bytes, Any]]:
    """
    Yield each message with what was made of it: name of the result to content, or an ImageError. In order.

    :param images: ids of the connections of the images.

    Images are decoded and encoded in threads of their own while another one is segmented.
    """
    def encode(frame: Future[Any], result: Result) -> dict[str, Any]:
        return {name: codec.encode(frame.result()[0], name, getattr(result, _RESULTS[name])) for name in names}

    with ThreadPoolExecutor(1) as decoder, ThreadPoolExecutor(1) as encoder:
        decoding: deque[tuple[Any, int, bytes, Future[Any] | None]] = deque()
        encoding: deque[tuple[Any, int, bytes, Any]] = deque()
        is_over = False
        while not is_over or decoding or encoding:
            while not is_over and len(decoding) < _WAITING and sum(item[3] is not None for item in decoding) < _AHEAD:
                message = next(messages, None)
                if message is None:
                    is_over = True
                else:
                    is_image = message[0].id in images
                    decoding.append((*message, decoder.submit(codec.decode, message[2]) if is_image else None))
            if decoding:
                connection, time, data, frame = decoding.popleft()
                made: Any = {}
                if frame is not None:
                    try:
                        made = encoder.submit(encode, frame, process(frame.result()))
                    except ImageError as error:
                        made = error
                encoding.append((connection, time, data, made))
            while encoding and (not decoding or not isinstance(encoding[0][3], Future)
                                or sum(isinstance(item[3], Future) for item in encoding) > _AHEAD):
                connection, time, data, made = encoding.popleft()
                yield connection, time, data, made.result() if isinstance(made, Future) else made

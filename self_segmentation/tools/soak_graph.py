# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
The processes around the node in the soak: a camera, a listener, visitors that come and go, and somebody who turns the knobs.

``python3 -m self_segmentation.tools.soak_graph camera|listen|visit|tune ...``; each writes what it did and saw as lines of JSON,
which are whole even if it is killed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import PIL.Image
import rclpy
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from rclpy.timer import Timer
from sensor_msgs.msg import CompressedImage, Image

from ..io.assets import MODELS
from ..io.sources import open_source
from ..middleware import keep_large_buffers
from ..nodes.inputs import HAS_MESSAGE_INFO
from ..nodes.lifetime import run
from ..nodes.messages import ImageWriter, compress, stamp_of
from ..resources import share
from ..settings import SHOWS_PEOPLE, TUNABLES, Tunable

__all__ = ['FORMS', 'FPS', 'SIZE', 'changes', 'records']

SIZE = (1280, 720)
FPS = 15.0  # the sample's own; at 30 two cores have no time left with the dearer settings, and what is lost is their fault
_MONO = [*SIZE, 'mono8', SIZE[0], SIZE[0] * SIZE[1]]
# What each topic of the node may show: width, height and format; of a raw image step and bytes too. A transparent one has alpha.
FORMS: dict[str, list[list[Any]]] = {
    'output': [[*SIZE, encoding, channels * SIZE[0], channels * SIZE[0] * SIZE[1]]
               for encoding, channels in (('bgr8', 3), ('bgra8', 4))],
    'mask': [_MONO], 'alpha': [_MONO],
    'output/compressed': [[*SIZE, 'JPEG'], [*SIZE, 'PNG']], 'mask/compressed': [[*SIZE, 'PNG']]}
_STAY = (0.3, 4.0)  # seconds for which a visitor subscribes to the same topics
_PAUSE = (0.2, 1.8)  # seconds between two changes of parameters
_PATIENCE = 10.0  # seconds for an answer
_INVALID, _SEVERAL, _BACK = 0.25, 0.2, 0.5  # how many changes are invalid, of several settings at once, back to the default
_FILES = {'background.image': str(share('demo', 'background.jpg')), 'background.video': str(share('demo', 'sample.mp4'))}
_LIVE = {name: tunable for name, tunable in TUNABLES.items() if not tunable.read_only}
_QUEUE = 60  # images that wait for a listener whose turn does not come


class _Record:
    """Writes lines of JSON."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def __call__(self, **values: Any) -> None:
        os.write(self._file, json.dumps(values).encode() + b'\n')


def records(path: Path) -> list[dict[str, Any]]:
    """Return what a process wrote so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def camera(options: argparse.Namespace) -> int:
    """Publish the built-in sample at a steady rate until the end; ``frame_id`` tells the run and the frame."""
    record = _Record(options.record)
    keep_large_buffers()
    cv2.setNumThreads(1)
    rclpy.init()
    node = rclpy.create_node('camera', namespace=options.namespace)
    raw = node.create_publisher(Image, 'image_raw', QoSProfile(depth=2))
    small = node.create_publisher(CompressedImage, 'image_raw/compressed', QoSProfile(depth=2))
    source, writer = open_source(str(share('demo', 'sample.mp4'))), ImageWriter(Image(), 'bgr8')
    pixels, header, number, due = writer.pixels(*SIZE), writer.message.header, 0, time.monotonic()
    with contextlib.suppress(KeyboardInterrupt):
        while rclpy.ok():
            frame = source.read()
            if frame is None:
                source.rewind()
                continue
            cv2.resize(frame.pixels, SIZE, dst=pixels, interpolation=cv2.INTER_LINEAR)
            time.sleep(max(due - time.monotonic(), 0))
            sent = time.monotonic()
            header.stamp, header.frame_id = node.get_clock().now().to_msg(), f'{options.run}.{number}'
            record(frame=header.frame_id, stamp=stamp_of(header))
            raw.publish(writer.message)
            if small.get_subscription_count():
                message = CompressedImage(header=header)
                compress(message, pixels, 90)
                small.publish(message)
            record(frame=header.frame_id, gone=time.time())
            number += 1
            due = max(due + 1 / FPS, sent + 0.8 / FPS)  # late once is no reason to hurry: no camera does
    return 0


class _Viewer(Node):
    """Subscribes to results, and notes what comes."""

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        super().__init__(name, namespace=options.namespace)
        self.note = _Record(options.record)
        self._subscriptions_by_topic: dict[str, Any] = {}

    def look(self, *topics: str) -> None:
        """Subscribe to these and no others."""
        for topic in {*self._subscriptions_by_topic} - {*topics}:
            self.destroy_subscription(self._subscriptions_by_topic.pop(topic))
        for topic in {*topics} - {*self._subscriptions_by_topic}:
            def on_numbered_image(message: Any, info: Any, topic: str = topic) -> None:
                self._see(topic, message, 1e-9 * info['source_timestamp'])

            def on_image(message: Any, *, topic: str = topic) -> None:
                self._see(topic, message, time.time())  # when it was published is not known

            kind = CompressedImage if topic.endswith('compressed') else Image
            self._subscriptions_by_topic[topic] = self.create_subscription(
                kind, f'segmentation/{topic}', on_numbered_image if HAS_MESSAGE_INFO else on_image, QoSProfile(depth=_QUEUE))

    def _see(self, topic: str, message: Any, published: float) -> None:
        now, header = time.time(), message.header
        if isinstance(message, Image):
            form = [message.width, message.height, message.encoding, message.step, len(message.data)]
        else:
            with PIL.Image.open(io.BytesIO(message.data)) as image:
                form = [*image.size, image.format]
        self.note(topic=topic, frame=header.frame_id, stamp=stamp_of(header), form=form, came=now,
                  published=published)


class _Listener(_Viewer):
    """Stays, and sees every image."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__('listener', options)
        self.look('output')
        self._timer = self.create_timer(0.05, self._wait)

    def _wait(self) -> None:
        if self.count_publishers('segmentation/output'):
            self.note(listens=time.time())
            self.destroy_timer(self._timer)


class _Visitor(_Viewer):
    """Subscribes to this and that."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__('visitor', options)
        self._random = random.Random(options.seed)
        self._timer: Timer | None = None
        self._choose()

    def _choose(self) -> None:
        if self._timer is not None:
            self.destroy_timer(self._timer)
        self.look(*self._random.sample(list(FORMS), self._random.choice((0, 1, 1, 2, 3))))
        self._timer = self.create_timer(self._random.uniform(*_STAY), self._choose)


class _Tuner(Node):
    """Changes parameters, one change after the other, and notes what became of each."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__('tuner', namespace=options.namespace)
        self._note, self._random = _Record(options.record), random.Random(options.seed)
        self._changes = changes(random.Random(options.seed))
        self._client: Any = self.create_client(SetParametersAtomically, 'segmentation/set_parameters_atomically')
        self._asked: Any = None
        self._begin = self._next = time.monotonic() + 3.0
        self.create_timer(0.02, self._tick)

    def _tick(self) -> None:
        if self._asked is not None:
            if time.monotonic() - self._begin > _PATIENCE:
                self._end(None, 'no answer')
        elif time.monotonic() > self._next and self._client.service_is_ready():
            self._values, self._valid = next(self._changes)
            self._begin, self._time = time.monotonic(), time.time()
            self._asked = self._client.call_async(SetParametersAtomically.Request(parameters=[
                Parameter(name, value=list(value) if isinstance(value, tuple) else value).to_parameter_msg()
                for name, value in self._values.items()]))
            self._asked.add_done_callback(self._answered)

    def _answered(self, future: Any) -> None:
        if future is self._asked:
            answer = future.result().result
            self._end(answer.successful, answer.reason)

    def _end(self, taken: bool | None, reason: str) -> None:
        self._note(begin=self._time, end=time.time(), names=list(self._values), values=repr(self._values), valid=self._valid,
                   taken=taken, reason=reason)
        self._asked, self._next = None, time.monotonic() + self._random.uniform(*_PAUSE)


def changes(chance: random.Random) -> Iterator[tuple[dict[str, Any], bool]]:
    """
    Yield parameter changes without end, as values by name, and whether each is valid after the valid ones before it.

    The valid ones are a tour through all settings first, so that the node soon has all memory that it needs. A setting that is
    changed at random goes back to its default a few changes later, so that the node is never far from the defaults.

    :param chance: makes them; the same again from the same seed.
    """
    away: dict[str, Any] = {}
    tour = _tour()
    while True:
        if chance.random() < _INVALID:
            others = _valid(chance, away) if chance.random() < _SEVERAL else {}
            yield {**others, **_invalid(chance, {**away, **others})}, False
            continue
        values = next(tour, None)
        if values is None and away and chance.random() < _BACK:
            values = _defaults(*chance.sample(list(away), min(len(away), chance.randint(1, 3))))
        if values is None:
            values = {}
            for _ in range(chance.randint(2, 4) if chance.random() < _SEVERAL else 1):
                values.update(_valid(chance, {**away, **values}))
        away.update(values)
        away = {name: value for name, value in away.items() if value != TUNABLES[name].default}
        yield values, True


def _tour() -> Iterator[dict[str, Any]]:
    """Yield valid changes that use every setting once, each followed by that to the defaults."""
    for name, tunable in _LIVE.items():
        values: list[Any]
        if name == 'model':
            values = list(MODELS)
        elif name in _FILES:
            values = [_FILES[name]]
        elif name in ('background.type', 'people.detector'):
            continue  # with the files; not with replace
        elif isinstance(tunable.default, bool):
            values = [not tunable.default]
        elif isinstance(tunable.default, tuple):
            values = [(0, 0, 0)]
        else:
            values = [*tunable.choices] or [type(tunable.default)(tunable.limits[1])]
        for value in values:
            yield {name: value, **({'background.type': name.rpartition('.')[2]} if name in _FILES else {})}
        yield _defaults(name)


def _defaults(*names: str) -> dict[str, Any]:
    if any(name in _FILES for name in names):
        names += ('background.type',)  # a file is not taken away while it is shown
    return {name: TUNABLES[name].default for name in names}


def _valid(chance: random.Random, away: dict[str, Any]) -> dict[str, Any]:
    tunable = chance.choice(list(_LIVE.values()))
    name, kind = tunable.name, type(tunable.default)
    if name == 'model':
        return {name: chance.choice([*MODELS, str(share('models', chance.choice([*MODELS.values()])))])}
    if name in ('replace', 'background.type', *_FILES):
        replace = chance.choice(TUNABLES['replace'].choices)
        kinds = [kind for kind in TUNABLES['background.type'].choices if replace == 'background' or kind not in SHOWS_PEOPLE]
        return {**_FILES, 'people.detector': True, 'replace': replace, 'background.type': chance.choice(kinds)}
    if name == 'people.detector':
        return {'replace': 'background', name: chance.random() < 0.5}
    if tunable.choices:
        return {name: chance.choice(tunable.choices)}
    if kind is str:  # save_dir, which nobody asks for
        return {name: chance.choice(['/tmp', '~/pictures'])}
    if kind is bool:
        return {name: chance.random() < 0.5}
    if kind is tuple:
        return {name: tuple(chance.randint(0, 255) for _ in range(3))}
    if kind is int:
        return {name: chance.randint(*map(int, tunable.limits))}
    value = chance.choice((*tunable.limits, chance.uniform(*tunable.limits)))
    return {name: int(value) if value.is_integer() and chance.random() < 0.5 else value}


def _invalid(chance: random.Random, away: dict[str, Any]) -> dict[str, Any]:
    tunable = chance.choice([*TUNABLES.values(), None])
    if tunable is None:
        return {'treshold': 0.3}
    if tunable.name == 'background.type' and 'background.image' not in away and chance.random() < 0.5:
        return {'background.type': 'image'}
    return {tunable.name: chance.choice(_wrong(tunable))}


def _wrong(tunable: Tunable) -> list[Any]:
    kind = type(tunable.default)
    if tunable.name == 'model':
        return ['', '/', '/missing.tflite', str(share('config', 'segmentation.yaml')), 3]
    if tunable.name in _FILES:
        return ['/', str(share('config', 'segmentation.yaml')), False]
    if tunable.choices:
        return ['nonsense', '', 1]
    if kind is str:
        return [3, False]
    if kind is bool:
        return [1, 'yes', 0.0]
    if kind is tuple:
        return [(1, 2), (0, 0, 256), (-1, 0, 0), (1.0, 2.0, 3.0), 'red']
    beyond = [tunable.limits[0] - 1, tunable.limits[1] + 1]
    if kind is int:
        return [*map(int, beyond), tunable.limits[0] + 0.5, 'many', True]
    return [*beyond, math.nan, math.inf, 'much', True]


def main(args: list[str] | None = None) -> int:
    """Run one of the processes."""
    nodes = {'listen': _Listener, 'visit': _Visitor, 'tune': _Tuner}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('role', choices=['camera', *nodes])
    parser.add_argument('--namespace', required=True)
    parser.add_argument('--record', type=Path, required=True, metavar='FILE')
    parser.add_argument('--run', type=int, default=0, help='which camera it is')
    parser.add_argument('--seed', default='')
    options = parser.parse_args(args)
    if options.role == 'camera':
        return camera(options)
    return run(lambda: nodes[options.role](options), [])


if __name__ == '__main__':
    raise SystemExit(main())

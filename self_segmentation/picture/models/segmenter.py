# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""How likely each pixel is a person: MediaPipe's selfie segmentation models, run by MediaPipe Tasks or LiteRT."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import resource
import struct
import subprocess
import sys
import zipfile

import cv2
import numpy as np

from ...errors import ModelError, SelfSegmentationError
from ..arrays import Array
from .runtimes import Runtime, choose_runtime
from .types import ModelFile, SegmentationModel

__all__ = ['EXPECTED', 'Segmenter', 'is_known', 'resize_like_mediapipe']

_SHA256 = ('9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c',
           'a77d03f4659b9f6b6c1f5106947bf40e99d7655094b6527f214ea7d451106edd')  # of the two
_ZIPPED, _LARGEST_ZIP = b'PK\3\4', 1 << 16  # how a zipped file begins; bytes that labels and the like take at most
_LARGEST_SIDE = 2048  # pixels of a model's input
_TRIAL_MEMORY = 2 << 30  # bytes; the two take 150 MB
_TRIAL_PATIENCE = 60.0  # seconds; the two take one
EXPECTED = 'a selfie segmentation .tflite (one float picture of 3 channels in, one map of 1 channel out)'


class Segmenter:
    """
    One model, loaded.

    :param file: a selfie segmentation model.
    :param runtime: what runs it, as :func:`~self_segmentation.picture.models.runtimes.choose_runtime` takes it.
    :param tried: whether it is known to work; else a file that is neither of the two is first tried in a process of its own,
        which takes a second.
    :raises ModelError: the file is damaged, truncated or another kind of model.
    :raises RuntimeMissingError: the runtime is not there.
    """

    def __init__(self, file: ModelFile, runtime: str = 'auto', tried: bool = False) -> None:
        self.size = _input_size(file)
        chosen = choose_runtime(runtime)
        if not tried and not is_known(file):
            _try(file, chosen)
        self._model = _load(file, chosen)

    def probability(self, rgb: Array) -> Array:
        """
        Return how likely each pixel of a picture is a person.

        :param rgb: (height, width, 3) uint8, red green blue, any size. It is resized to the model's own
            size first, so the cost does not grow with the picture.
        :returns: (model height, model width) float32 in 0..1, covering the whole picture.
        """
        if rgb.shape[1::-1] != self.size:
            rgb = resize_like_mediapipe(rgb, self.size)
        return self._model.infer(np.ascontiguousarray(rgb))

    def close(self) -> None:
        """Free the model."""
        self._model.close()


def is_known(file: ModelFile) -> bool:
    """Return whether a file is one of the two, to the last byte."""
    return hashlib.sha256(file.content).hexdigest() in _SHA256


def resize_like_mediapipe(picture: Array, size: tuple[int, int]) -> Array:
    """
    Return a picture at a model's size, sampled at the very points where MediaPipe samples it.

    MediaPipe aligns the corners of the pixels and not their centres, as ``cv2.resize`` does; the map of a
    picture that was resized otherwise is another map (IoU down to 0.6 at threshold 0.1).

    :param picture: (height, width, channels) uint8.
    :param size: (width, height) in pixels.
    """
    height, width = picture.shape[:2]
    matrix = cv2.getPerspectiveTransform(_corners(width, height), _corners(*size))
    return cv2.warpPerspective(picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _corners(width: int, height: int) -> Array:
    return np.array([[0, height], [0, 0], [width, 0], [width, height]], np.float32)


def _try(file: ModelFile, runtime: Runtime) -> None:
    """
    Use a model once in a process of its own: many a damaged one ends it, and with MediaPipe one without metadata.

    :raises ModelError: it does not work there.
    """
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run([sys.executable, '-m', __name__, file.name, runtime.name], input=file.content, capture_output=True,
                              env=environment, timeout=_TRIAL_PATIENCE)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise ModelError(f'model {file.name}: cannot be tried ({error}): give {EXPECTED}') from error
    if done.returncode:
        with contextlib.suppress(OSError):  # a terminal that is gone, a full disk
            os.write(2, done.stderr)  # the library's last words
        crash = (f'model {file.name}: {runtime.title} crashes with it ({done.returncode}): damaged or without metadata: '
                 f'give {EXPECTED}')
        raise ModelError(done.stdout.decode(errors='replace').strip() or crash)


def _trial(path: str, runtime: str) -> int:
    """Load a model and ask it once; say what is wrong with it."""
    resource.setrlimit(resource.RLIMIT_DATA, (_TRIAL_MEMORY, _TRIAL_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        segmenter = Segmenter(ModelFile(path, sys.stdin.buffer.read()), runtime, tried=True)
        width, height = segmenter.size
        probability = segmenter.probability(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))
        if not (probability.min() >= 0 and probability.max() <= 1):  # NaN neither
            raise ModelError(f'model {path}: what it gives are no probabilities: give {EXPECTED}')
    except (MemoryError, RuntimeError, TypeError, ValueError) as error:
        print(f'model {path}: {choose_runtime(runtime).title} cannot use it ({error}): give {EXPECTED}')
    except SelfSegmentationError as error:
        print(error)
    else:
        return 0
    return 1


def _load(file: ModelFile, runtime: Runtime) -> SegmentationModel:
    try:
        return runtime.backend.load_segmentation(file.content)
    except (RuntimeError, ValueError) as error:
        raise ModelError(f'model {file.name}: {runtime.title} cannot load it ({error}): give {EXPECTED}') from error


def _input_size(file: ModelFile) -> tuple[int, int]:
    """Return the model's input (width, height), from the flatbuffer's own description of its tensors."""
    content = file.content
    if content[4:8] != b'TFL3':
        raise ModelError(f'model {file.name}: not a TensorFlow Lite file ({len(content)} bytes): give {EXPECTED}')
    damaged = f'model {file.name}: damaged or truncated ({len(content)} bytes): fetch or copy it again'
    if _ZIPPED in content[-_LARGEST_ZIP:] and not zipfile.is_zipfile(io.BytesIO(content)):
        raise ModelError(damaged)  # of the files that are zipped to its end one is cut, which not every runtime looks at
    try:
        graph = _Table.root(content).tables(2)[0]
        tensors = graph.tables(0)
        inputs, outputs = ([tensors[i].integers(0) for i in graph.integers(field)] for field in (1, 2))
    except (struct.error, IndexError) as error:
        raise ModelError(damaged) from error
    if not (len(inputs) == len(outputs) == 1 and len(inputs[0]) == len(outputs[0]) == 4 and inputs[0][3] == 3
            and outputs[0] == [*inputs[0][:3], 1] and all(1 <= side <= _LARGEST_SIDE for side in inputs[0])):
        raise ModelError(f'model {file.name}: another kind of model, inputs {inputs}, outputs {outputs}: give {EXPECTED}')
    return inputs[0][2], inputs[0][1]


class _Table:
    """The few reads of a flatbuffer table (https://flatbuffers.dev/internals) that a tensor's shape takes."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at

    @classmethod
    def root(cls, data: bytes) -> _Table:
        return cls(data, struct.unpack_from('<I', data, 0)[0])

    def _vector(self, field: int) -> tuple[int, int]:
        table = self._at - struct.unpack_from('<i', self._data, self._at)[0]
        offset = struct.unpack_from('<H', self._data, table + 4 + 2 * field)[0]
        at = self._at + offset
        at += struct.unpack_from('<I', self._data, at)[0]
        return at + 4, struct.unpack_from('<I', self._data, at)[0]

    def integers(self, field: int) -> list[int]:
        start, count = self._vector(field)
        return list(struct.unpack_from(f'<{min(count, 16)}i', self._data, start))  # no shape has as many

    def tables(self, field: int) -> list[_Table]:
        start, count = self._vector(field)
        offsets = struct.unpack_from(f'<{count}I', self._data, start)
        return [_Table(self._data, start + 4 * i + offset) for i, offset in enumerate(offsets)]


if __name__ == '__main__':
    raise SystemExit(_trial(*sys.argv[1:]))

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
import hashlib
import json
import random
import subprocess
import sys

import cv2
import numpy as np
import pytest
from conftest import ROOT, area

from self_segmentation.errors import ModelError
from self_segmentation.io.assets import MODELS, model_path, read_model
from self_segmentation.picture.models.segmenter import Segmenter

# Loads each file that is given and prints what became of it. In a process of its own: a damaged model must not crash it.
LOAD = """
import json, sys
from self_segmentation.errors import ModelError
from self_segmentation.io.assets import read_model
from self_segmentation.picture.models.segmenter import Segmenter
for path in sys.argv[1:]:
    try:
        Segmenter(read_model(path))
    except ModelError as error:
        print(json.dumps(str(error)), flush=True)
    else:
        print(json.dumps(None), flush=True)
"""


def load(paths) -> list[str]:
    """The message for each file, None where it was loaded."""
    done = subprocess.run([sys.executable, '-c', LOAD, *map(str, paths)], capture_output=True, text=True)
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f'{paths[len(messages)].name} ended the process: {done.returncode}\n{done.stderr[-2000:]}'
    return messages


@pytest.mark.parametrize('name, size', [('general', (256, 256)), ('landscape', (256, 144))])
def test_both_models_segment_astronaut(name, size, astronaut):
    segmenter = Segmenter(read_model(name))
    assert segmenter.size == size
    for picture in (cv2.cvtColor(astronaut, cv2.COLOR_BGR2RGB), cv2.cvtColor(cv2.resize(astronaut, size), cv2.COLOR_BGR2RGB)):
        probability = segmenter.probability(picture)
        assert (probability.shape, probability.dtype) == (size[::-1], np.float32)
        assert probability.min() >= 0 and probability.max() <= 1
        assert 0.4 < area((probability * 255).astype(np.uint8)) < 0.7
        assert probability[size[1] // 2, size[0] // 2] > 0.9 and probability[5, 5] < 0.1  # her jumpsuit; the corner


def test_model_gives_low_probability_in_empty_room(sample):
    assert Segmenter(read_model('general')).probability(cv2.cvtColor(sample[0], cv2.COLOR_BGR2RGB)).max() < 0.5


def test_probability_map_survives_next_inference(astronaut):
    segmenter = Segmenter(read_model('general'))
    first = segmenter.probability(astronaut)
    kept = first.copy()
    segmenter.probability(np.zeros_like(astronaut))
    assert np.array_equal(first, kept)


def test_loads_model_by_path(astronaut, tmp_path):
    copy = tmp_path / 'näm e.tflite'
    copy.write_bytes(model_path('landscape').read_bytes())
    copied, shipped = Segmenter(read_model(str(copy))), Segmenter(read_model('landscape'))
    assert np.array_equal(copied.probability(astronaut), shipped.probability(astronaut))


def test_refuses_truncated_model(tmp_path):
    paths = []
    for name in MODELS:
        whole = model_path(name).read_bytes()
        for kept in (0, 3, 8, 20, 100, 1000, len(whole) // 2, *(len(whole) - cut for cut in (20000, 1000, 100, 10, 4))):
            paths.append(tmp_path / f'{name}_{kept}.tflite')
            paths[-1].write_bytes(whole[:kept])
    messages = load(paths)
    loaded = [path.name for path, message in zip(paths, messages) if message is None]
    assert not loaded, f'{loaded} were loaded; whole are {[model_path(name).stat().st_size for name in MODELS]} bytes'
    for path, message in zip(paths, messages):
        assert str(path) in message and ('give' in message or 'fetch' in message)


def test_refuses_foreign_model_file(tmp_path):
    dice = random.Random(1)
    contents = {'text': b'This is no model.\n' * 100, 'header_only': b'\x1c\0\0\0TFL3', 'zeros': bytes(4) + b'TFL3' + bytes(5000)}
    contents |= {f'noise{n}': dice.randbytes(4) + b'TFL3' + dice.randbytes(dice.choice([10, 100, 10000])) for n in range(30)}
    contents |= {f'near{n}': b'\x1c\0\0\0TFL3' + dice.randbytes(2000) for n in range(30)}
    paths = [tmp_path / f'{name}.tflite' for name in contents]
    for path, content in zip(paths, contents.values()):
        path.write_bytes(content)
    for path, message in zip(paths, load(paths)):
        assert message and str(path) in message and ('give' in message or 'fetch' in message)


def test_refuses_model_with_other_tensor_shapes(tmp_path):
    """The general model with its input's four numbers edited: 1x256x256x3 becomes 1x256x256x4."""
    shape = np.array([1, 256, 256, 3], '<i4').tobytes()
    content = model_path('general').read_bytes()
    assert shape in content
    path = tmp_path / 'other.tflite'
    path.write_bytes(content.replace(shape, np.array([1, 256, 256, 4], '<i4').tobytes()))
    [message] = load([path])
    assert str(path) in message and '[1, 256, 256, 4]' in message and 'give' in message


def test_refuses_missing_model_or_folder(tmp_path):
    for path in (tmp_path / 'missing.tflite', tmp_path):
        with pytest.raises(ModelError, match="'general', 'landscape'") as raised:
            Segmenter(read_model(str(path)))
        assert str(path) in str(raised.value)


def test_models_match_sha256_in_readme():
    rows = [line for line in (ROOT / 'models' / 'README.md').read_text(encoding='utf-8').splitlines() if line.startswith('|')]
    files = sorted((ROOT / 'models').glob('*.tflite'))
    assert {file.name for file in files} == {*MODELS.values(), 'efficientdet_lite0.tflite'}
    for file in files:
        row = [row for row in rows if f'{file.name}`' in row or f' {file.name} ' in row]
        assert len(row) == 1 and hashlib.sha256(file.read_bytes()).hexdigest() in row[0]

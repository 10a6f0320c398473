# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Bad files that a setting names: they are used, or refused by their path; nothing else, and soon."""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from conftest import background_of
from damage import JPEGS, OTHERS, PNGS, damaged, damaged_models, many, model_of_size
from fuzz.promises import soon
from hypothesis import example, given

from self_segmentation import Pipeline
from self_segmentation.errors import BackgroundError, ModelError
from self_segmentation.io.assets import model_path
from self_segmentation.picture.models.runtimes import installed_runtimes
from self_segmentation.picture.models.segmenter import _input_size
from self_segmentation.picture.models.types import ModelFile
from self_segmentation.settings import Settings

pytestmark = pytest.mark.slow


def background(path: Path) -> np.ndarray | None:
    """What is put behind a frame of the picture's own size, None where the file was refused by its path."""
    chosen = Settings().updated({'background.type': 'image', 'background.image': str(path)})
    with soon():
        try:
            made = background_of(chosen)
        except BackgroundError as error:
            assert repr(str(path)) in str(error) and 'background.image' in str(error) and 'give' in str(error)
            return None
        picture = made.behind(np.empty((32, 48, 3), np.uint8))
    assert (picture.shape, picture.dtype) == ((32, 48, 3), np.uint8)
    return picture


def test_reads_undamaged_backgrounds(tmp_path):
    """Without it the tests of damaged ones could all pass by refusing everything."""
    for content in JPEGS + PNGS + OTHERS:
        (tmp_path / 'picture').write_bytes(content)
        made = background(tmp_path / 'picture')
        assert made is not None and made.std() > 10, content[:100]


@many(500)
@given(damaged(JPEGS + PNGS + OTHERS))
def test_reads_or_refuses_damaged_background(content):
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        background(Path(file.name))


PATHS = ['~no_such_user/x', '~', '/proc/self/mem', '/dev/zero', '\0', '\ud800', 'x' * 5000, 'a/' * 3000, '/', ' ', '\n']


@pytest.mark.parametrize('path', PATHS)
def test_refuses_path_without_file(path):
    for name, error in (('background.image', BackgroundError), ('model', ModelError)):
        with soon(), pytest.raises(error, match='give'):
            Pipeline(Settings().updated({name: path}))


@many(200)
@example(model_of_size(2048, 2048))
@example(model_of_size(50000, 50000))
@example(model_of_size(-1, 0))
@given(damaged([model_path('general').read_bytes(), model_path('landscape').read_bytes()], head=2 ** 20))
def test_reads_sensible_size_or_refuses_damaged_model(content):
    path = 'some.tflite'
    with soon():
        try:
            width, height = _input_size(ModelFile(path, content))
        except ModelError as error:
            assert path in str(error)
        else:
            assert 1 <= width <= 2048 and 1 <= height <= 2048


# Uses each model that is given and prints what became of it. In a process of its own, which a damaged model must not end.
USE = """
import json, sys, numpy
from self_segmentation.errors import ModelError
from self_segmentation.io.assets import read_model
from self_segmentation.picture.models.segmenter import Segmenter
runtime, *paths = sys.argv[1:]
for path in paths:
    try:
        segmenter = Segmenter(read_model(path), runtime)
        probability = segmenter.probability(numpy.full((90, 120, 3), 99, numpy.uint8))
        assert (probability.shape, probability.dtype) == (segmenter.size[::-1], numpy.float32)
        assert probability.min() >= 0 and probability.max() <= 1
        segmenter.close()
        print(json.dumps(None), flush=True)
    except ModelError as error:
        print(json.dumps(str(error)), flush=True)
"""


@pytest.mark.parametrize('runtime', [each.name for each in installed_runtimes()])
def test_damaged_model_never_ends_process(runtime, tmp_path):
    paths = []
    for name, content in damaged_models().items():
        paths.append(tmp_path / f'{name}.tflite')
        paths[-1].write_bytes(content)
    done = subprocess.run([sys.executable, '-c', USE, runtime, *paths], capture_output=True, text=True)
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f'{paths[len(messages)].name} ended the process: {done.returncode}\n{done.stderr[-2000:]}'
    for path, message in zip(paths, messages):
        may_work = path.stem in ('noise_in_the_weights', 'without_metadata')  # LiteRT needs none; the noise is in a few weights
        assert may_work if message is None else str(path) in message and 'give' in message, (path.name, message)

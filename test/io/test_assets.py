# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Files that settings name: those of settings that are refused do not stay open."""
import gc
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from conftest import SAMPLE, wait_until

from self_segmentation import Pipeline
from self_segmentation.errors import BackgroundError, ModelError, SelfSegmentationError
from self_segmentation.io.assets import model_path
from self_segmentation.picture.models.runtimes import installed_runtimes
from self_segmentation.settings import Settings

VIDEO = {'background.type': 'video', 'background.video': str(SAMPLE)}


@pytest.fixture
def files(tmp_path) -> dict[str, str]:
    """A model that does not load although it is read, one of another kind, an animated image, and a text."""
    (tmp_path / 'bad.tflite').write_bytes(model_path('general').read_bytes()[:100_000])
    (tmp_path / 'text').write_text('none')
    images = [PIL.Image.fromarray(np.full((12, 16, 3), grey, np.uint8)) for grey in (10, 200)]
    images[0].save(tmp_path / 'video.gif', save_all=True, append_images=images[1:], duration=100)
    return {name: str(tmp_path / name) for name in ('bad.tflite', 'text', 'video.gif')}


def is_open() -> tuple[int, int]:
    """How many files and threads this process has."""
    return len([*Path('/proc/self/fd').iterdir()]), len([*Path('/proc/self/task').iterdir()])


def nothing_stays_open(before: tuple[int, int]) -> None:
    """Wait for it: a thread that was told to end may still be there for a moment."""
    wait_until(lambda: all(now <= then for now, then in zip(is_open(), before)), f'{before} files and threads to be left open')


REFUSED = [({**VIDEO, 'model': 'bad.tflite'}, ModelError),
           ({**VIDEO, 'background.image': 'text'}, BackgroundError),
           ({'background.type': 'image', 'background.image': 'video.gif', 'background.video': 'text'}, BackgroundError),
           ({'model': 'landscape', **VIDEO, 'background.video': 'text'}, BackgroundError)]


@pytest.mark.parametrize('changes, error', REFUSED, ids=['model', 'image', 'video', 'model and video'])
def test_refused_settings_leave_nothing_open(files, changes, error, astronaut):
    changes = {name: files.get(value, value) for name, value in changes.items()}
    pipeline = Pipeline(Settings().updated(VIDEO))
    pipeline.process(astronaut[::2, ::2])
    gc.collect()  # what other tests left
    before, old = is_open(), pipeline.assets
    settings = pipeline.settings.updated(changes)
    for _ in range(3):
        for use in (lambda: pipeline.read(settings, ['background.video']), lambda: Pipeline(settings)):
            with pytest.raises(error):
                use()
            nothing_stays_open(before)
    assert pipeline.assets is old and not old.media.video._closed
    assert pipeline.process(astronaut[::2, ::2]).composite is not None
    pipeline.close()


@pytest.mark.parametrize('runtime', [each.name for each in installed_runtimes()])
def test_detector_that_does_not_load_leaves_no_model_loaded(monkeypatch, runtime, astronaut):
    """Not even while the error is kept, which holds what the functions had that it went through."""
    pipeline = Pipeline(Settings().updated({'people.detector': False, 'runtime': runtime}))
    pipeline.process(astronaut[::2, ::2])
    gc.collect()
    before, errors = is_open(), []
    monkeypatch.setattr('self_segmentation.io.assets._DETECTOR', 'selfie_segmentation.tflite')  # no detector
    for _ in range(3):
        for use in (pipeline.read, Pipeline):
            with pytest.raises(SelfSegmentationError) as raised:
                use(pipeline.settings.updated({'people.detector': True, 'model': 'landscape'}))
            errors.append(raised)
        nothing_stays_open(before)
    assert pipeline.process(astronaut[::2, ::2]).people == []
    pipeline.close()

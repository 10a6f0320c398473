# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""MediaPipe and LiteRT: that they give the same, and which of them is taken."""
import logging
import sys

import cv2
import numpy as np
import pytest
from conftest import ASTRONAUT, EMPTY_ROOM, iou

from self_segmentation import Pipeline, Video
from self_segmentation.errors import RuntimeMissingError, SettingsError
from self_segmentation.io.assets import MODELS, load_assets, read_model
from self_segmentation.picture.models import runtimes
from self_segmentation.picture.models.detector import PersonDetector
from self_segmentation.picture.models.segmenter import Segmenter
from self_segmentation.settings import Settings

PICTURES = [ASTRONAUT, EMPTY_ROOM]
NAMES = ('mediapipe', 'litert')
INSTALLED = [runtime.name for runtime in runtimes.installed_runtimes()]
CLEAR = 0.25  # score of people who are not looked at again
both = pytest.mark.skipif(len(INSTALLED) < 2, reason=f'one runtime alone is installed: {INSTALLED}')


@pytest.fixture(scope='module')
def detectors():
    file = load_assets(Settings()).detector
    detectors = [PersonDetector(file, name) for name in NAMES]
    yield detectors
    for detector in detectors:
        detector.close()


@both
@pytest.mark.parametrize('model', MODELS)
def test_both_runtimes_give_same_map(model):
    segmenters = [Segmenter(read_model(model), name) for name in NAMES]
    for path in PICTURES:
        first, second = (each.probability(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)) for each in segmenters)
        assert first.shape == second.shape and second.dtype == np.float32
        assert np.abs(first - second).max() < 1e-3, path.name
    for each in segmenters:
        each.close()


@both
@pytest.mark.parametrize('path', PICTURES, ids=lambda path: path.stem)
def test_both_runtimes_detect_same_people(path, detectors):
    frame = cv2.imread(str(path))
    first, second = ([each for each in detector.detect(frame) if each.score >= CLEAR] for detector in detectors)
    assert len(first) == len(second)
    for one, other in zip(first, second):
        assert one.score == other.score and one.box.iou(other.box) > 0.8


@pytest.fixture(scope='module')
def pipelines():
    pipelines = [Pipeline(Settings(runtime=name)) for name in NAMES]
    yield pipelines
    for pipeline in pipelines:
        pipeline.close()


@both
@pytest.mark.parametrize('path', PICTURES, ids=lambda path: path.stem)
def test_both_runtimes_give_same_image_mask(path, pipelines):
    masks = [pipeline.process(cv2.imread(str(path)), still=True).mask for pipeline in pipelines]
    assert iou(*masks) > 0.95


@pytest.mark.slow
@both
def test_both_runtimes_give_same_video_masks(sample, pipelines):
    for pipeline in pipelines:
        pipeline.video = Video()
    for index, frame in enumerate(sample):
        assert iou(*(pipeline.process(frame, stamp=index / 30).mask for pipeline in pipelines)) > 0.95, index


@both
def test_pipeline_keeps_its_runtime(astronaut):
    with Pipeline(runtime='mediapipe') as pipeline:
        assert pipeline.runtime.name == 'mediapipe'
        with pytest.raises(SettingsError, match="runtime = 'litert'.*'mediapipe'"):
            pipeline.process(astronaut, Settings(runtime='litert'))
        assert pipeline.process(astronaut, still=True).mask.any()


# ---- which one is taken


@pytest.fixture
def machine(monkeypatch, tmp_path, caplog):
    """``machine(mediapipe='1.2.3', litert=False)`` makes it look as if these were installed, for the choice alone."""
    def machine(mediapipe: str | None = None, litert: bool = True) -> None:
        for name, is_there in (('mediapipe', mediapipe), ('ai_edge_litert', litert)):
            if not is_there:
                monkeypatch.setitem(sys.modules, name, None)
        if mediapipe:
            folder = tmp_path / f'mediapipe-{mediapipe}.dist-info'
            folder.mkdir()
            (folder / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: mediapipe\nVersion: {mediapipe}\n')
            monkeypatch.syspath_prepend(tmp_path)

    caplog.set_level(logging.WARNING)
    runtimes.choose_runtime.cache_clear()
    yield machine
    runtimes.choose_runtime.cache_clear()


@pytest.mark.skipif('litert' not in INSTALLED, reason='LiteRT is not installed')
def test_auto_takes_litert_whatever_mediapipe_is_there(machine, caplog):
    machine(mediapipe='1.2.3')
    assert runtimes.choose_runtime('auto').name == 'litert'
    assert not caplog.records


@pytest.mark.skipif('mediapipe' not in INSTALLED, reason='MediaPipe is not installed')
@pytest.mark.parametrize('version, sends', [
    ('0.10.9', False), ('0.10.14', False), ('0.10.18', False), ('0.10.21', False),
    ('0.10.30', True), ('0.11.0', True), ('1.2.3', True), ('1.0.0rc1', True), ('nightly', True)])
def test_auto_takes_mediapipe_without_litert_and_warns_where_it_sends(machine, caplog, version, sends):
    machine(mediapipe=version, litert=False)
    runtime = runtimes.choose_runtime('auto')
    assert runtime.name == 'mediapipe' and bool(runtime.warning) == bool(caplog.records) == sends


@pytest.mark.skipif('mediapipe' not in INSTALLED, reason='MediaPipe is not installed')
def test_auto_warns_once_of_mediapipe_with_metrics(machine, caplog):
    machine(mediapipe='1.2.3', litert=False)
    for _ in range(3):
        assert runtimes.choose_runtime('auto').name == 'mediapipe'
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    for part in ('MediaPipe 1.2.3', 'usage metrics', 'Google', 'play.googleapis.com', 'pip install --no-deps ai-edge-litert'):
        assert part in record.getMessage()


@pytest.mark.parametrize('setting', NAMES)
def test_refuses_missing_runtime_with_advice(machine, setting):
    machine(mediapipe=None, litert=False)
    with pytest.raises(RuntimeMissingError, match=f'runtime {setting!r}: .*not installed.*: install it, or set runtime to auto'):
        runtimes.choose_runtime(setting)
    with pytest.raises(RuntimeMissingError, match="'auto': neither ai-edge-litert nor mediapipe is installed: pip install"):
        Pipeline(Settings())


@pytest.mark.skipif('mediapipe' not in INSTALLED, reason='MediaPipe is not installed')
def test_auto_skips_broken_runtime_with_warning(machine, caplog, monkeypatch, tmp_path):
    machine(mediapipe='1.2.3')
    (tmp_path / 'ai_edge_litert').mkdir()
    (tmp_path / 'ai_edge_litert' / '__init__.py').write_text('raise OSError("libc.so.99: cannot open shared object file")\n')
    for name in [name for name in sys.modules if name.startswith('ai_edge_litert') or name.endswith('models.litert')]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr('self_segmentation.picture.models.litert', raising=False)
    assert runtimes.choose_runtime('auto').name == 'mediapipe'
    assert [record.getMessage().split(':')[0] for record in caplog.records][0].startswith('ai-edge-litert cannot be used')
    assert 'libc.so.99' in caplog.records[0].getMessage() and len(caplog.records) == 2

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The files that settings name, read: the model and the background image; and pipelines made from them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import BackgroundError, DetectorError, ImageError, ModelError
from ..picture.decoding import decode_file
from ..picture.pipeline import Assets, Pipeline
from ..picture.segmenter import EXPECTED, ModelFile, is_known
from ..resources import read_file, share
from ..settings import Settings
from .library_lines import library_lines_logged

__all__ = ['MODELS', 'load_assets', 'make_pipeline', 'model_path', 'read_model', 'reconfigure']

MODELS = {'general': 'selfie_segmentation.tflite', 'landscape': 'selfie_segmentation_landscape.tflite'}
_DETECTOR = 'efficientdet_lite0.tflite'
_LARGEST_MODEL = 64 << 20  # bytes; the largest of ours has 4.6 MB
_LARGEST_IMAGE = 256 << 20  # bytes


def make_pipeline(settings: Settings) -> Pipeline:
    """
    Return a pipeline with the files that the settings name.

    :raises ModelError: the model cannot be loaded.
    :raises BackgroundError: the background image cannot be read.
    """
    with library_lines_logged():
        return Pipeline(settings, load_assets(settings))


def reconfigure(pipeline: Pipeline, settings: Settings, named: Collection[str] = ()) -> None:
    """
    Give a pipeline new settings from the next frame on; when they cannot be had, the old ones stay.

    :param named: settings that were given again: a background image among them is read again, even under the same name.
    :raises ModelError: the model cannot be loaded.
    :raises BackgroundError: the background image cannot be read.
    """
    old, assets = pipeline.settings, pipeline.assets
    if settings.model != old.model:
        assets = assets._replace(model=read_model(settings.model))
    if settings.people_detector != old.people_detector:
        assets = assets._replace(detector=_read_detector(settings))
    if settings.background_image != old.background_image or 'background.image' in named:
        assets = assets._replace(background_image=_read_background_image(settings.background_image))
    with library_lines_logged():
        pipeline.configure(settings, assets)


def load_assets(settings: Settings) -> Assets:
    """
    Read the files that the settings name.

    :raises ModelError: the model file cannot be read.
    :raises BackgroundError: the background image cannot be read; said when it is set, not when it is first shown.
    """
    return Assets(read_model(settings.model), _read_detector(settings), _read_background_image(settings.background_image))


def read_model(model: str) -> ModelFile:
    """
    Read the file of a model.

    :param model: ``general``, ``landscape`` or the path of another selfie segmentation model.
    :raises ModelError: it cannot be read, or is not the file that the name stands for.
    """
    path = model_path(model)
    try:
        file = ModelFile(str(path), read_file(path, _LARGEST_MODEL))
    except OSError as error:
        raise ModelError(f"model {path} {error.strerror}: give 'general', 'landscape' or the path of {EXPECTED}") from error
    if model in MODELS and not is_known(file):
        raise ModelError(f'model {path}: damaged or another file ({len(file.content)} bytes): copy models/ of this package '
                         f'again, or give the path of {EXPECTED}')
    return file


def model_path(model: str) -> Path:
    """Return the file of a model given by name or path."""
    return share('models', MODELS[model]) if model in MODELS else Path(model)


def _read_detector(settings: Settings) -> ModelFile | None:
    if not settings.people_detector:
        return None
    path = share('models', _DETECTOR)
    try:
        return ModelFile(str(path), read_file(path, _LARGEST_MODEL))
    except OSError as error:
        raise DetectorError(f'person detector {path} {error.strerror}: copy models/ of this package again, or set '
                            'people.detector to false') from error


def _read_background_image(name: str) -> NDArray[np.uint8] | None:
    if not name:
        return None
    try:
        return decode_file(read_file(name, _LARGEST_IMAGE))
    except (OSError, ImageError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BackgroundError(f'background.image = {name!r} {reason}: give the path of an image (PNG, JPEG, ...)') from error

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The files that settings name, read: the models and what moves or stands behind people; and pipelines made from them."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Collection, Iterator
from pathlib import Path

from ..errors import BackgroundError, DetectorError, ImageError, InputError, LibraryMissingError, ModelError
from ..picture.arrays import Array
from ..picture.backgrounds import Film, Media, close_films
from ..picture.models.segmenter import EXPECTED, is_known
from ..picture.models.types import ModelFile
from ..picture.pipeline import Assets, Pipeline
from ..resources import read_file, share
from ..settings import Settings
from .decoding import decode_file
from .image_files import is_animated
from .video_backgrounds import LARGEST_SIDE, open_animation, open_video

__all__ = ['MODELS', 'load_assets', 'make_pipeline', 'model_path', 'read_model', 'reconfigure']

MODELS = {'general': 'selfie_segmentation.tflite', 'landscape': 'selfie_segmentation_landscape.tflite'}
_DETECTOR = 'efficientdet_lite0.tflite'
_LARGEST_MODEL = 64 << 20  # bytes; the largest of ours has 4.6 MB
_LARGEST_IMAGE = 256 << 20  # bytes


def make_pipeline(settings: Settings) -> Pipeline:
    """
    Return a pipeline with the files that the settings name.

    :raises ModelError: the model cannot be loaded.
    :raises BackgroundError: the background image or video cannot be read.
    """
    assets = load_assets(settings)
    with _closed_if_refused(*assets.media):
        return Pipeline(settings, assets)


def reconfigure(pipeline: Pipeline, settings: Settings, named: Collection[str] = ()) -> None:
    """
    Give a pipeline new settings from the next frame on; when they cannot be had, the old ones stay and nothing new stays open.

    :param named: settings that were given again: a background's file among them is read again, even under the same name.
    :raises ModelError: the model cannot be loaded.
    :raises BackgroundError: the background image or video cannot be read.
    """
    old, assets = pipeline.settings, pipeline.assets
    if settings.model != old.model:
        assets = assets._replace(model=read_model(settings.model))
    if settings.people_detector != old.people_detector:
        assets = assets._replace(detector=_read_detector(settings))
    image, video = assets.media
    with _closed_if_refused() as opened:
        if settings.background_image != old.background_image or 'background.image' in named:
            image = _read_background_image(settings.background_image)
            opened.append(image)
        if settings.background_video != old.background_video or 'background.video' in named:
            video = _open_background_video(settings.background_video)
            opened.append(video)
        pipeline.configure(settings, assets._replace(media=Media(image, video)))


def load_assets(settings: Settings) -> Assets:
    """
    Read the files that the settings name.

    :raises ModelError: the model file cannot be read.
    :raises BackgroundError: the background image or video cannot be read; raised when it is set, not when it is first shown.
    """
    model, detector = read_model(settings.model), _read_detector(settings)
    image = _read_background_image(settings.background_image)
    with _closed_if_refused(image):
        return Assets(model, detector, Media(image, _open_background_video(settings.background_video)))


@contextlib.contextmanager
def _closed_if_refused(*opened: Array | Film | None) -> Iterator[list[Array | Film | None]]:
    """Close films if the block fails: those that are given, and those that are added to the list."""
    films = [*opened]
    try:
        yield films
    except BaseException:
        close_films(films)
        raise


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


def _read_background_image(name: str) -> Array | Film | None:
    if not name:
        return None
    try:
        content = read_file(name, _LARGEST_IMAGE)
        if is_animated(io.BytesIO(content), LARGEST_SIDE):
            return open_animation(content, name)
        return decode_file(content, what=f'background {name!r}')
    except (OSError, ImageError, InputError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BackgroundError(f'background.image = {name!r} {reason}: give the path of an image (PNG, JPEG, GIF, ...)') from error


def _open_background_video(name: str) -> Film | None:
    if not name:
        return None
    try:
        return open_video(name)
    except (InputError, LibraryMissingError) as error:
        raise BackgroundError(f'background.video = {name!r} {error}: give the path of a video file') from error

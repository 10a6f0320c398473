# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Reads the files that settings name: models, background image and video."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Collection, Iterator
from pathlib import Path

from ..errors import BackgroundError, DetectorError, ImageError, InputError, LibraryMissingError, ModelError
from ..picture.arrays import Array
from ..picture.backgrounds import NO_MEDIA, Medium, VideoBackground, close_videos
from ..picture.models.segmenter import EXPECTED, is_known
from ..picture.models.types import ModelFile
from ..picture.pipeline import Assets
from ..resources import data_path, read_file
from ..settings import Settings
from .decoding import MAX_FILE_BYTES, decode_file
from .image_files import is_animated
from .video_backgrounds import open_animation, open_video

__all__ = ['MODELS', 'closed_if_refused', 'load_assets', 'model_path', 'read_model']

MODELS = {'general': 'selfie_segmentation.tflite', 'landscape': 'selfie_segmentation_landscape.tflite'}
_DETECTOR = 'efficientdet_lite0.tflite'
_LARGEST_MODEL = 64 << 20  # bytes; the largest of ours has 4.6 MB


def load_assets(settings: Settings, old: Assets | None = None, before: Settings | None = None,
                named: Collection[str] = ()) -> Assets:
    """
    Read the files that settings name.

    :param old: assets in use. They stay as far as the settings still name them.
    :param before: the settings of the old assets; None reads all.
    :param named: settings that were given again: a background's file is then read again, even under the same name.
    :raises ModelError: the model file cannot be read.
    :raises BackgroundError: the background image or video cannot be read.
    """
    def is_new(attribute: str, name: str) -> bool:
        return before is None or name in named or getattr(settings, attribute) != getattr(before, attribute)

    model = read_model(settings.model) if old is None or is_new('model', 'model') else old.model
    detector = _read_detector(settings) if old is None or is_new('people_detector', '') else old.detector
    media = NO_MEDIA if old is None else old.media
    with closed_if_refused() as opened:
        if is_new('background_image', 'background.image'):
            media = media._replace(image=_read_background_image(settings))
            opened.append(media.image)
        if is_new('background_video', 'background.video'):
            media = media._replace(video=_open_background_video(settings))
            opened.append(media.video)
        return Assets(model, detector, media)


@contextlib.contextmanager
def closed_if_refused(*media: Medium) -> Iterator[list[Medium]]:
    """If the block fails, close the videos among the media and those that were added to the list."""
    opened = [*media]
    try:
        yield opened
    except BaseException:
        close_videos(opened)
        raise


def read_model(model: str) -> ModelFile:
    """
    Read the file of a model.

    :param model: ``general``, ``landscape`` or the path of another selfie segmentation model.
    :raises ModelError: it cannot be read, or the file of a name is another one.
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
    return data_path('models', MODELS[model]) if model in MODELS else Path(model)


def _read_detector(settings: Settings) -> ModelFile | None:
    if not settings.people_detector:
        return None
    path = data_path('models', _DETECTOR)
    try:
        return ModelFile(str(path), read_file(path, _LARGEST_MODEL))
    except OSError as error:
        raise DetectorError(f'person detector {path} {error.strerror}: copy models/ of this package again, or set '
                            'people.detector to false') from error


def _read_background_image(settings: Settings) -> Array | VideoBackground | None:
    name = settings.background_image
    if not name:
        return None
    try:
        content = read_file(name, MAX_FILE_BYTES)
        if is_animated(io.BytesIO(content)):
            return open_animation(content, name)
        return decode_file(content, what=f'background {name!r}')
    except (OSError, ImageError, InputError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise _refused(settings, 'image', f'{reason}: give the path of an image (PNG, JPEG, GIF, ...)') from error


def _open_background_video(settings: Settings) -> VideoBackground | None:
    if not settings.background_video:
        return None
    try:
        return open_video(settings.background_video)
    except (InputError, LibraryMissingError) as error:
        raise _refused(settings, 'video', f'{error}: give the path of a video file') from error


def _refused(settings: Settings, kind: str, reason: str) -> BackgroundError:
    """Return the error of a file. It belongs to its own setting, and to ``background.type`` if that shows it."""
    name = f'background.{kind}'
    error = BackgroundError(f'{name} = {getattr(settings, name.replace(".", "_"))!r}: {reason}')
    error.settings = (name, 'background.type') if settings.background_type == kind else (name,)
    return error

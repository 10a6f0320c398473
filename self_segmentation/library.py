# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The pipeline of the Python library; it reads the files that settings name."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from .errors import SettingsError
from .io.assets import closed_if_refused, load_assets
from .picture import pipeline
from .picture.arrays import Array
from .picture.backgrounds import LivePicture, video_of
from .picture.pipeline import Result
from .picture.video import Video
from .settings import TUNABLES, Settings

__all__ = ['Pipeline']

_FILES = ('model', 'people_detector', 'background_image', 'background_video')  # settings that name files


class Pipeline(pipeline.Pipeline):
    """
    Segments frames and replaces their background, or their people.

        with Pipeline(background_type='blur') as pipeline:
            composite = pipeline.process(frame).composite

    :meth:`process` uses ``settings`` and ``video`` by default: one camera needs no others. Settings may be replaced at any time.

    :param settings: by default all defaults.
    :param changes: settings by name, ``_`` for the dot: ``edge_filter='bilateral'``.
    :raises SettingsError: a setting is unknown, or its value is not allowed.
    :raises ModelError: a model cannot be loaded.
    :raises BackgroundError: the background image or video cannot be read.
    """

    def __init__(self, settings: Settings | None = None, **changes: Any) -> None:
        names = {tunable.attribute: name for name, tunable in TUNABLES.items()}
        settings = (settings or Settings()).updated({names.get(name, name): value for name, value in changes.items()})
        assets = load_assets(settings)
        self.live = LivePicture()
        assets = assets._replace(media=assets.media._replace(live=self.live))
        with closed_if_refused(*assets.media):
            super().__init__(assets, settings.runtime)
        self._settings, self.video = settings, Video()
        self._read_for = settings  # the files in use are those that these name

    @property
    def settings(self) -> Settings:
        """The default for :meth:`process`. Setting it reads the files that it names: see :meth:`read`."""
        return self._settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        self.read(settings)
        self._settings = settings

    def read(self, settings: Settings, named: Collection[str] = ()) -> None:
        """
        Read the files that settings name and that are not in use yet. After an error the old ones stay in use.

        :param named: settings that were set again: the file of a background among them is read again.
        :raises SettingsError: the runtime is another one.
        :raises ModelError: the model cannot be loaded.
        :raises BackgroundError: the background image or video cannot be read.
        """
        if settings.runtime != self._read_for.runtime:
            raise SettingsError({'runtime': f'runtime = {settings.runtime!r}: this pipeline was made with '
                                            f'{self._read_for.runtime!r}, which cannot change: make another one'})
        is_named = not {'background.image', 'background.video'}.isdisjoint(named)
        if not is_named and all(getattr(settings, name) == getattr(self._read_for, name) for name in _FILES):
            return
        assets = load_assets(settings, self.assets, self._read_for, named)
        new = [each for each, old in zip(assets.media, self.assets.media) if each is not old]
        with closed_if_refused(*new):
            self.take(assets)
        self._read_for = settings

    def process(self, frame: Array, settings: Settings | None = None, video: Video | None = None, *, stamp: float | None = None,
                still: bool = False, composite: bool | Array = True, mask: bool | Array = True, alpha: bool | Array = True,
                hide: bool = False) -> Result:
        """
        Segment one frame and replace its background, or its people.

        See :meth:`self_segmentation.picture.pipeline.Pipeline.process`.

        :param settings: of this frame; by default ``self.settings``.
        :param video: the memory of the frames before; by default ``self.video``.
        """
        settings, video = settings or self.settings, video or self.video
        self.read(settings)
        return super().process(frame, settings, video, stamp=stamp, still=still, composite=composite, mask=mask, alpha=alpha,
                               hide=hide)

    def background_problem(self, settings: Settings) -> str:
        """Return why the video that settings show stands still; empty where it plays, or none is shown."""
        video = video_of(settings, self.assets.media)
        return '' if video is None else video.problem

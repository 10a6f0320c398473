# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The tutorial's program: camera, video, image or folder in; window, images or video out. No ROS needed."""

from __future__ import annotations

if __name__ == '__main__':  # before the imports, which take seconds
    from .programs import self_segmentation
    raise SystemExit(self_segmentation())

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import SelfSegmentationError, SettingsError, SourceError
from .programs import note_signals
from .settings import TUNABLES, Settings, Tunable, imply_type, read_yaml

if TYPE_CHECKING:  # imported late: --help must not wait for OpenCV and MediaPipe
    from .io.sources import Source
    from .io.writers import Writer

__all__ = ['add_setting_options', 'main', 'settings_from_options']

_IMAGE_ENDINGS = ('.png', '.jpg', '.jpeg', '.bmp', '.webp')
_OUTPUTS = ('output', 'mask', 'alpha')
_UNKNOWN_FPS = 30.0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='self_segmentation', description=__doc__)
    parser.add_argument('input', nargs='?', default='0',
                        help='camera number or device, video, image, or folder of images (default: camera 0)')
    parser.add_argument('--output', metavar='FILE|DIR', help='write the composite: an image, an .mp4, or a folder of PNG files')
    parser.add_argument('--mask', metavar='DIR', help='write the masks, 0 or 255, as PNG files')
    parser.add_argument('--alpha', metavar='DIR', help='write the soft mattes, 0 to 255, as PNG files')
    parser.add_argument('--no-window', action='store_true', help='show no window, even where there is a display')
    parser.add_argument('--config', metavar='FILE', help="the node's YAML; options given here win over it")
    add_setting_options(parser)
    return parser


def add_setting_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for every setting."""
    group = parser.add_argument_group('settings')
    for tunable in TUNABLES.values():
        if tunable.node:
            continue
        default = ','.join(map(str, tunable.default)) if isinstance(tunable.default, tuple) else tunable.default
        unit = f'{tunable.unit}; ' if tunable.unit else ''
        more: dict[str, Any] = {'type': _reader(tunable), 'metavar': tunable.attribute.split('_')[-1].upper()}
        if tunable.choices:
            more = {'choices': tunable.choices}
        if isinstance(tunable.default, bool):
            more = {'action': argparse.BooleanOptionalAction}
        text = f'{tunable.text} ({unit}default {default!r})' if default != '' else tunable.text
        group.add_argument('--' + tunable.name.replace('.', '-').replace('_', '-'), dest=tunable.name,
                           default=argparse.SUPPRESS, help=text.replace('%', '%%'), **more)


def _reader(tunable: Tunable) -> Callable[[str], Any]:
    if isinstance(tunable.default, tuple):
        return _color
    return type(tunable.default)


def _color(text: str) -> list[int]:
    """Read ``192,192,192`` or ``#c0c0c0``."""
    try:
        if text.startswith('#') and len(text) == 7:
            return [int(text[i:i + 2], 16) for i in (1, 3, 5)]
        return [int(part) for part in text.split(',')]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f'invalid color {text!r}: give red,green,blue or #rrggbb') from error


def settings_from_options(options: argparse.Namespace) -> tuple[Settings, set[str]]:
    """
    Return the settings that the options ask for, and the names of those that were given.

    :raises SettingsError: a value in the configuration or on the command line is wrong.
    """
    configured = read_yaml(options.config) if options.config else {}
    given = {name: value for name, value in vars(options).items() if name in TUNABLES}
    imply_type(given)
    both = {**configured, **given}  # checked together: an option may mend what the file leaves open
    unknown = {name: value for name, value in configured.items() if name not in TUNABLES}
    if unknown:
        Settings().updated(unknown, options.config)
    return Settings().updated(both, 'the command line' if not configured else f'{options.config} or the command line'), set(both)


def main(args: list[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = _parser()
    options = parser.parse_args(args)
    told = note_signals()  # what was written until then is finished
    try:
        settings, given = settings_from_options(options)
        return _run(options, settings, 'flip' in given, told)
    except SelfSegmentationError as error:
        print(f'self_segmentation: error: {error}', file=sys.stderr)
        return 2 if isinstance(error, SettingsError) else 1


def _run(options: argparse.Namespace, settings: Settings, flip_given: bool, told: list[int]) -> int:
    import cv2
    from tqdm import tqdm

    from .io.assets import make_pipeline
    from .io.sources import SourceKind, open_source
    from .io.window import Window, why_no_window

    cv2.setNumThreads(1)  # more take a tenth more CPU for the same time
    source = open_source(options.input)
    writers = _writers(options, source)
    no_window = 'not wanted' if options.no_window else why_no_window()
    if no_window and not writers:
        raise SourceError(f'nothing to do: no window ({no_window}) and no --output, --mask or --alpha')
    if not flip_given:
        settings = settings.updated({'flip': source.kind == SourceKind.CAMERA})
    pipeline = make_pipeline(settings)
    window = None if no_window else Window()
    failures, due = 0, 0.0
    try:
        with tqdm(total=source.count, unit='frame', disable=None) as bar:
            while not told:
                try:
                    frame = source.read()
                except SourceError as error:
                    if source.kind != SourceKind.IMAGES:
                        raise
                    bar.write(f'self_segmentation: {error}', file=sys.stderr)
                    failures += 1
                    continue
                if frame is None:
                    break
                if source.kind == SourceKind.VIDEO and not writers:  # it is watched: at its own speed
                    due = max(due + (frame.duration or 1 / _UNKNOWN_FPS), time.monotonic())
                result = pipeline.process(frame.pixels, stamp=frame.stamp, still=source.kind == SourceKind.IMAGES)
                for kind, writer in writers.items():
                    writer.write(frame.name, getattr(result, kind))
                bar.update()
                if window and result.composite is not None and not window.show(result.composite, _until(due)):
                    break
            if window and source.count == 1:
                while not told and window.poll(50):
                    pass
    finally:
        pipeline.close()
        source.close()
        if window:
            window.close()
        for writer in writers.values():
            writer.close()
    return 1 if failures else 0


def _until(due: float) -> int:
    """Return the milliseconds until then, at least 1."""
    return max(1, round(1e3 * (due - time.monotonic())))


def _writers(options: argparse.Namespace, source: Source) -> dict[str, Writer]:
    """Return what to write to, by the name of the result."""
    from .io.sources import SourceKind
    from .io.writers import Folder, ImageFile, VideoFile

    places = {name: Path(value).resolve() for name, value in vars(options).items() if name in _OUTPUTS and value}
    for name, place in places.items():
        if place == Path(options.input).resolve():
            raise SourceError(f'--{name} {place} is the input itself: it would be lost')
    if len(set(places.values())) < len(places):
        raise SourceError('--output, --mask and --alpha must be different places: they write files of the same names')
    writers: dict[str, Writer] = {}
    if options.output:
        path = Path(options.output)
        ending = path.suffix.lower()
        if ending == '.mp4':
            if source.kind == SourceKind.IMAGES:
                raise SourceError(f'--output {path}: images are written to a folder or an image file, not to a video')
            writers['composite'] = VideoFile(path, source.fps or _UNKNOWN_FPS)
        elif ending in _IMAGE_ENDINGS:
            if source.count != 1:
                raise SourceError(f'--output {path} is one image, and {options.input} has more: give a folder'
                                  + ('' if source.kind == SourceKind.IMAGES else ' or an .mp4'))
            writers['composite'] = ImageFile(path)
        elif ending and not path.is_dir():
            raise SourceError(f'--output {path}: give an .mp4, an image ({", ".join(_IMAGE_ENDINGS)}) or a folder')
        else:
            writers['composite'] = Folder(path)
    for name in ('mask', 'alpha'):
        place = getattr(options, name)
        if place and Path(place).suffix.lower() in ('.mp4', *_IMAGE_ENDINGS):
            raise SourceError(f'--{name} {place}: give a folder, for PNG files')
        if place:
            writers[name] = Folder(Path(place))
    return writers

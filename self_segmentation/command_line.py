# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The tutorial's program: camera, video, image or folder in; window, images or video out. No ROS needed."""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from .errors import (
    DamagedInputError,
    DisplayError,
    ExitCode,
    InputError,
    LibraryMissingError,
    SelfSegmentationError,
    SettingsError,
    WrongOutputError,
    masked,
)
from .resources import as_path
from .settings import LOOKS, TUNABLES, Settings, Tunable, Value, imply_type, look_file, read_yaml
from .signals import note_signals

if TYPE_CHECKING:  # imported late: --help must not wait for OpenCV and MediaPipe
    from .io.progress import tqdm
    from .io.sources import Frame, Source
    from .io.window import Window
    from .io.writers import Writer
    from .library import Pipeline
    from .picture.looking_ahead import Waiting
    from .picture.pipeline import Result

__all__ = ['add_setting_options', 'main', 'settings_from_options']

_LOGGER = logging.getLogger('self_segmentation.files')
_OUTPUTS = ('output', 'mask', 'alpha')


class _Parser(argparse.ArgumentParser):
    """Masks the passwords of addresses in its errors."""

    def error(self, message: str) -> NoReturn:
        super().error(masked(message))


class _Formatter(logging.Formatter):
    """Masks the passwords of addresses."""

    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))


def _parser() -> argparse.ArgumentParser:
    # Short: a usage with all options would hide the reason of an error.
    usage = '%(prog)s [INPUT ...] [--output FILE|DIR] [--mask DIR] [--alpha DIR] [--help] [option ...]'
    parser = _Parser(prog='self_segmentation', description=__doc__, usage=usage,
                     epilog='For example: self_segmentation photo.jpg --output out.png')
    parser.add_argument('input', nargs='*', default=['0'],
                        help='camera number or device, video, stream (rtsp://, http://), image, several images, or folder of '
                             'images (default: camera 0)')
    parser.add_argument('--output', metavar='FILE|DIR',
                        help='write the composite: an image, a video (.mp4, .mkv, .mov), or a folder of PNG files')
    parser.add_argument('--mask', metavar='DIR', help='write the masks, 0 or 255, as PNG files')
    parser.add_argument('--alpha', metavar='DIR', help='write the soft mattes, 0 to 255, as PNG files')
    parser.add_argument('--no-window', action='store_true', help='show no window, even where there is a display')
    parser.add_argument('--look', choices=LOOKS, help='preset; --config and other options win over it')
    parser.add_argument('--config', metavar='FILE', help="the node's YAML; options given here win over it")
    group = parser.add_argument_group('recordings', 'The input may be a rosbag2 recording (.mcap, .db3 or a folder), or a folder '
                                                    'of them; --output is one too.')
    group.add_argument('--topic', default='', help='the image topic (default: the only one)')
    group.add_argument('--add', dest='in_place', action='store_false', default=False,
                       help='add the topics /segmentation/output, mask and alpha (default)')
    group.add_argument('--in-place', action='store_true', help='replace the images of the topic by the composite')
    group.add_argument('--keep', metavar='TOPIC', action='append', default=[],
                       help='keep a topic that may show people, although they are covered; may be repeated')
    group.add_argument('--resume', action='store_true', help='skip recordings whose result exists')
    group.add_argument('--workers', type=int, default=2, help='processes for a folder of recordings (default: 2)')
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


def _reader(tunable: Tunable) -> Callable[[str], Value]:
    def read(text: str) -> Value:
        try:
            return tunable.from_text(text, 'the command line')
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
    return read


def settings_from_options(options: argparse.Namespace) -> tuple[Settings, set[str]]:
    """
    Return the settings of ``--look``, ``--config`` and the options, and the names of those that were given.

    :raises SettingsError: a name or a value in the configuration or on the command line is wrong.
    """
    given = {name: value for name, value in vars(options).items() if name in TUNABLES}
    imply_type(given)
    files = filter(None, (look_file(options.look) if options.look else None, options.config))
    both = {name: value for values in (*map(read_yaml, files), given) for name, value in values.items()}
    # Checked together: an option may complete the file.
    return Settings().updated(both, f'{options.config} or the command line' if options.config else 'the command line'), {*both}


def main(args: list[str] | None = None) -> int:
    """Run the program; return its exit code."""
    options = _parser().parse_args(args)
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter('self_segmentation: %(message)s'))
    logging.basicConfig(handlers=[handler])
    stop = note_signals()  # files are finished after a signal
    try:
        settings, given = settings_from_options(options)
        return int(_run(options, settings, 'flip' in given, stop))
    except SelfSegmentationError as error:
        print(f'self_segmentation: error: {error}', file=sys.stderr)
        return int(error.exit_code)


def _run(options: argparse.Namespace, settings: Settings, flip_given: bool, stop: list[int]) -> int:
    import cv2

    from .io.sources import is_camera, is_stream, keep_pipe
    from .recordings.reader import is_recording

    cv2.setNumThreads(1)  # more threads take a tenth more CPU for the same time
    place, is_one = options.input[0], len(options.input) == 1
    keep_pipe(place, stop)
    if stop:
        return ExitCode.DONE
    if not flip_given:
        settings = settings.updated({'flip': is_one and is_camera(place)})
    if is_one and not is_stream(place) and is_recording(as_path(place)):
        return _run_recordings(options, settings, stop)
    with contextlib.ExitStack() as opened:
        run = _open(options, settings, opened)
        run.process(stop)
    if stop and run.is_stopped_early:
        _LOGGER.warning('stopped: %d of %d frames were written', run.done, run.source.count)
    return ExitCode.FAILED if run.failures else ExitCode.DONE


def _open(options: argparse.Namespace, settings: Settings, opened: contextlib.ExitStack) -> _Run:
    """
    Open the source, the pipeline, the writers and the window.

    :param opened: closes them.
    :raises SelfSegmentationError: something cannot be opened, or there is nothing to do.
    """
    from .io.progress import tqdm
    from .io.sources import is_camera, is_stream, open_pictures, open_source
    from .io.videos import av_for
    from .io.window import Window, has_display, why_no_window
    from .library import Pipeline

    place, is_one = options.input[0], len(options.input) == 1
    no_window = 'not wanted' if options.no_window else why_no_window()
    pipeline = None
    if is_one and (is_stream(place) or is_camera(place)):  # it does not wait while models are loaded
        pipeline = opened.enter_context(Pipeline(settings))
        with contextlib.suppress(LibraryMissingError):
            av_for(place)
    color = settings.background_color
    source = opened.enter_context(open_source(place, color=color) if is_one else open_pictures(options.input, color))
    writers = _writers(options, source, settings)
    if no_window and not writers:
        problem = f'nothing to do: no window ({no_window}) and no --output, --mask or --alpha'
        raise SettingsError({'no_window': problem}) if options.no_window else DisplayError(problem)
    if no_window and not options.no_window and has_display():
        _LOGGER.warning('no window: %s', no_window)
    for writer in writers.values():
        opened.enter_context(writer)
    pipeline = pipeline or opened.enter_context(Pipeline(settings))
    window = None if no_window else opened.enter_context(Window())
    bar = opened.enter_context(tqdm(total=source.count, unit='frame', disable=None))
    return _Run(source, pipeline, writers, window, bar)


class _Run:
    """
    Takes the frames of a source through the pipeline to writers and a window.

    ``done`` counts frames, ``failures`` the images of a folder that could not be read or written.
    """

    def __init__(self, source: Source, pipeline: Pipeline, writers: Mapping[str, Writer], window: Window | None,
                 bar: tqdm[Any]) -> None:
        from .io.frames import UNKNOWN_FPS, SourceKind
        from .picture.looking_ahead import LookingAhead

        self.source, self.done, self.failures = source, 0, 0
        self._pipeline, self._writers, self._window, self._bar = pipeline, writers, window, bar
        self._are_images = source.kind == SourceKind.IMAGES
        is_video = source.kind in (SourceKind.VIDEO, SourceKind.STREAM)
        self._is_paced = is_video and not (source.is_live or writers)  # a window shows it at its own speed
        self._due, self._usual = 0.0, 1 / UNKNOWN_FPS  # seconds
        before = pipeline.settings.privacy_before if pipeline.settings.hides_people else 0.0
        looks_ahead = before and writers and source.kind == SourceKind.VIDEO
        self._ahead: LookingAhead[Frame] | None = LookingAhead(before) if looks_ahead else None

    @property
    def is_stopped_early(self) -> bool:
        """Whether frames are missing in the output."""
        return bool(self._writers and self.source.count and self.done < self.source.count)

    def process(self, stop: list[int]) -> None:
        """Process all frames, until ``stop`` is not empty or the window is closed; one image stays in the window."""
        for frame, result in self._results(stop):
            self.done += 1
            self._write(frame, result)
            self._bar.update()
            wait = max(1, round(1e3 * (self._due - time.monotonic())))  # milliseconds
            if self._window and result.composite is not None and not self._window.show(result.composite, wait):
                break
        if self._window and self.source.count == 1:
            while not stop and self._window.poll(50):
                pass

    def _results(self, stop: list[int]) -> Iterator[tuple[Frame, Result]]:
        """Yield each frame with its result; after a stop none of the frames that still wait."""
        ahead, damage = self._ahead, None
        try:
            for number, frame in enumerate(self._frames(stop)):
                if not number:
                    for writer in self._writers.values():  # all, before anything is written
                        writer.claim(shared=self.source.count == 1)
                if self._is_paced:
                    self._due = max(self._due + (frame.duration or self._usual), time.monotonic())
                if ahead is None:
                    yield frame, self._pipeline.process(frame.pixels, stamp=frame.stamp, still=self._are_images)
                    continue
                result = self._pipeline.process(frame.pixels, stamp=frame.stamp, composite=False, mask=False)
                yield from map(self._completed, ahead.add(frame, frame.pixels, result, frame.stamp))
        except DamagedInputError as error:  # all whole frames came before
            damage = error
        if ahead is not None and not stop:
            yield from map(self._completed, ahead.flush())
        if damage is not None:
            raise damage

    def _completed(self, each: Waiting[Frame]) -> tuple[Frame, Result]:
        return each.of, self._pipeline.complete(each.result, each.pixels, self._pipeline.settings, composite=True, mask=True,
                                                alpha=True)

    def _frames(self, stop: list[int]) -> Iterator[Frame]:
        while not stop:
            try:
                frame = self.source.read()
            except InputError as error:
                self._leave_out(error)
                continue
            if frame is None:
                return
            yield frame

    def _write(self, frame: Frame, result: Result) -> None:
        from .io.writers import PictureError

        for kind, writer in self._writers.items():
            try:
                writer.write(frame.name, getattr(result, kind), frame.stamp, frame.duration)
            except PictureError as error:
                self._leave_out(error)

    def _leave_out(self, error: SelfSegmentationError) -> None:
        """
        Report an image that cannot be used, if it is one of several.

        :raises SelfSegmentationError: the error, for a single image or a video.
        """
        if not self._are_images or self.source.count == 1:
            raise error
        self._bar.write(f'self_segmentation: {error}', file=sys.stderr)
        self.failures += 1


def _run_recordings(options: argparse.Namespace, settings: Settings, stop: list[int]) -> int:
    from .recordings.run import Choice, process_recordings

    if not options.output or options.mask or options.alpha:
        raise WrongOutputError(f'recording {options.input[0]}: give --output, an .mcap or .db3 file or a folder; masks and '
                               'alphas are topics in it')
    place, output = as_path(options.input[0]), as_path(options.output)
    with contextlib.suppress(OSError, RuntimeError, ValueError):  # reading or writing reports it
        if _identity(output) == _identity(place):
            raise WrongOutputError(f'--output {output} is the input itself: it would be lost')
    choice = Choice(options.topic, options.in_place, tuple(options.keep), options.resume, options.workers)
    return process_recordings(place, output, settings, choice, stop)


def _identity(path: Path) -> tuple[Any, ...]:
    """Return the same value for all names of a file, which need not exist."""
    try:
        status = path.stat()
        return status.st_dev, status.st_ino
    except FileNotFoundError:
        return (path.resolve(),)


def _writers(options: argparse.Namespace, source: Source, settings: Settings) -> dict[str, Writer]:
    """
    Return the writers, by the name of the result.

    :raises WrongOutputError: a place cannot be used.
    """
    from .io.writers import Folder

    paths = {name: as_path(value) for name, value in vars(options).items() if name in _OUTPUTS and value}
    _check_places(paths, _inputs(options, source, settings), source)
    has_alpha = settings.background_type == 'transparent'
    writers: dict[str, Writer] = {}
    for name, path in paths.items():
        if name == 'output':
            is_turned = settings.camera_rotation in (90, 270)
            writers['composite'] = _composite_writer(path, options.input, source, has_alpha, is_turned)
        elif _written_as(path, has_alpha) == 'folder':
            writers[name] = Folder(path)
        else:
            raise WrongOutputError(f'--{name} {path}: give a folder, for PNG files')
    _warn_of_losses(writers, source)
    return writers


def _inputs(options: argparse.Namespace, source: Source, settings: Settings) -> dict[tuple[Any, ...], str]:
    """Return the files that are read: their identity and what they are."""
    from .io.assets import model_path

    read = {'the input': [*options.input, *source.files], '--config': [options.config], '--model': [model_path(settings.model)],
            '--background-image': [settings.background_image], '--background-video': [settings.background_video]}
    inputs: dict[tuple[Any, ...], str] = {}
    for what, files in read.items():
        for file in filter(None, files):
            with contextlib.suppress(OSError, RuntimeError, ValueError):  # reading refuses it
                inputs.setdefault(_identity(as_path(file)), what)
    return inputs


def _check_places(paths: dict[str, Path], inputs: dict[tuple[Any, ...], str], source: Source) -> None:
    """
    Check that no input would be overwritten, and that no two results have one place.

    :raises WrongOutputError: one would be, two have, or a path cannot be used.
    """
    places = []
    for name, path in paths.items():
        try:
            if str(path) == '-':
                raise ValueError('nothing is written to standard output: give a file or a folder')
            written = [path]
            if path.is_dir():
                written += [path / f'{each}.png' for file in source.files for each in (file.stem, file.name)]
            places.append(_identity(path))
        except (OSError, RuntimeError, ValueError) as error:  # no permission, a loop of links
            reason = getattr(error, 'strerror', None) or error
            raise WrongOutputError(f'--{name} {str(path)!r} cannot be used: {reason}') from error
        for file in written:
            with contextlib.suppress(OSError, RuntimeError, ValueError):  # writing refuses it
                if lost := inputs.get(_identity(file)):
                    raise WrongOutputError(f'--{name} {path} is {lost} itself: it would be lost')
    if len(set(places)) < len(places):
        raise WrongOutputError('--output, --mask and --alpha must be different places: they write files of the same names')


def _written_as(path: Path, has_alpha: bool) -> str:
    """Return the kind of output: ``folder``, ``video`` or ``image``; empty for a file of another kind."""
    from .io.writers import ALPHA_ENDINGS, IMAGE_ENDINGS, VIDEO_ENDINGS, is_file_ending

    ending = path.suffix.lower()
    if path.is_dir():
        return 'folder'
    if ending in IMAGE_ENDINGS:
        return 'image'
    if ending in VIDEO_ENDINGS or (has_alpha and ending in ALPHA_ENDINGS):
        return 'video'
    return '' if is_file_ending(ending) else 'folder'  # so results_v1.2 is one


def _composite_writer(path: Path, inputs: list[str], source: Source, has_alpha: bool, is_turned: bool) -> Writer:
    from .io.frames import UNKNOWN_FPS, SourceKind
    from .io.writers import ALPHA_ENDINGS, IMAGE_ENDINGS, VIDEO_ENDINGS, Folder, ImageFile, VideoFile
    from .recordings.files import ENDINGS, ROS1_ENDING

    kind, ending, are_images = _written_as(path, has_alpha), path.suffix.lower(), source.kind == SourceKind.IMAGES
    if kind == 'folder':
        return Folder(path)
    if kind and has_alpha and ending not in ALPHA_ENDINGS:
        raise WrongOutputError(f'--output {path}: {ending} has no alpha, which background.type = transparent makes: give a '
                               f'folder, or a file that ends in {", ".join(ALPHA_ENDINGS)}')
    if kind == 'video':
        if are_images:
            raise WrongOutputError(f'--output {path}: images are written to a folder or an image file, not to a video')
        return VideoFile(path, source.fps or UNKNOWN_FPS, source, is_turned)
    if kind == 'image':
        if source.count != 1:
            raise WrongOutputError(f'--output {path} is one image, and {" ".join(inputs[:3])} has more: give a folder'
                                   + ('' if are_images else ' or a video (.mp4)'))
        return ImageFile(path)
    of_recording = '; a recording is made only of a recording' if ending in (*ENDINGS, ROS1_ENDING) else ''
    raise WrongOutputError(f'--output {path}: give a video ({", ".join(VIDEO_ENDINGS)}), an image ({", ".join(IMAGE_ENDINGS)}) '
                           f'or a folder{of_recording}')


def _warn_of_losses(writers: Mapping[str, Writer], source: Source) -> None:
    """Log the parts of a video that image files cannot hold."""
    from .io.writers import VideoFile

    if not writers or isinstance(writers.get('composite'), VideoFile):
        return
    without = ['sound'] if source.sound else []
    if source.pixel_aspect != 1:
        without.append(f'shape of its pixels ({source.pixel_aspect})')
    if without:
        _LOGGER.warning("the video's %s is left out: image files have none", ' and the '.join(without))

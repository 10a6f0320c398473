# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Video files and streams from the network, read by PyAV, which brings FFmpeg."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import os
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np

from ..errors import DamagedInputError, InputError, LibraryMissingError, UnavailableError
from ..picture.arrays import Array, flattened
from .decoding import MAX_FILE_SIDE
from .frames import UNKNOWN_FPS, ArrivalTimes, Frame, Source, SourceKind, plausible_fps

__all__ = ['Sound', 'Video', 'av_for']

_LOGGER = logging.getLogger('self_segmentation.files')
_OLDEST = 15  # of PyAV's versions
_TIMEOUT = 10.0  # seconds that a stream may take to open, or to send something
_DELAY = 1.0  # seconds by which the decoder's delay may shift the first frame
_NEEDED = (b'moov', b'moof', b'mdat', b'RIFF')  # boxes and chunks with frames; others may be cut off
_SHORT = 0.2  # seconds (or two frames) by which a whole file may be shorter than its header tells: times are rounded
_TS_DISCONT = 0x200  # FFmpeg's flag of a format whose times may start again
_NO_TIMES = 0x80  # FFmpeg's flag of a format without times: FFmpeg invents them
_BACK, _AHEAD = Fraction(1, 10), 10  # seconds that times may jump without a joint, as in the program ffmpeg
_HDR = {16: 'PQ', 18: 'HLG'}  # transfer functions, as FFmpeg numbers them
_UNTAGGED = 2  # no colour matrix is given, as FFmpeg numbers it
_ALPHA = {'vp8': 'libvpx', 'vp9': 'libvpx-vp9'}  # FFmpeg's own decoders of these leave the alpha out


def av_for(what: str) -> Any:
    """
    Return PyAV's module.

    :param what: what it is for, for the message.
    :raises LibraryMissingError: it is not installed, or too old.
    """
    mend = f'install PyAV: {sys.executable} -m pip install --no-deps av'
    try:
        import av
    except ImportError as error:
        raise LibraryMissingError(f'{what}: videos and streams need PyAV, which cannot be imported ({error}); {mend}') from error
    if int(av.__version__.partition('.')[0]) < _OLDEST:
        raise LibraryMissingError(f'{what}: videos and streams need PyAV {_OLDEST} or later, not {av.__version__}; {mend}')
    return av


@dataclasses.dataclass
class _Progress:
    """What was read of a file."""

    faults: int = 0
    begin: float = 0.0  # of its packets, in seconds
    end: float = 0.0
    is_lost: bool = False  # no frame can be decoded until a key frame


class Video(Source):
    """
    A video file, or a stream from the network.

    ``time_base`` is the unit of its times, in seconds; ``has_ended`` whether all its frames were read.

    :param place: the path of a file, or the address of a stream.
    :param color: red, green, blue, 0..255: what is seen through transparent parts.
    :raises InputError: it is a file that is no video.
    :raises UnavailableError: the stream cannot be opened.
    """

    def __init__(self, place: Path | str, color: tuple[int, ...]) -> None:
        self.kind = SourceKind.STREAM if isinstance(place, str) else SourceKind.VIDEO
        self._place, self._color = place, color
        self._warned: set[str] = set()  # not again after a rewind
        self._av = av_for(f'{self.kind} {str(place)!r}')
        self._reformatter = self._av.video.reformatter.VideoReformatter()
        self._closing = contextlib.ExitStack()
        self._open()
        trc = self._stream.codec_context.color_trc
        if trc in _HDR:
            _LOGGER.warning('%s is HDR (%s): its colours are shown as they are, which is pale', self._what, _HDR[trc])

    @property
    def _what(self) -> str:
        return f'{self.kind} {str(self._place)!r}'

    def _warn_once(self, line: str, about: str = '') -> None:
        if (about or line) not in self._warned:
            self._warned.add(about or line)
            _LOGGER.warning('%s %s', self._what, line)

    def _open(self) -> None:
        with contextlib.ExitStack() as closing:
            self._container = _opened(self._place, self._what, self._av, closing)
            self._stream = self._chosen()
            self._decoder = self._decoder_of(self._stream)
            self._closing = closing.pop_all()
        stream, form = self._stream, self._container.format
        self._decoder.thread_count = 1  # more delay the frames, one each, and FFmpeg may not report damage
        self.fps = plausible_fps(stream.average_rate or stream.guessed_rate)
        self._is_avi = form.name == 'avi'
        is_fragmented = 'mp4' in form.name and not stream.frames
        declared = max(self._container.duration or 0, 0) / self._av.time_base  # seconds; 0 if unknown
        self.is_live = self.kind == SourceKind.STREAM and not declared
        self._length = declared if stream.duration is None else float(stream.duration * stream.time_base)
        is_end = is_fragmented or form.name in ('matroska,webm', 'nut')  # not the length, where the video starts late
        late = float(stream.start_time * stream.time_base) if is_end and stream.start_time else 0.0
        seconds = self._length - late if late > _DELAY else self._length
        self.count = stream.frames or round(max(seconds, 0.0) * self.fps) or None
        self.time_base = stream.time_base
        self.pixel_aspect = self._aspect = stream.sample_aspect_ratio or Fraction(1)
        self.sound = self._place if isinstance(self._place, Path) and _sound_of(self._container, self._av) is not None else None
        self._index, self._decoded, self.has_ended = 0, self._decode(), False
        self._start: int | None = None  # the first frame's time
        self._end = 0.0  # the last frame's, in seconds since then
        self._arrivals = ArrivalTimes() if self.is_live else None
        self._has_times = not form.flags & _NO_TIMES

    def _chosen(self) -> Any:
        """Return the video stream that the program ffmpeg takes: the default one, else the largest; no cover, no thumbnails."""
        disposition = self._av.stream.Disposition
        no_video = disposition.attached_pic | disposition.timed_thumbnails
        videos = [stream for stream in self._container.streams.video
                  if stream.codec_context is not None and not stream.disposition & no_video]
        if not videos:
            raise InputError(f'{self._what} has no picture in it that can be decoded: give a video or an image')
        return max(videos, key=lambda each: (bool(each.disposition & disposition.default), each.width * each.height))

    def _decoder_of(self, stream: Any) -> Any:
        decoder = stream.codec_context
        if stream.metadata.get('alpha_mode') != '1' or decoder.name not in _ALPHA:
            return decoder
        try:
            own, decoder = decoder, self._av.CodecContext.create(_ALPHA[decoder.name], 'r')
        except ValueError:  # PyAV's own class of it is in another place in each version
            self._warn_once(f'has transparent parts, which this PyAV does not show: it has no {_ALPHA[decoder.name]}')
            return stream.codec_context
        decoder.extradata = own.extradata
        return decoder

    def _decode(self) -> Iterator[Any]:
        """
        Yield the decoded frames that are whole.

        :raises DamagedInputError: after them, if the file is damaged or cut off.
        """
        is_cut_off = _is_cut_off(self._place) if isinstance(self._place, Path) else None
        progress, count = _Progress(faults=int(is_cut_off is True)), 0
        for packet in self._packets(progress):
            for frame in self._frames_of(packet, progress):
                count += 1
                yield frame
        self.has_ended = True
        # A file of the size that its format tells is whole: its header may tell the length of a longer one.
        missing = self._length - (progress.end - progress.begin) if is_cut_off is None else 0.0
        is_short = missing > max(_SHORT, 2 / (self.fps or UNKNOWN_FPS))
        if not count or (not self.is_live and (progress.faults or is_short)):
            of = f' of {self.count}' if self.count and self.count > count else ''
            raise DamagedInputError(f'{self._what} is damaged or cut off: {count}{of} frames could be read; get it again where '
                                    'it came from')
        if self.kind == SourceKind.STREAM:
            self._warn_once(f'has ended after {count} frames', about='end')

    def _packets(self, progress: _Progress) -> Iterator[Any]:
        """Yield the packets of the pictures, with times that go on at joints; at last None if the rest cannot be read."""
        joints = _Joints(self._container)
        try:
            for packet in self._container.demux():
                time = packet.pts if packet.pts is not None else packet.dts
                if time is not None:
                    progress.begin = min(progress.begin, float(time * packet.time_base))
                    progress.end = max(progress.end, float((time + (packet.duration or 0)) * packet.time_base))
                    joints.mend(packet)
                if packet.stream.index == self._stream.index and (packet.size or packet.dts is None):
                    yield packet
        except self._av.FFmpegError as error:
            _LOGGER.debug('%s: %s', self._what, error)
            progress.faults += 1
            yield None

    def _frames_of(self, packet: Any, progress: _Progress) -> list[Any]:
        """Return the whole frames that a packet completes; for None, or an empty packet, those that the decoder still holds."""
        is_joined = self._container.format.name == 'mpegts'  # FFmpeg takes a joint of two recordings for damage
        is_damaged = packet is not None and packet.is_corrupt and not is_joined
        is_key = packet is not None and packet.is_keyframe
        progress.is_lost = is_damaged or (progress.is_lost and not is_key)
        progress.faults += is_damaged
        if progress.is_lost and packet is not None and packet.size:
            return []
        try:
            frames = self._decoder.decode(packet)
        except self._av.FFmpegError as error:
            if not isinstance(error, self._av.EOFError):
                _LOGGER.debug('%s: %s', self._what, error)
                progress.faults, progress.is_lost = progress.faults + 1, True
            return []
        whole = [frame for frame in frames if is_joined or not frame.is_corrupt]
        progress.faults += len(frames) - len(whole)
        return whole

    def read(self) -> Frame | None:
        """Decode the next frame."""
        frame = next(self._decoded, None)
        if frame is None:
            return None
        if max(frame.width, frame.height) > MAX_FILE_SIDE:
            raise DamagedInputError(f'{self._what} has frames of {frame.width}x{frame.height} pixels: each side must be 1 to '
                                    f'{MAX_FILE_SIDE}')
        if frame.interlaced_frame:
            self._warn_once('is interlaced: what moves looks like a comb; deinterlace it: ffmpeg -i INPUT -vf bwdif OUTPUT')
        unit = self.time_base
        index, self._index = self._index, self._index + 1
        time = frame.dts if self._is_avi else frame.pts  # AVI has no presentation times, and FFmpeg invents wrong ones
        if self._start is None:
            self._start = time or 0
        own = None if time is None else float((time - self._start) * unit)
        stamp: float
        duration: float | None
        if self._arrivals is not None:
            stamp, duration = self._arrivals.next(own if self._has_times else None)
        else:
            duration = float(frame.duration * unit) if frame.duration else 1 / (self.fps or UNKNOWN_FPS)
            stamp = self._end if own is None else own
            self._end = stamp + duration
        return Frame(self._pixels(frame), f'{index:05d}', index, stamp, duration)

    def _pixels(self, frame: Any) -> Array:
        """Return the pixels of a decoded frame, the right way up."""
        has_alpha = any(component.is_alpha for component in frame.format.components) or frame.format.name == 'pal8'
        kind = 'bgra' if has_alpha else 'bgr24'
        is_hd = frame.colorspace == _UNTAGGED and (frame.width >= 1280 or frame.height > 576)  # as in mpv; not in swscale
        pixels = self._reformatter.reformat(frame, format=kind, src_colorspace='ITU709' if is_hd else None,
                                            src_color_range=frame.color_range or None).to_ndarray()
        pixels = flattened(pixels, self._color)
        side_data = self._av.sidedata.sidedata  # not frame.side_data, which is a reference cycle
        matrix = side_data.SideDataContainer(frame).get(side_data.Type.DISPLAYMATRIX)
        if matrix is None:
            return pixels
        (a, b, _), (c, d, _), _ = np.frombuffer(matrix, np.int32).reshape(3, 3)  # a point (x, y) is seen at (ax + cy, bx + dy)
        if abs(b) > abs(a):
            pixels, a, d = np.asarray(cv2.transpose(pixels), np.uint8), c, b
            self.pixel_aspect = 1 / self._aspect
        if a < 0 or d < 0:
            pixels = np.asarray(cv2.flip(pixels, -1 if a < 0 and d < 0 else int(a < 0)), np.uint8)
        return pixels

    def open_sound(self) -> Sound | None:
        """Return the sound from the first frame on, which must have been read; None if there is no sound."""
        if self.sound is None:
            if self._container.streams.audio:
                is_unknown = isinstance(self._place, Path)
                self._warn_once(f'has sound {"that this FFmpeg does not know" if is_unknown else "as well"}: it is left out')
            return None
        start = 0 if self._is_avi else self._start or 0  # the decoder's delay is in an AVI's first time
        return Sound(self.sound, float(start * self.time_base), self._av)

    def rewind(self) -> None:
        """Open it again."""
        self.close()
        self._open()

    def close(self) -> None:
        """Close the file or the connection, and free FFmpeg's memory."""
        self._decoded.close()  # type: ignore[attr-defined]
        self._closing.close()
        self._container = self._stream = self._decoder = None


class Sound:
    """
    The sound of a video file, packet by packet, not decoded.

    :param start: seconds of the file that become 0.
    """

    def __init__(self, path: Path, start: float, av: Any) -> None:
        self._closing = contextlib.ExitStack()
        self._container = _opened(path, f'video {str(path)!r}', av, self._closing)
        self.stream = _sound_of(self._container, av)
        self._offset = round(start / self.stream.time_base)
        self._packets, self._av = self._container.demux(), av
        self._joints, self._last = _Joints(self._container), -1 << 62
        self._next = self._read()

    def _read(self) -> Any:
        """Return the next packet, with new times; None after the last readable one."""
        try:
            for packet in self._packets:
                if packet.dts is None or packet.pts is None:
                    continue
                self._joints.mend(packet)
                is_sound = packet.stream.index == self.stream.index
                if is_sound and packet.pts + (packet.duration or 0) > self._offset:
                    packet.dts = self._last = max(packet.dts - self._offset, self._last + 1)  # containers want times that grow
                    packet.pts = max(packet.pts - self._offset, packet.dts)
                    return packet
        except self._av.FFmpegError as error:
            _LOGGER.debug('sound: %s', error)  # the video reports the damage
        return None

    def is_taken_by(self, form: str) -> bool:
        """
        Return whether a container takes it, by a trial: FFmpeg's lists are not enough.

        :param form: FFmpeg's name of the container.
        """
        try:
            with self._av.open(io.BytesIO(), 'w', format=form) as trial:
                stream = trial.add_stream_from_template(self.stream)
                packet = self._av.Packet(bytes(self._next) if self._next is not None else 0)
                packet.pts = packet.dts = 0
                packet.time_base, packet.stream = self.stream.time_base, stream
                trial.mux(packet)
        except (self._av.FFmpegError, ValueError) as error:
            _LOGGER.debug('sound: %s', error)
            return False
        return True

    def until(self, seconds: float) -> Iterator[Any]:
        """Yield the next packets that begin before that time."""
        while self._next is not None and float(self._next.pts * self.stream.time_base) < seconds:
            packet, self._next = self._next, self._read()
            yield packet

    def close(self) -> None:
        """Close the file."""
        self._packets.close()
        self._closing.close()


class _Joints:
    """
    The joints of a file or stream that was made of several, whose times start again: after a joint, the times go on.

    FFmpeg knows which formats allow that (transport streams). Sound and pictures are moved together.
    """

    def __init__(self, container: Any) -> None:
        self._is_possible = bool(container.format.flags & _TS_DISCONT)
        self._shift = Fraction(0)
        self._last: dict[int, tuple[Fraction, Fraction]] = {}  # begin and end of each stream's last packet, in seconds

    def mend(self, packet: Any) -> None:
        """Correct a packet's times for the joints before it. Call it for all packets, in the order of the file."""
        if not self._is_possible or packet.dts is None:
            return
        unit = packet.time_base
        if packet.stream.type in ('video', 'audio'):  # the others come now and then
            time = packet.dts * unit + self._shift
            last, end = self._last.get(packet.stream.index, (time, time))
            if not last - _BACK <= time <= end + _AHEAD:
                self._shift += end - time
                time = end
            length = packet.duration * unit if packet.duration else max(time - last, Fraction(0))  # else that of the one before
            self._last[packet.stream.index] = time, time + length
        packet.dts += round(self._shift / unit)
        if packet.pts is not None:
            packet.pts += round(self._shift / unit)


def _sound_of(container: Any, av: Any) -> Any:
    """Return the sound that the program ffmpeg takes: the default one, else the one with most channels."""
    sounds = [stream for stream in container.streams.audio if stream.codec_context is not None]
    default = av.stream.Disposition.default
    return max(sounds, default=None, key=lambda each: (bool(each.disposition & default), each.codec_context.channels))


def _is_cut_off(path: Path) -> bool | None:
    """
    Return whether a file is shorter than its headers tell: MP4 and MOV, Matroska and WebM, AVI. FFmpeg does not report it.

    None for other formats, and for an open size.
    """
    length = path.stat().st_size
    with path.open('rb') as file:
        head = file.read(12)
        if head[:4] == b'\x1a\x45\xdf\xa3':  # EBML: a header, then one segment
            file.seek(4)
            file.seek(_ebml_size(file) or 0, os.SEEK_CUR)
            size = _ebml_size(file) if file.read(4) == b'\x18\x53\x80\x67' else None
            return None if size is None else file.tell() + size > length
        is_riff, at, kind = head[:4] == b'RIFF', 0, b''
        if not is_riff and head[4:8] not in (b'ftyp', b'moov', b'mdat', b'wide', b'free', b'skip'):
            return None
        while at + 8 <= length:  # boxes or chunks, one after the other
            file.seek(at)
            head = file.read(16)
            size = 8 + int.from_bytes(head[4:8], 'little') if is_riff else int.from_bytes(head[:4], 'big')
            if not is_riff and size == 1:
                size = int.from_bytes(head[8:16], 'big')
            if size < 8:  # 0 is all that follows
                return False
            at, kind = at + size, head[:4] if is_riff else head[4:8]
        return at > length + is_riff and kind in _NEEDED  # the last chunk's padding need not be there


def _ebml_size(file: BinaryIO) -> int | None:
    """Read the size of an EBML element; None for an open size."""
    first = file.read(1)[0]
    more = 8 - first.bit_length()
    value = int.from_bytes(bytes([first & (0x7f >> more)]) + file.read(more), 'big')
    return None if value == (1 << 7 * (more + 1)) - 1 else value


def _opened(place: Path | str, what: str, av: Any, closing: contextlib.ExitStack) -> Any:
    """
    Return PyAV's container of a file or stream. Python opens files: it takes every name.

    :param closing: closes it.
    :raises InputError: the file cannot be opened, or is no video.
    :raises UnavailableError: the stream cannot be opened.
    """
    try:
        if isinstance(place, Path):
            raw = closing.enter_context(io.FileIO(place))
            raw.name = ''  # type: ignore[misc]  # by the name, FFmpeg would take a text for images, and open other files
            container = av.open(io.BufferedReader(raw), metadata_errors='replace')
        else:
            options = {'rtsp_transport': 'tcp'} if place.lower().startswith('rtsp') else {}
            container = av.open(place, metadata_errors='replace', timeout=_TIMEOUT, options=options)
        closing.callback(container.close)
        form = container.format.name
        if isinstance(place, Path) and (form == 'tty' or form.endswith('_pipe')):
            raise ValueError(f'{form.removesuffix("_pipe")} files are not taken')  # texts and rare images
        return container
    except (av.FFmpegError, OSError, ValueError) as error:
        closing.close()
        reason = getattr(error, 'strerror', None) or error
        if isinstance(place, Path):
            raise InputError(f'{str(place)!r} is neither an image nor a video that can be read ({reason}): it is damaged, not '
                             'recorded to its end, or something else') from error
        raise UnavailableError(f'{what} cannot be opened ({reason}): is the address right, and does it send?') from error

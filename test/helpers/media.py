# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Small videos and images as people have them, made for the tests."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import PIL.Image

COUNT, FPS = 20, 10


def quarters(width: int = 64, height: int = 48, mark: int = 0) -> np.ndarray:
    """A frame whose quarters are red, green, blue and white (from the top left on, row by row); a mark makes it another one."""
    frame = np.zeros((height, width, 3), np.uint8)
    x, y = width // 2, height // 2
    frame[:y, :x], frame[:y, x:], frame[y:, :x], frame[y:, x:] = (200, 0, 0), (0, 200, 0), (0, 0, 200), (255 - mark,) * 3
    return frame


def corners(bgr: np.ndarray) -> str:
    """Which colours an image has at its corners, from the top left on, row by row."""
    height, width = bgr.shape[:2]
    spots = [bgr[y, x].astype(int) for y in (height // 5, height - height // 5) for x in (width // 5, width - width // 5)]
    return ''.join('w' if min(spot) > 100 else 'bgr'[int(np.argmax(spot))] for spot in spots)


def write_video(path: Path, frames: list[np.ndarray] | None = None, rate: Fraction | int = FPS, codec: str = 'libx264',
                pixels: str = 'yuv420p', turn: int = 0, aspect: Fraction | None = None, times: list[float] | None = None,
                sound: str = '', seconds: float | None = None, layout: str = 'rgb24', options: dict[str, str] | None = None,
                **container: str) -> Path:
    """
    Write a video of RGB frames.

    :param turn: degrees that a player turns it, anticlockwise.
    :param times: of the frames in seconds, where they do not come at one rate.
    :param sound: the codec of a tone.
    :param seconds: of the tone, where it does not last as long as the pictures.
    """
    frames = [quarters(mark=5 * number) for number in range(COUNT)] if frames is None else frames
    with av.open(str(path), 'w', options=container) as file:
        stream = file.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if turn:
            stream.set_display_rotation(turn)
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        tone = file.add_stream(sound, rate=48000) if sound else None
        packets = []
        for number, pixel in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixel, format=layout)
            if times:
                frame.pts, frame.time_base = round(1000 * times[number]), Fraction(1, 1000)
            packets += stream.encode(frame)
        packets += stream.encode(None)
        if tone is not None:
            samples = (8000 * np.sin(np.arange(int(48000 * (seconds or Fraction(len(frames)) / rate))) / 20)).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples[None], format='s16', layout='mono')
            frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
            for part in av.AudioResampler(tone.format, tone.layout, 48000, tone.codec_context.frame_size or 1024).resample(frame):
                packets += tone.encode(part)
            packets += tone.encode(None)
        file.mux(sorted(packets, key=lambda packet: packet.dts * packet.time_base))
    return path


def write_streams(path: Path, sizes: list[tuple[int, int]], default: int | None = None) -> Path:
    """Write a video of several pictures of different sizes, of which one may be the default."""
    with av.open(str(path), 'w') as file:
        streams = [file.add_stream('libx264', rate=FPS) for _ in sizes]
        for number, (stream, (width, height)) in enumerate(zip(streams, sizes)):
            stream.width, stream.height, stream.pix_fmt = width, height, 'yuv420p'
            stream.disposition = int(number == default)
        for stream, size in zip(streams, sizes):
            for mark in range(5):
                file.mux(stream.encode(av.VideoFrame.from_ndarray(quarters(*size, mark=mark), format='rgb24')))
            file.mux(stream.encode(None))
    return path


class _Pipe:
    """Takes what is written, and cannot go back: a recording in it does not say how long it is."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, data) -> int:
        self.parts.append(bytes(data))
        return len(data)


def live_stream(form: str, codec: str, count: int, rate: int) -> list[bytes]:
    """The parts of a live stream, one for each frame; the first one has the headers too."""
    pipe = _Pipe()
    parts: list[bytes] = []
    with av.open(pipe, 'w', format=form, options={'flush_packets': '1'}) as file:
        stream = file.add_stream(codec, rate=rate, options={'tune': 'zerolatency', 'g': '1'} if codec == 'libx264' else {})
        stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuvj420p' if codec == 'mjpeg' else 'yuv420p'
        for mark in range(count):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(quarters(mark=mark), format='rgb24')))
            parts.append(b''.join(pipe.parts))
            pipe.parts.clear()
        file.mux(stream.encode(None))
    return [*parts[:-1], parts[-1] + b''.join(pipe.parts)]


def tagged(image: PIL.Image.Image, orientation: int, kind: str, **more) -> bytes:
    """An encoded image with an EXIF orientation."""
    exif = PIL.Image.Exif()
    exif[274] = orientation
    image.save(file := io.BytesIO(), kind, exif=exif, **more)
    return file.getvalue()

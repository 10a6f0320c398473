# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Videos as telephones, slow-motion cameras, browsers and bad disks give them: read right, or refused by name."""
import collections
import contextlib
import functools
import gc
import http.server
import itertools
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import PATIENCE, ROOT, SAMPLE
from media import COUNT, FPS, corners, live_stream, quarters, write_streams, write_video

from self_segmentation.errors import InputError, LibraryMissingError, OutputError
from self_segmentation.io import videos, writers
from self_segmentation.io.frames import plausible_fps
from self_segmentation.io.sources import SourceKind, open_source
from self_segmentation.io.writers import VideoFile


def frames_of(source) -> list:
    return list(iter(source.read, None))


def copied(path, to, count=None):
    """A video, or so many frames of it, through the package's own reader and writer."""
    with contextlib.closing(open_source(str(path))) as source, contextlib.closing(VideoFile(to, source.fps, source)) as writer:
        for frame in itertools.islice(iter(source.read, None), count):
            writer.write(frame.name, frame.pixels, frame.stamp, frame.duration)
    return to


@pytest.mark.parametrize('turn, seen', [(0, 'rgbw'), (90, 'gwrb'), (180, 'wbgr'), (270, 'brwg')])
def test_rotates_phone_video_upright(tmp_path, turn, seen):
    source = open_source(str(write_video(tmp_path / 'portrait.mp4', turn=turn)))
    for _ in range(2):
        frames = frames_of(source)
        assert [corners(frame.pixels) for frame in frames] == [seen] * COUNT
        assert {frame.pixels.shape for frame in frames} == {(48, 64, 3) if turn % 180 == 0 else (64, 48, 3)}
        source.rewind()


def test_unmirrors_mirrored_video(tmp_path):
    path = tmp_path / 'selfie.mp4'
    with av.open(str(path), 'w') as file:
        stream = file.add_stream('libx264', rate=FPS)
        stream.height, stream.width, stream.pix_fmt = 48, 64, 'yuv420p'
        stream.set_display_rotation(90, hflip=True)
        file.mux(stream.encode(av.VideoFrame.from_ndarray(quarters(), format='rgb24')))
        file.mux(stream.encode(None))
    assert corners(open_source(str(path)).read().pixels) in ('rbgw', 'wgbr')  # along one of the diagonals


NAMES = [b'caf\xe9.mp4', 'Käse – 日本.mp4'.encode(), b'a:b.mp4', b'concat:x', b'%05d.mp4', b'no ending', b'CLIP.MP4', b'clip.jpg',
         b'2024']


@pytest.mark.processes
@pytest.mark.parametrize('locale', ['C', 'C.UTF-8'])
def test_reads_and_writes_video_of_any_name(tmp_path, locale):
    if locale == 'C' and sys.version_info >= (3, 13) and not sys.prefix.isascii():
        pytest.skip(f'NumPy 2 and OpenCV cannot be imported from {sys.prefix} where names are not UTF-8')
    for name in NAMES:
        write_video(tmp_path / 'new.mp4').rename(tmp_path / os.fsdecode(name))
    code = ('import sys\nfrom pathlib import Path\nfrom self_segmentation.io.sources import open_source\n'
            'from self_segmentation.io.writers import VideoFile\n'
            'for name in sys.argv[1:]:\n'
            '    source, writer = open_source(name), VideoFile(Path(f"to {name}.mp4"), 10)\n'
            '    for frame in iter(source.read, None):\n        writer.write(frame.name, frame.pixels)\n'
            '    writer.close()\n    print(source.kind)')
    environment = {**os.environ, 'LC_ALL': locale, 'PYTHONUTF8': '0', 'PYTHONCOERCECLOCALE': '0'}
    done = subprocess.run([sys.executable, '-c', code, *map(os.fsdecode, NAMES)], cwd=tmp_path, env=environment,
                          capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, 'video\n' * len(NAMES)), done.stderr
    for name in NAMES:
        assert len(frames_of(open_source(str(tmp_path / os.fsdecode(b'to ' + name + b'.mp4'))))) == COUNT, name


def test_file_url_is_read_as_file(tmp_path):
    write_video(tmp_path / 'a b.mp4')
    for place in (f'file://{tmp_path}/a%20b.mp4', f'file://localhost{tmp_path}/a b.mp4', f'FILE://{tmp_path}/a b.mp4'):
        source = open_source(place)
        assert (source.kind, len(frames_of(source))) == (SourceKind.VIDEO, COUNT)
    with pytest.raises(InputError, match='none.mp4'):
        open_source('file:///none.mp4')


@pytest.fixture
def server(tmp_path):
    """The address of a server of the test's folder."""
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Quiet, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{server.server_port}'
        server.shutdown()


def test_end_of_stream_is_logged_once(server, tmp_path, caplog):
    write_video(tmp_path / 'clip.mp4')
    source = open_source(f'{server}/clip.mp4')
    assert (source.kind, source.fps) == (SourceKind.STREAM, FPS)
    for _ in range(2):
        assert len(frames_of(source)) == COUNT
        source.rewind()
    assert [record.message for record in caplog.records if 'ended' in record.message] == [
        f"stream '{server}/clip.mp4' has ended after {COUNT} frames"]


@pytest.mark.parametrize('codec', ['H.264', 'AV1'])
def test_stream_gives_each_frame_without_waiting_for_next(tmp_path, codec):
    """AV1 from a file, of SVT-AV1 with pred-struct=1: run as root it makes the process a real-time one, which starves others."""
    count, sent = 60, 50  # FFmpeg looks at some twenty before it begins
    path = ROOT / 'test' / 'data' / 'av1.mkv'
    if codec == 'H.264':
        rng = np.random.default_rng(1)
        path = write_video(tmp_path / 'live.mkv', [rng.integers(0, 255, (96, 128, 3), dtype=np.uint8) for _ in range(count)],
                           codec='libx264', options={'tune': 'zerolatency'})
    with av.open(str(path)) as file:
        begin = [packet.pos for packet in file.demux(video=0) if packet.size][sent]
    whole, are_read = path.read_bytes(), threading.Event()

    def send(listener: socket.socket) -> None:
        with listener.accept()[0] as connection:
            connection.recv(1 << 16)
            connection.sendall(b'HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n' % len(whole) + whole[:begin])
            are_read.wait(PATIENCE)
            connection.sendall(whole[begin:])

    with socket.create_server(('127.0.0.1', 0)) as listener:
        threading.Thread(target=send, args=[listener], daemon=True).start()
        source = open_source(f'http://127.0.0.1:{listener.getsockname()[1]}/live.mkv')
        for _ in range(sent):
            assert source.read() is not None
        are_read.set()  # a reader that had waited would have given up the stream meanwhile, and lost these:
        assert len(frames_of(source)) == count - sent


@contextlib.contextmanager
def sent_by_hand(parts: list[bytes], first: int) -> Iterator[tuple[str, threading.Semaphore]]:
    """The address of a stream that sends so many parts at once, and one more each time the semaphore is released."""
    more = threading.Semaphore(0)

    def send(listener: socket.socket) -> None:
        with listener.accept()[0] as connection:
            connection.recv(1 << 16)
            kind = b'multipart/x-mixed-replace;boundary=ffmpeg' if parts[0].startswith(b'--') else b'application/octet-stream'
            connection.sendall(b'HTTP/1.0 200 OK\r\nContent-Type: ' + kind + b'\r\n\r\n' + b''.join(parts[:first]))
            for part in parts[first:]:
                more.acquire(timeout=PATIENCE)
                connection.sendall(part)

    with socket.create_server(('127.0.0.1', 0)) as listener:
        threading.Thread(target=send, args=[listener], daemon=True).start()
        yield f'http://127.0.0.1:{listener.getsockname()[1]}/live', more


@pytest.mark.parametrize('form, codec, says, first', [('mpegts', 'libx264', 100, 60), ('mpjpeg', 'mjpeg', 25, 10)])
def test_live_frames_have_the_time_that_passed_whatever_the_header_says(tmp_path, form, codec, says, first):
    pause, count = 0.1, 20
    with sent_by_hand(live_stream(form, codec, first + count + 2, says), first) as (address, more):
        source = open_source(address)
        assert source.is_live
        frames = []
        while len(frames) < first + count:
            if len(frames) >= first:
                time.sleep(pause)
            more.release()  # one ahead: FFmpeg tells where a frame ends by the next one
            frames.append(source.read())
    stamps = [frame.stamp for frame in frames]
    assert stamps[0] == 0 and stamps == sorted(stamps)
    assert stamps[-1] >= pause * (count - 2) > (first + count) / says
    writer = VideoFile(tmp_path / 'new.mp4', source.fps or 30, source)
    for frame in frames:
        writer.write(frame.name, frame.pixels, frame.stamp, frame.duration)
    writer.close()
    assert [frame.stamp for frame in frames_of(open_source(str(tmp_path / 'new.mp4')))] == pytest.approx(stamps, abs=0.01)


def test_live_frames_that_come_at_once_keep_the_times_of_their_stream():
    """As those of a playlist do: a segment of seconds arrives in a moment."""
    count = 30
    with sent_by_hand(live_stream('flv', 'flv1', count + 2, 1), count + 2) as (address, _):
        source = open_source(address)
        stamps = [source.read().stamp for _ in range(count)]
    assert stamps == pytest.approx(range(count), abs=0.01)


@pytest.mark.parametrize('value, fps', [(30, 30.0), (Fraction(30000, 1001), 30000 / 1001), (0.5, 0.5), (None, 0), (0, 0), (-1, 0),
                                        (float('nan'), 0), (float('inf'), 0), (180000.0, 0)])
def test_impossible_rate_is_unknown(value, fps):
    assert plausible_fps(value) == fps


def test_refuses_missing_stream_by_address(server):
    for address in (f'{server}/none.mp4', 'rtsp://127.0.0.1:9/none'):
        with pytest.raises(InputError, match=address):
            open_source(address)


CONTAINERS = [('mp4', 'libx264', {'movflags': 'faststart'}), ('mov', 'mpeg4', {'movflags': 'faststart'}), ('mkv', 'libx264', {}),
              ('webm', 'libvpx', {}), ('avi', 'mpeg4', {}), ('avi', 'mjpeg', {}),
              ('mp4', 'libx264', {'movflags': 'frag_keyframe+empty_moov'})]


@pytest.mark.parametrize('ending, codec, options', CONTAINERS)
@pytest.mark.parametrize('kept', [0.4, 0.75, 0.95])
def test_truncated_video_gives_whole_frames_and_their_count(tmp_path, ending, codec, options, kept):
    rng = np.random.default_rng(1)
    frames = [rng.integers(0, 255, (48, 64, 3), dtype=np.uint8) for _ in range(COUNT)]
    whole = write_video(tmp_path / f'whole.{ending}', frames, codec=codec, pixels='yuvj420p' if codec == 'mjpeg' else 'yuv420p',
                        options={'g': '5'}, **options)
    expected = [frame.pixels for frame in frames_of(open_source(str(whole)))]
    assert len(expected) == COUNT
    path = tmp_path / f'cut.{ending}'
    path.write_bytes(whole.read_bytes()[:int(kept * whole.stat().st_size)])
    source, got = open_source(str(path)), []
    with pytest.raises(InputError, match=r'cut\.\w+.* is damaged or cut off: (\d+) of \d+ frames') as raised:
        for frame in iter(source.read, None):
            got.append(frame.pixels)
    says = 'frag' not in str(options)  # how many it has: a fragmented one knows only what was written until then
    assert f' {len(got)} of {COUNT if says else ""}' in str(raised.value) and len(got) < COUNT
    assert all(np.array_equal(one, other) for one, other in zip(got, expected))


@pytest.mark.parametrize('ending, codec', [('mkv', 'libx264'), ('webm', 'libvpx'), ('mov', 'libx264'), ('ts', 'libx264')])
def test_whole_video_that_starts_late_is_not_called_cut_off(tmp_path, ending, codec):
    path = write_video(tmp_path / f'late.{ending}', codec=codec, times=[5 + number / FPS for number in range(COUNT)])
    source = open_source(str(path))
    assert source.count in (COUNT, COUNT - 1)  # a transport stream does not say how long its last frame is
    assert [frame.stamp for frame in frames_of(source)] == pytest.approx([number / FPS for number in range(COUNT)], abs=0.001)


@pytest.mark.parametrize('ending, options', [
    ('mp4', {'movflags': 'cmaf+frag_discont'}), ('mp4', {'movflags': 'dash+frag_discont+empty_moov'}), ('flv', {}), ('nut', {}),
    ('mkv', {})])
@pytest.mark.parametrize('sound', ['', 'aac'])
def test_video_that_starts_at_500_s_is_whole(tmp_path, ending, options, sound):
    times = [500 + number / FPS for number in range(COUNT)]
    path = write_video(tmp_path / f'late.{ending}', times=times, options={'g': '5', 'bf': '0'}, sound=sound, **options)
    assert len(frames_of(open_source(str(path)))) == COUNT


def boxes(data: bytes) -> list[bytes]:
    """The boxes of an MP4 file."""
    found = []
    while data:
        size = int.from_bytes(data[:4], 'big')
        found.append(data[:size])
        data = data[size:]
    return found


def test_fragments_from_the_middle_are_whole_and_cut_ones_are_not(tmp_path):
    whole = write_video(tmp_path / 'whole.mp4', [quarters(mark=mark) for mark in range(50)], options={'g': '5', 'bf': '0'},
                        movflags='frag_keyframe+empty_moov+default_base_moof')
    start, fragments = boxes(whole.read_bytes())[:2], [box for box in boxes(whole.read_bytes()) if box[4:8] in (b'moof', b'mdat')]
    path = tmp_path / 'middle.mp4'
    path.write_bytes(b''.join(start + fragments[10:16]))  # three of ten
    source = open_source(str(path))
    assert [frame.stamp for frame in frames_of(source)] == pytest.approx([number / FPS for number in range(15)], abs=0.001)
    assert source.count == 15
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match='cut off'):
        frames_of(open_source(str(path)))


@pytest.mark.parametrize('ending, codec', [('mp4', 'libx264'), ('mkv', 'libx264'), ('avi', 'mpeg4')])
def test_bytes_behind_a_whole_video_are_no_damage(tmp_path, ending, codec):
    path = write_video(tmp_path / f'clip.{ending}', codec=codec)
    path.write_bytes(path.read_bytes() + b'what a program put behind it' * 9)
    assert len(frames_of(open_source(str(path)))) == COUNT


@pytest.mark.parametrize('ending, default, width', [('mkv', 1, 48), ('mkv', 0, 32), ('mkv', None, 64), ('mp4', 1, 48),
                                                    ('mov', 2, 64)])
def test_takes_default_picture_else_largest(tmp_path, ending, default, width):
    path = write_streams(tmp_path / f'several.{ending}', [(32, 24), (48, 32), (64, 48)], default)
    assert [frame.pixels.shape[1] for frame in frames_of(open_source(str(path)))] == [width] * 5


def test_interlaced_video_is_reported_once(tmp_path, caplog):
    source = open_source(str(write_video(tmp_path / 'tv.mp4', options={'x264-params': 'tff=1'})))
    for _ in range(2):
        assert len(frames_of(source)) == COUNT
        source.rewind()
    [said] = [record.message for record in caplog.records]
    assert said.startswith(f"video '{tmp_path}/tv.mp4' is interlaced") and 'ffmpeg -i INPUT -vf bwdif OUTPUT' in said


def living() -> collections.Counter[str]:
    """How many of PyAV's containers, decoders and frames are in memory."""
    kinds = ('Container', 'CodecContext', 'Frame', 'Stream', 'PyIOFile')
    names = (type(thing).__name__ for thing in gc.get_objects() if str(type(thing).__module__).startswith('av.'))
    return collections.Counter(name for name in names if name.endswith(kinds))


@pytest.fixture
def uncollected():
    """Without the garbage collector, which comes late where few objects are made: large memory hangs at small ones here."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize('turn', [0, 90])
def test_frees_frames_and_files_without_garbage_collector(tmp_path, uncollected, turn):
    path = write_video(tmp_path / 'clip.mp4', turn=turn)
    before = living()
    source = open_source(str(path))
    source.read()
    playing = living()
    assert playing != before
    for _ in range(3):
        frames_of(source)
        source.rewind()
        source.read()
        assert living() == playing
    source.close()
    assert living() - before <= collections.Counter(VideoFrame=1)  # the decoder's next one


def test_frees_what_is_written_and_refused_without_garbage_collector(tmp_path, uncollected, caplog):
    (tmp_path / 'none.mp4').write_text('\n'.join(map(str, range(1000))))
    write_video(tmp_path / 'sound.m4a', sound='aac').replace(tmp_path / 'talk.mp4')
    before, files = living(), len([*Path('/proc/self/fd').iterdir()])
    for _ in range(2):
        copied(tmp_path / 'talk.mp4', tmp_path / 'new.mkv')
        with pytest.raises(InputError):
            open_source(str(tmp_path / 'none.mp4'))
    gc.enable()
    assert living() == before and len([*Path('/proc/self/fd').iterdir()]) == files


GROWTH = """
import sys, time
from self_segmentation.io.video_backgrounds import open_video
from self_segmentation.io.sources import open_source
from self_segmentation.picture.backgrounds import Fitting

def memory():
    return int(open('/proc/self/statm').read().split()[1]) * 4096 / 1e6

def as_camera(path, loops):
    source = open_source(path)
    for _ in range(loops):
        while source.read():
            pass
        source.rewind()
        yield memory()

def as_background(path, loops):
    video, moment = open_video(path), 0.0
    for _ in range(loops):
        for _ in range(20):
            video.picture(moment, Fitting((64, 48), 'cover', (0, 0, 0)))
            moment += 0.1
            while not video._ready:
                time.sleep(0.001)
        yield memory()
    video.close()

used = list(globals()[sys.argv[1]](sys.argv[2], 40))
print(max(used) - used[0])
"""


@pytest.mark.slow
@pytest.mark.parametrize('use', ['as_camera', 'as_background'])
def test_memory_stays_the_same_while_a_video_plays_over_and_over(tmp_path, use):
    path = write_video(tmp_path / 'clip.mp4', [quarters(640, 480, mark=5 * number) for number in range(COUNT)])
    done = subprocess.run([sys.executable, '-c', GROWTH, use, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 20  # MB; 800 frames were decoded, each of which has 0.5 MB


def test_each_loop_gives_the_same_frames_and_reports_the_same_damage(tmp_path):
    rng = np.random.default_rng(1)
    whole = write_video(tmp_path / 'whole.mp4', [rng.integers(0, 255, (48, 64, 3), dtype=np.uint8) for _ in range(COUNT)],
                        options={'g': '5'}, movflags='faststart')
    (tmp_path / 'cut.mp4').write_bytes(whole.read_bytes()[:int(0.7 * whole.stat().st_size)])
    loops, problems = [], set()
    source = open_source(str(tmp_path / 'cut.mp4'))
    for _ in range(3):
        frames = []
        with pytest.raises(InputError, match='cut off') as raised:
            for frame in iter(source.read, None):
                frames.append((frame.stamp, frame.index, frame.pixels.tobytes()))
        loops.append(frames)
        problems.add(str(raised.value))
        source.rewind()
    assert loops[0] == loops[1] == loops[2] != [] and len(problems) == 1


def test_refuses_recording_without_index(tmp_path):
    path = write_video(tmp_path / 'clip.mp4')  # with its index at the end
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(InputError, match='clip.mp4.*neither an image nor a video'):
        open_source(str(path))


def test_decodes_frames_after_damage_and_reports_it(tmp_path):
    rng = np.random.default_rng(1)
    whole = write_video(tmp_path / 'whole.mp4', [rng.integers(0, 255, (48, 64, 3), dtype=np.uint8) for _ in range(COUNT)],
                        options={'g': '5'})
    expected = {frame.stamp: frame.pixels for frame in frames_of(open_source(str(whole)))}
    data = bytearray(whole.read_bytes())
    at = data.index(b'mdat') + len(data) // 3
    data[at:at + 40] = bytes(40)
    (tmp_path / 'bad.mp4').write_bytes(data)
    source, got = open_source(str(tmp_path / 'bad.mp4')), []
    with pytest.raises(InputError, match='frames could be read'):
        for frame in iter(source.read, None):
            got.append(frame)
    assert COUNT / 2 <= len(got) < COUNT and got[-1].stamp == max(expected)
    assert all(np.array_equal(frame.pixels, expected[frame.stamp]) for frame in got)


def test_reports_single_wrong_bits_in_each_slice(tmp_path):
    rng = np.random.default_rng(1)
    whole = write_video(tmp_path / 'whole.mp4', [rng.integers(0, 255, (96, 128, 3), dtype=np.uint8) for _ in range(COUNT)],
                        options={'g': '5', 'x264-params': 'slices=4'})
    with av.open(str(whole)) as file:
        begin, size = [(packet.pos, packet.size) for packet in file.demux(video=0) if packet.size][COUNT // 2]
    told = 0
    for _ in range(10):
        data = bytearray(whole.read_bytes())
        for at in rng.integers(begin + size // 3, begin + size, 4):
            data[at] ^= 1 << rng.integers(8)
        (tmp_path / 'bad.mp4').write_bytes(data)
        try:
            frames_of(open_source(str(tmp_path / 'bad.mp4')))
        except InputError as error:
            told += 'frames could be read' in str(error)
    assert told >= 9  # with a thread for each slice FFmpeg tells a third


def test_refuses_file_without_video_stream(tmp_path):
    path = tmp_path / 'sound.m4a'
    with av.open(str(path), 'w', format='mp4') as file:
        stream = file.add_stream('aac', rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format='fltp', layout='mono')
        frame.sample_rate = 48000
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    with pytest.raises(InputError, match='sound.m4a.*no picture'):
        open_source(str(path))


def test_follows_changes_of_size_and_pixel_format(tmp_path):
    """In a transport stream two recordings may follow each other as they are."""
    parts = [write_video(tmp_path / f'{name}.ts', [quarters(*size)] * 5, pixels=pixels)
             for name, size, pixels in (('a', (64, 48), 'yuv420p'), ('b', (96, 80), 'yuv444p'))]
    path = tmp_path / 'both.ts'
    path.write_bytes(b''.join(part.read_bytes() for part in parts))
    frames = [frame.pixels for frame in frames_of(open_source(str(path)))]
    assert [corners(frame) for frame in frames] == ['rgbw'] * 10
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 5 + [(80, 96, 3)] * 5
    with pytest.raises(OutputError, match='frame 00005 measures 96x80, the first one 64x48'):
        copied(path, tmp_path / 'new.mp4')


@pytest.mark.parametrize('ending, codec, sound', [('ts', 'libx264', ''), ('ts', 'libx264', 'aac'), ('mpg', 'mpeg2video', 'mp2')])
def test_times_go_on_where_one_recording_follows_another(tmp_path, ending, codec, sound):
    part = write_video(tmp_path / f'part.{ending}', codec=codec, sound=sound, rate=25)
    (tmp_path / f'both.{ending}').write_bytes(2 * part.read_bytes())
    new = copied(tmp_path / f'both.{ending}', tmp_path / 'new.mkv')
    assert [frame.stamp for frame in frames_of(open_source(str(new)))] == pytest.approx(
        [number / 25 for number in range(2 * COUNT)], abs=0.03)
    if sound:
        once, both = sound_of(part), [time for time, _ in sound_of(new)]
        assert len(both) >= 2 * len(once) - 2 and np.ptp(np.diff(both)) < 0.03


@pytest.mark.parametrize('codec, options', [('libx264', {'bf': '3'}), ('libx264', {'bf': '0'}), ('mpeg4', {'bf': '2'}),
                                            ('mjpeg', {})])
def test_each_frame_of_avi_is_shown_once_and_with_its_sound(tmp_path, codec, options):
    path = write_video(tmp_path / 'old.avi', codec=codec, options=options, sound='pcm_s16le',
                       pixels='yuvj420p' if codec == 'mjpeg' else 'yuv420p')
    new = copied(path, tmp_path / 'new.mkv')
    for video in (path, new):
        assert [frame.stamp for frame in frames_of(open_source(str(video)))] == pytest.approx(
            [number / FPS for number in range(COUNT)], abs=0.001)
    before, after = sound_of(path), sound_of(new)
    assert [data for _, data in after] == [data for _, data in before]
    assert [time for time, _ in after] == pytest.approx([time for time, _ in before], abs=0.002)


def test_gap_that_only_a_joint_can_be_is_closed(tmp_path):
    times = [number / FPS + (60 if number >= COUNT // 2 else 0) for number in range(COUNT)]
    source = open_source(str(write_video(tmp_path / 'gap.ts', times=times, options={'bf': '0'})))
    assert [frame.stamp for frame in frames_of(source)] == pytest.approx([number / FPS for number in range(COUNT)], abs=0.001)


@pytest.mark.parametrize('rate', [Fraction(119903, 1000), Fraction(239857, 1000), Fraction(30000, 1001), 7])
def test_keeps_video_rate(tmp_path, rate):
    source = open_source(str(copied(write_video(tmp_path / 'slow.mp4', rate=rate), tmp_path / 'new.mp4')))
    assert source.fps == pytest.approx(float(rate), rel=1e-5) and len(frames_of(source)) == COUNT


@pytest.mark.parametrize('ending', ['mp4', 'mkv', 'mov'])
def test_keeps_variable_frame_rate(tmp_path, ending):
    times = [0, 0.033, 0.066, 0.5, 0.533, 1.2, 2.0]
    path = write_video(tmp_path / 'phone.mp4', [quarters()] * len(times), rate=30, times=times)
    assert [frame.stamp for frame in frames_of(open_source(str(path)))] == pytest.approx(times, abs=0.001)
    new = copied(path, tmp_path / f'new.{ending}')
    assert [frame.stamp for frame in frames_of(open_source(str(new)))] == pytest.approx(times, abs=0.001)


def test_untimed_frames_use_frame_rate(tmp_path):
    writer = VideoFile(tmp_path / 'new.mp4', 119.903)
    for number in range(COUNT):
        writer.write(str(number), quarters()[..., ::-1].copy())
    writer.close()
    source = open_source(str(tmp_path / 'new.mp4'))
    assert source.fps == pytest.approx(119.903, abs=0.01) and len(frames_of(source)) == COUNT


@pytest.mark.parametrize('turn', [0, 90])
def test_keeps_pixel_aspect_ratio(tmp_path, turn):
    path = write_video(tmp_path / 'tv.mp4', aspect=Fraction(16, 11), turn=turn)
    source = open_source(str(copied(path, tmp_path / 'new.mp4')))
    assert source.pixel_aspect == (Fraction(16, 11) if turn == 0 else Fraction(11, 16))


@pytest.mark.parametrize('size', [(321, 241), (321, 240), (320, 241), (1, 1)])
def test_keeps_odd_sizes(tmp_path, size):
    path = tmp_path / 'odd.mp4'
    writer = VideoFile(path, FPS)
    writer.write('0', quarters(*size)[..., ::-1].copy())
    writer.close()
    assert open_source(str(path)).read().pixels.shape == (size[1], size[0], 3)


def sound_of(path):
    with av.open(str(path)) as file:
        return [(float(packet.pts * packet.time_base), bytes(packet)) for packet in file.demux(audio=0) if packet.size]


@pytest.mark.parametrize('ending, codec, to', [('mp4', 'aac', 'mp4'), ('webm', 'libopus', 'mp4'), ('mov', 'pcm_s16le', 'mkv'),
                                               ('mkv', 'aac', 'mov')])
def test_copies_sound_unchanged(tmp_path, ending, codec, to):
    path = write_video(tmp_path / f'talk.{ending}', sound=codec, codec='libvpx' if ending == 'webm' else 'libx264')
    before, after = sound_of(path), sound_of(copied(path, tmp_path / f'new.{to}'))
    assert len(after) >= len(before) - 1 and [data for _, data in after] == [data for _, data in before][-len(after):]
    assert [time for time, _ in after] == pytest.approx([time for time, _ in before][-len(after):], abs=0.002)


def test_copies_sound_to_its_end_or_to_the_stop(tmp_path):
    path = write_video(tmp_path / 'talk.mkv', sound='aac', seconds=2 * COUNT / FPS)
    before, after = sound_of(path), sound_of(copied(path, tmp_path / 'new.mp4'))
    assert len(after) >= len(before) - 1 and [data for _, data in after] == [data for _, data in before][-len(after):]
    assert sound_of(copied(path, tmp_path / 'stopped.mp4', COUNT // 2))[-1][0] < COUNT / FPS / 2


@pytest.mark.parametrize('start, codec, to, says', [
    ('talk.avi', 'adpcm_ms', 'new.mp4', 'adpcm_ms'), ('talk.avi', 'adpcm_ima_wav', 'new.mkv', r'; nor does \.mp4 or \.mov$'),
    ('talk.mkv', 'libopus', 'new.mov', r'\(opus\) .* \.mov does not take; give a file that ends in \.mp4 or \.mkv$'),
    ('talk.mkv', 'flac', 'new.MOV', r'\(flac\) .* \.MOV does not take; give a file that ends in \.mp4 or \.mkv$')])
def test_drops_unsupported_sound_and_names_containers_that_take_it(tmp_path, caplog, start, codec, to, says):
    path = write_video(tmp_path / start, sound=codec, codec='mpeg4')
    with av.open(str(copied(path, tmp_path / to))) as file:
        assert not file.streams.audio and sum(1 for _ in file.decode(video=0)) == COUNT
    said, = (record.message for record in caplog.records if 'sound' in record.message)
    assert re.search(says, said)


def test_leaves_out_sound_that_ffmpeg_does_not_know(tmp_path, caplog):
    path = write_video(tmp_path / 'talk.mp4', sound='aac')
    path.write_bytes(path.read_bytes().replace(b'mp4a', b'apac').replace(b'esds', b'none'))
    with av.open(str(copied(path, tmp_path / 'new.mp4'))) as file:
        assert not file.streams.audio and file.streams.video[0].frames == COUNT
    assert [record.message for record in caplog.records] == [
        f"video '{path}' has sound that this FFmpeg does not know: it is left out"]


def test_takes_known_sound_beside_an_unknown_one(tmp_path, caplog):
    path = tmp_path / 'both.mov'
    with av.open(str(write_video(tmp_path / 'talk.mov', sound='aac'))) as talk, av.open(str(path), 'w') as file:
        streams = [file.add_stream_from_template(stream) for stream in (talk.streams.video[0], *2 * talk.streams.audio)]
        for packet in [packet for packet in talk.demux() if packet.dts is not None]:
            for stream in streams[:1] if packet.stream.type == 'video' else streams[1:]:
                packet.stream = stream
                file.mux(packet)
    path.write_bytes(path.read_bytes().replace(b'mp4a', b'apac', 1).replace(b'esds', b'none', 1))
    with av.open(str(path)) as file:
        assert [stream.codec_context is None for stream in file.streams.audio] == [True, False]
    with av.open(str(copied(path, tmp_path / 'new.mp4'))) as file:
        assert [stream.codec_context.name for stream in file.streams.audio] == ['aac']
    assert not caplog.records


def test_encoder_that_pyav_lacks_is_named_and_leaves_no_file(tmp_path, monkeypatch):
    path = write_video(tmp_path / 'clip.mp4')
    monkeypatch.setattr(writers, '_CODEC', 'libx999')  # as in a PyAV that was built without it
    with pytest.raises(LibraryMissingError, match=r'new\.mp4 .* does not encode libx999 .*pip install'):
        copied(path, tmp_path / 'new.mp4')
    assert [*tmp_path.iterdir()] == [path]


def test_transparency_that_pyav_cannot_decode_is_reported_once(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(videos._ALPHA, 'vp9', 'libvpx-999')
    rgba = np.full((48, 64, 4), (200, 0, 0, 255), np.uint8)
    write_video(tmp_path / 'logo.webm', [rgba] * 3, codec='libvpx-vp9', pixels='yuva420p', layout='rgba')
    source = open_source(str(tmp_path / 'logo.webm'))
    for _ in range(2):
        assert len(frames_of(source)) == 3
        source.rewind()
    assert [record.message for record in caplog.records if 'libvpx-999' in record.message] == [
        f"video '{tmp_path}/logo.webm' has transparent parts, which this PyAV does not show: it has no libvpx-999"]


def test_drops_sound_that_container_refuses_only_at_its_end(tmp_path, caplog):
    path = write_video(tmp_path / 'talk.mkv', sound='pcm_s16le')  # a Matroska file does not say which they are
    with av.open(str(copied(path, tmp_path / 'new.mp4'))) as file:
        assert not file.streams.audio and file.streams.video[0].frames == COUNT
    assert 'give a file that ends in .mkv or .mov' in caplog.text


@pytest.mark.parametrize('codec, pixels, ending', [('qtrle', 'argb', 'mov'), ('libvpx-vp9', 'yuva420p', 'webm'),
                                                   ('png', 'rgba', 'mov')])
def test_transparent_video_is_blended_over_background_color(tmp_path, codec, pixels, ending):
    rgba = np.full((48, 64, 4), (255, 0, 255, 0), np.uint8)
    rgba[:, :32] = (200, 0, 0, 255)
    path = write_video(tmp_path / f'logo.{ending}', [rgba] * 3, codec=codec, pixels=pixels, layout='rgba')
    pixels = open_source(str(path), color=(0, 200, 0)).read().pixels
    assert np.abs(pixels[24, 10].astype(int) - (0, 0, 200)).max() < 12
    assert np.abs(pixels[24, 50].astype(int) - (0, 200, 0)).max() < 12


@pytest.mark.parametrize('colorspace, full', [(1, False), (6, False), (6, True), (1, True)])
def test_colours_follow_matrix_and_range_of_video(tmp_path, colorspace, full):
    path = tmp_path / 'colour.mp4'
    with av.open(str(path), 'w') as file:
        stream = file.add_stream('libx264', rate=FPS, options={'crf': '5'})
        stream.height, stream.width, stream.pix_fmt = 48, 64, 'yuv420p'
        stream.codec_context.colorspace, stream.codec_context.color_range = colorspace, 2 if full else 1
        frame = av.VideoFrame.from_ndarray(quarters(), format='rgb24').reformat(
            format='yuv420p', dst_colorspace='ITU709' if colorspace == 1 else 'ITU601', dst_color_range=2 if full else 1)
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    pixels = open_source(str(path)).read().pixels
    for (y, x) in ((10, 10), (10, 50), (38, 10), (38, 50)):
        assert np.abs(pixels[y, x].astype(int) - quarters()[y, x, ::-1]).max() < 8, (pixels[y, x], quarters()[y, x, ::-1])


@pytest.mark.parametrize('size, matrix', [((64, 48), 'ITU601'), ((720, 576), 'ITU601'), ((1280, 32), 'ITU709'),
                                          ((32, 720), 'ITU709')])
def test_untagged_video_has_the_matrix_that_players_take_for_its_size(tmp_path, size, matrix):
    path, colors = tmp_path / 'untagged.mp4', quarters(*size)
    with av.open(str(path), 'w') as file:
        stream = file.add_stream('libx264', rate=FPS, options={'crf': '5'})
        (stream.width, stream.height), stream.pix_fmt = size, 'yuv420p'
        frame = av.VideoFrame.from_ndarray(colors, format='rgb24').reformat(format='yuv420p', dst_colorspace=matrix)
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    for video in (path, copied(path, tmp_path / 'new.mp4')):
        pixels = open_source(str(video)).read().pixels
        for (y, x) in ((10, 10), (10, -10), (-10, 10), (-10, -10)):
            assert np.abs(pixels[y, x].astype(int) - colors[y, x, ::-1]).max() < 8, (pixels[y, x], colors[y, x, ::-1])


@pytest.mark.processes
def test_without_pyav_reads_images_and_refuses_videos(tmp_path):
    code = ('import sys\nsys.modules["av"] = None\nfrom self_segmentation.command_line import main\n'
            'for place, to in (sys.argv[1:3], sys.argv[3:]):\n    print(main([place, "--no-window", "--output", to]))')
    done = subprocess.run([sys.executable, '-c', code, ROOT / 'test' / 'data' / 'astronaut.png', tmp_path / 'out.png', SAMPLE,
                           tmp_path / 'out'], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ['0', '2'] and (tmp_path / 'out.png').exists()
    assert SAMPLE.name in done.stderr and 'pip install --no-deps av' in done.stderr and 'Traceback' not in done.stderr


def test_warns_of_hdr(tmp_path, caplog):
    path = tmp_path / 'hdr.mp4'
    with av.open(str(path), 'w') as file:
        stream = file.add_stream('libx264', rate=FPS)
        stream.height, stream.width, stream.pix_fmt = 48, 64, 'yuv420p10le'
        stream.codec_context.color_trc = 18
        frame = av.VideoFrame.from_ndarray(quarters(), format='rgb24').reformat(format='yuv420p10le')
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    with caplog.at_level(logging.WARNING):
        assert corners(open_source(str(path)).read().pixels) == 'rgbw'
    assert any('HDR (HLG)' in record.message for record in caplog.records)

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
What the documentation shows of the studio: ``helpers/studio.py pictures FOLDER`` and ``helpers/studio.py measure [SECONDS]``.

Measured are the studio's processes and the node's, with browsers that take and draw at once what they get: WebSockets here, so
that no drawing of a browser takes the machine's time; and one real Chromium for the latency to the screen.
"""
from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import re
import statistics
import struct
import sys
import tempfile
import threading
import time
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from conftest import CHROMIUM, ROOT, SAMPLE, Programs, own_domain, video_frames, wait_until  # noqa: E402

from self_segmentation.io.progress import tqdm  # noqa: E402
from self_segmentation.middleware import image_environment  # noqa: E402

SIZES = {'studio': (1440, 900, 'dark'), 'studio_light': (1440, 900, 'light'), 'studio_telephone': (390, 844, 'dark')}
_TICK = os.sysconf('SC_CLK_TCK')
_WARM_UP = 5.0  # seconds


@contextlib.contextmanager
def running(source=SAMPLE):
    """Camera at 1280x720 and 30 Hz, node and studio; yields (programs by name, address)."""
    programs = Programs()
    with own_domain() as domain:
        os.environ.update(image_environment(os.environ)[0], ROS_DOMAIN_ID=str(domain), PYTHONPATH=str(ROOT), PYTHONUNBUFFERED='1')
        try:
            background = ROOT / 'demo' / 'backgrounds' / 'china.jpg'
            started = {
                'node': programs('segmentation_node', '--ros-args', '-p', 'flip:=false', '-p', 'background.type:=image',
                                 '-p', f'background.image:="{background}"'),
                'camera': programs('camera_node', '--ros-args', '-p', f'video_device:="{source}"', '-p', 'image_width:=1280',
                                   '-p', 'image_height:=720', '-p', 'framerate:=30.0'),
                'studio': programs('studio_node', '--ros-args', '-p', 'port:=0', '-p', 'node:=/segmentation')}
            wait_until(lambda: 'open http' in started['studio'].said, 'the studio')
            yield started, re.search(r'open (http\S+)', started['studio'].said).group(1)
        finally:
            programs.end()


@contextlib.contextmanager
def chromium():
    """A browser without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox'] if os.geteuid() == 0 else [])
        yield browser
        browser.close()


def frames_of(page) -> int:
    return int(page.evaluate("document.getElementById('stage').dataset.frames ?? 0"))


def take_pictures(folder: Path) -> None:
    """Write the screenshots, of the demo's frames in which somebody is in the middle."""
    with tempfile.TemporaryDirectory() as frames, chromium() as browser:
        walk = [*range(129, 138)]
        sample = video_frames(ROOT / 'demo' / 'sample.mp4')
        for number, frame in enumerate(frame for frame in walk + walk[::-1] for _ in range(3)):  # 10 Hz, and the camera has 30
            cv2.imwrite(f'{frames}/{number:02d}.png', sample[frame])
        with running(frames) as (_, url):
            take_from(browser, url, folder)


def take_from(browser, url: str, folder: Path) -> None:
    """Write a screenshot of each size."""
    for name, (width, height, scheme) in tqdm(SIZES.items(), desc='screenshots', unit='picture', disable=None):
        page = browser.new_page(viewport={'width': width, 'height': height}, color_scheme=scheme)
        page.goto(url)
        wait_until(lambda: page.locator('figure[data-kind=input]:not([hidden])').count() and frames_of(page) > 60,  # noqa: B023
                   'pictures', lambda: page.wait_for_timeout(100))  # noqa: B023
        cv2.imwrite(str(folder / f'{name}.jpg'), cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_COLOR),
                    [cv2.IMWRITE_JPEG_QUALITY, 88])
        page.close()


class Browsers:
    """So many browsers that draw at once, in a thread; ``latencies`` in seconds from the camera's stamp on."""

    def __init__(self, url: str, count: int) -> None:
        self.latencies: list[float] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(url, count)))
        self._thread.start()

    async def _run(self, url: str, count: int) -> None:
        import aiohttp

        async with aiohttp.ClientSession() as session:
            await asyncio.gather(*(self._browse(session, url) for _ in range(count)))

    async def _browse(self, session, url: str) -> None:
        async with session.ws_connect(f'{url}socket') as socket:
            await socket.send_json({'subscribe': '/segmentation', 'show': ['input', 'output']})
            while not self._ending.is_set():
                with contextlib.suppress(asyncio.TimeoutError):
                    received = await socket.receive(timeout=0.5)
                    if isinstance(received.data, bytes):
                        length = struct.unpack('>I', received.data[:4])[0]
                        self.latencies.append(time.time() - json.loads(received.data[4:4 + length])['stamp'])
                        await socket.send_str('{"drew":1}')

    def close(self) -> None:
        self._ending.set()
        self._thread.join()


def cpu_seconds(pid: int) -> float:
    """What a process has taken so far."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def measure(seconds: float) -> None:
    """Print the figures of docs/studio.md; the situations follow each other twice, and of each the median counts."""
    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image

    with running() as (programs, url):
        rclpy.init(args=[])
        node = rclpy.create_node('somebody')
        seen = itertools.count()  # outputs; somebody takes them all the time, so that the node has work
        node.create_subscription(Image, '/segmentation/output', lambda _: next(seen), qos_profile_sensor_data)
        threading.Thread(target=rclpy.spin, args=(node,), daemon=True).start()
        found: dict[int, list[tuple[float, ...]]] = {0: [], 1: [], 4: []}
        for count in (0, 1, 4, 4, 1, 0):
            browsers = Browsers(url, count)
            time.sleep(_WARM_UP)
            browsers.latencies.clear()
            first = next(seen)
            before = {name: cpu_seconds(program.pid) for name, program in programs.items()}
            time.sleep(seconds)
            cores = {name: (cpu_seconds(program.pid) - before[name]) / seconds for name, program in programs.items()}
            latencies = sorted(browsers.latencies) or [float('nan')]
            rate = (next(seen) - first - 1) / seconds
            each = 1e3 * cores['node'] / rate, len(browsers.latencies) / max(count, 1) / seconds
            found[count].append((cores['studio'], cores['node'], *each, 1e3 * statistics.median(latencies),
                                 1e3 * latencies[int(len(latencies) * 0.95)]))
            browsers.close()
        print('| browsers | studio, cores | ... ms for a frame | node, cores | ... ms for a frame | frames a second, each '
              '| latency p50 / p95, ms |')
        print('|---|---|---|---|---|---|---|')
        for count, runs in found.items():
            studio, own, each, rate, p50, p95 = (statistics.median(values) for values in zip(*runs))
            more = f'{rate:.1f} | {p50:.0f} / {p95:.0f}' if count else ' | '
            print(f'| {count} | {studio:.3f} | {1e3 * studio / rate if count else 0:.1f} | {own:.3f} | {each:.1f} | {more} |')
        if CHROMIUM:
            with chromium() as browser:
                page = browser.new_page(viewport={'width': 1280, 'height': 800})
                page.goto(url)
                page.wait_for_timeout(1000 * _WARM_UP)
                drawn, begin, shown = [], frames_of(page), time.monotonic()
                while time.monotonic() - shown < seconds:
                    page.wait_for_timeout(50)
                    drawn.append(float(page.evaluate("document.getElementById('stage').dataset.latency")))
                print(f'Chromium, drawn: {(frames_of(page) - begin) / (time.monotonic() - shown):.1f} pictures a second, '
                      f'latency p50 {1e3 * statistics.median(drawn):.0f} ms')
        rclpy.shutdown()


if __name__ == '__main__':
    if sys.argv[1:2] == ['pictures']:
        take_pictures(Path(sys.argv[2]))
    elif sys.argv[1:2] == ['measure']:
        measure(float(sys.argv[2]) if sys.argv[2:] else 20.0)
    else:
        raise SystemExit(__doc__)

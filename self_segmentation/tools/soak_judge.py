# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What became of a soak, from what its processes recorded: the figures, the cause of each loss, and what is wrong."""

from __future__ import annotations

import bisect
import dataclasses
import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..nodes.messages import seconds_of
from .soak_graph import FORMS, FPS, SIZE, records

__all__ = ['NO_CAUSE', 'Change', 'Evidence', 'Frame', 'Seen', 'judged', 'leaks', 'slope', 'table']

NO_CAUSE = 'no named cause'
_WARM_UP = 180.0  # seconds; what the node needs it has by then: every setting was used once
_SEEN, _JUDGED = 150.0, 360.0  # seconds after that from which on the growth of memory is shown, and judged
_SLOPE, _SURE = 1.0, 2.0  # MB/min, standard errors; what grows faster once the node is warm, and surely does, is a leak
_MEETING = 10.0  # seconds in which two ends have to find each other: Fast DDS announces a participant every 3
_BUSY = 0.1  # seconds; a frame that takes longer needs a cause for that
_FIRST = 0.2  # seconds; the first frame after a change belongs to it for so long: the node knows nothing of the camera then
_TURN = 0.005, 0.3  # from publishing a result to taking the next frame: seconds; of the frame's time, where that is more
_HURRY = 0.01  # seconds; of two frames that come closer together the first need not be met
_MOST = 0.5  # fraction of the time in which a frame could have been taken that a cause has to fill
_ERROR = re.compile(r'\[(ERROR|FATAL)\]| Error\]|^Traceback')
# Judged by its answer; and Fast DDS that finds the lock of a shared-memory port taken, after which the node goes on.
_EXPLAINED = re.compile(r'parameter change refused|Failed init_port fastdds_port\d+: open_and_lock_file failed')
_COSTLY = ('model', 'background')  # files are read, while frames wait


@dataclasses.dataclass
class Seen:
    """
    What the soak itself sees of its processes.

    ``seconds`` is how long it took, ``end`` when frames ceased to count, in seconds of the system's clock; ``cores`` the node's
    CPU; ``cameras`` and ``visitors`` how many there were; ``ended`` who ended by itself; ``memory`` seconds, the node's resident
    memory in MB, and how much of it is shared.

    ``waits`` and ``held`` are spans of seconds. In the first a thread of the node was ready to run and had no CPU, or the host
    had taken one from this machine (steal). In the second the middleware of one of the processes slept: Fast DDS does so, for a
    third of a second, when it opens the port of another process that shows no sign of life in that moment, with a lock that all
    processes share (``open_port_internal`` and ``healthy_check`` in its SharedMemGlobal.hpp).
    """

    seconds: float = 0.0
    end: float = 0.0
    cores: float = 0.0
    cameras: int = 0
    visitors: int = 0
    ended: list[str] = dataclasses.field(default_factory=list)
    memory: list[tuple[float, float, float]] = dataclasses.field(default_factory=list)
    waits: list[tuple[float, float]] = dataclasses.field(default_factory=list)
    held: list[tuple[float, float]] = dataclasses.field(default_factory=list)


class Frame(NamedTuple):
    """A frame that a camera sent: the number of the camera, the seconds when it began to send and when it had sent."""

    name: str
    run: int
    sent: float
    gone: float


class Change(NamedTuple):
    """A parameter change: the seconds from asking to the answer, and the names."""

    begin: float
    end: float
    names: tuple[str, ...]


def covered(spans: list[tuple[float, float]], begin: float, end: float) -> float:
    """Return how many seconds of a time are covered by spans of time."""
    total = 0.0
    for start, stop in sorted(span for span in spans if span[1] > begin and span[0] < end):
        total += max(min(stop, end) - max(start, begin), 0.0)
        begin = max(begin, stop)
    return total


class Evidence:
    """
    Finds the cause of each loss.

    :param frames: all that were sent, in order.
    :param done: seconds when the last result of a frame was published, by its name.
    :param came: seconds when the image of a frame came to the listener, by its name.
    :param changes: of parameters.
    :param seen: ``waits`` and ``held``.
    :param begin: seconds when listener and node were both there.
    """

    def __init__(self, frames: list[Frame], done: dict[str, float], came: dict[str, float], changes: list[Change],
                 seen: Seen, begin: float) -> None:
        self._frames, self._done, self._came, self._begin = frames, done, came, begin
        self._transports = [change for change in changes if 'image_transport' in change.names]
        self._blocks = {'machine busy: the node waited for a CPU': seen.waits,
                        'middleware held up by a process that came': seen.held}
        results = sorted(done.values())
        for change in changes:
            costly = [name for name in _COSTLY if any(each.startswith(name) for each in change.names)]
            index = bisect.bisect(results, change.end)
            end = min(results[index], change.end + _FIRST) if index < len(results) else change.end
            self._blocks.setdefault(f'change of {(*costly, "other settings")[0]}', []).append((change.begin, end))
        self._run_begins: dict[int, float] = {}
        for frame in frames:
            self._run_begins.setdefault(frame.run, frame.sent)

    def losses(self) -> list[tuple[Frame, str]]:
        """Return every frame that did not come out, with its cause."""
        lost, served, seen = [], None, None
        before = self._turn = 0.0
        self._serving = 0.0, 0.0
        for index, frame in enumerate(self._frames):
            if frame.sent < self._begin:
                continue
            if frame.name in self._came:
                seen = frame
            elif frame.name in self._done:  # the node published what it made of it
                is_late = seen is not None and self._came[seen.name] > self._done[frame.name]
                lost.append((frame, 'listener busy' if is_late else NO_CAUSE))
            else:
                following = self._frames[index + 1] if index + 1 < len(self._frames) else None
                lost.append((frame, self._cause(frame, following, served)))
            if frame.name in self._done:
                begin, done = max(before, frame.gone), self._done[frame.name]
                self._serving = begin, done
                self._turn = max(_TURN[0], _TURN[1] * min(done - begin, _BUSY))
                before, served = done, frame
        return lost

    def _cause(self, frame: Frame, following: Frame | None, served: Frame | None) -> str:
        """
        Return why the node did not serve a frame.

        :param following: the next frame that was sent.
        :param served: the frame that the node served last before it.
        """
        if served is None:
            return "subscriber's own start" if frame.sent - self._begin < _MEETING else NO_CAUSE
        if following is None or following.run != frame.run:
            return 'camera restart'  # killed while it sent this one
        if served.run != frame.run and frame.sent - self._run_begins[frame.run] < _MEETING:
            return 'camera restart'  # node and camera have not found each other yet
        if any(change.begin < following.gone and served.sent < change.end and frame.sent - change.end < _MEETING
               for change in self._transports):
            return 'change of image_transport'
        # Depth 1: it was lost because nobody took it until the following one took its place.
        begin, end = max(self._done[served.name], frame.gone), following.gone
        is_busy = end - begin <= self._turn
        if is_busy:
            begin, end = self._serving
            if end - begin <= _BUSY:
                return 'node busy'
        elif end - frame.gone <= _HURRY:
            return 'camera late'
        spans = {cause: [span for span in each if span[1] > begin and span[0] < end] for cause, each in self._blocks.items()}
        rest = end - begin - covered([span for each in spans.values() for span in each], begin, end)
        if rest > (_BUSY if is_busy else max(self._turn, (1 - _MOST) * (end - begin))):
            return NO_CAUSE
        return max(spans, key=lambda cause: covered(spans[cause], begin, end))


def judged(seen: Seen, folder: Path) -> dict[str, Any]:
    """Return the figures of a soak that is over, and what is wrong with them: ``faults``."""
    camera, listened, visited, changes = (records(folder / f'{name}.jsonl') for name in ('camera', 'listen', 'visit', 'tune'))
    begin = next((each['listens'] for each in listened if 'listens' in each), seen.end)
    images = [each for each in listened if 'frame' in each]
    sent = {each['frame']: each['stamp'] for each in camera if 'stamp' in each}
    gone = {each['frame']: each['gone'] for each in camera if 'gone' in each}
    frames = [Frame(name, int(name.partition('.')[0]), seconds_of(stamp), gone.get(name, seconds_of(stamp)))
              for name, stamp in sent.items()]
    done: dict[str, float] = {}
    for each in (*images, *visited):
        done[each['frame']] = max(done.get(each['frame'], 0.0), each['published'])
    evidence = Evidence(frames, done, {each['frame']: each['came'] for each in images},
                        [Change(each['begin'], each['end'], tuple(each['names'])) for each in changes], seen, begin)
    losses = [(frame, cause) for frame, cause in evidence.losses() if frame.sent <= seen.end]
    counted = {frame.name for frame in frames if begin <= frame.sent <= seen.end}
    latencies = {each['frame']: 1e3 * (each['came'] - seconds_of(each['stamp'])) for each in images if each['frame'] in counted}
    lines = [line for line in (folder / 'node.log').read_text(errors='replace').splitlines()
             if _ERROR.search(line) and not _EXPLAINED.search(line)]
    faults = {
        'ended': seen.ended,
        'lost without a named cause': [f'frame {frame.name}, {frame.sent - begin:.2f} s after the listener came'
                                       for frame, cause in losses if cause == NO_CAUSE],
        'wrong image': _wrong_images(sent, images, visited),
        'wrong answer': _wrong_answers(changes),
        'unexplained line at ERROR': lines,
        'no image': [] if latencies else ['none came at all'],
    }
    growth, error = slope(seen.memory) or (None, None)
    if leaks(seen.memory):
        faults['memory'] = [f'it grows by {growth:.2f} MB/min, with a standard error of {error:.2f}']
    warm = [resident for second, resident, _ in seen.memory if second >= _WARM_UP]
    answers = Counter(each['taken'] for each in changes)
    return {
        'seconds': seen.seconds, 'frames_in': len(counted),
        'images_out': len(latencies), 'lost': dict(Counter(cause for _, cause in losses).most_common()),
        'latency_p95_ms': float(np.percentile([*latencies.values()], 95)) if latencies else None,
        'latency_worst_ms': max(latencies.values(), default=None), 'rss_mb_warm': warm[0] if warm else None,
        'rss_mb_end': seen.memory[-1][1] if seen.memory else None, 'rss_slope_mb_min': growth,
        'rss_slope_error_mb_min': error, 'cores': seen.cores,
        'changes_taken': answers[True], 'changes_refused': answers[False], 'changes_unanswered': answers[None],
        'camera_restarts': max(seen.cameras - 1, 0), 'visitors': seen.visitors, 'visitors_images': len(visited),
        'error_lines': len(lines), 'faults': {kind: each for kind, each in faults.items() if each},
    }


def _wrong_images(sent: dict[str, list[int]], images: list[dict[str, Any]], visited: list[dict[str, Any]]) -> list[str]:
    """Return what is wrong with the images that came: header and form, and the order of the listener's."""
    wrong = []
    for each in (*images, *visited):
        name, forms = f"{each['topic']} of frame {each['frame']}", FORMS[each['topic']]
        if sent.get(each['frame']) != each['stamp']:
            wrong.append(f"{name} has a header that was never sent, with the stamp {each['stamp']}")
        if each['form'] not in forms:
            wrong.append(f"{name} is {each['form']} and not {' or '.join(map(str, forms))}")
    order = [tuple(map(int, each['frame'].split('.'))) for each in images if each['frame'] in sent]
    return wrong + [f'the image of frame {after} came after that of frame {before}'
                    for before, after in zip(order, order[1:]) if before >= after]


def _wrong_answers(changes: list[dict[str, Any]]) -> list[str]:
    said = {True: 'taken', False: 'refused', None: 'not answered'}
    return [f"{each['values']} was {said[each['taken']]} {each['reason']}" for each in changes
            if each['taken'] is not each['valid']]


def slope(memory: list[tuple[float, float, float]]) -> tuple[float, float] | None:
    """
    Return how memory grows once the node is warm, in MB/min, and the standard error; None where that was seen too short a time.

    A leak raises the mean of what is the process's own and the least of each minute alike, and what a setting needs for a while
    either the one or the other: the smaller slope counts. Of the shared memory the least of both halves of the time does: 15 MB
    of a camera's come and go at each restart.

    :param memory: seconds, resident memory in MB, how much of it is shared.
    """
    warm = np.array([each for each in memory if each[0] >= _WARM_UP])
    if not len(warm) or warm[-1, 0] - warm[0, 0] < _SEEN:
        return None
    minutes, own, shared = (warm[:, 0] - warm[0, 0]) / 60, warm[:, 1] - warm[:, 2], warm[:, 2]
    half = minutes[-1] / 2
    rise = shared[minutes >= half].min() - shared[minutes < half].min()
    numbers = np.arange(int(minutes[-1]))
    least = np.array([own[minutes.astype(int) == minute].min() for minute in numbers])
    line = np.polyfit(numbers, least, 1)
    spread = ((least - np.polyval(line, numbers)) ** 2).sum() / max(len(numbers) - 2, 1)
    error = (spread / ((numbers - numbers.mean()) ** 2).sum()) ** 0.5
    return float(min(np.polyfit(minutes, own, 1)[0], line[0]) + max(rise, 0) / half), float(error)


def leaks(memory: list[tuple[float, float, float]]) -> bool:
    """Return whether memory surely grows too fast, where that was seen for long enough to say."""
    growth = slope(memory)
    return growth is not None and memory[-1][0] - _WARM_UP >= _JUDGED and growth[0] - _SURE * growth[1] > _SLOPE


def table(figures: dict[str, Any], seed: int) -> list[str]:
    """Return the figures of :func:`judged` as lines of Markdown."""
    f, lost = figures, sum(figures['lost'].values())
    warm = f"{f['rss_mb_warm']:.0f}" if f['rss_mb_warm'] else '-'
    growth = '-' if f['rss_slope_mb_min'] is None else f"{f['rss_slope_mb_min']:+.2f} ± {f['rss_slope_error_mb_min']:.2f} MB/min"
    if f['seconds'] < _WARM_UP + _JUDGED:
        growth += f' (not judged: that takes {(_WARM_UP + _JUDGED) / 60:.0f} minutes)'
    latency = f"{f['latency_p95_ms']:.0f} / {f['latency_worst_ms']:.0f} ms" if f['images_out'] else '-'
    rows = {
        'frames in, images out, lost': f"{f['frames_in']}, {f['images_out']}, {lost}",
        **{f'lost: {cause}': count for cause, count in f['lost'].items()},
        f'lost: {NO_CAUSE}': f['lost'].get(NO_CAUSE, 0),
        'latency, camera stamp to image received, p95 / worst': latency,
        f'memory (RSS) after {_WARM_UP / 60:.0f} minutes / at the end, slope':
            f"{warm} / {f['rss_mb_end'] or 0:.0f} MB, {growth}",
        'node process': f"{f['cores']:.2f} cores",
        'parameter changes taken, refused, not answered':
            f"{f['changes_taken']}, {f['changes_refused']}, {f['changes_unanswered']}",
        'cameras killed and started again': f['camera_restarts'],
        'other subscribers that came and went, their images': f"{f['visitors']}, {f['visitors_images']}",
        'lines at ERROR that no fault explains': f['error_lines'],
    }
    head = f"the node for {f['seconds'] / 60:.1f} minutes, {SIZE[0]}x{SIZE[1]} at {FPS:.0f} Hz, seed {seed}"
    return [f'| {head} | |', '|---|---|', *(f'| {name} | {value} |' for name, value in rows.items())]

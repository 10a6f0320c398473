# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What a soak found wrong: memory that grows, frames without a cause, errors that nothing explains."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

WARM_UP = 300.0  # seconds of a process's life that are not judged: by then every setting was used once
SHORTEST = 480.0  # seconds after that from which on the growth of memory is judged
SLOPE, SURE = 0.2, 2.0  # MB a minute, standard errors: what grows faster, and surely does, is a leak
SLACK = 40  # frames between two reports of the node, at both ends of a span
LOST_PORT = 'Fast DDS has lost'  # of a node's log; it ends and is started again (docs/reliability.md)
# Fast DDS finds the lock of a killed process's port; the process goes on.
EXPLAINED = re.compile(rf'Failed init_port fastdds_port\d+: open_and_lock_file failed|{LOST_PORT}')
ERROR = re.compile(r'\[(ERROR|FATAL)\]| Error\]|^Traceback')


def growth(samples: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
    """
    Return how fast the memory of one life of a process grows, in MB a minute, with the standard error; None for a short life.

    The least of each minute counts: what a setting needs for a while comes and goes.

    :param samples: seconds since the process started, MB.
    """
    late = np.array([sample for sample in samples if sample[0] >= WARM_UP])
    if not len(late) or late[-1, 0] - WARM_UP < SHORTEST:
        return None
    minutes = ((late[:, 0] - late[0, 0]) // 60).astype(int)
    numbers = np.arange(minutes[-1])  # the last one is not whole
    least = np.array([late[minutes == number, 1].min() for number in numbers])
    line = np.polyfit(numbers, least, 1)
    spread = ((least - np.polyval(line, numbers)) ** 2).sum() / max(len(numbers) - 2, 1)
    return float(line[0]), float((spread / ((numbers - numbers.mean()) ** 2).sum()) ** 0.5)


def leaks(samples: Sequence[tuple[float, float]]) -> bool:
    """Return whether memory surely grows too fast."""
    found = growth(samples)
    return found is not None and found[0] - SURE * found[1] > SLOPE


def without_cause(sent: Iterable[tuple[float, tuple[int, int]]], shown: set[tuple[int, int]],
                  reports: Sequence[tuple[float, int]], spans: Iterable[tuple[float, float]]) -> list[str]:
    """
    Return in which spans more frames are missing than the node itself counts as dropped.

    :param sent: when each frame of the camera came, and its stamp.
    :param shown: stamps of the node's outputs.
    :param reports: when the node reported how many frames it dropped since it is listened to, and that number.
    :param spans: in which nothing was killed: begin and end, in the same seconds.
    """
    sent, wrong = [*sent], []
    for begin, end in spans:
        counts = [count for at, count in reports if begin <= at <= end]
        missing = sum(begin <= at <= end and stamp not in shown for at, stamp in sent)
        counted = counts[-1] - counts[0] if counts else 0
        if missing > counted + SLACK:
            wrong.append(f'{missing} frames are missing in {end - begin:.0f} s, and the node counts {counted} as dropped')
    return wrong


def unexplained(lines: Iterable[str]) -> list[str]:
    """Return the lines of a log that are errors and have no explanation."""
    return [line for line in lines if ERROR.search(line) and not EXPLAINED.search(line)]

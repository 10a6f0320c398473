# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""``python3 -m self_segmentation``: the program of :mod:`~self_segmentation.command_line`."""

from .process import program

if __name__ == '__main__':
    raise SystemExit(program('command_line', 'self_segmentation')())

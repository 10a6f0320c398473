# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
The settings as text, for ``config/segmentation.yaml`` and ``docs/parameters.md``: neither is written by hand.

``python3 -m self_segmentation.tools.reference yaml`` and ``... markdown`` print them, ``... renew FILE`` renews the table in it.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

from ..settings import TUNABLES, Tunable

__all__ = ['as_markdown', 'as_yaml', 'main', 'markdown_table', 'renewed']

_BEGIN, _END = '<!-- settings: made by `make reference` -->\n', '<!-- end of settings -->\n'

_HEAD = """\
# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
#
# All defaults: the best measured quality. Made by `make reference`: change a copy.
# Nearly all can be changed while the node runs: ros2 param set /segmentation threshold 0.3
/**:
  ros__parameters:
"""


def _value(tunable: Tunable) -> str:
    value = list(tunable.default) if isinstance(tunable.default, tuple) else tunable.default
    return yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix('\n...\n').strip()


def as_yaml() -> str:
    """Return the defaults as a ROS 2 parameter file with comments."""
    lines, group = [_HEAD.rstrip('\n')], ''
    for tunable in TUNABLES.values():
        prefix, _, leaf = tunable.name.rpartition('.')
        if prefix != group:
            group = prefix
            lines += [f'    {group}:'] if group else []
        indent = ' ' * (6 if prefix else 4)
        about = f'{tunable.text} ({"; ".join(filter(None, [tunable.unit, tunable.allowed]))})'
        lines += textwrap.wrap(about, 110, initial_indent=indent + '# ', subsequent_indent=indent + '# ')
        lines.append(f'{indent}{leaf}: {_value(tunable)}')
    return '\n'.join(lines) + '\n'


def as_markdown() -> str:
    """Return the settings as a table."""
    rows = ((f'`{each.name}`', f'`{_value(each)}`', each.allowed + (f' ({each.unit})' if each.unit else ''), each.text)
            for each in TUNABLES.values())
    return '\n'.join(markdown_table(('parameter', 'default', 'allowed', 'what it does'), rows)) + '\n'


def markdown_table(head: Sequence[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Return the lines of a table."""
    return [f'| {" | ".join(head)} |', '|---' * len(head) + '|', *(f'| {" | ".join(row)} |' for row in rows)]


def renewed(text: str) -> str:
    """Return a text with a new table of settings between its two marks."""
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return before + _BEGIN + as_markdown() + _END + after


def main() -> int:
    """Print the settings, or renew the table in a document."""
    match sys.argv[1:]:
        case ['yaml']:
            print(as_yaml(), end='')
        case ['markdown']:
            print(as_markdown(), end='')
        case ['renew', name]:
            path = Path(name)
            path.write_text(renewed(path.read_text(encoding='utf-8')), encoding='utf-8')
        case _:
            print('usage: python3 -m self_segmentation.tools.reference yaml | markdown | renew FILE', file=sys.stderr)
            return 2
    return 0


if __name__ == '__main__':
    raise SystemExit(main())

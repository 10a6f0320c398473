# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
import argparse
import subprocess
import sys

import pytest
from conftest import ROOT

from self_segmentation.command_line import add_setting_options
from self_segmentation.settings import TUNABLES, Settings, read_yaml
from self_segmentation.tools.reference import as_markdown, as_yaml, renewed


def test_shipped_configuration_matches_settings():
    assert (ROOT / 'config' / 'segmentation.yaml').read_text(encoding='utf-8') == as_yaml()


def test_shipped_configuration_has_every_default():
    values = read_yaml(ROOT / 'config' / 'segmentation.yaml')
    assert list(values) == list(TUNABLES)
    assert Settings().updated(values) == Settings()


def test_documented_table_matches_settings():
    document = (ROOT / 'docs' / 'parameters.md').read_text(encoding='utf-8')
    assert as_markdown() in document
    assert renewed(document) == document


def test_stale_table_is_renewed_in_place():
    text = f'before\n{renewed("")}after\n'
    stale = text.replace('| `threshold` |', '| `old` |')
    assert stale != text and renewed(stale) == text


def test_table_has_row_for_each_setting():
    rows = as_markdown().splitlines()[2:]
    assert len(rows) == len(TUNABLES)
    for row, tunable in zip(rows, TUNABLES.values()):
        assert row.startswith(f'| `{tunable.name}` |') and tunable.text in row and tunable.allowed in row


def test_shipped_configurations_have_allowed_values_only():
    configurations = {path.name: read_yaml(path) for path in (ROOT / 'config').glob('*.yaml')}
    assert configurations.keys() >= {'segmentation.yaml', 'tutorial.yaml'}
    for name, values in configurations.items():
        assert values.keys() <= TUNABLES.keys(), name
        Settings().updated(values)


def test_command_line_has_option_for_each_setting():
    parser = argparse.ArgumentParser()
    add_setting_options(parser)
    options = {action.dest: action for action in parser._actions if action.dest != 'help'}
    assert set(options) == {tunable.name for tunable in TUNABLES.values() if not tunable.node}
    for name, action in options.items():
        assert '--' + name.replace('.', '-').replace('_', '-') in action.option_strings
        assert TUNABLES[name].text in action.help.replace('%%', '%')
    given = parser.parse_args(['--threshold', '0.25', '--no-flip', '--background-color', '#0102ff', '--edge-diameter', '7'])
    assert vars(given) == {'threshold': 0.25, 'flip': False, 'background.color': (1, 2, 255), 'edge.diameter': 7}


@pytest.mark.processes
def test_reference_prints_what_make_writes():
    for form, text in (('yaml', as_yaml()), ('markdown', as_markdown())):
        command = [sys.executable, '-m', 'self_segmentation.tools.reference', form]
        assert subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout == text
    assert subprocess.run(command[:-1], stderr=subprocess.PIPE).returncode == 2

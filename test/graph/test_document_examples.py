# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The nodes of docs/using_the_mask.md, as they stand there."""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from ros import message_of, picture_of


def example(language: str) -> str:
    [block] = re.findall(rf'^```{language}\n(.*?)^```', (ROOT / 'docs' / 'using_the_mask.md').read_text(encoding='utf-8'),
                         re.DOTALL | re.MULTILINE)
    return block


def test_python_example_cuts_people_out(graph, node, start, astronaut, tmp_path):
    (tmp_path / 'cutout.py').write_text(example('python'), encoding='utf-8')
    namespace = node.name.rpartition('/')[0]
    program = start('cutout', '--ros-args', '-r', f'__ns:={namespace}', command=[sys.executable, str(tmp_path / 'cutout.py')])
    received, _ = graph.listen(f'{namespace}/cutout/output')
    mask = node.pictures(astronaut)['mask']
    frame = message_of(astronaut, padding=5)

    def came() -> bool:
        assert program.code is None, program.said
        node.results(message_of(astronaut, padding=5))
        return bool(received)

    graph.wait_until(came, 'a cutout')
    cut = picture_of(received[0])
    assert np.array_equal(cut, np.where(mask[..., None] > 0, astronaut, 0)) and received[0].encoding == frame.encoding


def test_cpp_example_compiles(tmp_path):
    missing = [] if shutil.which('cmake') else ['cmake']
    prefixes = [Path(prefix) for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)]
    missing += [name for name in ('rclcpp', 'message_filters') if not any((each / 'share' / name).is_dir() for each in prefixes)]
    if missing:
        pytest.skip(f'NOT COMPILED, for there is no {" and no ".join(missing)}')
    (tmp_path / 'cutout.cpp').write_text(example('cpp'), encoding='utf-8')
    (tmp_path / 'CMakeLists.txt').write_text(example('cmake'), encoding='utf-8')
    for command in (['cmake', '-S', '.', '-B', 'build'], ['cmake', '--build', 'build']):
        done = subprocess.run(command, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, done.stdout

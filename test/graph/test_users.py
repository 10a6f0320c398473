# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Who may run the nodes, and on which file systems."""
import os
import re
import signal
import sys
from pathlib import Path

from conftest import ASTRONAUT, SAMPLE, TUTORIAL, area, full_name, unique, wait_until
from machine import NOWHERE, VIEWER, as_it_is, as_nobody, as_nobody_who_may_read, first_possible, read_only
from ros import Segmentation


def environment(**changes: str) -> dict[str, str]:
    """The tests' own, but that nothing says where ROS may write its log file; and with changes."""
    return {**{name: value for name, value in os.environ.items() if name not in ('ROS_LOG_DIR', 'ROS_HOME')}, **changes}


def user_of(pid: int) -> int:
    return int(re.search(r'^Uid:\s+(\d+)', Path(f'/proc/{pid}/status').read_text(), re.M).group(1))


def test_serves_unprivileged_user_without_home(start):
    """Camera, segmentation and viewer are all this user's: shared memory is for one user."""
    user = first_possible('an unprivileged user', as_nobody, as_nobody_who_may_read, as_it_is)
    namespace = unique('nobody')

    def started(*command: str):
        return start('', command=[*user, sys.executable, *command], env=environment(HOME=NOWHERE))

    def node(module: str, *parameters: str):
        return started('-m', full_name(module), '--ros-args', '-r', f'__ns:=/{namespace}', *parameters)

    nodes = [node('segmentation_node'), node('camera_node', '-p', f'video_device:={SAMPLE}')]
    viewer = started('-c', VIEWER, namespace, 'raw', '', '0')
    wait_until(lambda: viewer.said.count('picture') >= 5 or any(p.code is not None for p in (*nodes, viewer)), 'pictures')
    for program in nodes:
        assert program.code is None, program.said
        assert user_of(program.pid) or not (user or os.geteuid())
        assert program.said.count('no log file') == 1 and f'{NOWHERE}/.ros/log' in program.said and 'ROS_LOG_DIR' in program.said
        program.send(signal.SIGINT)
        assert program.exit_code() == 0 and 'Traceback' not in program.said, program.said
    assert viewer.code is None, viewer.said


def test_serves_when_only_dev_shm_is_writable(graph, start, astronaut):
    files = first_possible('a read-only file system', read_only, as_it_is)
    namespace = unique('fixed')
    command = [*files, sys.executable, '-m', 'self_segmentation.nodes.segmentation_node']
    program = start('', '--ros-args', '-r', f'__ns:=/{namespace}', '--params-file', TUTORIAL, command=command,
                    env=environment() if files else environment(HOME=NOWHERE))
    node = Segmentation(graph, namespace, program)
    assert 0.4 < area(node.pictures(astronaut)['mask']) < 0.7
    assert program.said.count('no log file') == 1 and 'ROS_LOG_DIR' in program.said
    program.send(signal.SIGINT)
    assert program.exit_code() == 0 and 'Traceback' not in program.said, program.said


def test_writes_log_file_where_ros_does_or_warns(start, tmp_path):
    folders = {('ROS_LOG_DIR', 'own'): 'own', ('ROS_HOME', 'ros'): 'ros/log', ('HOME', 'home'): 'home/.ros/log'}
    started = [(Path(root) / below, start('camera_node', '--ros-args', '-p', f'video_device:={ASTRONAUT}', '-p', 'loop:=false',
                                          env=environment(**{variable: f'{root}/{name}'})))
               for root in (tmp_path, NOWHERE) for (variable, name), below in folders.items()]
    for folder, program in started:
        assert program.exit_code() == 0, program.said
        assert len(list(folder.glob('*.log'))) == folder.is_relative_to(tmp_path)
        assert (f'no log file in {folder}' in program.said) == folder.is_relative_to(NOWHERE), program.said

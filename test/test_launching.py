# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What the launch file decides without launch: texts to values, names to topics, paths to files."""
import ast
import re

import pytest
from conftest import ROOT, TUTORIAL

from self_segmentation.errors import SettingsError
from self_segmentation.launching import (
    Argument,
    find_file,
    is_started_directly,
    join_namespaces,
    read_arguments,
    refuse_unknown,
    remapped,
    words,
)
from self_segmentation.settings import BOOLEANS, TUNABLES

LAUNCH_FILE = ROOT / 'launch' / 'segment.launch.py'
ARGUMENTS = {'camera': Argument('usb_cam', '', words('usb_cam', 'none')), 'use_sim_time': Argument('', '', BOOLEANS),
             'image_topic': Argument('image_raw', '')}


@pytest.mark.parametrize('text, value', [('True', True), ('1', True), ('off', False)])
def test_reads_booleans_as_people_and_nav2_write_them(text, value):
    assert read_arguments(ARGUMENTS, {'use_sim_time': text, 'flip': text}, strict=True)[:2] == (
        {'use_sim_time': value}, {'flip': value})


def test_omitted_launch_argument_keeps_parameter_file_value():
    values, settings, problems = read_arguments(ARGUMENTS, {'camera': 'none', 'use_sim_time': '', 'threshold': ''}, strict=True)
    assert values == {'camera': 'none', 'use_sim_time': None} and settings == {} and problems == []


def test_background_image_argument_implies_type_image():
    assert read_arguments({}, {'background.image': 'a.jpg', 'background.type': ''}, strict=True)[1] == {
        'background.image': 'a.jpg', 'background.type': 'image'}


def test_names_every_wrong_launch_argument_at_once():
    with pytest.raises(SettingsError) as caught:
        read_arguments(ARGUMENTS, {'camera': 'usbcam', 'threshold': '2', 'flip': '1'}, strict=True)
    assert caught.value.settings == ('camera', 'threshold') and 'usb_cam, none' in str(caught.value)


def test_foreign_parent_argument_is_reported_and_defaulted():
    values, settings, problems = read_arguments(ARGUMENTS, {'camera': 'front', 'threshold': '400', 'flip': 'on'}, strict=False)
    assert values == {'camera': 'usb_cam'} and settings == {'flip': True}
    assert len(problems) == 2 and "camera = 'front'" in problems[0] and 'threshold = 400' in problems[1]


def test_misspelt_launch_argument_suggests_nearest():
    refuse_unknown(['threshold:=0.3', 'launch-prefix:=gdb', 'background.color:=1,2,3'], TUNABLES)
    with pytest.raises(SettingsError, match='thresold is not an argument .* did you mean threshold'):
        refuse_unknown(['thresold:=0.3'], TUNABLES)


@pytest.mark.parametrize('command, is_direct', [
    (['ros2', 'launch', 'self_segmentation', 'segment.launch.py', 'camera:=none'], True),
    (['ros2', 'launch', '-d', 'self_segmentation', 'segment.launch.py'], True),
    (['ros2', 'launch', str(LAUNCH_FILE)], True),
    (['ros2', 'launch', 'my_robot', 'segment.launch.py'], False),
    (['ros2', 'launch', 'my_robot', 'robot.launch.py', 'camera:=front'], False),
    (['pytest'], False)])
def test_detects_launch_file_started_directly(command, is_direct):
    assert is_started_directly('self_segmentation', LAUNCH_FILE, command) == is_direct


def test_finds_parameter_file_here_or_in_share(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_file('config/tutorial.yaml') == TUTORIAL
    (tmp_path / 'config').mkdir()
    (tmp_path / 'config' / 'tutorial.yaml').write_text('/**: {ros__parameters: {flip: true}}')
    assert find_file('config/tutorial.yaml') == tmp_path / 'config' / 'tutorial.yaml'
    assert find_file(str(TUTORIAL)) == TUTORIAL
    monkeypatch.setenv('HOME', str(tmp_path))
    assert find_file('~/config/tutorial.yaml') == tmp_path / 'config' / 'tutorial.yaml'


@pytest.mark.parametrize('text', ['config/nowhere.yaml', '/nowhere.yaml', 'config', ''])
def test_missing_parameter_file_lists_searched_places(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError) as caught:
        find_file(text)
    assert repr(text) in str(caught.value) and str(tmp_path / text) in str(caught.value)
    assert text.startswith('/') or str(ROOT / text) in str(caught.value)


@pytest.mark.parametrize('outer, given, joined', [
    ('', '', '/'), ('', 'robot1', '/robot1'), ('', '/robot1/', '/robot1'), ('/robot1', '', '/robot1'),
    ('/robot1', 'front', '/robot1/front'), ('/robot1', '/front', '/front'), ('/', 'front', '/front'),
    ('/robot1', 'robot1', '/robot1'), ('/a/robot1', 'robot1', '/a/robot1'), ('/my_robot1', 'robot1', '/my_robot1/robot1'),
    ('/a/b', 'a', '/a/b/a')])
def test_namespace_joins_parent_once(outer, given, joined):
    assert join_namespaces(outer, given) == joined


@pytest.mark.parametrize('name, rules, topic', [
    ('image_raw', [], '/robot1/image_raw'),
    ('image_raw', [('image_raw', 'front/image_raw')], '/robot1/front/image_raw'),
    ('image_raw', [('image_raw', '/front'), ('image_raw', '/rear')], '/front'),
    ('image_raw', [('/robot1/image_raw', '/front')], '/front'),
    ('image_raw', [('/image_raw', '/front'), ('image', '/rear')], '/robot1/image_raw'),
    ('~/output', [], '/robot1/segmentation/output'),
    ('~/output', [('segmentation/output', '/out')], '/out'),
    ('segmentation/output', [('~/output', '~/picture')], '/robot1/segmentation/picture'),
    ('/clock', [('/clock', 'time')], '/robot1/time')])
def test_remaps_topic_as_ros_does(name, rules, topic):
    assert remapped(name, rules, '/robot1', 'segmentation') == topic


def test_root_namespace_has_one_slash():
    assert remapped('image_raw', [], '/', 'segmentation') == '/image_raw'
    assert remapped('~/output', [], '/', 'segmentation') == '/segmentation/output'


def own_arguments() -> dict[str, ast.expr]:
    """The arguments that the launch file has beside the settings, read without launch."""
    for node in ast.parse(LAUNCH_FILE.read_text(encoding='utf-8')).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == 'ARGUMENTS':
            return {key.value: value for key, value in zip(node.value.keys, node.value.values)}
    raise AssertionError('no ARGUMENTS')


def test_no_setting_shares_name_with_launch_argument():
    assert len(own_arguments()) >= 9 and not own_arguments().keys() & TUNABLES


def test_readme_names_only_known_launch_arguments():
    readme = (ROOT / 'README.md').read_text(encoding='utf-8')
    named = {name for name in re.findall(r'([\w.]+):=', readme) if not name.startswith('__')}
    assert {'camera', 'autostart', 'image_transport'} <= named <= own_arguments().keys() | TUNABLES.keys()
    table = re.findall(r'^\| `(\w+)`', readme.partition('launch argument')[2].partition('\n\n')[0], re.MULTILINE)
    assert set(table) == own_arguments().keys()


@pytest.mark.parametrize('path', sorted((ROOT / 'launch').rglob('*.launch.py')), ids=lambda path: path.name)
def test_launch_file_sets_nothing_for_others(path):
    used = {node.id for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))) if isinstance(node, ast.Name)}
    assert not used & {'SetEnvironmentVariable', 'AppendEnvironmentVariable', 'SetParameter', 'SetLaunchConfiguration'}

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
What the launch files decide: texts to values, names to topics, paths to files, what is started and what follows its end.

Their own functions are called, with stand-ins for launch's actions; test/graph/test_launch_files.py runs them by the real launch.
"""
import ast
import importlib.util
import re
import signal
import sys
import types
from pathlib import Path

import pytest
from conftest import ROOT, TUTORIAL

from self_segmentation.errors import ExitCode, SettingsError
from self_segmentation.launching import (
    CAMERAS,
    Argument,
    LogLine,
    after_exit,
    cover_misspelt,
    find_file,
    find_program,
    is_started_directly,
    join_namespaces,
    read_arguments,
    refuse_unknown,
    remapped,
    unused,
    words,
)
from self_segmentation.settings import BOOLEANS, LOOKS, TUNABLES

LAUNCH_FILE = ROOT / 'launch' / 'segment.launch.py'
EXAMPLES = ROOT / 'launch' / 'examples'
LAUNCH_FILES = sorted((ROOT / 'launch').rglob('*.launch.py'))
ARGUMENTS = {'camera': Argument('usb_cam', '', words('usb_cam', 'none')), 'use_sim_time': Argument('', '', BOOLEANS),
             'image_topic': Argument('image_raw', ''), 'look': Argument('', '', words(*LOOKS))}


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
    assert [each.level for each in problems] == ['info', 'info']
    assert "camera = 'front'" in problems[0].text and 'threshold = 400' in problems[1].text


@pytest.mark.parametrize('texts', [{'look': 'privat'}, {'replace': 'persons'}, {'replace': 'People'},
                                   {'look': 'left', 'replace': 'background'}, {'look': 'privacy', 'replace': 'all'}])
def test_wrong_look_or_replace_of_parent_hides_people(texts):
    _, settings, lines = read_arguments(ARGUMENTS, {**texts, 'flip': 'on'}, strict=False)
    assert settings == {'flip': True, 'replace': 'people'}
    [(level, text)] = lines
    assert level == 'error' and 'is not allowed' in text and 'People are hidden' in text
    with pytest.raises(SettingsError):
        read_arguments(ARGUMENTS, texts, strict=True)


GIVEN = {'video_device': '/dev/video2', 'image_width': 640, 'image_height': 480, 'framerate': 29.97, 'frame_id': 'head',
         'camera_info_url': 'file:///a.yaml'}


@pytest.mark.parametrize('driver, parameters', [
    ('usb_cam', {'video_device': '/dev/video2', 'image_width': 640, 'image_height': 480, 'framerate': 29.97, 'frame_id': 'head'}),
    ('opencv', {'video_device': '/dev/video2', 'image_width': 640, 'image_height': 480, 'framerate': 29.97, 'frame_id': 'head'}),
    ('v4l2_camera', {'video_device': '/dev/video2', 'image_size': [640, 480], 'time_per_frame': [100, 2997],
                     'camera_frame_id': 'head'}),
    ('camera_ros', {'width': 640, 'height': 480, 'FrameDurationLimits': [33367, 33367], 'frame_id': 'head'})])
def test_camera_arguments_have_the_names_of_each_driver(driver, parameters):
    assert CAMERAS[driver].parameters(GIVEN) == {**parameters, 'camera_info_url': 'file:///a.yaml'}
    nothing = {**dict.fromkeys(GIVEN), 'video_device': '/dev/video0', 'frame_id': '', 'camera_info_url': ''}
    assert CAMERAS[driver].parameters(nothing).keys() <= {'video_device'}


def test_v4l2_camera_needs_both_sides():
    with pytest.raises(SettingsError, match='give image_height too'):
        CAMERAS['v4l2_camera'].parameters({**GIVEN, 'image_height': None})


@pytest.mark.parametrize('text', ['wide', '0', '-1', 'inf', 'nan', '1e9'])
def test_refuses_numbers_that_are_none(text):
    for number in (int, float):
        with pytest.raises(ValueError, match='framerate = .* is not allowed: it takes a (whole )?number above 0'):
            Argument('', '', number=number).value('framerate', text)
    assert Argument('', '', number=float).value('framerate', '7.5') == 7.5 and Argument('', '', number=int).value('x', '') is None


@pytest.mark.parametrize('name, text, meant', [
    ('loook', 'privacy', 'look'), ('loook', '', 'look'), ('Look', 'privacy', 'look'), ('lokk', 'privacy', 'look'),
    ('repalce', 'people', 'replace'), ('replacement', 'people', 'replace'), ('replce', 'somebody', 'replace')])
def test_parent_argument_that_is_nearly_look_or_replace_hides_people(name, text, meant):
    settings = {'replace': 'background', 'flip': True}
    [(level, line)] = cover_misspelt({name: text}, ARGUMENTS, settings)
    assert settings == {'replace': 'people', 'flip': True} and level == 'warning'
    assert line.startswith(f'{name} is not an argument of this launch file: did you mean {meant}? People are hidden')


def test_parent_argument_that_is_nearly_ours_is_a_warning():
    settings = {'flip': True}
    assert cover_misspelt({'thresold': '0.3', 'use_sim_tme': 'true'}, ARGUMENTS, settings) == [
        LogLine('warning', f'{name} is not an argument of this launch file: did you mean {meant}?')
        for name, meant in (('thresold', 'threshold'), ('use_sim_tme', 'use_sim_time'))]
    assert settings == {'flip': True}


def test_foreign_parent_arguments_are_no_concern():
    settings = {}
    foreign = {'loop': 'true', 'replay': 'fast', 'lock': '', 'camera_name': 'front', 'map': 'map.yaml', 'use_rviz': 'true',
               'log': '', 'use_respawn': 'true', 'ros_namespace': '/robot1', 'ros_remaps': [('a', 'b')],
               'global_params': [('replac', 'people')],
               **dict.fromkeys(ARGUMENTS, ''), **dict.fromkeys(TUNABLES, '')}
    assert cover_misspelt(foreign, ARGUMENTS, settings) == [] and settings == {}


def test_misspelt_launch_argument_suggests_nearest():
    refuse_unknown(['threshold:=0.3', 'launch-prefix:=gdb', 'background.color:=1,2,3'], TUNABLES)
    with pytest.raises(SettingsError, match='thresold is not an argument .* did you mean threshold'):
        refuse_unknown(['thresold:=0.3'], TUNABLES)


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


@pytest.mark.parametrize('given', ['my-robot', '1robot', 'a b', '/a//b', '~', 'räuber'])
def test_invalid_namespace_is_refused_with_what_is_allowed(given):
    with pytest.raises(SettingsError, match='letters, digits and _') as raised:
        join_namespaces('/robot1', given)
    assert repr(given) in str(raised.value)


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
    rows = re.findall(r'^\| (`.+?) \|', readme.partition('launch argument')[2].partition('\n\n')[0], re.MULTILINE)
    table = re.findall(r'`(\w+)`', ' '.join(rows))
    assert set(table) == own_arguments().keys()


def test_launch_files_set_nothing_for_others():
    used = {(path.name, node.id) for path in LAUNCH_FILES for node in ast.walk(ast.parse(path.read_text(encoding='utf-8')))
            if isinstance(node, ast.Name)}
    names = {'SetEnvironmentVariable', 'AppendEnvironmentVariable', 'SetParameter', 'SetLaunchConfiguration'}
    assert used and not {each for each in used if each[1] in names}


# ---- programs: whether they are there, and what follows their end

@pytest.mark.parametrize('code, is_restarted', [
    (ExitCode.DONE, False), (ExitCode.FAILED, True), (ExitCode.WILL_FAIL_AGAIN, False),
    (-signal.SIGKILL, True), (-signal.SIGSEGV, True), (128 + signal.SIGSEGV, True),  # as a shell passes it on
    (102, False), (127, False)])  # a middleware, or an interpreter, that is not installed
def test_only_failure_that_may_pass_is_restarted(code, is_restarted):
    after = after_exit(code, 'camera', 'clip.mp4 does not exist')
    assert after.is_restarted == is_restarted
    explained = 'clip.mp4 does not exist' in after.reason and f'exit code {int(code)}' in after.reason
    assert explained == (not is_restarted and code != ExitCode.DONE)


@pytest.fixture
def prefix(tmp_path, monkeypatch):
    """Where ROS finds packages; ``prefix(package, program, ...)`` installs one."""
    pytest.importorskip('ament_index_python')
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))

    def install(package: str, *programs: str) -> None:
        for path in (tmp_path / 'share' / 'ament_index' / 'resource_index' / 'packages' / package,
                     *(tmp_path / 'lib' / package / program for program in programs)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o755)

    install('self_segmentation', 'camera_node', 'segmentation_node', 'studio_node', 'viewer_node')
    return install


def test_missing_package_or_program_is_named_with_what_to_install(prefix):
    assert 'sudo apt install ros-$ROS_DISTRO-usb-cam' in find_program('usb_cam', 'usb_cam_node_exe')
    prefix('usb_cam')
    assert 'has no program usb_cam_node_exe' in find_program('usb_cam', 'usb_cam_node_exe')
    prefix('usb_cam', 'usb_cam_node_exe')
    assert find_program('usb_cam', 'usb_cam_node_exe') == ''


def test_parameter_file_for_another_node_is_reported(tmp_path):
    path = tmp_path / 'some.yaml'
    path.write_text('person_segmentation: {ros__parameters: {flip: true}}\n/rear/segmentation: {ros__parameters: {flip: true}}')
    reason = unused(path, '/front/segmentation')
    assert all(part in reason for part in (str(path), 'person_segmentation', '/rear/segmentation', 'this is /front/segmentation'))
    assert unused(path, '/rear/segmentation') == ''
    path.write_text('{')
    assert unused(path, '/front/segmentation') == ''  # the node says more of it


# ---- the launch files, with stand-ins for launch's actions

class Action:
    """Any of launch's classes: keeps what it was made with."""

    def __init__(self, *arguments, **named) -> None:
        self.arguments, self.named = arguments, named


class StandIn(types.ModuleType):
    """Any of launch's modules."""

    def __getattr__(self, name: str):
        if name.startswith('__'):
            raise AttributeError(name)
        made = type(name, (Action,), {}) if name[0].isupper() else lambda *arguments, **named: (name, arguments)
        setattr(self, name, made)
        return made


MODULES = ('launch', 'launch.actions', 'launch.event', 'launch.event_handler', 'launch.event_handlers', 'launch.events',
           'launch.events.process', 'launch.launch_description_sources', 'launch.logging', 'launch.substitutions', 'launch_ros',
           'launch_ros.actions', 'launch_ros.substitutions')


@pytest.fixture
def load(monkeypatch):
    """``load(path)`` runs a launch file and returns its module."""
    for name in MODULES:
        module = StandIn(name)
        module.__path__ = []
        monkeypatch.setitem(sys.modules, name, module)
    errors, warnings, infos = (list[str]() for _ in range(3))
    sys.modules['launch.logging'].get_logger = lambda name: types.SimpleNamespace(
        error=errors.append, warning=warnings.append, info=infos.append)
    sys.modules['launch.substitutions'].LaunchConfiguration = lambda name: types.SimpleNamespace(
        perform=lambda context: context.texts[name])

    def load(path: Path):
        spec = importlib.util.spec_from_file_location('launch_file', path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.errors, module.warnings, module.infos = errors, warnings, infos
        return module

    return load


def kinds(actions: list) -> list[str]:
    return [type(action).__name__ for action in actions]


def reason_of(actions: list) -> str:
    """What the actions that end the launch raise; nothing where none ends it."""
    handlers = [action.arguments[0] for action in actions if type(action).__name__ == 'RegisterEventHandler']
    for handler in handlers:
        if type(handler).__name__ == 'EventHandler':
            [emitted] = [action for action in actions if type(action).__name__ == 'EmitEvent'
                         and handler.named['matcher'](action.named['event'])]
            with pytest.raises(Exception) as raised:  # noqa: PT011
                handler.named['entities'][0].named['function'](None)
            return str(raised.value)
    return ''


def started_with(*files: Path) -> types.SimpleNamespace:
    """The event by which launch visits the files that it was told to start."""
    entities = [sys.modules['launch.actions'].IncludeLaunchDescription() for _ in files]
    for entity, file in zip(entities, files):
        entity.launch_description_source = types.SimpleNamespace(location=str(file))
    event = sys.modules['launch.events'].IncludeLaunchDescription()
    event.launch_description = types.SimpleNamespace(entities=entities)
    return types.SimpleNamespace(event=event)


def context(module, files: tuple[Path, ...] = (LAUNCH_FILE,), **arguments) -> types.SimpleNamespace:
    texts = {**{name: each.default for name, each in module.ARGUMENTS.items()}, **dict.fromkeys(TUNABLES, ''), 'viewer': 'none',
             **arguments}
    return types.SimpleNamespace(texts=texts, argv=[f'{name}:={text}' for name, text in arguments.items()], environment={},
                                 launch_configurations={}, is_shutdown=False, locals=started_with(*files))


@pytest.fixture
def segment(load, prefix):
    return load(LAUNCH_FILE)


@pytest.mark.parametrize('files, is_direct', [
    ([LAUNCH_FILE], True), ([LAUNCH_FILE.parent / '..' / 'launch' / LAUNCH_FILE.name], True),
    ([EXAMPLES / LAUNCH_FILE.name], False), ([LAUNCH_FILE, EXAMPLES / 'two_cameras.launch.py'], False)])
def test_launch_file_is_started_directly_where_launch_was_told_to_start_nothing_else(segment, files, is_direct):
    assert is_started_directly(context(segment, files), LAUNCH_FILE) == is_direct


def test_launch_file_that_is_included_later_is_not_started_directly(segment):
    later = types.SimpleNamespace(locals=types.SimpleNamespace(event=sys.modules['launch.events'].TimerEvent()))
    assert not is_started_directly(later, LAUNCH_FILE)
    assert not is_started_directly(types.SimpleNamespace(locals=types.SimpleNamespace()), LAUNCH_FILE)


def node_of(actions: list, name: str) -> Action:
    [node] = [action for action in actions if type(action).__name__ == 'Node' and action.named['name'] == name]
    return node


@pytest.mark.parametrize('camera, programs', [
    ('opencv', ['camera_node', 'segmentation_node']), ('none', ['segmentation_node']),
    ('usb_cam', ['camera_node', 'segmentation_node'])])  # which is not installed
def test_starts_only_programs_that_are_there(segment, camera, programs):
    actions = segment.setup(context(segment, camera=camera, viewer='rqt'))
    assert [action.named['executable'] for action in actions if type(action).__name__ == 'Node'] == programs
    assert reason_of(actions) == ''
    logged = [action.named['msg'] for action in actions if type(action).__name__ == 'LogInfo']
    assert any('usb_cam is not installed: sudo apt install' in each for each in logged) == (camera == 'usb_cam')


def test_camera_section_of_parameter_file_reaches_the_camera_and_arguments_win(segment, tmp_path):
    (tmp_path / 'robot.yaml').write_text("""
/**: {ros__parameters: {threshold: 0.3}}
camera: {ros__parameters: {framerate: 5.0, video_device: /dev/video7}}
""")
    actions = segment.setup(context(segment, camera='opencv', params_file=str(tmp_path / 'robot.yaml'), image_width='320'))
    assert node_of(actions, 'camera').named['parameters'] == [
        {'video_device': '/dev/video0'}, tmp_path / 'robot.yaml', {'image_width': 320}]  # later ones win
    for others in ('/**: {ros__parameters: {threshold: 0.3}}',
                   '{"/**": {ros__parameters: {threshold: 0.3}}, /front/camera: {ros__parameters: {framerate: 5.0}}}'):
        (tmp_path / 'robot.yaml').write_text(others)
        actions = segment.setup(context(segment, camera='opencv', params_file=str(tmp_path / 'robot.yaml'), video_device='x.mp4'))
        assert node_of(actions, 'camera').named['parameters'] == [{'video_device': 'x.mp4'}]
    (tmp_path / 'robot.yaml').write_text('/**: {ros__parameters: {threshold: 0.3}}')
    actions = segment.setup(context(segment, camera='opencv', params_file=str(tmp_path / 'robot.yaml'), video_device='x.mp4'))
    assert node_of(actions, 'camera').named['parameters'] == [{'video_device': 'x.mp4'}]


@pytest.mark.parametrize('arguments, reason', [
    ({'camera': 'usbcam'}, "camera = 'usbcam' is not allowed"), ({'threshold': '2'}, 'threshold = 2.0'),
    ({'params_file': '/nowhere.yaml'}, '/nowhere.yaml'), ({'namespace': 'my-robot'}, "namespace = 'my-robot'")])
def test_wrong_argument_ends_launch_and_starts_nothing(segment, arguments, reason):
    actions = segment.setup(context(segment, **arguments))
    assert kinds(actions) == ['RegisterEventHandler', 'EmitEvent'] and reason in reason_of(actions)


def test_package_that_is_not_built_ends_launch_and_starts_nothing(segment, monkeypatch, tmp_path):
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path / 'nowhere'))
    actions = segment.setup(context(segment))
    assert kinds(actions) == ['RegisterEventHandler', 'EmitEvent'] and 'source install/setup.bash' in reason_of(actions)


def after(segment, actions: list, name: str, code: int, line: str = '', **state) -> list:
    """What launch is told to do when a node ends."""
    node = node_of(actions, name)
    for action in actions:
        if type(action).__name__ == 'RegisterEventHandler' and action.arguments[0].named.get('target_action') is node:
            action.arguments[0].named['on_stderr'](types.SimpleNamespace(text=f'{line}\n'.encode()))
    return node.named['on_exit'](types.SimpleNamespace(returncode=code), types.SimpleNamespace(is_shutdown=False, **state))


VIEWERS = {'studio': 'web', 'viewer': 'window'}  # node, and the argument that starts it


@pytest.mark.parametrize('name', ['camera', 'segmentation', *VIEWERS])
def test_node_is_started_again_after_failure_that_may_pass_alone(segment, monkeypatch, name):
    monkeypatch.setenv('DISPLAY', ':99')
    actions = segment.setup(context(segment, camera='opencv', viewer=VIEWERS.get(name, 'none')))
    node = node_of(actions, name)
    assert node.named['respawn'] is True and node.named['respawn_delay'] == 2.0
    for code in (1, -9):
        assert after(segment, actions, name, code) == []  # launch starts it again
    [stay_down] = after(segment, actions, name, 0)
    assert type(stay_down.named['event']).__name__ == 'ShutdownProcess'


@pytest.mark.parametrize('name, viewer', VIEWERS.items())
def test_viewer_that_would_fail_again_leaves_other_nodes_running(segment, monkeypatch, name, viewer):
    monkeypatch.setenv('DISPLAY', ':99')
    actions = segment.setup(context(segment, viewer=viewer, camera='none'))
    [stay_down] = after(segment, actions, name, 2, 'aiohttp is not installed')
    assert type(stay_down.named['event']).__name__ == 'ShutdownProcess' and 'aiohttp is not installed' in segment.errors[0]


@pytest.mark.parametrize('name', ['camera', 'segmentation'])
def test_exit_code_2_ends_launch_with_reason(segment, name):
    actions = segment.setup(context(segment, camera='opencv'))
    ended = after(segment, actions, name, 2, 'clip.mp4 does not exist')
    assert kinds(ended) == ['EmitEvent', 'RegisterEventHandler', 'EmitEvent']
    assert f'{name} ended with exit code 2' in reason_of(ended) and 'clip.mp4 does not exist' in reason_of(ended)


def test_exit_code_2_leaves_nodes_of_including_launch_file_alone(segment):
    actions = segment.setup(context(segment, (EXAMPLES / 'two_cameras.launch.py',), camera='opencv'))
    [stay_down] = after(segment, actions, 'camera', 2, 'clip.mp4 does not exist')
    assert type(stay_down.named['event']).__name__ == 'ShutdownProcess'
    [error] = segment.errors
    assert 'camera ended with exit code 2' in error and 'clip.mp4 does not exist' in error


@pytest.mark.parametrize('arguments, inherited, level', [
    ({'look': 'privat'}, {}, 'errors'), ({'replace': 'everybody'}, {}, 'errors'), ({}, {'loook': 'privacy'}, 'warnings')])
def test_included_launch_file_that_may_have_been_to_hide_people_does(segment, arguments, inherited, level):
    included = context(segment, (EXAMPLES / 'two_cameras.launch.py',), **arguments)
    included.launch_configurations = {**included.texts, **inherited}
    node = node_of(segment.setup(included), 'segmentation')
    assert node.named['parameters'][-1]['replace'] == 'people'
    assert [len(segment.errors), len(segment.warnings)] == [level == 'errors', level == 'warnings'] and not segment.infos


def test_foreign_arguments_of_including_launch_file_change_nothing(segment):
    included = context(segment, (EXAMPLES / 'two_cameras.launch.py',), camera='front')
    included.launch_configurations = {**included.texts, 'loop': 'true', 'map': 'map.yaml', 'thresold': '0.3'}
    node = node_of(segment.setup(included), 'segmentation')
    assert len(node.named['parameters']) == 1 and not segment.errors
    assert 'did you mean threshold?' in segment.warnings[0] and "camera = 'front' is not allowed" in segment.infos[0]


def test_exit_codes_of_foreign_camera_driver_mean_nothing(segment, prefix):
    prefix('usb_cam', 'usb_cam_node_exe')
    node = node_of(segment.setup(context(segment)), 'camera')
    assert node.named['package'] == 'usb_cam' and node.named['respawn'] is True and 'on_exit' not in node.named


def test_lifecycle_example_without_nav2_starts_nothing(load, prefix):
    description = load(EXAMPLES / 'lifecycle_manager.launch.py').generate_launch_description()
    assert 'sudo apt install ros-$ROS_DISTRO-nav2-lifecycle-manager' in reason_of(description.arguments[0])
    assert kinds(description.arguments[0]) == ['RegisterEventHandler', 'EmitEvent']
    prefix('nav2_lifecycle_manager', 'lifecycle_manager')
    description = load(EXAMPLES / 'lifecycle_manager.launch.py').generate_launch_description()
    assert kinds(description.arguments[0]) == ['IncludeLaunchDescription', 'Node']


def test_launch_files_look_for_foreign_programs_first():
    """Launch gives up on a program that is not there, and what it started before runs on without a parent."""
    texts = {path.name: path.read_text(encoding='utf-8') for path in LAUNCH_FILES}
    foreign = {(name, package) for name, text in texts.items() for package in re.findall(r"package='(\w+)'", text)
               if package != 'self_segmentation'}
    assert foreign and not {(name, package) for name, package in foreign if f"find_program('{package}'" not in texts[name]}

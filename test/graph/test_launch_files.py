# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The launch files, run by the real launch where the machine has it: ``pip install`` does not, apt and a source build do."""
import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, SAMPLE, Program, full_name, unique, wait_until
from ros import message_of
from sensor_msgs.msg import Image

pytest.importorskip('launch_ros.actions', reason='launch and launch_ros are not installed: the launch files are not run')

SEGMENT = ROOT / 'launch' / 'segment.launch.py'
NAV2 = 'nav2'  # a prefix of its own, which may be missing
OUR_PROGRAMS = ('camera_node', 'segmentation_node', 'studio_node', 'viewer_node')
IMAGE_VARIABLES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE', 'MALLOC_ARENA_MAX',
                   'MALLOC_MMAP_THRESHOLD_', 'MALLOC_TRIM_THRESHOLD_')

# As `ros2 launch FILE ARGUMENTS`, and says what is started.
LAUNCH = """
import json, sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.event_handlers import OnProcessStart
from launch.launch_description_sources import PythonLaunchDescriptionSource

def say(event, context):
    print('STARTED', json.dumps([event.cmd, dict(event.env or {})]), flush=True)

file, *arguments = sys.argv[1:]
service = LaunchService(argv=arguments, noninteractive=True)  # it passes the end on
service.context.register_event_handler(OnProcessStart(on_start=say))
service.include_launch_description(LaunchDescription([
    IncludeLaunchDescription(PythonLaunchDescriptionSource(file), launch_arguments=[each.split(':=', 1) for each in arguments])]))
sys.exit(service.run())
"""

PARENT = """
from launch import LaunchDescription
from launch.actions import *
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import PushRosNamespace, SetRemap

def segment(**arguments):
    return IncludeLaunchDescription(PythonLaunchDescriptionSource({segment!r}), launch_arguments=arguments.items())

def generate_launch_description():
    return LaunchDescription({actions})
"""


class Started:
    """A process that was started: its program, its ROS arguments by kind, the parameters of its files, its environment."""

    def __init__(self, line: str) -> None:
        command, self.environment = json.loads(line)
        self.program, self.arguments = Path(command[0]).name, command[1:]
        pairs = list(zip(command, command[1:]))
        self.rules = dict(reversed([rule.split(':=') for flag, rule in pairs if flag == '-r']))  # the first one counts
        self.levels = [level for flag, level in pairs if flag == '--log-level']
        self.parameters = {}
        for file in (file for flag, file in pairs if flag == '--params-file'):
            for section in yaml.load(Path(file).read_text(), yaml.FullLoader).values():
                self.parameters.update(section.get('ros__parameters', {}))  # none where it is of a node in a namespace


class Launch:
    """A running launch file."""

    def __init__(self, program: Program) -> None:
        self.program = program

    @property
    def said(self) -> str:
        return self.program.said

    def started(self, *programs: str) -> list[Started]:
        """Wait until these are started, and return them in this order."""
        def found() -> dict[str, Started]:
            if self.program.code is not None:
                pytest.fail(f'launch ended; it said:\n{self.said}')
            return {each.program: each for each in map(Started, re.findall(r'^STARTED (.*)$', self.said, re.MULTILINE))}

        wait_until(lambda: found().keys() >= set(programs), f'the start of {programs}')
        return [found()[program] for program in programs]


@pytest.fixture(scope='module')
def prefix(tmp_path_factory) -> Path:
    """Where ROS finds the programs of this source tree, and a driver and a manager that do nothing."""
    prefix = tmp_path_factory.mktemp('prefix')

    def install(package: str, prefix: Path = prefix, **programs: str) -> None:
        marker = prefix / 'share' / 'ament_index' / 'resource_index' / 'packages' / package
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
        for name, command in programs.items():
            path = prefix / 'lib' / package / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f'#!/bin/sh\nexec {command}\n')
            path.chmod(0o755)

    install('self_segmentation', **{name: f'${{{name.upper()}:-{sys.executable} -m {full_name(name)}}} "$@"'
                                    for name in OUR_PROGRAMS})  # a test may put a program of its own in the place of one
    (prefix / 'share' / 'self_segmentation').symlink_to(ROOT)
    install('usb_cam', usb_cam_node_exe='sleep 1000')
    install('rclcpp_components', component_container_mt='sleep 1000')
    install('rtabmap_odom', rgbd_odometry='sleep 1000')
    install('rtabmap_slam', rtabmap='sleep 1000')
    install('nav2_lifecycle_manager', prefix.parent / NAV2, lifecycle_manager='sleep 1000')
    return prefix


@pytest.fixture
def launch(start, prefix, tmp_path):
    """Start a launch file, or a parent's actions: ``launch(SEGMENT, 'camera:=none')``, ``launch('[segment()]')``."""
    def launch(file: Path | str, *arguments: str, nav2: bool = True, **variables: str) -> Launch:
        if isinstance(file, str):
            actions, file = file, tmp_path / 'parent.launch.py'
            file.write_text(PARENT.format(segment=str(SEGMENT), actions=actions))
        environment = {name: value for name, value in os.environ.items() if name not in (*IMAGE_VARIABLES, 'DISPLAY')}
        prefixes = [prefix, prefix.parent / NAV2] if nav2 else [prefix]
        environment |= {'AMENT_PREFIX_PATH': os.pathsep.join(map(str, [*prefixes, os.environ.get('AMENT_PREFIX_PATH', '')])),
                        'PYTHONPATH': os.pathsep.join(filter(None, sys.path)), **variables}
        return Launch(start('', command=[sys.executable, '-c', LAUNCH, str(file), *arguments], env=environment))

    return launch


def test_launches_camera_and_node_with_given_settings(launch, graph):
    namespace = unique('launched')
    pictures, _ = graph.listen(f'/{namespace}/segmentation/output')
    running = launch(SEGMENT, 'camera:=opencv', f'video_device:={SAMPLE}', 'viewer:=none', f'namespace:={namespace}', 'flip:=off',
                     'background.color:=0,128,0', 'edge.epsilon:=1', 'params_file:=config/tutorial.yaml')
    camera, node = running.started('camera_node', 'segmentation_node')
    assert camera.parameters == {'video_device': str(SAMPLE)}
    given = {'flip': False, 'background.color': (0, 128, 0), 'edge.epsilon': 1.0}
    assert node.parameters.items() >= given.items() and node.parameters['threshold'] == 0.1
    graph.wait_until(lambda: pictures, 'a picture')
    running.program.send(signal.SIGINT)
    assert running.program.exit_code() == 0, running.said


@pytest.mark.parametrize('argument, reason', [
    ('camra:=none', 'camra is not an argument of this launch file: did you mean camera?'),
    ('camera:=usbcam', "camera = 'usbcam' is not allowed: it takes usb_cam, v4l2_camera, camera_ros, opencv, none"),
    ('threshold:=2', 'threshold = 2.0 (from a launch argument) is not allowed: it takes a number from 0 to 1'),
    ('params_file:=config/nowhere.yaml', str(ROOT / 'config' / 'nowhere.yaml'))])
def test_wrong_launch_argument_stops_with_reason(launch, argument, reason):
    running = launch(SEGMENT, argument)
    assert running.program.exit_code() == 1 and reason in running.said and 'STARTED' not in running.said, running.said


def test_web_viewer_is_the_studio_of_the_node(launch):
    running = launch(SEGMENT, 'camera:=none', 'viewer:=web', 'web_port:=0', 'namespace:=robot1')
    [studio] = running.started('studio_node')  # without a display
    assert studio.parameters == {'node': '/robot1/segmentation', 'host': '127.0.0.1', 'port': 0}
    wait_until(lambda: 'open http://127.0.0.1:' in running.said, 'its address')


def test_only_camera_driver_gets_image_environment(launch):
    running = launch('[segment(viewer="none"), ExecuteProcess(cmd=["sleep", "1000"])]')
    driver, node, later = running.started('usb_cam_node_exe', 'segmentation_node', 'sleep')
    assert driver.environment['MALLOC_ARENA_MAX'] == '1'
    assert [value for name, value in driver.environment.items() if name in IMAGE_VARIABLES and value.endswith('fastdds.xml')]
    assert not {*node.environment, *later.environment} & set(IMAGE_VARIABLES)


def test_tolerates_parent_arguments_of_same_name(launch):
    running = launch("""[
        DeclareLaunchArgument('camera', default_value='front'), DeclareLaunchArgument('namespace', default_value='robot1'),
        DeclareLaunchArgument('use_sim_time', default_value='True'), DeclareLaunchArgument('respawn', default_value='0'),
        PushRosNamespace(LaunchConfiguration('namespace')), segment()]""")
    driver, node = running.started('usb_cam_node_exe', 'segmentation_node')
    assert "camera = 'front' is not allowed" in running.said
    for each in (driver, node):
        assert each.rules['__ns'] == '/robot1' and each.parameters['use_sim_time'] is True
    assert 'The picture is on /robot1/segmentation/output' in running.said


def test_launch_arguments_do_not_leak_to_parent(launch):
    running = launch("""[segment(viewer='none'), LogInfo(msg=['later: ', LaunchConfiguration('params_file', default='none')])]""")
    running.started('segmentation_node')
    assert 'later: none' in running.said


def test_remap_in_pushed_namespace_reaches_every_node(launch):
    running = launch("""[PushRosNamespace('robot1'), SetRemap('image_raw', 'front/image'), SetRemap('~/output', '/shown'),
                         segment(viewer='window')]""", DISPLAY=':99')
    driver, node, viewer = running.started('usb_cam_node_exe', 'segmentation_node', 'viewer_node')
    for private in ('', '~/'):
        assert driver.rules[f'{private}image_raw/compressed'] == '/robot1/front/image/compressed'
        assert driver.rules[f'{private}camera_info'] == '/robot1/front/camera_info'
    assert driver.rules['image_raw'] == node.rules['image_raw'] == 'front/image'
    assert viewer.rules['image'] == '/shown' and viewer.rules['__ns'] == '/robot1'


def test_image_topic_remaps_every_camera_topic(launch):
    running = launch(SEGMENT, 'image_topic:=front/image_raw', 'viewer:=none')
    driver, node = running.started('usb_cam_node_exe', 'segmentation_node')
    assert node.rules['image_raw'] == driver.rules['image_raw'] == driver.rules['~/image_raw'] == '/front/image_raw'
    assert driver.rules['image_raw/compressed'] == driver.rules['~/image_raw/compressed'] == '/front/image_raw/compressed'


def test_log_level_sets_own_logger_only(launch, graph):
    running = launch(SEGMENT, 'camera:=none', 'viewer:=none', 'namespace:=a/b', 'log_level:=DEBUG')
    [node] = running.started('segmentation_node')
    assert node.levels == ['a.b.segmentation:=debug']
    graph.wait_until(lambda: ('segmentation', '/a/b') in graph.node.get_node_names_and_namespaces(), 'the node')
    assert '[rcl]' not in running.said


def test_two_cameras_example_serves_both_in_simulated_time(launch, graph, astronaut):
    running = launch(ROOT / 'launch' / 'examples' / 'two_cameras.launch.py')
    masks = {side: graph.listen(f'/{side}/segmentation/mask')[0] for side in ('front', 'rear')}
    cameras = [graph.node.create_publisher(Image, f'/{side}_camera/image_raw', 1) for side in masks]

    def send() -> None:
        for camera in cameras:
            camera.publish(message_of(astronaut))
        graph.spin()

    wait_until(lambda: all(masks.values()), 'the masks of both', send)
    started = [Started(line) for line in re.findall(r'^STARTED (.*)$', running.said, re.MULTILINE)]
    assert [each.program for each in started] == ['segmentation_node'] * 2
    by_namespace = {each.rules['__ns']: each.parameters for each in started}
    assert by_namespace['/front']['background.color'] == (0, 128, 0) and 'background.color' not in by_namespace['/rear']
    assert by_namespace['/front']['flip'] and not by_namespace['/rear']['flip'] and by_namespace['/rear']['model'] == 'landscape'
    assert all(parameters['use_sim_time'] is True for parameters in by_namespace.values())


def test_lifecycle_manager_example_disables_autostart(launch):
    node, manager = launch(ROOT / 'launch' / 'examples' / 'lifecycle_manager.launch.py').started(
        'segmentation_node', 'lifecycle_manager')
    assert node.parameters['autostart'] is False
    assert manager.parameters == {'node_names': ('segmentation',), 'autostart': True, 'bond_timeout': 0.0}


OF_CONSUMERS = {'depth': 'component_container_mt', 'cuvslam': 'component_container_mt', 'rtabmap': 'rgbd_odometry',
                'nav2_semantic_layer': 'component_container_mt', 'nvblox': 'component_container_mt'}


@pytest.mark.parametrize('consumer', [path.stem for path in sorted((ROOT / 'config' / 'consumers').glob('*.yaml'))])
def test_consumers_example_starts_node_for_robot_beside_consumer(launch, consumer):
    running = launch(ROOT / 'launch' / 'examples' / 'consumers.launch.py', f'consumer:={consumer}', 'camera_name:=/head')
    node, *others = running.started('segmentation_node', *filter(None, [OF_CONSUMERS.get(consumer)]))
    assert node.rules['image_raw'] == '/head/color/image_raw' and node.rules['depth/image'] == '/head/depth/image_raw'
    assert node.parameters['flip'] is False and node.parameters['mask']['values'] == 'class'
    if consumer == 'rtabmap':
        assert others[0].rules['depth/image'] == '/segmentation/depth/background'
        assert others[0].rules['rgb/image'] == '/head/color/image_raw'


# ---- what follows a program's end

def pids(running: Launch, program: str) -> list[int]:
    """The processes that were started of a program, in turn."""
    return [int(pid) for pid in re.findall(rf'\[{program}-\d+\]: process started with pid \[(\d+)\]', running.said)]


def is_running(pid: int) -> bool:
    return Path(f'/proc/{pid}').exists()


def program_that(tmp_path: Path, name: str, text: str) -> dict[str, str]:
    """The environment that puts a shell script in the place of a program."""
    path = tmp_path / name
    path.write_text(f'#!/bin/sh\n{text}\n')
    path.chmod(0o755)
    return {name.upper(): str(path)}


@pytest.mark.parametrize('ends, said', [
    ({'params_file': '{tmp_path}/broken.yaml', 'camera': 'none'}, 'broken.yaml'),
    ({'video_device': '{tmp_path}/missing.mp4', 'camera': 'opencv'}, 'missing.mp4')])
def test_launch_ends_with_reason_when_program_would_fail_again(launch, tmp_path, ends, said):
    (tmp_path / 'broken.yaml').write_text('segmentation: {ros__parameters: {threshold: [1}\n')
    running = launch(SEGMENT, 'viewer:=none', *(f'{name}:={value.format(tmp_path=tmp_path)}' for name, value in ends.items()))
    assert running.program.exit_code() == 1, running.said
    last = [line for line in running.said.splitlines() if line.startswith('[ERROR] [launch]')][-1]
    assert 'exit code 2' in last and said in last
    assert len(pids(running, 'camera_node')) <= 1 and len(pids(running, 'segmentation_node')) == 1
    assert not any(map(is_running, pids(running, 'camera_node') + pids(running, 'segmentation_node')))


def test_launch_restarts_program_that_failed_or_was_killed(launch, tmp_path):
    camera = program_that(tmp_path, 'camera_node', 'exit 1')
    running = launch(SEGMENT, 'camera:=opencv', 'viewer:=none', **camera)
    running.started('segmentation_node')
    wait_until(lambda: len(pids(running, 'camera_node')) >= 3, 'the third start of the camera')
    [node] = pids(running, 'segmentation_node')
    os.kill(node, signal.SIGKILL)
    wait_until(lambda: len(pids(running, 'segmentation_node')) >= 2, 'the second start of the node')
    running.program.send(signal.SIGINT)
    assert running.program.exit_code() == 0, running.said
    assert not any(map(is_running, pids(running, 'segmentation_node')))


def test_ctrl_c_while_program_waits_for_its_restart_ends_launch(launch, tmp_path):
    running = launch(SEGMENT, 'camera:=opencv', 'viewer:=none', **program_that(tmp_path, 'camera_node', 'exit 1'))
    wait_until(lambda: 'process has died' in running.said, 'the end of the camera')
    running.program.send(signal.SIGINT)
    assert running.program.exit_code() == 0, running.said
    assert 'process started' not in running.said.partition('user interrupted')[2], running.said


def test_program_that_is_done_is_not_restarted(launch, tmp_path):
    programs = program_that(tmp_path, 'camera_node', 'exit 0') | program_that(tmp_path, 'segmentation_node', 'sleep 4')
    running = launch(SEGMENT, 'camera:=opencv', 'viewer:=none', **programs)
    assert running.program.exit_code() == 0, running.said  # by itself, as nothing runs any more
    assert len(pids(running, 'camera_node')) == len(pids(running, 'segmentation_node')) == 1


def test_program_that_would_fail_again_leaves_including_launch_file_running(launch, tmp_path):
    running = launch('[ExecuteProcess(cmd=["sleep", "1000"]), segment(camera="opencv", viewer="none")]',
                     **program_that(tmp_path, 'camera_node', 'echo clip.mp4 does not exist; exit 2'))
    _, node = running.started('sleep', 'segmentation_node')
    wait_until(lambda: 'camera ended with exit code 2, as it would again: clip.mp4 does not exist' in running.said, 'the reason')
    wait_until(lambda: 'configured:' in running.said, 'the node')
    assert running.program.code is None and len(pids(running, 'camera_node')) == 1
    running.program.send(signal.SIGINT)
    assert running.program.exit_code() == 0, running.said


@pytest.mark.parametrize('included', ['segment(params_file="/nowhere.yaml")', 'segment(namespace="my-robot")',
                                      'IncludeLaunchDescription(PythonLaunchDescriptionSource({lifecycle!r}))'])
def test_launch_that_cannot_start_all_leaves_nothing_running(launch, included):
    lifecycle = str(ROOT / 'launch' / 'examples' / 'lifecycle_manager.launch.py')
    running = launch(f'[ExecuteProcess(cmd=["sleep", "1000"]), {included.format(lifecycle=lifecycle)}]', nav2=False)
    assert running.program.exit_code() == 1, running.said
    [sleep] = pids(running, 'sleep')
    assert not is_running(sleep) and not pids(running, 'segmentation_node')


def test_launch_reports_parameter_file_for_another_node(launch, tmp_path):
    (tmp_path / 'other.yaml').write_text('/rear/segmentation: {ros__parameters: {threshold: 0.3}}\n')
    running = launch(SEGMENT, 'camera:=none', 'viewer:=none', 'namespace:=front', f'params_file:={tmp_path / "other.yaml"}')
    said = f'parameter file {tmp_path / "other.yaml"}: nothing is taken from it: it is for /rear/segmentation, and this is ' \
           '/front/segmentation'
    wait_until(lambda: running.said.count(said) == 2, 'the word of the launch file and of the node')

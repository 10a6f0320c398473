# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
Camera driver, segmentation node and viewer. ``ros2 launch self_segmentation segment.launch.py --show-args``.

People and masks are mirrored by default, and then a box or position is on the other side. ``look:=robot`` does not mirror.

Every setting of the node is an argument too: ``threshold:=0.3 background.color:=0,128,0``.
"""

import os
from collections.abc import Mapping

from launch.actions import DeclareLaunchArgument, EmitEvent, GroupAction, LogInfo, OpaqueFunction, RegisterEventHandler
from launch.event_handlers import OnProcessIO
from launch.events import matches_action
from launch.events.process import ProcessExited, ProcessIO, ShutdownProcess
from launch.logging import get_logger
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

import self_segmentation.launching as launching
from launch import LaunchContext, LaunchDescription
from self_segmentation.errors import SettingsError
from self_segmentation.launching import CAMERAS, Argument, words
from self_segmentation.middleware import image_environment
from self_segmentation.resources import data_path
from self_segmentation.settings import BOOLEANS, LOOKS, TUNABLES, look_file

PACKAGE = 'self_segmentation'
RESPAWN_DELAY = 2.0  # seconds

ARGUMENTS = {
    'camera': Argument('usb_cam', 'Camera driver; opencv is our own and reads files too; none starts no camera.',
                       words('usb_cam', 'v4l2_camera', 'camera_ros', 'opencv', 'none')),
    'video_device': Argument('/dev/video0', 'The camera: a device such as /dev/video0; for camera:=opencv also a number, a '
                                            'video, a picture or a folder of them; for camera:=camera_ros its number or name.'),
    'image_width': Argument('', "Width of the camera's images in pixels; empty: the driver's default.", number=int),
    'image_height': Argument('', "Height of the camera's images in pixels; empty: the driver's default.", number=int),
    'framerate': Argument('', "Images a second; empty: the driver's default.", number=float),
    'frame_id': Argument('', "frame_id of the camera's images; empty: the driver's default."),
    'camera_info_url': Argument('', 'Calibration of the camera: file:///PATH.yaml or package://PACKAGE/PATH.yaml.'),
    'image_topic': Argument('image_raw', 'Topic of the camera images.'),
    'params_file': Argument(str(data_path('config', 'segmentation.yaml')),
                            "YAML with the node's parameters; a relative path may also lie in the package's share folder."),
    'look': Argument('', 'Preset; it wins over params_file, and arguments for single settings win over it. robot does not '
                             'mirror, because a mirrored box, mask or position is on the other side.',
                     words(*LOOKS)),
    'namespace': Argument('', 'Namespace of all nodes.'),
    'use_sim_time': Argument('', 'Whether the nodes take the time from /clock; empty: as in params_file.', BOOLEANS),
    'log_level': Argument('', 'Log level of camera and node; empty: default.', words('debug', 'info', 'warn', 'error', 'fatal')),
    'respawn': Argument('true', 'Start camera, node and viewer again 2 s after a failure, unless their arguments, settings or '
                                'files are wrong.', BOOLEANS),
    'viewer': Argument('rqt', 'rqt_image_view, a plain window, the studio (a web page), or none.',
                       words('rqt', 'window', 'web', 'none')),
    'web_host': Argument('127.0.0.1', 'Address of the studio; 0.0.0.0: all of this machine, with a token that is logged.'),
    'web_port': Argument('8080', 'Port of the studio.'),
}


def declarations() -> list:
    """Return the declarations of all arguments."""
    own = {name: (each.default, f'{each.text} Takes {each.allowed}.') for name, each in ARGUMENTS.items()}
    settings = {each.name: ('', f'{each.text} Takes {each.allowed}; empty: as in params_file.') for each in TUNABLES.values()}
    return [DeclareLaunchArgument(name, default_value=default, description=text)
            for name, (default, text) in {**own, **settings}.items()]


def own_node(name: str, executable: str, respawn: bool, ends_launch: bool, **more) -> list:
    """
    Return the actions that start a node of this package, and start it again after a failure that may pass.

    :param ends_launch: whether any other failure ends the launch; otherwise it is logged, and the other nodes run on.
    """
    last_line = ''

    def on_output(event: ProcessIO) -> None:
        nonlocal last_line
        last_line = ([line for line in event.text.decode(errors='replace').splitlines() if line] or [last_line])[-1]

    def on_exit(event: ProcessExited, context: LaunchContext) -> list:
        after = launching.after_exit(event.returncode, name, last_line)
        if context.is_shutdown or after.is_restarted:
            return []
        stay_down = EmitEvent(event=ShutdownProcess(process_matcher=matches_action(node)))  # launch would start it again
        if after.reason and ends_launch:
            return [stay_down, *launching.ending(after.reason)]
        if after.reason:
            get_logger(PACKAGE).error(after.reason)
        return [stay_down]

    node = Node(package=PACKAGE, executable=executable, name=name, output='screen', respawn=respawn, respawn_delay=RESPAWN_DELAY,
                on_exit=on_exit, **more)
    return [RegisterEventHandler(OnProcessIO(target_action=node, on_stdout=on_output, on_stderr=on_output)), node]


def camera_actions(given: Mapping, topic: str, environment: Mapping, parameters: list, is_direct: bool, common: dict) -> list:
    """
    Return the actions that start the camera.

    :param given: the values of the arguments.
    :param parameters: of a parameter file; arguments that are given win over them.
    """
    driver, respawn = given['camera'], given['respawn']
    if driver == 'none':
        return []
    log = []
    if driver != 'opencv' and (problem := launching.find_program(driver, CAMERAS[driver].executable)):
        log = [LogInfo(msg=f"The camera driver {problem}. This package's own is used, as with camera:=opencv.")]
        driver = 'opencv'
    executable, own = CAMERAS[driver].executable, CAMERAS[driver].parameters(given)
    is_default = given['video_device'] == ARGUMENTS['video_device'].default
    default = {CAMERAS[driver].device: own.pop(CAMERAS[driver].device, '')} if is_default and driver != 'camera_ros' else {}
    clock = {} if given['use_sim_time'] is None else {'use_sim_time': given['use_sim_time']}
    names = {'image_raw': topic, 'image_raw/compressed': f'{topic}/compressed',
             'camera_info': f'{topic.rpartition("/")[0]}/camera_info'}
    remappings = [(private + name, to) for name, to in names.items() for private in ('', '~/')]  # camera_ros has private ones
    common = {**common, 'parameters': [*filter(None, (default, *parameters, own, clock))], 'remappings': remappings}
    if driver == 'opencv':
        return [*log, *own_node('camera', executable, respawn, is_direct, **common)]
    added, sentence = image_environment(environment)  # our own nodes set their environment themselves
    return [LogInfo(msg=sentence), Node(package=driver, executable=executable, name='camera', output='screen', respawn=respawn,
                                        respawn_delay=RESPAWN_DELAY, additional_env=added, **common)]


def viewer_actions(viewer: str, topic: str, namespace: str, host: str, port: str, respawn: bool) -> list:
    """
    Return the actions that start the viewer.

    :param topic: fully resolved: rqt ignores namespaces and remaps.
    """
    if viewer == 'none':
        return []
    if viewer == 'web':
        parameters = {'node': f'{namespace.rstrip("/")}/segmentation', 'host': host,
                      'port': int(port) if port.isdecimal() else port}
        return own_node('studio', 'studio_node', respawn, ends_launch=False, namespace=namespace, parameters=[parameters])
    if not (os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')):
        return [LogInfo(msg=f'No viewer: there is no display. The picture is on {topic}.')]
    if viewer == 'rqt' and (problem := launching.find_program('rqt_image_view', 'rqt_image_view')):
        return [LogInfo(msg=f'No viewer: {problem}, or viewer:=window. The picture is on {topic}.')]
    if viewer == 'rqt':
        return [Node(package='rqt_image_view', executable='rqt_image_view', arguments=[topic], output='screen')]
    return own_node('viewer', 'viewer_node', respawn, ends_launch=False, namespace=namespace, remappings=[('image', topic)])


def setup(context: LaunchContext) -> list:
    """Return the actions for the arguments; if they are wrong, those that end the launch with the reason."""
    try:
        return actions(context)
    except SettingsError as error:
        return launching.ending(str(error))


def actions(context: LaunchContext) -> list:
    """
    Return the actions that start everything.

    :raises SettingsError: naming the arguments that are wrong.
    """
    is_direct = launching.is_started_directly(context, __file__)
    texts = {name: LaunchConfiguration(name).perform(context) for name in (*ARGUMENTS, *TUNABLES)}
    if is_direct:
        launching.refuse_unknown(context.argv, texts)
    given, settings, lines = launching.read_arguments(ARGUMENTS, texts, strict=is_direct)
    for executable in ('camera_node', 'segmentation_node', 'studio_node', 'viewer_node'):
        if problem := launching.find_program(PACKAGE, executable):
            raise SettingsError({PACKAGE: problem})
    inherited = context.launch_configurations
    if not is_direct:
        lines += launching.cover_misspelt(inherited, ARGUMENTS, settings)
    for level, text in lines:
        getattr(get_logger(PACKAGE), level)(text)
    namespace = launching.join_namespaces(inherited.get('ros_namespace', ''), given['namespace'])
    remaps = [*inherited.get('ros_remaps', []), ('image_raw', given['image_topic'])]
    topic, output = (launching.remapped(name, remaps, namespace, 'segmentation') for name in ('image_raw', '~/output'))
    parameter_file = launching.find_file(given['params_file'])
    problem = launching.unused(parameter_file, f'{namespace.rstrip("/")}/segmentation')
    camera_files = launching.parameter_files(parameter_file, f'{namespace.rstrip("/")}/camera')
    look = str(look_file(given['look'])) if given['look'] else None
    clock = {} if given['use_sim_time'] is None else {'use_sim_time': given['use_sim_time']}

    def common(name: str) -> dict:
        logger = f'{namespace}/{name}'.strip('/').replace('/', '.')
        level = ['--log-level', f'{logger}:={given["log_level"]}'] if given['log_level'] else []  # not for ROS's own loggers
        return {'namespace': namespace, 'ros_arguments': level}

    return [
        *([LogInfo(msg=problem)] if problem else []),
        *camera_actions(given, topic, context.environment, camera_files,
                        is_direct, common('camera')),
        *own_node('segmentation', 'segmentation_node', given['respawn'], is_direct, remappings=[('image_raw', topic)],
                  parameters=[*filter(None, (parameter_file, look, settings, clock))], **common('segmentation')),
        *viewer_actions(given['viewer'], output, namespace, given['web_host'], given['web_port'], given['respawn']),
    ]


def generate_launch_description() -> LaunchDescription:
    """Return the launch description; its group keeps its arguments from a parent that uses the same names."""
    return LaunchDescription([GroupAction([*declarations(), OpaqueFunction(function=setup)])])

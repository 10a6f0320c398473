# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
Camera driver, segmentation node and viewer. ``ros2 launch self_segmentation segment.launch.py --show-args``.

Every setting of the node is an argument too: ``threshold:=0.3 background.color:=0,128,0``.
"""

import os
from collections.abc import Mapping

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch.actions import DeclareLaunchArgument, GroupAction, LogInfo, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

import self_segmentation.launching as launching
from launch import LaunchContext, LaunchDescription
from self_segmentation.launching import Argument, words
from self_segmentation.middleware import image_environment
from self_segmentation.resources import share
from self_segmentation.settings import BOOLEANS, LOOKS, TUNABLES, look_file

PACKAGE = 'self_segmentation'

ARGUMENTS = {
    'camera': Argument('usb_cam', 'Camera driver; opencv is our own and takes files too, none starts no camera.',
                       words('usb_cam', 'v4l2_camera', 'camera_ros', 'opencv', 'none')),
    'video_device': Argument('/dev/video0', 'The camera: a device such as /dev/video0; for camera:=opencv also a number, a '
                                            'video, a picture or a folder of them; for camera:=camera_ros its number or name.'),
    'image_topic': Argument('image_raw', 'Topic of the camera images, which the camera publishes and the node subscribes.'),
    'params_file': Argument(str(share('config', 'segmentation.yaml')),
                            "YAML with the node's parameters; a relative path is looked for in the package's share folder too."),
    'look': Argument('', 'Settings that go together, which win over params_file; arguments of their own win over them.',
                     words(*LOOKS)),
    'namespace': Argument('', 'Namespace of all nodes.'),
    'use_sim_time': Argument('', 'Whether the nodes take the time from /clock; empty: as params_file says.', BOOLEANS),
    'log_level': Argument('', 'What camera and node say; empty: as usual.', words('debug', 'info', 'warn', 'error', 'fatal')),
    'respawn': Argument('true', 'Whether camera and node are started again, after 2 s, when they die.', BOOLEANS),
    'viewer': Argument('rqt', 'rqt_image_view, a plain window, the studio (a web page), or none.',
                       words('rqt', 'window', 'web', 'none')),
    'web_host': Argument('127.0.0.1', 'Address of the studio; 0.0.0.0 for all of this machine, with a token that is in the log.'),
    'web_port': Argument('8080', 'Port of the studio.'),
}


def declarations() -> list:
    """Return the declarations of all arguments."""
    own = {name: (each.default, f'{each.text} Takes {each.allowed}.') for name, each in ARGUMENTS.items()}
    settings = {each.name: ('', f'{each.text} Takes {each.allowed}; empty: as params_file says.') for each in TUNABLES.values()}
    return [DeclareLaunchArgument(name, default_value=default, description=text)
            for name, (default, text) in {**own, **settings}.items()]


def installed(package: str) -> bool:
    """Return whether a ROS package is there: launch gives up altogether on a node whose package is not."""
    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        return False
    return True


def camera_actions(driver: str, device: str, topic: str, environment: Mapping, clock: dict, common: dict) -> list:
    """Return what starts the camera."""
    drivers = {
        'usb_cam': ('usb_cam_node_exe', {'video_device': device}),
        'v4l2_camera': ('v4l2_camera_node', {'video_device': device}),
        'camera_ros': ('camera_node', {} if device == '/dev/video0' else {'camera': int(device) if device.isdigit() else device}),
        PACKAGE: ('camera_node', {'video_device': device}),
    }
    if driver == 'none':
        return []
    package, said, added = PACKAGE, [], {}  # our own nodes see to their environment themselves
    if driver != 'opencv' and not installed(driver):
        name = driver.replace('_', '-')
        said.append(LogInfo(msg=f'The camera driver {driver} is not installed (sudo apt install ros-$ROS_DISTRO-{name}): '
                                "using this package's own, as camera:=opencv does."))
    elif driver != 'opencv':
        package = driver
        added, sentence = image_environment(environment)
        said.append(LogInfo(msg=sentence))
    executable, own = drivers[package]
    names = {'image_raw': topic, 'image_raw/compressed': f'{topic}/compressed',
             'camera_info': f'{topic.rpartition("/")[0]}/camera_info'}
    remappings = [(private + name, to) for name, to in names.items() for private in ('', '~/')]  # camera_ros has private ones
    return [*said, Node(package=package, executable=executable, additional_env=added, remappings=remappings,
                        parameters=[*filter(None, (own, clock))], **common)]


def viewer_actions(viewer: str, topic: str, namespace: str, host: str, port: str) -> list:
    """Return what starts the viewer, on the fully resolved topic: rqt ignores namespaces and remaps."""
    if viewer == 'none':
        return []
    if viewer == 'web':
        return [Node(package=PACKAGE, executable='studio_node', name='studio', namespace=namespace, output='screen',
                     parameters=[{'node': f'{namespace.rstrip("/")}/segmentation', 'host': host,
                                  'port': int(port) if port.isdecimal() else port}])]
    if not (os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')):
        return [LogInfo(msg=f'No viewer: there is no display. The picture is on {topic}.')]
    if viewer == 'rqt' and not installed('rqt_image_view'):
        return [LogInfo(msg=f'No viewer: rqt_image_view is not installed (sudo apt install ros-$ROS_DISTRO-rqt-image-view, or '
                            f'viewer:=window). The picture is on {topic}.')]
    if viewer == 'rqt':
        return [Node(package='rqt_image_view', executable='rqt_image_view', arguments=[topic], output='screen')]
    return [Node(package=PACKAGE, executable='viewer_node', name='viewer', namespace=namespace, output='screen',
                 remappings=[('image', topic)])]


def setup(context: LaunchContext) -> list:
    """Return what is started, now that the arguments are known."""
    is_direct = launching.is_started_directly(PACKAGE, __file__)
    texts = {name: LaunchConfiguration(name).perform(context) for name in (*ARGUMENTS, *TUNABLES)}
    if is_direct:
        launching.refuse_unknown(context.argv, texts)
    given, settings, problems = launching.read_arguments(ARGUMENTS, texts, strict=is_direct)
    inherited = context.launch_configurations
    namespace = launching.join_namespaces(inherited.get('ros_namespace', ''), given['namespace'])
    remaps = [*inherited.get('ros_remaps', []), ('image_raw', given['image_topic'])]
    topic, output = (launching.remapped(name, remaps, namespace, 'segmentation') for name in ('image_raw', '~/output'))
    parameter_file = launching.find_file(given['params_file'])
    look = str(look_file(given['look'])) if given['look'] else None
    clock = {} if given['use_sim_time'] is None else {'use_sim_time': given['use_sim_time']}

    def common(name: str) -> dict:
        logger = f'{namespace}/{name}'.strip('/').replace('/', '.')
        level = ['--log-level', f'{logger}:={given["log_level"]}'] if given['log_level'] else []  # not that of ROS itself
        return {'name': name, 'namespace': namespace, 'output': 'screen', 'ros_arguments': level,
                'respawn': given['respawn'], 'respawn_delay': 2.0}

    return [
        *(LogInfo(msg=problem) for problem in problems),
        *camera_actions(given['camera'], given['video_device'], topic, context.environment, clock, common('camera')),
        Node(package=PACKAGE, executable='segmentation_node', remappings=[('image_raw', topic)],
             parameters=[*filter(None, (parameter_file, look, settings, clock))], **common('segmentation')),
        *viewer_actions(given['viewer'], output, namespace, given['web_host'], given['web_port']),
    ]


def generate_launch_description() -> LaunchDescription:
    """Return the launch description; what it declares stays in it, as the parent may go on with names that are the same."""
    return LaunchDescription([GroupAction([*declarations(), OpaqueFunction(function=setup)])])

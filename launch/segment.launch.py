# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Camera driver, segmentation node and viewer. ``ros2 launch self_segmentation segment.launch.py --show-args``."""

import os

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch.actions import DeclareLaunchArgument, GroupAction, LogInfo, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node, PushRosNamespace, SetParameter

from launch import LaunchContext, LaunchDescription
from self_segmentation.middleware import image_environment
from self_segmentation.resources import share

PACKAGE = 'self_segmentation'

ARGUMENTS = [
    DeclareLaunchArgument('camera', default_value='usb_cam', choices=['usb_cam', 'v4l2_camera', 'camera_ros', 'opencv', 'none'],
                          description='Camera driver; opencv is our own and takes files too, none starts no camera.'),
    DeclareLaunchArgument('video_device', default_value='/dev/video0',
                          description='The camera: a device such as /dev/video0; for camera:=opencv also a number, a video, '
                                      'a picture or a folder of pictures; for camera:=camera_ros its number or name.'),
    DeclareLaunchArgument('image_topic', default_value='image_raw',
                          description='Topic of the camera images, which the camera publishes and the node subscribes.'),
    DeclareLaunchArgument('params_file', default_value=str(share('config', 'segmentation.yaml')),
                          description='YAML with the parameters of the segmentation node.'),
    DeclareLaunchArgument('namespace', default_value='', description='Namespace of all nodes.'),
    DeclareLaunchArgument('use_sim_time', default_value='false', choices=['true', 'false'],
                          description='Whether the nodes take the time from /clock.'),
    DeclareLaunchArgument('log_level', default_value='info', choices=['debug', 'info', 'warn', 'error', 'fatal'],
                          description='What the nodes say.'),
    DeclareLaunchArgument('respawn', default_value='true', choices=['true', 'false'],
                          description='Whether camera and segmentation node are started again, after 2 s, when they die.'),
    DeclareLaunchArgument('viewer', default_value='rqt', choices=['rqt', 'window', 'none'],
                          description='rqt_image_view, a plain window, or none.'),
]


def installed(package: str) -> bool:
    """Return whether a ROS package is there: launch gives up altogether on a node whose package is not."""
    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        return False
    return True


def camera_node(kind: str, device: str, common: dict) -> list:
    """Return the actions that start the camera."""
    number = int(device) if device.isdigit() else device
    drivers = {
        'usb_cam': {'package': 'usb_cam', 'executable': 'usb_cam_node_exe', 'parameters': [{'video_device': device}]},
        'v4l2_camera': {'package': 'v4l2_camera', 'executable': 'v4l2_camera_node', 'parameters': [{'video_device': device}]},
        'camera_ros': {'package': 'camera_ros', 'executable': 'camera_node',
                       'parameters': [] if device == '/dev/video0' else [{'camera': number}]},
        'opencv': {'package': PACKAGE, 'executable': 'camera_node', 'parameters': [{'video_device': device}]},
    }
    if kind == 'none':
        return []
    said = []
    if not installed(drivers[kind]['package']):
        name = kind.replace('_', '-')
        said = [LogInfo(msg=f'The camera driver {kind} is not installed (sudo apt install ros-$ROS_DISTRO-{name}): '
                            "using this package's own, as camera:=opencv does.")]
        kind = 'opencv'
    topic = dict(common['remappings'])['image_raw']
    remappings = [*common['remappings'], ('~/image_raw', topic)]  # camera_ros publishes on its private topic
    return [*said, Node(name='camera', output='screen', **{**common, 'remappings': remappings}, **drivers[kind])]


def viewer_node(kind: str, namespace: str, common: dict) -> list:
    """Return the actions that start the viewer, on the fully resolved topic: rqt ignores namespaces and remaps."""
    topic = '/'.join(['', *namespace.strip('/').split('/'), 'segmentation', 'output']).replace('//', '/')
    if kind == 'none':
        return []
    if not (os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')):
        return [LogInfo(msg=f'No viewer: there is no display. The picture is on {topic}.')]
    if kind == 'rqt' and not installed('rqt_image_view'):
        return [LogInfo(msg=f'No viewer: rqt_image_view is not installed (sudo apt install ros-$ROS_DISTRO-rqt-image-view, or '
                            f'viewer:=window). The picture is on {topic}.')]
    if kind == 'rqt':
        return [Node(package='rqt_image_view', executable='rqt_image_view', arguments=[topic], output='screen')]
    return [Node(package=PACKAGE, executable='viewer_node', name='viewer', output='screen',
                 **{**common, 'remappings': [('image', topic)]})]


def setup(context: LaunchContext) -> list:
    """Return what is started, now that the arguments are known."""
    def given(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    added, said = image_environment({**os.environ, **context.environment})
    common = {
        'arguments': ['--ros-args', '--log-level', given('log_level')],
        'remappings': [('image_raw', given('image_topic'))],
    }
    respawn = {'respawn': given('respawn') == 'true', 'respawn_delay': 2.0}
    segmentation = Node(package=PACKAGE, executable='segmentation_node', name='segmentation', output='screen',
                        parameters=[given('params_file')], **common, **respawn)
    return [
        LogInfo(msg=said),
        *(SetEnvironmentVariable(name, value) for name, value in added.items()),
        GroupAction([
            PushRosNamespace(given('namespace')),
            SetParameter('use_sim_time', given('use_sim_time') == 'true'),
            *camera_node(given('camera'), given('video_device'), {**common, **respawn}),
            segmentation,
            *viewer_node(given('viewer'), given('namespace'), common),
        ]),
    ]


def generate_launch_description() -> LaunchDescription:
    """Return the launch description."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=setup)])

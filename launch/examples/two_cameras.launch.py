# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
Two segmentation nodes for the two cameras of a simulation, or of ``ros2 bag play --clock``. Copy it to a package of yours.

The cameras publish /front_camera/image_raw and /rear_camera/image_raw; the nodes are /front/segmentation and
/rear/segmentation.
"""

from launch.actions import DeclareLaunchArgument, GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import PushRosNamespace, SetRemap
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

SEGMENT = PathJoinSubstitution([FindPackageShare('self_segmentation'), 'launch', 'segment.launch.py'])


def segmentation(side: str, **arguments: str) -> GroupAction:
    """Return the node of one camera. The group keeps the namespace, the remap and the arguments of one from the other."""
    return GroupAction([
        PushRosNamespace(side),
        SetRemap('image_raw', f'/{side}_camera/image_raw'),
        IncludeLaunchDescription(PythonLaunchDescriptionSource(SEGMENT), launch_arguments={
            'camera': 'none', 'viewer': 'none', 'use_sim_time': LaunchConfiguration('use_sim_time'), **arguments}.items()),
    ])


def generate_launch_description() -> LaunchDescription:
    """Return the launch description."""
    return LaunchDescription([
        DeclareLaunchArgument('use_sim_time', default_value='True', description='Whether the nodes take the time from /clock.'),
        segmentation('front', **{'background.color': '0,128,0'}),
        segmentation('rear', flip='False', model='landscape'),
    ])

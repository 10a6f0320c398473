# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Camera and segmentation node, which Nav2's lifecycle manager configures and activates. Copy it to a package of yours."""

from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription
from self_segmentation.launching import ending, find_program

SEGMENT = PathJoinSubstitution([FindPackageShare('self_segmentation'), 'launch', 'segment.launch.py'])


def generate_launch_description() -> LaunchDescription:
    """Return the launch description."""
    if problem := find_program('nav2_lifecycle_manager', 'lifecycle_manager'):
        return LaunchDescription(ending(problem))  # launch would give up on it, and leave the others running
    return LaunchDescription([
        IncludeLaunchDescription(PythonLaunchDescriptionSource(SEGMENT),
                                 launch_arguments={'autostart': 'False', 'viewer': 'none'}.items()),
        Node(package='nav2_lifecycle_manager', executable='lifecycle_manager', name='lifecycle_manager_segmentation',
             output='screen', parameters=[{
                 'node_names': ['segmentation'],
                 'autostart': True,
                 'bond_timeout': 0.0,  # the node keeps no bond with its manager, which would give up after 4 s
             }]),
    ])

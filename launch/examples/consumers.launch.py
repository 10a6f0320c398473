# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
The segmentation node for another node of a robot, and that node where it is one program. Copy it to a package of yours.

``consumer:=NAME`` takes ``config/consumers/NAME.yaml``. Another launch file starts the camera, with ``color/image_raw``,
``color/camera_info``, ``depth/image_raw`` and ``depth/camera_info`` below ``camera_name``. Depth is registered to colour.
"""

from launch.actions import DeclareLaunchArgument, GroupAction, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import ComposableNodeContainer, Node, SetRemap
from launch_ros.descriptions import ComposableNode

from launch import LaunchContext, LaunchDescription
from self_segmentation.launching import ending, find_program
from self_segmentation.resources import data_path

CONSUMERS = sorted(path.stem for path in data_path('config', 'consumers').iterdir())
COMPONENTS = 'cuvslam', 'depth', 'nav2_semantic_layer', 'nvblox'
SLAM, NVBLOX = 'nvidia::isaac_ros::visual_slam::VisualSlamNode', 'nvblox::NvbloxNode'


def missing(consumer: str) -> str:
    """Return which program of a consumer is not installed; empty where none is missing."""
    if consumer == 'rtabmap':
        return find_program('rtabmap_odom', 'rgbd_odometry') or find_program('rtabmap_slam', 'rtabmap')
    return find_program('rclcpp_components', 'component_container_mt') if consumer in COMPONENTS else ''


def component(package: str, plugin: str, name: str, file: str, remaps: dict[str, str]) -> ComposableNodeContainer:
    """Return a container with one component."""
    node = ComposableNode(package=package, plugin=plugin, name=name, parameters=[file], remappings=[*remaps.items()])
    return ComposableNodeContainer(package='rclcpp_components', executable='component_container_mt', name=f'{name}_container',
                                   namespace='', composable_node_descriptions=[node])


def points(depth: str, info: str, file: str) -> ComposableNodeContainer:
    """Return what makes a point cloud of a depth image: depth_image_proc."""
    return component('depth_image_proc', 'depth_image_proc::PointCloudXyzNode', 'points', file,
                     {'image_rect': depth, 'camera_info': info, 'points': '/points'})


def consumer_nodes(consumer: str, camera: str, file: str) -> list:
    """Return the nodes of a consumer; none where Nav2's own launch file, a viewer or a file of examples/ starts it."""
    color, info = f'{camera}/color/image_raw', f'{camera}/color/camera_info'
    depth = f'{camera}/depth/image_raw'
    if consumer == 'nav2_semantic_layer':
        return [points(depth, f'{camera}/depth/camera_info', file)]
    if consumer == 'depth':
        return [points('/segmentation/depth/background', '/segmentation/depth/camera_info', file)]
    if consumer == 'rtabmap':
        remaps = {'rgb/image': color, 'rgb/camera_info': info, 'depth/image': '/segmentation/depth/background'}
        return [Node(package=package, executable=program, parameters=[file], remappings=[*remaps.items()])
                for package, program in (('rtabmap_odom', 'rgbd_odometry'), ('rtabmap_slam', 'rtabmap'))]
    if consumer == 'cuvslam':  # and the second camera of the pair, of which there need be no mask
        return [component('isaac_ros_visual_slam', SLAM, 'visual_slam_node', file, {
            'visual_slam/image_0': color, 'visual_slam/camera_info_0': info, 'visual_slam/seg_mask_0': '/segmentation/mask'})]
    if consumer == 'nvblox':
        return [component('nvblox_ros', NVBLOX, 'nvblox_node', file, {
            'camera_0/color/image': color, 'camera_0/color/camera_info': info, 'camera_0/depth/image': depth,
            'camera_0/depth/camera_info': f'{camera}/depth/camera_info', 'camera_0/mask/image': '/segmentation/mask',
            'camera_0/mask/camera_info': '/segmentation/mask/camera_info'})]
    return []


def actions(context: LaunchContext) -> list:
    """Return what is started."""
    consumer, camera = (LaunchConfiguration(name).perform(context) for name in ('consumer', 'camera_name'))
    if problem := missing(consumer):
        return ending(problem)
    file = str(data_path('config', 'consumers', f'{consumer}.yaml'))
    return [
        GroupAction([  # keeps the remap from the consumer
            SetRemap('depth/image', f'{camera}/depth/image_raw'),
            IncludeLaunchDescription(PythonLaunchDescriptionSource(str(data_path('launch', 'segment.launch.py'))),
                                     launch_arguments={'camera': 'none', 'viewer': 'none', 'look': 'robot', 'params_file': file,
                                                       'image_topic': f'{camera}/color/image_raw'}.items()),
        ]),
        *consumer_nodes(consumer, camera, file),
    ]


def generate_launch_description() -> LaunchDescription:
    """Return the launch description."""
    return LaunchDescription([
        DeclareLaunchArgument('consumer', choices=CONSUMERS, description='Who takes the results.'),
        DeclareLaunchArgument('camera_name', default_value='/camera', description='What the topics of the camera begin with.'),
        OpaqueFunction(function=actions),
    ])

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Types of messages: only those pass that are known to show nobody."""
import numpy as np
import pytest
from bags import COMPRESSED, IMAGE, STORE, cloud
from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat

from self_segmentation.recordings.types import CLOUD, UNKNOWN_HASH, reason_against, reason_against_cloud

TYPE = 'robot_msgs/msg/Own'
LINE = '=' * 80
HEADER = STORE.generate_msgdef('std_msgs/msg/Header', ros_version=2)[0]


def text(definition: str) -> MessageDefinition:
    return MessageDefinition(MessageDefinitionFormat.MSG, definition)


def of_ros(msgtype: str) -> MessageDefinition:
    return text(STORE.generate_msgdef(msgtype, ros_version=2)[0])


@pytest.mark.parametrize('definition', [
    'float64 volts\nbool is_charging\nuint8 OFF=0\nuint8 ON=1\nuint8 state\n',
    'builtin_interfaces/Time stamp\nbuiltin_interfaces/Duration left\n',
    'float64[36] covariance\nfloat32[<=64] few\n',
    f'std_msgs/Header header\nfloat64 v\n{LINE}\nMSG: std_msgs/Header\n{HEADER}',
    f'Wheel[16] wheels\n{LINE}\nMSG: robot_msgs/Wheel\nfloat32[4] speed\n',
    '# nothing at all\n'])
def test_types_of_numbers_pass(definition):
    assert reason_against(TYPE, '', [text(definition)]) == ''


@pytest.mark.parametrize('definition, reason', [
    ('float64 v\nstring jpeg\n', 'jpeg is a string'), ('wstring[2] s\n', 's is an array of more than numbers'),
    ('string<=10 short\n', 'short is a string'),
    ('uint8[] jpeg\n', 'jpeg is bytes'), ('uint8[16] part\n', 'part is bytes'), ('char[<=8] a\n', 'a is bytes'),
    ('byte[] a\n', 'a is bytes'), ('int8[] a\n', 'a is bytes'),
    ('float32[] depth\n', 'depth is an array of any length'), ('uint16[65] row\n', 'row is an array of 65 numbers'),
    (f'Row[8] rows\n{LINE}\nMSG: robot_msgs/Row\nfloat32[9] row\n', 'rows is an array of 72 numbers'),
    (f'Row[2] rows\n{LINE}\nMSG: robot_msgs/Row\nuint8[4] row\n', 'rows is an array of more than numbers'),
    (f'Row[2] rows\n{LINE}\nMSG: robot_msgs/Row\nfloat32[] row\n', 'rows is an array of more than numbers'),
    (f'Part part\n{LINE}\nMSG: robot_msgs/Part\nuint8[] row\n', 'part.row is bytes'),
    ('sensor_msgs/Image[] images\n', 'images is an array of more than numbers'), ('Part part\n', 'part has no definition'),
    ('Own own\n', 'it holds itself'), ('float64[ v\n', 'its definition is not understood'),
    ('string a\nstring b\nstring c\nstring d\n', 'a is a string, b is a string, c is a string, ...')])
def test_types_that_may_hold_picture_are_named_with_field(definition, reason):
    assert reason_against(TYPE, '', [text(definition)]) == reason


@pytest.mark.parametrize('msgtype', [
    'tf2_msgs/msg/TFMessage', 'nav_msgs/msg/Odometry', 'nav_msgs/msg/Path', 'sensor_msgs/msg/Imu', 'sensor_msgs/msg/JointState',
    'sensor_msgs/msg/LaserScan', 'sensor_msgs/msg/CameraInfo', 'sensor_msgs/msg/NavSatFix', 'sensor_msgs/msg/BatteryState',
    'sensor_msgs/msg/Range', 'diagnostic_msgs/msg/DiagnosticArray', 'geometry_msgs/msg/PoseArray',
    'geometry_msgs/msg/TwistStamped', 'rosgraph_msgs/msg/Clock', 'std_msgs/msg/Float64', 'std_msgs/msg/Empty',
    'action_msgs/msg/GoalStatusArray', CLOUD])
def test_common_types_that_show_nobody_pass_with_definition_and_without(msgtype):
    for digest in ('', UNKNOWN_HASH, STORE.hash_rihs01(msgtype)):
        assert reason_against(msgtype, digest, []) == ''
    assert reason_against(msgtype, '', [of_ros(msgtype)]) == ''


@pytest.mark.parametrize('msgtype', [
    IMAGE, COMPRESSED, 'stereo_msgs/msg/DisparityImage', 'sensor_msgs/msg/PointCloud', 'std_msgs/msg/String',
    'std_msgs/msg/UInt8MultiArray', 'std_msgs/msg/Float32MultiArray', 'nav_msgs/msg/OccupancyGrid', 'rcl_interfaces/msg/Log',
    'rcl_interfaces/msg/ParameterEvent', 'visualization_msgs/msg/MarkerArray'])
def test_common_types_that_may_show_somebody_do_not_pass(msgtype):
    assert reason_against(msgtype, '', []) and reason_against(msgtype, '', [of_ros(msgtype)])


@pytest.mark.parametrize('msgtype', ['sensor_msgs/msg/Imu', 'geometry_msgs/msg/Pose', 'tf2_msgs/msg/TFMessage', CLOUD])
def test_name_of_common_type_proves_nothing(msgtype):
    assert reason_against(msgtype, '', [text('uint8[] jpeg\n')]) == 'jpeg is bytes'
    assert reason_against(msgtype, 'RIHS01_' + 64 * '1', []) == 'its definition is missing'
    nested = text(f'{msgtype.replace("/msg", "")} a\n{LINE}\nMSG: {msgtype.replace("/msg", "")}\nuint8[] jpeg\n')
    assert reason_against(TYPE, '', [nested]) == 'a.jpeg is bytes'


def test_cloud_in_another_type_does_not_pass():
    definition = text(f'sensor_msgs/PointCloud2 cloud\n{LINE}\nMSG: {CLOUD.replace("/msg", "")}\n{of_ros(CLOUD).data}')
    assert 'cloud.data is bytes' in reason_against(TYPE, '', [definition])


def test_type_without_definition_does_not_pass():
    assert reason_against(TYPE, '', []) == reason_against('', '', [text('')]) == 'its definition is missing'


def test_every_definition_of_type_counts():
    assert reason_against(TYPE, '', [text('float64 v\n'), text('uint8[] jpeg\n')]) == 'jpeg is bytes'


def test_reads_definitions_in_idl():
    idl = 'module robot_msgs { module msg { struct Own { double v; {} }; }; };'
    for more, reason in (('double w[3];', ''), ('sequence<octet> d;', 'd is bytes'), ('string s;', 's is a string')):
        definition = MessageDefinition(MessageDefinitionFormat.IDL, idl.replace('{}', more))
        assert reason_against(TYPE, '', [definition]) == reason


@pytest.mark.parametrize('fields, reason', [
    (('x', 'y', 'z'), ''), (('x', 'y', 'z', 'normal_x', 'ring'), ''),
    (('x', 'y', 'z', 'rgb'), 'its points have rgb'), (('x', 'y', 'z', 'rgba'), 'its points have rgba'),
    (('x', 'y', 'z', 'intensity', 'ambient'), 'its points have ambient, intensity'), (('x', 'u'), 'its points have u')])
def test_cloud_passes_with_places_alone(fields, reason):
    assert reason_against_cloud(cloud(fields)) == reason


def test_cloud_hides_nothing_beside_its_fields():
    assert reason_against_cloud(cloud(('x', 'y', 'z'), step=16)) == ''  # as PCL fills it up
    colours = np.random.default_rng(1).integers(0, 255, (6, 4), np.uint8)
    assert 'belong to no field' in reason_against_cloud(cloud(('x', 'y', 'z'), step=16, beside=colours))
    assert 'belong to no field' in reason_against_cloud(cloud(('x', 'y', 'z'), step=5000, points=1))
    assert reason_against_cloud(cloud(('x',), count=3000)) == 'x of its points is more than a number'
    assert reason_against_cloud(cloud(('x', 'y'), datatype=2)) == 'x of its points is more than a number'
    assert 'belong to no field' in reason_against_cloud(cloud((), step=4, beside=colours))


@pytest.mark.parametrize('data', [b'', b'\0\1\0\0', cloud(('x',))[:40], cloud(('x',), step=0), cloud(('x',), datatype=77)])
def test_cloud_that_cannot_be_read_does_not_pass(data):
    assert reason_against_cloud(data) == 'it cannot be read'


def test_empty_cloud_passes():
    assert reason_against_cloud(cloud(('x', 'y', 'z'), points=0)) == ''

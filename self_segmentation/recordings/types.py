# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Types of messages: ROS 2's own, those that a recording defines, and which of them show nobody."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

__all__ = ['CLOUD', 'UNKNOWN_HASH', 'defined', 'reason_against', 'reason_against_cloud', 'type_errors', 'typestore']

UNKNOWN_HASH = 'RIHS01_' + 64 * '0'  # of a type whose definition the recording lacks
CLOUD = 'sensor_msgs/msg/PointCloud2'
# Types of ROS 2 that hold text or arrays of any length, and still show nobody. All of geometry_msgs belongs to them.
_HARMLESS = frozenset(f'{package}/msg/{name}' for package, names in {
    'action_msgs': 'GoalInfo GoalStatus GoalStatusArray',
    'diagnostic_msgs': 'DiagnosticArray DiagnosticStatus',
    'lifecycle_msgs': 'TransitionEvent',
    'nav_msgs': 'GridCells Odometry Path',
    'sensor_msgs': 'BatteryState CameraInfo JointState Joy LaserScan MultiDOFJointState MultiEchoLaserScan TimeReference',
    'std_msgs': 'Header',
    'tf2_msgs': 'TFMessage',
    'trajectory_msgs': 'JointTrajectory JointTrajectoryPoint MultiDOFJointTrajectory MultiDOFJointTrajectoryPoint',
}.items() for name in names.split())
_HARMLESS_PACKAGE = 'geometry_msgs/msg/'
_BYTES = frozenset(('byte', 'char', 'octet', 'uint8', 'int8'))
_NUMBERS = _BYTES | {'bool', 'float32', 'float64', *(f'{sign}int{bits}' for sign in ('', 'u') for bits in (16, 32, 64))}
_LONGEST_ARRAY = 64  # numbers
_SHOWN = 3  # reasons in a line
# Fields of a cloud that tell where and when a point is. Others may be grey or coloured: rgb, intensity, ambient, ...
_PLACES = frozenset(('x', 'y', 'z', 'normal_x', 'normal_y', 'normal_z', 'curvature', 'range', 'distance', 'azimuth', 'elevation'))
_TIMES = frozenset(('ring', 't', 'time', 'time_stamp', 'timestamp', 'offset_time'))
_SIZES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 8: 8}  # bytes, by sensor_msgs/PointField's datatype


@functools.cache
def typestore() -> Any:
    """Return rosbags' store of ROS 2's common types, which reads and writes their messages."""
    from rosbags.typesys import Stores, get_typestore

    return get_typestore(Stores.ROS2_HUMBLE)


@functools.cache
def _stores() -> tuple[Any, Any]:
    """Return ROS 2's own types as they were first and as they are now."""
    from rosbags.typesys import Stores, get_typestore

    return typestore(), get_typestore(Stores.LATEST)


def type_errors() -> tuple[type[Exception], ...]:
    """Return what rosbags raises for definitions and messages that it does not understand."""
    from rosbags.serde import SerdeError
    from rosbags.typesys import TypesysError

    return (TypesysError, SerdeError, ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError,
            ValueError)


def defined(msgtype: str, definition: Any) -> Any:
    """
    Return a store of the types of a definition, rosbags' ``MessageDefinition``.

    It raises one of :func:`type_errors` if it does not understand the definition.
    """
    from rosbags.interfaces import MessageDefinitionFormat
    from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore

    store = get_typestore(Stores.EMPTY)
    store.register(get_types_from_idl(definition.data) if definition.format == MessageDefinitionFormat.IDL
                   else get_types_from_msg(definition.data, msgtype))
    return store


def reason_against(msgtype: str, digest: str, definitions: Collection[Any]) -> str:
    """
    Return why messages of a type may show people; '' if they show nobody.

    Harmless are listed types of ROS 2, and types of numbers: text, bytes and arrays of any length, or of more than 64 numbers,
    may be a picture. Messages of :data:`CLOUD` are judged one by one: see :func:`reason_against_cloud`.

    :param digest: hash of the type, '' if unknown.
    :param definitions: of this type in the recording, rosbags' ``MessageDefinition``; without one, ROS 2's own is used.
    """
    texts = [each for each in definitions if each.data]
    if not texts:
        own = next((each for each in _stores() if msgtype in each.types
                    and digest in ('', UNKNOWN_HASH, each.hash_rihs01(msgtype))), None)
        return 'its definition is missing' if own is None else _reason(own, msgtype)
    for each in texts:
        try:
            store = defined(msgtype, each)
        except type_errors():
            return 'its definition is not understood'
        if reason := _reason(store, msgtype):
            return reason
    return ''


def _reason(store: Any, msgtype: str) -> str:
    if msgtype == CLOUD and _is_of_ros(store, msgtype):
        return ''
    try:
        found = list(_suspicious(store, msgtype))
    except RecursionError:
        return 'it holds itself'
    return ', '.join([*found[:_SHOWN], *(['...'] if len(found) > _SHOWN else [])])


def _is_of_ros(store: Any, name: str) -> bool:
    """Return whether a type is ROS 2's own, down to the types that it holds: a name alone proves nothing."""
    try:
        digest = store.hash_rihs01(name)
    except type_errors():
        return False
    return any(name in each.types and each.hash_rihs01(name) == digest for each in _stores())


def _suspicious(store: Any, name: str, path: str = '') -> Iterator[str]:
    """Yield the fields of a type that may show people, and what they are."""
    from rosbags.interfaces import Nodetype

    if (name in _HARMLESS or name.startswith(_HARMLESS_PACKAGE)) and _is_of_ros(store, name):
        return
    if name not in store.fielddefs:
        yield f'{path or name} has no definition'
        return
    for field, (kind, what) in store.fielddefs[name][1]:
        inner = f'{path}.{field}' if path else field
        if kind == Nodetype.NAME:
            yield from _suspicious(store, what, inner)
        elif kind == Nodetype.BASE:
            if what[0] not in _NUMBERS:
                yield f'{inner} is a {what[0]}'
        elif reason := _reason_against_array(store, *what):
            yield f'{inner} is {reason}'


def _reason_against_array(store: Any, element: Any, length: int) -> str:
    """Return in what way an array may be a picture: of bytes, of more than numbers, too long; '' if it cannot be one."""
    from rosbags.interfaces import Nodetype

    if element[0] == Nodetype.BASE and element[1][0] in _BYTES:
        return 'bytes'
    numbers = _numbers(store, element)
    if numbers is None:
        return 'an array of more than numbers'
    if not length:
        return 'an array of any length'
    return '' if length * numbers <= _LONGEST_ARRAY else f'an array of {length * numbers} numbers'


def _numbers(store: Any, node: Any) -> int | None:
    """Return how many numbers an element of an array has; None if it has anything else."""
    from rosbags.interfaces import Nodetype

    kind, what = node
    if kind == Nodetype.BASE:
        return 1 if what[0] in _NUMBERS else None
    if kind == Nodetype.NAME:
        counts = [_numbers(store, field) for _, field in store.fielddefs[what][1]] if what in store.fielddefs else [None]
        return None if None in counts else sum(filter(None, counts))
    inner, length = what
    count = _numbers(store, inner)
    is_bytes = inner[0] == Nodetype.BASE and inner[1][0] in _BYTES
    return None if count is None or is_bytes or not length else length * count


def reason_against_cloud(data: bytes) -> str:
    """
    Return why a message of :data:`CLOUD` may show people: its points are more than places and times; '' otherwise.

    :param data: the serialized message.
    """
    try:
        cloud = typestore().deserialize_cdr(data, CLOUD)
        if others := sorted({each.name for each in cloud.fields} - _PLACES - _TIMES):
            return f'its points have {", ".join(others)}'
        beside = np.ones(cloud.point_step, bool)
        for each in cloud.fields:
            if each.count > 1 or (each.name in _PLACES and _SIZES[each.datatype] < 2):
                return f'{each.name} of its points is more than a number'
            beside[each.offset:each.offset + _SIZES[each.datatype]] = False
        if cloud.data.size:
            rest = cloud.data.reshape(-1, cloud.point_step)[:, beside]
            if rest.shape[1] > _LONGEST_ARRAY or (rest != rest[0]).any():
                return 'its points have bytes that belong to no field'
    except type_errors():
        return 'it cannot be read'
    return ''

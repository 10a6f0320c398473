# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
import mmap
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from conftest import HAS_ROS, ROOT

from self_segmentation.middleware import PortWatch, advice, fast_dds_environment, image_environment, lost_ports

OLD, NEW = 'FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'
PROFILE = ROOT / 'config' / 'fastdds.xml'
LOCAL_PROFILE = ROOT / 'config' / 'fastdds_localhost.xml'
XML_NAMES = {'p': 'http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles'}


@pytest.mark.parametrize('distribution, names', [('', {OLD, NEW}), ('humble', {OLD}), ('jazzy', {OLD}), ('kilted', {NEW}),
                                                 ('rolling', {NEW})])
def test_profile_variable_fits_ros_distribution(distribution, names):
    added, said = image_environment({'ROS_DISTRO': distribution} if distribution else {})
    assert {name for name in (OLD, NEW) if name in added} == names
    assert {added[name] for name in names} == {str(PROFILE)} and str(PROFILE) in said


@pytest.mark.parametrize('name', [OLD, NEW])
def test_user_profile_is_kept_and_named(name):
    added, said = image_environment({name: '/home/me/mine.xml'})
    assert OLD not in added and NEW not in added and '/home/me/mine.xml' in said


@pytest.mark.parametrize('profile', [PROFILE, LOCAL_PROFILE, f'{ROOT}/config/../config/fastdds.xml'], ids=str)
def test_own_profile_is_recognised(profile):
    added, said = fast_dds_environment({NEW: str(profile), 'ROS_DISTRO': 'kilted'})
    assert set(added) <= {NEW} and said == f'Fast DDS profile for large images: {PROFILE}'


@pytest.mark.parametrize('distribution, name', [('humble', OLD), ('jazzy', OLD), ('kilted', NEW)])
@pytest.mark.parametrize('local', [{'ROS_LOCALHOST_ONLY': '1'}, {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'},
                                   {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'OFF'}], ids=lambda local: '='.join(*local.items()))
def test_localhost_profile_is_used_for_localhost_only(distribution, name, local):
    for given in ({}, {name: str(PROFILE)}):  # the other one of our own is replaced
        assert fast_dds_environment({'ROS_DISTRO': distribution, **local, **given})[0] == {name: str(LOCAL_PROFILE)}
    assert fast_dds_environment({'ROS_DISTRO': distribution, **local, name: '/home/me/mine.xml'})[0] == {}


@pytest.mark.parametrize('subnet', [{'ROS_LOCALHOST_ONLY': '0'}, {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET'}],
                         ids=lambda subnet: '='.join(*subnet.items()))
def test_network_profile_is_used_beyond_localhost(subnet):
    assert fast_dds_environment({'ROS_DISTRO': 'kilted', **subnet})[0] == {NEW: str(PROFILE)}


@pytest.mark.parametrize('rmw, part', [('rmw_fastrtps_cpp', 'fastdds.xml'), ('rmw_fastrtps_dynamic_cpp', 'fastdds.xml'),
                                       ('rmw_cyclonedds_cpp', 'SocketReceiveBufferSize'), ('rmw_zenoh_cpp', 'rmw_zenoh_cpp')])
def test_advice_fits_middleware_in_use(rmw, part):
    assert part in advice(rmw) and 'No images arrive, or few' in advice(rmw)
    assert ('fastdds.xml' in advice(rmw)) == ('fastrtps' in rmw)


def test_other_middleware_gets_no_fastdds_profile():
    added, said = image_environment({'RMW_IMPLEMENTATION': 'rmw_cyclonedds_cpp'})
    assert OLD not in added and NEW not in added and 'rmw_cyclonedds_cpp' in said


def test_fastdds_by_name_gets_profile():
    assert image_environment({'RMW_IMPLEMENTATION': 'rmw_fastrtps_cpp'})[0][NEW] == str(PROFILE)


def test_existing_variables_are_kept():
    environment = {'MALLOC_TRIM_THRESHOLD_': '1', 'PATH': '/bin'}
    added, _ = image_environment(environment)
    assert not set(added) & set(environment) and 'MALLOC_MMAP_THRESHOLD_' in added
    assert environment == {'MALLOC_TRIM_THRESHOLD_': '1', 'PATH': '/bin'}
    assert image_environment({**environment, **added})[0] == {}


SAY_HEAPS = """
import ctypes
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
libc.malloc_info(0, ctypes.c_void_p(libc.fopen(b'/dev/stdout', b'w')))
libc.fflush(None)
"""
THREADS = """
import threading
done = threading.Barrier(5)
threads = [threading.Thread(target=lambda: (bytearray(100_000), done.wait())) for _ in range(4)]
for thread in threads:
    thread.start()
done.wait()
"""
NODE = """
import os, sys
from self_segmentation.programs import segmentation_node
sys.argv[1:] = ['--ros-args', '--wrong']
os._exit = lambda code: None
segmentation_node()  # everything is imported
"""


def heaps(code: str, environment: dict[str, str]) -> int:
    bare = {name: value for name, value in os.environ.items() if not name.startswith('MALLOC_')}
    done = subprocess.run([sys.executable, '-c', code + SAY_HEAPS], env={**bare, **environment}, stdout=subprocess.PIPE,
                          text=True, check=True)
    return done.stdout.count('<heap nr=')


def test_image_environment_gives_threads_one_heap():
    added, _ = image_environment({})
    assert heaps(THREADS, {'MALLOC_ARENA_MAX': '8'}) > 1 == heaps(THREADS, added)


@pytest.mark.processes
@pytest.mark.skipif(not HAS_ROS, reason='no rclpy')
def test_node_has_one_heap_however_it_is_started():
    assert heaps(NODE, {}) == 1


@pytest.mark.parametrize('profile', [PROFILE, LOCAL_PROFILE], ids=lambda profile: profile.stem)
def test_profile_fits_1080p_in_shared_memory_and_keeps_udp(profile):
    tree = ElementTree.parse(profile)
    transports = {t.findtext('p:type', namespaces=XML_NAMES): t for t in tree.iterfind('.//p:transport_descriptor', XML_NAMES)}
    assert set(transports) == {'SHM', 'UDPv4'}
    assert int(transports['SHM'].findtext('p:segment_size', namespaces=XML_NAMES)) >= 8 * 1920 * 1080 * 3
    assert int(transports['SHM'].findtext('p:maxMessageSize', namespaces=XML_NAMES)) >= 3840 * 2160 * 3
    used = {used.text for used in tree.iterfind('.//p:userTransports/p:transport_id', XML_NAMES)}
    assert used == {t.findtext('p:transport_id', namespaces=XML_NAMES) for t in transports.values()}
    addresses = [address.text for address in transports['UDPv4'].iterfind('p:interfaceWhiteList/p:address', XML_NAMES)]
    assert addresses == (['127.0.0.1'] if profile == LOCAL_PROFILE else [])


@pytest.mark.parametrize('module', ['self_segmentation', 'self_segmentation.middleware', 'self_segmentation.resources',
                                    'self_segmentation.settings'])
def test_imports_of_launch_file_are_light(module):
    code = f'import sys, {module}; print(sorted({{"cv2", "mediapipe", "numpy", "rclpy"}} & set(sys.modules)))'
    done = subprocess.run([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.strip() == '[]'


def test_lost_ports_are_those_whose_file_is_not_the_one_in_use():
    """As Fast DDS has them: a reader holds the lock's file open and the port's mapped."""
    name = f'fastdds_port{os.getpid() + 100000}'  # no UDP port has so great a number
    port, lock = Path('/dev/shm', name), Path('/dev/shm', f'{name}_el')
    port.write_bytes(bytes(100))
    lock.touch()
    try:
        with port.open('r+b') as file, mmap.mmap(file.fileno(), 100):
            port.unlink()
            assert name not in lost_ports()  # who only sends to it
        port.write_bytes(bytes(100))
        with lock.open(), port.open('r+b') as file, mmap.mmap(file.fileno(), 100):
            assert name not in lost_ports()
            port.unlink()
            assert name in lost_ports()
            port.write_bytes(bytes(100))  # another one of the same name
            assert name in lost_ports()
        with lock.open():
            assert name not in lost_ports()  # who tests the lock
    finally:
        port.unlink(missing_ok=True)
        lock.unlink()


def test_port_is_lost_when_two_checks_in_a_row_miss_it():
    checks = iter([{'a'}, {'b'}, {'a', 'b'}, {'a'}, set()])
    watch = PortWatch(lambda: next(checks), 0, 0)
    assert [watch.lost() for _ in range(5)] == [set(), set(), {'b'}, {'a'}, set()]


def test_ports_are_checked_once_in_a_period():
    checks = iter([{'a'}])
    watch = PortWatch(lambda: next(checks), 3600, 3600)
    assert watch.lost() == watch.lost() == set()

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest
from conftest import ROOT

from self_segmentation.middleware import image_environment

OLD, NEW = 'FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'
PROFILE = ROOT / 'config' / 'fastdds.xml'


@pytest.mark.parametrize('distribution, names', [('', {OLD, NEW}), ('humble', {OLD}), ('jazzy', {OLD}), ('kilted', {NEW}),
                                                 ('rolling', {NEW})])
def test_the_profile_is_set_by_the_names_that_the_distribution_knows(distribution, names):
    added, said = image_environment({'ROS_DISTRO': distribution} if distribution else {})
    assert {name for name in (OLD, NEW) if name in added} == names
    assert {added[name] for name in names} == {str(PROFILE)} and str(PROFILE) in said


@pytest.mark.parametrize('name', [OLD, NEW])
def test_a_profile_of_the_users_own_stays_and_is_named(name):
    added, said = image_environment({name: '/home/me/mine.xml'})
    assert OLD not in added and NEW not in added and '/home/me/mine.xml' in said


def test_another_middleware_gets_no_fast_dds_profile():
    added, said = image_environment({'RMW_IMPLEMENTATION': 'rmw_cyclonedds_cpp'})
    assert OLD not in added and NEW not in added and 'rmw_cyclonedds_cpp' in said


def test_fast_dds_by_name_gets_the_profile():
    assert image_environment({'RMW_IMPLEMENTATION': 'rmw_fastrtps_cpp'})[0][NEW] == str(PROFILE)


def test_what_is_set_already_is_never_changed():
    environment = {'MALLOC_TRIM_THRESHOLD_': '1', 'PATH': '/bin'}
    added, _ = image_environment(environment)
    assert not set(added) & set(environment) and 'MALLOC_MMAP_THRESHOLD_' in added
    assert environment == {'MALLOC_TRIM_THRESHOLD_': '1', 'PATH': '/bin'}
    assert image_environment({**environment, **added})[0] == {}


HEAPS = """
import ctypes, threading
libc = ctypes.CDLL(None)
done = threading.Barrier(5)
threads = [threading.Thread(target=lambda: (bytearray(100_000), done.wait())) for _ in range(4)]
for thread in threads:
    thread.start()
done.wait()
libc.fopen.restype = ctypes.c_void_p
libc.malloc_info(0, ctypes.c_void_p(libc.fopen(b'/dev/stdout', b'w')))
libc.fflush(None)
"""


def test_a_process_that_is_started_with_it_has_one_heap_for_all_its_threads():
    def heaps(environment: dict[str, str]) -> int:
        done = subprocess.run([sys.executable, '-c', HEAPS], env={**os.environ, **environment}, capture_output=True, text=True,
                              check=True)
        return done.stdout.count('<heap nr=')

    added, _ = image_environment({})
    assert heaps({'MALLOC_ARENA_MAX': '8'}) > 1 == heaps(added)


def test_the_profile_holds_several_1080p_images_in_shared_memory_and_keeps_udp():
    names = {'p': 'http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles'}
    tree = ElementTree.parse(PROFILE)
    transports = {t.findtext('p:type', namespaces=names): t for t in tree.iterfind('.//p:transport_descriptor', names)}
    assert set(transports) == {'SHM', 'UDPv4'}
    assert int(transports['SHM'].findtext('p:segment_size', namespaces=names)) >= 8 * 1920 * 1080 * 3
    assert int(transports['SHM'].findtext('p:maxMessageSize', namespaces=names)) >= 3840 * 2160 * 3
    used = {used.text for used in tree.iterfind('.//p:userTransports/p:transport_id', names)}
    assert used == {t.findtext('p:transport_id', namespaces=names) for t in transports.values()}


@pytest.mark.parametrize('module', ['self_segmentation', 'self_segmentation.middleware', 'self_segmentation.resources',
                                    'self_segmentation.settings'])
def test_importing_what_the_launch_file_needs_brings_neither_opencv_nor_mediapipe_nor_ros(module):
    code = f'import sys, {module}; print(sorted({{"cv2", "mediapipe", "numpy", "rclpy"}} & set(sys.modules)))'
    done = subprocess.run([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.strip() == '[]'

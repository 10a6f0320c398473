# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""config/policy.xml: what the running nodes have, and nothing else."""
import importlib.util
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

import pytest
from conftest import PATIENCE, ROOT, SAMPLE, wait_until
from rclpy.parameter import Parameter
from ros import Parameters
from sensor_msgs.msg import CameraInfo

from self_segmentation.tools.policy import shortened

HAS_VISION_MSGS, HAS_TF2_MSGS = (importlib.util.find_spec(name) is not None for name in ('vision_msgs', 'tf2_msgs'))
POLICY = ROOT / 'config' / 'policy.xml'
HAS_TYPE_DESCRIPTIONS = importlib.util.find_spec('rclpy.type_description_service') is not None  # not in Humble


def allowed(policy: str) -> dict[str, dict[tuple[str, str], set[str]]]:
    """What each node may do by a policy: node to (services or topics, what it does with them) to full names."""
    root, found = ElementTree.fromstring(policy.encode()), {}
    assert (root.tag, root.get('version')) == ('policy', '0.2.0')
    for enclave in root.iterfind('enclaves/enclave'):
        [profile] = enclave.iterfind('profiles/profile')
        above, node = profile.get('ns').rstrip('/'), profile.get('node')
        assert enclave.get('path') == f'{above}/{node}'
        begins = {'~': f'{above}/{node}', '/': '/'}
        found[node] = {}
        for group in profile:
            [(does, qualifier)] = group.items()
            assert qualifier == 'ALLOW'
            found[node][group.tag, does] = {begins.get(each.text[0], f'{above}/{each.text[0]}') + each.text[1:] for each in group}
            assert len(found[node][group.tag, does]) == len(group)
    return found


def test_policy_allows_exactly_what_nodes_use(graph, start):
    """Looked at from outside while they run and a result is wanted: of raw pictures, and then of compressed ones."""
    expected = allowed(POLICY.read_text(encoding='utf-8'))
    if not HAS_TYPE_DESCRIPTIONS:
        for node, kinds in expected.items():
            kinds['services', 'reply'] -= {f'/{node}/get_type_description'}
    programs = [start('segmentation_node', '--ros-args', '-p', 'use_sim_time:=true'),
                start('camera_node', '--ros-args', '-p', 'use_sim_time:=true', '-p', f'video_device:={SAMPLE}')]
    seen = {node: {key: set() for key in (('services', 'reply'), ('services', 'request'), ('topics', 'publish'),
                                          ('topics', 'subscribe'))} for node in expected}
    asks = dict(zip(seen['camera'], (
        graph.node.get_service_names_and_types_by_node, graph.node.get_client_names_and_types_by_node,
        graph.node.get_publisher_names_and_types_by_node, graph.node.get_subscriber_names_and_types_by_node)))
    if not HAS_VISION_MSGS:
        expected['segmentation']['topics', 'publish'] -= {'/segmentation/detections', '/segmentation/label_info'}
    if not HAS_TF2_MSGS:
        expected['segmentation']['topics', 'publish'] -= {'/tf'}
    graph.listen('/segmentation/output')
    graph.listen('/segmentation/depth/background')
    graph.node.create_subscription(CameraInfo, '/segmentation/camera_info', lambda _: None, 1)

    def look() -> dict:
        assert all(program.code is None for program in programs), [program.said for program in programs]
        known = graph.node.get_node_names_and_namespaces()
        for node, kinds in seen.items():
            if (node, '/') in known:
                for key in kinds:
                    kinds[key] |= {name for name, _ in asks[key](node, '/')}
        graph.spin()
        return {node: {key: names for key, names in kinds.items() if names} for node, kinds in seen.items()}

    def look_for(seconds: float) -> dict:
        end = time.monotonic() + seconds
        while look() != expected and time.monotonic() < end:
            pass
        return look()

    graph.wait_until(lambda: '/image_raw' in look()['segmentation'].get(('topics', 'subscribe'), ()), 'the subscription')
    client = Parameters(graph.node, '/segmentation')
    graph.wait_until(client.services_are_ready, 'the parameters')
    client.set_parameters([Parameter('tf', value=True), Parameter('image_transport', value='compressed'),
                           Parameter('background.type', value='topic')])
    assert look_for(PATIENCE / 2) == expected
    end = time.monotonic() + 1.0  # whatever else there is, is known by then
    wait_until(lambda: time.monotonic() > end, 'more', look)
    assert look() == expected


@pytest.mark.processes
@pytest.mark.skipif(not HAS_TYPE_DESCRIPTIONS, reason='the policy is made on a later distribution')
def test_policy_matches_make_reference():
    done = subprocess.run([sys.executable, '-m', 'self_segmentation.tools.policy'], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == POLICY.read_text(encoding='utf-8')
    assert 'self_segmentation.tools.policy > config/policy.xml' in (ROOT / 'Makefile').read_text(encoding='utf-8')


@pytest.mark.parametrize('full, namespace, short', [
    ('/cut/mask', '/', '~/mask'), ('/front/cut/mask', '/front', '~/mask'), ('/rosout', '/', 'rosout'),
    ('/rosout', '/front', '/rosout'), ('/front/image_raw', '/front', 'image_raw'),
    ('/image_raw/compressed', '/', '/image_raw/compressed'),
    ('/front/image_raw/compressed', '/front', 'image_raw/compressed'), ('/cutter/mask', '/', '/cutter/mask')])
def test_names_are_shortened_as_sros2_does(full, namespace, short):
    assert shortened(full, 'cut', namespace) == short

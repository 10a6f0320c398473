# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Images that are larger than the shared memory Fast DDS has as it comes."""
import cv2
import numpy as np
import pytest
from conftest import TUTORIAL, unique
from rclpy.qos import QoSReliabilityPolicy
from ros import Segmentation, message_of


@pytest.mark.parametrize('reliability', [QoSReliabilityPolicy.BEST_EFFORT, QoSReliabilityPolicy.RELIABLE],
                         ids=['best effort', 'reliable'])
def test_drops_no_full_hd_frame(graph, start, astronaut, reliability):
    namespace = unique('large')
    program = start.node('segmentation_node', namespace, '--params-file', str(TUTORIAL))
    node = Segmentation(graph, namespace, program, kinds=('output',), reliability=reliability)
    frame = cv2.resize(astronaut, (1920, 1080))
    node.results(message_of(frame))  # the two ends have found each other, and the model is warm
    arrived = []
    for number in range(60):
        message = message_of(frame)
        message.header.frame_id = f'frame_{number}'
        node.received['output'].clear()
        node.send(message)  # once: a lost frame is lost
        node.wait_until(lambda: node.received['output'], f'frame {number}')
        arrived.append(node.received['output'][0])
    assert [m.header.frame_id for m in arrived] == [f'frame_{number}' for number in range(60)]
    assert {(m.width, m.height, len(m.data)) for m in arrived} == {(1920, 1080, 1920 * 1080 * 3)}
    assert np.frombuffer(arrived[-1].data, np.uint8).std() > 10

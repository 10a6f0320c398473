# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Who is there, on ``~/people``."""
import json

from conftest import unique
from rclpy.qos import QoSProfile
from ros import Segmentation, message_of
from std_msgs.msg import String


def test_people_topic_has_boxes_and_ids(graph, start, astronaut):
    namespace = unique('people')
    node = Segmentation(graph, namespace, start.node('segmentation_node', namespace, flip='false'), kinds=())
    said = []
    graph.node.create_subscription(String, f'{node.name}/people', said.append, QoSProfile(depth=5))
    message = message_of(astronaut)
    message.header.frame_id, message.header.stamp.sec = 'camera', 5
    node.wait_until(lambda: node.send(message) and said, 'who is there')  # no picture is subscribed
    found = json.loads(said[0].data)
    height, width = astronaut.shape[:2]
    assert (found['stamp'], found['frame_id'], found['width'], found['height']) == ([5, 0], 'camera', width, height)
    [person] = found['people']
    left, top, box_width, box_height = person['box']
    assert 0 <= left < left + box_width <= width and 0 <= top < top + box_height <= height and box_height > height / 2
    assert person['counts'] is True and person['id'] > 0 and 0 < person['score'] <= 1

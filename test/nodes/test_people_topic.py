# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Who is there, on ``~/people``."""
import json

import pytest
from conftest import unique
from rclpy.qos import QoSProfile
from ros import Segmentation, message_of, publishers
from std_msgs.msg import String
from std_srvs.srv import SetBool


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


@pytest.mark.parametrize('replace', ['background', 'people'])
def test_people_topic_is_silent_while_paused(graph, start, astronaut, replace):
    """Nobody is told that nobody is there."""
    namespace = unique('people')
    node = Segmentation(graph, namespace, start.node('segmentation_node', namespace, replace=replace), kinds=('mask',))
    said: list[String] = []
    subscription = graph.node.create_subscription(String, f'{node.name}/people', said.append, QoSProfile(depth=50))
    node.wait_until(lambda: publishers(graph.node, subscription) == 1, 'the topic')
    pause = graph.node.create_client(SetBool, f'{node.name}/pause')

    def headers(frames: int) -> list[list[int]]:
        """The stamps of a few frames that were served."""
        stamps = [(header.stamp.sec, header.stamp.nanosec) for header in
                  (node.results(message_of(astronaut))['mask'].header for _ in range(frames))]
        return [list(stamp) for stamp in stamps]

    def heard() -> list[list[int]]:
        return [json.loads(message.data)['stamp'] for message in said]

    before = headers(3)
    assert node.call(lambda: pause.call_async(SetBool.Request(data=True))).success
    meanwhile = headers(3)
    assert node.call(lambda: pause.call_async(SetBool.Request(data=False))).success
    after = headers(3)
    node.wait_until(lambda: after[-1] in heard(), 'the last frame, which is after those of the pause')
    assert not [stamp for stamp in meanwhile if stamp in heard()] and before[-1] in heard()

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""A node with ``privacy.delay``: each frame comes later, with its own header, and is covered where people are found after it."""
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import unique
from rclpy.qos import QoSProfile
from ros import Segmentation, message_of, picture_of
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool, Trigger

from self_segmentation import Pipeline
from self_segmentation.settings import Settings

FPS, DELAY, WAITING = 15, 0.5, 8  # frames that are more than the delay apart
MANY = 100  # messages; none is lost
COLOR = (255, 0, 255)


class Delayed(Segmentation):
    """A node that covers people with a delay and takes every frame; what comes of them, by number."""

    def __init__(self, graph, start) -> None:
        namespace = unique('delayed')
        overrides = {f'qos_overrides./{namespace}/image_raw.subscription.{name}': value
                     for name, value in (('depth', MANY), ('reliability', 'reliable'))}
        overrides |= {f'qos_overrides./{namespace}/segmentation/{kind}.publisher.depth': MANY for kind in ('output', 'alpha')}
        given = [part for name, value in overrides.items() for part in ('-p', f'{name}:={value}')]
        program = start.node('segmentation_node', namespace, *given, replace='people', flip='false', privacy__delay=DELAY,
                             background__color=f"'{','.join(map(str, COLOR))}'")
        self.number = 0
        super().__init__(graph, namespace, program, ('output', 'alpha'))
        self._camera = graph.node.create_publisher(Image, self.topic, QoSProfile(depth=MANY))
        self.wait_until(lambda: self._camera.get_subscription_count() == 1, 'the subscription')

    def send(self, frames, encoding: str = 'bgr8') -> list[int]:
        """Send frames, a fifteenth of a second apart by their stamps; return their numbers."""
        sent = []
        for frame in frames:
            message = message_of(frame, encoding)
            message.header.frame_id = 'camera'
            message.header.stamp.sec, rest = divmod(self.number, FPS)
            message.header.stamp.nanosec = rest * 10 ** 9 // FPS
            self._camera.publish(message)
            sent.append(self.number)
            self.number += 1
        return sent

    def came(self, kind: str = 'output') -> list[int]:
        """The numbers of the frames that were published; their stamps are those that were sent."""
        numbers = []
        for message in self.received[kind]:
            stamp = message.header.stamp
            number = stamp.sec * FPS + round(stamp.nanosec * FPS / 10 ** 9)
            assert (stamp.sec, stamp.nanosec) == (number // FPS, number % FPS * 10 ** 9 // FPS)
            numbers.append(number)
        return numbers

    def wait_for(self, number: int) -> None:
        for kind in self.received:
            self.wait_until(lambda kind=kind: number in self.came(kind), f'frame {number} on {kind}')

    def ask(self, kind: type, name: str, **values):
        client = self.graph.node.create_client(kind, f'{self.name}/{name}')
        self.wait_until(client.service_is_ready, f'the service {name}')
        return self.call(lambda: client.call_async(kind.Request(**values)))


@pytest.fixture
def node(graph, start):
    return Delayed(graph, start)


def test_publishes_covers_of_the_future_under_own_headers(node, sample, tmp_path):
    frames = [*sample[:12], *sample[27:60]]  # somebody comes
    sent = node.send(frames)
    node.wait_for(sent[-WAITING - 1])
    assert node.came() == node.came('alpha') == sent[:-WAITING]
    with Pipeline(Settings(flip=False, replace='people')) as pipeline:
        live = [pipeline.process(frame, stamp=number / FPS).alpha for number, frame in enumerate(frames)]
    for number in sent[:-WAITING]:
        alpha, output = (picture_of(node.received[kind][number]) for kind in ('alpha', 'output'))
        assert np.array_equal(alpha, np.maximum.reduce(live[number:number + WAITING + 1])), number
        assert (output[alpha == 255] == COLOR[::-1]).all() and np.array_equal(output[alpha == 0], frames[number][alpha == 0])
    assert node.change(save_dir=str(tmp_path)) == []
    saved = Path(node.ask(Trigger, 'save').message)  # what was published last
    assert np.array_equal(cv2.imread(str(saved)), picture_of(node.received['output'][-1]))
    assert not [path for path in tmp_path.iterdir() if 'input' in path.name]


def test_drops_what_waits_where_what_comes_after_is_not_known(node, sample):
    room = sample[:20]

    def settle() -> list[int]:
        """Send the room until a frame that is not covered as a whole came; return the numbers of those that wait."""
        sent = node.send(room)
        node.wait_for(sent[-WAITING - 1])
        return sent[-WAITING:]

    def covers_all(number: int) -> bool:
        return bool((picture_of(node.received['alpha'][node.came('alpha').index(number)]) == 255).all())

    def assert_dropped(waiting: list[int]) -> None:
        sent = node.send(room)
        node.wait_for(sent[-WAITING - 1])
        assert not {*waiting} & {*node.came(), *node.came('alpha')} and covers_all(sent[0])

    waiting = settle()
    node.send([255 - room[0]])  # a cut
    assert_dropped(waiting)

    waiting = settle()
    node.send([np.zeros((4, 6, 3), np.uint8)], 'nonsense')  # it cannot be decoded
    assert_dropped(waiting)

    waiting = settle()
    for changes in ({'camera.rotation': 180}, {'camera.rotation': 0}):
        assert node.change(**{name.replace('.', '__'): value for name, value in changes.items()}) == []
        assert_dropped(waiting)
        waiting = settle()

    assert node.ask(SetBool, 'pause', data=True).success
    [paused] = node.send(room[:1])
    node.wait_for(paused)  # at once: nobody is in it
    assert covers_all(paused)
    assert node.ask(SetBool, 'pause', data=False).success
    assert_dropped(waiting)

    waiting = settle()
    assert node.change(privacy__delay=0.0) == []
    [last] = node.send(room[:1])
    node.wait_for(last)
    assert not {*waiting} & {*node.came()}

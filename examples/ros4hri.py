# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
Bodies for ROS4HRI (REP 155): ``segmentation/people`` and ``/tf`` in, ``/humans/bodies`` out.

Not run by a test with the real hri_msgs, which are not on PyPI: written from their definitions, and tested with stand-ins.
"""

import json

import rclpy
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, PointStamped
from hri_msgs.msg import IdsList, NormalizedRegionOfInterest2D
from rclpy.node import Node
from std_msgs.msg import Header, String
from tf2_msgs.msg import TFMessage


class Bodies(Node):
    """Publishes who is there, where in the picture, and where in the room; a body's id is ``person_ID``."""

    def __init__(self) -> None:
        super().__init__('bodies')
        self.tracked = self.create_publisher(IdsList, '/humans/bodies/tracked', 1)
        self.of_bodies = {}
        self.create_subscription(String, 'segmentation/people', self.take_people, 1)
        self.create_subscription(TFMessage, '/tf', self.take_positions, 10)

    def publish(self, body: str, name: str, message) -> None:
        """Publish on a topic of a body."""
        if (body, name) not in self.of_bodies:
            self.of_bodies[body, name] = self.create_publisher(type(message), f'/humans/bodies/{body}/{name}', 1)
        self.of_bodies[body, name].publish(message)

    def take_people(self, message: String) -> None:
        """Publish the bodies of a frame, and close the topics of those who left."""
        frame = json.loads(message.data)
        width, height, (sec, nanosec) = frame['width'], frame['height'], frame['stamp']
        header = Header(stamp=Time(sec=sec, nanosec=nanosec), frame_id=frame['frame_id'])
        ids = {f'person_{each["id"]}': each for each in frame['people']}
        self.tracked.publish(IdsList(header=header, ids=[*ids]))
        for body, each in ids.items():
            left, top, across, down = each['box']
            self.publish(body, 'roi', NormalizedRegionOfInterest2D(
                header=header, xmin=max(left / width, 0.0), ymin=max(top / height, 0.0), xmax=min((left + across) / width, 1.0),
                ymax=min((top + down) / height, 1.0), c=each['score']))
        for key in [key for key in self.of_bodies if key[0] not in ids]:
            self.destroy_publisher(self.of_bodies.pop(key))

    def take_positions(self, message: TFMessage) -> None:
        """Publish where bodies are."""
        for each in message.transforms:
            body = each.child_frame_id.rpartition('/')[2]
            if (body, 'roi') in self.of_bodies:
                place = each.transform.translation
                self.publish(body, 'position', PointStamped(header=each.header, point=Point(x=place.x, y=place.y, z=place.z)))


if __name__ == '__main__':
    rclpy.init()
    rclpy.spin(Bodies())

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Drive after the nearest person: ``segmentation/pose`` in, ``cmd_vel`` out. It sees no obstacles: try it on a stand first."""

from math import atan2
from time import monotonic

import rclpy
from geometry_msgs.msg import PoseStamped, Twist
from rclpy.node import Node

DISTANCE = 1.2  # metres to keep
FASTEST, QUICKEST = 0.5, 0.8  # metres and radians per second
PATIENCE = 0.5  # seconds without a pose until the robot stops


class FollowPerson(Node):
    """Follows; the pose is in the camera's optical frame (x right, z forward), which looks ahead."""

    def __init__(self) -> None:
        super().__init__('follow_person')
        self.publisher = self.create_publisher(Twist, 'cmd_vel', 1)
        self.create_subscription(PoseStamped, 'segmentation/pose', self.follow, 1)
        self.seen = monotonic()
        self.create_timer(PATIENCE / 5, self.stop)

    def follow(self, message: PoseStamped) -> None:
        """Drive towards a person, never backwards."""
        self.seen, place, command = monotonic(), message.pose.position, Twist()
        command.linear.x = min(max(0.5 * (place.z - DISTANCE), 0.0), FASTEST)
        command.angular.z = min(max(-atan2(place.x, place.z), -QUICKEST), QUICKEST)
        self.publisher.publish(command)

    def stop(self) -> None:
        """Stop when no pose comes."""
        if monotonic() > self.seen + PATIENCE:
            self.publisher.publish(Twist())


if __name__ == '__main__':
    rclpy.init()
    rclpy.spin(FollowPerson())

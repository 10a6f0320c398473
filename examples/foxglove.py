# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
Boxes and ids on Foxglove's image panel: ``segmentation/detections`` in, ``annotations`` out.

Not run by a test with the real foxglove_msgs, which are not on PyPI: written from their definitions, and tested with stand-ins.
"""

import rclpy
from foxglove_msgs.msg import Color, ImageAnnotations, Point2, PointsAnnotation, TextAnnotation
from rclpy.node import Node
from vision_msgs.msg import Detection2DArray

GREEN, BLACK = Color(r=0.0, g=1.0, b=0.0, a=1.0), Color(r=0.0, g=0.0, b=0.0, a=1.0)


class Annotations(Node):
    """Draws each person's box with id and score."""

    def __init__(self) -> None:
        super().__init__('annotations')
        self.publisher = self.create_publisher(ImageAnnotations, 'annotations', 1)
        self.create_subscription(Detection2DArray, 'segmentation/detections', self.draw, 1)

    def draw(self, message: Detection2DArray) -> None:
        """Publish the boxes of a frame."""
        drawn, stamp = ImageAnnotations(), message.header.stamp
        for each in message.detections:
            middle, across, down = each.bbox.center.position, each.bbox.size_x / 2, each.bbox.size_y / 2
            corners = [Point2(x=middle.x + x * across, y=middle.y + y * down) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
            drawn.points.append(PointsAnnotation(timestamp=stamp, type=PointsAnnotation.LINE_LOOP, points=corners,
                                                 outline_color=GREEN, thickness=2.0))
            text = f'{each.id}: {each.results[0].hypothesis.score:.2f}'
            drawn.texts.append(TextAnnotation(timestamp=stamp, position=corners[0], text=text, font_size=16.0, text_color=GREEN,
                                              background_color=BLACK))
        self.publisher.publish(drawn)


if __name__ == '__main__':
    rclpy.init()
    rclpy.spin(Annotations())

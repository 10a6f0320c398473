# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Shows the topic ``image`` in the tutorial's window; q, Esc or closing the window ends it."""

from __future__ import annotations

if __name__ == '__main__':  # before the imports, which take seconds
    from ..process import program
    raise SystemExit(program('nodes.viewer_node', keeps_large_buffers=True)())

import threading

from rclpy.node import Node
from sensor_msgs.msg import Image

from ..errors import DisplayError, ImageError
from ..io.window import Window, why_no_window
from .inputs import bit_depth
from .lifetime import run
from .messages import to_bgr
from .topics import latest_only

__all__ = ['ViewerNode', 'main']


class ViewerNode(Node):
    """
    A window on the topic ``image`` (sensor_msgs/Image).

    :raises DisplayError: there is no display.
    """

    def __init__(self) -> None:
        reason = why_no_window()
        if reason:
            raise DisplayError(f'no window: {reason}')
        super().__init__('viewer')
        self.ending = threading.Event()
        self._window, self._depth = Window(), bit_depth(self, self.resolve_topic_name('image'))
        self.create_subscription(Image, 'image', self._on_image, latest_only())
        self.create_timer(0.05, lambda: self._go_on(self._window.poll()))

    def _on_image(self, message: Image) -> None:
        try:
            frame = to_bgr(message, self._depth)
        except ImageError as error:
            self.get_logger().error(f'frame skipped: {error}', throttle_duration_sec=5.0)
            return
        self._go_on(self._window.show(frame))

    def _go_on(self, wanted: bool) -> None:
        if not wanted:
            self.ending.set()

    def destroy_node(self) -> None:
        """Close the window, then the node."""
        self._window.close()
        super().destroy_node()


def main(args: list[str] | None = None) -> int:
    """Run the node."""
    return run(ViewerNode, args)

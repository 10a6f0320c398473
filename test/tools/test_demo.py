# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What the demo leaves; how it ends: test_lifetime."""
import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from ros import message_of
from std_msgs.msg import Header

from self_segmentation.tools.demo import DemoNode

EMPTY, SOMEBODY, COVERED = (np.full((480, 640, 1), 0, np.uint8) for _ in range(3))
SOMEBODY[200:, 100:300] = 255
COVERED[:] = 255


@pytest.mark.processes
@pytest.mark.parametrize('masks', [{0: EMPTY, 1: SOMEBODY, 3: COVERED}, {0: SOMEBODY, 1: COVERED}], ids=['short', 'long'])
def test_picture_is_of_earliest_turn_with_somebody(masks, graph, tmp_path):
    node = DemoNode(60, tmp_path)
    try:
        for turn, mask in masks.items():
            node._turn = turn
            header = Header(stamp=Time(sec=turn + 1))
            picture = np.full((480, 640, 3), 50 * turn, np.uint8)
            node._on_input(message_of(picture, header=header))
            node._on_mask(message_of(mask, 'mono8', header=header))
            node._on_output(message_of(picture, header=header))
    finally:
        node.destroy_node()
    assert np.array_equal(cv2.imread(str(tmp_path / 'output.png'))[:, 640:1280, :1], SOMEBODY)

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
The node's results on their topics, a class each.

To add a topic, write a subclass of :class:`~.base.Output` and add it to :func:`make_outputs`.
"""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node

from ...settings import Settings
from .base import Output
from .calibration import CalibrationInput, CalibrationOutput
from .depth import DepthOutputs
from .images import ConfidenceOutput, ImageOutput, MaskOutput
from .people import HAS_VISION_MSGS, DetectionsOutput, LabelInfoOutput, PeopleOutput, PresenceOutput

__all__ = ['Output', 'make_outputs']


def make_outputs(node: Node, on_demand: Callable[[], None], settings: Callable[[], Settings]) -> list[Output]:
    """
    Return the outputs of a node.

    :param on_demand: called when a subscriber comes or goes; never where there are no matched events (Humble).
    :param settings: returns the settings as they are now.
    :raises SettingsError: a QoS override is not allowed.
    """
    calibrations = CalibrationInput(node)
    outputs: list[Output] = [
        ImageOutput(node, on_demand, '~/output', 'composite'),
        MaskOutput(node, on_demand),
        ImageOutput(node, on_demand, '~/alpha', 'alpha'),
        ConfidenceOutput(node, on_demand),
        PeopleOutput(node, on_demand),
        PresenceOutput(node, on_demand),
        CalibrationOutput(node, on_demand, calibrations, '~/camera_info', is_of_mask=False),
        CalibrationOutput(node, on_demand, calibrations, '~/mask/camera_info', is_of_mask=True),
        DepthOutputs(node, on_demand, calibrations, settings),
    ]
    if HAS_VISION_MSGS:
        return [*outputs, DetectionsOutput(node, on_demand), LabelInfoOutput(node, on_demand, settings().threshold)]
    node.get_logger().warning('no ~/detections and no ~/label_info: vision_msgs is not installed')
    return outputs

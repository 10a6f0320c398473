# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
Take the person out of a camera picture and put any background behind them.

The way of a frame, one module a step, each importing only what stands before it::

    settings -> segmenter -> focus -> matte -> backgrounds -> compositor -> pipeline      (no ROS)
    images -> parameters -> segmentation_node, camera_node, viewer_node                   (no pixels)

Importing the package itself is cheap: no OpenCV, no MediaPipe, no ROS.
"""

__all__ = ['__version__']

__version__ = '0.1.0'

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
Take people out of a camera image and put any background behind them.

The way of a frame, and the only direction of imports::

    tools -> nodes -> io -> picture -> settings -> errors, resources

``picture`` turns a frame into alpha and composite (no ROS, no files), ``io`` reads and writes cameras and files, ``nodes`` are
the ROS 2 nodes, ``tools`` programs on top. Importing the package itself is cheap: no OpenCV, no MediaPipe, no ROS.
"""

__all__ = ['__version__']  # noqa: F822  by __getattr__


def __getattr__(name: str) -> str:
    """Return the version, which stands in package.xml."""
    if name != '__version__':
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    from xml.etree import ElementTree

    from .resources import share
    return ElementTree.parse(share('package.xml')).findtext('version', 'unknown')

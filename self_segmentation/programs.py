# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The package's programs, by name; setup.py installs them. No module imports this one."""

from .process import program

benchmark = program('tools.benchmark')
camera_node = program('nodes.camera_node', keeps_large_buffers=True)
evaluate = program('tools.evaluate')
segmentation_node = program('nodes.segmentation_node', keeps_large_buffers=True)
self_segmentation = program('command_line', 'self_segmentation')
studio_node = program('studio.studio_node', keeps_large_buffers=True)
viewer_node = program('nodes.viewer_node', keeps_large_buffers=True)

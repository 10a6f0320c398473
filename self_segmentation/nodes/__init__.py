# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
The ROS 2 nodes, one a file, and their shared modules: messages, parameters, diagnostics, the life of a process.

Others start their ``main`` or subscribe to their topics; nothing but ``tools`` imports from here.
"""

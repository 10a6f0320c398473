# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
rosbag2 recordings in and out: files, what their types show, and the run over many. No ROS installation.

Others use :func:`~.run.process_recordings`.
"""

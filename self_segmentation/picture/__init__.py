# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
Frame to alpha to composite, on arrays and bytes: no ROS, no files, no screens.

Others use :class:`~.pipeline.Pipeline` and its :class:`~.pipeline.Result`; the modules behind it are its stages.
"""

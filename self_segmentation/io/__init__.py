# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
Cameras, videos, images, model files and windows: what the pipeline needs from outside, and where its results go. No ROS.

Others use :func:`~.sources.open_source`, the writers, :class:`~.window.Window` and :func:`~.assets.load_assets`.
"""

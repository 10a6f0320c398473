# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The neural networks: segmenter and person detector, and the runtimes that run them."""

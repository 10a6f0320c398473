# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Who is in the picture: tracks, the views in which people are segmented, and when the detector runs."""

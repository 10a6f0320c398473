# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""From the model's map to alpha and composite: background model, smoothing, edge filters, threshold, compositor."""

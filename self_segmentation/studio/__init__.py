# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
The web page: its node, its server, what it knows of other nodes, their pictures; ``page/`` is what the browser loads.

Others start its ``main``; nothing but ``tools`` imports from here.
"""

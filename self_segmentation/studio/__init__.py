# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
The web page: its node, its server, the state and the pictures of other nodes; ``page/`` is what the browser loads.

Others start its ``main``; nothing but ``tools`` imports from here.
"""

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the package's data (models, config) lies, in a source tree as in an install space."""

from __future__ import annotations

from pathlib import Path

__all__ = ['share']

_PACKAGE = 'self_segmentation'


def share(*parts: str) -> Path:
    """
    Return the path of a file below the package's share folder.

    Looks beside the package (source tree, ``colcon build --symlink-install``) and then for
    ``share/self_segmentation`` above it (install space), so it needs neither ROS nor a sourced shell.

    :raises FileNotFoundError: neither is there: the package is not installed whole.
    """
    module = Path(__file__).resolve()
    candidates = [module.parent.parent, *(up / 'share' / _PACKAGE for up in module.parents)]
    for root in candidates:
        if (root / 'package.xml').is_file():
            return root.joinpath(*parts)
    raise FileNotFoundError(f'no share/{_PACKAGE} above {module}: is the package installed with colcon?')

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The type of an array in signatures; shape, dtype and range stand in the docstring."""

from typing import Any, TypeAlias

from numpy.typing import NDArray

__all__ = ['Array']

Array: TypeAlias = NDArray[Any]

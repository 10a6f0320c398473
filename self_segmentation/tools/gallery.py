# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""``make pictures``: what each look, and each background, makes of the built-in sample; for the README."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..io.progress import tqdm
from ..io.sources import open_source
from ..library import Pipeline
from ..resources import data_path
from ..settings import LOOKS, Settings, look_file, read_yaml
from .before_after import captioned, grid

__all__ = ['main']

_FRAME = 69  # somebody is at the table; the room was empty before, so that it is learnt
_SHOWN = slice(150, 726)  # columns of the sample
_CELL = 400, 300  # pixels
_CHECKS = 12  # pixels of the pattern behind what is transparent
_TYPES: tuple[dict[str, Any], ...] = (
    *({'background.type': kind} for kind in ('color', 'image', 'blur', 'pixelate', 'transparent')),
    *({'replace': 'people', 'background.type': kind} for kind in ('color', 'image', 'blur', 'pixelate', 'clean_plate')),
)


def _picture(values: Mapping[str, Any]) -> NDArray[np.uint8]:
    """Return what settings make of the sample, (h, w, 3) uint8 blue green red."""
    files = {'background.image': str(data_path('demo', 'background.jpg')), 'flip': False}
    composite: NDArray[np.uint8] = np.empty(0, np.uint8)
    with (Pipeline(Settings().updated({**values, **files})) as pipeline,
          open_source(str(data_path('demo', 'sample.mp4'))) as source):
        while (frame := source.read()) is not None and frame.index <= _FRAME:
            result = pipeline.process(frame.pixels, stamp=frame.stamp)
            assert result.composite is not None  # it is wanted
            composite = result.composite
    composite = composite[:, _SHOWN]
    return composite if composite.shape[2] == 3 else _over_checks(composite)


def _over_checks(cut_out: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = cut_out.shape[:2]
    rows, columns = np.mgrid[:height, :width] // _CHECKS
    checks = np.where((rows + columns) % 2, 200, 240)[..., None]
    fraction = cut_out[..., 3:] / 255
    return np.asarray(cut_out[..., :3] * fraction + checks * (1 - fraction), np.uint8)


def _sheet(cells: Iterable[tuple[str, Mapping[str, Any]]], columns: int, bar: tqdm[Any]) -> NDArray[np.uint8]:
    made = []
    for label, values in cells:
        picture = cv2.resize(_picture(values), _CELL, interpolation=cv2.INTER_AREA)
        made.append(captioned(np.asarray(picture, np.uint8), label))
        bar.update()
    return grid([made[start:start + columns] for start in range(0, len(made), columns)])


def main() -> int:
    """Write ``looks.jpg`` and ``backgrounds.jpg`` to the folder that is given, or ``docs``."""
    folder = Path(*sys.argv[1:2] or ['docs'])
    names = [' '.join(str(value).replace('people', 'people:') for value in values.values()) for values in _TYPES]
    with tqdm(total=len(LOOKS) + len(_TYPES), desc='looks, backgrounds', unit='picture', disable=None) as bar:
        looks = _sheet(((f'look: {look}', read_yaml(look_file(look))) for look in LOOKS), len(LOOKS), bar)
        backgrounds = _sheet(zip(names, _TYPES), 5, bar)
    for name, sheet in (('looks', looks), ('backgrounds', backgrounds)):
        cv2.imwrite(str(folder / f'{name}.jpg'), sheet, [cv2.IMWRITE_JPEG_QUALITY, 85])
    return 0


if __name__ == '__main__':
    raise SystemExit(main())

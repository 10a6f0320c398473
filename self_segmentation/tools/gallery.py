# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""``make pictures``: what each look, and each background, makes of the built-in sample; for the README."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..io.progress import tqdm
from ..io.sources import open_source
from ..library import Pipeline
from ..picture.arrays import over_checks
from ..resources import data_path
from ..settings import LOOKS, Settings, look_file, read_yaml
from .before_after import captioned, grid

__all__ = ['main']

_FRAME = 69  # of the sample: somebody is at the table; the room was empty before, so it is known
_COLUMNS = slice(150, 726)  # of the sample
_CELL = 400, 300  # pixels
_BACKGROUNDS: dict[str, dict[str, Any]] = {
    **{kind: {'background.type': kind} for kind in ('color', 'image', 'blur', 'pixelate', 'transparent')},
    **{f'people: {kind}': {'replace': 'people', 'background.type': kind}
       for kind in ('color', 'image', 'blur', 'pixelate', 'clean_plate')},
}


def _picture(label: str, values: Mapping[str, Any]) -> NDArray[np.uint8]:
    """Return the sample with these settings and a caption, (h, w, 3) uint8 blue green red."""
    files = {'background.image': str(data_path('demo', 'background.jpg')), 'flip': False}
    composite: NDArray[np.uint8] = np.empty(0, np.uint8)
    with (Pipeline(Settings().updated({**values, **files})) as pipeline,
          open_source(str(data_path('demo', 'sample.mp4'))) as source):
        while (frame := source.read()) is not None and frame.index <= _FRAME:
            result = pipeline.process(frame.pixels, stamp=frame.stamp)
            assert result.composite is not None  # it is wanted
            composite = result.composite
    composite = composite[:, _COLUMNS]
    if composite.shape[2] == 4:
        composite = over_checks(composite[..., :3], composite[..., 3])
    return captioned(np.asarray(cv2.resize(composite, _CELL, interpolation=cv2.INTER_AREA), np.uint8), label)


def main() -> int:
    """Write ``looks.jpg`` and ``backgrounds.jpg`` to the folder that is given, or ``docs``."""
    folder = Path(*sys.argv[1:2] or ['docs'])
    sheets = {'looks': {f'look: {look}': read_yaml(look_file(look)) for look in LOOKS}, 'backgrounds': _BACKGROUNDS}
    for name, cells in sheets.items():
        made = [_picture(*cell) for cell in tqdm(cells.items(), desc=name, unit='picture', disable=None)]
        sheet = grid([made[start:start + 5] for start in range(0, len(made), 5)])
        cv2.imwrite(str(folder / f'{name}.jpg'), sheet, [cv2.IMWRITE_JPEG_QUALITY, 85])
    return 0


if __name__ == '__main__':
    raise SystemExit(main())

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
Judge the masks against the truth: the tutorial, the default and any configuration given, side by side.

``python3 -m self_segmentation.tools.evaluate DIR [--config FILE ...] [--json FILE] [--sheet FILE]``, where DIR has
``images/`` with ``masks/NAME.png``, ``empty/`` (nobody there) and ``videos/NAME.mp4`` with ``NAME_mattes/%05d.png``;
each part may be missing. A ``MANIFEST.tsv`` with the columns ``path`` and ``ground_truth`` sorts the images.
"""

from __future__ import annotations

if __name__ == '__main__':  # before the imports, which take seconds
    from ..programs import evaluate
    raise SystemExit(evaluate())

import argparse
import csv
import dataclasses
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ..errors import SelfSegmentationError, SourceError
from ..io.assets import make_pipeline
from ..io.sources import open_source
from ..picture.pipeline import Pipeline
from ..resources import share
from ..settings import Settings, read_yaml

__all__ = ['boundary_iou', 'flicker_still', 'ghost_lag', 'iou', 'main']

_Image = NDArray[np.uint8]
_Mask = NDArray[np.bool_]
_BOUNDARY = 0.02  # fraction of the diagonal
_LAGS = 6  # frames; how far the areas are shifted against each other
_WORST = 8


def iou(found: _Mask, truth: _Mask) -> float:
    """Return the intersection over the union of two masks, (h, w) bool; 1 where both are empty."""
    union = np.count_nonzero(found | truth)
    return 1.0 if union == 0 else np.count_nonzero(found & truth) / union


def boundary_iou(found: _Mask, truth: _Mask) -> float:
    """
    Return the IoU of the inner boundary bands of two masks, (h, w) bool.

    Cheng et al., "Boundary IoU", CVPR 2021: the band is 2 % of the diagonal wide, the frame's border counts as background.
    """
    return iou(_band(found), _band(truth))


def _band(mask: _Mask) -> _Mask:
    width = max(1, round(_BOUNDARY * math.hypot(*mask.shape)))
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=[0])
    inner = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1]
    return np.logical_and(mask, np.equal(inner, 0))


def flicker_still(found: list[_Mask], truth: list[_Mask]) -> float:
    """Return the area that changes from frame to frame where the truth does not, over the person's area; mean over the clip."""
    fractions = []
    for before, now, truth_before, truth_now in zip(found, found[1:], truth, truth[1:]):
        moving = cv2.dilate((truth_now ^ truth_before).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        fractions.append(np.count_nonzero((now ^ before) & ~moving) / max(np.count_nonzero(truth_now), 0.01 * now.size))
    return float(np.mean(fractions)) if fractions else 0.0


def ghost_lag(found: list[_Mask], truth: list[_Mask]) -> int:
    """Return by how many frames the mask's area comes behind the truth's, by cross-correlation."""
    areas = [np.array([mask.mean() for mask in masks]) for masks in (found, truth)]
    if len(areas[0]) <= 2 * _LAGS or areas[1].std() < 1e-6:
        return 0

    def agreement(lag: int) -> float:
        late, early = (areas[0][lag:], areas[1][:len(areas[1]) - lag]) if lag >= 0 else (areas[0][:lag], areas[1][-lag:])
        return -float(np.mean((late - late.mean() - early + early.mean()) ** 2))

    return max(range(-_LAGS, _LAGS + 1), key=lambda lag: (agreement(lag), -abs(lag)))


@dataclasses.dataclass
class _Case:
    """One image, truth and what each configuration made of it, for the sheet."""

    name: str
    score: float
    image: _Image
    truth: _Mask
    found: dict[str, _Mask]


class _Judge:
    def __init__(self, folder: Path, configurations: dict[str, Settings]) -> None:
        self._folder = folder
        self._pipelines = {name: make_pipeline(settings.updated({'flip': False})) for name, settings in configurations.items()}
        self._last = list(configurations)[-1]
        self.cases: list[_Case] = []

    def _masks(self, frame: _Image) -> dict[str, _Mask]:
        return {name: _mask(pipeline, frame, still=True) for name, pipeline in self._pipelines.items()}

    def images(self) -> dict[str, Any]:
        """Judge ``images/``: by kind of truth, the mean IoU and boundary IoU of each configuration."""
        kinds = _kinds(self._folder)
        scores: dict[str, dict[str, list[tuple[float, float]]]] = {}
        for path in tqdm(_files(self._folder / 'images'), desc='images', disable=None):
            truth = _truth(self._folder / 'masks' / f'{path.stem}.png')
            if truth is None:
                continue
            frame = _image(path)
            found = self._masks(frame)
            for name, mask in found.items():
                pair = (iou(_sized(mask, truth), truth), boundary_iou(_sized(mask, truth), truth))
                for kind in ('all', kinds.get(path.stem)):
                    if kind:
                        scores.setdefault(kind, {}).setdefault(name, []).append(pair)
            self.cases.append(_Case(path.stem, iou(_sized(found[self._last], truth), truth), frame, truth, found))
        return {kind: {name: dict(zip(('iou', 'boundary_iou', 'images'), (*np.mean(pairs, axis=0).tolist(), len(pairs))))
                       for name, pairs in by_name.items()} for kind, by_name in scores.items()}

    def empty(self) -> dict[str, Any]:
        """Judge ``empty/``: the mean area of people who are not there."""
        areas: dict[str, list[float]] = {}
        for path in tqdm(_files(self._folder / 'empty'), desc='empty', disable=None):
            frame = _image(path)
            found = self._masks(frame)
            for name, mask in found.items():
                areas.setdefault(name, []).append(float(mask.mean()))
            self.cases.append(_Case(path.stem, 1 - float(found[self._last].mean()), frame,
                                    np.zeros(frame.shape[:2], bool), found))
        return {name: {'false_area': float(np.mean(values)), 'above_1_percent': sum(v > 0.01 for v in values),
                       'images': len(values)} for name, values in areas.items()}

    def videos(self) -> dict[str, Any]:
        """Judge ``videos/`` with mattes: IoU, boundary IoU, flicker, ghost lag and inferences a frame."""
        return {path.stem: {name: self._clip(path, mattes, name) for name in self._pipelines}
                for path, mattes in _clips(self._folder / 'videos')}

    def _clip(self, path: Path, mattes: Path, name: str) -> dict[str, Any]:
        pipeline = self._pipelines[name]
        pipeline.reset()
        asked = pipeline.inferences
        found: list[_Mask] = []
        truths: list[_Mask] = []
        frames = 0
        source = open_source(str(path))
        with tqdm(total=source.count, desc=f'{path.stem} ({name})', disable=None) as bar:
            while frame := source.read():
                mask = _mask(pipeline, frame.pixels, still=False)
                frames += 1
                bar.update()
                truth = _truth(mattes / f'{frame.index:05d}.png')
                if truth is not None:
                    found.append(_sized(mask, truth))
                    truths.append(truth)
        people = [(f, t) for f, t in zip(found, truths) if t.any()]
        return {'iou': float(np.mean([iou(f, t) for f, t in people])),
                'boundary_iou': float(np.mean([boundary_iou(f, t) for f, t in people])),
                'flicker_still': flicker_still(found, truths), 'ghost_lag': ghost_lag(found, truths),
                'inferences_per_frame': (pipeline.inferences - asked) / frames, 'frames': frames}

    def close(self) -> None:
        """Free the models."""
        for pipeline in self._pipelines.values():
            pipeline.close()

    def sheet(self) -> _Image:
        """Return the worst cases as one image: frame, truth, and the mask of each configuration laid over the frame."""
        rows = []
        for case in sorted(self.cases, key=lambda case: case.score)[:_WORST]:
            cells = [case.image, _overlay(case.image, case.truth), *(_overlay(case.image, m) for m in case.found.values())]
            labels = [f'{case.name} {case.score:.3f}', 'truth', *case.found]
            rows.append(np.hstack([_labelled(cell, label) for cell, label in zip(cells, labels)]))
        return np.vstack(rows)


def _mask(pipeline: Pipeline, frame: _Image, still: bool) -> _Mask:
    mask = np.empty(frame.shape[:2], np.uint8)
    pipeline.process(frame, still=still, composite=False, alpha=False, mask=mask)
    return mask > 127


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob('*') if path.is_file()) if folder.is_dir() else []


def _clips(folder: Path) -> Iterator[tuple[Path, Path]]:
    for path in _files(folder):
        mattes = folder / f'{path.stem}_mattes'
        if mattes.is_dir():
            yield path, mattes


def _kinds(folder: Path) -> dict[str, str]:
    path = folder / 'MANIFEST.tsv'
    if not path.is_file():
        return {}
    with path.open(newline='', encoding='utf-8') as lines:
        rows = csv.DictReader(lines, delimiter='\t')
        return {Path(row['path']).stem: row['ground_truth'] for row in rows if row['path'].startswith('images/')}


def _image(path: Path) -> _Image:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise SourceError(f'image {path} cannot be read: give a PNG or JPEG file')
    return np.asarray(image, np.uint8)


def _truth(path: Path) -> _Mask | None:
    truth = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if truth is None:
        return None
    plane = truth if truth.ndim == 2 else truth[..., 3] if truth.shape[2] == 4 else truth[..., 0]
    return np.greater(plane, 127 if plane.dtype == np.uint8 else 32767)


def _sized(mask: _Mask, like: _Mask) -> _Mask:
    return mask if mask.shape == like.shape else np.greater(cv2.resize(mask.astype(np.float32), like.shape[::-1]), 0.5)


def _overlay(image: _Image, mask: _Mask) -> _Image:
    tinted = image.copy()
    outside = ~_sized(mask, np.zeros(image.shape[:2], bool))
    tinted[outside] = tinted[outside] // 4
    return tinted


def _labelled(image: _Image, label: str) -> _Image:
    cell = np.asarray(cv2.resize(image, (320, 240)), np.uint8)
    for color, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(cell, label, (5, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.45, color, thickness, cv2.LINE_AA)
    return cell


def _table(results: dict[str, Any], names: list[str]) -> Iterator[str]:
    def row(head: str, by_name: dict[str, Any], form: str) -> str:
        return f'| {head} | ' + ' | '.join(form.format(**by_name[name]) if name in by_name else '' for name in names) + ' |'

    head, line = '| ' + ' | '.join(['', *names]) + ' |', '|---' * (len(names) + 1) + '|'
    if results['images']:
        yield from ('Images: IoU / boundary IoU', '', head, line)
        for kind, by_name in results['images'].items():
            yield row(kind, by_name, '{iou:.3f} / {boundary_iou:.3f}')
        yield ''
    if results['empty']:
        yield from ('Nobody there: mean false area, images above 1 %', '', head, line)
        yield row('empty', results['empty'], '{false_area:.3f}, {above_1_percent}')
        yield ''
    if results['videos']:
        yield from ('Clips: IoU / boundary IoU / flicker where still, ghost lag in frames, inferences a frame', '', head, line)
        form = '{iou:.3f} / {boundary_iou:.3f} / {flicker_still:.4f}, {ghost_lag}, {inferences_per_frame:.2f}'
        for clip, by_name in results['videos'].items():
            yield row(clip, by_name, form)


def main(args: list[str] | None = None) -> int:
    """Run the evaluation; return the exit code."""
    parser = argparse.ArgumentParser(prog='evaluate', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', metavar='DIR', type=Path)
    parser.add_argument('--config', action='append', default=[], metavar='FILE', help='another configuration; may be repeated')
    parser.add_argument('--only', choices=['images', 'empty', 'videos'], help='judge this part alone')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the figures')
    parser.add_argument('--sheet', type=Path, metavar='FILE', help='write the worst cases as an image')
    options = parser.parse_args(args)
    try:
        files = {'tutorial': share('config', 'tutorial.yaml'), 'default': share('config', 'segmentation.yaml'),
                 **{Path(name).stem: Path(name) for name in options.config}}
        judge = _Judge(options.folder, {name: Settings().updated(read_yaml(path), str(path)) for name, path in files.items()})
        parts = {'images': judge.images, 'empty': judge.empty, 'videos': judge.videos}
        results = {part: judged() if options.only in (None, part) else {} for part, judged in parts.items()}
        judge.close()
    except SelfSegmentationError as error:
        print(f'evaluate: {error}', file=sys.stderr)
        return 1
    if not any(results.values()):
        print(f'evaluate: {options.folder} has none of images/ with masks/, empty/, videos/ with NAME_mattes/', file=sys.stderr)
        return 1
    print('\n'.join(_table(results, list(files))))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + '\n', encoding='utf-8')
    if options.sheet and judge.cases:
        cv2.imwrite(str(options.sheet), judge.sheet())
    return 0

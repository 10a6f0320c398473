# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
Compare masks with the truth: the tutorial, the default and any configuration given, side by side.

``python3 -m self_segmentation.tools.evaluate DIR [--config FILE ...] [--json FILE] [--sheet FILE]``, where DIR has
``images/`` with ``masks/NAME.png``, ``empty/`` (nobody there), ``videos/NAME.mp4`` with ``NAME_mattes/%05d.png``, or
``images/`` with ``people.json``; each part may be missing. A configuration that replaces people is judged by what stays
visible of them, in the clips and in the images of people. A ``MANIFEST.tsv`` with the columns ``path`` and
``ground_truth`` sorts the images. ``people.json`` has the outline of each person, by the image's name without its ending:
``{NAME: {"width": w, "height": h, "people": [{"bbox": [x, y, w, h], "counts": true, "segmentation": ...}]}}`` in COCO's
forms. A person with "counts": false need not be found. An empty list means that nobody is there.
"""

from __future__ import annotations

if __name__ == '__main__':  # before the imports, which take seconds
    from ..process import program
    raise SystemExit(program('tools.evaluate')())

import argparse
import csv
import json
import math
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ExitCode, InputError, SelfSegmentationError
from ..io.progress import tqdm
from ..io.sources import open_source
from ..library import Pipeline
from ..picture.matting.compositor import edge_corrected
from ..picture.video import Video
from ..resources import read_file
from ..settings import Settings, look_file, read_yaml
from .before_after import captioned, grid
from .metrics import LeakTally, Mask, PeopleTally, boundary_iou, entries, flicker_still, ghost_lag, iou, outline, spill
from .reference import markdown_table

__all__ = ['main']

_Image = NDArray[np.uint8]
_LARGEST_JSON = 64 << 20  # bytes
_WORST, _CELL = 8, (320, 240)  # cases of the sheet; pixels of a picture in it
_SPILL_EVERY = 4  # frames
_LEAK = '{leak:.4f} / {worst:.3f}; {frames_above_1_percent} of {frames}; {people_above_10_percent} of {people}; {needless:.3f}'
_TABLES: tuple[tuple[str, str, str | dict[str, str]], ...] = (  # part, title; what each row shows, or all rows, by their heads
    ('images', 'Images: IoU / boundary IoU', '{iou:.3f} / {boundary_iou:.3f}'),
    ('empty', 'Nobody there: mean false area, images above 1 %', {'empty': '{false_area:.4f}, {above_1_percent} of {images}'}),
    ('people', 'People: who is found, at least half of them', {
        'found': '{people_found} of {people}', 'far, less than 0.3 of the height': '{far_found} of {far}',
        'middle, less than 0.6': '{middle_found} of {middle}', 'near': '{near_found} of {near}', 'IoU': '{iou:.3f}',
        'beside people, of the frame': '{beside:.3f}', 'nobody there: mean false area': '{false_area:.4f}',
        'nobody there: images above 1 %': '{above_1_percent} of {empty}'}),
    ('videos', 'Clips: IoU / boundary IoU / flicker where still, ghost lag in frames, inferences a frame',
     '{iou:.3f} / {boundary_iou:.3f} / {flicker_still:.4f}, {ghost_lag}, {inferences_per_frame:.2f}'),
    ('videos', 'Clips: colour of the old background just inside of the outline, grey levels: as seen / solved for',
     '{spill:.1f} / {spill_solved:.1f}'),
    ('videos', 'Clips: frames until half of a person who enters is covered, worst / mean of how many; ids of people',
     '{entering}; {ids}'),
    ('privacy', 'Nobody to be seen: of people left visible, mean / worst frame; frames with more than 1 %; people with more than '
                '10 %; covered without need, of the frame', _LEAK),
)


class _Case(NamedTuple):
    """An image, the truth, and the mask of each configuration, for the sheet."""

    name: str
    score: float
    image: _Image
    truth: Mask
    found: dict[str, Mask]


class _Judge:
    def __init__(self, folder: Path, configurations: dict[str, Settings]) -> None:
        self._folder = folder
        made = {name: Pipeline(settings.updated({'flip': False})) for name, settings in configurations.items()}
        self._hiding = {name: each for name, each in made.items() if each.settings.hides_people}
        self._pipelines = {name: each for name, each in made.items() if name not in self._hiding}
        self._last = [*self._pipelines][-1]
        self.cases: list[_Case] = []

    def _masks(self, name: str, frame: _Image, truth: Mask) -> dict[str, Mask]:
        """Return the mask of each configuration; keep the case for the sheet."""
        found = {}
        for configuration, pipeline in self._pipelines.items():
            mask = pipeline.process(frame, video=Video(), still=True, composite=False, alpha=False).mask
            assert mask is not None  # it is wanted
            found[configuration] = mask > 127
        last = _sized(found[self._last], truth)
        self.cases.append(_Case(name, iou(last, truth) if truth.any() else 1 - float(last.mean()), frame, truth, found))
        return found

    def images(self) -> dict[str, Any]:
        """Judge ``images/``: by kind of truth, the mean IoU and boundary IoU of each configuration."""
        kinds = _kinds(self._folder)
        scores: dict[str, dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
        for path in tqdm(_files(self._folder / 'images'), desc='images', disable=None):
            truth = _truth(self._folder / 'masks' / f'{path.stem}.png')
            if truth is None:
                continue
            for name, mask in self._masks(path.stem, _image(path), truth).items():
                sized = _sized(mask, truth)
                for kind in filter(None, ('all', kinds.get(path.stem))):
                    scores[kind][name].append((iou(sized, truth), boundary_iou(sized, truth)))
        return {kind: {name: dict(zip(('iou', 'boundary_iou', 'images'), (*np.mean(pairs, axis=0).tolist(), len(pairs))))
                       for name, pairs in by_name.items()} for kind, by_name in scores.items()}

    def empty(self) -> dict[str, Any]:
        """Judge ``empty/``: the mean area of people who are not there."""
        areas: dict[str, list[float]] = defaultdict(list)
        for path in tqdm(_files(self._folder / 'empty'), desc='empty', disable=None):
            frame = _image(path)
            for name, mask in self._masks(path.stem, frame, np.zeros(frame.shape[:2], bool)).items():
                areas[name].append(float(mask.mean()))
        return {name: {'false_area': float(np.mean(values)), 'above_1_percent': sum(v > 0.01 for v in values),
                       'images': len(values)} for name, values in areas.items()}

    def _images_of_people(self, title: str) -> Iterator[tuple[str, _Image, list[tuple[Mask, float | None]]]]:
        """Yield each image that people.json names, with its people as :meth:`PeopleTally.add` takes them."""
        images = {path.stem: path for path in _files(self._folder / 'images')}
        for name, people in tqdm(_people(self._folder / 'people.json').items(), desc=title, disable=None):
            if name not in images:
                raise InputError(f'{self._folder / "images"} has no image {name}, which people.json names')
            yield name, _image(images[name]), people

    def people(self) -> dict[str, Any]:
        """Judge ``images/`` with ``people.json``: who is found, what is beside them, and what is found where nobody is."""
        tallies: dict[str, PeopleTally] = defaultdict(PeopleTally)
        for name, frame, people in self._images_of_people('people'):
            everybody = np.logical_or.reduce([np.zeros(frame.shape[:2], bool), *(pixels for pixels, _ in people)])
            for configuration, mask in self._masks(name, frame, everybody).items():
                tallies[configuration].add(mask, [(_sized(pixels, mask), height) for pixels, height in people])
        return {name: tally.figures() for name, tally in tallies.items()}

    def videos(self) -> dict[str, Any]:
        """Judge ``videos/`` with mattes: IoU, boundary IoU, flicker, ghost lag, who enters, ids and inferences a frame."""
        return {path.stem: {name: self._clip(path, mattes, name) for name in self._pipelines}
                for path, mattes in _clips(self._folder / 'videos')}

    def _clip(self, path: Path, mattes: Path, name: str) -> dict[str, Any]:
        pipeline, video = self._pipelines[name], Video()
        inferences, frames = pipeline.inferences, 0
        ids: set[int] = set()
        found: list[Mask] = []
        truths: list[Mask] = []
        spills: list[list[float]] = []
        with open_source(str(path)) as source, tqdm(total=source.count, desc=f'{path.stem} ({name})', disable=None) as bar:
            while frame := source.read():
                result = pipeline.process(frame.pixels, video=video, composite=False)
                assert result.alpha is not None and result.mask is not None  # they are wanted
                ids |= {person.id for person in result.people}
                frames += 1
                bar.update()
                truth = _truth(mattes / f'{frame.index:05d}.png')
                if truth is None:
                    continue
                mask = result.mask > 127
                found.append(_sized(mask, truth))
                truths.append(truth)
                if frame.index % _SPILL_EVERY == 0:
                    solved = edge_corrected(frame.pixels, result.alpha, frame.pixels, 1.0, 0.0)
                    person = _sized(truth, mask)
                    spills.append([spill(colors, result.alpha, person) for colors in (frame.pixels, solved)])
        shown = [(f, t) for f, t in zip(found, truths) if t.any()]
        with_outline = [pair for pair in spills if not math.isnan(pair[0])] or [[math.nan, math.nan]]
        left, solved_left = np.mean(with_outline, axis=0).tolist()
        return {'spill': left, 'spill_solved': solved_left, 'iou': float(np.mean([iou(f, t) for f, t in shown])),
                'boundary_iou': float(np.mean([boundary_iou(f, t) for f, t in shown])),
                'flicker_still': flicker_still(found, truths), 'ghost_lag': ghost_lag(found, truths),
                'entries': entries(found, truths), 'ids': len(ids),
                'inferences_per_frame': (pipeline.inferences - inferences) / frames, 'frames': frames}

    def privacy(self) -> dict[str, Any]:
        """Judge what stays visible where people are replaced: in the clips, from their first frame on, and in the images."""
        if not self._hiding:
            return {}
        results = {path.stem: {name: self._leak(path, mattes, pipeline) for name, pipeline in self._hiding.items()}
                   for path, mattes in _clips(self._folder / 'videos')}
        tallies: dict[str, LeakTally] = defaultdict(LeakTally)
        for _, frame, people in self._images_of_people('privacy'):
            counted = [pixels for pixels, height in people if height is not None]
            others = [pixels for pixels, height in people if height is None]
            for name, pipeline in self._hiding.items():
                alpha = pipeline.process(frame, still=True, composite=False, mask=False).alpha
                assert alpha is not None  # it is wanted
                tallies[name].add(alpha, counted, others)
        return {**results, **({'people': {name: tally.figures() for name, tally in tallies.items()}} if tallies else {})}

    def _leak(self, path: Path, mattes: Path, pipeline: Pipeline) -> dict[str, float]:
        video, tally = Video(), LeakTally()
        with open_source(str(path)) as source:
            while frame := source.read():
                alpha = pipeline.process(frame.pixels, video=video, stamp=frame.stamp, composite=False, mask=False).alpha
                truth = _truth(mattes / f'{frame.index:05d}.png')
                if truth is not None and alpha is not None:
                    tally.add(alpha, [_sized(truth, alpha.astype(bool))])
        return tally.figures()

    def close(self) -> None:
        """Free the models."""
        for pipeline in (*self._pipelines.values(), *self._hiding.values()):
            pipeline.close()

    def sheet(self) -> _Image:
        """Return the worst cases as one image: frame, truth, and the mask of each configuration laid over the frame."""
        rows = []
        for case in sorted(self.cases, key=lambda case: case.score)[:_WORST]:
            cells = {f'{case.name} {case.score:.3f}': case.image, 'truth': _overlay(case.image, case.truth),
                     **{name: _overlay(case.image, mask) for name, mask in case.found.items()}}
            rows.append([captioned(np.asarray(cv2.resize(cell, _CELL), np.uint8), label) for label, cell in cells.items()])
        return grid(rows)


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


def _people(path: Path) -> dict[str, list[tuple[Mask, float | None]]]:
    """Return, for each image of a people.json, everybody's pixels and height, as :meth:`PeopleTally.add` takes them."""
    if not path.is_file():
        return {}
    try:
        images = json.loads(read_file(path, _LARGEST_JSON))
        return {name: [(outline(person['segmentation'], image['width'], image['height']),
                        person['bbox'][3] / image['height'] if person['counts'] else None) for person in image['people']]
                for name, image in images.items()}
    except (OSError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError, cv2.error) as error:
        raise InputError(f'{path} does not hold people as `evaluate --help` shows ({type(error).__name__}: {error})') from error


def _image(path: Path) -> _Image:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f'image {path} cannot be read: give a PNG or JPEG file')
    return np.asarray(image, np.uint8)


def _truth(path: Path) -> Mask | None:
    if not path.is_file():
        return None
    truth = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if truth is None:
        raise InputError(f'truth {path} cannot be read: give a PNG file')
    plane = truth if truth.ndim == 2 else truth[..., 3] if truth.shape[2] == 4 else truth[..., 0]
    return np.greater(plane, 127 if plane.dtype == np.uint8 else 32767)


def _sized(mask: Mask, like: Mask) -> Mask:
    return mask if mask.shape == like.shape else np.greater(cv2.resize(mask.astype(np.float32), like.shape[::-1]), 0.5)


def _overlay(image: _Image, mask: Mask) -> _Image:
    tinted = image.copy()
    outside = ~_sized(mask, np.zeros(image.shape[:2], bool))
    tinted[outside] = tinted[outside] // 4
    return tinted


def _tables(results: dict[str, Any], all_names: list[str]) -> Iterator[str]:
    for part, title, form in _TABLES:
        if not results[part]:
            continue
        if isinstance(form, str):
            rows = [(head, figures, form) for head, figures in results[part].items()]
        else:
            rows = [(head, results[part], each) for head, each in form.items()]
        names = [name for name in all_names if name in rows[0][1]]
        yield from (title, '', *markdown_table(['', *names], (
            [head, *(each.format(**figures[name], entering=_entering(figures[name])) for name in names)]
            for head, figures, each in rows)), '')


def _entering(figures: dict[str, Any]) -> str:
    delays = figures.get('entries')
    return f'{max(delays)} / {np.mean(delays):.1f} of {len(delays)}' if delays else '-'


def main(args: list[str] | None = None) -> int:
    """Run the evaluation; return the exit code."""
    parser = argparse.ArgumentParser(prog='evaluate', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', metavar='DIR', type=Path)
    parser.add_argument('--config', action='append', default=[], metavar='FILE', help='another configuration; may be repeated')
    parser.add_argument('--only', choices=['images', 'empty', 'people', 'videos', 'privacy'], help='judge this part alone')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the figures')
    parser.add_argument('--sheet', type=Path, metavar='FILE', help='write the worst cases as an image')
    options = parser.parse_args(args)
    try:
        files = {**{look: look_file(look) for look in ('tutorial', 'default', 'privacy')},
                 **{Path(name).stem: Path(name) for name in options.config}}
        judge = _Judge(options.folder, {name: Settings().updated(read_yaml(path), str(path)) for name, path in files.items()})
        parts = {'images': judge.images, 'empty': judge.empty, 'people': judge.people, 'videos': judge.videos,
                 'privacy': judge.privacy}
        results = {part: judged() if options.only in (None, part) else {} for part, judged in parts.items()}
        judge.close()
    except SelfSegmentationError as error:
        print(f'evaluate: {error}', file=sys.stderr)
        return error.exit_code
    if not any(results.values()):
        print(f'evaluate: {options.folder} has none of images/ with masks/ or people.json, empty/, videos/ with '
              'NAME_mattes/', file=sys.stderr)
        return ExitCode.WILL_FAIL_AGAIN
    print('\n'.join(_tables(results, list(files))))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + '\n', encoding='utf-8')
    if options.sheet and judge.cases:
        cv2.imwrite(str(options.sheet), judge.sheet())
    return 0

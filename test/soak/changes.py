# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Parameter changes at random, valid and invalid, for a node that runs for hours."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Any

from self_segmentation.io.assets import MODELS
from self_segmentation.resources import data_path
from self_segmentation.settings import SHOWS_PEOPLE, TUNABLES, Tunable

INVALID, SEVERAL, BACK = 0.25, 0.2, 0.5  # fractions: invalid changes, several settings at once, back to the usual values
FILES = {'background.image': str(data_path('demo', 'background.jpg')), 'background.video': str(data_path('demo', 'sample.mp4'))}
# What the node starts with: a video plays behind the person. image_transport stays: the camera publishes raw images only.
LIVE = {name: tunable for name, tunable in TUNABLES.items() if not tunable.read_only and name != 'image_transport'}
USUAL = {**{name: tunable.default for name, tunable in LIVE.items()}, **FILES, 'background.type': 'video'}


def changes(chance: random.Random) -> Iterator[tuple[dict[str, Any], bool]]:
    """
    Yield parameter changes without end, as values by name, and whether each is valid after the valid ones before it.

    The valid ones begin with a tour through all settings, so that the node soon has all the memory that it needs. A setting that
    was changed at random goes back to its usual value a few changes later.

    :param chance: makes them; the same again from the same seed.
    """
    away: dict[str, Any] = {}
    tour = _tour()
    while True:
        if chance.random() < INVALID:
            others = _valid(chance) if chance.random() < SEVERAL else {}
            yield {**others, **_invalid(chance)}, False
            continue
        values = next(tour, {})
        if not values and away and chance.random() < BACK:
            values = {name: USUAL[name] for name in chance.sample([*away], min(len(away), chance.randint(1, 3)))}
            if 'replace' in values or 'background.type' in values:  # they go together
                values |= {name: USUAL[name] for name in ('replace', 'background.type', 'people.detector')}
        for _ in range(0 if values else chance.randint(2, 4) if chance.random() < SEVERAL else 1):
            values |= _valid(chance)
        away = {name: value for name, value in {**away, **values}.items() if value != USUAL[name]}
        yield values, True


def _tour() -> Iterator[dict[str, Any]]:
    """Yield valid changes that use every setting once, each followed by its usual value."""
    for name, tunable in LIVE.items():
        values: list[Any] = []
        if name == 'model':
            values = list(MODELS)
        elif isinstance(tunable.default, bool):
            values = [not tunable.default]
        elif isinstance(tunable.default, tuple):
            values = [(0, 0, 0)]
        elif tunable.choices:
            values = [*tunable.choices]
        elif not isinstance(tunable.default, str):
            values = [type(tunable.default)(tunable.limits[1])]
        for value in values:
            yield {name: value}
        yield {name: USUAL[name]}


def _valid(chance: random.Random) -> dict[str, Any]:
    tunable = chance.choice([*LIVE.values()])
    name, kind = tunable.name, type(tunable.default)
    if name == 'model':
        return {name: chance.choice([*MODELS, str(data_path('models', chance.choice([*MODELS.values()])))])}
    if name in FILES:
        return {name: FILES[name]}
    if name in ('replace', 'background.type', 'people.detector'):  # they have to fit together
        replace = chance.choice(TUNABLES['replace'].choices)
        kinds = [kind for kind in TUNABLES['background.type'].choices if replace == 'background' or kind not in SHOWS_PEOPLE]
        return {'replace': replace, 'background.type': chance.choice(kinds),
                'people.detector': replace == 'people' or chance.random() < 0.5}
    if tunable.choices:
        return {name: chance.choice(tunable.choices)}
    if kind is str:  # save_dir
        return {name: chance.choice(['/tmp', '~/pictures'])}
    if kind is bool:
        return {name: chance.random() < 0.5}
    if kind is tuple:
        return {name: tuple(chance.randint(0, 255) for _ in range(3))}
    if kind is int:
        least, greatest = map(int, tunable.limits)
        return {name: chance.randrange(least, greatest + 1, tunable.step)}
    value = chance.choice((*tunable.limits, chance.uniform(*tunable.limits)))
    return {name: int(value) if value.is_integer() and chance.random() < 0.5 else value}


def _invalid(chance: random.Random) -> dict[str, Any]:
    tunable = chance.choice([*TUNABLES.values(), None])
    return {'treshold': 0.3} if tunable is None else {tunable.name: chance.choice(_wrong(tunable))}


def _wrong(tunable: Tunable) -> list[Any]:
    kind = type(tunable.default)
    if tunable.name == 'model':
        return ['', '/', '/missing.tflite', str(data_path('config', 'segmentation.yaml')), 3]
    if tunable.name in FILES:
        return ['/', str(data_path('config', 'segmentation.yaml')), False]
    if tunable.choices:
        return ['nonsense', '', 1]
    if kind is str:
        return [3, False]
    if kind is bool:
        return [1, 'yes', 0.0]
    if kind is tuple:
        return [(1, 2), (0, 0, 256), (-1, 0, 0), (1.0, 2.0, 3.0), 'red']
    beyond = [tunable.limits[0] - 1, tunable.limits[1] + 1]
    if kind is int:
        return [*map(int, beyond), tunable.limits[0] + 0.5, 'many', True]
    return [*beyond, math.nan, math.inf, 'much', True]

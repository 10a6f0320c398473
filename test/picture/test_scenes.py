# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""People pasted into a room, with exact truth: kinds of scenes in which people must not be seen, and must be found."""

import cv2
import numpy as np
import pytest
from conftest import ASTRONAUT, EMPTY_ROOM

from self_segmentation import Pipeline, Settings, Video

SIZE = 480, 360
ROOM = cv2.resize(cv2.imread(str(EMPTY_ROOM)), SIZE, interpolation=cv2.INTER_AREA)
OTHER_ROOM = cv2.flip(ROOM, -1)
EMPTY = 10  # frames before somebody comes
VISIBLE = 0.02  # fraction of a person that may be visible in a frame


@pytest.fixture(scope='module')
def person():
    """A person with alpha, (h, w, 4) uint8."""
    picture = cv2.imread(str(ASTRONAUT))
    with Pipeline(flip=False) as pipeline:
        alpha = pipeline.process(picture, still=True).alpha
    ys, xs = np.nonzero(alpha > 127)
    return np.dstack([picture, alpha])[ys.min():ys.max() + 1, xs.min():xs.max() + 1]


def paste(room, person, x, foot, height):
    """A frame and the truth: the person so tall, their lowest point and middle there, in fractions of the frame."""
    tall = max(2, round(height * room.shape[0]))
    small = cv2.resize(person, (max(2, round(person.shape[1] * tall / person.shape[0])), tall), interpolation=cv2.INTER_AREA)
    frame, truth = room.copy(), np.zeros(room.shape[:2], bool)
    left, top = round(x * room.shape[1] - small.shape[1] / 2), round(foot * room.shape[0]) - tall
    rows = slice(max(0, top), min(room.shape[0], top + tall))
    columns = slice(max(0, left), min(room.shape[1], left + small.shape[1]))
    if rows.start < rows.stop and columns.start < columns.stop:
        part = small[rows.start - top:rows.stop - top, columns.start - left:columns.stop - left].astype(np.float32)
        alpha = part[..., 3:] / 255
        frame[rows, columns] = (part[..., :3] * alpha + frame[rows, columns] * (1 - alpha)).astype(np.uint8)
        truth[rows, columns] = alpha[..., 0] > 0.5
    return frame, truth


def comes(number, rate):
    return (min(0.5, -0.25 + 0.75 * (number - EMPTY) / (rate * 1.2)), 1.0, 0.8) if number >= EMPTY else None


def stands(height):
    return lambda number, rate: (0.4, 0.9, height) if number >= EMPTY else None


def grey(frame):
    return cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)


def dim(frame):
    return (frame * 0.4 + 3).astype(np.uint8)


def same(frame):
    return frame


KINDS = {  # how somebody moves, frames a second, frames, what the camera does
    'comes in': (comes, 30, 50, same), 'far and still': (stands(0.15), 30, 70, same),
    'small and still': (stands(0.25), 30, 70, same),
    'grey': (comes, 30, 50, grey), 'dim': (comes, 30, 50, dim), 'slow camera': (comes, 1.5, 20, same),
    'upside down': (comes, 30, 50, lambda frame: cv2.rotate(frame, cv2.ROTATE_180)),
}


@pytest.mark.slow
@pytest.mark.parametrize('kind', KINDS)
def test_nobody_is_visible_where_people_are_replaced(kind, person):
    move, rate, frames, change = KINDS[kind]
    rng = np.random.default_rng(1)
    shown = needless = 0.0
    with Pipeline(flip=False, replace='people') as pipeline:
        for number in range(frames):
            place = move(number, rate)
            frame, truth = paste(ROOM, person, *place) if place else (ROOM, np.zeros(ROOM.shape[:2], bool))
            frame = change(frame)
            truth = truth[::-1, ::-1] if kind == 'upside down' else truth
            noisy = np.clip(frame + rng.normal(0, 1.5, frame.shape), 0, 255).astype(np.uint8)
            alpha = pipeline.process(noisy, stamp=number / rate, composite=False).alpha
            if truth.mean() > 0.0005:
                shown = max(shown, float((alpha[truth] < 255).mean()))
            if number >= 6:
                needless = max(needless, float(((alpha > 127) & ~truth).mean()))
    assert shown < VISIBLE and needless < 0.5, (shown, needless)


@pytest.mark.slow
@pytest.mark.parametrize('light', [1.0, 0.4])
def test_nobody_is_visible_after_a_cut(person, light):
    video, worst = Video(), 0.0
    with Pipeline(flip=False, replace='people') as pipeline:
        for number in range(60):
            is_other = number // 15 % 2 == 1
            frame, truth = paste(OTHER_ROOM, person, 0.5, 0.95, 0.5) if is_other else (ROOM, np.zeros(ROOM.shape[:2], bool))
            alpha = pipeline.process((frame * light).astype(np.uint8), video=video, stamp=number / 30, composite=False).alpha
            if truth.any():
                worst = max(worst, float((alpha[truth] < 255).mean()))
    assert worst < VISIBLE


@pytest.mark.slow
@pytest.mark.parametrize('what', ['a box', 'a person'])
def test_still_thing_is_shown_once_it_is_proven_and_a_person_never(what, person):
    settings = Settings(flip=False, replace='people').updated({'privacy.proof': 5.0})
    covered = []
    with Pipeline(settings) as pipeline:
        for number in range(20 * 12):
            frame = ROOM.copy()
            if number >= EMPTY and what == 'a box':
                frame[200:280, 200:250] = 40, 60, 90
            elif number >= EMPTY:
                frame, _ = paste(ROOM, person, 0.47, 0.8, 0.35)
            alpha = pipeline.process(frame, stamp=number / 20, composite=False).alpha
            covered.append(bool((alpha[215:265, 212:238] == 255).all()))
    assert all(covered[EMPTY:EMPTY + 100])  # five seconds
    assert covered[-1] == (what == 'a person')


def shares_kept(frames, video=None):
    """How much is kept of a person in each frame that shows them: ``frames`` gives frames and truths, 30 a second."""
    kept = []
    with Pipeline(flip=False) as pipeline:
        for number, (frame, truth) in enumerate(frames):
            alpha = pipeline.process(frame, video=video or pipeline.video, stamp=number / 30, composite=False).alpha
            if truth is not None:
                kept.append(float((alpha[truth] > 127).mean()))
    return np.array(kept)


@pytest.mark.slow
@pytest.mark.parametrize('height', [0.1, 0.15, 0.3, 0.6])
def test_standing_person_is_found_near_and_far(person, height):
    room = cv2.resize(ROOM, (640, 480))
    kept = shares_kept(paste(room, person, 0.4, 0.9, height) if number >= EMPTY else (room, None) for number in range(60))
    assert np.mean(kept[15:] > 0.5) > 0.9, kept


@pytest.mark.slow
@pytest.mark.parametrize('turn', [cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_90_COUNTERCLOCKWISE])
def test_lying_person_is_found(person, turn):
    lying = cv2.rotate(person, turn)
    kept = shares_kept(paste(ROOM, lying, 0.5, 0.9, 0.35) if number >= EMPTY else (ROOM, None) for number in range(60))
    assert np.mean(kept[20:] > 0.5) > 0.9, kept


def video_with_cuts(person, light, count=45):
    """An empty room, another one with a person, and the empty one again, 15 frames each."""
    for number in range(count):
        frame, truth = paste(OTHER_ROOM, person, 0.5, 0.95, 0.5) if number // 15 % 2 == 1 else (ROOM, None)
        yield (frame * light).astype(np.uint8), truth


@pytest.mark.slow
@pytest.mark.parametrize('light', [1.0, 0.4])
def test_person_is_found_in_the_first_frame_after_a_cut(person, light):
    assert shares_kept(video_with_cuts(person, light)).min() > 0.5


def lamp(frame):
    """Light that falls off to one side."""
    return frame * np.linspace(1.0, 0.4, frame.shape[1])[:, None]


LIGHTS = {'steps': lambda frame: frame * 0.5, 'one lamp': lamp, 'gamma': lambda frame: (frame / 255) ** 1.6 * 255}


@pytest.mark.slow
@pytest.mark.parametrize('light', LIGHTS)
def test_light_that_changes_is_no_cut(person, light):
    video = Video()
    frame, truth = paste(ROOM, person, 0.5, 0.95, 0.7)
    other = np.clip(LIGHTS[light](frame), 0, 255).astype(np.uint8)
    kept = shares_kept((((frame, other)[number // 10 % 2], truth) for number in range(60)), video)
    assert kept.min() > 0.5 and {each.id for each in video.people} == {1}


@pytest.mark.slow
def test_person_is_kept_while_something_large_moves_before_the_room(person):
    video = Video()

    def frames():
        for number in range(60):
            frame, truth = paste(ROOM, person, 0.5, 0.9, 0.25)
            if number >= 20:
                left = 40 + number % 20
                frame[20:100, left:left + 340] = 90, 60, 40
            yield frame, truth

    assert shares_kept(frames(), video).min() > 0.5 and {each.id for each in video.people} >= {1}

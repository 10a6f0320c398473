# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What single settings change in real pictures: each is set by its name, and all others stay."""
import functools

import numpy as np
import pytest
from conftest import EMPTY_ROOM, area

from self_segmentation import Pipeline
from self_segmentation.settings import Settings

GREEN = (0, 255, 0)
BEFORE_IMAGE = {'background.type': 'image', 'background.image': str(EMPTY_ROOM)}
BILATERAL = {'edge.filter': 'bilateral', 'edge.diameter': 25, 'edge.sigma_mask': 1000.0}
JOINT = {'edge.filter': 'joint_bilateral', 'edge.diameter': 25}
HIDING = {'replace': 'people'}


def results_of(settings: dict, frames: list) -> list:
    """The results of a picture of its own, or of a video of 15 frames a second."""
    pipeline = Pipeline(Settings().updated({'flip': False, **settings}))
    results = [pipeline.process(frame, stamp=number / 15, still=len(frames) == 1) for number, frame in enumerate(frames)]
    pipeline.close()
    return results


@pytest.fixture(scope='module')
def of_astronaut(astronaut):
    """``of_astronaut(settings)``: the result of the astronaut at half her size, as a picture of its own, made once."""
    picture = np.ascontiguousarray(astronaut[::2, ::2])

    @functools.cache
    def result(items):
        return results_of(dict(items), [picture])[0]

    return lambda *settings: result(tuple(item for each in settings for item in each.items()))


def difference(a, b) -> float:
    """Mean difference of two pictures, in grey levels."""
    return float(np.abs(a.astype(int) - b).mean())


# ---- edge

def test_light_wrap_lets_background_shine_on_edge_only(of_astronaut):
    color = {'background.color': GREEN}
    off, half, full = (of_astronaut(color, {'edge.light_wrap': strength}) for strength in (0.0, 0.5, 1.0))
    assert np.array_equal(off.alpha, full.alpha)
    edge = (off.alpha > 0) & (off.alpha < 255)
    green = [float((each.composite[edge] @ (-1, 2, -1)).mean()) for each in (off, half, full)]
    assert green[0] + 20 < green[1] and green[1] + 20 < green[2]
    for each in (half, full):
        assert np.array_equal(each.composite[~edge], off.composite[~edge])


def test_decontamination_changes_colors_of_edge_by_its_strength(of_astronaut):
    off, half, full = (of_astronaut({'edge.decontaminate': strength}) for strength in (0.0, 0.5, 1.0))
    edge = (off.alpha > 0) & (off.alpha < 255)
    assert np.array_equal(off.alpha, full.alpha)
    weak, strong = (difference(each.composite[edge], off.composite[edge]) for each in (half, full))
    assert 1 < weak < 0.7 * strong
    assert np.array_equal(full.composite[off.alpha == 0], off.composite[off.alpha == 0])


def test_preset_decontaminates_before_image_only(of_astronaut):
    preset, plain = {'edge.preset': True}, {'edge.preset': False}
    full, half = {'edge.decontaminate': 1.0}, {'edge.decontaminate': 0.5}
    with_preset = of_astronaut(BEFORE_IMAGE, preset).composite
    assert np.array_equal(with_preset, of_astronaut(BEFORE_IMAGE, plain, full).composite)
    assert not np.array_equal(with_preset, of_astronaut(BEFORE_IMAGE, plain).composite)
    assert np.array_equal(of_astronaut(preset).composite, of_astronaut(plain).composite)
    assert np.array_equal(of_astronaut(BEFORE_IMAGE, preset, half).composite, of_astronaut(BEFORE_IMAGE, plain, half).composite)


def test_radius_widens_reach_of_guided_filter(of_astronaut):
    off = of_astronaut({'edge.filter': 'none'}).alpha
    reach = [difference(of_astronaut({'edge.filter': 'guided', 'edge.radius': radius}).alpha, off) for radius in (1, 3, 8)]
    assert 0.5 < reach[0] < 0.8 * reach[1] and reach[1] < 0.8 * reach[2]


def test_sigma_space_widens_reach_of_bilateral_filter(of_astronaut):
    off = of_astronaut({'edge.filter': 'none'}).alpha
    reach = [difference(of_astronaut(BILATERAL, {'edge.sigma_space': sigma}).alpha, off) for sigma in (0.1, 2.0, 20.0)]
    assert reach[0] < 0.01 and 0.1 < reach[1] < 0.8 * reach[2]


def test_sigma_color_lets_joint_bilateral_filter_smooth_across_edges_of_picture(of_astronaut):
    blurred = of_astronaut(BILATERAL).alpha  # whatever the picture shows
    off = [difference(of_astronaut(JOINT, {'edge.sigma_color': sigma}).alpha, blurred) for sigma in (3.0, 60.0, 1000.0)]
    assert off[0] > 0.5 and off[1] < 0.8 * off[0] and off[2] < 0.05


# ---- people

@pytest.mark.slow
def test_interval_sets_how_often_a_known_person_is_detected_anew(small):
    """The score is that of the last detection."""
    often, seldom = ({round(result.people[0].score, 3) for result in results_of({'people.interval': interval}, small[46:92])}
                     for interval in (2, 100))
    assert len(seldom) == 1 < len(often)


def test_score_decides_whether_one_detection_is_enough(of_astronaut):
    """A reflection has a score of 0.11, and no person is seen there from close up."""
    scores = {least: [person.score for person in of_astronaut({'people.score': least}).people] for least in (0.08, 0.25, 0.95)}
    assert [len(each) for each in scores.values()] == [2, 1, 1]
    assert 0.08 <= min(scores[0.08]) < 0.25
    assert scores[0.25][0] == max(scores[0.08]) != scores[0.95][0]  # the last one was found from close up


def test_roi_margin_changes_what_model_sees(small):
    narrow, wide = (results_of({'roi.margin': margin, 'edge.filter': 'none'}, small[46:56])[-1] for margin in (0.05, 0.5))
    assert difference(narrow.alpha, wide.alpha) > 0.2
    assert np.mean((narrow.mask > 0) == (wide.mask > 0)) > 0.97  # the same person


# ---- privacy

def test_privacy_margin_covers_more_around_person(of_astronaut):
    covered = [of_astronaut(HIDING, {'privacy.margin': margin}).alpha > 0 for margin in (0.0, 0.05, 0.15)]
    for less, more in zip(covered, covered[1:]):
        assert not (less & ~more).any() and more.mean() > less.mean() + 0.05


@pytest.mark.slow
def test_privacy_hold_keeps_place_covered_after_person_left(small):
    """The room is empty from frame 136 on."""
    frames = [small[0]] * 12 + small[104:149]
    short, long = (area(results_of({**HIDING, 'privacy.hold': seconds}, frames)[-1].alpha) for seconds in (0.5, 10.0))
    assert short < 0.1 and long > 0.4

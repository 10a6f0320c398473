# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Bad values for the parameters of a running node."""
import numpy as np
from conftest import TUTORIAL, tutorial_settings, unique
from damage import PNGS, damaged_models, is_allowed, many, with_wrong_filter
from hypothesis import assume, given
from hypothesis import strategies as st
from ros import Segmentation

from self_segmentation.io.assets import MODELS, make_pipeline
from self_segmentation.settings import TUNABLES

words = st.text(st.characters(exclude_categories=['Cs'], exclude_characters='\0'), max_size=20)
whole = st.integers(-2 ** 63, 2 ** 63 - 1)
ros = st.one_of(st.booleans(), whole, st.floats(), words, *(st.lists(kind, min_size=1, max_size=4)
                                                           for kind in (st.booleans(), whole, st.floats(), words)))


def test_running_node_refuses_every_invalid_parameter(graph, start, astronaut, tmp_path):
    namespace = unique('bad')
    program = start.node('segmentation_node', namespace, '--params-file', TUTORIAL, flip='false')
    node = Segmentation(graph, namespace, program)
    expected = make_pipeline(tutorial_settings(flip=False)).process(astronaut)
    assert np.array_equal(node.pictures(astronaut)['mask'], expected.mask)
    before = node.values()

    def refused(name: str, value) -> None:
        [reason] = node.change(**{name: value})
        assert name in reason, (value, reason)

    @many(120)
    @given(st.sampled_from(list(TUNABLES.values())).flatmap(lambda tunable: st.tuples(st.just(tunable), ros)))
    def refused_whatever_it_is(drawn) -> None:
        tunable, value = drawn
        file = tunable.name in ('model', 'background.image') and value not in ('', *MODELS)
        assume(file or not is_allowed(tunable, value))
        refused(tunable.name, value)

    refused_whatever_it_is()
    (tmp_path / 'model.tflite').write_bytes(damaged_models()['without_metadata'])
    (tmp_path / 'picture.png').write_bytes(with_wrong_filter(PNGS[0]))
    for name, file in (('model', 'model.tflite'), ('background.image', 'picture.png')):
        for value in ('~no_such_user/x', 'x' * 10000, str(tmp_path / file)):
            refused(name, value)
    assert node.values() == before
    results = node.pictures(astronaut)
    assert np.array_equal(results['mask'], expected.mask) and np.array_equal(results['output'], expected.composite)

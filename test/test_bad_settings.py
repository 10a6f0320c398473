# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Bad settings: values in their own type, or the package's own error that names what is wrong; nothing else, and soon."""
import tempfile
from pathlib import Path

import pytest
import yaml
from damage import is_allowed, many
from fuzz.promises import settings_of, soon
from hypothesis import given
from hypothesis import strategies as st

from self_segmentation.errors import SettingsError
from self_segmentation.settings import TUNABLES, Settings, read_yaml

pytestmark = pytest.mark.slow

plain = (st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=9) | st.dates()
         | st.datetimes())
anything = st.recursive(plain, lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner, inner)
                        | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=6)


def near(tunable) -> st.SearchStrategy:
    """Values of the right type, in and just outside what is allowed."""
    if tunable.choices:
        return st.sampled_from([*tunable.choices, tunable.choices[0].upper(), ''])
    if isinstance(tunable.default, tuple):
        return st.lists(st.integers(-1, 256), min_size=2, max_size=4)
    if isinstance(tunable.default, (bool, str)):
        return st.booleans() | st.sampled_from([0, 1, 'true', 'general', '~no_such_user/x', '\0'])
    return (st.integers(int(tunable.minimum) - 1, int(tunable.maximum) + 1) | st.floats(tunable.minimum - 1, tunable.maximum + 1)
            | st.sampled_from([tunable.minimum, tunable.maximum, str(tunable.minimum), True]))


tuned = st.sampled_from(list(TUNABLES.values())).flatmap(lambda tunable: st.tuples(st.just(tunable), anything | near(tunable)))


@many(400)
@given(tuned)
def test_accepts_or_refuses_value_of_any_type(drawn):
    tunable, value = drawn
    before = Settings()
    with soon():
        try:
            after = before.updated({tunable.name: value}, 'the test')
        except SettingsError as error:
            said, after = error.problems[tunable.name], None
            assert set(error.problems) == {tunable.name} and tunable.name in said and len(said) < 2000
    assert (after is not None) == is_allowed(tunable, value)
    if after is not None:
        taken = dict(after.items())
        assert type(taken[tunable.name]) is type(tunable.default)
        assert {name for name, old in before.items() if taken[name] != old} <= {tunable.name}
    elif value not in ('image', 'video'):  # without its file
        assert tunable.allowed in said and 'the test' in said and f'{tunable.name} = {value!r}'[:100] in said


@pytest.mark.parametrize('digits', [400, 4000, 40000])
def test_refuses_number_of_many_digits(digits):
    for tunable in TUNABLES.values():
        for value in (16 ** digits, -16 ** digits, [16 ** digits] * 3):
            with soon(), pytest.raises(SettingsError) as raised:
                Settings().updated({tunable.name: value})
            assert tunable.name in str(raised.value) and tunable.allowed in str(raised.value) and len(str(raised.value)) < 2000


NODES = ['/**', '/segmentation', '/a/segmentation', '/camera', '**', '']
names = st.sampled_from([*TUNABLES, 'background', 'edge', 'color', 'use_sim_time', 'qos_overrides.', 'ros__parameters']) | plain
tree = st.recursive(plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4), max_leaves=6)
document = tree | st.dictionaries(st.sampled_from(NODES) | plain, st.dictionaries(
    st.just('ros__parameters') | plain, st.dictionaries(names, tree, max_size=5), max_size=2), max_size=3)


def held(text: str | bytes) -> Settings | None:
    with tempfile.NamedTemporaryFile(suffix='.yaml') as file:
        file.write(text if isinstance(text, bytes) else text.encode(errors='surrogatepass'))
        file.flush()
        return settings_of(Path(file.name))


@many(80)
@given(document)
def test_loads_or_refuses_parameter_file_of_any_structure(structure):
    held(yaml.safe_dump(structure))


PIECES = ['!!bool ', '!!int ', '!!float ', '!!timestamp ', '!!binary ', '!!set ', '!!omap ', '!!str ', '!!python/none ', '&a ',
          '*a', '<<: ', '? ', '- ', ': ', '| ', '> ', '"', "'", '#', '%YAML 1.1\n', '---\n', '...', '[', ']', '{', '}', ',', '\n',
          '\t', '    ', '\0', '~', '\ufeff', '.nan', '.inf', '1:1:1.5', '1:' * 300 + '1', '0x', '0b', '0o7', '_', '9' * 400,
          '9' * 5000, '0x' + 'f' * 5000, '2001-02-30']


@st.composite
def written(draw) -> str:
    """A right parameter file with a few changes."""
    lines = [f'    {name}: {list(value) if isinstance(value, tuple) else value}\n'
             for name, value in draw(st.lists(st.sampled_from(list(Settings().items())), max_size=4))]
    text = '/**:\n  ros__parameters:\n' + ''.join(lines)
    for _ in range(draw(st.integers(1, 4))):
        places = [at for at, letter in enumerate(text) if letter in ' \n'] if draw(st.booleans()) else range(len(text))
        at = draw(st.sampled_from(places)) + 1 if places else 0
        cut = draw(st.sampled_from([0, 0, 0, 1, 5]))
        text = text[:at] + draw(st.sampled_from(PIECES) | st.text(max_size=4)) + text[at + cut:]
    return text


@many(150)
@given(written())
def test_loads_or_refuses_damaged_parameter_file(text):
    held(text)


@many(200)
@given(st.text(max_size=200) | st.binary(max_size=200))
def test_loads_or_refuses_any_text_or_bytes(text):
    held(text)


def test_refuses_many_names_or_long_value_briefly(tmp_path):
    path = tmp_path / 'many.yaml'
    for body, most in ((''.join(f'    k{n}: 1\n' for n in range(1500)), 300), (f'    threshold: {"a" * 100_000}\n', 2000)):
        path.write_text('/**:\n  ros__parameters:\n' + body)
        with pytest.raises(SettingsError) as raised:
            Settings().updated(read_yaml(path))
        assert len(str(raised.value)) < most

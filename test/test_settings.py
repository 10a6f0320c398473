# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
import math

import pytest

from self_segmentation.errors import SettingsError
from self_segmentation.settings import TUNABLES, Settings, read_yaml


def problems(changes: dict, origin: str = '') -> dict[str, str]:
    with pytest.raises(SettingsError) as raised:
        Settings().updated(changes, origin)
    return raised.value.problems


@pytest.mark.parametrize('name, value', [
    ('threshold', -0.01), ('threshold', 1.01), ('threshold', math.nan), ('threshold', math.inf),
    ('threshold', 'nan'), ('threshold', '1e2'),
    ('threshold', True), ('threshold', None), ('threshold', [0.5]), pytest.param('threshold', 10 ** 400, id='huge'),
    ('edge.diameter', 0), ('edge.diameter', 50), ('edge.diameter', 5.0), ('edge.diameter', True), ('edge.diameter', '5'),
    ('flip', 1), ('flip', 'true'), ('flip', None),
    ('model', 5), ('model', None), ('background.image', 1.5),
    ('edge.filter', 'median'), ('background.type', ''), ('background.fit', 'COVER'), ('background.fit', None),
    ('background.color', [1, 2]), ('background.color', [1, 2, 3, 4]), ('background.color', [1, 2, 256]),
    ('background.color', [-1, 2, 3]), ('background.color', [1.5, 2, 3]), ('background.color', [math.nan, 2, 3]),
    ('background.color', [math.inf, 2, 3]), ('background.color', [True, 2, 3]), ('background.color', 'red'),
    ('background.color', '123'), ('background.color', 7), ('background.color', None), ('background.color', [[1], [2], [3]]),
])
def test_a_wrong_value_is_refused_with_its_name_its_value_its_origin_and_what_is_allowed(name, value):
    found = problems({name: value}, 'the test')
    assert set(found) == {name}
    for part in (name, repr(value), 'the test', TUNABLES[name].allowed):
        assert part in found[name]


def test_every_number_is_refused_just_outside_its_range_and_taken_at_its_ends():
    for tunable in TUNABLES.values():
        if tunable.minimum is None:
            continue
        kind = type(tunable.default)
        for end, outside in ((tunable.minimum, -1), (tunable.maximum, 1)):
            assert dict(Settings().updated({tunable.name: kind(end)}).items())[tunable.name] == end
            beyond = kind(end) + outside if kind is int else math.nextafter(end, outside * math.inf)
            assert tunable.allowed in problems({tunable.name: beyond})[tunable.name]


def test_every_choice_is_taken_and_the_message_lists_them_all():
    for tunable in TUNABLES.values():
        for choice in tunable.choices:
            Settings().updated({'background.image': 'somewhere.png', 'background.video': 'somewhere.mp4', tunable.name: choice})
        if tunable.choices:
            assert all(choice in problems({tunable.name: 'nonsense'})[tunable.name] for choice in tunable.choices)


def test_what_is_allowed_is_said_in_words():
    assert TUNABLES['threshold'].allowed == 'a number from 0 to 1'
    assert TUNABLES['edge.diameter'].allowed.startswith('a whole number from ')
    assert TUNABLES['flip'].allowed == 'true or false'
    assert 'three whole numbers red, green, blue' in TUNABLES['background.color'].allowed


def test_a_whole_number_is_taken_for_a_float():
    threshold = Settings().updated({'threshold': 1}).threshold
    assert threshold == 1.0 and type(threshold) is float


@pytest.mark.parametrize('text, number', [('3e-01', 0.3), ('1', 1.0), ('.5', 0.5), ('1e-4', 0.0001)])
def test_text_of_a_number_is_taken_for_a_float(text, number):
    assert Settings().updated({'threshold': text}).threshold == number


def test_a_colour_may_be_any_sequence_of_three_whole_numbers():
    assert Settings().updated({'background.color': [1, 2, 3]}).background_color == (1, 2, 3)
    assert Settings().updated({'background.color': (0, 255, 9)}).background_color == (0, 255, 9)


@pytest.mark.parametrize('name, near', [('treshold', 'threshold'), ('background.colour', 'background.color'),
                                        ('backgroundimage', 'background.image'), ('edge.diametre', 'edge.diameter')])
def test_an_unknown_name_is_refused_with_the_nearest_one(name, near):
    message = problems({name: 1}, 'the test')[name]
    assert name in message and f'did you mean {near}?' in message and 'the test' in message


def test_an_unknown_name_like_no_other_is_refused_with_all_names():
    assert all(name in problems({'zzz': 1})['zzz'] for name in TUNABLES)


def test_one_wrong_value_among_good_ones_refuses_all_and_every_wrong_one_is_named():
    settings = Settings()
    with pytest.raises(SettingsError) as raised:
        settings.updated({'threshold': 0.2, 'softness': 2, 'flip': False, 'treshold': 1, 'background.color': [1, 2]})
    assert set(raised.value.problems) == {'softness', 'treshold', 'background.color'} == set(raised.value.settings)
    assert all(name in str(raised.value) for name in raised.value.problems)
    assert settings == Settings()


def test_settings_are_never_changed_in_place():
    settings = Settings()
    changed = settings.updated({'threshold': 0.2})
    assert (settings.threshold, changed.threshold) == (Settings().threshold, 0.2)
    with pytest.raises(AttributeError):
        settings.threshold = 0.2


def test_settings_made_directly_are_checked_as_well():
    with pytest.raises(SettingsError, match='threshold = 7'):
        Settings(threshold=7)


def test_an_image_background_needs_an_image():
    assert 'background.image' in problems({'background.type': 'image'})['background.type']
    both = Settings().updated({'background.type': 'image', 'background.image': 'somewhere.png'})
    with pytest.raises(SettingsError, match='background.image'):
        both.updated({'background.image': ''})


def written(folder, text: str):
    path = folder / 'some.yaml'
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_parameter_file_is_read_with_its_groups_and_later_sections_win(tmp_path):
    path = written(tmp_path, '/**:\n  ros__parameters:\n    threshold: 0.3\n    background: {type: color, color: [1, 2, 3]}\n'
                             '/segmentation:\n  ros__parameters:\n    threshold: 0.4\n    edge.filter: none\n')
    assert read_yaml(path) == {'threshold': 0.4, 'background.type': 'color', 'background.color': [1, 2, 3], 'edge.filter': 'none'}


@pytest.mark.parametrize('text, reason', [
    ('a: [1', 'not YAML'), (b'a: \xff\xfe', 'not YAML'), ('a: \x00', 'not YAML'),
    ('', 'ros__parameters'), ('threshold: 0.3\n', 'ros__parameters'), ('- 1\n- 2\n', 'ros__parameters'),
    ('42', 'ros__parameters'), ('/**:\n  parameters:\n    threshold: 1\n', 'ros__parameters'),
    ('/**:\n  ros__parameters: 5\n', 'ros__parameters'),
    ('/**:\n  ros__parameters:\n', 'ros__parameters'), ('/**:\n  ros__parameters: {threshold: 1}\nb: 5\n', 'ros__parameters'),
])
def test_a_file_that_is_no_parameter_file_is_refused_by_name_with_the_reason(tmp_path, text, reason):
    path = written(tmp_path, text)
    with pytest.raises(SettingsError, match=reason) as raised:
        read_yaml(path)
    assert str(path) in str(raised.value)


def test_a_parameter_file_that_is_missing_or_a_folder_is_refused_by_name(tmp_path):
    for path in (tmp_path / 'missing.yaml', tmp_path):
        with pytest.raises(SettingsError, match=str(path)):
            read_yaml(path)

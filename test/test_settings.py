# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
import math
import re

import pytest
from conftest import ROOT

from self_segmentation.errors import SettingsError
from self_segmentation.settings import LOOKS, TUNABLES, Settings, look_file, no_section_for, read_yaml, unknown_name


def problems(changes: dict, origin: str = '') -> dict[str, str]:
    with pytest.raises(SettingsError) as raised:
        Settings().updated(changes, origin)
    return raised.value.problems


@pytest.mark.parametrize('name, value', [
    ('threshold', -0.01), ('threshold', 1.01), ('threshold', math.nan), ('threshold', math.inf),
    ('threshold', 'nan'), ('threshold', '1e2'),
    ('threshold', True), ('threshold', None), ('threshold', [0.5]), pytest.param('threshold', 10 ** 400, id='huge'),
    ('edge.diameter', 0), ('edge.diameter', 50), ('edge.diameter', 5.0), ('edge.diameter', True), ('edge.diameter', '5'),
    ('camera.rotation', 45), ('camera.rotation', -90), ('camera.rotation', 360), ('camera.rotation', 90.0),
    ('flip', 1), ('flip', 'true'), ('flip', None),
    ('model', 5), ('model', None), ('background.image', 1.5),
    ('edge.filter', 'median'), ('background.type', ''), ('background.fit', 'COVER'), ('background.fit', None),
    ('background.color', [1, 2]), ('background.color', [1, 2, 3, 4]), ('background.color', [1, 2, 256]),
    ('background.color', [-1, 2, 3]), ('background.color', [1.5, 2, 3]), ('background.color', [math.nan, 2, 3]),
    ('background.color', [math.inf, 2, 3]), ('background.color', [True, 2, 3]), ('background.color', 'red'),
    ('background.color', '123'), ('background.color', 7), ('background.color', None), ('background.color', [[1], [2], [3]]),
])
def test_refuses_invalid_value_with_name_origin_and_range(name, value):
    found = problems({name: value}, 'the test')
    assert set(found) == {name}
    for part in (name, repr(value), 'the test', TUNABLES[name].allowed):
        assert part in found[name]


def test_number_range_includes_its_ends():
    for tunable in TUNABLES.values():
        if tunable.minimum is None:
            continue
        kind = type(tunable.default)
        for end, outside in ((tunable.minimum, -1), (tunable.maximum, 1)):
            assert dict(Settings().updated({tunable.name: kind(end)}).items())[tunable.name] == end
            beyond = kind(end) + outside if kind is int else math.nextafter(end, outside * math.inf)
            assert tunable.allowed in problems({tunable.name: beyond})[tunable.name]


def test_slider_tick_is_smaller_than_default():
    """rqt_reconfigure's sliders have a hundred. The one setting left out must take the tutorial's 75."""
    numbers = [tunable for tunable in TUNABLES.values() if type(tunable.default) is float and tunable.default]
    coarse = {tunable.name for tunable in numbers if (tunable.maximum - tunable.minimum) / 100 >= tunable.default}
    assert numbers and coarse == {'edge.sigma_mask'}


def test_accepts_every_choice_and_lists_them():
    for tunable in TUNABLES.values():
        for choice in tunable.choices:
            Settings().updated({'background.image': 'somewhere.png', 'background.video': 'somewhere.mp4', tunable.name: choice})
        if tunable.choices:
            assert all(choice in problems({tunable.name: 'nonsense'})[tunable.name] for choice in tunable.choices)


def test_allowed_values_are_described_in_words():
    assert TUNABLES['threshold'].allowed == 'a number from 0 to 1'
    assert TUNABLES['edge.diameter'].allowed.startswith('a whole number from ')
    assert TUNABLES['camera.rotation'].allowed == 'a whole number from 0 to 270 in steps of 90'
    assert TUNABLES['flip'].allowed == 'true or false'
    assert 'three whole numbers red, green, blue' in TUNABLES['background.color'].allowed


def test_accepts_integer_as_float():
    threshold = Settings().updated({'threshold': 1}).threshold
    assert threshold == 1.0 and type(threshold) is float


@pytest.mark.parametrize('text, number', [('3e-01', 0.3), ('1', 1.0), ('.5', 0.5), ('1e-4', 0.0001)])
def test_accepts_number_text_as_float(text, number):
    assert Settings().updated({'threshold': text}).threshold == number


@pytest.mark.parametrize('text, value', [('true', True), ('True', True), ('TRUE', True), ('1', True), ('on', True), ('Yes', True),
                                         ('false', False), ('False', False), ('0', False), ('OFF', False), ('no', False)])
def test_reads_booleans_as_people_and_nav2_write_them(text, value):
    assert TUNABLES['flip'].from_text(text) is value


@pytest.mark.parametrize('name, text, value', [
    ('threshold', '0.3', 0.3), ('threshold', '1', 1.0), ('edge.epsilon', '1e0', 1.0), ('jpeg_quality', '75', 75),
    ('model', '5', '5'), ('background.image', '~/a b.jpg', '~/a b.jpg'), ('edge.filter', 'none', 'none'),
    ('background.color', '0,128,255', (0, 128, 255)), ('background.color', '[0, 128, 255]', (0, 128, 255)),
    ('background.color', '#0080ff', (0, 128, 255))])
def test_reads_text_in_type_of_setting(name, text, value):
    read = TUNABLES[name].from_text(text)
    assert read == value and type(read) is type(TUNABLES[name].default)


@pytest.mark.parametrize('name, text', [('threshold', '2'), ('threshold', 'much'), ('threshold', 'nan'), ('flip', 'maybe'),
                                        ('jpeg_quality', '7.5'), ('edge.filter', 'guidde'), ('background.color', '1,2'),
                                        ('background.color', '#12345g'), ('background.color', 'grey')])
def test_refuses_invalid_text_with_origin_and_range(name, text):
    with pytest.raises(ValueError) as caught:
        TUNABLES[name].from_text(text, 'the test')
    message = str(caught.value)
    assert message.startswith(f'{name} = ') and '(from the test)' in message and TUNABLES[name].allowed in message


def test_every_default_survives_text_round_trip():
    for tunable in TUNABLES.values():
        text = ','.join(map(str, tunable.default)) if isinstance(tunable.default, tuple) else str(tunable.default)
        assert tunable.from_text(text) == tunable.default


@pytest.mark.parametrize('value, color', [
    ([1, 2, 3], (1, 2, 3)), ((0, 255, 9), (0, 255, 9)), ('0,128,0', (0, 128, 0)), ('[0, 128, 0]', (0, 128, 0)),
    ('#008000', (0, 128, 0)), ('#00fF7f', (0, 255, 127)), (' (0 , 128,0) ', (0, 128, 0))], ids=str)
def test_color_is_taken_in_every_spelling(value, color):
    assert Settings().updated({'background.color': value}).background_color == color
    assert not isinstance(value, str) or TUNABLES['background.color'].from_text(value) == color


@pytest.mark.parametrize('value', ['0,128', '0,128,256', '0,128,-1', '0,128,0.5', '#00800', '#00800g', '008000', 'green', '',
                                   '1,2,٣', '1_0,2,3', '1,2,3,4'])
def test_text_that_is_no_color_is_refused(value):
    message = problems({'background.color': value})['background.color']
    assert repr(value) in message and 'as 0,128,0 or #008000' in message


def test_color_after_comment_sign_names_quotes(tmp_path):
    path = written(tmp_path, '/**:\n  ros__parameters:\n    background.color: #008000\n')
    assert '"#008000"' in problems(read_yaml(path))['background.color']


@pytest.mark.parametrize('name, near', [('treshold', 'threshold'), ('background.colour', 'background.color'),
                                        ('backgroundimage', 'background.image'), ('edge.diametre', 'edge.diameter')])
def test_unknown_name_suggests_nearest(name, near):
    message = problems({name: 1}, 'the test')[name]
    assert name in message and f'did you mean {near}?' in message and 'the test' in message


@pytest.mark.parametrize('name', ['zzz', '', 'x' * 5000])
def test_unknown_name_like_no_other_names_three_nearest(name):
    message = problems({name: 1})[name]
    nearest = message.partition(': the nearest are ')[2].split(', ')
    assert len(nearest) == 3 and {*nearest} <= {*TUNABLES} and len(message) < 700


def test_unknown_name_suggests_nearest_of_given_names():
    assert 'did you mean video_device?' in unknown_name('video_devise', '', ['video_device', 'loop'])
    assert 'the nearest are loop, video_device' in unknown_name('pool', '', ['video_device', 'loop'])


def test_one_invalid_value_refuses_all_and_names_each():
    settings = Settings()
    with pytest.raises(SettingsError) as raised:
        settings.updated({'threshold': 0.2, 'softness': 2, 'flip': False, 'treshold': 1, 'background.color': [1, 2]})
    assert set(raised.value.problems) == {'softness', 'treshold', 'background.color'} == set(raised.value.settings)
    assert all(name in str(raised.value) for name in raised.value.problems)
    assert settings == Settings()


def test_settings_are_immutable():
    settings = Settings()
    changed = settings.updated({'threshold': 0.2})
    assert (settings.threshold, changed.threshold) == (Settings().threshold, 0.2)
    with pytest.raises(AttributeError):
        settings.threshold = 0.2


def test_constructor_checks_values():
    with pytest.raises(SettingsError, match='threshold = 7'):
        Settings(threshold=7)


def test_image_background_needs_image():
    assert 'background.image' in problems({'background.type': 'image'})['background.type']
    both = Settings().updated({'background.type': 'image', 'background.image': 'somewhere.png'})
    with pytest.raises(SettingsError, match='background.image'):
        both.updated({'background.image': ''})


def written(folder, text: str):
    path = folder / 'some.yaml'
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_parameter_file_merges_groups_and_sections(tmp_path):
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
def test_refuses_invalid_parameter_file_with_reason(tmp_path, text, reason):
    path = written(tmp_path, text)
    with pytest.raises(SettingsError, match=reason) as raised:
        read_yaml(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize('text, line', [('/**:\n  ros__parameters:\n\tthreshold: 0.3\n', 3), ('a: 1\nb: [1\nc: 2\n', 3),
                                        ('a: 1\nb: !!bool maybe\n', 2)])
def test_refuses_invalid_yaml_with_its_line(tmp_path, text, line):
    path = written(tmp_path, text)
    with pytest.raises(SettingsError) as raised:
        read_yaml(path)
    assert f'{path}, line {line}: ' in str(raised.value) and len(str(raised.value).splitlines()) == 1


def test_refuses_missing_parameter_file_or_folder(tmp_path):
    for path in (tmp_path / 'missing.yaml', tmp_path):
        with pytest.raises(SettingsError, match=str(path)):
            read_yaml(path)


@pytest.mark.parametrize('text', [
    'robot1:\n  segmentation:\n    ros__parameters:\n      threshold: 0.3\n',
    'a:\n  b:\n    segmentation:\n      ros__parameters: {threshold: 0.3}\n  camera:\n    ros__parameters: {fps: 3}\n',
    '/robot1:\n  /**:\n    ros__parameters: {threshold: 0.3}\n',
    '/robot1/segmentation:\n  ros__parameters: {threshold: 0.3}\n',
    'camera:\n  ros__parameters:\nsegmentation:\n  ros__parameters: {threshold: 0.3}\n',
    '/segmentation:\n  ros__parameters:\n    threshold: 0.3\n    start_type_description_service: true\n    use_sim_time: false\n'
    '    qos_overrides:\n      /parameter_events:\n        publisher: {depth: 1000, durability: volatile}\n',
])
def test_reads_nested_and_dumped_parameter_files(tmp_path, caplog, text):
    assert read_yaml(written(tmp_path, text)) == {'threshold': 0.3} and not caplog.records


def test_warns_where_no_section_is_for_this_node(tmp_path, caplog):
    path = written(tmp_path, 'robot1:\n  camera:\n    ros__parameters: {threshold: 0.3}\nother:\n  ros__parameters: {a: 1}\n')
    assert read_yaml(path) == {}
    [record] = caplog.records
    assert all(part in record.message for part in (str(path), 'robot1/camera', 'other'))


@pytest.mark.parametrize('node, is_for', [
    ('/robot1/segmentation', True), ('/segmentation', False), ('/robot1/camera', False), ('/robot1/arm/camera', True)])
def test_file_without_section_for_node_is_reported(tmp_path, node, is_for):
    path = written(tmp_path, 'robot1:\n  segmentation:\n    ros__parameters: {flip: true}\n  "*":\n    camera:\n'
                             '      ros__parameters: {fps: 1}\n')
    reason = no_section_for(node, path)
    assert bool(reason) != is_for
    assert is_for or all(part in reason for part in (str(path), 'robot1/segmentation', 'robot1/*/camera', f'this is {node}'))


@pytest.mark.parametrize('taken, is_for', [({'flip'}, True), ({'threshold'}, False), (set(), False), (None, True)])
def test_section_that_node_was_not_given_is_reported(tmp_path, taken, is_for):
    path = written(tmp_path, '/*/segmentation:\n  ros__parameters: {flip: true}\n')
    assert bool(no_section_for('/robot1/segmentation', path, taken)) != is_for


def test_settings_without_effect_name_what_they_act_with():
    settings = Settings()
    assert settings.without_effect(['background.image']) == ('background.image has no effect while background.type is color: set '
                                                             'background.type to image')
    assert settings.without_effect(['background.image', 'threshold']) == '' == settings.without_effect([])
    image = Settings(background_type='image', background_image='a.png')
    assert image.without_effect(['background.image', 'background.fit']) == ''
    for tunable in TUNABLES.values():
        if tunable.acts_with is not None:
            other, values = tunable.acts_with
            assert values and all(TUNABLES[other].checked(value) == value for value in values)


@pytest.mark.parametrize('look', LOOKS)
def test_looks_are_files_of_settings(look):
    values = read_yaml(look_file(look))
    settings = Settings().updated(values)
    assert values and (look == 'default') == (settings == Settings())
    assert (settings.replace, settings.background_type) == {
        'meeting': ('background', 'blur'), 'privacy': ('people', 'color'), 'cutout': ('background', 'transparent'),
    }.get(look, ('background', 'color'))


def test_every_setting_is_set_by_name_in_a_test():
    sources = ''.join(path.read_text(encoding='utf-8') for path in (ROOT / 'test').rglob('test_*.py'))

    def is_set(name: str, attribute: str) -> bool:
        keywords = [f'{before}{each}=' for before in ' (' for each in (name.replace('.', '__'), attribute)]
        return any(way in sources for way in (f"'{name}': ", f"'--{re.sub('[._]', '-', name)}'", *keywords))

    assert not [name for name, tunable in TUNABLES.items() if not is_set(name, tunable.attribute)]

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
Bad input of every kind: the promised result, or the package's own error that names the value; nothing else, and soon.

The promises themselves are in fuzz/targets.py, where ``make fuzz`` takes them from.
"""
import array
import contextlib
import io
import json
import random
import re
import resource
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
import yaml
from conftest import ASTRONAUT, ROOT, TUTORIAL, Segmentation, background_of, tutorial_settings, unique
from fuzz.targets import TARGETS, mended, read, settings_of, soon
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import CompressedImage, Image

from self_segmentation.errors import BackgroundError, ModelError, SettingsError
from self_segmentation.io.assets import MODELS, make_pipeline, model_path
from self_segmentation.nodes.messages import ENCODINGS
from self_segmentation.picture.segmenter import ModelFile, _input_size
from self_segmentation.settings import TUNABLES, Settings, read_yaml

ONES = [0, 1, 2, 127, 128, 255]
NUMBERS = [0, 1, 2, 7, 255, 256, 8192, 8193, 30000, 65535, 65536, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]
KEPT = sorted((ROOT / 'test' / 'data' / 'fuzz').glob('*/*'))


def many(examples: int):
    """The same examples every time, without a clock."""
    return settings(max_examples=examples, deadline=None, derandomize=True, database=None,
                    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


# ---- images


BYTES = {'bgr8': 3, 'rgb8': 3, 'bgra8': 4, 'rgba8': 4, 'mono8': 1, 'nv12': 1}  # two for all others
FOREIGN = ['bayer_rggb8', '8UC3', '32FC1', 'nv21', '8UC9999', 'rgb16']
sizes = st.integers(1, 40) | st.sampled_from(NUMBERS)


@st.composite
def images(draw) -> Image:
    """Messages of which some are right, and most are wrong in a field or two."""
    encoding = draw(st.sampled_from([*ENCODINGS, 'mono16', '16UC1']) | st.sampled_from(FOREIGN) | st.text(max_size=9))
    width, height = draw(sizes), draw(sizes)
    row = min(width * BYTES.get(encoding, 2), 2 ** 20)
    step = draw(st.sampled_from([row, row + 5, max(0, row - 1)]) | st.integers(0, 200) | st.sampled_from(NUMBERS))
    rows = height * 3 // 2 if encoding == 'nv12' else height
    length = draw(st.sampled_from([step * rows, step * (rows - 1) + row, step * rows - 1, 0]) | st.integers(0, 4000))
    return Image(width=width, height=height, encoding=encoding, step=step, is_bigendian=draw(st.sampled_from([0, 1, 255])),
                 data=array.array('B', bytes(max(0, min(length, 2 ** 16)))))


def is_right(message: Image) -> bool:
    """Whether a message in one of our own encodings holds its picture, by the definition of sensor_msgs/Image."""
    pixel, planar = BYTES.get(message.encoding, 2), message.encoding == 'nv12'
    pairs = message.encoding in ('yuv422', 'yuv422_yuy2', 'yuyv', 'uyvy') or planar
    rows, row = message.height * 3 // 2 if planar else message.height, message.width * pixel
    return (0 < message.width <= 8192 and 0 < message.height <= 8192 and message.step >= row
            and len(message.data) >= message.step * (rows - 1) + row
            and not (pairs and message.width % 2) and not (planar and message.height % 2))


@many(800)
@given(images())
def test_an_image_message_gives_its_picture_or_is_refused_with_its_values(message):
    picture = read(message)
    if message.encoding in [*ENCODINGS, 'mono16', '16UC1']:
        assert (picture is not None) == is_right(message)


# ---- pictures in files and in compressed messages


def encoded(kind: str, mode: str = 'RGB', **more) -> bytes:
    """A part of the astronaut."""
    with PIL.Image.open(ASTRONAUT) as whole:
        picture = whole.convert('RGB').resize((48, 32))
    if more.pop('animated', False):
        more |= {'save_all': True, 'append_images': [picture.rotate(90)]}
    if mode == 'I;16':
        picture = PIL.Image.fromarray(np.asarray(picture.convert('L')).astype(np.uint16) * 257)
    picture.convert(mode).save(file := io.BytesIO(), kind, **more)
    return file.getvalue()


EXIF = b'Exif\0\0MM\0*\0\0\0\x08\0\1' + struct.pack('>HHII', 0x10e, 2, 41, 26) + bytes(4) + b'x' * 41
JPEGS = [encoded('JPEG', **more) for more in ({}, {'mode': 'L'}, {'progressive': True}, {'exif': EXIF})]
PNGS = [encoded('PNG', animated=True), *(encoded('PNG', mode) for mode in ('RGB', 'L', 'P', 'RGBA', '1', 'I;16'))]
OTHERS = [encoded(kind, **more) for kind, more in (
    ('BMP', {}), ('BMP', {'mode': 'P'}), ('WEBP', {}), ('WEBP', {'lossless': True}), ('WEBP', {'animated': True}),
    ('TIFF', {}), ('TIFF', {'compression': 'tiff_lzw'}), ('TIFF', {'compression': 'jpeg'}), ('TIFF', {'mode': 'I;16'}))]


@st.composite
def damaged(draw, contents: list[bytes], head: int = 400) -> bytes:
    """One of the contents with a few changes, most of them near its beginning; a PNG's check sums may be right again."""
    content = bytearray(draw(st.sampled_from(contents)))
    for _ in range(draw(st.integers(1, 4))):
        length = len(content)
        at = draw(st.integers(0, max(0, min(length, draw(st.sampled_from([64, head, 2 ** 20]))) - 1)))
        change = draw(st.sampled_from(['set', 'set', 'number', 'number', 'insert', 'delete', 'copy', 'cut']))
        if change == 'set':
            content[at:at + 1] = bytes([draw(st.sampled_from(ONES) | st.integers(0, 255))])
        elif change == 'number':
            form = draw(st.sampled_from(['>I', '<I', '>H', '<H']))
            size = struct.calcsize(form)
            content[at:at + size] = struct.pack(form, draw(st.sampled_from(NUMBERS)) % 256 ** size)
        elif change == 'insert':
            content[at:at] = draw(st.binary(min_size=1, max_size=20))
        elif change == 'delete':
            del content[at:at + draw(st.integers(1, 40))]
        elif change == 'copy':
            begin = draw(st.integers(0, length))
            content[at:at] = content[begin:begin + draw(st.integers(1, 200))]
        else:
            del content[draw(st.integers(0, length)):]
    content = bytes(content)
    return mended(content) if content[:4] == b'\x89PNG' and draw(st.booleans()) else content


def compressed(data: bytes, kind: str = 'jpeg') -> CompressedImage:
    return CompressedImage(format=kind, data=array.array('B', data))


@many(1000)
@given(damaged(JPEGS + PNGS), st.sampled_from(['jpeg', 'png', 'rgb8; jpeg compressed bgr8']) | st.text(max_size=20))
def test_a_damaged_compressed_message_gives_a_picture_or_is_refused_with_its_format_and_length(data, kind):
    read(compressed(data, kind))


@many(300)
@given(st.binary(max_size=300), st.sampled_from([b'', b'\xff\xd8', b'\x89PNG\r\n\x1a\n', PNGS[0][:33], JPEGS[0][:200]]))
def test_noise_after_the_beginning_of_a_picture_is_refused_or_read(noise, beginning):
    read(compressed(beginning + noise))


def test_undamaged_pictures_of_each_kind_are_read(tmp_path):
    """Without it the tests of damaged ones could all pass by refusing everything."""
    for content in JPEGS + PNGS + OTHERS:
        (tmp_path / 'picture').write_bytes(content)
        made = background(tmp_path / 'picture')
        assert made is not None and made.std() > 10, content[:100]
        assert content in OTHERS or np.array_equal(read(compressed(content)), made)


def with_wrong_filter(png: bytes) -> bytes:
    """A PNG whose first row is filtered in a way that there is not."""
    at = png.index(b'IDAT')
    length, = struct.unpack_from('>I', png, at - 4)
    rows = zlib.compress(b'M' + zlib.decompress(png[at + 4:at + 4 + length])[1:])
    return mended(png[:at - 4] + struct.pack('>I', len(rows)) + b'IDAT' + rows + png[at + 4 + length:])


def sized(content: bytes, width: int, height: int) -> bytes:
    """A JPEG or PNG whose header says that it has another size."""
    if content in PNGS:
        return mended(content[:16] + struct.pack('>II', width, height) + content[24:])
    at = max(content.find(b'\xff\xc0'), content.find(b'\xff\xc2')) + 5
    return content[:at] + struct.pack('>HH', height % 65536, width % 65536) + content[at + 4:]


@many(300)
@given(st.sampled_from(JPEGS + PNGS), sizes, sizes)
@example(JPEGS[0], 8192, 8192)
@example(PNGS[0], 8192, 8192)
def test_a_header_that_lies_about_the_size_costs_nothing(content, width, height):
    data = sized(content, width, height)
    picture = read(compressed(data))
    assert picture is None or picture.size <= 3 * 512 * len(data)


def test_a_picture_of_more_scans_than_one_needs_is_refused_before_they_are_read():
    """A scan of 10 bytes costs the time of a whole picture: thousands of them stop a node for minutes."""
    content = cv2.imencode('.jpg', np.zeros((2048, 2048), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    assert read(compressed(content)) is not None
    last = content.rindex(b'\xff\xda')
    assert read(compressed(content[:-2] + content[last:last + 10] * 5000 + b'\xff\xd9')) is None


def test_a_cut_off_png_is_refused_wherever_it_was_cut():
    for content in PNGS:
        for kept in range(0, len(content) - 12, 7):
            assert read(compressed(content[:kept])) is None


def test_inputs_that_once_broke_a_promise_no_longer_do():
    """In a process of its own, which some of them ended. None takes more memory than a picture of its length can need."""
    assert {path.parent.name for path in KEPT} == set(TARGETS)
    done = subprocess.run([sys.executable, ROOT / 'test' / 'fuzz' / 'targets.py', *KEPT], capture_output=True, text=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert done.returncode == 0, f'{KEPT[len(lines)]} broke a promise ({done.returncode}): {done.stderr[-3000:]}'
    assert [name for name, _ in lines] == [path.name for path in KEPT]
    assert max((int(megabytes), name) for name, megabytes in lines) < (60,), lines


# ---- settings


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


def is_allowed(tunable, value) -> bool:
    """By what the tunable says in words."""
    kind = type(tunable.default)
    if tunable.name == 'background.type' and value == 'image':
        return False  # without background.image
    if tunable.choices or kind in (bool, str):
        return type(value) is kind and value in (tunable.choices or [value])
    if kind is tuple:
        return (isinstance(value, (list, tuple, bytes)) and len(value) == 3
                and all(type(part) is int and 0 <= part <= 255 for part in value))
    if kind is float and type(value) is str and re.fullmatch(r'[-+.0-9eE]+', value):
        with contextlib.suppress(ValueError):
            value = float(value)
    return type(value) in {kind, int} and tunable.minimum <= value <= tunable.maximum


@many(1000)
@given(tuned)
def test_a_value_of_any_type_is_taken_in_its_own_type_or_refused_with_name_value_and_what_is_allowed(drawn):
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
    elif value != 'image':
        assert tunable.allowed in said and 'the test' in said and f'{tunable.name} = {value!r}'[:100] in said


@pytest.mark.parametrize('digits', [400, 4000, 40000])
def test_a_number_of_very_many_digits_is_refused_wherever_a_number_may_stand(digits):
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


@many(150)
@given(document)
def test_a_parameter_file_of_any_structure_gives_settings_or_is_refused_by_name(structure):
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


@many(300)
@given(written())
def test_a_damaged_parameter_file_gives_settings_or_is_refused_by_name(text):
    held(text)


@many(200)
@given(st.text(max_size=200) | st.binary(max_size=200))
def test_any_text_and_any_bytes_give_settings_or_are_refused_by_name(text):
    held(text)


def test_a_file_of_very_many_unknown_names_or_of_a_very_long_value_is_refused_in_a_short_message(tmp_path):
    path = tmp_path / 'many.yaml'
    for body, most in ((''.join(f'    k{n}: 1\n' for n in range(1500)), 300), (f'    threshold: {"a" * 100000}\n', 2000)):
        path.write_text('/**:\n  ros__parameters:\n' + body)
        with pytest.raises(SettingsError) as raised:
            Settings().updated(read_yaml(path))
        assert len(str(raised.value)) < most


# ---- files that a setting names


def background(path: Path) -> np.ndarray | None:
    """What is put behind a frame of the picture's own size, None where the file was refused by its path."""
    chosen = Settings().updated({'background.type': 'image', 'background.image': str(path)})
    with soon():
        try:
            made = background_of(chosen)
        except BackgroundError as error:
            assert repr(str(path)) in str(error) and 'background.image' in str(error) and 'give' in str(error)
            return None
        picture = made.behind(np.empty((32, 48, 3), np.uint8))
    assert (picture.shape, picture.dtype) == ((32, 48, 3), np.uint8)
    return picture


@many(500)
@given(damaged(JPEGS + PNGS + OTHERS))
def test_a_damaged_background_is_shown_or_refused_by_its_path(content):
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        background(Path(file.name))


PATHS = ['~no_such_user/x', '~', '/proc/self/mem', '/dev/zero', '\0', '\ud800', 'x' * 5000, 'a/' * 3000, '/', ' ', '\n']


@pytest.mark.parametrize('path', PATHS)
def test_a_path_that_leads_to_no_file_is_refused(path):
    for name, error in (('background.image', BackgroundError), ('model', ModelError)):
        with soon(), pytest.raises(error, match='give'):
            make_pipeline(Settings().updated({name: path}))


def model_of_size(width: int, height: int) -> bytes:
    content = model_path('landscape').read_bytes()
    for channels in (3, 1):
        content = content.replace(struct.pack('<4i', 1, 144, 256, channels), struct.pack('<4i', 1, height, width, channels))
    return content


@many(200)
@example(model_of_size(2048, 2048))
@example(model_of_size(50000, 50000))
@example(model_of_size(-1, 0))
@given(damaged([model_path('general').read_bytes(), model_path('landscape').read_bytes()], head=2 ** 20))
def test_of_a_damaged_model_a_sensible_size_is_read_or_it_is_refused_by_its_path(content):
    path = 'some.tflite'
    with soon():
        try:
            width, height = _input_size(ModelFile(path, content))
        except ModelError as error:
            assert path in str(error)
        else:
            assert 1 <= width <= 2048 and 1 <= height <= 2048


def changed(content: bytes, at: int, value: int) -> bytes:
    return content[:at] + struct.pack('<i', value) + content[at + 4:]


def damaged_models() -> dict[str, bytes]:
    """Most of them end the process that has MediaPipe load them: what is damaged passes for a flatbuffer."""
    whole = model_path('landscape').read_bytes()
    return {
        'without_metadata': whole.replace(b'TFLITE_METADATA', b'TFLITE_METADATO'),
        'wrong_operand': changed(whole, 217600, 1),
        'wrong_shape': changed(whole, 233092, 100000),
        'noise_in_the_weights': whole[:100000] + random.Random(1).randbytes(99) + whole[100099:],
    }


# Uses each model that is given and prints what became of it. In a process of its own, which a damaged model must not end.
USE = """
import json, sys, numpy
from self_segmentation.errors import ModelError
from self_segmentation.io.assets import read_model
from self_segmentation.picture.segmenter import Segmenter
for path in sys.argv[1:]:
    try:
        segmenter = Segmenter(read_model(path))
        probability = segmenter.probability(numpy.full((90, 120, 3), 99, numpy.uint8))
        assert (probability.shape, probability.dtype) == (segmenter.size[::-1], numpy.float32)
        assert probability.min() >= 0 and probability.max() <= 1
        segmenter.close()
        print(json.dumps(None), flush=True)
    except ModelError as error:
        print(json.dumps(str(error)), flush=True)
"""


def test_a_damaged_model_works_or_is_refused_by_its_path_and_never_ends_the_process(tmp_path):
    paths = []
    for name, content in damaged_models().items():
        paths.append(tmp_path / f'{name}.tflite')
        paths[-1].write_bytes(content)
    done = subprocess.run([sys.executable, '-c', USE, *paths], capture_output=True, text=True)
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f'{paths[len(messages)].name} ended the process: {done.returncode}\n{done.stderr[-2000:]}'
    for path, message in zip(paths, messages):
        assert message is None if 'noise' in path.name else str(path) in message and 'give' in message, (path.name, message)


# ---- a running node


@pytest.fixture(scope='module')
def node(graph, start_shared):
    namespace = unique('bad')
    program = start_shared.node('segmentation_node', namespace, '--params-file', TUTORIAL, flip='false')
    return Segmentation(graph, namespace, program)


words = st.text(st.characters(exclude_categories=['Cs'], exclude_characters='\0'), max_size=20)
whole = st.integers(-2 ** 63, 2 ** 63 - 1)
ros = st.one_of(st.booleans(), whole, st.floats(), words, *(st.lists(kind, min_size=1, max_size=4)
                                                           for kind in (st.booleans(), whole, st.floats(), words)))


def test_a_running_node_refuses_every_wrong_value_by_name_and_goes_on_as_it_was(node, astronaut, tmp_path):
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


def test_thousands_of_damaged_pictures_leave_no_memory_behind():
    dice = random.Random(1)

    def read_damaged(times: int) -> float:
        for _ in range(times):
            content = bytearray(dice.choice(JPEGS + PNGS))
            for _ in range(3):
                content[dice.randrange(len(content))] = dice.randrange(256)
            read(compressed(mended(bytes(content)) if dice.random() < 0.5 else bytes(content)))
        return int(Path('/proc/self/statm').read_text().split()[1]) * resource.getpagesize() / 1e6

    before = read_damaged(500)
    assert read_damaged(2000) < before + 10

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Images as telephones, browsers and chat programs give them: seen as they are meant, by what is in them, not by their names."""
import io
import os
import struct
import subprocess
import sys

import cv2
import numpy as np
import PIL.features
import PIL.Image
import pytest
from conftest import ASTRONAUT, background_of
from media import corners, quarters, tagged
from PIL import ImageCms

from self_segmentation.errors import ImageError, InputError
from self_segmentation.io.decoding import decode_file
from self_segmentation.io.sources import SourceKind, open_source
from self_segmentation.io.video_backgrounds import open_animation
from self_segmentation.picture.backgrounds import Fitting
from self_segmentation.settings import Settings

IMAGE = PIL.Image.fromarray(quarters(96, 64))
# What a camera with this orientation stored of a scene whose quarters are red, green, blue, white.
STORED = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}


def encoded(kind: str, image: PIL.Image.Image = IMAGE, **more) -> bytes:
    image.save(file := io.BytesIO(), kind, **more)
    return file.getvalue()


def first(path, **more):
    return open_source(str(path), **more).read()


def seen(tmp_path, content: bytes, name: str = 'picture') -> np.ndarray:
    (tmp_path / name).write_bytes(content)
    return first(tmp_path / name).pixels


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'WEBP', 'TIFF', 'AVIF'])
@pytest.mark.parametrize('orientation', STORED)
def test_applies_exif_orientation(tmp_path, kind, orientation):
    if kind == 'AVIF' and not PIL.features.check('avif'):
        pytest.skip('this Pillow has no AVIF')
    turn = STORED[orientation]
    stored = IMAGE if turn is None else IMAGE.transpose(PIL.Image.Transpose(turn))
    pixels = seen(tmp_path, tagged(stored, orientation, kind))
    assert corners(pixels) == 'rgbw' and pixels.shape == (64, 96, 3)


@pytest.mark.parametrize('name', ['photo', 'PHOTO.JPG', 'photo.jfif', 'photo.jpe', 'photo.mpo', 'photo.txt', 'photo.mp4',
                                  'photo.png', 'a:b.jpg', '2024', 'IMG.2024'])
def test_detects_image_by_content(tmp_path, name):
    (tmp_path / name).write_bytes(encoded('JPEG'))
    source = open_source(str(tmp_path / name))
    assert (source.kind, source.count) == (SourceKind.IMAGES, 1) and corners(source.read().pixels) == 'rgbw'


def test_numeric_folder_name_is_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / '2024').mkdir()
    (tmp_path / '2024' / 'a.jpg').write_bytes(encoded('JPEG'))
    assert corners(first('2024').pixels) == 'rgbw'


def test_folder_skips_hidden_files_and_names_others(tmp_path, caplog):
    for name in ('a.jpg', 'B', 'c.jfif', 'd.JPEG'):
        (tmp_path / name).write_bytes(encoded('JPEG'))
    (tmp_path / '._a.jpg').write_bytes(b'Mac OS X        ')
    (tmp_path / '.DS_Store').write_bytes(b'\0\0\0\1Bud1')
    (tmp_path / 'notes.txt').write_text('none')
    (tmp_path / 'folder.jpg').mkdir()
    source = open_source(str(tmp_path))
    assert [frame.name for frame in iter(source.read, None)] == ['B', 'a', 'c', 'd']
    [said] = [record.message for record in caplog.records]
    assert str(tmp_path) in said and 'notes.txt' in said and '._a' not in said


def test_refuses_apple_double_file(tmp_path):
    (tmp_path / '._a.jpg').write_bytes(b'Mac OS X        ')
    with pytest.raises(InputError, match=r'\._a\.jpg'):
        open_source(str(tmp_path / '._a.jpg'))


def test_reads_motion_photo(tmp_path):
    video = np.random.default_rng(1).integers(0, 256, 8_000_000, np.uint8).tobytes()
    assert video.count(b'\xff\xda') > 100
    assert corners(seen(tmp_path, encoded('JPEG') + b'\0\0\0\x20ftypmp42' + video)) == 'rgbw'
    assert corners(seen(tmp_path, encoded('JPEG', progressive=True) + video)) == 'rgbw'


def test_reads_first_image_of_mpo(tmp_path):
    other = PIL.Image.fromarray(np.zeros((64, 96, 3), np.uint8))
    assert corners(seen(tmp_path, encoded('MPO', save_all=True, append_images=[other]), 'photo.mpo')) == 'rgbw'


def test_refuses_jpeg_of_many_scans(tmp_path):
    whole = encoded('JPEG', progressive=True)
    scan = whole[whole.index(b'\xff\xda'):-2]
    with pytest.raises(InputError, match='scans'):
        seen(tmp_path, whole[:-2] + scan * 200 + b'\xff\xd9')


@pytest.mark.slow
def test_reads_200_megapixels(tmp_path):
    PIL.Image.new('L', (16320, 12240), 77).save(tmp_path / 'large.png', compress_level=1)
    pixels = first(tmp_path / 'large.png').pixels
    assert pixels.shape == (12240, 16320, 3) and pixels[::1000, ::1000].min() == pixels[::1000, ::1000].max() == 77


def test_refuses_too_large_image(tmp_path):
    PIL.Image.new('1', (16385, 1)).save(tmp_path / 'wide.png')
    with pytest.raises(InputError, match='wide.png.*16385x1.*16384'):
        first(tmp_path / 'wide.png')


HIDDEN = np.full((64, 96, 4), (255, 0, 255, 0), np.uint8)
HIDDEN[16:48, 24:72] = (200, 0, 0, 255)


@pytest.mark.parametrize('kind', ['PNG', 'WEBP', 'TIFF', 'GIF'])
def test_blends_transparency_without_hidden_colors(tmp_path, kind):
    more = {'lossless': True, 'exact': True} if kind == 'WEBP' else {}
    (tmp_path / 'logo').write_bytes(encoded(kind, PIL.Image.fromarray(HIDDEN), **more))
    pixels = first(tmp_path / 'logo', color=(0, 200, 0)).pixels
    assert pixels[32, 48].tolist() == [0, 0, 200] and pixels[0, 0].tolist() == [0, 200, 0]
    image = tmp_path / 'logo'
    behind = background_of(Settings().updated({'background.type': 'image', 'background.image': str(image),
                                               'background.color': [0, 200, 0]})).behind(np.empty((41, 61, 3), np.uint8))
    assert behind[0, 0].tolist() == [0, 200, 0] and behind[20, 30].tolist() == [0, 0, 200]
    assert behind[..., 0].max() < 3  # the hidden magenta has blue in it


@pytest.mark.parametrize('image', [PIL.Image.fromarray(HIDDEN).convert('LA'), PIL.Image.fromarray(HIDDEN).quantize(8)],
                         ids=['grey', 'palette'])
def test_blends_grey_and_palette_transparency(tmp_path, image):
    (tmp_path / 'logo.png').write_bytes(encoded('PNG', image))
    assert first(tmp_path / 'logo.png', color=(1, 200, 3)).pixels[0, 0].tolist() == [3, 200, 1]


def test_blends_partial_transparency(tmp_path):
    (tmp_path / 'half.png').write_bytes(encoded('PNG', PIL.Image.new('RGBA', (8, 8), (200, 100, 0, 128))))
    pixel = first(tmp_path / 'half.png', color=(0, 0, 200)).pixels[0, 0]
    assert np.abs(pixel.astype(int) - (100, 50, 100)).max() <= 1


def display_p3() -> bytes:
    """A profile like Display P3: its red is further out than sRGB's."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes())
    for tag, xyz in ((b'rXYZ', (0.5151, 0.2412, -0.0011)), (b'gXYZ', (0.2919, 0.6922, 0.0419)),
                     (b'bXYZ', (0.1571, 0.0666, 0.7841))):
        at = struct.unpack_from('>I', profile, profile.index(tag) + 4)[0]
        profile[at + 8:at + 20] = struct.pack('>3i', *(round(value * 65536) for value in xyz))
    return bytes(profile).replace(b'sRGB', b'Wide').replace('sRGB'.encode('utf-16-be'), 'Wide'.encode('utf-16-be'))


@pytest.mark.parametrize('kind', ['PNG', 'JPEG', 'WEBP', 'TIFF'])
def test_converts_color_profile_to_srgb(tmp_path, kind):
    image = PIL.Image.new('RGB', (32, 32), (180, 120, 90))
    more = {'lossless': True} if kind == 'WEBP' else {'quality': 98} if kind == 'JPEG' else {}
    blue, green, red = seen(tmp_path, encoded(kind, image, icc_profile=display_p3(), **more))[16, 16].astype(int)
    assert red > 184 and abs(green - 119) < 5 and blue < 88  # more saturated in sRGB's numbers


def test_srgb_profile_changes_nothing(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
    content = encoded('PNG', PIL.Image.open(ASTRONAUT), icc_profile=profile)
    assert np.array_equal(seen(tmp_path, content), cv2.imread(str(ASTRONAUT)))


def test_warns_of_damaged_profile(tmp_path, caplog):
    assert corners(seen(tmp_path, encoded('PNG', icc_profile=b'not a profile'))) == 'rgbw'
    assert any('profile' in record.message for record in caplog.records)


def test_scales_16_bit_images(tmp_path):
    values = np.full((8, 8), 40000, np.uint16)
    for kind in ('PNG', 'TIFF'):
        assert seen(tmp_path, encoded(kind, PIL.Image.fromarray(values)))[0, 0].tolist() == [40000 >> 8] * 3


def test_reads_cmyk(tmp_path):
    assert corners(seen(tmp_path, encoded('JPEG', IMAGE.convert('CMYK')))) == 'rgbw'


def heic() -> bytes:
    pillow_heif = pytest.importorskip('pillow_heif')
    pillow_heif.register_heif_opener()
    return encoded('HEIF')


def test_reads_heic(tmp_path):
    assert corners(seen(tmp_path, heic(), 'IMG_0001.HEIC')) == 'rgbw'


@pytest.mark.slow
@pytest.mark.parametrize('name, brand, package', [('photo.heic', b'heic', 'pillow-heif'), ('photo', b'mif1', 'pillow-heif'),
                                                  ('photo.avif', b'avif', 'pillow')])
def test_names_unreadable_heic_and_avif(tmp_path, name, brand, package):
    (tmp_path / name).write_bytes(b'\0\0\0\x1cftyp' + brand + b'\0\0\0\0' + brand + bytes(500))
    code = ('import sys\nsys.modules["pillow_heif"] = None\nimport PIL.Image\n'
            'PIL.Image.init()\nPIL.Image.OPEN.pop("AVIF", None)\n'
            'from self_segmentation.command_line import main\nprint(main([sys.argv[1], "--no-window", "--output", sys.argv[2]]))')
    done = subprocess.run([sys.executable, '-c', code, tmp_path / name, tmp_path / 'out.png'], capture_output=True, text=True,
                          check=True)
    assert done.stdout.split() == ['2'] and name in done.stderr and 'Traceback' not in done.stderr
    assert f'install {package}' in done.stderr.replace("'", '') and ('HEIC' in done.stderr or 'AVIF' in done.stderr)


@pytest.mark.parametrize('kind', ['WEBP', 'PNG', 'GIF'])
def test_animated_image_is_video(tmp_path, kind):
    frames = [PIL.Image.fromarray(np.full((16, 16, 3), grey, np.uint8)) for grey in (20, 90, 160)]
    more = {'lossless': True} if kind == 'WEBP' else {}
    (tmp_path / 'sticker').write_bytes(encoded(kind, frames[0], save_all=True, append_images=frames[1:],
                                               duration=[100, 500, 40], **more))
    source = open_source(str(tmp_path / 'sticker'))
    assert (source.kind, source.count) == (SourceKind.VIDEO, 3)
    for _ in range(2):
        read = list(iter(source.read, None))
        assert [frame.stamp for frame in read] == pytest.approx([0, 0.1, 0.6])
        assert [int(frame.pixels[0, 0, 0]) for frame in read] == pytest.approx([20, 90, 160], abs=1)
        source.rewind()


def test_refuses_truncated_image(tmp_path):
    for kind in ('JPEG', 'PNG', 'WEBP'):
        content = encoded(kind, PIL.Image.open(ASTRONAUT).convert('RGB'))
        with pytest.raises(InputError, match='cut.png'):
            seen(tmp_path, content[:len(content) // 2], 'cut.png')


def test_images_of_a_folder_have_names_of_their_own(tmp_path):
    for name in ('a.jpg', 'a.png', 'a.jpg.png', 'b.png'):
        PIL.Image.new('RGB', (8, 8)).save(tmp_path / name)
    source = open_source(str(tmp_path))
    assert sorted(source.read().name for _ in range(4)) == ['a.jpg', 'a.jpg.png', 'a.png', 'b']


def test_link_to_nothing_is_said(tmp_path):
    PIL.Image.new('RGB', (8, 8)).save(tmp_path / 'a.png')
    (tmp_path / 'b.jpg').symlink_to('gone.jpg')
    os.mkfifo(tmp_path / 'c.jpg')
    source = open_source(str(tmp_path))
    assert source.read().name == 'a' and source.count == 2
    with pytest.raises(InputError, match='b.jpg.*does not exist'):
        source.read()


@pytest.mark.parametrize('white', [1.0, 255.0, 65535.0])
def test_float_image_is_scaled_by_its_range(white):
    values = np.linspace(0, white, 256, dtype=np.float32).reshape(16, 16)
    data = io.BytesIO()
    PIL.Image.fromarray(values).save(data, 'TIFF')
    assert np.abs(decode_file(data.getvalue())[..., 0].reshape(-1).astype(int) - np.arange(256)).max() <= 1


@pytest.mark.parametrize('kind', ['WEBP', 'JPEG', 'TIFF'])
def test_cut_image_is_called_damaged(kind):
    data = io.BytesIO()
    PIL.Image.effect_noise((200, 200), 50).convert('RGB').save(data, kind)
    for size in (60, 100, len(data.getvalue()) // 2):
        with pytest.raises(ImageError, match='damaged|cut off'):
            decode_file(data.getvalue()[:size])


def test_unusable_profile_names_the_file(tmp_path, caplog):
    PIL.Image.new('RGB', (8, 8)).save(tmp_path / 'odd.png', icc_profile=b'no profile')
    open_source(str(tmp_path / 'odd.png')).read()
    assert 'odd.png' in caplog.text and 'profile that cannot be used' in caplog.text


def tiff(tags: dict[int, int], sub: dict[int, int] | None = None) -> bytes:
    """A picture of 96x64 pixels as TIFF, with these tags and perhaps with an image below it that has others."""
    def directory(values: dict[int, int]) -> bytes:
        entries = [struct.pack('<HHII', tag, 4, 3 if tag == 258 else 1, value) for tag, value in sorted(values.items())]
        return struct.pack('<H', len(entries)) + b''.join(entries) + bytes(4)

    pixels = IMAGE.tobytes()
    bits = 8 + len(pixels)  # where they stand
    content = pixels + struct.pack('<3I', 8, 8, 8)
    values = {256: 96, 257: 64, 258: bits, 259: 1, 262: 2, 273: 8, 277: 3, 278: 64, 279: len(pixels), **tags}
    if sub:
        values[330] = 8 + len(content)
        content += directory(sub)
    return b'II*\0' + struct.pack('<I', 8 + len(content)) + content + directory(values)


RAW = {'DNG': tiff({50706: 1}), 'NEF': tiff({254: 1}, {262: 32803}), 'ARW': tiff({}, {262: 32803}), 'PEF': tiff({262: 32803}),
       'LinearRaw': tiff({262: 34892})}
BEGINS = {'CR2': b'II*\0\x10\0\0\0CR\2\0', 'CR3': b'\0\0\0\x18ftypcrx \0\0\0\1', 'CRW': b'II\x1a\0\0\0HEAPCCDR', 'MRW': b'\0MRM',
          'RAF': b'FUJIFILMCCD-RAW 0201', 'ORF': b'IIRO\x08\0\0\0', 'RW2': b'IIU\0\x18\0\0\0', 'IIQ': b'II*\0\x10\0\0\0IIII'}
RAW.update({kind: begin + bytes(500) for kind, begin in BEGINS.items()})


@pytest.mark.parametrize('kind', RAW)
def test_refuses_raw_photograph_by_name(tmp_path, kind, caplog):
    (tmp_path / f'DSC_0001.{kind}').write_bytes(RAW[kind])
    (tmp_path / 'DSC_0001.JPG').write_bytes(encoded('JPEG'))
    for place in (tmp_path / f'DSC_0001.{kind}', tmp_path):
        source, results = open_source(str(place)), []
        for _ in range(source.count):
            try:
                results.append(corners(source.read().pixels))
            except InputError as error:
                assert all(part in str(error) for part in (f"DSC_0001.{kind}'", "camera's raw photograph", 'convert it'))
                results.append('raw')
        assert sorted(results) == (['raw', 'rgbw'] if place == tmp_path else ['raw'])
    assert not caplog.records


@pytest.mark.parametrize('tags', [{}, {254: 0}, {254: 2}, {254: 4}, {262: 2}])
@pytest.mark.parametrize('sub', [None, {254: 1, 262: 2}])
def test_other_tiff_files_are_no_raw_photographs(tmp_path, tags, sub):
    """Pages of a book, a picture with a smaller one below it."""
    assert corners(seen(tmp_path, tiff(tags, sub))) == 'rgbw'


def animation_with_cover(count: int) -> bytes:
    """A PNG whose first picture, for programs that show no animations, is white; the others are darker and darker."""
    frames = [PIL.Image.fromarray(np.full((16, 16, 3), 100 - 30 * number, np.uint8)) for number in range(count)]
    cover = PIL.Image.new('RGB', (16, 16), 'white')
    return encoded('PNG', cover, save_all=True, append_images=frames, default_image=True, duration=[100, 500, 40][:count])


@pytest.mark.parametrize('count', [1, 3])
def test_default_image_of_animation_is_no_frame(tmp_path, count):
    (tmp_path / 'sticker.png').write_bytes(animation_with_cover(count))
    source = open_source(str(tmp_path / 'sticker.png'))
    assert source.count == count
    for _ in range(2):
        frames = list(iter(source.read, None))
        assert [int(frame.pixels[0, 0, 0]) for frame in frames] == [100, 70, 40][:count]
        assert [frame.stamp for frame in frames] == pytest.approx([0, 0.1, 0.6][:count])
        source.rewind()
    video = open_animation(animation_with_cover(count), 'sticker.png')
    assert int(video.picture(0.0, Fitting((16, 16), 'stretch', (0, 0, 0)))[0, 0, 0]) == 100
    video.close()

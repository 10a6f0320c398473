# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest
from conftest import ASTRONAUT, EMPTY_ROOM, ONE_PIXEL, ROOT, SAMPLE, background_of, tutorial_settings

from self_segmentation import Pipeline
from self_segmentation.errors import BackgroundError, SelfSegmentationError
from self_segmentation.picture.backgrounds import fitted
from self_segmentation.settings import TUNABLES, Settings

BARS = (9, 8, 7)
FRAME = np.zeros((480, 640, 3), np.uint8)


def picture(width: int, height: int) -> np.ndarray:
    """Noise: no two rows or columns are alike."""
    return np.random.default_rng(width * height).integers(20, 256, (height, width, 3), np.uint8)


def quarters(width: int, height: int) -> np.ndarray:
    """Four colours, which show where each part of a picture went."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:height // 2, :width // 2], image[:height // 2, width // 2:] = (255, 0, 0), (0, 255, 0)
    image[height // 2:, :width // 2], image[height // 2:, width // 2:] = (0, 0, 255), (255, 255, 255)
    return image


def image_settings(path, **more) -> Settings:
    return Settings().updated({'background.type': 'image', 'background.image': str(path), **more})


def test_cover_crops_centre():
    wide, tall = picture(400, 200), picture(200, 400)
    assert np.array_equal(fitted(wide, (200, 200), 'cover'), wide[:, 100:300])
    assert np.array_equal(fitted(tall, (200, 200), 'cover'), tall[100:300])
    assert np.array_equal(fitted(wide, (400, 100), 'cover'), wide[50:150])


def test_contain_adds_bars():
    wide, tall = picture(400, 200), picture(200, 400)
    above = fitted(wide, (400, 300), 'contain', BARS)
    assert np.array_equal(above[50:250], wide) and (above[:50] == BARS).all() and (above[250:] == BARS).all()
    beside = fitted(tall, (300, 400), 'contain', BARS)
    assert np.array_equal(beside[:, 50:250], tall) and (beside[:, :50] == BARS).all() and (beside[:, 250:] == BARS).all()


def test_stretch_distorts_image_to_frame():
    stretched = fitted(quarters(400, 200), (100, 300), 'stretch', BARS)
    assert np.array_equal(stretched, quarters(100, 300))


def test_fit_scales_before_crop_or_bars():
    assert np.array_equal(fitted(quarters(400, 200), (100, 100), 'cover'), quarters(100, 100))
    contained = fitted(quarters(400, 200), (100, 100), 'contain', BARS)
    assert np.array_equal(contained[25:75], quarters(100, 50))
    assert (contained[:25] == BARS).all() and (contained[75:] == BARS).all()
    larger = fitted(quarters(20, 10), (80, 80), 'cover')
    for y, x, color in ((10, 10, (255, 0, 0)), (10, 70, (0, 255, 0)), (70, 10, (0, 0, 255)), (70, 70, (255, 255, 255))):
        assert (larger[y, x] == color).all()


@pytest.mark.parametrize('fit', ['cover', 'contain', 'stretch'])
def test_fit_fills_every_odd_size(fit):
    for image_size in ((640, 480), *ONE_PIXEL, (200, 3), (3, 200), (333, 77)):
        for size in ((641, 479), *ONE_PIXEL, (7, 200), (200, 7), (333, 77)):
            assert fitted(picture(*image_size), size, fit, BARS).shape == (size[1], size[0], 3), (image_size, size)


def test_image_of_frame_size_is_unchanged():
    for fit in ('cover', 'contain', 'stretch'):
        behind = background_of(image_settings(EMPTY_ROOM, **{'background.fit': fit})).behind(FRAME)
        assert np.array_equal(behind, cv2.imread(str(EMPTY_ROOM)))


def test_background_follows_frame_size():
    background = background_of(image_settings(ASTRONAUT))
    for size in ((480, 640), (240, 320), (480, 640), (1, 1)):
        assert background.behind(np.zeros((*size, 3), np.uint8)).shape == (*size, 3)
    color = background_of(Settings())
    for size in ((480, 640), (240, 320)):
        assert color.behind(np.zeros((*size, 3), np.uint8)).shape == (*size, 3)


def test_background_color_is_rgb_in_bgr_frame():
    settings = Settings().updated({'background.color': [1, 2, 3]})
    assert (background_of(settings).behind(FRAME) == (3, 2, 1)).all()
    settings = image_settings(ASTRONAUT, **{'background.color': [1, 2, 3], 'background.fit': 'contain'})
    bars = background_of(settings).behind(FRAME)
    assert (bars[:, :80] == (3, 2, 1)).all() and (bars[:, -80:] == (3, 2, 1)).all()


def test_flip_leaves_background_unmirrored(astronaut):
    room = cv2.resize(cv2.imread(str(EMPTY_ROOM)), (512, 384), interpolation=cv2.INTER_AREA)
    for flip, seen in ((True, cv2.flip(astronaut, 1)), (False, astronaut)):
        settings = tutorial_settings(flip=flip, background__type='image', background__image=str(EMPTY_ROOM),
                                   background__fit='contain')
        result = Pipeline(settings).process(astronaut)
        assert np.array_equal(result.composite[result.alpha == 255], seen[result.alpha == 255])
        behind = np.full((512, 512, 3), 192, np.uint8)
        behind[64:448] = room
        assert np.array_equal(result.composite[result.alpha == 0], behind[result.alpha == 0])


def test_reads_path_with_spaces_and_accents(tmp_path):
    path = tmp_path / 'ein Büro.png'
    path.write_bytes(ASTRONAUT.read_bytes())
    behind = background_of(image_settings(path)).behind(np.zeros((512, 512, 3), np.uint8))
    assert np.array_equal(behind, cv2.imread(str(ASTRONAUT)))


def test_refuses_folder_missing_file_or_invalid_image(tmp_path):
    text = tmp_path / 'text.png'
    text.write_text('no picture')
    (tmp_path / 'empty.png').touch()
    for path, reason in ((tmp_path, 'folder'), (tmp_path / 'missing.png', 'does not exist'), (text, 'is not an image'),
                         (tmp_path / 'empty.png', 'is not an image')):
        with pytest.raises(BackgroundError, match=reason) as raised:
            background_of(image_settings(path))
        assert str(path) in str(raised.value) and 'background.image' in str(raised.value) and 'give' in str(raised.value)


def test_refuses_wrong_path_even_if_unused(tmp_path):
    with pytest.raises(BackgroundError, match='folder'):
        background_of(Settings().updated({'background.image': str(tmp_path)}))


def test_pipeline_keeps_old_settings_when_new_are_refused(astronaut, tmp_path):
    pipeline = Pipeline(tutorial_settings())
    before = pipeline.process(astronaut)
    for changes in ({'background.type': 'image', 'background.image': str(tmp_path)}, {'model': str(tmp_path / 'missing.tflite')}):
        with pytest.raises(SelfSegmentationError, match=str(tmp_path)):
            pipeline.settings = pipeline.settings.updated({'threshold': 0.9, 'flip': False, **changes})
        after = pipeline.process(astronaut)
        assert np.array_equal(after.composite, before.composite) and np.array_equal(after.mask, before.mask)
    assert pipeline.settings == tutorial_settings()


def test_tile_repeats_image_at_own_size():
    image = picture(7, 5)
    tiled = fitted(image, (20, 13), 'tile')
    assert np.array_equal(tiled[:5, :7], image) and np.array_equal(tiled[5:10, 14:], image[:, :6])
    assert np.array_equal(fitted(image, (3, 2), 'tile'), image[:2, :3])


def person_in_a_room(size=(240, 320)):
    """A red person before a blue room, and the alpha."""
    frame, alpha = np.full((*size, 3), (200, 40, 40), np.uint8), np.zeros(size, np.uint8)
    inside = np.s_[size[0] // 3:, size[1] // 3:-(size[1] // 3)]
    frame[inside], alpha[inside] = (40, 40, 200), 255
    return frame, alpha


@pytest.mark.parametrize('kind', ['blur', 'pixelate'])
def test_persons_colors_do_not_bleed_into_room(kind):
    frame, alpha = person_in_a_room()
    behind = background_of(Settings().updated({'background.type': kind})).behind(frame, alpha)
    assert np.abs(behind[alpha == 0].astype(int) - (200, 40, 40)).max() <= 3


def test_blur_is_equally_strong_at_every_size():
    room = cv2.imread(str(EMPTY_ROOM))
    blur = background_of(Settings().updated({'background.type': 'blur'}))
    small, large = (blur.behind(cv2.resize(room, size, interpolation=cv2.INTER_AREA)) for size in ((640, 480), (1920, 1440)))
    assert np.abs(cv2.resize(large, (640, 480), interpolation=cv2.INTER_AREA).astype(int) - small).mean() < 3


def test_cells_rest_while_person_moves():
    room, dice = cv2.resize(cv2.imread(str(EMPTY_ROOM)), (320, 240)), np.random.default_rng(1)
    cells, seen = background_of(Settings().updated({'background.type': 'pixelate'})), []
    for step in range(8):
        frame, alpha = cv2.add(room, dice.integers(0, 4, room.shape, np.uint8)), np.zeros((240, 320), np.uint8)
        alpha[100:, 40 + 20 * step:120 + 20 * step] = 255
        frame[alpha > 0] = (0, 0, 255)
        seen.append(cells.behind(frame, alpha).copy())
    away = np.s_[:90]
    assert all(np.array_equal(picture[away], seen[0][away]) for picture in seen)


# ---- golden pictures: what each type makes of a real picture, as small as shows it

def golden_composite(kind: str, frames: list) -> np.ndarray:
    files = {'background.image': str(EMPTY_ROOM), 'background.video': str(SAMPLE)}
    pipeline = Pipeline(Settings().updated({'flip': False, **files, 'background.type': kind.removeprefix('people_'),
                                                 'replace': 'people' if kind.startswith('people_') else 'background'}))
    for number, frame in enumerate(frames):
        pipeline.live.show(frames[-1][::2, ::2])
        composite = pipeline.process(frame, stamp=number / 15).composite
    pipeline.close()
    return cv2.resize(composite, (160, 120), interpolation=cv2.INTER_AREA)


GOLDEN = ['color', 'image', 'blur', 'pixelate', 'topic', 'transparent', 'clean_plate', 'none', 'people_color', 'people_image',
          'people_blur', 'people_pixelate', 'people_clean_plate', 'people_transparent']


def test_every_type_has_golden_picture():
    kinds = {kind.removeprefix('people_') for kind in GOLDEN}
    assert kinds == {*TUNABLES['background.type'].choices} - {'video'}  # decoded beside the frames, which one is a matter of time
    assert {path.stem for path in (ROOT / 'test' / 'data' / 'golden').iterdir()} == {*GOLDEN}


@pytest.mark.slow
@pytest.mark.parametrize('kind', GOLDEN)
def test_composite_matches_golden_picture(kind, sample, tmp_path):
    made = golden_composite(kind, sample[20:61])
    golden = cv2.imread(str(ROOT / 'test' / 'data' / 'golden' / f'{kind}.png'), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(found := tmp_path / f'{kind}.png'), made)  # what may become the golden one: look at it, then copy it
    assert golden is not None and made.shape == golden.shape, found
    off = cv2.blur(cv2.absdiff(made, golden), (5, 5))
    assert off.mean() < 1.0 and off.max() < 24, (off.mean(), off.max(), found)

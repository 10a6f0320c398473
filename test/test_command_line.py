# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""``python3 -m self_segmentation``: run in this process where only files matter, as a process of its own where more does."""
import contextlib
import os
import pty
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ASTRONAUT, ROOT, SAMPLE, TUTORIAL, area, iou, tutorial_settings, video_frames, wait_until, write_clip

from self_segmentation import Pipeline
from self_segmentation.io.locks import claim
from self_segmentation.settings import TUNABLES

COUNT, FPS = 12, 12.5
QUICK = '--config', TUTORIAL  # without the detector: a tenth of the work, where nobody looks at who was found


@pytest.fixture
def run(program_run):
    """``run(*arguments)`` returns the exit code and what was said on stderr."""
    return lambda *arguments: program_run(*arguments, '--no-window')


@pytest.fixture(scope='module')
def clip(tmp_path_factory, sample):
    """Twelve frames of the sample with the person in them, at half its size, and a frame rate of its own."""
    return write_clip(tmp_path_factory.mktemp('clip') / 'clip.mp4', [frame[::2, ::2] for frame in sample[60:60 + COUNT]], FPS)


def read(path) -> np.ndarray:
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert picture is not None, f'{path} is no picture'
    return picture


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_image_gives_composite_mask_and_alpha(run, tmp_path, astronaut):
    code, said = run(ASTRONAUT, '--output', tmp_path / 'new' / 'out.png', '--mask', tmp_path / 'mask',
                     '--alpha', tmp_path / 'alpha')
    assert code == 0, said
    assert names(tmp_path / 'mask') == names(tmp_path / 'alpha') == ['astronaut.png']
    picture, mask = read(tmp_path / 'new' / 'out.png'), read(tmp_path / 'mask' / 'astronaut.png')
    alpha = read(tmp_path / 'alpha' / 'astronaut.png')
    assert picture.shape == astronaut.shape and mask.shape == alpha.shape == (512, 512)
    assert 0.45 < area(mask) < 0.65 and np.array_equal(mask, np.where(alpha > 127, 255, 0))
    assert np.array_equal(picture[alpha == 255], astronaut[alpha == 255])  # a file is not mirrored
    assert (picture[alpha == 0] == 192).all() and (alpha == 0).mean() > 0.3


def test_flip_option_mirrors_file(run, tmp_path, astronaut):
    for option, seen in (('--flip', cv2.flip(astronaut, 1)), ('--no-flip', astronaut)):
        assert run(ASTRONAUT, *QUICK, option, '--output', tmp_path / 'out.png', '--alpha', tmp_path)[0] == 0
        alpha = read(tmp_path / 'astronaut.png')
        assert 0.45 < area(alpha) < 0.65
        assert np.array_equal(read(tmp_path / 'out.png')[alpha == 255], seen[alpha == 255])


def test_option_overrides_configuration(run, tmp_path, astronaut):
    for options, settings in (((), {}), (('--no-flip',), {'flip': False}), (('--threshold', '0.9'), {'threshold': 0.9}),
                              (('--background-color', '1,2,3'), {'background__color': (1, 2, 3)})):
        assert run(ASTRONAUT, '--config', TUTORIAL, *options, '--output', tmp_path / 'out.png', '--mask', tmp_path)[0] == 0
        expected = Pipeline(tutorial_settings(**settings)).process(astronaut)
        assert np.array_equal(read(tmp_path / 'out.png'), expected.composite), options
        assert np.array_equal(read(tmp_path / 'astronaut.png'), expected.mask), options


def test_option_completes_configuration(run, tmp_path):
    config = tmp_path / 'half.yaml'
    config.write_text('/**:\n  ros__parameters:\n    background: {type: image}\n')
    code, said = run(ASTRONAUT, '--config', config, '--output', tmp_path / 'out.png')
    assert code == 2 and 'background.image' in said
    assert run(ASTRONAUT, '--config', config, '--background-image', ASTRONAUT, '--output', tmp_path / 'out.png')[0] == 0


def test_background_image_implies_type_image(run, tmp_path):
    image = tmp_path / 'green.png'
    cv2.imwrite(str(image), np.full((9, 9, 3), (0, 200, 0), np.uint8))
    for options, corner in (((), [0, 200, 0]), (('--background-type', 'color'), [192, 192, 192])):
        assert run(ASTRONAUT, *QUICK, '--background-image', image, *options, '--output', tmp_path / 'out.png')[0] == 0
        assert read(tmp_path / 'out.png')[0, 0].tolist() == corner


@pytest.fixture
def folder(tmp_path, sample, astronaut):
    """Pictures that a video's memory would mix up: somebody, nobody, somebody else."""
    folder = tmp_path / 'pictures'
    folder.mkdir()
    for name, picture in (('a', astronaut), ('b', sample[0]), ('c', sample[80]), ('d', cv2.flip(astronaut, 1))):
        cv2.imwrite(str(folder / f'{name}.png'), cv2.resize(picture, (256, 256), interpolation=cv2.INTER_AREA))
    return folder


def test_folder_gives_same_results_as_single_images(run, folder, tmp_path):
    code, said = run(folder, '--output', tmp_path / 'out', '--mask', tmp_path / 'mask', '--alpha', tmp_path / 'alpha')
    assert code == 0, said
    for kind in ('out', 'mask', 'alpha'):
        assert names(tmp_path / kind) == ['a.png', 'b.png', 'c.png', 'd.png']
    assert [area(read(tmp_path / 'mask' / name)) > 0.1 for name in names(tmp_path / 'mask')] == [True, False, True, True]
    for name in ('b', 'c', 'd'):
        alone = tmp_path / 'alone'
        assert run(folder / f'{name}.png', '--output', alone / 'out.png', '--mask', alone / 'mask',
                   '--alpha', alone / 'alpha')[0] == 0
        assert np.array_equal(read(alone / 'out.png'), read(tmp_path / 'out' / f'{name}.png')), name
        for kind in ('mask', 'alpha'):
            assert np.array_equal(read(alone / kind / f'{name}.png'), read(tmp_path / kind / f'{name}.png')), name


def test_video_gives_numbered_images(run, clip, tmp_path):
    code, said = run(clip, '--output', tmp_path / 'out', '--mask', tmp_path / 'mask', '--config', TUTORIAL)
    assert code == 0, said
    assert names(tmp_path / 'out') == names(tmp_path / 'mask') == [f'{number:05d}.png' for number in range(COUNT)]
    pipeline = Pipeline(tutorial_settings())
    for number, frame in enumerate(video_frames(clip)):
        assert np.array_equal(read(tmp_path / 'out' / f'{number:05d}.png'), pipeline.process(frame).composite), number


def test_video_output_keeps_frame_count_and_rate(run, clip, tmp_path, sample):
    code, said = run(clip, '--output', tmp_path / 'new' / 'out.mp4', '--mask', tmp_path / 'mask', '--background-color', '#00ff00')
    assert code == 0, said
    capture = cv2.VideoCapture(str(tmp_path / 'new' / 'out.mp4'))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(FPS, abs=0.01)
    frames = video_frames(tmp_path / 'new' / 'out.mp4')
    assert len(frames) == COUNT == len(names(tmp_path / 'mask')) and {frame.shape for frame in frames} == {(240, 320, 3)}
    mask = read(tmp_path / 'mask' / f'{COUNT - 1:05d}.png')
    assert area(mask) > 0.1
    away = cv2.erode(255 - mask, np.ones((15, 15), np.uint8)) > 0
    assert np.abs(frames[-1][away].astype(int) - (0, 255, 0)).mean() < 12
    inside = cv2.erode(mask, np.ones((15, 15), np.uint8)) > 0
    assert np.abs(frames[-1][inside].astype(int) - sample[60 + COUNT - 1][::2, ::2][inside]).mean() < 12


def test_reads_image_formats_by_extension_in_any_case(run, tmp_path, astronaut):
    folder = tmp_path / 'pictures'
    folder.mkdir()
    for ending in ('PNG', 'jpg', 'JPEG', 'bmp', 'webp', 'tiff'):
        folder.joinpath(f'{ending}.{ending}').write_bytes(cv2.imencode(f'.{ending.lower()}', astronaut)[1].tobytes())
    (folder / 'notes.txt').write_text('no picture')
    assert run(folder, '--mask', tmp_path / 'mask', '--config', TUTORIAL)[0] == 0
    assert names(tmp_path / 'mask') == sorted(f'{ending}.png' for ending in ('PNG', 'jpg', 'JPEG', 'bmp', 'webp', 'tiff'))
    masks = [read(path) for path in (tmp_path / 'mask').iterdir()]
    assert min(iou(masks[0], mask) for mask in masks) > 0.95


def test_images_of_same_name_do_not_overwrite_results(run, tmp_path, astronaut, sample):
    folder = tmp_path / 'pictures'
    folder.mkdir()
    cv2.imwrite(str(folder / 'one.png'), astronaut)
    cv2.imwrite(str(folder / 'one.jpg'), sample[0])
    run(folder, *QUICK, '--output', tmp_path / 'out')
    assert {read(path).shape for path in (tmp_path / 'out').iterdir()} == {(512, 512, 3), (480, 640, 3)}


def test_names_unreadable_image_and_writes_others(run, folder, tmp_path):
    (folder / 'b.png').write_text('no picture')
    code, said = run(folder, *QUICK, '--output', tmp_path / 'out')
    assert code == 1 and str(folder / 'b.png') in said and 'Traceback' not in said
    assert names(tmp_path / 'out') == ['a.png', 'c.png', 'd.png']


@pytest.mark.parametrize('options, parts', [
    (['--threshold', '2'], ['threshold = 2', 'the command line', '0 to 1']), (['--threshold', 'nan'], ['threshold', '0 to 1']),
    (['--threshold', 'much'], ['--threshold', 'much']), (['--edge-diameter', '1.5'], ['--edge-diameter', '1.5']),
    (['--background-color', '1,2'], ['background.color', 'three whole numbers']),
    (['--background-color', 'red'], ['red', '0,128,0 or #008000']), (['--background-type', 'image'], ['background.image']),
    (['--edge-filter', 'median'], ['median', 'bilateral']), (['--nonsense'], ['--nonsense']),
    (['--config', '/missing.yaml'], ['/missing.yaml']), (['--config', ASTRONAUT], ['astronaut.png', 'bytes']),
    (['--config', ROOT / 'docs' / 'performance.png'], ['performance.png', 'YAML']),
], ids=lambda value: '='.join(map(str, value)) if str(value[0]).startswith('--') else '')
def test_invalid_setting_exits_2_with_allowed_values(run, tmp_path, options, parts):
    code, said = run(ASTRONAUT, '--output', tmp_path / 'out.png', *options)
    assert code == 2 and all(part in said for part in parts) and 'Traceback' not in said, said
    assert names(tmp_path) == []


def test_unknown_name_in_configuration_suggests_nearest(run, tmp_path):
    config = tmp_path / 'some.yaml'
    config.write_text('/**:\n  ros__parameters:\n    treshold: 0.5\n')
    code, said = run(ASTRONAUT, '--config', config, '--output', tmp_path / 'out.png')
    assert code == 2 and str(config) in said and 'did you mean threshold?' in said


@pytest.mark.parametrize('place', ['missing.mp4', 'missing.png', 'missing', 'empty', 'text.png', 'text.mp4', '/dev/video97',
                                   '97'])
def test_unreadable_file_exits_2_and_camera_1_with_its_name(run, tmp_path, place):
    (tmp_path / 'empty').mkdir()
    for name in ('text.png', 'text.mp4'):
        (tmp_path / name).write_text('neither picture nor video')
    place = place if place.startswith(('/', '9')) else str(tmp_path / place)
    code, said = run(place, '--output', tmp_path / 'out')
    assert code == (1 if place in ('/dev/video97', '97') else 2) and place in said and 'Traceback' not in said, said
    assert not (tmp_path / 'out').exists()


def test_missing_model_or_background_exits_2_with_its_name(run, tmp_path):
    for option in ('--model', '--background-image'):
        code, said = run(ASTRONAUT, option, tmp_path / 'missing', '--output', tmp_path / 'out.png')
        assert code == 2 and str(tmp_path / 'missing') in said and 'give' in said
        assert names(tmp_path) == []


def test_mask_and_alpha_need_folder(run, clip, tmp_path):
    for option in ('--mask', '--alpha'):
        for name in ('out.mp4', 'out.png'):
            code, said = run(clip, option, tmp_path / name)
            assert code == 2 and option in said and name in said and 'folder' in said
            assert not (tmp_path / name).exists()


def test_refuses_output_unfit_for_input(run, clip, folder, tmp_path):
    for place, output in ((clip, 'out.png'), (folder, 'out.png'), (folder, 'out.mp4')):
        code, said = run(place, '--output', tmp_path / output)
        assert code == 2 and output in said and 'folder' in said
        assert not (tmp_path / output).exists()


@pytest.mark.parametrize('output', ['out.png', 'out.mp4', 'out'])
def test_unwritable_output_is_named(run, clip, tmp_path, output):
    (tmp_path / 'file').write_text('in the way')
    place = clip if output == 'out.mp4' else ASTRONAUT
    code, said = run(place, '--output', tmp_path / 'file' / output)
    assert code == 2 and str(tmp_path / 'file' / output) in said


def test_needs_window_or_output(run):
    code, said = run(ASTRONAUT)
    assert code == 2 and 'nothing to do' in said and '--output' in said


SLOW = '--edge-filter', 'joint_bilateral', '--edge-diameter', '49', '--edge-sigma-space', '20'


def program(*arguments, **more):
    environment = {name: value for name, value in os.environ.items() if name not in ('DISPLAY', 'WAYLAND_DISPLAY')}
    return [sys.executable, '-m', 'self_segmentation', *map(str, arguments)], {'env': environment, **more}


@pytest.mark.processes
def test_explains_missing_display():
    command, more = program(ASTRONAUT)
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, **more)
    assert done.returncode == 1 and ('no display' in done.stderr or 'headless' in done.stderr) and 'Traceback' not in done.stderr


@pytest.mark.processes
def test_missing_display_is_no_news_where_output_is_written(tmp_path):
    command, more = program(ASTRONAUT, '--output', tmp_path / 'out.png')
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, **more)
    assert done.returncode == 0 and 'display' not in done.stderr and (tmp_path / 'out.png').exists()


def test_help_lists_every_setting_without_slow_imports():
    code = ('import sys\nfrom self_segmentation.command_line import main\ntry:\n    main(["--help"])\n'
            'except SystemExit as end:\n    print(end.code, sorted({"cv2", "mediapipe", "numpy", "rclpy"} & set(sys.modules)))\n')
    done = subprocess.run([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.splitlines()[-1] == '0 []'
    words = ' '.join(done.stdout.replace('-\n', '-').split())
    for tunable in TUNABLES.values():
        assert tunable.node or '--' + tunable.name.replace('.', '-').replace('_', '-') in words
    for option in ('--output', '--mask', '--alpha', '--config', '--no-window', '--no-flip'):
        assert option in words


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_signal_during_video_leaves_playable_video(start, tmp_path, number):
    command, more = program(SAMPLE, '--output', tmp_path / 'out.mp4', '--mask', tmp_path / 'mask', *SLOW)
    running = start('', command=command, **more)
    wait_until(lambda: (tmp_path / 'mask' / '00010.png').exists(), 'ten frames')
    for _ in range(3):  # the second and the third one change nothing
        if running.code is None:
            running.send(number)
            time.sleep(0.1)
    assert running.exit_code() == 0, running.said
    assert 'Traceback' not in running.said
    masks = len(names(tmp_path / 'mask'))
    assert masks < 150  # it was not over
    assert masks - 1 <= len(video_frames(tmp_path / 'out.mp4')) <= masks + 1


@pytest.mark.processes
@pytest.mark.slow
@pytest.mark.parametrize('output', ['picture.png', 'picture.jpg', 'video.mp4'])
def test_full_disk_exits_1_with_file_name(tmp_path, output):
    path = tmp_path / output
    path.symlink_to('/dev/full')
    assert_fails(path, SAMPLE if output.endswith('.mp4') else ASTRONAUT)


@pytest.mark.processes
@pytest.mark.slow
@pytest.mark.parametrize('output', ['pictures', 'video.mp4'])
def test_disk_filling_up_exits_1_with_file_name(tmp_path, output):
    """By a limit on the size of a file, which takes no right to set."""
    limit = 100_000 if output == 'video.mp4' else 20_000
    assert_fails(tmp_path / output, SAMPLE, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))


@pytest.mark.processes
@pytest.mark.slow
def test_progress_bar_leaves_no_semaphore(tmp_path):
    """Where processes are not forked: the default from Python 3.14 on."""
    code = ('import multiprocessing, sys\nmultiprocessing.set_start_method("forkserver")\n'
            'from self_segmentation.programs import self_segmentation\nself_segmentation()')
    command = [sys.executable, '-c', code, ASTRONAUT, '--mask', tmp_path, '--no-window']
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and 'leaked' not in done.stderr, done.stderr


def assert_fails(path: Path, source: Path, **more) -> None:
    done = subprocess.run([sys.executable, '-m', 'self_segmentation', source, '--no-window', '--output', path],
                          capture_output=True, text=True, **more)
    assert done.returncode == 1, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith('self_segmentation: error:') and str(path) in last, done.stderr


# ---- files as people have them (what is in them: test/io)

@pytest.mark.processes
def test_unreachable_display_is_reported_and_output_written(tmp_path):
    command, more = program(ASTRONAUT, '--output', tmp_path / 'out.png')
    more['env']['DISPLAY'] = ':7654'
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, **more)
    assert done.returncode == 0 and 'no window' in done.stderr and 'Traceback' not in done.stderr, done.stderr
    assert read(tmp_path / 'out.png').shape == (512, 512, 3)


def test_keeps_frames_of_truncated_video(run, tmp_path, sample):
    from media import write_video
    whole = write_video(tmp_path / 'whole.mp4', [frame[::2, ::2, ::-1].copy() for frame in sample[60:80]], movflags='faststart')
    (tmp_path / 'cut.mp4').write_bytes(whole.read_bytes()[:whole.stat().st_size * 3 // 4])
    code, said = run(tmp_path / 'cut.mp4', *QUICK, '--output', tmp_path / 'out.mp4', '--mask', tmp_path / 'mask')
    count = len(names(tmp_path / 'mask'))
    assert code == 1 and f'{count} of 20 frames' in said and 'cut.mp4' in said
    assert 1 < count < 20 and len(video_frames(tmp_path / 'out.mp4')) == count


@pytest.mark.parametrize('name', ['results_v1.2', '2024'])
def test_output_without_known_ending_is_folder(run, tmp_path, name):
    code, said = run(ASTRONAUT, *QUICK, '--output', tmp_path / name)
    assert code == 0 and names(tmp_path / name) == ['astronaut.png'], said


@pytest.mark.parametrize('name', ['out.pdf', 'out.mp3', 'out.txt', 'out.gif', 'out.avi', 'out.m4v', 'out.ts',
                                  'out.M2TS', 'out.wmv', 'out.tga', 'out.jp2', 'photos.final'])
def test_refuses_output_of_other_kind(run, tmp_path, name):
    code, said = run(ASTRONAUT, '--output', tmp_path / name)
    assert code == 2 and name in said and '.mp4' in said and '.png' in said and names(tmp_path) == []


@pytest.mark.parametrize('name', ['out.mcap', 'out.db3', 'out.bag'])
@pytest.mark.parametrize('option', ['--output', '--mask', '--alpha'])
def test_makes_no_recording_of_a_picture(run, tmp_path, option, name):
    code, said = run(ASTRONAUT, option, tmp_path / name)
    assert code == 2 and f'{option} {tmp_path / name}' in said and 'folder' in said and names(tmp_path) == []
    assert option != '--output' or 'a recording is made only of a recording' in said


@pytest.mark.parametrize('name', ['out.jfif', 'out.jpe', 'OUT.PNG', 'out.tif', 'out.webp'])
def test_writes_image_by_ending(run, tmp_path, name):
    code, said = run(ASTRONAUT, *QUICK, '--output', tmp_path / name)
    assert code == 0 and read(tmp_path / name).shape == (512, 512, 3), said


def test_never_overwrites_input(run, tmp_path):
    image = tmp_path / 'photo.png'
    image.write_bytes(ASTRONAUT.read_bytes())
    for output in (image, tmp_path, f'file://{image}'):
        code, said = run(image, '--output', output)
        assert code == 2 and 'input itself' in said and image.read_bytes() == ASTRONAUT.read_bytes()


def test_names_lost_sound_of_image_folder(run, tmp_path, sample, caplog):
    from media import write_video
    talk = write_video(tmp_path / 'talk.mp4', [sample[60][..., ::-1].copy()] * 3, sound='aac')
    assert run(talk, *QUICK, '--output', tmp_path / 'out.mp4')[0] == 0 and not caplog.records
    assert run(talk, *QUICK, '--output', tmp_path / 'out')[0] == 0
    assert [record.message for record in caplog.records] == ["the video's sound is left out: image files have none"]


def test_warns_of_configuration_for_other_nodes(run, tmp_path, caplog):
    config = tmp_path / 'other.yaml'
    config.write_text('person_segmentation:\n  ros__parameters:\n    threshold: 0.3\n')
    code, said = run(ASTRONAUT, '--config', config, '--output', tmp_path / 'out.png')
    assert code == 0
    assert any(str(config) in record.message and 'person_segmentation' in record.message for record in caplog.records)


@pytest.mark.parametrize('ending', ['.png', '.webm', '.mkv', '.mov'])
def test_writes_cut_out_with_alpha(run, tmp_path, clip, ending):
    path = tmp_path / f'cut{ending}'
    source = ASTRONAUT if ending == '.png' else clip
    code, said = run(source, '--look', 'cutout', '--no-flip', '--output', path, '--no-window')
    assert code == 0, said
    if ending == '.png':
        alpha = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., 3]
        assert 0.3 < (alpha > 127).mean() < 0.8
        return
    import av
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        decoder = av.CodecContext.create('libvpx-vp9', 'r') if ending != '.mov' else stream.codec_context
        frames = [frame for packet in container.demux(stream) for frame in decoder.decode(packet)]
    alpha = frames[10].to_ndarray(format='rgba')[..., 3]
    assert len(frames) == COUNT and 0.1 < (alpha > 127).mean() < 0.6 and (alpha < 20).mean() > 0.3


def test_refuses_cut_out_without_alpha(run, tmp_path):
    for source, name in ((SAMPLE, 'cut.mp4'), (ASTRONAUT, 'cut.jpg')):
        code, said = run(source, '--look', 'cutout', '--output', tmp_path / name, '--no-window')
        assert code == 2 and 'no alpha' in said and '.webm' in said and not (tmp_path / name).exists()


def test_options_win_over_look(run, tmp_path):
    config = tmp_path / 'own.yaml'
    config.write_text('/**:\n  ros__parameters:\n    background:\n      type: color\n')
    code, said = run(ASTRONAUT, '--look', 'cutout', '--config', config, '--background-color', '#00ff00', '--output',
                     tmp_path / 'out.png', '--no-window')
    picture = cv2.imread(str(tmp_path / 'out.png'), cv2.IMREAD_UNCHANGED)
    assert code == 0 and picture.shape[2] == 3 and (picture[5, 5] == (0, 255, 0)).all(), said


@pytest.mark.parametrize('option, source, lost', [
    ('--background-video', SAMPLE, 'video.mp4'), ('--background-image', ASTRONAUT, 'picture.png'),
    ('--config', TUTORIAL, 'own.yaml'), ('--background-image', ASTRONAUT, 'folder/picture.png')])
def test_refuses_to_overwrite_any_file_it_reads(run, tmp_path, clip, option, source, lost):
    path = tmp_path / lost
    path.parent.mkdir(exist_ok=True)
    shutil.copy(source, path)
    inputs = clip
    if lost.startswith('folder'):
        inputs = tmp_path / 'photos'
        inputs.mkdir()
        shutil.copy(ASTRONAUT, inputs / 'picture.png')
    output = path.parent if lost.startswith('folder') else tmp_path / f'link{path.suffix}'
    if output != path.parent:
        os.link(path, output)
    code, said = run(inputs, option, path, '--output', output)
    assert code == 2 and f'is {option} itself: it would be lost' in said, said
    assert path.read_bytes() == source.read_bytes()


def test_refuses_second_name_of_input(run, tmp_path, clip):
    os.link(clip, tmp_path / 'second.mp4')
    code, said = run(clip, '--output', tmp_path / 'second.mp4')
    assert code == 2 and 'is the input itself' in said and (tmp_path / 'second.mp4').read_bytes() == clip.read_bytes()


@pytest.mark.parametrize('make, reason', [
    (lambda path: path.symlink_to(path.name), 'symbolic links'), (lambda path: path.with_name('x' * 300), 'name too long'),
    (lambda path: Path('-'), 'standard output')])
def test_output_that_cannot_be_used_is_named(run, tmp_path, make, reason):
    path = make(tmp_path / 'out.png') or tmp_path / 'out.png'
    code, said = run(ASTRONAUT, '--output', path)
    assert code == 2 and f'--output {str(path)!r} cannot be used' in said and reason in said.lower(), said


@pytest.mark.processes
def test_full_disk_leaves_no_part_of_an_image(tmp_path):
    command, more = program(ASTRONAUT, '--output', tmp_path / 'out.png')
    done = subprocess.run(command, capture_output=True, text=True, **more,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)))
    assert done.returncode == 1 and 'out.png cannot be written' in done.stderr and names(tmp_path) == [], done.stderr


# ---- two programs, terminals that go, files that are no names

@pytest.mark.processes
def test_terminal_that_is_closed_leaves_playable_video(tmp_path):
    command, more = program(SAMPLE, '--output', tmp_path / 'out.mp4', '--mask', tmp_path / 'mask', *SLOW)
    process, terminal = pty.fork()
    if process == 0:
        os.execve(command[0], command, more['env'])
    os.set_blocking(terminal, False)

    def look() -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(terminal, 1 << 16)
        time.sleep(0.02)

    wait_until(lambda: (tmp_path / 'mask' / '00003.png').exists(), 'the first frames', look)
    os.close(terminal)  # SIGHUP for the program, and nowhere to write its lines to
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    assert 4 <= len(video_frames(tmp_path / 'out.mp4')) < 150


def test_hang_up_does_not_end_what_nohup_started(start, tmp_path):
    command, more = program(SAMPLE, '--output', tmp_path / 'out.mp4', '--mask', tmp_path / 'mask', *SLOW)
    running = start('', command=['nohup', *command], **more)
    wait_until(lambda: (tmp_path / 'mask' / '00003.png').exists(), 'the first frames')
    running.send(signal.SIGHUP)
    count = len(names(tmp_path / 'mask'))
    wait_until(lambda: len(names(tmp_path / 'mask')) > count + 3, 'more frames')
    running.send(signal.SIGTERM)
    assert running.exit_code() == 0, running.said


def test_second_program_with_the_same_output_is_refused(run, start, tmp_path):
    command, more = program(SAMPLE, '--output', tmp_path / 'out.mp4', '--mask', tmp_path / 'mask', *SLOW)
    running = start('', command=command, **more)
    wait_until(lambda: (tmp_path / 'mask' / '00003.png').exists(), 'the first frames')
    for option, path in (('--output', tmp_path / 'out.mp4'), ('--output', tmp_path / 'mask'), ('--alpha', tmp_path / 'mask')):
        code, said = run(SAMPLE, option, path)
        assert code == 1 and f'{path} is being written by another program' in said and running.code is None, said
    code, said = run(ASTRONAUT, '--output', tmp_path / 'mask')
    assert code == 1 and 'another program' in said and not (tmp_path / 'mask' / 'astronaut.png').exists()
    running.send(signal.SIGTERM)
    assert running.exit_code() == 0, running.said
    assert len(video_frames(tmp_path / 'out.mp4')) >= 4


def test_programs_may_write_single_pictures_to_one_folder(run, tmp_path):
    (tmp_path / 'out').mkdir()
    another = claim(tmp_path / 'out', shared=True)
    code, said = run(ASTRONAUT, *QUICK, '--output', tmp_path / 'out')
    assert code == 0 and names(tmp_path / 'out') == ['astronaut.png'], said
    os.close(another)


@pytest.mark.processes
@pytest.mark.parametrize('redirection', ['2>&-', '>&- 2>&-', '<&- >&- 2>&-'])
def test_needs_no_stderr(tmp_path, clip, redirection):
    command, more = program(clip, '--output', tmp_path / 'out.mp4')
    script = f'exec "$@" {redirection}'
    done = subprocess.run(['bash', '-c', script, 'bash', *command], capture_output=True, text=True, **more)
    assert done.returncode == 0, done.stderr
    assert len(video_frames(tmp_path / 'out.mp4')) == COUNT


@pytest.mark.processes
@pytest.mark.parametrize('redirection', ['2>&-', '2>/dev/full', '2> >(exit)'])
def test_goes_on_when_its_lines_cannot_be_written(tmp_path, folder, redirection):
    (folder / 'a.png').write_text('no picture')
    command, more = program(folder, '--output', tmp_path / 'out')
    done = subprocess.run(['bash', '-c', f'exec "$@" {redirection}', 'bash', *command], capture_output=True, text=True, **more)
    assert done.returncode == 1 and names(tmp_path / 'out') == ['b.png', 'c.png', 'd.png'], done.stderr


def test_name_that_is_too_long_stops_one_picture(run, folder, tmp_path):
    (folder / 'b.png').rename(folder / ('b' * 255))  # and .png
    for _ in range(2):  # the folder is there or not
        code, said = run(folder, *QUICK, '--output', tmp_path / 'out')
        assert code == 1 and 'too long' in said and 'Traceback' not in said, said
        assert names(tmp_path / 'out') == ['a.png', 'c.png', 'd.png']


@pytest.fixture(scope='module')
def talk(tmp_path_factory, sample):
    """A video with sound and its index at the end, which takes going back and forth to read; beside it what becomes of it."""
    from media import write_video
    frames = [frame[..., ::-1].copy() for frame in sample[60:70]]
    talk = write_video(tmp_path_factory.mktemp('talk') / 'talk.mp4', frames, sound='aac')
    command, more = program(talk, '--output', talk.with_name('as file.mp4'))
    subprocess.run(command, check=True, **more)
    return talk


@pytest.mark.processes
@pytest.mark.parametrize('way', ['"$@" /dev/stdin < "$FILE"', 'cat "$FILE" | "$@" /dev/stdin', '"$@" <(cat "$FILE")',
                                 '"$@" /dev/fd/7 7< "$FILE"'])
def test_reads_video_of_stdin_as_any_file(tmp_path, talk, way):
    command, more = program('--output', tmp_path / 'out.mp4')
    more['env']['FILE'] = str(talk)
    done = subprocess.run(['bash', '-c', way, 'bash', *command], capture_output=True, text=True, **more)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'out.mp4').read_bytes() == talk.with_name('as file.mp4').read_bytes()  # not mirrored, with sound


def test_signal_ends_program_that_reads_a_pipe_without_end(start, tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    command, more = program('/dev/stdin', '--output', tmp_path / 'out.mp4')
    running = start('', command=['bash', '-c', 'exec "$@" < "$0"', tmp_path / 'pipe', *command], **more)
    with (tmp_path / 'pipe').open('wb', buffering=0) as pipe:
        pipe.write(bytes(1 << 20))  # more than a pipe holds: it is being read
        running.send(signal.SIGINT)
        assert running.exit_code() == 0, running.said
    assert 'Traceback' not in running.said and names(tmp_path) == ['pipe']


def test_several_pictures_are_one_folder(run, folder, tmp_path):
    pictures = sorted(folder.iterdir())
    assert run(folder, *QUICK, '--output', tmp_path / 'as folder')[0] == 0
    code, said = run(*pictures[:2], '--output', tmp_path / 'out', *pictures[2:])
    assert code == 2 and 'unrecognized' in said  # what a shell makes of *.jpg stands together
    code, said = run(*pictures, *QUICK, '--output', tmp_path / 'out')
    assert code == 0 and names(tmp_path / 'out') == names(tmp_path / 'as folder') == ['a.png', 'b.png', 'c.png', 'd.png'], said
    for name in names(tmp_path / 'out'):
        assert np.array_equal(read(tmp_path / 'out' / name), read(tmp_path / 'as folder' / name))


def test_several_inputs_that_are_no_pictures_are_refused(run, folder, clip, tmp_path):
    for inputs, output, parts in (([clip, SAMPLE], 'out', ['none of the 2 inputs', 'one video']),
                                  ([folder / 'a.png', folder / 'b.png'], 'out.png', ['out.png', 'has more', 'folder']),
                                  ([folder / 'a.png', folder / 'b.png'], folder, ['is the input itself'])):
        code, said = run(*inputs, '--output', tmp_path / output)
        assert code == 2 and all(part in said for part in parts) and not (tmp_path / 'out').exists(), said


def test_raw_photograph_is_refused_and_stops_no_folder(run, folder, tmp_path):
    (folder / 'b.CR2').write_bytes(b'II*\0\x10\0\0\0CR\2\0' + bytes(500))
    code, said = run(folder, *QUICK, '--output', tmp_path / 'out')
    assert code == 1 and 'b.CR2' in said and 'raw photograph' in said and len(names(tmp_path / 'out')) == 4
    code, said = run(folder / 'b.CR2', '--output', tmp_path / 'out.png')
    assert code == 2 and 'b.CR2' in said and 'raw photograph' in said and not (tmp_path / 'out.png').exists()


@pytest.mark.processes
def test_camera_that_is_slower_than_it_says_gives_video_of_its_own_length(tmp_path):
    """Forty frames at 20 Hz from one that says 60 Hz."""
    code = """
import sys, time
import cv2, numpy as np

class Camera:
    def __init__(self, place):
        self.count, self.due = 0, None
    def isOpened(self):
        return True
    def get(self, setting):
        return 60.0
    def release(self):
        pass
    def read(self):
        self.due = self.due or time.monotonic()
        time.sleep(max(0, self.due - time.monotonic()))
        self.due += 0.05
        self.count += 1
        return self.count <= 40, np.zeros((240, 320, 3), np.uint8)

cv2.VideoCapture = Camera
from self_segmentation.command_line import main
sys.exit(main(['0', '--no-window', '--output', sys.argv[1]]))
"""
    done = subprocess.run([sys.executable, '-c', code, tmp_path / 'out.mp4'], capture_output=True, text=True)
    assert done.returncode == 1 and 'gives no frame' in done.stderr and 'Traceback' not in done.stderr, done.stderr
    capture = cv2.VideoCapture(str(tmp_path / 'out.mp4'))
    count, rate = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
    assert count == 40 and count / rate > 1.7, (count, rate)

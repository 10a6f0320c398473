# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The soak finds what is wrong, and nothing where nothing is."""
import json
import os
import random
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import unique
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import Image

from self_segmentation.errors import SelfSegmentationError
from self_segmentation.io.assets import load_assets
from self_segmentation.middleware import remove_shared_memory, shared_memory_of
from self_segmentation.picture.segmenter import Segmenter
from self_segmentation.settings import TUNABLES, Settings
from self_segmentation.tools.benchmark_graph import kill, process
from self_segmentation.tools.soak_graph import changes
from self_segmentation.tools.soak_judge import NO_CAUSE, Change, Evidence, Frame, Seen, leaks, slope

NOTHING = Seen()


def children_of(parent: int) -> dict[str, int]:
    """The processes that a soak has now, by their part of it."""
    found = {}
    for child in Path(f'/proc/{parent}/task/{parent}/children').read_text().split():
        words = Path(f'/proc/{child}/cmdline').read_text().split('\0')
        found['node' if 'self_segmentation.nodes.segmentation_node' in words else words[3]] = int(child)
    return found


def is_running(process: int) -> bool:
    return Path(f'/proc/{process}').exists()


@pytest.fixture
def soak(graph, start, tmp_path):
    """A soak that is under way, its figures and its children once it has shown pictures."""
    def started(*arguments: str) -> SimpleNamespace:
        program = start('soak', *arguments, '--json', tmp_path / 'figures.json')
        received, subscription = graph.listen(f'/soak{program.pid}/segmentation/output')
        graph.wait_until(lambda: program.code is not None or len(received) >= 10, 'pictures')
        assert program.code is None, program.said
        children = children_of(program.pid)
        assert set(children) == {'node', 'camera', 'listen', 'visit', 'tune'}
        graph.node.destroy_subscription(subscription)
        return SimpleNamespace(program=program, children=children, space=f'/soak{program.pid}',
                               figures=lambda: json.loads((tmp_path / 'figures.json').read_text()))

    return started


def test_soak_without_time_reports_no_image(start, tmp_path):
    program = start('soak', '--minutes', '0', '--json', tmp_path / 'figures.json')
    assert program.exit_code() == 1, program.said
    assert list(json.loads((tmp_path / 'figures.json').read_text())['faults']) == ['no image'], program.said
    assert '| frames in, images out, lost | 0, 0, 0 |' in program.said and 'no image: none came at all' in program.said


def test_ctrl_c_ends_soak_with_table_and_every_process(soak, graph, tmp_path):
    """Once each thing that a soak does was done."""
    run = soak('--minutes', '30', '--restart-every', '4', '--seed', '5', '--keep', tmp_path)

    def noted(who: str, what: str) -> int:
        path = tmp_path / f'{who}.jsonl'
        return path.read_text().count(what) if path.exists() else 0

    graph.wait_until(lambda: run.program.code is not None or (
        noted('camera', '"frame": "3.') and noted('visit', '"topic"') > 3
        and noted('tune', '"taken": true') > 3 and noted('tune', '"taken": false')), 'a little of everything')
    assert run.program.code is None, run.program.said
    run.program.send(signal.SIGINT)
    run.program.send(signal.SIGINT)
    code, figures, said = run.program.exit_code(), run.figures(), run.program.said
    # A busy machine may lose frames for a reason that does not show: `make soak` judges these.
    assert set(figures['faults']) <= {'lost without a named cause'} and code == (1 if figures['faults'] else 0), said
    assert figures['seed'] == 5 and figures['camera_restarts'] >= 2
    assert figures['images_out'] > 0 and figures['visitors_images'] > 3
    assert figures['frames_in'] == figures['images_out'] + sum(figures['lost'].values())
    assert figures['changes_taken'] > 3 and figures['changes_refused'] > 0
    assert figures['changes_unanswered'] == figures['error_lines'] == 0
    assert 0 < figures['latency_p95_ms'] <= figures['latency_worst_ms']
    assert figures['cores'] > 0 and figures['rss_mb_end'] > 0
    assert f"| frames in, images out, lost | {figures['frames_in']}, {figures['images_out']}, " in said
    assert f"| cameras killed and started again | {figures['camera_restarts']} |" in said
    assert 'not judged: that takes 9 minutes' in said and 'Traceback' not in said
    assert not [name for name, child in run.children.items() if is_running(child)]


def test_killed_node_leaves_no_shared_memory(graph):
    name = unique('killed')
    with process('self_segmentation.nodes.segmentation_node', '--ros-args', '-r', f'__ns:=/{name}') as child:
        graph.wait_until(lambda: child.poll() is not None or ('segmentation', f'/{name}') in
                         graph.node.get_node_names_and_namespaces(), 'the node')
        places = shared_memory_of(child.pid)
        kill(child)
    assert places and not remove_shared_memory(places)


def test_camera_is_killed_once_it_has_sent(start, graph, tmp_path):
    program = start('soak', '--restart-every', '0', '--keep', tmp_path)
    record = tmp_path / 'camera.jsonl'
    graph.wait_until(lambda: program.code is not None or (record.exists() and '"frame": "4.' in record.read_text()), 'camera 4')
    program.send(signal.SIGINT)
    program.exit_code()
    assert {f'"frame": "{camera}.0"' in record.read_text() for camera in range(1, 5)} == {True}, program.said


def test_finds_wrong_image_logged_error_and_dead_node(graph, soak):
    run = soak('--minutes', '30')
    frames = graph.node.create_publisher(Image, f'{run.space}/image_raw', 1)
    pictures = graph.node.create_publisher(Image, f'{run.space}/segmentation/output', 1)
    skipped = []

    def on_diagnostics(array: DiagnosticArray) -> None:
        skipped.extend(s for s in array.status if s.hardware_id == f'{run.space}/segmentation' and 'are skipped' in s.message)

    graph.node.create_subscription(DiagnosticArray, '/diagnostics', on_diagnostics, 10)

    def found() -> bool:
        frames.publish(Image(width=2, height=2, encoding='nonsense'))
        return bool(skipped)

    graph.wait_until(found, 'the complaint of the node')
    foreign = Image()
    foreign.header.frame_id = unique('foreign')
    graph.wait_until(lambda: pictures.get_subscription_count() >= 1, 'the listener')
    pictures.publish(foreign)
    pictures.wait_for_all_acked()
    shared_memory = shared_memory_of(run.children['node'])
    os.kill(run.children['node'], signal.SIGKILL)
    assert run.program.exit_code() == 1, run.program.said
    remove_shared_memory(shared_memory)
    faults = run.figures()['faults']
    assert faults['ended'] == ['the node ended by itself, with exit code -9']
    assert any(foreign.header.frame_id in each for each in faults['wrong image'])
    assert any('nonsense' in each for each in faults['unexplained line at ERROR'])
    assert 'ended: the node ended by itself, with exit code -9' in run.program.said
    assert '| frames in, images out, lost |' in run.program.said and 'Traceback' not in run.program.said
    assert not [name for name, child in run.children.items() if is_running(child)]


# ---- causes: a frame every 33 ms, a result 15 ms after it

STEP, WORK = 0.033, 0.015


def frames_of(*counts: int) -> list[Frame]:
    """Frames of cameras that are killed after so many, a second apart."""
    frames, now = [], 100.0
    for run, count in enumerate(counts, 1):
        for number in range(count):
            frames.append(Frame(f'{run}.{number}', run, now, now + 0.001))
            now += STEP
        now += 1.0
    return frames


def causes(frames: list[Frame], lost: set[str], done: dict[str, float] | None = None, came: dict[str, float] | None = None,
           changed: tuple[Change, ...] = (), seen: Seen = NOTHING, begin: float = 99.0) -> dict[str, str]:
    """The causes of the losses, by the frame's name."""
    done = {**{frame.name: frame.sent + WORK for frame in frames if frame.name not in lost}, **(done or {})}
    came = {**{name: when + 0.002 for name, when in done.items() if name not in lost}, **(came or {})}
    return {frame.name: cause for frame, cause in Evidence(frames, done, came, list(changed), seen, begin).losses()}


def test_unexplained_loss_has_no_named_cause():
    assert causes(frames_of(10), {'1.5'}) == {'1.5': NO_CAUSE}
    assert causes(frames_of(10), set()) == {}


def test_busy_node_explains_loss_only_while_working():
    frames = frames_of(10)
    late = frames[6].gone
    assert causes(frames, {'1.5'}, {'1.4': late}) == {'1.5': 'node busy'}
    assert causes(frames, {'1.5'}, {'1.4': late - 0.02}) == {'1.5': NO_CAUSE}
    assert causes(frames, {'1.5', '1.6'}, {'1.4': late}) == {'1.5': 'node busy', '1.6': NO_CAUSE}


def test_slow_frame_needs_cause():
    frames = frames_of(20)
    lost = {frame.name for frame in frames[5:10]}
    slow = frames[4].gone, frames[10].gone - 0.001
    assert causes(frames, lost, {'1.4': slow[1]}) == dict.fromkeys(lost, NO_CAUSE)
    held = Seen(held=[(slow[0] + 0.01, slow[1] - 0.01)])
    excused = causes(frames, lost, {'1.4': slow[1]}, seen=held)
    assert excused == dict.fromkeys(lost, 'middleware held up by a process that came')


def test_camera_restart_explains_losses_around_it_only():
    frames = frames_of(10, 400)
    assert causes(frames, {'1.9', '2.0', '2.1'}) == dict.fromkeys(('1.9', '2.0', '2.1'), 'camera restart')
    assert causes(frames, {'1.8', '2.5'}) == {'1.8': NO_CAUSE, '2.5': NO_CAUSE}
    never = causes(frames, {frame.name for frame in frames if frame.run == 2})
    assert never['2.299'] == 'camera restart' and never['2.310'] == NO_CAUSE


def test_subscriber_start_explains_first_losses():
    frames = frames_of(400)
    lost = causes(frames, {frame.name for frame in frames}, begin=100.5)
    assert '1.0' not in lost and lost['1.20'] == "subscriber's own start" and lost['1.350'] == NO_CAUSE


def test_model_change_explains_losses_while_loading():
    frames = frames_of(10)
    change = Change(frames[5].sent - 0.005, frames[6].gone + 0.01, ('threshold', 'model'))
    assert causes(frames, {'1.5'}, changed=(change,)) == {'1.5': 'change of model'}
    assert causes(frames, {'1.8'}, changed=(change,)) == {'1.8': NO_CAUSE}
    other = change._replace(names=('threshold',))
    assert causes(frames, {'1.5'}, changed=(other,)) == {'1.5': 'change of other settings'}


def test_first_frame_after_change_belongs_to_it():
    frames = frames_of(20)
    lost = {frame.name for frame in frames[5:9]}
    change = Change(frames[3].sent + WORK, frames[4].gone, ('replace',))
    slow = frames[8].gone + 0.03
    assert causes(frames, lost, {'1.4': slow}, changed=(change,)) == dict.fromkeys(lost, 'change of other settings')
    earlier = change._replace(begin=change.begin - STEP, end=change.end - STEP)  # 1.3 was the first one
    assert causes(frames, lost, {'1.4': slow}, changed=(earlier,)) == dict.fromkeys(lost, NO_CAUSE)


def test_what_is_left_of_slow_frame_may_be_work():
    frames = frames_of(20)
    lost = {frame.name for frame in frames[5:9]}
    begin, end = frames[4].gone, frames[8].gone + 0.03
    for missing, cause in ((0.09, 'machine busy: the node waited for a CPU'), (0.11, NO_CAUSE)):
        waits = Seen(waits=[(begin, end - missing)])
        assert causes(frames, lost, {'1.4': end}, seen=waits) == dict.fromkeys(lost, cause)


def test_transport_change_explains_losses_until_first_frame():
    frames = frames_of(20)
    change = Change(frames[5].sent, frames[5].sent + 0.02, ('image_transport',))
    lost = causes(frames, {'1.5', '1.6', '1.7', '1.12'}, changed=(change,))
    assert lost == {**dict.fromkeys(('1.5', '1.6', '1.7'), 'change of image_transport'), '1.12': NO_CAUSE}


def test_busy_machine_or_middleware_explains_losses():
    frames = frames_of(20)
    span = [(frames[5].sent, frames[6].gone)]
    for seen, cause in ((Seen(waits=span), 'machine busy'), (Seen(held=span), 'middleware held up')):
        lost = causes(frames, {'1.5', '1.9'}, seen=seen)
        assert lost['1.5'].startswith(cause) and lost['1.9'] == NO_CAUSE
    short = Seen(waits=[(frames[5].gone, frames[5].gone + 0.4 * STEP)])
    assert causes(frames, {'1.5'}, seen=short) == {'1.5': NO_CAUSE}


def test_only_middleware_sleeps_in_node():
    """So a sleep in its threads is that of Fast DDS."""
    code = ('import sys, self_segmentation.nodes.segmentation_node\n'
            'print(*[module.__file__ for name, module in sys.modules.items() if name.startswith("self_segmentation")], '
            'sep="\\n")')
    files = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(files) > 10
    assert not [file for file in files if 'sleep' in Path(file).read_text()]


def test_late_listener_explains_loss_of_published_result():
    frames = frames_of(10)
    published = {'1.5': frames[5].sent + WORK}
    assert causes(frames, {'1.5'}, published, {'1.4': published['1.5'] + 0.01}) == {'1.5': 'listener busy'}
    assert causes(frames, {'1.5'}, published) == {'1.5': NO_CAUSE}


def memory_of(own=lambda second: 150.0, shared=lambda second: 160.0, seconds: int = 600) -> list[tuple[float, float, float]]:
    return [(second, own(second) + shared(second), shared(second)) for second in range(seconds)]


def test_growing_memory_is_leak_but_fluctuating_is_not():
    for leak in (memory_of(own=lambda second: 150 + second / 30), memory_of(shared=lambda second: 160 + second / 30)):
        assert slope(leak)[0] == pytest.approx(2.0, abs=0.05) and leaks(leak)
        assert slope(leak[:400])[0] == pytest.approx(2.0, abs=0.05) and not leaks(leak[:400])  # too short to say
        assert slope(leak[:260]) is None
    assert slope([]) is None and not leaks([])
    hidden = memory_of(lambda second: 150 + second / 30, lambda second: 160 - 15 * (second > 400))
    assert leaks(hidden)  # though the shared memory becomes less
    steps = memory_of(lambda second: 150 + 5 * (second % 100 > 50), lambda second: 160 + 15 * (second % 70 > 40))
    assert abs(slope(steps)[0]) < 0.2 and not leaks(steps)
    late = memory_of(lambda second: 150 + 20 * (second > 450) * (second % 50 > 10))
    assert not leaks(late)
    assert leaks([(second, resident + second / 30, shared) for second, resident, shared in steps])
    wanders = memory_of(own=lambda second: 150 + second / 30 + 20 * ((second // 60) ** 2 % 3 == 1), seconds=1800)
    assert leaks(wanders) and not leaks(wanders[:600])  # so much to and fro takes longer to see through
    warms_up = memory_of(own=lambda second: 50 + min(second, 120))
    assert slope(warms_up)[0] == pytest.approx(0, abs=1e-6) and not leaks(warms_up)


# ---- parameter changes

def test_changes_match_labels_and_seed():
    made = list(islice(changes(random.Random('one')), 1500))
    assert made == list(islice(changes(random.Random('one')), 1500)) != list(islice(changes(random.Random('two')), 1500))
    settings, seen = Settings(), {True: set(), False: set()}
    for values, valid in made:
        seen[valid] |= set(values)
        if valid:
            settings = settings.updated(values)
            continue
        with pytest.raises(SelfSegmentationError):
            wrong = settings.updated(values)
            Segmenter(load_assets(wrong).model)
    assert seen[True] == {name for name, tunable in TUNABLES.items() if not tunable.read_only}
    assert seen[False] == {*TUNABLES, 'treshold'}

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
How fast it is on this machine: stages, whole pipelines against the tutorial's lines, and the node in a real graph.

Everything that is compared runs in turn, frame by frame, in one run. Ratios are of medians.
"""

from __future__ import annotations

if __name__ == '__main__':  # before the imports, which take seconds
    from ..process import program
    raise SystemExit(program('tools.benchmark')())

import argparse
import functools
import importlib.util
import itertools
import json
import os
import platform
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..io.assets import load_assets, read_model
from ..io.progress import tqdm
from ..library import Pipeline
from ..picture.backgrounds import BACKGROUNDS
from ..picture.models.detector import PersonDetector
from ..picture.models.runtimes import choose_runtime, installed_runtimes
from ..picture.models.segmenter import Segmenter
from ..picture.pipeline import channels_of
from ..resources import data_path
from ..settings import Settings, read_yaml
from .benchmark_graph import PERSON_FRAMES, measure_graph, measure_messages, measure_results, sample_frames
from .reference import markdown_table

__all__ = ['tutorial_lines', 'main']

_INFERENCE, _DETECTION = 'inference alone', 'one detection'
_TUTORIAL, _DEFAULT = "the tutorial's lines", 'our default'
_CAMERA = 640, 480
_SIZES = ((640, 480), (1280, 720), (1920, 1080))
_SCALING = ((1, (640, 480)), (1, (1280, 720)), (1, (1920, 1080)), (1, (3840, 2160)), (2, (640, 480)), (4, (640, 480)),
            (2, (1280, 720)))
_SHOWN = {'a frame with one person': [*range(128, 168), *range(168, 128, -1)],  # frames of the sample
          'a frame with nobody there': [3]}
_WARM_UP, _BLOCK, _INFERENCES, _DETECTIONS = 60, 90, 60, 20  # how often each runs at a time
_NOISE = 1.5  # grey levels, of a camera in a lit room


def tutorial_lines(frame: Any, probability: Callable[[Any], Any]) -> tuple[Any, Any]:
    """
    Return the tutorial's mask and image, by the tutorial's own lines.

    :param frame: (height, width, 3) uint8, blue green red.
    :param probability: MediaPipe on the whole frame: image, red green blue, to (height, width) float32.
    :returns: (height, width, 3) bool and (height, width, 3) uint8.
    """
    frame = cv2.flip(frame, 1)
    rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    mask = probability(rgb)
    mask = cv2.bilateralFilter(mask, 9, 75, 75)
    condition = np.stack((mask,) * 3, axis=-1) > 0.1
    background = np.zeros(frame.shape, np.uint8)
    background[:] = (192, 192, 192)
    return condition, np.where(condition, frame, background)


def _configuration(name: str) -> Settings:
    path = data_path('config', f'{name}.yaml')
    return Settings().updated(read_yaml(path), str(path))


def measure_pipelines(frames: int) -> dict[str, Any]:
    """Return, by size, the p50 and p95 in milliseconds of everything that is compared, the ratios, and the stages."""
    model = read_model('general')
    models = {f'{_INFERENCE}, {runtime.title}': Segmenter(model, runtime.name) for runtime in installed_runtimes()}
    default = _configuration('segmentation')
    media = {'background.image': str(data_path('demo', 'background.jpg')),
             'background.video': str(data_path('demo', 'sample.mp4'))}
    pipelines = {
        'our tutorial configuration': Pipeline(_configuration('tutorial')),
        _DEFAULT: Pipeline(default),
        **{f'{_DEFAULT}, {kind} behind': Pipeline(default.updated({**media, 'background.type': kind}))
           for kind in BACKGROUNDS if kind != default.background_type},
        f'{_DEFAULT}, people covered': Pipeline(default.updated({'replace': 'people'})),
    }
    with tqdm(total=len(_SIZES) * frames, desc='pipelines', unit='frame', disable=None) as bar:
        results = {f'{size[0]}x{size[1]}': _measure_size(size, frames, models, pipelines, bar) for size in _SIZES}
    _close(*models.values(), *pipelines.values())
    return results


def _close(*loaded: Any) -> None:
    for each in loaded:
        each.close()


def _full_size(model: Segmenter) -> Callable[[Any], Any]:
    """Return the tutorial's MediaPipe: a frame of any size to a map of that size. Without MediaPipe LiteRT stands in."""
    mediapipe = next((each for each in installed_runtimes() if each.name == 'mediapipe'), None)
    if mediapipe is None:
        return lambda rgb: cv2.resize(model.probability(rgb), rgb.shape[1::-1])
    return mediapipe.backend.load_segmentation(read_model('general').content).infer


def _measure_size(size: tuple[int, int], frames: int, models: dict[str, Segmenter], pipelines: dict[str, Pipeline],
                  bar: tqdm[Any]) -> dict[str, Any]:
    images = sample_frames(size, PERSON_FRAMES[:60])
    inference = f'{_INFERENCE}, {choose_runtime("auto").title}'
    small = cv2.cvtColor(cv2.resize(images[0], models[inference].size), cv2.COLOR_BGR2RGB)
    full_size = _full_size(models[inference])
    alpha = np.empty(images[0].shape[:2], np.uint8)
    outs = {name: np.empty((*alpha.shape, channels_of(pipeline.settings)), np.uint8) for name, pipeline in pipelines.items()}
    times: dict[str, list[float]] = defaultdict(list)  # milliseconds
    stages: dict[str, list[float]] = defaultdict(list)

    def timed(name: str, work: Callable[..., Any], *args: Any, **options: Any) -> Any:
        start = time.perf_counter()
        result = work(*args, **options)
        times[name].append(1e3 * (time.perf_counter() - start))
        return result

    threads = cv2.getNumThreads()
    for index in range(frames):
        frame = images[index % len(images)]
        timed(_TUTORIAL, tutorial_lines, frame, full_size)
        cv2.setNumThreads(1)  # as in our programs
        # Each runs once untimed before: one pipeline alone does not meet the cold caches that others leave.
        for name, model in models.items():
            model.probability(small)
            timed(name, model.probability, small)
        for name, pipeline in pipelines.items():
            wanted: dict[str, Any] = {'composite': outs[name], 'alpha': alpha, 'mask': False}
            pipeline.live.show(images[0])  # for the type topic
            pipeline.process(images[(index - 1) % len(images)], **wanted)
            result = timed(name, pipeline.process, frame, **wanted)
            if name == _DEFAULT:
                for stage, seconds in result.seconds.items():
                    stages[stage].append(1e3 * seconds)
        cv2.setNumThreads(threads)
        bar.update()
    medians = _medians(times)
    return {'p50_ms': medians,
            'p95_ms': {name: float(np.percentile(values, 95)) for name, values in times.items()},
            'times_faster_than_tutorial': {name: medians[_TUTORIAL] / value for name, value in medians.items()},
            'times_inference': {name: value / medians[inference] for name, value in medians.items()},
            'stages_p50_ms': _medians(stages)}


def _medians(values: dict[str, list[float]]) -> dict[str, float]:
    return {name: float(np.median(each)) for name, each in values.items()}


def measure_cpu(blocks: int) -> dict[str, float]:
    """
    Return the CPU time in milliseconds of an inference of the default runtime, and the cost of everything else in inferences.

    CPU time is that of all threads of the process: other programs hardly change it. Blocks of inferences and of everything else
    take turns; the median of the ratios counts.
    """
    settings = _configuration('segmentation')
    assets = load_assets(settings)
    assert assets.detector is not None  # the default has one
    model = Segmenter(assets.model)
    runtimes = installed_runtimes()
    segmenters = {f'{_INFERENCE}, {each.title}': Segmenter(assets.model, each.name) for each in runtimes}
    detectors = {f'{_DETECTION}, {each.title}': PersonDetector(assets.detector, each.name) for each in runtimes}
    pipelines = {name: Pipeline(settings) for name in _SHOWN}
    frame = sample_frames(_CAMERA, PERSON_FRAMES[:1])[0]
    small = cv2.cvtColor(cv2.resize(frame, model.size), cv2.COLOR_BGR2RGB)
    compared: dict[str, tuple[int, Callable[[], object]]] = {
        **{name: (_INFERENCES, functools.partial(each.probability, small)) for name, each in segmenters.items()},
        **{name: (_DETECTIONS, functools.partial(each.detect, frame)) for name, each in detectors.items()},
        **{name: (_BLOCK, _camera(pipeline, _SHOWN[name])) for name, pipeline in pipelines.items()}}
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # as in our processes
    for _, work in compared.values():
        _cpu_seconds(_WARM_UP, work)
    inferences: list[float] = []
    ratios: dict[str, list[float]] = defaultdict(list)
    for _ in tqdm(range(blocks), desc='CPU', disable=None):
        for name, (count, work) in compared.items():
            inferences.append(_cpu_seconds(_INFERENCES, lambda: model.probability(small)))
            ratios[name].append(_cpu_seconds(count, work) / inferences[-1])
    cv2.setNumThreads(threads)
    _close(model, *segmenters.values(), *detectors.values(), *pipelines.values())
    return {'inference_ms': 1e3 * float(np.median(inferences)), **_medians(ratios)}


def _camera(pipeline: Pipeline, numbers: Sequence[int]) -> Callable[[], object]:
    """Return a function that segments the next of these frames of the sample, which repeat as from a camera at 30 Hz."""
    sample = sample_frames(_CAMERA, range(max(numbers) + 1))
    dice = np.random.default_rng(0)
    noise = [dice.normal(0, _NOISE, sample[0].shape).astype(np.int16) for _ in range(8)]
    frames = itertools.cycle([cv2.add(sample[numbers[index % len(numbers)]], noise[index % len(noise)], dtype=cv2.CV_8U)
                              for index in range(max(len(numbers), len(noise)))])
    stamps = itertools.count(0, 1 / 30)
    out, alpha = np.empty_like(sample[0]), np.empty(sample[0].shape[:2], np.uint8)
    return lambda: pipeline.process(next(frames), stamp=next(stamps), composite=out, alpha=alpha, mask=False)


def _cpu_seconds(count: int, work: Callable[[], object]) -> float:
    start = time.process_time()
    for _ in range(count):
        work()
    time.sleep(0.1)  # a detection that still runs belongs to it
    return (time.process_time() - start) / count


def _pipeline_tables(results: dict[str, Any]) -> list[str]:
    first = next(iter(results.values()))
    pipelines = ([name, *(f"{r['p50_ms'][name]:.1f} / {r['p95_ms'][name]:.1f} ({r['times_faster_than_tutorial'][name]:.1f}x, "
                          f"{r['times_inference'][name]:.2f})" for r in results.values())] for name in first['p50_ms'])
    stages = ([name, *(f"{r['stages_p50_ms'][name]:.2f}" for r in results.values())] for name in first['stages_p50_ms'])
    return [*markdown_table(['p50 / p95 in ms (speed over the tutorial, cost in inferences)', *results], pipelines),
            '', *markdown_table(['stages of our default, p50 in ms', *results], stages)]


def _cpu_table(cpu: dict[str, float]) -> list[str]:
    head = f"CPU time, 640x480 at 30 Hz, all threads; an inference takes {cpu['inference_ms']:.1f} ms"
    return markdown_table([head, 'inferences'], ([name, f'{value:.2f}'] for name, value in cpu.items() if name != 'inference_ms'))


def _node_table(node: dict[str, Any], messages: dict[str, Any]) -> list[str]:
    return markdown_table(['the node, 1280x720 at 30 Hz', ''], {
        'images out of frames in': f"{100 * node['out_of_in']:.1f} % ({node['received']} of {node['sent_meanwhile']})",
        'latency, camera stamp to image received, p50 / p95': f"{node['latency_p50_ms']:.1f} / {node['latency_p95_ms']:.1f} ms",
        'node process, one subscriber': f"{node['cores']:.2f} cores",
        'node process, no subscribers, camera running': f"{100 * node['idle_cores']:.2f} % of a core",
        'memory (RSS), slope': f"{node['rss_mb']:.0f} MB, {node['rss_slope_mb_min']:+.2f} MB/min",
        'start of the process to the first image': f"{node['started']['first_image_s']:.1f} s",
        'CPU to receive one image, DDS included': f"{messages['receive_ms']:.1f} ms",
        'CPU to publish one image, DDS included': f"{messages['publish_ms']:.1f} ms",
    }.items())


def _results_table(results: dict[str, float]) -> list[str]:
    return markdown_table(['what one subscriber takes, 640x480 at 30 Hz', "the node's CPU, ms a frame"],
                          ([name, f'{value:.1f}'] for name, value in results.items()))


def _scaling_table(rows: list[dict[str, Any]]) -> list[str]:
    return markdown_table(['cameras', 'size', 'images a second, all together', 'p95 latency', 'cores, one node'], (
        [str(row['cameras']), f"{row['size'][0]}x{row['size'][1]}", f"{row['hz']:.1f}",
         f"{row['latency_p95_ms']:.0f} ms" if 'latency_p95_ms' in row else '-', f"{row['cores']:.2f}"] for row in rows))


def _plot(results: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    names = list(next(iter(results.values()))['p50_ms'])
    figure, axes = pyplot.subplots(figsize=(9, 4.5))
    for index, name in enumerate(names):
        at = np.arange(len(results)) + (index - len(names) / 2) * 0.8 / len(names)
        bars = axes.bar(at, [r['p50_ms'][name] for r in results.values()], 0.8 / len(names), label=name, align='edge')
        axes.bar_label(bars, fmt='%.0f', fontsize=7)
    axes.set_xticks(np.arange(len(results)), list(results))
    axes.set_ylabel('ms a frame (median)')
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def _machine() -> str:
    model = next((line.partition(':')[2].strip() for line in Path('/proc/cpuinfo').read_text().splitlines()
                  if line.lower().startswith(('model name', 'hardware'))), platform.machine())
    cores = len(os.sched_getaffinity(0))
    return f'{model}, {cores} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}'


def main(args: list[str] | None = None) -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(prog='benchmark', description=__doc__)
    parser.add_argument('--frames', type=int, default=150, help='frames for each size (default: 150)')
    parser.add_argument('--seconds', type=float, default=20.0, help='how long the node is measured (default: 20)')
    parser.add_argument('--no-graph', action='store_true', help='leave out the node: needs no ROS')
    parser.add_argument('--no-scaling', action='store_true', help='leave out the table of cameras and sizes')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the figures')
    parser.add_argument('--plot', type=Path, metavar='FILE', help='write a PNG plot of the pipelines')
    options = parser.parse_args(args)
    if options.plot and importlib.util.find_spec('matplotlib') is None:
        parser.error(f'--plot {options.plot}: there is no matplotlib: sudo apt install python3-matplotlib, or pip install it')
    if not options.no_graph and importlib.util.find_spec('rclpy') is None:
        print('The node is left out: there is no ROS (rclpy) here.', file=sys.stderr)
        options.no_graph = True
    results: dict[str, Any] = {'machine': _machine(), 'pipelines': measure_pipelines(options.frames)}
    print(results['machine'])
    _print(_pipeline_tables(results['pipelines']))
    results['cpu'] = measure_cpu(max(1, options.frames // 30))
    _print(_cpu_table(results['cpu']))
    if not options.no_graph:
        with tqdm(total=4, desc='the node', disable=None) as bar:
            results['messages'] = measure_messages((1280, 720))
            bar.update()
            results['node'] = measure_graph((1280, 720), 30.0, options.seconds, idle=10.0)
            bar.update()
            results['node']['started'] = measure_graph((1280, 720), 30.0, 3.0)
            bar.update()
            results['results'] = measure_results(_CAMERA, options.seconds / 2)
            bar.update()
        _print(_node_table(results['node'], results['messages']))
        _print(_results_table(results['results']))
    if not (options.no_graph or options.no_scaling):
        results['scaling'] = [measure_graph(size, 30.0, 6.0, cameras)
                              for cameras, size in tqdm(_SCALING, desc='cameras and sizes', disable=None)]
        _print(_scaling_table(results['scaling']))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + '\n', encoding='utf-8')
    if options.plot:
        _plot(results['pipelines'], options.plot)
    return 0


def _print(lines: list[str]) -> None:
    print('', *lines, sep='\n', flush=True)

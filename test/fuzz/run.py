# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
Coverage-guided fuzzing of what reads foreign data: ``make fuzz SECONDS=120``.

What breaks a promise of targets.py is written to .fuzz/TARGET/. Copied to test/data/fuzz/TARGET/ it is run again by
test_bad_messages.py for ever.
"""

from __future__ import annotations

import array
import contextlib
import importlib
import io
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / 'test')]
from self_segmentation.io.progress import tqdm  # noqa: E402

KEPT = ROOT / 'test' / 'data' / 'fuzz'
FINDS = ROOT / '.fuzz'  # which git ignores
_INSTRUMENTED = ['PIL', 'self_segmentation', 'yaml']
_LATE = ['PIL.JpegImagePlugin', 'PIL.MpoImagePlugin', 'PIL.PngImagePlugin']  # which Pillow imports when it needs them
# How long an input may take is judged by CPU time (promises.py). libFuzzer's timeout, by the clock, ends only what hangs.
_LIMITS = ['-timeout=600', '-rss_limit_mb=2048', '-print_final_stats=1']
_LONGEST = {'codec': 16384, 'settings': 1024}  # bytes
_WORDS = {  # as libFuzzer's dictionaries write them
    'codec': ['IHDR', 'PLTE', 'IDAT', 'IEND', 'acTL', 'fcTL', 'fdAT', 'eXIf', 'tRNS', 'JFIF', 'Exif\\x00\\x00', 'MPF\\x00',
              '\\xff\\xd8', '\\xff\\xc0', '\\xff\\xc2', '\\xff\\xda', '\\xff\\xd9', '\\x00\\x20\\x00\\x00'],
    'settings': ['/**:', 'ros__parameters:', '!!bool ', '!!int ', '!!float ', '!!timestamp ', '!!binary ', '!!set ', '!!omap ',
                 '<<: ', '? ', '&a ', '*a', '.nan', '.inf', '1:1', '0x', '0b', '2001-01-01', '%YAML 1.1', '---', '[', '{'],
}


def seeds(target: str) -> Iterator[bytes]:
    """Start from what is kept, and from real pictures and configurations."""
    yield from (path.read_bytes() for path in sorted((KEPT / target).iterdir()))
    if target == 'settings':
        from self_segmentation.settings import Settings
        yield (ROOT / 'config' / 'tutorial.yaml').read_bytes()
        for name, value in Settings().items():
            shown = list(value) if isinstance(value, tuple) else value
            yield f'/**:\n  ros__parameters:\n    {name}: {shown}\n'.encode()
        return
    import PIL.Image
    from fuzz.targets import input_of_message
    from sensor_msgs.msg import CompressedImage, Image

    from self_segmentation.nodes.messages import ENCODINGS
    with PIL.Image.open(ROOT / 'test' / 'data' / 'astronaut.png') as whole:
        picture = whole.convert('RGB').resize((32, 24))
    for encoding in [*ENCODINGS, 'nv24', 'mono16', 'rgba16']:
        data = array.array('B', picture.convert('RGBA').tobytes())
        yield input_of_message(Image(width=32, height=24, step=128, encoding=encoding, data=data))
    for kind, more in (('JPEG', {}), ('JPEG', {'progressive': True}), ('JPEG', {'exif': b'Exif\0\0II*\0\x08\0\0\0\0\0'}),
                       ('PNG', {}), ('PNG', {'save_all': True, 'append_images': [picture.rotate(90)]})):
        for mode in ('RGB', 'L', 'P' if kind == 'PNG' else 'CMYK'):
            picture.convert(mode).save(encoded := io.BytesIO(), kind, **more)
            message = CompressedImage(format=kind.lower(), data=array.array('B', encoded.getvalue()))
            yield input_of_message(message, mend=kind == 'PNG')


def campaign(target: str, seconds: int) -> bool:
    """Fuzz one target; return whether it holds, and write what broke it to ``FINDS``."""
    with tempfile.TemporaryDirectory() as name:
        corpus, finds, words, log = (Path(name) / part for part in ('corpus', 'finds', 'words', 'log'))
        corpus.mkdir()
        finds.mkdir()
        for number, seed in enumerate(seeds(target)):
            (corpus / f'seed{number}').write_bytes(seed)
        words.write_text(''.join(f'"{word}"\n' for word in _WORDS[target]))
        command = [sys.executable, __file__, '--target', target, corpus, *_LIMITS, f'-max_len={_LONGEST[target]}',
                   f'-dict={words}', f'-max_total_time={seconds}', f'-artifact_prefix={finds}/']
        with log.open('wb') as said, tqdm(total=seconds, desc=target, unit='s', disable=None) as bar:
            running = subprocess.Popen(command, stdout=said, stderr=said)
            begin, code = time.monotonic(), None
            while code is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    code = running.wait(1.0)
                bar.update(min(seconds, round(time.monotonic() - begin)) - bar.n)
        text = log.read_text(errors='replace')
        found = sorted(finds.iterdir())
        for path in found:
            kept = FINDS / target / path.name
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(path.read_bytes())
            print(f'{target}: {kept} breaks it; with its mend it goes to {KEPT.relative_to(ROOT) / target}')
        if found or code:
            print(text[-5000:])
    executions = re.findall(r'stat::number_of_executed_units: *(\d+)', text)
    covered = re.findall(r'cov: (\d+) ft: (\d+) corp: (\d+)', text)
    if executions and covered:
        edges, features, inputs = covered[-1]
        print(f'{target}: {executions[0]} executions in {seconds} s, {edges} edges and {features} features covered '
              f'by {inputs} inputs, {len(found)} found')
    return not found and code == 0


def fuzz(arguments: list[str]) -> None:
    """Run libFuzzer on one target, in this process, until it is over."""
    import atheris

    with atheris.instrument_imports(include=_INSTRUMENTED):
        for name in _LATE:
            importlib.import_module(name)
        from fuzz import promises, targets
    promises.PATIENCE = 5.0  # what is instrumented is slower
    target, *rest = arguments
    atheris.Setup([sys.argv[0], *rest], targets.TARGETS[target])
    atheris.Fuzz()


def main() -> int:
    """Split the seconds over the targets."""
    if sys.argv[1] == '--target':
        fuzz(sys.argv[2:])
        return 0
    os.environ.update(PYTHONPATH=str(ROOT))
    seconds = max(1, int(sys.argv[1]) // len(_WORDS))
    held = [campaign(target, seconds) for target in _WORDS]
    return 0 if all(held) else 1


if __name__ == '__main__':
    raise SystemExit(main())

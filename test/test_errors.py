# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Errors: their exit codes, and the passwords that no message shows."""
import re
import subprocess
import sys

import pytest
from conftest import ROOT

from self_segmentation import errors
from self_segmentation.errors import ExitCode, SelfSegmentationError, SettingsError, masked
from self_segmentation.launching import Argument, words
from self_segmentation.settings import TUNABLES, Settings

SECRET = 'S3cretPw'
ADDRESSES = {  # and what is left of them
    f'rtsp://admin:{SECRET}@127.0.0.1:9/stream': 'rtsp://admin:***@127.0.0.1:9/stream',
    f'RTSP://admin:{SECRET}@[::1]:554/': 'RTSP://admin:***@[::1]:554/',
    f'rtsp:/admin:{SECRET}@cam/live': 'rtsp:/admin:***@cam/live',  # as a path has it
    f'rtsp://:{SECRET}@cam': 'rtsp://:***@cam',
    f'rtsp://admin:p@:{SECRET}@cam/live': 'rtsp://admin:***@cam/live',
    f'rtsp://admin:/{SECRET}?#@cam/live': 'rtsp://admin:***@cam/live',
    f'http://{SECRET}@cam/live': 'http://***@cam/live',
    f'admin:{SECRET}@cam:554/live': 'admin:***@cam:554/live',  # rtsp:// was forgotten
    f'http://cam/video?user=admin&password={SECRET}&channel=1': 'http://cam/video?user=***&password=***&channel=***',
    f'http://cam/video?token={SECRET}==': 'http://cam/video?token=***',
    f'rtsp://cam:554/user=admin&password={SECRET}&channel=1&stream=0.sdp?real_stream':
        'rtsp://cam:554/user=***&password=***&channel=***&stream=***',
}
WITH_SPACES = {f"rtsp://admin:it's {SECRET} @cam/live": 'rtsp://admin:***@cam/live'}


@pytest.mark.parametrize('address, left', ADDRESSES.items())
def test_passwords_of_addresses_are_masked(address, left):
    for text in ('{}', 'stream {} cannot be opened', "(stream '{}': is it right?)", 'video_device:={}',
                 '[tcp @ 0x55] Connection to {} failed: Connection refused', '{0} and {0}', 'a\n"{}"\nb'):
        assert masked(text.format(address)) == text.format(left)
        assert masked(masked(text.format(address))) == text.format(left)


@pytest.mark.parametrize('address, left', {**ADDRESSES, **WITH_SPACES}.items())
def test_password_is_masked_to_closing_quote(address, left):
    found = masked(f'stream {address!r} cannot be opened')
    assert SECRET not in found and left in found and found.endswith(' cannot be opened')


@pytest.mark.parametrize('text', [
    'rtsp://cam:554/live', 'http://cam/@me/clip.mp4', 'http://[::1]:8080/clip.mp4', '[rtsp @ 0x55] method DESCRIBE failed: 401',
    "background.image = '/a=b@c.png' does not exist", 'segmentation: error: no', 'threshold:=0.3', 'file:///clip.mp4'])
def test_what_has_no_password_stays(text):
    assert masked(text) == text


def test_every_error_masks_its_message():
    address = next(iter(ADDRESSES))
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SelfSegmentationError)]
    assert len(kinds) >= 15
    for kind in kinds:
        error = kind({'video_device': f'{address} is wrong'} if kind is SettingsError else f'{address} is wrong')
        assert str(error) == 'rtsp://admin:***@127.0.0.1:9/stream is wrong' and SECRET not in repr(vars(error))


def test_settings_and_launch_arguments_mask_values():
    address = next(iter(ADDRESSES))
    for check in (lambda: TUNABLES['background.color'].from_text(address), lambda: TUNABLES['edge.filter'].checked(address),
                  lambda: Settings(background_fit=address), lambda: Argument('a', '', words('a')).value('camera', address)):
        with pytest.raises(ValueError, match='admin:') as raised:
            check()
        assert SECRET not in str(raised.value)


UNEXPECTED = """
import sys
import types
from self_segmentation.process import program

def main():
    try:
        raise OSError(sys.argv[1])
    except OSError as error:
        raise RuntimeError(f'failed with {sys.argv[1]}') from error

sys.modules['self_segmentation.failing'] = types.SimpleNamespace(main=main)
program('failing')()
"""


def test_traceback_of_unexpected_exception_is_masked_and_exits_1():
    done = subprocess.run([sys.executable, '-c', UNEXPECTED, next(iter(ADDRESSES))], capture_output=True, text=True)
    assert done.returncode == ExitCode.FAILED and 'Traceback' in done.stderr
    assert done.stderr.count('rtsp://admin:***@') == 2 and SECRET not in done.stderr, done.stderr


def test_missing_module_exits_2(tmp_path):
    (tmp_path / 'yaml.py').write_text('raise ImportError("no yaml")')
    done = subprocess.run([sys.executable, '-m', 'self_segmentation'], capture_output=True, text=True, env={
        'PYTHONPATH': f'{tmp_path}:{ROOT}'})
    assert done.returncode == ExitCode.WILL_FAIL_AGAIN and 'no yaml' in done.stderr


def test_exit_codes_are_documented():
    """0: done; 1: may succeed when tried again; 2: will fail again."""
    assert (ExitCode.DONE, ExitCode.FAILED, ExitCode.WILL_FAIL_AGAIN) == (0, 1, 2)
    rows = re.findall(r'^\| `(\d)` \|', (ROOT / 'docs' / 'reliability.md').read_text(encoding='utf-8'), re.MULTILINE)
    assert [int(code) for code in rows] == [*ExitCode]


@pytest.mark.parametrize('code, kinds', [
    (ExitCode.FAILED, ['DamagedInputError', 'DisplayError', 'ListenError', 'OutputError', 'UnavailableError']),
    (ExitCode.WILL_FAIL_AGAIN, ['BackgroundError', 'InputError', 'LibraryMissingError', 'ModelError', 'RuntimeMissingError',
                                'SettingsError', 'WrongOutputError'])], ids=['may pass', 'will fail again'])
def test_error_has_exit_code_of_what_went_wrong(code, kinds):
    assert [getattr(errors, kind).exit_code for kind in kinds] == [code] * len(kinds)

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""A camera's calibration from the YAML file that ``camera_calibration`` writes."""

from __future__ import annotations

import math
import os
import string
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from sensor_msgs.msg import CameraInfo

from ..errors import InputError, SettingsError
from ..io.decoding import MAX_SIDE
from ..settings import load_yaml

__all__ = ['read_camera_info']

_MATRICES: dict[str, tuple[str, int | None]] = {'distortion_coefficients': ('d', None), 'camera_matrix': ('k', 9),
                                                'rectification_matrix': ('r', 9), 'projection_matrix': ('p', 12)}


def read_camera_info(url: str, name: str) -> CameraInfo:
    """
    Return a calibration, with an empty header.

    :param url: ``file://`` or ``package://NAME/`` and a path, or a path, as camera_info_manager takes it: ``${NAME}`` and
        ``${ROS_HOME}`` are replaced, and ``%20`` is a space where there is a scheme.
    :param name: of the camera, for ``${NAME}``.
    :raises InputError: it cannot be read, or has another form.
    """
    try:
        document = load_yaml(_path(url, name))
        model = document.get('distortion_model', 'plumb_bob')
        if not isinstance(model, str):
            raise TypeError(f'distortion_model = {model!r}: it takes text')
        info = CameraInfo(distortion_model=model)
        for key, field in (('image_width', 'width'), ('image_height', 'height')):
            setattr(info, field, _whole(key, document[key]))
        for name, (field, count) in _MATRICES.items():
            setattr(info, field, _numbers(name, document[name], count))
    except (SettingsError, PackageNotFoundError) as error:
        raise InputError(f'camera_info_url = {url!r}: {error}') from error
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise InputError(f'camera_info_url = {url!r} is not a calibration as camera_calibration writes it: '
                         f'{type(error).__name__}: {error}') from error
    return info


def _path(url: str, name: str) -> Path:
    values = {'NAME': name, 'ROS_HOME': os.environ.get('ROS_HOME') or str(Path.home() / '.ros')}
    try:
        text = string.Template(url).substitute(values)
    except (KeyError, ValueError) as error:
        raise ValueError(f'it takes no variables but {", ".join(f"${{{each}}}" for each in values)}: {error}') from error
    scheme, separator, path = text.partition('://')
    if not separator:
        return Path(text)
    path = unquote(path)
    if scheme == 'file':
        return Path(path)
    if scheme == 'package':
        package, _, below = path.partition('/')
        return Path(get_package_share_directory(package)) / below
    raise ValueError(f'{scheme}:// is not known: it takes file:// and package://')


def _whole(name: str, value: Any) -> int:
    if type(value) is not int or not 1 <= value <= MAX_SIDE:
        raise ValueError(f'{name} = {value!r}: it takes a whole number from 1 to {MAX_SIDE}')
    return value


def _numbers(name: str, matrix: Any, count: int | None) -> list[float]:
    try:
        values = [float(value) for value in matrix['data']]
    except (ArithmeticError, TypeError, ValueError) as error:
        raise ValueError(f'{name}: {error}') from error
    if count not in (None, len(values)) or not all(map(math.isfinite, values)):
        raise ValueError(f'{name} = {values}: it takes {count or "any number of"} finite numbers')
    return values

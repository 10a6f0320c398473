# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The calibration of turned, mirrored and scaled pictures, against OpenCV's projection of points."""
import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, RegionOfInterest
from std_msgs.msg import Header

from self_segmentation.errors import InputError
from self_segmentation.nodes.calibration import calibration_of_output

WIDTH, HEIGHT = 641, 483
POINTS = np.array([[0.3, -0.2, 2.0], [-0.7, 0.4, 2.5], [0.0, 0.0, 1.0], [0.9, 0.8, 3.0]])  # of the camera's frame, metres
DISTORTIONS = {'plumb_bob': [-0.2, 0.05, 0.004, -0.007, 0.01],
               'rational_polynomial': [-0.2, 0.05, 0.004, -0.007, 0.01, 0.1, 0.02, 0.0],
               'equidistant': [-0.02, 0.01, 0.003, -0.001]}


def camera_info(model: str = 'plumb_bob', **fields) -> CameraInfo:
    info = CameraInfo(header=Header(frame_id='camera'), width=WIDTH, height=HEIGHT, distortion_model=model, d=DISTORTIONS[model])
    info.k = [520.0, 0.0, 333.0, 0.0, 540.0, 251.0, 0.0, 0.0, 1.0]
    info.r = np.eye(3).ravel().tolist()
    info.p = [500.0, 0.0, 330.0, -25.0, 0.0, 510.0, 250.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    for name, value in fields.items():
        setattr(info, name, value)
    return info


def projected(info: CameraInfo, points: np.ndarray) -> np.ndarray:
    k, d, zero = np.array(info.k).reshape(3, 3), np.array(info.d), np.zeros(3)
    if info.distortion_model == 'equidistant':
        return cv2.fisheye.projectPoints(points[:, None], zero, zero, k, d)[0][:, 0]
    return cv2.projectPoints(points, zero, zero, k, d)[0][:, 0]


def rectified(info: CameraInfo, points: np.ndarray) -> np.ndarray:
    rotated = points @ np.array(info.r).reshape(3, 3).T
    pixels = np.hstack([rotated, np.ones((len(points), 1))]) @ np.array(info.p).reshape(3, 4).T
    return pixels[:, :2] / pixels[:, 2:]


def moved(pixels: np.ndarray, points: np.ndarray, rotation: int, flip: bool) -> tuple[np.ndarray, np.ndarray]:
    """The pixels of a picture that is turned clockwise and mirrored, and the points as its camera sees them."""
    width, height = WIDTH, HEIGHT
    for _ in range(rotation // 90):
        pixels = np.stack([height - 1 - pixels[:, 1], pixels[:, 0]], 1)
        points = np.stack([-points[:, 1], points[:, 0], points[:, 2]], 1)
        width, height = height, width
    if flip:
        pixels, points = np.stack([width - 1 - pixels[:, 0], pixels[:, 1]], 1), points * (-1, 1, 1)
    return pixels, points


@pytest.mark.parametrize('model', DISTORTIONS)
@pytest.mark.parametrize('flip', [False, True])
@pytest.mark.parametrize('rotation', [0, 90, 180, 270])
def test_turned_and_mirrored_calibration_projects_to_turned_and_mirrored_pixels(rotation, flip, model):
    info = camera_info(model)
    result = calibration_of_output(info, (WIDTH, HEIGHT), rotation=rotation, flip=flip)
    for project in (projected, rectified):
        pixels, points = moved(project(info, POINTS), POINTS, rotation, flip)
        assert np.abs(project(result, points) - pixels).max() < 1e-6
    assert (result.width, result.height) == ((HEIGHT, WIDTH) if rotation in (90, 270) else (WIDTH, HEIGHT))
    assert result.header.frame_id == 'camera' and result.k[0] > 0 and result.k[4] > 0


def test_scaled_calibration_projects_to_pixels_of_scaled_picture():
    info = camera_info()
    result = calibration_of_output(info, (WIDTH, HEIGHT), (320, 161))
    scale = np.array([320 / WIDTH, 161 / HEIGHT])
    assert np.abs(projected(result, POINTS) - ((projected(info, POINTS) + 0.5) * scale - 0.5)).max() < 1e-6
    assert (result.width, result.height) == (320, 161)


def test_binning_and_region_of_interest_become_part_of_the_matrices():
    roi = RegionOfInterest(x_offset=40, y_offset=20, width=400, height=300)
    info = camera_info(roi=roi, binning_x=2, binning_y=2)
    result = calibration_of_output(info, (200, 150), (200, 150))
    assert np.abs(projected(result, POINTS) - ((projected(info, POINTS) - (40, 20) + 0.5) / 2 - 0.5)).max() < 1e-6
    assert (result.width, result.height, result.binning_x, result.roi.width) == (200, 150, 0, 0)


@pytest.mark.parametrize('fields, why', [({'k': [0.0] * 9}, 'no calibration'), ({'d': [0.0] * 3}, "'plumb_bob' with 3 values"),
                                         ({'width': 320}, 'for images of 320x483, the images have 641x483')])
def test_refuses_calibration_that_does_not_fit(fields, why):
    with pytest.raises(InputError, match=why):
        calibration_of_output(camera_info(**fields), (WIDTH, HEIGHT), (WIDTH, HEIGHT))

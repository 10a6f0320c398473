# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Several cameras at once, each with a segmentation of its own in a namespace of its own, on one machine."""
import cv2
import numpy as np
import pytest
from conftest import TUTORIAL, area, tutorial_settings, unique, wait_until
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.parameter import Parameter
from ros import Parameters, picture_of

from self_segmentation import Pipeline

COLORS = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (200, 200, 30)]  # of the backgrounds, red green blue
TINTS = [(1.0, 0.8, 0.8), (0.8, 1.0, 0.8), (0.8, 0.8, 1.0), (0.7, 1.0, 1.0)]
AGAIN = 3  # pictures


class Camera:
    """One camera, which sends a picture that no other has, and its segmentation."""

    def __init__(self, number: int, graph, start, astronaut: np.ndarray, folder) -> None:
        self.graph, self.color, self.namespace = graph, COLORS[number], unique(f'cam{number}_')
        self.picture = (cv2.resize(astronaut, (320, 240), interpolation=cv2.INTER_AREA) * TINTS[number]).astype(np.uint8)
        path = folder / f'{self.namespace}.png'
        cv2.imwrite(str(path), self.picture)
        self.programs = [
            start.node('segmentation_node', self.namespace, '--params-file', TUTORIAL, flip='false',
                       background__color=f'[{", ".join(map(str, self.color))}]'),
            start.node('camera_node', self.namespace, video_device=path, framerate=4.0, frame_id=self.namespace)]
        self.received, _ = graph.listen(f'/{self.namespace}/segmentation/output')

    @property
    def expected(self) -> np.ndarray:
        """What becomes of its picture."""
        pipeline = Pipeline(tutorial_settings(flip=False, background__color=self.color))
        return pipeline.process(self.picture, mask=False).composite

    def wait_for(self, expected: np.ndarray) -> None:
        """Wait until the latest result is the expected one."""
        def came() -> bool:
            assert all(program.code is None for program in self.programs), [program.said for program in self.programs]
            return bool(self.received) and np.array_equal(picture_of(self.received[-1]), expected)

        self.graph.wait_until(came, f'the picture of {self.namespace}')


@pytest.fixture
def cameras(graph, start, astronaut, tmp_path):
    return [Camera(number, graph, start, astronaut, tmp_path) for number in range(len(COLORS))]


def test_four_cameras_keep_results_and_parameters_apart(graph, cameras):
    reports: dict[str, str] = {}

    def on_report(report: DiagnosticArray) -> None:
        reports.update({status.hardware_id: status.name for status in report.status})

    graph.node.create_subscription(DiagnosticArray, '/diagnostics', on_report, 100)
    expected = [camera.expected for camera in cameras]
    for number, picture in enumerate(expected):
        assert 0.2 < area(np.any(picture != COLORS[number][::-1], axis=2).astype(np.uint8) * 255) < 0.9  # a person is there
        assert not any(np.array_equal(picture, other) for other in expected[:number])

    def all_give(pictures: list[np.ndarray]) -> None:
        for camera, picture in zip(cameras, pictures):
            camera.wait_for(picture)
            camera.received.clear()
        graph.wait_until(lambda: all(len(camera.received) >= AGAIN for camera in cameras), 'more pictures of every camera')
        for camera, picture in zip(cameras, pictures):
            assert {message.header.frame_id for message in camera.received} == {camera.namespace}
            assert all(np.array_equal(picture_of(message), picture) for message in camera.received), camera.namespace

    all_give(expected)
    graph.wait_until(lambda: {f'/{camera.namespace}/segmentation' for camera in cameras} <= set(reports), 'a report of each node')

    changed = cameras[2]
    client = Parameters(graph.node, f'/{changed.namespace}/segmentation')
    graph.wait_until(client.services_are_ready, 'the parameters')
    changed.color = (120, 0, 120)
    future = client.set_parameters([Parameter('background.color', value=list(changed.color))])
    wait_until(future.done, 'the answer', graph.spin)
    assert future.result().results[0].successful
    expected[2] = changed.expected
    all_give(expected)
    for camera in cameras:
        assert 'Traceback' not in camera.programs[0].said and 'another node is named' not in camera.programs[0].said

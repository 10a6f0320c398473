# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 node: ``image_raw`` in; ``~/output``, ``~/mask`` and ``~/alpha`` out, with the very same header."""

from __future__ import annotations

if __name__ == '__main__':  # before the imports, which take seconds
    from ..process import program
    raise SystemExit(program('nodes.segmentation_node', keeps_large_buffers=True)())

import functools
import time
import traceback
from collections import deque
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.task import Future
from sensor_msgs.msg import Image

from ..errors import ImageError, SelfSegmentationError, masked
from ..library import Pipeline
from ..middleware import give_memory_back
from ..picture.looking_ahead import LookingAhead
from ..picture.pipeline import Result, turned_shape
from ..picture.video import REASONS, Video
from ..settings import TUNABLES, Settings
from .controls import BackgroundInput, offer_controls, save
from .diagnostics import Diagnostics, Status, start_diagnostics, what_helps
from .frame_counts import FrameCounts
from .frame_times import FrameTimes
from .inputs import Decode, Input, Origin
from .lifetime import STEADY, log_warnings, run
from .messages import has_allowed_size, seconds_of, stamp_of
from .outputs import Output, make_outputs
from .parameters import SettingsParameters
from .topics import HAS_MATCHED_EVENTS

__all__ = ['SegmentationNode', 'main']

_CAMERAS, _BY_TURNS = 30, 5  # frames whose cameras are remembered; so many changes are reported
_DEMAND_PERIOD = 0.5  # seconds between two polls of subscribers, without matched events
_NEED_FILES = {'people.detector', *(tunable.name for tunable in TUNABLES.values() if tunable.file == 'read')}
_SAVE_PATIENCE = 4.0  # seconds in which ~/save waits for a frame; the studio waits for 5
_Transition = Callable[..., TransitionCallbackReturn]


def _logged(transition: _Transition) -> _Transition:
    """Log the error of a transition, which rclpy does not, and keep it."""
    @functools.wraps(transition)
    def logged(node: SegmentationNode, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(node, state)
        except SelfSegmentationError as error:
            node._failure, reason = error, str(error)
        except Exception as error:
            node._failure, reason = SelfSegmentationError(f'{type(error).__name__}: {error}'), masked(traceback.format_exc())
        node._counts.fail(str(node._failure))
        node.get_logger().error(f'{transition.__name__} failed: {reason}')
        return TransitionCallbackReturn.ERROR
    return logged


class _Served(NamedTuple):
    """The last frame that was served, its settings and its result. The arrays of the result lie in the outputs' messages."""

    message: Any
    decode: Decode
    settings: Settings
    result: Result


class SegmentationNode(LifecycleNode):
    """
    Segments the latest camera frame while a result has subscribers.

    Subscribes ``image_raw`` (sensor_msgs/Image) or ``image_raw/compressed``, as reliable as the camera, depth 1. Publishes the
    results of :mod:`~self_segmentation.nodes.outputs`, each while it has subscribers, and ``/diagnostics``. What a result or a
    background needs besides (``camera_info``, ``depth/image``, ``~/background``) is subscribed while it is wanted. Parameters
    override the QoS of all but ``/diagnostics``. Every setting is a parameter. ``~/pause`` keeps the last picture, ``~/save``
    writes it, or the next one, to files.

    A lifecycle node that configures and activates itself unless ``autostart`` is false. Configured it has its model and its
    outputs, active it serves.

    :raises SelfSegmentationError: it cannot be configured.
    """

    def __init__(self) -> None:
        super().__init__('segmentation')
        log_warnings(self)
        self._pipeline: Pipeline | None = None  # while configured, as the outputs
        self._video = Video()  # the camera's
        self._outputs: list[Output] = []
        self._active = False
        self._input: Input | None = None  # while active and a result is wanted
        self._background: BackgroundInput | None = None  # the same, with background.type topic
        self._last: _Served | None = None  # since frames are wanted; it stays while paused
        self._ahead: LookingAhead[tuple[Any, Decode]] | None = None  # the frames that wait, with privacy.delay
        self._times = FrameTimes()
        self._cameras: deque[Any] = deque(maxlen=_CAMERAS)  # of the last frames: frame_id, encoding, publisher where it is known
        self._paused = False
        self._failure = SelfSegmentationError('the node cannot configure and activate itself')  # why the last transition failed
        self._saving: Future[Path] | None = None  # what ~/save waits for
        self._counts = FrameCounts()
        self._diagnostics = Diagnostics(self, self._counts)
        self._tuning = SettingsParameters(self, self._apply)
        offer_controls(self, self._pause, self._save)
        start_diagnostics(self, self._status, clock=STEADY)
        if not HAS_MATCHED_EVENTS:
            self.create_timer(_DEMAND_PERIOD, self._follow_demand, clock=STEADY)
        try:
            if self._tuning.settings.autostart:
                self._start()
        except SelfSegmentationError:
            self.destroy_node()
            raise

    def _start(self) -> None:
        for trigger in (self.trigger_configure, self.trigger_activate):
            if trigger() != TransitionCallbackReturn.SUCCESS:
                raise self._failure

    # ---- life cycle

    @_logged
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model and offer the outputs."""
        self._pipeline = self._tuning.built(Pipeline)
        self._outputs = make_outputs(self, self._follow_demand, lambda: self._tuning.settings)
        settings = self._tuning.settings
        self.get_logger().info(f'configured: model {settings.model}, background {settings.background_type}; results on '
                               + ', '.join(output.topic for output in self._outputs))
        return TransitionCallbackReturn.SUCCESS

    @_logged
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Serve."""
        self._active = True
        self.get_logger().info('active: subscribes to the camera while a result has subscribers')
        self._follow_demand()
        return TransitionCallbackReturn.SUCCESS

    @_logged
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End the subscriptions; the model stays."""
        self._active = False
        self._follow_demand()
        self.get_logger().info('inactive')
        return TransitionCallbackReturn.SUCCESS

    @_logged
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the model and all memory."""
        self._active = False
        self._follow_demand()
        self._last = self._ahead = None
        for output in self._outputs:
            output.close()
        self._outputs = []
        if self._pipeline is not None:
            self._pipeline.close()
            self._pipeline = None
        give_memory_back()
        self.get_logger().info('unconfigured')
        return TransitionCallbackReturn.SUCCESS

    on_shutdown = on_error = on_cleanup

    def destroy_node(self) -> None:
        """Free the model, then the node."""
        if self._pipeline is not None:
            self._pipeline.close()
        super().destroy_node()

    # ---- settings and demand

    def _apply(self, given: Collection[str]) -> None:
        """
        Take the present settings; ``given`` names those that were set. A pipeline that refuses them does not change.

        :raises SelfSegmentationError: a model or file cannot be used, also while the node has no pipeline yet.
        """
        self._follow_demand()
        if self._pipeline is not None:
            self._pipeline.read(self._tuning.settings, _NEED_FILES & {*given})
        elif _NEED_FILES & {*given}:
            try:
                Pipeline(self._tuning.settings).close()
                give_memory_back()
            except SelfSegmentationError as error:
                if {*error.settings} & {*given}:
                    raise
        if {'replace', 'flip', 'camera.rotation'} & {*given}:  # the last picture must not be shown again
            self._last = None

    def _follow_demand(self) -> None:
        """Subscribe to the camera while a result is wanted, in the transport that is set, and only then."""
        transport = ''
        if self._active and (self._saving is not None or self._has_subscribers):
            transport = self._tuning.settings.image_transport
        self._follow_background(bool(transport) and self._tuning.settings.background_type == 'topic')
        for output in self._outputs:
            output.follow(bool(transport))
        if transport == (self._input.transport if self._input is not None else ''):
            return
        new = None
        if transport and self._pipeline is not None:
            new = Input(self, transport, functools.partial(self._serve, self._pipeline), self._counts.lose)
            self._video.start_over()  # the last frame is long ago
            self._times = FrameTimes()
        if self._input is not None:
            self._input.close()
        self._input = new
        self._counts.reset()
        self._ahead = None
        if not self._paused:
            self._last = None
        self.get_logger().debug(f'subscribed to {new.topic} ({transport})' if new else 'idle: no result has subscribers')

    @property
    def _has_subscribers(self) -> bool:
        return any(output.is_wanted for output in self._outputs)

    def _follow_background(self, is_wanted: bool) -> None:
        if self._background is not None and not is_wanted:
            self._background.close()
            self._background = None
        elif self._background is None and is_wanted and self._pipeline is not None:
            self._background = BackgroundInput(self, self._pipeline.live.show)
            self.get_logger().debug(f'background on {self._background.topic}')

    # ---- frames

    def _serve(self, pipeline: Pipeline, message: Any, decode: Decode, origin: Origin) -> None:
        begin = time.perf_counter()
        stamp = seconds_of(stamp_of(message.header))
        self._counts.arrive(stamp, origin)
        try:
            wanted = [each for each in self._outputs if each.is_wanted and (each.follows_pause or not self._paused)]
            if self._paused and self._last is not None:
                self._show_again(pipeline, self._last, wanted, message.header)
                self._counts.serve({'whole': time.perf_counter() - begin})
                return
            settings = self._tuning.settings
            self._note_change(message, stamp, settings, origin)
            frame = decode(message)
            decoded = time.perf_counter()
            is_for_save = self._saving is not None and not self._has_subscribers
            still = is_for_save and not settings.hides_people  # a still picture shows people whom the models miss
            if settings.privacy_delay and settings.hides_people and not (self._paused or is_for_save):
                result = pipeline.process(frame, settings, self._video, stamp=self._times.time, composite=False, mask=False)
                done = time.perf_counter()
                count = self._publish_later(pipeline, wanted, message, decode, frame, settings, result)
            else:
                self._ahead = None
                height, width = turned_shape(frame.shape, settings)
                arrays = _arrays(wanted, (width, height), settings)
                self._last = None  # its arrays are written to
                result = pipeline.process(frame, settings, self._video, stamp=self._times.time, still=still,
                                          hide=self._paused and settings.hides_people, **arrays)
                done, count = time.perf_counter(), 1
                self._publish(wanted, _Served(message, decode, settings, result))
        except ImageError as error:
            if self._tuning.settings.hides_people:
                self._video.start_over()
            self._diagnostics.skip(str(error))
            self._publish_failure(message)
        except Exception as error:  # of OpenCV or the runtime, by version: no frame may end the node
            self._video.start_over()
            self.get_logger().debug(masked(traceback.format_exc()))
            self._diagnostics.skip(masked(f'{type(error).__name__}: {error}'))
            self._publish_failure(message)
        else:
            end = time.perf_counter()
            seconds = {'decode': decoded - begin, **result.seconds, 'publish': end - done, 'whole': end - begin}
            for _ in range(count):
                self._counts.serve(seconds)
            if not count:
                self._counts.wait()
            if self._saving is not None and self._last is not None:
                self._end_saving()

    def _publish(self, wanted: list[Output], served: _Served) -> None:
        for output in wanted:
            output.publish(served.message.header, served.result, served.settings)
        self._last = served

    def _publish_failure(self, message: Any) -> None:
        """Have the outputs take that a frame could not be used."""
        settings, size = self._tuning.settings, self._video.size
        if isinstance(message, Image) and has_allowed_size(message):
            height, width = turned_shape((message.height, message.width), settings)
            size = width, height
        for output in self._outputs:
            if output.is_wanted:
                output.fail(message.header, size, settings)

    def _publish_later(self, pipeline: Pipeline, wanted: list[Output], message: Any, decode: Decode, frame: NDArray[np.uint8],
                       settings: Settings, result: Result) -> int:
        """
        Keep a frame for ``privacy.delay``, and publish those that have waited; return how many.

        A new scene, and with it another camera, an error, or a gap, drops what waits: what comes after it is not known.
        """
        if self._ahead is None or self._ahead.seconds != settings.privacy_delay:
            self._ahead = LookingAhead(settings.privacy_delay)
        if result.scene is not self._ahead.scene:
            for each in self._ahead.flush():
                self._publish_failure(each.of[0])
        ready = self._ahead.add((message, decode), frame, result, self._times.time)
        for each in ready:
            arrays = _arrays(wanted, each.result.size, settings)
            self._last = None  # its arrays are written to
            self._publish(wanted, _Served(*each.of, settings, pipeline.complete(each.result, each.pixels, settings, **arrays)))
        return len(ready)

    def _note_change(self, message: Any, stamp: float, settings: Settings, origin: Origin) -> None:
        """Take a frame's time. Start the video over if the stamp jumped, or another camera may have sent it."""
        self._times.next(stamp, time.monotonic())
        form = str(getattr(message, 'encoding', None) or getattr(message, 'format', ''))
        camera = message.header.frame_id, form, origin and origin[0]
        is_other = bool(self._cameras) and camera != self._cameras[-1]
        self._cameras.append(camera)
        hides_people = settings.hides_people
        if self._times.is_jump and (hides_people or not self._times.is_by_clock) or hides_people and is_other:
            self._video.start_over()

    def _show_again(self, pipeline: Pipeline, last: _Served, wanted: list[Output], header: Any) -> None:
        """Publish the last picture under another header, with results that had no subscribers before."""
        arrays = _arrays(wanted, last.result.size, last.settings)
        missing = {name: array for name, array in arrays.items() if array is not False and not last.result.has(name)}
        if missing:
            frame = last.decode(last.message)
            self._last = last = last._replace(result=pipeline.complete(last.result, frame, last.settings, **missing))
        for output in wanted:
            output.publish(header, last.result, self._tuning.settings)

    def _pause(self, paused: bool) -> str:
        """Keep the last picture, or cover all if people are replaced; or go on."""
        if paused != self._paused:
            self._paused, self._ahead = paused, None
            self._video.start_over()
            if self._tuning.settings.hides_people:
                self._last = None
            self.get_logger().info('paused' if paused else 'goes on')
        return 'paused' if paused else 'goes on'

    async def _save(self) -> Path:
        """Write the last frame and its results; without one, the next frame as a still picture."""
        if self._last is not None:
            return self._write(self._last)
        if not self._active:
            raise SelfSegmentationError(f'the node is {"inactive" if self._pipeline is not None else "unconfigured"}')
        if self._saving is None:
            self._saving = Future(executor=self.executor)
            self._save_timer = self.create_timer(_SAVE_PATIENCE, self._end_saving, clock=STEADY)
            self._follow_demand()
        path = await self._saving
        assert path is not None  # an error is raised
        return path

    def _end_saving(self) -> None:
        """Answer the requests that wait for a frame: it came, or it did not come in time."""
        assert self._saving is not None
        try:
            if self._last is None:
                why = 'the node no longer serves' if self._input is None else (
                    self._counts.last_error if self._counts.is_failing else self._diagnostics.silence(self._input, self._outputs))
                raise SelfSegmentationError(f'no frame within {_SAVE_PATIENCE:.0f} s: {why}')
            self._saving.set_result(self._write(self._last))
        except Exception as error:
            self._saving.set_exception(error)
        self._saving = None
        self.destroy_timer(self._save_timer)
        self._follow_demand()

    def _write(self, last: _Served) -> Path:
        """Write a frame and its result; without the frame if people are replaced."""
        assert self._pipeline is not None  # which made it
        frame, settings = last.decode(last.message), self._tuning.settings
        result = self._pipeline.complete(last.result, frame, last.settings, composite=True, mask=True, alpha=True)
        assert result.composite is not None and result.mask is not None and result.alpha is not None  # all are wanted
        pictures = {'mask': result.mask, 'alpha': result.alpha, 'output': result.composite}
        return save(settings.save_dir, pictures if settings.hides_people else {'input': frame, **pictures})

    # ---- reports

    def _status(self) -> Status:
        inactive = 'unconfigured' if self._pipeline is None else '' if self._active else 'inactive'
        coverage = people = None  # not known, while paused too
        if self._pipeline is not None and not self._paused:
            coverage = self._video.coverage
            people = len(self._video.people) if self._tuning.settings.people_detector else None
        runtime = self._pipeline.runtime if self._pipeline is not None else None
        remedy = what_helps(self._tuning.settings, self._video.size)
        status = self._diagnostics.status(inactive, self._input, self._outputs, coverage, people, runtime, dict(self._troubles()),
                                          remedy, self._paused)
        for output in self._outputs:
            status.values.update({name: str(count) for name, count in output.counts.items()})
        if self._tuning.settings.hides_people:
            status.values.update({f'frames covered: {why}': str(self._video.covered_for[why]) for why in REASONS})
        return status

    def _troubles(self) -> Iterator[tuple[str, str]]:
        """Yield what is wrong, by kind."""
        pipeline, background = self._pipeline, self._background
        if pipeline is None or self._input is None:
            return
        if background is not None and pipeline.live.image is None:
            reason = f' ({background.problem})' if background.problem else ''
            yield 'background', f'no picture on {background.topic}{reason}: the colour is shown'
        elif problem := pipeline.background_problem(self._tuning.settings):
            yield 'background', problem
        yield from ((output.topic, output.problem) for output in self._outputs if output.problem)
        changes = sum(a != b for a, b in zip(self._cameras, [*self._cameras][1:]))
        if changes >= _BY_TURNS:
            covered = ': all is covered' if self._tuning.settings.hides_people else ''
            yield 'cameras', (f'images of several cameras come on {self._input.topic} by turns ({changes} changes in '
                              f'{len(self._cameras)} frames, of frame_id, encoding or publisher){covered}')
        if self._times.is_by_clock:
            is_covered = self._times.is_jump and self._tuning.settings.hides_people
            covered = '. As they jump, all is covered' if is_covered else ''
            yield 'stamps', (f'the stamps of {self._input.topic} do not advance from frame to frame (the last is '
                             f'{self._times.stamp:.3f} s), so the node goes by its own clock{covered}')


def _arrays(outputs: list[Output], size: tuple[int, int], settings: Settings) -> dict[str, bool | NDArray[np.uint8]]:
    """Return the pipeline's arguments for the arrays of its result: an output's array, or False if none wants it."""
    arrays: dict[str, bool | NDArray[np.uint8]] = dict.fromkeys(('composite', 'mask', 'alpha'), False)
    for output in outputs:
        arrays |= output.arrays(size, settings)
    return arrays


def main(args: list[str] | None = None) -> int:
    """Run the node."""
    return run(SegmentationNode, args)

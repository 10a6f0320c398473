# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 node: ``image_raw`` in; ``~/output``, ``~/mask`` and ``~/alpha`` out, with the very same header."""

from __future__ import annotations

import functools
import inspect
import time
import traceback
from collections.abc import Callable, Collection

import cv2
import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.publisher import Publisher
from rclpy.qos import QoSHistoryPolicy, QoSProfile, QoSReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks, UnsupportedEventTypeError
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks, UnsupportedEventTypeError

from ..errors import ImageError, SelfSegmentationError
from ..io.assets import make_pipeline, reconfigure
from ..middleware import give_memory_back
from ..picture.pipeline import Pipeline
from ..settings import Settings
from .diagnostics import Health, Recent, Status, start_diagnostics
from .lifetime import run
from .messages import ImageWriter, compress, compressed_to_bgr, to_bgr
from .parameters import SettingsParameters

__all__ = ['SegmentationNode', 'main']

_INPUT_QOS = QoSProfile(depth=1, history=QoSHistoryPolicy.KEEP_LAST, reliability=QoSReliabilityPolicy.BEST_EFFORT)
_OUTPUT_QOS = QoSProfile(depth=1, history=QoSHistoryPolicy.KEEP_LAST, reliability=QoSReliabilityPolicy.RELIABLE)
_ENCODINGS = {'output': 'bgr8', 'mask': 'mono8', 'alpha': 'mono8'}
_COMPRESSED = ('output', 'mask')
_PATIENCE = 3.0  # seconds without a frame before it is said
_REPEAT = 30.0  # seconds between two equal complaints
_TIDY = 30.0  # seconds between two times at which memory is given back
_OTHER = 1.0  # seconds before another complaint
_MANY_LOST = 0.2  # share of the frames of a second
_SOMEBODY = 0.001  # share of the frame
_PROFILE = ('Large images are lost when the camera runs without the Fast DDS profile config/fastdds.xml: see "No images arrive, '
            'or few" in the README')
_STEADY = Clock(clock_type=ClockType.STEADY_TIME)  # a simulated clock may stop or jump
# Jazzy and later tell when a subscriber comes or goes; Humble has to ask.
_HAS_MATCHED_EVENTS = 'matched' in inspect.signature(PublisherEventCallbacks.__init__).parameters
# Humble's callbacks get the message only, without the number that its publisher gave it.
_HAS_MESSAGE_INFO = hasattr(Subscription, 'CallbackType')


_Transition = Callable[['SegmentationNode', LifecycleState], TransitionCallbackReturn]


def _logged(transition: _Transition) -> _Transition:
    """Say what goes wrong in a transition: rclpy goes on to on_error without a word."""
    @functools.wraps(transition)
    def logged(node: SegmentationNode, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(node, state)
        except Exception:
            if node.context.ok():  # else it is the shutdown that interrupted it
                node.get_logger().error(traceback.format_exc())
            raise
    return logged


class SegmentationNode(LifecycleNode):
    """
    Segments the latest camera frame while somebody subscribes to a result, and does nothing otherwise.

    Subscribes ``image_raw`` (sensor_msgs/Image) or ``image_raw/compressed``, best effort, depth 1. Publishes ``~/output``
    (bgr8), ``~/mask`` (mono8, 0 or 255) and ``~/alpha`` (mono8), ``~/output/compressed`` (JPEG) and ``~/mask/compressed``
    (PNG), reliable, depth 1, and how it is on ``/diagnostics``. All QoS can be overridden by parameters. Every setting is a
    parameter.

    A managed node: configured it has its model and its outputs, active it serves. It brings itself up unless ``autostart`` is
    false.

    :raises SelfSegmentationError: it cannot bring itself up.
    """

    def __init__(self) -> None:
        super().__init__('segmentation')
        self._pipeline: Pipeline | None = None
        self._outputs: list[_Output] = []
        self._camera: Subscription | None = None
        self._active = False
        self._health = Health()
        self._skip_said, self._skip_time = '', -_REPEAT
        self._tuning = SettingsParameters(self, self._apply)
        start_diagnostics(self, self._status, clock=_STEADY)
        # What an earlier model or a subscriber who left needed once is kept otherwise: see keep_large_buffers.
        self.create_timer(_TIDY, give_memory_back, clock=_STEADY)
        if not _HAS_MATCHED_EVENTS:
            self.create_timer(0.5, self._follow_demand, clock=_STEADY)
        if self._tuning.settings.autostart:
            self._start()

    def _start(self) -> None:
        for trigger in (self.trigger_configure, self.trigger_activate):
            if not self.context.ok():
                return
            if trigger() != TransitionCallbackReturn.SUCCESS and self.context.ok():
                raise SelfSegmentationError(self._health.last_error or 'the node cannot bring itself up')

    # ---- life cycle

    @_logged
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model and offer the outputs."""
        try:
            self._pipeline = self._tuning.built(make_pipeline)
        except SelfSegmentationError as error:
            self._health.fail(str(error))
            self.get_logger().error(f'cannot be configured: {error}')
            return TransitionCallbackReturn.FAILURE
        for kind, encoding in _ENCODINGS.items():
            image = self._publisher(Image, f'~/{kind}')
            smaller = self._publisher(CompressedImage, f'{image.topic_name}/compressed') if kind in _COMPRESSED else None
            self._outputs.append(_Output(kind, ImageWriter(Image(), encoding), image, smaller))
        return TransitionCallbackReturn.SUCCESS

    @_logged
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Serve."""
        self._active = True
        self._follow_demand()
        return TransitionCallbackReturn.SUCCESS

    @_logged
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe nothing; the model stays."""
        self._active = False
        self._follow_demand()
        return TransitionCallbackReturn.SUCCESS

    @_logged
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give the model and all memory back."""
        self._active = False
        self._follow_demand()
        for output in self._outputs:
            output.destroy(self)
        self._outputs.clear()
        if self._pipeline is not None:
            self._pipeline.close()
            self._pipeline = None
        give_memory_back()
        return TransitionCallbackReturn.SUCCESS

    on_shutdown = on_error = on_cleanup

    def destroy_node(self) -> None:
        """Free the model, then the node."""
        if self._pipeline is not None:
            self._pipeline.close()
        super().destroy_node()

    # ---- settings and demand

    def _apply(self, settings: Settings, named: Collection[str]) -> None:
        if self._pipeline is not None:
            reconfigure(self._pipeline, settings, named)
        if settings.image_transport != self._tuning.settings.image_transport:
            self._unsubscribe()
            self._follow_demand(settings.image_transport)

    def _publisher(self, kind: type, topic: str) -> Publisher:
        events = {'matched': lambda _: self._follow_demand()} if _HAS_MATCHED_EVENTS else {}
        return self.create_publisher(kind, topic, _OUTPUT_QOS, event_callbacks=PublisherEventCallbacks(**events),
                                     qos_overriding_options=QoSOverridingOptions.with_default_policies())

    def _follow_demand(self, transport: str | None = None) -> None:
        """Subscribe to the camera while a result is wanted, and only then."""
        wanted = self._active and any(output.wanted for output in self._outputs)
        if wanted and self._camera is None:
            self._pipeline.reset()  # what was seen before is long ago
            self._health.reset()
            self._subscribe(transport or self._tuning.settings.image_transport)
        elif not wanted and self._camera is not None:
            self._unsubscribe()
            self._health.reset()

    def _subscribe(self, transport: str) -> None:
        topic, kind, read = 'image_raw', Image, to_bgr
        if transport == 'compressed':  # as image_transport names it, after a remap of image_raw
            topic, kind, read = f'{self.resolve_topic_name(topic)}/compressed', CompressedImage, compressed_to_bgr

        def on_frame(message: Image | CompressedImage) -> None:
            self._serve(message, read)

        def on_numbered_frame(message: Image | CompressedImage, info: dict) -> None:
            self._serve(message, read, info['publication_sequence_number'])

        def subscribed(**events: object) -> Subscription:
            return self.create_subscription(kind, topic, on_numbered_frame if _HAS_MESSAGE_INFO else on_frame, _INPUT_QOS,
                                            qos_overriding_options=QoSOverridingOptions.with_default_policies(), **events)

        try:
            self._camera = subscribed(event_callbacks=SubscriptionEventCallbacks(message_lost=self._on_lost))
        except UnsupportedEventTypeError:  # not every middleware counts them
            self._camera = subscribed()

    def _unsubscribe(self) -> None:
        if self._camera is not None:
            self.destroy_subscription(self._camera)
            self._camera = None

    # ---- frames

    def _serve(self, message: Image | CompressedImage, read: Callable[[Image | CompressedImage], np.ndarray],
               number: int | None = None) -> None:
        begin = time.perf_counter()
        self._health.arrive(number)
        try:
            frame = read(message)
        except ImageError as error:
            self._skip(str(error))
            return
        height, width = frame.shape[:2]
        decoded = time.perf_counter()
        wanted = [output for output in self._outputs if output.wanted]
        pixels = {output.kind: output.writer.pixels(width, height) for output in wanted}
        stamp = message.header.stamp.sec + message.header.stamp.nanosec * 1e-9
        try:
            result = self._pipeline.process(frame, stamp=stamp, composite=pixels.get('output', False),
                                            mask=pixels.get('mask', False), alpha=pixels.get('alpha', False))
        except (cv2.error, MemoryError, RuntimeError, ValueError) as error:  # OpenCV's and MediaPipe's
            self._pipeline.reset()
            self._skip(f'a frame of {width}x{height}: {error}')
            return
        done = time.perf_counter()
        for output in wanted:
            output.publish(message.header, pixels[output.kind], self._tuning.settings.jpeg_quality)
        end = time.perf_counter()
        self._health.serve({'decode': decoded - begin, **result.seconds, 'publish': end - done, 'whole': end - begin})

    def _skip(self, reason: str) -> None:
        self._health.skip(reason)
        now = time.monotonic()
        if now - self._skip_time > (_REPEAT if reason == self._skip_said else _OTHER):
            self._skip_said, self._skip_time = reason, now
            self.get_logger().error(f'frame skipped: {reason}')

    def _on_lost(self, info: object) -> None:
        self._health.lost = info.total_count

    # ---- how it is

    def _silence(self) -> str:
        """Return what there is to say of frames that do not come; nothing while they do, or while nobody wants them."""
        if self._camera is None or self._health.silence < _PATIENCE:
            return ''
        topic, kind = self._camera.topic_name, self._camera.msg_type
        said = f'no camera frames on {topic} for {self._health.silence:.0f} s: '
        senders = self.count_publishers(topic)
        if senders:
            return f'{said}{senders} publisher(s) are there. Is the camera still running, is the network cut? {_PROFILE}'
        name = f'sensor_msgs/msg/{kind.__name__}'
        own = {output.image.topic_name for output in self._outputs}
        others = [each for each, kinds in self.get_topic_names_and_types() if name in kinds and each not in own | {topic}]
        there = ', '.join(others) if others else 'none'
        return said + f'nobody publishes it: is the camera running, is the topic remapped? Topics of type {name}: {there}'

    def _namesake(self) -> str:
        name = self.get_name(), self.get_namespace()
        if self.get_node_names_and_namespaces().count(name) < 2:
            return ''
        return (f'another node is named {self.get_fully_qualified_name()} too: parameters set by name reach either of them, and '
                'their outputs mix; start one with another name or namespace')

    def _status(self) -> Status:
        """Return how it is, and say in the log what an operator has to know."""
        recent, values = self._health.report()
        values['person present'] = 'unknown'
        if recent.went and self._pipeline is not None:
            values['person present'] = 'yes' if self._pipeline.coverage > _SOMEBODY else 'no'
        troubles = []
        if silence := self._silence():
            self.get_logger().warning(silence, throttle_duration_sec=_REPEAT)
            troubles.append(silence)
        if recent.lost > _MANY_LOST:
            loss = f'{recent.lost:.0%} of the camera frames are lost on the way. {_PROFILE}'
            self.get_logger().warning(loss, throttle_duration_sec=_REPEAT)  # lines are throttled, not texts
            troubles.append(loss)
        if namesake := self._namesake():
            self.get_logger().warning(namesake, throttle_duration_sec=_REPEAT)
            troubles.append(namesake)
        level, message = self._state(recent, bool(troubles))
        return Status(level, '; '.join((message, *troubles)), values)

    def _state(self, recent: Recent, is_troubled: bool) -> tuple[bytes, str]:
        if self._pipeline is None:
            return DiagnosticStatus.STALE, 'unconfigured'
        if not self._active:
            return DiagnosticStatus.STALE, 'inactive'
        if recent.skipped:
            level = DiagnosticStatus.WARN if recent.went else DiagnosticStatus.ERROR
            return level, f'frames are skipped: {self._health.last_error}'
        level = DiagnosticStatus.WARN if is_troubled else DiagnosticStatus.OK
        if self._camera is None:
            return level, 'nobody listens'
        return level, f'{recent.came:.1f} frames a second in, {recent.went:.1f} out'


class _Output:
    """One result: the pixels of its message, and who publishes them."""

    def __init__(self, kind: str, writer: ImageWriter, image: Publisher, compressed: Publisher | None) -> None:
        self.kind, self.writer, self.image, self._compressed = kind, writer, image, compressed

    @property
    def wanted(self) -> bool:
        """Whether anybody subscribes."""
        return self.image.get_subscription_count() > 0 or self._compressed_wanted

    @property
    def _compressed_wanted(self) -> bool:
        return self._compressed is not None and self._compressed.get_subscription_count() > 0

    def publish(self, header: object, pixels: np.ndarray, jpeg_quality: int) -> None:
        """Publish the written pixels in the forms that are wanted."""
        if self.image.get_subscription_count():
            self.writer.message.header = header
            self.image.publish(self.writer.message)
        if self._compressed_wanted:
            message = CompressedImage(header=header)
            compress(message, pixels, jpeg_quality if self.kind == 'output' else None)
            self._compressed.publish(message)

    def destroy(self, node: LifecycleNode) -> None:
        """End publishing."""
        for publisher in filter(None, (self.image, self._compressed)):
            node.destroy_publisher(publisher)


def main(args: list[str] | None = None) -> int:
    """Run the node."""
    return run(SegmentationNode, args)


if __name__ == '__main__':
    raise SystemExit(main())

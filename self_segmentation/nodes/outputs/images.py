# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Pictures and masks: ``~/output``, ``~/alpha``, ``~/mask``, ``~/confidence``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

from ...picture.masks import confidence, mask_of, mask_size
from ...picture.pipeline import Result, channels_of
from ...settings import Settings
from ..messages import ImageWriter, compress
from .base import Output, has_subscribers

__all__ = ['ConfidenceOutput', 'ImageOutput', 'MaskOutput']

_ENCODINGS = {3: 'bgr8', 4: 'bgra8'}  # by the channels of the composite
_FULL = {'binary': 255, 'class': 1, 'instance': 255}  # values of a mask of which nothing is known, where people are replaced


class _Picture(Output):
    """An image, raw and compressed."""

    follows_pause = True

    def __init__(self, node: Node, on_demand: Callable[[], None], topic: str, encoding: str) -> None:
        super().__init__(node, on_demand)
        self._writer = ImageWriter(Image(), encoding)
        self._raw = self._offer(Image, topic)
        self._compressed = self._offer(CompressedImage, f'{self.topic}/compressed')

    def _send(self, header: Any, writer: ImageWriter, pixels: NDArray[np.uint8], quality: int | None = None) -> None:
        """Publish a writer's pixels in the forms that are subscribed; ``quality`` of a JPEG, None for a PNG."""
        if has_subscribers(self._raw):
            writer.message.header = header
            self._raw.publish(writer.message)
        if has_subscribers(self._compressed):
            message = CompressedImage(header=header)
            compress(message, pixels, quality)
            self._compressed.publish(message)


class ImageOutput(_Picture):
    """
    The composite (JPEG; PNG with alpha) or the alpha (PNG).

    :param result: its name in :class:`~self_segmentation.picture.pipeline.Result`.
    """

    def __init__(self, node: Node, on_demand: Callable[[], None], topic: str, result: str) -> None:
        super().__init__(node, on_demand, topic, 'bgr8' if result == 'composite' else 'mono8')
        self._result = result

    def arrays(self, size: tuple[int, int], settings: Settings) -> dict[str, NDArray[np.uint8]]:
        """Return the pixels of the message: (height, width, 3 or 4) for the composite, (height, width) for alpha."""
        encoding = _ENCODINGS[channels_of(settings)] if self._result == 'composite' else 'mono8'
        if encoding != self._writer.message.encoding:
            self._writer = ImageWriter(Image(), encoding)
        return {self._result: self._writer.pixels(*size)}

    def publish(self, header: Any, result: Result, settings: Settings) -> None:
        """Publish what the pipeline wrote to the pixels; again and again, if need be."""
        quality = settings.jpeg_quality if self._result == 'composite' else None
        self._send(header, self._writer, getattr(result, self._result), quality)


class MaskOutput(_Picture):
    """
    ``~/mask``, mono8, raw and compressed (PNG): values and width as ``mask.values`` and ``mask.width`` say.

    With ``mask.always`` a frame that cannot be used has a mask, too: empty, or full where people are replaced.
    """

    def __init__(self, node: Node, on_demand: Callable[[], None]) -> None:
        super().__init__(node, on_demand, '~/mask', 'mono8')

    def arrays(self, size: tuple[int, int], settings: Settings) -> dict[str, NDArray[np.uint8]]:
        """Return the pixels of the message, (height, width), where the pipeline's own mask is wanted; else none."""
        is_usual = settings.mask_values == 'binary' and mask_size(*size, settings.mask_width) == size
        return {'mask': self._writer.pixels(*size)} if is_usual else {}

    def publish(self, header: Any, result: Result, settings: Settings) -> None:
        """Publish the mask of a frame."""
        size = mask_size(*result.size, settings.mask_width)
        pixels = self._writer.pixels(*size)
        if not self.arrays(result.size, settings):
            mask_of(result.matte, result.people, settings.mask_values, size, settings.hides_people, pixels)
        self._send(header, self._writer, pixels)

    def fail(self, header: Any, size: tuple[int, int], settings: Settings) -> None:
        """Publish a mask of a frame that cannot be used."""
        if settings.mask_always and all(size):
            writer = ImageWriter(Image(), 'mono8')  # the other one's pixels are the last result's, which may be shown again
            pixels = writer.pixels(*mask_size(*size, settings.mask_width))
            pixels[:] = _FULL[settings.mask_values] if settings.hides_people else 0
            self._send(header, writer, pixels)


class ConfidenceOutput(Output):
    """``~/confidence``, mono8: how sure the mask is of each of its pixels, 128 to 255; as large as the mask."""

    follows_pause = True

    def __init__(self, node: Node, on_demand: Callable[[], None]) -> None:
        super().__init__(node, on_demand)
        self._writer = ImageWriter(Image(), 'mono8')
        self._publisher = self._offer(Image, '~/confidence')

    def publish(self, header: Any, result: Result, settings: Settings) -> None:
        """Publish how sure the mask of a frame is."""
        size = mask_size(*result.size, settings.mask_width)
        self._writer.pixels(*size)[:] = confidence(result.matte, size)
        self._writer.message.header = header
        self._publisher.publish(self._writer.message)

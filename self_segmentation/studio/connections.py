# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""Bounds for the open connections of a web server that wait for a request, and a log with few lines."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import traceback
from collections import Counter
from collections.abc import Iterator

from aiohttp import web

__all__ = ['Connections', 'Log']

_MOST_WAITING = 128  # connections; also less than a process may open, which is 1024 on most systems
_PATIENCE = 10.0  # seconds for a request's head to come, or for an answer to be taken and the next request to come
_LOG_INTERVAL = 60.0  # seconds between two lines of one kind
_LONGEST_REASON = 500  # characters of an exception's text in the log


class Log:
    """Logs one line a minute of each kind, with how often it happened since the last line."""

    def __init__(self) -> None:
        self._logger = logging.getLogger('self_segmentation.studio')
        self._counts: Counter[str] = Counter()
        self._logged: dict[str, float] = {}  # seconds, by kind

    def warn(self, kind: str, more: str = '', level: int = logging.WARNING) -> None:
        """Log an event of a kind; ``more`` is about this one."""
        self._counts[kind] += 1
        now = time.monotonic()
        if now - self._logged.get(kind, -_LOG_INTERVAL) >= _LOG_INTERVAL:
            self._logged[kind] = now
            count = self._counts.pop(kind)
            times = f' ({count} times)' if count > 1 else ''
            self._logger.log(level, '%s%s%s', kind, times, more)

    def fault(self, what: str, error: BaseException, more: str = '') -> None:
        """Log an error of the server itself, with its traceback."""
        trace = ''.join(traceback.format_tb(error.__traceback__))
        self.warn(f'{what}, {type(error).__name__}', f'{more}: {str(error)[:_LONGEST_REASON]}\n{trace}', logging.ERROR)


class Connections:
    """
    Makes the protocols of an aiohttp server, for :meth:`asyncio.loop.create_server`, and bounds the connections that wait.

    A connection waits until the head of a request is there, and again after each answer. If too many wait, the oldest one of the
    address with the most is ended: a new page gets through while others keep theirs open.
    """

    def __init__(self, server: web.Server, log: Log) -> None:
        self._server, self._log = server, log
        self._waiting: dict[asyncio.Transport, asyncio.TimerHandle] = {}  # the oldest first; with the end of the patience

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol of a new connection."""
        return _Beginning(self)

    def begin(self, transport: asyncio.Transport) -> None:
        """Let aiohttp serve a new connection."""
        handler = self._server()
        transport.set_protocol(handler)
        handler.connection_made(transport)
        self._wait(transport)
        for each in [each for each in self._waiting if each.is_closing()]:
            self._go_on(each)
        if len(self._waiting) > _MOST_WAITING:
            most, _ = Counter(map(_address, self._waiting)).most_common(1)[0]
            next(each for each in self._waiting if _address(each) == most).abort()
            self._log.warn(f'more than {_MOST_WAITING} connections sent no request: the oldest were ended', f', most from {most}')

    @contextlib.contextmanager
    def serving(self, request: web.BaseRequest) -> Iterator[None]:
        """Do not count a connection as waiting while its request is served."""
        transport = request.transport
        if transport is not None:
            self._go_on(transport)
        try:
            yield
        finally:
            if transport is not None and not transport.is_closing():
                self._wait(transport)

    def _wait(self, transport: asyncio.Transport) -> None:
        self._waiting[transport] = asyncio.get_running_loop().call_later(_PATIENCE, transport.abort)

    def _go_on(self, transport: asyncio.Transport) -> None:
        if end := self._waiting.pop(transport, None):
            end.cancel()


def _address(transport: asyncio.Transport) -> str:
    return str((transport.get_extra_info('peername') or ('unknown',))[0])


class _Beginning(asyncio.Protocol):
    """The protocol of a connection until it is made."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._connections.begin(transport)

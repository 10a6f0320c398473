# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The open connections of a web server: how many may wait for a request, and for how long; and its log, a line a minute."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from aiohttp import web

__all__ = ['Connections', 'Log']

_MOST_WAITING = 128  # connections; also less than a process may open, which is 1024 on most systems
_PATIENCE = 10.0  # seconds for a request's head to come, or for an answer to be taken and the next request to come
_LOG_INTERVAL = 60.0  # seconds between two lines of one kind
_LONGEST_REASON = 500  # characters of an exception's text in the log


class Log:
    """Logs what many connections can cause: of each kind a line a minute, with how often it came since the last one."""

    def __init__(self) -> None:
        self._logger = logging.getLogger('self_segmentation.studio')
        self._counts: Counter[str] = Counter()
        self._logged: dict[str, float] = {}  # seconds, by kind

    def warn(self, kind: str, more: str = '', level: int = logging.WARNING) -> None:
        """Log that something of this kind came; ``more`` is about this one."""
        self._counts[kind] += 1
        now = time.monotonic()
        if now - self._logged.get(kind, -_LOG_INTERVAL) >= _LOG_INTERVAL:
            self._logged[kind] = now
            count = self._counts.pop(kind)
            times = f' ({count} times)' if count > 1 else ''
            self._logger.log(level, '%s%s%s', kind, times, more)

    def fault(self, what: str, error: BaseException, more: str = '') -> None:
        """Log a fault of the server itself, with its traceback."""
        trace = ''.join(traceback.format_tb(error.__traceback__))
        self.warn(f'{what}, {type(error).__name__}', f'{more}: {str(error)[:_LONGEST_REASON]}\n{trace}', logging.ERROR)


class _Waiting(NamedTuple):
    transport: asyncio.Transport
    address: str
    end: asyncio.TimerHandle


class Connections:
    """
    Makes the protocols of an aiohttp server, for :meth:`asyncio.loop.create_server`, and bounds the connections that wait.

    A connection waits until the head of a request is there, and again after each answer. Where too many wait the one that has
    waited longest is ended, of the address that has most of them: so a new page gets through while others keep theirs open.
    """

    def __init__(self, server: web.Server, log: Log) -> None:
        self._server, self._log = server, log
        self._waiting: dict[asyncio.BaseProtocol, _Waiting] = {}  # the one that has waited longest first

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol of a new connection."""
        return _Beginning(self)

    def begin(self, transport: asyncio.Transport) -> None:
        """Let aiohttp serve a new connection."""
        handler = self._server()
        transport.set_protocol(handler)
        handler.connection_made(transport)
        self._wait(handler, transport)
        is_open = {*self._server.connections}
        for protocol in self._waiting.keys() - is_open:
            self._go_on(protocol)
        if len(self._waiting) > _MOST_WAITING:
            most, _ = Counter(each.address for each in self._waiting.values()).most_common(1)[0]
            self._end(next(protocol for protocol, each in self._waiting.items() if each.address == most))
            self._log.warn(f'more than {_MOST_WAITING} connections sent no request: the oldest were ended', f', most from {most}')

    @contextlib.contextmanager
    def serving(self, request: web.BaseRequest) -> Iterator[None]:
        """Have a connection not wait while its request is served."""
        self._go_on(request.protocol)
        try:
            yield
        finally:
            if request.transport is not None:
                self._wait(request.protocol, request.transport)

    def _wait(self, protocol: asyncio.BaseProtocol, transport: asyncio.Transport) -> None:
        address = (transport.get_extra_info('peername') or ('unknown',))[0]
        end = asyncio.get_running_loop().call_later(_PATIENCE, self._end, protocol)
        self._waiting[protocol] = _Waiting(transport, address, end)

    def _go_on(self, protocol: asyncio.BaseProtocol) -> None:
        if protocol in self._waiting:
            self._waiting.pop(protocol).end.cancel()

    def _end(self, protocol: asyncio.BaseProtocol) -> None:
        transport = self._waiting[protocol].transport
        self._go_on(protocol)
        transport.abort()  # also where it closes already and the other end takes nothing


class _Beginning(asyncio.Protocol):
    """The protocol of a connection until it is made."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._connections.begin(transport)

# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
The studio's web server: a page of a few files, small pictures of backgrounds, and one WebSocket for each browser.

It runs in a thread of its own and knows no ROS. What a browser may do is bounded here: who it is, what it sends and how often,
and how much waits for it. :mod:`.connections` bounds how many connections may be open without a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import hmac
import ipaddress
import json
import logging
import platform
import secrets
import struct
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import cv2
from aiohttp import WSMsgType, http_exceptions, web

from ..errors import ImageError, ListenError
from ..io.decoding import decode_file
from ..io.image_files import picture_kind
from ..picture.arrays import flattened
from ..resources import read_file
from .connections import Connections, Log
from .picture_stream import Bundle

__all__ = ['Audience', 'Backgrounds', 'Browser', 'Server']

_MOST_BROWSERS = 16
_LARGEST_MESSAGE = 16 << 10  # bytes that a browser sends at once
_MOST_MESSAGES = 200  # that a browser sends in a second; a page sends one a picture and 20 a slider
_MOST_ANSWERS = 64  # that wait for a browser
_IN_FLIGHT = 2  # bundles of pictures that a browser has not drawn yet
_PATIENCE = 10.0  # seconds for a browser to take what it is sent, and between two signs of life
_MOST_BACKGROUNDS = 200
_MOST_DECODING = 64  # requests for small pictures of them that wait; a page has six at a time
_NO_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_LARGEST_IMAGE = 64 << 20  # bytes of a background
_THUMBNAIL = 240  # pixels
_BEHIND = (205, 205, 205)  # transparent parts of a background
_PAGE = {'/': ('index.html', 'text/html'), '/studio.css': ('studio.css', 'text/css'),
         '/studio.js': ('studio.js', 'text/javascript'), '/parts.js': ('parts.js', 'text/javascript')}
_HEADERS = {
    'Content-Security-Policy': "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
                               "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    'Cross-Origin-Resource-Policy': 'same-origin', 'Cross-Origin-Opener-Policy': 'same-origin', 'X-Frame-Options': 'DENY',
    'X-Content-Type-Options': 'nosniff', 'Referrer-Policy': 'no-referrer', 'Cache-Control': 'no-cache'}
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _is_no_noise(record: logging.LogRecord) -> bool:
    """Return whether a log record is worth a line: requests that are no HTTP are refused, and not logged."""
    return not (record.exc_info and isinstance(record.exc_info[1], http_exceptions.HttpProcessingError))


logging.getLogger('aiohttp.server').addFilter(_is_no_noise)


class Backgrounds:
    """The images of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        """Return the names of the images in the folder itself, without links that lead out of it."""
        try:
            found = sorted(path.name for path in self._folder.iterdir() if self._is_inside(path) and picture_kind(path))
        except OSError:  # it is not there, or may not be read
            return []
        return found[:_MOST_BACKGROUNDS]

    def _is_inside(self, path: Path) -> bool:
        return path.is_file() and path.resolve().parent == self._folder.resolve()

    def path(self, name: str) -> Path | None:
        """Return the path of an image; None if its name is not in :meth:`names`."""
        return self._folder.resolve() / name if name in self.names() else None

    def thumbnail(self, name: str) -> bytes | None:
        """Return a small JPEG of an image; None if it cannot be read."""
        path = self.path(name)
        try:
            return _thumbnail(path, path.stat().st_mtime_ns) if path is not None else None
        except OSError:  # it is gone, or too many files are open
            return None


@functools.lru_cache(maxsize=_MOST_BACKGROUNDS)
def _thumbnail(path: Path, _changed: int) -> bytes | None:
    try:
        pixels = flattened(decode_file(read_file(path, _LARGEST_IMAGE)), _BEHIND)
    except ImageError:
        return None
    height = max(round(_THUMBNAIL * pixels.shape[0] / pixels.shape[1]), 1)
    small = cv2.resize(pixels, (_THUMBNAIL, min(height, 4 * _THUMBNAIL)), interpolation=cv2.INTER_AREA)
    return bytes(cv2.imencode('.jpg', small, [cv2.IMWRITE_JPEG_QUALITY, 80])[1])


class Browser:
    """
    One page that is open: its subscription, and what waits to be sent to it.

    Only the latest state and the latest pictures wait. A page that draws slowly gets fewer pictures.
    """

    def __init__(self, channel: web.WebSocketResponse) -> None:
        self.node, self.show = '', frozenset[str]()  # its subscription: the full name of a node, and kinds of pictures
        self._channel = channel
        self._state: dict[str, str] = {}  # messages by subject
        self._answers: deque[str] = deque(maxlen=_MOST_ANSWERS)
        self._bundle: bytes | None = None
        self._in_flight = 0
        self._news = asyncio.Event()

    @property
    def wanted(self) -> frozenset[str]:
        """The kinds of pictures that it takes now."""
        return self.show if self._in_flight < _IN_FLIGHT and self._bundle is None else frozenset()

    def update(self, about: str, message: dict[str, Any]) -> None:
        """Send the present state of a subject, in place of one that still waits."""
        self._state[about] = json.dumps(message, allow_nan=False)
        self._news.set()

    def answer(self, message: dict[str, Any]) -> None:
        """Answer a request."""
        self._answers.append(json.dumps(message, allow_nan=False))
        self._news.set()

    def send_pictures(self, bundle: Bundle) -> None:
        """Send the pictures that it shows: the length of a header, the header in JSON, the pictures."""
        pictures = {kind: data for kind, data in bundle.pictures.items() if kind in self.wanted}
        if pictures:
            sizes = [[kind, len(data)] for kind, data in pictures.items()]
            head = json.dumps({'stamp': bundle.stamp, 'pictures': sizes}).encode()
            self._bundle = b''.join((struct.pack('>I', len(head)), head, *pictures.values()))
            self._news.set()

    def drew(self) -> None:
        """Note that a bundle of pictures was drawn."""
        self._in_flight = max(self._in_flight - 1, 0)

    async def close(self) -> None:
        """End the connection."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._channel.close(code=1001, message=b'the studio ends'), 1.0)

    async def send_all(self) -> None:
        """Send what waits, until the connection ends."""
        while not self._channel.closed:
            await self._news.wait()
            self._news.clear()
            while self._answers or self._state or self._bundle is not None:
                if self._answers or self._state:
                    text = self._answers.popleft() if self._answers else self._state.pop(next(iter(self._state)))
                    await asyncio.wait_for(self._channel.send_str(text), _PATIENCE)
                if self._bundle is not None:
                    data, self._bundle = self._bundle, None
                    self._in_flight += 1
                    await asyncio.wait_for(self._channel.send_bytes(data), _PATIENCE)


class Audience:
    """The browsers that subscribe to one node; for any thread."""

    def __init__(self, server: Server, node: str) -> None:
        self._server, self._node = server, node

    def _browsers(self) -> list[Browser]:
        return [browser for browser in self._server.browsers if browser.node == self._node]

    @property
    def shown(self) -> set[str]:
        """The kinds of pictures that some of them show."""
        return {kind for browser in self._browsers() for kind in browser.show}

    @property
    def wanted(self) -> set[str]:
        """The kinds of pictures that some of them take now."""
        return {kind for browser in self._browsers() for kind in browser.wanted}

    def update(self, about: str, message: dict[str, Any]) -> None:
        """Send all of them the present state of a subject."""
        for browser in self._browsers():
            self._server.call(browser.update, about, message)

    def send_pictures(self, bundle: Bundle) -> None:
        """Send each of them the pictures that it shows."""
        for browser in self._browsers():
            self._server.call(browser.send_pictures, bundle)


class Server:
    """
    Serves the page: on a loopback address to this machine, else to browsers that send the token in :attr:`url`.

    :param host: address to listen on.
    :param port: 0 takes any that is free.
    :raises ListenError: it cannot listen there.
    """

    #: Takes what a browser sent, an object of JSON; called in the server's thread, as ``on_coming`` is.
    on_message: Callable[[Browser, dict[str, Any]], None]
    #: Called when a browser comes, goes, or changes its subscription.
    on_coming: Callable[[], None]

    def __init__(self, host: str, port: int, backgrounds: Backgrounds) -> None:
        self.browsers: tuple[Browser, ...] = ()  # replaced, never changed: other threads read it
        self.on_message, self.on_coming = lambda _browser, _message: None, lambda: None
        self._host, self._backgrounds = host, backgrounds
        self._is_local, self._decoding, self._to_decode = _is_loopback(host), asyncio.Lock(), 0
        self._token = '' if self._is_local else secrets.token_urlsafe(18)
        folder = Path(__file__).parent / 'page'
        self._page = {path: ((folder / name).read_bytes(), kind) for path, (name, kind) in _PAGE.items()}
        self._log = Log()
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(self._on_fault)
        self._listener: asyncio.Server | None = None
        self._runner = web.AppRunner(self._application(), access_log=None, handle_signals=False, keepalive_timeout=15.0)
        try:
            self.port = self._loop.run_until_complete(self._listen(port))
        except OSError as error:
            self._loop.run_until_complete(self._runner.cleanup())
            self._loop.close()
            reason = 'it is taken' if error.errno == errno.EADDRINUSE else error.strerror or error
            raise ListenError(f'studio: cannot listen on host = {host!r}, port = {port}: {reason}') from error
        self._thread = threading.Thread(target=self._loop.run_forever, name='studio', daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where the page is, with the token if it takes one."""
        host = platform.node() if _is_wildcard(self._host) else f'[{self._host}]' if ':' in self._host else self._host
        return f'http://{host}:{self.port}/' + (f'?token={self._token}' if self._token else '')

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Call a function in the server's thread, the only one that may speak to browsers."""
        if self._loop.is_running():
            self._loop.call_soon_threadsafe(function, *arguments)

    def close(self) -> None:
        """End all connections and the thread."""
        async def end() -> None:
            if self._listener is not None:
                self._listener.close()
            for browser in self.browsers:
                await browser.close()
            await self._runner.cleanup()

        if self._thread.is_alive():
            ending = asyncio.run_coroutine_threadsafe(end(), self._loop)
            ending.add_done_callback(lambda _: self._loop.call_soon_threadsafe(self._loop.stop))
            self._thread.join(timeout=3.0)

    async def _listen(self, port: int) -> int:
        await self._runner.setup()
        assert self._runner.server is not None
        self._connections = Connections(self._runner.server, self._log)
        self._listener = await self._loop.create_server(self._connections, self._host, port)
        return int(self._listener.sockets[0].getsockname()[1])

    def _on_fault(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log an error of the loop: asyncio itself would write a traceback each time."""
        error, what = context.get('exception'), context['message'].partition('(')[0]  # without the arguments of a call
        if isinstance(error, OSError) and error.errno in _NO_RESOURCES:
            self._log.warn(f'no connection can be accepted: {error.strerror}; tried again every second')
        elif error is not None:
            self._log.fault(what, error)
        else:
            self._log.warn(what)

    def _application(self) -> web.Application:
        @web.middleware
        async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
            with self._connections.serving(request):
                try:
                    self._check(request)
                    return await handler(request)
                except web.HTTPException as refused:
                    refused.force_close()
                    raise
                except UnicodeEncodeError as error:  # aiohttp repeats a header in its answer
                    raise web.HTTPBadRequest() from error
                except ConnectionError:
                    raise
                except Exception as error:
                    self._log.fault('a request failed', error, f', for {request.path[:100]!r}')
                    raise web.HTTPInternalServerError() from error

        application = web.Application(middlewares=[guard], client_max_size=1024)
        for path in _PAGE:
            application.router.add_get(path, self._serve_page)
        application.router.add_get('/backgrounds/{name}', self._serve_background)
        application.router.add_get('/socket', self._serve_browser)
        application.on_response_prepare.append(_add_headers)
        return application

    # ---- permissions

    def _check(self, request: web.Request) -> None:
        host, origin = request.headers.get('Host', ''), request.headers.get('Origin')
        if not self._is_known_host(host):
            raise web.HTTPForbidden(text=f'this studio is not at {host[:100]!r}: open {self.url.partition("?")[0]}')
        if origin is not None and origin not in (f'http://{host}', f'https://{host}'):
            raise web.HTTPForbidden(text='another page may not ask for this')
        if self._token:
            if request.path == '/' and self._is_token(request.query.get('token', '')):
                without_it = web.HTTPSeeOther('/')  # the token stays in no address
                without_it.set_cookie(self._cookie, self._token, httponly=True, samesite='Lax', path='/')
                raise without_it
            if not self._is_token(request.cookies.get(self._cookie, '')):
                raise web.HTTPForbidden(text='open the address with the token that the studio prints in its log')

    @property
    def _cookie(self) -> str:
        return f'studio_token_{self.port}'  # cookies are the same for all ports

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(errors='replace'), self._token.encode())

    def _is_known_host(self, text: str) -> bool:
        """
        Return whether a Host header names this machine: its address or its own name.

        A foreign name that was made to lead here (DNS rebinding) is refused; an address cannot be made to.
        """
        name = text.rpartition(':')[0] if text.rpartition(':')[2].isdigit() and not text.endswith(']') else text
        if self._is_local:
            return name == 'localhost' or _is_loopback(name)
        own = platform.node().lower()
        return name.lower() in {'localhost', own, f'{own}.local', self._host.lower()} - {''} or _address(name) is not None

    # ---- routes

    async def _serve_page(self, request: web.Request) -> web.Response:
        body, kind = self._page[request.path]
        return web.Response(body=body, content_type=kind, charset='utf-8')

    async def _serve_background(self, request: web.Request) -> web.Response:
        if self._to_decode >= _MOST_DECODING:
            raise web.HTTPServiceUnavailable(text='too much at once')
        self._to_decode += 1
        try:
            async with self._decoding:  # a large image takes a second and much memory: one at a time
                small = await self._loop.run_in_executor(None, self._backgrounds.thumbnail, request.match_info['name'])
        finally:
            self._to_decode -= 1
        if small is None:
            raise web.HTTPNotFound()
        return web.Response(body=small, content_type='image/jpeg')

    async def _serve_browser(self, request: web.Request) -> web.StreamResponse:
        if len(self.browsers) >= _MOST_BROWSERS:
            raise web.HTTPServiceUnavailable(text=f'{_MOST_BROWSERS} browsers are connected already')
        channel = web.WebSocketResponse(heartbeat=_PATIENCE, max_msg_size=_LARGEST_MESSAGE, compress=False)
        browser = Browser(channel)
        self.browsers += (browser,)  # before anything is awaited: the count is exact
        try:
            await channel.prepare(request)
            self.on_coming()
            sending = asyncio.ensure_future(browser.send_all())
            sending.add_done_callback(lambda done: _abort(request, done))
            try:
                await self._listen_to(browser, channel)
            finally:
                sending.cancel()
        finally:
            self.browsers = tuple(each for each in self.browsers if each is not browser)
            self.on_coming()
        return channel

    async def _listen_to(self, browser: Browser, channel: web.WebSocketResponse) -> None:
        count, second = 0, 0.0
        async for received in channel:
            now = self._loop.time()
            if now - second >= 1.0:
                count, second = 0, now
            count += 1
            if received.type is not WSMsgType.TEXT or count > _MOST_MESSAGES:
                await channel.close(code=1008, message=b'too much, or not text')
                return
            try:
                message = json.loads(received.data)
            except (ValueError, RecursionError):
                message = None
            if not isinstance(message, dict):
                await channel.close(code=1003, message=b'not an object of JSON')
                return
            self._take(browser, message)

    def _take(self, browser: Browser, message: dict[str, Any]) -> None:
        if 'drew' in message:
            browser.drew()
        elif 'subscribe' in message:
            node, show = message.get('subscribe'), message.get('show')
            before = browser.node, browser.show
            browser.node = node if isinstance(node, str) else ''
            browser.show = frozenset(each for each in show if isinstance(each, str)) if isinstance(show, list) else frozenset()
            if (browser.node, browser.show) != before:
                self.on_coming()
        else:
            self.on_message(browser, message)


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


def _abort(request: web.Request, sending: asyncio.Future[None]) -> None:
    """End the connection of a browser that does not take what it is sent."""
    if not sending.cancelled() and sending.exception() is not None and request.transport is not None:
        request.transport.abort()


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.strip('[]').partition('%')[0])
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return address.is_loopback if address is not None else host == 'localhost'


def _is_wildcard(host: str) -> bool:
    address = _address(host)
    return not host or (address is not None and address.is_unspecified)

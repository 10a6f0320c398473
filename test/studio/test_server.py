# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The studio's web server without a browser: who may have what, and how much."""
import asyncio
import contextlib
import json
import logging
import random
import socket
import struct
import threading
import time

import cv2
import numpy as np
import pytest
from conftest import EMPTY_ROOM, wait_until

aiohttp = pytest.importorskip('aiohttp', reason='aiohttp is not installed: the studio is not tested')

from self_segmentation.errors import ListenError  # noqa: E402
from self_segmentation.studio import connections as studio_connections  # noqa: E402
from self_segmentation.studio import server as studio_server  # noqa: E402
from self_segmentation.studio.picture_stream import Bundle  # noqa: E402
from self_segmentation.studio.server import Audience, Backgrounds, Server  # noqa: E402

PICTURE = bytes(cv2.imencode('.jpg', np.zeros((720, 1280, 3), np.uint8))[1])
ROUTES = ('/', '/studio.css', '/studio.js', '/parts.js', '/backgrounds/room.jpg', '/socket')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A folder of backgrounds with what a background is, and what is none."""
    outside = tmp_path_factory.mktemp('outside') / 'secret.jpg'
    folder = tmp_path_factory.mktemp('backgrounds')
    for path in (outside, folder / 'room.jpg', folder / 'a b %2f?#.jpg'):
        path.write_bytes(EMPTY_ROOM.read_bytes())
    (folder / 'notes.txt').write_text('secret')
    (folder / 'damaged.png').write_bytes(b'\x89PNG\r\n\x1a\n' + bytes(100))
    (folder / 'link.jpg').symlink_to(outside)
    (folder / 'folder.jpg').mkdir()
    return folder


@pytest.fixture(scope='module')
def serve(folder):
    """Start servers; ``received`` of each holds what its browsers sent."""
    servers = []

    def serve(host='127.0.0.1', port=0) -> Server:
        servers.append(server := Server(host, port, Backgrounds(folder)))
        server.received = []
        server.on_message = lambda _, message: server.received.append(message)
        return server

    yield serve
    for server in servers:
        server.close()


@pytest.fixture(scope='module')
def shared_server(serve):
    return serve()


@pytest.fixture
def server(shared_server):
    """A server with no browsers, which has received nothing."""
    wait_until(lambda: not shared_server.browsers, 'the end of all connections')
    shared_server.received.clear()
    return shared_server


def request(server, text: str | bytes) -> bytes:
    """What the server answers to raw bytes, until it ends the connection."""
    with socket.create_connection(('127.0.0.1', server.port), timeout=20) as connection:
        connection.sendall(text if isinstance(text, bytes) else text.encode('latin-1'))
        answer = b''
        with contextlib.suppress(ConnectionResetError, TimeoutError):  # some versions of aiohttp keep half a request
            while part := connection.recv(1 << 16):
                answer += part
    return answer


def get(server, path: str, method: str = 'GET', **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers in lower case and body."""
    headers = {'Host': f'127.0.0.1:{server.port}', 'Connection': 'close', **{k.replace('_', '-'): v for k, v in headers.items()}}
    lines = ''.join(f'{name}: {value}\r\n' for name, value in headers.items())
    head, _, body = request(server, f'{method} {path} HTTP/1.1\r\n{lines}\r\n').partition(b'\r\n\r\n')
    status, *rest = head.decode('latin-1').split('\r\n')
    return int(status.split()[1]), dict(line.lower().split(': ', 1) for line in rest), body


def with_browsers(server, use, count: int = 1, path: str = '/socket', **headers):
    """Run ``use(socket, ...)`` with so many WebSockets."""
    async def run():
        async with aiohttp.ClientSession() as session, contextlib.AsyncExitStack() as stack:
            sockets = [await stack.enter_async_context(session.ws_connect(f'http://127.0.0.1:{server.port}{path}', **headers))
                       for _ in range(count)]
            return await use(*sockets)

    return asyncio.run(asyncio.wait_for(run(), 60))


async def until(condition) -> None:
    """Wait for something while the loop runs; :func:`with_browsers` has an end."""
    while not condition():
        await asyncio.sleep(0.01)


def subscribed(server, node='/n') -> list:
    return [browser for browser in server.browsers if browser.node == node]


# ---- what is served, and to whom

def test_page_policy_allows_no_inline_code(server):
    for path, kind in (('/', 'text/html'), ('/studio.css', 'text/css'), ('/studio.js', 'text/javascript')):
        status, headers, body = get(server, path)
        assert status == 200 and headers['content-type'] == f'{kind}; charset=utf-8' and body
        policy = headers['content-security-policy']
        assert "default-src 'none'" in policy and "script-src 'self'" in policy and 'unsafe' not in policy
        assert headers['x-content-type-options'] == 'nosniff' and 'access-control-allow-origin' not in headers


@pytest.mark.parametrize('host', ['evil.example', 'evil.example:8080', '127.0.0.1.evil.example', 'localhost.evil.example',
                                  '10.0.0.1', '[::2]', '', '127.0.0.1:80@evil.example', 'localhost:evil', '\xff'])
def test_refuses_other_hosts(server, host):
    assert {get(server, path, Host=host)[0] for path in ROUTES} <= {400, 403}


@pytest.mark.parametrize('host', ['127.0.0.1', 'localhost', 'localhost:9000', '[::1]:8080', '127.0.0.2'])
def test_serves_tunnels_to_loopback(server, host):
    assert get(server, '/', Host=host)[0] == 200


@pytest.mark.parametrize('origin', ['http://evil.example', 'null', 'http://localhost:1', 'file://', 'http://127.0.0.1'])
def test_refuses_other_origins(server, origin):
    assert {get(server, path, Origin=origin)[0] for path in ROUTES} == {403}


def test_refuses_websocket_of_other_origin(server):
    async def nothing(socket):
        pytest.fail('it was accepted')

    with pytest.raises(aiohttp.WSServerHandshakeError, match='403'):
        with_browsers(server, nothing, origin='http://evil.example')


@pytest.mark.parametrize('method', ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'CONNECT', 'BREW'])
def test_refuses_other_methods_than_get(server, method):
    assert {get(server, path, method)[0] for path in ROUTES} <= {400, 404, 405}


@pytest.mark.parametrize('path', [
    '/../setup.py', '/..%2fsetup.py', '/%2e%2e/setup.py', '//etc/passwd', '/studio_server.py', '/studio/index.html', '/socket/',
    '/backgrounds/', '/backgrounds/..', '/backgrounds/../room.jpg', '/backgrounds/..%2f..%2fetc%2fpasswd', '/backgrounds/%00',
    '/backgrounds/notes.txt', '/backgrounds/link.jpg', '/backgrounds/folder.jpg', '/backgrounds/room.jpg%00.png', '/favicon',
    '/%', '/backgrounds/damaged.png', '/backgrounds//etc/passwd', '/backgrounds/%2fetc%2fpasswd', '/backgrounds/room.jpg/..'])
def test_serves_no_other_file(server, path):
    status, _, body = get(server, path)
    assert status in (400, 404) and b'secret' not in body and b'root:' not in body


def test_serves_small_backgrounds(server, folder):
    assert Backgrounds(folder).names() == ['a b %2f?#.jpg', 'damaged.png', 'room.jpg']
    for path in ('/backgrounds/room.jpg', '/backgrounds/a%20b%20%252f%3F%23.jpg'):
        status, headers, body = get(server, path)
        assert status == 200 and headers['content-type'] == 'image/jpeg' and len(body) < 50_000
        assert cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR).shape[1] == 240


def test_missing_background_folder_is_empty(tmp_path):
    assert Backgrounds(tmp_path / 'nowhere').names() == [] and Backgrounds(tmp_path / 'nowhere').thumbnail('a.jpg') is None


# ---- on other addresses than the loopback

@pytest.fixture
def open_server(serve):
    return serve('0.0.0.0')


def test_other_addresses_need_token(open_server):
    token = open_server.url.partition('?token=')[2]
    assert len(token) >= 20
    cookie = f'studio_token_{open_server.port}='
    for path in ROUTES:
        assert get(open_server, path)[0] == 403
        for wrong in ('', token[:-1], token + 'x', token.swapcase(), '\xe9', 'x' * 5000):
            assert get(open_server, path, Cookie=cookie + wrong)[0] == 403
            assert get(open_server, f'{path}?token={"".join(c for c in wrong if c < chr(128))}')[0] == 403
    assert get(open_server, '/', Cookie=cookie + token)[0] == 200
    status, headers, _ = get(open_server, f'/?token={token}')
    assert status == 303 and headers['location'] == '/' and 'httponly' in headers['set-cookie']
    assert get(open_server, f'/studio.js?token={token}')[0] == 403  # it stands in no other address


def test_refuses_foreign_host_with_token(open_server):
    token = open_server.url.partition('?token=')[2]
    cookie = f'studio_token_{open_server.port}={token}'
    for host, status in (('192.168.1.7:8080', 200), (f'{studio_server.platform.node()}:8080', 200), ('evil.example', 403)):
        assert get(open_server, '/', Host=host, Cookie=cookie)[0] == status


def test_loopback_needs_no_token(server):
    assert 'token' not in server.url


@pytest.mark.parametrize('host, reason', [('no.such.host.invalid', 'no.such.host.invalid'), ('203.0.113.7', '203.0.113.7')])
def test_names_unusable_address(serve, host, reason):
    with pytest.raises(ListenError, match=reason):
        serve(host)


def test_names_taken_port(serve, server):
    with pytest.raises(ListenError, match=f'port = {server.port}: it is taken'):
        serve('127.0.0.1', server.port)


# ---- what browsers send, and what is sent to them

def test_passes_messages_and_answers_on(server):
    async def use(browser):
        await browser.send_json({'subscribe': '/n', 'show': ['output']})
        await browser.send_json({'set': {'threshold': 0.5}, 'id': 3})
        await until(lambda: server.received and subscribed(server))
        server.call(server.browsers[0].answer, {'id': 3, 'done': True})
        return await browser.receive_json()

    assert with_browsers(server, use) == {'id': 3, 'done': True}
    assert server.received == [{'set': {'threshold': 0.5}, 'id': 3}]


@pytest.mark.parametrize('sent', ['x' * (10 << 20), '[' * 10000, 'nothing', '[]', '1', '"text"', '', '1' * 5000, 'NaN', b'bytes'],
                         ids=lambda sent: repr(sent[:8]))
def test_drops_browser_that_sends_nonsense(server, sent):
    async def use(browser):
        with contextlib.suppress(ConnectionError, aiohttp.ClientError):
            await (browser.send_bytes(sent) if isinstance(sent, bytes) else browser.send_str(sent))
        return (await browser.receive()).type

    assert with_browsers(server, use) in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
    wait_until(lambda: not server.browsers, 'the end of the connection')
    assert server.received == [] and get(server, '/')[0] == 200


def test_drops_browser_that_sends_too_much(server):
    async def use(browser):
        with contextlib.suppress(ConnectionError, aiohttp.ClientError):
            for _ in range(100000):
                await browser.send_str('{"set": {}}')
        while (await browser.receive()).type is aiohttp.WSMsgType.TEXT:
            pass

    with_browsers(server, use)
    wait_until(lambda: not server.browsers, 'the end of the connection')
    assert len(server.received) < 100000


@pytest.mark.parametrize('message', [{'subscribe': 5}, {'subscribe': '/n', 'show': 'output'}, {'drew': 'x'}, {'drew': -5},
                                     {'subscribe': None, 'show': [1, None, {}]}, {'subscribe': '/n', 'show': {'a': 1}}])
def test_invalid_view_shows_nothing(server, message):
    async def use(browser):
        await browser.send_json(message)
        await browser.send_json({'set': {}})
        await until(lambda: server.received)
        return server.browsers[0].wanted

    assert not with_browsers(server, use)


def test_slow_browser_gets_fewer_pictures(server):
    """One draws each picture, the other none: no more than two are on their way to it."""
    audience, count = Audience(server, '/n'), 30

    async def use(slow, quick):
        for browser in (slow, quick):
            await browser.send_json({'subscribe': '/n', 'show': ['output']})
        await until(lambda: len(subscribed(server)) == 2)
        for number in range(count):
            await until(lambda: audience.wanted)
            audience.send_pictures(Bundle(float(number), {'output': PICTURE, 'mask': PICTURE}))
            head = (await quick.receive_bytes())[4:]
            assert json.loads(head[:head.index(b'}') + 1]) == {'stamp': number, 'pictures': [['output', len(PICTURE)]]}
            await quick.send_json({'drew': 1})
        assert struct.unpack('>I', (await slow.receive_bytes())[:4])
        await slow.receive_bytes()
        with pytest.raises(asyncio.TimeoutError):
            await slow.receive(timeout=0.5)
        await slow.send_json({'drew': 1})
        await until(lambda: sum(bool(browser.wanted) for browser in subscribed(server)) == 2)

    with_browsers(server, use, 2)


def test_drops_browser_that_never_reads(server, monkeypatch):
    """It says that it draws, and takes nothing from its connection."""
    monkeypatch.setattr(studio_server, '_PATIENCE', 0.5)
    audience = Audience(server, '/n')
    with socket.create_connection(('127.0.0.1', server.port)) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(b'GET /socket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
                           b'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n')
        wait_until(lambda: server.browsers, 'the connection')
        [browser] = server.browsers
        browser.node, browser.show = '/n', frozenset(['output'])

        def give() -> None:
            server.call(browser.drew)
            audience.send_pictures(Bundle(0.0, {'output': bytes(1 << 20)}))
            time.sleep(0.01)

        wait_until(lambda: not server.browsers, 'the end of the connection', give)
    assert get(server, '/')[0] == 200


def test_200_sockets_are_bounded(server):
    async def use(first):
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            opened = await asyncio.gather(*(session.ws_connect(f'http://127.0.0.1:{server.port}/socket') for _ in range(200)),
                                          return_exceptions=True)
            accepted = [each for each in opened if not isinstance(each, Exception)]
            assert len(accepted) == studio_server._MOST_BROWSERS - 1 == len(server.browsers) - 1
            assert {each.status for each in opened if isinstance(each, aiohttp.WSServerHandshakeError)} == {503}
            server.call(server.browsers[0].update, 'figures', {'rate': 30})
            return await first.receive_json()

    assert with_browsers(server, use) == {'rate': 30}
    wait_until(lambda: not server.browsers, 'the end of all connections')


def test_only_latest_state_waits(server):
    async def use(browser):
        await until(lambda: server.browsers)
        are_sent = threading.Event()

        def send() -> None:
            for number in range(1000):
                server.browsers[0].update('values', {'number': number})
                server.browsers[0].answer({'number': number})
            are_sent.set()

        server.call(send)
        await until(are_sent.is_set)
        received = [await browser.receive_json() for _ in range(studio_server._MOST_ANSWERS + 1)]
        with pytest.raises(asyncio.TimeoutError):
            await browser.receive(timeout=0.3)
        return received

    assert sum(message == {'number': 999} for message in with_browsers(server, use)) == 2


def test_refuses_noise(server):
    chance = random.Random(5)
    for path in ROUTES:
        good = f'GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n'.encode()
        for _ in range(40):
            text = bytearray(good)
            for _ in range(chance.randint(1, 6)):
                text[chance.randrange(len(text))] = chance.randrange(256)
            answer = request(server, bytes(text) + b'\r\nConnection: close\r\n\r\n')
            assert not answer or answer.startswith(b'HTTP/1.'), answer[:80]
            assert b' 500 ' not in answer[:20] and b'Traceback' not in answer
    for text in (b'\0' * 100000, b'GET / HTTP/1.1\r\n' + b'X: y\r\n' * 100000, b'GET /' + b'a' * 100000 + b' HTTP/1.1\r\n\r\n'):
        with contextlib.suppress(ConnectionError):
            assert b' 200 ' not in request(server, text)[:20]
    assert get(server, '/')[0] == 200


def test_ends_while_browsers_are_connected(serve):
    server = serve()

    async def use(browser):
        await until(lambda: server.browsers)
        await asyncio.get_running_loop().run_in_executor(None, server.close)
        return (await browser.receive()).type

    assert with_browsers(server, use) is aiohttp.WSMsgType.CLOSE
    with pytest.raises(ConnectionRefusedError):
        request(server, '')


# ---- connections without a request

HALF = b'GET / HTTP/1.1\r\nHost: localhost\r\n'
WHOLE = HALF + b'\r\n'


@pytest.fixture
def impatient(monkeypatch):
    """Less patience with connections that wait."""
    monkeypatch.setattr(studio_connections, '_PATIENCE', 0.3)


@contextlib.contextmanager
def connected(server, address='127.0.0.1'):
    with socket.create_connection(('127.0.0.1', server.port), timeout=20, source_address=(address, 0)) as connection:
        yield connection


def is_ended(connection) -> bool:
    """Whether the server ends a connection; waits until it answers or does."""
    with contextlib.suppress(ConnectionError):
        return connection.recv(1 << 20) == b''
    return True


def has_answer(connection, end=b'</html>') -> bool:
    """Whether an answer comes, whole."""
    answer = b''
    while end not in answer:
        part = connection.recv(1 << 20)
        answer += part
        if not part:
            return False
    return answer.startswith(b'HTTP/1.1 200')


@pytest.mark.parametrize('sent', [b'', HALF, b'G'])
def test_request_that_does_not_come_ends_connection(server, impatient, sent):
    with connected(server) as connection:
        connection.sendall(sent)
        assert is_ended(connection)


def test_request_that_comes_byte_by_byte_ends_connection(server, impatient):
    with connected(server) as connection, contextlib.suppress(ConnectionError):
        for count in range(100_000):
            connection.sendall(b'x' if count else HALF)
            connection.settimeout(0.01)
            with contextlib.suppress(TimeoutError):
                assert connection.recv(1) == b''
                return
        pytest.fail('it stays')


def test_second_request_has_as_much_time_as_first(server, impatient):
    with connected(server) as connection:
        for _ in range(3):
            connection.sendall(WHOLE)
            assert has_answer(connection)
            time.sleep(0.1)
        connection.sendall(HALF)
        assert is_ended(connection)


def test_answers_that_are_not_taken_end_connection(server, impatient):
    """Half a thousand requests at once, and none of their answers is read."""
    with connected(server) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        with contextlib.suppress(ConnectionError, BlockingIOError):
            for _ in range(500):
                connection.send(WHOLE.replace(b'/ ', b'/studio.js '))
        wait_until(lambda: not server._runner.server.connections, 'the end of the connection')


def test_patience_does_not_end_a_browser(server, impatient):
    async def use(browser):
        await asyncio.sleep(1.0)
        server.call(server.browsers[0].update, 'figures', {'rate': 30})
        return await browser.receive_json()

    assert with_browsers(server, use) == {'rate': 30}


def test_refused_request_ends_connection(server):
    with connected(server) as connection:
        connection.sendall(b'GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n')
        assert b' 403 ' in connection.recv(1 << 16)
        assert is_ended(connection)


def test_connections_of_one_address_do_not_end_those_of_another(server, caplog):
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(connected(server, '127.0.0.2'))
        other.sendall(HALF)
        crowd = [stack.enter_context(connected(server)) for _ in range(studio_connections._MOST_WAITING + 20)]
        assert all(is_ended(connection) for connection in crowd[:21])
        wait_until(lambda: len(server._runner.server.connections) == studio_connections._MOST_WAITING, 'the end of the others')
        crowd[-1].sendall(WHOLE)
        other.sendall(b'\r\n')
        assert has_answer(other) and has_answer(crowd[-1])
        assert get(server, '/')[0] == 200
    assert [record.getMessage() for record in caplog.records if 'most from' in record.getMessage()][1:] == []


def test_fault_of_server_is_logged_once_a_minute(server, monkeypatch, caplog):
    def fail(_):
        raise RuntimeError('x' * 100_000)

    monkeypatch.setattr(server._backgrounds, 'thumbnail', fail)
    for number in range(5):
        assert get(server, f'/backgrounds/{number}.jpg')[0] == 500
        server.call(fail, number)
    wait_until(lambda: len(caplog.records) == 2, 'the lines')
    assert all('RuntimeError' in record.getMessage() and 'in fail' in record.getMessage() for record in caplog.records)
    assert all(record.levelno == logging.ERROR and len(record.getMessage()) < 5000 for record in caplog.records)


def test_small_pictures_wait_in_bounds(server, monkeypatch):
    """A page loads while others wait for more of them than are made."""
    monkeypatch.setattr(studio_server, '_MOST_DECODING', 3)
    going_on = threading.Event()
    monkeypatch.setattr(server._backgrounds, 'thumbnail', lambda name: going_on.wait(60) and b'picture')
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(connected(server)) for _ in range(3)]
        for connection in waiting:
            connection.sendall(WHOLE.replace(b'/ ', b'/backgrounds/room.jpg ', 1))
        wait_until(lambda: server._to_decode == 3, 'the requests')
        assert get(server, '/backgrounds/room.jpg')[0] == 503 and get(server, '/')[0] == 200
        going_on.set()
        assert all(has_answer(connection, b'picture') for connection in waiting)


def test_picture_that_could_not_be_opened_is_opened_later(server, folder, monkeypatch):
    (folder / 'later.jpg').write_bytes(EMPTY_ROOM.read_bytes())
    with monkeypatch.context() as patch:
        def fail(*_):
            raise OSError(24, 'Too many open files')
        patch.setattr(studio_server, 'read_file', fail)
        assert get(server, '/backgrounds/later.jpg')[0] == 404
    assert get(server, '/backgrounds/later.jpg')[0] == 200
    (folder / 'later.jpg').unlink()

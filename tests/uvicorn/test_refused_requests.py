"""Requests that are too large, too slow or no HTTP: one clear answer, a closed connection, nothing kept."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncsock import ASGIApp
from asyncsock.engine import EngineServer
from asyncsock.uvicorn import guard
from tests.support.log_records import errors, recorded
from tests.support.raw_clients import TEXT, RawSocket, frame, upgrade_request, within
from tests.support.simulated_transports import AsyncioTransport, UvloopTransport
from tests.support.uvicorn_in_process import Local, running

OPEN = "/socket.io/?EIO=4&transport=polling"
HEAD, URL = 2000, 1000  # the limits in most tests
CHUNKED = "Transfer-Encoding: chunked\r\n"

Serve = Callable[..., Awaitable["Serving"]]


@dataclass
class Serving:
    """A server of this process, and the requests that its other application has got."""

    engine: EngineServer
    local: Local
    requests: list[Request]
    may_answer: asyncio.Event

    @property
    def hits(self) -> dict[str, int]:
        return dict(self.engine.core.limits.hits)

    async def connect(self) -> RawSocket:
        return await RawSocket.connect(self.local)  # type: ignore[arg-type]

    async def is_left(self) -> None:
        """Wait until no connection is open."""
        await within(until_idle(lambda: not self.local.connections))


@dataclass
class Request:
    """A request that the other application gets."""

    path: str
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    left: bool = False  # whether its client went away

    async def answer(self, receive: Any, send: Any, may_answer: asyncio.Event) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": []}
        if self.path == "/started":
            await send(start)
            await send({"type": "http.response.body", "body": b"begun ", "more_body": True})
        if self.path not in ("/at-once", "/started", "/unread"):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    self.left = True
                    return
                self.body += message["body"]
                more = message["more_body"]
        if self.path in ("/waits", "/started", "/unread"):
            await wait_or_leave(self, receive, may_answer)
        if self.path != "/started":
            await send(start)
        await send({"type": "http.response.body", "body": b"other " + self.path.encode()})


async def wait_or_leave(request: Request, receive: Any, may_answer: asyncio.Event) -> None:
    if request.path == "/unread":
        await may_answer.wait()
        return
    message: dict[str, Any] = {}
    while not may_answer.is_set() and message.get("type") != "http.disconnect":
        message = await receive()
    request.left = message.get("type") == "http.disconnect"


async def until_idle(condition: Callable[[], Any]) -> None:
    while not condition():
        await asyncio.sleep(0.002)


@pytest.fixture(params=["httptools", "h11"])
def http(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def serve(http: str) -> AsyncIterator[Serve]:
    async with AsyncExitStack() as stack:

        async def start(http: str = http, **options: Any) -> Serving:
            return await stack.enter_async_context(serving(http, **options))

        yield start


@asynccontextmanager
async def serving(http: str, **options: Any) -> AsyncIterator[Serving]:
    engine = EngineServer(**{"max_header_size": HEAD, "max_url_size": URL, **options})
    requests: list[Request] = []
    may_answer = asyncio.Event()

    async def other(scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope["path"], scope["headers"])
        requests.append(request)
        await request.answer(receive, send, may_answer)

    async with running(ASGIApp(engine, other), http=http) as local:
        yield Serving(engine, local, requests, may_answer)
        may_answer.set()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients of refused requests have little time to read the answer."""
    monkeypatch.setattr(guard, "LINGER", 0.05)


def head(path: str = "/page", lines: str = "", method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode()


def head_of(size: int) -> bytes:
    """A head of so many bytes."""
    padding = "x" * (size - len(head(lines="X-Long: \r\n")))
    return head(lines=f"X-Long: {padding}\r\n")


async def answers(raw: RawSocket) -> list[tuple[int, str]]:
    """The status and body of all responses, until the server closes."""
    return list(parsed(await within(raw.reader.read(), 60)))


def parsed(stream: bytes) -> Iterator[tuple[int, str]]:
    while stream:
        lines, separator, stream = stream.partition(b"\r\n\r\n")
        assert separator, f"no response: {lines!r}"
        length = re.search(rb"content-length: (\d+)", lines.lower())
        body = b""
        if lines.startswith(b"HTTP/1.1 1"):
            pass
        elif length:
            body, stream = stream[: int(length[1])], stream[int(length[1]) :]
        else:
            while not stream.startswith(b"0\r\n\r\n"):
                size, separator, stream = stream.partition(b"\r\n")
                assert separator, f"no chunk: {size!r}"
                body, stream = body + stream[: int(size, 16)], stream[int(size, 16) + 2 :]
            stream = stream[5:]
        yield int(lines.split()[1]), body.decode()


async def statuses(raw: RawSocket) -> list[int]:
    return [status for status, _ in await answers(raw)]


# Heads and URLs


async def test_a_head_at_the_limit_is_read_and_a_larger_one_refused(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    server = await serve()
    async with await server.connect() as raw:
        await raw.send(head_of(HEAD))
        assert (await raw.response_head())[0] == 200
    async with await server.connect() as raw:
        await raw.send(head_of(HEAD + 1))
        assert await statuses(raw) == [431]
    await server.is_left()
    assert server.hits == {"max_header_size": 1}
    (line,) = recorded(caplog, logging.WARNING)
    assert re.fullmatch(r"request of 127.0.0.1:\d+ refused: 431 The head of the request is too large", line)


async def test_a_url_at_the_limit_is_read_and_a_longer_one_refused(serve: Serve) -> None:
    server = await serve()
    async with await server.connect() as raw:
        await raw.send(head("/".ljust(URL, "x")))
        assert (await raw.response_head())[0] == 200
    async with await server.connect() as raw:
        await raw.send(head("/".ljust(URL + 1, "x")))
        assert await statuses(raw) == [414]
    await server.is_left()
    assert server.hits == {"max_url_size": 1}


@pytest.mark.parametrize(
    ("endless", "status"),
    [
        ([b"GET /", b"x" * 500], 414),
        ([b"GET /?", b"x" * 500], 414),
        ([head()[:-2] + b"X: ", b"x" * 500], 431),
        ([head()[:-2], b"x" * 500], 431),
        ([head()[:-2], b"X: x\r\n" * 100], 431),
        ([head(OPEN)[:-2], b"X: x\r\n" * 100], 431),
        ([head(method="POST", lines=CHUNKED), b"5;" + b"x" * 498, b"x" * 500], 431),
        ([head(method="POST", lines=CHUNKED) + b"5\r\nhello\r\n0\r\n", b"X: x\r\n" * 100], 431),
        ([head(method="POST", lines=CHUNKED) + b"5\r\nhello\r\n0\r\nX: ", b"x" * 500], 431),
    ],
    ids=["path", "query", "value", "name", "headers", "of ours", "chunk extension", "trailers", "trailer"],
)
@pytest.mark.usefixtures("at_once")
async def test_what_never_ends_is_refused_at_the_limit(
    serve: Serve, endless: list[bytes], status: int
) -> None:
    server = await serve()
    async with await server.connect() as raw:
        sent = 0
        await raw.send(endless[0])
        answer = asyncio.ensure_future(statuses(raw))
        while sent < 20 * HEAD and not answer.done():
            await raw.send(endless[min(sent // 500 + 1, len(endless) - 1)])
            sent += 500
            await asyncio.sleep(0.001)
        assert sent < 20 * HEAD
        assert await answer == [status]
        await server.is_left()
        assert not server.engine.sessions
        assert not any(request.body not in (b"", b"hello") for request in server.requests)


async def test_a_head_that_comes_byte_by_byte_is_refused_at_the_limit() -> None:
    async with serving("httptools", max_header_size=300, max_url_size=100) as server:
        for size, status in ((300, 200), (301, 431)):
            transport = connected(server)
            for byte in head_of(size):
                transport.receive(bytes([byte]))
            assert await status_of(transport) == status


def connected(server: Serving) -> AsyncioTransport:
    """A new connection whose client reads all."""
    transport = AsyncioTransport()
    transport.take(10**9)
    transport.set_protocol = lambda protocol: setattr(transport, "protocol", protocol)  # type: ignore[method-assign]
    transport.connect(server.local.connection())
    return transport


async def status_of(transport: AsyncioTransport) -> int:
    """The status of the answer, once it is there."""
    ends = b"is too large", b"OK", b"0\r\n\r\n"
    await within(until_idle(lambda: transport.delivered.endswith(ends)))
    return int(transport.delivered.split()[1])


@pytest.mark.parametrize("size", [300, 301])
async def test_where_a_head_is_cut_makes_no_difference(http: str, size: int) -> None:
    async with serving(http, max_header_size=300, max_url_size=100) as server:
        text = head_of(size)
        before = head("/socket.io/?EIO=3", method="OPTIONS")
        for cut in range(1, size):
            for pieces in ([text[:cut], text[cut:]], [before, text[:cut], text[cut:]]):
                transport = connected(server)
                for piece in pieces:
                    transport.receive(piece)
                    if piece is before:
                        assert await status_of(transport) == 200
                        transport.delivered.clear()
                assert await status_of(transport) == (200 if size == 300 else 431)
                transport.abort()


@given(st.lists(st.integers(0, 3000), max_size=20))
@settings(max_examples=50, deadline=None)
def test_pipelined_requests_with_bodies_are_read_whatever_the_pieces(cuts: list[int]) -> None:
    async def run() -> None:
        async with serving("httptools", max_header_size=200, max_url_size=100) as server:
            server.may_answer.set()
            body = b"x" * 700
            post = head("/page", f"Content-Length: {len(body)}\r\n", "POST") + body
            chunk = b"".join(b"1;%s\r\nx\r\n" % (b"e" * 30) for _ in range(20))
            chunked = head("/page", CHUNKED, "POST") + chunk + b"0\r\nX-Trailer: 1\r\n\r\n"
            text = (post + head_of(200) + chunked) * 2
            transport = connected(server)
            places = sorted({0, len(text), *[cut % len(text) for cut in cuts]})
            for start, stop in pairwise(places):
                transport.receive(text[start:stop])
            await within(until_idle(lambda: transport.delivered.count(b"0\r\n\r\n") == 6))
            assert [status for status, _ in parsed(bytes(transport.delivered))] == [200] * 6
            assert [len(request.body) for request in server.requests] == [700, 0, 20] * 2
            assert not any(name == b"x-trailer" for each in server.requests for name, _ in each.headers)
            transport.abort()

    asyncio.run(run())


async def test_a_large_body_is_no_large_head(serve: Serve) -> None:
    server = await serve()
    body = b"x" * 300_000
    async with await server.connect() as raw:
        await raw.send(
            head(method="POST", lines=f"Content-Length: {len(body)}\r\n") + body + head("/at-once")
        )
        assert (await raw.response_head())[0] == 200
        await within(until_idle(lambda: len(server.requests) == 2))
    assert server.requests[0].body == body


async def test_the_head_of_a_websocket_is_limited(serve: Serve) -> None:
    server = await serve()
    async with await server.connect() as raw:
        await raw.send(upgrade_request("/socket.io/", headers={"X-Long": "x" * HEAD}))
        assert await statuses(raw) == [431]
    assert not server.engine.sessions


async def test_a_client_that_sends_on_gets_the_answer_all_the_same(serve: Serve) -> None:
    server = await serve()
    async with await server.connect() as raw:
        for _ in range(50):
            raw.writer.write(b"GET /" + b"x" * 100_000)
        assert await statuses(raw) == [414]


async def test_an_answer_that_is_half_written_is_not_mixed_with_an_error(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    server = await serve("httptools")
    async with await server.connect() as raw:
        await raw.send(head("/started"))
        await within(raw.reader.readuntil(b"begun \r\n"))
        await raw.send(head_of(HEAD + 1))
        assert await within(raw.reader.read()) == b""
        await within(until_idle(lambda: server.requests[0].left))
    await server.is_left()
    assert [request.path for request in server.requests] == ["/started"]
    assert not errors(caplog)


async def test_all_unanswered_requests_learn_that_their_client_has_left() -> None:
    async with serving("httptools") as server:
        async with await server.connect() as raw:
            await raw.send(head("/waits") + head("/waits"))
            await within(until_idle(lambda: server.requests))
        await within(until_idle(lambda: server.requests[0].left))


# Many requests at once


async def test_what_arrives_behind_an_unanswered_request_has_a_limit() -> None:
    async with serving("httptools") as server:
        transport = connected(server)
        transport.receive(head("/waits") * 3)
        http: Any = transport.protocol
        while transport.protocol is http:
            http.data_received(b"x" * 100_000)
            assert len(http._held) < 2_000_000
        assert int(transport.delivered.split()[1]) == 400
        transport.abort()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_what_is_behind_a_connection_that_closes_is_not_read(
    loop: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving("httptools") as server:
        transport = (AsyncioTransport if loop == "asyncio" else UvloopTransport)()
        transport.take(10**9)
        transport.connect(server.local.connection())
        transport.receive(head("/at-once") + head("/unread") + head("/at-once") * 500)
        await within(until_idle(lambda: len(server.requests) == 2))
        transport.protocol.shutdown()
        for cycle in transport.protocol.unanswered:
            cycle.keep_alive = False
        server.may_answer.set()
        await server.is_left()
    assert len(server.requests) < 100
    assert not errors(caplog)


async def test_requests_that_wait_for_an_earlier_one_are_not_read(serve: Serve) -> None:
    server = await serve("httptools")
    count = 5000
    async with await server.connect() as raw:
        raw.writer.write(head("/unread") + head("/at-once") * count + head("/page", "Connection: close\r\n"))
        await within(until_idle(lambda: server.requests))
        (http,) = server.local.connections
        await within(until_idle(lambda: http._held))
        assert len(http.pipeline) < 100
        server.may_answer.set()
        bodies = [body for _, body in await answers(raw)]
    assert bodies == ["other /unread"] + ["other /at-once"] * count + ["other /page"]
    assert len(server.requests) == count + 2


# Time-outs

QUICK = {"header_timeout": 0.3, "body_timeout": 0.3}


async def test_a_silent_connection_is_closed_silently(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    server = await serve(**QUICK)
    async with await server.connect() as raw:
        assert await within(raw.reader.read()) == b""
    assert server.hits == {"header_timeout": 1}
    assert not recorded(caplog, logging.WARNING)


@pytest.mark.parametrize("before", [b"", head("/at-once")], ids=["first", "second"])
@pytest.mark.parametrize("half", [b"G", b"GET / HT", head()[:-2]])
async def test_half_a_head_is_closed_with_408(
    serve: Serve, half: bytes, before: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    server = await serve(**QUICK)
    async with await server.connect() as raw:
        await raw.send(before + half)
        assert await statuses(raw) == ([200, 408] if before else [408])
    await server.is_left()
    assert server.hits == {"header_timeout": 1}
    assert len(recorded(caplog, logging.WARNING)) == 1


@pytest.mark.parametrize("before", [b"", head("/at-once")], ids=["first", "second"])
async def test_line_breaks_are_no_head(serve: Serve, before: bytes) -> None:
    server = await serve("httptools", **QUICK)  # h11 refuses them
    async with await server.connect() as raw:
        await raw.send(before)
        if before:
            await within(raw.reader.readuntil(b"0\r\n\r\n"))
        await raw.send(b"\r\n\r\n")
        assert await within(raw.reader.read()) == b""
    await server.is_left()


async def test_half_a_body_of_ours_is_closed_with_408(serve: Serve) -> None:
    server = await serve(**QUICK)
    sid = await opened(server)
    async with await server.connect() as raw:
        await raw.send(head(f"{OPEN}&sid={sid}", "Content-Length: 9\r\n", "POST") + b"4he")
        assert await statuses(raw) == [408]
    await server.is_left()
    assert server.hits == {"body_timeout": 1}
    async with await server.connect() as raw:  # the session goes on, and the half message was not said
        await raw.send(head(f"{OPEN}&sid={sid}", "Content-Length: 5\r\n", "POST") + b"4well")
        assert (await raw.response())[1] == "ok"


async def opened(server: Serving) -> str:
    async with await server.connect() as raw:
        await raw.send(head(OPEN))
        status, body = await raw.response()
        assert status == 200, body
        return body.split('"')[3]


@pytest.mark.parametrize("length", ["Content-Length: 9\r\n", CHUNKED])
async def test_half_a_body_of_another_application_ends_its_request(serve: Serve, length: str) -> None:
    server = await serve(**QUICK)
    async with await server.connect() as raw:
        await raw.send(head("/page", length, "POST"))
        assert await statuses(raw) == [408]
        await within(until_idle(lambda: server.requests[0].left))
    await server.is_left()


async def test_a_body_that_is_not_read_because_the_application_is_busy_is_waited_for(serve: Serve) -> None:
    server = await serve(**QUICK)
    body = b"x" * 1_000_000
    async with await server.connect() as raw:
        raw.writer.write(head("/unread", f"Content-Length: {len(body)}\r\n", "POST") + body)
        await asyncio.sleep(0.5)
        server.may_answer.set()
        assert (await raw.response_head())[0] == 200
    assert not server.hits


async def test_a_client_that_waits_for_100_continue_is_not_late(serve: Serve) -> None:
    server = await serve(**QUICK)
    async with await server.connect() as raw:
        await raw.send(head("/unread", "Content-Length: 9\r\nExpect: 100-continue\r\n", "POST"))
        await asyncio.sleep(0.5)
        assert not server.hits
        server.may_answer.set()
        assert await answers(raw) == [(200, "other /unread")]  # and the body never comes
    await server.is_left()


async def test_each_part_of_a_body_gives_the_client_more_time() -> None:
    async with serving("httptools") as server:
        transport = connected(server)
        transport.receive(head("/page", "Content-Length: 9\r\n", "POST"))
        bodies: Any = transport.protocol.expects
        deadlines = [bodies._items[transport.protocol]]
        for _ in range(3):
            await asyncio.sleep(0.001)
            transport.receive(b"x")
            deadlines.append(bodies._items[transport.protocol])
        assert deadlines == sorted(set(deadlines))
        transport.abort()


async def test_what_takes_the_server_long_is_not_the_clients_fault(serve: Serve) -> None:
    server = await serve(**QUICK)
    go_on = asyncio.Event()

    @server.engine.on("connect")
    async def connect(sid: str, environ: Any) -> None:
        await go_on.wait()

    async with (
        await server.connect() as websocket,
        await server.connect() as polling,
        await server.connect() as other,
    ):
        await websocket.send(upgrade_request("/socket.io/"))
        await polling.send(head(OPEN))
        await other.send(head("/waits"))
        await asyncio.sleep(0.5)
        go_on.set()
        assert (await websocket.response_head())[0] == 101
        sid = (await polling.response())[1].split('"')[3]
        await polling.send(head(f"{OPEN}&sid={sid}"))
        await asyncio.sleep(0.5)
        server.engine.send(sid, "late")
        assert (await polling.response())[1] == "4late"
        assert len(server.local.connections) == 3
    assert not server.hits


async def test_deadlines_keep_no_connection(serve: Serve) -> None:
    server = await serve()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(await server.connect())
        for data in (b"GET", head("/page"), head("/page", "Content-Length: 9\r\n", "POST")):
            raw = await stack.enter_async_context(await server.connect())
            await raw.send(data)
        raw = await stack.enter_async_context(await server.connect())
        await raw.send(upgrade_request("/socket.io/"))
        assert (await raw.response_head())[0] == 101
        http: Any = next(each for each in server.local.connections if hasattr(each, "expects"))
        guarding = next(value for value in vars(http).values() if isinstance(value, guard.Guard))
        kinds = (guarding.first_requests, guarding.heads, guarding.bodies)
        await within(until_idle(lambda: [len(kind._items) for kind in kinds] == [1, 1, 1]))
    await server.is_left()
    assert not any(kind._items for kind in kinds)


@pytest.mark.parametrize("end", ["ping timeout", "cut", "client left"])
async def test_half_a_post_ends_with_its_session(serve: Serve, end: str) -> None:
    server = await serve()
    sid = await opened(server)
    session = server.engine.sessions[sid]
    async with await server.connect() as posting, await server.connect() as polling:
        await posting.send(head(f"{OPEN}&sid={sid}", "Content-Length: 9\r\n", "POST") + b"4he")
        await polling.send(head(f"{OPEN}&sid={sid}"))
        transport: Any = session.transport
        await within(until_idle(lambda: transport._posting and transport._poll))
        if end == "client left":
            polling.writer.close()
        elif end == "cut":
            session.cut(end)
        else:
            session.close(end)
        assert await statuses(posting) == [400]
    await server.is_left()
    assert not server.engine.sessions


async def test_half_a_post_of_a_client_that_the_server_disconnects_may_end(serve: Serve) -> None:
    server = await serve()
    sid = await opened(server)
    transport: Any = server.engine.sessions[sid].transport
    async with await server.connect() as raw:
        await raw.send(head(f"{OPEN}&sid={sid}", "Content-Length: 9\r\n", "POST") + b"4he")
        await within(until_idle(lambda: transport._posting))
        await server.engine.disconnect(sid)
        await raw.send(b"llo123")
        assert (await raw.response())[0] == 200


# Upgrades


@pytest.mark.parametrize("path", ["/socket.io/", "/elsewhere"])
async def test_a_websocket_behind_an_unanswered_request_is_refused(
    serve: Serve, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = await serve("httptools")  # h11 reads no request before the one before it is answered
    sid = await opened(server)
    for before in (head("/waits"), head(f"{OPEN}&sid={sid}")):
        async with await server.connect() as raw:
            await raw.send(before)
            await raw.send(upgrade_request(path))
            assert await statuses(raw) == [400]
        await server.is_left()
    assert server.requests[0].left
    assert not server.engine.sessions
    assert len(recorded(caplog, logging.WARNING)) == 2
    assert not errors(caplog)


async def test_a_websocket_behind_an_answered_request_is_opened(serve: Serve) -> None:
    server = await serve()
    async with await server.connect() as raw:
        await raw.send(head(OPEN.replace("EIO=4", "EIO=5")))
        assert (await raw.response())[0] == 400
        await raw.send(upgrade_request("/socket.io/"))
        assert (await raw.response_head())[0] == 101


async def test_h11_opens_a_websocket_when_the_request_before_it_is_answered() -> None:
    async with serving("h11") as server, await server.connect() as raw:
        await raw.send(head("/unread") + upgrade_request("/socket.io/"))
        await within(until_idle(lambda: server.requests))
        server.may_answer.set()
        await within(raw.reader.readuntil(b"0\r\n\r\n"))
        assert (await raw.response_head())[0] == 101


@pytest.mark.parametrize("limit", [HEAD, len(upgrade_request("/socket.io/"))])
@pytest.mark.parametrize("behind", [b"\x81", head()])
async def test_data_behind_a_request_for_a_websocket_is_refused(
    serve: Serve, behind: bytes, limit: int
) -> None:
    server = await serve(max_header_size=limit)
    async with await server.connect() as raw:
        await raw.send(upgrade_request("/socket.io/") + behind)
        assert await statuses(raw) == [400]
    await server.is_left()
    assert not server.engine.sessions
    assert not server.requests


async def test_a_frame_before_the_answer_of_the_connect_handler_ends_the_connection(serve: Serve) -> None:
    server = await serve()
    begun, go_on = asyncio.Event(), asyncio.Event()

    @server.engine.on("connect")
    async def connect(sid: str, environ: Any) -> None:
        begun.set()
        await go_on.wait()

    async with await server.connect() as raw:
        await raw.send(upgrade_request("/socket.io/"))
        await within(begun.wait())
        await raw.send(frame(TEXT, b"4early"))
        with suppress(ConnectionResetError):
            assert await within(raw.reader.read()) == b""
    await server.is_left()
    go_on.set()
    await within(until_idle(lambda: not server.engine.sessions))


@pytest.mark.parametrize("protocol", ["websocket", "h2c"])
async def test_a_request_for_an_upgrade_has_no_body(protocol: str) -> None:
    async with serving("httptools") as server, await server.connect() as raw:
        lines = f"Upgrade: {protocol}\r\nConnection: Upgrade\r\nContent-Length: {len(head())}\r\n"
        await raw.send(head("/page", lines) + head())
        assert await statuses(raw) == [400]
        assert not server.requests


async def test_a_request_behind_one_for_an_unknown_upgrade_is_answered(serve: Serve) -> None:
    server = await serve()
    upgrade = head("/at-once", "Upgrade: h2c\r\nConnection: Upgrade\r\n")
    async with await server.connect() as raw:
        await raw.send(upgrade + upgrade + head("/page", "Connection: close\r\n"))
        assert [body for _, body in await answers(raw)] == ["other /at-once"] * 2 + ["other /page"]


async def test_a_request_behind_one_for_a_refused_websocket_is_not_read(serve: Serve) -> None:
    server = await serve()
    async with await server.connect() as raw:
        await raw.send(upgrade_request("/socket.io/", {"EIO": "3"}))
        await raw.send(head())
        assert await statuses(raw) == [400]
    assert not server.requests


# Broken bodies


@pytest.mark.parametrize("pieces", [1, 2])
@pytest.mark.parametrize("lines", [CHUNKED, CHUNKED + "Expect: 100-continue\r\n"], ids=["", "expecting"])
async def test_a_get_whose_body_is_broken_opens_no_session(serve: Serve, lines: str, pieces: int) -> None:
    server = await serve()
    start, broken = head(OPEN, lines), b"no size\r\n"
    async with await server.connect() as raw:
        for data in [start + broken] if pieces == 1 else [start, broken]:
            await raw.send(data)
            await asyncio.sleep(0.01)
        assert [status for status in await statuses(raw) if status != 100] == [400]
    await server.is_left()
    assert not server.engine.sessions


async def test_a_get_whose_body_never_comes_opens_no_session(serve: Serve) -> None:
    server = await serve(**QUICK)
    async with await server.connect() as raw:
        await raw.send(head(OPEN, "Content-Length: 9\r\n"))
        assert await statuses(raw) == [408]
    assert not server.engine.sessions


async def test_a_get_with_a_body_opens_a_session(serve: Serve) -> None:
    server = await serve()
    async with await server.connect() as raw:
        await raw.send_slowly(head(OPEN, "Content-Length: 3\r\n") + b"abc")
        assert (await raw.response())[0] == 200
    assert len(server.engine.sessions) == 1


async def test_a_get_with_a_body_over_the_limit_is_refused(serve: Serve) -> None:
    server = await serve(max_http_buffer_size=1000)
    async with await server.connect() as raw:
        await raw.send(head(OPEN, CHUNKED) + b"%x\r\n%s\r\n" % (1001, b"x" * 1001))
        assert (await raw.response_head())[0] == 413
    assert not server.engine.sessions


async def test_a_post_whose_body_is_broken_says_nothing(serve: Serve) -> None:
    server = await serve()
    messages: list[Any] = []
    server.engine.on("message", lambda sid, data: messages.append(data))
    sid = await opened(server)
    async with await server.connect() as raw:
        await raw.send(head(f"{OPEN}&sid={sid}", CHUNKED, "POST") + b"2\r\n4x\r\nno size\r\n")
        assert await statuses(raw) == [400]
    await server.is_left()
    async with await server.connect() as raw:
        await raw.send(head(f"{OPEN}&sid={sid}", "Content-Length: 5\r\n", "POST") + b"4well")
        assert (await raw.response())[1] == "ok"
    assert messages == ["well"]

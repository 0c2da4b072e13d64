"""Polling served the direct way: which requests it takes from uvicorn, and that clients see no difference."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import pytest
from uvicorn.logging import AccessFormatter

from asyncsock import ASGIApp
from asyncsock.engine import EngineServer
from asyncsock.uvicorn.access_log import FORMAT, MESSAGE, AccessLog, QuickAccessFormatter
from asyncsock.uvicorn.httptools import HTTPToolsConnection
from tests.support.asgi_in_process import other
from tests.support.raw_clients import RawSocket, within
from tests.support.socketio_in_process import until
from tests.support.uvicorn_in_process import Local, running

QUERY = "EIO=4&transport=polling"


class Watched(ASGIApp):
    """Remembers the requests that reach it as ASGI scopes."""

    scopes: list[str]


@pytest.fixture
def engine() -> EngineServer:
    server = EngineServer(max_http_buffer_size=100_000)

    @server.on("message")
    async def message(sid: str, data: Any) -> None:
        await server.send(sid, data)

    return server


@pytest.fixture
def app(engine: EngineServer, monkeypatch: pytest.MonkeyPatch) -> Watched:
    app = Watched(engine, other)
    app.scopes = []
    serve = ASGIApp.__call__

    async def watch(self: ASGIApp, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            app.scopes.append(f"{scope['type']} {scope['method']} {scope['path']}")
        await serve(self, scope, receive, send)

    # Not a method of the subclass, which would have to see every request.
    monkeypatch.setattr(ASGIApp, "__call__", watch)
    return app


@pytest.fixture
async def local(app: Watched) -> AsyncIterator[Local]:
    async with running(app) as local:
        yield local


@pytest.fixture
async def raw(local: Local) -> AsyncIterator[RawSocket]:
    async with await RawSocket.connect(local) as raw:  # type: ignore[arg-type]
        yield raw


def request(
    method: str, sid: str | None = None, body: str | None = None, version: str = "1.1", **headers: str
) -> bytes:
    """A polling request; underscores in the names of headers become hyphens."""
    lines = [f"{method} /socket.io/?{QUERY}{f'&sid={sid}' if sid else ''} HTTP/{version}", "Host: 127.0.0.1"]
    if body is not None and "transfer_encoding" not in headers:
        lines.append(f"Content-Length: {len(body)}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", body or ""]).encode()


async def response(raw: RawSocket) -> tuple[int, dict[str, str], str]:
    """The status, headers and body of a response, whole or in chunks."""
    status, headers = await raw.response_head()
    if "content-length" in headers:
        body = await within(raw.reader.readexactly(int(headers["content-length"])))
    else:
        body = b""
        while size := int(await within(raw.reader.readline()), 16):
            body += (await within(raw.reader.readexactly(size + 2)))[:-2]
        await within(raw.reader.readline())
    return status, headers, body.decode()


async def opened(raw: RawSocket) -> str:
    """Open a session and return its sid."""
    await raw.send(request("GET"))
    status, _, body = await response(raw)
    assert status == 200, body
    return body.split('"')[3]


async def ended(engine: EngineServer, sid: str) -> None:
    """Wait until the server has forgotten a session."""
    while sid in engine.sessions:
        await asyncio.sleep(0.001)


async def at_its_end(raw: RawSocket) -> bool:
    return await within(raw.reader.read()) == b""


# What it takes


async def test_polling_requests_make_no_asgi_scope(app: Watched, raw: RawSocket) -> None:
    sid = await opened(raw)
    await raw.send(request("POST", sid, "4hello"))
    assert (await response(raw))[2] == "ok"
    await raw.send(request("GET", sid))
    assert (await response(raw))[2] == "4hello"
    await raw.send(request("OPTIONS"))
    assert (await response(raw))[2] == "OK"
    await raw.send(request("GET", "unknown"))
    assert (await response(raw))[0] == 400
    assert app.scopes == []


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (request("HEAD"), 400),
        (request("PUT"), 400),
        (request("GET", version="1.0"), 200),
        (request("GET", Upgrade="h2c", Connection="Upgrade"), 200),
    ],
    ids=["HEAD", "PUT", "HTTP/1.0", "another upgrade"],
)
async def test_unusual_requests_go_through_asgi(
    app: Watched, raw: RawSocket, head: bytes, status: int
) -> None:
    await raw.send(head)
    assert (await raw.response_head())[0] == status
    assert len(app.scopes) == 1


async def test_a_body_that_waits_for_100_continue_goes_through_asgi(app: Watched, raw: RawSocket) -> None:
    sid = await opened(raw)
    head = request("POST", sid, "4hello", Expect="100-continue").removesuffix(b"4hello")
    await raw.send(head)
    assert await within(raw.reader.readuntil(b"\r\n\r\n")) == b"HTTP/1.1 100 Continue\r\n\r\n"
    await raw.send(b"4hello")
    assert (await response(raw))[2] == "ok"
    assert app.scopes == ["http POST /socket.io/"]


async def test_a_wrapped_application_gets_the_polling_requests(app: Watched) -> None:
    async def wrapper(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    async with running(wrapper) as local, await RawSocket.connect(local) as raw:  # type: ignore[arg-type]
        await opened(raw)
    assert app.scopes == ["http GET /socket.io/"]


async def test_h11_hands_polling_requests_to_asgi_and_takes_websockets_the_direct_way(app: Watched) -> None:
    async with running(app, http="h11") as local:
        async with await RawSocket.connect(local) as raw:  # type: ignore[arg-type]
            await opened(raw)
        async with await RawSocket.websocket(local, "/socket.io/"):  # type: ignore[arg-type]
            assert app.scopes == ["http GET /socket.io/"]


async def test_a_static_file_on_the_engines_path_wins(engine: EngineServer, tmp_path: Any) -> None:
    (tmp_path / "client.js").write_text("the client")
    app = ASGIApp(engine, static_files={"/socket.io/client.js": str(tmp_path / "client.js")})
    async with running(app) as local, await RawSocket.connect(local) as raw:  # type: ignore[arg-type]
        await raw.send(b"GET /socket.io/client.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert (await response(raw))[2] == "the client"
        await opened(raw)


async def test_a_concurrency_limit_holds(app: Watched) -> None:
    async with (
        running(app, limit_concurrency=2) as local,
        await RawSocket.connect(local) as first,  # type: ignore[arg-type]
    ):
        await opened(first)
        async with await RawSocket.connect(local) as second:  # type: ignore[arg-type]
            await second.send(request("GET"))
            assert (await response(second))[0] == 503


# Connections


async def test_engine_and_other_requests_share_a_connection(app: Watched, raw: RawSocket) -> None:
    sid = await opened(raw)
    page = b"GET /page HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    for text in ("one", "two"):
        await raw.send(page)
        assert (await response(raw))[2] == "other /page"
        await raw.send(request("POST", sid, f"4{text}"))
        assert (await response(raw))[2] == "ok"
        await raw.send(request("GET", sid))
        assert (await response(raw))[2] == f"4{text}"
    assert app.scopes == ["http GET /page"] * 2


async def test_pipelined_requests_are_answered_in_order(raw: RawSocket) -> None:
    sid = await opened(raw)
    page = b"GET /page HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    await raw.send(
        request("POST", sid, "4one") + page + request("POST", sid, "4two") + page + request("GET", sid)
    )
    bodies = [(await response(raw))[2] for _ in range(5)]
    assert bodies == ["ok", "other /page", "ok", "other /page", "4one\x1e4two"]


async def test_a_request_behind_a_hanging_poll_waits_for_it(engine: EngineServer, raw: RawSocket) -> None:
    sid = await opened(raw)
    await raw.send(request("GET", sid) + request("POST", sid, "4hello"))
    while not engine.sessions[sid].transport._poll:  # type: ignore[attr-defined]
        await asyncio.sleep(0.001)
    engine.send(sid, "from the server")
    assert (await response(raw))[2] == "4from the server"
    assert (await response(raw))[2] == "ok"


async def test_a_body_arrives_in_chunks_and_pieces(raw: RawSocket) -> None:
    sid = await opened(raw)
    head = request("POST", sid, transfer_encoding="chunked")
    await raw.send_slowly(head + b"3\r\n4he\r\n3\r\nllo\r\n0\r\n\r\n")
    assert (await response(raw))[2] == "ok"
    await raw.send(request("GET", sid))
    assert (await response(raw))[2] == "4hello"


def http_objects() -> list[HTTPToolsConnection]:
    return [each for each in gc.get_objects() if isinstance(each, HTTPToolsConnection)]


async def test_a_websocket_leaves_nothing_of_its_http_request_behind(local: Local) -> None:
    async with await RawSocket.websocket(local, "/socket.io/"):  # type: ignore[arg-type]
        gc.collect()
        gc.disable()
        try:
            earlier = http_objects()
            async with await RawSocket.websocket(local, "/socket.io/"):  # type: ignore[arg-type]
                while any(
                    each not in earlier for each in http_objects()
                ):  # until the callbacks have returned
                    await asyncio.sleep(0.01)
        finally:
            gc.enable()


async def test_connection_close_is_said_and_done(raw: RawSocket) -> None:
    await raw.send(request("GET", Connection="close"))
    status, headers, _ = await response(raw)
    assert (status, headers["connection"]) == (200, "close")
    assert await at_its_end(raw)


async def test_a_connection_that_is_not_used_is_closed(app: Watched) -> None:
    async with (
        running(app, timeout_keep_alive=1) as local,
        await RawSocket.connect(local) as raw,  # type: ignore[arg-type]
    ):
        await opened(raw)
        assert await at_its_end(raw)


async def test_a_hanging_poll_outlives_the_keep_alive_timeout(app: Watched, engine: EngineServer) -> None:
    async with (
        running(app, timeout_keep_alive=1) as local,
        await RawSocket.connect(local) as raw,  # type: ignore[arg-type]
    ):
        sid = await opened(raw)
        await raw.send(request("GET", sid))
        await asyncio.sleep(1.2)
        engine.send(sid, "late")
        assert (await response(raw))[2] == "4late"


async def test_garbage_after_a_request_ends_the_connection(engine: EngineServer, raw: RawSocket) -> None:
    sid = await opened(raw)
    await raw.send(request("GET", sid) + b"\x00garbage\r\n\r\n")
    assert (await response(raw))[0] == 400
    assert await at_its_end(raw)
    await within(ended(engine, sid))


# Bodies over the limit


async def test_a_body_that_says_it_is_over_the_limit_is_refused_unread(
    engine: EngineServer, raw: RawSocket
) -> None:
    sid = await opened(raw)
    head = request("POST", sid, "4" + "x" * 100_000)
    await raw.send(head[: head.index(b"\r\n\r\n") + 4])
    assert (await response(raw))[0] == 413
    await within(ended(engine, sid))


async def test_a_body_that_grows_over_the_limit_is_refused(engine: EngineServer, raw: RawSocket) -> None:
    sid = await opened(raw)
    await raw.send(request("POST", sid, transfer_encoding="chunked"))
    for _ in range(11):
        await raw.send(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
    assert (await response(raw))[0] == 413
    await within(ended(engine, sid))
    await raw.send(b"0\r\n\r\n" + request("OPTIONS"))
    assert (await response(raw))[2] == "OK"


# Clients that leave


async def test_a_client_that_leaves_its_poll_ends_the_session(engine: EngineServer, raw: RawSocket) -> None:
    reasons: asyncio.Queue[str] = asyncio.Queue()
    engine.on("disconnect", lambda sid, reason: reasons.put_nowait(reason))
    sid = await opened(raw)
    await raw.send(request("GET", sid))
    raw.writer.close()
    assert await within(reasons.get()) == engine.reason.TRANSPORT_CLOSE


async def test_a_client_that_leaves_in_its_post_may_post_again(
    engine: EngineServer, local: Local, raw: RawSocket
) -> None:
    async with await RawSocket.connect(local) as posting:  # type: ignore[arg-type]
        sid = await opened(raw)
        await posting.send(request("POST", sid, "4hello")[:-2])
        transport: Any = engine.sessions[sid].transport
        await within(until(lambda: transport._posting))
    await within(until(lambda: len(local.connections) == 1))
    await raw.send(request("POST", sid, "4hello"))
    assert (await response(raw))[2] == "ok"


# Connect handlers


async def test_a_coroutine_decides_who_connects(engine: EngineServer, app: Watched, raw: RawSocket) -> None:
    @engine.on("connect")
    async def connect(sid: str, environ: Any) -> Any:
        await asyncio.sleep(0)
        return "wrong colour" if environ["HTTP_COLOUR"] == "red" else None

    await raw.send(request("GET", Colour="red"))
    status, _, body = await response(raw)
    assert (status, body) == (401, '{"code":4,"message":"wrong colour"}')
    await raw.send(request("GET", Colour="blue"))
    assert (await response(raw))[0] == 200
    assert app.scopes == []


async def test_a_session_whose_client_left_during_the_connect_handler_ends(
    engine: EngineServer, local: Local, raw: RawSocket
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    reasons: asyncio.Queue[str] = asyncio.Queue()
    engine.on("disconnect", lambda sid, reason: reasons.put_nowait(reason))

    @engine.on("connect")
    async def connect(sid: str, environ: Any) -> None:
        begun.set()
        await go_on.wait()

    await raw.send(request("GET"))
    await within(begun.wait())
    raw.writer.close()
    await within(until(lambda: not local.connections))
    go_on.set()
    assert await within(reasons.get()) == engine.reason.TRANSPORT_CLOSE


async def test_an_error_of_ours_is_answered_with_500(raw: RawSocket, engine: EngineServer) -> None:
    engine.generate_id = lambda: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    await raw.send(request("GET"))
    status, headers, _ = await response(raw)
    assert (status, headers["connection"]) == (500, "close")


# What uvicorn adds


@pytest.mark.parametrize("http", ["httptools", "h11"])
async def test_uvicorns_headers_come_first(app: Watched, http: str) -> None:
    options: Any = {"http": http, "headers": [("X-From", "uvicorn")]}
    async with running(app, **options) as local, await RawSocket.connect(local) as raw:  # type: ignore[arg-type]
        await raw.send(request("OPTIONS", Origin="http://127.0.0.1"))
        _, headers, _ = await response(raw)
    assert list(headers) == [
        *("date", "server", "x-from"),
        *("content-type", "content-length", "cache-control"),
        *("access-control-allow-origin", "vary", "access-control-allow-credentials"),
        "access-control-allow-methods",
    ]


@pytest.mark.parametrize(
    "headers", [{}, {"X_Forwarded_For": "203.0.113.7"}], ids=["direct", "behind a proxy"]
)
async def test_the_access_log_is_uvicorns(
    app: Watched, caplog: pytest.LogCaptureFixture, headers: dict[str, str]
) -> None:
    async def wrapper(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    async def logged(served: Any) -> list[tuple[Any, ...]]:
        """What is logged of two requests, with the client's port left out."""
        caplog.clear()
        async with running(served) as local, await RawSocket.connect(local) as raw:  # type: ignore[arg-type]
            port = str(raw.writer.get_extra_info("sockname")[1])
            for target in (b"/socket.io/", b"/socket.io/%C5%BE%20"):
                await raw.send(request("GET", "a%20?&b", **headers).replace(b"/socket.io/", target))
                await response(raw)
        return [
            (record.name, record.levelno, record.msg, str(record.args).replace(port, "port"))
            for record in caplog.records
            if record.name == "uvicorn.access"
        ]

    with caplog.at_level(logging.INFO, "uvicorn.access"):
        ours, uvicorns = await logged(app), await logged(wrapper)
    assert len(app.scopes) == 2
    assert len(ours) == 2
    assert ours == uvicorns


def test_each_access_record_has_what_a_new_one_has(caplog: pytest.LogCaptureFixture) -> None:
    log = AccessLog()
    with caplog.at_level(logging.INFO, "uvicorn.access"):
        for status in (200, 404):
            before = logging.makeLogRecord({})
            log("127.0.0.1:5000", "GET", "/", status)
            after = logging.makeLogRecord({})
            ours = caplog.records[-1]
            assert ours.getMessage() == f'127.0.0.1:5000 - "GET / HTTP/1.1" {status}'
            assert vars(ours).keys() - {"message", "asctime"} == vars(after).keys()
            for name in ("thread", "threadName", "process", "processName", "exc_info", "stack_info"):
                assert getattr(ours, name) == getattr(after, name)
            assert before.created <= ours.created <= after.created
            assert int(ours.msecs) == int(ours.created % 1 * 1000)
            assert before.relativeCreated - 1 <= ours.relativeCreated <= after.relativeCreated + 1
            assert (ours.module, ours.levelname) == ("access_log", "INFO")


def test_a_record_factory_of_the_program_makes_each_access_record(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = count()

    def numbered(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = logging.LogRecord(*args, **kwargs)
        record.number = next(numbers)
        return record

    log = AccessLog()
    monkeypatch.setattr(logging, "_logRecordFactory", numbered)
    with caplog.at_level(logging.INFO, "uvicorn.access"):
        for _ in range(2):
            log("127.0.0.1:5000", "GET", "/", 200)
    assert [record.number for record in caplog.records] == [0, 1]  # type: ignore[attr-defined]


@pytest.mark.parametrize("colours", [True, False])
@pytest.mark.parametrize("status", [200, 404, 599])
def test_the_quick_formatter_writes_uvicorns_lines(colours: bool, status: int) -> None:
    uvicorns = AccessFormatter(FORMAT, use_colors=colours)
    arguments = ("127.0.0.1:5000", "GET", "/a%20b?c=%25", "1.1", status)
    record = logging.LogRecord("uvicorn.access", logging.INFO, "", 0, MESSAGE, arguments, None)
    assert QuickAccessFormatter(uvicorns).format(record) == uvicorns.format(record)

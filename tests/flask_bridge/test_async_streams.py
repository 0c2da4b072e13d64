"""Answers whose body is an asynchronous iterator: sent from the event loop, with no thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from flask import Flask, Response
from werkzeug.debug import DebuggedApplication

from asyncsock import SocketIO
from tests.support.log_records import errors
from tests.support.raw_clients import RawSocket, within
from tests.support.uvicorn_in_process import Local, running

Body = Callable[[], Any]


class Streams:
    """An application that answers with a stream at ``/``, and what becomes of that."""

    def __init__(self, body: Body, length: int | None = None, **options: Any) -> None:
        self.app = Flask("app")
        self.socketio = SocketIO(self.app, **options)
        self.body = body
        self.headers = {} if length is None else {"Content-Length": str(length)}
        self.app.add_url_rule("/", view_func=self.view, methods=["GET", "POST"])
        self.app.add_url_rule("/page", view_func=lambda: "page")

    async def view(self) -> Response:
        return Response(
            self.body(), mimetype="text/event-stream", headers=self.headers, direct_passthrough=True
        )

    @property
    def flask_app(self) -> Any:
        return self.socketio.asgi_app.other_asgi_app

    @asynccontextmanager
    async def served(self, **options: Any) -> AsyncIterator[tuple[Local, httpx.AsyncClient]]:
        async with running(self.socketio.asgi_app, **options) as local:
            async with httpx.AsyncClient(base_url=local.url, trust_env=False, timeout=20) as http:
                yield local, http

    async def all_threads_are_free(self) -> None:
        async def wait() -> None:
            while self.flask_app.pool.load() != (0, 0):
                await asyncio.sleep(0.001)

        await within(wait())


class Source:
    """A body that a test gives out, and whether it has been closed."""

    def __init__(self) -> None:
        self.chunks: asyncio.Queue[Any] = asyncio.Queue()
        self.asked = 0
        self.closed = asyncio.Event()

    async def __call__(self) -> AsyncIterator[Any]:
        try:
            while (chunk := await self.chunks.get()) is not None:
                if isinstance(chunk, BaseException):
                    raise chunk
                self.asked += 1
                yield chunk
        finally:
            await asyncio.sleep(0)
            self.closed.set()


async def until_full(local: Local) -> None:
    """Wait until a connection takes no more of an answer."""
    while not any(each.flow.write_paused for each in local.connections if hasattr(each, "flow")):
        await asyncio.sleep(0.001)
    await asyncio.sleep(0)


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.mark.parametrize("protocol", ["httptools", "h11"])
async def test_each_chunk_arrives_when_it_is_made_as_bytes_or_text(source: Source, protocol: str) -> None:
    async with Streams(source).served(http=protocol) as (_, http), http.stream("GET", "/") as answer:
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        chunks = answer.aiter_bytes()
        for chunk in (b"one", "zwölf", bytes(range(256))):
            source.chunks.put_nowait(chunk)
            assert await within(anext(chunks)) == (chunk.encode() if isinstance(chunk, str) else chunk)
        source.chunks.put_nowait(None)
        assert [chunk async for chunk in chunks] == []
        assert source.closed.is_set()


async def test_streams_that_wait_take_no_thread(source: Source) -> None:
    streams = Streams(source, view_threads=1)
    async with streams.served() as (local, http):
        open_streams = [await RawSocket.connect(local) for _ in range(5)]
        for raw in open_streams:
            await raw.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await raw.response_head())[0] == 200  # at once, though the body has not begun
        await streams.all_threads_are_free()
        assert (await http.get("/page")).text == "page"
        for raw in open_streams:
            raw.writer.close()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_client_that_leaves_closes_the_stream_while_it_waits(source: Source, method: str) -> None:
    async with Streams(source).served() as (local, _):
        raw = await RawSocket.connect(local)
        length = 1_000_000 if method == "POST" else 0  # a body that nobody reads
        await raw.send(f"{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n".encode())
        await raw.send(bytes(length))
        assert (await raw.response_head())[0] == 200
        raw.writer.close()
        await within(source.closed.wait())


async def test_a_client_that_does_not_read_stops_the_stream_and_closes_it_when_it_leaves(
    source: Source,
) -> None:
    for _ in range(100):
        source.chunks.put_nowait(bytes(1_000_000))
    async with Streams(source).served() as (local, http):
        raw = await RawSocket.connect(local)
        await raw.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await within(until_full(local))
        asked = source.asked
        assert (await http.get("/page")).text == "page"
        assert asked == source.asked < 100
        raw.writer.close()
        await within(source.closed.wait())


@pytest.mark.parametrize("error", [ValueError("a fault"), SystemExit("a fault"), ConnectionError("a fault")])
async def test_an_error_breaks_the_connection_off_and_is_logged(
    source: Source, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    async with Streams(source).served() as (_, http):
        for chunk in (b"some of it", error):
            source.chunks.put_nowait(chunk)
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get("/")
        assert (await http.get("/page")).text == "page"
    [logged] = errors(caplog)
    assert repr(error) in logged


async def test_head_begins_no_stream(source: Source) -> None:
    async with Streams(source).served() as (_, http):
        assert (await http.head("/")).status_code == 200
        assert (await http.get("/page")).text == "page"
    assert not source.closed.is_set()


@pytest.mark.parametrize("chunks", [[b"1234567890"], [b"12345", b"67890abc", b"never asked for"]])
async def test_a_stream_ends_at_its_content_length(source: Source, chunks: list[bytes]) -> None:
    for chunk in chunks:
        source.chunks.put_nowait(chunk)
    async with Streams(source, length=10).served() as (_, http):
        assert (await http.get("/")).text == "1234567890"
        await within(source.closed.wait())
    assert source.chunks.qsize() == (len(chunks) > 1)


async def test_a_stream_short_of_its_content_length_breaks_the_connection_off(
    source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    for chunk in (b"12345", None):
        source.chunks.put_nowait(chunk)
    async with Streams(source, length=10).served() as (_, http):
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get("/")
    assert "5 bytes short of its Content-Length" in caplog.text


class Countdown:
    """An asynchronous iterator that is no generator."""

    def __init__(self) -> None:
        self.left = 3

    def __aiter__(self) -> Countdown:
        return self

    async def __anext__(self) -> str:
        if not self.left:
            raise StopAsyncIteration
        self.left -= 1
        return str(self.left)


async def test_any_asynchronous_iterator_is_streamed() -> None:
    async with Streams(Countdown).served() as (_, http):
        assert (await http.get("/")).text == "210"


@pytest.mark.parametrize(
    "middleware",
    [DebuggedApplication, lambda app: lambda *arguments: list(app(*arguments))],
    ids=["debugger", "list"],
)
async def test_a_stream_passes_middleware_that_iterates(middleware: Callable[[Any], Any]) -> None:
    streams = Streams(Countdown)
    streams.flask_app.wsgi_app = middleware(streams.app)
    async with streams.served() as (_, http):
        assert (await http.get("/")).text == "210"


async def test_a_server_that_stops_cancels_the_stream(source: Source) -> None:
    async with Streams(source).served(timeout_graceful_shutdown=0) as (local, _):
        raw = await RawSocket.connect(local)
        await raw.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await raw.response_head())[0] == 200
    await within(source.closed.wait())
    raw.writer.close()

"""Heads and URLs that are too large or never end: one clear answer, and a closed connection."""

from __future__ import annotations

import asyncio
import logging
import re

import pytest

from tests.support.guarded_servers import (
    CHUNKED,
    HEAD,
    OPEN,
    URL,
    Serve,
    connected,
    head,
    head_of,
    serving,
    statuses,
    until_idle,
)
from tests.support.log_records import errors, recorded
from tests.support.raw_clients import upgrade_request, within
from tests.support.simulated_transports import AsyncioTransport


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

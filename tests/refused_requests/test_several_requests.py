"""Requests that arrive before earlier ones are answered."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.guarded_servers import (
    CHUNKED,
    Serve,
    answers,
    connected,
    head,
    head_of,
    parsed,
    serving,
    until_idle,
)
from tests.support.log_records import errors
from tests.support.raw_clients import within
from tests.support.simulated_transports import AsyncioTransport, UvloopTransport


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


async def test_all_unanswered_requests_learn_that_their_client_has_left() -> None:
    async with serving("httptools") as server:
        async with await server.connect() as raw:
            await raw.send(head("/waits") + head("/waits"))
            await within(until_idle(lambda: server.requests))
        await within(until_idle(lambda: server.requests[0].left))


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

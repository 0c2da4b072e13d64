"""Clients that send too slowly: one clear answer or none, a closed connection, nothing kept."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import Any

import pytest

from asyncsock.uvicorn import guard
from tests.support.guarded_servers import (
    CHUNKED,
    OPEN,
    QUICK,
    Serve,
    answers,
    connected,
    head,
    opened,
    serving,
    statuses,
    until_idle,
)
from tests.support.log_records import recorded
from tests.support.raw_clients import upgrade_request, within


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

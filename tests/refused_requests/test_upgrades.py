"""Requests for WebSockets and other upgrades, and what is around them."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any

import pytest

from tests.support.guarded_servers import (
    HEAD,
    OPEN,
    Serve,
    answers,
    head,
    opened,
    serving,
    statuses,
    until_idle,
)
from tests.support.log_records import errors, recorded
from tests.support.raw_clients import TEXT, frame, upgrade_request, within


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

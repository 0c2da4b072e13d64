"""WebSockets that reach the owner of their session through another worker."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from unittest import mock

import pytest

from asyncsock.engine import EngineServer
from asyncsock.workers.workers import Worker
from tests.support.log_records import errors, recorded
from tests.support.raw_clients import CLOSE, Polling, RawSocket, frame, upgrade_request
from tests.support.uvicorn_in_process import Local
from tests.support.workers_in_process import files_at_rest, group, open_files, opened, until, workers_of

TEXT, BINARY = 0x1, 0x2


@pytest.fixture(params=["httptools", "plain ASGI"])
def door(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@asynccontextmanager
async def two(door: str) -> AsyncIterator[tuple[EngineServer, EngineServer, Local, Local]]:
    """Two workers, of which none takes connections: WebSockets go through tunnels."""
    near, far = EngineServer(), EngineServer()

    @far.on("message")
    def message(sid: str, data: Any) -> None:
        far.send(sid, data)

    with tunnels():
        async with group(near, far, door=door) as (here, there):
            yield near, far, here, there


def tunnels() -> Any:
    return mock.patch.object(Worker, "take_connection", return_value=False)


async def upgraded(local: Any, sid: str) -> RawSocket:
    """A session's WebSocket, to which it has moved."""
    raw = await RawSocket.connect(local)
    await raw.send(upgrade_request("/engine.io/", {"sid": sid}))
    assert (await raw.response_head())[0] == 101
    await raw.send(frame(TEXT, b"2probe"))
    assert await raw.read_frame() == (TEXT, b"3probe")
    await raw.send(frame(TEXT, b"5"))
    return raw


async def test_messages_of_all_sizes_go_each_way(door: str) -> None:
    async with two(door) as (near, _, here, there), await upgraded(here, await opened(there)) as raw:
        for size in (1, 200, 70_000, 900_000):
            await raw.send(frame(TEXT, b"4" + b"x" * size))
            assert await raw.read_frame() == (TEXT, b"4" + b"x" * size)
            await raw.send(frame(BINARY, bytes(size)))
            assert await raw.read_frame() == (BINARY, bytes(size))
        assert (workers_of(near).relayed, workers_of(near).handed_over) == (1, 0)


async def test_a_message_over_the_limit_closes_as_at_the_owner(door: str) -> None:
    codes = []
    for through in ("here", "there"):
        async with two(door) as (_, _, here, there):
            async with await upgraded(here if through == "here" else there, await opened(there)) as raw:
                await raw.send(frame(BINARY, bytes(2_000_000)))
                codes.append(await raw.close_code())
    assert codes == [1009, 1009]


async def test_a_client_that_leaves_ends_its_session_and_leaves_nothing(
    door: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with two(door) as (_, far, here, there):
        sid = await opened(there)
        files = await files_at_rest(here, there)
        async with await upgraded(here, sid):
            await until(lambda: far.transport(sid) == "websocket")
        await until(lambda: sid not in far.sessions)
        await until(lambda: not (here.connections or workers_of(far).websockets))
        await until(lambda: open_files() <= files)
    gc.collect()
    assert errors(caplog) == []


@pytest.mark.parametrize("how", ["the server", "the client"])
async def test_a_close_frame_goes_through(door: str, how: str, caplog: pytest.LogCaptureFixture) -> None:
    async with two(door) as (_, far, here, there):
        sid = await opened(there)
        async with await upgraded(here, sid) as raw:
            await until(lambda: far.transport(sid) == "websocket")
            if how == "the server":
                await far.disconnect(sid)
            else:
                await raw.send(frame(CLOSE, b"\x03\xe8"))
            assert await raw.close_code() == 1000
        await until(lambda: sid not in far.sessions)
    gc.collect()
    assert errors(caplog) == []


async def test_the_end_of_the_owner_closes_the_websocket(door: str, caplog: pytest.LogCaptureFixture) -> None:
    async with two(door) as (_, far, here, there):
        sid = await opened(there)
        async with await upgraded(here, sid) as raw:
            await until(lambda: far.transport(sid) == "websocket")
            (websocket,) = workers_of(far).websockets
            websocket._transport.abort()  # as the kernel does for a process that was killed
            assert await raw.close_code() in (None, 1012)
        await until(lambda: not here.connections)
    gc.collect()
    assert errors(caplog) == []
    assert recorded(caplog, logging.ERROR) == []


async def test_a_worker_that_stops_closes_its_sessions_at_others_properly(
    door: str, caplog: pytest.LogCaptureFixture
) -> None:
    near, far = EngineServer(), EngineServer()
    async with AsyncExitStack() as stack:
        stack.enter_context(tunnels())
        here, there = await stack.enter_async_context(group(near, far, door=door))
        async with Polling(here) as client:
            client.sid, sid = await opened(there), await opened(there)
            waiting = asyncio.ensure_future(client.get())
            await until(lambda: any(each.serving for each in workers_of(far).incoming))
            async with await upgraded(here, sid) as raw:
                await until(lambda: far.transport(sid) == "websocket")
                await far.shutdown()
                assert (await waiting).text == "1"
                assert await raw.close_code() == 1012
    gc.collect()
    assert errors(caplog) == []


async def test_a_websocket_of_an_unknown_session_is_refused_with_one_line(
    door: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with two(door) as (_, far, here, _):
        async with await RawSocket.connect(here) as raw:  # type: ignore[arg-type]
            sid = workers_of(far).name + "0" * 20
            await raw.send(upgrade_request("/engine.io/", {"sid": sid}))
            assert (await raw.response_head())[0] in (400, 403)
        assert len([line for line in recorded(caplog, logging.WARNING) if "refused" in line]) == 1

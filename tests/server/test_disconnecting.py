"""Disconnecting: the reasons, the disconnect handler, and coming again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from asyncsock import AsyncServer
from tests.support.asgi_in_process import Closed
from tests.support.log_records import errors
from tests.support.raw_clients import within
from tests.support.socketio_in_process import connected, until


@pytest.fixture
def reasons(any_server: AsyncServer) -> asyncio.Queue[str]:
    """Why clients of `any_server` left."""
    queue: asyncio.Queue[str] = asyncio.Queue()
    any_server.on("disconnect", lambda sid, reason: queue.put_nowait(reason))
    return queue


async def test_a_client_that_disconnects_is_a_client_disconnect(
    any_server: AsyncServer, reasons: asyncio.Queue[str]
) -> None:
    async with connected(any_server) as client:
        client.send("41")
        assert await within(reasons.get()) == any_server.reason.CLIENT_DISCONNECT == "client disconnect"


async def test_a_client_that_closes_its_session_is_a_client_disconnect(
    any_server: AsyncServer, reasons: asyncio.Queue[str]
) -> None:
    async with connected(any_server) as client:
        client.send("1")
        assert await within(reasons.get()) == "client disconnect"


async def test_a_connection_that_breaks_off_is_a_transport_close(
    any_server: AsyncServer, reasons: asyncio.Queue[str]
) -> None:
    async with connected(any_server) as client:
        await client.leave()
        assert await within(reasons.get()) == any_server.reason.TRANSPORT_CLOSE == "transport close"


async def test_a_client_that_breaks_the_protocol_is_a_transport_error(
    any_server: AsyncServer, reasons: asyncio.Queue[str]
) -> None:
    async with connected(any_server) as client:
        client.send("4?")
        assert await within(reasons.get()) == any_server.reason.TRANSPORT_ERROR == "transport error"


async def test_a_client_that_the_server_disconnects_is_a_server_disconnect(
    any_server: AsyncServer, reasons: asyncio.Queue[str]
) -> None:
    async with connected(any_server) as client:
        await any_server.disconnect(client.sid)
        assert await within(reasons.get()) == any_server.reason.SERVER_DISCONNECT == "server disconnect"
        assert await client.receive() == "41"


async def test_a_server_that_stops_is_a_server_disconnect(
    any_server: AsyncServer, reasons: asyncio.Queue[str]
) -> None:
    async with connected(any_server):
        await within(any_server.shutdown())
        assert await within(reasons.get()) == "server disconnect"


async def test_a_client_that_answers_no_ping_is_a_ping_timeout() -> None:
    server = AsyncServer(ping_interval=0.02, ping_timeout=0.02)
    reason: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    server.on("disconnect", lambda sid, why: reason.set_result(why))
    async with connected(server):
        assert await within(reason) == server.reason.PING_TIMEOUT == "ping timeout"


async def test_awaiting_disconnect_waits_for_the_disconnect_handler(any_server: AsyncServer) -> None:
    ended: list[str] = []

    @any_server.event
    async def disconnect(sid: str) -> None:
        await asyncio.sleep(0.01)
        ended.append(sid)

    async with connected(any_server) as client:
        await any_server.disconnect(client.sid)
        assert ended == [client.sid]


async def test_disconnect_sends_what_was_sent_before(any_server: AsyncServer) -> None:
    async with connected(any_server) as client:
        await any_server.emit("bye", to=client.sid)
        await any_server.disconnect(client.sid)
        assert [await client.receive() for _ in range(2)] == ['42["bye"]', "41"]


async def test_a_session_that_ends_still_sends_what_was_sent_before(server: AsyncServer) -> None:
    async with connected(server) as client:
        server.emit("bye", to=client.sid)
        await server.eio.disconnect(client.eio_sid)
        assert await client.receive() == '42["bye"]'
        with pytest.raises(Closed):
            await client.receive()


async def test_disconnect_of_somebody_who_is_not_connected_does_nothing(any_server: AsyncServer) -> None:
    async with connected(any_server):
        await any_server.disconnect("nobody")


async def test_a_disconnect_handler_runs_once(any_server: AsyncServer, reasons: asyncio.Queue[str]) -> None:
    async with connected(any_server) as client:
        client.send("41")
        await within(reasons.get())
        await any_server.disconnect(client.sid)
        await client.leave()
    assert reasons.empty()


async def test_a_disconnected_client_may_connect_again_with_another_sid(any_server: AsyncServer) -> None:
    async with connected(any_server) as client:
        before = client.sid
        client.send("41")
        await within(until(lambda: any_server.manager.sid_from_eio_sid(client.eio_sid, "/") is None))
        assert await client.connect() != before


async def test_a_client_may_connect_again_while_its_disconnect_handler_runs(server: AsyncServer) -> None:
    """The browser's `socket.disconnect().connect()`, beside another namespace on the connection."""
    entered, go, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @server.event
    async def disconnect(sid: str) -> None:
        entered.set()
        await go.wait()
        done.set()

    async with connected(server) as client:
        before = client.sid
        client.send("41")
        await within(entered.wait())
        assert await client.connect() != before
        go.set()
        await within(done.wait())
        await server.emit("hello")
        assert await client.events() == [["hello"]]


async def test_leaving_one_namespace_leaves_the_others(any_server: AsyncServer) -> None:
    any_server.namespaces = ["/", "/other"]
    async with connected(any_server, "/", "/other") as client:
        client.send("41/other,")
        await within(until(lambda: any_server.manager.sid_from_eio_sid(client.eio_sid, "/other") is None))
        await any_server.emit("hello", to=client.sid)
        assert await client.events() == [["hello"]]


async def test_a_disconnect_handlers_own_type_error_is_reported_as_itself(
    server: AsyncServer, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[Any] = []

    @server.event
    async def disconnect(sid: str, reason: str) -> None:
        calls.append(reason)
        raise TypeError("my own")

    async with connected(server) as client:
        await client.leave()
        await within(until(lambda: not server.eio.tasks))
    assert calls == ["transport close"]
    assert errors(caplog) == ["TypeError('my own')"]
    assert server.manager.rooms == {}

"""Coming back over the network: by polling, upgraded, and on a WebSocket, with what each of them loses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from asyncsock import ASGIApp, AsyncServer
from tests.support.raw_clients import within
from tests.support.returning_visitors import OverPolling, Visitors, visitors
from tests.support.uvicorn_in_process import running

TRANSPORTS = ["polling", "upgraded", "websocket"]


@pytest.fixture
def server() -> AsyncServer:
    # Pings come from a probe only.
    return AsyncServer(connection_state_recovery=True, ping_interval=60)


@pytest.fixture(params=["uvicorn", "plain ASGI"])
async def local(request: pytest.FixtureRequest, server: AsyncServer) -> AsyncIterator[Any]:
    async with running(ASGIApp(server), ws="auto" if request.param == "uvicorn" else "wsproto") as found:
        yield found


@pytest.fixture(params=TRANSPORTS)
async def guests(request: pytest.FixtureRequest, server: AsyncServer, local: Any) -> AsyncIterator[Visitors]:
    async with visitors(server, local, request.param) as made:
        yield made


async def test_it_comes_back_after_the_connection_broke_off(server: AsyncServer, guests: Visitors) -> None:
    guest = await guests.come()
    sid = guest.sid
    server.enter_room(sid, "room")
    server.emit("read", 1)
    assert await guest.events() == [["read", 1]]
    for number in range(3):
        server.emit("sent into the end", number, to="room")
        await guest.lose()
        server.emit("missed", b"binary", to=sid)
        await guest.come()
        assert (guest.recovered, guest.sid) == (True, sid)
        assert await guest.events() == [["sent into the end", number], ["missed", b"binary"]]


async def test_it_comes_back_after_it_closed_its_engine(server: AsyncServer, guests: Visitors) -> None:
    guest = await guests.come()
    server.emit("unread")
    await guest.link.send("1")
    server.emit("missed")
    await guest.come()
    assert guest.recovered
    assert await guest.events() == [["unread"], ["missed"]]


async def test_a_connection_that_is_silently_dead_is_taken_over(
    server: AsyncServer, guests: Visitors
) -> None:
    guest = await guests.come()
    dead = guest.link.eio_sid
    server.emit("into the void")
    await guest.come()
    assert guest.recovered
    assert dead not in server.eio.core.sessions
    assert await guest.events() == [["into the void"]]


async def test_a_living_client_is_left_alone(server: AsyncServer, guests: Visitors) -> None:
    guest, thief = await guests.come(), guests.one()
    thief.pid = guest.pid
    reading = asyncio.ensure_future(guest.event())
    await thief.come()
    assert not thief.recovered
    server.emit("private", to=guest.sid)
    assert await within(reading) == ["private"]
    assert await thief.events() == []


async def test_a_volatile_event_is_for_a_client_that_reads(server: AsyncServer, guests: Visitors) -> None:
    guest = await guests.come()
    reading = asyncio.ensure_future(guest.event())
    session = server.eio.core.sessions[guest.link.eio_sid]
    while not session.transport.is_writable:
        await asyncio.sleep(0.001)
    await asyncio.to_thread(server.emit, "passing", 1, volatile=True)
    assert await within(reading) == ["passing", 1]


async def test_a_volatile_event_is_not_for_a_client_without_a_poll(server: AsyncServer, local: Any) -> None:
    async with visitors(server, local, "polling") as guests:
        guest = await guests.come()
        assert isinstance(guest.link, OverPolling)
        server.emit("kept", 1)
        server.emit("passing", volatile=True)
        server.emit("kept", 2)
        assert await guest.events() == [["kept", 1], ["kept", 2]]


# What was confirmed by pongs


@pytest.mark.parametrize("answers", [True, False])
async def test_a_client_without_news_for_longer_than_they_are_kept_comes_back_if_it_answered_pings(
    answers: bool,
) -> None:
    server = AsyncServer(connection_state_recovery=True, ping_interval=0.05, ping_timeout=20)
    recovery = server._recovery
    assert recovery is not None
    async with running(ASGIApp(server)) as local, visitors(server, local, "websocket") as guests:
        guest = await guests.come()
        server.enter_room(guest.sid, "room")
        server.emit("old", to="room")
        assert await guest.events() == [["old"]]
        offset = guest.offset
        server.emit("not for it", to="elsewhere")
        server.enter_room(guest.sid, "elsewhere")
        guest.answers_pings = answers
        session = server.eio.core.sessions[guest.link.eio_sid]
        sent_at = asyncio.get_running_loop().time()
        reading = asyncio.ensure_future(guest.event())
        server.emit("forgotten", to="nobody")
        other = await guests.come()
        server.enter_room(other.sid, "nobody")
        server.emit("forgotten", to="nobody")
        while session.pinged_at <= sent_at or (answers and session.confirmed_at <= sent_at):
            await asyncio.sleep(0.01)
        recovery.log._seconds = 0.0  # everything until now is too old
        recovery.log.shrink()
        recovery.log._seconds = 100.0
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await guest.lose()
        while guest.sid in server.manager.clients:
            await asyncio.sleep(0.001)
        server.emit("missed", to="room")
        assert guest.offset == offset
        await guest.come()
        assert guest.recovered == answers
        assert await guest.events() == ([["missed"]] if answers else [])


async def test_the_answer_to_an_earlier_ping_does_not_confirm_what_was_sent_since() -> None:
    server = AsyncServer(connection_state_recovery=True, ping_interval=0.1, ping_timeout=60)
    async with visitors(server) as guests:
        guest = await guests.come()
        assert await guest.link.receive() == "2"
        server.emit("sent after the ping")
        assert (await guest.link.receive())[:2] == "42"  # on the network, and lost there
        await guest.link.send("3")
        assert await guest.link.receive() == "2"
        await guest.lose()
        await guest.come()
        assert await guest.events() == [["sent after the ping"]]


async def test_nor_does_the_answer_to_one_that_was_sent_for_a_claim() -> None:
    server = AsyncServer(connection_state_recovery=True, ping_interval=0.2, ping_timeout=60)
    async with visitors(server) as guests:
        guest, thief = await guests.come(), guests.one()
        thief.pid = guest.pid
        await thief.begin()
        assert await guest.link.receive() == "2"
        server.emit("sent after the ping")
        assert (await guest.link.receive())[:2] == "42"
        assert await guest.link.receive() == "2"
        await guest.link.send("3")
        await thief.until_connected()  # the server has got the answer
        assert not thief.recovered
        await guest.lose()
        await guest.come()
        assert await guest.events() == [["sent after the ping"]]

"""Clients that do not come back as who they were, and what is left of them."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
import socketio as python_socketio

from asyncsock import AsyncServer, SocketIO
from tests.support.log_records import recorded
from tests.support.recovery_states import nothing_is_kept
from tests.support.returning_visitors import CONNECT, DISCONNECT, Visitor, Visitors, visitors


async def assert_stranger(guest: Visitor) -> None:
    """Somebody comes who has been here before, and is nobody the server knows."""
    sid, pid = guest.sid, guest.pid
    await guest.come()
    assert guest.refusal is None
    assert not guest.recovered
    assert (guest.sid != sid, guest.pid != pid) == (True, True)
    assert await guest.events() == []
    assert guest.server.rooms(guest.sid, namespace=guest.namespace) == [guest.sid]


async def test_a_client_that_said_goodbye(server: AsyncServer, guests: Visitors) -> None:
    guest = await guests.come()
    server.enter_room(guest.sid, "room")
    await guest.send(DISCONNECT)
    await guest.lose()
    server.emit("missed")
    await assert_stranger(guest)


@pytest.mark.parametrize("has_handler", [False, True])
async def test_a_client_that_the_server_disconnected(
    has_handler: bool, server: AsyncServer, guests: Visitors
) -> None:
    if has_handler:
        server.on("disconnect", lambda sid, reason: None)
    guest = await guests.come()
    await server.disconnect(guest.sid)
    await guest.lose()
    server.emit("missed")
    await assert_stranger(guest)


async def test_a_client_that_the_server_disconnected_while_it_was_away(
    server: AsyncServer, guests: Visitors
) -> None:
    guest, other = await guests.come(), await guests.come()
    for each in (guest, other):
        await each.lose()
    await server.disconnect(guest.sid, namespace="/other")
    await asyncio.to_thread(server.disconnect, guest.sid)
    await assert_stranger(guest)
    await other.come()
    assert other.recovered


async def test_a_client_that_the_server_disconnected_while_its_disconnect_handler_ran(
    server: AsyncServer, guests: Visitors
) -> None:
    @server.event
    async def disconnect(sid: str, reason: str) -> None:
        await server.disconnect(sid)

    guest = await guests.come()
    await guest.lose()
    await assert_stranger(guest)


async def test_a_client_whose_session_the_server_closed(server: AsyncServer, guests: Visitors) -> None:
    guest = await guests.come()
    await server.eio.disconnect(guest.link.eio_sid)
    await guest.lose()
    await assert_stranger(guest)


async def test_a_client_that_came_back_and_then_said_goodbye(server: AsyncServer, guests: Visitors) -> None:
    guest = await guests.come()
    await guest.lose()
    await guest.come()
    assert guest.recovered
    await guest.send(DISCONNECT)
    await guest.lose()
    await assert_stranger(guest)
    assert not server.recovered(guest.sid)


async def test_a_client_that_was_away_for_too_long() -> None:
    options = {"max_disconnection_duration": 0.05}
    server = AsyncServer(connection_state_recovery=options)
    async with visitors(server) as guests:
        guest = await guests.come()
        server.enter_room(guest.sid, "room")
        await guest.lose()
        await asyncio.sleep(0.1)
        server.emit("missed", to="room")
        nothing_is_kept(server)
        await assert_stranger(guest)


async def test_a_client_whose_events_did_not_fit() -> None:
    server = AsyncServer(connection_state_recovery={"max_bytes": 5600})
    async with visitors(server) as guests:
        behind, ahead = await guests.come(), await guests.come()
        server.emit("first", "x" * 1000)
        for guest in (behind, ahead):
            await guest.events()
        server.emit("second", "x" * 1000)
        await ahead.events()
        for guest in (behind, ahead):
            await guest.lose()
        server.emit("third", "x" * 1000)  # the second is forgotten
        await ahead.come()
        assert ahead.recovered
        assert [name for name, _ in await ahead.events()] == ["third"]
        await assert_stranger(behind)


async def test_a_client_that_did_not_fit_itself() -> None:
    server = AsyncServer(connection_state_recovery={"max_bytes": 2500})
    async with visitors(server) as guests:
        three = [await guests.come() for _ in range(3)]
        for guest in three:
            await guest.lose()
        for guest in three:
            await guest.come()
        assert [guest.recovered for guest in three] == [False, True, True]


@pytest.mark.parametrize("offset", ["future", "of another server", "", "x", "-1"])
async def test_an_offset_that_no_event_has_had(offset: str, server: AsyncServer, guests: Visitors) -> None:
    guest = await guests.come()
    server.emit("event")
    await guest.events()
    assert guest.offset is not None
    await guest.lose()
    right = guest.offset
    wrong = {"future": f"{right}000", "of another server": f"AAAAAA{right[6:]}"}
    guest.offset = wrong.get(offset, offset)
    await assert_stranger(guest)


async def test_a_pid_of_another_namespace(server: AsyncServer, guests: Visitors) -> None:
    guest, elsewhere = await guests.come(), guests.one("/other")
    await guest.lose()
    elsewhere.pid = guest.pid
    await assert_stranger(elsewhere)
    await guest.come()
    assert guest.recovered


async def test_a_pid_of_another_namespace_of_the_same_connection(
    server: AsyncServer, guests: Visitors
) -> None:
    guest, elsewhere = await guests.come(), guests.one("/other")
    elsewhere.pid = guest.pid
    await elsewhere.begin(guest.link)
    await elsewhere.until_connected()
    assert not elsewhere.recovered
    assert guest.sid in server.manager.clients


async def test_the_pid_of_a_client_that_came_to_be_somebody_else(
    server: AsyncServer, guests: Visitors
) -> None:
    """What was used once is not worth anything beside the client that used it."""
    guest = await guests.come()
    old = guest.pid
    await guest.send(DISCONNECT)
    await guest.lose()
    await guest.come()
    thief = guests.one()
    thief.pid = old
    await assert_stranger(thief)
    assert guest.sid in server.manager.clients


@pytest.mark.parametrize(
    "auth",
    [
        {"pid": 5},
        {"pid": None},
        {"pid": {}, "offset": []},
        {"pid": "x" * 900_000},
        {"pid": "\x00é", "offset": "\n"},
        {"pid": "", "offset": ""},
    ],
    ids=range(6),
)
async def test_a_claim_that_makes_no_sense(
    auth: Any, server: AsyncServer, guests: Visitors, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "asyncsock.server")
    auths: list[Any] = []
    server.on("connect", lambda sid, environ, auth: auths.append(auth))
    guest = guests.one()
    await guest.begin(token=1, **auth)
    await guest.until_connected()
    assert guest.sid
    assert auths == [{"token": 1}]
    assert recorded(caplog, logging.INFO) == []
    assert [text for text in recorded(caplog, logging.DEBUG) if "recover" in text] == [
        f"a client of session {guest.link.eio_sid} could not be recovered"
    ]


async def test_no_log_record_has_a_pid_and_each_failed_claim_has_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = AsyncServer(connection_state_recovery=True, logger=True, engineio_logger=True)
    for name in ("", "asyncsock.server", "asyncsock.engine"):
        caplog.set_level(logging.DEBUG, name or None)
    server.on("connect", lambda sid, environ, auth: None)
    server.on("disconnect", lambda sid, reason: None)
    pids = set()
    async with visitors(server) as guests:
        guest = await guests.come()
        pids.add(guest.pid)
        await guest.lose()
        server.emit("missed")
        await guest.come()
        assert guest.recovered
        await guest.events()
        await guest.send(DISCONNECT)
        await guest.lose()
        await guest.come()
        pids.add(guest.pid)
        assert not guest.recovered
        await guest.send(CONNECT, {"pid": guest.pid})  # while it is connected
        await guest.link.receive()
        await guest.link.send(f'40{{"pid":"{guest.pid}"')  # no JSON
        await guest.lose()
    lines = [record.getMessage() for record in caplog.records]
    assert len([line for line in lines if "could not be recovered" in line]) == 1
    everything = [str(vars(record)) for record in caplog.records]
    assert not [text for text in everything for pid in pids if pid in text]


async def test_nothing_is_left_of_clients_that_are_gone() -> None:
    server = AsyncServer(connection_state_recovery={"max_disconnection_duration": 0.05})
    async with visitors(server) as guests:
        for number in range(5):
            guest = await guests.come()
            server.enter_room(guest.sid, number)
            await guest.lose()
            if number % 2:
                await guest.come()
                await guest.send(DISCONNECT)
                await guest.lose()
        await asyncio.sleep(0.1)
    nothing_is_kept(server)


# Where it is off, or cannot be


async def test_when_it_is_off_there_is_no_pid_no_offset_and_the_auth_is_the_clients() -> None:
    server = AsyncServer()
    auths: list[Any] = []
    server.on("connect", lambda sid, environ, auth: auths.append(auth))
    async with visitors(server) as guests:
        guest = guests.one()
        await guest.begin(pid="p", offset="o")
        assert list((await guest.next()).data) == ["sid"]
        server.emit("event", "argument")
        assert (await guest.next()).data == ["event", "argument"]
        assert auths == [{"pid": "p", "offset": "o"}]
        assert not server.recovers
        assert not server.recovered(guest.sid)


@pytest.mark.parametrize("make", ["AsyncServer", "SocketIO"])
def test_python_socketios_client_managers_are_refused(make: str) -> None:
    options: Any = {"connection_state_recovery": True, "client_manager": python_socketio.AsyncManager()}
    with pytest.raises(ValueError, match="does not work with python-socketio's client managers: pass"):
        if make == "AsyncServer":
            AsyncServer(**options)
        else:
            from flask import Flask

            SocketIO(Flask(__name__), **options)


async def test_they_are_not_refused_when_it_is_off() -> None:
    server = AsyncServer(connection_state_recovery=False, client_manager=python_socketio.AsyncManager())
    assert not server.recovers
    assert not server.recovered("somebody")

"""A client that lost its connection comes back as the same: who it is, and what its handlers see."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from asyncsock import AsyncServer, ConnectionRefusedError
from tests.support.raw_clients import within
from tests.support.returning_visitors import DISCONNECT, Gate, Visitors, visitors


async def test_it_has_the_same_sid_and_pid(server: AsyncServer, guests: Visitors) -> None:
    guest = await guests.come()
    sid, pid = guest.sid, guest.pid
    assert not server.recovered(sid)
    await guest.lose()
    await guest.come()
    assert guest.recovered
    assert (guest.sid, guest.pid) == (sid, pid)
    assert server.recovered(sid)


async def test_it_comes_back_as_often_as_it_likes(server: AsyncServer, guests: Visitors) -> None:
    guest = await guests.come()
    server.enter_room(guest.sid, "room")
    for number in range(5):
        server.emit("to the room", number, to="room")
        if number % 2:
            assert await guest.events() == [["to the room", number]]
        await guest.lose()
        server.emit("to all", number)
        await guest.come()
        assert guest.recovered
        missed = [] if number % 2 else [["to the room", number]]
        assert await guest.events() == [*missed, ["to all", number]]
        assert server.rooms(guest.sid) == [guest.sid, "room"]


async def test_its_rooms_are_those_that_it_was_in(server: AsyncServer, guests: Visitors) -> None:
    guest = await guests.come()
    for room in ("one", 2, "three"):
        server.enter_room(guest.sid, room)
    server.leave_room(guest.sid, "one")
    await guest.lose()
    assert "three" not in server.manager.rooms.get("/", {})
    await guest.come()
    assert server.rooms(guest.sid) == [guest.sid, 2, "three"]
    server.emit("news", to="three")
    assert await guest.events() == [["news"]]


async def test_its_user_session_is_there(server: AsyncServer, guests: Visitors) -> None:
    guest, other = guests.one(), guests.one("/other")
    await guest.come()
    await other.begin(guest.link)
    await other.until_connected()
    await server.save_session(guest.sid, {"user": "ada"})
    await server.save_session(other.sid, {"user": "bob"}, namespace="/other")
    await guest.lose()
    await other.come()  # in another order, each on a connection of its own
    await guest.come()
    assert await server.get_session(guest.sid) == {"user": "ada"}
    assert await server.get_session(other.sid, namespace="/other") == {"user": "bob"}


async def test_both_namespaces_come_back_on_one_connection(server: AsyncServer, guests: Visitors) -> None:
    guest, other = guests.one(), guests.one("/other")
    await guest.come()
    await other.begin(guest.link)
    await other.until_connected()
    server.enter_room(other.sid, "room", namespace="/other")
    await guest.lose()
    server.emit("first", namespace="/other", to="room")
    server.emit("second")
    await guest.begin()
    await guest.until_connected()
    assert (await guest.event())[0] == "second"
    await other.begin(guest.link)
    await other.until_connected()
    assert (await other.event())[0] == "first"
    assert guest.recovered
    assert other.recovered


async def test_a_client_that_has_got_no_event_comes_back_from_the_start(
    server: AsyncServer, guests: Visitors
) -> None:
    server.emit("before")
    guest = await guests.come()
    assert guest.offset is None
    server.emit("unread")
    await guest.lose()
    server.emit("missed")
    await guest.come()
    assert guest.recovered
    assert await guest.events() == [["unread"], ["missed"]]


async def test_a_client_that_was_new_comes_back_with_the_offset_of_before(
    server: AsyncServer, guests: Visitors
) -> None:
    """The JavaScript client keeps it until the next event, also if it is of a server that has ended."""
    guest = await guests.come()
    guest.pid, guest.offset = "unknown", "of another server"
    await guest.come()
    assert not guest.recovered
    guest.offset = "of another server"
    await guest.lose()
    server.emit("missed")
    await guest.come()
    assert guest.recovered
    assert await guest.events() == [["missed"]]


async def test_it_is_lost_again_before_it_got_anything(server: AsyncServer, guests: Visitors) -> None:
    guest = await guests.come()
    for offset in (False, True):
        if offset:
            server.emit("read")
            await guest.events()
        await guest.lose()
        server.emit("one")
        for _ in range(3):
            await guest.come()
            assert guest.recovered
            await guest.lose()
        server.emit("two")
        await guest.come()
        assert await guest.events() == [["one"], ["two"]]


async def test_it_is_lost_in_the_middle_of_what_it_has_missed(server: AsyncServer, guests: Visitors) -> None:
    guest = await guests.come()
    await guest.lose()
    for number in range(6):
        server.emit("event", number)
    got = []
    for _ in range(3):
        await guest.come()
        got += [await guest.event(), await guest.event()]
        await guest.lose()
    assert got == [["event", number] for number in range(6)]
    await guest.come()
    assert guest.recovered
    assert await guest.events() == []


# The connection that was lost


async def test_its_disconnect_handler_has_run_before(server: AsyncServer, guests: Visitors) -> None:
    calls: list[Any] = []
    server.on("connect", lambda sid, environ: calls.append(("connect", sid, server.recovered(sid))))
    server.on("disconnect", lambda sid, reason: calls.append(("disconnect", sid)))
    guest = await guests.come()
    await guest.lose()
    await guest.come()
    sid = guest.sid
    assert calls == [("connect", sid, False), ("disconnect", sid), ("connect", sid, True)]


async def test_it_waits_for_a_slow_disconnect_handler(server: AsyncServer, guests: Visitors) -> None:
    gate = Gate()

    @server.event
    async def disconnect(sid: str, reason: str) -> None:
        await gate()
        await server.emit("left", sid)

    guest = await guests.come()
    server.enter_room(guest.sid, "room")
    losing = asyncio.ensure_future(guest.lose())
    await within(gate.reached.wait())
    server.emit("meanwhile", to="room")
    await guest.begin()
    connecting = asyncio.ensure_future(guest.until_connected())
    await asyncio.sleep(0.05)
    assert not connecting.done()
    gate.opened.set()
    await within(connecting)
    await losing
    assert guest.recovered
    assert await guest.events() == [["meanwhile"], ["left", guest.sid]]


async def test_it_does_not_wait_for_ever_for_a_disconnect_handler(
    server: AsyncServer, guests: Visitors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncsock.recovery.recovery.PARTING_TIME", 0.05)
    gate = Gate()

    @server.event
    async def disconnect(sid: str, reason: str) -> None:
        await gate()

    guest = await guests.come()
    sid, claim = guest.sid, guest.claim
    losing = asyncio.ensure_future(guest.lose())
    await within(gate.reached.wait())
    await guest.come()
    assert not guest.recovered
    gate.opened.set()
    await losing
    late = guests.one()
    late.pid = claim["pid"]
    await late.come()  # the handler has ended since
    assert late.recovered
    assert late.sid == sid


@pytest.mark.parametrize("has_handler", [False, True])
async def test_a_dead_connection_that_nobody_has_noticed_is_taken_over(has_handler: bool) -> None:
    server = AsyncServer(connection_state_recovery=True)
    reasons: list[str] = []
    if has_handler:
        server.on("disconnect", lambda sid, reason: reasons.append(reason))
    async with visitors(server) as guests:
        guest = await guests.come()
        dead = guest.link
        server.emit("into the void")
        await guest.come()
        assert guest.recovered
        assert await guest.events() == [["into the void"]]
        assert reasons == (["transport close"] if has_handler else [])
        assert not server.eio.core.sessions.keys() & {dead.eio_sid}


async def test_a_living_client_keeps_its_connection_and_the_other_one_is_a_stranger(
    server: AsyncServer, guests: Visitors
) -> None:
    guest, thief = await guests.come(), guests.one()
    server.enter_room(guest.sid, "room")
    await server.save_session(guest.sid, {"user": "ada"})
    thief.pid = guest.pid
    reading = asyncio.ensure_future(guest.event())  # which answers pings
    await thief.come()
    assert not thief.recovered
    assert (thief.sid != guest.sid, thief.pid != guest.pid) == (True, True)
    assert server.rooms(thief.sid) == [thief.sid]
    assert await server.get_session(thief.sid) == {}
    server.emit("private", to=guest.sid)
    assert await within(reading) == ["private"]
    assert await thief.events() == []
    await guest.lose()
    await guest.come()
    assert guest.recovered


async def test_of_two_that_claim_the_same_at_once_one_comes_back(
    server: AsyncServer, guests: Visitors
) -> None:
    guest, twin = await guests.come(), guests.one()
    twin.pid = guest.pid
    await guest.lose()
    server.emit("missed")
    for each in (guest, twin):
        await each.begin()
    for each in (guest, twin):
        await asyncio.wait_for(each.until_connected(), 5)
        if each is guest:
            reading = asyncio.ensure_future(guest.events_until("end"))
    assert (guest.recovered, twin.recovered) == (True, False)
    server.emit("end")
    assert await within(reading) == [["missed"], ["end"]]
    assert await twin.events() == [["end"]]


async def test_a_connection_that_is_lost_while_it_waits_to_be_recovered_is_not_counted_as_a_new_client(
    server: AsyncServer, guests: Visitors
) -> None:
    guest = await guests.come()  # nobody reads there any more, so that nothing answers the probe
    await guest.begin()
    await guest.lose()
    await guest.come()
    assert guest.recovered
    assert server._connector.recoveries == {"recovered": 1}


# The connect handler


async def test_the_auth_of_the_client_reaches_the_handler_without_the_claim(
    server: AsyncServer, guests: Visitors
) -> None:
    auths: list[Any] = []
    server.on("connect", lambda sid, environ, auth: auths.append(auth))
    guest = await guests.come(token=1)
    server.emit("event")
    await guest.events()
    await guest.lose()
    await guest.come(token=2)
    assert guest.recovered
    await guest.lose()
    await guest.come()
    assert guest.recovered
    assert auths == [{"token": 1}, {"token": 2}, None]


@pytest.mark.parametrize(
    "refusal", [False, ConnectionRefusedError("no more"), ZeroDivisionError("on purpose")]
)
async def test_a_client_that_is_refused_is_not_restored_nor_later(
    refusal: Any, server: AsyncServer, guests: Visitors
) -> None:
    results: list[Any] = [None, refusal, None]

    @server.event
    async def connect(sid: str, environ: Any) -> Any:
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    guest = await guests.come()
    server.enter_room(guest.sid, "room")
    await guest.lose()
    server.emit("missed")
    await guest.come()
    assert guest.refusal is not None
    assert not server.manager.rooms
    await guest.lose()
    await guest.come()
    assert not guest.recovered
    assert server.rooms(guest.sid) == [guest.sid]
    assert await guest.events() == []


async def test_what_is_sent_while_the_connect_handler_runs_comes_once_and_after_what_was_missed(
    server: AsyncServer, guests: Visitors
) -> None:
    gate = Gate()

    @server.event
    async def connect(sid: str, environ: Any) -> None:
        if server.recovered(sid):
            server.emit("from the handler", to=sid)
            await gate()

    guest = await guests.come()
    server.enter_room(guest.sid, "room")
    await guest.lose()
    server.emit("missed", 1)
    server.emit("missed", 2, to="room")
    await guest.begin()
    await within(gate.reached.wait())
    server.emit("meanwhile", 1)
    server.emit("meanwhile", 2, to="room")
    gate.opened.set()
    await guest.until_connected()
    server.emit("later")
    names = [
        ["missed", 1],
        ["missed", 2],
        ["from the handler"],
        ["meanwhile", 1],
        ["meanwhile", 2],
        ["later"],
    ]
    got = [await guest.event() for _ in names]
    assert got == names
    assert await guest.events() == []


async def test_it_is_lost_again_while_its_connect_handler_runs(server: AsyncServer, guests: Visitors) -> None:
    gate = Gate()

    @server.event
    async def connect(sid: str, environ: Any) -> None:
        if server.recovered(sid):
            await gate()

    guest = await guests.come()
    server.enter_room(guest.sid, "room")
    await guest.lose()
    server.emit("missed")
    await guest.begin()
    await within(gate.reached.wait())
    server.emit("meanwhile", to="room")
    losing = asyncio.ensure_future(guest.lose())
    gate.opened.set()
    await losing
    server.emit("later")
    await guest.come()
    assert guest.recovered
    assert await guest.events() == [["missed"], ["meanwhile"], ["later"]]
    assert server.rooms(guest.sid) == [guest.sid, "room"]


async def test_a_pong_while_the_connect_handler_runs_confirms_nothing_that_is_held_back() -> None:
    server = AsyncServer(connection_state_recovery=True, ping_interval=0.05, ping_timeout=30)
    gate = Gate()

    @server.event
    async def connect(sid: str, environ: Any) -> None:
        if server.recovered(sid):
            await gate()

    async with visitors(server) as guests:
        guest = await guests.come()
        await guest.lose()
        server.emit("missed")
        await guest.begin()
        await within(gate.reached.wait())
        for _ in range(2):
            assert await guest.link.receive() == "2"
            await guest.link.send("3")  # the second ping shows that the answer to the first was read
        losing = asyncio.ensure_future(guest.lose())
        gate.opened.set()
        await losing
        await guest.come()
        assert guest.recovered
        assert await guest.events() == [["missed"]]


async def test_it_says_goodbye_while_its_connect_handler_runs(server: AsyncServer, guests: Visitors) -> None:
    gate = Gate()

    @server.event
    async def connect(sid: str, environ: Any) -> None:
        if server.recovered(sid):
            await gate()

    guest = await guests.come()
    await guest.lose()
    await guest.begin()
    await within(gate.reached.wait())
    await guest.send(DISCONNECT)
    losing = asyncio.ensure_future(guest.lose())
    await asyncio.sleep(0.01)
    gate.opened.set()
    await losing
    await guest.come()
    assert not guest.recovered


@pytest.mark.parametrize("comes_back", [False, True])
async def test_a_client_that_its_connect_handler_sends_away_does_not_come_back(
    comes_back: bool, server: AsyncServer, guests: Visitors
) -> None:
    """Not even if it breaks off before it is told so."""
    sent_away: list[str] = []

    @server.event
    async def connect(sid: str, environ: Any) -> None:
        if server.recovered(sid) == comes_back and not sent_away:
            sent_away.append(sid)
            server.disconnect(sid)

    guest = await guests.come()
    if comes_back:
        await guest.lose()
        await guest.come()
    assert sent_away == [guest.sid]
    await guest.lose()
    await guest.come()
    assert not guest.recovered


async def test_with_always_connect_it_comes_back_too() -> None:
    server = AsyncServer(connection_state_recovery=True, always_connect=True)
    calls: list[bool] = []
    server.on("connect", lambda sid, environ: calls.append(server.recovered(sid)))
    async with visitors(server) as guests:
        guest = await guests.come()
        server.enter_room(guest.sid, "room")
        await guest.lose()
        server.emit("missed", to="room")
        await guest.come()
        assert guest.recovered
        assert await guest.events() == [["missed"]]
        assert calls == [False, True]


async def test_with_always_connect_a_refusal_is_a_refusal() -> None:
    server = AsyncServer(connection_state_recovery=True, always_connect=True)
    server.on("connect", lambda sid, environ: not server.recovered(sid))
    async with visitors(server) as guests:
        guest = await guests.come()
        await guest.lose()
        await guest.come()
        assert guest.recovered
        assert (await guest.next()).packet_type == DISCONNECT
        await guest.lose()
        await guest.come()
        assert not guest.recovered


async def test_events_in_order_with_handlers_in_turn() -> None:
    server = AsyncServer(connection_state_recovery=True, async_handlers=False)
    server.on("disconnect", lambda sid, reason: None)
    async with visitors(server) as guests:
        guest = await guests.come()
        await guest.lose()
        server.emit("missed")
        await guest.come()
        assert guest.recovered
        assert await guest.events() == [["missed"]]

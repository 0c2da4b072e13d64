"""What a client has missed comes to it when it is back: all of it, once, in order, and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from socketio.msgpack_packet import MsgPackPacket

from asyncsock import AsyncServer
from tests.support.asgi_in_process import Socket
from tests.support.recovery_states import nothing_is_kept
from tests.support.returning_visitors import DISCONNECT, Visitor, Visitors, visitors

ROOMS = ["a", "b"]


# To whom they were sent


async def test_events_to_its_sid_its_room_a_list_of_rooms_and_everybody(
    server: AsyncServer, guests: Visitors
) -> None:
    guest, other = await guests.come(), await guests.come()
    server.enter_room(guest.sid, "room")
    server.enter_room(guest.sid, "another")
    await guest.lose()
    server.emit("sid", to=guest.sid)
    server.emit("room", to="room")
    server.emit("list", to=["room", "elsewhere", "another", guest.sid])
    server.emit("everybody")
    server.emit("not this one", to="elsewhere")
    server.emit("nor this", to=other.sid)
    server.emit("nor this", to=[])
    server.emit("nor this", to=[None, other.sid])
    server.emit("nor this", namespace="/other")
    await guest.come()
    assert await guest.events() == [["sid"], ["room"], ["list"], ["everybody"]]


async def test_events_that_left_it_out_do_not_come(server: AsyncServer, guests: Visitors) -> None:
    guest, other = await guests.come(), await guests.come()
    await guest.lose()
    server.emit("one", skip_sid=guest.sid)
    server.emit("two", skip_sid=[other.sid, guest.sid])
    server.emit("three", skip_sid=other.sid)
    server.emit("four", to=guest.sid, skip_sid=guest.sid)
    await guest.come()
    assert await guest.events() == [["three"]]


async def test_events_of_another_namespace(server: AsyncServer, guests: Visitors) -> None:
    guest = await guests.come("/other")
    server.enter_room(guest.sid, "room", namespace="/other")
    await guest.lose()
    server.emit("wrong namespace", to="room")
    server.emit("wrong namespace", to=guest.sid)
    server.emit("right", to="room", namespace="/other")
    server.emit("all", namespace="/other")
    await guest.come()
    assert guest.recovered
    assert await guest.events() == [["right"], ["all"]]


async def test_binary_events(server: AsyncServer, guests: Visitors) -> None:
    guest = await guests.come()
    server.emit("before", b"0")
    assert await guest.events() == [["before", b"0"]]
    await guest.lose()
    data = bytearray(b"1")
    server.emit("binary", ({"image": data, "more": [b"2", "text"]}, b""))
    data[:] = b"X"
    server.emit("text")
    await guest.come()
    missed = await guest.events()
    assert missed == [["binary", {"image": b"1", "more": [b"2", "text"]}, b""], ["text"]]


async def test_events_from_other_threads(server: AsyncServer, guests: Visitors) -> None:
    guest = await guests.come()
    await guest.lose()
    await asyncio.to_thread(server.emit, "from a thread", {"a": 1}, to=guest.sid)
    await asyncio.to_thread(server.send, "hello")
    await guest.come()
    assert await guest.events() == [["from a thread", {"a": 1}], ["message", "hello"]]


async def test_data_that_change_after_the_call_are_sent_as_they_were(
    server: AsyncServer, guests: Visitors
) -> None:
    guest = await guests.come()
    await guest.lose()
    data = {"list": [1]}
    server.emit("event", data)
    data["list"].append(2)
    await guest.come()
    assert await guest.events() == [["event", {"list": [1]}]]


async def test_events_that_were_sent_and_not_read_come_again(server: AsyncServer, guests: Visitors) -> None:
    guest = await guests.come()
    for number in range(5):
        server.emit("event", number)
    assert [await guest.event(), await guest.event()] == [["event", 0], ["event", 1]]
    await guest.lose()
    await guest.come()
    assert await guest.events() == [["event", number] for number in (2, 3, 4)]


# Rooms that it joined and left


async def test_an_event_to_a_room_before_it_joined_does_not_come(
    server: AsyncServer, guests: Visitors
) -> None:
    guest, member = await guests.come(), await guests.come()
    server.enter_room(member.sid, "room")
    server.emit("before", to="room")
    server.enter_room(guest.sid, "room")
    server.emit("since", to="room")
    await guest.lose()
    await guest.come()
    assert await guest.events() == [["since"]]


async def test_an_event_to_a_room_before_it_left_comes_and_one_after_does_not(
    server: AsyncServer, guests: Visitors
) -> None:
    guest, member = await guests.come(), await guests.come()
    for sid in (guest.sid, member.sid):
        server.enter_room(sid, "room")
    for number in range(3):
        server.emit("in it", number, to="room")
        server.leave_room(guest.sid, "room")
        server.emit("out of it", number, to="room")
        server.enter_room(guest.sid, "room")
    server.close_room("room")
    server.enter_room(member.sid, "room")
    server.emit("closed", to="room")
    await guest.lose()
    await guest.come()
    assert await guest.events() == [["in it", number] for number in range(3)]
    assert server.rooms(guest.sid) == [guest.sid]


@pytest.mark.parametrize("way", ["leave", "close"])
async def test_a_client_that_leaves_a_room_while_it_is_away_gets_nothing_of_it_since(
    way: str, server: AsyncServer, guests: Visitors
) -> None:
    guest, other = await guests.come(), await guests.come()
    for each in (guest, other):
        for room in ("room", "another"):
            server.enter_room(each.sid, room)
        await each.lose()
    server.emit("before", to="room")
    server.leave_room(guest.sid, "room", namespace="/other")
    if way == "leave":
        server.leave_room(guest.sid, "room")
    else:
        server.close_room("room")
    server.emit("after", to="room")
    server.emit("another", to="another")
    for each in (guest, other):
        await each.come()
        assert each.recovered
    assert await guest.events() == [["before"], ["another"]]
    assert server.rooms(guest.sid) == [guest.sid, "another"]
    assert len(await other.events()) == (3 if way == "leave" else 2)
    for each in (guest, other):
        await each.send(DISCONNECT)
        await each.lose()
    nothing_is_kept(server)


async def test_an_event_before_it_connected_does_not_come(server: AsyncServer, guests: Visitors) -> None:
    await guests.come()
    server.emit("before")
    guest = await guests.come()
    await guest.lose()
    await guest.come()
    assert await guest.events() == []


# Acknowledgements


async def test_events_with_acknowledgement_carry_no_offset_and_are_not_kept(
    server: AsyncServer, guests: Visitors
) -> None:
    guest = await guests.come()
    server.emit("ordinary")
    await guest.events()
    offset = guest.offset
    server.emit("question", "text", to=guest.sid, callback=lambda: None)
    calling = asyncio.ensure_future(server.call("question", "text", to=guest.sid, timeout=5))
    for _ in range(2):
        packet = await guest.next()
        assert packet.data == ["question", "text"]
        assert packet.id is not None
    assert guest.offset == offset
    await guest.lose()
    calling.cancel()
    server.emit("question", to=guest.sid, callback=lambda: None)
    await guest.come()
    assert await guest.events() == []


# Volatile events


async def test_a_volatile_event_carries_the_offset_of_the_last_one(
    server: AsyncServer, guests: Visitors
) -> None:
    guest = await guests.come()
    server.emit("first", volatile=True)
    assert await guest.events() == [["first"]]
    await guest.lose()
    await guest.come()
    assert guest.recovered
    server.emit("kept")
    server.emit("passing", "text", volatile=True)
    assert await guest.event() == ["kept"]
    offset = guest.offset
    assert await guest.event() == ["passing", "text"]
    assert guest.offset == offset
    server.emit("unread")
    await guest.lose()
    server.emit("passing", volatile=True)
    server.emit("passing", to=guest.sid, volatile=True)
    await guest.come()
    assert await guest.events() == [["unread"]]


async def test_a_volatile_event_is_not_for_a_client_whose_connect_handler_runs(
    server: AsyncServer, guests: Visitors
) -> None:
    @server.event
    async def connect(sid: str, environ: Any) -> None:
        server.emit("passing", volatile=True)
        server.emit("kept")

    guest = await guests.come()
    assert await guest.events() == [["kept"]]


@pytest.mark.parametrize("recovery", [False, True])
async def test_a_volatile_event_is_not_for_a_client_that_does_not_read(recovery: bool) -> None:
    server = AsyncServer(connection_state_recovery=recovery)
    async with Socket(server.handle_request) as socket:
        assert (await socket.receive())[0] == "0"
        socket.send("40")
        assert (await socket.receive())[:3] == "40{"
        socket.reads.clear()
        ((_, eio_sid),) = server.manager.get_participants("/", None)
        server.emit("kept", "x" * 1000)
        session = server.eio.core.sessions[eio_sid]
        while session.transport.is_writable:  # the first one is being written
            await asyncio.sleep(0)
        server.emit("passing", volatile=True)
        await asyncio.to_thread(server.emit, "passing", volatile=True)
        server.emit("last")
        socket.reads.set()
        got = [(await socket.receive())[:8] for _ in range(2)]
        assert got == ['42["kept', '42["last']


async def test_a_volatile_event_with_a_callback_is_for_those_who_read(
    server: AsyncServer, guests: Visitors
) -> None:
    guest = await guests.come()
    server.emit("question", to=guest.sid, callback=lambda: None, volatile=True)
    packet = await guest.next()
    assert (packet.data, packet.id) == (["question"], 1)


# With msgpack


async def test_with_msgpack() -> None:
    server = AsyncServer(connection_state_recovery=True, serializer="msgpack")

    async def come(auth: Any) -> tuple[Socket, dict[str, Any]]:
        socket = await Socket(server.handle_request).__aenter__()
        await socket.receive()
        socket.send(MsgPackPacket(0, data=auth, namespace="/").encode())
        return socket, MsgPackPacket(encoded_packet=await socket.receive()).data

    socket, welcome = await come(None)
    socket.leave()
    await socket.task
    server.emit("missed", {"a": b"1"})
    socket, again = await come({"pid": welcome["pid"]})
    assert again == welcome
    missed = MsgPackPacket(encoded_packet=await socket.receive())
    assert missed.data[:-1] == ["missed", {"a": b"1"}]
    assert missed.data[-1].endswith("1")
    await socket.__aexit__(None, None, None)


# All of it at once


class Story:
    """Visitors to whom things happen, and what each of them should have got."""

    def __init__(self, server: AsyncServer, guests: Visitors) -> None:
        self.server = server
        self.guests = guests
        self.people: list[Visitor] = []
        self.rooms: list[set[str]] = []
        self.lost: list[bool] = []
        self.due: list[list[int]] = []
        self.got: list[list[int]] = []
        self.number = 0

    async def begin(self, count: int) -> None:
        for _ in range(count):
            self.people.append(await self.guests.come())
            self.rooms.append(set())
            self.lost.append(False)
            self.due.append([])
            self.got.append([])

    async def join(self, who: int, room: str) -> None:
        if not self.lost[who]:
            self.server.enter_room(self.people[who].sid, room)
            self.rooms[who].add(room)

    async def leave(self, who: int, room: str) -> None:
        if not self.lost[who]:
            self.server.leave_room(self.people[who].sid, room)
            self.rooms[who].discard(room)

    async def emit(self, to: Any, skipped: int | None, volatile: bool) -> None:
        if volatile:
            await self.read_all()  # a client that has just come back is not sent to at once
        self.number += 1
        sid = self.people[to].sid if isinstance(to, int) else to
        left_out = self.people[skipped].sid if skipped is not None else None
        for who, rooms in enumerate(self.rooms):
            meant = {None, who, *rooms} & set(to if isinstance(to, list) else [to])
            if meant and who != skipped and not (volatile and self.lost[who]):
                self.due[who].append(self.number)
        self.server.emit("event", self.number, to=sid, skip_sid=left_out, volatile=volatile)
        if volatile:
            await self.read_all()  # they are lost with a connection

    async def read(self, who: int) -> None:
        if not self.lost[who]:
            self.got[who] += [number for _, number in await self.people[who].events()]

    async def read_all(self) -> None:
        for who in range(len(self.people)):
            await self.read(who)

    async def lose(self, who: int) -> None:
        if not self.lost[who]:
            await self.people[who].lose()
            self.lost[who] = True

    async def come(self, who: int) -> None:
        if self.lost[who]:
            await self.people[who].come()
            assert self.people[who].recovered
            self.lost[who] = False
            assert set(self.server.rooms(self.people[who].sid)[1:]) == self.rooms[who]

    async def end(self) -> None:
        for who in range(len(self.people)):
            await self.come(who)
        await self.read_all()
        assert self.got == self.due


people, rooms = st.integers(0, 2), st.sampled_from(ROOMS)
steps = st.one_of(
    st.tuples(st.just("join"), people, rooms),
    st.tuples(st.just("leave"), people, rooms),
    st.tuples(st.just("read"), people),
    st.tuples(st.just("lose"), people),
    st.tuples(st.just("come"), people),
    st.tuples(
        st.just("emit"),
        st.one_of(st.none(), people, rooms, st.lists(rooms, max_size=3)),
        st.one_of(st.none(), people),
        st.sampled_from([False, False, False, True]),
    ),
)


@settings(max_examples=40)
@given(st.lists(steps, max_size=40))
async def test_whatever_happens_each_client_gets_what_was_for_it_once_and_in_order(taken: list[Any]) -> None:
    server = AsyncServer(connection_state_recovery=True)
    async with visitors(server) as guests:
        story = Story(server, guests)
        await story.begin(3)
        for name, *arguments in taken:
            await getattr(story, name)(*arguments)
        await story.end()

"""Rooms: who is in them, who gets what is sent to them, and what is left of those who go."""

from __future__ import annotations

import asyncio
import gc
import importlib.metadata
import json
import sys
from typing import Any

import pytest

from asyncsock import AsyncServer
from asyncsock.engine.session import Session
from asyncsock.rooms import Rooms
from tests.support.asgi_in_process import request
from tests.support.raw_clients import within
from tests.support.socketio_in_process import connected, opened, until


async def test_a_room_reaches_its_members_only(any_server: AsyncServer) -> None:
    async with connected(any_server) as one, connected(any_server) as two:
        await any_server.enter_room(one.sid, "room")
        await any_server.emit("hello", 1, to="room")
        assert await one.events() == [["hello", 1]]
        assert await two.events() == []


async def test_without_a_room_everybody_in_the_namespace_is_reached(any_server: AsyncServer) -> None:
    any_server.namespaces = ["/", "/other"]
    async with connected(any_server) as one, connected(any_server) as two, opened(any_server) as third:
        await third.connect("/other")
        await any_server.emit("hello")
        assert [await one.events(), await two.events()] == [[["hello"]], [["hello"]]]
        assert await third.events() == []


async def test_a_clients_own_sid_is_a_room(any_server: AsyncServer) -> None:
    async with connected(any_server) as one, connected(any_server) as two:
        await any_server.emit("hello", to=one.sid)
        assert await one.events() == [["hello"]]
        assert await two.events() == []


async def test_a_client_that_left_a_room_is_not_reached(any_server: AsyncServer) -> None:
    async with connected(any_server) as client:
        await any_server.enter_room(client.sid, "room")
        await any_server.leave_room(client.sid, "room")
        await any_server.emit("hello", to="room")
        assert await client.events() == []


async def test_leaving_a_room_that_one_is_not_in_does_nothing(any_server: AsyncServer) -> None:
    async with connected(any_server) as client:
        await any_server.leave_room(client.sid, "room")
        await any_server.leave_room("nobody", "room")


NO_ROOMS = [["a"], {"a": 1}, {"a"}, ["a", ["b"]], [None], ([],), bytearray(b"a")]


@pytest.mark.parametrize("room", NO_ROOMS, ids=repr)
@pytest.mark.parametrize("from_thread", [False, True])
async def test_a_room_that_is_not_hashable_is_an_error_that_names_the_argument(
    any_server: AsyncServer, room: Any, from_thread: bool
) -> None:
    async with connected(any_server) as client:
        for call in (
            lambda: any_server.enter_room(client.sid, room),
            lambda: any_server.leave_room(client.sid, room),
            lambda: any_server.close_room(room),
        ):
            with pytest.raises(TypeError, match="room="):
                await (asyncio.to_thread(call) if from_thread else call())


@pytest.mark.parametrize(
    "to", [{"a": 1}, ["a", ["b"]], ["a", {"b": 1}], [["a"]], b"a", bytearray(b"a")], ids=repr
)
@pytest.mark.parametrize("from_thread", [False, True])
async def test_recipients_that_are_no_rooms_are_an_error_that_names_the_argument(
    any_server: AsyncServer, to: Any, from_thread: bool
) -> None:
    def emit() -> Any:
        return any_server.emit("hello", to=to)

    async with connected(any_server) as client:
        with pytest.raises(TypeError, match="to="):
            await (asyncio.to_thread(emit) if from_thread else emit())
        assert await client.events() == []
    with pytest.raises(TypeError, match="to="):
        await emit()  # also where nobody is connected


async def test_a_list_of_rooms_reaches_the_members_of_each_once(any_server: AsyncServer) -> None:
    async with connected(any_server) as one, connected(any_server) as two, connected(any_server) as three:
        for client, rooms in ((one, "ab"), (two, "b")):
            for room in rooms:
                await any_server.enter_room(client.sid, room)
        await any_server.emit("hello", to=["a", "b"])
        assert [len(await client.events()) for client in (one, two, three)] == [1, 1, 0]


async def test_a_room_that_is_closed_is_empty(any_server: AsyncServer) -> None:
    async with connected(any_server) as one, connected(any_server) as two:
        await any_server.enter_room(one.sid, "room")
        await any_server.enter_room(two.sid, "room")
        await any_server.close_room("room")
        assert any_server.rooms(one.sid) == [one.sid]
        await any_server.emit("hello", to="room")
        assert await one.events() + await two.events() == []


async def test_closing_a_room_that_nobody_is_in_does_nothing(any_server: AsyncServer) -> None:
    async with connected(any_server):
        await any_server.close_room("room")


async def test_rooms_tells_a_clients_rooms_with_its_own(any_server: AsyncServer) -> None:
    async with connected(any_server) as client:
        await any_server.enter_room(client.sid, "a")
        await any_server.enter_room(client.sid, "b")
        await any_server.leave_room(client.sid, "a")
        assert sorted(any_server.rooms(client.sid)) == sorted([client.sid, "b"])


async def test_rooms_come_in_the_order_in_which_they_were_joined(server: AsyncServer) -> None:
    async with connected(server) as client:
        names = [f"room {number}" for number in (3, 1, 4, 5, 2)]
        for name in names:
            server.enter_room(client.sid, name)
        assert server.rooms(client.sid) == [client.sid, *names]


async def test_entering_a_room_twice_is_entering_it_once(any_server: AsyncServer) -> None:
    async with connected(any_server) as client:
        await any_server.enter_room(client.sid, "room")
        await any_server.enter_room(client.sid, "room")
        await any_server.emit("hello", to="room")
        assert await client.events() == [["hello"]]


async def test_rooms_of_two_namespaces_are_apart(any_server: AsyncServer) -> None:
    any_server.namespaces = ["/", "/other"]
    async with connected(any_server, "/", "/other") as client:
        await any_server.enter_room(client.sid, "room")
        await any_server.enter_room(client.sids["/other"], "room", namespace="/other")
        await any_server.emit("hello", to="room", namespace="/other")
        assert await client.packets() == ['42/other,["hello"]']


@pytest.mark.parametrize("room", [7, -1, 2.5, True, ("a", 1), frozenset("a"), b"room"], ids=repr)
async def test_a_rooms_name_may_be_any_hashable_value(server: AsyncServer, room: Any) -> None:
    async with connected(server) as one, connected(server) as two:
        await server.enter_room(one.sid, room)
        await server.emit("hello", to=[room])
        assert await one.events() == [["hello"]]
        assert await two.events() == []
        await server.leave_room(one.sid, room)
        assert server.rooms(one.sid) == [one.sid]


@pytest.mark.parametrize("room", [7, 2.5, True])
async def test_a_room_named_by_a_number_is_reached_by_its_name(any_server: AsyncServer, room: Any) -> None:
    async with connected(any_server) as one, connected(any_server) as two:
        await any_server.enter_room(one.sid, room)
        await any_server.emit("hello", to=room)
        assert await one.events() == [["hello"]]
        assert await two.events() == []


@pytest.mark.parametrize("room", [0, "", False, []], ids=repr)
@pytest.mark.parametrize("argument", ["to", "room"])
async def test_a_room_that_is_false_is_not_everybody(server: AsyncServer, argument: str, room: Any) -> None:
    async with connected(server) as one, connected(server) as two:
        if room != []:
            await server.enter_room(one.sid, room)
        await server.emit("hello", **{argument: room})
        assert await one.events() == ([] if room == [] else [["hello"]])
        assert await two.events() == []


async def test_entering_the_room_none_does_no_harm(server: AsyncServer) -> None:
    """Nobody means to, but `data.get("room")` gives it to whoever trusts a client."""
    async with connected(server) as client:
        try:
            await server.enter_room(client.sid, None)
        except ValueError:
            pass
        await server.leave_room(client.sid, None)
        await server.emit("hello")
        assert await client.events() == [["hello"]]
        await client.leave()
        await within(until(lambda: not server.eio.tasks and not server.environ))
    assert server.manager.rooms == {}


async def test_several_rooms_deliver_once(any_server: AsyncServer) -> None:
    async with connected(any_server) as one, connected(any_server) as two, connected(any_server) as third:
        await any_server.enter_room(one.sid, "a")
        await any_server.enter_room(one.sid, "b")
        await any_server.enter_room(two.sid, "b")
        await any_server.emit("hello", to=["a", "b", "nobody's"])
        assert [await one.events(), await two.events()] == [[["hello"]], [["hello"]]]
        assert await third.events() == []


async def test_several_sids_are_several_rooms(server: AsyncServer) -> None:
    async with connected(server) as one, connected(server) as two, connected(server) as third:
        await server.emit("hello", to=[one.sid, two.sid])
        assert [await one.events(), await two.events()] == [[["hello"]], [["hello"]]]
        assert await third.events() == []


@pytest.mark.parametrize("listed", [False, True])
async def test_a_client_can_be_skipped(any_server: AsyncServer, listed: bool) -> None:
    async with connected(any_server) as one, connected(any_server) as two:
        await any_server.emit("hello", skip_sid=[one.sid] if listed else one.sid)
        assert await one.events() == []
        assert await two.events() == [["hello"]]


async def test_several_clients_can_be_skipped(any_server: AsyncServer) -> None:
    async with connected(any_server) as one, connected(any_server) as two, connected(any_server) as third:
        await any_server.emit("hello", skip_sid=[one.sid, two.sid])
        assert await one.events() + await two.events() == []
        assert await third.events() == [["hello"]]


async def test_a_room_that_does_not_exist_is_nobody(any_server: AsyncServer) -> None:
    async with connected(any_server) as client:
        await any_server.emit("hello", to="nobody's")
        await any_server.emit("hello", namespace="/none")
        assert await client.events() == []


def knows_own_rooms(server: AsyncServer) -> None:
    """Skip the test where python-socketio's client manager treats a client's own room as any other."""
    version = tuple(map(int, importlib.metadata.version("python-socketio").split(".")[:2]))
    if not isinstance(server.manager, Rooms) and version < (5, 17):
        pytest.skip("the client manager of python-socketio before 5.17 does not refuse this")


async def test_another_clients_own_room_cannot_be_entered(any_server: AsyncServer) -> None:
    knows_own_rooms(any_server)
    async with connected(any_server) as one, connected(any_server) as two:
        with pytest.raises(ValueError, match="sid room"):
            await any_server.enter_room(one.sid, two.sid)


async def test_ones_own_room_may_be_entered(any_server: AsyncServer) -> None:
    async with connected(any_server) as client:
        await any_server.enter_room(client.sid, client.sid)
        await any_server.emit("hello", to=client.sid)
        assert await client.events() == [["hello"]]
        assert any_server.rooms(client.sid) == [client.sid]


async def test_a_clients_own_room_cannot_be_closed(any_server: AsyncServer) -> None:
    knows_own_rooms(any_server)
    async with connected(any_server) as client:
        with pytest.raises(ValueError, match="sid room"):
            await any_server.close_room(client.sid)


@pytest.mark.parametrize("namespace", ["/", "/none"])
async def test_somebody_who_is_not_connected_cannot_enter_a_room(server: AsyncServer, namespace: str) -> None:
    async with connected(server) as client:
        with pytest.raises(ValueError, match="not connected"):
            await server.enter_room("nobody" if namespace == "/" else client.sid, "room", namespace)


async def test_a_client_that_is_gone_cannot_enter_a_room(server: AsyncServer) -> None:
    async with connected(server) as client:
        await client.leave()
        with pytest.raises(ValueError, match="not connected"):
            await server.enter_room(client.sid, "room")


async def test_a_client_that_disconnects_leaves_nothing_behind(server: AsyncServer) -> None:
    server.namespaces = ["/", "/other"]
    async with connected(server, "/", "/other") as client:
        await server.enter_room(client.sid, "room")
        await server.enter_room(client.sids["/other"], "room", namespace="/other")
        await server.save_session(client.sid, {"a": 1})
        await server.emit("question", to=client.sid, callback=print)
        await client.leave()
        await within(until(lambda: not server.eio.tasks and not server.environ))
    kept = {
        name: value
        for owner in (server, server.eio, server.manager)
        for name, value in vars(owner).items()
        if isinstance(value, (dict, set)) and (client.sid in repr(value) or client.eio_sid in repr(value))
    }
    assert kept == {}
    assert server.manager.rooms == {}


async def test_an_ended_session_is_let_go_at_once(server: AsyncServer) -> None:
    async with connected(server) as client:
        await client.leave()
        await within(until(lambda: not server.environ))
    gc.collect()  # the test's own connection is part of cycles
    kept = [found for found in gc.get_objects() if isinstance(found, Session)]
    assert not [session for session in kept if session.core is server.eio.core]


async def test_a_disconnect_drops_empty_rooms_and_keeps_the_others(server: AsyncServer) -> None:
    async with connected(server) as one, connected(server) as two:
        await server.enter_room(one.sid, "both")
        await server.enter_room(two.sid, "both")
        await server.enter_room(one.sid, "alone")
        await one.leave()
        assert set(server.manager.rooms["/"]) == {None, "both"}
        await server.emit("hello", to="both")
        assert await two.events() == [["hello"]]


async def test_a_client_is_in_its_rooms_while_its_disconnect_handler_runs(any_server: AsyncServer) -> None:
    rooms: list[Any] = []
    done = asyncio.Event()

    @any_server.event
    async def disconnect(sid: str) -> None:
        await asyncio.sleep(0)
        rooms.append(sorted(any_server.rooms(sid)))
        done.set()

    async with connected(any_server) as client:
        await any_server.enter_room(client.sid, "room")
        await client.leave()
        await within(done.wait())
    assert rooms == [sorted([client.sid, "room"])]


async def test_get_participants_tells_sids_and_sessions(any_server: AsyncServer) -> None:
    async with connected(any_server) as one, connected(any_server) as two:
        await any_server.enter_room(one.sid, "room")
        participants = any_server.manager.get_participants("/", "room")
        assert list(participants) == [(one.sid, one.eio_sid)]
        assert {sid for sid, _ in any_server.manager.get_participants("/", None)} == {one.sid, two.sid}


async def polling_client(server: AsyncServer) -> tuple[str, str]:
    """The session and the sid of a client that has no task of its own."""
    path, query = "/socket.io/", "EIO=4&transport=polling"
    answer = await request(server.handle_request, path=path, query=query)
    eio_sid = json.loads(answer.text[1:])["sid"]
    await request(server.handle_request, "POST", path, f"{query}&sid={eio_sid}", body=b"40")
    while (sid := server.manager.sid_from_eio_sid(eio_sid, "/")) is None:
        await asyncio.sleep(0)
    return eio_sid, sid


async def calls_of_a_disconnect(server: AsyncServer, clients: list[tuple[str, str]], count: int) -> int:
    """How many Python functions are called to disconnect one of so many clients, in as many rooms."""
    for _ in range(count - len(clients)):
        eio_sid, sid = await polling_client(server)
        server.enter_room(sid, f"room of {sid}")
        server.enter_room(sid, "everybody's")
        clients.append((eio_sid, sid))
    for _ in range(3):
        await asyncio.sleep(0)
    calls = 0

    def profile(frame: Any, event: str, arg: Any) -> None:
        nonlocal calls
        if event == "call":
            calls += 1

    measured = []
    for _ in range(3):  # a timer may fall due in one of them
        calls = 0
        session = server.eio.sessions[clients.pop()[0]]
        sys.setprofile(profile)
        try:
            session.close("server disconnect")
            for _ in range(3):
                await asyncio.sleep(0)
        finally:
            sys.setprofile(None)
        measured.append(calls)
        assert len(server.manager.rooms["/"]) == len(clients) + 2
    return min(measured)


async def test_a_disconnect_costs_the_same_however_many_clients_and_rooms_there_are() -> None:
    server = AsyncServer()
    clients: list[tuple[str, str]] = []
    gc.disable()
    try:
        few = await calls_of_a_disconnect(server, clients, 1000)
        many = await calls_of_a_disconnect(server, clients, 8000)
    finally:
        gc.enable()
    assert few == many

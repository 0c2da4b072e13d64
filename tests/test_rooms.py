"""Clients, rooms, acknowledgements, sessions and handlers of AsyncServer, with clients in this process."""

from __future__ import annotations

import asyncio
import gc
import importlib.metadata
import json
import logging
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import socketio
from socketio.exceptions import ConnectionRefusedError, TimeoutError
from socketio.msgpack_packet import MsgPackPacket

from asyncsock import AsyncServer
from asyncsock.engine.session import Session
from asyncsock.rooms import Rooms
from tests.support.asgi_in_process import Closed, Socket, request
from tests.support.raw_clients import within

Environ = dict[str, Any]
MARKER = "4the end of what has been sent"


class Client:
    """A Socket.IO client on a WebSocket of this process.

    Attributes:
        sids: its sid in each namespace.
        eio_sid: its session.
    """

    def __init__(self, server: AsyncServer, socket: Socket, eio_sid: str) -> None:
        self.server = server
        self.socket = socket
        self.eio_sid = eio_sid
        self.sids: dict[str, str] = {}

    @property
    def sid(self) -> str:
        return self.sids["/"]

    def send(self, packet: str | bytes) -> None:
        self.socket.send(packet)

    async def receive(self) -> Any:
        return await self.socket.receive()

    async def connect(self, namespace: str = "/", auth: Any = None) -> str:
        """Connect to a namespace and return the sid there."""
        prefix = "" if namespace == "/" else f"{namespace},"
        self.send(f"40{prefix}{json.dumps(auth) if auth else ''}")
        packet = await self.receive()
        assert packet.startswith(f"40{prefix}{{"), packet
        sid: str = json.loads(packet[len(f"40{prefix}") :])["sid"]
        self.sids[namespace] = sid
        return sid

    async def packets(self) -> list[Any]:
        """What has been sent to the client since the last call."""
        self.server.eio.send(self.eio_sid, MARKER[1:])
        packets = []
        while (packet := await self.receive()) != MARKER:
            packets.append(packet)
        return packets

    async def events(self) -> list[Any]:
        """The same, where it is events of the main namespace."""
        packets = await self.packets()
        assert all(packet.startswith("42[") for packet in packets), packets
        return [json.loads(packet[2:]) for packet in packets]

    async def event(self) -> Any:
        """The next event of the main namespace."""
        packet = await self.receive()
        assert packet.startswith("42"), packet
        return json.loads(packet[packet.index("[") :])

    async def ask(self, event: str, *args: Any) -> Any:
        """Emit an event of the main namespace and return the acknowledgement's arguments."""
        self.send(f"427{json.dumps([event, *args])}")
        packet = await self.receive()
        assert packet.startswith("437["), packet
        return json.loads(packet[3:])

    async def leave(self) -> None:
        """Break off the connection, and wait until the server has noted it."""
        self.socket.leave()
        await within(self.socket.task)


@asynccontextmanager
async def opened(server: AsyncServer) -> AsyncIterator[Client]:
    """A client in no namespace."""
    async with Socket(server.handle_request) as socket:
        packet = await socket.receive()
        yield Client(server, socket, json.loads(packet[1:])["sid"])


@asynccontextmanager
async def connected(server: AsyncServer, *namespaces: str) -> AsyncIterator[Client]:
    """A client in the main namespace, or in those that are named."""
    async with opened(server) as client:
        for namespace in namespaces or ("/",):
            await client.connect(namespace)
        yield client


@pytest.fixture
def server() -> AsyncServer:
    return AsyncServer()


@pytest.fixture(params=["ours", "python-socketio's"])
def any_server(request: pytest.FixtureRequest) -> AsyncServer:
    """A server with our client manager, or with python-socketio's."""
    return AsyncServer(client_manager=None if request.param == "ours" else socketio.AsyncManager())


def recorded(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= level]


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The exceptions that were logged with their tracebacks."""
    return [repr(record.exc_info[1]) for record in caplog.records if record.exc_info]


# Rooms


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
    assert not [session for session in kept if session.server is server.eio]


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


# Connecting


async def test_what_the_connect_handler_sends_follows_the_connect_packet_in_order(
    server: AsyncServer,
) -> None:
    @server.event
    async def connect(sid: str, environ: Environ, auth: Any) -> None:
        await server.emit("one", to=sid)
        await server.enter_room(sid, "room")
        await server.emit("two", to="room")
        await server.emit("three")

    async with connected(server) as client:
        assert [await client.event() for _ in range(3)] == [["one"], ["two"], ["three"]]


async def test_what_the_connect_handler_sends_without_await_follows_the_connect_packet(
    server: AsyncServer,
) -> None:
    @server.event
    def connect(sid: str, environ: Environ) -> None:
        server.emit("one", to=sid)
        server.emit("two", to=sid)

    async with connected(server) as client:
        assert [await client.event() for _ in range(2)] == [["one"], ["two"]]


async def test_what_others_send_meanwhile_follows_the_connect_packet_in_order(server: AsyncServer) -> None:
    entered, go = asyncio.Event(), asyncio.Event()

    @server.event
    async def connect(sid: str, environ: Environ) -> None:
        entered.set()
        await go.wait()
        await server.emit("mine", to=sid)

    async with opened(server) as client:
        client.send("40")
        await within(entered.wait())
        await server.emit("broadcast")
        go.set()
        assert (await client.receive())[:3] == "40{"
        assert [await client.event() for _ in range(2)] == [["broadcast"], ["mine"]]


async def test_what_is_sent_right_after_the_connect_handler_comes_last(server: AsyncServer) -> None:
    done = asyncio.Event()

    @server.event
    async def connect(sid: str, environ: Environ) -> None:
        await server.emit("one", to=sid)
        done.set()

    async with opened(server) as client:
        client.send("40")
        await within(done.wait())
        await server.emit("two")
        assert (await client.receive())[:3] == "40{"
        assert [await client.event() for _ in range(2)] == [["one"], ["two"]]


async def test_an_event_that_follows_the_connect_packet_is_answered_after_what_was_sent_before(
    server: AsyncServer,
) -> None:
    server.on("say", lambda sid: server.emit("said", to=sid))

    @server.event
    async def connect(sid: str, environ: Environ) -> None:
        await server.emit("welcome", to=sid)

    async with connected(server) as client:
        client.send('420["say"]')
        assert [await client.receive() for _ in range(3)] == ['42["welcome"]', '42["said"]', "430[]"]


async def test_a_refused_client_gets_nothing_of_what_was_sent(server: AsyncServer) -> None:
    @server.event
    async def connect(sid: str, environ: Environ) -> bool:
        await server.emit("mine", to=sid)
        await server.enter_room(sid, "room")
        await server.emit("the room's", to="room")
        return False

    async with opened(server) as client:
        client.send("40")
        assert (await client.receive())[:3] == "44{"
        await server.emit("everybody's")
        await asyncio.sleep(0.05)  # longer than what follows a CONNECT packet is held back
        assert await client.packets() == []
        assert server.manager.rooms == {}


@pytest.mark.parametrize(
    ("refusal", "answer"),
    [
        (ConnectionRefusedError("no"), '44{"message":"no"}'),
        (ConnectionRefusedError("no", 7), '44{"message":"no","data":7}'),
        (ConnectionRefusedError("no", 7, 8), '44{"message":"no","data":[7,8]}'),
        (ConnectionRefusedError(), '44{"message":"Connection rejected by server"}'),
        (False, '44{"message":"Connection rejected by server"}'),
    ],
    ids=repr,
)
async def test_a_connect_handler_refuses(any_server: AsyncServer, refusal: Any, answer: str) -> None:
    @any_server.event
    async def connect(sid: str, environ: Environ) -> Any:
        if isinstance(refusal, Exception):
            raise refusal
        return refusal

    async with opened(any_server) as client:
        client.send("40")
        assert await client.receive() == answer


async def test_an_error_in_the_connect_handler_refuses_and_is_logged(
    server: AsyncServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.on("connect", lambda sid, environ: 1 / 0)
    async with opened(server) as client:
        client.send("40")
        assert (await client.receive())[:3] == "44{"
    assert errors(caplog) == ["ZeroDivisionError('division by zero')"]


async def test_a_refused_clients_disconnect_handler_does_not_run(server: AsyncServer) -> None:
    left: list[str] = []
    server.on("connect", lambda sid, environ: False)
    server.on("disconnect", left.append)
    async with opened(server) as client:
        client.send("40")
        await client.receive()
        await client.leave()
    assert left == []


async def test_a_room_that_is_entered_right_after_connecting_is_reached(server: AsyncServer) -> None:
    """Though what the connect handler sent is held back for a moment."""

    @server.event
    async def connect(sid: str, environ: Environ) -> None:
        await server.emit("welcome", to=sid)

    server.on("join", lambda sid: server.enter_room(sid, "room"))
    async with connected(server) as client:
        client.send('420["join"]')
        await within(until(lambda: "room" in server.manager.rooms["/"]))
        await server.emit("hello", to="room")
        assert {await client.receive() for _ in range(3)} == {'42["welcome"]', "430[]", '42["hello"]'}


@pytest.mark.parametrize("accepted", [True, False])
async def test_a_client_that_leaves_while_its_connect_handler_runs_leaves_nothing_behind(
    server: AsyncServer, accepted: bool
) -> None:
    entered, go = asyncio.Event(), asyncio.Event()

    @server.event
    async def connect(sid: str, environ: Environ) -> bool:
        await server.enter_room(sid, "room")
        entered.set()
        await go.wait()
        return accepted

    async with opened(server) as client:
        client.send("40")
        await within(entered.wait())
        await client.leave()
        go.set()
        await within(until(lambda: not server.eio.tasks and not server.environ))
    assert server.manager.rooms == {}


async def until(condition: Callable[[], Any]) -> None:
    while not condition():
        await asyncio.sleep(0)


@asynccontextmanager
async def gone_while_connecting(server: AsyncServer) -> AsyncIterator[list[Any]]:
    """A client whose connect handler (it saves a session) still runs when it leaves.

    The block begins when the disconnect handler has run, with what that got: the sid, the reason, the
    environ and the session, or in their place an exception.
    """
    entered, go = asyncio.Event(), asyncio.Event()
    got: list[Any] = []

    @server.event
    async def connect(sid: str, environ: Environ) -> None:
        await server.save_session(sid, {"user": "ann"})
        entered.set()
        await go.wait()

    @server.event
    async def disconnect(sid: str, reason: str) -> None:
        got.extend([sid, reason, server.get_environ(sid)])
        try:
            got.append(await server.get_session(sid))
        except Exception as error:
            got.append(error)

    async with opened(server) as client:
        client.send("40")
        await within(entered.wait())
        await client.leave()
        go.set()
        await within(until(lambda: len(got) == 4))
        yield got


async def test_a_client_that_leaves_while_its_connect_handler_runs_gets_its_disconnect_handler(
    server: AsyncServer,
) -> None:
    async with gone_while_connecting(server) as got:
        assert got[1] == "transport close"


async def test_the_environ_of_a_client_that_left_while_connecting_is_there_in_its_disconnect_handler(
    server: AsyncServer,
) -> None:
    async with gone_while_connecting(server) as got:
        assert got[2] is not None
        assert got[2]["PATH_INFO"] == "/socket.io/"


async def test_the_session_of_a_client_that_left_while_connecting_is_there_in_its_disconnect_handler(
    server: AsyncServer,
) -> None:
    async with gone_while_connecting(server) as got:
        assert got[3] == {"user": "ann"}


async def test_with_always_connect_the_connect_packet_comes_first(any_server: AsyncServer) -> None:
    any_server.always_connect = True
    entered, go = asyncio.Event(), asyncio.Event()

    @any_server.event
    async def connect(sid: str, environ: Environ) -> None:
        await any_server.emit("one", to=sid)
        entered.set()
        await go.wait()
        await any_server.emit("two", to=sid)

    async with connected(any_server) as client:
        await within(entered.wait())
        assert await client.event() == ["one"]
        go.set()
        assert await client.event() == ["two"]


async def test_with_always_connect_a_refusal_disconnects(any_server: AsyncServer) -> None:
    any_server.always_connect = True
    any_server.on("connect", lambda sid, environ: False)
    async with connected(any_server) as client:
        assert await client.receive() == "41"
        assert any_server.manager.sid_from_eio_sid(client.eio_sid, "/") is None


async def test_the_connect_handler_gets_the_auth(any_server: AsyncServer) -> None:
    got: list[Any] = []

    @any_server.event
    async def connect(sid: str, environ: Environ, auth: Any) -> None:
        got.append((sid, environ["PATH_INFO"], auth))

    async with opened(any_server) as client:
        sid = await client.connect(auth={"token": "t"})
    assert got == [(sid, "/socket.io/", {"token": "t"})]


AUTHS = ["a token", ["a", {"b": 1}], True, 1.5, {"token": "t"}]


@pytest.mark.parametrize("auth", AUTHS, ids=repr)
@pytest.mark.parametrize("serializer", ["default", "msgpack"])
async def test_an_auth_of_any_type_reaches_the_connect_handler(auth: Any, serializer: str) -> None:
    if auth == 1.5 and serializer == "default":
        auth = -1.5  # the digits of others would be an acknowledgement id
    got: list[Any] = []
    server = AsyncServer(serializer=serializer)

    @server.event
    async def connect(sid: str, environ: Environ, auth: Any) -> None:
        got.append(auth)

    async with Socket(server.handle_request) as socket:
        await socket.receive()
        if serializer == "default":
            socket.send(f"40{json.dumps(auth)}")
            assert (await socket.receive())[:2] == "40"
        else:
            client = MsgPackClient(socket)
            client.send(0, auth)
            assert (await client.receive())[0] == 0
    assert got == [auth]


@pytest.mark.parametrize("auth", ['""', "[]", "{}", "false", "null", "0", ""])
async def test_an_empty_auth_is_none_as_in_python_socketio(server: AsyncServer, auth: str) -> None:
    got: list[Any] = []
    server.on("connect", lambda sid, environ, auth: got.append(auth))
    async with opened(server) as client:
        client.send(f"40{auth}")
        assert (await client.receive())[:2] == "40"
    assert got == [None]


async def test_a_connect_handler_may_do_without_the_auth(any_server: AsyncServer) -> None:
    got: list[str] = []

    @any_server.event
    async def connect(sid: str, environ: Environ) -> None:
        got.append(sid)

    async with opened(any_server) as client:
        assert [await client.connect(auth={"token": "t"})] == got


async def test_a_connect_handlers_own_type_error_is_reported_as_itself(
    server: AsyncServer, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[Any] = []

    @server.event
    async def connect(sid: str, environ: Environ, auth: Any) -> None:
        calls.append(sid)
        raise TypeError("my own")

    async with opened(server) as client:
        client.send("40")
        assert (await client.receive())[:3] == "44{"
    assert len(calls) == 1
    assert errors(caplog) == ["TypeError('my own')"]


# Disconnecting


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


# Acknowledgements


async def test_a_callback_is_called_with_what_the_client_answers(any_server: AsyncServer) -> None:
    answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    async with connected(any_server) as client:
        await any_server.emit("question", 1, to=client.sid, callback=lambda *args: answered.set_result(args))
        assert await client.receive() == '421["question",1]'
        client.send('431["yes",2]')
        assert await within(answered) == ("yes", 2)


async def test_a_callback_may_be_a_coroutine_function(any_server: AsyncServer) -> None:
    answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def callback(*args: Any) -> None:
        await asyncio.sleep(0)
        answered.set_result(args)

    async with connected(any_server) as client:
        await any_server.emit("question", to=client.sid, callback=callback)
        assert await client.receive() == '421["question"]'
        client.send("431[]")
        assert await within(answered) == ()


async def test_a_callback_gets_binary_answers(server: AsyncServer) -> None:
    answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    async with connected(server) as client:
        await server.emit("question", to=client.sid, callback=answered.set_result)
        await client.receive()
        client.send('461-1[{"_placeholder":true,"num":0}]')
        client.send(b"\x01")
        assert await within(answered) == b"\x01"


async def test_a_callback_of_a_broadcast_is_called_for_each_client(any_server: AsyncServer) -> None:
    answers: asyncio.Queue[Any] = asyncio.Queue()
    async with connected(any_server) as one, connected(any_server) as two:
        await any_server.emit("question", callback=answers.put_nowait)
        for number, client in enumerate((one, two)):
            assert await client.receive() == '421["question"]'
            client.send(f"431[{number}]")
        assert sorted([await within(answers.get()), await within(answers.get())]) == [0, 1]


async def test_callbacks_of_one_client_are_told_apart(any_server: AsyncServer) -> None:
    first: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    second: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    async with connected(any_server) as client:
        await any_server.emit("a", to=client.sid, callback=first.set_result)
        await any_server.emit("b", to=client.sid, callback=second.set_result)
        assert await client.packets() == ['421["a"]', '422["b"]']
        client.send("432[2]")
        client.send("431[1]")
        assert [await within(first), await within(second)] == [1, 2]


async def test_an_error_in_a_callback_is_logged(
    server: AsyncServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(server) as client:
        await server.emit("question", to=client.sid, callback=lambda: 1 / 0)
        await client.receive()
        client.send("431[]")
        await within(until(lambda: errors(caplog)))
        assert errors(caplog) == ["ZeroDivisionError('division by zero')"]
        await server.emit("hello", to=client.sid)
        assert await client.events() == [["hello"]]


async def test_an_answer_to_no_question_is_ignored_with_one_log_line(
    any_server: AsyncServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(any_server) as client:
        client.send("4399[]")
        await within(until(lambda: recorded(caplog, logging.WARNING)))
        await any_server.emit("hello", to=client.sid)
        assert await client.events() == [["hello"]]
    assert len(recorded(caplog, logging.WARNING)) == 1


async def test_an_answer_counts_once(server: AsyncServer) -> None:
    answers: list[Any] = []
    server.on("flush", lambda sid: None)
    async with connected(server) as client:
        await server.emit("question", to=client.sid, callback=answers.append)
        await client.receive()
        client.send("431[1]")
        client.send("431[2]")
        await client.ask("flush")
    assert answers == [1]


async def test_another_clients_answer_does_not_count(server: AsyncServer) -> None:
    answers: list[Any] = []
    server.on("flush", lambda sid: None)
    async with connected(server) as one, connected(server) as two:
        await server.emit("question", to=one.sid, callback=answers.append)
        two.send("431[2]")
        await two.ask("flush")
    assert answers == []


@pytest.mark.parametrize(("packet", "answer"), [("431[]", None), ("431[5]", 5), ('431["a",[2]]', ("a", [2]))])
async def test_call_in_a_coroutine_returns_the_answer(
    any_server: AsyncServer, packet: str, answer: Any
) -> None:
    async with connected(any_server) as client:
        call = asyncio.ensure_future(any_server.call("question", 1, to=client.sid))
        assert await client.receive() == '421["question",1]'
        client.send(packet)
        assert await within(call) == answer


async def test_call_in_a_handler_returns_the_answer(any_server: AsyncServer) -> None:
    @any_server.event
    async def start(sid: str) -> Any:
        return await any_server.call("question", to=sid)

    async with connected(any_server) as client:
        client.send('420["start"]')
        assert await client.receive() == '421["question"]'
        client.send("431[5]")
        assert await client.receive() == "430[5]"


async def test_call_in_a_thread_returns_the_answer(any_server: AsyncServer) -> None:
    async with connected(any_server) as client:
        call = asyncio.ensure_future(asyncio.to_thread(any_server.call, "question", to=client.sid))
        assert await client.receive() == '421["question"]'
        client.send("431[5]")
        assert await within(call) == 5


async def test_call_in_a_coroutine_times_out(any_server: AsyncServer) -> None:
    async with connected(any_server) as client:
        with pytest.raises(TimeoutError):
            await any_server.call("question", to=client.sid, timeout=0.01)


async def test_call_in_a_thread_times_out(any_server: AsyncServer) -> None:
    async with connected(any_server) as client:
        with pytest.raises(TimeoutError):
            await asyncio.to_thread(any_server.call, "question", to=client.sid, timeout=0.01)


async def test_an_answer_after_the_timeout_does_no_harm(
    server: AsyncServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.on("flush", lambda sid: None)
    async with connected(server) as client:
        with pytest.raises(TimeoutError):
            await server.call("question", to=client.sid, timeout=0.01)
        await client.receive()
        client.send("431[5]")
        assert await client.ask("flush") == []
    assert errors(caplog) == []


async def test_call_needs_a_client(server: AsyncServer) -> None:
    with pytest.raises(ValueError):
        await server.call("question")


async def test_call_without_async_handlers_is_an_error() -> None:
    server = AsyncServer(async_handlers=False)
    with pytest.raises(RuntimeError, match="async_handlers"):
        await server.call("question", to="sid")


# Events


async def test_a_handler_is_called_with_the_events_arguments(any_server: AsyncServer) -> None:
    any_server.on("say", lambda sid, *args: (sid, *args))
    async with connected(any_server) as client:
        assert await client.ask("say", 1, [2], {"a": None}) == [client.sid, 1, [2], {"a": None}]


@pytest.mark.parametrize(
    ("result", "acknowledged"),
    [(None, []), (1, [1]), ([1, 2], [[1, 2]]), ((1, 2), [1, 2]), (False, [False]), ((), [])],
    ids=repr,
)
@pytest.mark.parametrize("coroutine", [False, True])
async def test_what_a_handler_returns_is_acknowledged(
    any_server: AsyncServer, coroutine: bool, result: Any, acknowledged: list[Any]
) -> None:
    async def handler(sid: str) -> Any:
        return result

    any_server.on("say", handler if coroutine else lambda sid: result)
    async with connected(any_server) as client:
        assert await client.ask("say") == acknowledged


async def test_an_error_in_a_handler_is_logged_and_the_client_goes_on(
    server: AsyncServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.on("bad", lambda sid: 1 / 0)
    server.on("good", lambda sid: 1)
    async with connected(server) as client:
        client.send('42["bad"]')
        assert await client.ask("good") == [1]
    assert errors(caplog) == ["ZeroDivisionError('division by zero')"]


async def test_a_handlers_own_type_error_is_reported_as_itself(
    server: AsyncServer, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []

    @server.event
    async def bad(sid: str) -> None:
        calls.append(sid)
        raise TypeError("my own")

    server.on("good", lambda sid: 1)
    async with connected(server) as client:
        client.send('42["bad"]')
        await client.ask("good")
    assert len(calls) == 1
    assert errors(caplog) == ["TypeError('my own')"]


async def test_a_handler_that_raises_does_not_acknowledge(server: AsyncServer) -> None:
    server.on("bad", lambda sid: 1 / 0)
    async with connected(server) as client:
        client.send('420["bad"]')
        await within(until(lambda: not server.eio.tasks))
        assert await client.packets() == []


async def test_events_of_a_client_start_in_the_order_in_which_they_were_sent(any_server: AsyncServer) -> None:
    started: list[int] = []

    @any_server.event
    async def number(sid: str, value: int) -> None:
        started.append(value)
        await asyncio.sleep(0)

    any_server.on("flush", lambda sid: None)
    async with connected(any_server) as client:
        for value in range(100):
            client.send(f'42["number",{value}]')
        await client.ask("flush")
    assert started == list(range(100))


async def test_without_async_handlers_events_of_a_client_are_handled_in_turn() -> None:
    server = AsyncServer(async_handlers=False)
    steps: list[Any] = []

    @server.event
    async def number(sid: str, value: int) -> None:
        steps.append(value)
        await asyncio.sleep(0.01 if value == 0 else 0)
        steps.append(value)

    async with connected(server) as client:
        for value in range(3):
            client.send(f'42["number",{value}]')
        await client.ask("number", 3)
    assert steps == [0, 0, 1, 1, 2, 2, 3, 3]


async def test_without_async_handlers_a_client_is_known_until_its_events_are_handled() -> None:
    server = AsyncServer(async_handlers=False)
    gone = asyncio.Event()
    known: list[bool] = []

    @server.event
    async def number(sid: str, value: int) -> None:
        await gone.wait()
        known.append(sid in server.manager.clients)

    async with connected(server) as client:
        client.send('42["number",0]')
        client.send('42["number",1]')
        await client.leave()
        gone.set()
    while server.eio.tasks:
        await asyncio.sleep(0)
    assert known == [True, True]
    assert not server.manager.clients


async def test_an_event_that_has_no_handler_goes_to_the_one_for_any_event(any_server: AsyncServer) -> None:
    any_server.on("known", lambda sid: "known")
    any_server.on("*", lambda event, sid, *args: [event, *args])
    async with connected(any_server) as client:
        assert await client.ask("known") == ["known"]
        assert await client.ask("other", 1, 2) == [["other", 1, 2]]


async def test_the_handler_for_any_event_gets_no_connect_or_disconnect(any_server: AsyncServer) -> None:
    got: list[str] = []
    any_server.on("*", lambda event, *args: got.append(event))
    async with connected(any_server) as client:
        await client.leave()
    assert got == []


async def test_a_namespace_without_handlers_goes_to_those_for_any_namespace() -> None:
    server = AsyncServer(namespaces="*")
    got: list[Any] = []
    server.on("connect", lambda namespace, sid, environ, auth: got.append((namespace, sid)), namespace="*")
    server.on("disconnect", lambda namespace, sid, reason: got.append((namespace, reason)), namespace="*")
    server.on("say", lambda namespace, sid, *args: [namespace, *args], namespace="*")
    server.on("*", lambda event, namespace, sid, *args: [event, namespace, *args], namespace="*")
    async with connected(server, "/any") as client:
        client.send('42/any,0["say",1]')
        client.send('42/any,1["other",2]')
        assert await client.packets() == []
        assert [await client.receive() for _ in range(2)] == [
            '43/any,0[["/any",1]]',
            '43/any,1[["other","/any",2]]',
        ]
        await client.leave()
    await within(until(lambda: len(got) == 2))
    assert got == [("/any", client.sids["/any"]), ("/any", "transport close")]


async def test_connect_and_disconnect_handlers_for_any_namespace_may_take_less() -> None:
    server = AsyncServer(namespaces="*")
    got: list[Any] = []
    server.on("connect", lambda namespace, sid, environ: got.append((namespace, sid)), namespace="*")
    server.on("disconnect", lambda namespace, sid: got.append((namespace, sid)), namespace="*")
    async with connected(server, "/any") as client:
        await client.leave()
    await within(until(lambda: len(got) == 2))
    assert got == [("/any", client.sids["/any"])] * 2


async def test_a_namespace_that_is_named_is_accepted_without_handlers() -> None:
    server = AsyncServer(namespaces=["/named"])
    async with connected(server, "/named"), opened(server) as other:
        other.send("40/other,")
        assert await other.receive() == '44/other,{"message":"Invalid namespace"}'


async def test_an_event_for_a_namespace_that_the_client_is_not_in_is_ignored(server: AsyncServer) -> None:
    got: list[Any] = []
    server.on("say", lambda *args: got.append(args), namespace="/other")
    server.on("flush", lambda sid: None)
    async with connected(server) as client:
        client.send('42/other,["say"]')
        await client.ask("flush")
    assert got == []


# Sessions and the like


async def test_sessions_of_two_namespaces_are_apart(any_server: AsyncServer) -> None:
    any_server.namespaces = ["/", "/other"]
    async with connected(any_server, "/", "/other") as client:
        await any_server.save_session(client.sid, {"a": 1})
        assert await any_server.get_session(client.sid) == {"a": 1}
        assert await any_server.get_session(client.sids["/other"], namespace="/other") == {}


async def test_a_session_is_a_context_manager(any_server: AsyncServer) -> None:
    async with connected(any_server) as client:
        async with any_server.session(client.sid) as session:
            session["a"] = 1
        assert await any_server.get_session(client.sid) == {"a": 1}


@pytest.mark.parametrize("how", ["41", "1", "41 and 1", "breaks off", "is disconnected"])
async def test_the_session_is_there_in_the_disconnect_handler(any_server: AsyncServer, how: str) -> None:
    got: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    @any_server.event
    async def disconnect(sid: str) -> None:
        await asyncio.sleep(0)
        try:
            got.set_result(await any_server.get_session(sid))
        except Exception as error:
            got.set_exception(AssertionError(f"no session: {error!r}"))

    async with connected(any_server) as client:
        await any_server.save_session(client.sid, {"user": "ann"})
        if how == "breaks off":
            await client.leave()
        elif how == "is disconnected":
            await any_server.disconnect(client.sid)
        else:
            for packet in how.split(" and "):
                client.send(packet)
        assert await within(got) == {"user": "ann"}


@pytest.mark.parametrize("how", ["41", "41 and 1", "breaks off"])
async def test_the_environ_is_there_in_the_disconnect_handler(any_server: AsyncServer, how: str) -> None:
    got: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    @any_server.event
    async def disconnect(sid: str) -> None:
        await asyncio.sleep(0)
        got.set_result(any_server.get_environ(sid))

    async with connected(any_server) as client:
        if how == "breaks off":
            await client.leave()
        else:
            for packet in how.split(" and "):
                client.send(packet)
        assert "PATH_INFO" in (await within(got) or {})


async def test_transport_tells_a_clients_transport(any_server: AsyncServer) -> None:
    async with connected(any_server) as client:
        assert any_server.transport(client.sid) == "websocket"


def test_instrument_is_one_clear_error(server: AsyncServer) -> None:
    with pytest.raises(NotImplementedError, match=r"instrument\(\)"):
        server.instrument(auth=False)


def test_attach_is_an_error_that_names_asgi_app(server: AsyncServer) -> None:
    with pytest.raises(NotImplementedError, match="ASGIApp"):
        server.attach(object())


# Another client manager


def test_the_client_manager_is_rooms_by_default(server: AsyncServer) -> None:
    assert isinstance(server.manager, Rooms)


async def test_another_client_manager_forgets_a_client_that_leaves() -> None:
    server = AsyncServer(client_manager=socketio.AsyncManager())
    server.on("disconnect", lambda sid: None)
    async with connected(server) as client:
        await server.enter_room(client.sid, "room")
        await client.leave()
        await within(until(lambda: not server.eio.tasks and not server.environ))
    assert server.manager.rooms == {}


async def test_another_client_manager_sends_binary_data() -> None:
    server = AsyncServer(client_manager=socketio.AsyncManager())
    async with connected(server) as client:
        await server.emit("data", [b"\x01", b"\x02"])
        assert await client.packets() == [
            '452-["data",[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]]',
            b"\x01",
            b"\x02",
        ]


async def test_with_another_client_manager_an_emit_that_is_not_awaited_is_sent() -> None:
    server = AsyncServer(client_manager=socketio.AsyncManager())
    async with connected(server) as client:
        server.emit("one", to=client.sid)
        server.emit("two", to=client.sid)
        assert [await client.event() for _ in range(2)] == [["one"], ["two"]]


# Class-based namespaces


class Chat(socketio.AsyncNamespace):
    """Coroutine and plain methods, all arguments taken."""

    def __init__(self, namespace: str) -> None:
        super().__init__(namespace)
        self.got: asyncio.Queue[Any] = asyncio.Queue()

    async def on_connect(self, sid: str, environ: Environ, auth: Any) -> None:
        self.got.put_nowait(("connect", sid, auth))

    async def on_disconnect(self, sid: str, reason: str) -> None:
        self.got.put_nowait(("disconnect", sid, reason))

    async def on_say(self, sid: str, text: str) -> str:
        await self.emit("said", text, room=sid)
        return text + "!"

    def on_plain(self, sid: str) -> str:
        return "plain"


class Terse(Chat):
    """The same with what may be left out left out."""

    async def on_connect(self, sid: str, environ: Environ) -> None:  # type: ignore[override]
        self.got.put_nowait(("connect", sid))

    def on_disconnect(self, sid: str) -> None:  # type: ignore[override]
        self.got.put_nowait(("disconnect", sid))


async def test_a_namespace_class_gets_connect_with_auth_and_disconnect_with_its_reason(
    any_server: AsyncServer,
) -> None:
    chat = Chat("/chat")
    any_server.register_namespace(chat)
    async with opened(any_server) as client:
        sid = await client.connect("/chat", auth={"token": "t"})
        assert await within(chat.got.get()) == ("connect", sid, {"token": "t"})
        client.send("41/chat,")
        assert await within(chat.got.get()) == ("disconnect", sid, "client disconnect")


async def test_a_namespace_class_may_do_without_auth_and_reason(any_server: AsyncServer) -> None:
    chat = Terse("/chat")
    any_server.register_namespace(chat)
    async with opened(any_server) as client:
        sid = await client.connect("/chat", auth={"token": "t"})
        assert await within(chat.got.get()) == ("connect", sid)
        await client.leave()
        assert await within(chat.got.get()) == ("disconnect", sid)


async def test_a_namespace_class_handles_events_with_coroutine_methods(any_server: AsyncServer) -> None:
    any_server.register_namespace(Chat("/chat"))
    async with connected(any_server, "/chat") as client:
        client.send('42/chat,0["say","hello"]')
        assert [await client.receive() for _ in range(2)] == [
            '42/chat,["said","hello"]',
            '43/chat,0["hello!"]',
        ]


async def test_a_namespace_class_handles_events_with_plain_methods(any_server: AsyncServer) -> None:
    any_server.register_namespace(Chat("/chat"))
    async with connected(any_server, "/chat") as client:
        client.send('42/chat,0["plain"]')
        assert await client.receive() == '43/chat,0["plain"]'


async def test_a_namespace_class_ignores_events_that_it_has_no_method_for(
    server: AsyncServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.register_namespace(Chat("/chat"))
    async with connected(server, "/chat") as client:
        client.send('42/chat,["nothing"]')
        client.send('42/chat,0["plain"]')
        assert await client.receive() == '43/chat,0["plain"]'
    assert errors(caplog) == []


async def test_a_namespace_classs_own_type_error_is_reported_as_itself(
    server: AsyncServer, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []

    class Faulty(socketio.AsyncNamespace):
        async def on_disconnect(self, sid: str, reason: str) -> None:
            calls.append(reason)
            raise TypeError("my own")

    server.register_namespace(Faulty("/chat"))
    async with connected(server, "/chat") as client:
        await client.leave()
        await within(until(lambda: not server.eio.tasks))
    assert len(calls) == 1
    assert errors(caplog) == ["TypeError('my own')"]


async def test_a_namespace_class_may_refuse(any_server: AsyncServer) -> None:
    class Refusing(socketio.AsyncNamespace):
        async def on_connect(self, sid: str, environ: Environ) -> None:
            raise ConnectionRefusedError("no")

    any_server.register_namespace(Refusing("/chat"))
    async with opened(any_server) as client:
        client.send("40/chat,")
        assert await client.receive() == '44/chat,{"message":"no"}'


async def test_a_namespace_class_may_dispatch_by_itself(any_server: AsyncServer) -> None:
    got: asyncio.Queue[Any] = asyncio.Queue()

    class Dispatching(socketio.AsyncNamespace):
        async def trigger_event(self, event: str, *args: Any) -> Any:
            got.put_nowait((event, *args))
            return await super().trigger_event(event, *args)

        async def on_say(self, sid: str, text: str) -> str:
            return text + "!"

    any_server.register_namespace(Dispatching("/chat"))
    async with connected(any_server, "/chat") as client:
        sid = client.sids["/chat"]
        assert (await within(got.get()))[:2] == ("connect", sid)
        client.send('42/chat,0["say","hello"]')
        assert await client.receive() == '43/chat,0["hello!"]'
        assert await within(got.get()) == ("say", sid, "hello")
        client.send("41/chat,")
        assert await within(got.get()) == ("disconnect", sid, "client disconnect")


async def test_a_namespace_class_that_dispatches_may_do_without_auth_and_reason(
    any_server: AsyncServer,
) -> None:
    class Dispatching(Terse):
        async def trigger_event(self, event: str, *args: Any) -> Any:
            return await super().trigger_event(event, *args)

    chat = Dispatching("/chat")
    any_server.register_namespace(chat)
    async with opened(any_server) as client:
        sid = await client.connect("/chat", auth={"token": "t"})
        assert await within(chat.got.get()) == ("connect", sid)
        client.send("41/chat,")
        assert await within(chat.got.get()) == ("disconnect", sid)


async def test_a_namespace_class_may_serve_any_namespace() -> None:
    server = AsyncServer(namespaces="*")
    got: asyncio.Queue[Any] = asyncio.Queue()

    class Any_(socketio.AsyncNamespace):
        async def on_connect(self, namespace: str, sid: str, environ: Environ) -> None:
            got.put_nowait(("connect", namespace, sid))

        async def on_disconnect(self, namespace: str, sid: str) -> None:
            got.put_nowait(("disconnect", namespace, sid))

        async def on_say(self, namespace: str, sid: str, text: str) -> str:
            return namespace + text

    server.register_namespace(Any_("*"))
    async with connected(server, "/any") as client:
        sid = client.sids["/any"]
        client.send('42/any,0["say","!"]')
        assert await client.receive() == '43/any,0["/any!"]'
        client.send("41/any,")
        assert [await within(got.get()) for _ in range(2)] == [
            ("connect", "/any", sid),
            ("disconnect", "/any", sid),
        ]


async def test_a_client_is_refused_also_where_the_reason_cannot_be_sent(
    server: AsyncServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def connect(sid: str, environ: dict[str, Any]) -> None:
        raise socketio.exceptions.ConnectionRefusedError("no", {"until": object()})

    server.on("connect", connect)
    async with opened(server) as client:
        client.send("40")
        assert await client.receive() == '44{"message":"Connection rejected by server"}'
    (line,) = recorded(caplog, logging.ERROR)
    assert 'data["data"]["until"] is of type object' in line
    assert errors(caplog) == []


# Serializers


class MsgPackClient:
    """A client that writes and reads python-socketio's msgpack packets."""

    def __init__(self, socket: Socket) -> None:
        self.socket = socket

    def send(self, kind: int, data: Any = None, id: int | None = None) -> None:
        self.socket.send(MsgPackPacket(kind, data=data, namespace="/", id=id).encode())

    async def receive(self) -> tuple[int, Any, int | None]:
        packet = MsgPackPacket(encoded_packet=await self.socket.receive())
        return packet.packet_type, packet.data, packet.id


@asynccontextmanager
async def msgpack_client(server: AsyncServer) -> AsyncIterator[MsgPackClient]:
    async with Socket(server.handle_request) as socket:
        assert (await socket.receive())[0] == "0"
        client = MsgPackClient(socket)
        client.send(0)
        kind, data, _ = await client.receive()
        assert (kind, list(data)) == (0, ["sid"])
        yield client


async def test_msgpack_events_are_acknowledged() -> None:
    server = AsyncServer(serializer="msgpack")
    server.on("say", lambda sid, *args: args)
    async with msgpack_client(server) as client:
        client.send(2, ["say", "hello", b"\x01", {"a": [1.5, None]}], 3)
        assert await client.receive() == (3, ["hello", b"\x01", {"a": [1.5, None]}], 3)


async def test_msgpack_events_are_broadcast() -> None:
    server = AsyncServer(serializer="msgpack")
    async with msgpack_client(server) as one, msgpack_client(server) as two:
        await server.emit("data", {"a": b"\x01"})
        for client in (one, two):
            assert await client.receive() == (2, ["data", {"a": b"\x01"}], None)


async def test_msgpack_answers_reach_call() -> None:
    server = AsyncServer(serializer="msgpack")
    async with msgpack_client(server) as client:
        sid = next(iter(server.manager.get_participants("/", None)))[0]
        call = asyncio.ensure_future(server.call("question", to=sid))
        assert await client.receive() == (2, ["question"], 1)
        client.send(3, [b"answer"], 1)
        assert await within(call) == b"answer"


async def test_msgpack_disconnects_both_ways() -> None:
    server = AsyncServer(serializer="msgpack")
    reasons: asyncio.Queue[str] = asyncio.Queue()
    server.on("disconnect", lambda sid, reason: reasons.put_nowait(reason))
    async with msgpack_client(server) as one, msgpack_client(server) as two:
        one.send(1)
        assert await within(reasons.get()) == "client disconnect"
        ((sid, _),) = server.manager.get_participants("/", None)
        await server.disconnect(sid)
        assert (await two.receive())[0] == 1


async def test_msgpack_raises_in_the_caller_for_what_it_cannot_encode() -> None:
    server = AsyncServer(serializer="msgpack")
    async with msgpack_client(server):
        with pytest.raises(TypeError):
            server.emit("data", object())


@pytest.mark.parametrize("packet", [b"\xc1", b"\x01", "text", MsgPackPacket(9, namespace="/").encode()])
async def test_what_is_not_msgpack_closes_the_session(
    packet: str | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    server = AsyncServer(serializer="msgpack")
    async with msgpack_client(server) as client:
        client.socket.send(f"4{packet}" if isinstance(packet, str) else packet)
        with pytest.raises(Closed):
            await client.socket.receive()
    assert errors(caplog) == []


async def test_a_packet_class_of_ones_own_is_used() -> None:
    class Reversed(socketio.packet.Packet):
        """Packets written backwards."""

        def encode(self) -> str:
            return str(super().encode())[::-1]

        def decode(self, encoded_packet: str) -> Any:
            return super().decode(encoded_packet[::-1])

    server = AsyncServer(serializer=Reversed)
    server.on("say", lambda sid, text: text)
    async with opened(server) as client:
        client.send("40")
        assert (await client.receive()).endswith("0")
        client.send("4" + '20["say","hello"]'[::-1])
        assert await client.receive() == "4" + '30["hello"]'[::-1]

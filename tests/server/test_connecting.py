"""What can be done to a client whose connect handler runs, or that leaves: nothing of it is dropped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any

import pytest
import socketio as python_socketio
from flask import Flask, request, session

from asyncsock import (
    AsyncServer,
    ConnectionRefusedError,
    Namespace,
    SocketIO,
    call,
    disconnect,
    emit,
    join_room,
    rooms,
)
from tests.support.connecting_programs import (
    EARLY,
    KINDS,
    LATE,
    OUT,
    Program,
    connecting,
    holds,
    in_end,
    in_order,
    received,
    rest,
    seen,
)
from tests.support.raw_clients import within
from tests.support.socketio_in_process import Client, connected, opened


@pytest.fixture(params=["ours", "theirs"])
def manager(request: pytest.FixtureRequest) -> Any:
    """For `client_manager`: ours, and python-socketio's."""
    return None if request.param == "ours" else python_socketio.AsyncManager()


# disconnect() within the connect handler


@pytest.mark.parametrize("in_turn", [False, True], ids=["overlapping", "in turn"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_client_that_its_connect_handler_disconnects_is_let_in_and_out(
    kind: str, in_turn: bool, manager: Any
) -> None:
    program = Program(kind, client_manager=manager, async_handlers=not in_turn)
    program.act = lambda sid: program.server.disconnect(sid)
    async with connected_before(program) as witness, opened(program.server) as client:
        client.send("40")
        client.send('42["event","sent at once"]')
        assert await received(client, OUT) == in_order(program.server, EARLY, OUT)
        assert await program.until_noted() == [("left", "server disconnect", True)]
        client.send('42["event","sent later"]')
        await program.server.emit("to all")
        await program.server.emit("to the room", to="room")
        assert await rest(client) == []
        assert await rest(witness) == ['42["to all"]', '42["to the room"]']
        assert program.notes == [("left", "server disconnect", True)]
        while len(program.server.manager.rooms["/"][None]) > 1:  # the handler has not quite ended
            await asyncio.sleep(0)


@asynccontextmanager
async def connected_before(program: Program) -> AsyncIterator[Client]:
    """A client that nothing was done to, in the room."""
    act, program.act = program.act, lambda sid: None
    async with opened(program.server) as client:
        client.send("40")
        await received(client, in_end(program.server))
        program.act = act
        yield client


@pytest.mark.parametrize("kind", KINDS)
async def test_disconnecting_twice_is_disconnecting_once(kind: str, manager: Any) -> None:
    program = Program(kind, client_manager=manager)

    def twice(sid: str) -> None:
        program.server.disconnect(sid)
        program.server.disconnect(sid, namespace="/")

    program.act = twice
    async with opened(program.server) as client:
        client.send("40")
        assert await received(client, OUT) == in_order(program.server, EARLY, OUT)
        assert await program.until_noted() == [("left", "server disconnect", True)]
        assert await rest(client) == []


@pytest.mark.parametrize("kind", KINDS)
async def test_a_disconnect_from_another_namespace_is_not_meant(kind: str, manager: Any) -> None:
    program = Program(kind, client_manager=manager, namespaces=["/", "/other"])
    program.act = lambda sid: program.server.disconnect(sid, namespace="/other")
    async with opened(program.server) as client:
        client.send("40")
        await received(client, in_end(program.server))
        client.send('42["event"]')
        assert await program.until_noted() == [("event",)]


@pytest.mark.parametrize("refusal", [False, ConnectionRefusedError("no"), ZeroDivisionError("on purpose")])
@pytest.mark.parametrize("kind", ["coroutine", "Flask coroutine", "Flask function"])
async def test_a_refusal_after_disconnect_is_a_refusal(kind: str, refusal: Any, manager: Any) -> None:
    program = Program(kind, client_manager=manager)
    program.act = lambda sid: program.server.disconnect(sid)
    program.result = refusal
    async with opened(program.server) as client:
        client.send("40")
        assert len(await received(client, "44")) == 1
        assert await rest(client) == []
        assert program.notes == []
        assert not program.server.manager.rooms


async def test_the_client_may_connect_again_and_be_accepted(manager: Any) -> None:
    program = Program("coroutine", client_manager=manager)
    program.act = lambda sid: program.server.disconnect(sid)
    async with opened(program.server) as client:
        client.send("40")
        await received(client, OUT)
        await program.until_noted()
        program.act = lambda sid: None
        client.send("40")
        await received(client, in_end(program.server))
        client.send('42["event"]')
        while len(program.notes) < 2:
            await asyncio.sleep(0)
        assert program.notes[1:] == [("event",)]


@pytest.mark.parametrize("kind", ["Flask coroutine", "Flask function"])
async def test_the_functions_disconnect_who_is_connecting(kind: str) -> None:
    program = Program(kind)
    program.act = lambda sid: disconnect()
    async with opened(program.server) as client:
        client.send("40")
        assert await received(client, OUT) == ["40", EARLY, OUT]
        assert await program.until_noted() == [("left", "server disconnect", True)]


@pytest.mark.parametrize("kind", ["coroutine", "function"])
async def test_a_decorator_that_disconnects_keeps_strangers_out(kind: str) -> None:
    """`authenticated_only` of Flask-SocketIO's manual, around a connect handler."""
    socketio = SocketIO(Flask(__name__))
    notes: list[Any] = []

    def authenticated_only(f: Any) -> Any:
        @wraps(f)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if request.args.get("user") is None:
                return disconnect()
            return f(*args, **kwargs)

        return wrapped

    def connect() -> None:
        notes.append("connected")

    async def connect_coroutine() -> None:
        notes.append("connected")

    socketio.on("connect")(authenticated_only(connect if kind == "function" else connect_coroutine))
    async with opened(socketio.server) as client:
        client.send("40")
        assert await received(client, OUT) == ["40", OUT]
        socketio.emit("secret")
        assert await rest(client) == []
    assert notes == []


@pytest.mark.parametrize("kind", ["coroutine", "function"])
async def test_an_error_handler_disconnects_whose_connect_handler_raised(kind: str) -> None:
    program = Program(f"Flask {kind}")
    program.result = ZeroDivisionError("on purpose")
    assert program.socketio is not None
    if kind == "function":
        program.socketio.on_error()(lambda error: disconnect() and None)
    else:

        @program.socketio.on_error()
        async def send_away(error: Exception) -> None:
            await disconnect()

    async with opened(program.server) as client:
        client.send("40")
        assert await received(client, OUT) == ["40", EARLY, LATE, OUT]
        assert await program.until_noted() == [("left", "server disconnect", True)]


async def test_a_namespaces_own_method_disconnects_who_is_connecting() -> None:
    class Closed(Namespace):
        def on_connect(self) -> None:
            self.disconnect(request.sid)  # type: ignore[attr-defined]

    class ClosedToo(python_socketio.AsyncNamespace):  # type: ignore[misc]
        async def on_connect(self, sid: str, environ: Any) -> None:
            await self.disconnect(sid)

    socketio, server = SocketIO(Flask(__name__)), AsyncServer()
    socketio.on_namespace(Closed("/"))
    server.register_namespace(ClosedToo("/"))
    for each in (socketio.server, server):
        async with opened(each) as client:
            client.send("40")
            assert await received(client, OUT) == ["40", OUT]


@pytest.mark.parametrize("kind", ["coroutine", "Flask coroutine", "Flask function"])
async def test_with_always_connect_the_client_is_disconnected_at_once(kind: str, manager: Any) -> None:
    """It is connected when its connect handler begins, so that is no different from any other client."""
    program = Program(kind, client_manager=manager, always_connect=True)
    program.act = lambda sid: program.server.disconnect(sid)
    async with opened(program.server) as client:
        client.send("40")
        assert await received(client, OUT) == seen(program.server, ["40", EARLY, OUT])
        assert [note[:2] for note in await program.until_noted()] == [("left", "server disconnect")]
        await program.server.emit("to all")
        assert await rest(client) == []


async def test_with_always_connect_a_refusal_after_disconnect_says_nothing_more(manager: Any) -> None:
    program = Program("coroutine", client_manager=manager, always_connect=True)
    program.act = lambda sid: program.server.disconnect(sid)
    program.result = False
    async with opened(program.server) as client:
        client.send("40")
        assert await received(client, OUT) == seen(program.server, ["40", EARLY, OUT])
        assert await rest(client) == []
        assert len(program.notes) == 1


# disconnect() from elsewhere, while the connect handler runs


@pytest.mark.parametrize("where", ["on the loop", "in a thread"])
@pytest.mark.parametrize("kind", ["coroutine", "class", "Flask coroutine", "Flask function", "Flask class"])
async def test_a_client_that_is_disconnected_while_it_connects_gets_nothing_more(
    kind: str, where: str, manager: Any
) -> None:
    program = Program(kind, client_manager=manager)
    async with connected_before(program) as witness, connecting(program) as (client, gate):
        await program.server.emit("before")
        if where == "on the loop":
            await within(program.server.disconnect(gate.sid))
        else:
            await within(asyncio.to_thread(program.server.disconnect, gate.sid))
        await program.server.emit("to all")
        await program.server.emit("to the room", to="room")
        await program.server.emit("to itself", to=gate.sid)
        await program.server.emit("with a callback", to=["room", gate.sid], callback=print)
        client.send('42["event"]')
        gate.open()
        assert await received(client, OUT) == in_order(program.server, EARLY, '42["before"]', OUT)
        assert await program.until_noted() == [("left", "server disconnect", True)]
        assert await rest(client) == []
        names = [packet[packet.index("[") :] for packet in await rest(witness)]
        assert names == ['["before"]', '["to all"]', '["to the room"]', '["with a callback"]']


async def test_a_view_kicks_a_client_whose_connect_handler_runs() -> None:
    program = Program("Flask function")
    assert program.socketio is not None
    app = program.socketio.app
    assert app is not None

    @app.get("/kick/<sid>")
    def kick(sid: str) -> str:
        disconnect(sid, namespace="/")
        return "kicked"

    async with connecting(program) as (client, gate):
        answer = await asyncio.to_thread(app.test_client().get, f"/kick/{gate.sid}")
        assert answer.text == "kicked"
        program.socketio.emit("secret")
        gate.open()
        assert await received(client, OUT) == ["40", EARLY, OUT]


# The client leaves by itself


@pytest.mark.parametrize("kind", ["coroutine", "Flask coroutine", "Flask function"])
async def test_a_client_that_leaves_the_namespace_while_it_connects_is_gone_when_that_has_ended(
    kind: str, manager: Any
) -> None:
    program = Program(kind, client_manager=manager)
    async with connecting(program) as (client, gate):
        client.send("41")
        client.send('42["event"]')
        await client.packets()
        gate.open()
        assert await program.until_noted() == [("left", "client disconnect", True)]
        while program.server.manager.rooms:
            await asyncio.sleep(0)
        assert await rest(client) == []


@pytest.mark.parametrize("how", ["leaves", "closes"])
async def test_the_disconnect_handler_is_told_why_a_connecting_client_went(how: str) -> None:
    program = Program("coroutine")
    async with connecting(program) as (client, gate):
        if how == "leaves":
            await client.leave()
        else:
            client.send("1")
            await within(client.socket.task)
        program.server.disconnect(gate.sid)  # too late to be the reason
        gate.open()
        reason = "transport close" if how == "leaves" else "client disconnect"
        assert await program.until_noted() == [("left", reason, True)]


# What else can be done to a client that is connecting


@pytest.mark.parametrize("kind", ["coroutine", "Flask coroutine", "Flask function"])
async def test_a_connecting_client_is_in_its_rooms(kind: str, manager: Any) -> None:
    program = Program(kind, client_manager=manager)
    server = program.server
    async with connecting(program) as (client, gate):
        await server.enter_room(gate.sid, "second")
        await server.enter_room(gate.sid, "third")
        await server.leave_room(gate.sid, "room")
        await server.close_room("third")
        assert sorted(server.rooms(gate.sid)) == sorted([gate.sid, "second"])
        for room in ("room", "second", "third"):
            await server.emit(room, to=room)
        await server.emit("but not to it", skip_sid=gate.sid)
        gate.open()
        packets = await received(client, in_end(server)) + await rest(client)
        assert packets == (["40", EARLY, '42["second"]', LATE] if holds(server) else ['42["second"]', "40"])


@pytest.mark.parametrize("kind", ["coroutine", "Flask coroutine", "Flask function"])
async def test_a_connecting_client_answers_when_it_is_connected(kind: str, manager: Any) -> None:
    program = Program(kind, client_manager=manager)
    async with connecting(program) as (client, gate):
        answers: asyncio.Queue[Any] = asyncio.Queue()
        await program.server.emit("question", to=gate.sid, callback=answers.put_nowait)
        answer = asyncio.ensure_future(program.server.call("question", to=gate.sid, timeout=10))
        await asyncio.sleep(0)
        gate.open()
        packets: list[str] = []
        while sum("question" in packet or packet[:2] == "40" for packet in packets) < 3:
            packets.append(await client.receive())
        for packet in packets:
            if "question" in packet:
                client.send(f'43{packet[2 : packet.index("[")]}["answer"]')
        assert await within(answers.get()) == "answer"
        assert await within(answer) == "answer"


@pytest.mark.parametrize("kind", KINDS)
async def test_call_in_the_clients_own_connect_handler_is_an_error_at_once(kind: str, manager: Any) -> None:
    program = Program(kind, client_manager=manager)
    errors: list[str] = []

    def ask(sid: str) -> None:
        try:
            program.server.call("question", to=sid)
        except RuntimeError as error:
            errors.append(str(error))

    program.act = ask
    async with opened(program.server) as client:
        client.send("40")
        await received(client, "40")
        assert len(errors) == 1
        assert "own connect handler" in errors[0]


async def test_the_function_call_says_so_too_and_refuses_where_it_is_not_caught() -> None:
    program = Program("Flask function")
    program.act = lambda sid: call("question")
    async with opened(program.server) as client:
        client.send("40")
        assert await received(client, "44") == ['44{"message":"Connection rejected by server"}']


async def test_call_of_another_client_in_a_connect_handler_is_answered() -> None:
    program = Program("coroutine")
    async with connected_before(program) as other:
        (other_sid,) = program.server.manager.clients
        answers: list[Any] = []

        async def ask(sid: str) -> None:
            answers.append(await program.server.call("question", to=other_sid))

        program.act = ask
        async with opened(program.server) as client:
            client.send("40")
            packet = await other.receive()
            other.send(f'43{packet[2 : packet.index("[")]}["answer"]')
            await received(client, LATE)
    assert answers == ["answer"]


@pytest.mark.parametrize("in_thread", [False, True])
async def test_a_task_that_a_connect_handler_begins_may_call_its_client(in_thread: bool) -> None:
    program = Program("coroutine")
    answers: asyncio.Queue[Any] = asyncio.Queue()

    async def ask(sid: str) -> None:
        if in_thread:
            while not program.server.manager.is_connected(sid, "/"):
                await asyncio.sleep(0)
            answers.put_nowait(await asyncio.to_thread(program.server.call, "question", to=sid))
        else:
            answers.put_nowait(await program.server.call("question", to=sid))

    def begin(sid: str) -> None:
        program.server.start_background_task(ask, sid)

    program.act = begin
    async with opened(program.server) as client:
        client.send("40")
        packet = await client.receive()
        while "question" not in packet:
            packet = await client.receive()
        client.send(f'43{packet[2 : packet.index("[")]}["answer"]')
        assert await within(answers.get()) == "answer"


async def test_with_always_connect_a_connect_handler_may_call_its_client() -> None:
    program = Program("coroutine", always_connect=True)
    answers: list[Any] = []

    async def ask(sid: str) -> None:
        answers.append(await program.server.call("question", to=sid))

    program.act = ask
    async with opened(program.server) as client:
        client.send("40")
        packet = (await received(client, "421"))[-1]
        client.send(f'43{packet[2 : packet.index("[")]}["answer"]')
        await received(client, LATE)
    assert answers == ["answer"]


@pytest.mark.parametrize("sent_away", [False, True])
async def test_the_session_of_a_connecting_client_is_there_to_its_end(sent_away: bool, manager: Any) -> None:
    server = AsyncServer(client_manager=manager)
    sessions: asyncio.Queue[Any] = asyncio.Queue()

    @server.event
    async def connect(sid: str, environ: Any) -> None:
        await server.save_session(sid, {"user": "ann"})
        if sent_away:
            await server.disconnect(sid)
        async with server.session(sid) as session:
            session["more"] = server.get_environ(sid) is environ

    @server.event
    async def disconnect(sid: str) -> None:
        sessions.put_nowait(await server.get_session(sid))

    async with opened(server) as client:
        client.send("40")
        if not sent_away:
            await received(client, "40")
            client.send("41")
        assert await within(sessions.get()) == {"user": "ann", "more": True}


async def test_flasks_session_of_a_client_that_is_sent_away_is_there_to_its_end() -> None:
    app = Flask(__name__)
    app.secret_key = "a secret"
    socketio = SocketIO(app)
    notes: asyncio.Queue[Any] = asyncio.Queue()

    @socketio.on("connect")
    async def connect() -> None:
        session["user"] = "ann"
        await disconnect()

    @socketio.on("disconnect")
    async def leave() -> None:
        notes.put_nowait((session["user"], request.sid in rooms()))  # type: ignore[attr-defined]

    async with opened(socketio.server) as client:
        client.send("40")
        assert await within(notes.get()) == ("ann", True)


async def test_after_disconnect_a_connect_handler_may_go_on_without_effect() -> None:
    socketio = SocketIO(Flask(__name__))

    @socketio.on("connect")
    def connect() -> None:
        disconnect()
        join_room("room")
        emit("welcome")

    async with opened(socketio.server) as client:
        client.send("40")
        assert await received(client, OUT) == ["40", OUT]
        socketio.emit("secret", to="room")
        assert await rest(client) == []
        assert not socketio.server.manager.rooms


# Clients that leave


@pytest.mark.parametrize("how", ["the client", "the server"])
@pytest.mark.parametrize("kind", ["coroutine", "function"])
async def test_a_disconnect_handlers_emits_reach_the_others_and_not_who_leaves(kind: str, how: str) -> None:
    server = AsyncServer()
    ended = asyncio.Event()

    def say(sid: str) -> None:
        server.emit("to itself", to=sid)
        server.emit("to the room", to="room")
        server.emit("to all")
        server.emit("with a callback", to="room", callback=print)
        server.enter_room(sid, "another")
        server.emit("to another", to="another")
        server.disconnect(sid)
        assert server.rooms(sid) == [sid, "room", "another"]
        server.leave_room(sid, "another")
        ended.set()

    async def disconnect(sid: str) -> None:
        say(sid)

    server.on("disconnect", disconnect if kind == "coroutine" else say)
    async with connected(server) as client, connected(server) as other:
        for each in (client, other):
            server.enter_room(each.sid, "room")
        if how == "the client":
            client.send("41")
        else:
            server.disconnect(client.sid)
        await within(ended.wait())
        assert await rest(client) == ([] if how == "the client" else [OUT])
        told = [packet[packet.index("[") :] for packet in await other.packets()]
        assert told == ['["to the room"]', '["to all"]', '["with a callback"]']
        assert set(server.manager.clients) == {other.sid}
        assert server.manager.rooms["/"].keys() == {None, "room"}


async def test_a_room_that_is_closed_in_a_disconnect_handler_is_closed_for_who_leaves() -> None:
    server = AsyncServer()

    @server.event
    async def disconnect(sid: str) -> None:
        server.close_room("room")

    async with connected(server) as client:
        server.enter_room(client.sid, "room")
        await server.disconnect(client.sid)
    assert not server.manager.rooms


async def test_what_others_send_while_a_disconnect_handler_runs_does_not_reach_who_leaves() -> None:
    server = AsyncServer()
    begun, go_on = asyncio.Event(), asyncio.Event()

    @server.event
    async def disconnect(sid: str) -> None:
        begun.set()
        await go_on.wait()

    async with connected(server) as client:
        server.enter_room(client.sid, "room")
        leaving = server.disconnect(client.sid)
        await within(begun.wait())
        for to in (None, "room", client.sid):
            server.emit("secret", to=to)
        go_on.set()
        await within(leaving)
        assert await rest(client) == [OUT]


@pytest.mark.parametrize("in_turn", [False, True], ids=["overlapping", "in turn"])
async def test_an_event_handler_may_await_the_disconnect_of_its_own_client(in_turn: bool) -> None:
    server = AsyncServer(async_handlers=not in_turn)
    notes: list[str] = []

    @server.event
    async def event(sid: str) -> None:
        await server.disconnect(sid)
        notes.append("event")

    @server.event
    async def disconnect(sid: str) -> None:
        await asyncio.sleep(0)
        notes.append("disconnect")

    async with connected(server) as client:
        client.send('42["event"]')
        assert await client.receive() == OUT
        while len(notes) < 2:
            await asyncio.sleep(0)
    assert notes == (["event", "disconnect"] if in_turn else ["disconnect", "event"])


# The test client


@pytest.mark.parametrize("kind", ["Flask coroutine", "Flask function"])
async def test_the_test_client_is_not_connected_after_disconnect_in_its_connect_handler(kind: str) -> None:
    program = Program(kind)
    program.act = lambda sid: disconnect()
    assert program.socketio is not None
    async with program.socketio.async_test_client(program.socketio.app) as client:
        assert not client.is_connected()
        assert [packet["name"] for packet in client.queue] == ["early"]

"""What Flask's handlers see of a client that comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import flask
import pytest
from flask import Flask, request, session

from asyncsock import Namespace, SocketIO, disconnect, emit, join_room, rooms
from tests.support.raw_clients import within
from tests.support.returning_visitors import DISCONNECT, Visitors, visitors

KINDS = ["coroutine", "function"]


def as_kind(kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A handler that does what a function does."""

    async def coroutine(*args: Any) -> Any:
        return function(*args)

    return function if kind == "function" else coroutine


class Program:
    """An application that notes what its handlers see.

    Attributes:
        seen: The name of the event, `request.recovered`, `request.sid` and the session of each.
    """

    def __init__(self, kind: str, **options: Any) -> None:
        self.app = Flask(__name__)
        self.app.secret_key = "a secret"
        options = {"connection_state_recovery": True, **options}
        self.socketio = SocketIO(self.app, namespaces=["/", "/other"], **options)
        self.seen: list[Any] = []
        self._kind = kind
        for namespace in ("/", "/other"):
            self.on("connect", self.connect, namespace)
            self.on("disconnect", lambda reason: self.note("disconnect"), namespace)
            self.on("look", lambda: self.note("look"), namespace)
            self.on("write", self.write, namespace)

    def on(self, event: str, function: Callable[..., Any], namespace: str = "/") -> None:
        self.socketio.on_event(event, as_kind(self._kind, function), namespace=namespace)

    def note(self, event: str) -> Any:
        self.seen.append((event, request.recovered, request.sid, dict(session)))  # type: ignore[attr-defined]

    def connect(self, auth: Any = None) -> None:
        self.note("connect")
        if not request.recovered:  # type: ignore[attr-defined]
            join_room("room")

    def write(self, value: Any) -> Any:
        session["value"] = value

    @asynccontextmanager
    async def guests(self) -> AsyncIterator[Visitors]:
        async with visitors(self.socketio.server) as made:
            yield made


async def asked(guest: Any, event: str, *args: Any) -> None:
    """Have a handler run, and wait until it has."""
    await guest.send(2, [event, *args], 1)
    assert (await guest.next()).id == 1


@pytest.fixture(params=KINDS)
def program(request: pytest.FixtureRequest) -> Program:
    return Program(request.param)


async def test_handlers_see_that_it_has_come_back_and_the_session_that_it_had(program: Program) -> None:
    async with program.guests() as guests:
        guest = await guests.come()
        await asked(guest, "write", 5)
        await guest.lose()
        program.socketio.emit("missed", to="room")
        await guest.come()
        assert guest.recovered
        assert await guest.events() == [["missed"]]
        await asked(guest, "look")
        sid = guest.sid
        assert program.seen == [
            ("connect", False, sid, {}),
            ("disconnect", False, sid, {"value": 5}),
            ("connect", True, sid, {"value": 5}),
            ("look", True, sid, {"value": 5}),
        ]
        await asked(guest, "write", 6)
        await guest.lose()
        await guest.come()
        assert program.seen[-2:] == [
            ("disconnect", True, sid, {"value": 6}),
            ("connect", True, sid, {"value": 6}),
        ]


async def test_both_namespaces_of_a_connection_share_the_session_again(program: Program) -> None:
    async with program.guests() as guests:
        guest, other = await guests.come(), guests.one("/other")
        await other.begin(guest.link)
        await other.until_connected()
        await asked(guest, "write", 5)
        await guest.lose()
        await guest.come()
        await other.begin(guest.link)
        await other.until_connected()
        assert (guest.recovered, other.recovered) == (True, True)
        await asked(other, "write", 6)
        await asked(guest, "look")
        assert program.seen[-1][-1] == {"value": 6}


async def test_a_new_client_on_the_connection_of_one_that_came_back_is_new(program: Program) -> None:
    async with program.guests() as guests:
        guest = await guests.come()
        await guest.lose()
        await guest.come()
        await guest.send(DISCONNECT)
        guest.pid = guest.offset = None
        await guest.begin(guest.link)
        await guest.until_connected()
        await asked(guest, "look")
        assert [(event, recovered) for event, recovered, *_ in program.seen] == [
            ("connect", False),
            ("disconnect", False),
            ("connect", True),
            ("disconnect", True),
            ("connect", False),
            ("look", False),
        ]
        assert not program.socketio.server.recovered(guest.sid)


async def test_another_namespace_of_the_connection_has_not_come_back(program: Program) -> None:
    async with program.guests() as guests:
        guest, other = await guests.come(), guests.one("/other")
        await guest.lose()
        await guest.come()
        await other.begin(guest.link)
        await other.until_connected()
        assert program.seen[-2][:2] == ("connect", True)
        assert program.seen[-1][:2] == ("connect", False)


async def test_a_stranger_does_not_see_the_session_of_somebody_else(program: Program) -> None:
    async with program.guests() as guests:
        guest = await guests.come()
        await asked(guest, "write", "secret")
        await guest.send(DISCONNECT)
        await guest.lose()
        await guest.come()
        assert program.seen[-1] == ("connect", False, guest.sid, {})


@pytest.mark.parametrize("kind", KINDS)
async def test_with_the_applications_own_sessions_there_is_nothing_to_give_back(kind: str) -> None:
    program = Program(kind, manage_session=False)
    async with program.guests() as guests:
        guest = await guests.come()
        await guest.lose()
        await guest.come()
        assert program.seen[-1] == ("connect", True, guest.sid, {})


@pytest.mark.parametrize("kind", KINDS)
async def test_when_it_is_off_nobody_has_come_back(kind: str) -> None:
    program = Program(kind, connection_state_recovery=False)
    async with program.guests() as guests:
        guest = await guests.come()
        assert guest.pid is None
        assert program.seen == [("connect", False, guest.sid, {})]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_handler_may_refuse_and_sees_the_rooms(kind: str) -> None:
    program = Program(kind)
    seen: list[Any] = []

    def connect(auth: Any = None) -> Any:
        seen.append((rooms(), auth))
        join_room("room")
        return not request.recovered  # type: ignore[attr-defined]

    program.on("connect", connect)
    async with program.guests() as guests:
        guest = await guests.come(token=1)
        sid = guest.sid
        await guest.lose()
        await guest.come(token=2)
        assert guest.refusal is not None
        assert seen == [([sid], {"token": 1}), ([sid, "room"], {"token": 2})]
        await guest.lose()
        await guest.come()
        assert not guest.recovered


@pytest.mark.parametrize("kind", KINDS)
async def test_emits_of_a_slow_disconnect_handler_reach_the_others_and_itself_later(kind: str) -> None:
    program = Program(kind)

    def leave(reason: str) -> None:
        emit("left", request.sid, to="room")  # type: ignore[attr-defined]

    program.on("disconnect", leave)
    async with program.guests() as guests:
        guest, other = await guests.come(), await guests.come()
        await guest.lose()
        assert await within(other.event()) == ["left", guest.sid]
        await guest.come()
        assert guest.recovered
        assert await guest.events() == [["left", guest.sid]]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_client_that_a_handler_disconnected_does_not_come_back(kind: str) -> None:
    program = Program(kind)
    program.on("go", lambda: disconnect())
    async with program.guests() as guests:
        guest = await guests.come()
        await guest.emit("go")
        assert (await guest.next()).packet_type == DISCONNECT
        await guest.lose()
        await guest.come()
        assert not guest.recovered


@pytest.mark.parametrize("kind", KINDS)
async def test_the_functions_emit_volatile_events(kind: str) -> None:
    program = Program(kind)

    def say(*args: Any) -> None:
        emit("passing", 1, volatile=True)
        program.socketio.emit("passing", 2, to="room", volatile=True)
        program.socketio.send("passing", volatile=True)

    program.on("say", say)
    async with program.guests() as guests:
        guest, away = await guests.come(), await guests.come()
        await away.lose()
        await asyncio.sleep(0)
        await guest.emit("say")
        got = [await guest.event() for _ in range(3)]
        assert got == [["passing", 1], ["passing", 2], ["message", "passing"]]
        assert guest.offset is not None
        await away.come()
        assert away.recovered
        assert await away.events() == []


async def test_a_namespace_class_sees_it_too() -> None:
    seen: list[bool] = []

    class Home(Namespace):
        def on_connect(self) -> None:
            seen.append(request.recovered)  # type: ignore[attr-defined]

        async def on_say(self) -> None:
            self.emit("passing", volatile=True)

    socketio = SocketIO(Flask(__name__), connection_state_recovery=True)
    socketio.on_namespace(Home("/"))
    async with visitors(socketio.server) as guests:
        guest = await guests.come()
        await guest.lose()
        await guest.come()
        assert seen == [False, True]
        await guest.emit("say")
        assert await guest.event() == ["passing"]


# Test clients


def make_echo() -> tuple[Flask, SocketIO]:
    app = Flask(__name__)
    socketio = SocketIO(app, connection_state_recovery=True)

    @socketio.on("echo")
    def echo(*args: Any) -> None:
        emit("echo", args)
        emit("binary", {"data": b"1"})
        emit("question", "text", callback=lambda: None)
        socketio.send("hello")
        socketio.emit("json", {"a": 1})

    return app, socketio


EXPECTED = [
    {"name": "echo", "args": ["a", 1], "namespace": "/"},
    {"name": "binary", "args": [{"data": b"1"}], "namespace": "/"},
    {"name": "question", "args": ["text"], "namespace": "/"},
    {"name": "message", "args": "hello", "namespace": "/"},
    {"name": "json", "args": {"a": 1}, "namespace": "/"},
]


def test_the_test_client_shows_no_offsets() -> None:
    app, socketio = make_echo()
    client = socketio.test_client(app)
    client.emit("echo", "a", 1)
    assert client.get_received() == EXPECTED


async def test_nor_does_the_asynchronous_one() -> None:
    app, socketio = make_echo()
    client = socketio.async_test_client(app)
    await client.connect()
    await client.emit("echo", "a", 1)
    assert await client.get_received() == EXPECTED


def test_outside_of_handlers_requests_know_nothing_of_it() -> None:
    app, _ = make_echo()
    with app.test_request_context():
        assert not hasattr(flask.request, "recovered")

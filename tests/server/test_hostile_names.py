"""Names that clients choose, of events, namespaces and rooms, never meet a key that means something to us.

The table is every kind of handler, in every way to register it, asked for each hostile name: who was its
handler run as, and with what? Handlers note it as tuples that begin with the sid.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
import socketio as python_socketio
from flask import Flask, request
from hypothesis import example, given
from hypothesis import strategies as st

from asyncsock import AsyncServer, Namespace, SocketIO, emit, join_room
from asyncsock.engine.ids import is_id, make_id
from asyncsock.engine.session import Session
from tests.support.raw_clients import within
from tests.support.recorded_sessions import Recorder, settled
from tests.support.socketio_in_process import connected, opened

KINDS = ["coroutine", "function"]
SHAPES = ["none", "exact", "any event", "any namespace", "any of both", "class", "class of any namespace"]
NAMES = [
    "*", "", "connect", "disconnect", "connect_error", "event", "message", "pay", "duty", "twice", "error",
    "trigger_event", "__class__", "__init__", "socketio", "server", "on_pay", "**", "* ", "/", "/*", "/room",
]  # fmt: skip
REFUSED = {"connect", "disconnect", "connect_error"}  # as events they break the protocol
METHODS = {"pay", "message", "twice"}  # what the classes have a handler for
SPOILS = ["pay", 1000]  # what the attacker wants another client to have done
Notes = list[tuple[Any, ...]]


# The handlers


def of_kind(kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A handler that is a function or a coroutine function and does what the function does."""

    def plain(*args: Any) -> Any:
        return function(*args)

    async def coroutine(*args: Any) -> Any:
        return function(*args)

    return plain if kind == "function" else coroutine


class Methods:
    """What the class-based namespaces have in common: handlers, and what begins like one and is none."""

    on_duty = True  # no handler
    error = None

    def __init__(self, kind: str, note: Callable[..., Any]) -> None:
        super().__init__("*" if self.wild else "/")  # type: ignore[attr-defined, call-arg]
        for name in ("pay", "message", "twice"):
            setattr(self, f"on_{name}", of_kind(kind, note))

    wild = False


class Ours(Methods, Namespace):
    pass


class OursWild(Ours):
    wild = True


class Theirs(Methods, python_socketio.AsyncNamespace):
    pass


class TheirsWild(Theirs):
    wild = True


def register_flask(kind: str, shape: str, exact: str, notes: Notes) -> AsyncServer:
    socketio = SocketIO(Flask(__name__))

    def note(*args: Any) -> str:
        notes.append((request.sid, request.namespace, *args))  # type: ignore[attr-defined]
        return "handled"

    handler = of_kind(kind, note)
    if shape == "exact":
        socketio.on_event(exact, handler)
    elif shape == "any event":
        socketio.on_event("*", handler)
    elif shape == "any namespace":
        socketio.on_event(exact, handler, namespace="*")
    elif shape == "any of both":
        socketio.on_event("*", handler, namespace="*")
    elif shape != "none":
        socketio.on_namespace((Ours if shape == "class" else OursWild)(kind, note))
    return socketio.server


def register_bare(server: Any, kind: str, shape: str, exact: str, notes: Notes) -> None:
    """The same with python-socketio's interface: event and namespace are noted after the sid."""

    def note(*args: Any) -> str:
        # for any event its name comes first, then for any namespace its name
        leading = {"any event": 1, "any namespace": 1, "any of both": 2, "class of any namespace": 1}
        skip = leading.get(shape, 0)
        event = args[:1] if shape in ("any event", "any of both") else ()
        notes.append((args[skip], "/", *event, *args[skip + 1 :]))
        return "handled"

    handler = of_kind(kind, note)
    if shape == "exact":
        server.on(exact, handler)
    elif shape == "any event":
        server.on("*", handler)
    elif shape == "any namespace":
        server.on(exact, handler, namespace="*")
    elif shape == "any of both":
        server.on("*", handler, namespace="*")
    elif shape != "none":
        server.register_namespace((Theirs if shape == "class" else TheirsWild)(kind, note))


def expected(shape: str, exact: str, sid: str, event: str, args: list[Any]) -> Notes:
    """What the handlers have to note, if anything."""
    if event in REFUSED:
        return []
    if shape in ("exact", "any namespace"):
        return [(sid, "/", *args)] if event == exact else []
    if shape in ("any event", "any of both"):
        return [(sid, "/", event, *args)]
    if shape != "none":
        return [(sid, "/", *args)] if event in METHODS else []
    return []


# Two clients of a server in this process


def enter(server: AsyncServer, name: str, *packets: str | bytes) -> Session:
    """A session of that name in this process, which sends some packets."""
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "SERVER_NAME": "x", "SERVER_PORT": "80"}
    environ |= {"wsgi.url_scheme": "http", "SERVER_PROTOCOL": "HTTP/1.1", "QUERY_STRING": ""}
    session = server.eio.sessions[name] = Session(server.eio.core, name, environ)
    session.start(Recorder())
    server.eio.core.application.connect(session)
    for packet in packets:
        session.receive(packet)
    return session


async def finished(server: AsyncServer) -> None:
    await within(settled(server))


def run(server: AsyncServer, event: str) -> tuple[str, list[Any], bool]:
    """The attacker's sid, what it sent after the event's name, and whether its session is still open."""

    async def send() -> tuple[str, list[Any], bool]:
        attacker, victim = enter(server, "attacker", "40"), enter(server, "victim", "40")
        await finished(server)
        sid, other = (str(server.manager.sid_from_eio_sid(each.sid, "/")) for each in (attacker, victim))
        args = [other, *SPOILS]
        for start in ("42", "427"):
            attacker.receive(start + json.dumps([event, *args]))
            await finished(server)
        return sid, args, attacker.is_open

    return asyncio.run(send())


def make(api: str, kind: str, shape: str, exact: str, notes: Notes, **options: Any) -> AsyncServer:
    if api == "Flask":
        return register_flask(kind, shape, exact, notes)
    server = AsyncServer(**options)
    register_bare(server, kind, shape, exact, notes)
    return server


# Events


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "api", ["Flask", "AsyncServer", "AsyncServer in turn", "AsyncServer, manager of theirs"]
)
def test_a_handler_runs_as_the_client_that_sent_the_event(api: str, kind: str, shape: str) -> None:
    options: dict[str, Any] = {}
    if api.endswith("in turn"):
        options["async_handlers"] = False
    for name in NAMES:
        notes: Notes = []
        if api.endswith("theirs"):
            options["client_manager"] = python_socketio.AsyncManager()
        exact = "pay" if name in ("*", *REFUSED) else name
        sid, args, is_open = run(make(api, kind, shape, exact, notes, **options), name)
        assert notes == expected(shape, exact, sid, name, args) * 2, name
        assert is_open is (name not in REFUSED), name


@given(st.text(max_size=12) | st.sampled_from(NAMES))
@example("*")
def test_no_name_runs_a_handler_as_another_client(name: str) -> None:
    for api, shape in itertools.product(["Flask", "AsyncServer"], SHAPES):
        notes: Notes = []
        sid, args, _ = run(make(api, "coroutine", shape, "pay", notes), name)
        assert notes == expected(shape, "pay", sid, name, args) * 2


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_handlers_are_found_as_python_socketio_finds_them(kind: str, shape: str) -> None:
    for name in set(NAMES) - REFUSED - {"*", "duty"}:  # it runs the wrong one for "*", and calls attributes
        theirs: Notes = []
        server = python_socketio.AsyncServer(async_mode="asgi")
        register_bare(server, kind, shape, name, theirs)
        ours: Notes = []
        sid, args, _ = run(make("AsyncServer", kind, shape, name, ours), name)
        for _ in range(2):
            asyncio.run(server._trigger_event(name, "/", sid, *args))
        assert ours == theirs, name


@pytest.mark.parametrize("registered", [("*", "/"), ("pay", "*"), ("*", "*"), ("*", "/", "pay", "/")])
def test_the_nearest_handler_gets_an_event_named_like_the_wildcard(registered: tuple[str, ...]) -> None:
    """With handlers for any event in the namespace and in all, the namespace's own goes first."""
    notes: list[Any] = []
    server = AsyncServer()
    places = [registered[:2], registered[2:], ("*", "*")]
    for event, namespace in [place for place in places if place]:
        server.on(event, lambda *args, at=(event, namespace): notes.append((at, args)), namespace=namespace)
    sid, args, _ = run(server, "*")
    at = ("*", "/") if ("*", "/") in places else ("*", "*")
    found = ("*", sid, *args) if at[1] == "/" else ("*", "/", sid, *args)
    assert notes == [(at, found)] * 2


def test_a_class_may_have_a_handler_for_an_event_that_is_named_like_the_wildcard() -> None:
    notes: Notes = []
    server = register_flask("coroutine", "class", "pay", notes)
    setattr(server.namespace_handlers["/"], "on_*", lambda *args: notes.append((request.sid, *args)))  # type: ignore[attr-defined]
    sid, args, _ = run(server, "*")
    assert notes == [(sid, *args)] * 2


def test_a_class_that_dispatches_gets_the_name_as_it_is() -> None:
    notes: list[Any] = []

    class Dispatching(Namespace):
        async def trigger_event(self, event: str, *args: Any) -> None:
            notes.append((event, *args))

    socketio = SocketIO(Flask(__name__))
    socketio.on_namespace(Dispatching("/"))
    sid, args, _ = run(socketio.server, "*")
    assert [note for note in notes if note[0] == "*"] == [("*", sid, *args)] * 2


@pytest.mark.parametrize("kind", KINDS)
def test_the_test_clients_event_named_like_the_wildcard_is_its_own(kind: str) -> None:
    notes: Notes = []
    app = Flask(__name__)
    socketio = SocketIO(app)
    socketio.on_event("*", of_kind(kind, lambda *args: notes.append((request.sid, *args))))  # type: ignore[attr-defined]
    victim, attacker = socketio.test_client(app), socketio.test_client(app)
    attacker.emit("*", victim.sid(), "pay", 1000)
    assert notes == [(attacker.sid(), "*", victim.sid(), "pay", 1000)]


@pytest.mark.parametrize("name", sorted(REFUSED))
@pytest.mark.parametrize("shape", ["any event", "any of both", "class", "class of any namespace"])
def test_msgpack_has_the_same_reserved_names(name: str, shape: str) -> None:
    notes: Notes = []
    server = make("AsyncServer", "coroutine", shape, "pay", notes, serializer="msgpack")

    async def send() -> bool:
        session = enter(server, "attacker", msgpack.dumps({"type": 0, "nsp": "/"}))
        await finished(server)
        session.receive(msgpack.dumps({"type": 2, "nsp": "/", "data": [name, "sid", "environ"]}))
        await finished(server)
        return session.is_open

    assert asyncio.run(send()) is False
    assert notes == []


# Namespaces


@pytest.mark.parametrize("registered", ["nothing", "any namespace", "class of any namespace"])
@pytest.mark.parametrize("accepted", ["*", None])
@pytest.mark.parametrize(
    "namespace", ["*", "", "?", "/?x=1", "/chat?token=1", "/*", "connect", "/", None, 1, b"*"]
)
def test_a_namespace_is_a_name_and_no_wildcard(namespace: Any, accepted: Any, registered: str) -> None:
    """Sent with msgpack, whose packets can name anything; JSON's begin with a slash."""
    entered: list[Any] = []
    server = AsyncServer(namespaces=accepted, serializer="msgpack")

    class Any_(python_socketio.AsyncNamespace):  # type: ignore[misc]
        async def on_connect(self, namespace: str, sid: str, environ: Any) -> None:
            entered.append(namespace)

    if registered == "any namespace":
        server.on("connect", lambda namespace, sid, environ: entered.append(namespace), namespace="*")
    elif registered != "nothing":
        server.register_namespace(Any_("*"))

    async def connect() -> set[str]:
        session = enter(server, "session", msgpack.dumps({"type": 0, "nsp": namespace}))
        await finished(server)
        return set(server.connections["session"].clients) if session.is_open else set()

    found = asyncio.run(connect())
    path = namespace.partition("?")[0] or "/" if isinstance(namespace, str) else None
    allowed = path == "/" or (accepted == "*" and path not in ("*", None))
    assert found == ({path} if allowed else set())
    assert entered == ([path] if allowed and registered != "nothing" else [])


def test_one_namespace_may_be_accepted_by_name_and_not_by_a_part_of_it() -> None:
    server = AsyncServer(namespaces="/chat")
    assert server._routes.accepts("/chat")
    assert not any(map(server._routes.accepts, ["/", "/c", "chat", "", "*"]))


# Rooms


def test_an_id_is_told_from_other_names() -> None:
    assert all(is_id(make_id()) for _ in range(1000))


@given(
    st.text(min_size=20, max_size=20)
    | st.binary(min_size=15, max_size=15).map(lambda b: b.hex()[:20])
    | st.integers()
)
@example(" " * 20)
@example("=" * 20)
@example("A" * 20)
@example("-Oabcdefghijklmnopq_")  # as Firebase names things
def test_other_names_are_no_ids(name: Any) -> None:
    assert not is_id(name)


@pytest.fixture(params=["ours", "theirs"])
def any_server(request: pytest.FixtureRequest) -> AsyncServer:
    return AsyncServer(client_manager=None if request.param == "ours" else python_socketio.AsyncManager())


@pytest.mark.parametrize("whose", ["connected", "of another namespace", "gone", "of another process"])
async def test_nobody_enters_the_room_of_another_clients_sid(any_server: AsyncServer, whose: str) -> None:
    any_server.namespaces = ["/", "/other"]
    async with connected(any_server) as attacker, connected(any_server, "/", "/other") as victim:
        room = {"connected": victim.sid, "of another namespace": victim.sids["/other"]}.get(whose, make_id())
        if whose == "gone":
            room = victim.sid
            await victim.leave()
        with pytest.raises(ValueError, match="cannot enter a sid room"):
            await any_server.enter_room(attacker.sid, room)
        await any_server.emit("private", to=room)
        assert await attacker.packets() == []


async def test_nobody_enters_the_room_of_a_client_that_is_connecting() -> None:
    server = AsyncServer()
    asked, decided = asyncio.Event(), asyncio.Event()
    sids: list[str] = []

    @server.event
    async def connect(sid: str, environ: Any) -> None:
        sids.append(sid)
        if len(sids) == 2:
            asked.set()
            await decided.wait()

    async with connected(server) as attacker:
        async with opened(server) as victim:
            victim.send("40")
            await within(asked.wait())
            with pytest.raises(ValueError, match="cannot enter a sid room"):
                server.enter_room(attacker.sid, sids[1])
            server.emit("private", to=sids[1])
            decided.set()
            assert (await victim.receive()).startswith("40")
            assert await victim.receive() == '42["private"]'
        assert await attacker.packets() == []


async def test_an_id_that_the_application_makes_is_kept_apart_too() -> None:
    server = AsyncServer(namespaces=["/", "/other"])
    numbers = itertools.count()
    server.eio.generate_id = lambda: f"id{next(numbers)}"  # type: ignore[method-assign]
    async with connected(server) as attacker, connected(server, "/", "/other") as victim:
        for room in victim.sids.values():
            with pytest.raises(ValueError, match="cannot enter a sid room"):
                server.enter_room(attacker.sid, room)


async def test_a_list_of_rooms_that_has_a_none_is_not_everybody() -> None:
    """As with `to=data["rooms"]`, where a client sends [null]."""
    server = AsyncServer()
    async with connected(server) as one, connected(server) as two:
        await server.enter_room(two.sid, "room")
        await server.emit("private", to=[None, "room"])
        assert await one.events() == []
        assert await two.events() == [["private"]]


async def test_a_room_that_cannot_be_one_leaves_no_trace() -> None:
    server = AsyncServer()
    async with connected(server) as client:
        for room in ({}, []):
            with pytest.raises(TypeError):
                server.enter_room(client.sid, room)
        assert server.rooms(client.sid) == [client.sid]


def test_join_room_with_anothers_sid_raises_in_the_handler() -> None:
    app = Flask(__name__)
    socketio = SocketIO(app)

    @socketio.on("join")
    def join(data: Any) -> None:
        join_room(data["room"])

    @socketio.on("tell")
    def tell(sid: str) -> None:
        emit("private", to=sid)

    victim, attacker = socketio.test_client(app), socketio.test_client(app)
    with pytest.raises(ValueError, match="cannot enter a sid room"):
        attacker.emit("join", {"room": victim.sid()})
    attacker.emit("tell", victim.sid())
    assert [packet["name"] for packet in victim.get_received()] == ["private"]
    assert attacker.get_received() == []


# Acknowledgements


async def test_an_answer_with_the_id_of_another_clients_question_is_not_taken(
    any_server: AsyncServer,
) -> None:
    answers: list[Any] = []
    async with connected(any_server) as attacker, connected(any_server) as victim:
        await any_server.emit("question", to=victim.sid, callback=lambda *args: answers.append(args))
        question = await victim.receive()
        id = question[2 : question.index("[")]
        for guess in {id, "0", "1", "2"}:
            attacker.send(f'43{guess}["forged"]')
        assert await attacker.packets() == []
        assert answers == []
        victim.send(f'43{id}["true"]')
        assert await victim.packets() == []
        assert answers == [("true",)]


async def test_an_answer_with_the_id_zero_spoils_no_later_question(any_server: AsyncServer) -> None:
    """Where python-socketio's manager counts a client's questions."""
    async with connected(any_server) as attacker, connected(any_server) as other:
        await any_server.emit("question", callback=print)
        for client in (attacker, other):
            await client.receive()
        attacker.send('430["x"]')
        assert await attacker.packets() == []
        await any_server.emit("question", callback=print)
        assert "question" in await other.receive()

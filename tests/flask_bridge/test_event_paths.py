"""Every way of an event to a Flask handler does the same: short or long, to a coroutine or to a function."""

from __future__ import annotations

import asyncio
import functools
import json
import threading
from dataclasses import dataclass, field
from typing import Any

import flask
import pytest
from flask.signals import appcontext_pushed
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import create_environ

from asyncsock import SocketIO
from asyncsock.flask_bridge.extension import HANDLER_THREADS
from tests.support.flask_programs import KINDS, MESSAGE, NAMESPACES, Program, Setup, request
from tests.support.raw_clients import within
from tests.support.recorded_sessions import open_session, settled, take_the_long_way
from tests.support.socketio_in_process import connected, until

USUAL = "coroutines"
SETUPS = {
    "nothing": Setup(),
    "teardown functions": Setup(teardown="functions"),
    "teardown coroutines": Setup(teardown="coroutines"),
    "signals": Setup(signals=True),
    "error coroutines": Setup(errors="coroutines", teardown="functions"),
    "error functions": Setup(errors="functions", teardown="functions"),
    "error coroutines that raise": Setup(errors="coroutines that raise", teardown="functions"),
    "error functions that raise": Setup(errors="functions that raise", teardown="functions"),
    "a cookie that is saved": Setup(manage_session=False, teardown="functions"),
    "a copy of what a store has": Setup(store="blocks", signals=True),
    "a store that saves": Setup(store="blocks", manage_session=False, teardown="functions"),
    "all on the loop": Setup("functions", "coroutines", signals=True, manage_session=False),
    "all in threads": Setup("coroutines", "functions", signals=True, manage_session=False, store="blocks"),
}

TURN, WAIT = "a turn of the loop", "until no handler runs"
ALONE = {"visit", "spoil", "leave"}  # they change what other events see


@dataclass(frozen=True)
class Event:
    """What a client sends. Its first argument is its number."""

    name: str
    values: tuple[Any, ...] = ()
    asks: bool = True
    namespace: str = "/"

    def packet(self, number: int) -> str:
        namespace = "" if self.namespace == "/" else f"{self.namespace},"
        return f"42{namespace}{number if self.asks else ''}{json.dumps([self.name, number, *self.values])}"


@dataclass
class Effects:
    """What a program did with some messages.

    Attributes:
        of_message: What was noted and what was sent for each of them.
        in_order: The same in the order in which it happened, where no thread has a part in it.
        starts: The numbers of the messages in the order in which their contexts were pushed, with signals.
        is_open: Whether the session still was open.
    """

    of_message: dict[Any, Any] = field(default_factory=dict)
    in_order: Any = None
    starts: list[Any] = field(default_factory=list)
    is_open: bool = True


def effects(setup: Setup, kind: str, messages: list[Event | str], *, short: bool) -> Effects:
    """What a program does with the messages of a client, which come at once but where they say otherwise."""
    program = Program(setup, kind)
    server = program.socketio.server

    async def run() -> Effects:
        if not short:
            take_the_long_way(server)
        session, transport = open_session(server, create_environ("/socket.io/", query_string="room=7"))
        for namespace in NAMESPACES:
            session.receive(f"40{namespace},")
            await settled(server)
        for number, message in enumerate(messages):
            alone = message == WAIT or (isinstance(message, Event) and message.name in ALONE)
            if alone:
                await settled(server)
            if isinstance(message, Event):
                token = MESSAGE.set(number)
                session.receive(message.packet(number))
                MESSAGE.reset(token)
            elif message == TURN:
                await asyncio.sleep(0)
            if alone:
                await settled(server)
        await settled(server)
        sent = [(message_of(data), data) for data in transport.sent]
        found = Effects(is_open=session.is_open)
        for number in ("connect", *range(len(messages))):
            answers = [data for of, data in sent if of == number]
            found.of_message[number] = (program.notes_of(number), answers)
        if kind in ("coroutines", "waiting coroutines") and not setup.needs_threads:
            found.in_order = program.notes, sent
        found.starts = [of for of, what, *_ in program.notes if what == "pushed" and of != "connect"]
        return found

    with program.running():
        return asyncio.run(run())


def message_of(data: bytes) -> Any:
    """The number of the message to which a packet is the answer."""
    text = data.decode()
    head, array, values = text.partition("[")
    digits = head[2:].rpartition(",")[2]
    if text.startswith("43"):
        return int(digits)
    return json.loads(array + values)[1] if text.startswith("42") else "connect"


def check_like_usual(found: Effects, usual: Effects, messages: list[Event | str]) -> None:
    """What every kind of handler does alike. An event without a handler goes to one of any event."""
    assert found.starts == sorted(found.starts)
    for number, message in enumerate(messages):
        if isinstance(message, Event) and message.name != "unknown":
            assert found.of_message[number] == usual.of_message[number], message
    assert found.of_message["connect"] == usual.of_message["connect"]
    assert found.is_open is usual.is_open


# What clients send

NAMES = list(Program(Setup(), USUAL).handlers)
EACH_EVENT: list[Event | str] = [
    *(Event(name) for name in NAMES if name != "leave"),
    Event("echo", (1, "two"), asks=False),
    Event("strict", ("an argument too many",)),
    Event("fail", asks=False),
    Event("unencodable", asks=False),
    *(Event(name, namespace="/room") for name in ("echo", "tell", "fail", "visit")),
    *(Event(name, asks=name != "leave") for name in ("leave", "echo")),
    *(Event(name, namespace="/room") for name in ("leave", "echo")),
]

values = st.lists(st.none() | st.integers(-9, 9) | st.text(max_size=3) | st.just({"a": [1.5]}), max_size=2)
events = st.builds(
    Event,
    st.sampled_from([*NAMES, "unknown"]),
    values.map(tuple),
    st.booleans(),
    st.sampled_from(["/", "/", "/", "/room"]),
)
messages = st.lists(events | st.sampled_from([TURN, WAIT]), min_size=1, max_size=8)
setups = pytest.mark.parametrize("setup", SETUPS)


@functools.cache
def usual_effects(setup: str) -> Effects:
    return effects(SETUPS[setup], USUAL, EACH_EVENT, short=False)


@setups
@pytest.mark.parametrize("kind", KINDS)
def test_each_event_does_the_same_with_every_kind_of_handler(setup: str, kind: str) -> None:
    found = effects(SETUPS[setup], kind, EACH_EVENT, short=True)
    check_like_usual(found, usual_effects(setup), EACH_EVENT)


@setups
@settings(max_examples=12)
@given(kind=st.sampled_from(list(KINDS)), messages=messages)
def test_events_in_any_order_do_the_same_on_both_ways(
    setup: str, kind: str, messages: list[Event | str]
) -> None:
    short, long = (effects(SETUPS[setup], kind, messages, short=short) for short in (True, False))
    assert short == long
    check_like_usual(short, effects(SETUPS[setup], USUAL, messages, short=False), messages)


# What is promised, by example

both_ways = pytest.mark.parametrize("short", [True, False], ids=["short", "long"])
both_kinds = pytest.mark.parametrize("kind", ["coroutines", "functions"])
ERROR_HANDLERS = ["", "coroutines", "functions", "coroutines that raise", "functions that raise"]


@both_ways
async def test_a_coroutine_starts_after_the_function_before_it_and_while_that_runs(short: bool) -> None:
    app = flask.Flask("ordered")
    socketio = SocketIO(app)
    starts: list[str] = []
    release = threading.Event()

    @socketio.on("first")
    async def first() -> None:
        await asyncio.sleep(0)

    @socketio.on("second")
    def second() -> bool:
        return release.wait(30)  # a task or thread that comes to be stuck fails the test in its answer

    @socketio.on("third")
    async def third() -> None:
        release.set()

    def pushed(app: flask.Flask, **ignored: Any) -> None:
        starts.append(request.event["message"])

    if not short:
        take_the_long_way(socketio.server)
    session, transport = open_session(socketio.server, create_environ())
    session.receive("40")
    with appcontext_pushed.connected_to(pushed, app):
        for name in ("first", "second", "third"):
            session.receive(f'421["{name}"]')
        await settled(socketio.server)
    assert starts == ["first", "second", "third"]
    assert b"431[true]" in transport.sent
    socketio.server.threads.shutdown()


async def test_functions_that_block_for_one_client_leave_threads_to_those_of_another() -> None:
    socketio = SocketIO(flask.Flask("program"))
    release = threading.Event()
    begun = []

    def block(number: int) -> int:
        begun.append(number)
        release.wait(30)
        return number

    for namespace in NAMESPACES:
        socketio.on("block", namespace)(block)
        socketio.on("answer", namespace)(lambda: "answered")
    async with connected(socketio.server, *NAMESPACES) as hostile, connected(socketio.server) as other:
        for number in range(40):
            for namespace in ("", "/room,"):
                hostile.send(f'42{namespace}{number}["block",{number}]')
        half = HANDLER_THREADS // 2
        await within(until(lambda: len(begun) >= half and socketio.server.threads._waiting))
        assert await within(other.ask("answer")) == ["answered"]
        assert len(begun) == half
        release.set()
        answers = [await within(hostile.receive()) for _ in range(80)]
    assert begun == [number for number in range(40) for _ in NAMESPACES]
    assert len(set(answers)) == 80
    socketio.server.threads.shutdown()


@both_ways
@both_kinds
@pytest.mark.parametrize("errors", ERROR_HANDLERS)
def test_teardown_gets_the_error_that_no_error_handler_took(kind: str, errors: str, short: bool) -> None:
    notes, sent = effects(Setup("functions", errors), kind, [Event("fail")], short=short).of_message[0]
    left = {"": RuntimeError("a handler's own"), "raise": ValueError("the error handler's own")}
    error = left.get(errors.rpartition(" ")[2])
    assert [note[1] for note in notes if note[0].startswith("teardown")] == [repr(error)] * 2
    assert [note[1] for note in notes if note[0] == "error hook"] == ([repr(error)] if error else [])
    assert sent == ([] if error else [b'430["taken","a handler\'s own"]'])


@both_ways
@both_kinds
def test_flask_hears_of_each_step_of_an_event(kind: str, short: bool) -> None:
    setup = Setup("functions", signals=True, manage_session=False, store="blocks")
    notes, _ = effects(setup, kind, [Event("echo")], short=short).of_message[0]
    assert [note[0] for note in notes] == [
        "open",
        "pushed",
        "echo",
        "save",
        "teardown of the request",
        "request tearing down",
        "teardown of the app context",
        "app context tearing down",
        "popped",
    ]


@both_ways
@both_kinds
def test_an_event_sees_its_own_request_and_what_earlier_ones_put_into_the_session(
    kind: str, short: bool
) -> None:
    visits = [Event("visit"), Event("visit", ("again",))]
    found = effects(Setup(), kind, visits, short=short).of_message
    assert [answers for _, answers in (found[0], found[1])] == [[b"430[1]"], [b"431[2]"]]
    fresh: list[str] = []  # what there is in g
    assert found[0][0] == [("visit", (0,), "visit", (0,), "id0", "/", "7", fresh)]
    assert found[1][0] == [("visit", (1, "again"), "visit", (1, "again"), "id0", "/", "7", fresh)]

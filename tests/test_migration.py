"""What docs/howto/migrating.md says about moving over from Flask-SocketIO, where no other test shows it."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import socketio as python_socketio
from flask import Flask, copy_current_request_context, current_app, request, session
from werkzeug.middleware.proxy_fix import ProxyFix

import asyncsock
from asyncsock import Namespace, SocketIO, disconnect, emit, join_room, rooms, send
from tests.support.asgi_in_process import Socket
from tests.support.asgi_in_process import request as ask
from tests.support.flask_visitors import both_kinds
from tests.support.ports import free_port
from tests.support.server_process import ROOT, START_TIMEOUT, Server, stop

# Every option that the documentation of Flask-SocketIO names, with a value that is not the default.
OPTIONS: dict[str, Any] = {
    "manage_session": False,
    "path": "/elsewhere",
    "resource": "elsewhere",
    "client_manager": None,
    "logger": logging.getLogger("theirs"),
    "serializer": "msgpack",
    "json": json,
    "async_handlers": False,
    "always_connect": True,
    "namespaces": "*",
    "async_mode": "threading",
    "ping_interval": (10, 5),
    "ping_timeout": 5,
    "max_http_buffer_size": 10_000,
    "allow_upgrades": False,
    "http_compression": False,
    "compression_threshold": 10,
    "cookie": {"name": "io", "Secure": True},
    "cors_allowed_origins": ["https://example.org"],
    "cors_credentials": False,
    "monitor_clients": False,
    "transports": ["websocket"],
    "engineio_logger": False,
}


def of_kind(kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function, or a coroutine function that does the same."""

    @functools.wraps(function)
    async def coroutine(*args: Any) -> Any:
        await asyncio.sleep(0)
        return function(*args)

    return coroutine if kind == "coroutine" else function


def names(packets: list[dict[str, Any]]) -> list[str]:
    return [packet["name"] for packet in packets]


# The constructor


@pytest.mark.parametrize("option", OPTIONS)
def test_the_constructor_takes_the_option(app: Flask, option: str) -> None:
    socketio = SocketIO(app, **{option: OPTIONS[option]})
    socketio.on("echo")(lambda value: value)
    if option not in ("serializer", "transports"):
        assert socketio.test_client(app).emit("echo", "hello", callback=True) == "hello"


@pytest.mark.parametrize("option", ["path", "resource"])
@pytest.mark.parametrize("value", ["/chat/socket", "chat/socket"])
async def test_the_endpoint_is_at_the_path_or_resource(app: Flask, option: str, value: str) -> None:
    asgi = SocketIO(app, **{option: value}).asgi_app
    assert (await ask(asgi, path="/chat/socket/")).status == 200
    assert (await ask(asgi, path="/socket.io/")).status == 404


async def test_options_of_the_constructor_and_of_init_app_add_up(app: Flask) -> None:
    socketio = SocketIO(ping_timeout=7, ping_interval=8)
    socketio.init_app(app, ping_interval=9)
    assert app.extensions["socketio"] is socketio
    handshake = json.loads((await ask(socketio.asgi_app)).text[1:])
    assert (handshake["pingTimeout"], handshake["pingInterval"]) == (7000, 9000)


def test_the_modules_of_flask_socketio_are_there() -> None:
    from asyncsock.namespace import Namespace as FromItsModule
    from asyncsock.test_client import SocketIOTestClient

    assert FromItsModule is Namespace
    assert SocketIOTestClient is asyncsock.SocketIOTestClient


def test_the_client_manager_of_a_queue_is_write_only_without_an_application(app: Flask) -> None:
    pytest.importorskip("redis")
    url = "redis://127.0.0.1:1"  # it connects when it is used
    for socketio, write_only in (
        (SocketIO(app, message_queue=url), False),
        (SocketIO(message_queue=url), True),
    ):
        assert socketio.server_options["client_manager"].write_only is write_only


def test_the_names_of_flask_socketio_are_there() -> None:
    theirs = pytest.importorskip("flask_socketio")
    for thing in ("SocketIO", "Namespace", "SocketIOTestClient"):
        ours = getattr(asyncsock, thing)
        missing = [
            name
            for name in dir(getattr(theirs, thing))
            if not name.startswith("_") and not hasattr(ours, name)
        ]
        assert set(missing) <= NOT_HERE, thing
    assert asyncsock.ConnectionRefusedError is theirs.ConnectionRefusedError


NOT_HERE = {"clients"}  # the book-keeping of Flask-SocketIO's test client


def test_before_init_app_there_is_no_server(app: Flask) -> None:
    """What code that asks `if socketio.server` relies on."""
    socketio = SocketIO()
    assert socketio.server is None
    socketio.init_app(app)
    assert socketio.server


def test_what_was_registered_is_in_the_attributes(socketio: SocketIO) -> None:
    def handler(error: Exception) -> None: ...

    socketio.on("one", namespace="/other")(handler)
    socketio.on_error("/other")(handler)
    socketio.on_error_default(handler)
    assert socketio.handlers == [("one", handler, "/other")]
    assert socketio.exception_handlers == {"/other": handler}
    assert socketio.default_exception_handler is handler


def test_a_namespace_knows_its_socketio_from_its_registration_on(app: Flask) -> None:
    socketio, namespace = SocketIO(), Namespace("/other")
    assert namespace.socketio is None
    socketio.on_namespace(namespace)
    assert namespace.socketio is socketio
    assert socketio.namespace_handlers == [namespace]


# Registering


@both_kinds
def test_on_event_registers_without_a_decorator(app: Flask, socketio: SocketIO, kind: str) -> None:
    def double(number: int) -> int:
        return 2 * number

    socketio.on_event("double", of_kind(kind, double), namespace="/sums")
    client = socketio.test_client(app, namespace="/sums")
    assert client.emit("double", 21, namespace="/sums", callback=True) == 42


def test_the_decorators_return_the_function(socketio: SocketIO) -> None:
    def handler(*args: Any) -> None: ...

    assert socketio.on("one")(handler) is handler
    assert socketio.event(handler) is handler
    assert socketio.event(namespace="/other")(handler) is handler
    assert socketio.on_error()(handler) is handler
    assert socketio.on_error_default(handler) is handler


def test_the_reasons_are_those_of_flask_socketio() -> None:
    theirs = python_socketio.Server.reason
    for name in [name for name in vars(theirs) if name.isupper()]:
        assert getattr(SocketIO.reason, name) == getattr(theirs, name)


@both_kinds
def test_a_tuple_is_several_arguments_of_the_acknowledgement(
    app: Flask, socketio: SocketIO, kind: str
) -> None:
    socketio.on("tuple")(of_kind(kind, lambda: ("one", 2)))
    socketio.on("list")(of_kind(kind, lambda: ["one", 2]))
    socketio.on("nothing")(of_kind(kind, lambda: None))
    client = socketio.test_client(app)
    assert client.emit("tuple", callback=True) == ["one", 2]
    assert client.emit("list", callback=True) == ["one", 2]
    assert client.emit("nothing", callback=True) == []


@both_kinds
def test_messages_and_json_are_events_of_that_name(app: Flask, socketio: SocketIO, kind: str) -> None:
    socketio.on("message")(of_kind(kind, lambda data: send(data)))
    socketio.on("json")(of_kind(kind, lambda data: send(data, json=True)))
    client = socketio.test_client(app)
    client.send("hello")
    client.send({"a": 1}, json=True)
    assert client.get_received() == [
        {"name": "message", "args": "hello", "namespace": "/"},
        {"name": "json", "args": {"a": 1}, "namespace": "/"},
    ]


@pytest.mark.parametrize("kind", ["function", "coroutine"])
def test_a_decorator_for_functions_goes_around_a_coroutine_too(
    app: Flask, socketio: SocketIO, kind: str
) -> None:
    def members_only(handler: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(handler)
        def wrapped(*args: Any) -> Any:
            if "member" not in session:
                disconnect()
                return None
            return handler(*args)

        return wrapped

    def join(room: str) -> list[str]:
        join_room(room)
        return sorted(set(rooms()) - {request.sid})  # type: ignore[attr-defined]

    async def join_in_a_coroutine(room: str) -> list[str]:
        await asyncio.sleep(0)
        return join(room)

    def become() -> None:
        session["member"] = True

    socketio.on("become")(become)
    socketio.on("join")(members_only(join if kind == "function" else join_in_a_coroutine))
    member, other = socketio.test_client(app), socketio.test_client(app)
    member.emit("become")
    assert member.emit("join", "inside", callback=True) == ["inside"]
    other.emit("join", "inside")
    assert not other.is_connected()


def test_a_decorator_around_a_coroutine_without_wraps_is_an_error_that_says_so(
    app: Flask, socketio: SocketIO
) -> None:
    def careless(handler: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args: handler(*args)

    @socketio.on("go")
    @careless
    async def go() -> None: ...

    with pytest.raises(TypeError, match=r"functools\.wraps"):
        socketio.test_client(app).emit("go")


# Sending


@pytest.mark.parametrize("nobody", ["", [], (), set()], ids=repr)
def test_an_empty_room_is_nobody(app: Flask, socketio: SocketIO, nobody: Any) -> None:
    """Where Flask-SocketIO takes it for no room at all: for everybody, or for the sender."""
    socketio.on("go")(lambda: emit("from the handler", to=nobody))
    one, two = socketio.test_client(app), socketio.test_client(app)
    socketio.emit("from outside", to=nobody)
    one.emit("go")
    assert one.get_received() == two.get_received() == []


@pytest.mark.parametrize("context", ["a view", "an application context"])
@pytest.mark.parametrize("addressed", ["to", "room", "broadcast"])
def test_the_functions_need_no_event_where_namespace_and_recipient_are_given(
    app: Flask, socketio: SocketIO, context: str, addressed: str
) -> None:
    socketio.on("connect", namespace="/other")(lambda: None)
    client = socketio.test_client(app, namespace="/other")
    whom = {addressed: True if addressed == "broadcast" else client.sid("/other")}
    with app.test_request_context() if context == "a view" else app.app_context():
        emit("news", 1, namespace="/other", **whom)
        send("hello", namespace="/other", **whom)
    assert names(client.get_received("/other")) == ["news", "message"]


def test_a_keyword_that_is_none_of_emits_is_ignored_with_a_warning(app: Flask, socketio: SocketIO) -> None:
    """Flask-SocketIO ignores it in silence, and old examples have `emit(..., json=True)`."""
    socketio.on("go")(lambda: emit("news", {"a": 1}, json=True))
    client = socketio.test_client(app)
    with pytest.warns(UserWarning, match="json"):
        client.emit("go")
    assert client.get_received() == [{"name": "news", "args": [{"a": 1}], "namespace": "/"}]


def test_include_self_and_skip_sid_leave_out_both(app: Flask, socketio: SocketIO) -> None:
    """Where Flask-SocketIO heeds only `skip_sid`."""
    one, two, three = (socketio.test_client(app) for _ in range(3))
    socketio.on("go")(lambda: emit("news", broadcast=True, include_self=False, skip_sid=two.sid()))
    one.emit("go")
    assert one.get_received() == two.get_received() == []
    assert names(three.get_received()) == ["news"]


def test_a_sid_that_is_not_connected_can_join_no_room(app: Flask, socketio: SocketIO) -> None:
    """Flask-SocketIO raises a KeyError for it."""
    socketio.on("go")(lambda: join_room("room", sid="nobody"))
    with pytest.raises(ValueError, match="not connected"):
        socketio.test_client(app).emit("go")


def test_socketio_close_room_empties_a_room(app: Flask, socketio: SocketIO) -> None:
    socketio.on("join")(lambda: join_room("room") and None)
    client = socketio.test_client(app)
    client.emit("join")
    socketio.emit("before", to="room")
    socketio.close_room("room")
    socketio.emit("after", to="room")
    assert names(client.get_received()) == ["before"]


def test_a_disconnect_handler_runs_once_where_a_handler_disconnects(app: Flask, socketio: SocketIO) -> None:
    """Flask-SocketIO runs it inside `disconnect()`; here it is only begun there, as a task."""
    reasons: list[str] = []

    @socketio.on("bye")
    async def bye() -> None:
        disconnect()

    @socketio.on("disconnect")
    async def gone(reason: str) -> None:
        await asyncio.sleep(0)
        reasons.append(reason)

    socketio.test_client(app).emit("bye")
    assert reasons == [SocketIO.reason.SERVER_DISCONNECT]


def test_awaiting_disconnect_waits_for_the_disconnect_handler(app: Flask, socketio: SocketIO) -> None:
    order: list[str] = []

    @socketio.on("bye")
    async def bye(sid: str) -> None:
        await disconnect(sid)
        order.append("after disconnect()")

    @socketio.on("disconnect")
    async def gone() -> None:
        order.append("gone")

    client, other = socketio.test_client(app), socketio.test_client(app)
    client.emit("bye", other.sid())
    assert order == ["gone", "after disconnect()"]


# Context and server


async def test_python_socketios_session_of_a_client_is_awaited(app: Flask, socketio: SocketIO) -> None:
    """`socketio.server` is of the asyncio kind, where Flask-SocketIO's is of the threaded one."""

    @socketio.on("note")
    async def note(text: str) -> dict[str, Any]:
        sid = request.sid  # type: ignore[attr-defined]
        async with socketio.server.session(sid) as notes:
            notes["text"] = text
        found: dict[str, Any] = await socketio.server.get_session(sid)
        return found

    async with socketio.async_test_client(app) as client:
        assert await client.emit("note", "hello", callback=True) == {"text": "hello"}


class Notes(Namespace):
    """Uses python-socketio's session of a client, in a function and in a coroutine."""

    elsewhere: str | None

    def on_write(self, text: str) -> dict[str, Any]:
        sid = request.sid  # type: ignore[attr-defined]
        self.save_session(sid, {"text": text})
        with self.session(sid) as notes:
            notes["length"] = len(text)
        found: dict[str, Any] = self.get_session(sid)
        return found

    async def on_write_in_a_coroutine(self, text: str) -> dict[str, Any]:
        sid = request.sid  # type: ignore[attr-defined]
        await self.save_session(sid, {"text": text})
        async with self.session(sid) as notes:
            notes["length"] = len(text)
        found: dict[str, Any] = await self.get_session(sid)
        return found

    def on_read_elsewhere(self) -> dict[str, Any]:
        found: dict[str, Any] = self.get_session(self.elsewhere, namespace="/")
        return found


@pytest.mark.parametrize("event", ["write", "write_in_a_coroutine"])
def test_a_namespace_has_python_socketios_session_of_its_clients(
    app: Flask, socketio: SocketIO, event: str
) -> None:
    namespace = Notes("/notes")
    socketio.on_namespace(namespace)
    client = socketio.test_client(app)
    client.connect("/notes")
    notes = {"text": "hello", "length": 5}
    assert client.emit(event, "hello", namespace="/notes", callback=True) == notes
    namespace.elsewhere = client.sid()
    assert client.emit("read_elsewhere", namespace="/notes", callback=True) == {}


def test_a_function_has_python_socketios_session_of_its_client(app: Flask, socketio: SocketIO) -> None:
    @socketio.on("note")
    def note(text: str) -> dict[str, Any]:
        sid = request.sid  # type: ignore[attr-defined]
        with socketio.server.session(sid) as notes:
            notes["text"] = text
        found: dict[str, Any] = socketio.server.get_session(sid)
        return found

    assert socketio.test_client(app).emit("note", "hello", callback=True) == {"text": "hello"}


async def test_a_coroutine_that_enters_a_session_without_async_is_told_so(
    app: Flask, socketio: SocketIO
) -> None:
    async with socketio.async_test_client(app) as client:
        with pytest.raises(RuntimeError, match="async with"):
            with socketio.server.session(str(client.sid())):
                pass


def test_the_server_is_an_async_server(socketio: SocketIO) -> None:
    assert isinstance(socketio.server, asyncsock.AsyncServer)
    assert isinstance(socketio.server, python_socketio.AsyncServer)
    assert socketio.async_mode == "asgi"


async def test_wsgi_middleware_around_flask_still_wraps_the_views(app: Flask, socketio: SocketIO) -> None:
    @app.get("/address")
    def address() -> str:
        return str(request.remote_addr)

    app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]
    answer = await ask(socketio.asgi_app, path="/address", headers={"X-Forwarded-For": "192.0.2.7"})
    assert answer.body == b"192.0.2.7"


async def test_blocking_work_of_a_coroutine_takes_the_context_to_its_thread(
    app: Flask, socketio: SocketIO
) -> None:
    @socketio.on("work")
    async def work(number: int) -> list[Any]:
        @copy_current_request_context
        def blocking() -> list[Any]:
            in_a_thread = threading.current_thread() is not threading.main_thread()
            event = request.event  # type: ignore[attr-defined]
            return [current_app.name, event["args"][0] * 2, in_a_thread]

        return await asyncio.to_thread(blocking)

    async with socketio.async_test_client(app) as client:
        assert await client.emit("work", 21, callback=True) == [app.name, 42, True]


# Class-based namespaces


class Room(Namespace):
    """Uses every method that a namespace has."""

    def on_enter(self, room: str) -> list[str]:
        sid = request.sid  # type: ignore[attr-defined]
        self.enter_room(sid, room)
        return sorted(set(self.rooms(sid)) - {sid})

    def on_leave(self, room: str) -> None:
        self.leave_room(request.sid, room)  # type: ignore[attr-defined]

    def on_say(self, text: str, room: str | None = None) -> None:
        self.send(text, room=room, include_self=False)
        self.emit("said", text, room=room, include_self=False)

    def on_clear(self, room: str) -> None:
        self.close_room(room)

    def on_throw_out(self, sid: str) -> None:
        self.disconnect(sid)


def with_methods_of_kind(kind: str, namespace: type[Namespace]) -> type[Namespace]:
    methods = {name: method for name, method in vars(namespace).items() if name.startswith("on_")}
    return type("Methods", (namespace,), {name: of_kind(kind, method) for name, method in methods.items()})


@both_kinds
def test_the_methods_of_a_namespace_act_in_it(app: Flask, socketio: SocketIO, kind: str) -> None:
    socketio.on_namespace(with_methods_of_kind(kind, Room)("/rooms"))
    one, two = (socketio.test_client(app, namespace="/rooms") for _ in range(2))
    main = socketio.test_client(app)

    def heard() -> list[str]:
        one.emit("say", "x", "a", namespace="/rooms")
        assert one.get_received("/rooms") == main.get_received() == []
        return names(two.get_received("/rooms"))

    assert heard() == []
    assert two.emit("enter", "a", namespace="/rooms", callback=True) == ["a"]
    assert heard() == ["message", "said"]
    two.emit("leave", "a", namespace="/rooms")
    assert heard() == []
    two.emit("enter", "a", namespace="/rooms")
    one.emit("clear", "a", namespace="/rooms")
    assert heard() == []
    one.emit("throw_out", two.sid("/rooms"), namespace="/rooms")
    assert not two.is_connected("/rooms")


class Anywhere(Namespace):
    async def on_connect(self) -> None:
        self.emit("welcome", namespace=request.namespace)  # type: ignore[attr-defined]

    def on_where(self) -> list[str]:
        return [request.namespace, request.event["message"]]  # type: ignore[attr-defined]


class AnywhereByItself(Anywhere):
    def trigger_event(self, event: str, *args: Any) -> Any:
        return super().trigger_event(event, *args)


@pytest.mark.parametrize("kind", [Anywhere, AnywhereByItself])
def test_a_class_may_handle_every_namespace(app: Flask, kind: type[Namespace]) -> None:
    socketio = SocketIO(app, namespaces="*")
    socketio.on_namespace(kind("*"))
    client = socketio.test_client(app, namespace="/some")
    assert names(client.get_received("/some")) == ["welcome"]
    assert client.emit("where", namespace="/some", callback=True) == ["/some", "where"]


class WithSpaces(Namespace):
    def on_with_spaces(self) -> str:
        return "found"

    async def on_a_coroutine(self, value: int) -> int:
        await asyncio.sleep(0)
        emit("said", value)
        return value + 1

    def on_fail(self) -> None:
        raise LookupError("on purpose")


class Renaming(WithSpaces):
    def trigger_event(self, event: str, *args: Any) -> Any:
        return super().trigger_event(event.replace(" ", "_"), *args)


class RenamingInACoroutine(WithSpaces):
    async def trigger_event(self, event: str, *args: Any) -> Any:
        return await super().trigger_event(event.replace(" ", "_"), *args)


@pytest.mark.parametrize("kind", [Renaming, RenamingInACoroutine], ids=["a function", "a coroutine"])
def test_a_namespace_may_dispatch_by_itself_in(app: Flask, socketio: SocketIO, kind: type[Namespace]) -> None:
    socketio.on_namespace(kind("/renamed"))
    client = socketio.test_client(app, namespace="/renamed")
    assert client.emit("with spaces", namespace="/renamed", callback=True) == "found"


class Guarding(WithSpaces):
    """Wants the result of a method, and what it raises."""

    threads: list[threading.Thread]

    def trigger_event(self, event: str, *args: Any) -> Any:
        self.threads.append(threading.current_thread())
        try:
            return ["guarded", super().trigger_event(event, *args)]
        except LookupError:
            return ["failed", request.event["message"]]  # type: ignore[attr-defined]


async def test_a_namespace_may_dispatch_in_a_function_that_uses_the_result(
    app: Flask, socketio: SocketIO
) -> None:
    namespace = Guarding("/guarded")
    namespace.threads = []
    socketio.on_namespace(namespace)
    socketio.on_error("/other")(lambda error: "not for these")
    async with socketio.async_test_client(app, namespace="/guarded") as client:

        async def answer(*event: Any) -> Any:
            return await client.emit(*event, namespace="/guarded", callback=True)

        assert await answer("with_spaces") == ["guarded", "found"]
        assert await answer("a_coroutine", 1) == ["guarded", 2]
        assert await answer("fail") == ["failed", "fail"]
        assert await answer("unknown") == ["guarded", None]
        assert names(await client.get_received("/guarded")) == ["said"]
    assert threading.main_thread() not in namespace.threads


async def test_the_error_handler_goes_before_what_a_function_that_dispatches_does(
    app: Flask, socketio: SocketIO
) -> None:
    namespace = Guarding("/guarded")
    namespace.threads = []
    socketio.on_namespace(namespace)
    socketio.on_error("/guarded")(lambda error: repr(error))
    async with socketio.async_test_client(app, namespace="/guarded") as client:
        answer = await client.emit("fail", namespace="/guarded", callback=True)
        assert answer == ["guarded", "LookupError('on purpose')"]


async def test_call_of_a_namespace_returns_the_clients_answer(app: Flask, socketio: SocketIO) -> None:
    class Asking(Namespace):
        async def on_ask(self, question: str) -> str:
            answer: str = await self.call("question", question, to=request.sid)  # type: ignore[attr-defined]
            return answer

    socketio.on_namespace(Asking("/ask"))
    async with Socket(socketio.asgi_app) as client:
        await client.receive()
        client.send("40/ask,")
        await client.receive()
        client.send('42/ask,7["ask","how?"]')
        assert await client.receive() == '42/ask,1["question","how?"]'
        client.send('43/ask,1["so"]')
        assert await client.receive() == '43/ask,7["so"]'


# Background tasks


@pytest.mark.parametrize("of", ["socketio", "server"])
def test_a_background_function_is_a_thread_that_can_be_joined(socketio: SocketIO, of: str) -> None:
    done: list[Any] = []

    def work(*args: int, **kwargs: int) -> None:
        done.append((args, kwargs, threading.current_thread()))

    starter = socketio if of == "socketio" else socketio.server
    task = starter.start_background_task(work, 1, b=2)
    task.join(5)
    assert done == [((1,), {"b": 2}, task)]


@pytest.mark.parametrize("of", ["socketio", "server"])
async def test_a_background_coroutine_is_a_task(socketio: SocketIO, of: str) -> None:
    socketio.server.attach_loop()

    async def work(number: int) -> int:
        await socketio.sleep(0)
        return 2 * number

    starter = socketio if of == "socketio" else socketio.server
    task = starter.start_background_task(work, 21)
    assert isinstance(task, asyncio.Task)
    assert await task == 42


@pytest.mark.parametrize("of", ["socketio", "server"])
async def test_sleep_is_awaited_in_a_coroutine_and_blocks_in_a_thread(socketio: SocketIO, of: str) -> None:
    socketio.server.attach_loop()
    sleep = socketio.sleep if of == "socketio" else socketio.server.sleep
    await asyncio.wait_for(sleep(0.01), 5)
    began = time.monotonic()
    assert await asyncio.to_thread(sleep, 0.05) is None
    assert time.monotonic() - began >= 0.05


# Running

SERVES_ITSELF = """
import sys
from flask import Flask
from asyncsock import SocketIO

app = Flask(__name__)
app.config["SERVER_NAME"] = f"example.org:{sys.argv[1]}"
SocketIO(app).run(app, host="127.0.0.2")
"""


def test_run_takes_a_host_and_the_port_of_server_name(tmp_path: Path) -> None:
    port, log_path = free_port(), tmp_path / "log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVES_ITSELF, str(port)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        Server(process, port, log_path).wait_for_log(f"http://127.0.0.2:{port}", START_TIMEOUT)
        with socket.create_connection(("127.0.0.2", port), timeout=5):
            pass
    finally:
        stop(process)

"""The test clients, and class-based namespaces through them."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from flask import Flask, request, session

from asyncsock import (
    ConnectionRefusedError,
    Namespace,
    SocketIO,
    SocketIOTestClient,
    disconnect,
    emit,
    join_room,
    rooms,
    send,
)

KINDS = ["coroutine", "function"]


def handlers_of(kind: str, socketio: SocketIO) -> None:
    """Handlers of one kind, alike but for that."""
    if kind == "coroutine":

        @socketio.on("connect")
        async def connect(auth: Any) -> None:
            if auth == {"token": "wrong"}:
                raise ConnectionRefusedError("no", {"why": "wrong"})
            send("welcome")

        @socketio.on("say")
        async def say(*args: Any) -> Any:
            await emit("said", args, broadcast=True)
            return args

        @socketio.on("enter")
        async def enter(room: str) -> list[str]:
            join_room(room)
            return sorted(set(rooms()) - {request.sid})  # type: ignore[attr-defined]

        @socketio.on("remember")
        async def remember(value: str) -> Any:
            session["value"] = value
            return dict(session)

        @socketio.on("leave")
        async def leave() -> None:
            disconnect()

        @socketio.on("fail")
        async def fail() -> None:
            raise ZeroDivisionError("on purpose")

    else:

        @socketio.on("connect")
        def connect_function(auth: Any) -> None:
            if auth == {"token": "wrong"}:
                raise ConnectionRefusedError("no", {"why": "wrong"})
            send("welcome")

        @socketio.on("say")
        def say_function(*args: Any) -> Any:
            emit("said", args, broadcast=True)
            return args

        @socketio.on("enter")
        def enter_function(room: str) -> list[str]:
            join_room(room)
            return sorted(set(rooms()) - {request.sid})  # type: ignore[attr-defined]

        @socketio.on("remember")
        def remember_function(value: str) -> Any:
            session["value"] = value
            return dict(session)

        @socketio.on("leave")
        def leave_function() -> None:
            disconnect()

        @socketio.on("fail")
        def fail_function() -> None:
            raise ZeroDivisionError("on purpose")


@pytest.fixture
def app() -> Flask:
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "secret"

    @app.get("/set")
    def set_session() -> str:
        session["from"] = "http"
        return "set"

    return app


@pytest.fixture(params=KINDS)
def socketio(request: pytest.FixtureRequest, app: Flask) -> SocketIO:
    socketio = SocketIO(app, namespaces=["/other"])
    handlers_of(request.param, socketio)
    return socketio


@pytest.fixture
def client(app: Flask, socketio: SocketIO) -> SocketIOTestClient:
    return socketio.test_client(app)


def test_a_client_is_connected_and_has_what_the_connect_handler_sent(client: SocketIOTestClient) -> None:
    assert client.is_connected()
    assert client.get_received() == [{"name": "message", "args": "welcome", "namespace": "/"}]
    assert client.get_received() == []


def test_an_event_has_been_handled_when_emit_returns(client: SocketIOTestClient) -> None:
    client.get_received()
    assert client.emit("say", 1, {"b": b"x"}) is None
    assert client.get_received() == [{"name": "said", "args": [1, {"b": b"x"}], "namespace": "/"}]


def test_a_callback_returns_the_acknowledgement(client: SocketIOTestClient) -> None:
    assert client.emit("say", "one", callback=True) == "one"
    assert client.emit("say", 1, 2, callback=True) == [1, 2]


def test_a_broadcast_reaches_the_other_client(app: Flask, socketio: SocketIO) -> None:
    first, second = socketio.test_client(app), socketio.test_client(app)
    second.get_received()
    first.emit("say", "x")
    assert [packet["name"] for packet in second.get_received()] == ["said"]


def test_rooms_hold(app: Flask, socketio: SocketIO, client: SocketIOTestClient) -> None:
    other = socketio.test_client(app)
    assert client.emit("enter", "one", callback=True) == ["one"]
    client.get_received(), other.get_received()
    socketio.emit("to one", to="one")
    assert [packet["name"] for packet in client.get_received()] == ["to one"]
    assert other.get_received() == []


def test_what_a_thread_emits_is_received(socketio: SocketIO, client: SocketIOTestClient) -> None:
    client.get_received()
    thread = threading.Thread(target=socketio.emit, args=("ticked", 1))
    thread.start()
    thread.join()
    assert client.get_received() == [{"name": "ticked", "args": [1], "namespace": "/"}]


def test_the_session_begins_with_that_of_the_flask_client(app: Flask, socketio: SocketIO) -> None:
    http = app.test_client()
    http.get("/set")
    client = socketio.test_client(app, flask_test_client=http)
    assert socketio.server.environ[client.eio_sid]["saved_session"] == {"from": "http"}
    assert client.emit("remember", "v", callback=True) == {"from": "http", "value": "v"}
    assert socketio.server.environ[client.eio_sid]["saved_session"] == {"from": "http", "value": "v"}


def test_a_refused_client_is_not_connected(app: Flask, socketio: SocketIO) -> None:
    client = socketio.test_client(app, auth={"token": "wrong"})
    assert not client.is_connected()
    with pytest.raises(RuntimeError, match="not connected"):
        client.emit("say")
    with pytest.raises(RuntimeError, match="not connected"):
        client.get_received()


def test_a_client_that_the_server_disconnects_is_not_connected(client: SocketIOTestClient) -> None:
    client.emit("leave")
    assert not client.is_connected()


def test_a_client_that_disconnects_is_not_connected_and_may_connect_again(client: SocketIOTestClient) -> None:
    client.disconnect()
    assert not client.is_connected()
    with pytest.raises(RuntimeError, match="not connected"):
        client.disconnect()
    client.connect()
    assert client.is_connected()


def test_connecting_again_changes_nothing(client: SocketIOTestClient) -> None:
    client.connect()
    assert client.is_connected()
    assert client.emit("say", "hello", callback=True) == "hello"


def test_what_a_client_has_is_in_its_attributes(client: SocketIOTestClient) -> None:
    assert client.connected == {"/": True}
    assert [packet["args"] for packet in client.queue] == ["welcome"]
    client.queue.clear()
    assert client.get_received() == []


def test_namespaces_are_apart(client: SocketIOTestClient) -> None:
    client.connect("/other")
    assert client.is_connected("/other")
    assert client.sid("/other") != client.sid()
    assert client.get_received("/other") == []


def test_what_a_handler_raises_is_raised_in_the_test(client: SocketIOTestClient) -> None:
    with pytest.raises(ZeroDivisionError, match="on purpose"):
        client.emit("fail")
    assert client.emit("say", "after", callback=True) == "after"


def test_headers_and_the_query_string_reach_the_handlers(app: Flask) -> None:
    socketio = SocketIO(app)

    @socketio.on("tell")
    async def tell() -> list[str | None]:
        return [request.args.get("a"), request.headers.get("X-B")]

    client = socketio.test_client(app, query_string="?a=1", headers={"X-B": "2"})
    assert client.emit("tell", callback=True) == ["1", "2"]


async def test_an_asynchronous_test_has_a_client_of_its_own_kind(app: Flask, socketio: SocketIO) -> None:
    async with socketio.async_test_client(app) as client:
        assert client.is_connected()
        await client.get_received()
        assert await client.emit("say", 5, callback=True) == 5
        assert await client.get_received() == [{"name": "said", "args": [5], "namespace": "/"}]
    assert not client.is_connected()


async def test_the_blocking_client_says_what_to_use_on_the_servers_loop(
    app: Flask, socketio: SocketIO
) -> None:
    async with socketio.async_test_client(app):
        with pytest.raises(RuntimeError, match="async_test_client"):
            socketio.test_client(app)


class Chat(Namespace):
    """Methods of both kinds."""

    def on_connect(self) -> None:
        self.emit("arrived", request.sid)  # type: ignore[attr-defined]

    async def on_say(self, text: str) -> str:
        await asyncio.sleep(0)
        self.send(text)
        return text.upper()

    def on_enter(self, room: str) -> None:
        self.enter_room(request.sid, room)  # type: ignore[attr-defined]
        self.emit("entered", room=room)

    def on_others(self, data: str) -> None:
        self.emit("told", data, None, False)
        self.send(data, None, False)

    async def on_fail(self, how: str) -> None:
        raise ValueError(how)

    def on_fail_function(self, how: str) -> None:
        raise ValueError(how)

    def error(self, error: Exception) -> str:
        return f"handled {error} of {request.event}"  # type: ignore[attr-defined]

    def on_disconnect(self, reason: str) -> None:
        self.socketio.app.extensions["left"] = reason  # type: ignore[union-attr]


def test_a_class_handles_the_events_of_its_namespace(app: Flask) -> None:
    socketio = SocketIO(app)
    socketio.on_namespace(Chat("/chat"))
    client = socketio.test_client(app, namespace="/chat")
    sid = client.sid("/chat")
    assert client.get_received("/chat") == [{"name": "arrived", "args": [sid], "namespace": "/chat"}]
    assert client.emit("say", "hi", namespace="/chat", callback=True) == "HI"
    assert client.get_received("/chat") == [{"name": "message", "args": "hi", "namespace": "/chat"}]
    client.emit("enter", "r", namespace="/chat")
    assert [packet["name"] for packet in client.get_received("/chat")] == ["entered"]
    client.disconnect("/chat")
    assert app.extensions["left"] == "client disconnect"


def test_a_class_may_leave_out_the_sender(app: Flask) -> None:
    socketio = SocketIO(app)
    socketio.on_namespace(Chat("/chat"))
    client, other = (socketio.test_client(app, namespace="/chat") for _ in range(2))
    client.get_received("/chat"), other.get_received("/chat")
    client.emit("others", "x", namespace="/chat")
    assert client.get_received("/chat") == []
    assert [packet["name"] for packet in other.get_received("/chat")] == ["told", "message"]


@pytest.mark.parametrize("event", ["fail", "fail_function"])
@pytest.mark.parametrize("first", [None, "coroutine", "function"])
def test_a_class_handles_the_errors_that_no_other_error_handler_took(
    app: Flask, event: str, first: str | None
) -> None:
    socketio = SocketIO(app)
    socketio.on_namespace(Chat("/chat"))

    def raise_or_answer(error: Exception) -> str:
        if str(error) == "bad":
            raise error
        return "answered before"

    async def raise_or_answer_in_coroutine(error: Exception) -> str:
        return raise_or_answer(error)

    if first is not None:
        socketio.on_error_default(raise_or_answer if first == "function" else raise_or_answer_in_coroutine)
    client = socketio.test_client(app, namespace="/chat")
    expected = f"handled bad of {{'message': '{event}', 'args': ('bad',)}}"
    assert client.emit(event, "bad", namespace="/chat", callback=True) == expected
    if first is not None:
        assert client.emit(event, "good", namespace="/chat", callback=True) == "answered before"


def test_a_class_that_handles_errors_can_refuse_a_client(app: Flask) -> None:
    class Closed(Chat):
        def on_connect(self) -> None:
            raise ConnectionRefusedError("closed")

    socketio = SocketIO(app)
    socketio.on_namespace(Closed("/closed"))
    assert not socketio.test_client(app, namespace="/closed").is_connected("/closed")


def test_a_decorated_handler_goes_before_the_class(app: Flask) -> None:
    socketio = SocketIO()
    socketio.on_namespace(Chat("/chat"))

    @socketio.on("say", namespace="/chat")
    def say(text: str) -> str:
        return "decorated"

    socketio.init_app(app)
    client = socketio.test_client(app, namespace="/chat")
    assert client.emit("say", "hi", namespace="/chat", callback=True) == "decorated"


def test_only_a_namespace_can_be_registered_as_one(app: Flask) -> None:
    with pytest.raises(ValueError, match="Not a namespace instance"):
        SocketIO(app).on_namespace(object())  # type: ignore[arg-type]

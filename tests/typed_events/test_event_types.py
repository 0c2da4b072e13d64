"""`event_type` declares what the server sends, and sends it from anywhere."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from flask import Flask

from asyncsock import AsyncServer, SocketIO
from asyncsock.engine.awaitables import Sent


class Message(msgspec.Struct):
    text: str


@pytest.fixture
def socketio() -> SocketIO:
    return SocketIO()


def connected(socketio: SocketIO) -> Any:
    app = Flask(__name__)
    socketio.init_app(app)
    return socketio.test_client(app)


def test_what_was_declared_is_kept_in_order_before_and_after_there_is_an_application(
    socketio: SocketIO,
) -> None:
    chat = socketio.event_type("chat", Message)
    socketio.init_app(Flask(__name__))
    moved = socketio.event_type("moved", int, list[str], namespace="/game")
    on_server = socketio.server.event_type("left")
    assert socketio.event_types == [chat, moved, on_server]
    assert (chat.name, chat.types, chat.namespace) == ("chat", (Message,), "/")
    assert (moved.name, moved.types, moved.namespace) == ("moved", (int, list[str]), "/game")


@pytest.mark.parametrize(
    ("types", "arguments"),
    [
        ((), ()),
        ((int,), (1,)),
        ((list[int],), ([1, 2],)),
        ((str, int), ("a", 1)),
        ((int,) * 5, (1, 2, 3, 4, 5)),
    ],
)
def test_each_argument_arrives_as_one(socketio: SocketIO, types: Any, arguments: Any) -> None:
    event = socketio.event_type("event", *types)
    client = connected(socketio)
    event.emit(*arguments)
    assert [packet["args"] for packet in client.get_received()] == [list(arguments)]


def test_a_tuple_is_one_argument_too(socketio: SocketIO) -> None:
    pair = socketio.event_type("pair", tuple[int, int])
    client = connected(socketio)
    pair.emit((1, 2))
    assert client.get_received()[0]["args"] == [[1, 2]]


def test_another_number_of_arguments_is_an_error_at_the_call(socketio: SocketIO) -> None:
    chat: Any = socketio.event_type("chat", str)
    with pytest.raises(TypeError, match="event 'chat' takes 1 argument, not 2"):
        chat.emit("a", "b")


def test_without_an_application_it_says_what_is_missing(socketio: SocketIO) -> None:
    with pytest.raises(RuntimeError, match="no application yet"):
        socketio.event_type("chat", str).emit("hi")


def test_it_sends_from_handlers_of_both_kinds_views_and_threads(socketio: SocketIO) -> None:
    chat = socketio.event_type("chat", str)
    app = Flask(__name__)

    @socketio.on("coroutine")
    async def coroutine() -> None:
        await chat.emit("coroutine")

    @socketio.on("function")
    def function() -> None:
        chat.emit("function")

    @app.get("/")
    def view() -> str:
        chat.emit("view")
        return ""

    socketio.init_app(app)
    client = socketio.test_client(app)
    client.emit("coroutine")
    client.emit("function")
    app.test_client().get("/")
    thread = socketio.start_background_task(chat.emit, "thread")
    thread.join()
    said = [packet["args"][0] for packet in client.get_received()]
    assert said == ["coroutine", "function", "view", "thread"]


def test_it_is_sent_to_a_room_of_its_namespace_only(socketio: SocketIO) -> None:
    chat = socketio.event_type("chat", str, namespace="/chat")
    app = Flask(__name__)
    socketio.on("connect", namespace="/chat")(lambda: None)
    socketio.init_app(app)
    first, second = (socketio.test_client(app, namespace="/chat") for _ in range(2))
    chat.emit("hi", to=first.sid("/chat"))
    assert [packet["args"] for packet in first.get_received("/chat")] == [["hi"]]
    assert second.get_received("/chat") == []


async def test_a_bare_server_has_it_too() -> None:
    server = AsyncServer()
    chat = server.event_type("chat", str)
    server.attach_loop()
    sent = chat.emit("hi")
    assert isinstance(sent, Sent)
    await asyncio.wait_for(sent, 5)
    assert server.event_types == [chat]

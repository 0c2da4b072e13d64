"""Handlers of every kind, whose decorators keep their types. It is never run, only checked."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal

from flask import Flask
from typing_extensions import assert_type

from asyncsock import (
    ASGIApp,
    AsyncServer,
    EventType,
    InvalidPayload,
    Namespace,
    RemoteSocket,
    SocketIO,
    emit,
    join_room,
    presence,
    track,
)
from asyncsock.engine import EngineServer

Echo = Callable[[str, int], Coroutine[Any, Any, str]]
Joined = Callable[[str], list[str]]
Failed = Callable[[Exception], dict[str, str]]

app = Flask(__name__)
socketio = SocketIO(app, ping_interval=25, cors_allowed_origins="*")
asgi: ASGIApp = socketio.asgi_app


@socketio.on("echo")
async def echo(text: str, times: int) -> str:
    await emit("echoed", text)
    return text * times


@socketio.on("joined", namespace="/chat")
def joined(room: str) -> list[str]:
    join_room(room)
    return [room]


@socketio.on("come")
async def come(room: str) -> list[str]:
    await track("ada", {"name": "Ada"}, room)
    assert_type(socketio.presence(room), dict[str, list[Any]])
    return list(presence(room))


@socketio.event
async def plain_event(text: str, times: int) -> str:
    return text * times


@socketio.event()
async def called_event(text: str, times: int) -> str:
    return text * times


@socketio.event(namespace="/chat")
def chat_event(room: str) -> list[str]:
    return [room]


@socketio.on_error()
def failed(error: Exception) -> dict[str, str]:
    return {"error": str(error)}


@socketio.on_error("/chat")
def chat_failed(error: Exception) -> dict[str, str]:
    return {"error": str(error)}


@socketio.on_error_default
def failed_anywhere(error: Exception) -> dict[str, str]:
    return {"error": str(error)}


class Chat(Namespace):
    async def on_say(self, text: str) -> None:
        await self.emit("said", text)


socketio.on_namespace(Chat("/rooms"))
socketio.on_event("echo again", echo)


@socketio.on_server_side("echo")
async def echo_of_another_process(text: str, times: int) -> str:
    found: list[RemoteSocket] = await socketio.fetch_sockets(to="room")
    await socketio.sockets_join("room", to=[each.sid for each in found])
    return text * times


server = AsyncServer(ping_interval=25)


@server.on_server_side("joined")
def joined_another_process(room: str) -> list[str]:
    server.disconnect_sockets(to=room)
    return [room]


@server.on("echo")
async def server_echo(sid: str, number: int) -> str:
    await server.emit("echoed", number, to=sid)
    return sid


@server.on("echo", namespace="/chat")
async def server_chat_echo(sid: str, number: int) -> str:
    return sid * number


@server.event
async def server_event(sid: str, number: int) -> str:
    return sid * number


@server.event(namespace="/chat")
async def server_chat_event(sid: str, number: int) -> str:
    return sid * number


engine = EngineServer(ping_interval=25)


@engine.on("message")
async def message(sid: str, number: int) -> str:
    return sid * number


def check() -> None:
    """assert_type is told what each is, and pyright and mypy say where it is something else."""
    as_echo: list[Echo] = [echo, plain_event, called_event, server_echo, server_chat_echo]
    as_echo += [validated, not_validated, server_validated]
    as_echo += [server_event, server_chat_event, message, echo_of_another_process]
    as_joined: list[Joined] = [joined, chat_event, joined_another_process]
    as_failed: list[Failed] = [failed, chat_failed, failed_anywhere]
    assert_type(joined("a"), list[str])
    assert_type(chat_event("a"), list[str])
    assert_type(failed(ValueError()), dict[str, str])
    del as_echo, as_joined, as_failed


async def call_them() -> None:
    for answer in (
        await echo("a", 1),
        await plain_event("a", 1),
        await called_event("a", 1),
        await server_echo("a", 1),
        await server_chat_echo("a", 1),
        await server_event("a", 1),
        await server_chat_event("a", 1),
        await message("a", 1),
        await server.on("again", server_echo)("a", 1),
        await engine.on("message", message)("a", 1),
    ):
        assert_type(answer, str)


# Handlers that are validated


@socketio.on("validated", validate=True)
async def validated(text: str, times: int) -> str:
    return text * times


@socketio.event(validate=False)
async def not_validated(text: str, times: int) -> str:
    return text * times


@server.on("validated", validate=True)
async def server_validated(sid: str, number: int) -> str:
    return sid * number


@socketio.on_error_default
def refused(error: Exception) -> dict[str, str]:
    return error.details() if isinstance(error, InvalidPayload) else {}


# What the server sends


@dataclass
class Message:
    text: str


Said = socketio.event_type("said", Message)
Moved = socketio.event_type("moved", int, list[str], namespace="/game")
Left = socketio.event_type("left")
Chosen = socketio.event_type("chosen", Literal["a", "b"])
ServerSaid = server.event_type("said", Message)


async def send_them() -> None:
    assert_type(Said, EventType[tuple[Message]])
    assert_type(Moved, EventType[tuple[int, list[str]]])
    await Said.emit(Message("hi"), to="room")
    Moved.emit(1, ["up"], skip_sid="sid", include_self=False)
    await Left.emit()
    Chosen.emit("a")
    await ServerSaid.emit(Message("hi"))

"""What the checkers have to find: each line with the comment `# wrong` has an error, and no other line."""

from __future__ import annotations

from flask import Flask

from asyncsock import AsyncServer, SocketIO
from asyncsock.engine import EngineServer

socketio = SocketIO(Flask(__name__))
server = AsyncServer()
engine = EngineServer()
Said = socketio.event_type("said", str)
Moved = server.event_type("moved", int, list[str])


@socketio.event(namespace="/chat")
def chat(room: str) -> list[str]:
    return [room]


@socketio.on("echo")
async def echo(text: str) -> str:
    return text


@server.event
async def said(sid: str, text: str) -> str:
    return text


@server.on("asked")
async def asked(sid: str, text: str) -> str:
    return text


@engine.on("message")
async def message(sid: str, data: str) -> str:
    return data


@socketio.on_error_default
def failed(error: Exception) -> str:
    return str(error)


chat(1)  # wrong
unused = echo(1)  # wrong
unused = said("sid", 1)  # wrong
unused = asked("sid", 1)  # wrong
unused = message("sid", 1)  # wrong
failed("text")  # wrong
socketio.on("event")(1)  # wrong
EngineServer(ping_intervall=1)  # wrong
Said.emit(1)  # wrong
Said.emit()  # wrong
Said.emit("a", "b")  # wrong
Moved.emit(1, [2])  # wrong

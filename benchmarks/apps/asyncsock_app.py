"""asyncsock with a Flask application: ``uvicorn asyncsock_app:asgi``."""

from __future__ import annotations

import os
from typing import Any

from flask import Flask, request

from asyncsock import SocketIO, emit, join_room

app = Flask(__name__)
app.config["SECRET_KEY"] = "benchmark"
queue = {"message_queue": os.environ["QUEUE"]} if "QUEUE" in os.environ else {}
socketio = SocketIO(app, **queue)
MESSAGE = {"data": "x" * 100}


@app.get("/")
def index() -> dict[str, str]:
    return {"hello": "world"}


@socketio.on("go")
async def go(count: int) -> None:
    for _ in range(count):
        await emit("msg", MESSAGE, broadcast=True)


@socketio.on("join")
async def join(room: str) -> None:
    await join_room(room)


@socketio.on("room")
async def to_room(room: str) -> None:
    await emit("msg", MESSAGE, to=room)


@socketio.on("echo")
async def echo(data: Any) -> Any:
    assert request.sid  # type: ignore[attr-defined]  # the handler has Flask's context
    return data


@socketio.on("echo_def")
def echo_def(data: Any) -> Any:
    assert request.sid  # type: ignore[attr-defined]
    return data


asgi = socketio.asgi_app

"""asyncsock with a Flask application: ``uvicorn asyncsock_app:asgi``."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from flask import Flask, Response, request, send_file

from asyncsock import SocketIO, emit, join_room

app = Flask(__name__)
app.config["SECRET_KEY"] = "benchmark"
queue = {"message_queue": os.environ["QUEUE"]} if "QUEUE" in os.environ else {}
socketio = SocketIO(
    app,
    connection_state_recovery="RECOVERY" in os.environ,
    metrics="METRICS" in os.environ,
    **queue,
)
if "ADMIN" in os.environ:
    socketio.instrument(auth=False, mode=os.environ["ADMIN"])
MESSAGE = {"data": "x" * 100}


@app.get("/")
def index() -> dict[str, str]:
    return {"hello": "world"}


@app.get("/file")
def file() -> Response:
    return send_file(os.environ["FILE"])


@app.get("/worker")
def worker() -> str:
    return str(os.getpid())


@socketio.on("worker")
async def own_worker() -> int:
    return os.getpid()


@socketio.on("go")
async def go(count: int) -> None:
    for _ in range(count):
        await emit("msg", MESSAGE, broadcast=True)


@socketio.on("burst")
async def burst(count: int) -> None:
    for _ in range(count):
        emit("msg", MESSAGE, broadcast=True)  # dropped: the next does not wait for the queue


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


@socketio.on("slow")
async def slow() -> None:
    await asyncio.sleep(30)


@socketio.on("slow_def")
def slow_def() -> None:
    time.sleep(12)


@socketio.on("back")
async def back(*data: Any) -> None:
    await emit("back", data)


asgi = socketio.asgi_app

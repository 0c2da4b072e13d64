"""A Flask application that gives out metrics, for several workers that share QUEUE."""

from __future__ import annotations

import os
from typing import Any

from flask import Flask, request

from asyncsock import SocketIO, emit

app = Flask(__name__)
socketio = SocketIO(
    app,
    message_queue=os.environ["QUEUE"],
    channel="measured",
    metrics=True,
    max_buffered_bytes=50_000,
    ping_interval=3600,  # how many pings there are would depend on how long the test takes
)


@app.get("/hello")
def hello() -> str:
    return "hello"


@socketio.on("connect")
async def connect(auth: Any = None) -> bool:
    return auth != {"refuse": True}


@socketio.on("echo")
async def echo(data: Any) -> Any:
    return data


@socketio.on("work")
def work(data: Any) -> Any:
    return data


@socketio.on("tell")
async def tell(data: Any) -> None:
    emit("news", data, broadcast=True)


@socketio.on("ask")
async def ask() -> None:
    emit("question", callback=lambda *_: None)


@socketio.on("flood")
async def flood(count: int, size: int) -> None:
    for _ in range(count):
        socketio.emit("flood", "x" * size, to=request.sid)  # type: ignore[attr-defined]


@socketio.on("*")
async def any_other(_event: str, *_args: Any) -> None:
    pass


asgi = socketio.asgi_app

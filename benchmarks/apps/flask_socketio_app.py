"""Flask-SocketIO. gevent: run as a program with PORT set; threading: ``gunicorn -k gthread``."""

from __future__ import annotations

import os
import time

MODE = os.environ["FLASK_SOCKETIO_MODE"]
if MODE == "gevent":
    from gevent import monkey

    monkey.patch_all()

from typing import Any

from flask import Flask, request
from flask_socketio import SocketIO, emit, join_room

app = Flask(__name__)
app.config["SECRET_KEY"] = "benchmark"
queue = {"message_queue": os.environ["QUEUE"]} if "QUEUE" in os.environ else {}
socketio = SocketIO(app, async_mode=MODE, **queue)
MESSAGE = {"data": "x" * 100}


@app.get("/")
def index() -> dict[str, str]:
    return {"hello": "world"}


@socketio.on("go")
def go(count: int) -> None:
    for _ in range(count):
        emit("msg", MESSAGE, broadcast=True)


@socketio.on("join")
def join(room: str) -> None:
    join_room(room)


@socketio.on("room")
def to_room(room: str) -> None:
    emit("msg", MESSAGE, to=room)


@socketio.on("echo")
@socketio.on("echo_def")
def echo(data: Any) -> Any:
    assert request.sid
    return data


@socketio.on("slow_def")
def slow() -> None:
    time.sleep(12)


if __name__ == "__main__":
    socketio.run(app, host="127.0.0.1", port=int(os.environ["PORT"]))

"""The server that is fuzzed: handlers that take anything, and an event that says what is open."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from flask import Flask

from asyncsock import SocketIO, emit

logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")

app = Flask(__name__)
app.config["SECRET_KEY"] = "fuzz"
serializer = os.environ.get("SERIALIZER", "default")
socketio = SocketIO(app, serializer=serializer, connect_timeout=5, cors_allowed_origins="*")


@app.route("/", methods=["GET", "POST"])
def view() -> str:
    return "hello"


for namespace in ("/", "/other"):

    @socketio.on("connect", namespace=namespace)
    async def connect(*auth: Any) -> None:
        pass

    @socketio.on("disconnect", namespace=namespace)
    async def disconnect(*reason: Any) -> None:
        pass

    @socketio.on("echo", namespace=namespace)
    async def echo(*data: Any) -> Any:
        return data

    @socketio.on("echo_def", namespace=namespace)
    def echo_def(*data: Any) -> Any:
        return data

    @socketio.on("back", namespace=namespace)
    async def back(*data: Any) -> None:
        await emit("back", data)

    @socketio.on("ask", namespace=namespace)
    async def ask(*data: Any) -> None:
        await emit("question", data, callback=lambda *answer: None)


@socketio.on("open")
async def still_open(*data: Any) -> list[int]:
    """How many sessions are open, and how many handlers run."""
    engine = socketio.server.eio
    return [len(engine.sessions), len(engine.tasks)]


asgi = socketio.asgi_app

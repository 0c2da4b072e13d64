"""One server of a cluster, of any kind, that does what its clients ask for.

The environment says which: ``KIND`` is a key of `MAKERS`, ``QUEUE`` the broker's URL, or empty.
As an ASGI application it is ``tests.apps.cluster:asgi``; Flask-SocketIO runs as a program on ``PORT``.
"""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable
from typing import Any

KIND, QUEUE, CHANNEL = (os.environ[name] for name in ("KIND", "QUEUE", "CHANNEL"))
NAMESPACES = ("/", "/other")


def asyncsock() -> tuple[Any, Any]:
    from flask import Flask

    from asyncsock import SocketIO

    socketio = SocketIO(Flask(__name__), message_queue=QUEUE, channel=CHANNEL)
    return socketio.server, socketio.asgi_app


def python_socketio() -> tuple[Any, Any]:
    import socketio

    manager = socketio.AsyncAioPikaManager if QUEUE.startswith("amqp") else socketio.AsyncRedisManager
    server = socketio.AsyncServer(async_mode="asgi", client_manager=manager(QUEUE, channel=CHANNEL))
    return server, socketio.ASGIApp(server)


def flask_socketio() -> tuple[Any, Any]:
    from flask import Flask
    from flask_socketio import SocketIO

    app = Flask(__name__)
    mode = "eventlet" if QUEUE.startswith("zmq") else "threading"  # without it they have no ZeroMQ
    socketio = SocketIO(app, async_mode=mode, message_queue=QUEUE, channel=CHANNEL)
    port = int(os.environ["PORT"])
    options = {} if mode == "eventlet" else {"allow_unsafe_werkzeug": True}
    return socketio.server, lambda: socketio.run(app, port=port, **options)


MAKERS = {"asyncsock": asyncsock, "python-socketio": python_socketio, "flask-socketio": flask_socketio}
server, asgi = MAKERS[KIND]()


def fitting(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that returns what the server's methods return, as a handler for that server."""
    if KIND == "flask-socketio":
        return function

    async def handle(*args: Any) -> Any:
        result = function(*args)
        return await result if inspect.isawaitable(result) else result

    return handle


def put(_sid: str, event: str, data: Any, options: dict[str, Any]) -> Any:
    return server.emit(event, data, **options)


def put_large(_sid: str, size: int, room: str) -> Any:
    return server.emit("event", "x" * size, room=room)


def put_unusual(_sid: str, event: str, target: str, names: list[str]) -> Any:
    """Send what JSON does not have, and what it has but few encoders take."""
    unusual = {"nan": [math.nan, math.inf, -math.inf], "half": "\ud83d", "large": 2**70, "binary": b"\0"}
    return server.emit(event, {name: unusual[name] for name in names}, to=target)


def where(_sid: str) -> Any:
    return {"process": os.getpid()}


def health(_sid: str) -> Any:
    return server.queue_health()


def ask_later(sid: str, target: str, question: Any) -> Any:
    answered = fitting(lambda *answer: server.emit("answered", list(answer), to=sid))
    return server.emit("question", question, to=target, callback=answered)


def ask(_sid: str, target: str, question: Any) -> Any:
    return server.call("question", question, to=target, timeout=10)


def enter(_sid: str, target: str, room: str) -> Any:
    return server.enter_room(target, room)


def leave(_sid: str, target: str, room: str) -> Any:
    return server.leave_room(target, room)


def close(_sid: str, room: str) -> Any:
    return server.close_room(room)


def kick(_sid: str, target: str) -> Any:
    return server.disconnect(target)


for handler in (put, put_large, put_unusual, where, health, ask_later, ask, enter, leave, close, kick):
    for namespace in NAMESPACES:
        server.on(handler.__name__, fitting(handler), namespace=namespace)


if __name__ == "__main__":
    asgi()

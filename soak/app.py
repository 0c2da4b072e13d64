"""The server that is soaked: a Flask application, and an event that counts what the process holds."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
import threading
from typing import Any

from flask import Flask, session
from socketio import exceptions

from asyncsock import SocketIO, call, emit, join_room, leave_room
from asyncsock.engine import closing
from asyncsock.flask_bridge.threads import ThreadPool

logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")

# So that a count need not wait long for what nobody fetches, and for who does not answer a close frame.
closing.LINGER = 2.0
closing.CLOSE_TIMEOUT = 1.0
app = Flask(__name__)
app.config["SECRET_KEY"] = "soak"
socketio = SocketIO(
    app,
    ping_interval=1,
    ping_timeout=4,  # longer than the clients may take on a busy machine
    connect_timeout=5,
    header_timeout=2,
    body_timeout=2,
    cors_allowed_origins="*",
)
server = socketio.server


@app.get("/say")
def view() -> str:
    socketio.emit("said", "from a view", to="square")
    return "said"


@socketio.on("connect")
@socketio.on("connect", namespace="/other")
async def connect(auth: Any) -> None:
    session["visits"] = session.get("visits", 0) + 1
    await emit("welcome", auth)


@socketio.on("disconnect")
async def disconnect(reason: str) -> None:
    await asyncio.sleep(0)


@socketio.on("echo")
@socketio.on("echo", namespace="/other")
async def echo(*data: Any) -> Any:
    return data


@socketio.on("echo_def")
def echo_def(*data: Any) -> Any:
    return data


@socketio.on("slow")
async def slow() -> None:
    await asyncio.sleep(0.5)


@socketio.on("fail")
async def fail() -> None:
    raise LookupError("a handler that fails")


@socketio.on_error()
def failed(error: Exception) -> None:
    if not isinstance(error, LookupError):
        raise error


@socketio.on("join")
async def join(*names: str) -> int:
    for name in names:
        await join_room(name)
    return len(names)


@socketio.on("leave")
async def leave(name: str) -> bool:
    await leave_room(name)
    return True


@socketio.on("say")
async def say(room: str, data: Any) -> None:
    await emit("said", data, to=room)


@socketio.on("ask")
async def ask(data: Any) -> None:
    """Ask the client, which may answer or not."""
    await emit("question", data, callback=lambda *answer: None)


@socketio.on("call")
async def call_client(data: Any) -> Any:
    try:
        return await call("question", data, timeout=0.5)
    except exceptions.TimeoutError:
        return None


@socketio.on("fill")
async def fill() -> None:
    """Have each pool of threads start all the threads that it may have."""
    flask_app: Any = socketio.asgi_app.other_asgi_app
    for pool in (server.threads, flask_app.pool):
        await asyncio.to_thread(_fill, pool)


def _fill(pool: ThreadPool) -> None:
    barrier = threading.Barrier(pool._max_workers + 1)
    for _ in range(pool._max_workers):
        pool.submit(barrier.wait)
    barrier.wait(10)


@socketio.on("count")
async def count() -> dict[str, int]:
    """What the process holds. The client that asks is in all of it."""
    gc.collect()
    engine = server.eio
    rooms = server.manager.rooms
    ours = [
        type(each).__name__
        for each in gc.get_objects()
        if str(type(each).__module__).startswith("asyncsock.")
    ]
    return {
        "sessions": len(engine.sessions),
        "ended sessions": len(engine.core.leaving) + len(engine.core.closing_clients._lingering),
        "connections": len(server.connections),
        "clients": len(server.manager.clients),
        "rooms": sum(len(names) for names in rooms.values()),
        "handlers": len(engine.tasks),
        "tasks": len(asyncio.all_tasks()),
        "threads": threading.active_count(),
        "file descriptors": len(os.listdir("/proc/self/fd")),
        "objects": len(ours),
    }


asgi = socketio.asgi_app

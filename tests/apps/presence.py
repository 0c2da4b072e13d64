"""A Flask application whose clients say who they are; with QUEUE in the environment, on several hosts.

The docs have a smaller one. Its handlers are coroutines in the main namespace, functions in /threads and
methods in /class.
"""

from __future__ import annotations

import os
from typing import Any

from flask import Flask, request

from asyncsock import Namespace, SocketIO, join_room, leave_room, presence, track, untrack

app = Flask(__name__)
socketio = SocketIO(
    app,
    message_queue=os.environ.get("QUEUE"),
    channel=os.environ.get("CHANNEL", "flask-socketio"),
    presence={"leave_after": float(os.environ.get("LEAVE_AFTER", "0"))},
)


@app.get("/presence/<room>")
def people(room: str) -> dict[str, Any]:
    return socketio.presence(room)


@socketio.on("track")
async def come(key: str, meta: Any = None, room: Any = None) -> dict[str, Any]:
    await track(key, meta, room)
    return presence(room)


@socketio.on("untrack")
async def go(room: Any = None) -> dict[str, Any]:
    await untrack(room)
    return presence(room)


@socketio.on("watch")
async def watch(room: str) -> dict[str, Any]:
    await join_room(room)
    return presence(room)


@socketio.on("leave")
async def leave(room: str) -> None:
    await leave_room(room)


@socketio.on("where")
async def where() -> dict[str, int]:
    return {"process": os.getpid()}


@socketio.on("track", namespace="/threads")
def come_in_a_thread(key: str, meta: Any = None, room: Any = None) -> dict[str, Any]:
    track(key, meta, room)
    return presence(room)


@socketio.on("untrack", namespace="/threads")
def go_in_a_thread(room: Any = None) -> dict[str, Any]:
    untrack(room)
    return presence(room)


class People(Namespace):
    async def on_track(self, key: str, meta: Any = None, room: Any = None) -> dict[str, Any]:
        await self.track(request.sid, key, meta, room)  # type: ignore[attr-defined]
        return self.presence(room)

    async def on_untrack(self, room: Any = None) -> dict[str, Any]:
        await self.untrack(request.sid, room)  # type: ignore[attr-defined]
        return self.presence(room)


socketio.on_namespace(People("/class"))
asgi = socketio.asgi_app

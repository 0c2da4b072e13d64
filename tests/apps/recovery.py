"""A Flask application whose clients can be restored. Its events are described in tests/js/recovery.mjs.

The environment says how: QUEUE and CHANNEL, SERIALIZER, RECOVERY_OPTIONS (in JSON), and FLOW, a folder for
tests/support/numbered_events.py: then each process that serves a client also emits by itself. As a program
it serves itself on PORT, with WORKERS workers. The log has everything that this package says.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from flask import Flask, request, session

from asyncsock import SocketIO, emit, join_room, rooms
from tests.support.numbered_events import PERIOD, Flow, note_client

logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(process)d %(name)s: %(message)s")
logging.getLogger("asyncsock").setLevel(logging.DEBUG)

app = Flask(__name__)
app.secret_key = "a secret"
socketio = SocketIO(
    app,
    message_queue=os.environ.get("QUEUE") or None,
    channel=os.environ.get("CHANNEL", "flask-socketio"),
    # npm's client may hang until a ping is missing when it loses its connection while it upgrades.
    ping_interval=2,
    ping_timeout=2,
    serializer=os.environ.get("SERIALIZER", "default"),
    connection_state_recovery=json.loads(os.environ.get("RECOVERY_OPTIONS", "true")),
)
flow: asyncio.Task[None] | None = None


async def emit_by_itself(folder: Path) -> None:
    events = Flow(f"process {os.getpid()}", folder)
    while not socketio.server.eio.closing and (some := events.next()):
        for event, data, to in some:
            await socketio.emit(event, data, to=to)
        await asyncio.sleep(PERIOD)
    events.end()


@socketio.on("connect")
async def connect(auth: Any = None) -> None:
    global flow
    if "FLOW" not in os.environ:
        return
    folder = Path(os.environ["FLOW"])
    if not request.recovered:  # type: ignore[attr-defined]
        note_client(folder, request.sid)  # type: ignore[attr-defined]
    if flow is None:
        flow = asyncio.create_task(emit_by_itself(folder))


@socketio.on("disconnect")
async def gone(reason: str) -> None:
    print(f"{request.sid} has gone: {reason}")  # type: ignore[attr-defined]


@socketio.on("connect", namespace="/other")
async def connect_elsewhere() -> None:
    """Let everybody in."""


@socketio.on("enter")
async def enter(room: str, name: str) -> None:
    await join_room(room)
    session["name"] = name
    async with socketio.server.session(request.sid) as own:  # type: ignore[attr-defined]
        own["name"] = name


@socketio.on("state")
async def state() -> dict[str, Any]:
    """What the server knows of a client."""
    own = await socketio.server.get_session(request.sid)  # type: ignore[attr-defined]
    return {"rooms": sorted(rooms()), "session": session.get("name"), "own": own.get("name")}


@socketio.on("say")
async def say(events: list[tuple[str, Any, dict[str, Any]]]) -> None:
    """Emit some events at once."""
    for event, data, options in events:
        emit(event, tuple(data), **{"broadcast": True, **options})


@socketio.on("leave")
async def leave() -> None:
    await socketio.server.disconnect(request.sid)  # type: ignore[attr-defined]


asgi = socketio.asgi_app

if __name__ == "__main__":
    options = {"workers": int(os.environ["WORKERS"])} if "WORKERS" in os.environ else {}
    socketio.run(app, port=int(os.environ["PORT"]), use_reloader=False, **options)

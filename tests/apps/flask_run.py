"""A Flask application that serves itself: PORT and, as JSON, RUN_OPTIONS are arguments of socketio.run.

With ENDLESS it has a background task that never ends, and as much time to stop as it takes.
"""

from __future__ import annotations

import asyncio
import json
import os

from flask import Flask

from asyncsock import SocketIO

app = Flask(__name__)
socketio = SocketIO(app)


@app.get("/fail")
def fail() -> str:
    raise LookupError("a view that fails")


@socketio.on("echo")
async def echo(text: str) -> str:
    return text


async def never_end() -> None:
    await asyncio.Event().wait()


if "ENDLESS" in os.environ:
    socketio.start_background_task(never_end)
    socketio.server.eio.shutdown_grace = 600

if __name__ == "__main__":
    socketio.run(app, port=int(os.environ["PORT"]), **json.loads(os.environ.get("RUN_OPTIONS", "{}")))
    print("run() has returned")

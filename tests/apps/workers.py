"""A Flask application that tells which worker serves whom, for a server of several workers.

With QUEUE in the environment it uses that message queue, and CHANNEL there. As a program it serves itself on
PORT, with WORKERS workers.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import Any

from flask import Flask, request

from asyncsock import SocketIO, disconnect, emit, join_room

logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(process)d %(name)s: %(message)s")
logging.getLogger("asyncsock.engine").setLevel(logging.DEBUG)

app = Flask(__name__)
socketio = SocketIO(
    app, message_queue=os.environ.get("QUEUE"), channel=os.environ.get("CHANNEL", "flask-socketio")
)


@app.get("/worker")
def worker() -> dict[str, int]:
    return {"worker": os.getpid()}


@app.get("/slow")
def slow() -> dict[str, int]:
    """An answer that comes late."""
    time.sleep(0.3)
    return worker()


@app.route("/client", methods=["GET", "POST"])
def client() -> dict[str, Any]:
    """What the view sees of its client."""
    return {
        "worker": os.getpid(),
        "address": request.remote_addr,
        "scheme": request.scheme,
        "host": request.host,
        "body": len(request.get_data()),
    }


@socketio.on("echo")
async def echo(data: Any) -> dict[str, Any]:
    return {"data": data, "worker": os.getpid()}


@socketio.on("who")
async def who() -> dict[str, Any]:
    """What a handler sees of its client."""
    return {"worker": os.getpid(), "address": request.remote_addr, "scheme": request.scheme}


@socketio.on("join")
async def join(room: str) -> dict[str, int]:
    await join_room(room)
    return {"worker": os.getpid()}


@socketio.on("say")
async def say(room: str, sender: str, number: int) -> dict[str, int]:
    await emit("said", (sender, number), to=room)
    return {"worker": os.getpid()}


@socketio.on("ask")
async def ask(sid: str, question: Any) -> Any:
    """The answer of another client."""
    return await socketio.call("question", question, to=sid)


@socketio.on("kick")
async def kick(sid: str) -> None:
    await disconnect(sid)


asgi = socketio.asgi_app

if __name__ == "__main__":
    options = {"workers": int(os.environ["WORKERS"])} if "WORKERS" in os.environ else {}
    socketio.run(app, port=int(os.environ["PORT"]), use_reloader=False, **options)

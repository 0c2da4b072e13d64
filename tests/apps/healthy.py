"""A Flask application with a page about its health, on which it stops DRAIN seconds after it was told to.

As a program it serves itself on PORT, with WORKERS workers.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import Any

from flask import Flask

from asyncsock import SocketIO, emit

logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(process)d %(name)s: %(message)s")
logging.getLogger("asyncsock.engine").setLevel(logging.DEBUG)

app = Flask(__name__)
released = threading.Event()
socketio = SocketIO(app, health={"path": "/healthz", "drain": float(os.environ["DRAIN"])})


@app.get("/worker")
def worker() -> dict[str, int]:
    return {"worker": os.getpid()}


@app.get("/health")
def health() -> dict[str, Any]:
    return dict(socketio.health())


@app.get("/release")
def release() -> str:
    released.set()
    return ""


@socketio.on("linger")
def linger() -> None:
    emit("lingers")
    released.wait(60)


@socketio.on("echo")
async def echo(text: str) -> str:
    return text


asgi = socketio.asgi_app

if __name__ == "__main__":
    socketio.run(app, port=int(os.environ["PORT"]), workers=int(os.environ["WORKERS"]))

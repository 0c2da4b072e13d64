"""A Flask application that serves itself on PORT with several workers, and the options in RUN_OPTIONS.

If there is a file at BROKEN, the program ends while it is loaded: with an error, or without if the file says
"exit". With SIGTERM_HANDLER it has a handler of its own. The process that the file at STOPPED_BY names calls
`stop`. A worker that hangs is killed a second after the grace period.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

from flask import Flask

from asyncsock import SocketIO
from asyncsock.flask_bridge import worker_process


def text_of(variable: str) -> str | None:
    """What is in the file that a variable of the environment names."""
    path = Path(os.environ.get(variable, "/nonexistent"))
    return path.read_text() if path.is_file() else None


if (broken := text_of("BROKEN")) is not None:
    if broken == "exit":
        raise SystemExit
    raise LookupError("a program that cannot be loaded")

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # also where nohup has started the tests
worker_process.EXTRA_TIME = 1.0
app = Flask(__name__)
socketio = SocketIO(app, transports=["websocket"])


@app.get("/process")
def process() -> dict[str, Any]:
    return {"pid": os.getpid(), "parent": os.getppid(), "environment": sorted(os.environ)}


@app.get("/stop")
def stop() -> str:
    socketio.stop()
    return "stopping"


@app.get("/hang")
async def hang() -> str:
    print("the loop hangs")
    time.sleep(600)
    return "not reached"


@socketio.on("echo")
async def echo(text: str) -> str:
    return text


@socketio.on("disconnect")
async def left(reason: str) -> None:
    print(f"left: {reason}")


@socketio.on("wait")
async def wait() -> None:
    print("a handler waits")
    await asyncio.sleep(600)


def at_sigterm(number: int, frame: Any) -> None:
    print(f"handler of the program in {os.getpid()}\n", end="")


def stop_when_told() -> None:
    while text_of("STOPPED_BY") != str(os.getpid()):
        time.sleep(0.05)
    socketio.stop()


if __name__ == "__main__":
    if "SIGTERM_HANDLER" in os.environ:
        signal.signal(signal.SIGTERM, at_sigterm)
    if "STOPPED_BY" in os.environ:
        threading.Thread(target=stop_when_told, daemon=True).start()
    socketio.run(app, port=int(os.environ["PORT"]), **json.loads(os.environ["RUN_OPTIONS"]))
    print(f"run() has returned in {os.getpid()}\n", end="")

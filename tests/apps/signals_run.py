"""A Flask application with signal handlers of its own, which serves itself on PORT.

HANDLERS, a JSON object, says which signals have one and what it does at its end: "return", "exit",
"interrupt", "fail", "stop" or "chain", to the handler before it. WHEN says when they are installed:
"before" run, "started" by a background task on the event loop, or by it as handlers of the "loop". IGNORED
names a signal that is ignored, and SIGBREAK one that takes the place of that of Windows. With SERVED_BY
"uvicorn" the program calls uvicorn.run. RUN_OPTIONS are those of socketio.run.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from typing import Any

import uvicorn
from flask import Flask

if "SIGBREAK" in os.environ:  # which only Windows has
    signal.SIGBREAK = signal.Signals[os.environ["SIGBREAK"]]  # type: ignore[attr-defined]

from asyncsock import SocketIO

HANDLERS: dict[str, str] = json.loads(os.environ.get("HANDLERS", "{}"))

app = Flask(__name__)
socketio = SocketIO(app)
asgi = socketio.asgi_app


@socketio.on("echo")
async def echo(text: str) -> str:
    return text


@socketio.on("disconnect")
def left(reason: str) -> None:
    print("left:", reason, flush=True)


def install(name: str, end: str) -> None:
    number = signal.Signals[name]
    before = signal.getsignal(number)

    def handle(got: int, frame: Any) -> None:
        print("handler of the program:", signal.Signals(got).name, flush=True)
        if end == "exit":
            sys.exit(7)
        elif end == "interrupt":
            raise KeyboardInterrupt
        elif end == "fail":
            raise LookupError("a handler that fails")
        elif end == "stop":
            socketio.stop()
        elif end == "chain" and callable(before):
            before(got, frame)

    if os.environ.get("WHEN") == "loop":
        asyncio.get_running_loop().add_signal_handler(number, handle, number, None)
    else:
        signal.signal(number, handle)


def install_all() -> None:
    for name, end in HANDLERS.items():
        install(name, end)


async def install_while_serving() -> None:
    install_all()
    while not all(type(signal.getsignal(signal.Signals[name])).__module__ != "builtins" for name in HANDLERS):
        await asyncio.sleep(0.01)
    print("installed", flush=True)


if os.environ.get("WHEN", "before") == "before":
    install_all()
else:
    socketio.start_background_task(install_while_serving)
if "IGNORED" in os.environ:
    signal.signal(signal.Signals[os.environ["IGNORED"]], signal.SIG_IGN)

if __name__ == "__main__":
    handlers = {name: signal.getsignal(signal.Signals[name]) for name in ("SIGTERM", "SIGINT")}
    port = int(os.environ["PORT"])
    try:
        if os.environ.get("SERVED_BY") == "uvicorn":
            uvicorn.run(asgi, port=port)
        else:
            socketio.run(app, port=port, **json.loads(os.environ.get("RUN_OPTIONS", "{}")))
    finally:
        kept = all(signal.getsignal(signal.Signals[name]) is handler for name, handler in handlers.items())
        print("run() has ended,", "its handlers are back" if kept else "with other handlers", flush=True)

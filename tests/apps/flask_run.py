"""A Flask application that serves itself on PORT, with the options of the JSON in RUN_OPTIONS.

CERTIFICATE and KEY go to socketio.run as TLS says: "files" (certfile and keyfile), "pair" or "context".
LOGGER and ENGINE_LOGGER are "true", "false" or "own", a logger of its own. With ENDLESS there is a background
task that never ends, and as much time to stop as it takes.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import ssl
import threading
from typing import Any

from flask import Flask

from asyncsock import SocketIO


def tls() -> dict[str, Any]:
    certificate, key = os.environ.get("CERTIFICATE"), os.environ.get("KEY")
    if certificate is None or key is None:
        return {}
    if os.environ["TLS"] == "files":
        return {"certfile": certificate, "keyfile": key}
    if os.environ["TLS"] == "pair":
        return {"ssl_context": (certificate, key)}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return {"ssl_context": context}


def logger(choice: str, name: str) -> bool | logging.Logger:
    if choice != "own":
        return choice == "true"
    own = logging.getLogger(name)
    own.setLevel(logging.INFO)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(name)s %(levelname)s: %(message)s"))
    own.addHandler(handler)
    return own


app = Flask(__name__)
socketio = SocketIO(
    app,
    logger=logger(os.environ.get("LOGGER", "false"), "mine"),
    engineio_logger=logger(os.environ.get("ENGINE_LOGGER", "false"), "engine of mine"),
)


@app.get("/fail")
def fail() -> str:
    raise LookupError("a view that fails")


@app.get("/stop")
def stop_in_a_view() -> str:
    socketio.stop()
    return "stopping"


@socketio.on("echo")
async def echo(text: str) -> str:
    return text


@socketio.on("fail")
async def fail_in_a_handler() -> None:
    raise LookupError("a handler that fails")


@socketio.on("stop in a coroutine")
async def stop_in_a_coroutine() -> str:
    socketio.stop()
    await asyncio.sleep(0.2)  # the server waits for the end of the handler
    return "stopping"


@socketio.on("stop in a function")
def stop_in_a_function() -> str:
    socketio.stop()
    return "stopping"


@socketio.on("stop in a thread")
async def stop_in_a_thread() -> str:
    threading.Timer(0.1, socketio.stop).start()
    return "stopping"


async def never_end() -> None:
    await asyncio.Event().wait()


if "ENDLESS" in os.environ:
    socketio.start_background_task(never_end)
    socketio.server.eio.set_shutdown_grace(600)

if __name__ == "__main__":
    options = json.loads(os.environ.get("RUN_OPTIONS", "{}"))
    socketio.run(app, port=int(os.environ["PORT"]), **tls(), **options)
    print("run() has returned")
    try:
        socketio.stop()
    except RuntimeError as error:
        print(error)

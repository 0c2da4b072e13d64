"""The Flask application that docs/howto/deploy.md is about: it says where it runs and whom it serves."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from flask import Flask, request

from asyncsock import SocketIO, emit

logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
logging.getLogger("asyncsock.engine").setLevel(logging.DEBUG)

app = Flask(__name__)
socketio = SocketIO(app, message_queue=os.environ["QUEUE"], channel=os.environ["CHANNEL"])


@app.get("/health")
def health() -> Any:
    queue = socketio.server.queue_health()
    return {"queue": queue}, 200 if queue["publishing"] and queue["listening"] else 503


@app.get("/where")
def where_a_view_runs() -> dict[str, Any]:
    return {"process": os.getpid(), "address": request.remote_addr, "scheme": request.scheme}


@socketio.on("where")
async def where_a_handler_runs() -> dict[str, Any]:
    return where_a_view_runs()


@socketio.on("transport")
async def transport() -> str:
    used: str = socketio.server.transport(request.sid)  # type: ignore[attr-defined]
    return used


@socketio.on("say")
async def say(text: str) -> None:
    await emit("said", text, broadcast=True)


asgi = socketio.asgi_app

"""Handlers and views that tell when they begin, and that block."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict

from tests.apps.flask_handlers.application import WAIT, app, here_in_threads, request, socketio


@socketio.on("function block")
def block(tag: str) -> str:
    return "released" if here_in_threads[tag].wait(WAIT) else "timed out"


started: dict[str, list[int]] = defaultdict(list)


@socketio.on("coroutine start")
async def start_in_order(number: int) -> None:
    started[request.sid].append(number)
    await asyncio.sleep(0.001)


@socketio.on("function start")
def start_in_order_in_thread(number: int) -> None:
    started[request.sid].append(number)
    time.sleep(0.001)


@socketio.on("started")
async def those_started() -> list[int]:
    return started[request.sid]


together = threading.Barrier(32)


@app.get("/slow")
def slow() -> str:
    """Answers when 32 requests are being handled at once."""
    together.wait(WAIT)
    return "ok"

"""Handlers, views and threads that emit."""

from __future__ import annotations

import asyncio
import threading
from queue import SimpleQueue
from typing import Any

from asyncsock import emit, send
from tests.apps.flask_handlers.application import WAIT, app, both, request, socketio

COUNT = 30


@socketio.on("coroutine count")
async def count() -> None:
    """Emit numbers in three ways: awaited, not awaited, with the SocketIO object."""
    for number in range(0, COUNT, 3):
        await emit("number", number)
        emit("number", number + 1)
        socketio.emit("number", number + 2, to=request.sid)


@socketio.on("function count")
def count_in_thread() -> None:
    for number in range(0, COUNT, 2):
        emit("number", number)
        socketio.emit("number", number + 1, to=request.sid)


def count_for(sid: str) -> None:
    for number in range(COUNT):
        socketio.emit("number", number, to=sid)


async def count_for_in_coroutine(sid: str) -> None:
    for number in range(0, COUNT, 2):
        socketio.emit("number", number, to=sid)
        await socketio.emit("number", number + 1, to=sid)


@app.get("/count/function/<sid>")
def count_in_view(sid: str) -> str:
    count_for(sid)
    return "ok"


@app.get("/count/coroutine/<sid>")
async def count_in_async_view(sid: str) -> str:
    await count_for_in_coroutine(sid)
    return "ok"


@app.get("/count/thread/<sid>")
def count_in_plain_thread(sid: str) -> str:
    thread = threading.Thread(target=count_for, args=(sid,))
    thread.start()
    thread.join(WAIT)
    return "ok"


def start_counting(sid: str, target: str) -> None:
    socketio.start_background_task(count_for_in_coroutine if target == "coroutine" else count_for, sid)


@both
def start_to_count(target: str) -> None:
    start_counting(request.sid, target)


@app.get("/start/<target>/<sid>")
def start_to_count_in_view(target: str, sid: str) -> str:
    start_counting(sid, target)
    return "ok"


early_sids: asyncio.Queue[str] = asyncio.Queue()
early_sids_for_thread: SimpleQueue[str] = SimpleQueue()


async def early_coroutine() -> None:
    while True:
        await count_for_in_coroutine(await early_sids.get())


def early_function() -> None:
    while True:
        count_for(early_sids_for_thread.get())


socketio.start_background_task(early_coroutine)
socketio.start_background_task(early_function)


@socketio.on("tell those that began early")
async def tell_early(target: str) -> None:
    queue: Any = early_sids if target == "coroutine" else early_sids_for_thread
    getattr(queue, "put_nowait", queue.put)(request.sid)


@both
def return_emit() -> Any:
    """What emit returns is no acknowledgement."""
    return emit("number", 1)


@both
def emit_what_cannot_be_sent() -> str:
    try:
        emit("number", object())
    except TypeError:
        return "TypeError"
    return "nothing"


@both
def emit_and_change() -> None:
    data = [1]
    emit("number", data)
    data.append(2)


@both
def tell(options: dict[str, Any], data: Any) -> None:
    """Emit "told" with these options."""
    emit("told", data, **options)


@both
def tell_with_send(data: Any, json: bool) -> None:
    send(data, json=json)


@both
def tell_several() -> None:
    emit("told", "one", {"two": 2}, b"three")

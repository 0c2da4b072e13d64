"""Rooms, disconnect() and the other functions of a handler, also where there is no event."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from asyncsock import call, close_room, disconnect, emit, join_room, leave_room, rooms, send
from tests.apps.flask_handlers.application import WAIT, app, both, request, socketio


@both
def do_join(room: str) -> list[str]:
    join_room(room)
    return sorted(set(rooms()) - {request.sid})


@both
def do_leave(room: str) -> list[str]:
    leave_room(room)
    return sorted(set(rooms()) - {request.sid})


@both
def do_close(room: str) -> list[str]:
    close_room(room)
    return sorted(set(rooms()) - {request.sid})


@both
def do_for(sid: str, namespace: str, room: str) -> list[list[str]]:
    """Join, leave and close rooms for another client in another namespace."""

    def those() -> list[str]:
        return sorted(set(rooms(sid=sid, namespace=namespace)) - {sid})

    found = []
    join_room(room, sid=sid, namespace=namespace)
    join_room(f"{room} too", sid=sid, namespace=namespace)
    found.append(those())
    leave_room(f"{room} too", sid=sid, namespace=namespace)
    found.append(those())
    emit("told", "in a room", to=room, namespace=namespace)
    emit("told", "alone", to=sid, namespace=namespace)
    close_room(room, namespace=namespace)
    found.append(those())
    return found


@both
def do_disconnect(sid: str, namespace: str) -> None:
    disconnect(sid=sid, namespace=namespace)


@both
def do_disconnect_me() -> None:
    disconnect()


@socketio.on("connect", namespace="/elsewhere")
def connect_elsewhere() -> None:
    pass


WITHOUT_CONTEXT: dict[str, Callable[[], Any]] = {
    "emit": lambda: emit("told", "text"),
    "emit to all": lambda: emit("told", "text", broadcast=True),
    "send": lambda: send("text"),
    "call": lambda: call("told", "text"),
    "join_room": lambda: join_room("room"),
    "leave_room": lambda: leave_room("room"),
    "close_room": lambda: close_room("room"),
    "rooms": lambda: rooms(),
    "disconnect": lambda: disconnect(),
    "join_room for one": lambda: join_room("room", sid="somebody"),
    "join_room for one in a namespace": lambda: join_room("room", sid="somebody", namespace="/"),
    "close_room in a namespace": lambda: close_room("room", namespace="/"),
}


def try_without_context(name: str) -> list[str]:
    try:
        WITHOUT_CONTEXT[name]()
    except Exception as error:
        return [type(error).__name__, str(error)]
    return ["nothing", ""]


@app.get("/without-context/view/<name>")
def without_context_in_view(name: str) -> list[str]:
    return try_without_context(name)


@app.get("/without-context/async view/<name>")
async def without_context_in_async_view(name: str) -> list[str]:
    return try_without_context(name)


@app.get("/without-context/thread/<name>")
def without_context_in_thread(name: str) -> list[str]:
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.extend(try_without_context(name)))
    thread.start()
    thread.join(WAIT)
    return found


@app.get("/without-context/task/<name>")
def without_context_in_task(name: str) -> list[str]:
    async def attempt() -> list[str]:
        return try_without_context(name)

    future = socketio.start_background_task(attempt)
    found: list[str] = future.result(WAIT)
    return found


@app.get("/for-one/<sid>")
def for_one_in_view(sid: str) -> list[Any]:
    """A view names the client and its namespace."""
    join_room("from a view", sid=sid, namespace="/")
    return sorted(set(rooms(sid=sid, namespace="/")) - {sid})

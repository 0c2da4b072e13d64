"""Connect and disconnect handlers, in the namespaces "/coroutine-..." and "/function-..."."""

from __future__ import annotations

import asyncio
from typing import Any

from flask import session

from asyncsock import ConnectionRefusedError, disconnect, emit
from tests.apps.flask_handlers.application import (
    WAIT,
    calls,
    here,
    here_in_threads,
    of_kind,
    request,
    socketio,
)

gone: list[tuple[str, ...]] = []  # namespace, the client's tag, the reason if it was asked for


def connect_with_auth(auth: Any) -> None:
    session["tag"] = auth and auth.get("tag")
    emit("connected", {"auth": auth, "sid": request.sid, "user": session.get("user")})


def connect_without_auth() -> None:
    session["tag"] = request.args.get("tag")
    emit("connected", "without auth")


def disconnect_with_reason(reason: str) -> None:
    gone.append((request.namespace, session["tag"], reason))


def disconnect_without_reason() -> None:
    gone.append((request.namespace, session["tag"]))


def connect_refused_with_false() -> bool:
    return False


def connect_refused_with_data(auth: Any) -> None:
    raise ConnectionRefusedError("no entry", {"code": auth["code"]})


def connect_with_type_error(auth: Any) -> None:
    calls[request.namespace] += 1
    len(5)  # type: ignore[arg-type]


def disconnect_with_type_error(reason: str) -> None:
    calls[request.namespace] += 1
    len(6)  # type: ignore[arg-type]


def say(text: str) -> None:
    calls[text] += 1


def kick() -> None:
    disconnect()


for kind in ("coroutine", "function"):
    for name, connect, disconnected in (
        ("auth", connect_with_auth, disconnect_with_reason),
        ("plain", connect_without_auth, disconnect_without_reason),
        ("false", connect_refused_with_false, disconnect_with_reason),
        ("refusing", connect_refused_with_data, disconnect_with_reason),
        ("broken", connect_with_type_error, disconnect_with_reason),
        ("breaking", connect_without_auth, disconnect_with_type_error),
    ):
        namespace = f"/{kind}-{name}"
        socketio.on_event("connect", of_kind(kind, connect), namespace)
        socketio.on_event("disconnect", of_kind(kind, disconnected), namespace)
        socketio.on_event("kick", of_kind(kind, kick), namespace)
        socketio.on_event("say", of_kind(kind, say), namespace)


@socketio.on("connect", namespace="/coroutine-slow")
async def connect_when_released(auth: Any) -> None:
    session["tag"] = auth["tag"]
    calls[auth["tag"]] += 1
    await asyncio.wait_for(here[auth["tag"]].wait(), WAIT)


@socketio.on("connect", namespace="/function-slow")
def connect_in_thread_when_released(auth: Any) -> None:
    session["tag"] = auth["tag"]
    calls[auth["tag"]] += 1
    here_in_threads[auth["tag"]].wait(WAIT)


for kind in ("coroutine", "function"):
    socketio.on_event("disconnect", of_kind(kind, disconnect_with_reason), f"/{kind}-slow")


@socketio.on("knows")
async def knows(session_id: str) -> bool:
    """Whether the engine has a session."""
    return session_id in socketio.server.eio.sessions


@socketio.on("gone")
async def those_gone() -> Any:
    return [list(entry) for entry in gone]

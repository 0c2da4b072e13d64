"""Handlers that fail, and handlers of their errors."""

from __future__ import annotations

from typing import Any

from tests.apps.flask_handlers.application import both, calls, name_of, of_kind, request, socketio


def fail(text: str) -> None:
    raise LookupError(text)


def handle_error(error: Exception) -> list[str]:
    return ["handled", name_of(error), str(error), request.event["message"], request.sid]


for kind in ("coroutine", "function"):
    for handler_kind in ("coroutine", "function"):
        socketio.on_event(f"{handler_kind} fail", of_kind(handler_kind, fail), f"/{kind}-errors")
    socketio.on_error(f"/{kind}-errors")(of_kind(kind, handle_error))


@both
def fail_with(text: str) -> None:
    raise LookupError(text)


@both
def fail_with_type_error() -> None:
    calls[request.event["message"]] += 1
    len(7)  # type: ignore[arg-type]


@both
def wants_one(value: Any) -> Any:
    return value

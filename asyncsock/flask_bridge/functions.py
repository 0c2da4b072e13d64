"""The functions that handlers call: they act for the client whose event is being handled."""

from __future__ import annotations

import warnings
from typing import Any

from flask import current_app, has_app_context

from ..engine.awaitables import Sent
from .context import current_event
from .sender import Sender

# The keywords that are passed on. Others are ignored, as in Flask-SocketIO: emit(..., json=True).
EMIT_KEYWORDS = {"data", "namespace", "callback", "include_self", "skip_sid", "ignore_queue", "volatile"}
CALL_KEYWORDS = {"data", "namespace", "timeout", "ignore_queue"}


def emit(event: str, *args: Any, **kwargs: Any) -> Sent:
    """Emit an event, to the client whose event is being handled by default.

    Args:
        event: The name of the event.
        *args: What to send. Also ``data=``.
        **kwargs: ``broadcast=True`` to send to everybody in the namespace; ``to`` or ``room`` (one, or a
            list); ``include_self=False`` or ``skip_sid`` to leave clients out; ``namespace``, the current
            one by default; ``callback``, ``ignore_queue`` and ``volatile`` as in `SocketIO.emit`. Others are
            ignored with a warning.

    Returns:
        Something to await, or to drop: the event is on its way already.

    Raises:
        RuntimeError: No event is being handled here, and the namespace and the recipients were not given.

    Example:
        await emit("chat", {"text": text}, broadcast=True)
    """
    addressed = _addressed("emit", kwargs, EMIT_KEYWORDS)
    return _socketio().emit(event, *args, **addressed)


def send(message: Any, **kwargs: Any) -> Sent:
    """Send a ``message`` event, or with ``json=True`` a ``json`` event; otherwise like `emit`."""
    json = kwargs.pop("json", False)
    addressed = _addressed("send", kwargs, EMIT_KEYWORDS)
    return _socketio().send(message, json=json, **addressed)


def call(event: str, *args: Any, **kwargs: Any) -> Any:
    """Emit an event to a client and return its acknowledgement.

    Args:
        event: The name of the event.
        *args: What to send. Also ``data=``.
        **kwargs: ``to``, the current client by default; ``namespace``; ``timeout`` in seconds, 60 by
            default; ``ignore_queue``.

    Returns:
        The client's answer; in a coroutine, an awaitable of it.

    Raises:
        RuntimeError: No event is being handled here.
        socketio.exceptions.TimeoutError: The client did not answer in time.
    """
    addressed = _addressed("call", kwargs, CALL_KEYWORDS)
    return _socketio().call(event, *args, **addressed)


def join_room(room: Any, sid: str | None = None, namespace: str | None = None) -> Sent:
    """Add a client, the current one by default, to a room."""
    event_request = _current("join_room", sid, namespace)
    return _socketio().server.enter_room(
        sid or event_request.sid, room, namespace=namespace or event_request.namespace
    )


def leave_room(room: Any, sid: str | None = None, namespace: str | None = None) -> Sent:
    """Remove a client, the current one by default, from a room."""
    event_request = _current("leave_room", sid, namespace)
    return _socketio().server.leave_room(
        sid or event_request.sid, room, namespace=namespace or event_request.namespace
    )


def close_room(room: Any, namespace: str | None = None) -> Sent:
    """Remove every client from a room."""
    event_request = _current("close_room", "any", namespace)
    return _socketio().server.close_room(room, namespace=namespace or event_request.namespace)


def track(key: str, meta: Any = None, room: Any = None) -> Sent:
    """Say who the current client is, in a room; None: to everybody in the namespace. See `AsyncServer.track`.

    Args:
        key: Who it is, such as the id of a user.
        meta: What to show of it: anything that can be emitted.
        room: The room, which it enters if it is not in it.

    Example:
        await track(current_user.get_id(), {"name": current_user.name}, room="lobby")
    """
    event_request = _current("track")
    return _socketio().server.track(event_request.sid, key, meta, room, event_request.namespace)


def untrack(room: Any = None) -> Sent:
    """Take back what `track` has said of the current client in a room, in which it stays."""
    event_request = _current("untrack")
    return _socketio().server.untrack(event_request.sid, room, event_request.namespace)


def presence(room: Any = None) -> dict[str, list[Any]]:
    """Who is in a room of the current namespace, in all processes: ``{key: [meta, ...]}``."""
    return _socketio().presence(room, _current("presence").namespace)


def rooms(sid: str | None = None, namespace: str | None = None) -> list[Any]:
    """The rooms that a client, the current one by default, is in; its own is one of them."""
    event_request = _current("rooms", sid, namespace)
    found: list[Any] = _socketio().server.rooms(
        sid or event_request.sid, namespace=namespace or event_request.namespace
    )
    return found


def disconnect(sid: str | None = None, namespace: str | None = None, silent: bool = False) -> Sent:
    """Disconnect a client, the current one by default. ``silent`` is accepted and has no effect."""
    event_request = _current("disconnect", sid, namespace)
    return _socketio().server.disconnect(
        sid or event_request.sid, namespace=namespace or event_request.namespace
    )


def _current(function: str, sid: Any = None, namespace: Any = None) -> Any:
    """What `current_event` has found. If the call names namespace and client, any application will do."""
    found = current_event()
    if not hasattr(found, "sid") and not (has_app_context() and sid and namespace):
        raise RuntimeError(
            f"{function}() needs the context of a Socket.IO event. In views, threads and background tasks "
            f"use the SocketIO object (socketio.emit(), socketio.send(), socketio.call(), "
            f"socketio.close_room(), socketio.presence()) or socketio.server, or pass namespace= and whom: "
            f"to= or sid="
        )
    return found


def _addressed(function: str, kwargs: dict[str, Any], known: set[str]) -> dict[str, Any]:
    """The arguments for the `SocketIO` method, with the current client where the function's have none."""
    to, broadcast = _recipient(kwargs), kwargs.pop("broadcast", False)
    event_request = _current(function, to or broadcast, "namespace" in kwargs)
    if to is None and not broadcast:
        to = event_request.sid
    if "namespace" not in kwargs:
        kwargs["namespace"] = event_request.namespace
    if not kwargs.keys() <= known:
        ignored = ", ".join(sorted(kwargs.keys() - known))
        warnings.warn(f"{function}() ignores {ignored}", stacklevel=3)
        kwargs = {name: kwargs[name] for name in kwargs.keys() & known}
    return {**kwargs, "to": to}


def _recipient(kwargs: dict[str, Any]) -> Any:
    room, to = kwargs.pop("room", None), kwargs.pop("to", None)
    return room if to is None else to


def _socketio() -> Sender:
    # An application may have several, and an event belongs to one of them.
    current = current_event()
    own: Sender | None = current.environ.get("asyncsock.socketio") if current is not None else None
    return own if own is not None else current_app.extensions["socketio"]

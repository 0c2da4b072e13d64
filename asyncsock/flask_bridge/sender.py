"""What a `SocketIO` object sends, from anywhere: a handler, a view, a thread, a coroutine."""

from __future__ import annotations

from typing import Any

from flask import request

from ..engine.awaitables import Sent
from ..observing.health import HealthReport
from ..server import AsyncServer
from ..types import Handler
from .context import current_event
from .errors import ErrorHandlers
from .routes import make_callback
from .server import FlaskServer

NO_APPLICATION = "SocketIO has no application yet: pass it to SocketIO(app) or call init_app(app)"


class Sender:
    """The sending half of `SocketIO`."""

    errors: ErrorHandlers
    _server: AsyncServer | None  # a FlaskServer, where there is an application

    @property
    def server(self) -> FlaskServer:
        """The Socket.IO server, an `asyncsock.AsyncServer`; None while there is no application."""
        return self._server  # type: ignore[return-value]

    def _ready(self) -> AsyncServer:
        if self._server is None:
            raise RuntimeError(NO_APPLICATION)
        return self._server

    def emit(self, event: str, *args: Any, **kwargs: Any) -> Sent:
        """Emit an event from anywhere: a handler, a view, a thread, a coroutine.

        Args:
            event: The name of the event.
            *args: What to send; several, or a tuple, arrive as several arguments. Also ``data=``.
            **kwargs: ``namespace``, ``'/'`` by default; ``to`` or ``room`` (a sid, a room, or a list of
                rooms), everybody in the namespace by default; ``include_self=False`` in a handler;
                ``skip_sid``, one or a list; ``callback``, called in the Flask context with what the client
                acknowledges with; ``ignore_queue``; ``volatile=True`` to leave out clients that it would not
                be sent to at once.

        Returns:
            Something to await, or to drop: the event is on its way already.

        Raises:
            TypeError: The data cannot be encoded.
        """
        namespace = kwargs.pop("namespace", None) or "/"
        room, to = kwargs.pop("room", None), kwargs.pop("to", None)
        to = room if to is None else to
        skip_sid = kwargs.pop("skip_sid", None)
        if not kwargs.pop("include_self", True):
            skipped = skip_sid if isinstance(skip_sid, list) else [skip_sid] if skip_sid else []
            skip_sid = [*skipped, (current_event() or request).sid]  # type: ignore[union-attr]
        callback = kwargs.pop("callback", None)
        server = self._ready()
        current: Any = current_event() if callback is not None else None
        if hasattr(current, "sid"):
            callback = make_callback(self.server, callback, current.sid, current.namespace, self.errors)
        if "data" in kwargs:
            args = _data_by_name("emit", args, kwargs)
        data = args[0] if len(args) == 1 else args or None
        return server.emit(
            event, data, namespace=namespace, to=to, skip_sid=skip_sid, callback=callback, **kwargs
        )

    def send(
        self,
        data: Any,
        json: bool = False,
        namespace: str | None = None,
        to: Any = None,
        callback: Handler | None = None,
        include_self: bool = True,
        skip_sid: str | list[str] | None = None,
        **kwargs: Any,
    ) -> Sent:
        """Emit a ``message`` event, or a ``json`` event; the other arguments are those of `emit`."""
        return self.emit(
            "json" if json else "message",
            data,
            namespace=namespace,
            to=to,
            callback=callback,
            include_self=include_self,
            skip_sid=skip_sid,
            **kwargs,
        )

    def call(self, event: str, *args: Any, **kwargs: Any) -> Any:
        """Emit an event to one client and return what it acknowledges with.

        Args:
            event: The name of the event.
            *args: What to send. Also ``data=``.
            **kwargs: ``to``, the client's sid; ``namespace``; ``timeout`` in seconds, 60 by default.

        Returns:
            The answer; in a coroutine, an awaitable of it.

        Raises:
            socketio.exceptions.TimeoutError: The client did not answer in time.
        """
        namespace = kwargs.pop("namespace", None) or "/"
        room, to = kwargs.pop("room", None), kwargs.pop("to", None)
        to = room if to is None else to
        if "data" in kwargs:
            args = _data_by_name("call", args, kwargs)
        data = args[0] if len(args) == 1 else args or None
        return self._ready().call(event, data, to=to, namespace=namespace, **kwargs)

    def call_all(self, event: str, *args: Any, **kwargs: Any) -> Any:
        """Emit an event to clients of all processes, and return what each acknowledges it with.

        Args:
            event: The name of the event.
            *args: What to send; several, or a tuple, arrive as several arguments. Also ``data=``.
            **kwargs: ``to`` (a room, a sid, or a list of them), everybody in the namespace by default;
                ``namespace``; ``timeout`` in seconds, 60 by default; ``skip_sid``, one or a list;
                ``callback``, called with what each client acknowledges with, when that comes.

        Returns:
            A list of the answers, each as `call` returns one; in a coroutine, an awaitable of it. A client
            that leaves, or whose process is gone, is not waited for.

        Raises:
            AnswersMissing: Not all have answered in time: see `AsyncServer.call_all`.
        """
        if "data" in kwargs:
            args = _data_by_name("call_all", args, kwargs)
        data = args[0] if len(args) == 1 else args or None
        return self._ready().call_all(event, data, **kwargs)

    def fetch_sockets(self, to: Any = None, namespace: str | None = None) -> Any:
        """Find out about clients of all processes: see `AsyncServer.fetch_sockets`.

        Returns:
            A list of `RemoteSocket`; in a coroutine, an awaitable of it.
        """
        return self._ready().fetch_sockets(to, namespace)

    def sockets_join(self, room: Any, to: Any = None, namespace: str | None = None) -> Sent:
        """Add clients of all processes to a room: see `AsyncServer.sockets_join`."""
        return self._ready().sockets_join(room, to, namespace)

    def sockets_leave(self, room: Any, to: Any = None, namespace: str | None = None) -> Sent:
        """Remove clients of all processes from a room: see `AsyncServer.sockets_leave`."""
        return self._ready().sockets_leave(room, to, namespace)

    def disconnect_sockets(self, to: Any = None, namespace: str | None = None, close: bool = False) -> Sent:
        """Disconnect clients of all processes: see `AsyncServer.disconnect_sockets`."""
        return self._ready().disconnect_sockets(to, namespace, close)

    def server_side_emit(self, event: str, *args: Any, **kwargs: Any) -> Any:
        """Send an event to the servers of the other processes: see `AsyncServer.server_side_emit`.

        Args:
            event: The name of the event, which `SocketIO.on_server_side` handles there.
            *args: What to send.
            **kwargs: ``namespace``; ``ack=True`` to wait for what their handlers return; ``timeout`` in
                seconds for that, 5 by default.
        """
        return self._ready().server_side_emit(event, *args, **kwargs)

    def close_room(self, room: Any, namespace: str | None = None) -> Sent:
        """Remove every client from a room."""
        return self._ready().close_room(room, namespace)

    def health(self) -> HealthReport:
        """Whether this process works, and whether it should get clients: see `AsyncServer.health`."""
        return self._ready().health()

    def presence(self, room: Any = None, namespace: str | None = None) -> dict[str, list[Any]]:
        """Who is in a room, as `track` has said, in all processes: ``{key: [meta, ...]}``.

        Args:
            room: The room; None for everybody in the namespace.
            namespace: ``'/'`` by default.
        """
        return self._ready().presence(room, namespace)


def _data_by_name(function: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """What to send, if it is given as ``data=`` and not after the event's name."""
    if args:
        raise TypeError(f"{function}() got multiple values for argument 'data'")
    return (kwargs.pop("data"),)

"""Class-based namespaces."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from socketio.base_namespace import BaseServerNamespace

from ..engine.awaitables import SENT, Sent
from ..engine.tasks import CANCELLATIONS
from ..routes import Route, RoutedNamespace
from ..typed.validated_handler import methods_of, of_same_kind, validate_option, validated
from ..types import Handler
from ..user_session import UserSession
from .errors import ErrorHandlers
from .routes import FlaskRoute, InlineRoute, is_coroutine, make_route, run_function
from .sender import Sender


class Namespace(RoutedNamespace, BaseServerNamespace):
    """The handlers of a namespace as the methods of a class.

    The method ``on_name``, a coroutine function or a function, handles the event ``name``. If there is a
    method ``error``, it is called, in the context of the event, with an exception that no other error handler
    took, and its result is the acknowledgement. Register an instance with `SocketIO.on_namespace`.

    With ``validate = True`` in the class, all annotations of its methods are checked, with False none: see
    `SocketIO.on`.

    Args:
        namespace: ``'/'`` by default.

    Example:
        class Chat(Namespace):
            async def on_say(self, text):
                self.emit("said", text)

        socketio.on_namespace(Chat("/chat"))
    """

    socketio: Sender

    def __init__(self, namespace: str | None = None) -> None:
        super().__init__(namespace)
        self.socketio = None  # type: ignore[assignment] # until it is registered
        self._routes: dict[str, FlaskRoute] = {}

    def is_asyncio_based(self) -> bool:
        """True, as in python-socketio's namespaces for asyncio."""
        return True

    def _set_socketio(self, socketio: Sender) -> None:
        self.socketio = socketio
        self._routes.clear()
        if self._dispatches_in_threads:
            self.trigger_event = self._trigger_in_thread  # type: ignore[method-assign]

    @property
    def _dispatches_in_threads(self) -> bool:
        """Whether a subclass dispatches in a function, which may block and needs results, not awaitables."""
        dispatch = type(self).trigger_event
        return dispatch is not Namespace.trigger_event and not is_coroutine(dispatch)

    def trigger_event(self, event: str, *args: Any) -> Any:
        """Run the method that handles an event, and return its result.

        A subclass may override this with a coroutine function, where this method returns an awaitable, or
        with a function, which runs in a thread and occupies it while a coroutine method runs.

        Args:
            event: The name of the event.
            *args: For ``'*'`` the namespace; the sid; what came with the event.
        """
        route = self._routes.get(event) or self._make_route(event)
        if route is None:
            return None if self._dispatches_in_threads else SENT
        return route(*args)

    def _route_to(self, event: str) -> Route | None:
        if type(self).trigger_event is not Namespace.trigger_event:
            return None
        return self._routes.get(event) or self._make_route(event)

    def _make_route(self, event: str) -> FlaskRoute | None:
        method: Any = getattr(self, f"on_{event}", None)
        if not callable(method):
            return None
        checked = self._validated(event, method)
        make: Any = make_route
        if self._dispatches_in_threads:
            make, checked = InlineRoute, of_same_kind(method, checked)
        route: FlaskRoute = make(self.socketio.server, checked, event, self.namespace, _NamespaceErrors(self))
        self._routes[event] = route
        return route

    def _validated(self, event: str, method: Handler) -> Handler:
        return validated(method, event, 0, validate_option(self, self.socketio.server.validate or None))

    def _check_methods(self) -> None:
        """Find what is wrong with annotations when the namespace is registered, not at the first event."""
        for event, method in methods_of(self):
            self._validated(event, method)

    def _trigger_in_thread(self, event: str, *args: Any) -> Any:
        server, namespace = self.socketio.server, self.namespace
        if namespace == "*":
            namespace, sid, *data = args
        else:
            sid, *data = args
        context = server.event_context(sid, namespace, event, tuple(data))
        dispatch = partial(type(self).trigger_event, self, event)
        return run_function(server, ErrorHandlers(), context, dispatch, namespace, args)

    def emit(
        self,
        event: str,
        data: Any = None,
        room: Any = None,
        include_self: bool = True,
        namespace: str | None = None,
        callback: Handler | None = None,
        **kwargs: Any,
    ) -> Sent:
        """Emit an event to everybody in this namespace, or to a room; as `SocketIO.emit` otherwise."""
        return self.socketio.emit(
            event,
            *_arguments(data),
            room=room,
            include_self=include_self,
            namespace=namespace or self.namespace,
            callback=callback,
            **kwargs,
        )

    def send(
        self,
        data: Any,
        room: Any = None,
        include_self: bool = True,
        namespace: str | None = None,
        callback: Handler | None = None,
        **kwargs: Any,
    ) -> Sent:
        """Send a message to everybody in this namespace, or to a room; as `SocketIO.send` otherwise."""
        return self.socketio.send(
            data,
            room=room,
            include_self=include_self,
            namespace=namespace or self.namespace,
            callback=callback,
            **kwargs,
        )

    def call(
        self,
        event: str,
        data: Any = None,
        to: str | None = None,
        sid: str | None = None,
        namespace: str | None = None,
        timeout: float = 60,
        ignore_queue: bool = False,
    ) -> Any:
        """Emit an event to a client of this namespace and return its answer, as `SocketIO.call` does."""
        return self.socketio.server.call(
            event, data, to, sid, namespace or self.namespace, timeout, ignore_queue
        )

    def enter_room(self, sid: str, room: Any, namespace: str | None = None) -> Sent:
        """Add a client of this namespace to a room."""
        return self.socketio.server.enter_room(sid, room, namespace=namespace or self.namespace)

    def leave_room(self, sid: str, room: Any, namespace: str | None = None) -> Sent:
        """Remove a client of this namespace from a room."""
        return self.socketio.server.leave_room(sid, room, namespace=namespace or self.namespace)

    def close_room(self, room: Any, namespace: str | None = None) -> Sent:
        """Remove every client of this namespace from a room."""
        return self.socketio.close_room(room, namespace=namespace or self.namespace)

    def rooms(self, sid: str, namespace: str | None = None) -> Any:
        """The rooms that a client of this namespace is in."""
        return self.socketio.server.rooms(sid, namespace=namespace or self.namespace)

    def track(
        self, sid: str, key: str, meta: Any = None, room: Any = None, namespace: str | None = None
    ) -> Sent:
        """Say who a client of this namespace is, in a room: `AsyncServer.track`."""
        return self.socketio.server.track(sid, key, meta, room, namespace or self.namespace)

    def untrack(self, sid: str, room: Any = None, namespace: str | None = None) -> Sent:
        """Take back what `track` has said of a client of this namespace: `AsyncServer.untrack`."""
        return self.socketio.server.untrack(sid, room, namespace or self.namespace)

    def presence(self, room: Any = None, namespace: str | None = None) -> dict[str, list[Any]]:
        """Who is in a room of this namespace, as `track` has said: `AsyncServer.presence`."""
        return self.socketio.presence(room, namespace or self.namespace)

    def fetch_sockets(self, to: Any = None, namespace: str | None = None) -> Any:
        """Find out about clients of this namespace, as `SocketIO.fetch_sockets` does."""
        return self.socketio.fetch_sockets(to, namespace or self.namespace)

    def sockets_join(self, room: Any, to: Any = None, namespace: str | None = None) -> Sent:
        """Add clients of this namespace to a room, as `SocketIO.sockets_join` does."""
        return self.socketio.sockets_join(room, to, namespace or self.namespace)

    def sockets_leave(self, room: Any, to: Any = None, namespace: str | None = None) -> Sent:
        """Remove clients of this namespace from a room, as `SocketIO.sockets_leave` does."""
        return self.socketio.sockets_leave(room, to, namespace or self.namespace)

    def disconnect_sockets(self, to: Any = None, namespace: str | None = None, close: bool = False) -> Sent:
        """Disconnect clients of this namespace, as `SocketIO.disconnect_sockets` does."""
        return self.socketio.disconnect_sockets(to, namespace or self.namespace, close)

    def call_all(self, event: str, data: Any = None, namespace: str | None = None, **kwargs: Any) -> Any:
        """Have clients of this namespace acknowledge an event, as `SocketIO.call_all` does."""
        return self.socketio.call_all(
            event, *_arguments(data), namespace=namespace or self.namespace, **kwargs
        )

    def get_session(self, sid: str, namespace: str | None = None) -> Any:
        """python-socketio's session of a client of this namespace: `AsyncServer.get_session`."""
        return self.socketio.server.get_session(sid, namespace or self.namespace)

    def save_session(self, sid: str, session: dict[str, Any], namespace: str | None = None) -> Any:
        """Store python-socketio's session of a client of this namespace: `AsyncServer.save_session`."""
        return self.socketio.server.save_session(sid, session, namespace or self.namespace)

    def session(self, sid: str, namespace: str | None = None) -> UserSession:
        """python-socketio's session of a client of this namespace in a block: `AsyncServer.session`."""
        return self.socketio.server.session(sid, namespace or self.namespace)

    def disconnect(self, sid: str, namespace: str | None = None) -> Sent:
        """Disconnect a client from this namespace."""
        return self.socketio.server.disconnect(sid, namespace=namespace or self.namespace)


class _NamespaceErrors(ErrorHandlers):
    """The error handlers of the `SocketIO` object, and after them the class's own ``error``."""

    def __init__(self, owner: Namespace) -> None:
        super().__init__()
        self._owner = owner

    def find(self, namespace: str) -> Handler | None:
        socketio = self._owner.socketio
        first: Handler | None = socketio.errors.find(namespace)
        last: Handler | None = getattr(self._owner, "error", None)
        if first is None or last is None:
            return first or last
        return partial(_in_turn, socketio.server.app.ensure_sync, first, last)


def _in_turn(
    ensure_sync: Callable[[Handler], Handler], first: Handler, last: Handler, error: BaseException
) -> Any:
    try:
        return ensure_sync(first)(error)
    except CANCELLATIONS:
        raise
    except BaseException as again:
        return ensure_sync(last)(again)


def _arguments(data: Any) -> tuple[Any, ...]:
    return () if data is None else (data,)

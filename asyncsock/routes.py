"""Which handler an event goes to, and how the handler runs."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Generator
from types import CoroutineType
from typing import Any

from socketio import AsyncServer as BaseServer
from socketio.async_namespace import AsyncNamespace

from .acknowledgements import Acknowledgements
from .codec.base import ANY, Incoming
from .connection import Connection
from .engine.awaitables import SENT_TYPES
from .engine.signatures import fit
from .engine.tasks import CANCELLATIONS
from .typed.validated_handler import methods_of, of_same_kind, validate_option, validated
from .types import Handler


class EventRun:
    """An event whose handler needs no task on the event loop; if it is awaited, it takes the caller's."""

    __slots__ = ()

    def start(self) -> None:
        """Run the handler and acknowledge the event, noted in the server's tasks meanwhile."""
        raise NotImplementedError

    def __await__(self) -> Generator[Any, Any, None]:
        raise NotImplementedError


Running = Coroutine[Any, Any, None] | EventRun  # what runs the handler of an event


class Route:
    """A handler that runs the events that reach it, from the decoded packet to the acknowledgement.

    Attributes:
        kind: How it runs: as a ``coroutine``, in a ``thread``, or as a ``function`` on the event loop.
    """

    __slots__ = ()
    kind = "function"

    def __call__(self, *args: Any) -> Any:
        """Run the handler with the arguments that python-socketio passes; an awaitable of its result."""
        raise NotImplementedError

    def run_event(self, connection: Connection, sid: str, packet: Incoming) -> Running:
        """Run the handler of an event and acknowledge it; never raises what the handler does."""
        raise NotImplementedError


class RoutedNamespace:
    """A class-based namespace whose methods run as routes."""

    def trigger_event(self, event: str, *args: Any) -> Any:
        """Handle an event, as python-socketio's namespaces do."""
        raise NotImplementedError

    def _route_to(self, event: str) -> Route | None:
        """The route to the method for an event; None if `trigger_event` decides what is done with it."""
        raise NotImplementedError


class Routes:
    """Finds the handlers that are registered with a server.

    Args:
        server: A server of python-socketio's, which keeps them.
        acknowledgements: Where the results of handlers go.
    """

    def __init__(self, server: BaseServer, acknowledgements: Acknowledgements) -> None:
        self._server = server
        self._handlers: dict[str, dict[str, Handler]] = server.handlers
        self._acknowledgements = acknowledgements

    def find(
        self, event: str, namespace: str, args: tuple[Any, ...]
    ) -> tuple[Handler, tuple[Any, ...]] | None:
        """The handler of an event and what to call it with.

        Args:
            event: The name of the event. A client may name its event ``'*'``: that is data, and only a
                handler of any event gets it.
            namespace: Its namespace.
            args: The sid and the arguments of the event.
        """
        found = self._find(event, namespace)
        return None if found is None else (found[0], (*found[1], *args))

    def _find(self, event: str, namespace: str) -> tuple[Handler, tuple[str, ...]] | None:
        """The handler of an event and what it gets before the sid."""
        server = self._server
        registered = self._handlers.get(namespace)
        if registered is not None:
            if event != ANY and event in registered:
                return registered[event], ()
            if event not in server.reserved_events and ANY in registered:
                return registered[ANY], (event,)
        registered = self._handlers.get(ANY)
        if registered is not None:
            if event != ANY and event in registered:
                return registered[event], (namespace,)
            if event not in server.reserved_events and ANY in registered:
                return registered[ANY], (event, namespace)
        owner, before = server._get_namespace_handler(namespace, ())
        if owner is None:
            return None
        if isinstance(owner, RoutedNamespace):
            route = owner._route_to(event)
            if route is not None:
                return route, before
            return owner.trigger_event, (event, *before)
        if type(owner).trigger_event is not AsyncNamespace.trigger_event:
            return owner.trigger_event, (event, *before)
        method = getattr(owner, f"on_{event}", None)
        return (method, before) if callable(method) else None

    def run_event(self, connection: Connection, sid: str, packet: Incoming) -> Running | None:
        """What runs the handler of an event and acknowledges it; None if there is no handler."""
        data: list[Any] = packet.data
        event = data[0]
        registered = self._handlers.get(packet.namespace)
        handler = registered.get(event) if registered is not None else None
        before: tuple[str, ...] = ()
        if handler is None or event == ANY:  # otherwise it is the result of `_find`, without a call
            found = self._find(event, packet.namespace)
            if found is None:
                return None
            handler, before = found
        if isinstance(handler, Route):
            return handler.run_event(connection, sid, packet)
        args = data.copy()
        args[0] = sid
        return self._run_handler(handler, [*before, *args] if before else args, connection, sid, packet)

    async def _run_handler(
        self, handler: Handler, args: list[Any], connection: Connection, sid: str, packet: Incoming
    ) -> None:
        """Run a handler that has python-socketio's arguments: a coroutine function or a function."""
        acknowledgements = self._acknowledgements
        try:
            result = handler(*args)
            if type(result) is CoroutineType or hasattr(type(result), "__await__"):
                result = await result
                if type(result) in SENT_TYPES:  # `return emit(...)`
                    await result
                    result = None
            if packet.id is not None:
                acknowledgements.send(connection, sid, packet, packet.id, handler, result)
        except CANCELLATIONS:
            raise
        except BaseException as error:
            acknowledgements.failed(connection, sid, packet, error)
        finally:
            acknowledgements.ended(packet)

    def has(self, event: str, namespace: str) -> bool:
        """Whether an event has a handler."""
        return self.find(event, namespace, ()) is not None

    async def trigger(self, event: str, namespace: str, *args: Any) -> Any:
        """Run the handler of an event and return its result."""
        found = self.find(event, namespace, args)
        if found is None:
            return self._server.not_handled
        result = found[0](*found[1])
        return await result if isinstance(result, Awaitable) else result

    def accepts(self, namespace: str) -> bool:
        """Whether clients may connect to a namespace."""
        server = self._server
        return namespace != ANY and (
            namespace in server.handlers
            or namespace in server.namespace_handlers
            or server.namespaces == ANY
            or namespace in server.namespaces
        )


# How many arguments the handlers of these events get. The last one, ``auth`` or the reason, is optional.
MOST_ARGUMENTS = {"connect": 3, "disconnect": 2}


def fit_handler(event: str, namespace: str | None, handler: Handler) -> Handler:
    """Make a handler that takes all arguments of its event, from one that may not take the optional last."""
    most = MOST_ARGUMENTS.get(event)
    if most is None:
        return handler
    return fit(handler, most + 1 if namespace == ANY else most)  # and the namespace's name


def validated_for(event: str, namespace: str | None, handler: Handler, validate: bool | None) -> Handler:
    """What to register for a handler that gets python-socketio's arguments: see `validated`."""
    any_event = event == ANY
    leading = (namespace == ANY) + (2 if event == "connect" or any_event else 1)
    return validated(handler, event, leading, validate, any_event=any_event)


def prepare_methods(owner: Any, validate: bool | None) -> None:
    """Validate and fit the methods of a namespace class of python-socketio's; others do it themselves."""
    if not isinstance(owner, AsyncNamespace):
        return
    for event, method in methods_of(owner):
        checked = validated_for(event, owner.namespace, method, validate_option(owner, validate))
        checked = of_same_kind(method, checked)
        ready = fit_handler(event, owner.namespace, checked)
        if ready is not method:
            setattr(owner, f"on_{event}", ready)

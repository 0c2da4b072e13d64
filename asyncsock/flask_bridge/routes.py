"""Handlers of a Flask application as routes: coroutines on the event loop, functions in threads.

Both run in the Flask context of their event.
"""

from __future__ import annotations

import inspect
from types import CoroutineType
from typing import Any

from ..codec.base import ANY, Incoming
from ..connection import Connection
from ..engine.awaitables import SENT_TYPES
from ..engine.signatures import fit
from ..engine.tasks import CANCELLATIONS
from ..routes import Route
from ..types import Handler
from .context import ConnectionContext, ReplayedContext
from .errors import ErrorHandlers, outcome
from .event_calls import EventCall
from .event_context import EventContext
from .function_calls import FunctionCall
from .server import FlaskServer
from .thread_calls import call_in_thread


class FlaskRoute(Route):
    """A handler that is written for Flask-SocketIO.

    The function gets neither the sid nor, for ``connect``, the environ: both are in ``flask.request``. For
    ``connect`` and ``disconnect`` the server calls the route with these; other events go to `run_event`.

    Args:
        server: The server.
        function: The handler.
        message: The name of the event.
        namespace: The namespace; ``'*'`` for any.
        errors: The error handlers.
        any_event: Whether it handles events of any name, and gets the name as its first argument.
    """

    __slots__ = (
        "_any_event",
        "_any_namespace",
        "_of_server",
        "errors",
        "function",
        "message",
        "namespace",
        "server",
    )

    def __init__(
        self,
        server: FlaskServer,
        function: Handler,
        message: str,
        namespace: str,
        errors: ErrorHandlers,
        *,
        any_event: bool = False,
    ) -> None:
        self.server = server
        self._of_server = message in ("connect", "disconnect")
        self.function = fit(function, 1) if self._of_server else function  # auth and reason are optional
        self.message = message
        self.namespace = namespace
        self.errors = errors
        self._any_event = any_event
        self._any_namespace = namespace == ANY

    def __call__(self, *args: Any) -> Any:
        event, namespace = self.message, self.namespace
        if self._any_event:
            event, *args = args  # type: ignore[assignment]
        if self._any_namespace:
            namespace, *args = args  # type: ignore[assignment]
        sid, *rest = args
        data = (event, *rest) if self._any_event else tuple(rest)
        context = self.server.event_context(sid, namespace, self.message, data)
        return self.run(context, namespace, data[-1:] if self._of_server else data)

    def run(self, context: EventContext, namespace: str, args: tuple[Any, ...]) -> Any:
        """Run the handler in the context of an event, and its error handler if it fails."""
        raise NotImplementedError


class CoroutineRoute(FlaskRoute):
    """A coroutine handler: it runs on the event loop."""

    __slots__ = ()
    kind = "coroutine"

    def run(self, context: EventContext, namespace: str, args: tuple[Any, ...]) -> Any:
        return run_coroutine(self.server, self.errors, context, self.function, namespace, args)

    async def run_event(self, connection: Connection, sid: str, packet: Incoming) -> None:
        acknowledgements = self.server.acknowledgements
        try:
            context = connection.context or self.server.context_of(connection)
            args = tuple(packet.data if self._any_event else packet.data[1:])
            event = context.replay(sid, packet.namespace, self.message, args)
            if context.suspends or (context.beginning is not None and not context.beginning.begun):
                result = await self.run(EventContext(event), packet.namespace, args)
            else:  # usually: no coroutine besides this one and the handler's
                event.enter()
                try:
                    result = self.function(*args)
                    if type(result) is CoroutineType or hasattr(type(result), "__await__"):
                        result = await result
                except CANCELLATIONS as error:
                    event.leave(error)
                    raise
                except BaseException as error:
                    result = await self._handle_error(event, error, packet.namespace)
                else:
                    event.leave()
            if type(result) in SENT_TYPES:  # `return emit(...)`
                await result
                result = None
            if packet.id is not None:
                acknowledgements.send(connection, sid, packet, packet.id, self, result)
        except CANCELLATIONS:
            raise
        except BaseException as error:
            acknowledgements.failed(connection, sid, packet, error)
        finally:
            acknowledgements.ended(packet)

    async def _handle_error(self, event: ReplayedContext, error: BaseException, namespace: str) -> Any:
        """Call the error handler with an exception, return its result, and end the event."""
        try:
            result = await handle_error(self.server, self.errors, event.connection, error, namespace)
        except BaseException as failure:
            event.leave(failure)
            raise
        event.leave()
        return result


class FunctionRoute(FlaskRoute):
    """A handler that is a function: it runs in a thread."""

    __slots__ = ()
    kind = "thread"

    def run(self, context: EventContext, namespace: str, args: tuple[Any, ...]) -> Any:
        return run_function(self.server, self.errors, context, self.function, namespace, args)

    def run_event(self, connection: Connection, sid: str, packet: Incoming) -> EventCall:
        args = tuple(packet.data if self._any_event else packet.data[1:])
        return EventCall(self, connection, sid, packet, args)


class InlineRoute(FlaskRoute):
    """A handler that another function calls in its own thread, to get its result."""

    __slots__ = ()

    def run(self, context: EventContext, namespace: str, args: tuple[Any, ...]) -> Any:
        ensure_sync = self.server.app.ensure_sync
        try:
            return ensure_sync(self.function)(*args)
        except CANCELLATIONS:
            raise
        except BaseException as error:
            return outcome(error, ensure_sync(self.errors.handler_of(error, namespace))(error))


def make_route(
    server: FlaskServer,
    handler: Handler,
    message: str,
    namespace: str,
    errors: ErrorHandlers,
    *,
    any_event: bool = False,
) -> FlaskRoute:
    """The route for a handler: a coroutine or a function. The arguments are those of `FlaskRoute`."""
    kind = CoroutineRoute if is_coroutine(handler) else FunctionRoute
    return kind(server, handler, message, namespace, errors, any_event=any_event)


def make_callback(
    server: FlaskServer, callback: Handler, sid: str, namespace: str, errors: ErrorHandlers
) -> Handler:
    """Wrap the callback of an emit, so that it runs in the Flask context of the client that emits."""
    run = run_coroutine if is_coroutine(callback) else run_function

    async def call(*args: Any) -> Any:
        if server.manager.eio_sid_from_sid(sid, namespace) is not None:
            context = server.event_context(sid, namespace, None, args)
            return await run(server, errors, context, callback, namespace, args)
        return None

    return call


def is_coroutine(handler: Handler) -> bool:
    """Whether calling a handler makes a coroutine."""
    unwrapped = inspect.unwrap(handler, stop=inspect.iscoroutinefunction)
    return inspect.iscoroutinefunction(unwrapped) or inspect.iscoroutinefunction(
        getattr(unwrapped, "__call__", None)  # noqa: B004 - the method itself is asked about
    )


async def run_coroutine(
    server: FlaskServer,
    errors: ErrorHandlers,
    context: EventContext,
    handler: Handler,
    namespace: str,
    args: tuple[Any, ...],
) -> Any:
    """Run a coroutine handler in a context, after the functions of earlier events have begun."""
    beginning = context.connection.beginning
    if beginning is not None and not beginning.begun:
        await beginning.wait()
    async with context:
        try:
            result = handler(*args)
            return await result if hasattr(type(result), "__await__") else result
        except CANCELLATIONS:
            raise
        except BaseException as error:
            return await handle_error(server, errors, context.connection, error, namespace)


async def handle_error(
    server: FlaskServer,
    errors: ErrorHandlers,
    connection: ConnectionContext,
    error: BaseException,
    namespace: str,
) -> Any:
    """Call the error handler with an exception and return its result.

    Without one, raise the exception. Whatever is raised has been reported.
    """
    try:
        error_handler = errors.handler_of(error, namespace)
        if is_coroutine(error_handler):
            result = await error_handler(error)
        else:
            result = await call_in_thread(server.threads, connection.share, error_handler, error)
        return outcome(error, result)
    except CANCELLATIONS:
        raise
    except BaseException as unhandled:
        server.reports.send(unhandled)
        raise


async def run_function(
    server: FlaskServer,
    errors: ErrorHandlers,
    context: EventContext,
    handler: Handler,
    namespace: str,
    args: tuple[Any, ...],
) -> Any:
    """Run a function in a thread, in a context, after the functions of earlier events have begun."""
    call = FunctionCall(server, errors, context.context, handler, namespace, args)
    try:
        if call.waits:
            await call.turn()
        return await call.call()
    except BaseException as error:
        call.failed(error)
        raise
    finally:
        call.finish()

"""Running a Flask application's handlers for the events of the Socket.IO server."""

from __future__ import annotations

import builtins
import inspect
from collections.abc import Callable
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from flask import Flask
from socketio.exceptions import ConnectionRefusedError

from ..codec.base import ANY, Incoming
from ..connection import Connection
from ..engine.awaitables import SENT_TYPES
from ..engine.signatures import fit
from ..server import AsyncServer
from .context import ConnectionContext, EventContext, ReplayedContext
from .threads import Beginning, ThreadPool, call_in_thread

if TYPE_CHECKING:
    from .extension import SocketIO

Handler = Callable[..., Any]
Runner = Callable[[EventContext, Handler, str, tuple[Any, ...]], Any]


class FlaskServer(AsyncServer):
    """An `AsyncServer` that keeps the Flask side of each connection.

    Args:
        socketio: The `SocketIO` object whose server this is.
        app: The Flask application.
        manage_session: Whether each connection has its own copy of the session.
        threads: Where handlers that are functions run.
        **options: Those of `AsyncServer`.
    """

    def __init__(
        self, socketio: SocketIO, app: Flask, manage_session: bool, threads: ThreadPool, **options: Any
    ) -> None:
        super().__init__(**options)
        self.socketio = socketio
        self.app = app
        self.threads = threads
        self.manage_session = manage_session

    def register(self, message: str, handler: Handler, namespace: str) -> None:
        """Register a handler that takes all that `on` makes optional."""
        super(AsyncServer, self).on(message, handler, namespace)

    def start_background_task(self, target: Handler, *args: Any, **kwargs: Any) -> Any:
        """Run a coroutine function as a task, or a function in a thread, as `SocketIO` does."""
        if inspect.iscoroutinefunction(target):
            return super().start_background_task(target, *args, **kwargs)
        return self.socketio.start_background_task(target, *args, **kwargs)

    def sleep(self, seconds: float = 0) -> Any:
        """Sleep: in a coroutine await it, in a thread it blocks."""
        return self.socketio.sleep(seconds)

    def event_context(self, sid: str, namespace: str, message: Any, args: tuple[Any, ...]) -> EventContext:
        """The Flask context for one event of a client."""
        connection: Connection
        if self._ours:
            connection = self.manager.clients[sid].connection
        else:
            connection = self.connections[self.manager.eio_sid_from_sid(sid, namespace)]
        context: ConnectionContext = connection.context or self._new_context(connection)
        return context.event(sid, namespace, message, args)

    async def _run_event(
        self, handler: Handler, args: tuple[Any, ...], connection: Connection, sid: str, packet: Incoming
    ) -> None:
        # The usual event of a coroutine handler takes no other coroutine than this one and the handler's own.
        try:
            context: ConnectionContext = connection.context or self._new_context(connection)
            may_wait = context.suspends or (context.beginning is not None and not context.beginning.begun)
            if may_wait or type(handler) is not CoroutineHandler:
                result = handler(*args)
                if type(result) is CoroutineType or hasattr(type(result), "__await__"):
                    result = await result
            else:
                args = args[1:]
                event = context.replay(sid, packet.namespace, handler.message, args)
                event.enter()
                try:
                    result = handler.function(*args)
                    if type(result) is CoroutineType or hasattr(type(result), "__await__"):
                        result = await result
                except Exception as error:
                    result = await handler.failed(event, error)
                except BaseException as error:
                    event.leave(error)
                    raise
                else:
                    event.leave()
            if type(result) in SENT_TYPES:  # `return emit(...)`
                await result
                result = None
            if packet.id is not None:
                self._acknowledge(connection, sid, packet, packet.id, handler, result)
        except Exception as error:
            self.eio.tasks.failed(error)
        finally:
            self.eio.tasks.running.pop(packet, None)

    def _new_context(self, connection: Connection) -> ConnectionContext:
        environ = connection.session.environ
        environ["flask.app"] = self.app
        environ["asyncsock.socketio"] = self.socketio
        context = connection.context = ConnectionContext(
            self.app, environ, manage_session=self.manage_session
        )
        return context


class ErrorHandlers:
    """What to call with an exception that a handler raised."""

    def __init__(self) -> None:
        self.by_namespace: dict[str, Handler] = {}
        self.default: Handler | None = None

    def find(self, namespace: str) -> Handler | None:
        """The handler for errors in a namespace."""
        return self.by_namespace.get(namespace, self.default)

    def handler_of(self, error: Exception, namespace: str) -> Handler:
        """The handler for an exception; the exception is raised where there is none."""
        handler = self.find(namespace)
        if handler is None or isinstance(error, (ConnectionRefusedError, builtins.ConnectionRefusedError)):
            raise error
        return handler


class CoroutineHandler:
    """A coroutine handler of one event: to be called as `AsyncServer.on` has it, or run by `FlaskServer`."""

    __slots__ = ("errors", "function", "message", "namespace", "run", "server")

    def __init__(
        self, server: FlaskServer, function: Handler, message: str, namespace: str, errors: ErrorHandlers
    ) -> None:
        self.server = server
        self.function = function
        self.message = message
        self.namespace = namespace
        self.errors = errors
        self.run = coroutine_runner(server, errors)

    def __call__(self, sid: str, *args: Any) -> Any:
        context = self.server.event_context(sid, self.namespace, self.message, args)
        return self.run(context, self.function, self.namespace, args)

    async def failed(self, event: ReplayedContext, error: Exception) -> Any:
        """What the error handler makes of an exception, within an event that this ends."""
        try:
            result = await _handle_error(self.server, self.errors, error, self.namespace)
        except BaseException as failure:
            event.leave(failure)
            raise
        event.leave()
        return result


def make_server_handler(
    server: FlaskServer,
    handler: Handler,
    message: str,
    namespace: str,
    errors: ErrorHandlers,
    run: Runner | None = None,
    *,
    any_event: bool,
) -> Handler:
    """Wrap a Flask-SocketIO style handler for `AsyncServer.on`.

    The server's arguments differ for a handler of any event and with ``'*'`` as the namespace; the handler
    gets neither the sid nor, for ``connect``, the environ: they are in ``flask.request``.
    """
    any_namespace = namespace == ANY
    of_server = message in ("connect", "disconnect")
    usual = not (of_server or any_event or any_namespace)
    if run is None and is_coroutine(handler):
        if usual:
            return CoroutineHandler(server, handler, message, namespace, errors)
        run = coroutine_runner(server, errors)
    elif run is None:
        run = thread_runner(server, errors)

    fitted = fit(handler, 1) if of_server else handler  # it may do without the auth or the reason

    def handle(sid: str, *args: Any) -> Any:
        return run(server.event_context(sid, namespace, message, args), handler, namespace, args)

    def handle_any(*args: Any) -> Any:
        event, real_namespace = message, namespace
        if any_event:
            event, *args = args  # type: ignore[assignment]
        if any_namespace:
            real_namespace, *args = args  # type: ignore[assignment]
        sid = args[0]
        data = (event, *args[1:]) if any_event else tuple(args[1:])
        context = server.event_context(sid, real_namespace, message, data)
        return run(context, fitted, real_namespace, data[-1:] if of_server else data)

    made = handle if usual else handle_any
    for attribute in ("__module__", "__qualname__"):  # whose result it is that cannot be sent
        setattr(made, attribute, getattr(handler, attribute, repr(handler)))
    return made


def make_callback(
    server: FlaskServer, callback: Handler, sid: str, namespace: str, errors: ErrorHandlers
) -> Handler:
    """Wrap the callback of an emit, to run in the context of the client that made the event."""
    run = coroutine_runner(server, errors) if is_coroutine(callback) else thread_runner(server, errors)

    async def call(*args: Any) -> Any:
        if server.manager.eio_sid_from_sid(sid, namespace) is not None:
            return await run(server.event_context(sid, namespace, None, args), callback, namespace, args)
        return None

    return call


def is_coroutine(handler: Handler) -> bool:
    unwrapped = inspect.unwrap(handler, stop=inspect.iscoroutinefunction)
    return inspect.iscoroutinefunction(unwrapped) or inspect.iscoroutinefunction(
        getattr(handler, "__call__", None)  # noqa: B004 - the method itself is asked about
    )


def coroutine_runner(server: FlaskServer, errors: ErrorHandlers) -> Runner:
    async def run(context: EventContext, handler: Handler, namespace: str, args: tuple[Any, ...]) -> Any:
        connection = context.connection
        if connection.beginning is not None and not connection.beginning.begun:
            await connection.beginning.wait()
        if connection.suspends:
            async with context:
                return await call(handler, namespace, args)
        with context:
            try:  # as in `call`, without a coroutine of its own for the usual event
                result = handler(*args)
                if type(result) is CoroutineType or hasattr(type(result), "__await__"):
                    return await result
                return result
            except Exception as error:
                return await _handle_error(server, errors, error, namespace)

    async def call(handler: Handler, namespace: str, args: tuple[Any, ...]) -> Any:
        try:
            result = handler(*args)
            return await result if hasattr(type(result), "__await__") else result
        except Exception as error:
            return await _handle_error(server, errors, error, namespace)

    return run


async def _handle_error(server: FlaskServer, errors: ErrorHandlers, error: Exception, namespace: str) -> Any:
    error_handler = errors.handler_of(error, namespace)
    if is_coroutine(error_handler):
        return await error_handler(error)
    return await call_in_thread(server.threads, error_handler, error)


def inline_runner(server: FlaskServer, errors: ErrorHandlers) -> Runner:
    """For handlers that are called from a handler in a thread, in its context."""

    def run(context: EventContext, handler: Handler, namespace: str, args: tuple[Any, ...]) -> Any:
        ensure_sync = server.app.ensure_sync
        try:
            return ensure_sync(handler)(*args)
        except Exception as error:
            return ensure_sync(errors.handler_of(error, namespace))(error)

    return run


def thread_runner(server: FlaskServer, errors: ErrorHandlers) -> Runner:
    def call(
        beginning: Beginning, context: EventContext, handler: Handler, namespace: str, args: tuple[Any, ...]
    ) -> Any:
        with context:
            beginning.begin()
            try:
                return _no_coroutine(handler, handler(*args))
            except Exception as error:
                return server.app.ensure_sync(errors.handler_of(error, namespace))(error)

    async def run(context: EventContext, handler: Handler, namespace: str, args: tuple[Any, ...]) -> Any:
        previous = context.connection.beginning
        beginning = context.connection.beginning = Beginning()
        try:
            if previous is not None and not previous.begun:
                await previous.wait()
            if context.connection.suspends:
                await context.open()
            return await call_in_thread(server.threads, call, beginning, context, handler, namespace, args)
        finally:
            beginning.end()

    return run


def _no_coroutine(handler: Handler, result: Any) -> Any:
    if inspect.iscoroutine(result):
        result.close()
        raise TypeError(
            f"{handler!r} returned a coroutine, but is not a coroutine function: decorators around one must "
            "use functools.wraps"
        )
    return result

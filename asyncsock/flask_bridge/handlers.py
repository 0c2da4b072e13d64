"""Running a Flask application's handlers for the events of the Socket.IO server."""

from __future__ import annotations

import builtins
import inspect
from collections.abc import Callable
from typing import Any

from flask import Flask
from socketio.exceptions import ConnectionRefusedError

from ..engine.arguments import trim
from ..server import AsyncServer
from .context import ConnectionContext, EventContext
from .threads import Beginning, ThreadPool, call_in_thread

Handler = Callable[..., Any]


class FlaskServer(AsyncServer):
    """An `AsyncServer` that keeps the Flask side of each connection.

    Args:
        app: The Flask application.
        manage_session: Whether each connection has its own copy of the session.
        threads: Where handlers that are functions run.
        **options: Those of `AsyncServer`.
    """

    def __init__(self, app: Flask, manage_session: bool, threads: ThreadPool, **options: Any) -> None:
        super().__init__(**options)
        self.app = app
        self.threads = threads
        self._manage_session = manage_session
        self._contexts: dict[str, ConnectionContext] = {}

    def event_context(self, sid: str, namespace: str, message: Any, args: tuple[Any, ...]) -> EventContext:
        """The Flask context for one event of a client."""
        eio_sid: str = self.manager.eio_sid_from_sid(sid, namespace)
        return self._contexts[eio_sid].event(sid, namespace, message, args)

    def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> None:
        super()._handle_eio_connect(eio_sid, environ)
        environ["flask.app"] = self.app
        self._contexts[eio_sid] = ConnectionContext(self.app, environ, manage_session=self._manage_session)

    def _forget_session(self, eio_sid: str) -> None:
        super()._forget_session(eio_sid)
        self._contexts.pop(eio_sid, None)


class ErrorHandlers:
    """What to call with an exception that a handler raised."""

    def __init__(self) -> None:
        self.by_namespace: dict[str, Handler] = {}
        self.default: Handler | None = None

    def find(self, namespace: str) -> Handler | None:
        """The handler for errors in a namespace."""
        return self.by_namespace.get(namespace, self.default)


def make_server_handler(
    server: FlaskServer, handler: Handler, message: str, namespace: str, errors: ErrorHandlers
) -> Handler:
    """Wrap a Flask-SocketIO style handler for `AsyncServer.on`.

    The server's arguments differ with ``'*'`` as the event or the namespace; the handler gets neither the
    sid nor, for ``connect``, the environ: they are in ``flask.request``.
    """
    run = _coroutine_runner(server, errors) if _is_coroutine(handler) else _thread_runner(server, errors)
    any_event, any_namespace = message == "*", namespace == "*"
    takes = trim(handler, 1, 0) if message in ("connect", "disconnect") else None

    async def handle(*args: Any) -> Any:
        event, real_namespace = message, namespace
        if any_event:
            event, *args = args  # type: ignore[assignment]
        if any_namespace:
            real_namespace, *args = args  # type: ignore[assignment]
        sid = args[0]
        data = (event, *args[1:]) if any_event else tuple(args[1:])
        context = server.event_context(sid, real_namespace, message, data)
        if takes is not None:
            data = data[-takes:] if takes else ()
        return await run(context, handler, real_namespace, data)

    return handle


def make_callback(
    server: FlaskServer, callback: Handler, sid: str, namespace: str, errors: ErrorHandlers
) -> Handler:
    """Wrap the callback of an emit, to run in the context of the client that made the event."""
    run = _coroutine_runner(server, errors) if _is_coroutine(callback) else _thread_runner(server, errors)

    async def call(*args: Any) -> Any:
        if server.manager.eio_sid_from_sid(sid, namespace) is not None:
            return await run(server.event_context(sid, namespace, None, args), callback, namespace, args)
        return None

    return call


def _is_coroutine(handler: Handler) -> bool:
    unwrapped = inspect.unwrap(handler, stop=inspect.iscoroutinefunction)
    return inspect.iscoroutinefunction(unwrapped) or inspect.iscoroutinefunction(
        getattr(handler, "__call__", None)  # noqa: B004 - the method itself is asked about
    )


Runner = Callable[[EventContext, Handler, str, tuple[Any, ...]], Any]


def _coroutine_runner(server: FlaskServer, errors: ErrorHandlers) -> Runner:
    async def run(context: EventContext, handler: Handler, namespace: str, args: tuple[Any, ...]) -> Any:
        beginning = context.connection.beginning
        if beginning is not None and not beginning.begun:
            await beginning.wait()
        async with context:
            try:
                result = handler(*args)
                return await result if hasattr(type(result), "__await__") else result
            except (ConnectionRefusedError, builtins.ConnectionRefusedError):
                raise
            except Exception as error:
                error_handler = errors.find(namespace)
                if error_handler is None:
                    raise
                if _is_coroutine(error_handler):
                    return await error_handler(error)
                return await call_in_thread(server.threads, error_handler, error)

    return run


def _thread_runner(server: FlaskServer, errors: ErrorHandlers) -> Runner:
    def call(
        beginning: Beginning, context: EventContext, handler: Handler, namespace: str, args: tuple[Any, ...]
    ) -> Any:
        beginning.begin()
        with context:
            try:
                return _no_coroutine(handler, handler(*args))
            except (ConnectionRefusedError, builtins.ConnectionRefusedError):
                raise
            except Exception as error:
                error_handler = errors.find(namespace)
                if error_handler is None:
                    raise
                return server.app.ensure_sync(error_handler)(error)

    async def run(context: EventContext, handler: Handler, namespace: str, args: tuple[Any, ...]) -> Any:
        previous = context.connection.beginning
        beginning = context.connection.beginning = Beginning()
        try:
            if previous is not None and not previous.begun:
                await previous.wait()
            await context.open()
            return await call_in_thread(server.threads, call, beginning, context, handler, namespace, args)
        finally:
            if not beginning.begun:  # the session could not be opened, or the server stops
                beginning.begin()

    return run


def _no_coroutine(handler: Handler, result: Any) -> Any:
    if inspect.iscoroutine(result):
        result.close()
        raise TypeError(
            f"{handler!r} returned a coroutine, but is not a coroutine function: decorators around one must "
            "use functools.wraps"
        )
    return result

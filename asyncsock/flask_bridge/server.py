"""The Socket.IO server of a Flask application."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, Protocol

from flask import Flask
from flask.json.tag import TaggedJSONSerializer

from ..connection import Connection
from ..recovery.clients import Parked
from ..server import AsyncServer
from ..types import Handler
from .context import ConnectionContext
from .event_context import EventContext
from .metrics import FlaskSource
from .session import ManagedSession
from .thread_calls import CallPool, call_in_thread
from .threads import Share, ThreadPool
from .unhandled import Reports
from .wsgi import WsgiApp

_sessions = TaggedJSONSerializer()  # of what Flask puts into its cookies
STORE_THREADS = 32  # for session stores; apart from handlers, which may block for longer


class Extension(Protocol):
    """The Flask extension, as far as its server needs it."""

    def start_background_task(self, target: Handler, *args: Any, **kwargs: Any) -> Any:
        """Run a coroutine function as a task, or a function in a thread."""

    def sleep(self, seconds: float = 0) -> Any:
        """Sleep: in a coroutine await it, in a thread it blocks."""


class FlaskServer(AsyncServer):
    """An `AsyncServer` that keeps the Flask side of each connection.

    Args:
        socketio: The `SocketIO` object whose server this is.
        app: The Flask application.
        manage_session: Whether each connection has its own copy of the session.
        threads: The pool in which handlers that are functions run.
        **options: The options of `AsyncServer`.
    """

    def __init__(
        self, socketio: Extension, app: Flask, manage_session: bool, threads: CallPool, **options: Any
    ) -> None:
        super().__init__(**options)
        if self.client_files is not None:
            self.client_files.places.insert(0, Path(app.root_path))
        self.socketio = socketio
        self.app = app
        self.threads = threads
        self.reports = Reports(app, self.logger)
        self._store_threads = CallPool(STORE_THREADS, "asyncsock-session")
        self.manage_session = manage_session

    def measure_app(self, app: WsgiApp | None) -> None:
        """Add to the metrics, if there are any, those of the threads and of the application."""
        if self.metrics is not None:
            pools: dict[str, ThreadPool] = {"handlers": self.threads, "sessions": self._store_threads}
            if app is not None:
                pools["views"] = app.pool
            self.metrics.sources.append(FlaskSource(pools, app))

    def _keep_of(self, connection: Connection) -> Any:
        context: ConnectionContext | None = connection.context
        if context is not None:
            return context.session_copy
        return connection.returned[-1].kept if connection.returned else None

    def _give_back(self, connection: Connection, parked: Parked) -> None:
        super()._give_back(connection, parked)
        connection.returned += (parked,)
        if connection.context is not None:
            self._give_to(connection.context, connection)

    def _give_to(self, context: ConnectionContext, connection: Connection) -> None:
        """Let a context know of the clients of its connection that have come back."""
        returned, connection.returned = connection.returned, ()
        context.recovered = {*context.recovered, *[parked.sid for parked in returned]}
        for parked in returned:
            if parked.kept is not None and context.manage_session:
                context.keep_session(parked.kept)

    def _pack(self, kept: Any) -> bytes:
        return _sessions.dumps(dict(kept)).encode()

    def _unpack(self, kept: bytes) -> Any:
        return ManagedSession(_sessions.loads(kept.decode()))

    def _admin_auth(self, auth: Any) -> Any:
        return self._in_context(auth) if callable(auth) else auth

    def _is_debug(self) -> bool:
        return bool(self.app.debug)

    def _in_context(self, function: Handler) -> Handler:
        """A function of any kind as a coroutine function that runs it in an application context."""

        def call(*args: Any) -> Any:
            with self.app.app_context():
                return function(*args)

        async def run(*args: Any) -> Any:
            if not inspect.iscoroutinefunction(function):
                return await call_in_thread(self.threads, Share(), call, *args)
            with self.app.app_context():
                return await function(*args)

        return run

    def register(self, message: str, handler: Handler, namespace: str) -> None:
        """Register a handler as it is. It takes all arguments, also those that `on` makes optional."""
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
        context = self.context_of(self._rooms.connection_of(sid, namespace))
        return EventContext(context.replay(sid, namespace, message, args))

    def context_of(self, connection: Connection) -> ConnectionContext:
        """The context that the events of a connection share."""
        context: ConnectionContext | None = connection.context
        if context is None:
            environ = connection.session.environ
            environ["flask.app"] = self.app
            environ["asyncsock.socketio"] = self.socketio
            context = connection.context = ConnectionContext(
                self.app, environ, manage_session=self.manage_session, threads=self._store_threads
            )
            if connection.returned:
                self._give_to(context, connection)
        return context

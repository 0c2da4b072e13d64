"""The Socket.IO server of a Flask application."""

from __future__ import annotations

import inspect
from typing import Any, Protocol

from flask import Flask

from ..connection import Connection
from ..server import AsyncServer
from ..types import Handler
from .context import ConnectionContext, EventContext
from .threads import ThreadPool


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
        self, socketio: Extension, app: Flask, manage_session: bool, threads: ThreadPool, **options: Any
    ) -> None:
        super().__init__(**options)
        self.socketio = socketio
        self.app = app
        self.threads = threads
        self.manage_session = manage_session

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
        return context.event(sid, namespace, message, args)

    def context_of(self, connection: Connection) -> ConnectionContext:
        """The context that the events of a connection share."""
        context: ConnectionContext | None = connection.context
        if context is None:
            environ = connection.session.environ
            environ["flask.app"] = self.app
            environ["asyncsock.socketio"] = self.socketio
            context = connection.context = ConnectionContext(
                self.app, environ, manage_session=self.manage_session
            )
        return context

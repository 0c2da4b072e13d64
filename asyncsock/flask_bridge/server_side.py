"""Handlers of events between servers, in a Flask application."""

from __future__ import annotations

from typing import Any

from ..types import Handler
from .function_calls import without_coroutine
from .routes import is_coroutine
from .server import FlaskServer
from .thread_calls import call_in_thread
from .threads import Share


def make_server_side_handler(server: FlaskServer, handler: Handler) -> Handler:
    """Wrap a handler, so that it runs in an application context: a function in a thread."""

    async def run_coroutine(*args: Any) -> Any:
        with server.app.app_context():
            return await handler(*args)

    def call(*args: Any) -> Any:
        with server.app.app_context():
            return without_coroutine(handler, handler(*args))

    async def run_function(*args: Any) -> Any:
        return await call_in_thread(server.threads, Share(), call, *args)

    return run_coroutine if is_coroutine(handler) else run_function

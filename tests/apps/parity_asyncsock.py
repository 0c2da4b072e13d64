"""The handlers of parity.py with asyncsock as their `flask_socketio`; as coroutines with COROUTINES set."""

from __future__ import annotations

import asyncio
import os
import sys
import types
from collections.abc import Callable
from functools import wraps
from typing import Any

import asyncsock

Handler = Callable[..., Any]


def as_coroutine(function: Handler) -> Handler:
    @wraps(function)
    async def handler(*args: Any) -> Any:
        await asyncio.sleep(0)  # the context has to outlive a suspension
        result = function(*args)
        return await result if hasattr(type(result), "__await__") else result

    return handler


class SocketIO(asyncsock.SocketIO):
    """Makes a coroutine function of each handler that it is given."""

    def on(self, message: str, namespace: str | None = None) -> Callable[[Handler], Handler]:
        register = super().on(message, namespace)
        return lambda handler: register(as_coroutine(handler))

    def on_error(self, namespace: str | None = None) -> Callable[[Handler], Handler]:
        register = super().on_error(namespace)
        return lambda handler: register(as_coroutine(handler))

    def on_error_default(self, handler: Handler) -> Handler:
        return super().on_error_default(as_coroutine(handler))

    def on_namespace(self, namespace_handler: asyncsock.Namespace) -> None:
        for name in dir(namespace_handler):
            if name.startswith("on_") or name == "error":
                setattr(namespace_handler, name, as_coroutine(getattr(namespace_handler, name)))
        super().on_namespace(namespace_handler)


flask_socketio = types.ModuleType("flask_socketio")
flask_socketio.__dict__.update({name: getattr(asyncsock, name) for name in asyncsock.__all__})
if os.environ.get("COROUTINES"):
    flask_socketio.SocketIO = SocketIO  # type: ignore[attr-defined]
sys.modules["flask_socketio"] = flask_socketio

from .parity import socketio  # noqa: E402 - it imports what was just named

asgi = socketio.asgi_app

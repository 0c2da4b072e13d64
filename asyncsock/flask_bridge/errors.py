"""The handlers of errors in handlers: `SocketIO.on_error` and `on_error_default`."""

from __future__ import annotations

import builtins

from socketio.exceptions import ConnectionRefusedError

from ..types import Handler


class ErrorHandlers:
    """What to call with an exception that a handler raised."""

    def __init__(self) -> None:
        self.by_namespace: dict[str, Handler] = {}
        self.default: Handler | None = None

    def find(self, namespace: str) -> Handler | None:
        """The handler for errors in a namespace."""
        return self.by_namespace.get(namespace, self.default)

    def handler_of(self, error: BaseException, namespace: str) -> Handler:
        """The handler for an exception. Without one, raise the exception."""
        handler = self.find(namespace)
        if handler is None or isinstance(error, (ConnectionRefusedError, builtins.ConnectionRefusedError)):
            raise error
        return handler

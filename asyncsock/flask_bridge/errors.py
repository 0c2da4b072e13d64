"""The handlers of errors in handlers: `SocketIO.on_error` and `on_error_default`."""

from __future__ import annotations

import builtins
from typing import Any

from socketio.exceptions import ConnectionRefusedError

from ..typed.invalid_payload import InvalidPayload
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


def outcome(error: BaseException, result: Any) -> Any:
    """What comes of an error whose handler has ended: its result, which is the acknowledgement.

    What a client has sent wrong is raised again unless the handler has an answer to it. The error handler
    cannot let a client in whose ``auth`` is wrong.
    """
    if isinstance(error, InvalidPayload) and (result is None or error.event == "connect"):
        raise error
    return result

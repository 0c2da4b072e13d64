"""What a WSGI application can ask of this server beyond PEP 3333."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from ..engine.http import ASGI

WsgiCallable: TypeAlias = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

# Keys of the environ: whether the request may be handed over; what takes an asynchronous iterable of a body.
HANDS_OVER = "asyncsock.hands_over"
STREAMS = "asyncsock.streams"


class HandOver(BaseException):
    """Raised in a WSGI application to hand the request over to an ASGI application.

    It is not an `Exception`, as middleware would turn that into an answer. Nobody may have read the request's
    body.

    Args:
        app: Serves the request from then on. It may also get a WebSocket.
    """

    def __init__(self, app: ASGI) -> None:
        super().__init__("a request for another ASGI application")
        self.app = app

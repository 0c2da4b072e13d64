"""The engine on uvicorn's connections that parse HTTP with h11."""

from __future__ import annotations

from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from .installation import Installation


class H11Connection(H11Protocol):
    """uvicorn's protocol, except that it gives WebSockets to the engine. Polls go through ASGI."""

    def __init__(self, installation: Installation, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._installation = installation

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Called by uvicorn when a request for a WebSocket has been read."""
        if not self._installation.upgrade(self, event.method.decode("ascii"), event.target):
            super().handle_websocket_upgrade(event)

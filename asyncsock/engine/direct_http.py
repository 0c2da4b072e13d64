"""The direct door on uvicorn's connections that parse HTTP with httptools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    from .uvicorn import DirectDoor


class DirectHTTP(HttpToolsProtocol):
    """uvicorn's protocol, but for the engine's requests."""

    def __init__(self, door: DirectDoor, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._door = door

    def handle_websocket_upgrade(self) -> None:
        """Called by uvicorn when a request for a WebSocket has been read."""
        if not self._door.upgrade(self, self.scope["method"], self.url):
            super().handle_websocket_upgrade()

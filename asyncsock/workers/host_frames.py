"""What processes of different hosts ask of each other: the frames of the relay, and streams of bytes.

A WebSocket cannot be handed over to another host. So its bytes pass through the process that the client is
connected to.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Coroutine
from typing import Any

from ..engine.core import Core
from ..engine.endpoint import Endpoint
from . import websockets
from .relay import Incoming, Outgoing
from .streams import BYTES, CLOSE, OPEN, TAKEN, Streams

MOST = 64 * 1024 * 1024  # bytes of a payload, as many as a message queue keeps
Spawn = Callable[[Coroutine[Any, Any, None]], None]


class HostOutgoing(Outgoing):
    """Requests here for the sessions of a process of another host.

    Args:
        core: What the sessions of this process share.
        on_end: Called when the connection is gone.
        spawn: Runs a coroutine.
    """

    most = MOST

    def __init__(self, core: Core, on_end: Callable[[], None], spawn: Spawn) -> None:
        super().__init__(core, on_end)
        self._streams = Streams(self, spawn)
        self._last_stream = 0

    @property
    def polls(self) -> int:
        """How many polls wait for their answers."""
        return super().__len__()

    def __len__(self) -> int:
        return self.polls + len(self._streams)

    def open_websocket(self, text: bytes) -> socket.socket:
        """Ask for a WebSocket.

        Args:
            text: What the owner has to know, from `websockets.wanted`.
        """
        number = self._last_stream = (self._last_stream + 1) & 0xFFFFFFFF
        self.send(OPEN, number, text)
        return self._streams.open(number)

    def received(self, kind: int, number: int, payload: bytes) -> None:
        if kind in (BYTES, TAKEN, CLOSE):
            self._streams.received(kind, number, payload)
        else:
            super().received(kind, number, payload)

    def ended(self) -> None:
        self._streams.close()
        super().ended()


class HostIncoming(Incoming):
    """Requests of a process of another host for sessions here.

    Args:
        core: What the sessions of this process share.
        endpoint: Answers requests.
        on_end: Called when the connection is gone.
        spawn: Runs a coroutine.
    """

    most = MOST

    def __init__(
        self, core: Core, endpoint: Endpoint, on_end: Callable[[Incoming], None], spawn: Spawn
    ) -> None:
        super().__init__(core, endpoint, on_end)
        self._streams = Streams(self, spawn)
        self._spawn = spawn
        self._websockets: set[Any] = set()

    def received(self, kind: int, number: int, payload: bytes) -> None:
        if kind == OPEN:
            self._spawn(self._serve(self._streams.open(number), payload))
        elif kind in (BYTES, TAKEN, CLOSE):
            self._streams.received(kind, number, payload)
        else:
            super().received(kind, number, payload)

    async def _serve(self, connection: socket.socket, text: bytes) -> None:
        try:
            await websockets.serve(connection, text, self._core, self._endpoint, self._websockets)
        except (OSError, ValueError) as error:
            connection.close()
            if self._core.log_lines.allow("WebSockets of other hosts"):
                self._core.logger.warning("a WebSocket of another host was refused: %s", error)

    def ended(self) -> None:
        self._streams.close()
        super().ended()

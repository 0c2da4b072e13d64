"""Bytes of a WebSocket that pass through this process, between a client and the owner of its session."""

from __future__ import annotations

import asyncio
import socket
from typing import Any


class Tunnel(asyncio.Protocol):
    """One of two connections, each of which gets what arrives on the other.

    Args:
        connections: uvicorn's, among which it is until it ends.
    """

    def __init__(self, connections: set[Any]) -> None:
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._other: Tunnel | None = None
        self._has_ended = False
        connections.add(self)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._other is not None and self._other._transport is not None:
            self._other._transport.write(data)

    def eof_received(self) -> bool:
        self._has_ended = True
        if self._other is None or self._other._has_ended:
            return False  # nothing more comes from either
        other = self._other._transport
        if other is not None and other.can_write_eof() and not other.is_closing():
            other.write_eof()
            return True
        return False

    def pause_writing(self) -> None:
        if self._other is not None and self._other._transport is not None:
            self._other._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._other is not None and self._other._transport is not None:
            self._other._transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self)
        self._transport = None
        other, self._other = self._other, None
        if other is not None:
            other.shutdown()

    def shutdown(self) -> None:
        """Close both connections; also called by uvicorn when it stops."""
        if self._transport is not None:
            self._transport.close()


async def connect(client: asyncio.Transport, owner: socket.socket, connections: set[Any]) -> None:
    """Connect a client, whose connection is not read, with the owner of its session.

    Args:
        client: The client's connection.
        owner: A socket on which the owner speaks WebSocket.
        connections: uvicorn's.
    """
    here, there = Tunnel(connections), Tunnel(connections)
    here._other, there._other = there, here
    here.connection_made(client)
    client.set_protocol(here)
    try:
        await asyncio.get_running_loop().connect_accepted_socket(lambda: there, owner)
    except BaseException:
        connections.discard(there)
        owner.close()
        client.close()
        raise
    if client.is_closing():
        there.shutdown()
    else:
        client.resume_reading()

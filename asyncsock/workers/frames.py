"""Frames on a connection between two processes of this server."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

from ..engine.core import Core

HEAD = struct.Struct("<IBI")  # bytes of the payload, kind, number of the request
MOST = 1 << 30  # bytes of a payload
MOST_UNREAD = 1 << 26  # bytes that the other process may leave unread


class MalformedFrame(ValueError):
    """What a process of this server does not send."""


class FrameConnection(asyncio.Protocol):
    """A connection that carries frames. Those of one tick are written at once.

    Args:
        core: Has the logger.
    """

    most = MOST

    def __init__(self, core: Core) -> None:
        self._core = core
        self._transport: asyncio.Transport | None = None
        self._unsent: list[bytes] = []
        self._unread: list[bytes] = []  # the beginning of a frame that is not whole
        self._missing = 0  # bytes of it
        self.is_open = True

    def send(self, kind: int, number: int, payload: bytes = b"") -> None:
        """Send a frame with the others of this tick, as soon as there is a connection."""
        if not self.is_open:
            return
        if not self._unsent and self._transport is not None:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unsent += HEAD.pack(len(payload), kind, number), payload

    def _flush(self) -> None:
        transport = self._transport
        if transport is not None:
            transport.write(b"".join(self._unsent))
            if transport.get_write_buffer_size() > MOST_UNREAD:
                self._core.logger.error("the connection of another worker was closed: it does not read")
                transport.abort()
        self._unsent.clear()

    def received(self, kind: int, number: int, payload: bytes) -> None:
        """Called with each frame that arrives.

        Raises:
            MalformedFrame: The other process does not send this.
        """
        raise NotImplementedError

    def ended(self) -> None:
        """Called when the connection is gone."""
        raise NotImplementedError

    def abort(self) -> None:
        """Drop the connection, if there is one yet."""
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Close the connection when all has been written."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    # asyncio.Protocol

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        if self._unsent:
            self._flush()

    def data_received(self, data: bytes) -> None:
        if self._unread:
            self._unread.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return
            data = b"".join(self._unread)
            self._unread.clear()
        try:
            rest = self._read(data)
        except MalformedFrame as error:
            self._core.logger.error("the connection of another worker was closed: %s", error)
            self.abort()
            return
        if rest:
            self._unread.append(rest)

    def _read(self, data: bytes) -> bytes:
        """Read the frames that are whole, and return the rest."""
        position = 0
        while self.is_open:
            begin = position + HEAD.size
            self._missing = begin - len(data)
            if self._missing > 0:
                break
            size, kind, number = HEAD.unpack_from(data, position)
            if size > self.most:
                raise MalformedFrame(f"a frame of {size} bytes")
            self._missing += size
            if self._missing > 0:
                break
            position = begin + size
            self.received(kind, number, data[begin:position])
        return data[position:]

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        self._transport = None
        self._unsent.clear()
        self.ended()

"""WebSockets of clients of other hosts: their bytes, between a socket here and the other end of a link."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine
from typing import Any

from .frames import FrameConnection, MalformedFrame
from .relay import REFUSAL

# Kinds of frames, besides those of the relay. The first goes to the owner of a session, the others both ways.
OPEN, BYTES, TAKEN, CLOSE = range(REFUSAL + 1, REFUSAL + 5)
COUNT = struct.Struct("<I")
WINDOW = 256 * 1024  # bytes that may be under way
REPORT = WINDOW // 4  # bytes after which the other end is told how many were taken


class Stream(asyncio.Protocol):
    """One end of a stream of bytes.

    Args:
        frames: Leads to the other end.
        number: The number of the stream there.
        on_end: Called with that when the socket is closed.
    """

    def __init__(self, frames: FrameConnection, number: int, on_end: Callable[[int], None]) -> None:
        self._frames = frames
        self._number = number
        self._on_end = on_end
        self._transport: asyncio.Transport | None = None
        self._early: list[bytes] = []  # what came before there was a transport
        self._under_way = 0  # bytes that the other end has not taken
        self._taken = 0  # bytes of which it has not been told
        self._is_full = False  # whether the socket takes nothing now
        self._is_closing = False

    # The socket

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        for data in self._early:
            transport.write(data)
        self._early.clear()
        if self._is_closing:
            transport.close()

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._frames.send(BYTES, self._number, data)
        self._under_way += len(data)
        if self._under_way > WINDOW:
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        self._report()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._frames.send(CLOSE, self._number)
        self._on_end(self._number)

    # The other end

    def received(self, kind: int, payload: bytes) -> None:
        """Take a frame.

        Raises:
            MalformedFrame: The other end does not send this.
        """
        if kind == BYTES:
            self._write(payload)
        elif kind == CLOSE:
            self.close()
        elif len(payload) != COUNT.size:
            raise MalformedFrame("a count of bytes that is none")
        else:
            (count,) = COUNT.unpack(payload)
            self._under_way -= count
            if self._under_way <= WINDOW and self._transport is not None:
                self._transport.resume_reading()

    def _write(self, data: bytes) -> None:
        self._taken += len(data)
        if self._taken > 2 * WINDOW + REPORT:
            raise MalformedFrame("more bytes than were asked for")
        if self._transport is None:
            self._early.append(data)
        else:
            self._transport.write(data)
            self._report()

    def _report(self) -> None:
        if self._taken >= REPORT and not self._is_full:
            self._frames.send(TAKEN, self._number, COUNT.pack(self._taken))
            self._taken = 0

    def close(self) -> None:
        """Close the socket when everything is written to it."""
        self._is_closing = True
        if self._transport is not None:
            self._transport.close()


class Streams:
    """The streams of a link.

    Args:
        frames: Leads to the other end.
        spawn: Runs a coroutine.
    """

    def __init__(self, frames: FrameConnection, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self._frames = frames
        self._spawn = spawn
        self._streams: dict[int, Stream] = {}

    def __len__(self) -> int:
        return len(self._streams)

    def open(self, number: int) -> socket.socket:
        """A socket, which does not block, for the bytes of a new stream.

        Raises:
            MalformedFrame: There is a stream of that number.
        """
        if number in self._streams:
            raise MalformedFrame(f"a second stream {number}")
        stream = self._streams[number] = Stream(self._frames, number, self._forget)
        here, there = socket.socketpair()
        here.setblocking(False)
        there.setblocking(False)
        self._spawn(_attach(stream, there))
        return here

    def received(self, kind: int, number: int, payload: bytes) -> None:
        """Take a frame for a stream; one that has ended ignores it.

        Raises:
            MalformedFrame: The other end does not send this.
        """
        stream = self._streams.get(number)
        if stream is not None:
            stream.received(kind, payload)

    def close(self) -> None:
        """Close all sockets."""
        for stream in list(self._streams.values()):
            stream.close()

    def _forget(self, number: int) -> None:
        self._streams.pop(number, None)


async def _attach(stream: Stream, connection: socket.socket) -> None:
    await asyncio.get_running_loop().connect_accepted_socket(lambda: stream, connection)

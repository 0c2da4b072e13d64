"""asyncio transports without a socket: a test decides when, and how much, the client takes.

They do what the real ones do with flow control, with `close()` and `write_eof()` while bytes wait, and
with writes after those. What differs between the two event loops is in the subclasses.
"""

from __future__ import annotations

import asyncio
from typing import Any


class SimulatedTransport(asyncio.Transport):
    """The side of a connection that a server has.

    Args:
        high: How many bytes may wait before the protocol is told to pause.
        low: How few have to be left before it is told to go on.
    """

    def __init__(self, high: int = 65_536, low: int = 16_384) -> None:
        super().__init__()
        self.high = high
        self.low = low
        self.room = 0  # bytes that the client takes as soon as they are there
        self.delivered = bytearray()
        self.ended = False  # whether the client has seen the end of the stream, after all that was delivered
        self.aborted = False
        self.largest = 0  # the most bytes that ever waited
        self.protocol: Any = None
        self.protocol_paused = False
        self._closing = False
        self._eof = False
        self._lost = 0
        self._connected = True
        self._reading = True
        self._unread: list[bytes] = []

    # What a test does

    def connect(self, protocol: asyncio.Protocol) -> None:
        """Begin to serve a protocol object."""
        self.protocol = protocol
        protocol.connection_made(self)

    def take(self, size: int) -> None:
        """The client reads as many bytes, some of which may come later."""
        self.room += size
        self.progress()

    def receive(self, data: bytes) -> None:
        """Bytes arrive from the client."""
        if self._reading and not self._closing:
            self.protocol.data_received(data)
        else:
            self._unread.append(data)

    def receive_eof(self) -> None:
        """The client sends no more, but reads on."""
        if not self._closing and not self.protocol.eof_received():
            self.close()

    def reset(self) -> None:
        """The client is gone."""
        self._force_close(ConnectionResetError())

    def progress(self) -> None:
        """Move bytes to the client, as far as it has room."""
        raise NotImplementedError

    # What both loops do

    def _deliver(self, data: bytes | memoryview) -> int:
        size = min(self.room, len(data))
        if size:
            assert not self.ended, "bytes after the end of the stream"
            self.room -= size
            self.delivered += data[:size]
        return size

    def _maybe_pause(self) -> None:
        size = self.get_write_buffer_size()
        self.largest = max(self.largest, size)
        if size > self.high and not self.protocol_paused:
            self.protocol_paused = True
            self.protocol.pause_writing()

    def _maybe_resume(self) -> None:
        if self.protocol_paused and self.get_write_buffer_size() <= self.low:
            self.protocol_paused = False
            self.protocol.resume_writing()

    def _all_delivered(self) -> None:
        """The buffer has become empty."""
        if self._closing:
            self._lose(None)
        elif self._eof:
            self.ended = True

    def _lose(self, error: Exception | None) -> None:
        asyncio.get_running_loop().call_soon(self._connection_lost, error)

    def _connection_lost(self, error: Exception | None) -> None:
        if self._connected:
            self._connected = False
            self.ended = True
            self._lost += 1
            self._clear()
            self.protocol.connection_lost(error)

    def _force_close(self, error: Exception | None) -> None:
        if not self._lost:
            self.aborted = True
            self._closing = True
            self._lost += 1
            self._clear()
            self._lose(error)

    def _clear(self) -> None:
        raise NotImplementedError

    # asyncio.Transport

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else default

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            if not self.get_write_buffer_size():
                self._lost += 1
                self._lose(None)

    def abort(self) -> None:
        self._force_close(None)

    def can_write_eof(self) -> bool:
        return True

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        asyncio.get_running_loop().call_soon(self._receive_unread)

    def _receive_unread(self) -> None:
        while self._unread and self._reading and not self._closing:
            self.protocol.data_received(self._unread.pop(0))


class AsyncioTransport(SimulatedTransport):
    """As asyncio's: what cannot be sent at once is added to one buffer."""

    def __init__(self, high: int = 65_536, low: int = 16_384) -> None:
        super().__init__(high, low)
        self._buffer = bytearray()

    def get_write_buffer_size(self) -> int:
        return len(self._buffer)

    def write(self, data: Any) -> None:
        if self._eof:
            raise RuntimeError("Cannot call write() after write_eof()")
        if not data:
            return
        if self._lost:
            self._lost += 1
            return
        if not self._buffer:
            data = data[self._deliver(data) :]
            if not data:
                return
        self._buffer += data
        self._maybe_pause()

    def write_eof(self) -> None:
        if self._closing or self._eof:
            return
        self._eof = True
        if not self._buffer:
            self._all_delivered()

    def progress(self) -> None:
        while self._buffer and self.room:
            del self._buffer[: self._deliver(self._buffer)]
            self._maybe_resume()  # may add to the buffer
            if not self._buffer:
                self._all_delivered()

    def _all_delivered(self) -> None:
        if self._closing:
            self._connection_lost(None)  # at once, here
        else:
            super()._all_delivered()

    def _connection_lost(self, error: Exception | None) -> None:
        assert self._connected, "closed in resume_writing()"  # in asyncio, an AttributeError
        super()._connection_lost(error)

    def _clear(self) -> None:
        self._buffer.clear()


class UvloopTransport(SimulatedTransport):
    """As uvloop's: libuv takes requests to write, and a new one waits until that of before is done.

    A protocol can resume only when a request has been delivered whole. A closed handle refuses everything.
    """

    def __init__(self, high: int = 65_536, low: int = 16_384) -> None:
        super().__init__(high, low)
        self._buffer: list[Any] = []
        self._request = memoryview(b"")

    def get_write_buffer_size(self) -> int:
        return len(self._request) + sum([len(data) for data in self._buffer])

    def _ensure_alive(self) -> None:
        if not self._connected:
            raise RuntimeError("unable to perform operation: the handler is closed")

    def write(self, data: Any) -> None:
        self._ensure_alive()
        if self._eof:
            raise RuntimeError("Cannot call write() after write_eof()")
        if not data:
            return
        if self._lost:
            self._lost += 1
            return
        self._buffer.append(data)
        if self.protocol_paused or self._request:
            self._maybe_pause()
            asyncio.get_running_loop().call_soon(self.progress)
        elif not self._request_more():
            self._maybe_pause()

    def write_eof(self) -> None:
        self._ensure_alive()
        if not self._eof:
            self._eof = True
            if not self.get_write_buffer_size():
                self._all_delivered()

    def _request_more(self) -> bool:
        """Make a request of what is buffered; return whether all of it is delivered at once."""
        self._request = memoryview(b"".join([bytes(data) for data in self._buffer]))
        self._buffer.clear()
        self._request = self._request[self._deliver(self._request) :]
        if self._request:
            return False
        self._on_write()
        return True

    def _on_write(self) -> None:
        self._maybe_resume()  # may write
        if not self.get_write_buffer_size():
            self._all_delivered()

    def progress(self) -> None:
        if self._lost:
            return
        while self.room and self.get_write_buffer_size():
            if self._request:
                self._request = self._request[self._deliver(self._request) :]
                if not self._request:
                    self._on_write()
            else:
                self._request_more()

    def _clear(self) -> None:
        self._buffer.clear()
        self._request = memoryview(b"")

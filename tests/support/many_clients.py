"""Many Socket.IO clients over WebSockets in the test's own event loop, without tasks of their own."""

from __future__ import annotations

import asyncio
import os

from websockets.frames import Frame, Opcode

HANDSHAKE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class LeanClient(asyncio.Protocol):
    """A client in the namespace ``/`` that keeps the payloads of the frames it gets."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.connected: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self.received: list[bytes] = []
        self._buffer = b""
        self._upgraded = False
        self._wanted: tuple[int, asyncio.Future[None]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self.transport = transport
        transport.write(HANDSHAKE)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._upgraded:
            head, separator, rest = self._buffer.partition(b"\r\n\r\n")
            if not separator:
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self._upgraded = True
            self._buffer = rest
            self.send("40")
        while (payload := self._next_frame()) is not None:
            if payload == b"\x03\xf4":  # a close frame with code 1012
                self.transport.close()
            elif payload.startswith(b"40") and not self.connected.done():
                self.connected.set_result(None)
            elif payload[:1] == b"4":
                self.received.append(payload)
        if self._wanted is not None and len(self.received) >= self._wanted[0]:
            self._wanted[1].set_result(None)
            self._wanted = None

    def connection_lost(self, error: Exception | None) -> None:
        self.closed.set_result(None)

    def send(self, packet: str) -> None:
        self.transport.write(Frame(Opcode.TEXT, packet.encode()).serialize(mask=True))

    def leave(self) -> None:
        """Close as a browser does."""
        self.transport.write(Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True))

    def has(self, count: int) -> asyncio.Future[None]:
        """Done once `count` Socket.IO packets have arrived after CONNECT."""
        future = asyncio.get_running_loop().create_future()
        if len(self.received) >= count:
            future.set_result(None)
        else:
            self._wanted = (count, future)
        return future

    def _next_frame(self) -> bytes | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, start = buffer[1], 2
        if size == 126:
            size, start = int.from_bytes(buffer[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(buffer[2:10], "big"), 10
        if len(buffer) < start + size:
            return None
        self._buffer = buffer[start + size :]
        return buffer[start : start + size]


async def connect_clients(port: int, count: int) -> list[LeanClient]:
    """Connect clients, a hundred at a time, and wait until each is in the namespace ``/``."""
    loop = asyncio.get_running_loop()
    clients: list[LeanClient] = []
    while len(clients) < count:
        batch = min(100, count - len(clients))
        made = [await loop.create_connection(LeanClient, "127.0.0.1", port) for _ in range(batch)]
        clients += [client for _, client in made]
        await asyncio.gather(*[client.connected for client in clients[-batch:]])
    return clients


def memory(pid: int = 0) -> int:
    """The most memory that a process has had so far, in KB."""
    with open(f"/proc/{pid or os.getpid()}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

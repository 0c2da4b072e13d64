"""A TCP connection to the server that speaks HTTP and WebSocket frames, and can be dropped in any way."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable
from typing import TypeVar

from tests.support.raw_clients import BINARY, CLOSE, TEXT, frame, upgrade_request

T = TypeVar("T")
PATIENCE = 40.0  # seconds that a server may take, whatever else the machine does


class Gone(Exception):
    """The server has ended the connection."""


async def soon(awaitable: Awaitable[T]) -> T:
    """Await, but not for ever.

    Raises:
        Gone: the connection has ended.
    """
    try:
        return await asyncio.wait_for(awaitable, PATIENCE)
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise Gone(str(error)) from None


class Link:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, port: int) -> Link:
        return cls(*await soon(asyncio.open_connection("127.0.0.1", port, limit=1 << 21)))

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await soon(self.writer.drain())

    async def head(self) -> tuple[int, bytes]:
        """The status and the head of an answer."""
        head = await soon(self.reader.readuntil(b"\r\n\r\n"))
        return int(head.split(b" ", 2)[1]), head.lower()

    async def request(self, method: str, target: str, body: str = "") -> tuple[int, str]:
        """The status and the body of the answer to a request."""
        await self.write(request(method, target, body.encode()))
        return await self.answer()

    async def answer(self) -> tuple[int, str]:
        """The status and the body of the next answer."""
        status, head = await self.head()
        size = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
        return status, (await soon(self.reader.readexactly(int(size or b"0")))).decode()

    async def upgrade(self, **query: str) -> None:
        """Become a WebSocket."""
        await self.write(upgrade_request("/socket.io/", query))
        status, _ = await self.head()
        if status != 101:
            raise Gone(f"the WebSocket was refused with {status}")

    async def send(self, message: str | bytes) -> None:
        if isinstance(message, str):
            await self.write(frame(TEXT, message.encode()))
        else:
            await self.write(frame(BINARY, message))

    async def receive(self) -> str | bytes:
        """The next message, after an answer to each ping of Engine.IO before it.

        Raises:
            Gone: the server has closed the connection.
        """
        while True:
            opcode, payload = await self.read_frame()
            if opcode == CLOSE:
                raise Gone(f"closed with {int.from_bytes(payload[:2], 'big')}")
            if opcode == BINARY:
                return payload
            if payload == b"2":
                await self.send("3")
            elif opcode == TEXT:
                return payload.decode()

    async def read_frame(self) -> tuple[int, bytes]:
        first, size = await soon(self.reader.readexactly(2))
        if size > 125:
            size = int.from_bytes(await soon(self.reader.readexactly(2 if size == 126 else 8)), "big")
        return first & 15, await soon(self.reader.readexactly(size))

    async def until_closed(self) -> None:
        """Read messages, and answer the close frame, until the server ends the connection."""
        try:
            while True:
                opcode, payload = await self.read_frame()
                if opcode == CLOSE:
                    await self.write(frame(CLOSE, payload[:2]))
        except Gone:
            pass
        self.close()

    async def until_gone(self) -> None:
        """Read and answer nothing until the server ends the connection."""
        try:
            while await soon(self.reader.read(1 << 16)):
                pass
        except Gone:
            pass
        self.close()

    # Leaving

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        """Drop the connection with a RST."""
        sock: socket.socket = self.writer.get_extra_info("socket")
        if sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


def request(method: str, target: str, body: bytes = b"") -> bytes:
    length = f"Content-Length: {len(body)}\r\n" if method == "POST" else ""
    return f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n{length}\r\n".encode() + body

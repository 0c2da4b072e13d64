"""TLS and a login in front of a Kafka broker: that of the tests has no TLS, and no user that could log in."""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.broker_process import HOST

API_VERSIONS, SASL_HANDSHAKE, SASL_AUTHENTICATE = 18, 17, 36
UNSUPPORTED_MECHANISM, AUTHENTICATION_FAILED = 33, 58


@asynccontextmanager
async def front(
    target: int, port: int, *, login: tuple[str, str] | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[None]:
    """Forward HOST:port to HOST:target until the block ends.

    Args:
        login: the user and the password of clients that log in with SASL's PLAIN. Others are sent away.
        tls: listen with TLS, and only so.
    """
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        onward_reader, onward_writer = await asyncio.open_connection(HOST, target)
        try:
            if login is None or await log_in(reader, writer, onward_reader, onward_writer, login):
                await asyncio.gather(pump(reader, onward_writer), pump(onward_reader, writer))
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # asyncio logs a task of its server that was cancelled
        finally:
            writer.close()
            onward_writer.close()

    server = await asyncio.start_server(serve, HOST, port, ssl=tls)
    try:
        yield
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def log_in(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    onward_reader: asyncio.StreamReader,
    onward_writer: asyncio.StreamWriter,
    login: tuple[str, str],
) -> bool:
    """Answer requests until one logs in; return whether it did. A request without a login ends it."""
    while True:
        request = await read_frame(reader)
        kind, version, correlation, client_length = struct.unpack(">hhih", request[:10])
        body = request[10 + max(client_length, 0) :]
        if kind == API_VERSIONS:
            onward_writer.write(frame(request))
            writer.write(frame(await read_frame(onward_reader)))
        elif kind == SASL_HANDSHAKE:
            known = body[2:] == b"PLAIN"
            answer = struct.pack(">hih", 0 if known else UNSUPPORTED_MECHANISM, 1, 5) + b"PLAIN"
            writer.write(frame(struct.pack(">i", correlation) + answer))
        elif kind == SASL_AUTHENTICATE:
            right = body[4:].decode().split("\0")[1:] == list(login)
            reason = b"Authentication failed"
            answer = (
                struct.pack(">hh", 0, -1) if right else struct.pack(">hh", AUTHENTICATION_FAILED, 21) + reason
            )
            answer += struct.pack(">i", 0) + (struct.pack(">q", 0) if version else b"")
            writer.write(frame(struct.pack(">i", correlation) + answer))
            if right:
                return True
        else:
            return False


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    (length,) = struct.unpack(">i", await reader.readexactly(4))
    return await reader.readexactly(length)


def frame(data: bytes) -> bytes:
    return struct.pack(">i", len(data)) + data


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()

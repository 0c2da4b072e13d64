"""How a worker that connects to another says what it wants, and what the other reads."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from typing import NamedTuple

HEAD = struct.Struct("<6sBBI")  # the protocol, its version, what is wanted, bytes that follow
PROTOCOL, VERSION = b"socket", 1
MOST = 65_536  # bytes that follow
TIMEOUT = 5.0  # seconds that a greeting may take
RELAY, WEBSOCKET, CONNECTION = range(3)


class Left(ConnectionError):
    """The other worker has closed the connection before it has said anything, or all."""


class Greeting(NamedTuple):
    """What another worker wants.

    Attributes:
        wants: RELAY to send polls for sessions of this worker; WEBSOCKET to open a WebSocket of such a
            session; CONNECTION to hand over a client's connection.
        text: What else it says.
        descriptor: The connection that it hands over.
    """

    wants: int
    text: bytes
    descriptor: int | None


def greet(connection: socket.socket, wants: int, text: bytes = b"", descriptor: int | None = None) -> None:
    """Say what this worker wants, with a descriptor to hand over.

    Raises:
        OSError: It cannot be sent now, or is too long.
    """
    if len(text) > MOST:
        raise OSError(errno.EMSGSIZE, f"{len(text)} bytes to say")
    data = HEAD.pack(PROTOCOL, VERSION, wants, len(text)) + text
    sent = socket.send_fds(connection, [data], [] if descriptor is None else [descriptor])
    if sent < len(data):  # of a new connection, whose buffer is empty
        raise BlockingIOError("the other worker takes nothing")


async def read_greeting(connection: socket.socket) -> Greeting:
    """Read what another worker wants. The caller closes the descriptor.

    Raises:
        ValueError: It is no greeting, or one of another version, or does not come.
        Left: The other worker has closed the connection.
        OSError: The connection is lost.
    """
    descriptors: list[int] = []
    try:
        wants, text = await asyncio.wait_for(_read(connection, descriptors), TIMEOUT)
        if len(descriptors) != (wants == CONNECTION):
            raise ValueError(f"it has sent {len(descriptors)} descriptors")
        return Greeting(wants, text, descriptors.pop() if descriptors else None)
    except asyncio.TimeoutError:
        raise ValueError(f"its greeting did not come in {TIMEOUT:g} s") from None
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


async def _read(connection: socket.socket, descriptors: list[int]) -> tuple[int, bytes]:
    head = await _receive(connection, HEAD.size, descriptors)
    protocol, version, wants, size = HEAD.unpack(head)
    if (protocol, version) != (PROTOCOL, VERSION) or wants > CONNECTION or size > MOST:
        raise ValueError(f"it greets with {head!r}")
    return wants, await _receive(connection, size, descriptors)


async def _receive(connection: socket.socket, size: int, descriptors: list[int]) -> bytes:
    data = b""
    while len(data) < size:
        try:
            part, found, flags, _ = socket.recv_fds(connection, size - len(data), 1, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            await _readable(connection)
            continue
        descriptors += found
        if flags & socket.MSG_CTRUNC:
            raise ValueError("it has sent more descriptors than one")
        if not part:
            raise Left
        data += part
    return data


async def _readable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(connection.fileno(), _set, ready)
    try:
        await ready
    finally:
        loop.remove_reader(connection.fileno())


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)

"""Servers of this process as the workers of one group, each under a uvicorn of its own."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from unittest import mock

from asyncsock.engine import shutdown
from asyncsock.workers import joining
from asyncsock.workers.workers import Workers
from tests.support.doors import served
from tests.support.private_directories import private_folder
from tests.support.raw_clients import RawSocket, within
from tests.support.uvicorn_in_process import Local


@asynccontextmanager
async def group(*servers: Any, door: str = "httptools", **options: Any) -> AsyncIterator[list[Any]]:
    """Serve each of some servers; the options are uvicorn's."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(private_folder())
        stack.enter_context(mock.patch.object(shutdown, "PATIENCE", 0.0))
        with mock.patch.object(joining, "shared_directory", return_value=folder):
            locals_ = [await stack.enter_async_context(served(each, door, **options)) for each in servers]
        for each in locals_ if "ssl_certfile" not in options else []:
            await _body(each, "OPTIONS")  # with its first connection it can take those of others
        yield locals_


def workers_of(server: Any) -> Workers:
    """What a server of a group knows of the others."""
    workers = server.endpoint.elsewhere
    assert isinstance(workers, Workers)
    return workers


async def opened(local: Local) -> str:
    """The id of a new session of a server."""
    return str(json.loads((await _body(local, "GET"))[1:])["sid"])


async def _body(local: Any, method: str) -> str:
    """The answer to a request that names no session."""
    async with await RawSocket.connect(local) as raw:
        path = "/engine.io/?EIO=4&transport=polling"
        await raw.send(f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        status, body = await raw.response()
        assert status == 200, body
        return body


def connect(server: Any) -> socket.socket:
    """A connection to a server as its fellow workers make them."""
    workers = workers_of(server)
    connection = socket.socket(socket.AF_UNIX)
    connection.setblocking(False)
    connection.connect(str(workers.members.directory / f"{workers.name}.worker"))
    return connection


async def until_closed(connection: socket.socket) -> bytes:
    """What is read from a connection until the other end closes it, with or without having read all."""
    reader, writer = await asyncio.open_unix_connection(sock=connection)
    try:
        return await within(reader.read())
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def until(condition: Callable[[], object]) -> None:
    """Wait until something is true."""

    async def look() -> None:
        while not condition():
            await asyncio.sleep(0.001)

    await within(look())


def open_files() -> int:
    """How many descriptors this process has, without the workers' loads: those are opened when needed."""
    return sum(not _target(number).endswith(".load") for number in os.listdir("/proc/self/fd"))


def _target(number: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{number}")
    except FileNotFoundError:  # that with which the others were listed
        return ""


async def files_at_rest(*locals_: Local) -> int:
    """How many descriptors this process has once no server has a connection of a client any more."""
    await until(lambda: not any(local.connections for local in locals_))
    return open_files()

"""What bad input must not change: the server is well.

Every test of bad input runs inside `survives`: after it a fresh client connects and is echoed, and the log
has a warning (where there is something to warn of) and no traceback.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.client import ClientConnection

from tests.support.raw_clients import read_handshake, receive, warnings, websocket
from tests.support.server_process import Server

ENGINE, SOCKETS = "/engine.io/", "/socket.io/"
LIMIT = 1_000_000


async def echo_engine(server: Server) -> None:
    async with websocket(server) as ws:
        await read_handshake(ws)
        await ws.send("4well")
        assert await receive(ws) == "4well"


async def echo_socket(server: Server) -> None:
    async with connected(server) as ws:
        await ws.send('42["message","well"]')
        assert await receive(ws) == '42["message-back","well"]'


@asynccontextmanager
async def survives(server: Server, *, warns: bool = True) -> AsyncIterator[None]:
    """Check after the block that the server is well and has said what was wrong, without a traceback.

    Args:
        server: what is tested.
        warns: false where the input is odd but allowed, or where the ASGI server deals with it.
    """
    start = len(server.log())
    yield
    await (echo_engine if "engine_echo" in str(server.process.args) else echo_socket)(server)
    deadline = time.monotonic() + 10
    while warns and not warnings(server.log()[start:]):
        assert time.monotonic() < deadline, f"no warning in the log:\n{server.log()[start:]}"
        await asyncio.sleep(0.02)
    assert "Traceback" not in server.log()[start:]
    assert server.process.poll() is None


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[ClientConnection]:
    """A WebSocket that is connected to the main namespace."""
    async with websocket(server, SOCKETS) as ws:
        await read_handshake(ws)
        await ws.send("40")
        assert str(await receive(ws)).startswith('40{"sid":')
        assert await receive(ws) == '42["auth",{}]'
        yield ws

"""A Socket.IO server whose handlers take their time."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

from asyncsock import ASGIApp, AsyncServer

from .polls_under_way import tell_polls_of

logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
logging.getLogger("asyncsock.engine").setLevel(logging.DEBUG)

server = AsyncServer(cors_allowed_origins="*", max_buffered_bytes=1_000_000)


@server.event
async def echo(sid: str, *args: Any) -> tuple[Any, ...]:
    return args


@server.event
async def slow(sid: str, seconds: float) -> str:
    print("slow began", flush=True)
    await asyncio.sleep(seconds)
    print("slow ended", flush=True)
    return "finished"


@server.event
async def broadcast(sid: str, size: int) -> None:
    server.emit("data", b"x" * size)


@server.event
async def numbers(sid: str, count: int) -> None:
    """Emit to everybody; what was emitted when the server stops has to arrive."""
    for number in range(count):
        server.emit("number", number)
    print("numbers emitted", flush=True)


@server.event
async def dismiss(sid: str, seconds: float, count: int) -> None:
    """End the client's session after a while, with events before its end."""
    await asyncio.sleep(seconds)
    await numbers(sid, count)
    await server.eio.disconnect(server.manager.eio_sid_from_sid(sid, "/"))


@server.event
def disconnect(sid: str, reason: str) -> None:
    print(f"gone {sid} {reason}", flush=True)


asgi = ASGIApp(server, tell_polls_of(server.eio))

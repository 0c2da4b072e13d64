"""A server that lets clients in before their connect handler has spoken, and refuses them all."""

from __future__ import annotations

from typing import Any

from socketio.exceptions import ConnectionRefusedError

from asyncsock import ASGIApp, AsyncServer

server = AsyncServer(always_connect=True)


@server.event
async def connect(sid: str, environ: dict[str, Any]) -> None:
    raise ConnectionRefusedError("no entry")


asgi = ASGIApp(server)

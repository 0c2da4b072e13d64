"""A Starlette application with servers mounted in it, their paths written in each of the usual ways."""

from __future__ import annotations

import os
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Mount

from asyncsock import ASGIApp, AsyncServer


def echoing() -> AsyncServer:
    server = AsyncServer()

    @server.event
    async def echo(sid: str, data: Any) -> Any:
        return data

    return server


asgi = Starlette(
    routes=[
        Mount("/long", ASGIApp(echoing(), socketio_path="/long/socket.io")),
        Mount("/short", ASGIApp(echoing(), socketio_path="socket.io")),
        Mount("/whole/socket.io", ASGIApp(echoing(), socketio_path="")),
        Mount("/named", ASGIApp(echoing(), socketio_path=f"{os.environ.get('ROOT', '')}/named/socket.io")),
    ]
)

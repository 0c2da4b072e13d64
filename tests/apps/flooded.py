"""A Socket.IO server that counts how many messages it handles in one turn of its event loop."""

from __future__ import annotations

import asyncio
from typing import Any

from asyncsock import ASGIApp, AsyncServer


class Turns:
    """The application of an engine; it counts messages.

    Attributes:
        most: The most messages of one turn of the event loop since `watch`.
    """

    def __init__(self, application: Any) -> None:
        self.application = application
        self.count = 0
        self.most = 0
        self.watched = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.application, name)

    def message(self, session: Any, message: str | bytes) -> None:
        self.count += 1
        self.application.message(session, message)

    def watch(self) -> None:
        """Count from now on."""
        self.watched = True
        self.count = self.most = 0
        asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        self.most = max(self.most, self.count)
        self.count = 0
        if self.watched:
            asyncio.get_running_loop().call_soon(self._next)


server = AsyncServer()
turns = Turns(server.eio.core.application)
server.eio.serve(turns)


@server.event
async def echo(sid: str, *args: Any) -> Any:
    return args[0] if args else None


@server.event
async def watch(sid: str) -> None:
    turns.watch()


@server.event
async def most(sid: str) -> int:
    turns.watched = False
    return turns.most


asgi = ASGIApp(server)

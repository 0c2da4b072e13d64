"""A Socket.IO server that counts how many messages it handles in one turn of its event loop."""

from __future__ import annotations

import asyncio
from typing import Any

from asyncsock import ASGIApp, AsyncServer


class Turns:
    """The application of an engine; it counts messages.

    Attributes:
        most: The most messages of one turn of the event loop.
    """

    def __init__(self, application: Any) -> None:
        self.application = application
        self.count = 0
        self.most = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.application, name)

    def message(self, session: Any, message: str | bytes) -> None:
        if not self.count:  # not in every turn: granian's threads need the interpreter lock of an idle loop
            asyncio.get_running_loop().call_soon(self._next)
        self.count += 1
        self.application.message(session, message)

    def _next(self) -> None:
        self.most = max(self.most, self.count)
        self.count = 0


server = AsyncServer()
turns = Turns(server.eio.core.application)
server.eio.serve(turns)


@server.event
async def echo(sid: str, *args: Any) -> Any:
    return args[0] if args else None


@server.event
async def watch(sid: str) -> None:
    turns.most = 0


@server.event
async def most(sid: str) -> int:
    return turns.most


asgi = ASGIApp(server)

"""Clients of the Admin UI's namespace, on WebSockets of this process."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from asyncsock import AsyncServer
from tests.support.socketio_in_process import Client, opened

Message = list[Any]


class AdminClient:
    """A browser that watches.

    Attributes:
        client: its connection.
        messages: what it has got so far: the names of events, each with its arguments.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.messages: list[Message] = []

    @property
    def sid(self) -> str:
        return self.client.sids["/admin"]

    def emit(self, event: str, *args: Any) -> None:
        self.client.send(f"42/admin,{json.dumps([event, *args])}")

    async def next(self) -> Message:
        packet = await self.client.receive()
        assert packet.startswith("42/admin,["), packet
        message: Message = json.loads(packet.removeprefix("42/admin,"))
        self.messages.append(message)
        return message

    async def gets(self, event: str, fits: Callable[..., Any] = lambda *args: True) -> Message:
        """The arguments of the next message of a name that fits."""
        while True:
            name, *args = await self.next()
            if name == event and fits(*args):
                return args


@asynccontextmanager
async def watching(server: AsyncServer, auth: Any = None) -> AsyncIterator[AdminClient]:
    """A browser that has logged in."""
    async with opened(server) as client:
        await client.connect("/admin", auth)
        yield AdminClient(client)


async def refusal(server: AsyncServer, auth: Any = None) -> str:
    """What somebody is told who may not log in."""
    async with opened(server) as client:
        client.send(f"40/admin,{json.dumps(auth) if auth is not None else ''}")
        packet = await client.receive()
        assert packet.startswith("44/admin,"), packet
        text: str = json.loads(packet.removeprefix("44/admin,"))["message"]
        return text

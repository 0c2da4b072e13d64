"""Clients that come back and say in their CONNECT packet whatever a test likes."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgpack

from tests.support.raw_clients import Polling, read_handshake, receive, websocket
from tests.support.server_process import Server

PATH = "/socket.io/"
CONNECT, DISCONNECT, EVENT = 0, 1, 2


class Welcome(NamedTuple):
    """What a client is told when it has been let in."""

    sid: str
    pid: str


class Visitor:
    """A client, in the namespace ``/`` or another. It reads, and answers pings, only while a test awaits it.

    Attributes:
        session: The id of its session.
        pid: Its private id, once it is connected.
        offset: That of the last event it has got.
    """

    def __init__(
        self,
        send: Callable[[str | bytes], Awaitable[None]],
        receive: Callable[[], Awaitable[str | bytes]],
        drop: Callable[[], Awaitable[None]],
        session: str,
        serializer: str,
    ) -> None:
        self.session = session
        self._send = send
        self._receive = receive
        self._serializer = serializer
        self.drop = drop
        """Lose the connection: the server is told of that, but not why."""
        self.pid: str | None = None
        self.offset: str | None = None

    @property
    def claim(self) -> dict[str, str]:
        """What it would honestly say when it comes back."""
        return {
            key: value for key, value in (("pid", self.pid), ("offset", self.offset)) if value is not None
        }

    async def connect(self, auth: Any = None, namespace: str = "/") -> Welcome:
        await self._packet(CONNECT, auth, namespace)
        kind, data = await self.packet()
        assert kind == CONNECT, data
        self.pid = data["pid"]
        return Welcome(data["sid"], data["pid"])

    async def emit(self, event: str, *args: Any) -> None:
        await self._packet(EVENT, [event, *args])

    async def leave(self) -> None:
        """Say goodbye."""
        await self._packet(DISCONNECT)

    async def event(self) -> list[Any]:
        """The next event, without its offset."""
        kind, data = await self.packet()
        assert kind == EVENT, (kind, data)
        *event, self.offset = data
        return event

    async def packet(self) -> tuple[int, Any]:
        """The kind and data of the next packet."""
        while (text := await self._receive()) == "2":
            await self._send("3")
        if isinstance(text, bytes):
            unpacked = msgpack.unpackb(text)
            return unpacked["type"], unpacked.get("data")
        assert text[0] == "4", text
        start = next((at for at, letter in enumerate(text) if letter in "[{"), len(text))
        return int(text[1]), json.loads(text[start:] or "null")

    async def _packet(self, kind: int, data: Any = None, namespace: str = "/") -> None:
        if self._serializer == "msgpack":
            await self._send(msgpack.packb({"type": kind, "data": data, "nsp": namespace}))
            return
        prefix = "" if namespace == "/" else f"{namespace},"
        await self._send(f"4{kind}{prefix}{'' if data is None else json.dumps(data)}")


@asynccontextmanager
async def visitor(
    server: Server, mode: str = "websocket", serializer: str = "default"
) -> AsyncIterator[Visitor]:
    """A client that has a session and is in no namespace yet."""
    if mode == "websocket":
        async with websocket(server, PATH) as ws:
            session = (await read_handshake(ws))["sid"]

            async def drop() -> None:
                ws.transport.abort()

            yield Visitor(ws.send, lambda: receive(ws), drop, session, serializer)
        return
    async with Polling(server, PATH) as polling:
        session = (await polling.open())["sid"]
        waiting: list[str] = []

        async def send(data: str | bytes) -> None:
            text = data if isinstance(data, str) else f"b{base64.b64encode(data).decode()}"
            await polling.send(text)

        async def read() -> str | bytes:
            if not waiting:
                waiting.extend(await polling.receive())
            text = waiting.pop(0)
            return base64.b64decode(text[1:]) if text[0] == "b" else text

        async def close() -> None:
            await polling.send("1")

        yield Visitor(send, read, close, session, serializer)

"""Socket.IO clients that lose their connection and come back, as the JavaScript client does."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

from socketio.packet import Packet
from websockets.asyncio.client import ClientConnection

from asyncsock import AsyncServer
from tests.support.asgi_in_process import Socket
from tests.support.raw_clients import Polling, read_handshake, receive, websocket
from tests.support.uvicorn_in_process import Local

MARKER = "the end of what has been sent"
CONNECT, DISCONNECT, EVENT, CONNECT_ERROR, BINARY_EVENT = 0, 1, 2, 4, 5


class Link(Protocol):
    """A session of the engine, on whatever transport."""

    eio_sid: str

    async def send(self, packet: str) -> None:
        """Send a packet."""

    async def receive(self) -> str | bytes:
        """The next packet."""

    async def lose(self) -> None:
        """Break the connection off, without a goodbye."""


OpenLink = Callable[[AsyncExitStack], Any]


class InProcess:
    """A WebSocket of this process."""

    @property
    def arrived(self) -> int:
        """How many packets have arrived and were not received yet."""
        return self.socket._from_app.qsize()

    def __init__(self, socket: Socket, eio_sid: str) -> None:
        self.socket = socket
        self.eio_sid = eio_sid

    async def send(self, packet: str) -> None:
        self.socket.send(packet)

    async def receive(self) -> str | bytes:
        packet: str | bytes = await self.socket.receive()
        return packet

    async def lose(self) -> None:
        self.socket.reads.set()
        self.socket.leave()
        await self.socket.task


def in_process(server: AsyncServer) -> OpenLink:
    async def open_link(stack: AsyncExitStack) -> Link:
        socket = await stack.enter_async_context(Socket(server.handle_request))
        return InProcess(socket, json.loads((await socket.receive())[1:])["sid"])

    return open_link


class OverWebSocket:
    """A WebSocket on the network, from the start or after an upgrade."""

    def __init__(self, ws: ClientConnection, eio_sid: str) -> None:
        self.ws = ws
        self.eio_sid = eio_sid

    async def send(self, packet: str) -> None:
        await self.ws.send(packet)

    async def receive(self) -> str | bytes:
        return await receive(self.ws)

    async def lose(self) -> None:
        self.ws.transport.abort()


class OverPolling:
    """Polls on the network."""

    def __init__(self, polling: Polling, eio_sid: str) -> None:
        self.polling = polling
        self.eio_sid = eio_sid
        self._received: list[str] = []

    async def send(self, packet: str) -> None:
        await self.polling.send(packet)

    async def receive(self) -> str | bytes:
        if not self._received:
            self._received = await self.polling.receive()
        packet = self._received.pop(0)
        return b64decode(packet[1:]) if packet[0] == "b" else packet

    async def lose(self) -> None:
        await self.polling.http.aclose()


def over_network(local: Any, transport: str) -> OpenLink:
    """Links to a server that is a `Local`: on "polling", "upgraded" or "websocket"."""

    async def open_link(stack: AsyncExitStack) -> Link:
        if transport == "websocket":
            ws = await stack.enter_async_context(websocket(local, "/socket.io/"))
            return OverWebSocket(ws, (await read_handshake(ws))["sid"])
        polling = await stack.enter_async_context(Polling(local, "/socket.io/"))
        sid = (await polling.open())["sid"]
        if transport == "polling":
            return OverPolling(polling, sid)
        ws = await stack.enter_async_context(websocket(local, "/socket.io/", sid=sid))
        await ws.send("2probe")
        assert await receive(ws) == "3probe"
        await ws.send("5")
        return OverWebSocket(ws, sid)

    return open_link


class Visitor:
    """A client that remembers its private id and the last offset, and comes back with them.

    Attributes:
        sid: Its sid.
        pid: Its private id, once it has one.
        offset: The offset of the last event that it has got.
        recovered: Whether it has come back as the same.
        answers_pings: Whether it answers pings while it reads.
        refusal: What it was refused with.
    """

    link: Link

    def __init__(
        self, server: AsyncServer, open_link: OpenLink, stack: AsyncExitStack, namespace: str
    ) -> None:
        self.server = server
        self.namespace = namespace
        self._open = open_link
        self._stack = stack
        self.sid = ""
        self.pid: str | None = None
        self.offset: str | None = None
        self.recovered = False
        self.answers_pings = True
        self.refusal: Any = None

    @property
    def claim(self) -> dict[str, str]:
        """What it adds to its CONNECT packet."""
        known = {"pid": self.pid, "offset": self.offset}
        return {name: value for name, value in known.items() if value is not None}

    async def come(self, **auth: Any) -> Visitor:
        """Connect, or come back."""
        await self.begin(**auth)
        await self.until_connected()
        return self

    async def begin(self, link: Link | None = None, **auth: Any) -> None:
        """Send the CONNECT packet, on a new session or on one that is there."""
        self.link = link or await self._open(self._stack)
        await self.send(CONNECT, {**self.claim, **auth} or None)

    async def until_connected(self) -> None:
        """Read the answer to the CONNECT packet."""
        packet = await self.next()
        self.refusal = None
        if packet.packet_type == CONNECT_ERROR:
            self.refusal = packet.data
            return
        assert packet.packet_type == CONNECT, packet
        self.sid = packet.data["sid"]
        pid = packet.data.get("pid")
        self.recovered = pid is not None and pid == self.pid
        if not self.recovered:
            self.offset = None
        self.pid = pid

    async def send(self, kind: int, data: Any = None, id: int | None = None) -> None:
        packet = Packet(kind, data=data, namespace=self.namespace, id=id).encode()
        await self.link.send(f"4{packet}")

    async def emit(self, event: str, *args: Any) -> None:
        await self.send(EVENT, [event, *args])

    async def message(self) -> Any:
        """The next message of the engine, without its type; pings are answered on the way."""
        while True:
            message = await self.link.receive()
            if isinstance(message, bytes):
                return message
            if message == "2":
                if self.answers_pings:
                    await self.link.send("3")
            elif message != "6":
                assert message[0] == "4", message
                return message[1:]

    async def next(self) -> Any:
        """The next packet of its namespace, or `MARKER`."""
        message = await self.message()
        if message == MARKER:
            return MARKER
        packet = Packet(encoded_packet=message)
        for _ in range(packet.attachment_count):
            packet.add_attachment(await self.message())
        assert (packet.namespace or "/") == self.namespace
        return packet

    def take(self, packet: Any) -> list[Any]:
        """The name and the arguments of an event, without its offset, which is remembered."""
        assert packet.packet_type in (EVENT, BINARY_EVENT), (packet.packet_type, packet.data)
        event: list[Any] = packet.data
        if packet.id is None:
            *event, self.offset = event
            assert isinstance(self.offset, str)
        return event

    async def event(self) -> list[Any]:
        """The next event."""
        return self.take(await self.next())

    async def events(self) -> list[list[Any]]:
        """The events that it has been sent since the last call."""
        self.server.manager.release_all(self.server.connections[self.link.eio_sid])
        self.server.eio.send(self.link.eio_sid, MARKER)
        found = []
        while (packet := await self.next()) != MARKER:
            found.append(self.take(packet))
        return found

    async def events_until(self, name: str) -> list[list[Any]]:
        """The next events, up to one with a name."""
        found = [await self.event()]
        while found[-1][0] != name:
            found.append(await self.event())
        return found

    async def lose(self) -> None:
        """Lose the connection; what was not read is lost with it."""
        await self.link.lose()


class Visitors:
    """Makes visitors of a server."""

    def __init__(self, server: AsyncServer, open_link: OpenLink, stack: AsyncExitStack) -> None:
        self.server = server
        self.open_link = open_link
        self.stack = stack

    def one(self, namespace: str = "/") -> Visitor:
        """Somebody who has not connected yet."""
        return Visitor(self.server, self.open_link, self.stack, namespace)

    async def come(self, namespace: str = "/", **auth: Any) -> Visitor:
        """Somebody who has connected."""
        return await self.one(namespace).come(**auth)


@asynccontextmanager
async def visitors(
    server: AsyncServer, local: Local | None = None, transport: str = ""
) -> AsyncIterator[Visitors]:
    """Visitors of a server, in this process or over the network."""
    async with AsyncExitStack() as stack:
        open_link = in_process(server) if local is None else over_network(local, transport)
        yield Visitors(server, open_link, stack)


class Gate:
    """Where a handler waits until the test lets it go on."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def __call__(self) -> None:
        self.reached.set()
        await self.opened.wait()

    def close(self) -> None:
        self.reached.clear()
        self.opened.clear()

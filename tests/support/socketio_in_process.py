"""Socket.IO clients of an AsyncServer in this process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from socketio.msgpack_packet import MsgPackPacket

from asyncsock import AsyncServer
from tests.support.asgi_in_process import Socket
from tests.support.raw_clients import within

Environ = dict[str, Any]
MARKER = "4the end of what has been sent"


class Client:
    """A Socket.IO client on a WebSocket of this process.

    Attributes:
        sids: its sid in each namespace.
        eio_sid: its session.
    """

    def __init__(self, server: AsyncServer, socket: Socket, eio_sid: str) -> None:
        self.server = server
        self.socket = socket
        self.eio_sid = eio_sid
        self.sids: dict[str, str] = {}

    @property
    def sid(self) -> str:
        return self.sids["/"]

    def send(self, packet: str | bytes) -> None:
        self.socket.send(packet)

    async def receive(self) -> Any:
        return await self.socket.receive()

    async def connect(self, namespace: str = "/", auth: Any = None) -> str:
        """Connect to a namespace and return the sid there."""
        prefix = "" if namespace == "/" else f"{namespace},"
        self.send(f"40{prefix}{json.dumps(auth) if auth else ''}")
        packet = await self.receive()
        assert packet.startswith(f"40{prefix}{{"), packet
        sid: str = json.loads(packet[len(f"40{prefix}") :])["sid"]
        self.sids[namespace] = sid
        return sid

    async def packets(self) -> list[Any]:
        """What has been sent to the client since the last call."""
        self.server.eio.send(self.eio_sid, MARKER[1:])
        packets = []
        while (packet := await self.receive()) != MARKER:
            packets.append(packet)
        return packets

    async def events(self) -> list[Any]:
        """The same, where it is events of the main namespace."""
        packets = await self.packets()
        assert all(packet.startswith("42[") for packet in packets), packets
        return [json.loads(packet[2:]) for packet in packets]

    async def event(self) -> Any:
        """The next event of the main namespace."""
        packet = await self.receive()
        assert packet.startswith("42"), packet
        return json.loads(packet[packet.index("[") :])

    async def ask(self, event: str, *args: Any) -> Any:
        """Emit an event of the main namespace and return the acknowledgement's arguments."""
        self.send(f"427{json.dumps([event, *args])}")
        packet = await self.receive()
        assert packet.startswith("437["), packet
        return json.loads(packet[3:])

    async def leave(self) -> None:
        """Break off the connection, and wait until the server has noted it."""
        self.socket.leave()
        await within(self.socket.task)


@asynccontextmanager
async def opened(server: AsyncServer) -> AsyncIterator[Client]:
    """A client in no namespace."""
    async with Socket(server.handle_request) as socket:
        packet = await socket.receive()
        yield Client(server, socket, json.loads(packet[1:])["sid"])


@asynccontextmanager
async def connected(server: AsyncServer, *namespaces: str) -> AsyncIterator[Client]:
    """A client in the main namespace, or in those that are named."""
    async with opened(server) as client:
        for namespace in namespaces or ("/",):
            await client.connect(namespace)
        yield client


# Connecting


async def until(condition: Callable[[], Any]) -> None:
    while not condition():
        await asyncio.sleep(0)


# Serializers


class MsgPackClient:
    """A client that writes and reads python-socketio's msgpack packets."""

    def __init__(self, socket: Socket) -> None:
        self.socket = socket

    def send(self, kind: int, data: Any = None, id: int | None = None) -> None:
        self.socket.send(MsgPackPacket(kind, data=data, namespace="/", id=id).encode())

    async def receive(self) -> tuple[int, Any, int | None]:
        packet = MsgPackPacket(encoded_packet=await self.socket.receive())
        return packet.packet_type, packet.data, packet.id


@asynccontextmanager
async def msgpack_client(server: AsyncServer) -> AsyncIterator[MsgPackClient]:
    async with Socket(server.handle_request) as socket:
        assert (await socket.receive())[0] == "0"
        client = MsgPackClient(socket)
        client.send(0)
        kind, data, _ = await client.receive()
        assert (kind, list(data)) == (0, ["sid"])
        yield client

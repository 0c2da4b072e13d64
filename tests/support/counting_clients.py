"""Socket.IO clients that count what they send and get, to compare with what a server has counted."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx
from websockets.frames import Frame, Opcode

from tests.support.many_clients import LeanClient
from tests.support.raw_clients import Polling

SMALL_BUFFER = 4096


@dataclass
class Counted:
    """What clients have done together.

    Attributes:
        sent: Events that they have sent, by name.
        received: Events that they have got, by name.
        acknowledged: How many of their events were acknowledged, by name.
        answered: How many events they have acknowledged.
        bytes_sent: Bytes of their frames, and of the bodies of their polling requests.
        bytes_received: Bytes of the packets that they got, as frames.
    """

    sent: Counter[str] = field(default_factory=Counter)
    received: Counter[str] = field(default_factory=Counter)
    acknowledged: Counter[str] = field(default_factory=Counter)
    answered: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0

    def got(self, packet: bytes) -> None:
        """Count a packet, if it is one that the server has sent to a client and not to a connection."""
        if packet[:1] in (b"0", b"1", b"6"):
            return
        self.bytes_received += frame_size(len(packet))
        if packet.startswith(b"42"):
            self.received[json.loads(packet[packet.index(b"[") :])[0]] += 1


def frame_size(payload: int) -> int:
    return payload + (2 if payload < 126 else 4 if payload < 65536 else 10)


class CountingClient(LeanClient):
    """A client on a WebSocket, whose events are acknowledged in their order."""

    def __init__(self, counted: Counted) -> None:
        super().__init__()
        self.counted = counted
        self.refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked: list[str] = []

    def send(self, packet: str) -> None:
        frame = Frame(Opcode.TEXT, packet.encode()).serialize(mask=True)
        self.counted.bytes_sent += len(frame)
        self.transport.write(frame)

    def emit(self, event: str, *args: Any, acknowledged: bool = False) -> None:
        self.counted.sent[event] += 1
        id = ""
        if acknowledged:
            self._asked.append(event)
            id = "1"
        self.send(f"42{id}{json.dumps([event, *args])}")

    def leave(self) -> None:
        frame = Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True)
        self.counted.bytes_sent += len(frame)
        self.transport.write(frame)

    def _next_frame(self) -> bytes | None:
        opcode = self._buffer[:1]
        payload = super()._next_frame()
        if payload is not None and opcode == b"\x81":
            self.counted.got(payload)
            if payload == b"2":
                self.send("3")
            elif payload.startswith(b"431"):
                self.counted.acknowledged[self._asked.pop(0)] += 1
            elif payload.startswith(b"44"):
                self.refused.set_result(None)
            elif payload.startswith(b"42") and payload[2:3].isdigit():
                self.counted.answered += 1
                self.send(f"43{payload[2 : payload.index(b'[')].decode()}[]")
        return payload


async def connect_counting(port: int, number: int, counted: Counted) -> list[CountingClient]:
    """Connect clients, and wait until each is in the namespace ``/``."""
    loop = asyncio.get_running_loop()
    clients: list[CountingClient] = []
    while len(clients) < number:
        batch = min(50, number - len(clients))
        made = [
            await loop.create_connection(lambda: CountingClient(counted), "127.0.0.1", port)
            for _ in range(batch)
        ]
        clients += [client for _, client in made]
        await asyncio.gather(*[client.connected for client in clients[-batch:]])
    return clients


async def connect_slow(port: int, counted: Counted) -> CountingClient:
    """A client whose socket takes little at once."""
    loop = asyncio.get_running_loop()
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    connection.setblocking(False)
    await loop.sock_connect(connection, ("127.0.0.1", port))
    _, client = await loop.create_connection(lambda: CountingClient(counted), sock=connection)
    await client.connected
    return client


class CountingPoller:
    """A client that polls, and always has a GET that waits."""

    def __init__(self, server: Any, counted: Counted) -> None:
        self.polling = Polling(server, "/socket.io/")
        self._counted = counted
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.polling.http.timeout = httpx.Timeout(60)
        await self.polling.open()
        await self._post("40")
        self._task = asyncio.ensure_future(self._poll())

    async def _post(self, packet: str) -> None:
        self._counted.bytes_sent += len(packet)
        await self.polling.post(packet)

    async def _poll(self) -> None:
        while True:
            answer = await self.polling.get()
            if answer.status_code != 200:  # the session has ended
                return
            for packet in answer.content.split(b"\x1e"):
                self._counted.got(packet)
                if packet == b"2":
                    await self._post("3")

    async def leave(self) -> None:
        """Disconnect, and end the session."""
        await self._post("1")
        assert self._task is not None
        await self._task
        await self.polling.__aexit__(None, None, None)

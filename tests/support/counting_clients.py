"""Socket.IO clients that count what they send and get, to compare with what a server has counted."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx
from websockets.frames import Frame, Opcode

from tests.support.many_clients import LeanClient
from tests.support.raw_clients import Polling, within

SMALL_BUFFER = 4096
PATIENCE = 60.0  # seconds without any progress
TEXT, CLOSE = b"\x81", b"\x88"  # the first bytes of frames


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
        lost: How clients have lost their connections that did not want to leave.
    """

    sent: Counter[str] = field(default_factory=Counter)
    received: Counter[str] = field(default_factory=Counter)
    acknowledged: Counter[str] = field(default_factory=Counter)
    answered: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    lost: list[str] = field(default_factory=list)

    def got(self, packet: bytes) -> None:
        """Count a packet, if it is one that the server has sent to a client and not to a connection."""
        if packet[:1] in (b"0", b"1", b"6"):
            return
        self.bytes_received += frame_size(len(packet))
        if packet.startswith(b"42"):
            self.received[json.loads(packet[packet.index(b"[") :])[0]] += 1


async def until(missing: Callable[[], object], counted: Counted) -> None:
    """Wait until nothing is missing that clients are to get.

    However slow the machine, this goes on as long as something comes.

    Raises:
        AssertionError: The same was missing for `PATIENCE` seconds, or a client has lost its connection.
    """
    loop = asyncio.get_running_loop()
    before, since = None, loop.time()
    while (now := missing()) or counted.lost:
        if now != before:
            before, since = now, loop.time()
        assert not counted.lost, f"missing: {now}; connections were lost: {counted.lost}"
        assert loop.time() - since < PATIENCE, f"missing for {PATIENCE:g} seconds: {now}"
        await asyncio.sleep(0.05)


def some(**numbers: int) -> dict[str, int]:
    """What is missing, for `until`: those of the numbers that are not 0."""
    return {what: number for what, number in numbers.items() if number}


def frame_size(payload: int) -> int:
    return payload + (2 if payload < 126 else 4 if payload < 65536 else 10)


class CountingClient(LeanClient):
    """A client on a WebSocket, whose events are acknowledged in their order. It answers no pings."""

    def __init__(self, counted: Counted) -> None:
        super().__init__()
        self.counted = counted
        self.refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.leaves = False  # whether its connection is to end
        self._asked: list[str] = []

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        if not self.leaves:
            asked = f", with {len(self._asked)} events that are not acknowledged" if self._asked else ""
            self.counted.lost.append(f"WebSocket: {error!r}{asked}")

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
        self.leaves = True
        frame = Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True)
        self.counted.bytes_sent += len(frame)
        self.transport.write(frame)

    def end_session(self) -> None:
        """Leave as a client that closes its Engine.IO session."""
        self.leaves = True
        self.send("1")

    def break_off(self) -> None:
        """Leave without a word."""
        self.leaves = True
        self.transport.abort()  # type: ignore[attr-defined]

    def _next_frame(self) -> bytes | None:
        opcode = self._buffer[:1]
        payload = super()._next_frame()
        if payload is not None and opcode == CLOSE:
            self.transport.close()  # or the server would wait for it
        elif payload is not None and opcode == TEXT:
            self.counted.got(payload)
            if payload.startswith(b"431"):
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
        waiting = [client.connected for client in clients[-batch:]]
        await until(partial(_unconnected, waiting), counted)
    return clients


def _unconnected(connected: list[asyncio.Future[None]]) -> dict[str, int]:
    return some(unconnected=sum([not future.done() for future in connected]))


async def connect_slow(port: int, counted: Counted) -> CountingClient:
    """A client whose socket takes little at once."""
    loop = asyncio.get_running_loop()
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    connection.setblocking(False)
    await loop.sock_connect(connection, ("127.0.0.1", port))
    _, client = await loop.create_connection(lambda: CountingClient(counted), sock=connection)
    await within(client.connected, PATIENCE)
    return client


class CountingPoller:
    """A client that polls, and always has a GET that waits. It answers no pings."""

    def __init__(self, server: Any, counted: Counted) -> None:
        self.polling = Polling(server, "/socket.io/")
        self._counted = counted
        self._leaves = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.polling.http.timeout = httpx.Timeout(None)
        await self.polling.open()
        await self._post("40")
        self._task = asyncio.ensure_future(self._poll())

    async def _post(self, packet: str) -> None:
        self._counted.bytes_sent += len(packet)
        await self.polling.send(packet)

    async def _poll(self) -> None:
        why = "it was cancelled"
        try:
            while (answer := await self.polling.get()).status_code == 200:
                for packet in answer.content.split(b"\x1e"):
                    self._counted.got(packet)
            why = answer.text  # the session has ended
        except Exception as error:
            why = repr(error)
            raise
        finally:
            if not self._leaves:
                self._counted.lost.append(f"polling: {why}")

    async def leave(self) -> None:
        """Disconnect, and end the session."""
        self._leaves = True
        await self._post("1")
        assert self._task is not None
        await within(self._task, PATIENCE)
        await self.polling.__aexit__(None, None, None)

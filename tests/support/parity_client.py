"""A raw Socket.IO client that records what arrives, over WebSocket or polling."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from socketio.packet import Packet, packet_names
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websocket_connect
from websockets.exceptions import ConnectionClosed

from tests.support.raw_clients import Polling, address
from tests.support.server_process import Server

PATH = "/socket.io/"
HEADERS = {"X-Test": "a header", "Cookie": "c=cookie"}
CONNECT, DISCONNECT, EVENT, ACK, _, BINARY_EVENT, BINARY_ACK = range(7)
WAIT = 10.0
BARRIER = 1_000_000  # the first id of the acknowledgements that are not recorded

Message = str | bytes


class WebSocketLink:
    """An Engine.IO connection over WebSocket."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, messages: list[Message]) -> None:
        for message in messages:
            await self.socket.send(message if isinstance(message, bytes) else f"4{message}")

    async def receive(self) -> list[Message] | None:
        """The next messages; None at the end."""
        try:
            packet = await self.socket.recv()
        except ConnectionClosed:
            return None
        if packet == "2":
            await self.socket.send("3")
        return [packet if isinstance(packet, bytes) else packet[1:]] if _is_message(packet) else []

    async def close(self) -> None:
        await self.socket.close()


class PollingLink:
    """An Engine.IO connection over HTTP long-polling."""

    def __init__(self, polling: Polling) -> None:
        self.polling = polling

    async def send(self, messages: list[Message]) -> None:
        # Where the server refuses them, it ends the session, and the poll under way tells.
        await self.polling.post(
            *[
                f"b{base64.b64encode(message).decode()}" if isinstance(message, bytes) else f"4{message}"
                for message in messages
            ]
        )

    async def receive(self) -> list[Message] | None:
        response = await self.polling.get()
        if response.status_code != 200:
            return None
        packets = response.text.split("\x1e")
        if "1" in packets:
            return None
        if "2" in packets:
            await self.polling.post("3")
        return [
            base64.b64decode(packet[1:]) if packet[0] == "b" else packet[1:]
            for packet in packets
            if packet[:1] in ("4", "b")
        ]

    async def close(self) -> None:
        await self.polling.post("1")


def _is_message(packet: Message) -> bool:
    return isinstance(packet, bytes) or packet[:1] == "4"


class Client:
    """A client that records each packet as its type, namespace, id and data.

    A ``question`` with an id is answered with `answer`.
    """

    def __init__(self, name: str, link: WebSocketLink | PollingLink) -> None:
        self.name = name
        self.link = link
        self.records: list[tuple[str, str, int | bool | None, Any]] = []
        self.sids: dict[str, str] = {}  # by namespace
        self.all_sids: dict[str, str] = {}  # the namespaces of these sids and of earlier ones
        self.connected: set[str] = set()
        self.answer: list[Any] = ["an answer"]
        self._partial: Packet | None = None
        self._last_id = 0
        self._last_barrier = BARRIER
        self._answered: dict[int, asyncio.Future[None]] = {}
        self._arrival = asyncio.Event()
        self.ended = asyncio.create_task(self._read())

    # Sending

    async def send(self, kind: int, namespace: str, data: Any = None, id: int | None = None) -> None:
        packet = Packet(kind, data=data, namespace=namespace, id=id, binary=False if data is None else None)
        encoded = packet.encode()
        await self.link.send(encoded if isinstance(encoded, list) else [encoded])

    async def connect(self, namespace: str = "/", auth: Any = None) -> None:
        """Ask for a namespace and wait for the answer, with what else comes before it."""
        before = len(self.records)
        await self.send(CONNECT, namespace, auth)
        await self.until(
            lambda: any(
                kind.startswith("CONNECT") and of == namespace for kind, of, _, _ in self.records[before:]
            )
        )

    async def enter(self, auth: Any = None) -> None:
        """Connect to ``/`` and wait for its welcome."""
        before = len(self.records)
        await self.connect(auth=auth)
        await self.arrived(before + 3)

    async def disconnect(self, namespace: str = "/") -> None:
        """Leave a namespace."""
        self.connected.discard(namespace)
        await self.send(DISCONNECT, namespace)

    async def tell(self, event: str, *args: Any, namespace: str = "/", id: int | None = None) -> None:
        await self.send(EVENT, namespace, [event, *args], id)

    async def ask(self, event: str, *args: Any, namespace: str = "/") -> None:
        """Send an event and wait until it is acknowledged."""
        self._last_id += 1
        await self._acknowledged(
            self._last_id, self.tell(event, *args, namespace=namespace, id=self._last_id)
        )

    async def ask_raw(self, data: str) -> None:
        """Send an event that is encoded already and wait until it is acknowledged."""
        self._last_id += 1
        await self._acknowledged(self._last_id, self.link.send([f"2{self._last_id}{data}"]))

    async def barrier(self) -> None:
        """Wait until all that was sent to this client before has arrived."""
        self._last_barrier += 1
        await self._acknowledged(self._last_barrier, self.tell("barrier", id=self._last_barrier))

    async def _acknowledged(self, id: int, sending: Any) -> None:
        answered = self._answered[id] = asyncio.get_running_loop().create_future()
        await sending
        await self._unless_ended(answered)

    async def close(self) -> None:
        """End the connection."""
        self.connected.clear()
        if not self.ended.done():
            await self.link.close()
        await asyncio.wait_for(self.ended, WAIT)

    # Receiving

    async def arrived(self, count: int) -> None:
        """Wait until so many packets have arrived in this step."""
        await self.until(lambda: len(self.records) >= count)

    async def until(self, condition: Any) -> None:
        async def wait() -> None:
            while not condition():
                self._arrival.clear()
                await self._arrival.wait()

        await self._unless_ended(asyncio.ensure_future(wait()))

    async def _unless_ended(self, waiting: asyncio.Future[None]) -> None:
        """Wait, but for no longer than `WAIT` and the connection last."""
        await asyncio.wait([waiting, self.ended], timeout=WAIT, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            return
        waiting.cancel()
        if self.ended.done():
            self.ended.result()
            raise ConnectionError(f"the connection of {self.name} has ended")
        raise TimeoutError(f"{self.name} has got only {self.records!r}")

    async def _read(self) -> None:
        while (messages := await self.link.receive()) is not None:
            for message in messages:
                await self._decode(message)

    async def _decode(self, message: Message) -> None:
        if isinstance(message, bytes):
            assert self._partial is not None, "an attachment of nothing"
            packet = self._partial
            packet.add_attachment(message)
        else:
            assert self._partial is None, "a packet in place of an attachment"
            packet = Packet(encoded_packet=message)
        complete = packet.attachment_count == len(packet.attachments)
        self._partial = None if complete else packet
        if complete:
            await self._take(packet)

    async def _take(self, packet: Packet) -> None:
        kind, namespace, id = packet.packet_type, packet.namespace or "/", packet.id
        is_ack = kind in (ACK, BINARY_ACK)
        if kind == CONNECT:
            self.sids[namespace] = packet.data["sid"]
            self.all_sids[packet.data["sid"]] = namespace
            self.connected.add(namespace)
        elif kind == DISCONNECT:
            self.connected.discard(namespace)
        if not (is_ack and id > BARRIER):
            # The ids of the server's events are its own affair.
            shown = id if is_ack else id is not None
            self.records.append((packet_names[kind], namespace, shown, packet.data))
        self._arrival.set()
        if is_ack and id in self._answered:
            self._answered.pop(id).set_result(None)
        elif kind in (EVENT, BINARY_EVENT) and id is not None:
            await self.send(ACK, namespace, self.answer, id)


@asynccontextmanager
async def linked(server: Server, transport: str, name: str) -> AsyncIterator[Client]:
    """A client on a connection of its own, in no namespace yet; it sends its name in the query string."""
    async with contextlib.AsyncExitStack() as stack:
        link: WebSocketLink | PollingLink
        if transport == "websocket":
            socket = await stack.enter_async_context(
                websocket_connect(
                    address(server, PATH, who=name),
                    additional_headers=HEADERS,
                    ping_interval=None,
                    max_size=None,
                    close_timeout=0.1,
                    proxy=None,
                )
            )
            await socket.recv()
            link = WebSocketLink(socket)
        else:
            polling = await stack.enter_async_context(Polling(server, PATH))
            polling.http.headers.update(HEADERS)
            opened = await polling.request("GET", who=name)
            polling.sid = json.loads(opened.text[1:])["sid"]
            link = PollingLink(polling)
        client = Client(name, link)
        try:
            yield client
        finally:
            await client.close()


def normal(data: Any, sids: dict[str, str]) -> Any:
    """Data with the clients' sids replaced by their names."""
    if isinstance(data, str) and sids:
        return re.sub("|".join(map(re.escape, sids)), lambda found: sids[found[0]], data)
    if isinstance(data, list):
        return [normal(item, sids) for item in data]
    if isinstance(data, dict):
        return {key: normal(value, sids) for key, value in data.items()}
    return data

"""The WebSocket transport: what all WebSockets have in common, and the one over plain ASGI."""

from __future__ import annotations

import asyncio
import logging

from ..core import Core
from ..http import Receive, Send
from ..limits import MESSAGE_SIZE
from ..packet import Packet, in_base64, size_of
from ..reasons import TRANSPORT_CLOSE
from ..session import Session
from ..turns import SLICE, UNIT_BITS
from .base import Receiver, SendingSession, Transport

logger = logging.getLogger("asyncsock.engine")

MESSAGE_TOO_BIG = 1009
POLICY_VIOLATION = 1008

BATCH = 1000  # packets that are taken out of an outbox at once


class WebSocketTransport(Transport):
    """A WebSocket connection. `receiver` takes what arrives: a session or a pending upgrade."""

    __slots__ = ("receiver",)
    name = "websocket"

    def __init__(self) -> None:
        super().__init__()
        self.receiver: Receiver | None = None

    def attach(self, session: Session) -> None:
        """Serve a session from now on."""
        self.receiver = session

    def send_now(self, packet: Packet) -> None:
        """Write a packet that belongs to no session's outbox: the answer to a probe."""
        raise NotImplementedError

    def close(self, code: int) -> None:
        """Close the connection of an upgrade that was refused."""
        raise NotImplementedError

    def lost(self) -> None:
        """Tell the receiver that the connection is gone."""
        receiver, self.receiver = self.receiver, None
        self.resumed()
        if receiver is not None:
            receiver.transport_lost(TRANSPORT_CLOSE)


class ASGIWebSocket(WebSocketTransport):
    """A WebSocket on any ASGI server: one task reads, another writes.

    The writer takes packets out of the session's outbox in batches, so a slow client delays nobody else.

    Args:
        core: What the sessions of the server share.
        base64: Whether the client wants binary messages as text.
    """

    __slots__ = (
        "_base64",
        "_batch",
        "_close_code",
        "_core",
        "_now",
        "_reader",
        "_session",
        "_turn",
        "_wakeup",
        "_writer",
    )

    def __init__(self, core: Core, *, base64: bool) -> None:
        super().__init__()
        self._core = core
        self._base64 = base64
        self._session: Session | None = None
        self._now: list[Packet] = []  # packets that are in no session's outbox
        self._batch: list[Packet] = []  # what the writer has taken and not yet sent, in reverse order
        self._close_code = 0
        self._turn: asyncio.Future[None] | None = None  # what the reader waits for, until it may go on
        self._wakeup = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None

    async def run(self, receive: Receive, send: Send) -> None:
        """Serve an accepted connection until it is gone."""
        reader = self._reader = asyncio.ensure_future(self._read(receive))
        writer = self._writer = asyncio.ensure_future(self._write(send))
        try:
            await asyncio.wait([reader])
            if reader.cancelled():  # by the writer, which is about to close
                await asyncio.wait([writer])
            elif (error := reader.exception()) is not None:
                raise error
        finally:
            reader.cancel()
            writer.cancel()
            self._core.closing_clients.gone(self)
            if self._session is not None:
                self._core.slow_clients.settled(self._session)
            self.lost()

    def attach(self, session: Session) -> None:
        self.receiver = self._session = session

    def flush(self, session: SendingSession) -> None:
        if self.paused:
            self._core.slow_clients.watch(session)
        self._wakeup.set()

    def finish(self, outbox: list[Packet], code: int, reason: str) -> None:
        self._now += outbox
        self.close(code)

    def send_now(self, packet: Packet) -> None:
        self._now.append(packet)
        self._wakeup.set()

    def close(self, code: int) -> None:
        self.receiver = None
        self._close_code = code
        self._wakeup.set()
        self._core.closing_clients.closing(self)

    def abort(self) -> None:
        self.receiver = None
        for task in (self._reader, self._writer):
            if task is not None:
                task.cancel()

    def unsent(self) -> int:
        return size_of(self._batch)

    def take_turn(self) -> None:
        """Let the reader go on."""
        session = self._session
        if session is not None and session.stopped:
            session.wait(self)
        elif self._turn is not None and not self._turn.done():
            self._turn.set_result(None)

    async def _wait_for_turn(self) -> None:
        self._turn = asyncio.get_running_loop().create_future()
        self._core.turns.add(self)
        await self._turn

    async def _read(self, receive: Receive) -> None:
        left = SLICE
        while True:
            event = await receive()
            if event["type"] == "websocket.disconnect":
                return
            text = event.get("text")
            message: str | bytes = event["bytes"] if text is None else text
            size = len(message) if isinstance(message, bytes) or message.isascii() else len(message.encode())
            self._core.bytes_received += size
            session = self._session
            if session is not None and size > session.terms.max_payload:
                session.reject(f"a message of {size} bytes", MESSAGE_TOO_BIG, MESSAGE_SIZE)
            elif self.receiver is not None:
                self.receiver.receive(message)
            left -= 1 + (size >> UNIT_BITS)
            if left <= 0 or (session is not None and session.stopped):
                await self._wait_for_turn()
                left = SLICE

    async def _write(self, send: Send) -> None:
        try:
            while True:
                await self._wakeup.wait()
                self._wakeup.clear()
                while self._take_batch():
                    self.paused = True
                    while self._batch:
                        await _send(send, self._batch.pop())
                        if self._close_code:
                            self._core.closing_clients.alive(self)
                    self.resumed()
                if self._session is not None:
                    self._core.slow_clients.settled(self._session)
                if self._close_code:
                    if self._reader is not None:  # granian closes only when nobody receives
                        self._reader.cancel()
                        await asyncio.wait([self._reader])
                    await send({"type": "websocket.close", "code": self._close_code})
                    return
        except Exception as error:  # after the client has gone; each server has another type
            logger.debug("a WebSocket ended while it was written to: %r", error)
            if self._reader is not None:
                self._reader.cancel()

    def _take_batch(self) -> bool:
        """Take what is to be sent next; return whether there is anything."""
        packets, self._now = self._now, []
        session = self._session
        if session is not None:
            taken = session.outbox[:BATCH]
            del session.outbox[:BATCH]
            self._core.slow_clients.took(session, taken)
            packets += taken
        self._batch = (in_base64(packets) if self._base64 else packets)[::-1]
        return bool(packets)


async def _send(send: Send, packet: Packet) -> None:
    if packet.binary:
        await send({"type": "websocket.send", "bytes": packet.data})
    else:
        await send({"type": "websocket.send", "text": packet.text})

"""Writing to a WebSocket on a connection of uvicorn's: the one place that decides the order of its bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..engine.core import Core
from ..engine.packet import Packet
from ..engine.session import Session
from ..engine.transports.base import SendingSession
from ..engine.transports.websocket import WebSocketTransport

WRITE_SIZE = 262_144  # bytes handed to the transport at once, so that progress shows on any transport


class FrameWriter(WebSocketTransport):
    """Hands frames to the asyncio transport of a WebSocket, as fast as the client takes them.

    While the client is behind (`paused`), packets stay in the outbox, so at most one frame is half written.
    The order, each as soon as all before it has been handed over (RFC 6455 sections 5.4, 5.5 and 7):

    1. the rest of a frame that is half written: it always comes to its end;
    2. the answer to a ping; to the latest one where several came while the client was behind;
    3. packets, in the order in which they were sent, until the client closes or breaks the protocol;
    4. one close frame;
    5. the end of the stream.
    """

    __slots__ = ("_close", "_closed", "_core", "_half", "_left", "_pong", "_session", "_then", "_transport")

    def __init__(self, core: Core, transport: asyncio.Transport) -> None:
        super().__init__()
        self._core = core
        self._transport = transport
        self._session: Session | None = None
        self._half: memoryview | None = None  # the rest of a frame that is half written
        self._pong = b""  # the answer to the latest ping, until it can be written
        self._left: list[Packet] | None = None  # the outbox of a session that has ended
        self._close: bytes | None = None  # the close frame, once it is known that one is to be written
        self._closed = False  # whether it has been written
        self._then: Callable[[], None] | None = None  # what follows it, once no more input is wanted

    # asyncio.Protocol

    def pause_writing(self) -> None:
        self.paused = True
        if self._session is not None:
            self._core.slow_clients.watch(self._session)

    def resume_writing(self) -> None:
        self.resumed()
        if self._close is not None:
            self._core.closing_clients.progress(self)
        self._write_on()
        if self._closed and self._then is not None:
            # Later, because asyncio's transport looks at its state again after this call.
            asyncio.get_running_loop().call_soon(self._then)

    # Transport

    def attach(self, session: Session) -> None:
        self.receiver = self._session = session
        if self.paused:
            self._core.slow_clients.watch(session)

    def flush(self, session: SendingSession) -> None:
        if self.paused:
            return
        outbox = session.outbox
        if len(outbox) == 1:
            data = outbox[0].frame
        else:
            data = b"".join([packet.frame for packet in outbox])
        if len(data) <= WRITE_SIZE:
            outbox.clear()
            self._transport.write(data)
        else:
            self._write_on()

    def finish(self, outbox: list[Packet], code: int, reason: str) -> None:
        if self._close is None:
            self._session = None
            self._left = outbox
            self.close(code)

    def send_now(self, packet: Packet) -> None:
        if self._close is None:  # and without a session no frame is half written
            self._transport.write(packet.frame)

    def close(self, code: int) -> None:
        if self._close is None:
            self.receiver = None
            self._close = b"\x88\x02" + code.to_bytes(2, "big")
            self._core.closing_clients.closing(self)
            self._write_on()

    def abort(self) -> None:
        self.receiver = None
        self._transport.abort()

    def backlog(self, session: SendingSession) -> int:
        return (len(self._half) if self._half else 0) + len(self._pong) + super().backlog(session)

    # What reading asks for

    @property
    def is_answered(self) -> bool:
        """Whether the client has the answer to its handshake, without which it can have no frames."""
        return self.receiver is not None or self._close is not None

    def pong(self, frame: bytes) -> None:
        """Answer a ping."""
        if self._closed or not self.is_answered:
            return
        if self.paused:
            self._pong = frame
        else:
            self._transport.write(frame)

    def break_off(self, close: bytes, then: Callable[[], None]) -> None:
        """Close now: drop what waits, but for the rest of a frame that is half written.

        Args:
            close: The close frame, or nothing where the client can have none. If one has been written, that
                was the last.
            then: Called when everything has been handed to the transport, perhaps more than once.
        """
        behind = self.paused or self._transport.get_write_buffer_size() > 0
        session = self._session
        if session is not None:
            if session.outbox:
                self.flush(session)  # a client that is not behind gets what was sent before
            self._core.slow_clients.settled(session)
        self._session = self._left = None
        self._pong = b""
        self._then = then
        if not self._closed:
            self._close = close
            self._write_on()
        if self._closed:
            then()
        if behind or not self._transport.is_closing():  # otherwise it is about to be gone
            self._core.closing_clients.closing(self)

    def _write_on(self) -> None:
        """Write what waits, in its order, until the client is behind or nothing is left."""
        while not self.paused:
            if self._half is not None:
                piece = self._half[:WRITE_SIZE]
                self._half = self._half[WRITE_SIZE:] or None
                self._transport.write(piece)
            elif self._pong:
                pong, self._pong = self._pong, b""
                self._transport.write(pong)
            elif outbox := self._left if self._session is None else self._session.outbox:
                data = _take_frames(outbox)
                if len(data) <= WRITE_SIZE:
                    self._transport.write(data)
                else:
                    self._half = memoryview(data)
            else:
                self._all_written()
                return

    def _all_written(self) -> None:
        if self._session is not None:
            self._core.slow_clients.settled(self._session)
        if self._close is not None and not self._closed:
            self._closed = True
            self._transport.write(self._close)


def _take_frames(outbox: list[Packet]) -> bytes:
    """Take frames out of an outbox: as many as make up one write, or one that is larger than that."""
    size = 0
    for count, packet in enumerate(outbox):
        size += len(packet.frame)
        if size > WRITE_SIZE:
            count = count or 1
            break
    else:
        count = len(outbox)
    taken = [packet.frame for packet in outbox[:count]]
    del outbox[:count]
    return taken[0] if count == 1 else b"".join(taken)

"""Writing to a WebSocket on a connection of uvicorn's: the one place that decides the order of its bytes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from ..engine.core import Core
from ..engine.packet import Packet
from ..engine.session import Session
from ..engine.transports.base import SendingSession
from ..engine.transports.websocket import WebSocketTransport

CORK = getattr(socket, "TCP_CORK", None)  # of Linux: send no packet that is not full
WRITE_SIZE = 262_144  # bytes in one write; a larger frame is written in pieces, so that its progress is seen


class FrameWriter(WebSocketTransport):
    """Hands frames to the asyncio transport of a WebSocket, as fast as the client takes them.

    While the client is behind (`paused`), packets stay in the outbox, so at most one frame is half written.
    Each of these waits until all before it have been handed over (RFC 6455 sections 5.4, 5.5 and 7):

    1. the rest of a frame that is half written, whatever happens;
    2. the answer to a ping; only to the latest of those that came while the client was behind;
    3. packets, in the order in which they were sent, until the client closes or breaks the protocol;
    4. one close frame;
    5. the end of the stream.
    """

    __slots__ = (
        "_after_close",
        "_close",
        "_closed",
        "_core",
        "_half",
        "_last_outbox",
        "_pong",
        "_session",
        "_transport",
    )

    def __init__(self, core: Core, transport: asyncio.Transport) -> None:
        super().__init__()
        self._core = core
        self._transport = transport
        self._session: Session | None = None
        self._half: memoryview | None = None  # the rest of a frame that is half written
        self._pong = b""  # the answer to the latest ping, until it can be written
        self._last_outbox: list[Packet] | None = None  # of a session that has ended
        self._close: bytes | None = None  # the close frame, as soon as the connection is to be closed
        self._closed = False  # whether the close frame has been written
        self._after_close: Callable[[], None] | None = None  # called after it; once set, no input is read

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
        if self._closed and self._after_close is not None:
            # Later, because asyncio's transport looks at its state again after this call.
            asyncio.get_running_loop().call_soon(self._after_close)

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
            self._last_outbox = outbox
            self.close(code)

    def send_now(self, packet: Packet) -> None:
        if self._close is None:  # there is no session yet, so no frame is half written
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

    def unsent(self) -> int:
        return (len(self._half) if self._half else 0) + len(self._pong)

    # For the class that reads

    @property
    def is_answered(self) -> bool:
        """Whether the handshake has been answered; before that no frame may be written."""
        return self.receiver is not None or self._close is not None

    def pong(self, frame: bytes) -> None:
        """Answer a ping."""
        if self._closed or not self.is_answered:
            return
        if self.paused:
            self._pong = frame
        else:
            self._transport.write(frame)

    def break_off(self, close: bytes, after_close: Callable[[], None]) -> None:
        """Close now. What waits is dropped, except the rest of a frame that is half written.

        Args:
            close: The close frame, or an empty one to send none. If one has been written, this is ignored.
            after_close: Called when everything has been handed to the transport, perhaps more than once.
        """
        behind = self.paused or self._transport.get_write_buffer_size() > 0
        if close and not self._closed:
            _hold_last_packet(self._transport)
        session = self._session
        if session is not None:
            if session.outbox:
                self.flush(session)  # a client that is not behind gets what was sent before
            self._core.slow_clients.settled(session)
        self._session = self._last_outbox = None
        self._pong = b""
        self._after_close = after_close
        if not self._closed:
            self._close = close
            self._write_on()
        if self._closed:
            after_close()
        if behind or not self._transport.is_closing():  # otherwise the connection is about to end
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
            elif outbox := self._last_outbox if self._session is None else self._session.outbox:
                data = self._take_frames(outbox)
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

    def _take_frames(self, outbox: list[Packet]) -> bytes:
        """Take frames out of an outbox: as many as make up one write, or one that is larger than that."""
        size = 0
        for count, packet in enumerate(outbox):
            size += len(packet.frame)
            if size > WRITE_SIZE:
                count = count or 1
                break
        else:
            count = len(outbox)
        taken = outbox[:count]
        del outbox[:count]
        if self._session is not None:
            self._core.slow_clients.took(self._session, taken)
        return taken[0].frame if count == 1 else b"".join([packet.frame for packet in taken])


def _hold_last_packet(transport: asyncio.Transport) -> None:
    """Have what is written last leave in one packet with the end of the stream, which follows soon.

    A packet of its own would cost a tenth of the time of a disconnection. If the end is late, the system
    sends what it has after 0.2 seconds. With TLS, which may wait for the client before it ends the stream,
    nothing is held.
    """
    if CORK is None or transport.is_closing() or transport.get_extra_info("sslcontext") is not None:
        return
    sock = transport.get_extra_info("socket")
    if sock is None:
        return
    try:
        # uvloop's own object would make a `socket.socket` each time, in Python.
        borrowed = socket.SocketType(socket.AF_INET, socket.SOCK_STREAM, 0, sock.fileno())
        try:
            borrowed.setsockopt(socket.IPPROTO_TCP, CORK, 1)
        finally:
            borrowed.detach()
    except OSError:
        pass  # not a connection over TCP

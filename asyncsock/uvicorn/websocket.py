"""A WebSocket on a connection of uvicorn's: its handshake, and what is read from it."""

from __future__ import annotations

import asyncio
import binascii
import hashlib
from collections.abc import Awaitable
from typing import Any

from websockets.frames import CloseCode

from ..engine.core import Core
from ..engine.elsewhere import SessionElsewhere
from ..engine.endpoint import Endpoint
from ..engine.errors import SessionTaken
from ..engine.frames import FrameReader
from ..engine.http import JSON, Headers, HTTPError, Request, status_line, unknown_session
from ..engine.limits import MESSAGE_SIZE
from ..engine.packet import Packet, in_base64
from ..engine.reasons import SERVER_DISCONNECT
from ..engine.session import Session
from ..engine.shutdown import SERVICE_RESTART
from ..engine.subprotocol import HEADER as OFFER
from ..engine.subprotocol import subprotocol
from ..engine.transports.base import SendingSession
from ..engine.transports.websocket import POLICY_VIOLATION
from ..engine.turns import SMALL_READ
from . import tunnel
from .frame_writer import FrameWriter

ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3


class UvicornWebSocket(FrameWriter, asyncio.Protocol):
    """A WebSocket on a connection of uvicorn's: the handshake, and what is read. `FrameWriter` writes.

    Attributes:
        stopped: Whether its session is not to be read.
    """

    __slots__ = ("_connections", "_ended", "_frames", "_waits", "stopped")

    def __init__(self, core: Core, transport: asyncio.Transport, connections: set[Any]) -> None:
        super().__init__(core, transport)
        self._connections = connections
        self._frames = FrameReader(core.terms.max_payload)
        self._waits = False  # whether the socket is not read, because earlier input waits for its turn
        self._ended = False  # whether the connection has ended before that input was read
        self.stopped = False
        connections.add(self)

    # asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        if self._after_close is not None:
            return
        if self._core.counts_bytes:
            self._core.bytes_received += len(data)
        if len(data) <= SMALL_READ and self.receiver is not None:
            text = self._frames.only_text(data)
            if text is not None:
                self.receiver.receive(text)
                return
        if len(data) > SMALL_READ and self._core.turns.are_awaited and self._frames.is_empty:
            self._frames.hold(data)
            self._wait()
        elif self._frames.feed(data, self):
            self._wait()

    def eof_received(self) -> bool:
        """The client sends no more; return True to keep the connection open until all is written."""
        if not self.is_answered:
            return False
        if self._frames.holds:
            self._ended = True  # after what it has sent
        else:
            self._end_input()
        return not self._closed and self._transport.can_write_eof()

    def _end_input(self) -> None:
        if self._after_close is None:
            self.end("", CloseCode.ABNORMAL_CLOSURE, b"")
        self._after_close = self._transport.close

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self)
        if self._frames.holds and not self.stopped:
            self._ended = True  # when what it has sent is read
            self.paused = True  # so that nothing is written
        else:
            self._lose()

    def _lose(self) -> None:
        self._core.closing_clients.gone(self)
        if self._session is not None:
            self._core.slow_clients.settled(self._session)
        self.lost()
        self._session = None

    # Reader

    def stop_reading(self) -> None:
        self.stopped = True
        self._wait()

    def _wait(self) -> None:
        """Leave the socket unread until it is this client's turn."""
        if self._waits:
            return
        self._waits = True
        if not self._transport.is_closing():
            self._transport.pause_reading()
        if self.stopped and self._session is not None and not self._ended:
            self._session.wait(self)
        else:
            self._core.turns.add(self)

    def take_turn(self) -> None:
        """Read on: a slice of what is held, or from the socket."""
        session = self._session
        if session is not None and session.stopped:
            if self._ended and self._transport.is_closing():
                self._lose()  # the client has gone, and too much of what it has sent is unfinished
            else:
                session.wait(self)
            return
        self._waits = self.stopped = False
        if self._after_close is None and self._frames.go_on(self):
            self._wait()
        if not self._waits:
            self._read_socket()

    def _read_socket(self) -> None:
        closing = self._transport.is_closing()
        if self._ended and closing:
            self._lose()
        elif self._ended:
            self._end_input()
        elif not closing:
            self._transport.resume_reading()

    def shutdown(self) -> None:
        """Called by uvicorn when it stops."""
        if isinstance(self.receiver, Session):
            self.receiver.close(SERVER_DISCONNECT, SERVICE_RESTART)
        else:
            self.close(SERVICE_RESTART)

    # Handshake

    def handshake(self, endpoint: Endpoint, request: Request, key: bytes) -> None:
        """Answer the request that asks for this WebSocket.

        Args:
            endpoint: Accepts or refuses requests.
            request: The request.
            key: What `accept_key` has returned for it.
        """
        try:
            agreed = _agreed(request, key)
            upgrade = endpoint.upgrade(request, self)
            if upgrade is not None:
                self.receiver = upgrade
                self._transport.write(_switching(agreed))
                return
            session, connecting = endpoint.connect(request)
            if connecting is None:
                self._accept(endpoint, agreed, session)
            else:
                accepting = self._accept_later(endpoint, agreed, request, session, connecting)
                self._core.tasks.spawn(accepting, session)
        except SessionTaken:
            self._transport.write(_switching(agreed))
            self.close(POLICY_VIOLATION)
        except SessionElsewhere as elsewhere:
            self._tunnel(endpoint, request, key, elsewhere)
        except HTTPError as error:
            self._reject(endpoint, request, error)

    def _tunnel(self, endpoint: Endpoint, request: Request, key: bytes, elsewhere: SessionElsewhere) -> None:
        """Leave the WebSocket to the owner of its session."""
        try:
            connection = elsewhere.owner.open_websocket(request, elsewhere.sid, key)
        except OSError:
            self._reject(endpoint, request, unknown_session())
            return
        self._connections.discard(self)
        self._transport.pause_reading()
        self._core.tasks.spawn(tunnel.connect(self._transport, connection, self._connections))

    async def _accept_later(
        self,
        endpoint: Endpoint,
        agreed: Headers,
        request: Request,
        session: Session,
        connecting: Awaitable[None],
    ) -> None:
        try:
            await connecting
        except HTTPError as error:
            self._reject(endpoint, request, error)
        else:
            self._accept(endpoint, agreed, session)

    def _accept(self, endpoint: Endpoint, agreed: Headers, session: Session) -> None:
        gone = self._transport.is_closing()  # the client left while its connect handler ran
        if gone:
            self.paused = True  # so that nothing is written
        else:
            head = _switching(agreed + endpoint.answers.cookie_headers(session.sid))
            self._transport.write(head + endpoint.open_packet(session, self).frame)
        self.attach(session)
        self._core.opened(session, self)
        if gone:
            self.connection_lost(None)

    def _reject(self, endpoint: Endpoint, request: Request, error: HTTPError) -> None:
        endpoint.answers.log_refusal(request, error)
        body = error.body
        lines = [
            b"Content-Type: " + JSON,
            b"Content-Length: %d" % len(body),
            b"Connection: close",
        ]
        if not self._transport.is_closing():  # the client may have left while its connect handler ran
            self._transport.write(status_line(error.status) + _head(lines) + body)
            self._transport.close()

    def attach(self, session: Session) -> None:
        super().attach(session)
        self._frames.limit = session.terms.max_payload
        if session.stopped:
            self.stop_reading()

    # FrameOwner

    def message(self, message: str | bytes) -> None:
        if self.receiver is not None:
            self.receiver.receive(message)
        elif self._close is not None:
            self._core.closing_clients.alive(self)
        else:
            self._transport.abort()  # a client may not send frames before its handshake is answered

    def end(self, error: str, code: int, answer: bytes) -> None:
        transport = self._transport
        if not self.is_answered:
            transport.abort()
            return
        # After an error, input is read and dropped until the client has closed: if the socket were closed
        # with unread input, the client could lose the close frame.
        self.break_off(answer, self._end_output if error else transport.close)
        if error and isinstance(self.receiver, Session):
            limit = MESSAGE_SIZE if code == CloseCode.MESSAGE_TOO_BIG else ""
            self.receiver.reject(error, code, limit)
        self.lost()

    def unfinished(self) -> int:
        return self._frames.unfinished

    def _end_output(self) -> None:
        transport = self._transport
        if transport.can_write_eof() and not transport.is_closing():
            transport.write_eof()


class Base64WebSocket(UvicornWebSocket):
    """A WebSocket whose client wants binary messages as text: they are converted when they are written."""

    __slots__ = ()

    def flush(self, session: SendingSession) -> None:
        if not self.paused:
            session.outbox = in_base64(session.outbox)
        super().flush(session)

    def resume_writing(self) -> None:
        if self._session is not None:
            self._session.outbox = in_base64(self._session.outbox)
        super().resume_writing()

    def finish(self, outbox: list[Packet], code: int, reason: str) -> None:
        super().finish(in_base64(outbox), code, reason)


def accept_key(method: str, headers: dict[bytes, bytes]) -> bytes | None:
    """The ``Sec-WebSocket-Accept`` of a valid handshake; None for another, which is left to uvicorn."""
    key = headers.get(b"sec-websocket-key", b"")
    if method != "GET" or headers.get(b"sec-websocket-version") != b"13":
        return None
    try:
        # Characters outside the alphabet are skipped, so a key that has any is too short when decoded.
        valid = len(key) == 24 and len(binascii.a2b_base64(key)) == 16
    except binascii.Error:
        return None
    return binascii.b2a_base64(hashlib.sha1(key + ACCEPT_GUID).digest(), newline=False) if valid else None


def _agreed(request: Request, key: bytes) -> Headers:
    """The headers that accept a handshake; raises HTTPError if it offers malformed subprotocols."""
    agreed = [(b"Sec-WebSocket-Accept", key)]
    if OFFER in request.headers:
        protocol = subprotocol(request.make_scope()["subprotocols"])
        if protocol is not None:
            agreed.append((b"Sec-WebSocket-Protocol", protocol.encode()))
    return agreed


def _switching(headers: Headers) -> bytes:
    lines = [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        *[name + b": " + value for name, value in headers],
    ]
    return _head(lines)


def _head(lines: list[bytes]) -> bytes:
    return b"\r\n".join(lines) + b"\r\n\r\n"

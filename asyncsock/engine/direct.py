"""The WebSocket of the direct door: Engine.IO spoken on a connection of uvicorn's."""

from __future__ import annotations

import asyncio
import binascii
import hashlib
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from .frames import FrameReader
from .http import JSON, Headers, HTTPError, Request, status_line
from .packet import Packet, in_base64
from .session import SERVER_DISCONNECT, Session, SessionTaken
from .shutdown import SERVICE_RESTART
from .subprotocol import HEADER as OFFER
from .subprotocol import subprotocol
from .websocket import POLICY_VIOLATION, WebSocketTransport

if TYPE_CHECKING:
    from .server import EngineServer

ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
WRITE_SIZE = 262_144  # bytes handed to the transport at once, so that progress shows on any transport


class DirectWebSocket(WebSocketTransport, asyncio.Protocol):
    """A WebSocket on a connection of uvicorn's."""

    __slots__ = (
        "_close_code",
        "_close_sent",
        "_connections",
        "_discarding",
        "_engine",
        "_frames",
        "_session",
        "_transport",
        "_unsent",
    )

    def __init__(self, engine: EngineServer, transport: asyncio.Transport, connections: set[Any]) -> None:
        super().__init__()
        self._engine = engine
        self._transport = transport
        self._connections = connections
        self._frames = FrameReader(engine.max_http_buffer_size)
        self._session: Session | None = None
        self._unsent: memoryview | None = None  # the rest of a large write
        self._close_code = 0
        self._close_sent = False
        self._discarding = False
        connections.add(self)

    # asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        if not self._discarding:
            self._frames.feed(data, self)

    def eof_received(self) -> None:
        pass

    def pause_writing(self) -> None:
        self.paused = True
        if self._session is not None:
            self._engine.stalls.watch(self._session)

    def resume_writing(self) -> None:
        self.resumed()
        if self._close_code:
            self._engine.endings.alive(self)
        self._continue()

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self)
        self._engine.endings.gone(self)
        if self._session is not None:
            self._engine.stalls.settled(self._session)
        self.lost()
        self._session = None

    def shutdown(self) -> None:
        """Called by uvicorn when it stops."""
        if isinstance(self.receiver, Session):
            self.receiver.close(SERVER_DISCONNECT, SERVICE_RESTART)
        else:
            self.close(SERVICE_RESTART)

    # Handshake

    def handshake(self, request: Request, key: bytes) -> None:
        """Answer the request that asks for this WebSocket.

        Args:
            request: The request.
            key: What `accept_key` says of it.
        """
        engine = self._engine
        endpoint = engine.endpoint
        try:
            agreed = _agreed(request, key)
            upgrade = endpoint.upgrade(request, self)
            if upgrade is not None:
                self.receiver = upgrade
                self._transport.write(_switching(agreed))
                return
            session, connecting = endpoint.connect(request)
            if connecting is None:
                self._accept(agreed, session)
            else:
                engine.spawn(self._accept_later(agreed, request, session, connecting), session.sid)
        except SessionTaken:
            self._transport.write(_switching(agreed))
            self.close(POLICY_VIOLATION)
        except HTTPError as error:
            self._reject(request, error)

    async def _accept_later(
        self, agreed: Headers, request: Request, session: Session, connecting: Awaitable[None]
    ) -> None:
        try:
            await connecting
        except HTTPError as error:
            self._reject(request, error)
        else:
            self._accept(agreed, session)

    def _accept(self, agreed: Headers, session: Session) -> None:
        engine = self._engine
        self.attach(session)
        head = _switching(agreed + engine.endpoint.cookie_headers(session))
        self._transport.write(head + engine.endpoint.open_packet(session, self).frame)
        engine.session_opened(session, self)
        if self._transport.is_closing():  # the client left while its connect handler ran
            self.lost()

    def _reject(self, request: Request, error: HTTPError) -> None:
        self._engine.endpoint.log_refusal(request, error)
        body = error.body
        lines = [
            b"Content-Type: " + JSON,
            b"Content-Length: %d" % len(body),
            b"Connection: close",
        ]
        self._transport.write(status_line(error.status) + _head(lines) + body)
        self._transport.close()

    # Reading: FrameReader's owner

    def message(self, message: str | bytes) -> None:
        if self.receiver is not None:
            self.receiver.receive(message)
        elif self._close_code:
            self._engine.endings.alive(self)

    def answer(self, data: bytes) -> None:
        if not self._close_sent:
            self._transport.write(data)

    def end(self, error: str, code: int) -> None:
        self._close_sent = True
        if error:
            if isinstance(self.receiver, Session):
                self.receiver.reject(error, code)
            self._drop_input()
        else:
            self._transport.close()
        self.lost()

    def _drop_input(self) -> None:
        """Read until the client has closed: closing with input unread would take back the close frame."""
        self._discarding = True
        self._engine.endings.closing(self)
        if self._transport.can_write_eof():
            self._transport.write_eof()

    # Writing: Transport

    def attach(self, session: Session) -> None:
        self.receiver = self._session = session
        self._frames.limit = session.terms.max_payload

    def flush(self, session: Session) -> None:
        if self.paused:
            return
        outbox = session.outbox
        if len(outbox) == 1:
            data = outbox.pop().frame
        else:
            data = b"".join([packet.frame for packet in outbox])
            outbox.clear()
        if len(data) <= WRITE_SIZE:
            self._transport.write(data)
        else:
            self._write_large(memoryview(data))

    def finish(self, outbox: list[Packet], code: int, reason: str) -> None:
        self._session = None
        if outbox:
            left = [self._unsent or b"", *[packet.frame for packet in outbox]]
            self._unsent = memoryview(b"".join(left))
        self.close(code)

    def send_now(self, packet: Packet) -> None:
        self._transport.write(packet.frame)

    def close(self, code: int) -> None:
        if not self._close_code:
            self.receiver = None
            self._close_code = code
            self._engine.endings.closing(self)
            self._continue()

    def abort(self) -> None:
        self.receiver = None
        self._transport.abort()

    def unfinished(self) -> int:
        return self._frames.unfinished

    def backlog(self, session: Session) -> int:
        return (len(self._unsent) if self._unsent else 0) + super().backlog(session)

    def _write_large(self, data: memoryview) -> None:
        position = 0
        while position < len(data) and not self.paused:
            self._transport.write(data[position : position + WRITE_SIZE])
            position += WRITE_SIZE
        self._unsent = data[position:] or None

    def _continue(self) -> None:
        """Write what was left when the client had not read enough, then what has come since."""
        if self._unsent:
            self._write_large(self._unsent)
        session = self._session
        if session is not None and session.outbox and not self.paused:
            self.flush(session)
        if self.paused or self._close_sent:
            return
        if session is not None:
            self._engine.stalls.settled(session)
        if self._close_code:
            self._close_sent = True
            self._transport.write(b"\x88\x02" + self._close_code.to_bytes(2, "big"))


class Base64WebSocket(DirectWebSocket):
    """One whose client wants binary messages as text: they get this form when its outbox is written."""

    __slots__ = ()

    def flush(self, session: Session) -> None:
        if not self.paused:
            session.outbox = in_base64(session.outbox)
        super().flush(session)

    def finish(self, outbox: list[Packet], code: int, reason: str) -> None:
        super().finish(in_base64(outbox), code, reason)


def accept_key(method: str, headers: dict[bytes, bytes]) -> bytes | None:
    """The answer to a handshake that we can take; None for one that uvicorn's class had better judge."""
    key = headers.get(b"sec-websocket-key", b"")
    if method != "GET" or headers.get(b"sec-websocket-version") != b"13":
        return None
    try:
        # Characters outside the alphabet are skipped, so that a key with any comes out too short.
        valid = len(key) == 24 and len(binascii.a2b_base64(key)) == 16
    except binascii.Error:
        return None
    return binascii.b2a_base64(hashlib.sha1(key + ACCEPT_GUID).digest(), newline=False) if valid else None


def _agreed(request: Request, key: bytes) -> Headers:
    """What the answer to a handshake agrees to; raises HTTPError where that cannot be."""
    names = request.make_scope()["subprotocols"] if OFFER in request.headers else []
    protocol = subprotocol(names)
    accept = [(b"Sec-WebSocket-Accept", key)]
    return accept if protocol is None else [*accept, (b"Sec-WebSocket-Protocol", protocol.encode())]


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

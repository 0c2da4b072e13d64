"""The direct door: Engine.IO WebSockets spoken straight on uvicorn's connections, without ASGI between.

uvicorn hands a connection that asks for a WebSocket to a protocol class named in its configuration.
Where that is its default one and the application it serves is ours and nothing else, `install` puts
ours there. It needs no task and no queue per connection, and writes a broadcast's one frame to each
transport. WebSockets on other paths are handed on to uvicorn's own class.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import copy
import hashlib
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

from .frames import FrameReader
from .http import ASGI, JSON, Headers, HTTPError, Request, Scope, Send
from .packet import Packet
from .session import SERVER_DISCONNECT, Session, SessionTaken
from .websocket import POLICY_VIOLATION, WebSocketTransport

if TYPE_CHECKING:
    from .server import EngineServer

ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
WRITE_SIZE = 262_144  # bytes handed to the transport at once, so that progress shows on any transport
SERVICE_RESTART = 1012


def install(engine: EngineServer, app: ASGI, send: Send, owns: Callable[[Scope], bool]) -> str:
    """Install the direct door if the server that started `app` is a uvicorn that it fits.

    Args:
        engine: The server to connect sessions to.
        app: The ASGI application that was started.
        send: The ``send`` of its lifespan.
        owns: Whether a scope belongs to the engine.

    Returns:
        Which door is in use, in words.
    """
    config = getattr(getattr(send, "__self__", None), "config", None)
    try:
        from uvicorn import __version__
        from uvicorn.config import Config
        from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
        from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
    except ImportError:
        return "plain ASGI (no suitable uvicorn)"
    if not isinstance(config, Config):
        return "plain ASGI (the server is not uvicorn)"
    if config.ws_protocol_class is not WebSocketsSansIOProtocol:
        return "plain ASGI (uvicorn's default WebSocket class is not in use)"
    proxy_headers: ProxyHeadersMiddleware | None = None
    served: Any = config.loaded_app
    if type(served) is ProxyHeadersMiddleware:
        proxy_headers = copy.copy(served)
        proxy_headers.app = _nothing
        served = served.app
    if served is not app:
        return "plain ASGI (the application is wrapped)"
    door = DirectDoor(engine, config, owns, proxy_headers, WebSocketsSansIOProtocol)
    config.ws_protocol_class = door.protocol  # type: ignore[assignment]
    if config.timeout_graceful_shutdown is not None:
        engine.shutdown_grace = float(config.timeout_graceful_shutdown)
    return f"direct (uvicorn {__version__})"


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    pass


class DirectDoor:
    """What the connections of one uvicorn server share."""

    def __init__(
        self,
        engine: EngineServer,
        config: Any,
        owns: Callable[[Scope], bool],
        proxy_headers: Any,
        fallback: Callable[..., asyncio.Protocol],
    ) -> None:
        self.engine = engine
        self._config = config
        self._owns = owns
        self._proxy_headers = proxy_headers
        self._fallback = fallback

    def protocol(
        self, config: Any, server_state: Any, app_state: dict[str, Any], **_: Any
    ) -> asyncio.Protocol:
        """Make the protocol of one connection, as uvicorn calls its WebSocket class."""
        return DirectWebSocket(self, server_state, app_state)

    def scope(self, request: bytes, transport: asyncio.Transport, state: dict[str, Any]) -> Scope | None:
        """The ASGI scope of an upgrade request as uvicorn passes it on; None if it is not for the engine."""
        first, *lines = request[:-4].split(b"\r\n")
        method, target, _ = first.split(b" ")
        path, _, query = target.partition(b"?")
        root_path: str = self._config.root_path
        ssl = transport.get_extra_info("sslcontext") is not None
        scope: Scope = {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method.decode("latin-1"),
            "scheme": "wss" if ssl else "ws",
            "server": _address(transport.get_extra_info("sockname")),
            "client": _address(transport.get_extra_info("peername")),
            "root_path": root_path,
            "path": root_path + unquote(path.decode("latin-1")),
            "raw_path": root_path.encode() + path,
            "query_string": query,
            "headers": [(name, value) for name, _, value in [line.partition(b": ") for line in lines]],
            "subprotocols": [],
            "state": state.copy(),
        }
        if self._proxy_headers is not None:
            # uvicorn's own middleware, run by hand: it awaits nothing but the application it wraps.
            try:
                self._proxy_headers(scope, None, None).send(None)
            except StopIteration:
                pass
        return scope if self._owns(scope) else None

    def hand_over(
        self, state: Any, app_state: dict[str, Any], transport: asyncio.Transport, data: bytes
    ) -> asyncio.Protocol:
        """Let uvicorn's own class serve a connection, and return the protocol that does."""
        protocol: Any = self._fallback(config=self._config, server_state=state, app_state=app_state)
        protocol.connection_made(transport)
        protocol.data_received(data)
        # uvicorn sets its choice once this returns; nothing is read before the next tick.
        asyncio.get_running_loop().call_soon(transport.set_protocol, protocol)
        return cast("asyncio.Protocol", protocol)


class DirectWebSocket(WebSocketTransport, asyncio.Protocol):
    """A WebSocket on a connection of uvicorn's."""

    __slots__ = (
        "_close_code",
        "_close_sent",
        "_connections",
        "_discarding",
        "_door",
        "_frames",
        "_session",
        "_setup",
        "_successor",
        "_transport",
        "_unsent",
    )

    _transport: asyncio.Transport

    def __init__(self, door: DirectDoor, server_state: Any, app_state: dict[str, Any]) -> None:
        super().__init__()
        self._door = door
        self._connections = server_state.connections
        self._setup: tuple[Any, dict[str, Any]] | None = (server_state, app_state)  # until the handshake
        self._frames = FrameReader(door.engine.max_http_buffer_size)
        self._session: Session | None = None
        self._unsent: memoryview | None = None  # the rest of a large write
        self._close_code = 0
        self._close_sent = False
        self._discarding = False
        self._successor: asyncio.Protocol | None = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are not of that class

    def data_received(self, data: bytes) -> None:
        if self._setup is not None:
            self._handshake(data)
        elif not self._discarding:
            self._frames.feed(data, self)

    def eof_received(self) -> None:
        pass

    def pause_writing(self) -> None:
        self.paused = True
        if self._session is not None:
            self._door.engine.stalls.watch(self._session)

    def resume_writing(self) -> None:
        self.resumed()
        if self._close_code:
            self._door.engine.endings.alive(self)
        self._continue()

    def connection_lost(self, error: Exception | None) -> None:
        if self._successor is not None:  # it closed the connection before it was set
            self._successor.connection_lost(error)
            return
        self._connections.discard(self)
        self._door.engine.endings.gone(self)
        if self._session is not None:
            self._door.engine.stalls.settled(self._session)
        self.lost()
        self._session = None

    def shutdown(self) -> None:
        """Called by uvicorn when it stops."""
        if isinstance(self.receiver, Session):
            self.receiver.close(SERVER_DISCONNECT, SERVICE_RESTART)
        else:
            self.close(SERVICE_RESTART)

    # Handshake

    def _handshake(self, data: bytes) -> None:
        assert self._setup is not None
        (state, app_state), self._setup = self._setup, None
        scope = self._door.scope(data, self._transport, app_state)
        request = Request(scope) if scope is not None else None
        key = _accept_key(request) if request is not None else None
        if request is None or key is None:
            self._successor = self._door.hand_over(state, app_state, self._transport, data)
            return
        self._connections.add(self)
        engine = self._door.engine
        endpoint = engine.endpoint
        try:
            upgrade = endpoint.upgrade(request, self)
            if upgrade is not None:
                self.receiver = upgrade
                self._transport.write(_switching(key, []))
                return
            session, connecting = endpoint.connect(request)
            if connecting is None:
                self._accept(key, session)
            else:
                engine.spawn(self._accept_later(key, request, session, connecting), session.sid)
        except SessionTaken:
            self._transport.write(_switching(key, []))
            self.close(POLICY_VIOLATION)
        except HTTPError as error:
            self._reject(request, error)

    async def _accept_later(
        self, key: bytes, request: Request, session: Session, connecting: Awaitable[None]
    ) -> None:
        try:
            await connecting
        except HTTPError as error:
            self._reject(request, error)
        else:
            self._accept(key, session)

    def _accept(self, key: bytes, session: Session) -> None:
        engine = self._door.engine
        self.attach(session)
        head = _switching(key, engine.endpoint.cookie_headers(session))
        self._transport.write(head + engine.endpoint.open_packet(session, self).frame)
        engine.session_opened(session, self)
        if self._transport.is_closing():  # the client left while its connect handler ran
            self.lost()

    def _reject(self, request: Request, error: HTTPError) -> None:
        self._door.engine.endpoint.log_refusal(request, error)
        body = error.body
        lines = [
            b"HTTP/1.1 %d %s" % (error.status, HTTPStatus(error.status).phrase.encode()),
            b"Content-Type: " + JSON,
            b"Content-Length: %d" % len(body),
            b"Connection: close",
        ]
        self._transport.write(_head(lines) + body)
        self._transport.close()

    # Reading: FrameReader's owner

    def message(self, message: str | bytes) -> None:
        if self.receiver is not None:
            self.receiver.receive(message)
        elif self._close_code:
            self._door.engine.endings.alive(self)

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
        self._door.engine.endings.closing(self)
        if self._transport.can_write_eof():
            self._transport.write_eof()

    # Writing: Transport

    def attach(self, session: Session) -> None:
        self.receiver = self._session = session

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
            self._door.engine.endings.closing(self)
            self._continue()

    def abort(self) -> None:
        self.receiver = None
        self._transport.abort()

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
            self._door.engine.stalls.settled(session)
        if self._close_code:
            self._close_sent = True
            self._transport.write(b"\x88\x02" + self._close_code.to_bytes(2, "big"))


def _accept_key(request: Request) -> bytes | None:
    """The answer to a handshake that we can take; None for one that uvicorn's class had better judge."""
    key = request.headers.get(b"sec-websocket-key", b"")
    if request.method != "GET" or request.headers.get(b"sec-websocket-version") != b"13":
        return None
    try:
        valid = len(key) == 24 and len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return None
    return base64.b64encode(hashlib.sha1(key + ACCEPT_GUID).digest()) if valid else None


def _switching(key: bytes, headers: Headers) -> bytes:
    lines = [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + key,
        *[name + b": " + value for name, value in headers],
    ]
    return _head(lines)


def _head(lines: list[bytes]) -> bytes:
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _address(info: Any) -> tuple[str, int] | None:
    if isinstance(info, (tuple, list)) and len(info) >= 2:
        return str(info[0]), int(info[1])
    return None

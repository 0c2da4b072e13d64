"""The session of one client, over any transport."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

from .environ import build_environ
from .errors import BadPacket
from .http import Scope
from .outbox import Outboxes
from .packet import Packet
from .payload import decode_binary
from .reasons import CLIENT_DISCONNECT, TRANSPORT_ERROR
from .terms import Terms
from .transports.base import HOLDING, NO_TRANSPORT, Transport


class TakesMessages(Protocol):
    """What a session needs of the application."""

    def message(self, session: Session, message: str | bytes) -> None:
        """Take a message; see `Application`."""


class SessionCore(Protocol):
    """What a session needs of `Core`."""

    terms: Terms
    outboxes: Outboxes
    logger: logging.Logger

    @property
    def application(self) -> TakesMessages:
        """What gets the messages."""

    def ended(self, session: Session, reason: str) -> None:
        """A session has ended."""


class PendingUpgrade(Protocol):
    """What a session needs of a WebSocket that asks to replace its polling transport."""

    def cancel(self) -> None:
        """The session has ended."""


class Session:
    """A client's connection to the engine.

    It has no lock: only the thread of its event loop may use it, and other threads hand their work to that
    loop. It ends once; what the client or the application sends later is dropped.

    Attributes:
        core: What the sessions of its server share.
        sid: The session id.
        terms: The times and limits that the client was told.
        transport: What sends its packets now.
        outbox: Packets that the transport has not taken yet.
        is_open: Whether the session has been accepted and has not ended.
        heard: Whether anything has arrived since the last ping.
        user_session: What `EngineServer.save_session` stores, or None.
    """

    __slots__ = (
        "_environ",
        "_make_scope",
        "core",
        "heard",
        "is_open",
        "outbox",
        "outboxes",
        "sid",
        "terms",
        "transport",
        "upgrade",
        "user_session",
    )

    def __init__(
        self,
        core: SessionCore,
        sid: str,
        environ: dict[str, Any] | None = None,
        make_scope: Callable[[], Scope] = dict,
    ) -> None:
        self.core = core
        self.sid = sid
        self.terms = core.terms
        self._environ = environ
        self._make_scope = make_scope
        self.transport: Transport = HOLDING
        self.outboxes = core.outboxes
        self.outbox: list[Packet] = []
        self.is_open = False
        self.heard = False
        self.upgrade: PendingUpgrade | None = None
        self.user_session: Any = None

    @property
    def environ(self) -> dict[str, Any]:
        """The WSGI environ of the request that opened the session, built at its first use."""
        if self._environ is None:
            self._environ = build_environ(self._make_scope())
        return self._environ

    @environ.setter
    def environ(self, environ: dict[str, Any]) -> None:
        self._environ = environ

    def start(self, transport: Transport) -> None:
        """Open the session on a transport that has sent the ``open`` packet."""
        self.transport = transport
        self.is_open = True
        if self.outbox:
            transport.flush(self)

    def put(self, packet: Packet) -> None:
        """Send a packet with the others of this tick."""
        self.outboxes.put(self, packet)

    def receive(self, message: str | bytes) -> None:
        """Handle one text packet or binary message from the client."""
        if not self.is_open:
            return
        self.heard = True
        kind = message[:1]
        if kind == "4" or isinstance(message, bytes):
            try:
                self.core.application.message(self, message)
            except BadPacket as error:
                self.reject(str(error))
            except Exception:
                self.core.logger.exception("error in the message handler")
        elif kind == "3":
            self.terms.heartbeat.pong(self)
        elif kind == "1":
            self.close(CLIENT_DISCONNECT)
        elif kind == "b":
            self._receive_base64(message)
        elif kind not in ("0", "5", "6"):  # open, upgrade and noop packets are ignored
            self.reject(f"unexpected packet {message[:20]!r}")

    def _receive_base64(self, message: str) -> None:
        try:
            data = decode_binary(message)
        except ValueError as error:
            self.reject(f"a binary message that is not base64: {error}")
        else:
            self.receive(data)

    def reject(self, error: str, code: int = 1002) -> None:
        """Close the session because of something the client sent, with one log line."""
        if self.is_open:
            self.core.logger.warning("session %s closed: %s", self.sid, error)
            self.close(TRANSPORT_ERROR, code)

    def close(self, reason: str, code: int = 1000) -> None:
        """End the session: what is in the outbox is still sent, then the transport is closed."""
        if self._end(reason):
            transport, self.transport = self.transport, NO_TRANSPORT
            outbox, self.outbox = self.outbox, []
            transport.finish(outbox, code, reason)

    def cut(self, reason: str) -> None:
        """End the session and drop its connection and what has not been sent."""
        if self._end(reason):
            transport, self.transport = self.transport, NO_TRANSPORT
            transport.abort()

    def transport_lost(self, reason: str) -> None:
        """End the session because its connection is gone."""
        if self._end(reason):
            self.transport = NO_TRANSPORT

    def forget(self) -> None:
        """End the session because its event loop has ended: nothing is sent, and nobody is told."""
        self.is_open = False
        self.transport = NO_TRANSPORT

    def _end(self, reason: str) -> bool:
        if not self.is_open:
            return False
        self.is_open = False
        if self.upgrade is not None:
            self.upgrade.cancel()
        self.core.ended(self, reason)
        return True

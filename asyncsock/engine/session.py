"""The session of one client, over any transport."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

from .environ import build_environ
from .errors import BadPacket
from .event_rate import EventRate
from .http import Scope
from .limits import Limits
from .log import printable
from .log_lines import LINES_OF_ADDRESS, LogLines
from .outbox import Outboxes
from .packet import PING, Packet
from .payload import decode_binary
from .reasons import CLIENT_DISCONNECT, TRANSPORT_ERROR
from .terms import Terms
from .transports.base import HOLDING, NO_TRANSPORT, Transport
from .turns import Reader, Turns


class TakesMessages(Protocol):
    """What a session needs of the application."""

    def message(self, session: Session, message: str | bytes) -> None:
        """Take a message; see `Application`."""


class SessionCore(Protocol):
    """What a session needs of `Core`."""

    terms: Terms
    limits: Limits
    outboxes: Outboxes
    turns: Turns
    logger: logging.Logger
    log_lines: LogLines

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
        unanswered: How many pings its client has not answered.
        pinged_at: When the heartbeat last sent one, on the loop's clock; 0 before the first one.
        confirmed_at: The same when all had been answered: the client has got what was sent before.
        unfinished: How many tasks run for what its client has sent.
        behind: Whether its client has left more unread than it may, and reads none of it.
        stopped: Whether its client is not read: it has too much unfinished or unread, or has sent too much.
        user_session: What `EngineServer.save_session` stores, or None.
    """

    __slots__ = (
        "_environ",
        "_make_scope",
        "_rate",
        "_waiting",
        "behind",
        "confirmed_at",
        "core",
        "heard",
        "is_open",
        "outbox",
        "outboxes",
        "pinged_at",
        "sid",
        "stopped",
        "terms",
        "transport",
        "unanswered",
        "unfinished",
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
        self.unanswered = self.unfinished = 0
        self.pinged_at = self.confirmed_at = 0.0
        self.behind = self.stopped = False
        most = core.limits.max_events_per_second
        self._rate = EventRate(core.limits, most) if most is not None else None
        self._waiting: tuple[Reader, ...] = ()
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

    @property
    def address(self) -> str:
        """The address that the client has connected from; empty if that is not known."""
        client = self.scope.get("client")
        return client[0] if client else ""

    @property
    def scope(self) -> Scope:
        """The ASGI scope of the request that opened the session."""
        return self._make_scope()

    def start(self, transport: Transport) -> None:
        """Open the session on a transport that has sent the ``open`` packet."""
        self.transport = transport
        self.is_open = True
        if self.outbox:
            transport.flush(self)

    def put(self, packet: Packet) -> None:
        """Send a packet with the others of this tick."""
        self.outboxes.put(self, packet)

    def ping(self) -> None:
        """Ask the client for a sign of life."""
        self.unanswered += 1
        self.put(PING)

    def receive(self, message: str | bytes) -> None:
        """Handle one text packet or binary message from the client."""
        if not self.is_open:
            return
        self.heard = True
        kind = message[0] if message else ""
        if kind == "4" or isinstance(message, bytes):
            if self._rate is not None:
                self._rate.count(self)
            try:
                self.core.application.message(self, message)
            except BadPacket as error:
                self.reject(str(error))
            except BaseException as error:  # as in `Tasks`
                self.core.log_lines.error("error in the message handler", error)
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

    def stop(self) -> None:
        """Leave unread what the client sends, until `ready` finds that it may go on."""
        if not self.stopped and self.is_open:
            self.stopped = True
            self.transport.stop_reading()

    def wait(self, reader: Reader) -> None:
        """Give a reader its turn when the client may be read again, which it may not now."""
        self._waiting = (*self._waiting, reader)

    def ready(self) -> None:
        """Read on, unless the client still has too much unfinished or unread, or has sent too much."""
        if self.stopped and not (
            self.behind
            or self.unfinished >= self.core.limits.max_pending_events
            or (self._rate is not None and self._rate.is_exceeded)
        ):
            self._read_on()

    def _read_on(self) -> None:
        self.stopped = False
        waiting, self._waiting = self._waiting, ()
        for reader in waiting:
            self.core.turns.add(reader)

    def warn(self, logger: logging.Logger, text: str, *args: object) -> None:
        """Log something that the client has done, unless it has caused too many lines lately."""
        if self.core.log_lines.allow(self.sid):
            logger.warning(text, *args)

    def reject(self, error: str, code: int = 1002, limit: str = "") -> None:
        """Close the session because of something the client did, with one log line.

        Args:
            error: What is wrong.
            code: The code with which a WebSocket is closed.
            limit: The option that bounds it, if one does.
        """
        if self.is_open:
            if limit:
                self.core.limits.hits[limit] += 1
            if self.core.log_lines.allow(self.address, LINES_OF_ADDRESS):
                self.core.logger.warning("session %s closed: %s", self.sid, printable(error))
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
        if self.stopped:
            self._read_on()  # to the end, although what it sends is ignored
        if self.upgrade is not None:
            self.upgrade.cancel()
        self.core.ended(self, reason)
        return True

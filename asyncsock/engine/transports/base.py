"""The interfaces of a session and its transport to each other."""

from __future__ import annotations

import asyncio
from typing import Protocol

from ..packet import Packet


class SendingSession(Protocol):
    """What a transport and `SlowClients` need of a session."""

    sid: str
    outbox: list[Packet]
    is_open: bool
    behind: bool
    transport: Transport

    @property
    def address(self) -> str:
        """The address that its client has connected from."""

    def stop(self) -> None:
        """Leave unread what the client sends, because it is behind."""

    def ready(self) -> None:
        """Read on, if the client is not read because it was behind."""

    def cut(self, reason: str) -> None:
        """End the session and drop its connection."""


class Receiver(Protocol):
    """What takes the packets from a WebSocket: a session or a pending upgrade."""

    def receive(self, message: str | bytes) -> None:
        """Take one text packet or binary message."""

    def transport_lost(self, reason: str) -> None:
        """The connection is gone."""


class Transport:
    """How packets get to a client. Subclasses write them; the outbox belongs to the session."""

    __slots__ = ("_drained", "paused")
    name = ""

    def __init__(self) -> None:
        self.paused = False  # whether the client has not yet taken what was written last
        self._drained: asyncio.Future[None] | None = None

    @property
    def is_writable(self) -> bool:
        """Whether a packet would be sent at once."""
        return not self.paused

    def flush(self, session: SendingSession) -> None:
        """Send the session's outbox, or leave it and send it as soon as that is possible."""
        raise NotImplementedError

    def finish(self, outbox: list[Packet], code: int, reason: str) -> None:
        """Send what is left in the outbox of a session that has ended, then close.

        Args:
            outbox: The packets that were left in it.
            code: The WebSocket close code, where there is a WebSocket.
            reason: Why the session has ended.
        """
        raise NotImplementedError

    def abort(self) -> None:
        """Drop the connection and what has not been sent."""
        raise NotImplementedError

    def stop_reading(self) -> None:
        """Read no more from the client, until the session lets its readers go on: see `Session.wait`."""

    def unsent(self) -> int:
        """Bytes that wait for the client to read and are not in the outbox any more."""
        return 0

    def unfinished(self) -> int:
        """Bytes that have arrived of a message that is not whole yet, where that can be known."""
        return 0

    async def drain(self) -> None:
        """Wait until the client has taken enough of what was written, or is gone."""
        if self.paused:
            if self._drained is None:
                self._drained = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._drained)

    def resumed(self) -> None:
        """Note that the client reads again, or is gone."""
        self.paused = False
        if self._drained is not None:
            self._drained.set_result(None)
            self._drained = None


class NoTransport(Transport):
    """The transport of a session that has ended: it takes everything and sends nothing."""

    __slots__ = ()
    is_writable = False

    def flush(self, session: SendingSession) -> None:
        session.outbox.clear()

    def finish(self, outbox: list[Packet], code: int, reason: str) -> None:
        pass

    def abort(self) -> None:
        pass


class Holding(NoTransport):
    """The transport of a session whose connect handler still runs: everything stays in the outbox."""

    __slots__ = ()

    def flush(self, session: SendingSession) -> None:
        pass


NO_TRANSPORT = NoTransport()
HOLDING = Holding()

"""The heartbeat: who is pinged, and who has not answered."""

from __future__ import annotations

import asyncio
from typing import Protocol

from .deadlines import Deadlines
from .packet import Packet
from .reasons import PING_TIMEOUT
from .transports.base import Transport

# A pong waits behind the message that its client is sending. A message may take UPLOAD_TIME seconds, and one
# second more for each UPLOAD_RATE bytes, as with Apache's mod_reqtimeout.
UPLOAD_TIME = 60.0
UPLOAD_RATE = 500.0


class Pinged(Protocol):
    """What the heartbeat needs of a session."""

    transport: Transport
    heard: bool
    unanswered: int
    pinged_at: float
    confirmed_at: float
    stopped: bool
    outbox: list[Packet]

    def ping(self) -> None:
        """Send a ping."""

    def close(self, reason: str) -> None:
        """End the session."""


class Heartbeat:
    """Pings every session at an interval and closes those that stay silent (Engine.IO v4, "Heartbeat").

    A client whose message is arriving is not silent, as long as each timeout brings more of it; nor is one
    that is not read.

    Args:
        interval: Seconds between a session's opening or last pong and the next ping.
        timeout: Seconds a client has to answer a ping.
    """

    def __init__(self, interval: float, timeout: float) -> None:
        self._pings: Deadlines[Pinged] = Deadlines(interval, self._ping)
        self._pongs: Deadlines[Pinged] = Deadlines(timeout, self._check)
        # Sessions whose pong waits behind a message: since when, and how many bytes of it have arrived.
        self._uploads: dict[Pinged, tuple[float, int]] = {}

    def start(self, session: Pinged) -> None:
        """Begin to ping a session that has just been opened."""
        self._pings.add(session)

    def pong(self, session: Pinged) -> None:
        """Note the answer to a ping; one that was not asked for is ignored."""
        if session.unanswered:
            session.unanswered -= 1
            if not session.unanswered:
                session.confirmed_at = session.pinged_at
        if self._pongs.discard(session):
            self._uploads.pop(session, None)
            self._pings.add(session)

    def end(self, session: Pinged) -> None:
        """Stop pinging a session that has ended."""
        self._pings.discard(session) or self._pongs.discard(session)
        self._uploads.pop(session, None)

    def stop(self) -> None:
        """Stop pinging all sessions."""
        self._pings.clear()
        self._pongs.clear()
        self._uploads.clear()

    def _ping(self, session: Pinged, deadline: float) -> None:
        session.heard = False
        session.ping()
        session.pinged_at = now = asyncio.get_running_loop().time()
        self._pongs.add(session, self._sent_at(deadline, now))

    def _sent_at(self, due: float, now: float) -> float:
        """When a ping counts as sent: when it was due, or now if it is so late that clients need time."""
        return due if now - due < self._pongs.delay / 10 else now

    def _check(self, session: Pinged, _deadline: float) -> None:
        if session.heard:  # busy with a long message rather than gone
            session.heard = False
            self._uploads.pop(session, None)
            self._pongs.add(session)
        elif self._may_have_answered(session) or self._is_uploading(session):
            session.ping()  # the client expects a ping in the meantime
            self._pongs.add(session)
        else:
            session.close(PING_TIMEOUT)

    def _may_have_answered(self, session: Pinged) -> bool:
        """Whether the client has taken the ping, as far as is known, and is not read."""
        return session.stopped and not session.outbox

    def _is_uploading(self, session: Pinged) -> bool:
        """Whether a message has been arriving since the last look, and not too slowly."""
        size = session.transport.unfinished()
        now = asyncio.get_running_loop().time()
        since, size_before = self._uploads.get(session, (now, 0))
        self._uploads[session] = since, size
        return size > size_before and now - since <= UPLOAD_TIME + size / UPLOAD_RATE

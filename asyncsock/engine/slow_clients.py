"""Clients that do not read what is sent to them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from operator import itemgetter

from .limits import Limits
from .log_lines import LINES_OF_ADDRESS, LogLines
from .packet import Packet, size_of
from .reasons import TRANSPORT_ERROR
from .transports.base import SendingSession

CHECK_INTERVAL = 0.25  # seconds
GRACE = 10.0  # seconds that a client has to take `PROGRESS` bytes of a backlog over the limit
SHORT_GRACE = 1.0  # the same for a backlog of HUGE times the limit, which would soon fill the memory
HUGE = 16
PROGRESS = 65_536
ONE, ALL = "max_buffered_bytes", "max_unread_bytes"


class SlowClients:
    """Cuts off clients whose backlog stays over a limit without shrinking.

    A client that reads a message larger than the limit, however slowly, is left alone: its backlog shrinks.
    A session is watched only while its transport waits for the client.

    With a limit on what all leave unread, those with the largest backlogs are cut off while it is passed.

    Args:
        limit: Bytes that a backlog may have.
        limits: Has the limit on all backlogs together, and counts the cuts.
        log_lines: How many cuts are logged, and where.

    Attributes:
        limit: Bytes that a backlog may have.
        total: Bytes that all clients together had left unread when they were looked at last.
    """

    def __init__(self, limit: int, limits: Limits, log_lines: LogLines) -> None:
        self.limit = limit
        self.total = 0
        self._limits = limits
        self._log_lines = log_lines
        self._watched: dict[SendingSession, Backlog | None] = {}  # None until the first look
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, session: SendingSession) -> None:
        """Begin to watch a session whose client has not taken what was written."""
        if session not in self._watched:
            self._watched[session] = None
            if self._timer is None:
                self._set_timer(self._watched)

    def took(self, session: SendingSession, packets: Sequence[Packet]) -> None:
        """Note that a transport has taken packets out of an outbox."""
        backlog = self._watched.get(session)
        if backlog is not None:
            backlog.took(packets)

    def settled(self, session: SendingSession) -> None:
        """Stop watching a session whose client has taken everything."""
        backlog = self._watched.pop(session, None)
        if backlog is not None:
            self.total -= backlog.size
            if session.behind:
                _note(session, behind=False)

    def stop(self) -> None:
        """Stop watching, and forget the event loop, which may be closed or another thread's."""
        self._watched = {}
        self._timer = None
        self.total = 0

    def _set_timer(self, watched: dict[SendingSession, Backlog | None]) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(CHECK_INTERVAL, self._check, loop.time, watched)

    def _check(self, clock: Callable[[], float], watched: dict[SendingSession, Backlog | None]) -> None:
        if watched is not self._watched:
            return  # `stop` was called since
        now = clock()
        for session in list(watched):
            if not session.is_open:
                self.settled(session)
            else:
                self._look(session, now)
        self._relieve()
        self._timer = None
        if watched:
            self._set_timer(watched)

    def _look(self, session: SendingSession, now: float) -> None:
        backlog = self._watched[session]
        if backlog is None:
            backlog = self._watched[session] = Backlog(now)
        before = backlog.size
        size = backlog.count(session)
        self.total += size - before
        if size <= self.limit or size <= backlog.low - PROGRESS:
            backlog.low, backlog.since = size, now
        elif now - backlog.since >= (GRACE if size < HUGE * self.limit else SHORT_GRACE):
            self._cut(session, size, ONE, self.limit)
            return
        _note(session, behind=size > self.limit and size >= before)

    def _relieve(self) -> None:
        """Cut off the clients with the largest backlogs until all together have no more than they may."""
        limit = self._limits.max_unread_bytes
        if limit is None or self.total <= limit:
            return
        sizes = [(backlog.size, session) for session, backlog in self._watched.items() if backlog is not None]
        for size, session in sorted(sizes, key=itemgetter(0), reverse=True):
            if self.total > limit and session in self._watched:
                self._cut(session, size, ALL, limit)

    def _cut(self, session: SendingSession, size: int, name: str, limit: int) -> None:
        total = self.total
        self.settled(session)
        self._limits.hits[name] += 1
        if self._log_lines.allow(session.address, LINES_OF_ADDRESS):
            self._log_lines.logger.warning(
                "session %s cut off: it left %d bytes unread, of %d by all clients; %s is %d",
                session.sid,
                size,
                total,
                name,
                limit,
            )
        session.cut(TRANSPORT_ERROR)


class Backlog:
    """What a client has not read: a running total, to which a look adds what is new.

    Attributes:
        size: Bytes, when they were counted last.
        low: The size from which it has to shrink.
        since: When it had that size, by the loop's clock.
    """

    __slots__ = ("_counted", "_in_outbox", "_outbox", "low", "since", "size")

    def __init__(self, now: float) -> None:
        self.size = 0
        self.low = sys.maxsize
        self.since = now
        self._outbox: list[Packet] = []
        self._counted = 0  # packets at the beginning of the outbox that have been counted
        self._in_outbox = 0  # bytes that they take

    def count(self, session: SendingSession) -> int:
        """Count what is new, or everything if the session has another outbox than before; return the size."""
        outbox = session.outbox
        if outbox is not self._outbox or len(outbox) < self._counted:
            self._outbox = outbox
            self._counted = self._in_outbox = 0
        self._in_outbox += size_of(outbox[self._counted :])
        self._counted = len(outbox)
        self.size = self._in_outbox + session.transport.unsent()
        return self.size

    def took(self, packets: Sequence[Packet]) -> None:
        """Subtract packets that have been taken from the beginning of the outbox."""
        counted = packets[: self._counted]
        self._counted -= len(counted)
        self._in_outbox -= size_of(counted)


def _note(session: SendingSession, *, behind: bool) -> None:
    """Tell a session whether its client has left too much unread and takes none of it."""
    if session.behind != behind:
        session.behind = behind
        if behind:
            session.stop()
        else:
            session.ready()

"""Clients that do not read what is sent to them."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable

from .reasons import TRANSPORT_ERROR
from .transports.base import SendingSession

CHECK_INTERVAL = 0.25  # seconds
GRACE = 10.0  # seconds that a backlog over the limit may fail to shrink
SHORT_GRACE = 1.0  # the same for a backlog of HUGE times the limit, which would soon fill the memory
HUGE = 16


class SlowClients:
    """Cuts off clients whose backlog stays over a limit without shrinking.

    A client that reads, however slowly, a message larger than the limit is left alone: its backlog
    reaches a new low at every look. A session is watched only while its transport waits for the client.

    Args:
        limit: Bytes that a backlog may have.
        logger: Where a cut is logged.

    Attributes:
        cut: How many clients have been cut off.
    """

    def __init__(self, limit: int, logger: logging.Logger) -> None:
        self.cut = 0
        self._limit = limit
        self._logger = logger
        self._watched: dict[SendingSession, tuple[int, float]] = {}  # the lowest backlog, and since when
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, session: SendingSession) -> None:
        """Begin to watch a session whose client has not taken what was written."""
        if session not in self._watched:
            loop = asyncio.get_running_loop()
            self._watched[session] = (sys.maxsize, loop.time())
            if self._timer is None:
                self._timer = loop.call_later(CHECK_INTERVAL, self._check, loop.time, self._watched)

    def settled(self, session: SendingSession) -> None:
        """Stop watching a session whose client has taken everything."""
        self._watched.pop(session, None)

    def stop(self) -> None:
        """Stop watching, and forget the event loop, which may be closed or another thread's."""
        self._watched = {}
        self._timer = None

    def _check(self, clock: Callable[[], float], watched: dict[SendingSession, tuple[int, float]]) -> None:
        if watched is not self._watched:
            return  # `stop` was called since
        now = clock()
        for session, (low, since) in list(self._watched.items()):
            backlog = session.transport.backlog(session)
            if not session.is_open:
                del self._watched[session]
            elif backlog <= self._limit or backlog < low:
                self._watched[session] = (backlog, now)
            elif now - since >= (GRACE if backlog < HUGE * self._limit else SHORT_GRACE):
                self._cut(session, backlog)
        self._timer = None
        if self._watched:
            self._timer = asyncio.get_running_loop().call_later(
                CHECK_INTERVAL, self._check, clock, self._watched
            )

    def _cut(self, session: SendingSession, backlog: int) -> None:
        del self._watched[session]
        self.cut += 1
        self._logger.warning("session %s cut off: it left %d bytes unread", session.sid, backlog)
        session.cut(TRANSPORT_ERROR)

"""What the sessions and transports of one server share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from .admission import Admission
from .application import Application
from .closing import ClosingClients
from .http import Scope
from .limits import Limits
from .outbox import Outboxes
from .proxies import Proxies
from .reasons import PING_TIMEOUT
from .session import Session
from .slow_clients import SlowClients
from .tally import Tally
from .tasks import Tasks, running_loop
from .terms import Terms
from .transports.base import Transport
from .turns import Turns


class Core:
    """The tables, limits, timers and event loop of one server, for its sessions and transports.

    It knows no server, and sessions and transports know this object only.

    Args:
        terms: The terms of new sessions. To change them, replace the object: open sessions keep theirs.
        limits: What clients may do.
        application: What is told about sessions and messages.
        tasks: The running handlers.
        logger: Where sessions are logged.
        max_buffered_bytes: Bytes that a client may leave unread.
        make_id: Makes the id of a session.

    Attributes:
        sessions: The sessions by id, from the request that asks for one until it ends.
        admission: Whether there may be one more.
        leaving: Ended sessions whose disconnect handler still runs, by id.
        loop: The event loop that the server runs on.
        opened_on: How many sessions have been opened, by their first transport.
        upgraded: How many of them have moved to a WebSocket.
        ended_by: How many have ended, by the reason.
        counts_bytes: Whether `count_bytes` was called.
        bytes_received: Bytes of frames of WebSockets, and of the bodies of polling requests, if they are
            counted.
        refused: Requests that were refused, by what was wrong with them.
        closing: Whether the server is stopping: new sessions are refused and events are not handled.
        process_name: What the ids of sessions begin with, if the server has several processes.
    """

    def __init__(
        self,
        terms: Terms,
        limits: Limits,
        application: Application,
        tasks: Tasks,
        logger: logging.Logger,
        max_buffered_bytes: int,
        make_id: Callable[[], str],
    ) -> None:
        self.terms = terms
        self.limits = limits
        self.application = application
        self.tasks = tasks
        self.logger = logger
        self.sessions: dict[str, Session] = {}
        self.admission = Admission(limits, self.sessions)
        self.leaving: dict[str, Session] = {}
        self.outboxes = Outboxes(self.follow_loop)
        self.turns = Turns()
        self.log_lines = tasks.log_lines
        self.slow_clients = SlowClients(max_buffered_bytes, limits, self.log_lines)
        self.closing_clients = ClosingClients(self.slow_clients)
        self.proxies = Proxies()
        self.opened_on = Tally()
        self.upgraded = self.bytes_received = 0
        self.counts_bytes = False
        self.ended_by = Tally()
        self.refused = Tally()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.closing = False
        self.process_name = ""
        self._make_id = make_id

    def count_bytes(self) -> None:
        """Count the bytes that come and go from now on, which takes two percent of an event."""
        self.counts_bytes = self.outboxes.counts_bytes = True

    # Sessions

    def add(self, environ: dict[str, Any] | None = None, make_scope: Callable[[], Scope] = dict) -> Session:
        """Make a session; `opened` opens it.

        Args:
            environ: The WSGI environ of the request that asks for the session, if there is one already.
            make_scope: Makes the ASGI scope of that request; the environ is built from it when needed.
        """
        session = Session(self, self.process_name + self._make_id(), environ, make_scope)
        self.sessions[session.sid] = session
        return session

    def opened(self, session: Session, transport: Transport) -> None:
        """Begin to serve a session whose ``open`` packet has been sent."""
        self.logger.info("session %s opened on %s", session.sid, transport.name)
        self.opened_on.add(transport.name)
        session.start(transport)
        session.terms.heartbeat.start(session)

    def remove(self, session: Session) -> None:
        """Forget a session that was refused or has ended, if it is not forgotten yet."""
        self.sessions.pop(session.sid, None)
        self.admission.removed(session.sid)

    def ended(self, session: Session, reason: str) -> None:
        """Forget a session and tell the application."""
        self.logger.info("session %s ended: %s", session.sid, reason)
        self.ended_by.add(reason)
        self.remove(session)
        session.terms.heartbeat.end(session)
        if reason == PING_TIMEOUT:
            self.limits.hits["ping_timeout"] += 1
        self.leaving[session.sid] = session
        ended = None
        try:
            ended = self.application.disconnect(session, reason)
        except BaseException as error:  # as in `Tasks`
            self.log_lines.error("error in the disconnect handler", error)
        if ended is None or ended.done():
            del self.leaving[session.sid]
        else:
            ended.add_done_callback(lambda _: self.leaving.pop(session.sid, None))

    # The event loop

    def follow_loop(self) -> asyncio.AbstractEventLoop | None:
        """Use the running event loop from now on, unless another loop, which still runs, has the sessions.

        If the previous loop has ended (test suites have one for each test), its sessions are forgotten: their
        connections, tasks and timers ended with it.

        Returns:
            The running event loop, or None.
        """
        loop = running_loop()
        before = self.loop
        if before is not loop and (before is None or not self.sessions or not before.is_running()):
            self.loop = loop
            if before is not None:
                self.closing = self.closing and before.is_running()
                self._forget_all()
        return loop

    def _forget_all(self) -> None:
        for session in (*self.sessions.values(), *self.leaving.values()):
            session.forget()
        self.sessions.clear()
        self.admission.clear()
        self.leaving.clear()
        self.tasks.clear()
        self.stop_watching()
        self.closing_clients.clear()
        self.outboxes.clear()
        self.turns.clear()
        self.application.left_loop()

    def stop_watching(self) -> None:
        """Stop pinging clients and cutting off those that do not read."""
        self.terms.heartbeat.stop()
        self.slow_clients.stop()

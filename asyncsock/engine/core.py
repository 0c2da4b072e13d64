"""What the sessions and transports of one server share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from .application import Application
from .closing import ClosingClients
from .http import Scope
from .outbox import Outboxes
from .session import Session
from .slow_clients import SlowClients
from .tasks import Tasks, running_loop
from .terms import Terms
from .transports.base import Transport


class Core:
    """The tables, limits, timers and event loop of one server, for its sessions and transports.

    It knows no server, and sessions and transports know this object only.

    Args:
        terms: The terms of new sessions. To change them, replace the object: open sessions keep theirs.
        application: What is told about sessions and messages.
        tasks: The running handlers.
        logger: Where sessions are logged.
        max_buffered_bytes: Bytes that a client may leave unread.
        make_id: Makes the id of a session.

    Attributes:
        sessions: The sessions by id, from the request that asks for one until it ends.
        leaving: Ended sessions whose disconnect handler still runs, by id.
        loop: The event loop that the server runs on.
        closing: Whether the server is stopping: new sessions are refused and events are not handled.
    """

    def __init__(
        self,
        terms: Terms,
        application: Application,
        tasks: Tasks,
        logger: logging.Logger,
        max_buffered_bytes: int,
        make_id: Callable[[], str],
    ) -> None:
        self.terms = terms
        self.application = application
        self.tasks = tasks
        self.logger = logger
        self.sessions: dict[str, Session] = {}
        self.leaving: dict[str, Session] = {}
        self.outboxes = Outboxes(self.follow_loop)
        self.slow_clients = SlowClients(max_buffered_bytes, logger)
        self.closing_clients = ClosingClients()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.closing = False
        self._make_id = make_id

    # Sessions

    def add(self, environ: dict[str, Any] | None = None, make_scope: Callable[[], Scope] = dict) -> Session:
        """Make a session; `opened` opens it.

        Args:
            environ: The WSGI environ of the request that asks for the session, if there is one already.
            make_scope: Makes the ASGI scope of that request; the environ is built from it when needed.
        """
        session = Session(self, self._make_id(), environ, make_scope)
        self.sessions[session.sid] = session
        return session

    def opened(self, session: Session, transport: Transport) -> None:
        """Begin to serve a session whose ``open`` packet has been sent."""
        self.logger.info("session %s opened on %s", session.sid, transport.name)
        session.start(transport)
        session.terms.heartbeat.start(session)

    def ended(self, session: Session, reason: str) -> None:
        """Forget a session and tell the application."""
        self.logger.info("session %s ended: %s", session.sid, reason)
        del self.sessions[session.sid]
        session.terms.heartbeat.end(session)
        self.leaving[session.sid] = session
        ended = None
        try:
            ended = self.application.disconnect(session, reason)
        except Exception:
            self.logger.exception("error in the disconnect handler")
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
        self.leaving.clear()
        self.tasks.clear()
        self.stop_watching()
        self.closing_clients.clear()
        self.outboxes.clear()
        self.application.left_loop()

    def stop_watching(self) -> None:
        """Stop pinging clients and cutting off those that do not read."""
        self.terms.heartbeat.stop()
        self.slow_clients.stop()

"""The upgrade of a session from polling to a WebSocket (Engine.IO v4, "Upgrade")."""

from __future__ import annotations

import asyncio

from ..core import Core
from ..packet import PROBE_ANSWER
from ..session import Session
from .polling import Polling
from .websocket import WebSocketTransport

UPGRADE_TIMEOUT = 10.0  # seconds to finish an upgrade, as Node's server allows
MOST_PROBES = 10  # that are answered; clients send one
NOOP_INTERVAL = 0.1  # seconds; the official client does not expect an earlier NOOP


class Upgrade:
    """A WebSocket that asks to replace the polling transport of a session."""

    __slots__ = ("_core", "_polling", "_probes", "_session", "_timeout", "_timer", "_websocket")

    def __init__(self, core: Core, session: Session, polling: Polling, websocket: WebSocketTransport) -> None:
        self._core = core
        self._session = session
        self._polling = polling
        self._websocket = websocket
        self._probes = 0
        loop = asyncio.get_running_loop()
        self._timeout = loop.call_later(UPGRADE_TIMEOUT, self._refuse)
        self._timer: asyncio.TimerHandle | None = None
        session.upgrade = self

    def receive(self, message: str | bytes) -> None:
        """Take the probe, then the ``upgrade`` packet; anything else ends the attempt."""
        if message == "2probe" and self._probes < MOST_PROBES:
            self._websocket.send_now(PROBE_ANSWER)
            if not self._probes:
                self._release_later()
            self._probes += 1
        elif message == "5" and self._probes:
            self._complete()
        else:
            self._refuse()

    def transport_lost(self, reason: str) -> None:
        """The WebSocket is gone: the session stays on polling."""
        self._stop()

    def cancel(self) -> None:
        """The session has ended: close the WebSocket."""
        self._refuse()

    def _release_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(NOOP_INTERVAL, self._release_poll)

    def _release_poll(self) -> None:
        # The client sends the upgrade packet when its last GET has been answered.
        self._polling.release()
        self._release_later()

    def _complete(self) -> None:
        self._stop()
        session = self._session
        self._core.slow_clients.settled(session)
        session.transport = self._websocket
        self._core.upgraded += 1
        self._core.logger.info("session %s moved to a WebSocket", session.sid)
        self._websocket.attach(session)
        self._polling.replaced()
        self._core.application.upgraded(session)
        if session.outbox:
            self._websocket.flush(session)

    def _refuse(self) -> None:
        self._stop()
        self._websocket.close(1002)

    def _stop(self) -> None:
        self._session.upgrade = None
        self._timeout.cancel()
        if self._timer is not None:
            self._timer.cancel()

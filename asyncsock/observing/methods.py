"""The methods of a server that say how it is."""

from __future__ import annotations

from typing import Any

from ..connections import Connector
from ..engine import EngineServer
from ..engine.elsewhere import WorkersReport
from ..engine.limits import Report
from ..managers import AnyRooms
from .health import Health, HealthReport


class ShowsItself:
    """How a server is."""

    eio: EngineServer
    _rooms: AnyRooms
    _connector: Connector
    _health: Health

    def queue_health(self) -> dict[str, Any] | None:
        """The state of the message queue, or None without one.

        Returns:
            ``queue``, its URL without the password; ``publishing`` and ``listening``, whether each connection
            is up; ``seconds_lost``, since when one is not; ``last_error``; ``waiting``, the messages to be
            published; ``dropped``, the events that the outbox had no room for; ``published`` and
            ``received`` messages; ``outages``, how often the queue was lost; ``seconds_out``, for how long
            in all.
        """
        return self._rooms.queue_health()

    def limits(self) -> Report:
        """The limits on what clients may do, and how often each was reached.

        See `asyncsock.engine.EngineServer.limits`.
        """
        return self.eio.limits(connect_timeout=self._connector.connect_timeout)

    def workers(self) -> WorkersReport:
        """The processes of this server; see `asyncsock.engine.EngineServer.workers`."""
        return self.eio.workers()

    def health(self) -> HealthReport:
        """Whether this process works, and whether it should get clients. From any thread.

        Returns:
            ``live``, whether the event loop runs; ``ready``, whether all of ``checks`` are true; what these
            are, ``stopping``, ``loop_delay``, ``queue`` and ``workers``: see
            `asyncsock.observing.health.HealthReport`.
        """
        return self._health.report()

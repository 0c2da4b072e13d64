"""Processes of other hosts that cannot be reached, because the message queue has no inboxes."""

from __future__ import annotations

from ..engine.elsewhere import Owner, WorkersReport, alone
from ..engine.ids import is_id
from ..engine.server import EngineServer
from .beside import BesideWorkers
from .members import NAME_LENGTH, make_name
from .workers import Workers


class Strangers(BesideWorkers):
    """The workers of this host; and other processes, of whose existence the first poll for one of them tells.

    Args:
        engine: The server.
        workers: The workers of this host, if there are several.

    Attributes:
        name: The name of this process.
    """

    def __init__(self, engine: EngineServer, workers: Workers | None) -> None:
        super().__init__(workers)
        self.name = workers.name if workers is not None else make_name()
        self._engine = engine
        self._has_warned = False

    def owner(self, sid: str) -> Owner | None:
        """The worker that has made the id of a session; for one of a stranger there is one warning."""
        owner = self._workers.owner(sid) if self._workers is not None else None
        if owner is None and not (self._has_warned or sid.startswith(self.name)) and is_id(sid[NAME_LENGTH:]):
            self._has_warned = True
            self._engine.logger.warning(
                "a request has come for the session of another process, or of one that has ended. If this "
                "server has several hosts, their balancer has to send a client to the same one, or clients "
                "have to use WebSockets only: this message queue carries no requests, as those on Redis "
                "pub/sub, RabbitMQ and NATS do"
            )
        return owner

    def report(self) -> WorkersReport:
        """What there is of workers, and what this one had others do."""
        if self._workers is None:
            return alone(len(self._engine.sessions), self.name)
        return self._workers.report()

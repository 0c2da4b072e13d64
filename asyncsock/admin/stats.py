"""What the Admin UI shows of a process: ``server_stats``."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from collections.abc import Callable
from itertools import chain, islice
from typing import Any, Protocol

from ..codec.base import ANY
from ..disconnections import Disconnector
from ..engine.server import EngineServer
from ..rooms import Rooms
from ..types import Handler
from .shown import text

MOST_NAMESPACES = 200
HOST = socket.gethostname()
Key = tuple[str, str | None]  # the type of a figure, and what the Admin UI calls its subtype


class HasHandlers(Protocol):
    """What the figures need of a server."""

    eio: EngineServer
    handlers: dict[str, dict[str, Handler]]
    namespace_handlers: dict[str, Any]


class Stats:
    """The figures of this process.

    Args:
        server: The server.
        disconnector: Knows its clients.
        server_id: Gives the name under which the Admin UI shows this process.
    """

    def __init__(
        self,
        server: HasHandlers,
        disconnector: Disconnector,
        server_id: Callable[[], str],
    ) -> None:
        self._server = server
        self._engine = server.eio
        self._disconnector = disconnector
        self._server_id = server_id
        self._started = time.monotonic()
        self._shown: Counter[Key] = Counter()

    def now(self) -> dict[str, Any]:
        """What there is now, without what has happened."""
        sessions = self._engine.sessions.values()
        return {
            "serverId": self._server_id(),
            "hostname": HOST,
            "pid": os.getpid(),
            "uptime": time.monotonic() - self._started,
            "clientsCount": len(sessions),
            "pollingClientsCount": sum([session.transport.name == "polling" for session in sessions]),
            "aggregatedEvents": [],
            "namespaces": self._namespaces(),
        }

    def begin(self) -> None:
        """Have the next `report` begin here."""
        self._shown = self._counts()

    def report(self) -> dict[str, Any]:
        """What there is now, and what has happened since the last report."""
        counts, before = self._counts(), self._shown
        self._shown = counts
        second = int(time.time()) * 1000
        happened = [
            {"timestamp": second, "type": kind, "subType": part, "count": count - before[kind, part]}
            for (kind, part), count in counts.items()
            if count > before[kind, part]
        ]
        return {**self.now(), "aggregatedEvents": happened}

    def _counts(self) -> Counter[Key]:
        core = self._engine.core
        counts: Counter[Key] = Counter()
        counts["rawConnection", None] = core.opened_on.total
        counts["bytesIn", None] = core.bytes_received
        counts["bytesOut", None] = core.outboxes.bytes_sent
        for reason, ended in core.ended_by.items():
            counts["rawDisconnection", reason] = ended
        return counts

    def _namespaces(self) -> list[dict[str, Any]]:
        rooms = self._disconnector.rooms
        clients = rooms.rooms if isinstance(rooms, Rooms) else {}
        known = {"/": None} | dict.fromkeys(chain(self._server.handlers, self._server.namespace_handlers))
        known.pop(ANY, None)
        names = islice(dict.fromkeys(chain(known, clients)), MOST_NAMESPACES)
        return [
            {"name": text(name), "socketsCount": len(clients[name][None]) if name in clients else 0}
            for name in sorted(names)
        ]

"""What one process says of itself, when it is asked for its metrics."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from ..connections import Connector
from ..disconnections import Disconnector
from ..engine.server import EngineServer
from ..engine.slow_clients import ALL, ONE
from ..engine.tally import OTHER
from ..managers import AnyRooms
from ..recovery.recovery import Recovery
from ..rooms import Rooms
from .histogram import Histogram
from .traffic import Handled, Traffic

IN, OUT = "received", "sent"


class Sample(msgspec.Struct, array_like=True):
    """A number.

    Attributes:
        family: The name of its `Family`.
        labels: The values of its labels.
        value: The number; of a histogram, the sum.
        buckets: How many there are in each bucket of a histogram.
    """

    family: str
    labels: list[str]
    value: float
    buckets: list[int] = []


class Reading(msgspec.Struct, array_like=True):
    """All numbers of one process.

    Attributes:
        worker: The name of the process; empty if it is the only one.
    """

    worker: str
    samples: list[Sample]

    def add(self, family: str, value: float, *labels: str) -> None:
        """Add a number."""
        self.samples.append(Sample(family, list(labels), float(value)))

    def add_all(self, family: str, counts: dict[str, int], *labels: str) -> None:
        """Add numbers by the value of the last label."""
        for name, count in counts.items():
            self.add(family, count, *labels, name)

    def add_durations(self, family: str, durations: Histogram, *labels: str) -> None:
        """Add a histogram."""
        self.samples.append(Sample(family, list(labels), durations.seconds, durations.buckets))


def read_engine(reading: Reading, engine: EngineServer) -> None:
    """Add what there is to know of sessions."""
    core = engine.core
    sessions = Counter(session.transport.name for session in core.sessions.values() if session.is_open)
    waiting = 0
    for session in core.sessions.values():
        waiting += session.transport.name == "polling" and session.transport.is_writable
    for transport in engine.endpoint.transports:
        reading.add("sessions", sessions[transport], transport)
    reading.add("polls_waiting", waiting)
    reading.add_all("sessions_opened_total", core.opened_on)
    reading.add("sessions_upgraded_total", core.upgraded)
    reading.add_all("sessions_closed_total", core.ended_by)
    reading.add_all("requests_refused_total", core.refused)
    reading.add("payload_bytes_total", core.bytes_received, IN)
    reading.add("payload_bytes_total", core.outboxes.bytes_sent, OUT)
    reading.add("unread_bytes", core.slow_clients.total)
    hits = core.limits.hits
    reading.add("slow_clients_cut_total", hits[ONE] + hits[ALL])
    reading.add_all("limit_hits_total", {name: entry["hits"] for name, entry in engine.limits().items()})
    reading.add("handlers_running", sum([session is not None for _, session in core.tasks.running.values()]))
    workers = engine.workers()
    reading.add("workers", 1)
    reading.add("relayed_requests_total", workers["relayed"])
    reading.add("connections_handed_over_total", workers["handed_over"])
    reading.add("connections_taken_total", workers["taken"])


def read_clients(
    reading: Reading,
    connector: Connector,
    disconnector: Disconnector,
    rooms: AnyRooms,
    recovery: Recovery | None,
) -> None:
    """Add what there is to know of clients in namespaces."""
    clients: Counter[str] = Counter()
    if isinstance(rooms, Rooms):
        for namespace, of_namespace in rooms.rooms.items():
            is_known = namespace in connector.connected
            clients[namespace if is_known else OTHER] += len(of_namespace.get(None, ()))
    reading.add_all("clients", clients)
    reading.add_all("clients_connected_total", connector.connected)
    reading.add_all("clients_refused_total", connector.refused)
    reading.add_all("clients_disconnected_total", disconnector.left)
    if recovery is not None:
        reading.add_all("recoveries_total", connector.recoveries)
        reading.add("recovery_log_bytes", recovery.log.size)


def read_queue(reading: Reading, health: dict[str, Any] | None) -> None:
    """Add what there is to know of the message queue, as `AsyncServer.queue_health` reports it."""
    if health is None:
        return
    for connection in ("publishing", "listening"):
        reading.add("queue_up", health[connection], connection)
    for name in ("published", "received", "dropped"):
        reading.add(f"queue_messages_{name}_total", health[name])
    reading.add("queue_messages_waiting", health["waiting"])
    reading.add("queue_outages_total", health["outages"])
    reading.add("queue_lost_seconds_total", health["seconds_out"])


def read_traffic(reading: Reading, traffic: Traffic) -> None:
    """Add what there is to know of events and handlers."""
    received, acknowledged = Counter({OTHER: traffic.unhandled}), Counter[str]()
    durations: dict[tuple[str, str], Handled] = {}
    for handled in traffic.running():
        received[handled.event] += 1
    for handled in traffic.handled():
        received[handled.event] += handled.count
        acknowledged[handled.event] += handled.acknowledged
    reading.add_all("events_total", received, IN)
    reading.add_all("events_total", traffic.sent, OUT)
    reading.add_all("acknowledgements_total", acknowledged, OUT)
    reading.add_all("acknowledgements_total", traffic.acknowledged, IN)
    for handled in [*traffic.handled(), *traffic.connecting.values()]:
        of_event = durations.setdefault((handled.event, handled.kind), Handled(handled.event, handled.kind))
        of_event.include(handled)
    for handled in durations.values():
        reading.add_durations("handler_duration_seconds", handled, handled.event, handled.kind)

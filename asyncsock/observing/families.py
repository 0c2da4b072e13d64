"""The metrics: their names, what they mean, and their labels.

Names and units are those of Prometheus' conventions. Every sample also has the label ``worker``, if the
server has several processes.
"""

from __future__ import annotations

from typing import NamedTuple

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"
PREFIX = "asyncsock_"


class Family(NamedTuple):
    """A metric.

    Attributes:
        name: Its name, without `PREFIX`.
        kind: ``counter``, ``gauge`` or ``histogram``.
        help: What it is.
        labels: The names of its labels.
    """

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()


# What a process says of itself.
FAMILIES = (
    # Sessions: connections of the engine
    Family("sessions", GAUGE, "Sessions that are open.", ("transport",)),
    Family(
        "sessions_opened_total", COUNTER, "Sessions that were opened, by first transport.", ("transport",)
    ),
    Family("sessions_upgraded_total", COUNTER, "Sessions that have moved from polling to a WebSocket."),
    Family("sessions_closed_total", COUNTER, "Sessions that have ended.", ("reason",)),
    Family("requests_refused_total", COUNTER, "Requests of clients that were refused.", ("reason",)),
    Family("polls_waiting", GAUGE, "Polling requests that wait for something to be sent."),
    # Clients: sessions in a namespace
    Family("clients", GAUGE, "Clients that are connected.", ("namespace",)),
    Family("clients_connected_total", COUNTER, "Clients that were let into a namespace.", ("namespace",)),
    Family("clients_refused_total", COUNTER, "Clients that were not let into a namespace.", ("reason",)),
    Family("clients_disconnected_total", COUNTER, "Clients that have left a namespace.", ("reason",)),
    Family(
        "recoveries_total",
        COUNTER,
        "Clients that came back after they had lost their connection: recovered, or as new ones.",
        ("outcome",),
    ),
    Family("recovery_log_bytes", GAUGE, "Memory of the events that clients may have missed."),
    # Traffic
    Family("events_total", COUNTER, "Events, those sent once for each recipient.", ("direction", "event")),
    Family("acknowledgements_total", COUNTER, "Acknowledgements of events.", ("direction", "event")),
    Family(
        "payload_bytes_total",
        COUNTER,
        "Bytes of WebSocket frames and of bodies of polling requests, those sent once for each recipient.",
        ("direction",),
    ),
    Family("unread_bytes", GAUGE, "Bytes that were sent to clients and that they have not read."),
    Family("slow_clients_cut_total", COUNTER, "Clients that were cut off because they left too much unread."),
    # Handlers
    Family(
        "handler_duration_seconds",
        HISTOGRAM,
        "Time from the arrival of an event to the end of its handler, with the wait for a thread.",
        ("event", "kind"),
    ),
    Family("handlers_running", GAUGE, "Handlers that have begun and not ended."),
    Family("threads_busy", GAUGE, "Threads that work.", ("pool",)),
    Family("thread_jobs_waiting", GAUGE, "Handlers and requests that wait for a thread.", ("pool",)),
    Family("loop_delay_seconds", GAUGE, "How late the event loop is."),
    Family("http_requests_total", COUNTER, "Requests that the Flask application has answered.", ("status",)),
    Family("limit_hits_total", COUNTER, "How often a limit on clients was reached.", ("limit",)),
    # The message queue
    Family("queue_up", GAUGE, "Whether a connection to the message queue is up: 1 or 0.", ("connection",)),
    Family("queue_messages_published_total", COUNTER, "Messages that the message queue has taken."),
    Family("queue_messages_received_total", COUNTER, "Messages that have come from the message queue."),
    Family("queue_messages_waiting", GAUGE, "Messages that wait until they can be published."),
    Family("queue_messages_dropped_total", COUNTER, "Messages that will not be published."),
    Family("queue_outages_total", COUNTER, "How often the message queue was lost, and connected to again."),
    Family("queue_lost_seconds_total", COUNTER, "Time for which the message queue was lost."),
    # Processes
    Family("workers", GAUGE, "Processes of the server: 1 for each."),
    Family("cluster_members", GAUGE, "Processes that share the message queue, as each of them sees it."),
    Family("relayed_requests_total", COUNTER, "Requests of clients that other processes have answered."),
    Family("connections_handed_over_total", COUNTER, "Connections of clients that other workers have taken."),
    Family("connections_taken_total", COUNTER, "Connections of clients taken from other workers."),
)
BY_NAME = {family.name: family for family in FAMILIES}
# What the process that was asked says of all.
SILENT = Family("workers_silent", GAUGE, "Processes that were asked for their metrics and have not answered.")

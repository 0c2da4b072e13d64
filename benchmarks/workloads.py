"""What is measured. Each workload is one function: a server and a size in, the outcome of one round out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from clients import CHROMIUM, Swarm, frame, looking_on
from flooder import FLOODS
from hostile import flood
from http_clients import Poller, polling_acknowledgements, requests
from measure import Meter, Outcome, memory_bytes, settle
from recovery import come_back
from redis_queue import Redis
from servers import FILE_SIZE, OURS, PEERS, Server
from workers import messages, polling, upgrade, upgraded

ALL = ("asyncsock", "python-socketio", "flask-gevent", "flask-threading", "node", "bun")
WSGI = ("asyncsock", "asyncsock-quiet", "gunicorn-gthread", "gunicorn-gevent", "granian-wsgi")
BRIDGES = ("a2wsgi", "wsgi-to-asgi")
HOSTILE = ("asyncsock", "asyncsock-websockets", "python-socketio", "node")
WORKERS = ("asyncsock-workers", "asyncsock-foreign")
POLLED = (*WORKERS, "node-workers")
OBSERVED = ("asyncsock", "asyncsock-metrics", "asyncsock-admin")
RECOVERING = ("asyncsock-recovery", "node-recovery")
QUEUED = ("asyncsock", "python-socketio", "flask-gevent", "node", "bun")
MANY = 19_800  # clients: a usual limit is 20,000 open files, and a server has some others


@dataclass(frozen=True)
class Workload:
    """One row of the table.

    Attributes:
        name: For the command line and the JSON.
        title: What is done, for the table.
        unit: What one operation is.
        measure: Does one round: (server, size, seconds) to an outcome.
        size: How many clients, in a full run and in a quick one (0: not in such a run).
        servers: Which servers it makes sense for.
        fresh: Whether each round wants a newly started server, and no unmeasured round.
        queue: Whether the servers listen to a Redis queue.
        group: A name for several workloads on the command line.
        base: The server that the others are compared with.
    """

    name: str
    title: str
    unit: str
    measure: Callable[[Server, int, float], Outcome]
    size: tuple[int, int]
    servers: tuple[str, ...] = ALL
    fresh: bool = False
    queue: bool = False
    group: str = ""
    base: str = OURS


def _broadcast(server: Server, size: int, seconds: float, emits: int, headers: bytes = b"") -> Outcome:
    """Closed loop: an event whose handler emits to all; the next when every client has its messages."""
    with Swarm(server.port, headers) as swarm:
        swarm.connect(size)
        sender = swarm.clients[0]
        packet = frame(b'42["go",%d]' % emits)
        swarm.broadcast(sender, packet, swarm.clients, emits)
        swarm.latencies = []
        with Meter(server.pid) as outcome:
            end = time.perf_counter() + seconds
            rounds = 0
            while rounds < 1 or time.perf_counter() < end:
                swarm.broadcast(sender, packet, swarm.clients, emits)
                rounds += 1
        outcome.operations = rounds * emits * size
        outcome.latencies = swarm.latencies
        swarm.leave(swarm.clients)
    return outcome


def _rooms(server: Server, size: int, seconds: float) -> Outcome:
    """Rooms of ten: in each, closed loop, one member's event is emitted to all of them."""
    with Swarm(server.port) as swarm:
        swarm.connect(size)
        names = [b"room-%d" % number for number in range(size // 10)]
        joins = [frame(b'421["join","%s"]' % names[i // 10]) for i in range(size)]
        swarm.acknowledged(swarm.clients, joins)
        rooms = [swarm.clients[start : start + 10] for start in range(0, size, 10)]
        packets = [frame(b'42["room","%s"]' % name) for name in names]
        swarm.in_rooms(rooms, packets, seconds / 5)
        with Meter(server.pid) as outcome:
            done = swarm.in_rooms(rooms, packets, seconds)
        outcome.operations, outcome.latencies = done.operations, done.latencies
        swarm.leave(swarm.clients)
    return outcome


def _ack(
    server: Server, size: int, seconds: float, payload: int, event: str = "echo", binary: bool = False
) -> Outcome:
    """Clients that each send an event, get its acknowledgement with the same data, and send the next."""
    if binary:
        text = b'451-1["%s",{"_placeholder":true,"num":0}]' % event.encode()
        packets = [frame(text), frame(bytes(range(256)) * (payload // 256), 2)]
    else:
        packets = [frame(b'421["%s",{"data":"%s"}]' % (event.encode(), b"x" * payload))]
    with Swarm(server.port) as swarm:
        swarm.connect(size)
        swarm.ask(swarm.clients, packets, b"431[", seconds / 5)
        with Meter(server.pid) as outcome:
            done = swarm.ask(swarm.clients, packets, b"431[", seconds)
        outcome.operations, outcome.latencies = done.operations, done.latencies
        swarm.leave(swarm.clients)
    return outcome


def _observed(
    server: Server, size: int, seconds: float, measure: Callable[[Server, int, float], Outcome]
) -> Outcome:
    """A workload, while a browser looks on with the Admin UI if the server has that."""
    if "ADMIN" not in PEERS[server.name].environ:
        return measure(server, size, seconds)
    with looking_on(server.port):
        return measure(server, size, seconds)


def _polling(server: Server, size: int, seconds: float) -> Outcome:
    pollers = [Poller(server.port) for _ in range(size)]
    event = b'421["echo",{"data":"%s"}]' % (b"x" * 64)
    with Meter(server.pid) as outcome:
        done = polling_acknowledgements(pollers, event, seconds)
    outcome.operations, outcome.latencies = done.operations, done.latencies
    for poller in pollers:
        poller.leave()
    return outcome


def _connect(server: Server, size: int, seconds: float) -> Outcome:
    """All connect, 100 at a time: TCP, WebSocket, Engine.IO and the namespace."""
    with Swarm(server.port) as swarm:
        with Meter(server.pid, settle_after=True) as outcome:
            outcome.latencies = swarm.connect(size)
        outcome.operations = size
        swarm.leave(swarm.clients)
        settle(server.pid)
    return outcome


def _disconnect(server: Server, size: int, seconds: float) -> Outcome:
    """All leave at once, as browsers do: a close frame, answered."""
    with Swarm(server.port) as swarm:
        swarm.connect(size)
        with Meter(server.pid, settle_after=True) as outcome:
            outcome.latencies = swarm.leave(swarm.clients)
        outcome.operations = size
    return outcome


def _memory(server: Server, size: int, seconds: float) -> Outcome:
    """What connected clients add to the memory of a server that has already served a few."""
    with Swarm(server.port) as swarm:
        swarm.connect(50)
        swarm.leave(swarm.clients)
        settle(server.pid)
        before = memory_bytes(server.pid)
        swarm.connect(size)
        swarm.rest(3 * seconds)
        settle(server.pid)
        memory = (memory_bytes(server.pid) - before) / size
    return Outcome(operations=size, memory=memory)


def _http(server: Server, size: int, seconds: float, **answer: Any) -> Outcome:
    requests(server.port, size, seconds / 5, **answer)
    with Meter(server.pid) as outcome:
        done = requests(server.port, size, seconds, **answer)
    outcome.operations, outcome.latencies, outcome.errors = done.operations, done.latencies, done.errors
    return outcome


class Queued:
    """Bursts of messages on Redis, delivered to all clients of the server."""

    BURST = 200

    def __init__(self) -> None:
        self._redis: dict[str, Redis] = {}
        self._recorded: dict[str, tuple[bytes, bytes]] = {}

    def url(self, name: str) -> str:
        """Where the queue of a server is. Each has its own, so that a resting server has no backlog."""
        if name not in self._redis:
            self._redis[name] = Redis()
        return self._redis[name].url

    def end(self) -> None:
        for redis in self._redis.values():
            redis.end()
        self._redis.clear()

    def measure(self, server: Server, size: int, seconds: float) -> Outcome:
        redis = self._redis[server.name]
        channel = PEERS[server.name].channel
        if channel not in self._recorded:
            self._recorded[channel] = redis.record(channel)
        message = self._recorded[channel]
        bursts = 0
        with Swarm(server.port) as swarm:
            swarm.connect(size)
            redis.wait_for_listener(*message)
            swarm.rest(0.2)
            self._burst(swarm, redis, message)
            swarm.latencies = []
            with Meter(server.pid) as outcome:
                end = time.perf_counter() + seconds
                while bursts < 1 or time.perf_counter() < end:
                    self._burst(swarm, redis, message)
                    bursts += 1
            outcome.operations = bursts * self.BURST
            outcome.latencies = swarm.latencies
            swarm.leave(swarm.clients)
        return outcome

    def _burst(self, swarm: Swarm, redis: Redis, message: tuple[bytes, bytes]) -> None:
        swarm.expect(swarm.clients, self.BURST)
        redis.publish(*message, self.BURST)
        swarm.run(10)


QUEUE = Queued()
_workers = partial(Workload, group="workers", base="asyncsock-workers")

WORKLOADS = [
    Workload(
        "paced",
        "paced broadcast, one emit at a time, {size} clients",
        "delivery",
        partial(_broadcast, emits=1),
        (1000, 300),
        (*ALL, "floor", "asyncsock-recovery"),
    ),
    Workload(
        "paced-20k",
        "paced broadcast, one emit at a time, {size} clients",
        "delivery",
        partial(_broadcast, emits=1),
        (MANY, 0),
        ("asyncsock", "floor"),
        fresh=True,
        group="scale",
    ),
    Workload(
        "burst",
        "burst broadcast, 100 emits in one handler, {size} clients",
        "delivery",
        partial(_broadcast, emits=100),
        (500, 100),
        (*ALL, "asyncsock-recovery"),
    ),
    Workload("rooms", "room broadcast, rooms of 10, {size} clients", "delivery", _rooms, (1000, 200)),
    Workload(
        "ack",
        "event, coroutine handler, ack, 64 B, {size} clients",
        "event",
        partial(_ack, payload=64),
        (100, 100),
        ("asyncsock", "asyncsock-bare", *ALL[1:]),
    ),
    Workload(
        "ack-def",
        "event, `def` handler, ack, 64 B, {size} clients",
        "event",
        partial(_ack, payload=64, event="echo_def"),
        (100, 100),
        ("asyncsock", "asyncsock-bare", *ALL[1:]),
    ),
    Workload("ack-1k", "event, ack, 1 KB", "event", partial(_ack, payload=1024), (100, 0)),
    Workload("ack-16k", "event, ack, 16 KB", "event", partial(_ack, payload=16384), (100, 100)),
    Workload(
        "ack-binary", "event, ack, 1 KB of bytes", "event", partial(_ack, payload=1024, binary=True), (100, 0)
    ),
    Workload(
        "ack-binary-16k",
        "event, ack, 16 KB of bytes",
        "event",
        partial(_ack, payload=16384, binary=True),
        (100, 0),
    ),
    Workload(
        "polling", "event, ack, 64 B, by HTTP long-polling, {size} clients", "event", _polling, (100, 50)
    ),
    Workload("connect-1000", "connect storm, {size} clients", "client", _connect, (1000, 300)),
    Workload("disconnect-1000", "disconnect storm, {size} clients", "client", _disconnect, (1000, 300)),
    Workload("connect-4000", "connect storm, {size} clients", "client", _connect, (4000, 0)),
    Workload("disconnect-4000", "disconnect storm, {size} clients", "client", _disconnect, (4000, 0)),
    Workload("connect-8000", "connect storm, {size} clients", "client", _connect, (8000, 0)),
    Workload("disconnect-8000", "disconnect storm, {size} clients", "client", _disconnect, (8000, 0)),
    Workload("memory", "idle memory, {size} clients", "client", _memory, (4000, 500), fresh=True),
    Workload(
        "memory-20k",
        "idle memory, {size} clients",
        "client",
        _memory,
        (MANY, 0),
        ("asyncsock",),
        fresh=True,
        group="scale",
    ),
    Workload(
        "http",
        "HTTP requests to a Flask view, {size} connections",
        "request",
        _http,
        (32, 32),
        (*WSGI, *BRIDGES, "express"),
    ),
    Workload(
        "send-file",
        "a file of 1 MB from a Flask view, {size} connections",
        "request",
        partial(_http, path="/file", text=b"", least=FILE_SIZE),
        (8, 8),
        (*WSGI, "express"),
    ),
    Workload(
        "queue-1",
        "queue message, bursts of 200, to {size} client",
        "message",
        QUEUE.measure,
        (1, 1),
        QUEUED,
        queue=True,
    ),
    Workload(
        "queue-100",
        "queue message, bursts of 200, to {size} clients",
        "message",
        QUEUE.measure,
        (100, 100),
        QUEUED,
        queue=True,
    ),
    Workload(
        "deflate",
        "paced broadcast, {size} clients that offer permessage-deflate as Chromium does",
        "delivery",
        partial(_broadcast, emits=1, headers=CHROMIUM),
        (500, 100),
    ),
    *[
        Workload(
            name,
            f"{{size}} clients come back at once, {title}",
            "client",
            partial(come_back, kept=kept, net=net),
            (2000, 200),
            RECOVERING,
            fresh=True,
            group="recovery",
            base="asyncsock-recovery",
        )
        for name, title, kept, net in (
            ("recovery-10k", "each has missed 3 of 10,000 events", 10_000, False),
            ("recovery-50k", "each has missed 3 of 50,000 events", 50_000, False),
            ("recovery-missed", "3 of 10,000 events, beyond what a new client costs", 10_000, True),
        )
    ],
    *[
        Workload(
            f"observed-{name}",
            f"seen: {title}",
            unit,
            partial(_observed, measure=measure),
            size,
            OBSERVED,
            fresh=True,
            group="observed",
        )
        for name, title, unit, measure, size in (
            ("ack", "event, ack, 64 B, {size} clients", "event", partial(_ack, payload=64), (100, 100)),
            (
                "paced",
                "paced broadcast, {size} clients",
                "delivery",
                partial(_broadcast, emits=1),
                (1000, 300),
            ),
        )
    ],
    _workers(
        "workers-poll", "two workers: event, ack, by polling, {size} client", "event", polling, (1, 1), POLLED
    ),
    _workers(
        "workers-polls",
        "two workers: event, ack, by polling, {size} clients",
        "event",
        polling,
        (64, 64),
        POLLED,
    ),
    _workers(
        "workers-upgrade",
        "two workers: from polling to a WebSocket, {size} clients",
        "client",
        upgrade,
        (200, 50),
        WORKERS,
    ),
    _workers(
        "workers-ack",
        "two workers: event, ack, {size} WebSockets that polled before",
        "event",
        upgraded,
        (64, 64),
        WORKERS,
    ),
    _workers(
        "workers-messages",
        "two workers: bursts of 200 broadcasts, {size} clients",
        "message",
        messages,
        (2, 2),
        ("asyncsock-workers", "asyncsock-redis"),
        queue=True,
    ),
    *[
        Workload(
            f"workers-alone-{name}",
            f"one process alone: event, ack, 64 B{how}, {{size}} clients",
            "event",
            measure,
            (100, 0),
            (OURS,),
            fresh=True,
            group="workers",
        )
        for name, how, measure in (
            ("ack", "", partial(_ack, payload=64)),
            ("polling", ", by polling", _polling),
        )
    ],
    *[
        Workload(
            f"hostile-{name}",
            each.title,
            "answer",
            partial(flood, name=name),
            (0, 0),
            HOSTILE if name != "def" else ("asyncsock", "flask-threading"),
            fresh=True,
            group="hostile",
        )
        for name, each in FLOODS.items()
    ],
]

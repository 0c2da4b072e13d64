"""npm's clients that lose their connections to tests/apps/recovery.py, and what they have seen."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from tempfile import TemporaryDirectory
from typing import Any

from tests.support.broker_process import Broker
from tests.support.brokers import Kafka, Nats, RabbitMQ, Redis, ZmqProxy
from tests.support.required_parts import require
from tests.support.server_process import ROOT, Server, serve
from tests.support.worker_load import JS, json_line
from tests.support.worker_processes import wait_for_workers

APP = "tests.apps.recovery:asgi"
CHANNEL = "recovery"
PROGRAM = str(ROOT / "tests/apps/recovery.py")
SERVES = "websocket door"
MODES = ("polling", "upgrade", "websocket")
WAYS = ("closed", "reset", "torn", "vanished")
# Of each queue, what makes its broker, and how the scheme of the broker's URL is changed.
QUEUES: dict[str, tuple[Callable[[], Broker], tuple[str, str]]] = {
    "redis": (Redis, ("", "")),
    "redis streams": (Redis, ("redis:", "redis+streams:")),
    "rabbitmq": (RabbitMQ, ("", "")),
    "kafka": (Kafka, ("", "")),
    "nats": (Nats, ("", "")),
    "zmq": (ZmqProxy, ("", "")),
    "kombu": (RabbitMQ, ("amqp:", "pyamqp:")),
}


@dataclass(frozen=True)
class Losing:
    """Clients that lose their connections while events are emitted to them.

    Attributes:
        clients: How many there are.
        closes: How often each loses its connection.
        pause: For how many milliseconds each is connected at most before it loses the connection.
        events: How many events are emitted, by all drivers together.
        drivers: How many other clients have them emitted; 0: the servers and the test emit by themselves.
        ways: How connections are lost, as tests/js/recovery.mjs has them.
        modes: How the clients connect, by turns.
        early: Whether each loses a connection before its first event, too.
        version: Of the client: "v4" or "msgpack".
    """

    clients: int = 6
    closes: int = 200
    pause: int = 40
    events: int = 1000
    drivers: int = 1
    ways: tuple[str, ...] = WAYS
    modes: tuple[str, ...] = MODES
    early: bool = True
    version: str = "v4"


@dataclass
class Seen:
    """What one client has seen.

    Attributes:
        name: Of the client.
        ways: How often it has lost its connection in each way.
        recovered: How often it was recovered.
        unrecovered: How often it came back as a new client.
        heard: How many events it has got.
        wrong: What was missing, repeated, misplaced or meant for others, in words.
    """

    name: str
    ways: dict[str, int] = field(default_factory=dict)
    recovered: int = 0
    unrecovered: int = 0
    heard: int = 0
    wrong: list[str] = field(default_factory=list)


class Running:
    """The program, whose clients are connected."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> Any:
        return await json_line(self._process)

    async def finish(self, sent: Mapping[str, int] | None = None) -> list[Seen]:
        """Wait for the end, which is when the clients have what was sent, and say what they have seen.

        Args:
            sent: Without drivers: how many events each emitter has sent to each stream.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(sent or {}).encode() + b"\n")
        self._process.stdin.close()
        report = await self.line()
        seen = [Seen(**client) for client in report["clients"]]
        assert report["failure"] is None, "\n".join([report["failure"], *map(repr, seen)])
        return seen


@asynccontextmanager
async def losing(servers: Sequence[Server], load: Losing) -> AsyncIterator[Running]:
    """Run tests/js/recovery.mjs, whose clients come back to any of the servers."""
    require(shutil.which("node"), "node")
    require((JS / "node_modules" / "socket.io-client").is_dir(), "npm package socket.io-client in tests/js")
    modes = [load.modes[number % len(load.modes)] for number in range(load.clients)]
    clients = [{"version": load.version, "mode": mode, "ways": load.ways} for mode in modes]
    settings = {**asdict(load), "ports": [server.port for server in servers], "clients": clients}
    process = await asyncio.create_subprocess_exec(
        *("node", "recovery.mjs", json.dumps(settings)),
        cwd=JS,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=1 << 24,
    )
    running = Running(process)
    try:
        await running.line()
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def troubles(seen: Sequence[Seen], load: Losing) -> list[str]:
    """What went wrong for clients that should have been recovered each time; empty if nothing did."""
    found = [text for client in seen for text in client.wrong]
    losses = load.closes + load.early  # and perhaps others, as a busy machine may not answer pings in time
    for client in seen:
        if client.unrecovered or client.recovered < losses:
            found.append(f"{client}: not recovered after each of {losses} losses")
    if len(seen) != load.clients:
        found.append(f"{len(seen)} clients")
    return found


# Servers


@contextmanager
def one_server(workers: int = 1, **environment: str) -> Iterator[list[Server]]:
    """A server with some workers."""
    with serve(APP, args=["--workers", str(workers)], env=environment) as server:
        wait_for_workers(server, workers, SERVES)
        yield [server]


@contextmanager
def running_itself(workers: int, **environment: str) -> Iterator[Server]:
    """A server that `socketio.run()` has started with some workers."""
    with serve(PROGRAM, server="python", env={"WORKERS": str(workers), **environment}) as server:
        wait_for_workers(server, workers, SERVES)
        yield server


@contextmanager
def queue_of(name: str) -> Iterator[str]:
    """The URL of a queue: "none", "local", or one of QUEUES, whose broker is started."""
    if name == "none":
        yield ""
        return
    if name == "local":
        with TemporaryDirectory(prefix="asyncsock-test-") as folder:
            yield f"local://{folder}"
        return
    make, scheme = QUEUES[name]
    with make() as broker:
        yield broker.url.replace(*scheme)


@contextmanager
def two_hosts(queue: str, **environment: str) -> Iterator[list[Server]]:
    """Two servers with a queue. A server by itself stands for a host: it shares no socket with another."""
    with ExitStack() as stack:
        env = {"QUEUE": queue, "CHANNEL": CHANNEL, **environment}
        servers = [stack.enter_context(serve(APP, env=env)) for _ in range(2)]
        for server in servers:
            wait_for_workers(server, 1, SERVES)
        yield servers

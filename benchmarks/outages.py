"""What arrives while a broker is killed and restarted: a table for each broker.

    python benchmarks/outages.py [redis streams rabbitmq nats kafka zmq kombu] [--outage 2] [--emits 20000]

Two servers and an emitter without a server emit numbered events at a steady rate. The broker is killed with
SIGKILL three times and started again after some seconds. A client of each server notes what it gets. The
Kafka broker of the tests keeps nothing when it is killed: there the connections are cut. The broker of
ZeroMQ is its proxy, that of Kombu is RabbitMQ.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import socketio

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.support.brokers import Kafka, Nats, RabbitMQ, Redis, ZmqProxy  # noqa: E402
from tests.support.server_process import serve  # noqa: E402
from tests.support.tcp_proxy import Proxy  # noqa: E402


class CutKafka:
    """A Kafka broker with the kill and start of the others, which cut the way to it."""

    def __enter__(self) -> CutKafka:
        self._proxy = Proxy(0).__enter__()
        self._broker = Kafka(advertised=self._proxy.port)
        self._broker.start()
        self._proxy.target = self._broker.port
        self.url = self._broker.url_at(self._proxy.port)
        self.kill, self.start = self._proxy.down, self._proxy.up
        return self

    def __exit__(self, *error: Any) -> None:
        self._broker.close()
        self._proxy.__exit__(*error)


BROKERS: dict[str, Callable[[], Any]] = {
    "redis": Redis,
    "streams": lambda: Redis(durable=True),
    "rabbitmq": RabbitMQ,
    "nats": Nats,
    "kafka": CutKafka,
    "zmq": ZmqProxy,
    "kombu": RabbitMQ,
}
SCHEMES = {"streams": ("redis:", "redis+streams:"), "kombu": ("amqp:", "pyamqp:")}
KILLS = 3
DEAF = 30.0  # seconds without hearing again after which that is given up
SETTLED = 5.0  # seconds without news after which nothing more is expected


class Listener:
    """A client that notes the numbers it gets from each source, and when."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.socket = socketio.AsyncClient(reconnection=False)
        self.socket.on("number", self._note)
        self.numbers: dict[str, list[int]] = defaultdict(list)
        self.last = time.monotonic()

    def _note(self, data: list[Any]) -> None:
        source, number = data
        self.numbers[source].append(number)
        self.last = time.monotonic()

    def row(self, source: str, count: int) -> str:
        numbers = self.numbers[source]
        seen = Counter(numbers)
        late = sum(later < earlier for earlier, later in pairwise(numbers))
        lost, repeated = count - len(seen), len(numbers) - len(seen)
        return f"| {self.name} | {source} | {len(seen)} | {lost} | {repeated} | {late} |"

    def faults(self, source: str, count: int) -> list[str]:
        """Lines that say which numbers did not come, and which came more than once."""
        seen = Counter(self.numbers[source])
        missing = sorted(set(range(count)) - set(seen))
        repeated = sorted(number for number, times in seen.items() if times > 1)
        return [
            f"\n{self.name} {what} of {source}: {ranges(numbers)}"
            for what, numbers in (("missed", missing), ("got again", repeated))
            if numbers
        ]


def ranges(numbers: list[int]) -> str:
    """Ascending numbers, such as ``'3, 7-9'``."""
    starts = [number for before, number in pairwise([-2, *numbers]) if number != before + 1]
    ends = [number for number, after in pairwise([*numbers, -2]) if after != number + 1]
    pairs = zip(starts, ends, strict=True)
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in pairs)


async def measure(kind: str, emits: int, outage: float) -> list[str]:
    """Run one broker; return the rows of its table."""
    async with AsyncExitStack() as stack:
        broker = stack.enter_context(BROKERS[kind]())
        url = broker.url.replace(*SCHEMES.get(kind, ("", "")))
        servers = [
            stack.enter_context(serve("benchmarks.apps.outage_server:asgi", env={"QUEUE": url}))
            for _ in range(2)
        ]
        listeners = [Listener("client of server 1"), Listener("client of server 2")]
        for listener, server in zip(listeners, servers, strict=True):
            await listener.socket.connect(server.url, transports=["websocket"])
        each = emits // 3
        rate = each / (KILLS * (2 * outage + 6))
        for listener, source in zip(listeners, ("server 1", "server 2"), strict=True):
            await listener.socket.emit("begin", (source, each, rate))
        emitter = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "benchmarks.apps.outage_server", str(each), str(rate)],
            cwd=ROOT,
            env={**os.environ, "QUEUE": url},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        returns = []
        for _ in range(KILLS):
            await asyncio.sleep(outage / 2 + 2)
            broker.kill()
            await asyncio.sleep(outage)
            await asyncio.to_thread(broker.start)
            returns.append(await until_heard_again(listeners))
        raised, _ = await emitter.communicate()
        while (quiet := time.monotonic() - max(each.last for each in listeners)) < SETTLED:  # noqa: ASYNC110
            await asyncio.sleep(SETTLED - quiet)
        for listener in listeners:
            await listener.socket.disconnect()
        pairs = [
            (listener, source) for listener in listeners for source in ("server 1", "server 2", "emitter")
        ]
        rows = [listener.row(source, each) for listener, source in pairs]
        for listener, source in pairs:
            rows += listener.faults(source, each)
        heard = ", ".join(f"{seconds:.2f} s" for seconds in returns)
        rows.append(f"\nHeard again after {heard}.")
        if tried_again := sorted(set(map(int, raised.split()))):
            # What raised may have been published all the same, if the broker died just then.
            rows.append(f"\nThe emitter emitted again, as its emit raised: {ranges(tried_again)}")
        return rows


async def until_heard_again(listeners: list[Listener]) -> float:
    """Seconds from the broker's return until each client hears what another server emits, `DEAF` at most."""
    started = time.monotonic()
    before = [len(listener.numbers[other]) for listener, other in others(listeners)]
    while True:
        now = [len(listener.numbers[other]) for listener, other in others(listeners)]
        seconds = time.monotonic() - started
        if all(after > count for after, count in zip(now, before, strict=True)) or seconds > DEAF:
            return seconds
        await asyncio.sleep(0.01)


def others(listeners: list[Listener]) -> list[tuple[Listener, str]]:
    return list(zip(listeners, ("server 2", "server 1"), strict=True))


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("brokers", nargs="*", default=list(BROKERS))
    parser.add_argument("--outage", type=float, default=2, help="seconds that the broker is away")
    parser.add_argument("--emits", type=int, default=20_000)
    arguments = parser.parse_args()
    for kind in arguments.brokers:
        print(
            f"\n### {kind}: {arguments.emits} emits, {KILLS} outages of {arguments.outage:g} s\n", flush=True
        )
        print("| heard by | emitted by | delivered | lost | repeated | out of order |")
        print("|---|---|---|---|---|---|")
        print(*await measure(kind, arguments.emits, arguments.outage), sep="\n", flush=True)


if __name__ == "__main__":
    asyncio.run(main())

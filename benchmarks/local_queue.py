"""What a message costs on `local://` and on Redis: the CPU of a process that emits and of one that receives.

    python benchmarks/local_queue.py [--rounds 5] [--burst 100]

Both are servers without clients, on uvloop. They take turns on the two queues, and the median is shown, in
microseconds per message. What redis-server itself uses comes on top and is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvloop

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from asyncsock import AsyncServer  # noqa: E402
from asyncsock.queues import from_url  # noqa: E402
from tests.support.brokers import Redis  # noqa: E402

MESSAGES, WARMUP = 20_000, 2_000
CHANNEL = "benchmark"
DATA = {"user": "ann", "text": "hello to everybody", "number": 1}


async def emit(url: str, burst: int) -> None:
    server = AsyncServer(client_manager=from_url(url, CHANNEL))
    await server.startup()

    async def emit_many(count: int) -> None:
        for number in range(1, count + 1):
            sent = server.emit("chat", DATA)
            if number % burst == 0 or number == count:
                await sent

    await emit_many(WARMUP)
    started = time.process_time()
    await emit_many(MESSAGES)
    print((time.process_time() - started) / MESSAGES * 1e6)
    await server.shutdown()


async def receive(url: str) -> None:
    server = AsyncServer(client_manager=from_url(url, CHANNEL))
    manager: Any = server.manager
    handle, all_came = manager._handle, asyncio.Event()
    count, started = 0, 0.0

    def count_and_handle(message: Any) -> None:
        nonlocal count, started
        handle(message)
        count += 1
        if count == WARMUP:
            started = time.process_time()
        elif count == WARMUP + MESSAGES:
            all_came.set()

    manager._handle = count_and_handle
    await server.startup()
    print("ready", flush=True)
    await all_came.wait()
    print((time.process_time() - started) / MESSAGES * 1e6)
    await server.shutdown()


def measure(url: str, burst: int) -> tuple[float, float]:
    """Microseconds per message of the process that emits, and of the one that receives."""
    line = [sys.executable, __file__, "--burst", str(burst), "--url", url, "--act"]
    with subprocess.Popen([*line, "receive"], stdout=subprocess.PIPE, text=True) as receiver:
        assert receiver.stdout is not None
        receiver.stdout.readline()
        emitted = subprocess.run([*line, "emit"], stdout=subprocess.PIPE, text=True, check=True).stdout
        return float(emitted), float(receiver.stdout.readline())


def compare(rounds: int, burst: int) -> None:
    with Redis() as redis, TemporaryDirectory() as folder:
        urls = {"local://": f"local://{folder}", "Redis": redis.url}
        measured: dict[str, list[tuple[float, float]]] = {name: [] for name in urls}
        for _ in range(rounds):
            for name, url in urls.items():
                measured[name].append(measure(url, burst))
    for name, pairs in measured.items():
        emitter, receiver = (statistics.median(column) for column in zip(*pairs, strict=True))
        both = statistics.median(map(sum, pairs))
        print(f"{name:9} emitter {emitter:6.1f} µs  receiver {receiver:6.1f} µs  both {both:6.1f} µs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--burst", type=int, default=100, help="emits in a row")
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--act", choices=["emit", "receive"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.act is None:
        compare(options.rounds, options.burst)
    else:
        act = emit(options.url, options.burst) if options.act == "emit" else receive(options.url)
        uvloop.run(act)


if __name__ == "__main__":
    main()

"""``python -m soak.run [MINUTES] [--seed N]``: churn for minutes, and nothing may be left.

Clients come over polling and WebSockets, do this and that, and leave in every way; three of ten are hostile.
After a warm-up, and at the end, all have left and the server counts what it holds. Both counts have to be the
same.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from soak.hostile import harass
from soak.visitors import Visitor, visit
from tests.support.server_process import Server, serve

CLIENTS = 24  # at a time
HOSTILE_SHARE = 0.3
VISIT = 60.0  # seconds that a client may take, from its arrival until it has left
SETTLED = (
    40.0  # seconds that sessions, handlers and connections may take to end after their clients have gone
)
MEMORY_MB = 8.0  # by how much the server's memory may have grown since the warm-up


class Churn:
    """Clients that come and go."""

    def __init__(self, port: int, random: Random) -> None:
        self.port = port
        self.random = random
        self.visits: Counter[str] = Counter()
        self.faults: list[str] = []

    async def go_on(self, seconds: float) -> None:
        """Keep `CLIENTS` clients busy for so long, and wait until the last has left."""
        end = time.monotonic() + seconds
        await asyncio.gather(*[self._one_after_another(end) for _ in range(CLIENTS)])

    async def _one_after_another(self, end: float) -> None:
        while time.monotonic() < end:
            random = Random(self.random.getrandbits(64))
            hostile = random.random() < HOSTILE_SHARE
            try:
                await asyncio.wait_for((harass if hostile else visit)(self.port, random), VISIT)
            except Exception as error:
                self.faults.append("".join(traceback.format_exception(error)))
            self.visits["hostile" if hostile else "well-behaved"] += 1


async def count(port: int) -> dict[str, int]:
    """What the server holds, by a client that comes for this and leaves."""
    visitor = Visitor(port, Random(0))
    await visitor.arrive("websocket")
    counts: dict[str, int] = await visitor.ask("count")
    await visitor.send("1")
    assert visitor.websocket is not None
    await visitor.websocket.until_closed()
    return counts


async def settled(port: int, base: dict[str, int] | None = None) -> dict[str, int]:
    """The counts once they are those of `base`, or stay the same for a while; the last after `SETTLED`."""
    deadline = time.monotonic() + SETTLED
    before: list[dict[str, int]] = []
    while True:
        counts = await count(port)
        before.append(counts)
        rests = counts["sessions"] == 1 and before[-8:] == [counts] * 8
        if counts == base or (base is None and rests) or time.monotonic() > deadline:
            return counts
        await asyncio.sleep(0.25)


def memory_mb(server: Server) -> float:
    text = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) / 1000


async def soak(
    server: Server, seconds: float, warm_up: float, seed: int, judges_memory: bool = True
) -> list[str]:
    """Churn, and say what is wrong: lines, none if all is well."""
    churn = Churn(server.port, Random(seed))
    filling = Visitor(server.port, Random(0))
    await filling.arrive("websocket")
    await filling.ask("fill")
    await filling.leave()
    await churn.go_on(warm_up)
    base, memory = await settled(server.port), memory_mb(server)
    print(f"after a warm-up of {warm_up:.0f} s: {memory:.1f} MB, {base}", flush=True)
    await churn.go_on(seconds)
    counts, now = await settled(server.port, base), memory_mb(server)
    print(f"after {seconds:.0f} s more: {now:.1f} MB, {counts}")
    print(", ".join(f"{number} {kind} clients" for kind, number in churn.visits.items()), flush=True)
    faults = churn.faults + [
        f"{name}: {counts[name]}, {base[name]} after the warm-up"
        for name in base
        if counts[name] != base[name]
    ]
    if judges_memory and now - memory > MEMORY_MB:
        faults.append(f"memory: {now - memory:+.1f} MB, more than {MEMORY_MB:g} MB")
    return faults + unexpected_tracebacks(server.log())


def unexpected_tracebacks(log: str) -> list[str]:
    """The tracebacks in a log, but for those of the handler that is made to fail."""
    found = ["Traceback" + part.partition("\nERROR")[0] for part in log.split("Traceback")[1:]]
    return [part[:3000] for part in found if "a handler that fails" not in part]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("minutes", nargs="?", type=float, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.minutes:g} minutes", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server ends too
    seconds = options.minutes * 60
    warm_up = min(60.0, seconds / 5)
    with serve("soak.app:asgi", args=["--no-access-log"]) as server:
        faults: list[Any] = asyncio.run(soak(server, seconds - warm_up, warm_up, options.seed))
    for fault in faults[:20]:
        print(fault)
    print(f"{len(faults)} faults" if faults else "flat: nothing is left, and nobody was not served")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()

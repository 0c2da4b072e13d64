"""``python -m fuzz.run [SECONDS] [--seed N] [--only NAME ...]``: random and mutated input, for a while.

Each fuzzer gets its part of the time. Every batch of cases has a seed of its own, made of the seed of the run
and its number, so that ``--seed N --only NAME --batch B`` repeats one. A finding ends the run with code 1;
what was sent is printed, and written to the folder artifacts.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any

from fuzz import frames, http, packets
from fuzz.mutations import Finding
from fuzz.servers import Target, target

ARTIFACTS = Path(__file__).resolve().parents[1] / "artifacts"
CASES = 100  # in a batch against a server
AT_ONCE = 8
BATCHES_BETWEEN = 20  # checks that all sessions have ended
QUIET = ("--no-access-log",)
# The direct door, with both of uvicorn's parsers of HTTP, and two servers that speak ASGI with the engine.
PACKET_SERVERS = (
    ("uvicorn", "default", QUIET),
    ("uvicorn", "msgpack", QUIET),
    ("uvicorn-wsproto", "default", QUIET),
    ("uvicorn-wsproto", "msgpack", QUIET),
    ("hypercorn", "default", ()),
)
HTTP_SERVERS = (("uvicorn", "default", QUIET), ("uvicorn", "default", (*QUIET, "--http", "h11")))
Case = Callable[[Target, str], Awaitable[bytes]]


class ServerFuzzer:
    """Runs batches of cases against some servers in turn."""

    def __init__(self, one: Case, targets: list[Target]) -> None:
        self._one = one
        self._targets = targets

    async def batch(self, seed: str, number: int) -> int:
        """Run a batch of cases, and see that its server is well; return how many they were.

        Raises:
            Finding: it is not, or a case has found something itself.
        """
        server = self._targets[number % len(self._targets)]
        seeds = [f"{seed} {case}" for case in range(CASES)]
        for start in range(0, CASES, AT_ONCE):
            await asyncio.gather(*[self._one(server, each) for each in seeds[start : start + AT_ONCE]])
        try:
            await server.check()
        except Finding as finding:
            await self._find_the_case(server, seeds)
            raise finding
        if number // len(self._targets) % BATCHES_BETWEEN == 0:
            await server.check_ended()
        return CASES

    async def _find_the_case(self, server: Target, seeds: list[str]) -> None:
        for each in seeds:
            await server.check(await self._one(server, each))


async def frames_batch(seed: str, number: int) -> int:
    return frames.batch(Random(seed))


async def fuzz(
    name: str, batch: Callable[[str, int], Awaitable[int]], seed: int, seconds: float, first: int
) -> int:
    """Run batches for so long; return how many cases they were."""
    cases, number, end = 0, first, time.monotonic() + seconds
    while number == first or time.monotonic() < end:
        try:
            cases += await batch(f"{seed} {name} {number}", number)
        except Finding as finding:
            report(finding, f"--seed {seed} --only {name} --batch {number}")
            sys.exit(1)
        number += 1
    return cases


def report(finding: Finding, again: str) -> None:
    print(f"FOUND {finding.what}")
    if finding.data:
        ARTIFACTS.mkdir(exist_ok=True)
        path = ARTIFACTS / f"fuzz-{time.strftime('%Y%m%d-%H%M%S')}.bin"
        path.write_bytes(finding.data)
        print(f"sent: {finding.data[:3000]!r}\nin {path}")
    print(f"repeat it with: python -m fuzz.run {again}")


async def main(options: argparse.Namespace) -> None:
    fuzzers: dict[str, Any] = {"frames": frames_batch}
    with ExitStack() as stack:
        for name, one, servers in (
            ("packets", packets.one, PACKET_SERVERS),
            ("http", http.one, HTTP_SERVERS),
        ):
            if name in options.only:
                targets = [stack.enter_context(target(*each)) for each in servers]
                fuzzers[name] = ServerFuzzer(one, targets).batch
        for name in options.only:
            seconds = options.seconds / len(options.only)
            cases = await fuzz(name, fuzzers[name], options.seed, seconds, options.batch)
            print(f"{name}: {cases:,} cases, nothing found", flush=True)


if __name__ == "__main__":
    names = ("frames", "packets", "http")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("seconds", nargs="?", type=float, default=120)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--batch", type=int, default=0, help="the number of the first batch")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers end too
    asyncio.run(main(options))

"""CPU time and memory of a process and its children, and the machine's name."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass, field
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """A process and all its descendants that live now."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except OSError:
                pass  # the thread ended meanwhile
    return found


def cpu_seconds(pid: int) -> float:
    """CPU time used so far by a process, its threads (ended ones too) and its children.

    Each process's own CPU clock, which counts nanoseconds, where /proc/PID/stat counts hundredths of a
    second; children that have been waited for are only in the latter.
    """
    total = 0.0
    for member in tree(pid):
        try:
            total += time.clock_gettime((~member << 3) | 2)  # clock_getcpuclockid(3): CPUCLOCK_SCHED
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            total += (int(fields[13]) + int(fields[14])) / TICK  # cutime, cstime
        except OSError:
            pass  # it ended meanwhile, and is in its parent's account
    return total


def memory_bytes(pid: int) -> int:
    """Memory of a process and its children, pages that they share counted once (PSS)."""
    total = 0
    for member in tree(pid):
        rollup = Path(f"/proc/{member}/smaps_rollup").read_text()
        total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return total * 1024


def settle(pid: int, quiet: float = 0.05, timeout: float = 20.0) -> None:
    """Wait until a server has done what it still had to do: less than 1% busy for `quiet` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        before = cpu_seconds(pid)
        time.sleep(quiet)
        if cpu_seconds(pid) - before < quiet / 100 or time.monotonic() > deadline:
            return


def machine() -> dict[str, str | int]:
    """What the figures were taken on."""
    model = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "cpu": model or platform.processor() or platform.machine(),
        "cores": os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.release()}",
        "load generator": f"Python {platform.python_version()}",
    }


@dataclass
class Outcome:
    """One round of one workload on one server.

    Attributes:
        operations: How many operations were done.
        cpu: Server CPU seconds that they took.
        wall: Seconds that they took.
        load_cpu: CPU seconds of the load generator meanwhile.
        latencies: Seconds from an operation's start to its end at the client, one per operation.
        errors: How many requests were answered with an error; they are no operations.
        server_busy: Which part of `wall` the server was running. `cpu` may hold more: what it did afterwards.
        memory: Bytes per client, for the workload that measures memory and nothing else.
        growth: By how many bytes the server's memory grew at most, for the workloads that flood it.
        logged: How many bytes it wrote to its log meanwhile.
        sent: How many bytes the flood was.
    """

    operations: int = 0
    cpu: float = 0.0
    wall: float = 0.0
    load_cpu: float = 0.0
    latencies: list[float] = field(default_factory=list)
    errors: int = 0
    server_busy: float = 0.0
    memory: float | None = None
    growth: int | None = None
    logged: int = 0
    sent: int = 0

    def cpu_us(self) -> float:
        """Server CPU microseconds per operation."""
        return self.cpu / self.operations * 1e6

    def percentile_us(self, percent: float) -> float | None:
        """A percentile of the latencies in microseconds."""
        if not self.latencies:
            return None
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1e6

    def load_busy(self) -> float:
        """Which part of `wall` the load generator was running."""
        return self.load_cpu / self.wall

    def load_limited(self) -> bool:
        """Whether the load generator was the limit, and not the server."""
        return self.load_busy() > 0.95 and self.load_busy() > self.server_busy


class Meter:
    """Measures a server while the ``with`` block runs; `outcome` holds the result."""

    def __init__(self, pid: int, settle_after: bool = False) -> None:
        self._pid = pid
        self._settle_after = settle_after
        self.outcome = Outcome()

    def __enter__(self) -> Outcome:
        settle(self._pid)
        self._cpu = cpu_seconds(self._pid)
        self._load = time.process_time()
        self._wall = time.perf_counter()
        return self.outcome

    def __exit__(self, *error: object) -> None:
        self.outcome.wall = time.perf_counter() - self._wall
        self.outcome.load_cpu = time.process_time() - self._load
        self.outcome.cpu = cpu_seconds(self._pid) - self._cpu
        self.outcome.server_busy = self.outcome.cpu / self.outcome.wall
        if self._settle_after:
            settle(self._pid)
            self.outcome.cpu = cpu_seconds(self._pid) - self._cpu

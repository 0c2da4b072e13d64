"""One client floods the server while another asks for an answer every 20 ms: how long it waits at worst."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from pathlib import Path

from clients import TIMEOUT, LoadError, Swarm, frame
from flooder import FLOODS
from measure import Outcome, tree
from servers import Server

PERIOD = 0.02  # seconds from one question to the next, unless the answer takes longer
USUAL = 0.05  # seconds: who gets all answers within them does not notice a flood
QUIET = 1.0  # seconds with such answers after which a flood is over
AFTERMATH = 10.0  # seconds that it may have consequences, apart from one answer that takes longer
FLOODER = Path(__file__).resolve().parent / "flooder.py"


class Flooder:
    """The process of the client that floods, which is connected and waits for `begin`."""

    def __init__(self, port: int, flood: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(FLOODER), str(port), flood],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )  # in this program's session, as Linux may compare niceness only within one
        if self._line() != b"ready":
            raise LoadError("the flooder was not let in")

    def __enter__(self) -> Flooder:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def begin(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()

    def ended(self) -> bool:
        """Whether it has sent all that it wanted to send."""
        return bool(select.select([self._process.stdout], [], [], 0)[0])

    def leave(self) -> int:
        """Have it leave, once it has `ended`; return how many bytes it has sent."""
        sent = self._line()
        if not sent:
            raise LoadError("the flooder failed")
        assert self._process.stdin is not None
        self._process.stdin.close()
        return int(sent)


class Other:
    """The client that wants an answer every 20 ms. `latencies` has the seconds of each."""

    def __init__(self, swarm: Swarm, event: str) -> None:
        swarm.connect(1)
        self._client = swarm.clients[0]
        self._client.sock.settimeout(TIMEOUT)
        self._event = frame(b'421["%s",1]' % event.encode())
        self.latencies: list[float] = []

    def ask(self) -> float:
        """Ask, wait for the answer and for the next turn; return when the answer came."""
        started = time.perf_counter()
        self._client.sock.sendall(self._event)
        while not self._answered():
            pass
        now = time.perf_counter()
        self.latencies.append(now - started)
        time.sleep(max(0.0, started + PERIOD - now))
        return now

    def _answered(self) -> bool:
        data = self._client.sock.recv(65536)
        if not data:
            raise LoadError("the server closed the connection of the client that did nothing wrong")
        return any(payload.startswith(b"431[") for _, payload in self._client.frames(data))

    def ask_for(self, seconds: float) -> None:
        end = time.perf_counter() + seconds
        while self.ask() < end:
            pass

    def ask_until_quiet(self) -> None:
        """Ask until all answers of the last second were as quick as usual."""
        end = time.perf_counter() + AFTERMATH
        quiet_since = time.perf_counter()
        while (now := self.ask()) < min(end, quiet_since + QUIET):
            if self.latencies[-1] > USUAL:
                quiet_since = now


def flood(server: Server, size: int, seconds: float, name: str) -> Outcome:
    """One round of one flood. How long it takes is the flood's own matter."""
    with Swarm(server.port) as swarm, Flooder(server.port, name) as flooder:
        other = Other(swarm, FLOODS[name].event)
        other.ask_for(1.0)
        other.latencies.clear()
        memory = resident(server.pid)
        logged = server.log.stat().st_size
        forget_peak(server.pid)
        flooder.begin()
        while not flooder.ended():
            other.ask()
        other.ask_until_quiet()
        sent = flooder.leave()
        other.ask_until_quiet()
        return Outcome(
            operations=len(other.latencies),
            latencies=other.latencies,
            growth=peak(server.pid) - memory,
            logged=server.log.stat().st_size - logged,
            sent=sent,
        )


# Memory


def _status(pid: int, field: str) -> int:
    """Bytes of a process and its children, as their ``/proc/PID/status`` says."""
    total = 0
    for member in tree(pid):
        for line in Path(f"/proc/{member}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                total += int(line.split()[1]) * 1024
    return total


def resident(pid: int) -> int:
    return _status(pid, "VmRSS")


def peak(pid: int) -> int:
    """The most that was resident since `forget_peak`."""
    return _status(pid, "VmHWM")


def forget_peak(pid: int) -> None:
    for member in tree(pid):
        descriptor = os.open(f"/proc/{member}/clear_refs", os.O_WRONLY)
        os.write(descriptor, b"5")
        os.close(descriptor)

"""Whether a process works (liveness) and whether it should get clients (readiness)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypedDict
from urllib.parse import parse_qs

from ..engine.elsewhere import WorkersReport
from ..engine.http import ASGI, Headers, Receive, Scope, Send, answer
from ..engine.server import EngineServer
from ..static_files import HeadOnly
from .loop_delay import LoopDelay

LATE = 1.0  # seconds of delay with which an event loop is not ready for more clients
STUCK = 30.0  # seconds of delay with which it does not live any more
JSON = b"application/json"
METHODS = ("GET", "HEAD")


class HealthReport(TypedDict):
    """The health of one process.

    Attributes:
        live: Whether its event loop runs, and did so within the last 30 seconds.
        ready: Whether it should get clients: all of ``checks`` are true.
        checks: ``accepting``, whether it has started and is not stopping; ``loop``, whether its event loop is
            less than a second late; ``queue``, whether the connections to the message queue are up, or there
            is none; ``workers``, whether it has found the other workers with which it shares its port, or
            shares none.
        stopping: Whether it stops, or has stopped.
        loop_delay: By how many seconds its event loop is late.
        queue: See `asyncsock.AsyncServer.queue_health`.
        workers: See `asyncsock.AsyncServer.workers`.
    """

    live: bool
    ready: bool
    checks: dict[str, bool]
    stopping: bool
    loop_delay: float
    queue: dict[str, Any] | None
    workers: WorkersReport


class Health:
    """The health of a server.

    Args:
        engine: Its engine.
        serves: Whether it has an event loop to serve on.
        queue: Reports the state of its message queue.

    Attributes:
        loop_delay: How late its event loop is.
    """

    def __init__(
        self,
        engine: EngineServer,
        serves: Callable[[], bool],
        queue: Callable[[], dict[str, Any] | None],
    ) -> None:
        self._engine = engine
        self._serves = serves
        self._queue = queue
        self.loop_delay = LoopDelay()

    @property
    def live(self) -> bool:
        """Whether the event loop runs."""
        return self._serves() and self.loop_delay.seconds < STUCK

    def checks(self) -> dict[str, bool]:
        """What has to be true of a process that should get clients."""
        engine, queue = self._engine, self._queue()
        return {
            "accepting": self._serves() and not engine.stopping,
            "loop": self.loop_delay.seconds < LATE,
            "queue": queue is None or (queue.get("publishing", True) and queue.get("listening", True)),
            "workers": not engine.shares_port or engine.endpoint.elsewhere is not None,
        }

    def report(self) -> HealthReport:
        """What `AsyncServer.health` returns."""
        checks = self.checks()
        return {
            "live": self.live,
            "ready": all(checks.values()),
            "checks": checks,
            "stopping": self._engine.stopping,
            "loop_delay": self.loop_delay.seconds,
            "queue": self._queue(),
            "workers": self._engine.workers(),
        }

    def pages(self, path: str) -> dict[str, ASGI]:
        """The ASGI applications that tell of it, by their paths.

        What they tell is no secret, as anybody may ask: no names, addresses or errors.
        """
        return {path: self._readiness, f"{path}/ready": self._readiness, f"{path}/live": self._liveness}

    async def _liveness(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _tell(scope, send, self.live, {"live": self.live})

    async def _readiness(self, scope: Scope, receive: Receive, send: Send) -> None:
        checks = self.checks()
        excluded = set(parse_qs(scope["query_string"].decode("latin-1")).get("exclude", ()))
        if not excluded <= checks.keys():
            await answer(send, 400, f"exclude: there are only {', '.join(checks)}\n".encode(), [])
            return
        checks = {name: well for name, well in checks.items() if name not in excluded}
        ready = all(checks.values())
        await _tell(scope, send, ready, {"live": self.live, "ready": ready, "checks": checks})


async def _tell(scope: Scope, send: Send, well: bool, facts: dict[str, Any]) -> None:
    if scope["method"] not in METHODS:
        allowed: Headers = [(b"allow", ", ".join(METHODS).encode())]
        await answer(send, 405, b"Method Not Allowed\n", allowed)
        return
    body = f"{json.dumps(facts)}\n".encode()
    to = send if scope["method"] == "GET" else HeadOnly(send)
    await answer(to, 200 if well else 503, body, [], JSON)

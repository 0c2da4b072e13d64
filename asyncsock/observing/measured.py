"""The option ``metrics``, and what a server does with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from ..acknowledgements import Acknowledgements
from ..cluster import Cluster
from ..codec.base import Codec
from ..disconnections import Disconnector
from ..engine import EngineServer
from ..engine.http import ASGI
from ..recovery.recovery import Recovery
from ..rooms import Rooms
from .health import Health
from .metrics import Metrics
from .metrics_page import Allowed, MetricsPage
from .reading import Reading, read_clients, read_engine, read_queue, read_traffic
from .traffic import Traffic
from .watch import Watched

DEFAULT_PATH = "/metrics"


class Measured(Watched):
    """A server that can be measured."""

    eio: EngineServer
    cluster: Cluster
    codec: Codec
    acknowledgements: Acknowledgements
    pages: dict[str, ASGI]
    metrics: Metrics | None = None
    _leave_registry: Callable[[], None] | None = None
    _disconnector: Disconnector
    _health: Health
    _recovery: Recovery | None

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop to work on, while there is one."""
        raise NotImplementedError

    def _measure(self, option: Any, allowed: str | Iterable[str] | None) -> None:
        """Measure the server, and give out the metrics as the option says.

        Raises:
            TypeError: It is neither True nor a path nor a registry.
            ValueError: The path does not begin with a slash, or ``allowed`` names no addresses.
            ImportError: The package for Prometheus is missing.
        """
        from .prometheus import Collector, exposition

        traffic = Traffic(self._routes, self.acknowledgements, self.eio.tasks, self.codec)
        self.watch(traffic)
        self.eio.core.count_bytes()
        if isinstance(self._rooms, Rooms):
            self._rooms.counter = traffic
        metrics = self.metrics = Metrics(
            self.cluster,
            [
                partial(read_engine, engine=self.eio),
                self._read_others,
                partial(read_traffic, traffic=traffic),
            ],
        )
        if option is True or isinstance(option, str):
            path = DEFAULT_PATH if option is True else option
            if not path.startswith("/"):
                raise ValueError(f"metrics={path!r:.100}: the path has to begin with a slash")
            self.pages[path] = MetricsPage(self.eio.core, Allowed(allowed), metrics.gather, exposition)
        elif hasattr(option, "register"):
            collector = Collector(lambda: metrics.gather_anywhere(self.loop))
            option.register(collector)
            self._leave_registry = partial(option.unregister, collector)
        else:
            raise TypeError(
                f"metrics={option!r:.100}: it is True, a path, or a registry of prometheus_client"
            )

    def leave_registry(self) -> None:
        """Give no more metrics to the registry that this server was made with, if it was made with one."""
        if self._leave_registry is not None:
            self._leave_registry()
            self._leave_registry = None

    def _read_others(self, reading: Reading) -> None:
        read_clients(reading, self._connector, self._disconnector, self._rooms, self._recovery)
        read_queue(reading, self._rooms.queue_health())
        reading.add("loop_delay_seconds", self._health.loop_delay.seconds)
        reading.add("cluster_members", 1 + len(self.cluster.members()))

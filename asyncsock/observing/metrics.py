"""Metrics of all processes of a server, whichever of them is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from ..cluster import Cluster, NotAllAnswered
from ..engine.tasks import running_loop
from .families import BY_NAME, HISTOGRAM
from .histogram import BOUNDS
from .reading import Reading, Sample

QUESTION = "metrics"
ANSWER_TIME = 5.0  # seconds that the other processes have to answer; a scrape may take ten by default

Source = Callable[[Reading], None]


class Wanted(msgspec.Struct):
    """Asks a process for its metrics."""


class Metrics:
    """The metrics of a server.

    Nothing is counted here: the sources read, when somebody asks, what is counted where it happens.

    Args:
        cluster: The other processes.
        sources: Each adds something to a reading of this process. More can be added.
    """

    def __init__(self, cluster: Cluster, sources: list[Source]) -> None:
        self.sources = sources
        self._cluster = cluster
        cluster.on_ask(QUESTION, Wanted, Reading, lambda _sender, _question: self.read())

    def read(self) -> Reading:
        """The numbers of this process, on the event loop."""
        reading = Reading(self._cluster.name if self._cluster.queue is not None else "", [])
        for source in self.sources:
            source(reading)
        return reading

    async def gather(self) -> tuple[list[Reading], int]:
        """The numbers of all processes, by the names of these; and how many have not answered."""
        readings = [self.read()]
        answers, silent = await self._ask()
        for name, reading in answers.items():
            readings.append(Reading(name, [sample for sample in reading.samples if _is_known(sample)]))
        return sorted(readings, key=lambda reading: reading.worker), silent

    async def _ask(self) -> tuple[dict[str, Reading], int]:
        """The readings of the other processes by their names, and how many have not answered."""
        queue = self._cluster.queue
        if queue is not None and not queue.is_in_touch:
            return {}, len(self._cluster.members())
        try:
            return await self._cluster.ask(QUESTION, Wanted(), ANSWER_TIME), 0
        except NotAllAnswered as error:
            return error.answers, len(error.missing)

    def gather_anywhere(self, loop: asyncio.AbstractEventLoop | None) -> tuple[list[Reading], int]:
        """The same for callers that cannot await it, in any thread.

        That of the event loop, which cannot wait for the others, gets the numbers of this process only.

        Args:
            loop: The event loop of the server, if there is one yet.
        """
        if loop is None or not loop.is_running() or loop is running_loop():
            return [self.read()], 0
        return asyncio.run_coroutine_threadsafe(self.gather(), loop).result(2 * ANSWER_TIME)


def _is_known(sample: Sample) -> bool:
    """Whether a sample of another process, which may be of another version, is one of ours."""
    family = BY_NAME.get(sample.family)
    if family is None or len(sample.labels) != len(family.labels):
        return False
    return len(sample.buckets) == (len(BOUNDS) + 1 if family.kind == HISTOGRAM else 0)

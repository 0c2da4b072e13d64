"""Metrics as Prometheus wants them, with the ``prometheus_client`` package."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate

from .families import FAMILIES, HISTOGRAM, PREFIX, SILENT, Family
from .histogram import BOUNDS
from .reading import Reading, Sample

try:
    from prometheus_client import CollectorRegistry, Metric
    from prometheus_client.exposition import choose_encoder
    from prometheus_client.utils import floatToGoString
except ImportError as error:
    raise ImportError(
        f"metrics need the package 'prometheus_client': pip install 'asyncsock[metrics]' ({error})"
    ) from error

Gathered = tuple[list[Reading], int]
LIMITS = [*map(floatToGoString, BOUNDS), "+Inf"]


class Collector:
    """Gives a registry of ``prometheus_client`` the metrics, each time that it is asked for them.

    Args:
        gather: Returns the numbers of all processes, in any thread.
    """

    def __init__(self, gather: Callable[[], Gathered]) -> None:
        self._gather = gather

    def describe(self) -> Iterator[Metric]:
        """The metrics without their numbers, so that a registry knows the names."""
        return _metrics([], 0)

    def collect(self) -> Iterator[Metric]:
        """The metrics."""
        return _metrics(*self._gather())


def exposition(readings: list[Reading], silent: int, accept: str) -> tuple[bytes, str]:
    """The metrics as text.

    Args:
        readings: The numbers of all processes.
        silent: How many processes have not answered.
        accept: The header of that name of the request.

    Returns:
        The text, and its content type.
    """
    registry = CollectorRegistry()
    registry.register(Collector(lambda: (readings, silent)))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def _metrics(readings: Iterable[Reading], silent: int) -> Iterator[Metric]:
    by_family: dict[str, list[tuple[str, Sample]]] = {family.name: [] for family in FAMILIES}
    for reading in readings:
        for sample in reading.samples:
            by_family[sample.family].append((reading.worker, sample))
    for family in FAMILIES:
        yield _metric(family, by_family[family.name])
    yield _metric(SILENT, [("", Sample(SILENT.name, [], silent))])


def _metric(family: Family, samples: Iterable[tuple[str, Sample]]) -> Metric:
    name = PREFIX + family.name
    metric = Metric(name.removesuffix("_total"), family.help, family.kind)
    for worker, sample in samples:
        labels = dict(zip(family.labels, sample.labels, strict=True))
        if worker:
            labels["worker"] = worker
        if family.kind == HISTOGRAM:
            counts = list(accumulate(sample.buckets))
            for limit, count in zip(LIMITS, counts, strict=True):
                metric.add_sample(f"{name}_bucket", {**labels, "le": limit}, count)
            metric.add_sample(f"{name}_count", labels, counts[-1])
            metric.add_sample(f"{name}_sum", labels, sample.value)
        else:
            metric.add_sample(name, labels, sample.value)
    return metric

"""How long something took, each time."""

from __future__ import annotations

from bisect import bisect_left

# Seconds, the upper bounds of the buckets. The last bucket, which has none, takes what is longer.
BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SHORT = BOUNDS[0]


class Histogram:
    """Counts durations by their length.

    Attributes:
        short: How many were not longer than `SHORT`.
        longer: How many were in each of the other buckets.
        seconds: How long all were together.
    """

    __slots__ = ("longer", "seconds", "short")

    def __init__(self) -> None:
        self.short = 0
        self.longer = [0] * len(BOUNDS)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        """Count a duration."""
        self.seconds += seconds
        if seconds <= SHORT:
            self.short += 1
        else:
            self.longer[bisect_left(BOUNDS, seconds) - 1] += 1

    def include(self, other: Histogram) -> None:
        """Count what another one has counted."""
        self.seconds += other.seconds
        self.short += other.short
        self.longer = [own + more for own, more in zip(self.longer, other.longer, strict=True)]

    @property
    def count(self) -> int:
        """How many there were."""
        return self.short + sum(self.longer)

    @property
    def buckets(self) -> list[int]:
        """How many were in each bucket."""
        return [self.short, *self.longer]

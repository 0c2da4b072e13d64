"""The rooms of clients that have lost their connections: what is sent there is kept."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from .clients import Parked
from .log import EventLog, rooms_in


class WaitingRooms:
    """Which rooms parked clients are in, and how much of the log's bound these clients take.

    A client's rooms must not change while it is here.

    Args:
        log: What is sent to the rooms.

    Attributes:
        counts: How many clients are in each room of each namespace, if any is.
    """

    def __init__(self, log: EventLog) -> None:
        self.counts: dict[tuple[str, Hashable], int] = {}
        self._log = log

    def waits(self, namespace: str, room: Any) -> bool:
        """Whether a client is to get what is sent to a room, to several, or to everybody (None)."""
        counts = self.counts
        return bool(counts) and any((namespace, name) in counts for name in rooms_in(room))

    def add(self, parked: Parked) -> None:
        """Count the rooms of a client, and what it takes."""
        self._count(parked, 1)
        self._log.reserved += parked.size

    def remove(self, parked: Parked) -> None:
        """Count a client no more."""
        self._count(parked, -1)
        self._log.reserved -= parked.size

    def clear(self) -> None:
        """Count none."""
        self.counts.clear()
        self._log.reserved = 0

    def _count(self, parked: Parked, change: int) -> None:
        counts = self.counts
        for room in parked.places:
            key = parked.namespace, room
            count = counts.get(key, 0) + change
            if count:
                counts[key] = count
            else:
                del counts[key]

"""How many messages a client may send in a second: a token bucket."""

from __future__ import annotations

import asyncio
from typing import Protocol

from .limits import Limits

PATIENCE = 10.0  # seconds in which a client that sends too many may be delayed


class Delayed(Protocol):
    """What an `EventRate` needs of a session."""

    def stop(self) -> None:
        """Leave unread what its client sends."""

    def ready(self) -> None:
        """Read on."""

    def reject(self, error: str) -> None:
        """Close it."""


class EventRate:
    """Delays a client that sends too many messages, and closes its session if that does not help.

    A client may send the messages of one second at once. Then it is not read until one more is due.

    Args:
        limits: Where it is counted that one is reached.
        most: Messages in a second.

    Attributes:
        is_exceeded: Whether the client has to wait.
    """

    __slots__ = ("_delayed_since", "_left", "_limits", "_most", "_time", "is_exceeded")

    def __init__(self, limits: Limits, most: float) -> None:
        self._limits = limits
        self._most = most
        self._left = max(most, 1.0)  # messages that it may send now
        self._time = asyncio.get_running_loop().time()  # of the last message
        self._delayed_since: float | None = None
        self.is_exceeded = False

    def count(self, session: Delayed) -> None:
        """Count a message, and have its session wait if it was one too many."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        room = max(self._most, 1.0)
        self._left = min(room, self._left + (now - self._time) * self._most)
        if self._left == room:
            self._delayed_since = None
        self._time = now
        self._left -= 1
        if self._left >= 0 or self.is_exceeded:
            return
        if self._delayed_since is None:
            self._delayed_since = now
        if now - self._delayed_since > PATIENCE:
            session.reject(f"it went on sending more than {self._most:g} messages in a second")
            return
        self._limits.hits["max_events_per_second"] += 1
        self.is_exceeded = True
        session.stop()
        loop.call_later(-self._left / self._most, self._go_on, session)

    def _go_on(self, session: Delayed) -> None:
        self.is_exceeded = False
        session.ready()

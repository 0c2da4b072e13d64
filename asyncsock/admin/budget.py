"""How many events the Admin UI is shown."""

from __future__ import annotations

import time

EVENTS = 200  # in a second, of one process
BYTES = 1_000_000  # in a second, that are decoded to be shown


class Budget:
    """Bounds what is shown in a second.

    Attributes:
        left_out: How many events have been left out.
    """

    def __init__(self) -> None:
        self.left_out = 0
        self._end = 0.0  # of this second
        self._events = 0
        self._bytes = 0

    def take(self, size: int = 0) -> bool:
        """Whether to show another event, for which so many bytes have to be decoded."""
        now = time.monotonic()
        if now >= self._end:
            self._end = now + 1.0
            self._events = self._bytes = 0
        if self._events >= EVENTS or (self._bytes and self._bytes + size > BYTES):
            self.left_out += 1
            return False
        self._events += 1
        self._bytes += size
        return True

    def take_left_out(self) -> int:
        """How many events were left out since the last call."""
        number, self.left_out = self.left_out, 0
        return number

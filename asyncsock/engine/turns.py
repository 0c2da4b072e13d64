"""Turns of the event loop, shared among clients that send more than a turn should handle."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import Protocol

from .log_lines import LogLines

lines = LogLines(logging.getLogger("asyncsock.engine"))

SLICE = 64  # messages, or frames of any kind, that are handled at once for one client
UNIT_BITS = 10  # and 2 ** 10 bytes count as one more
TURN_SLICES = 4  # slices in one turn of the loop, for all clients that wait
TURN_TIME = 0.01  # seconds that they may take
SMALL_READ = 4096  # bytes; so few are handled at once even while others wait for their turn


class Reader(Protocol):
    """What has input of a client that waits to be handled."""

    def take_turn(self) -> None:
        """Handle one slice of it, and call `Turns.add` again if there is more."""


class Turns:
    """Gives readers their turns, one slice after the other, and leaves the rest of each turn to all others.

    A reader handles the first slice of what arrives at once. What is left waits here, and its client is not
    read meanwhile. So the loop soon looks for the input of other clients, however much one of them sends.
    """

    def __init__(self) -> None:
        self._waiting: deque[Reader] = deque()

    @property
    def are_awaited(self) -> bool:
        """Whether a reader waits for its turn."""
        return bool(self._waiting)

    def add(self, reader: Reader) -> None:
        """Have a reader called, after those that wait already."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._run)
        self._waiting.append(reader)

    def clear(self) -> None:
        """Forget all readers, because their event loop has ended."""
        self._waiting.clear()

    def _run(self) -> None:
        waiting = self._waiting
        end = time.monotonic() + TURN_TIME
        for _ in range(TURN_SLICES):
            if not waiting:
                return
            # It stays the first until it has had its slice, so that `add` does not schedule another turn.
            try:
                waiting[0].take_turn()
            except Exception as error:
                lines.error("could not read on for a client", error)
            waiting.popleft()
            if time.monotonic() >= end:
                break
        if waiting:
            asyncio.get_running_loop().call_soon(self._run)

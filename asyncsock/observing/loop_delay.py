"""How late an event loop is."""

from __future__ import annotations

import asyncio
import time

INTERVAL = 0.5  # seconds between two looks


class LoopDelay:
    """How late an event loop calls a timer, and so whatever else it has to do.

    It costs two calls a second, and may be read from any thread.
    """

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0  # when the timer is to be called
        self._late = 0.0  # how late it was called last

    def start(self) -> None:
        """Measure the running event loop, from now on."""
        self.stop()
        self._late = 0.0
        self._wait(asyncio.get_running_loop())

    def stop(self) -> None:
        """Measure nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def seconds(self) -> float:
        """The delay at the last look, or the one that there is now if that is longer; 0 if none is measured.

        The clock is not the loop's, as some loops stop theirs while they are busy.
        """
        if self._timer is None:
            return 0.0
        return max(self._late, time.monotonic() - self._due, 0.0)

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = time.monotonic() + INTERVAL
        self._timer = loop.call_later(INTERVAL, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._late = time.monotonic() - self._due
        self._wait(loop)

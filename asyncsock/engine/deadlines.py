"""Deadlines of many items on one timer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import takewhile
from typing import Generic, TypeVar

T = TypeVar("T")


class Deadlines(Generic[T]):
    """Calls ``expire(item, deadline)`` for each item, ``delay`` seconds after it was added.

    All items share one delay, so they fall due in the order in which they were added and one timer
    serves them all. Items that fall due within a hundredth of the delay of each other (a quarter of a
    second at most) expire together, so that thousands of sessions cost few timers.
    """

    def __init__(self, delay: float, expire: Callable[[T, float], None]) -> None:
        self.delay = delay
        self._expire = expire
        self._slack = min(delay / 100, 0.25)
        self._items: dict[T, float] = {}  # when each falls due; the next one is first
        self._timer: asyncio.TimerHandle | None = None

    def add(self, item: T, start: float | None = None) -> None:
        """Add an item that is not there yet.

        Args:
            item: What falls due.
            start: The loop's time in seconds at which the delay begins; now by default.
        """
        loop = asyncio.get_running_loop()
        deadline = self._items[item] = (loop.time() if start is None else start) + self.delay
        if self._timer is None:
            self._timer = loop.call_at(deadline, self._run, loop, self._items)

    def __contains__(self, item: T) -> bool:
        return item in self._items

    def first(self) -> T:
        """The item that falls due next; there must be one."""
        return next(iter(self._items))

    def discard(self, item: T) -> bool:
        """Take an item away; return whether it was there."""
        return self._items.pop(item, None) is not None

    def clear(self) -> None:
        """Forget every item and the event loop, which may be closed or another thread's."""
        self._items = {}
        self._timer = None

    def _run(self, loop: asyncio.AbstractEventLoop, items: dict[T, float]) -> None:
        if items is not self._items:
            return  # `clear` was called since
        due = loop.time() + self._slack
        self._timer = None
        for item, deadline in list(takewhile(lambda pair: pair[1] <= due, self._items.items())):
            if self.discard(item):  # when another expired, this one may have been discarded
                self._expire(item, deadline)
        if self._items and self._timer is None:
            self._timer = loop.call_at(next(iter(self._items.values())), self._run, loop, self._items)

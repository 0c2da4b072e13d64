"""What sending returns: something to await, or to drop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import partial
from typing import Any


class Sent(Coroutine[Any, Any, None]):
    """The result of a call whose work is done already; awaiting it waits for nothing.

    It is a coroutine object for `asyncio.create_task`, `gather`, `run_coroutine_threadsafe` and the like,
    but nothing warns when it is dropped, and it can be awaited more than once.
    """

    __slots__ = ()

    def send(self, value: Any) -> Any:
        raise StopIteration

    def throw(self, *error: Any) -> Any:
        raise error[1] if len(error) > 1 and error[1] is not None else error[0]

    def close(self) -> None:
        pass

    def __await__(self) -> Generator[Any, Any, None]:
        return _nothing()


def _nothing() -> Generator[Any, Any, None]:
    return
    yield


SENT = Sent()


class SentAndWaiting(Sent):
    """The result of a call whose work is done, with something left to wait for.

    Args:
        wait: Makes the awaitable to wait for, when this object is awaited and not before.
    """

    __slots__ = ("_running", "_wait")

    def __init__(self, wait: Callable[[], Awaitable[Any]]) -> None:
        self._wait = wait
        self._running: Generator[Any, Any, Any] | None = None

    def send(self, value: Any) -> Any:
        if self._running is None:
            self._running = self._wait().__await__()
        return self._running.send(value)

    def throw(self, *error: Any) -> Any:
        if self._running is None:
            return super().throw(*error)
        return self._running.throw(*error)

    def close(self) -> None:
        if self._running is not None:
            self._running.close()

    def __await__(self) -> Generator[Any, Any, None]:
        return self._wait().__await__()


SENT_TYPES = (
    Sent,
    SentAndWaiting,
)  # to compare with: `isinstance` asks the abstract base class, at some cost


def sent_and_yielding() -> Sent:
    """For a caller that sends in a loop: awaiting lets the event loop write what has piled up."""
    return SentAndWaiting(partial(asyncio.sleep, 0))

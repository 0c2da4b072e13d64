"""What sending returns: something to await, or to drop."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import partial
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


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


def counts_as_coroutine(function: Function) -> Function:
    """Decorate a function whose result is to be awaited, but which is not written with ``async``.

    Frameworks, asgiref and ``unittest.mock`` ask whether a function is a coroutine function before they call
    it. Python has a mark for such functions from 3.12. Before that asyncio has one, for asgiref and
    ``unittest.mock``, and `inspect` looks at the flags of the code. CPython 3.11 does not act on that flag;
    CPython 3.10 does, so that there `inspect` alone says no.
    """
    if sys.version_info >= (3, 12):
        return inspect.markcoroutinefunction(function)
    function._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]
    if sys.version_info >= (3, 11) and sys.implementation.name == "cpython":
        code = function.__code__  # type: ignore[attr-defined]
        function.__code__ = code.replace(  # type: ignore[attr-defined]
            co_flags=code.co_flags | inspect.CO_COROUTINE
        )
    return function


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

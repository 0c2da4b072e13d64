"""What the sending methods return: it may be awaited or dropped."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable
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
    """Mark a function without ``async`` as a coroutine function, because its result is to be awaited.

    Frameworks, asgiref and ``unittest.mock`` ask whether a function is a coroutine function before they call
    it. From Python 3.12 on, `inspect` has a mark for such functions. Before, asgiref and ``unittest.mock``
    look for asyncio's mark, and `inspect` looks at a flag of the code. CPython 3.10 acts on that flag when
    it calls the function, so the flag is not set there, and `inspect` says no.
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


async def call_and_await(function: Callable[..., Any], args: Iterable[Any]) -> Any:
    """Call a function or coroutine function, and return its result."""
    result = function(*args)
    return await result if inspect.isawaitable(result) else result


class SentAndWaiting(Sent):
    """The result of a call whose work is done, with something left to wait for.

    Args:
        wait: Called when this object is awaited; returns the awaitable to wait for.
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


# For `type(x) in SENT_TYPES`: `isinstance` would ask the abstract base class, which is slow.
SENT_TYPES = (Sent, SentAndWaiting)


def sent_and_yielding() -> Sent:
    """A result for callers that send in a loop: awaiting it lets the event loop write what was sent."""
    return SentAndWaiting(partial(asyncio.sleep, 0))

"""The event loop that a server serves on, and how other threads hand work to it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from .engine.awaitables import Sent, SentAndWaiting
from .engine.tasks import running_loop

T = TypeVar("T")


class ServerLoop:
    """The event loop on which a server serves.

    Clients, rooms and sessions have no locks: only the thread of this loop uses them. What another thread
    asks of the server is handed to the loop with `call`, `result` or `start`.

    Args:
        attached: Called each time that the server begins to serve on an event loop.

    Attributes:
        thread: The thread of the event loop; 0 before there is one.
    """

    def __init__(self, attached: Callable[[], object]) -> None:
        self.thread = 0
        self._attached = attached
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop to work on, while there is one."""
        return self._loop if self._loop is not None and not self._loop.is_closed() else None

    def attach(self) -> None:
        """Serve on the running event loop.

        Raises:
            RuntimeError: No event loop runs in this thread.
        """
        self._loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()
        self._attached()

    def follow(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Serve on the running event loop, which the engine serves on already."""
        if self._loop is not loop:
            self.attach()

    def is_here(self) -> bool:
        """Whether the caller is on the event loop."""
        return threading.get_ident() == self.thread and self._loop is not None and self._loop.is_running()

    def elsewhere(self) -> asyncio.AbstractEventLoop | None:
        """The event loop to which work has to be handed; None if the caller can do it.

        If the server's loop is closed and the caller is on another loop, that one becomes the server's.
        """
        if self._loop is None or threading.get_ident() == self.thread:
            return None
        if self._loop.is_closed():
            if running_loop() is not None:
                self.attach()
            return None
        return self._loop

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function on the event loop's thread and return its result."""
        loop = self.elsewhere()
        if loop is None or not loop.is_running():  # a loop that does not run would never answer
            return function(*args)
        future: concurrent.futures.Future[T] = concurrent.futures.Future()

        def run() -> None:
            try:
                future.set_result(function(*args))
            except BaseException as error:
                future.set_exception(error)

        loop.call_soon_threadsafe(run)
        return future.result()

    def result(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on the server's loop and return its result; on an event loop, an awaitable."""
        loop = self.elsewhere()
        if loop is None or not loop.is_running():
            return coroutine
        result = result_elsewhere(coroutine, loop)
        return result.result() if isinstance(result, concurrent.futures.Future) else result

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> Sent:
        """Begin to run a coroutine, and return something to await its end with."""
        loop = self.elsewhere()
        if loop is None:
            return SentAndWaiting(partial(_end_of, asyncio.get_running_loop().create_task(coroutine)))
        future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        return SentAndWaiting(lambda: asyncio.wrap_future(future))


def result_elsewhere(coroutine: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> Any:
    """Run a coroutine on the loop of another thread and return its future; in a coroutine, an awaitable."""
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    return future if running_loop() is None else asyncio.wrap_future(future)


async def wait_for(task: asyncio.Task[Any]) -> None:
    """Wait for a task of this event loop or of another. Cancelling the wait does not cancel the task."""
    await asyncio.shield(_end_of(task))


async def _end_of(task: asyncio.Task[Any]) -> Any:
    loop = task.get_loop()
    if loop is asyncio.get_running_loop():
        return await task
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_end_of(task), loop))

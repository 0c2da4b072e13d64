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
    """The event loop of a server, once it serves on one.

    Clients, rooms and sessions have no locks: only the thread of this loop uses them. What another thread
    asks of the server is handed to the loop with `call`, `result` or `start`.

    Args:
        attached: Called on each event loop that the server comes to serve on.

    Attributes:
        thread: The thread of that event loop; 0 before there is one.
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
            RuntimeError: None runs in this thread.
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
        """The event loop that work has to be handed to; None if it can be done here.

        Where the server's loop has closed and the caller is on another one, that becomes the server's.
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
        if loop is None or not loop.is_running():  # or nobody would answer
            return function(*args)
        future: concurrent.futures.Future[T] = concurrent.futures.Future()

        def run() -> None:
            try:
                future.set_result(function(*args))
            except Exception as error:
                future.set_exception(error)

        loop.call_soon_threadsafe(run)
        return future.result()

    def result(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """What a coroutine returns; on an event loop, something to be awaited for it."""
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
    """The future of a coroutine on the loop of another thread; in a coroutine, one to be awaited."""
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    return future if running_loop() is None else asyncio.wrap_future(future)


async def wait_for(task: asyncio.Task[Any]) -> None:
    """Wait for a task of this event loop or of another. To cancel the wait leaves the task alone."""
    await asyncio.shield(_end_of(task))


async def _end_of(task: asyncio.Task[Any]) -> Any:
    loop = task.get_loop()
    if loop is asyncio.get_running_loop():
        return await task
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_end_of(task), loop))

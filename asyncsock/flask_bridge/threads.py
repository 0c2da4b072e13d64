"""A bounded pool of daemon threads for code that blocks."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import SyncToAsync

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger("asyncsock.threads")


class ThreadPool(Executor):
    """An executor whose threads never keep the process from exiting.

    `concurrent.futures.ThreadPoolExecutor` joins its threads at exit, so one blocked view would hold up the
    whole server. Threads are made when work finds none idle, up to `max_workers`; work beyond that waits.

    Args:
        max_workers: the most threads that run at once.
        thread_name_prefix: threads are called "prefix-1", "prefix-2" and so on.
    """

    def __init__(self, max_workers: int, thread_name_prefix: str = "asyncsock") -> None:
        if max_workers < 1:
            raise ValueError("max_workers must be at least 1")
        self._max_workers = max_workers
        self._prefix = thread_name_prefix
        self._queue: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._shut_down = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run `fn(*args, **kwargs)` in a thread, and return the future of its result.

        Raises:
            RuntimeError: the pool is shut down, or not one thread can be started.
        """
        future: Future[T] = Future()
        self.start(_Call(future, fn, args, kwargs))
        return future

    def start(self, job: Callable[[], object]) -> None:
        """Run `job()` in a thread, with no future: what it returns is dropped, what it raises is logged.

        Raises:
            RuntimeError: the pool is shut down, or not one thread can be started.
        """
        with self._lock:
            if self._shut_down:
                raise RuntimeError("the thread pool is shut down")
            if self._idle:
                self._idle -= 1
            elif len(self._threads) < self._max_workers:
                self._add_thread()
            self._queue.put(job)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work, and end the threads once the work that waits is done.

        Args:
            wait: return only when every thread has ended.
            cancel_futures: drop the work that no thread has begun.
        """
        with self._lock:
            first = not self._shut_down
            self._shut_down = True
            if cancel_futures:
                self._drop_waiting()
            if first or cancel_futures:
                for _ in self._threads:
                    self._queue.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def _add_thread(self) -> None:
        thread = threading.Thread(
            target=self._work, name=f"{self._prefix}-{len(self._threads) + 1}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            # The system is out of threads; those that we have will get to it.
            if not self._threads:
                raise
        else:
            self._threads.append(thread)

    def _drop_waiting(self) -> None:
        while True:
            try:
                job = self._queue.get_nowait()
            except Empty:
                return
            if isinstance(job, _Call):
                job.future.cancel()

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            try:
                job()
            except BaseException:
                logger.exception("Exception in a thread of the pool")
            del job  # or it would live until the next one comes
            with self._lock:
                self._idle += 1


class Beginning:
    """Whether a function that was given to a thread has begun, and the wait for it.

    The thread tells the event loop only if somebody waits.
    """

    __slots__ = ("_loop", "_waiter", "begun")

    def __init__(self) -> None:
        self.begun = False
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None

    def begin(self) -> None:
        """Note, in the thread, that the function begins."""
        self.begun = True
        if self._waiter is not None:
            self._loop.call_soon_threadsafe(_settle, self._waiter, None, None)

    async def wait(self) -> None:
        """Wait, on the loop, until it has begun; those who wait go on in the order in which they came."""
        if self._waiter is None:
            self._waiter = self._loop.create_future()
        if not self.begun:  # looked at after the waiter is there for the thread to see
            await asyncio.shield(self._waiter)


async def call_in_thread(pool: ThreadPool, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in the pool, in a copy of the current contextvars, and return its result.

    It leaves what `asgiref.sync_to_async` leaves in the thread, so that coroutines that the function gives to
    ``async_to_sync`` (as Flask does with async functions) run on this event loop; asgiref's own wrapper costs
    several times as much as the rest of a call.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = copy_context()

    def job() -> None:
        local = SyncToAsync.threadlocal
        local.main_event_loop = loop
        local.main_event_loop_pid = os.getpid()
        try:
            result = context.run(function, *args, **kwargs)
        except BaseException as error:
            loop.call_soon_threadsafe(_settle, future, None, error)
        else:
            loop.call_soon_threadsafe(_settle, future, result, None)

    pool.start(job)
    return await future


def _settle(future: asyncio.Future[T], result: Any, error: BaseException | None) -> None:
    if future.done():  # cancelled meanwhile
        return
    if isinstance(error, StopIteration):  # futures and coroutines refuse it
        future.set_exception(RuntimeError(f"{error!r} was raised"))
    elif error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


class _Call:
    """A submitted call and the future of its result."""

    __slots__ = ("args", "fn", "future", "kwargs")

    def __init__(
        self, future: Future[Any], fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self.future = future
        self.fn = fn
        self.args = args
        self.kwargs = kwargs

    def __call__(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self.fn(*self.args, **self.kwargs)
        except BaseException as error:
            self.future.set_exception(error)
            del self.future  # break the cycle error -> traceback -> frame -> self
        else:
            self.future.set_result(result)

"""A bounded pool of daemon threads for code that blocks."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextvars import copy_context
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import SyncToAsync

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger("asyncsock.threads")


class ThreadPool(Executor):
    """An executor whose threads never keep the process from exiting.

    `concurrent.futures.ThreadPoolExecutor` joins its threads at exit, so one blocked view would hold up the
    whole server. Threads are made when work finds none idle, up to `max_workers`; work beyond that waits.

    One thread is woken at a time: it takes a job, wakes the next thread if there are more, and runs its own.
    If jobs are short, the first thread has done them all before the next one gets the interpreter lock; if a
    job blocks, the lock is free for the next thread. With a thread woken per job, these would compete for
    the lock, which costs more than short jobs do.

    Args:
        max_workers: the most threads that run at once.
        thread_name_prefix: threads are called "prefix-1", "prefix-2" and so on.
    """

    def __init__(self, max_workers: int, thread_name_prefix: str = "asyncsock") -> None:
        if max_workers < 1:
            raise ValueError("max_workers must be at least 1")
        self._max_workers = max_workers
        self._prefix = thread_name_prefix
        self._jobs: deque[Callable[[], object]] = deque()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._sleeping: list[threading.Lock] = []  # what each idle thread waits to acquire
        self._waking = False  # whether a thread has been woken or made that has not looked for work yet
        self._shut_down = False
        self._results: Results | None = None

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
            if not self._waking:
                self._wake_thread()
            self._jobs.append(job)

    def results(self, loop: asyncio.AbstractEventLoop) -> Results:
        """The `Results` that hand jobs' results to an event loop."""
        if self._results is None or self._results.loop is not loop:
            self._results = Results(loop)
        return self._results

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work, and end the threads when the waiting work is done.

        Args:
            wait: return only when every thread has ended.
            cancel_futures: drop the work that no thread has begun.
        """
        with self._lock:
            self._shut_down = True
            if cancel_futures:
                for job in self._jobs:
                    if isinstance(job, _Call):
                        job.future.cancel()
                self._jobs.clear()
            while self._sleeping:
                self._sleeping.pop().release()
        if wait:
            for thread in self._threads:
                thread.join()

    def _wake_thread(self) -> None:
        if self._sleeping:
            self._sleeping.pop().release()
            self._waking = True
        elif len(self._threads) < self._max_workers:
            self._add_thread()

    def _add_thread(self) -> None:
        thread = threading.Thread(
            target=self._work, name=f"{self._prefix}-{len(self._threads) + 1}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            # The system is out of threads; the existing ones will do the work.
            if not self._threads:
                raise
        else:
            self._threads.append(thread)
            self._waking = True

    def _work(self) -> None:
        wakeup = threading.Lock()
        wakeup.acquire()
        woken = True
        while True:
            with self._lock:
                if woken:
                    self._waking = woken = False
                if self._jobs:
                    job = self._jobs.popleft()
                    if self._jobs and not self._waking:
                        self._wake_thread()
                elif self._shut_down:
                    return
                else:
                    self._sleeping.append(wakeup)
                    woken = True
            if woken:
                wakeup.acquire()
                continue
            try:
                job()
            except BaseException:
                logger.exception("Exception in a thread of the pool")
            del job  # or the job would live until the next one comes


class Results:
    """Hands what jobs return to the futures that wait for it on an event loop; wakes it once for many."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._waiting: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()
        self._woken = False

    def put(self, future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
        """Settle a future of the loop's, from any thread."""
        self._waiting.append((future, result, error))
        if not self._woken:
            self._woken = True
            self.loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        self._woken = False  # before the last look, so that whatever comes after it wakes the loop again
        while self._waiting:
            _settle(*self._waiting.popleft())


# Seconds of head start that a function has before the next handler. It is Python's switch interval: a thread
# that lost the interpreter lock on its first lines has it again by then.
HEAD_START = 0.005


class Beginning:
    """Whether a function that was given to a thread has begun, and the wait for it.

    The threads of a pool begin in any order. So each handler of a connection waits for the beginning of the
    function before it, and all of them start in the order in which their events came.

    The thread tells the event loop only if somebody waits.
    """

    __slots__ = ("_loop", "_over", "_started", "_waiting")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._started: float | None = None  # by the loop's clock
        self._over = False  # whether it has ended, or had its head start
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def begun(self) -> bool:
        """Whether it has certainly begun, and all who waited for that have continued."""
        return self._over and not self._waiting

    def begin(self) -> None:
        """Note, in the thread, that the function begins."""
        self._started = self._loop.time()
        if self._waiting:
            self._loop.call_soon_threadsafe(self._after_head_start)

    def end(self) -> None:
        """Note, on the loop, that the function has ended or will not begin."""
        self._over = True
        self._wake_first()

    async def wait(self) -> None:
        """Wait, on the loop, until it has begun. Those who wait continue in the order in which they came."""
        turn = self._loop.create_future()
        self._waiting.append(turn)
        if (
            len(self._waiting) == 1 and self._started is not None
        ):  # if it has not begun, its thread sees that somebody waits
            self._after_head_start()
        try:
            await turn
        finally:
            self._waiting.remove(turn)
            if self._over:
                self._wake_first()

    def _after_head_start(self) -> None:
        assert self._started is not None
        self._loop.call_at(self._started + HEAD_START, self.end)

    def _wake_first(self) -> None:
        if self._waiting:
            _settle(self._waiting[0], None, None)


async def call_in_thread(pool: ThreadPool, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in the pool, in a copy of the current contextvars, and return its result.

    It sets in the thread what `asgiref.sync_to_async` sets there, so that coroutines that the function gives
    to ``async_to_sync`` (as Flask does with async functions) run on this event loop. asgiref's own wrapper
    costs several times as much as the rest of a call.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = copy_context()
    results = pool.results(loop)

    def job() -> None:
        local = SyncToAsync.threadlocal
        if getattr(local, "main_event_loop", None) is not loop:
            local.main_event_loop = loop
            local.main_event_loop_pid = os.getpid()
        try:
            result = context.run(function, *args, **kwargs)
        except BaseException as error:
            results.put(future, None, error)
        else:
            results.put(future, result, None)

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

"""A bounded pool of daemon threads for code that blocks."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextvars import Context, copy_context
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import SyncToAsync

from ..engine.log_lines import LogLines

P = ParamSpec("P")
T = TypeVar("T")
Job = Callable[[], object]

lines = LogLines(logging.getLogger("asyncsock.threads"))


class ThreadPool(Executor):
    """An executor whose threads never keep the process from exiting.

    `concurrent.futures.ThreadPoolExecutor` joins its threads at exit, so one blocked view would hold up the
    whole server. Threads are made when work finds none idle, up to `max_workers`; work beyond that waits.

    One thread is woken at a time: it takes a job, wakes the next thread if there are more, and runs its own.
    If jobs are short, the first thread has done them all before the next one gets the interpreter lock; if a
    job blocks, the lock is free for the next thread. With a thread woken per job, these would compete for
    the lock, which costs more than short jobs do.

    Jobs may be for a client. It is given another thread only while more threads are free than it has: at most
    half of them, and fewer if other clients have some. So a client that has none finds a thread free, or gets
    the next one that becomes free, however many jobs of others wait. Clients take turns, and the jobs of one
    client begin in their order.

    Args:
        max_workers: the most threads that run at once.
        thread_name_prefix: threads are called "prefix-1", "prefix-2" and so on.
    """

    def __init__(self, max_workers: int, thread_name_prefix: str = "asyncsock") -> None:
        if max_workers < 1:
            raise ValueError("max_workers must be at least 1")
        self._max_workers = max_workers
        self._prefix = thread_name_prefix
        self._waiting: deque[Share] = deque()  # those with jobs that wait
        self._free = max_workers  # threads that run no job, and those that have not been made yet
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

    def start(self, job: Job, share: Share | None = None) -> None:
        """Run `job()` in a thread, with no future: what it returns is dropped, what it raises is logged.

        Args:
            job: What to run.
            share: The share of the client that it is for. Jobs for no client share with nobody.

        Raises:
            RuntimeError: the pool is shut down, or not one thread can be started.
        """
        with self._lock:
            if self._shut_down:
                raise RuntimeError("the thread pool is shut down")
            if share is None:
                share = Share()
            if not self._waking and share.running < self._free:
                self._wake_thread()
            if not share.jobs:
                self._waiting.append(share)
            share.jobs.append(job)

    def load(self) -> tuple[int, int]:
        """How many threads run a job now, and how many jobs wait for one."""
        with self._lock:
            return self._max_workers - self._free, sum([len(share.jobs) for share in self._waiting])

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
                for share in self._waiting:
                    for job in share.jobs:
                        if isinstance(job, _Call):
                            job.future.cancel()
                    share.jobs.clear()
                self._waiting.clear()
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
        waiting = self._waiting
        share = None
        while True:
            with self._lock:
                if woken:
                    self._waking = woken = False
                if share is not None:  # its job has ended
                    self._free += 1
                    if waiting and self._free == 1:
                        self._next()  # while the thread still counts for it, so that it goes behind others
                    share.running -= 1
                share = self._next() if waiting else None
                if share is not None:
                    waiting.popleft()
                    job = share.jobs.pop(0)
                    if share.jobs:
                        waiting.append(share)
                    share.running += 1
                    self._free -= 1
                    if waiting and not self._waking and self._next() is not None:
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
            except BaseException as error:
                lines.error("Exception in a thread of the pool", error)
            del job  # or the job would live until the next one comes

    def _next(self) -> Share | None:
        """Whose job may begin now, of those in `_waiting`: the first that may, moved to the front, or None.

        While a thread is free, those that may not have a thread each, so there are not many of them to pass.
        """
        waiting, free = self._waiting, self._free
        if waiting[0].running < free:
            return waiting[0]
        if free:
            for passed, share in enumerate(waiting):
                if share.running < free:
                    waiting.rotate(-passed)
                    return share
        return None


class Share:
    """A client's share of the threads of a pool.

    Attributes:
        jobs: Its jobs that wait. They are few, as its handlers begin one after the other.
        running: How many threads it has.
    """

    __slots__ = ("jobs", "running")

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.running = 0


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


async def call_in_thread(
    pool: ThreadPool, share: Share, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Call a function in the pool for a client, in a copy of the current contextvars, and return its result.

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

    pool.start(job, share)
    return await future


def adopt(context: Context) -> None:
    """Set the contextvars to what they are in a context."""
    for variable, value in context.items():
        if variable.get(None) is not value:
            variable.set(value)


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

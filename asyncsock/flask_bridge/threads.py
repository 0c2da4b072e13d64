"""A bounded pool of daemon threads for code that blocks."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

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

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run `fn(*args, **kwargs)` in a thread, and return the future of its result.

        Raises:
            RuntimeError: the pool is shut down, or not one thread can be started.
        """
        future: Future[T] = Future()
        self.start(_Call(future, fn, args, kwargs))
        return future

    def start(self, job: Job, share: Share | None = None, *, wake: bool = True) -> None:
        """Run `job()` in a thread, with no future: what it returns is dropped, what it raises is logged.

        Args:
            job: What to run.
            share: The share of the client that it is for. Jobs for no client share with nobody.
            wake: Whether to wake a thread for it, if need be. If not, call `wake` soon.

        Raises:
            RuntimeError: the pool is shut down, or not one thread can be started.
        """
        with self._lock:
            if self._shut_down:
                raise RuntimeError("the thread pool is shut down")
            if share is None:
                share = Share()
            if (wake or not self._threads) and not self._waking and share.running < self._free:
                self._wake_thread()
            if not share.jobs:
                self._waiting.append(share)
            share.jobs.append(job)

    def wake(self) -> None:
        """Wake a thread if there is a job that may begin."""
        with self._lock:
            if self._waiting and not self._waking and self._next() is not None:
                self._wake_thread()

    def load(self) -> tuple[int, int]:
        """How many threads run a job now, and how many jobs wait for one."""
        with self._lock:
            return self._max_workers - self._free, sum([len(share.jobs) for share in self._waiting])

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

    def _others_wait(self, first: bool) -> None:
        """See that the jobs that wait do not wait for the one that the calling thread begins, if it blocks.

        Args:
            first: Whether that is the thread's first job since it was woken.
        """
        if self._next() is not None:
            self._wake_thread()

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
                first = woken
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
                    if waiting and not self._waking:
                        self._others_wait(first)
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

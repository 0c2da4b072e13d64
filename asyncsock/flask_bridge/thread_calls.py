"""Calls that an event loop makes in threads: in which order they begin, and how their results come back."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from contextvars import Context, copy_context
from functools import partial
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

from asgiref.sync import SyncToAsync

from .threads import Job, Share, ThreadPool

P = ParamSpec("P")
T = TypeVar("T")


class CallPool(ThreadPool):
    """A pool whose calls are awaited on an event loop. The arguments are those of `ThreadPool`.

    A thread that is woken and leaves calls to others has the event loop wake the next thread, and so has each
    result. If calls are short, the first thread has made them all before the loop gets the interpreter lock,
    and no other is woken; if one blocks, the lock is free for the loop.
    """

    def __init__(self, max_workers: int, thread_name_prefix: str = "asyncsock") -> None:
        super().__init__(max_workers, thread_name_prefix)
        self._exchange: Exchange | None = None

    def call(
        self, share: Share, context: Context, function: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Call a function in a thread for a client, in a context, and return a future of its result.

        Raises:
            RuntimeError: The pool is shut down, or not one thread can be started.
        """
        call = Call(self.exchange(), context, function, args)
        self.hand_over(call, share)
        return call.future

    def exchange(self) -> Exchange:
        """The exchange of the running event loop."""
        loop = asyncio.get_running_loop()
        exchange = self._exchange
        if exchange is None or exchange.loop is not loop:
            exchange = self._exchange = Exchange(self, loop)
        return exchange

    def hand_over(self, job: LoopJob, share: Share) -> None:
        """Have a job of the running event loop done in a thread, for a client.

        Raises:
            RuntimeError: The pool is shut down, or not one thread can be started.
        """
        job._exchange.start(job, share)

    def _others_wait(self, first: bool) -> None:
        if first and (self._exchange is None or not self._exchange.wake_loop()):
            super()._others_wait(first)


async def call_in_thread(
    pool: CallPool, share: Share, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Call a function in the pool for a client, in a copy of the current contextvars; return its result."""
    return await pool.call(share, copy_context(), partial(function, *args, **kwargs))


def adopt(context: Context) -> None:
    """Set the contextvars to what they are in a context."""
    for variable, value in context.items():
        if variable.get(None) is not value:
            variable.set(value)


class LoopJob:
    """A job that an event loop has a thread do.

    It sets in the thread what `asgiref.sync_to_async` sets there, so that coroutines that the function gives
    to ``async_to_sync`` (as Flask does with async functions) run on the event loop. asgiref's own wrapper
    costs several times as much as the rest of a call.

    It is one object: a hundred calls that wait are a hundred for the garbage collector to look at.
    """

    __slots__ = ()
    _variables: Context  # the contextvars in which it works
    _exchange: Exchange  # where it goes when that is done
    _result: Any
    _error: BaseException | None

    def __call__(self) -> None:
        exchange, local = self._exchange, SyncToAsync.threadlocal
        if getattr(local, "main_event_loop", None) is not exchange.loop:
            local.main_event_loop = exchange.loop
            local.main_event_loop_pid = os.getpid()
        try:
            self._result = self._variables.run(self._work)
        except BaseException as error:
            self._error = error  # type: ignore[misc]  # the slot is the subclass's
        exchange.put(self)

    def _work(self) -> Any:
        """What is done in the thread."""
        raise NotImplementedError

    def settle(self) -> None:
        """Go on with the result or the error, on the event loop."""
        raise NotImplementedError


class Call(LoopJob, Generic[T]):
    """The call of a function, with a future of its result.

    Attributes:
        future: The future, of the loop's.
    """

    __slots__ = ("_args", "_error", "_exchange", "_function", "_result", "_variables", "future")

    def __init__(
        self, exchange: Exchange, context: Context, function: Callable[..., T], args: tuple[Any, ...]
    ) -> None:
        self.future: asyncio.Future[T] = exchange.loop.create_future()
        self._exchange = exchange
        self._variables = context
        self._function = function
        self._args = args
        self._result: T | None = None
        self._error: BaseException | None = None

    def _work(self) -> T:
        return self._function(*self._args)

    def settle(self) -> None:
        _settle(self.future, self._result, self._error)
        self._error = None  # or it would be in a cycle with its traceback


class Done(Protocol):
    """What a thread has for the event loop."""

    def settle(self) -> None:
        """Take it, on the loop. It raises nothing."""


class Exchange:
    """Hands calls to a pool and their results to an event loop; each wakes the other once for many.

    The calls of a tick wake a thread at its end. A thread that is woken earlier has to wait for the
    interpreter lock, which the loop holds, and both would take turns for each call that comes meanwhile.

    Args:
        pool: The pool.
        loop: The event loop.
    """

    def __init__(self, pool: ThreadPool, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._pool = pool
        self._given = False  # whether `_wake_pool` is about to be called
        self._done: list[Done] = []
        self._lock = threading.Lock()
        self._woken = False  # whether `_take` is about to be called

    def start(self, job: Job, share: Share | None = None) -> None:
        """Have a job done in a thread, which is woken at the end of the tick.

        Args:
            job: The job.
            share: The share of the client that it is for, if it is for one.

        Raises:
            RuntimeError: The pool is shut down, or not one thread can be started.
        """
        self._pool.start(job, share, wake=False)
        if not self._given:
            self._given = True
            self.loop.call_soon(self._wake_pool)

    def put(self, done: Done) -> bool:
        """Have something settled on the loop, from any thread.

        Returns:
            False if the loop is closed.
        """
        with self._lock:
            self._done.append(done)
            woken, self._woken = self._woken, True
        return woken or self._call_take()

    def wake_loop(self) -> bool:
        """Have the loop settle what is done, and wake a thread if calls wait for one; from any thread.

        Returns:
            False if the loop is closed.
        """
        with self._lock:
            woken, self._woken = self._woken, True
        return woken or self._call_take()

    def _call_take(self) -> bool:
        try:
            self.loop.call_soon_threadsafe(self._take)
        except RuntimeError:
            self._woken = False
            return False
        return True

    def _wake_pool(self) -> None:
        self._given = False
        self._pool.wake()

    def _take(self) -> None:
        with self._lock:
            self._woken = False
            done, self._done = self._done, []
        if done:
            # Behind what the jobs have handed to the loop before they were done, such as emits.
            self.loop.call_soon(self._settle, done)
        self._pool.wake()

    def _settle(self, done: list[Done]) -> None:
        for each in done:
            each.settle()


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
        self._waiting: list[asyncio.Future[None]] | None = None  # usually nobody does

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
        if self._waiting:
            self._waiting.append(turn)
        else:
            self._waiting = [turn]
            if self._started is not None:  # if it has not begun, its thread sees that somebody waits
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


def _settle(future: asyncio.Future[T], result: Any, error: BaseException | None) -> None:
    if future.done():  # cancelled meanwhile
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(raisable(error))


def raisable(error: BaseException) -> BaseException:
    """An error as futures and coroutines take it: they refuse StopIteration."""
    return RuntimeError(f"{error!r} was raised") if isinstance(error, StopIteration) else error

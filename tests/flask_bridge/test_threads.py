"""The pool of daemon threads."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import logging
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, wait

import pytest
from asgiref.sync import sync_to_async

from asyncsock.flask_bridge.threads import Share, ThreadPool
from tests.support.server_process import ROOT

TIMEOUT = 10.0
CLIENTS, JOBS = "abcdefgh", 20


@pytest.fixture
def pool() -> Iterator[ThreadPool]:
    pool = ThreadPool(3, "worker")
    yield pool
    pool.shutdown(cancel_futures=True)


def test_a_call_returns_its_result_or_raises_its_error(pool: ThreadPool) -> None:
    assert pool.submit(divmod, 7, 2).result(TIMEOUT) == (3, 1)
    assert pool.submit(int, "ff", base=16).result(TIMEOUT) == 255
    with pytest.raises(ZeroDivisionError):
        pool.submit(divmod, 1, 0).result(TIMEOUT)


def test_an_idle_thread_is_reused(pool: ThreadPool) -> None:
    names = set()
    for _ in range(5):
        names.add(pool.submit(lambda: threading.current_thread().name).result(TIMEOUT))
        wait_until_idle(pool)
    assert names == {"worker-1"}


def test_threads_are_made_as_needed_up_to_the_bound_and_more_work_waits(pool: ThreadPool) -> None:
    together = threading.Barrier(4)
    go_on = threading.Event()

    def work() -> str:
        together.wait(TIMEOUT)
        go_on.wait(TIMEOUT)
        return threading.current_thread().name

    first = [pool.submit(work) for _ in range(3)]
    together.wait(TIMEOUT)  # all three run at once
    more = [pool.submit(lambda: threading.current_thread().name) for _ in range(20)]
    assert not any(future.done() for future in more)
    go_on.set()
    assert {future.result(TIMEOUT) for future in first} == {"worker-1", "worker-2", "worker-3"}
    assert all(future.result(TIMEOUT).startswith("worker-") for future in more)


def test_its_threads_are_daemons(pool: ThreadPool) -> None:
    assert pool.submit(lambda: threading.current_thread().daemon).result(TIMEOUT)


def test_the_process_exits_while_a_call_blocks() -> None:
    program = (
        "import threading\n"
        "from asyncsock.flask_bridge.threads import ThreadPool\n"
        "running = threading.Event()\n"
        "def block():\n"
        "    running.set()\n"
        "    threading.Event().wait()\n"
        "ThreadPool(2).submit(block)\n"
        "assert running.wait(10)\n"
        "print('the end')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, timeout=30, text=True, check=True
    )
    assert result.stdout == "the end\n"


def test_shutdown_waits_for_what_was_submitted(pool: ThreadPool) -> None:
    futures = [pool.submit(pow, 2, n) for n in range(50)]
    pool.shutdown(wait=True)
    assert [future.result(0) for future in futures] == [2**n for n in range(50)]
    assert not any(thread.is_alive() for thread in pool._threads)
    with pytest.raises(RuntimeError):
        pool.submit(int)
    with pytest.raises(RuntimeError):
        pool.start(int)
    pool.shutdown()


def test_shutdown_can_cancel_what_no_thread_has_begun(pool: ThreadPool) -> None:
    go_on = threading.Event()
    together = threading.Barrier(4)

    def work() -> bool:
        together.wait(TIMEOUT)
        return go_on.wait(TIMEOUT)

    begun = [pool.submit(work) for _ in range(3)]
    together.wait(TIMEOUT)
    waiting: list[Future[int]] = [pool.submit(int) for _ in range(5)]
    pool.shutdown(wait=False, cancel_futures=True)
    assert all(future.cancelled() for future in waiting)
    go_on.set()
    assert [future.result(TIMEOUT) for future in begun] == [True, True, True]
    pool.shutdown(wait=True)
    with pytest.raises(CancelledError):
        waiting[0].result(0)


def test_a_cancelled_call_is_not_run(pool: ThreadPool) -> None:
    go_on = threading.Event()
    ran: list[int] = []
    begun = [pool.submit(go_on.wait, TIMEOUT) for _ in range(3)]
    future = pool.submit(ran.append, 1)
    assert future.cancel()
    go_on.set()
    wait(begun, TIMEOUT)
    pool.shutdown()
    assert ran == []


def test_it_is_a_context_manager() -> None:
    with ThreadPool(2) as pool:
        future = pool.submit(int, "5")
    assert future.result(0) == 5


def test_a_job_that_raises_is_logged_and_its_thread_goes_on(
    pool: ThreadPool, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ValueError("no luck")

    with caplog.at_level(logging.ERROR, logger="asyncsock.threads"):
        for _ in range(5):
            pool.start(fail)
        assert pool.submit(int, "1").result(TIMEOUT) == 1
        pool.shutdown()
    assert len(caplog.records) == 5


def test_the_context_of_the_caller_is_left_alone(pool: ThreadPool) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="default")
    variable.set("mine")
    assert pool.submit(variable.get).result(TIMEOUT) == "default"
    assert pool.submit(contextvars.copy_context().run, variable.get).result(TIMEOUT) == "mine"


def test_nothing_of_a_finished_call_is_kept(pool: ThreadPool) -> None:
    class Thing:
        pass

    thing = Thing()
    gone = weakref.ref(thing)
    pool.submit(repr, thing).result(TIMEOUT)
    pool.start(functools.partial(repr, thing), Share())
    del thing
    wait_until_idle(pool)
    gc.collect()
    assert gone() is None


async def test_it_serves_run_in_executor(pool: ThreadPool) -> None:
    loop = asyncio.get_running_loop()
    name = await loop.run_in_executor(pool, lambda: threading.current_thread().name)
    assert name.startswith("worker-")
    with pytest.raises(ZeroDivisionError):
        await loop.run_in_executor(pool, divmod, 1, 0)


async def test_it_serves_asgiref(pool: ThreadPool) -> None:
    work = sync_to_async(lambda: threading.current_thread().name, thread_sensitive=False, executor=pool)  # type: ignore[arg-type]
    assert (await work()).startswith("worker-")


def test_a_pool_without_threads_is_refused() -> None:
    with pytest.raises(ValueError):
        ThreadPool(0)


def test_work_is_still_done_when_no_further_thread_can_start(
    pool: ThreadPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    first = pool.submit(go_on.wait, TIMEOUT)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    second = pool.submit(int, "2")
    go_on.set()
    assert first.result(TIMEOUT) is True
    assert second.result(TIMEOUT) == 2


class Work:
    """Jobs for clients that block until they are released.

    Attributes:
        begun: The client and the number of each job that has begun.
    """

    def __init__(self, pool: ThreadPool) -> None:
        self.begun: list[tuple[str, int]] = []
        self._pool = pool
        self._shares = {client: Share() for client in CLIENTS}
        self._changed = threading.Condition()
        self._released: set[tuple[str, int]] = set()

    def give(self, client: str, numbers: range) -> None:
        for number in numbers:
            self._pool.start(functools.partial(self._run, (client, number)), self._shares[client])

    def release(self, *jobs: tuple[str, int]) -> None:
        with self._changed:
            self._released.update(jobs)
            self._changed.notify_all()

    def release_all(self) -> None:
        self.release(*[(client, number) for client in CLIENTS for number in range(JOBS)])

    def wait_for(self, *jobs: tuple[str, int]) -> None:
        """Wait until these jobs have begun, and see that no others have."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.begun) >= len(jobs), TIMEOUT), self.begun
            assert sorted(self.begun) == sorted(jobs)

    def _run(self, job: tuple[str, int]) -> None:
        with self._changed:
            self.begun.append(job)
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: job in self._released, TIMEOUT)


def test_a_client_whose_jobs_block_leaves_threads_to_others() -> None:
    with ThreadPool(8) as pool:
        work = Work(pool)
        work.give("a", range(JOBS))
        of_a = [("a", number) for number in range(4)]
        work.wait_for(*of_a)
        work.give("b", range(JOBS))
        of_b = [("b", number) for number in range(2)]
        work.wait_for(*of_a, *of_b)
        work.give("c", range(JOBS))
        work.wait_for(*of_a, *of_b, ("c", 0))
        assert pool.submit(int, "1").result(TIMEOUT) == 1
        assert len(work.begun) == 7
        work.release_all()
        pool.shutdown()
    assert sorted(work.begun) == [(client, number) for client in "abc" for number in range(JOBS)]


def test_a_client_with_no_thread_gets_the_next_one_before_those_that_have_one() -> None:
    with ThreadPool(2) as pool:
        work = Work(pool)
        for client in "ab":
            work.give(client, range(JOBS))
        work.wait_for(("a", 0), ("b", 0))
        for client in "cd":
            work.give(client, range(2))
        for released, begins in ((("b", 0), ("c", 0)), (("c", 0), ("d", 0))):
            expected = [*work.begun, begins]
            work.release(released)
            work.wait_for(*expected)
        work.release_all()


def test_clients_take_turns_and_each_clients_jobs_begin_in_their_order() -> None:
    begun: list[str] = []
    shares = {client: Share() for client in CLIENTS}
    hold = threading.Event()
    with ThreadPool(1) as pool:
        pool.submit(hold.wait, TIMEOUT)
        for job in ("a0", "a1", "a2", "a3", "b0", "b1", "c0", "b2"):
            pool.start(functools.partial(begun.append, job), shares[job[0]])
        hold.set()
    assert begun == ["a0", "b0", "c0", "a1", "b1", "a2", "b2", "a3"]


def test_jobs_that_wake_no_thread_wait_for_a_call_of_wake_or_for_a_thread_that_is_awake(
    pool: ThreadPool,
) -> None:
    pool.submit(int).result(TIMEOUT)
    wait_until_idle(pool)
    begun = threading.Event()
    pool.start(begun.set, wake=False)
    assert pool.load() == (0, 1)
    pool.wake()
    assert begun.wait(TIMEOUT)
    again, hold = threading.Event(), threading.Event()
    pool.start(functools.partial(hold.wait, TIMEOUT))
    pool.start(again.set, wake=False)
    hold.set()
    assert again.wait(TIMEOUT)


def test_no_job_for_a_client_is_lost_when_jobs_are_given_from_many_threads() -> None:
    begun: dict[str, list[int]] = {client: [] for client in CLIENTS}
    with ThreadPool(4) as pool:

        def give(client: str) -> None:
            share = Share()
            for number in range(1000):
                pool.start(functools.partial(begun[client].append, number), share)

        givers = [threading.Thread(target=give, args=(client,)) for client in CLIENTS]
        for giver in givers:
            giver.start()
        for giver in givers:
            giver.join()
    assert {client: len(numbers) for client, numbers in begun.items()} == dict.fromkeys(CLIENTS, 1000)


def wait_until_idle(pool: ThreadPool) -> None:
    """A thread counts itself idle a moment after the future of its call is done."""
    deadline = time.monotonic() + TIMEOUT
    while len(pool._sleeping) < len(pool._threads):
        assert time.monotonic() < deadline
        time.sleep(0.001)

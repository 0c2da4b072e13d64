"""Calls that an event loop makes in threads."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import weakref
from collections.abc import Iterator
from contextlib import nullcontext

import flask
import pytest

from asyncsock import SocketIO, emit
from asyncsock.engine.awaitables import SentAndWaiting
from asyncsock.flask_bridge.extension import HANDLER_THREADS
from asyncsock.flask_bridge.thread_calls import CallPool, call_in_thread
from asyncsock.flask_bridge.threads import Share
from tests.support.flask_programs import request
from tests.support.raw_clients import within
from tests.support.socketio_in_process import connected, until

TIMEOUT = 10.0


@pytest.fixture
def pool() -> Iterator[CallPool]:
    pool = CallPool(4, "worker")
    yield pool
    pool.shutdown()


async def test_a_call_returns_its_result_or_raises_its_error(pool: CallPool) -> None:
    assert await call_in_thread(pool, Share(), divmod, 7, 2) == (3, 1)
    assert await call_in_thread(pool, Share(), int, "ff", base=16) == 255
    with pytest.raises(ZeroDivisionError):
        await call_in_thread(pool, Share(), divmod, 1, 0)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await call_in_thread(pool, Share(), next, iter(()))


async def test_a_call_sees_the_contextvars_of_its_caller_and_changes_them_for_itself(pool: CallPool) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("mine")

    def change() -> str:
        seen = variable.get()
        variable.set("its own")
        return seen

    assert await call_in_thread(pool, Share(), change) == "mine"
    assert variable.get() == "mine"


async def test_the_calls_of_a_tick_wake_a_thread_at_its_end(pool: CallPool) -> None:
    await call_in_thread(pool, Share(), int)
    await within(until(lambda: pool._sleeping))
    calls = [pool.call(Share(), contextvars.copy_context(), int, str(number)) for number in range(20)]
    assert pool.load() == (0, 20)
    assert await asyncio.gather(*calls) == list(range(20))


async def test_calls_that_block_run_beside_each_other(pool: CallPool) -> None:
    together = threading.Barrier(4)
    calls = [call_in_thread(pool, Share(), together.wait, TIMEOUT) for _ in range(4)]
    assert sorted(await within(asyncio.gather(*calls))) == [0, 1, 2, 3]


async def test_no_result_is_lost_when_many_threads_bring_them(pool: CallPool) -> None:
    async def client() -> list[int]:
        share = Share()
        return [await call_in_thread(pool, share, int, number) for number in range(500)]

    assert await asyncio.gather(*[client() for _ in range(20)]) == [list(range(500))] * 20


async def test_a_call_whose_caller_has_given_up_is_made_and_its_result_dropped(pool: CallPool) -> None:
    begun, release = threading.Event(), threading.Event()

    def block() -> None:
        begun.set()
        release.wait(TIMEOUT)

    call = asyncio.ensure_future(call_in_thread(pool, Share(), block))
    await within(until(begun.is_set))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    release.set()
    assert await call_in_thread(pool, Share(), int, "1") == 1


def test_calls_go_on_beside_each_other_after_their_event_loop_has_ended(pool: CallPool) -> None:
    first, begun, release = threading.Event(), threading.Event(), threading.Event()

    def block() -> None:
        first.set()
        release.wait(TIMEOUT)

    async def leave_calls() -> None:
        share = Share()
        for _ in range(4):
            pool.call(share, contextvars.copy_context(), block)
        await asyncio.to_thread(first.wait, TIMEOUT)

    asyncio.run(leave_calls())
    pool.submit(begun.set)
    assert begun.wait(TIMEOUT)
    release.set()


async def test_calls_are_refused_after_the_end(pool: CallPool) -> None:
    await call_in_thread(pool, Share(), int)
    pool.shutdown()
    with pytest.raises(RuntimeError, match="shut down"):
        await call_in_thread(pool, Share(), int)


def test_a_pool_serves_one_event_loop_after_the_other(pool: CallPool) -> None:
    async def call() -> int:
        return await call_in_thread(pool, Share(), int, "5")

    assert [asyncio.run(call()) for _ in range(3)] == [5, 5, 5]


@pytest.mark.parametrize("fails", [False, True])
async def test_nothing_of_a_finished_call_is_kept(pool: CallPool, fails: bool) -> None:
    class Thing:
        pass

    def work(thing: Thing) -> None:
        if fails:
            raise ValueError("no luck")

    thing = Thing()
    gone = weakref.ref(thing)
    with pytest.raises(ValueError) if fails else nullcontext():
        await call_in_thread(pool, Share(), work, thing)
    del thing
    await within(until(lambda: len(pool._sleeping) == len(pool._threads)))
    await asyncio.sleep(0)  # or the loop still has the callback that woke this task, with its future
    gc.collect()
    assert gone() is None


async def test_nothing_of_an_event_is_kept_when_its_function_has_ended() -> None:
    class Thing:
        pass

    socketio = SocketIO(flask.Flask("program"))
    variable: contextvars.ContextVar[Thing] = contextvars.ContextVar("variable")
    gone: list[weakref.ref[Thing]] = []

    @socketio.on("keep")
    def keep() -> None:
        thing = flask.g.thing = request.thing = Thing()
        variable.set(thing)
        gone.append(weakref.ref(thing))

    async with connected(socketio.server) as client:
        await within(client.ask("keep"))
        await within(until(lambda: socketio.server.threads._sleeping))
        gc.collect()
        assert gone[0]() is None
    socketio.server.threads.shutdown()


async def test_a_function_whose_event_was_given_up_before_it_began_runs_all_the_same() -> None:
    socketio = SocketIO(flask.Flask("program"))
    release = threading.Event()
    ran: list[str] = []

    @socketio.on("block")
    def block() -> None:
        release.wait(TIMEOUT)

    @socketio.on("note")
    def note(text: str) -> None:
        ran.append(text + request.event["message"])

    async with connected(socketio.server) as client:
        server = socketio.server
        for _ in range(HANDLER_THREADS // 2):  # as many as one client may have
            client.send('42["block"]')
        client.send('42["note","a "]')
        await within(until(lambda: server.threads.load() == (HANDLER_THREADS // 2, 1)))
        assert ran == []
        for task, _ in list(server.eio.tasks.running.values()):
            task.cancel()
        release.set()
        await within(until(lambda: ran))
    assert ran == ["a note"]
    server.threads.shutdown()


async def test_a_handler_is_acknowledged_after_what_it_has_emitted_while_many_run() -> None:
    socketio = SocketIO(flask.Flask("program"))

    @socketio.on("count")
    def count(number: int) -> int:
        for part in range(3):
            emit("part", (number, part))
            emit("part", (number, part), to=request.sid)
        return number

    async def ask() -> None:
        async with connected(socketio.server) as client:
            for number in range(30):
                client.send(f'42{number}["count",{number}]')
            packets = [await within(client.receive()) for _ in range(30 * 7)]
        for number in range(30):
            of_number = [
                packet for packet in packets if packet.startswith((f'42["part",{number},', f"43{number}["))
            ]
            parts = [f'42["part",{number},{part}]' for part in (0, 0, 1, 1, 2, 2)]
            assert of_number == [*parts, f"43{number}[{number}]"]

    await asyncio.gather(*[ask() for _ in range(8)])
    socketio.server.threads.shutdown()


async def test_an_event_that_was_given_up_is_not_acknowledged_and_the_next_one_is() -> None:
    socketio = SocketIO(flask.Flask("program"))
    begun, release = threading.Event(), threading.Event()

    @socketio.on("block")
    def block() -> str:
        begun.set()
        release.wait(TIMEOUT)
        return "too late"

    @socketio.on("answer")
    async def answer() -> str:
        return "in time"

    async with connected(socketio.server) as client:
        running = socketio.server.eio.tasks.running
        client.send('421["block"]')
        await within(until(begun.is_set))
        for handled, _ in list(running.values()):
            handled.cancel()
        await within(until(lambda: not running))
        assert await within(client.ask("answer")) == ["in time"]
        release.set()
        await within(until(lambda: socketio.server.threads.load() == (0, 0)))
        assert await client.packets() == []
    socketio.server.threads.shutdown()


async def test_an_event_is_acknowledged_when_what_its_function_returns_to_wait_for_has_ended() -> None:
    socketio = SocketIO(flask.Flask("program"))
    may_end = asyncio.Event()

    @socketio.on("wait")
    def wait() -> SentAndWaiting:
        return SentAndWaiting(may_end.wait)

    async with connected(socketio.server) as client:
        running = socketio.server.eio.tasks.running
        client.send('421["wait"]')
        await within(until(lambda: any(isinstance(handled, asyncio.Task) for handled, _ in running.values())))
        assert await client.packets() == []
        may_end.set()
        assert await within(client.receive()) == "431[]"
        assert not running
    socketio.server.threads.shutdown()


async def test_an_error_that_coroutines_cannot_raise_is_logged_and_the_next_event_is_handled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    socketio = SocketIO(flask.Flask("program"))

    @socketio.on("next")
    def fail() -> object:
        return next(iter(()))

    async with connected(socketio.server) as client:
        client.send('421["next"]')
        await within(until(lambda: "StopIteration() was raised" in caplog.text))
        await within(until(lambda: not socketio.server.eio.tasks.running))
        assert await client.packets() == []
    socketio.server.threads.shutdown()

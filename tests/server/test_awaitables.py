"""What emit() and its kin return: the work is done by then, and what is left can be awaited or dropped."""

from __future__ import annotations

import asyncio
import collections.abc
import gc
import inspect
import sys
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from unittest import mock

import asgiref.sync
import pytest

from asyncsock import ASGIApp, AsyncServer
from asyncsock.engine import EngineServer
from asyncsock.engine.awaitables import SENT, Sent, SentAndWaiting
from tests.support.raw_clients import RawSocket, frame, within
from tests.support.socketio_in_process import Client, connected, msgpack_client, until
from tests.support.uvicorn_in_process import running

LARGE = "x" * 8_000_000  # more than the buffers of both kernels take
MANY = 600  # emits in one tick: more than what a sender that awaits gets through without a pause


@contextmanager
def no_warnings() -> Iterator[None]:
    """Fail on any warning, those of finalisers included."""
    gc.collect()  # what earlier tests left must not be found here
    unraisable: list[Any] = []
    hook, sys.unraisablehook = sys.unraisablehook, unraisable.append
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
            gc.collect()
    finally:
        sys.unraisablehook = hook
    assert unraisable == []


async def in_thread(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function in a thread of its own, so that it cannot pass for the loop's, and await its result."""
    return await within(asyncio.to_thread(function, *args, **kwargs))


@asynccontextmanager
async def stalled(server: AsyncServer) -> AsyncIterator[Client]:
    """A client that has not read the first event, "large", and reads when its `socket.reads` is set."""
    async with connected(server) as client:
        client.socket.reads.clear()
        server.emit("large", to=client.sid)
        transport = server.eio.sessions[client.eio_sid].transport
        while not transport.paused:
            await asyncio.sleep(0)
        yield client


# The objects


@pytest.mark.parametrize("make", [lambda: SENT, lambda: SentAndWaiting(lambda: asyncio.sleep(0))])
def test_it_is_a_coroutine_object_and_not_a_coroutine(make: Callable[[], Sent]) -> None:
    sent = make()
    assert isinstance(sent, collections.abc.Coroutine)
    assert asyncio.iscoroutine(sent)
    assert inspect.isawaitable(sent)
    assert not inspect.iscoroutine(sent)


@pytest.fixture(params=["nothing", "a pause", "a task", "a future"])
def make(request: pytest.FixtureRequest) -> Callable[[], Sent]:
    """Makes results with different things left to wait for."""

    async def work() -> None:
        await asyncio.sleep(0.001)

    def future() -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        loop.call_soon(future.set_result, None)
        return future

    waits: dict[str, Callable[[], Any]] = {
        "a pause": lambda: asyncio.sleep(0),
        "a task": lambda: asyncio.ensure_future(work()),
        "a future": future,
    }
    wait = waits.get(request.param)
    return (lambda: SentAndWaiting(wait)) if wait is not None else (lambda: SENT)


async def test_it_can_be_awaited(make: Callable[[], Sent]) -> None:
    assert await make() is None


async def test_it_can_be_awaited_twice(make: Callable[[], Sent]) -> None:
    sent = make()
    await sent
    await sent


async def test_create_task_takes_it(make: Callable[[], Sent]) -> None:
    assert await within(asyncio.create_task(make())) is None


async def test_it_can_be_awaited_while_a_task_runs_it(make: Callable[[], Sent]) -> None:
    sent = make()
    task = asyncio.create_task(sent)
    await sent
    await within(task)


async def test_gather_takes_it(make: Callable[[], Sent]) -> None:
    assert await within(asyncio.gather(make(), make(), asyncio.sleep(0, 1))) == [None, None, 1]


async def test_ensure_future_takes_it(make: Callable[[], Sent]) -> None:
    assert await within(asyncio.ensure_future(make())) is None


async def test_wait_for_takes_it(make: Callable[[], Sent]) -> None:
    assert await asyncio.wait_for(make(), 5) is None


async def test_shield_takes_it(make: Callable[[], Sent]) -> None:
    assert await within(asyncio.shield(make())) is None


@pytest.mark.skipif(sys.version_info < (3, 11), reason="TaskGroup is of Python 3.11")
async def test_a_task_group_takes_it(make: Callable[[], Sent]) -> None:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(make())
    assert task.result() is None


async def test_run_coroutine_threadsafe_takes_it(make: Callable[[], Sent]) -> None:
    loop = asyncio.get_running_loop()

    def run() -> Any:
        return asyncio.run_coroutine_threadsafe(make(), loop).result(5)

    assert await in_thread(run) is None


def test_asyncio_run_takes_it(make: Callable[[], Sent]) -> None:
    assert asyncio.run(make()) is None  # type: ignore[func-returns-value]


def test_run_until_complete_takes_it(make: Callable[[], Sent]) -> None:
    loop = asyncio.new_event_loop()
    try:
        assert loop.run_until_complete(make()) is None  # type: ignore[func-returns-value]
    finally:
        loop.close()


async def test_an_error_of_what_it_waits_for_is_raised() -> None:
    async def fail() -> None:
        raise ValueError("no broker")

    with pytest.raises(ValueError, match="no broker"):
        await SentAndWaiting(fail)
    with pytest.raises(ValueError, match="no broker"):
        await asyncio.create_task(SentAndWaiting(fail))


async def test_a_task_of_it_can_be_cancelled() -> None:
    task = asyncio.create_task(SentAndWaiting(asyncio.Event().wait))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(task)


async def test_it_can_be_waited_for_with_a_timeout() -> None:
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(SentAndWaiting(asyncio.Event().wait), 0.01)


def test_it_can_be_closed(make: Callable[[], Sent]) -> None:
    make().close()


# What the functions return


async def test_every_function_that_sends_returns_one(server: AsyncServer) -> None:
    async with connected(server) as client:
        results = [
            server.emit("hello", to=client.sid),
            server.send("hello", to=client.sid),
            server.enter_room(client.sid, "room"),
            server.leave_room(client.sid, "room"),
            server.close_room("room"),
            server.disconnect(client.sid),
        ]
        assert [isinstance(result, Sent) for result in results] == [True] * 6


async def test_dropping_them_warns_of_nothing(server: AsyncServer) -> None:
    async with connected(server) as client:
        with no_warnings():
            for _ in range(MANY):
                server.emit("hello", to=client.sid)
            server.send("hello")
            server.enter_room(client.sid, "room")
            server.leave_room(client.sid, "room")
            server.close_room("room")
            server.disconnect(client.sid)


async def test_dropping_one_that_waits_for_a_client_warns_of_nothing(server: AsyncServer) -> None:
    async with stalled(server) as client:
        with no_warnings():
            assert server.emit("hello", to=client.sid) is not SENT


async def test_dropping_them_in_a_thread_warns_of_nothing(server: AsyncServer) -> None:
    def work(sid: str) -> None:
        server.emit("hello", to=sid)
        server.enter_room(sid, "room")
        server.disconnect(sid)

    async with connected(server) as client:
        with no_warnings():
            await in_thread(work, client.sid)
            await asyncio.sleep(0)


async def test_a_burst_can_be_gathered(server: AsyncServer) -> None:
    async with connected(server) as client:
        await within(asyncio.gather(*[server.emit("number", n, to=client.sid) for n in range(MANY)]))
        assert await client.events() == [["number", n] for n in range(MANY)]


async def test_tasks_can_be_made_of_a_burst(server: AsyncServer) -> None:
    async with connected(server) as client:
        tasks = [asyncio.create_task(server.emit("number", n, to=client.sid)) for n in range(MANY)]
        await within(asyncio.gather(*tasks))
        assert await client.events() == [["number", n] for n in range(MANY)]


async def test_tasks_can_be_made_of_one_burst_after_another(server: AsyncServer) -> None:
    async with connected(server) as client:
        for _ in range(2):
            tasks = [asyncio.create_task(server.emit("hello", to=client.sid)) for _ in range(MANY)]
            await within(asyncio.gather(*tasks))
        assert len(await client.events()) == 2 * MANY


async def test_a_burst_that_is_awaited_lets_others_run(server: AsyncServer) -> None:
    ran: list[int] = []
    async with connected(server) as client:
        asyncio.get_running_loop().call_soon(ran.append, 1)
        for n in range(MANY):
            await server.emit("number", n, to=client.sid)
        assert ran == [1]
        assert await client.events() == [["number", n] for n in range(MANY)]


# Delivery and order


async def test_a_plain_emit_in_a_coroutine_is_delivered(server: AsyncServer) -> None:
    async with connected(server) as client:
        server.emit("hello")
        assert await client.events() == [["hello"]]


async def test_plain_and_awaited_emits_keep_their_order(server: AsyncServer) -> None:
    async with connected(server) as client:
        server.emit("number", 0)
        await server.emit("number", 1)
        server.emit("number", 2, to=client.sid)
        await asyncio.sleep(0)
        await server.emit("number", 3)
        server.emit("number", 4)
        assert await client.events() == [["number", n] for n in range(5)]


async def test_a_task_of_an_emit_does_not_delay_it(server: AsyncServer) -> None:
    async with connected(server) as client:
        task = asyncio.create_task(server.emit("first"))
        server.emit("second")
        await task
        assert await client.events() == [["first"], ["second"]]


async def test_data_that_is_changed_after_an_emit_is_sent_as_it_was(server: AsyncServer) -> None:
    async with connected(server) as client:
        data = {"values": [1]}
        server.emit("data", data)
        data["values"].append(2)
        assert await client.events() == [["data", {"values": [1]}]]


async def test_data_that_cannot_be_encoded_raises_in_the_caller(server: AsyncServer) -> None:
    async with connected(server):
        with pytest.raises(TypeError):
            server.emit("data", object())


async def test_rooms_are_entered_and_left_without_await(server: AsyncServer) -> None:
    async with connected(server) as client:
        server.enter_room(client.sid, "room")
        assert "room" in server.rooms(client.sid)
        server.emit("in", to="room")
        server.leave_room(client.sid, "room")
        server.emit("out", to="room")
        assert await client.events() == [["in"]]


async def test_a_client_is_disconnected_without_await(server: AsyncServer) -> None:
    async with connected(server) as client:
        server.disconnect(client.sid)
        assert not server.manager.is_connected(client.sid, "/")
        assert await client.receive() == "41"


# A client that does not read


async def test_awaiting_an_emit_to_one_client_waits_until_it_reads(server: AsyncServer) -> None:
    async with stalled(server) as client:
        emit = asyncio.ensure_future(server.emit("hello", to=client.sid))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not emit.done()
        client.socket.reads.set()
        await within(emit)


async def test_an_emit_to_a_room_of_one_waits_until_it_reads(server: AsyncServer) -> None:
    async with stalled(server) as client, connected(server):
        server.enter_room(client.sid, "room")
        emit = asyncio.ensure_future(server.emit("hello", to="room"))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not emit.done()
        client.socket.reads.set()
        await within(emit)


async def test_a_broadcast_does_not_wait_for_who_does_not_read(server: AsyncServer) -> None:
    async with stalled(server) as slow, connected(server) as other:
        await within(server.emit("hello"))
        assert await other.events() == [["hello"]]
        slow.socket.reads.set()


async def test_an_emit_to_one_client_does_not_wait_for_another(server: AsyncServer) -> None:
    async with stalled(server), connected(server) as other:
        await within(server.emit("hello", to=other.sid))
        assert await other.events() == [["hello"]]


async def test_a_client_that_goes_ends_the_wait(server: AsyncServer) -> None:
    async with stalled(server) as client:
        emit = asyncio.ensure_future(server.emit("hello", to=client.sid))
        await asyncio.sleep(0)
        await client.leave()
        await within(emit)


async def test_giving_up_waiting_for_a_client_leaves_the_others_waiting(server: AsyncServer) -> None:
    async with stalled(server) as client:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(server.emit("one", to=client.sid), 0.01)
        emit = asyncio.ensure_future(server.emit("two", to=client.sid))
        await asyncio.sleep(0)
        client.socket.reads.set()
        await within(emit)
        assert [event[0] for event in await client.events()] == ["large", "one", "two"]


@pytest.mark.parametrize("ws", ["auto", "wsproto"], ids=["direct", "plain ASGI"])
async def test_awaiting_an_emit_waits_for_room_in_the_write_buffer_of_a_real_client(
    server: AsyncServer, ws: str
) -> None:
    async with running(ASGIApp(server), ws) as local:
        async with await RawSocket.websocket(local, "/socket.io/") as raw:
            await raw.send(frame(1, b"40"))
            await raw.read_frame()
            raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
            ((sid, _),) = server.manager.get_participants("/", None)
            session = server.eio.sessions[server.manager.eio_sid_from_sid(sid, "/")]
            server.emit("large", LARGE, to=sid)
            await within(until(lambda: not session.outbox))
            server.emit("small", to=sid)  # which uvicorn's own WebSockets take notice with
            await asyncio.sleep(0.05)  # ours leave it in the outbox, and so nothing tells
            emit = asyncio.ensure_future(server.emit("hello", to=sid))
            await asyncio.sleep(0.05)
            assert not emit.done()
            raw.writer.transport.resume_reading()  # type: ignore[attr-defined]
            assert len((await raw.read_frame())[1]) == len(LARGE) + len('42["large",""]')
            await within(emit)
            assert await raw.read_frame() == (1, b'42["small"]')
            assert await raw.read_frame() == (1, b'42["hello"]')


# Threads


async def test_an_emit_from_a_thread_is_delivered(server: AsyncServer) -> None:
    async with connected(server) as client:
        await in_thread(server.emit, "hello", 1)
        assert await client.event() == ["hello", 1]


async def test_send_from_a_thread_is_delivered(server: AsyncServer) -> None:
    async with connected(server) as client:
        await in_thread(server.send, "hello")
        assert await client.event() == ["message", "hello"]


def emit_and_change(server: AsyncServer) -> None:
    """Emit in a thread and change the data, before the loop can do anything about it."""

    def work() -> None:
        data = {"values": [1]}
        server.emit("data", data)
        data["values"].append(2)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


async def test_data_that_is_changed_after_an_emit_in_a_thread_is_sent_as_it_was(server: AsyncServer) -> None:
    async with connected(server) as client:
        emit_and_change(server)
        assert await client.event() == ["data", {"values": [1]}]


async def test_data_that_is_changed_after_an_emit_in_a_thread_is_sent_as_it_was_by_msgpack() -> None:
    server = AsyncServer(serializer="msgpack")
    async with msgpack_client(server) as client:
        emit_and_change(server)
        assert await client.receive() == (2, ["data", {"values": [1]}], None)


@pytest.mark.parametrize("serializer", ["default", "msgpack"])
async def test_data_that_cannot_be_encoded_raises_in_the_calling_thread(serializer: str) -> None:
    server = AsyncServer(serializer=serializer)
    server.attach_loop()
    with pytest.raises(TypeError):
        await in_thread(server.emit, "data", object())


async def test_the_order_of_each_thread_is_kept(server: AsyncServer) -> None:
    def work(name: str) -> None:
        for n in range(100):
            server.emit("number", [name, n])

    async with connected(server) as client:
        await asyncio.gather(*[in_thread(work, name) for name in "abc"])
        got = [await client.event() for _ in range(300)]
    for name in "abc":
        assert [n for _, (who, n) in got if who == name] == list(range(100))


async def test_a_thread_that_emits_and_enters_a_room_keeps_its_order(server: AsyncServer) -> None:
    def work(sid: str) -> None:
        server.emit("before", to="room")
        server.enter_room(sid, "room")
        server.emit("in", to="room")
        server.leave_room(sid, "room")
        server.emit("after", to="room")
        server.emit("end", to=sid)

    async with connected(server) as client:
        await in_thread(work, client.sid)
        assert [await client.event(), await client.event()] == [["in"], ["end"]]


async def test_enter_room_from_a_thread_is_done_when_it_returns(server: AsyncServer) -> None:
    def work(sid: str) -> list[str]:
        server.enter_room(sid, "room")
        return list(server.manager.rooms["/"]["room"])

    async with connected(server) as client:
        assert await in_thread(work, client.sid) == [client.sid]


async def test_leave_room_and_close_room_from_a_thread_are_done_when_they_return(server: AsyncServer) -> None:
    def work(sid: str) -> list[Any]:
        server.leave_room(sid, "a")
        server.close_room("b")
        return sorted(server.rooms(sid))

    async with connected(server) as client:
        for room in ("a", "b"):
            server.enter_room(client.sid, room)
        assert await in_thread(work, client.sid) == [client.sid]


async def test_an_error_of_enter_room_is_raised_in_the_calling_thread(server: AsyncServer) -> None:
    async with connected(server):
        with pytest.raises(ValueError, match="not connected"):
            await in_thread(server.enter_room, "nobody", "room")


async def test_disconnect_from_a_thread_is_done_when_it_returns(server: AsyncServer) -> None:
    def work(sid: str) -> bool:
        server.disconnect(sid)
        return bool(server.manager.is_connected(sid, "/"))

    async with connected(server) as client:
        assert await in_thread(work, client.sid) is False
        assert await client.receive() == "41"


async def test_what_a_thread_gets_can_be_run_in_its_own_loop(server: AsyncServer) -> None:
    async def disconnect(sid: str) -> None:
        await asyncio.sleep(0.01)

    server.on("disconnect", disconnect)

    def work(sid: str) -> None:
        asyncio.run(server.emit("hello", to=sid))  # type: ignore[arg-type]
        asyncio.run(server.enter_room(sid, "room"))  # type: ignore[arg-type]
        asyncio.run(server.disconnect(sid))  # type: ignore[arg-type]

    async with connected(server) as client:
        await in_thread(work, client.sid)
        assert [await client.receive() for _ in range(2)] == ['42["hello"]', "41"]


async def test_what_a_thread_gets_can_be_run_on_the_servers_loop(server: AsyncServer) -> None:
    loop = asyncio.get_running_loop()
    ended: list[str] = []

    async def disconnect(sid: str) -> None:
        await asyncio.sleep(0.01)
        ended.append(sid)

    server.on("disconnect", disconnect)

    def work(sid: str) -> list[str]:
        asyncio.run_coroutine_threadsafe(server.emit("hello", to=sid), loop).result(5)
        asyncio.run_coroutine_threadsafe(server.disconnect(sid), loop).result(5)
        return list(ended)

    async with connected(server) as client:
        assert await in_thread(work, client.sid) == [client.sid]


# Handlers that return one


@pytest.mark.parametrize("coroutine", [False, True])
async def test_a_handler_that_returns_an_emit_acknowledges_with_nothing(
    server: AsyncServer, coroutine: bool
) -> None:
    def handler(sid: str) -> Sent:
        return server.emit("said", to=sid)

    async def coroutine_handler(sid: str) -> Sent:
        return server.emit("said", to=sid)

    server.on("say", coroutine_handler if coroutine else handler)
    async with connected(server) as client:
        client.send('420["say"]')
        assert [await client.receive() for _ in range(2)] == ['42["said"]', "430[]"]


async def test_a_handler_that_returns_an_emit_is_done_when_that_has_waited(server: AsyncServer) -> None:
    server.on("say", lambda sid: server.emit("said", to=sid))
    async with stalled(server) as client:
        client.send('420["say"]')
        while not server.eio.tasks:
            await asyncio.sleep(0)
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(server.eio.tasks) == 1
        client.socket.reads.set()
        assert [await client.receive() for _ in range(3)] == ['42["large"]', '42["said"]', "430[]"]


async def test_a_connect_handler_that_returns_an_emit_accepts(server: AsyncServer) -> None:
    server.on("connect", lambda sid, environ: server.emit("welcome", to=sid))
    async with connected(server) as client:
        assert await client.event() == ["welcome"]


# They count as coroutine functions

AWAITED = (
    *("emit", "send", "call", "enter_room", "leave_room", "close_room", "disconnect"),
    *("get_session", "save_session", "shutdown", "sleep", "handle_request"),
)
ENGINE_AWAITED = ("send", "send_packet", "disconnect", "get_session", "save_session", "sleep", "shutdown")


@pytest.mark.parametrize("owner", [AsyncServer, AsyncServer(), EngineServer, EngineServer()])
def test_what_is_awaited_counts_as_a_coroutine_function(owner: Any) -> None:
    engine = owner is EngineServer or isinstance(owner, EngineServer)
    for name in ENGINE_AWAITED if engine else AWAITED:
        function = getattr(owner, name)
        assert asyncio.iscoroutinefunction(function), name
        assert asgiref.sync.iscoroutinefunction(function), name
        if sys.version_info >= (3, 11):
            assert inspect.iscoroutinefunction(function), name


@pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio has a mark of its own")
def test_nothing_of_the_mark_is_asyncios_where_python_has_one() -> None:
    assert not hasattr(AsyncServer.emit, "_is_coroutine")


def test_asgirefs_sync_to_async_refuses_them(server: AsyncServer) -> None:
    with pytest.raises(TypeError, match="sync functions"):
        asgiref.sync.sync_to_async(server.emit)


async def test_asgirefs_async_to_sync_calls_them(server: AsyncServer) -> None:
    async with connected(server) as client:
        await in_thread(asgiref.sync.async_to_sync(server.emit), "news", 1, to=client.sid)
        assert await client.event() == ["news", 1]


async def test_an_autospec_of_the_server_is_awaited() -> None:
    double = mock.create_autospec(AsyncServer, instance=True)
    for name in AWAITED:
        assert asyncio.iscoroutinefunction(getattr(double, name)), name
    await double.emit("news", to="a")
    double.emit.assert_awaited_once_with("news", to="a")
    with pytest.raises(TypeError):
        double.emit("news", nobody="has this argument")


async def test_a_patched_method_is_an_async_mock(server: AsyncServer) -> None:
    for owner in (server, AsyncServer):
        with mock.patch.object(owner, "emit") as double:
            assert isinstance(double, mock.AsyncMock)
            await server.emit("news")
            double.assert_awaited_once_with("news")


async def test_a_method_as_a_handler_is_awaited(server: AsyncServer) -> None:
    server.on("relay", lambda sid, event: server.emit(event, to=sid))
    server.on("join", server.enter_room)
    async with connected(server) as client:
        assert await client.ask("join", "lobby") == []
        client.send('42["relay","done"]')
        assert await client.event() == ["done"]
        assert server.rooms(client.sid) == [client.sid, "lobby"]

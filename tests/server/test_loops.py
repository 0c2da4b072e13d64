"""A server that outlives its event loop, as a module's one in a test suite with a loop for each test."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import flask
import pytest
import socketio
import uvloop

from asyncsock import AsyncServer, SocketIO
from asyncsock.engine import EngineServer
from asyncsock.rooms import Rooms
from tests.support.asgi_in_process import Closed, Refused, Socket
from tests.support.raw_clients import within
from tests.support.recorded_sessions import open_session, settled
from tests.support.socketio_in_process import Client, connected

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}

# Python complains of unfinished tasks and generators that are let go of; a loop that just closes leaves some.
kept: list[Any] = []

Main = Callable[[], Awaitable[Any]]


async def lose_client(server: AsyncServer) -> None:
    """Connect a client that stays when the loop closes."""
    stack = AsyncExitStack()
    await stack.enter_async_context(connected(server))
    kept.extend([stack, *asyncio.all_tasks()])


@pytest.fixture(params=LOOPS)
def new_loop(request: pytest.FixtureRequest) -> Callable[[], asyncio.AbstractEventLoop]:
    return LOOPS[request.param]


@pytest.fixture(params=["ours", "python-socketio's"])
def server(request: pytest.FixtureRequest) -> AsyncServer:
    return AsyncServer(client_manager=None if request.param == "ours" else socketio.AsyncManager())


@pytest.fixture(params=["in this thread", "in another thread"])
def with_lost_client(
    request: pytest.FixtureRequest, server: AsyncServer, new_loop: Any, caplog: pytest.LogCaptureFixture
) -> Iterator[AsyncServer]:
    """A server whose loop has closed while a client was connected."""

    async def main() -> None:
        await lose_client(server)
        if isinstance(server.manager, Rooms):
            server.emit("never flushed")
        asyncio.get_running_loop().stop()
        await asyncio.sleep(60)

    def run() -> None:
        loop = new_loop()
        task = loop.create_task(main())
        loop.run_forever()
        loop.close()
        assert not task.done()

    if request.param == "in this thread":
        run()
    else:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    assert len(server.eio.sessions) == 1
    yield server
    assert [record.message for record in caplog.records if "loop is closed" in record.getMessage()] == []


def on_new_loop(new_loop: Callable[[], asyncio.AbstractEventLoop], main: Main) -> Any:
    loop = new_loop()
    try:
        return loop.run_until_complete(within(main()))
    finally:
        loop.close()


OPERATIONS: dict[str, Callable[[AsyncServer, str], Awaitable[Any]]] = {
    "emit": lambda server, sid: server.emit("news"),
    "emit to a client": lambda server, sid: server.emit("news", to=sid),
    "send": lambda server, sid: server.send("news"),
    "leave_room": lambda server, sid: server.leave_room(sid, "room"),
    "close_room": lambda server, sid: server.close_room("room"),
    "disconnect": lambda server, sid: server.disconnect(sid),
    "shutdown": lambda server, sid: server.shutdown(),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_loop_that_calls_is_served_when_the_first_has_closed(
    with_lost_client: AsyncServer, new_loop: Any, operation: str, caplog: pytest.LogCaptureFixture
) -> None:
    sid = next(iter(with_lost_client.manager.get_participants("/", None)))[0]

    async def main() -> None:
        await OPERATIONS[operation](with_lost_client, sid)
        await asyncio.sleep(0)

    on_new_loop(new_loop, main)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("server", ["ours"], indirect=True)  # python-socketio's client manager needs a loop
@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name != "shutdown"])
def test_without_any_loop_there_is_nobody_to_reach(
    with_lost_client: AsyncServer, operation: str, caplog: pytest.LogCaptureFixture
) -> None:
    sid = next(iter(with_lost_client.manager.get_participants("/", None)))[0]
    for _ in range(2):
        OPERATIONS[operation](with_lost_client, sid)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def everything(server: AsyncServer, client: Client) -> None:
    """Every operation that the issue names, on a client of the running loop."""
    await server.enter_room(client.sid, "room")
    await server.emit("news", 1, to="room")
    assert await client.event() == ["news", 1]
    await server.leave_room(client.sid, "room")
    await server.enter_room(client.sid, "other")
    await server.close_room("other")
    assert server.rooms(client.sid) == [client.sid]
    await server.save_session(client.sid, {"user": "ann"})
    assert await server.get_session(client.sid) == {"user": "ann"}
    async with server.session(client.sid) as session:
        session["seen"] = True
    question = asyncio.ensure_future(server.call("question", to=client.sid, timeout=5))
    await asyncio.sleep(0)
    packet = await client.receive()
    client.send(f'43{packet[2 : packet.index("[")]}["answer"]')
    assert await question == "answer"
    ran: list[bool] = []

    async def task() -> None:
        ran.append(True)

    await server.start_background_task(task)
    assert ran == [True]
    await server.disconnect(client.sid)
    assert await client.receive() == "41"


def test_clients_of_the_next_loop_are_served(with_lost_client: AsyncServer, new_loop: Any) -> None:
    async def main() -> None:
        async with connected(with_lost_client) as client:
            assert len(with_lost_client.eio.sessions) == 1  # the lost one is forgotten
            await everything(with_lost_client, client)

    on_new_loop(new_loop, main)


def test_start_background_task_serves_the_next_loop(with_lost_client: AsyncServer, new_loop: Any) -> None:
    async def main() -> None:
        async def task() -> asyncio.AbstractEventLoop:
            return asyncio.get_running_loop()

        assert await with_lost_client.start_background_task(task) is asyncio.get_running_loop()

    on_new_loop(new_loop, main)


def test_a_lost_clients_session_is_no_session_any_more(with_lost_client: AsyncServer, new_loop: Any) -> None:
    sid = next(iter(with_lost_client.manager.get_participants("/", None)))[0]

    async def main() -> None:
        async with connected(with_lost_client):
            assert not with_lost_client.manager.is_connected(sid, "/")
            with pytest.raises((KeyError, ValueError)):
                await with_lost_client.get_session(sid)

    on_new_loop(new_loop, main)


def test_a_client_that_was_leaving_is_forgotten_with_its_loop(server: AsyncServer, new_loop: Any) -> None:
    @server.on("disconnect")
    async def never_ends(sid: str) -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        session, _ = open_session(server)
        session.receive("40")
        await settled(server)
        ((sid, _),) = server.manager.get_participants("/", None)
        server.disconnect(sid)
        kept.extend(asyncio.all_tasks())
        assert server.manager.rooms

    loop = new_loop()
    loop.run_until_complete(main())
    loop.close()
    next_loop = new_loop()
    next_loop.run_until_complete(server.startup())
    next_loop.close()
    assert not server.manager.rooms


def test_many_loops_one_after_another_are_served(server: AsyncServer, new_loop: Any) -> None:
    async def main() -> None:
        async with connected(server) as client:
            await everything(server, client)

    for _ in range(3):
        on_new_loop(new_loop, main)
        thread = threading.Thread(target=on_new_loop, args=(new_loop, main))
        thread.start()
        thread.join()


def test_a_server_that_was_shut_down_serves_the_next_loop(server: AsyncServer, new_loop: Any) -> None:
    async def main() -> None:
        async with connected(server) as client:
            await server.emit("news")
            assert await client.event() == ["news"]
            await server.shutdown()
            with pytest.raises(Refused):
                async with connected(server):
                    pass

    for _ in range(2):
        on_new_loop(new_loop, main)


def test_threads_hand_their_work_to_the_next_loop(with_lost_client: AsyncServer, new_loop: Any) -> None:
    async def main() -> None:
        async with connected(with_lost_client) as client:

            def work() -> None:
                with_lost_client.enter_room(client.sid, "room")
                with_lost_client.emit("news", 1, to="room")
                with with_lost_client.session(client.sid) as session:
                    session["seen"] = True

            await asyncio.to_thread(work)
            assert await client.event() == ["news", 1]
            assert await with_lost_client.get_session(client.sid) == {"seen": True}

    on_new_loop(new_loop, main)


@pytest.mark.parametrize("server", ["ours"], indirect=True)
def test_a_thread_does_not_wait_for_a_loop_that_has_stopped(server: AsyncServer, new_loop: Any) -> None:
    loop = new_loop()
    loop.run_until_complete(lose_client(server))
    thread = threading.Thread(target=lambda: server.close_room("room"), daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()
    loop.close()


def test_the_engines_timers_run_on_the_next_loop(new_loop: Any) -> None:
    server = AsyncServer(ping_interval=0.5, ping_timeout=0.1, connect_timeout=1)
    reasons: list[str] = []
    server.on("disconnect", lambda sid, reason: reasons.append(reason))

    async def main() -> None:
        async with connected(server) as silent:
            assert await silent.receive() == "2"
            with pytest.raises(Closed):
                await silent.receive()
        async with Socket(server.handle_request) as nowhere:
            assert (await nowhere.receive())[0] == "0"
            with pytest.raises(Closed):
                while await nowhere.receive() == "2":
                    nowhere.send("3")

    loop = new_loop()
    loop.run_until_complete(lose_client(server))
    loop.close()
    on_new_loop(new_loop, main)
    assert reasons == ["ping timeout"]


def test_an_engine_alone_serves_the_next_loop(new_loop: Any) -> None:
    server = EngineServer()

    async def main() -> None:
        stack = AsyncExitStack()
        socket = await stack.enter_async_context(Socket(server.handle_request))
        await socket.receive()
        (sid,) = server.sessions
        server.send(sid, "hello")
        assert await socket.receive() == "4hello"
        server.send(sid, "never flushed")
        kept.extend([stack, *asyncio.all_tasks()])

    for _ in range(3):
        loop = new_loop()
        loop.run_until_complete(within(main()))
        loop.close()


async def test_a_coroutine_on_another_loop_awaits_what_the_servers_loop_does() -> None:
    server = AsyncServer()

    async def elsewhere(client: Client) -> None:
        await server.enter_room(client.sid, "room")
        await server.emit("news", to="room")
        await server.save_session(client.sid, {"user": "ann"})
        assert await server.get_session(client.sid) == {"user": "ann"}
        assert await server.call("question", to=client.sid, timeout=5) == 42

        async def task() -> asyncio.AbstractEventLoop:
            return asyncio.get_running_loop()

        assert await server.start_background_task(task) is loop

    loop = asyncio.get_running_loop()
    async with connected(server) as client:
        work = asyncio.ensure_future(asyncio.to_thread(asyncio.run, elsewhere(client)))
        assert await client.event() == ["news"]
        packet = await client.receive()
        client.send(f"43{packet[2 : packet.index('[')]}[42]")
        await within(work)


def test_a_flask_test_client_runs_after_a_loop_has_closed() -> None:
    app = flask.Flask(__name__)
    app.config["SECRET_KEY"] = "secret"
    sio = SocketIO(app)
    sio.on("echo")(lambda data: data)

    async def main() -> None:
        async with connected(sio.server) as client:
            assert await client.ask("echo", 1) == [1]

    for _ in range(2):
        asyncio.run(main())
    client = sio.test_client(app)
    assert client.emit("echo", 2, callback=True) == 2
    client.disconnect()

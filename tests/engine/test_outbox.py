"""What a broadcast costs, by counting; and that it arrives, in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest
import uvicorn

from asyncsock import ASGIApp, AsyncServer
from asyncsock.codec import json_codec
from asyncsock.engine import EngineServer
from asyncsock.engine.packet import Packet, text_packet
from asyncsock.uvicorn.websocket import UvicornWebSocket
from tests.support.engineio_in_process import Poller
from tests.support.many_clients import connect_clients
from tests.support.ports import free_port
from tests.support.socketio_in_process import until

CLIENTS = 1000


@pytest.fixture
async def port(server: AsyncServer) -> AsyncIterator[int]:
    number = free_port()
    config = uvicorn.Config(ASGIApp(server), port=number, log_config=None, loop="none")
    running = uvicorn.Server(config)
    running.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(running._serve())
    while not running.started:
        await asyncio.sleep(0.01)
    yield number
    running.should_exit = True
    await task


@pytest.fixture
def server() -> AsyncServer:
    return AsyncServer(async_mode="asgi")


class Created:
    """Counts the tasks that are created while it is installed."""

    def __init__(self) -> None:
        self.tasks = 0

    def __call__(
        self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Task[Any]:
        self.tasks += 1
        return asyncio.Task(coroutine, loop=loop, **options)


async def test_a_broadcast_to_1000_clients_makes_no_task_and_encodes_and_frames_once(
    server: AsyncServer, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients = await connect_clients(port, CLIENTS)
    encoded: list[Any] = []
    framed: list[bytes] = []
    encode, text_packet = server.codec.encode, json_codec.text_packet

    def counting_encode(data: Any) -> Any:
        encoded.append(data)
        return encode(data)

    def counting_text_packet(data: bytes) -> Packet:
        framed.append(data)
        return text_packet(data)

    monkeypatch.setattr(server.codec, "encode", counting_encode)
    monkeypatch.setattr(json_codec, "text_packet", counting_text_packet)
    arrived = asyncio.gather(*[client.has(1) for client in clients])
    loop = asyncio.get_running_loop()
    created = Created()
    tasks = asyncio.all_tasks()
    loop.set_task_factory(created)
    try:
        server.emit("news", {"n": 1})
        await asyncio.wait([arrived], timeout=30)
    finally:
        loop.set_task_factory(None)
    assert [client.received for client in clients] == [[b'42["news",{"n":1}]']] * CLIENTS
    assert len(encoded) == 1
    assert len(framed) == 1
    assert created.tasks == 0
    assert asyncio.all_tasks() <= tasks


async def test_a_burst_is_written_to_each_client_at_once_and_in_order(
    server: AsyncServer, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients = await connect_clients(port, 50)
    writes: list[Any] = []
    flush = UvicornWebSocket.flush

    def counting_flush(self: UvicornWebSocket, session: Any) -> None:
        writes.append(session.sid)
        flush(self, session)

    monkeypatch.setattr(UvicornWebSocket, "flush", counting_flush)
    for number in range(100):
        server.emit("n", number)
    await asyncio.gather(*[client.has(100) for client in clients])
    assert all(client.received == [b'42["n",%d]' % n for n in range(100)] for client in clients)
    assert len(writes) == 50


async def test_clients_that_leave_all_at_once_are_all_forgotten(server: AsyncServer, port: int) -> None:
    clients = await connect_clients(port, CLIENTS)
    for client in clients:
        client.leave()
    await asyncio.gather(*[client.closed for client in clients])
    # A client sees its connection end after the server has.
    assert server.eio.sessions == {}
    assert server.manager.rooms == {}
    assert server.environ == {}


async def test_a_sender_that_awaits_in_a_long_loop_lets_the_server_write(
    server: AsyncServer, port: int
) -> None:
    (client,) = await connect_clients(port, 1)
    largest = 0
    for number in range(5000):
        await server.emit("n", number)
        largest = max(largest, *[len(session.outbox) for session in server.eio.sessions.values()])
    await client.has(5000)
    assert largest <= 256


async def test_a_poll_is_not_answered_with_nothing_where_an_earlier_one_took_the_packets() -> None:
    engine = EngineServer()
    client = await Poller(engine).open()
    session = engine.sessions[client.sid]
    session.put(text_packet(b"4one"))
    assert await client.get() == ["4one"]
    poll = asyncio.ensure_future(client.get())
    await until(lambda: session.transport._poll is not None)  # type: ignore[attr-defined]
    session.transport.flush(session)  # as if the session had been noted before the first poll
    session.put(text_packet(b"4two"))
    assert await poll == ["4two"]

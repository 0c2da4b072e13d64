"""The client manager of one process, and python-socketio's in its place."""

from __future__ import annotations

import socketio

from asyncsock import AsyncServer
from asyncsock.rooms import Rooms
from tests.support.raw_clients import within
from tests.support.socketio_in_process import connected, until


def test_the_client_manager_is_rooms_by_default(server: AsyncServer) -> None:
    assert isinstance(server.manager, Rooms)


async def test_another_client_manager_forgets_a_client_that_leaves() -> None:
    server = AsyncServer(client_manager=socketio.AsyncManager())
    server.on("disconnect", lambda sid: None)
    async with connected(server) as client:
        await server.enter_room(client.sid, "room")
        await client.leave()
        await within(until(lambda: not server.eio.tasks and not server.environ))
    assert server.manager.rooms == {}


async def test_another_client_manager_sends_binary_data() -> None:
    server = AsyncServer(client_manager=socketio.AsyncManager())
    async with connected(server) as client:
        await server.emit("data", [b"\x01", b"\x02"])
        assert await client.packets() == [
            '452-["data",[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]]',
            b"\x01",
            b"\x02",
        ]


async def test_with_another_client_manager_an_emit_that_is_not_awaited_is_sent() -> None:
    server = AsyncServer(client_manager=socketio.AsyncManager())
    async with connected(server) as client:
        server.emit("one", to=client.sid)
        server.emit("two", to=client.sid)
        assert [await client.event() for _ in range(2)] == [["one"], ["two"]]

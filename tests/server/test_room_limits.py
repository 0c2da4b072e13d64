"""A limit on the rooms of a client."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
import socketio
from flask import Flask

from asyncsock import AsyncServer, Namespace, SocketIO, join_room, rooms
from asyncsock.queues.manager import QueueManager
from tests.support.log_records import recorded
from tests.support.queue_drivers import Silent
from tests.support.socketio_in_process import connected

MANAGERS: dict[str, Callable[[], Any]] = {
    "ours": lambda: None,
    "with a queue": lambda: QueueManager("test://", lambda: Silent("test://", "channel")),
    "python-socketio's": socketio.AsyncManager,
}


@pytest.fixture(params=MANAGERS)
def server(request: pytest.FixtureRequest) -> AsyncServer:
    return AsyncServer(client_manager=MANAGERS[request.param](), max_rooms=2)


async def test_a_room_too_many_raises_an_error_that_names_the_limit(server: AsyncServer) -> None:
    async with connected(server) as client, connected(server) as other:
        for room in ("a", "b"):
            await server.enter_room(client.sid, room)
        with pytest.raises(ValueError, match="max_rooms"):
            await server.enter_room(client.sid, "c")
        assert sorted(server.rooms(client.sid)) == sorted([client.sid, "a", "b"])
        assert server.limits()["max_rooms"] == {"limit": 2, "hits": 1}
        await server.enter_room(other.sid, "c")  # each client has its own


async def test_rooms_that_a_client_is_in_may_be_entered_again(server: AsyncServer) -> None:
    async with connected(server) as client:
        for room in ("a", "b", "a", "b", client.sid):
            await server.enter_room(client.sid, room)
        assert server.limits()["max_rooms"]["hits"] == 0


async def test_a_room_that_a_client_leaves_makes_place_for_another(server: AsyncServer) -> None:
    async with connected(server) as client:
        for room in ("a", "b"):
            await server.enter_room(client.sid, room)
        await server.leave_room(client.sid, "a")
        await server.enter_room(client.sid, "c")
        await server.close_room("b")
        await server.enter_room(client.sid, "d")


async def test_rooms_entered_at_once_count(server: AsyncServer) -> None:
    async with connected(server) as client:

        async def enter(room: int) -> None:
            await server.enter_room(client.sid, room)

        results = await asyncio.gather(*map(enter, range(10)), return_exceptions=True)
        assert [type(result) for result in results] == [type(None)] * 2 + [ValueError] * 8


async def test_a_room_too_many_raises_in_a_thread() -> None:
    server = AsyncServer(max_rooms=0)
    async with connected(server) as client:
        with pytest.raises(ValueError, match="max_rooms"):
            await asyncio.to_thread(server.enter_room, client.sid, "a")


async def test_without_a_limit_rooms_are_not_counted() -> None:
    server = AsyncServer()
    async with connected(server) as client:
        for room in range(5000):
            server.enter_room(client.sid, room)
        assert len(server.rooms(client.sid)) == 5001


async def test_a_message_from_the_queue_enters_no_room_too_many(caplog: pytest.LogCaptureFixture) -> None:
    manager = MANAGERS["with a queue"]()
    server = AsyncServer(client_manager=manager, max_rooms=1)
    async with connected(server) as client:
        for room in ("a", "b"):
            message = {"method": "enter_room", "sid": client.sid, "room": room, "namespace": "/"}
            manager._receive([json.dumps(message).encode()])
        assert server.rooms(client.sid) == [client.sid, "a"]
    (line,) = recorded(caplog, logging.WARNING)
    assert "max_rooms" in line
    assert server.limits()["max_rooms"]["hits"] == 1


# In Flask


class Room(Namespace):
    async def on_enter(self, room: str) -> Any:
        return entered(lambda: self.enter_room(rooms()[0], room))


def entered(enter: Callable[[], Any]) -> Any:
    try:
        enter()
    except ValueError as error:
        return str(error)
    return rooms()[1:]


@pytest.mark.parametrize("kind", ["coroutine", "function", "class"])
async def test_join_room_raises_in_every_kind_of_handler(kind: str) -> None:
    sio = SocketIO(Flask(__name__), max_rooms=1)
    if kind == "function":
        sio.on("enter")(lambda room: entered(lambda: join_room(room)))
    elif kind == "coroutine":

        @sio.on("enter")
        async def enter(room: str) -> Any:
            return entered(lambda: join_room(room))

    else:
        sio.on_namespace(Room("/"))
    async with connected(sio.server) as client:
        assert await client.ask("enter", "a") == [["a"]]
        (message,) = await client.ask("enter", "b")
        assert "max_rooms" in message

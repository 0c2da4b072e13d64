"""The callbacks of events that go through a message queue: who waits for none any more keeps none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from socketio.async_pubsub_manager import AsyncPubSubManager
from socketio.exceptions import TimeoutError

from asyncsock import AsyncServer
from asyncsock.codec.base import Body
from asyncsock.queues import wire
from asyncsock.queues.manager import QueueManager
from tests.support.queue_drivers import Silent
from tests.support.raw_clients import within
from tests.support.socketio_in_process import connected

ELSEWHERE = "a client of another process"


class TheirManager(AsyncPubSubManager):
    """python-socketio's manager, with a broker that brings nothing."""

    async def _publish(self, data: Any) -> None:
        pass

    async def _listen(self) -> AsyncIterator[Any]:
        await asyncio.Event().wait()
        yield None


def ours() -> QueueManager:
    return QueueManager("test://", lambda: Silent("test://", "channel"))


def kept(manager: Any) -> int:
    """How many callbacks a manager keeps."""
    if isinstance(manager, QueueManager):
        return len(manager._remote_callbacks) + sum(len(each.callbacks) for each in manager.clients.values())
    return sum(len(each) for each in manager.callbacks.values())


@pytest.mark.parametrize("make_manager", [ours, TheirManager])
@pytest.mark.parametrize("ends", ["by a timeout", "by being cancelled"])
@pytest.mark.parametrize("whom", ["a client here", "a room", "a client elsewhere"])
async def test_a_call_that_ends_without_an_answer_leaves_no_callback(
    make_manager: Any, ends: str, whom: str
) -> None:
    manager = make_manager()
    server = AsyncServer(client_manager=manager)
    async with connected(server) as client:
        await server.enter_room(client.sid, "room")
        to = {"a client here": client.sid, "a room": "room"}.get(whom, ELSEWHERE)
        if ends == "by a timeout":
            with pytest.raises(TimeoutError):
                await server.call("question", to=to, timeout=0.01)
        else:
            call = asyncio.ensure_future(server.call("question", to=to))
            if to != ELSEWHERE:
                await client.receive()
            while not kept(manager):
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.wait([call])
        assert kept(manager) == 0


@pytest.mark.parametrize("room", ["room", 5, 1.5, ["a", "b"]])
async def test_an_answer_from_any_room_elsewhere_calls_the_callback(room: Any) -> None:
    manager = ours()
    server = AsyncServer(client_manager=manager)
    answered = asyncio.get_running_loop().create_future()
    async with connected(server):
        server.emit("question", to=room, callback=answered.set_result)
        host_id = manager._publisher.host_id
        manager._receive([wire.encode(wire.callback_fields(host_id, room, "/", 1, Body(b"[7]")), "other", 1)])
        assert await within(answered) == 7

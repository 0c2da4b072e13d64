"""A server with a message queue that outlives its event loop, as in a suite with a loop for each test."""

from __future__ import annotations

import asyncio
import threading

from asyncsock import AsyncServer
from asyncsock.queues import from_url
from tests.support.brokers import Redis
from tests.support.raw_clients import within
from tests.support.socketio_in_process import connected


def test_a_server_with_a_queue_serves_one_loop_after_another(redis_broker: Redis, channel: str) -> None:
    server = AsyncServer(client_manager=from_url(redis_broker.url, channel))
    other = AsyncServer(client_manager=from_url(redis_broker.url, channel))
    served = []

    async def main() -> None:
        async with connected(server) as here, connected(other) as there:
            await within(server.manager.ready())
            await within(other.manager.ready())
            await server.emit("news", 1)
            assert await here.event() == ["news", 1]
            assert await there.event() == ["news", 1]
            served.append(server.queue_health())
        await other.shutdown()

    async def emit() -> None:
        await within(server.emit("news", 2))
        await within(server.close_room("room"))

    asyncio.run(main())
    server.emit("news", 3)  # from a thread without a loop
    asyncio.run(emit())
    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    thread.join(30)
    assert [health["publishing"] for health in served if health] == [True, True]

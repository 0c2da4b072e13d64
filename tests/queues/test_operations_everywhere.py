"""Operations with three processes on each queue, one of which is killed in the middle.

`make test-operations` does so with all queues; without it, two of them are tried.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import pytest

from tests.support.python_socketio_client import Client, connected
from tests.support.raw_clients import within
from tests.support.server_log import trouble
from tests.support.server_process import Server, serve

ALL = {
    "redis": "redis_broker",
    "redis+streams": "redis_broker",
    "rabbitmq": "rabbitmq_broker",
    "nats": "nats_broker",
    "kafka": "kafka_broker",
    "zmq": "zmq_proxy",
    "kombu": "rabbitmq_broker",
    "local": "local_broker",
}
SCHEMES = {"redis+streams": ("redis:", "redis+streams:"), "kombu": ("amqp:", "pyamqp:")}
QUEUES = list(ALL) if "WHOLE_TABLE" in os.environ else ["redis", "local"]
TIMEOUT = 60.0  # of the calls that a killed process keeps waiting; it is given up after 10


class Process(NamedTuple):
    """A server, and a client of it."""

    server: Server
    client: Client

    @property
    def sid(self) -> str:
        return str(self.client.socket.get_sid())

    async def do(self, method: str, *args: Any, **options: Any) -> Any:
        return await self.client.socket.call("do", (method, args, options), timeout=2 * TIMEOUT)

    async def do_in_a_thread(self, method: str, *args: Any, **options: Any) -> Any:
        return await self.client.socket.call("do in a thread", (method, args, options), timeout=2 * TIMEOUT)

    async def knows(self, others: int) -> None:
        """Wait until this process knows so many others."""

        async def ask() -> None:
            while await self.client.call("members") != others:
                await asyncio.sleep(0.05)

        await within(ask(), 30)


@pytest.fixture(params=QUEUES)
async def processes(request: pytest.FixtureRequest, channel: str) -> AsyncIterator[list[Process]]:
    url = str(request.getfixturevalue(ALL[request.param]).url).replace(*SCHEMES.get(request.param, ("", "")))
    environment = {"QUEUE": url, "CHANNEL": channel}
    async with AsyncExitStack() as stack:
        serving = [serve("tests.apps.operations:asgi", env=environment) for _ in range(3)]
        servers = await asyncio.gather(*[asyncio.to_thread(stack.enter_context, each) for each in serving])
        found = []
        for number, server in enumerate(servers):
            client = await stack.enter_async_context(connected(server.url, mode="websocket"))
            client.answer("ask", lambda number=number: number)
            found.append(Process(server, client))
        for process in found:
            await process.knows(2)
        yield found
        for server in servers:
            assert not trouble(server), server.log()


async def test_operations_reach_all_processes_and_wait_for_none_that_was_killed(
    processes: list[Process],
) -> None:
    one, two, three = processes
    sids = sorted(process.sid for process in processes)
    for process in processes:
        for do in (process.do, process.do_in_a_thread):
            assert await do("fetch_sockets") == sids
            assert sorted(await do("call_all", "ask")) == [0, 1, 2]
            answers = await do("server_side_emit", "who", "are you?", ack=True)
            assert len({answer for answer in answers if answer.endswith("are you?")}) == 2
    await one.do("sockets_join", ["room", "left"], to=[two.sid, three.sid])
    await one.do("sockets_leave", "left")
    assert await two.do("fetch_sockets", to="room") == sorted([two.sid, three.sid])
    assert await one.do("fetch_sockets", to="left") == []

    asked = asyncio.Event()

    async def never() -> None:
        asked.set()
        await asyncio.Event().wait()

    three.client.socket.on("ask", never)
    pid = await three.client.call("process")
    calls = [
        asyncio.create_task(one.do("call_all", "ask", timeout=TIMEOUT)),
        asyncio.create_task(two.do("server_side_emit", "hang if you are", pid, ack=True, timeout=TIMEOUT)),
    ]
    await within(asked.wait())
    await two.knows(2)  # a question to the third process has gone before this one
    os.killpg(three.server.process.pid, signal.SIGKILL)
    killed = time.monotonic()
    calls.append(asyncio.create_task(two.do("fetch_sockets")))
    calls.append(asyncio.create_task(two.do("call_all", "ask", timeout=TIMEOUT)))
    assert sorted(await within(calls[0], TIMEOUT)) == [0, 1]
    assert await within(calls[1], TIMEOUT) == ["tests.apps.operations"]
    assert await within(calls[2], TIMEOUT) == sorted([one.sid, two.sid])
    assert sorted(await within(calls[3], TIMEOUT)) == [0, 1]
    print(f"given up after {time.monotonic() - killed:.1f} s")

    gone = [process.client.arrivals("disconnect") for process in (one, two)]
    assert await one.do("fetch_sockets", to="room") == [two.sid]
    await two.do("disconnect_sockets", to=one.sid)
    assert await within(gone[0].get()) == ("server disconnect",)
    assert await two.do("fetch_sockets") == [two.sid]

"""Two servers that share a message queue, with a client of each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from tests.support.python_socketio_client import Client, connected
from tests.support.server_process import Server, serve

LOST, BACK = "is not reachable", "is back after"


class Cluster:
    """Two servers, one of them reached through a proxy, with a client at each."""

    def __init__(self, servers: list[Server], clients: list[Client]) -> None:
        self.servers = servers
        self.near, self.far = clients

    async def wait_for_log(self, text: str) -> None:
        for server in self.servers:
            await asyncio.to_thread(server.wait_for_log, text, 30)

    def count_in_logs(self, text: str) -> list[int]:
        return [server.log().count(text) for server in self.servers]

    def assert_one_outage_is_logged(self) -> None:
        logs = [server.log() for server in self.servers]
        assert self.count_in_logs(LOST) == self.count_in_logs(BACK) == [1, 1], logs


@asynccontextmanager
async def cluster(near_url: str, far_url: str, channel: str) -> AsyncIterator[Cluster]:
    async with AsyncExitStack() as stack:
        servers = []
        for url in (near_url, far_url):
            environment = {"KIND": "asyncsock", "QUEUE": url, "CHANNEL": channel}
            serving = serve("tests.apps.cluster:asgi", env=environment)
            servers.append(await asyncio.to_thread(stack.enter_context, serving))
        clients = [
            await stack.enter_async_context(connected(server.url, mode="websocket")) for server in servers
        ]
        yield Cluster(servers, clients)


async def say(client: Client, *numbers: int) -> None:
    for number in numbers:
        await client.call("put", "event", number, {})


async def heard(queue: asyncio.Queue[tuple[Any, ...]], count: int) -> list[Any]:
    return [(await asyncio.wait_for(queue.get(), 30))[0] for _ in range(count)]

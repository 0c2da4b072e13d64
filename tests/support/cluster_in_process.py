"""Several processes of a cluster, as far as their servers go, in this one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec

from asyncsock import AsyncServer
from asyncsock.queues import from_url
from tests.support.raw_clients import within


class Word(msgspec.Struct):
    """What the tests tell and ask."""

    word: Any


async def eventually(condition: Callable[[], Any]) -> None:
    """Wait until something is so that no event tells of."""

    async def wait() -> None:
        while not condition():
            await asyncio.sleep(0.005)

    await within(wait())


async def met(servers: list[AsyncServer]) -> None:
    """Wait until each of some servers knows all others."""
    names = {server.cluster.name for server in servers}
    for server in servers:
        await eventually(lambda cluster=server.cluster: {cluster.name, *cluster.members()} == names)


@asynccontextmanager
async def started(url: str, channel: str, **options: Any) -> AsyncIterator[AsyncServer]:
    """A server with a message queue."""
    server = AsyncServer(client_manager=from_url(url, channel), **options)
    await within(server.startup())
    try:
        yield server
    finally:
        await server.shutdown()


@asynccontextmanager
async def servers(url: str, channel: str, count: int, **options: Any) -> AsyncIterator[list[AsyncServer]]:
    """Servers that share a message queue, and know each other."""
    async with AsyncExitStack() as stack:
        found = [await stack.enter_async_context(started(url, channel, **options)) for _ in range(count)]
        await met(found)
        yield found


async def die(server: AsyncServer) -> None:
    """Have a process fall silent without a goodbye."""
    assert server.cluster._timer is not None
    server.cluster._timer.cancel()
    await server.manager.stop()

"""Redis pub/sub. A process misses what is published while it is disconnected."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from .driver import Driver
from .redis_connection import RedisConnection

# Seconds that a reconnected publisher waits for as many listeners as before, as Redis keeps nothing for them.
LISTENERS_RETURN = 3.0
ASK_AGAIN = 0.02  # seconds between looks at how many there are


class RedisDriver(Driver):
    """Publishes to, or subscribes to, the Redis channel of that name."""

    def __init__(self, url: str, channel: str) -> None:
        super().__init__(url, channel)
        self._connection = RedisConnection(url)
        self._listeners = 0  # that received the last message
        self._first_replies: list[Any] = []

    async def connect(self, *, subscribe: bool) -> None:
        await self._connection.open()
        if subscribe:
            self._first_replies = await self._connection.execute(["SUBSCRIBE", self.channel])
        else:
            await self._wait_for_listeners()

    async def _wait_for_listeners(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + LISTENERS_RETURN
        while True:
            ((_, listeners),) = await self._connection.execute(["PUBSUB", "NUMSUB", self.channel])
            if listeners >= self._listeners or loop.time() > until:
                return
            await asyncio.sleep(ASK_AGAIN)

    async def publish(self, messages: Sequence[bytes]) -> None:
        replies = await self._connection.execute(
            *[("PUBLISH", self.channel, message) for message in messages]
        )
        self._listeners = replies[-1]

    async def messages(self) -> AsyncIterator[Sequence[bytes]]:
        watch = asyncio.ensure_future(self._connection.watch())
        replies = self._first_replies
        try:
            while True:
                yield [reply[2] for reply in replies if reply[0] == b"message"]
                replies = await self._connection.read()
        finally:
            watch.cancel()

    async def close(self) -> None:
        await self._connection.close()

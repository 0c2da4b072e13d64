"""Redis pub/sub. A process misses what is published while it is disconnected."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from .driver import INBOXES_RETURN, Driver, Letter
from .redis_connection import RedisConnection

# Seconds that a reconnected publisher waits for as many listeners as before, as Redis keeps nothing for them.
LISTENERS_RETURN = 3.0
ASK_AGAIN = 0.02  # seconds between looks at how many there are


class RedisDriver(Driver):
    """Publishes to, or subscribes to, the Redis channel of that name. An inbox is a channel of its own."""

    has_inboxes = True

    def __init__(self, url: str, channel: str) -> None:
        super().__init__(url, channel)
        self._connection = RedisConnection(url)
        self._listeners = 0  # that received the last message for all
        self._was_connected = False
        self._letters_from = 0.0  # on the loop's clock
        self._first_replies: list[Any] = []

    async def connect(self, *, subscribe: bool) -> None:
        await self._connection.open()
        if subscribe:
            channels = [self.channel] if self.inbox is None else [self.channel, self._address(self.inbox)]
            self._first_replies = await self._connection.execute(*[("SUBSCRIBE", name) for name in channels])
        else:
            await self._wait_for_listeners()
            if self._was_connected:
                self._letters_from = asyncio.get_running_loop().time() + INBOXES_RETURN
        self._was_connected = True

    async def _wait_for_listeners(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + LISTENERS_RETURN
        while True:
            ((_, listeners),) = await self._connection.execute(["PUBSUB", "NUMSUB", self.channel])
            if listeners >= self._listeners or loop.time() > until:
                return
            await asyncio.sleep(ASK_AGAIN)

    def _address(self, inbox: str) -> str:
        return f"{self.channel}.{inbox}"

    async def publish(self, messages: Sequence[bytes]) -> None:
        names = [
            self._address(message.inbox) if isinstance(message, Letter) else self.channel
            for message in messages
        ]
        if names.count(self.channel) < len(names):
            await asyncio.sleep(self._letters_from - asyncio.get_running_loop().time())
        commands = [("PUBLISH", name, message) for name, message in zip(names, messages, strict=True)]
        replies = await self._connection.execute(*commands)
        for name, listeners in zip(names, replies, strict=True):
            if name == self.channel:
                self._listeners = listeners

    async def messages(self) -> AsyncIterator[Sequence[bytes]]:
        watch = asyncio.ensure_future(self._connection.watch())
        replies = self._first_replies
        inbox = self.inbox
        address = self._address(inbox).encode() if inbox is not None else None
        try:
            while True:
                yield [
                    Letter(reply[2], inbox) if inbox is not None and reply[1] == address else reply[2]
                    for reply in replies
                    if reply[0] == b"message"
                ]
                replies = await self._connection.read()
        finally:
            watch.cancel()

    async def close(self) -> None:
        await self._connection.close()

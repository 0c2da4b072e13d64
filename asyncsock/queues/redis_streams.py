"""Redis Streams. A process that could not listen for a while reads on where it stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from .driver import Driver
from .redis_connection import SILENCE, RedisConnection

KEEP = 100_000  # messages, approximately: what a process can be behind and lose nothing
READ = 1000  # messages at once
FIELD = b"message"


class RedisStreamsDriver(Driver):
    """Adds to, or reads, a stream of the name of the channel."""

    def __init__(self, url: str, channel: str) -> None:
        super().__init__(url, channel)
        self._connection = RedisConnection(url)
        self._position: bytes | None = None

    async def connect(self, *, subscribe: bool) -> None:
        await self._connection.open()
        if subscribe and self._position is None:
            (last,) = await self._connection.execute(["XREVRANGE", self.channel, "+", "-", "COUNT", 1])
            self._position = last[0][0] if last else b"0-0"

    async def publish(self, messages: Sequence[bytes]) -> None:
        await self._connection.execute(
            *[("XADD", self.channel, "MAXLEN", "~", KEEP, "*", FIELD, message) for message in messages]
        )

    async def messages(self) -> AsyncIterator[Sequence[bytes]]:
        assert self._position is not None
        start = ("XREAD", "COUNT", READ, "BLOCK", int(SILENCE * 1000), "STREAMS", self.channel)
        while True:
            reading = self._connection.execute((*start, self._position))
            (streams,) = await asyncio.wait_for(reading, 2 * SILENCE)
            if streams:
                entries = streams[0][1]
                yield [fields[1] for _, fields in entries]
                self._position = entries[-1][0]

    async def close(self) -> None:
        await self._connection.close()

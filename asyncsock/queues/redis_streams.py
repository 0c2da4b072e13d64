"""Redis Streams. A process that was disconnected continues to read where it stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from .driver import AT_ONCE, KEEP_MESSAGES, SILENCE, Driver
from .redis_connection import RedisConnection

FIELD = b"message"


class RedisStreamsDriver(Driver):
    """Adds to, or reads, the stream that is named as the channel."""

    resumes = True
    replays = True

    def __init__(self, url: str, channel: str) -> None:
        super().__init__(url, channel)
        self._connection = RedisConnection(url)
        self._position: bytes | None = None

    async def connect(self, *, subscribe: bool) -> None:
        await self._connection.open()
        if subscribe:
            (entries,) = await self._connection.execute(["XREVRANGE", self.channel, "+", "-", "COUNT", 1])
            last = entries[0][0] if entries else b"0-0"
            if self._position is None and self.replay_seconds:
                (now,) = await self._connection.execute(["TIME"])
                self._position = b"%d-0" % ((int(now[0]) - self.replay_seconds) * 1000)
            # Redis may have lost its last entries, or its clock was set back: then new ids are lower.
            self._position = min(self._position or last, last, key=_order)

    async def publish(self, messages: Sequence[bytes]) -> None:
        # In a transaction, as a Redis that is still loading refuses the first ones and takes the others. When
        # all are published again, listeners that have a later one drop an earlier one as a repetition.
        add = ("XADD", self.channel, "MAXLEN", "~", KEEP_MESSAGES, "*", FIELD)
        replies = await self._connection.execute(
            ["MULTI"], *[(*add, message) for message in messages], ["EXEC"]
        )
        for reply in replies[-1]:
            if isinstance(reply, Exception):
                raise reply

    async def messages(self) -> AsyncIterator[Sequence[bytes]]:
        assert self._position is not None
        start = ("XREAD", "COUNT", AT_ONCE, "BLOCK", int(SILENCE * 1000), "STREAMS", self.channel)
        while True:
            reading = asyncio.ensure_future(self._connection.execute((*start, self._position)))
            reading.add_done_callback(_retrieve)
            try:  # without asyncio.wait_for, which can swallow that the listener is stopped
                await asyncio.wait([reading], timeout=2 * SILENCE)
                if not reading.done():
                    raise ConnectionError("Redis does not answer")
                (streams,) = reading.result()
            finally:
                reading.cancel()
            if streams:
                entries = streams[0][1]
                yield [fields[1] for _, fields in entries]
                self._position = entries[-1][0]

    async def close(self) -> None:
        await self._connection.close()


def _retrieve(reading: asyncio.Future[Any]) -> None:
    """Let nothing be logged of a reading that nobody waits for: the end of the connection may end it, too."""
    if not reading.cancelled():
        reading.exception()


def _order(position: bytes) -> tuple[int, ...]:
    return tuple(map(int, position.split(b"-")))

"""Drivers driven as the queue manager does it, and processes of python-socketio's at the other side."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from asyncsock.queues.driver import Driver

TIMEOUT = 30.0  # seconds


class Listening:
    """What a driver receives, collected by a task that goes on until the driver raises."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._got: list[bytes] = []
        self._arrived = asyncio.Event()
        self.task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for messages in self._driver.messages():
            self._got += messages
            self._arrived.set()

    async def until(self, last: bytes) -> list[bytes]:
        """Wait for a message, and return all that came since the last time."""
        while last not in self._got:
            self._arrived.clear()
            arrived = asyncio.create_task(self._arrived.wait())
            await asyncio.wait([arrived, self.task], timeout=TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
            if self.task.done():
                self.task.result()
            assert arrived.done(), f"{last!r} did not come, but {self._got}"
        got, self._got = self._got, []
        return got


class Silent(Driver):
    """A broker that brings nothing."""

    async def connect(self, subscribe: bool) -> None:
        pass

    async def publish(self, messages: Sequence[bytes]) -> None:
        pass

    async def messages(self) -> AsyncIterator[Sequence[bytes]]:
        await asyncio.Event().wait()
        yield []

    async def close(self) -> None:
        pass


@asynccontextmanager
async def listening(driver: Driver) -> AsyncIterator[Listening]:
    """A connected driver that listens, and stops for good at the end of the block."""
    await driver.connect(subscribe=True)
    listener = Listening(driver)
    try:
        yield listener
    finally:
        listener.task.cancel()
        await asyncio.wait([listener.task])
        await driver.close()


@asynccontextmanager
async def publishing(driver: Driver) -> AsyncIterator[Driver]:
    """A connected driver that publishes."""
    await driver.connect(subscribe=False)
    try:
        yield driver
    finally:
        await driver.close()


def numbered(count: int, first: int = 0) -> list[bytes]:
    """Messages as the queue manager sends them."""
    return [envelope(number) for number in range(first, first + count)]


def envelope(data: Any) -> bytes:
    return json.dumps({"method": "emit", "event": "said", "data": [data], "namespace": "/"}).encode()


def said(messages: list[Any]) -> list[Any]:
    """The argument of each event in messages."""
    return [json.loads(message)["data"][0] for message in messages]


class Peer:
    """A process of python-socketio's: what its manager hears, and what it emits."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def emit(self, data: Any) -> None:
        """Emit an event with that argument."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(data).encode() + b"\n")
        await self._process.stdin.drain()

    async def hears(self, publisher: Driver) -> None:
        """Wait until it hears what a driver publishes."""
        hearing = asyncio.create_task(self.until("are you there?"))
        while not hearing.done():
            await publisher.publish([envelope("are you there?")])
            await asyncio.wait([hearing], timeout=0.1)
        await hearing
        await publisher.publish([envelope("begin")])
        await self.until("begin")

    async def hears_itself(self) -> None:
        """Wait until it hears what it emits."""
        hearing = asyncio.create_task(self.until("am I there?"))
        while not hearing.done():
            await self.emit("am I there?")
            await asyncio.wait([hearing], timeout=0.1)
        await hearing
        await self.emit("begin")
        await self.until("begin")

    async def until(self, last: Any) -> list[Any]:
        """The arguments of the events that it hears, up to that."""
        assert self._process.stdout is not None
        heard: list[Any] = []
        while not heard or heard[-1] != last:
            heard += said([await asyncio.wait_for(self._process.stdout.readline(), TIMEOUT)])
        return heard


@asynccontextmanager
async def peer(manager: str, url: str, channel: str, **options: Any) -> AsyncIterator[Peer]:
    """A process with a manager of python-socketio's, by the name of its class."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.apps.peer", manager, url, channel, json.dumps(options)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Peer(process)
    finally:
        process.kill()
        await process.wait()

"""What is said of a queue whose two connections are lost and made again at different moments."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence

import pytest

from asyncsock.queues.driver import Driver
from asyncsock.queues.health import Health
from asyncsock.queues.reconnecting import Listener, Publisher


class Scripted(Driver):
    """A broker's driver that connects, and loses the connection, when the test says so."""

    def __init__(self) -> None:
        super().__init__("scripted://broker", "channel")
        self.attempts: asyncio.Queue[Exception | None] = asyncio.Queue()  # how each attempt to connect ends
        self.attempt = asyncio.Semaphore(0)  # released with each that begins
        self.loss = asyncio.Event()
        self.published = asyncio.Event()

    async def connect(self, *, subscribe: bool) -> None:
        self.attempt.release()
        error = await self.attempts.get()
        if error is not None:
            raise error

    async def publish(self, messages: Sequence[bytes]) -> None:
        if self.loss.is_set():
            self.loss.clear()
            raise ConnectionError("lost")
        self.published.set()

    async def messages(self) -> AsyncIterator[Sequence[bytes]]:
        yield []
        await self.loss.wait()
        self.loss.clear()
        raise ConnectionError("lost")

    async def close(self) -> None:
        pass


async def test_an_outage_is_said_once_though_the_listener_is_back_first(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "asyncsock.queues")
    health = Health("scripted://broker")
    publishing, listening = Scripted(), Scripted()
    publisher, listener = (
        Publisher(publishing, health),
        Listener(listening, health, lambda messages: None, lambda: None),
    )
    for driver in (publishing, listening):
        await driver.attempt.acquire()
        driver.attempts.put_nowait(None)
    await asyncio.gather(publisher.first_attempt, listener.first_attempt)

    for driver in (publishing, listening):
        driver.loss.set()
    publisher.put({"method": "emit"}, droppable=True)
    for driver in (publishing, listening):
        await driver.attempt.acquire()
    listening.attempts.put_nowait(None)
    publishing.attempts.put_nowait(ConnectionRefusedError("not yet"))
    await publishing.attempt.acquire()
    assert health.is_up("listening")
    publishing.attempts.put_nowait(None)
    await publishing.published.wait()

    said = [record.getMessage().partition(" (")[0].partition(" after")[0] for record in caplog.records]
    assert said == [
        "message queue scripted://broker is not reachable",
        "message queue scripted://broker is back",
    ]
    for link in (publisher, listener):
        await link.stop()

"""Connections to a broker that are kept up: one that publishes, one that listens."""

from __future__ import annotations

import asyncio
import contextlib
import random
import uuid
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from ..engine.log import printable
from ..engine.log_lines import LINES_OF_ERROR
from . import wire
from .driver import Driver, Letter, LoginRefused, MessageRefused
from .health import Health, lines, logger

CONNECT_TIMEOUT = 5.0  # seconds
PUBLISH_TIMEOUT = 5.0  # seconds without any progress after which a broker counts as lost
CLOSE_TIMEOUT = 1.0
# Seconds between attempts. A broker that is back is in use within one second, of which Kombu takes half.
FIRST_DELAY, LAST_DELAY = 0.05, 0.25
OUTBOX_BYTES = 64 * 1024 * 1024  # of events that wait for a broker
REMEMBERED_REFUSALS = 100
BATCH_MESSAGES, BATCH_BYTES = 256, 1024 * 1024  # published at once


class ReconnectingConnection(ABC):
    """One connection that is made again, for ever, whenever it is lost.

    Args:
        name: ``'publishing'`` or ``'listening'``.
    """

    name: str
    subscribe: bool
    loses_messages: bool  # while disconnected; if not, a loss is logged only when reconnecting fails

    def __init__(self, driver: Driver, health: Health) -> None:
        self.driver = driver
        self.health = health
        self.first_attempt: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        health.expect(self.name)
        self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        delay = FIRST_DELAY
        while True:
            try:
                await asyncio.wait_for(self.driver.connect(subscribe=self.subscribe), CONNECT_TIMEOUT)
                delay = FIRST_DELAY
                self.health.set_up(self.name)
                self._attempted(None)
                self.connected()
                await self._serve()
            except Exception as error:
                if not self._attempted(error):
                    self.health.set_down(self.name, error)
            finally:
                await self._close()
            self.lost()
            await asyncio.sleep(delay * random.uniform(0.5, 1))
            delay = min(2 * delay, LAST_DELAY)

    async def _serve(self) -> None:
        try:
            await self.serve()
            raise ConnectionError("the broker ended the connection")
        except Exception as error:
            if self.loses_messages:
                raise
            # Not logged yet, but until this connection is up the queue does not count as back either.
            self.health.expect(self.name)
            logger.debug("message queue %s: connecting again to publish: %r", self.health.name, error)

    def _attempted(self, error: Exception | None) -> bool:
        """Settle `first_attempt`; return whether the error is for those who await that, not for the log."""
        if self.first_attempt.done():
            return self.first_attempt.exception() is not None and isinstance(error, LoginRefused)
        if isinstance(error, LoginRefused):
            self.first_attempt.set_exception(error)
            self.first_attempt.exception()  # or asyncio logs it if nobody awaits it
            return True
        self.first_attempt.set_result(None)
        return False

    async def _close(self) -> None:
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self.driver.close(), CLOSE_TIMEOUT)

    @abstractmethod
    async def serve(self) -> None:
        """Use the connection until it is lost."""

    def connected(self) -> None:  # noqa: B027 - publishers have nothing to do
        """Called when the connection has been made, each time."""

    def lost(self) -> None:  # noqa: B027 - listeners have nothing to do
        """Called when the connection is gone, or could not be made."""

    async def stop(self) -> None:
        """Disconnect for good."""
        while not self._task.done():
            self._task.cancel()  # which asyncio.wait_for can swallow before Python 3.12
            await asyncio.wait([self._task], timeout=CLOSE_TIMEOUT)


class Listener(ReconnectingConnection):
    """Receives messages.

    Args:
        receive: Called with the messages that arrived together.
        connected: Called each time that it begins to listen.

    Attributes:
        received: How many messages have come, with those of this process that the broker sends back.
    """

    name = "listening"
    subscribe = True
    loses_messages = True

    def __init__(
        self,
        driver: Driver,
        health: Health,
        receive: Callable[[Sequence[bytes]], None],
        connected: Callable[[], None],
    ) -> None:
        super().__init__(driver, health)
        self.received = 0
        self._receive = receive
        self._connected = connected

    def connected(self) -> None:
        self._connected()

    async def serve(self) -> None:
        async for messages in self.driver.messages():
            self.received += len(messages)
            self._receive(messages)


class Outgoing:
    """A message that waits to be published."""

    __slots__ = ("droppable", "message", "number")

    def __init__(self, number: int, message: bytes, droppable: bool) -> None:
        self.number = number
        self.message = message
        self.droppable = droppable


class Publisher(ReconnectingConnection):
    """Publishes messages in order. Those of an outage wait in the outbox.

    The outbox is bounded: when it takes more than `OUTBOX_BYTES`, the oldest events are dropped, counted and
    logged. Other messages, such as those about rooms, are never dropped.

    Attributes:
        host_id: Identifies this publisher to the listeners of all processes.
        published: How many messages the broker has taken.
        dropped: How many it will not get.
    """

    name = "publishing"
    subscribe = False
    loses_messages = False

    def __init__(self, driver: Driver, health: Health) -> None:
        super().__init__(driver, health)
        self.host_id = uuid.uuid4().hex
        self.published = self.dropped = 0
        self._last_number = 0
        self._accepted = 0  # the number of the last message that the broker has, or that was dropped
        self._outbox: deque[Outgoing] = deque()
        self._bytes = 0
        self._in_flight = 0  # messages at the head of the outbox that are being published
        self._arrived = asyncio.Event()
        self._refused: dict[int, MessageRefused] = {}  # the last ones, by number
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def put(self, fields: dict[str, Any], droppable: bool, inbox: str | None = None) -> int:
        """Publish a message as soon as possible.

        Args:
            fields: A function of `wire` has made them.
            droppable: Whether it may be dropped from a full outbox.
            inbox: The name of the inbox that it is for, instead of for all processes.

        Returns:
            Its number, for `accepted` and `withdraw`.
        """
        self._last_number += 1
        message = wire.encode(fields, self.host_id, self._last_number)
        if inbox is not None:
            message = Letter(message, inbox)
        self._outbox.append(Outgoing(self._last_number, message, droppable))
        self._bytes += len(message)
        if self._bytes > OUTBOX_BYTES:
            self._drop_oldest()
        self._arrived.set()
        return self._last_number

    @property
    def last_number(self) -> int:
        """The number of the last message."""
        return self._last_number

    def __len__(self) -> int:
        return len(self._outbox)

    def _drop_oldest(self) -> None:
        """Drop events until a tenth of the space is free again, so that this is done seldom."""
        kept: list[Outgoing] = [self._outbox.popleft() for _ in range(self._in_flight)]
        dropped = 0
        while self._bytes > OUTBOX_BYTES * 0.9 and len(self._outbox) > 1:
            oldest = self._outbox.popleft()
            if oldest.droppable:
                self._bytes -= len(oldest.message)
                dropped += 1
            else:
                kept.append(oldest)
        self._outbox.extendleft(reversed(kept))
        if dropped:
            self.dropped += dropped
            logger.warning(
                "message queue %s: the outbox is full, the %d oldest events were dropped: bring the broker "
                "back",
                self.health.name,
                dropped,
            )

    async def accepted(self, number: int) -> None:
        """Wait until the broker has a message. Do not wait for a broker that is away: the message is kept.

        Raises:
            MessageRefused: The broker will never take it.
        """
        if number > self._accepted and self.health.is_up(self.name):
            await self._wait(number)
        else:
            await asyncio.sleep(0)  # other tasks run while one emits in a loop
        self._raise_if_refused(number)

    async def accepted_for_good(self, number: int) -> None:
        """Wait until the broker has a message, through any outage.

        Raises:
            MessageRefused: The broker will never take it.
        """
        while number > self._accepted:
            await self._wait(number)
        self._raise_if_refused(number)

    async def _wait(self, number: int) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((number, future))
        await future

    def _raise_if_refused(self, number: int) -> None:
        error = self._refused.get(number)
        if error is not None:
            raise error

    def withdraw(self, number: int) -> None:
        """Remove a message from the outbox, unless it is being published."""
        for index in range(self._in_flight, len(self._outbox)):
            if self._outbox[index].number == number:
                self._bytes -= len(self._outbox[index].message)
                del self._outbox[index]
                return

    async def serve(self) -> None:
        while True:
            if not self._outbox:
                self._arrived.clear()
                await self._arrived.wait()
            await self._publish(self._next_batch())

    def lost(self) -> None:
        self._in_flight = 0
        self._release(self._last_number)

    async def _publish(self, batch: list[bytes]) -> None:
        self._in_flight = len(batch)
        try:
            await asyncio.wait_for(self.driver.publish(batch), PUBLISH_TIMEOUT)
        except MessageRefused as error:
            if len(batch) > 1:  # each alone shows which one it is
                for message in batch:
                    await self._publish([message])
                return
            self._refuse(batch[0], error)
        else:
            self.published += len(batch)
        self._in_flight = 0
        for message in batch:
            self._accepted = self._outbox.popleft().number
            self._bytes -= len(message)
        self._release(self._accepted)

    def _refuse(self, message: bytes, error: MessageRefused) -> None:
        if lines.allow(self.health.name, LINES_OF_ERROR):
            logger.error(
                "message queue %s: %d bytes were dropped: %s",
                self.health.name,
                len(message),
                printable(str(error)),
            )
        self.dropped += 1
        self._refused[self._outbox[0].number] = error
        if len(self._refused) > REMEMBERED_REFUSALS:
            del self._refused[next(iter(self._refused))]

    def _next_batch(self) -> list[bytes]:
        batch: list[bytes] = []
        size = 0
        for outgoing in self._outbox:
            size += len(outgoing.message)
            if batch and (size > BATCH_BYTES or len(batch) == BATCH_MESSAGES):
                break
            batch.append(outgoing.message)
        return batch

    def _release(self, number: int) -> None:
        waiting = self._waiting
        while waiting and waiting[0][0] <= number:
            _, future = waiting.popleft()
            if not future.done():
                future.set_result(None)

    async def drain(self, seconds: float) -> None:
        """Wait until everything is published, but no longer than `seconds`."""
        with contextlib.suppress(asyncio.TimeoutError, MessageRefused):
            await asyncio.wait_for(self.accepted_for_good(self._last_number), seconds)
        if self._outbox:
            logger.warning(
                "message queue %s: %d messages could not be published", self.health.name, len(self._outbox)
            )

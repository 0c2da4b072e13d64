"""A client manager that is connected to a message broker, and through it to other processes."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from ..engine.awaitables import Sent, SentAndWaiting
from ..rooms import Rooms
from ..workers.members import make_name
from . import wire
from .driver import Driver, MessageRefused
from .emitter import Emitter
from .health import Health
from .inbox import MAX_BYTES, Handler, Inbox, messages_with
from .reconnecting import Listener, Publisher
from .told import Hearer, Told

READY_TIMEOUT = 5.0  # seconds that a server waits for its broker before it serves without
DRAIN_TIMEOUT = 5.0  # seconds that a stopping server has to publish what waits


class ConnectedRooms(Rooms):
    """The connections of a process to a message broker, and what goes over them besides events.

    Args:
        url: The broker, as log messages name it.
        make_driver: Makes a new connection to the broker.
        write_only: Whether this process has no clients and receives nothing.

    Attributes:
        inbox_name: The name of the inbox of this process, once it is started; None if the broker has no
            inboxes.
        process_name: The name of this process, a new one each time that it is started, and that of its inbox.
    """

    def __init__(self, url: str, make_driver: Callable[[], Driver], write_only: bool) -> None:
        super().__init__()
        self._url = url
        self._make_driver = make_driver
        self.write_only = write_only
        self._emitter = Emitter(url, make_driver)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.started_at = 0.0  # on the clock of the loop
        self._health: Health
        self._listener: Listener
        self._publisher: Publisher | None = None
        self._own_mark = b""
        self._replaying: asyncio.Future[None] | None = None  # until what comes is not older than this process
        self.process_name = make_name()
        self.inbox_name: str | None = None
        self._inbox: Inbox
        self._data_handler: Handler = _no_data
        self._told = Told()

    # Connections

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        if self.write_only or loop is self._loop:
            return
        self._loop, self.started_at = loop, loop.time()
        self._health = Health(self._url)
        self._publisher = Publisher(self._make_driver(), self._health)
        self._own_mark = wire.mark(self._publisher.host_id)
        self._inbox = Inbox(self._handle_callback, {"data": self._take_data, "cluster": self._told.take})
        self.process_name = make_name()
        driver = self._make_driver()
        if driver.has_inboxes:
            driver.inbox = self.inbox_name = self.process_name
        self._publisher.driver.own_listener = driver
        self._publisher.driver.listener_killed = self._told.killed
        if self.recovery is not None and driver.replays:
            driver.replay_seconds = self.recovery.duration
            self._replaying = loop.create_future()
        self._listener = Listener(driver, self._health, self._receive, self._listening)

    async def ready(self) -> None:
        if self._publisher is None:
            return
        attempts = [self._listener.first_attempt, self._publisher.first_attempt]
        await asyncio.wait(attempts, timeout=READY_TIMEOUT)
        for attempt in attempts:
            if attempt.done() and (refusal := attempt.exception()) is not None:
                await self.stop()
                raise refusal
        if self._replaying is not None:
            await asyncio.wait([self._replaying], timeout=READY_TIMEOUT)
            self._replaying = None

    @property
    def _is_replaying(self) -> bool:
        return self._replaying is not None and not self._replaying.done()

    def _replayed(self) -> None:
        """Note that what comes from now on is not older than this process."""
        if self._replaying is not None and self._is_replaying:
            self._replaying.set_result(None)

    @abstractmethod
    def _receive(self, messages: Sequence[bytes]) -> None:
        """Take messages that have come together."""

    @abstractmethod
    def _handle_callback(self, message: wire.Message) -> None:
        """Take the answer to a callback."""

    def _listening(self) -> None:
        if self.recovery is not None and not self._listener.driver.resumes:
            self.recovery.log.clear()  # something may have been missed, which clients were to get
        self._told.connected()

    async def stop(self) -> None:
        publisher, self._publisher, self._loop = self._publisher, None, None
        if publisher is not None:
            await self._listener.stop()
            await publisher.drain(DRAIN_TIMEOUT)
            await publisher.stop()

    @property
    def meeting_place(self) -> tuple[Path, str] | None:
        """The directory that the URL names, where the processes of a host meet, and the channel."""
        driver = self._make_driver()
        return (driver.directory, driver.channel) if driver.directory and not self.write_only else None

    @property
    def needs_affinity(self) -> bool:
        """Whether a balancer of several hosts has to send a client that polls to the same one."""
        driver = self._make_driver()
        return driver.spans_hosts and not (driver.has_inboxes or self.write_only)

    def queue_health(self) -> dict[str, Any] | None:
        if self._publisher is None:
            return None
        publisher = self._publisher
        return {
            **self._health.report(),
            "waiting": len(publisher),
            "dropped": publisher.dropped,
            "published": publisher.published,
            "received": self._listener.received,
        }

    def _publish(self, fields: dict[str, Any], droppable: bool = False, inbox: str | None = None) -> Sent:
        if self._publisher is None or self._loop is None or self._loop.is_closed():
            return self._emitter.publish(fields)
        number = self._publisher.put(fields, droppable, inbox)
        return SentAndWaiting(partial(self._publisher.accepted, number))

    async def published(self) -> None:
        """Wait until the broker has what was published so far, unless it is away."""
        if self._publisher is not None:
            with suppress(MessageRefused):  # which has been logged
                await self._publisher.accepted(self._publisher.last_number)

    # Data for one process

    def on_data(self, handler: Handler | None) -> None:
        """Have a function called with what other processes send here.

        Args:
            handler: It is called with the name of the sender's inbox, and the data. None: nobody is.
        """
        self._data_handler = handler or _no_data

    def _take_data(self, sender: str, data: bytes) -> None:
        self._data_handler(sender, data)

    def send_to(self, inbox_name: str, data: bytes) -> Sent:
        """Send data to the inbox of one other process, in order. If there is no such process they are lost.

        Raises:
            RuntimeError: This process, or its broker, has no inboxes.
            ValueError: The data are larger than `MAX_BYTES`, or no inbox has such a name.
        """
        publisher = self._publisher
        if publisher is None or self.inbox_name is None:
            raise RuntimeError("this message queue brings nothing to one process alone")
        if len(data) > MAX_BYTES or not wire.INBOX_NAME.match(inbox_name):
            raise ValueError(f"{len(data)} bytes for the inbox {inbox_name!r:.100}")
        number = 0
        for fields in messages_with(data, "data", self.inbox_name):
            number = publisher.put(fields, droppable=True, inbox=inbox_name)
        return SentAndWaiting(partial(publisher.accepted, number))

    # What processes tell each other

    def on_told(self, hearer: Hearer | None) -> None:
        """Have an object hear the other processes. None: nobody does."""
        self._told.hearer = hearer

    @property
    def listener_name(self) -> str:
        """How other processes call this one's listener, where they know that: see `Driver`."""
        return self._listener.driver.listener_name if self._publisher is not None else ""

    @property
    def other_listeners(self) -> Collection[str]:
        """The same of the other processes that listen, where this one knows that."""
        return self._publisher.driver.listeners() if self._publisher is not None else ()

    @property
    def replays(self) -> bool:
        """Whether a process that starts later gets what was told to all before."""
        return self._publisher is not None and self._listener.driver.replays

    @property
    def is_in_touch(self) -> bool:
        """Whether this process hears others, and they hear it."""
        health = self._health if self._publisher is not None else None
        return health is not None and health.is_up(Listener.name) and health.is_up(Publisher.name)

    def tell_processes(self, data: bytes, to: str | None = None, droppable: bool = False) -> Sent:
        """Send data to all other processes, in order with the events, or to one of them.

        Args:
            data: At most `MAX_BYTES`.
            to: The name of the only process that is to take them. If it has an inbox, they go there.
            droppable: Whether they may be dropped when too much waits for the broker.

        Raises:
            ValueError: The data are larger.
        """
        if len(data) > MAX_BYTES:
            raise ValueError(f"{len(data)} bytes for other processes, and they take {MAX_BYTES}")
        publisher = self._publisher
        if publisher is None or self._loop is None or self._loop.is_closed():
            return self._emitter.publish(*messages_with(data, "cluster", None, to))
        number, inbox = 0, to if self.inbox_name is not None else None
        for fields in messages_with(data, "cluster", self.process_name, to):
            number = publisher.put(fields, droppable, inbox)
        return SentAndWaiting(partial(publisher.accepted, number))


def _no_data(sender: str, data: bytes) -> None:
    raise ValueError("data for nobody")

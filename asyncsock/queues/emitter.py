"""Publishing from a process that has no server: a script, a Celery task, a scheduled job."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

from ..engine.awaitables import Sent, SentAndWaiting
from ..engine.log import printable
from .driver import Driver, LoginRefused
from .health import Health, describe, logger
from .reconnecting import CLOSE_TIMEOUT, Publisher

TIMEOUT = 5.0  # seconds that a message may take

# The parent's loops and publishers in a forked process, which cannot end them. They are kept because asyncio
# warns of pending tasks that are destroyed.
_inherited: list[tuple[asyncio.AbstractEventLoop, Publisher]] = []


class NotPublished(ConnectionError):
    """The broker could not be reached in time; the message will not be sent.

    If the connection was lost while the message was being sent, the broker may have received it.
    """


class Emitter:
    """Publishes on an event loop in a thread of its own, which starts with the first message.

    A message waits for `TIMEOUT` at most. A forked process starts a thread and a `Publisher` of its own.
    """

    def __init__(self, url: str, make_driver: Callable[[], Driver]) -> None:
        self._make_driver = make_driver
        self._health = Health(url)
        self._lock = threading.Lock()
        self._process = 0
        self._loop: asyncio.AbstractEventLoop
        self._publisher: Publisher | None = None
        self._under_way: set[concurrent.futures.Future[None]] = set()

    def publish(self, *messages: dict[str, Any]) -> Sent:
        """Publish messages that belong together, by their fields, with nothing between them.

        Return when the broker has them; on an event loop, return an awaitable of that.

        Raises:
            NotPublished: The broker could not be reached within `TIMEOUT`.
            LoginRefused: The broker refused the login.
            MessageRefused: The broker does not take the message.
        """
        self._begin()
        future = asyncio.run_coroutine_threadsafe(self._publish(messages), self._loop)
        if not _on_a_loop():
            future.result()
            return SentAndWaiting(lambda: asyncio.wrap_future(future))
        self._under_way.add(future)
        future.add_done_callback(self._ended)
        return SentAndWaiting(lambda: asyncio.wrap_future(future))

    def _begin(self) -> None:
        if self._process == os.getpid():
            return
        with self._lock:
            if self._process == os.getpid():
                return
            if self._publisher is not None:
                _inherited.append((self._loop, self._publisher))
            self._loop = asyncio.new_event_loop()
            self._publisher = None
            self._under_way = set()
            threading.Thread(target=self._loop.run_forever, name="asyncsock-emitter", daemon=True).start()
            atexit.register(self._finish, os.getpid())
            self._process = os.getpid()

    async def _publish(self, messages: Sequence[dict[str, Any]]) -> None:
        if self._publisher is None:
            self._publisher = Publisher(self._make_driver(), self._health)
        publisher = self._publisher
        numbers = [publisher.put(fields, droppable=False) for fields in messages]
        try:
            await asyncio.wait_for(self._accepted(publisher, numbers), TIMEOUT)
        except asyncio.TimeoutError:
            _withdraw(publisher, numbers)
            error = self._health.last_error
            why = describe(error) if error is not None else "no answer"
            raise NotPublished(
                f"message queue {self._health.name}: not published within {TIMEOUT} s ({why})"
            ) from None
        except LoginRefused:
            _withdraw(publisher, numbers)
            raise

    async def _accepted(self, publisher: Publisher, numbers: Sequence[int]) -> None:
        if not self._health.is_up(publisher.name):
            await asyncio.shield(publisher.first_attempt)
        for number in numbers:
            await publisher.accepted_for_good(number)

    def _ended(self, future: concurrent.futures.Future[None]) -> None:
        self._under_way.discard(future)
        error = future.exception()
        if error is not None:
            logger.warning("%s", printable(str(error)))  # perhaps nobody awaits it

    def _finish(self, process: int) -> None:
        """At the end of the process, wait for the messages that nobody has awaited."""
        if process != os.getpid():
            return
        concurrent.futures.wait(list(self._under_way), TIMEOUT)
        if self._publisher is not None:
            stopping = asyncio.run_coroutine_threadsafe(self._publisher.stop(), self._loop)
            concurrent.futures.wait([stopping], 2 * CLOSE_TIMEOUT)


def _withdraw(publisher: Publisher, numbers: Sequence[int]) -> None:
    for number in numbers:
        publisher.withdraw(number)


def _on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True

"""Any broker that Kombu knows, with Kombu's blocking calls in a thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import queue
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

from .driver import AT_ONCE, QUEUE_EXPIRES, SILENCE, Driver, LoginRefused, needed

Result = TypeVar("Result")

POLL = 0.2  # seconds between looks for messages, where the broker sends none, and for the end of the thread
LISTENERS_RETURN = 0.4  # seconds that a reconnected publisher gives listeners to reconnect
CONNECTION_OPTIONS = ("ssl", "login_method")  # the beginnings of their names
FILESYSTEM_TICK = 0.002  # seconds between messages: within a millisecond their order is lost


class KombuDriver(Driver):
    """Publishes to Kombu's fanout exchange that is named as the channel, or receives from a queue at it.

    If the transport does not read the query of the URL itself, the query has Kombu's transport options:
    ``filesystem://?data_folder_in=/folder&data_folder_out=/folder&control_folder=/folder/control``. (That
    transport is for trying things out: it may lose a message that is read while it is written.)
    """

    def __init__(self, url: str, channel: str) -> None:
        super().__init__(url, channel)
        with needed("kombu", urlsplit(url).scheme):
            import kombu.transport
        self._kombu: Any = kombu
        # The names are those of python-socketio's `KombuManager`.
        exchange = self._kombu.Exchange(channel, type="fanout", durable=False)
        expires = {"x-expires": QUEUE_EXPIRES}
        self._queue = self._kombu.Queue(
            f"python-socketio.{uuid.uuid4()}", exchange, durable=False, queue_arguments=expires
        )
        self._exchange = exchange
        self._make_connection(heartbeat=0)  # a bad URL raises now
        self._thread: ConnectionThread | None = None
        self._was_connected = False

    def _make_connection(self, heartbeat: float) -> Any:
        scheme = urlsplit(self.url).scheme
        try:
            transport = self._transport(scheme.partition("+")[0])
            url, options = (self.url, {}) if transport.can_parse_url else _take_options(self.url)
            if transport.driver_type == "amqp":
                options |= {"read_timeout": 2 * SILENCE, "write_timeout": SILENCE}
            return self._kombu.Connection(
                url, heartbeat=heartbeat, connect_timeout=SILENCE, transport_options=options
            )
        except ImportError as error:
            raise ImportError(
                f"message queues with {scheme}:// need a package that Kombu does not bring: "
                f"pip install 'kombu[{scheme.partition('+')[0].lower()}]' ({error})"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"bad {scheme}:// URL: {error}") from None

    def _transport(self, name: str) -> Any:
        transport = self._kombu.transport.get_transport_cls(name)
        fans_out = getattr(getattr(transport, "Channel", None), "supports_fanout", False)
        if not fans_out and "fanout" not in transport.implements.exchange_type:
            raise ValueError("Kombu brings a message to only one process there")
        return transport

    async def connect(self, *, subscribe: bool) -> None:
        connection = self._make_connection(heartbeat=SILENCE if subscribe else 0)
        thread = self._thread = ConnectionThread(connection)
        await thread.run(thread.open)
        if subscribe:
            await thread.run(thread.subscribe, self._queue)
        else:
            await thread.run(thread.prepare, self._exchange)
            if self._was_connected:  # listeners' queues may be gone until they reconnect
                await asyncio.sleep(LISTENERS_RETURN)
            self._was_connected = True

    async def publish(self, messages: Sequence[bytes]) -> None:
        assert self._thread is not None
        await self._thread.run(self._thread.publish, messages)

    async def messages(self) -> AsyncIterator[Sequence[bytes]]:
        thread = self._thread
        assert thread is not None
        try:
            while True:
                yield await thread.run(thread.receive)
        except asyncio.CancelledError:
            thread.leave(self._queue.name)  # the process stops listening for good
            raise

    async def close(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            await thread.end()


class ConnectionThread:
    """A connection of Kombu's, and the thread that uses it.

    The methods without `async` other than `leave` run in the thread: call them through `run`.

    Args:
        connection: Not yet connected.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._producer: Any = None
        self._consumer: Any = None
        self._received: list[Any] = []
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._ending = threading.Event()
        self._abandoned_queue: str | None = None
        self._ended: concurrent.futures.Future[None] = concurrent.futures.Future()
        # A daemon, so that a broker which does not answer cannot keep the process from ending.
        threading.Thread(target=self._work, name="asyncsock-kombu", daemon=True).start()

    async def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call a function in the thread, after the calls before it."""
        future: concurrent.futures.Future[Result] = concurrent.futures.Future()

        def call() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function(*arguments))
                except Exception as error:
                    future.set_exception(error)

        self._calls.put(call)
        return await asyncio.wrap_future(future)

    async def end(self) -> None:
        """Disconnect, and wait for the end of the thread."""
        self._ending.set()
        self._calls.put(None)
        await asyncio.wrap_future(self._ended)

    def leave(self, queue_name: str) -> None:
        """Delete a queue when the thread ends; to be called before `end`."""
        self._abandoned_queue = queue_name

    def _work(self) -> None:
        for call in iter(self._calls.get, None):
            call()
        with contextlib.suppress(Exception):
            if self._abandoned_queue is not None:
                self._connection.default_channel.queue_delete(self._abandoned_queue)
        with contextlib.suppress(Exception):
            self._connection.release()
        if self._ended.set_running_or_notify_cancel():
            self._ended.set_result(None)

    def open(self) -> None:
        try:
            # As connect() does, but without sleeping for 2 s before its second attempt.
            self._connection.ensure_connection(
                max_retries=1, interval_start=0, reraise_as_library_errors=False
            )
        except Exception as error:
            if type(error).__name__ in ("AccessRefused", "AuthenticationError"):
                raise LoginRefused(f"the login was refused: {error}") from None
            raise

    def subscribe(self, kombu_queue: Any) -> None:
        consumer = self._connection.Consumer([kombu_queue], on_message=self._received.append)
        consumer.qos(prefetch_count=AT_ONCE)
        consumer.consume()
        self._consumer = consumer
        self._drain(POLL)  # some transports subscribe only when they are asked for the first message

    def prepare(self, exchange: Any) -> None:
        self._producer = self._connection.Producer(exchange=exchange)

    def publish(self, messages: Sequence[bytes]) -> None:
        tick = FILESYSTEM_TICK if self._connection.transport.driver_type == "filesystem" else 0
        for message in messages:
            if self._ending.wait(tick):
                raise ConnectionError("the connection was closed")
            self._producer.publish(message.decode(), content_type="text/plain", content_encoding="utf-8")
        self._producer.declare()  # AMQP answers after the messages; others have them already

    def receive(self) -> list[bytes]:
        received = self._received
        while not received and not self._ending.is_set():
            self._drain(POLL)
            self._connection.heartbeat_check()
        while received and len(received) < AT_ONCE and self._drain(0):
            pass
        # At once, as some transports send unacknowledged messages to all processes again. Nothing is lost: no
        # other process reads this queue, and the next call finds out about a connection that fails here.
        with contextlib.suppress(Exception):
            for message in received:
                message.ack()
        bodies = [_as_bytes(message.body) for message in received]
        received.clear()
        return bodies

    def _drain(self, timeout: float) -> bool:
        try:
            self._connection.drain_events(timeout=timeout)
        except TimeoutError:
            return False
        return True


def _take_options(url: str) -> tuple[str, dict[str, Any]]:
    """A URL with the options that are for Kombu's `Connection`, and the other options, for the transport."""
    address, _, query = url.partition("?")
    options: dict[str, Any] = dict(parse_qsl(query))
    known = {name: options.pop(name) for name in list(options) if name.startswith(CONNECTION_OPTIONS)}
    for name, value in options.items():
        with contextlib.suppress(ValueError):
            options[name] = float(value)
    return f"{address}?{urlencode(known)}" if known else address, options


def _as_bytes(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else bytes(body)

"""RabbitMQ, through aio-pika. A queue per process keeps what is published while it is disconnected.

Batches go through the channel below aio-pika's, which aio-pika exposes for that: its own `publish` and
`consume` make several objects and a task for each message, and confirm or acknowledge each alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import uuid
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

from . import tls
from .driver import (
    AT_ONCE,
    QUEUE_EXPIRES,
    WATCH,
    Driver,
    Letter,
    LoginRefused,
    MessageRefused,
    mute_logger,
    needed,
)

HEARTBEAT = 5  # seconds, unless the URL says otherwise; aiormq gives up after thrice that and 3 s
FRAMES = 300  # that aiormq reads, three or more per message, before other tasks run
GOODBYE = 0.5  # seconds that the broker has to delete our queue, or aio-pika to say why a channel closed


class RabbitMQDriver(Driver):
    """Publishes to a fanout exchange, or receives from a queue at it and at the exchange of all inboxes.

    python-socketio's exchange, which has the name of the channel, does not survive a restart of the broker.
    Ours does, and so do the queues at it and what is in them. The two are bound to each other, and RabbitMQ
    passes a message to each of them once.

    Args:
        url: ``amqp://user:password@host:port/vhost``, or ``amqps://`` with aio-pika's options ``cafile``,
            ``capath``, ``cadata``, ``certfile``, ``keyfile`` and ``no_verify_ssl``; both with ``heartbeat``
            in seconds (0: none) and ``name``.
    """

    has_inboxes = True
    resumes = True

    def __init__(self, url: str, channel: str) -> None:
        super().__init__(url, channel)
        with needed("rabbitmq", "amqp"):
            import aio_pika
        self._aio_pika: Any = aio_pika
        for name in ("aio_pika", "aiormq"):
            mute_logger(name)
        try:
            self._address = _complete(url)
            self._tls = tls.client_context(self._address.query) if self._address.scheme == "amqps" else None
        except (ValueError, OSError) as error:
            raise ValueError(f"bad RabbitMQ URL: {error}") from None
        self._exchange = f"asyncsock.{channel}"
        self._inboxes = f"asyncsock.{channel}.inboxes"  # an exchange, too
        self._queue = f"asyncsock.{channel}.{uuid.uuid4().hex}"
        # With the type and encoding that Kombu gives its own messages, and therefore reads.
        self._envelope = aio_pika.Message(
            b"",
            content_type="text/plain",
            content_encoding="utf-8",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        self._connection: Any = None
        self._channel: Any = None
        self._underlay: Any = None  # the channel under it
        self._arrivals = Arrivals()

    async def connect(self, *, subscribe: bool) -> None:
        try:
            await self._finish(self._connect(subscribe))
        except Exception as error:
            reason = self._refusal(error)
            if reason is None:
                raise
            raise LoginRefused(reason) from None

    def _refusal(self, error: Exception) -> str | None:
        """Why the broker refused the login; None if connecting may be tried again."""
        if isinstance(error.__cause__, ssl.SSLCertVerificationError):
            return f"RabbitMQ's certificate is not trusted: {error.__cause__}"
        with needed("rabbitmq", "amqp"):
            from aiormq.exceptions import ChannelAccessRefused
            from pamqp.exceptions import AMQPInternalError  # raised by aiormq before 7
        if isinstance(error, (self._aio_pika.exceptions.ProbableAuthenticationError, ChannelAccessRefused)):
            return f"RabbitMQ refused the login: {error}"
        # Neither says that the broker refused to open the virtual host.
        if isinstance(error, (self._aio_pika.exceptions.InvalidFrameError, AMQPInternalError)):
            vhost = self._address.path[1:].replace("%2F", "/") or "/"
            return f"RabbitMQ refused the login to the virtual host {vhost!r}"
        return None

    async def _connect(self, subscribe: bool) -> None:
        self._connection = await self._aio_pika.connect(self._address, ssl_context=self._tls)
        self._channel = await self._connection.channel(publisher_confirms=False)
        exchange = await self._declare_exchanges()
        inboxes = await self._channel.declare_exchange(
            self._inboxes, self._aio_pika.ExchangeType.DIRECT, durable=True
        )
        await self._open_underlay()
        if subscribe:
            await self._subscribe(exchange, inboxes)
        else:
            await self._underlay.tx_select()

    async def _open_underlay(self) -> None:
        self._arrivals = Arrivals()
        connection = self._connection.transport.connection
        channel = await self._aio_pika.abc.UnderlayChannel.create(
            connection, self._arrivals.end, publisher_confirms=False, frame_buffer_size=FRAMES
        )
        self._underlay = channel.channel

    async def _open_underlay_again(self) -> None:
        await self._open_underlay()
        await self._underlay.tx_select()

    async def _declare_exchanges(self) -> Any:
        fanout = self._aio_pika.ExchangeType.FANOUT
        ours = await self._channel.declare_exchange(self._exchange, fanout, durable=True)
        theirs = await self._channel.declare_exchange(self.channel, fanout)
        await ours.bind(theirs)
        await theirs.bind(ours)
        return ours

    async def _subscribe(self, exchange: Any, inboxes: Any) -> None:
        # A single active consumer: until the broker notices that a connection is lost, the next one gets
        # nothing. So what the lost one has not acknowledged comes first.
        arguments = {"x-expires": QUEUE_EXPIRES, "x-single-active-consumer": True}
        queue = await self._channel.declare_queue(self._queue, durable=True, arguments=arguments)
        await queue.bind(exchange, routing_key="")
        if self.inbox is not None:
            await queue.bind(inboxes, routing_key=self.inbox)
        await self._underlay.basic_qos(prefetch_count=AT_ONCE)
        await self._underlay.basic_consume(self._queue, self._arrivals.add)

    async def publish(self, messages: Sequence[bytes]) -> None:
        try:
            await self._finish(self._publish(messages))
        except Exception as error:
            reason = await self._why_closed() or error
            if not isinstance(reason, self._aio_pika.exceptions.ChannelPreconditionFailed):
                raise
            await self._finish(self._open_underlay_again())
            raise MessageRefused(f"RabbitMQ does not take it: {reason}") from None

    async def _publish(self, messages: Sequence[bytes]) -> None:
        # In a transaction, which is confirmed as a whole.
        publish = self._underlay.basic_publish
        for message in messages:
            properties = self._envelope.properties  # new ones each time, as they get the message's id
            exchange, key = self._exchange, ""
            if isinstance(message, Letter):
                exchange, key = self._inboxes, message.inbox
            await publish(message, exchange=exchange, routing_key=key, properties=properties, wait=False)
        await self._underlay.tx_commit()

    async def messages(self) -> AsyncIterator[Sequence[bytes]]:
        underlay, arrivals = self._underlay, self._arrivals
        try:
            while True:
                together = await arrivals.together(WATCH)
                if not together:
                    await self._finish(self._check_consumer())
                    continue
                yield [self._body(message) for message in together]
                # Without waiting for the socket, which on a lost connection may never take it.
                tag = together[-1].delivery_tag
                await self._finish(underlay.basic_ack(tag, multiple=True, wait=False))
        except asyncio.CancelledError:
            # The process stops listening for good.
            with contextlib.suppress(Exception):
                await self._channel.queue_delete(self._queue, timeout=GOODBYE)
            raise

    def _body(self, message: Any) -> bytes:
        body: bytes = message.body
        if self.inbox is not None and message.exchange == self._inboxes:
            return Letter(body, self.inbox)
        return body

    async def _check_consumer(self) -> None:
        try:
            queue = await self._underlay.queue_declare(self._queue, passive=True)
        except self._aio_pika.exceptions.ChannelNotFoundEntity:
            raise ConnectionError("RabbitMQ deleted the queue") from None
        if not queue.consumer_count:
            raise ConnectionError("RabbitMQ cancelled the consumer")

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _finish(self, call: Coroutine[Any, Any, Any]) -> None:
        """Await a call of aio-pika's.

        aio-pika cancels its calls when the connection is lost. That must not cancel their caller as well.

        Raises:
            ConnectionError: The connection or the channel is lost.
        """
        result: Any
        (result,) = await asyncio.gather(call, return_exceptions=True)
        if isinstance(result, asyncio.CancelledError):
            raise _lost(result)
        if isinstance(result, self._aio_pika.exceptions.ChannelInvalidStateError):
            raise _lost(await self._why_closed())
        if isinstance(result, BaseException):
            raise result

    async def _why_closed(self) -> BaseException | None:
        """Why the channel was closed, which aio-pika tells a little later."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._arrivals.ended.wait(), GOODBYE)
        return self._arrivals.reason


class Arrivals:
    """The messages of a channel that nobody has taken yet, and whether and why the channel has ended."""

    def __init__(self) -> None:
        self._messages: list[Any] = []
        self._changed = asyncio.Event()
        self.ended = asyncio.Event()
        self.reason: BaseException | None = None

    async def add(self, message: Any) -> None:
        """Called for each message."""
        self._messages.append(message)
        self._changed.set()

    async def end(self, closing: asyncio.Future[None]) -> None:
        """Called when the channel is closed, with what says why."""
        self.reason = None if closing.cancelled() else closing.exception()
        self.ended.set()
        self._changed.set()

    async def together(self, timeout: float) -> list[Any]:
        """Wait for messages, and return those that arrived together; none after `timeout` seconds.

        Raises:
            ConnectionError: The channel was lost. Messages that nobody has taken will come again.
        """
        if not self._messages and not self.ended.is_set():
            self._changed.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._changed.wait(), timeout)
        if self.ended.is_set():
            raise _lost(self.reason)
        messages, self._messages = self._messages, []
        return messages


def _lost(error: BaseException | None) -> ConnectionError:
    if error is None or isinstance(error, asyncio.CancelledError):
        return ConnectionError("RabbitMQ was silent for too long")  # then there is no reason to tell
    return ConnectionError(f"RabbitMQ closed the connection: {error}")


def _complete(url: str) -> Any:
    """A URL for aio-pika, with the defaults filled in.

    Raises:
        ValueError: It is malformed.
    """
    scheme, _, rest = url.partition("://")
    if not rest or rest[0] in "/?":
        url = f"{scheme}://localhost{rest}"
    with needed("rabbitmq", "amqp"):
        from yarl import URL
    parsed = URL(url)
    options = {"heartbeat": str(HEARTBEAT), "name": "asyncsock", **parsed.query}
    if not 0 <= int(options["heartbeat"]) < 65535:
        raise ValueError("heartbeat has to be between 0 and 65534 seconds")
    return parsed.with_query(options)

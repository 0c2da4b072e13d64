"""RabbitMQ. What is published while a process does not listen waits for it in a queue of its own.

This uses aiormq, on which aio-pika is built, because aio-pika does more for each message.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import uuid
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

from . import tls
from .driver import Driver, LoginRefused, MessageRefused, require

HEARTBEAT = 5  # seconds, unless the URL says otherwise; aiormq gives up after thrice that and 3 s
QUEUE_EXPIRES = 300_000  # milliseconds that a queue outlives its process, or waits for it
PREFETCH = 1000  # messages that the broker sends ahead of their acknowledgement
FRAMES = 300  # that aiormq reads, three or more for a message, before others have their turn
WATCH = 1.0  # seconds between looks at whether the broker has cancelled our consumer
GOODBYE = 0.5  # seconds that the broker has to delete our queue


class RabbitMQDriver(Driver):
    """Publishes to, or has a queue at, a fanout exchange.

    python-socketio's exchange, which has the name of the channel, does not survive a restart of the broker.
    Ours does, and so do the queues at it and what is in them. The two are bound to each other, and RabbitMQ
    passes a message to each of them once.

    Args:
        url: ``amqp://user:password@host:port/vhost``, or ``amqps://`` with aio-pika's options ``cafile``,
            ``capath``, ``cadata``, ``certfile``, ``keyfile`` and ``no_verify_ssl``; both with ``heartbeat``
            in seconds (0: none) and ``name``.
    """

    def __init__(self, url: str, channel: str) -> None:
        super().__init__(url, channel)
        self._aiormq = require("aiormq", "rabbitmq", "amqp")
        quiet = logging.getLogger("aiormq")
        if quiet.level == logging.NOTSET:
            quiet.setLevel(logging.CRITICAL)  # it logs each attempt to reconnect, and we the loss, once
        try:
            self._address = _complete(url)
            self._tls = tls.client_context(self._address.query) if self._address.scheme == "amqps" else None
        except (ValueError, OSError) as error:
            raise ValueError(f"bad RabbitMQ URL: {error}") from None
        self._exchange = f"asyncsock.{channel}"
        self._queue = f"asyncsock.{channel}.{uuid.uuid4().hex}"
        self._connection: Any = None
        self._channel: Any = None
        self._arrivals: Arrivals | None = None

    async def connect(self, *, subscribe: bool) -> None:
        try:
            await _finish(self._connect(subscribe))
        except Exception as error:
            reason = self._refusal(error)
            if reason is None:
                raise
            raise LoginRefused(reason) from None

    def _refusal(self, error: Exception) -> str | None:
        """Why connecting again would not help, if it would not."""
        if isinstance(error.__cause__, ssl.SSLCertVerificationError):
            return f"RabbitMQ's certificate is not trusted: {error.__cause__}"
        exceptions = self._aiormq.exceptions
        if isinstance(error, (exceptions.ProbableAuthenticationError, exceptions.ChannelAccessRefused)):
            return f"RabbitMQ refused the login: {error}"
        if "Connection.OpenOk" in str(error):  # aiormq keeps to itself what came instead
            return f"RabbitMQ refused the login to the virtual host {self._connection.vhost!r}"
        return None

    async def _connect(self, subscribe: bool) -> None:
        self._connection = self._aiormq.Connection(self._address, context=self._tls)
        await self._connection.connect()
        await self._open_channel()
        await self._declare_exchanges()
        if subscribe:
            await self._subscribe()
        else:
            await self._channel.tx_select()

    async def _open_channel(self) -> None:
        self._channel = await self._connection.channel(publisher_confirms=False, frame_buffer_size=FRAMES)

    async def _open_channel_again(self) -> None:
        await self._open_channel()
        await self._channel.tx_select()

    async def _declare_exchanges(self) -> None:
        channel = self._channel
        for name, durable in ((self._exchange, True), (self.channel, False)):
            await channel.exchange_declare(exchange=name, exchange_type="fanout", durable=durable)
        for to, source in ((self._exchange, self.channel), (self.channel, self._exchange)):
            await channel.exchange_bind(destination=to, source=source)

    async def _subscribe(self) -> None:
        channel, queue = self._channel, self._queue
        # While the broker still believes in a connection that was lost, the next one gets nothing: what
        # the lost one has not acknowledged comes first.
        arguments = {"x-expires": QUEUE_EXPIRES, "x-single-active-consumer": True}
        await channel.queue_declare(queue, durable=True, arguments=arguments)
        await channel.queue_bind(queue, self._exchange)
        await channel.basic_qos(prefetch_count=PREFETCH)
        self._arrivals = Arrivals(channel)
        await channel.basic_consume(queue, self._arrivals.add)

    async def publish(self, messages: Sequence[bytes]) -> None:
        try:
            await _finish(self._publish(messages))
        except Exception as error:
            reason = _why_closed(self._channel) or error
            if "message size" not in str(reason):
                raise
            await _finish(self._open_channel_again())
            raise MessageRefused(f"RabbitMQ does not take it: {reason}") from None

    async def _publish(self, messages: Sequence[bytes]) -> None:
        # In a transaction, which is confirmed as a whole: aiormq does much for each single confirmation.
        for message in messages:
            # As Kombu declares the text that it publishes, and therefore reads it.
            properties = self._aiormq.spec.Basic.Properties(
                content_type="text/plain", content_encoding="utf-8", delivery_mode=2
            )
            await self._channel.basic_publish(
                message, exchange=self._exchange, properties=properties, wait=False
            )
        await self._channel.tx_commit()

    async def messages(self) -> AsyncIterator[Sequence[bytes]]:
        channel, arrivals = self._channel, self._arrivals
        assert arrivals is not None
        try:
            while True:
                together = await arrivals.together()
                yield [message.body for message in together]
                # Not waiting for the socket to take it, which on a lost connection it may never do.
                await _finish(channel.basic_ack(together[-1].delivery_tag, multiple=True, wait=False))
        except asyncio.CancelledError:
            # The process stops listening for good.
            with contextlib.suppress(Exception):
                await channel.queue_delete(self._queue, timeout=GOODBYE)
            raise

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


class Arrivals:
    """What has arrived on a channel, and was not asked for yet.

    Args:
        channel: aiormq's, with one consumer.
    """

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._messages: list[Any] = []
        self._changed = asyncio.Event()
        channel.closing.add_done_callback(lambda _: self._changed.set())

    async def add(self, message: Any) -> None:
        """Called for each message."""
        self._messages.append(message)
        self._changed.set()

    async def together(self) -> list[Any]:
        """Wait for messages, and return those that arrived together.

        Raises:
            ConnectionError: The channel was lost. What arrived and was not asked for will come again.
        """
        while not self._messages or self._channel.is_closed:
            self._check()
            self._changed.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._changed.wait(), WATCH)
        messages, self._messages = self._messages, []
        return messages

    def _check(self) -> None:
        if self._channel.is_closed:
            raise _lost(_why_closed(self._channel))
        if not self._channel.consumers:  # older aiormq tells nobody
            raise ConnectionError("RabbitMQ deleted the queue")


async def _finish(call: Coroutine[Any, Any, Any]) -> None:
    """Wait for a call of aiormq's.

    It cancels those that wait when the connection is lost, which must not look as if their caller was.
    """
    result: Any
    (result,) = await asyncio.gather(call, return_exceptions=True)
    if isinstance(result, asyncio.CancelledError):
        raise _lost(result)
    if isinstance(result, BaseException):
        raise result


def _why_closed(channel: Any) -> BaseException | None:
    closing = channel.closing
    reason: BaseException | None = None
    if closing.done() and not closing.cancelled():
        reason = closing.exception()
    return reason


def _lost(error: BaseException | None) -> ConnectionError:
    if error is None or isinstance(error, asyncio.CancelledError):
        return ConnectionError("RabbitMQ was silent for too long")  # then aiormq has no reason to tell
    return ConnectionError(f"RabbitMQ closed the connection: {error}")


def _complete(url: str) -> Any:
    """A URL for aiormq, with what it does not say.

    Raises:
        ValueError: It is malformed.
    """
    scheme, _, rest = url.partition("://")
    if not rest or rest[0] in "/?":
        url = f"{scheme}://localhost{rest}"
    parsed = require("yarl", "rabbitmq", "amqp").URL(url)
    options = {"heartbeat": str(HEARTBEAT), "name": "asyncsock", **parsed.query}
    if not 0 <= int(options["heartbeat"]) < 65535:
        raise ValueError("heartbeat has to be between 0 and 65534 seconds")
    return parsed.with_query(options)

"""RabbitMQ. What is published while a process does not listen waits for it in a queue of its own."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Sequence

from .driver import Driver, require
from .rabbitmq_connection import RabbitMQConnection, parse

QUEUE_EXPIRES = 300_000  # milliseconds that a queue outlives its process, or waits for it
PREFETCH = 1000  # messages that the broker sends ahead of their acknowledgement


class RabbitMQDriver(Driver):
    """Publishes to, or has a queue at, a fanout exchange.

    python-socketio's exchange, which has the name of the channel, does not survive a restart of the broker.
    Ours does, and so do the queues at it and what is in them. The two are bound to each other, and RabbitMQ
    passes a message to each of them once.
    """

    def __init__(self, url: str, channel: str) -> None:
        super().__init__(url, channel)
        self._address = parse(url)
        self._commands = require("pamqp.commands", "rabbitmq", "amqp")
        self._exchange = f"asyncsock.{channel}"
        self._queue = f"asyncsock.{channel}.{uuid.uuid4().hex}"
        self._connection: RabbitMQConnection | None = None

    async def connect(self, *, subscribe: bool) -> None:
        connection = self._connection = RabbitMQConnection(self._address)
        await connection.open()
        await self._declare_exchanges(connection)
        if subscribe:
            await self._subscribe(connection)
        else:
            await connection.call(self._commands.Confirm.Select())

    async def _declare_exchanges(self, connection: RabbitMQConnection) -> None:
        exchanges = self._commands.Exchange
        for name, durable in ((self._exchange, True), (self.channel, False)):
            await connection.call(exchanges.Declare(exchange=name, exchange_type="fanout", durable=durable))
        for to, source in ((self._exchange, self.channel), (self.channel, self._exchange)):
            await connection.call(exchanges.Bind(destination=to, source=source))

    async def _subscribe(self, connection: RabbitMQConnection) -> None:
        queues, basic = self._commands.Queue, self._commands.Basic
        # While the broker still believes in a connection that was lost, the next one gets nothing: what
        # the lost one has not acknowledged comes first.
        arguments = {"x-expires": QUEUE_EXPIRES, "x-single-active-consumer": True}
        await connection.call(queues.Declare(queue=self._queue, durable=True, arguments=arguments))
        await connection.call(queues.Bind(queue=self._queue, exchange=self._exchange))
        await connection.call(basic.Qos(prefetch_count=PREFETCH))
        await connection.call(basic.Consume(queue=self._queue))

    async def publish(self, messages: Sequence[bytes]) -> None:
        assert self._connection is not None
        await self._connection.publish(self._exchange, messages)

    async def messages(self) -> AsyncIterator[Sequence[bytes]]:
        connection = self._connection
        assert connection is not None
        try:
            while True:
                deliveries = await connection.deliveries()
                yield [delivery.body for delivery in deliveries]
                connection.acknowledge(deliveries[-1].number)
        except asyncio.CancelledError:
            # The process stops listening for good.
            with contextlib.suppress(ConnectionError):
                connection.send(self._commands.Queue.Delete(queue=self._queue, nowait=True))
            raise

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

"""The inbox of a process: what is sent to one process alone, through brokers that can do that."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest

from asyncsock import AsyncServer
from asyncsock.queues import QueueManager, from_url, health, wire
from asyncsock.queues.driver import Driver, Letter
from asyncsock.queues.inbox import MAX_BYTES, PART_BYTES, UNFINISHED_BYTES, Inbox, messages_with
from asyncsock.queues.nats import NatsDriver
from asyncsock.queues.rabbitmq import RabbitMQDriver
from asyncsock.queues.redis import RedisDriver
from tests.support.broker_process import Broker, Own
from tests.support.brokers import Nats, Redis
from tests.support.log_records import errors, recorded
from tests.support.queue_drivers import Silent, listening, numbered, publishing
from tests.support.raw_clients import within
from tests.support.redis_groups import RedisCluster
from tests.support.socketio_in_process import connected
from tests.support.tcp_proxy import Proxy

DRIVERS: dict[str, type[Driver]] = {"redis": RedisDriver, "rabbitmq": RabbitMQDriver, "nats": NatsDriver}
Received = asyncio.Queue[tuple[str, bytes]]


class Process(NamedTuple):
    """A queue, the name of the inbox there, and the data that came to it."""

    queue: QueueManager
    name: str
    received: Received


@pytest.fixture(params=DRIVERS)
def broker(request: pytest.FixtureRequest) -> Broker:
    found: Broker = request.getfixturevalue(f"{request.param}_broker")
    return found


def driver(url: str, channel: str, inbox: str | None = None) -> Driver:
    made = DRIVERS[{"amqp": "rabbitmq"}.get(url.partition(":")[0], url.partition(":")[0])](url, channel)
    made.inbox = inbox
    return made


@asynccontextmanager
async def process(url: str, channel: str) -> AsyncIterator[Process]:
    """What a process has of a queue."""
    manager, received = from_url(url, channel), Received()
    manager.on_data(lambda sender, data: received.put_nowait((sender, data)))
    manager.start()
    await within(manager.ready())
    assert manager.inbox_name is not None
    try:
        yield Process(manager, manager.inbox_name, received)
    finally:
        await manager.stop()


# Drivers


async def test_a_letter_comes_to_its_inbox_alone_and_is_told_from_the_rest(
    broker: Broker, channel: str
) -> None:
    async with (
        listening(driver(broker.url, channel, "one")) as one,
        listening(driver(broker.url, channel, "two")) as two,
        listening(driver(broker.url, f"{channel}-other", "one")) as elsewhere,
        publishing(driver(broker.url, channel)) as publisher,
        publishing(driver(broker.url, f"{channel}-other")) as publisher_elsewhere,
    ):
        letters = [Letter(b"letter %d" % number, "one") for number in range(100)]
        others = numbered(100)
        await publisher.publish([each for pair in zip(letters, others, strict=True) for each in pair])
        await publisher.publish([Letter(b"last letter", "one"), b"last"])
        assert await two.until(b"last") == [*others, b"last"]
        got: list[bytes] = []
        for last in (b"last", b"last letter"):
            if last not in got:
                got += await one.until(last)
        assert [each for each in got if isinstance(each, Letter)] == [*letters, b"last letter"]
        assert [each for each in got if not isinstance(each, Letter)] == [*others, b"last"]
        assert {each.inbox for each in got if isinstance(each, Letter)} == {"one"}
        await publisher_elsewhere.publish([b"last"])
        assert await elsewhere.until(b"last") == [b"last"]


async def test_a_letter_for_a_process_that_is_gone_is_lost_without_an_error(
    broker: Broker, channel: str
) -> None:
    async with listening(driver(broker.url, channel, "gone")):
        pass
    async with (
        listening(driver(broker.url, channel, "here")) as here,
        publishing(driver(broker.url, channel)) as publisher,
    ):
        await publisher.publish([Letter(b"lost", "gone"), Letter(b"lost", "never"), Letter(b"found", "here")])
        assert await here.until(b"found") == [b"found"]


async def test_the_nodes_of_a_redis_cluster_pass_letters_on(channel: str) -> None:
    with RedisCluster() as cluster:
        one, other = (f"redis+cluster://127.0.0.1:{node.port}" for node in cluster.nodes[:2])
        listener = RedisDriver(other, channel)
        listener.inbox = "one"
        async with listening(listener) as here, publishing(RedisDriver(one, channel)) as publisher:
            await publisher.publish([Letter(b"letter", "one")])
            assert await here.until(b"letter") == [b"letter"]


# Data


async def test_data_of_any_size_come_whole_and_in_order(broker: Broker, channel: str) -> None:
    sizes = [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 5_000_000, 2]
    everything = [bytes([number]) * size for number, size in enumerate(sizes)]
    async with process(broker.url, channel) as one, process(broker.url, channel) as other:
        for data in everything:
            one.queue.send_to(other.name, data)
        got = [await within(other.received.get()) for _ in sizes]
        assert got == [(one.name, data) for data in everything]
        await within(other.queue.send_to(one.name, b"\x00\xff\n"))
        assert await within(one.received.get()) == (other.name, b"\x00\xff\n")


async def test_data_of_an_outage_come_once_and_in_order_after_it(
    broker: Broker, channel: str, own: Own[Proxy], caplog: pytest.LogCaptureFixture
) -> None:
    proxy = own(Proxy(broker.port))
    async with (
        process(broker.url_at(proxy.port), channel) as one,
        process(broker.url, channel) as other,
    ):
        for number in range(500):
            one.queue.send_to(other.name, b"%d" % number)
            if number == 100:
                await within(other.received.get())
                proxy.down()
        proxy.up()
        numbers = [0] + [int((await within(other.received.get(), 30))[1]) for _ in range(499)]
    assert numbers == list(range(500))
    assert not errors(caplog)


@pytest.mark.parametrize("kind", [Redis, Nats])
async def test_no_letter_is_lost_between_the_return_of_the_broker_and_that_of_the_inbox(
    own: Own[Any], channel: str, kind: type[Redis | Nats]
) -> None:
    broker = own(kind())
    async with process(broker.url, channel) as one, process(broker.url, channel) as other:
        one.queue.send_to(other.name, b"before")
        assert await within(other.received.get()) == (one.name, b"before")
        await asyncio.to_thread(broker.kill)
        one.queue.send_to(other.name, b"after")
        await asyncio.to_thread(broker.start)
        assert await within(other.received.get(), 30) == (one.name, b"after")


async def test_data_for_no_inbox_are_refused(redis_broker: Redis, channel: str) -> None:
    async with process(redis_broker.url, channel) as one:
        for name in ("", "a b", "a.b", "a\n", ">", "x" * 65, "ä"):
            with pytest.raises(ValueError, match="for the inbox"):
                one.queue.send_to(name, b"")
        with pytest.raises(ValueError, match="for the inbox"):
            one.queue.send_to("other", bytes(MAX_BYTES + 1))


async def test_a_broker_without_inboxes_says_so() -> None:
    manager = QueueManager("test://", lambda: Silent("test://", "channel"))
    manager.start()
    assert manager.inbox_name is None
    with pytest.raises(RuntimeError, match="to one process alone"):
        manager.send_to("owns", b"")
    await manager.stop()


# Callbacks


@pytest.mark.parametrize("asker", ["asyncsock", "one that has no inbox"])
async def test_an_answer_goes_to_the_inbox_of_who_asked_if_there_is_one(
    broker: Broker, channel: str, asker: str
) -> None:
    near = AsyncServer(client_manager=from_url(broker.url, channel))
    far = AsyncServer(client_manager=from_url(broker.url, channel))
    async with connected(near), connected(far) as client, listening(driver(broker.url, channel)) as spy:
        for server in (near, far):
            await within(server.manager.ready())
        if asker != "asyncsock":
            near.manager.inbox_name = None
        call = asyncio.ensure_future(near.call("question", 1, to=client.sid))
        assert await client.event() == ["question", 1]
        client.send("431[2]")
        assert await within(call) == 2
        await near.emit("end")
        await client.event()
        last = await publish_last(broker, channel)
        methods = [json.loads(message)["method"] for message in await spy.until(last)]
        assert methods.count("callback") == (asker != "asyncsock")
    for server in (near, far):
        await server.shutdown()


async def publish_last(broker: Broker, channel: str) -> bytes:
    last = b'{"method":"last"}'
    async with publishing(driver(broker.url, channel)) as publisher:
        await publisher.publish([last])
    return last


# What others may send


class Sender:
    """Numbers the messages to an inbox."""

    def __init__(self, name: str = "sender") -> None:
        self.name = name
        self.seq = 0

    def message(self, **fields: Any) -> bytes:
        self.seq += 1
        return wire.encode(
            {"method": "data", "inbox": "x", "attachments": [b"data"], **fields}, self.name, self.seq
        )

    def data(self, data: bytes) -> list[bytes]:
        return [self.message(**fields) for fields in messages_with(data, "data", "x")]


class Recipient:
    """An inbox, and the data that came to it whole."""

    def __init__(self) -> None:
        self.data: list[bytes] = []
        self.inbox = Inbox(lambda message: None, {"data": lambda _, data: self.data.append(data)})

    def take(self, messages: list[bytes]) -> int:
        """Take messages, and return how many of them were refused."""
        refused = 0
        for message in messages:
            try:
                self.inbox.receive(wire.decode(message))
            except ValueError:
                refused += 1
        return refused


HOSTILE: list[dict[str, Any]] = [
    {"method": "emit", "event": "x", "data": [1]},
    {"method": "disconnect", "sid": "x"},
    {"method": 1},
    {"attachments": None},
    {"attachments": []},
    {"attachments": [1]},
    {"attachments": ["no base64!"]},
    {"inbox": None},
    {"inbox": "a b\r\nPUB x"},
    {"inbox": "x" * 65},
    {"inbox": "x\n"},
    {"inbox": 1},
    {"is_first": False},
    {"is_first": 1},
    {"is_last": None},
    {"seq": "1"},
]


async def test_hostile_letters_are_one_log_line_and_harm_nothing(
    redis_broker: Redis, channel: str, caplog: pytest.LogCaptureFixture
) -> None:
    hostile = [json.dumps({**json.loads(Sender().message()), **fields}).encode() for fields in HOSTILE]
    hostile += [b"", b"\xff", b"{}", b"[" * 100_000, b"x" * 20_000_000, Sender().message(sender=None)]
    async with process(redis_broker.url, channel) as attacked:
        async with publishing(RedisDriver(redis_broker.url, channel)) as publisher:
            for message in hostile:
                await publisher.publish([Letter(message, attacked.name)])
            await publisher.publish([Letter(Sender("other").message(), attacked.name)])
        assert await within(attacked.received.get()) == ("x", b"data")
        assert attacked.received.empty()
    assert len(recorded(caplog, logging.WARNING)) == 1
    assert not errors(caplog)


@pytest.mark.parametrize("fields", HOSTILE, ids=str)
async def test_each_hostile_letter_is_refused(
    fields: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    manager = QueueManager("test://", lambda: Silent("test://", "channel"))
    manager.on_data(lambda sender, data: pytest.fail("it was taken"))
    manager.start()
    message = json.dumps({**json.loads(Sender().message()), **fields}).encode()
    manager._receive([Letter(message, "owns")])
    await manager.stop()
    assert len(recorded(caplog, logging.WARNING)) == 1


async def test_data_on_the_channel_of_all_are_not_taken(redis_broker: Redis, channel: str) -> None:
    async with process(redis_broker.url, channel) as one:
        async with publishing(RedisDriver(redis_broker.url, channel)) as publisher:
            await publisher.publish([Sender().message(), Letter(Sender("other").message(), one.name)])
        await within(one.received.get())
        assert one.received.empty()


async def test_what_a_handler_raises_is_logged_and_the_next_data_come(
    redis_broker: Redis, channel: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "IGNORED_INTERVAL", 0.0)
    received = asyncio.Event()
    async with process(redis_broker.url, channel) as one, process(redis_broker.url, channel) as other:
        other.queue.on_data(lambda sender, data: received.set() if data else 1 // 0)
        one.queue.send_to(other.name, b"")
        one.queue.send_to(other.name, b"next")
        await within(received.wait())
    assert errors(caplog) == ["ZeroDivisionError('integer division or modulo by zero')"]


def test_letters_that_come_again_are_taken_once() -> None:
    recipient, sender = Recipient(), Sender()
    first, second = sender.data(b"1" * 2 * PART_BYTES), sender.data(b"2")
    assert recipient.take([*first[:1], *first, *second, *first, *second]) == 0
    assert recipient.data == [b"1" * 2 * PART_BYTES, b"2"]


@pytest.mark.parametrize("lost", range(6))
def test_data_of_which_a_part_was_lost_are_not_taken(lost: int) -> None:
    recipient, sender = Recipient(), Sender()
    large = [bytes([number]) * (3 * PART_BYTES) for number in range(2)]
    messages = [message for data in large for message in sender.data(data)]
    del messages[lost]
    recipient.take([*messages, *sender.data(b"next")])
    assert recipient.data == [large[1 - lost // 3], b"next"]


def test_parts_of_different_data_do_not_become_one() -> None:
    recipient, sender = Recipient(), Sender()
    one, two = sender.data(b"1" * 3 * PART_BYTES), sender.data(b"2" * 3 * PART_BYTES)
    assert recipient.take([*one[:1], *two[1:]]) == 2
    assert recipient.data == []


def test_senders_who_never_finish_are_forgotten_the_oldest_first() -> None:
    recipient, senders = Recipient(), [Sender(str(number)) for number in range(100)]
    for sender in senders:
        recipient.take(sender.data(b"x" * 2 * PART_BYTES)[:1])
    assert recipient.inbox._parts._size <= UNFINISHED_BYTES
    assert recipient.take([senders[0].message(is_first=False)]) == 1
    assert recipient.take([senders[99].message(is_first=False)]) == 1  # that was numbered after a lost one
    endless, part = Sender("endless"), b"x" * 100_000
    for number in range(UNFINISHED_BYTES // len(part) + 10):
        recipient.take([endless.message(is_first=not number, is_last=False, attachments=[part])])
    assert recipient.inbox._parts._size <= UNFINISHED_BYTES

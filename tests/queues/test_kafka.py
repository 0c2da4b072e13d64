"""Kafka: positions in the partitions, topics that come and go, and python-socketio's listeners."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from asyncsock.queues import LoginRefused, MessageRefused
from asyncsock.queues import kafka as driver_module
from asyncsock.queues.kafka import KafkaDriver
from tests.support.apache_kafka import ApacheKafka
from tests.support.broker_process import Own
from tests.support.brokers import HOST, Kafka
from tests.support.kafka_tls_proxy import front
from tests.support.ports import free_port
from tests.support.queue_drivers import envelope, listening, numbered, peer, publishing
from tests.support.required_parts import require
from tests.support.server_process import make_certificate
from tests.support.tcp_proxy import Proxy

LOST = (ConnectionError, asyncio.TimeoutError, KafkaError)


async def test_a_listener_reads_on_where_it_was_cut(channel: str, own: Own[object]):
    port = free_port()
    broker = own(Kafka(advertised=port))
    proxy = own(Proxy(broker.port, port))
    listener, publisher = (KafkaDriver(broker.url_at(port), channel) for _ in range(2))
    async with publishing(publisher):
        await publisher.publish([b"before anybody listened"])
        async with listening(listener) as before:
            await publisher.publish(numbered(300))
            assert await before.until(envelope(299)) == numbered(300)
            proxy.down()
            with pytest.raises(LOST):
                await before.task
        with pytest.raises(LOST):
            await publisher.publish([b"lost"])
        await publisher.close()
        proxy.up()
        await publisher.connect(subscribe=False)
        await publisher.publish(numbered(300, first=300))
        async with listening(listener) as back:
            await publisher.publish(numbered(300, first=600))
            got = [message for message in await back.until(envelope(899)) if message != b"lost"]
            assert got == numbered(600, first=300)


async def test_a_new_listener_starts_at_the_end(kafka_broker: Kafka, channel: str):
    async with publishing(KafkaDriver(kafka_broker.url, channel)) as publisher:
        for first in (0, 1, 100):  # batches of one, two and many
            await publisher.publish(numbered(max(first, 1)))
            async with listening(KafkaDriver(kafka_broker.url, channel)) as listener:
                await publisher.publish([b"now"])
                assert await listener.until(b"now") == [b"now"]


async def test_the_topic_is_created_with_one_partition(kafka_broker: Kafka, channel: str):
    driver = KafkaDriver(kafka_broker.url, channel)
    async with publishing(driver):
        assert await driver._find_partitions() == [TopicPartition(channel, 0)]


async def test_one_sender_stays_in_order_in_a_topic_of_several_partitions(kafka_broker: Kafka, channel: str):
    await kafka_broker.create_topic(channel, partitions=4)
    async with listening(KafkaDriver(kafka_broker.url, channel)) as listener:
        senders = [KafkaDriver(kafka_broker.url, channel) for _ in range(6)]
        for sender in senders:
            await sender.connect(subscribe=False)
        for number in range(0, 100, 10):
            for name, sender in enumerate(senders):
                await sender.publish([b"%d: %d" % (name, number + index) for index in range(10)])
        got = []
        for name, sender in enumerate(senders):
            await sender.publish([b"%d: end" % name])
            if (end := b"%d: end" % name) not in got:
                got += await listener.until(end)
            await sender.close()
    for name in range(len(senders)):
        own = [message for message in got if message.startswith(b"%d:" % name)]
        assert own == [*(b"%d: %d" % (name, number) for number in range(100)), b"%d: end" % name]


@pytest.mark.parametrize("count", [3, 10, 30])
async def test_a_topic_that_was_made_anew_is_read_from_its_beginning(
    channel: str, own: Own[Kafka], count: int
):
    broker = own(Kafka())
    listener, publisher = (KafkaDriver(broker.url, channel) for _ in range(2))
    await publisher.connect(subscribe=False)
    async with listening(listener) as before:
        for message in numbered(10):
            await publisher.publish([message])
        assert await before.until(envelope(9)) == numbered(10)
        await asyncio.to_thread(broker.kill)  # it forgets everything
        with pytest.raises(LOST):
            await before.task
    await publisher.close()
    await asyncio.to_thread(broker.start)
    async with publishing(publisher):
        for message in numbered(count, first=100):
            await publisher.publish([message])
        assert await read_on(listener, envelope(99 + count)) == numbered(count, first=100)


async def read_on(driver: KafkaDriver, last: bytes) -> list[bytes]:
    """What comes up to that message, as often as the driver has to be connected for it."""
    while True:
        async with listening(driver) as listener:
            with contextlib.suppress(ConnectionError):
                return await listener.until(last)


async def test_a_quiet_listener_is_kept(kafka_broker: Kafka, channel: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(driver_module, "WATCH", 0.1)
    async with (
        listening(KafkaDriver(kafka_broker.url, channel)) as listener,
        publishing(KafkaDriver(kafka_broker.url, channel)) as publisher,
    ):
        for number in range(3):
            await publisher.publish(numbered(5, first=5 * number))
            assert await listener.until(envelope(5 * number + 4)) == numbered(5, first=5 * number)
            await asyncio.wait([listener.task], timeout=1)
            assert not listener.task.done()


async def test_a_paused_broker_hangs_nobody(channel: str, own: Own[Kafka], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(driver_module, "SILENCE", 1.0)
    broker = own(Kafka())
    publisher = KafkaDriver(broker.url, channel)
    await publisher.connect(subscribe=False)
    async with listening(KafkaDriver(broker.url, channel)) as listener:
        broker.pause()
        with pytest.raises(LOST):
            await publisher.publish([b"lost"])
        with pytest.raises(LOST):
            await listener.task
        await publisher.close()
        with pytest.raises(LOST):
            await publisher.connect(subscribe=False)
        await publisher.close()
        broker.resume()
    async with publishing(publisher):
        await publisher.publish([b"arrives"])


async def test_a_listener_of_python_socketio_hears_us(kafka_broker: Kafka, channel: str):
    require(importlib.util.find_spec("kafka"), "kafka-python")
    async with (
        publishing(KafkaDriver(kafka_broker.url, channel)) as publisher,
        peer("KafkaManager", kafka_broker.url, channel) as other_side,
    ):
        await other_side.hears(publisher)
        await publisher.publish(numbered(20))
        assert await other_side.until(19) == list(range(20))


async def test_what_was_published_before_a_sigkill_of_kafka_is_read_after_it(
    apache_kafka: ApacheKafka, channel: str
):
    listener, publisher = (KafkaDriver(apache_kafka.url, channel) for _ in range(2))
    await listener.connect(subscribe=True)
    await publisher.connect(subscribe=False)
    await publisher.publish(numbered(300))
    await asyncio.to_thread(apache_kafka.kill)
    await asyncio.to_thread(apache_kafka.start)
    await listener.close()
    await publisher.close()
    async with publishing(publisher), listening(listener) as back:
        await publisher.publish(numbered(300, first=300))
        assert await back.until(envelope(599)) == numbered(600)


async def test_a_message_that_kafka_never_takes_is_refused(apache_kafka: ApacheKafka, channel: str):
    async with (
        listening(KafkaDriver(apache_kafka.url, channel)) as listener,
        publishing(KafkaDriver(apache_kafka.url, channel)) as publisher,
    ):
        with pytest.raises(MessageRefused, match=r"raise its message\.max\.bytes"):
            await publisher.publish([b"first", b"x" * 2_000_000])
        await publisher.publish([b"first", b"last"])
        assert await listener.until(b"last") == [b"first", b"last"]


async def test_tls_trusts_only_the_authorities_in_the_url(own: Own[Kafka], channel: str, tmp_path: Path):
    port = free_port()
    broker = await asyncio.to_thread(own, Kafka(advertised=port))
    authority, certificate, key = make_certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    url = f"kafkas://{HOST}:{port}?cafile={authority}"
    async with (
        front(broker.port, port, tls=context),
        listening(KafkaDriver(url, channel)) as listener,
        publishing(KafkaDriver(url, channel)) as publisher,
    ):
        await publisher.publish(numbered(3))
        assert await listener.until(envelope(2)) == numbered(3)
        untrusting = KafkaDriver(f"kafkas://{HOST}:{port}", channel)
        with pytest.raises(LoginRefused, match="certificate is not trusted"):
            await untrusting.connect(subscribe=True)
        await untrusting.close()


@pytest.fixture
async def login_port(own: Own[Kafka]) -> AsyncIterator[int]:
    """The port of a broker that lets in the user "us:er" with the password "p@ss/word"."""
    port = free_port()
    broker = await asyncio.to_thread(own, Kafka(advertised=port))
    async with front(broker.port, port, login=("us:er", "p@ss/word")):
        yield port


async def test_a_user_logs_in_with_a_password(login_port: int, channel: str):
    url = f"kafka://us%3Aer:p%40ss%2Fword@{HOST}:{login_port}"
    async with (
        listening(KafkaDriver(url, channel)) as listener,
        publishing(KafkaDriver(url, channel)) as publisher,
    ):
        await publisher.publish(numbered(3))
        assert await listener.until(envelope(2)) == numbered(3)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("kafka://us%3Aer:wrong@{host}", "refused the login"),
        ("kafka://somebody:p%40ss%2Fword@{host}", "refused the login"),
        ("kafka://us%3Aer:p%40ss%2Fword@{host}?sasl_mechanism=SCRAM-SHA-256", "another [?]sasl_mechanism="),
    ],
)
async def test_a_refused_login_says_so(login_port: int, channel: str, url: str, reason: str):
    driver = KafkaDriver(url.format(host=f"{HOST}:{login_port}"), channel)
    with pytest.raises(LoginRefused, match=reason):
        await driver.connect(subscribe=True)
    await driver.close()


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_a_login_with_scram_that_is_refused_says_so(own: Own[Kafka], channel: str, mechanism: str):
    broker = await asyncio.to_thread(own, Kafka(authentication=True))
    driver = KafkaDriver(f"kafka://user:password@{HOST}:{broker.port}?sasl_mechanism={mechanism}", channel)
    with pytest.raises(LoginRefused, match="refused the login"):
        await driver.connect(subscribe=False)
    await driver.close()


@pytest.mark.parametrize(
    "url", ["kafka://host:port", "kafka://a:1,b:port", "kafka://a:0", "kafka://host?user=u"]
)
def test_a_malformed_url_is_refused_at_once(url: str):
    with pytest.raises(ValueError):
        KafkaDriver(url, "channel")


def test_a_channel_that_cannot_be_a_topic_is_refused_at_once():
    with pytest.raises(ValueError, match="cannot be a Kafka topic"):
        KafkaDriver("kafka://", "my channel")

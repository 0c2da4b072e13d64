"""Kombu: its transports, also with python-socketio's KombuManager at the other side."""

from __future__ import annotations

import asyncio
import sys
import threading
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlencode

import kombu
import pytest

from asyncsock.queues import LoginRefused
from asyncsock.queues.kombu import KombuDriver
from asyncsock.queues.rabbitmq import RabbitMQDriver
from tests.support.broker_process import Own
from tests.support.brokers import HOST, RabbitMQ, Redis
from tests.support.queue_drivers import envelope, listening, numbered, peer, publishing, said
from tests.support.tcp_proxy import Proxy


def filesystem(folder: Path) -> str:
    options = {"data_folder_in": folder, "data_folder_out": folder, "control_folder": folder / "control"}
    return f"filesystem://?{urlencode(options)}"


@pytest.fixture(params=["pyamqp", "redis+socket"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "pyamqp":
        rabbitmq: RabbitMQ = request.getfixturevalue("rabbitmq_broker")
        return f"py{rabbitmq.url}"
    redis: Redis = request.getfixturevalue("redis_broker")
    return f"redis+socket://{redis.folder}/redis.sock"


async def test_each_listener_has_each_message_once_and_in_order(url: str, channel: str):
    async with (
        listening(KombuDriver(url, channel)) as one,
        listening(KombuDriver(url, channel)) as another,
        publishing(KombuDriver(url, channel)) as publisher,
    ):
        await publisher.publish(numbered(50))
        await publisher.publish(numbered(50, first=50))
        for listener in (one, another):
            assert await listener.until(envelope(99)) == numbered(100)


async def test_python_socketio_is_at_the_other_side(url: str, channel: str):
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        other_side = await enter(peer("KombuManager", url, channel))
        listener = await enter(listening(KombuDriver(url, channel)))
        publisher = await enter(publishing(KombuDriver(url, channel)))
        await other_side.hears(publisher)
        await listener.until(envelope("begin"))
        await other_side.emit("theirs")
        assert await other_side.until("theirs") == ["theirs"]
        await publisher.publish([envelope("ours")])
        assert await other_side.until("ours") == ["ours"]
        assert said(await listener.until(envelope("ours"))) == ["theirs", "ours"]


async def test_it_shares_an_exchange_with_our_own_driver(rabbitmq_broker: RabbitMQ, channel: str):
    url = rabbitmq_broker.url
    async with (
        listening(RabbitMQDriver(url, channel)) as own_listener,
        publishing(RabbitMQDriver(url, channel)) as own_publisher,
        listening(KombuDriver(f"py{url}", channel)) as kombu_listener,
        publishing(KombuDriver(f"py{url}", channel)) as kombu_publisher,
    ):
        await own_publisher.publish([b"own"])
        await kombu_listener.until(b"own")
        await kombu_publisher.publish([b"kombu"])
        assert await own_listener.until(b"kombu") == [b"own", b"kombu"]
        assert await kombu_listener.until(b"kombu") == [b"kombu"]


async def test_a_folder_keeps_the_order(tmp_path: Path, channel: str):
    url = filesystem(tmp_path)
    drivers = [KombuDriver(url, channel) for _ in range(2)]
    for driver in drivers:
        await driver.connect(subscribe=True)
    async with publishing(KombuDriver(url, channel)) as publisher:
        await publisher.publish(numbered(20))
    for driver in drivers:  # not before, as Kombu also reads files that are not written yet
        assert await anext(driver.messages()) == numbered(20)
        await driver.close()


async def test_within_a_process_memory_will_do(channel: str):
    async with (
        listening(KombuDriver("memory://", channel)) as listener,
        publishing(KombuDriver("memory://", channel)) as publisher,
    ):
        await publisher.publish(numbered(100))
        assert await listener.until(envelope(99)) == numbered(100)


async def test_what_was_published_meanwhile_is_waiting(rabbitmq_broker: RabbitMQ, channel: str):
    driver = KombuDriver(f"py{rabbitmq_broker.url}", channel)
    await driver.connect(subscribe=True)
    await driver.close()
    async with publishing(KombuDriver(f"py{rabbitmq_broker.url}", channel)) as publisher:
        await publisher.publish(numbered(100))
    async with listening(driver) as back:
        assert await back.until(envelope(99)) == numbered(100)


async def test_a_lost_connection_ends_the_messages(rabbitmq_broker: RabbitMQ, channel: str, own: Own[Proxy]):
    proxy = own(Proxy(rabbitmq_broker.port))
    url = f"py{rabbitmq_broker.url_at(proxy.port)}"
    async with (
        listening(KombuDriver(url, channel)) as listener,
        publishing(KombuDriver(url, channel)) as publisher,
    ):
        proxy.cut()
        with pytest.raises(Exception, match="reset|closed"):
            await listener.task
        with pytest.raises(Exception, match="reset|closed|Broken pipe"):
            await publisher.publish([b"lost"])


async def test_a_silent_broker_ends_the_messages(rabbitmq_broker: RabbitMQ, channel: str, own: Own[Proxy]):
    proxy = own(Proxy(rabbitmq_broker.port))
    async with listening(KombuDriver(f"py{rabbitmq_broker.url_at(proxy.port)}", channel)) as listener:
        proxy.silence()
        with pytest.raises(Exception, match="heartbeats missed"):
            await listener.task
        proxy.cut()


async def test_the_threads_end(tmp_path: Path, channel: str):
    url = filesystem(tmp_path)
    before = set(threading.enumerate())
    async with listening(KombuDriver(url, channel)), publishing(KombuDriver(url, channel)):
        mine = set(threading.enumerate()) - before
        assert {thread.name for thread in mine} == {"asyncsock-kombu"}
    for thread in mine:
        await asyncio.to_thread(thread.join, 10)
        assert not thread.is_alive()


class Trap:
    """Fails the test where it is unpickled."""

    def __reduce__(self) -> object:
        return pytest.fail, ("unpickled",)


async def test_pickles_stay_bytes(rabbitmq_broker: RabbitMQ, channel: str):
    url = f"py{rabbitmq_broker.url}"
    async with listening(KombuDriver(url, channel)) as listener:
        with kombu.Connection(url) as connection:
            producer = connection.Producer(exchange=kombu.Exchange(channel, type="fanout", durable=False))
            producer.publish(Trap(), serializer="pickle")
            producer.publish("end")
        pickled, _ = await listener.until(b"end")
        assert pickled.startswith(b"\x80")


@pytest.mark.parametrize("user", ["guest:wrong", "nobody:guest"])
async def test_a_refused_login_says_so(rabbitmq_broker: RabbitMQ, user: str, channel: str):
    driver = KombuDriver(f"pyamqp://{user}@{HOST}:{rabbitmq_broker.port}/", channel)
    with pytest.raises(LoginRefused, match="ACCESS_REFUSED"):
        await driver.connect(subscribe=True)
    await driver.close()


def test_a_transport_without_fanout_is_refused():
    pytest.importorskip("sqlalchemy")
    with pytest.raises(ValueError, match="only one process"):
        KombuDriver("sqla+sqlite:///queue.db", "channel")


def test_a_transport_whose_package_is_missing_names_the_remedy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pymongo", None)
    with pytest.raises(ImportError, match=r"pip install 'kombu\[mongodb\]'"):
        KombuDriver("mongodb://host", "channel")


def test_a_malformed_url_is_refused_at_once():
    with pytest.raises(ValueError, match="bad pyamqp:// URL"):
        KombuDriver("pyamqp://host:port", "channel")

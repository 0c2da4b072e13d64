"""RabbitMQ: the durable exchange beside python-socketio's, and the queue of each process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import aio_pika
import pytest

from asyncsock.queues import LoginRefused
from asyncsock.queues.driver import MessageRefused
from asyncsock.queues.rabbitmq import RabbitMQDriver
from tests.support.broker_process import Own
from tests.support.brokers import RabbitMQ
from tests.support.queue_drivers import envelope, listening, numbered, peer, publishing, said
from tests.support.tcp_proxy import Proxy


@pytest.fixture(scope="module")
def breakable() -> Iterator[RabbitMQ]:
    """A node for the tests that kill or pause it, and leave it running."""
    with RabbitMQ() as broker:
        yield broker


@pytest.mark.parametrize("first", ["python-socketio", "asyncsock"])
@pytest.mark.parametrize("manager", ["AsyncAioPikaManager", "KombuManager"])
async def test_each_side_has_each_message_once(
    rabbitmq_broker: RabbitMQ, channel: str, manager: str, first: str
):
    url = rabbitmq_broker.url
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        other_side = await enter(peer(manager, url, channel))
        if first == "python-socketio":  # declares the exchange
            await other_side.hears_itself()
        one = await enter(listening(RabbitMQDriver(url, channel)))
        another = await enter(listening(RabbitMQDriver(url, channel)))
        publisher = await enter(publishing(RabbitMQDriver(url, channel)))
        await other_side.hears(publisher)
        for listener in (one, another):
            await listener.until(envelope("begin"))
        await publisher.publish(numbered(20))
        assert await other_side.until(19) == list(range(20))
        for number in range(20, 25):
            await other_side.emit(number)
        assert await other_side.until(24) == list(range(20, 25))
        await publisher.publish([envelope("end")])
        assert await other_side.until("end") == ["end"]
        for listener in (one, another):
            assert said(await listener.until(envelope("end"))) == [*range(25), "end"]


async def test_messages_survive_a_sigkill_of_the_broker(breakable: RabbitMQ, channel: str):
    listener, publisher = RabbitMQDriver(breakable.url, channel), RabbitMQDriver(breakable.url, channel)
    await listener.connect(subscribe=True)
    await publisher.connect(subscribe=False)
    await publisher.publish(numbered(300))
    await asyncio.to_thread(breakable.write_topology)
    await asyncio.to_thread(breakable.kill)
    await asyncio.to_thread(breakable.start)
    await publisher.close()
    await listener.close()
    async with publishing(publisher):
        await publisher.publish(numbered(300, first=300))
        async with listening(listener) as back:
            assert await back.until(envelope(599)) == numbered(600)
            # the exchange that did not survive is there again, and bound
            async with peer("AsyncAioPikaManager", breakable.url, channel) as other_side:
                await other_side.hears(publisher)
                await other_side.emit("hello")
                assert "hello" in await other_side.until("hello")
                await publisher.publish([envelope("end")])
                assert said(await back.until(envelope("end"))).count("hello") == 1


async def test_what_was_published_meanwhile_is_waiting(rabbitmq_broker: RabbitMQ, channel: str):
    driver = RabbitMQDriver(rabbitmq_broker.url, channel)
    await driver.connect(subscribe=True)
    await driver.close()
    async with publishing(RabbitMQDriver(rabbitmq_broker.url, channel)) as publisher:
        await publisher.publish(numbered(2500))
    async with listening(driver) as back:
        assert await back.until(envelope(2499)) == numbered(2500)


async def test_messages_that_were_not_acknowledged_come_again_in_order(
    rabbitmq_broker: RabbitMQ, channel: str
):
    driver = RabbitMQDriver(rabbitmq_broker.url, channel)
    await driver.connect(subscribe=True)
    async with publishing(RabbitMQDriver(rabbitmq_broker.url, channel)) as publisher:
        await publisher.publish([b"first"])
        messages = driver.messages()
        assert await anext(messages) == [b"first"]
        await publisher.publish([b"second"])
        assert await anext(messages) == [b"second"]  # acknowledges the first
        await driver.close()
        await publisher.publish([b"third"])
    async with listening(driver) as back:
        assert await back.until(b"third") == [b"second", b"third"]


async def test_a_new_connection_gets_nothing_while_the_broker_believes_in_the_old_one(
    rabbitmq_broker: RabbitMQ, channel: str, own: Own[Proxy]
):
    proxy = own(Proxy(rabbitmq_broker.port))
    driver = RabbitMQDriver(rabbitmq_broker.url_at(proxy.port) + "?heartbeat=1", channel)
    await driver.connect(subscribe=True)
    old = driver.messages()
    async with publishing(RabbitMQDriver(rabbitmq_broker.url, channel)) as publisher:
        await publisher.publish([b"warm up"])
        assert await anext(old) == [b"warm up"]
        await anext_is_asked(old)
        proxy.forget()
        await publisher.publish(numbered(10))  # sent to the old connection, where they are lost
        await driver.close()
        async with listening(driver) as back:
            await publisher.publish(numbered(10, first=10))
            assert await back.until(envelope(19)) in (numbered(20), [b"warm up", *numbered(20)])


async def anext_is_asked(messages: Any) -> None:
    """Ask for the next item, as nothing comes, in vain."""
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(asyncio.shield(asyncio.ensure_future(anext(messages))), 0.1)


async def test_a_silent_broker_ends_the_messages(rabbitmq_broker: RabbitMQ, channel: str, own: Own[Proxy]):
    proxy = own(Proxy(rabbitmq_broker.port))
    driver = RabbitMQDriver(rabbitmq_broker.url_at(proxy.port) + "?heartbeat=1", channel)
    async with listening(driver) as listener:
        proxy.silence()
        with pytest.raises(ConnectionError, match="was silent"):
            await listener.task


async def test_a_paused_broker_hangs_nobody(breakable: RabbitMQ, channel: str):
    url = breakable.url + "?heartbeat=1"
    publisher = RabbitMQDriver(url, channel)
    await publisher.connect(subscribe=False)
    async with listening(RabbitMQDriver(url, channel)) as listener:
        breakable.pause()
        try:
            with pytest.raises(ConnectionError, match="was silent"):
                await publisher.publish([b"lost"])
            with pytest.raises(ConnectionError, match="was silent"):
                await listener.task
            await publisher.close()
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(publisher.connect(subscribe=False), 0.5)
            await publisher.close()
        finally:
            breakable.resume()
    async with publishing(publisher):
        await publisher.publish([b"arrives"])


async def test_a_queue_that_is_deleted_ends_the_messages(rabbitmq_broker: RabbitMQ, channel: str):
    driver = RabbitMQDriver(rabbitmq_broker.url, channel)
    async with listening(driver) as listener, await aio_pika.connect(rabbitmq_broker.url) as connection:
        await (await connection.channel()).queue_delete(driver._queue)
        with pytest.raises(ConnectionError, match="deleted the queue"):
            await listener.task


async def test_a_process_that_stops_leaves_no_queue(rabbitmq_broker: RabbitMQ, channel: str):
    driver = RabbitMQDriver(rabbitmq_broker.url, channel)
    async with await aio_pika.connect(rabbitmq_broker.url) as connection:
        async with listening(driver):
            await (await connection.channel()).declare_queue(driver._queue, passive=True)  # it is there
        with pytest.raises(aio_pika.exceptions.ChannelNotFoundEntity):
            await (await connection.channel()).declare_queue(driver._queue, passive=True)


async def test_messages_may_have_any_size(rabbitmq_broker: RabbitMQ, channel: str):
    frame = 131072 - 8
    messages = [
        b"",
        *[b"x" * size for size in (1, frame - 1, frame, frame + 1, 3 * frame, 5_000_000)],
        b"end",
    ]
    async with (
        listening(RabbitMQDriver(rabbitmq_broker.url, channel)) as listener,
        publishing(RabbitMQDriver(rabbitmq_broker.url, channel)) as publisher,
    ):
        await publisher.publish(messages)
        assert await listener.until(b"end") == messages


async def test_a_message_that_is_too_large_is_refused_and_others_go_on(own: Own[RabbitMQ], channel: str):
    broker = RabbitMQ()
    config = broker.folder / "advanced.config"
    config.write_text(config.read_text().replace("{rabbit,[", "{rabbit,[{max_message_size,1000},"))
    own(broker)
    async with (
        listening(RabbitMQDriver(broker.url, channel)) as listener,
        publishing(RabbitMQDriver(broker.url, channel)) as publisher,
    ):
        for _ in range(2):
            with pytest.raises(MessageRefused, match="size 1001 is larger than"):
                await publisher.publish([b"x" * 1001, b"after it in the same batch"])
        await publisher.publish(numbered(10))
        assert await listener.until(envelope(9)) == numbered(10)


@pytest.mark.parametrize(
    ("login", "path", "reason"),
    [
        ("guest:wrong", "", "ACCESS_REFUSED"),
        ("nobody:guest", "", "ACCESS_REFUSED"),
        ("guest:guest", "nowhere", "virtual host 'nowhere'"),
    ],
)
async def test_a_refused_login_says_why(rabbitmq_broker: RabbitMQ, login: str, path: str, reason: str):
    driver = RabbitMQDriver(f"amqp://{login}@127.0.0.1:{rabbitmq_broker.port}/{path}", "channel")
    with pytest.raises(LoginRefused, match=reason):
        await driver.connect(subscribe=True)
    await driver.close()


async def test_amqps_trusts_only_the_authorities_in_the_url(own: Own[RabbitMQ], channel: str):
    broker = own(RabbitMQ(user="ann", password="se:cr/et", tls=True))
    url = broker.url.replace("se:cr/et", "se%3Acr%2Fet")
    async with (
        listening(RabbitMQDriver(url, channel)) as listener,
        publishing(RabbitMQDriver(url, channel)) as publisher,
    ):
        await publisher.publish(numbered(300))
        assert await listener.until(envelope(299)) == numbered(300)
    with pytest.raises(LoginRefused, match="certificate is not trusted"):
        await RabbitMQDriver(url.partition("?")[0], channel).connect(subscribe=True)
    async with publishing(RabbitMQDriver(url.partition("?")[0] + "?no_verify_ssl=1", channel)) as publisher:
        await publisher.publish([b"unverified"])


@pytest.mark.parametrize(
    "url", ["amqp://host:port", "amqps://host?cafile=/nowhere", "amqp://host?heartbeat=often"]
)
def test_a_malformed_url_is_refused_at_once(url: str):
    with pytest.raises(ValueError, match="bad RabbitMQ URL"):
        RabbitMQDriver(url, "channel")

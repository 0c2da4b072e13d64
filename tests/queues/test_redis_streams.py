"""Redis Streams: batches that Redis does not take at once, and streams that are not what they were."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
import redis

from asyncsock.queues.redis_streams import RedisStreamsDriver
from tests.support.broker_process import Own
from tests.support.brokers import Redis
from tests.support.queue_drivers import envelope, listening, numbered, publishing, said
from tests.support.tcp_proxy import Proxy

ERRORS = (ConnectionError, redis.RedisError, asyncio.TimeoutError)


def driver(broker: Redis, channel: str, port: int = 0) -> RedisStreamsDriver:
    return RedisStreamsDriver(broker.url_at(port or broker.port).replace("redis:", "redis+streams:"), channel)


async def test_a_batch_whose_first_messages_redis_refuses_is_refused_whole(own: Own[Redis], channel: str):
    """As one that arrives while Redis is loading; here, while a replica is missing that it wants."""
    broker = own(Redis())
    batch = [envelope([number, "x" * 1_000_000]) for number in range(30)]  # more than sockets hold at once
    with broker.client() as admin:
        async with publishing(driver(broker, channel)) as publisher:
            admin.config_set("min-replicas-to-write", 1)
            publish = asyncio.create_task(publisher.publish(batch))
            while not admin.info("errorstats").get("errorstat_NOREPLICAS"):
                await asyncio.sleep(0)  # it writes the first messages, and then cannot go on unless we let it
            admin.config_set("min-replicas-to-write", 0)
            with pytest.raises(redis.ResponseError, match="NOREPLICAS"):
                await publish
        assert admin.xlen(channel) == 0


async def test_a_channel_that_is_another_kind_of_key_raises(redis_broker: Redis, channel: str):
    with redis_broker.client() as admin:
        admin.set(channel, "no stream")
    async with publishing(driver(redis_broker, channel)) as publisher:
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
            await publisher.publish(numbered(2))


async def test_a_listener_reads_on_where_it_was_cut(redis_broker: Redis, channel: str, own: Own[Proxy]):
    proxy = own(Proxy(redis_broker.port))
    listener = driver(redis_broker, channel, proxy.port)
    async with publishing(driver(redis_broker, channel)) as publisher:
        await publisher.publish([envelope("before anybody listened")])
        async with listening(listener) as before:
            await publisher.publish(numbered(300))
            assert await before.until(envelope(299)) == numbered(300)
            proxy.cut()
            with pytest.raises(ERRORS):
                await before.task
        await publisher.publish(numbered(300, first=300))
        async with listening(listener) as back:
            await publisher.publish(numbered(300, first=600))
            assert said(await back.until(envelope(899))) == list(range(300, 900))


async def test_a_stream_that_was_made_anew_with_lower_ids_is_heard(
    redis_broker: Redis, channel: str, own: Own[Proxy]
):
    """As after the loss of what Redis kept, and of the time that its clock was ahead."""
    proxy = own(Proxy(redis_broker.port))
    listener = driver(redis_broker, channel, proxy.port)
    with redis_broker.client() as admin:
        async with listening(listener) as before:
            admin.xadd(channel, {"message": envelope("ahead")}, id="99999999999999-0")
            await before.until(envelope("ahead"))
            proxy.cut()
            with contextlib.suppress(*ERRORS):
                await before.task
        admin.delete(channel)
    async with listening(listener) as back, publishing(driver(redis_broker, channel)) as publisher:
        await publisher.publish([envelope("anew")])
        assert await back.until(envelope("anew")) == [envelope("anew")]

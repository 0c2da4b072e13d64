"""Redis through redis-py, and through one whose insides are other ones."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from asyncsock.engine.tested_versions import TESTED, warn_once
from asyncsock.queues.driver import Driver
from asyncsock.queues.redis import RedisDriver
from asyncsock.queues.redis_connection import RedisConnection
from asyncsock.queues.redis_streams import RedisStreamsDriver
from tests.support.brokers import Redis
from tests.support.queue_drivers import envelope, listening, numbered, publishing


class WithoutReader:
    """A connection of redis-py's that calls its reader otherwise."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        if name == "_reader":
            raise AttributeError(name)
        return getattr(self._connection, name)


def url_for(kind: type[Driver], broker: Redis) -> str:
    return broker.url.replace("redis:", "redis+streams:" if kind is RedisStreamsDriver else "redis:")


@pytest.mark.parametrize("kind", [RedisDriver, RedisStreamsDriver])
async def test_what_is_published_arrives_once_and_in_order_at_every_listener(
    kind: type[Driver], redis_broker: Redis, channel: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = url_for(kind, redis_broker)
    async with (
        listening(kind(url, channel)) as one,
        listening(kind(url, channel)) as another,
        publishing(kind(url, channel)) as publisher,
    ):
        for start in range(0, 900, 300):
            await publisher.publish(numbered(300, first=start))
        for listener in (one, another):
            assert await listener.until(envelope(899)) == numbered(900)
    assert not caplog.records


@pytest.mark.parametrize("kind", [RedisDriver, RedisStreamsDriver])
async def test_without_the_reader_of_redis_py_replies_are_read_by_its_own_method_and_one_warning_says_so(
    kind: type[Driver],
    redis_broker: Redis,
    channel: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    original = RedisConnection._open

    async def open_without_reader(self: RedisConnection, server: Any) -> None:
        await original(self, server)
        self._connection = WithoutReader(self._connection)

    monkeypatch.setattr(RedisConnection, "_open", open_without_reader)
    warn_once.cache_clear()
    url = url_for(kind, redis_broker)
    async with listening(kind(url, channel)) as listener, publishing(kind(url, channel)) as publisher:
        await publisher.publish(numbered(300))
        assert await listener.until(envelope(299)) == numbered(300)
    with redis_broker.client() as admin:
        admin.delete(channel)
        admin.hset(channel, "no", "stream")
    if kind is RedisStreamsDriver:
        async with publishing(kind(url, channel)) as publisher:
            with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
                await publisher.publish(numbered(2))
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "_reader" in warning
    assert f"redis {redis.__version__} is installed" in warning
    assert "tested are {} to {}".format(*TESTED["redis"]) in warning

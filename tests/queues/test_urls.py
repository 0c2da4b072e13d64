"""URLs of message queues: what is wrong with one is said at once, and each good one connects."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from flask import Flask

from asyncsock import AsyncServer, SocketIO, queues
from asyncsock.queues import LoginRefused
from asyncsock.queues.health import Health
from tests.support.brokers import HOST, RabbitMQ, Redis
from tests.support.ports import free_port
from tests.support.python_socketio_client import connected
from tests.support.queue_cluster import BACK, LOST, cluster, heard, say
from tests.support.redis_groups import SERVICE, RedisCluster, RedisSentinel, Sentinel
from tests.support.server_process import serve

Own = Callable[[Any], Any]

MALFORMED = {
    "redis://localhost:port/0": "redis://:password@localhost:6379/0",
    "redis://localhost:99999/0": "redis://:password@localhost:6379/0",
    "redis://localhost/database": "'database' is not the number of a database",
    "redis://localhost/0?colour=blue": "'colour'",
    "redis://localhost/0?socket_timeout=soon": "Invalid value for",
    "redis://:pass#word@localhost/0": "a password's special characters are written as %40",
    "rediss://localhost/0?ssl_ca_certs=/no/such/file": "ssl_ca_certs=/no/such/file: there is no such file",
    "unix://": "unix:///run/redis/redis.sock",
    "unix://redis.sock": "unix:///run/redis/redis.sock",
    "redis+sentinel://localhost:26379/0": "the path has to be /db/service",
    "redis+sentinel:///0/mymaster": "a host is missing",
    "redis+sentinel://localhost:port/0/mymaster": "redis+sentinel://host1:26379,host2:26379/0/mymaster",
    "redis+sentinel://localhost/first/mymaster": "'first' is not the number of a database",
    "rediss+cluster://one:6379,": "redis+cluster://host1:6379,host2:6379",
    "redis+cluster://one:6379,two:port": "redis+cluster://host1:6379,host2:6379",
    "redis+streams://localhost:port": "redis+streams://:password@localhost:6379/0",
    "amqp://localhost:port/": "amqp://user:password@localhost:5672/vhost",
    "amqps://localhost/?cafile=/no/such/file": "amqp://user:password@localhost:5672/vhost",
    "kafka://localhost:port": "kafka://user:password@host1:9092,host2:9092",
    "kafka://user:password@localhost?sasl_mechanism=GSSAPI": "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512",
    "kafka://localhost?cafile=/no/such/file": "kafka:// has no option cafile",
    "kafkas://localhost?cafile=/no/such/file": "No such file",
    "kafka://localhost:9092/topic": "kafka://host:port",
    "nats://localhost:port": "nats://user:password@localhost:4222",
    "nats://localhost:4222/subject": "nats://host:port",
    "tls://localhost:port": "tls://user:password@localhost:4222",
    "local://run/app": "local:///directory",
    "local:///": "local:///directory",
    "local:///run/app?mode=700": "local:///directory",
    "zmq+tcp://localhost:5555": "zmq+tcp://host:sinkport+sourceport",
    "zmq+tcp://localhost:sink+source": "zmq+tcp://host:sinkport+sourceport",
    "localhost": "message_queue='localhost' is not a URL; one is for example redis://",
    "localhost:6379": "message_queue='localhost:6379' is not a URL",
    "redis://[::1": "message_queue='redis://[::1' is not a URL",
    "": "message_queue='' is not a URL",
}


@pytest.mark.parametrize("url", MALFORMED)
def test_a_malformed_url_is_refused_with_what_is_expected(url: str) -> None:
    with pytest.raises(ValueError) as raised:
        queues.from_url(url)
    assert MALFORMED[url] in str(raised.value)


@pytest.mark.parametrize("character", "#/?")
@pytest.mark.parametrize(
    "scheme",
    ["redis", "redis+streams", "redis+cluster", "amqp", "kafka", "nats", "zmq+tcp", "pyamqp", "redis:"],
)
def test_no_error_shows_a_password_with_a_special_character(scheme: str, character: str) -> None:
    with pytest.raises(ValueError) as raised:
        queues.from_url(f"{scheme}://user:se{character}cret@localhost")
    assert "special character" in str(raised.value) or "is not a URL" in str(raised.value)
    assert "'se" not in str(raised.value)
    assert "cret" not in str(raised.value)


@pytest.mark.parametrize("url", ["reddis://localhost", "http://localhost", "redis+socket:///redis.sock"])
def test_an_unknown_scheme_is_refused_with_the_known_ones(url: str) -> None:
    with pytest.raises(ValueError, match="no message queue for") as raised:
        queues.from_url(url)
    assert all(f" {scheme}://," in str(raised.value) for scheme in ("redis", "unix", "amqp", "kafka", "nats"))


def test_a_malformed_url_is_refused_where_the_application_is_made() -> None:
    with pytest.raises(ValueError, match="bad Redis URL"):
        SocketIO(Flask(__name__), message_queue="redis://localhost:port")


MISSING = {
    "redis://localhost": ("redis", "redis"),
    "redis+streams://localhost": ("hiredis", "redis"),
    "redis+sentinel://localhost/0/mymaster": ("redis", "redis"),
    "amqp://localhost": ("aio_pika", "rabbitmq"),
    "kafka://localhost": ("aiokafka", "kafka"),
    "nats://localhost": ("nats", "nats"),
    "zmq+tcp://localhost:5555+5556": ("zmq", "zmq"),
    "filesystem://": ("kombu", "kombu"),
}


@pytest.mark.parametrize("url", MISSING)
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, extra = MISSING[url]
    for name in list(sys.modules):
        if name.partition(".")[0] == package:
            monkeypatch.setitem(sys.modules, name, None)  # importing it raises ImportError
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError) as raised:
        queues.from_url(url)
    assert f"pip install 'asyncsock[{extra}]'" in str(raised.value)
    assert f"{urlsplit(url).scheme}://" in str(raised.value)


# Brokers that are reached

FORMS: dict[str, Callable[[str, str], AsyncServer]] = {
    "SocketIO": lambda url, channel: SocketIO(Flask(__name__), message_queue=url, channel=channel).server,
    "AsyncServer": lambda url, channel: AsyncServer(client_manager=queues.from_url(url, channel=channel)),
}


@asynccontextmanager
async def started(url: str, channel: str, form: str = "AsyncServer") -> AsyncIterator[AsyncServer]:
    """A server in this process."""
    server = FORMS[form](url, channel)
    try:
        await server.startup()
        yield server
    finally:
        await server.shutdown()


async def ask_across(url: str, channel: str, form: str = "AsyncServer") -> Any:
    """The answer to a question of this process that a client of a server in another process gives."""
    environment = {"KIND": "asyncsock", "QUEUE": url, "CHANNEL": channel}
    with serve("tests.apps.cluster:asgi", env=environment) as other:
        async with connected(other.url, mode="websocket") as client, started(url, channel, form) as server:
            client.answer("question", lambda question: question + 1)
            return await server.call("question", 1, to=client.socket.get_sid(), timeout=20)


@pytest.mark.parametrize("form", FORMS)
async def test_both_ways_to_name_a_queue_reach_the_other_servers(
    redis_broker: Redis, channel: str, form: str
) -> None:
    assert await ask_across(redis_broker.url, channel, form) == 2


@pytest.mark.parametrize(
    "url",
    [
        "redis://me:secret@{host}/0",
        "redis+streams://me:secret@{host}/0",
        "redis+cluster://me:secret@{host}",
        "amqp://me:secret@{host}/",
        "kafka://me:secret@{host}?sasl_mechanism=SCRAM-SHA-256",
        "nats://me:secret@{host}",
        "zmq+tcp://{host}+1",
        "pyamqp://me:secret@{host}/",
    ],
)
async def test_a_broker_that_is_away_at_the_start_is_one_warning_without_the_password(
    url: str, channel: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr("asyncsock.queues.reconnecting.CONNECT_TIMEOUT", 1.0)
    monkeypatch.setattr("asyncsock.queues.connected_rooms.DRAIN_TIMEOUT", 0.1)
    attempts: list[str] = []
    set_down = Health.set_down

    def note(health: Health, link: str, error: Exception) -> None:
        attempts.append(link)
        set_down(health, link, error)

    monkeypatch.setattr(Health, "set_down", note)
    async with started(url.format(host=f"{HOST}:{free_port()}"), channel) as server:
        server.emit("event", "waits")
        while min(map(attempts.count, ("publishing", "listening"))) < 2:
            await asyncio.sleep(0.05)
        health = server.queue_health()
    assert health is not None
    assert (health["publishing"], health["listening"], health["waiting"]) == (False, False, 1)
    assert sum(LOST in message for message in caplog.messages) == 1
    assert "secret" not in caplog.text + str(health)


async def test_a_unix_socket_with_a_password_is_used(own: Own, channel: str) -> None:
    broker = own(Redis(password="p@ss/w%rd:1"))
    url = f"unix://:{quote(broker.password, safe='')}@{broker.folder}/redis.sock"
    assert await ask_across(url, channel) == 2


@pytest.mark.parametrize("scheme", ["rediss", "rediss+streams"])
async def test_redis_is_reached_over_tls_with_a_password(own: Own, channel: str, scheme: str) -> None:
    broker = own(Redis(password="secret", tls=True))
    assert await ask_across(broker.url.replace("rediss", scheme, 1), channel) == 2


async def test_redis_is_reached_with_a_user_and_a_password(own: Own, channel: str) -> None:
    broker = own(Redis(user="somebody", password="secret"))
    assert await ask_across(broker.url, channel) == 2


async def refused(url: str, channel: str, why: str) -> None:
    with pytest.raises(LoginRefused, match=why):
        async with started(url, channel):
            pass


@pytest.fixture(scope="module")
def tls_rabbitmq() -> Iterator[RabbitMQ]:
    with RabbitMQ(user="somebody", password="secret", tls=True) as broker:
        yield broker


@pytest.mark.slow
async def test_rabbitmq_is_reached_over_tls_with_a_user_and_a_password(
    tls_rabbitmq: RabbitMQ, channel: str
) -> None:
    assert await ask_across(tls_rabbitmq.url, channel) == 2


@pytest.mark.slow
async def test_rabbitmq_over_tls_refuses_a_wrong_password(tls_rabbitmq: RabbitMQ, channel: str) -> None:
    await refused(tls_rabbitmq.url.replace("secret", "wrong"), channel, "RabbitMQ refused the login")


@pytest.mark.slow
async def test_a_certificate_of_rabbitmq_that_nobody_vouches_for_is_a_refused_login(
    tls_rabbitmq: RabbitMQ, channel: str
) -> None:
    url = tls_rabbitmq.url.partition("?")[0]
    await refused(url, channel, "certificate is not trusted")


async def test_a_certificate_that_nobody_vouches_for_is_a_refused_login(own: Own, channel: str) -> None:
    broker = own(Redis(tls=True))
    await refused(f"rediss://{HOST}:{broker.port}/0", channel, "the certificate of Redis is not trusted")


async def test_a_password_that_redis_wants_and_does_not_get_is_named(own: Own, channel: str) -> None:
    broker = own(Redis(password="secret"))
    for path in ("", "/0", "/1"):  # the last one makes redis-py send a command before ours
        await refused(
            f"redis://{HOST}:{broker.port}{path}", channel, r"wants a password \(redis://:password@host\)"
        )


async def test_a_password_that_redis_does_not_want_is_a_refused_login(
    redis_broker: Redis, channel: str
) -> None:
    await refused(f"redis://:secret@{HOST}:{redis_broker.port}/0", channel, "without any password configured")


async def test_a_user_who_may_not_use_the_channel_is_a_refused_login(own: Own, channel: str) -> None:
    broker = own(Redis())
    with broker.client() as admin:
        admin.acl_setuser("limited", enabled=True, passwords=["+secret"], categories=["+@all"], keys=["*"])
    await refused(f"redis://limited:secret@{HOST}:{broker.port}/0", channel, "channel")


# Several Redis servers


@pytest.mark.slow
async def test_with_sentinel_events_cross_again_when_a_replica_is_promoted(own: Own, channel: str) -> None:
    group = await asyncio.to_thread(own, RedisSentinel())
    gone = f"{HOST}:{free_port()}"  # a Sentinel that is not there
    url = group.url.replace(f"{HOST}:", f"{gone},{HOST}:")
    async with cluster(url, group.url, channel) as servers:
        near, far = servers.near.arrivals("event"), servers.far.arrivals("event")
        await say(servers.near, 1)
        assert await heard(far, 1) == [1]
        group.master.kill()
        await servers.wait_for_log(LOST)
        await say(servers.near, 2)
        await servers.wait_for_log(BACK)
        assert await asyncio.to_thread(group.current_port) == group.replica.port
        assert await heard(far, 1) == [2]
        await say(servers.far, 3)
        assert await heard(near, 3) == [1, 2, 3]
        servers.assert_one_outage_is_logged()


async def test_a_service_that_sentinel_does_not_know_is_named(own: Own, channel: str) -> None:
    group = await asyncio.to_thread(own, RedisSentinel())
    url = group.url.replace(SERVICE, "another")
    async with started(url, channel) as server:
        health = server.queue_health()
    assert health is not None
    assert "Sentinel knows no service 'another'" in health["last_error"]


class GuardedSentinel(Sentinel):
    """A Sentinel that wants a password of its own."""

    def __init__(self, master: Redis) -> None:
        super().__init__(master.port)
        with (self.folder / "sentinel.conf").open("a") as configuration:
            configuration.write(f"requirepass own\nsentinel auth-pass {SERVICE} {master.password}\n")

    def hello(self) -> tuple[bytes, bytes]:
        return b"AUTH own\r\nPING\r\n", b"+PONG"


async def test_sentinel_may_want_a_password_of_its_own(own: Own, channel: str) -> None:
    sentinel = own(GuardedSentinel(own(Redis(password="secret"))))
    url = sentinel.url.replace(HOST, f":secret@{HOST}", 1)
    async with started(f"{url}?sentinel_password=own", channel) as server:
        health = server.queue_health()
    assert health is not None
    assert (health["publishing"], health["listening"]) == (True, True)
    await refused(url, channel, r"wants a password \(\?sentinel_password=")


def cluster_url(*nodes: Redis) -> str:
    return f"redis+cluster://{','.join(f'{HOST}:{node.port}' for node in nodes)}"


@pytest.mark.slow
async def test_with_a_redis_cluster_events_cross_again_when_a_node_is_gone(own: Own, channel: str) -> None:
    group = await asyncio.to_thread(own, RedisCluster())
    url = cluster_url(*group.nodes)
    async with cluster(url, url, channel) as servers:
        near, far = servers.near.arrivals("event"), servers.far.arrivals("event")
        await say(servers.near, 1)
        assert await heard(far, 1) == [1]
        group.nodes[0].kill()
        await servers.wait_for_log(BACK)
        await say(servers.near, 2)
        assert await heard(far, 1) == [2]
        await say(servers.far, 3)
        assert await heard(near, 3) == [1, 2, 3]


async def test_a_redis_cluster_passes_events_on_between_its_nodes(own: Own, channel: str) -> None:
    group = await asyncio.to_thread(own, RedisCluster())
    first, second, third = group.nodes
    async with cluster(cluster_url(first, third), cluster_url(second, third), channel) as servers:
        near, far = servers.near.arrivals("event"), servers.far.arrivals("event")
        await say(servers.near, 1)
        assert await heard(far, 1) == [1]
        await say(servers.far, 2)
        assert await heard(near, 2) == [1, 2]


async def test_a_cluster_node_that_is_away_is_passed_over(
    own: Own, channel: str, caplog: pytest.LogCaptureFixture
) -> None:
    broker = own(Redis())
    url = f"redis+cluster://{HOST}:{free_port()},{HOST}:{broker.port}"
    async with started(url, channel) as server:
        health = server.queue_health()
    assert health is not None
    assert (health["publishing"], health["listening"]) == (True, True)
    assert LOST not in caplog.text

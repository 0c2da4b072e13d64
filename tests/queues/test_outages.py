"""What survives when a broker, or the way to it, fails: nothing has to be restarted by hand."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import pytest

from asyncsock import AsyncServer, SocketIO, queues
from asyncsock.queues import MessageRefused
from asyncsock.queues.reconnecting import OUTBOX_BYTES
from tests.support.brokers import HOST, Kafka, Nats, RabbitMQ, Redis, ZmqProxy
from tests.support.python_socketio_client import Client, connected
from tests.support.queue_cluster import BACK, LOST, cluster, heard, say
from tests.support.server_process import Server, serve
from tests.support.tcp_proxy import Proxy

Own = Callable[[Any], Any]
# How to make a broker that keeps over a SIGKILL what it has acknowledged, if it can.
BROKERS: dict[str, Callable[[], Any]] = {
    "redis": Redis,
    "streams": lambda: Redis(durable=True),
    "rabbitmq": RabbitMQ,
    "nats": Nats,
}


def url_at(broker: Any, kind: str, port: int) -> str:
    url: str = broker.url_at(port)
    schemes = {"streams": ("redis://", "redis+streams://"), "kombu": ("amqp://", "pyamqp://")}
    return url.replace(*schemes.get(kind, ("", "")))


@pytest.mark.slow
@pytest.mark.parametrize("kind", BROKERS)
async def test_events_of_an_outage_arrive_in_order_after_it(own: Own, channel: str, kind: str) -> None:
    broker = own(BROKERS[kind]())
    url = url_at(broker, kind, broker.port)
    async with cluster(url, url, channel) as servers:
        near, far = servers.near.arrivals("event"), servers.far.arrivals("event")
        await say(servers.near, 1)
        assert await heard(far, 1) == [1]
        broker.kill()
        await servers.wait_for_log(LOST)
        await say(servers.near, 2, 3, 4)
        assert await heard(near, 4) == [1, 2, 3, 4]
        await asyncio.to_thread(broker.start)
        assert await heard(far, 3) == [2, 3, 4]
        await servers.wait_for_log(BACK)
        await say(servers.far, 5)
        assert await heard(near, 1) == [5]
        servers.assert_one_outage_is_logged()


class Fault(NamedTuple):
    """Something that happens to a broker or to the way to it, and its end."""

    begin: Callable[[Any, list[Proxy]], Any]
    end: Callable[[Any, list[Proxy]], Any]


PAUSED = Fault(lambda broker, _: broker.pause(), lambda broker, _: broker.resume())
SILENT = Fault(
    lambda _, ways: [way.silence() for way in ways], lambda _, ways: [way.forward() for way in ways]
)
CUT = Fault(lambda _, ways: [way.down() for way in ways], lambda _, ways: [way.up() for way in ways])


async def reached_through_proxies(own: Own, channel: str, kind: str) -> tuple[Any, list[Proxy], str]:
    """A broker of the test's own, the ways to it, and its URL by these ways."""
    ways = [own(Proxy(0))]
    if kind == "zmq":
        broker = await asyncio.to_thread(own, ZmqProxy())
        ways.append(own(Proxy(broker.source_port)))
        url = f"zmq+tcp://{HOST}:{ways[0].port}+{ways[1].port}"
    elif kind == "kafka":
        broker = await asyncio.to_thread(own, Kafka(advertised=ways[0].port))
        url = broker.url_at(ways[0].port)
    else:
        broker = await asyncio.to_thread(own, BROKERS[kind]())
        url = url_at(broker, kind, ways[0].port)
    ways[0].target = broker.port
    if kind == "kafka":
        await broker.create_topic(channel)
    return broker, ways, url


async def survive(own: Own, channel: str, kind: str, fault: Fault) -> None:
    broker, ways, url = await reached_through_proxies(own, channel, kind)
    async with cluster(url, url, channel) as servers:
        near, far = servers.near.arrivals("event"), servers.far.arrivals("event")
        await say(servers.near, 1)
        assert await heard(far, 1) == [1]
        fault.begin(broker, ways)
        await servers.wait_for_log(LOST)
        await say(servers.near, 2, 3)
        fault.end(broker, ways)
        assert await heard(far, 2) == [2, 3]
        assert await heard(near, 3) == [1, 2, 3]
        await servers.wait_for_log(BACK)
        await say(servers.near, 4)
        assert await heard(far, 1) == [4]
        servers.assert_one_outage_is_logged()


@pytest.mark.parametrize(
    "fault",
    [PAUSED, SILENT, CUT],
    ids=["a paused broker", "packets that are dropped", "connections that are reset"],
)
@pytest.mark.timeout(240)
@pytest.mark.slow
async def test_listeners_survive(own: Own, channel: str, fault: Fault) -> None:
    """With all brokers at once, as most of the time is spent waiting until silence is noticed."""
    kinds = [*BROKERS, "kafka", "zmq"]
    ended = await asyncio.gather(
        *[survive(own, channel, kind, fault) for kind in kinds], return_exceptions=True
    )
    assert dict(zip(kinds, ended, strict=True)) == dict.fromkeys(kinds)


async def test_a_subscriber_that_redis_disconnects_listens_again(own: Own, channel: str) -> None:
    broker = own(Redis())
    async with cluster(broker.url, broker.url, channel) as servers:
        far = servers.far.arrivals("event")
        with broker.client() as admin:
            admin.client_kill_filter(_type="pubsub")
        await servers.wait_for_log(BACK)
        await say(servers.near, 1)
        assert await heard(far, 1) == [1]
        assert servers.count_in_logs(LOST) == [1, 1]


LARGE_MESSAGES = {
    "redis": "redis_broker",
    "streams": "redis_broker",
    "rabbitmq": "rabbitmq_broker",
    "kombu": "rabbitmq_broker",
    "kafka": "kafka_broker",
    "zmq": "zmq_proxy",
}


@pytest.mark.parametrize("kind", LARGE_MESSAGES)
async def test_a_very_large_message_does_not_end_the_listening(
    request: pytest.FixtureRequest, channel: str, kind: str
) -> None:
    broker = request.getfixturevalue(LARGE_MESSAGES[kind])
    url = url_at(broker, kind, broker.port)
    async with cluster(url, url, channel) as servers:
        far = servers.far.arrivals("event")
        await servers.near.call("put_large", 40 * 1024 * 1024, "empty room")
        if kind == "redis":  # it disconnects subscribers that are more than 32 MB behind
            await servers.wait_for_log(BACK)
        await say(servers.near, 1)
        assert await heard(far, 1) == [1]
        expected = [1, 1] if kind == "redis" else [0, 0]
        assert servers.count_in_logs(LOST) == servers.count_in_logs(BACK) == expected


async def test_a_broker_that_is_away_when_the_server_starts_is_found_later(own: Own, channel: str) -> None:
    broker = own(Redis())
    broker.kill()
    async with cluster(broker.url, broker.url, channel) as servers:
        near, far = servers.near.arrivals("event"), servers.far.arrivals("event")
        await say(servers.near, 1)
        assert await heard(near, 1) == [1]
        health = await servers.near.call("health")
        assert (health["publishing"], health["listening"], health["waiting"]) == (False, False, 1)
        assert "onnect" in health["last_error"]
        await asyncio.to_thread(broker.start)
        await servers.wait_for_log(BACK)
        assert (await servers.near.call("health")).items() >= {
            "queue": broker.url,
            "publishing": True,
            "listening": True,
            "waiting": 0,
            "dropped": 0,
            "seconds_lost": 0.0,
            "last_error": None,
        }.items()
        await say(servers.near, 2)
        # What was said before another process has ever listened, Redis has kept for nobody.
        assert (await heard(far, 1))[-1] in (1, 2)


def test_a_server_whose_login_is_refused_does_not_start(own: Own, channel: str) -> None:
    broker = own(Redis(password="right"))
    url = f"redis://:wrong@{HOST}:{broker.port}/0"
    with pytest.raises(RuntimeError) as ended:
        with serve("tests.apps.cluster:asgi", env={"KIND": "asyncsock", "QUEUE": url, "CHANNEL": channel}):
            pass
    assert str(ended.value).count("Redis refused the login") == 1
    assert "Traceback" not in str(ended.value)


async def test_a_full_outbox_drops_the_oldest_events_and_nothing_else(
    own: Own, channel: str, caplog: pytest.LogCaptureFixture
) -> None:
    broker = own(Redis())
    broker.kill()
    server = AsyncServer(client_manager=queues.from_url(broker.url, channel=channel))
    await server.startup()
    server.enter_room("a client elsewhere", "room")
    count = OUTBOX_BYTES // 1_000_000 + 10
    for number in range(count):
        server.emit(f"event {number}", "x" * 1_000_000)
    health = server.queue_health()
    assert health is not None
    assert health["dropped"] > 0
    assert health["waiting"] + health["dropped"] == count + 1
    assert sum("the outbox is full" in message for message in caplog.messages) <= health["dropped"]

    broker.start()
    with broker.client() as redis, redis.pubsub() as subscription:
        subscription.subscribe(channel)
        arrived_messages: list[dict[str, Any]] = []
        while len(arrived_messages) < health["waiting"]:
            message = await asyncio.to_thread(subscription.get_message, True, 10)
            if message and message["type"] == "message":
                arrived_messages.append(json.loads(message["data"]))
    await server.shutdown()
    assert arrived_messages[0]["method"] == "enter_room"
    events = [message["event"] for message in arrived_messages[1:]]
    assert events == [f"event {number}" for number in range(health["dropped"], count)]


class Publishing(NamedTuple):
    """A client of a server, and a way to publish any bytes to that server's channel."""

    server: Server
    client: Client
    publish: Callable[[bytes | str], Any]


async def test_a_message_that_the_broker_never_takes_raises_and_the_next_one_arrives(
    nats_broker: Nats, channel: str
) -> None:
    async with cluster(nats_broker.url, nats_broker.url, channel) as servers:
        far = servers.far.arrivals("event")
        await say(servers.near, 1)
        await servers.near.emit("put_large", 2_000_000, "room")
        await say(servers.near, 2)
        assert await heard(far, 2) == [1, 2]
        assert servers.count_in_logs("MessageRefused: the NATS server takes") == [1, 0]
        writer = SocketIO(message_queue=nats_broker.url, channel=channel)
        with pytest.raises(MessageRefused):
            await asyncio.to_thread(writer.emit, "event", "x" * 2_000_000)
        await writer.emit("event", 3)
        assert await heard(far, 1) == [3]


@pytest.fixture
async def publishing(redis_broker: Redis, channel: str) -> AsyncIterator[Publishing]:
    environment = {"KIND": "asyncsock", "QUEUE": redis_broker.url, "CHANNEL": channel}
    with serve("tests.apps.cluster:asgi", env=environment) as server, redis_broker.client() as redis:
        async with connected(server.url, mode="websocket") as client:
            yield Publishing(server, client, lambda message: redis.publish(channel, message))


def emit_message(data: Any, **fields: Any) -> str:
    message = {"method": "emit", "event": "event", "data": [data], "namespace": "/", "host_id": "elsewhere"}
    return json.dumps(message | fields)


async def test_a_message_that_comes_again_is_delivered_once(publishing: Publishing) -> None:
    events = publishing.client.arrivals("event")
    for seq in (1, 2, 2, 1, 3):
        publishing.publish(emit_message(seq, sender="one", seq=seq))
    publishing.publish(emit_message("another's first", sender="two", seq=1))
    assert await heard(events, 4) == [1, 2, 3, "another's first"]


async def test_messages_without_numbers_are_all_delivered(publishing: Publishing) -> None:
    events = publishing.client.arrivals("event")
    for _ in range(2):
        publishing.publish(emit_message("the same"))
    assert await heard(events, 2) == ["the same", "the same"]


BAD_MESSAGES = [
    pickle.dumps({"method": "emit", "event": "event", "data": ["pickled"]}),
    b"",
    b"\xff",
    "[]",
    "{}",
    '{"method": "emit", "event": "event", "data": "no list"}',
    '{"method": "emit", "event": "event", "data": ["x"], "room": {"a": 1}}',
    '{"method": "emit", "event": "event", "data": ["x", 1], "binary": true}',
    '{"method": "emit", "event": "event", "data": [["x"], "no base64!"], "binary": true}',
    '{"method": 5}',
]


@pytest.mark.parametrize("message", BAD_MESSAGES, ids=range(len(BAD_MESSAGES)))
async def test_a_bad_message_is_ignored_with_one_line(publishing: Publishing, message: bytes | str) -> None:
    events = publishing.client.arrivals("event")
    publishing.publish(message)
    publishing.publish(emit_message("good"))
    assert await heard(events, 1) == ["good"]
    assert publishing.server.log().count("a message was ignored") == 1
    assert "Traceback" not in publishing.server.log()


@pytest.mark.parametrize(
    "message",
    [
        '{"method": "something new", "sid": "x"}',
        '{"method": "enter_room", "sid": "nobody", "room": "r"}',
        '{"method": "callback", "host_id": "elsewhere", "sid": "x", "id": 1, "args": [1]}',
    ],
)
async def test_a_message_for_others_is_passed_over(publishing: Publishing, message: str) -> None:
    events = publishing.client.arrivals("event")
    publishing.publish(message)
    publishing.publish(emit_message("good"))
    assert await heard(events, 1) == ["good"]
    assert "ignored" not in publishing.server.log()

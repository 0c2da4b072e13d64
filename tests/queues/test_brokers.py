"""The brokers and the proxy that the tests of the message queues stand on."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import aio_pika
import aiokafka
import nats
import pytest
import redis

from tests.support.broker_process import HOST
from tests.support.brokers import Kafka, Nats, RabbitMQ, Redis
from tests.support.redis_groups import RedisCluster, RedisSentinel, wait_until
from tests.support.tcp_proxy import Proxy

PING, PONG = b"PING\r\n", b"+PONG\r\n"


def test_a_durable_redis_keeps_its_data_over_a_kill():
    with Redis(durable=True) as broker:
        broker.client().xadd("log", {"number": 1})
        broker.kill()
        broker.start()
        assert broker.client().xlen("log") == 1


def test_redis_asks_for_its_password_over_tls():
    with Redis(tls=True, password="secret") as broker:
        assert broker.url.startswith("rediss://:secret@")
        assert redis.Redis.from_url(broker.url).ping()
        with pytest.raises(redis.AuthenticationError):
            redis.Redis.from_url(broker.url.replace("secret", "wrong")).ping()


def test_redis_asks_for_a_user():
    with Redis(user="ann", password="secret") as broker:
        assert redis.Redis.from_url(broker.url).ping()
        with pytest.raises(redis.AuthenticationError):
            redis.Redis.from_url(broker.url.replace("ann", "bob")).ping()


def test_redis_listens_on_a_unix_socket():
    with Redis(password="secret") as broker:
        assert redis.Redis.from_url(broker.unix_url).ping()


def test_a_paused_broker_accepts_connections_and_answers_later():
    with Redis() as broker:
        broker.pause()
        with broker.connect() as connection:
            assert is_silent(connection)
            broker.resume()
            connection.settimeout(10)
            assert connection.recv(100) == PONG


def test_a_paused_broker_can_be_stopped_and_started_again():
    with Redis() as broker:
        broker.pause()
        broker.stop()
        assert not broker.running
        broker.start()
        assert broker.client().ping()


def test_a_broker_that_cannot_start_shows_its_log():
    with pytest.raises(RuntimeError, match="Bad directive"), Redis("--nonsense", "1"):
        pass


def test_sentinel_makes_the_replica_the_master():
    with RedisSentinel() as group:
        assert group.url == f"redis+sentinel://{HOST}:{group.sentinel.port}/0/mymaster"
        assert group.current_port() == group.master.port
        group.master.kill()
        wait_until(lambda: group.current_port() == group.replica.port, "a new master")


def test_a_redis_cluster_spreads_its_keys():
    with RedisCluster() as cluster:
        with redis.RedisCluster.from_url(cluster.url) as client:
            for number in range(30):
                client.set(f"key {number}", number)
        assert all(node.client().dbsize() for node in cluster.nodes)


@pytest.mark.slow
async def test_rabbitmq_keeps_what_it_confirmed_over_a_kill_with_a_user_and_tls():
    with RabbitMQ(user="ann", password="secret", tls=True) as broker:
        assert broker.url.startswith("amqps://ann:secret@")
        async with await aio_pika.connect(broker.url) as connection:
            channel = await connection.channel(publisher_confirms=True)
            await channel.declare_queue("kept", durable=True)
            message = aio_pika.Message(b"1", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await channel.default_exchange.publish(message, "kept")
            broker.kill()
        broker.start()
        async with await aio_pika.connect(broker.url) as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue("kept", durable=True, passive=True)
            kept = await queue.get(timeout=10)
            assert kept.body == b"1"


async def test_jetstream_keeps_its_messages_over_a_kill():
    with Nats(user="ann", password="secret") as broker:
        client = await nats.connect(broker.url)
        await client.jetstream().add_stream(name="kept", subjects=["kept"])
        await client.jetstream().publish("kept", b"1")
        await client.close()
        broker.kill()
        broker.start()
        client = await nats.connect(broker.url)
        stream = await client.jetstream().stream_info("kept")
        await client.close()
        assert stream.state.messages == 1


async def test_kafka_through_a_proxy_delivers_in_the_order_of_its_one_partition():
    proxy = Proxy(0)
    with Kafka(advertised=proxy.port) as broker, proxy:
        proxy.target = broker.port
        await broker.create_topic("numbers")
        servers = f"{HOST}:{proxy.port}"
        async with aiokafka.AIOKafkaProducer(bootstrap_servers=servers) as producer:
            for number in range(20):
                await producer.send_and_wait("numbers", b"%d" % number)
        async with aiokafka.AIOKafkaConsumer(
            "numbers", bootstrap_servers=servers, auto_offset_reset="earliest"
        ) as consumer:
            assert [int((await consumer.getone()).value) for _ in range(20)] == list(range(20))
        assert proxy.accepted >= 3


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    with Redis() as broker:
        yield broker


@pytest.fixture
def proxy(server: Redis) -> Iterator[Proxy]:
    with Proxy(server.port) as proxy:
        yield proxy


def connect(proxy: Proxy, timeout: float = 10) -> socket.socket:
    return socket.create_connection((HOST, proxy.port), timeout)


def answers(connection: socket.socket) -> bool:
    """Whether a PING is answered. Raises what the socket does."""
    connection.sendall(PING)
    connection.settimeout(10)
    return connection.recv(100) == PONG


def is_silent(connection: socket.socket) -> bool:
    """Whether nothing comes in answer to a PING for 0.2 s."""
    connection.sendall(PING)
    connection.settimeout(0.2)
    try:
        connection.recv(100)
        return False
    except TimeoutError:
        return True


def test_the_proxy_forwards_large_data_both_ways(server, proxy):
    client = redis.Redis.from_url(server.url_at(proxy.port))
    data = bytes(range(256)) * 20_000
    client.set("large", data)
    assert client.get("large") == data
    client.close()


def test_the_proxy_passes_a_closing_on(server, proxy):
    with connect(proxy) as connection:
        connection.sendall(b"QUIT\r\n")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b"+OK\r\n"
        assert connection.recv(100) == b""
    wait_until(lambda: proxy.connections == 0, "a proxy without connections")


def test_a_cut_resets_connections_and_new_ones_work(proxy):
    with connect(proxy) as connection:
        assert answers(connection)
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            connection.recv(100)
    with connect(proxy) as connection:
        assert answers(connection)


def test_a_refusing_proxy_keeps_its_connections(proxy):
    with connect(proxy) as connection:
        assert answers(connection)
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            connect(proxy)
        assert answers(connection)
    proxy.accept()
    with connect(proxy) as connection:
        assert answers(connection)


def test_a_proxy_that_is_down_resets_and_refuses_until_it_is_up(proxy):
    with connect(proxy) as connection:
        assert answers(connection)
        proxy.down()
        with pytest.raises(ConnectionResetError):
            connection.recv(100)
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    proxy.up()
    with connect(proxy) as connection:
        assert answers(connection)


def test_a_silent_proxy_holds_everything_until_it_forwards_again(proxy):
    with connect(proxy) as old:
        assert answers(old)
        proxy.silence()
        with connect(proxy) as new:
            assert is_silent(old)
            assert is_silent(new)
            proxy.forward()
            for connection in (old, new):
                connection.settimeout(10)
                assert connection.recv(100) == PONG


def test_a_forgotten_connection_stays_silent_and_new_ones_work(proxy):
    with connect(proxy) as old:
        assert answers(old)
        proxy.forget()
        proxy.forward()
        assert is_silent(old)
        with connect(proxy) as new:
            assert answers(new)


def test_the_proxy_resets_a_client_whose_target_is_not_there():
    with Redis() as broker, Proxy(broker.port) as proxy:
        broker.kill()
        # The reset may come as early as within connect().
        with pytest.raises(ConnectionResetError), connect(proxy) as connection:
            connection.recv(100)

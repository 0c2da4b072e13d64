"""Brokers for the tests of the message queues: one of each that all tests share, and own ones to break."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest

from asyncsock.cluster import cluster, members
from tests.support.apache_kafka import ApacheKafka, installed
from tests.support.broker_process import Own
from tests.support.brokers import Kafka, Nats, RabbitMQ, Redis, ZmqProxy


class LocalDirectory(NamedTuple):
    """What stands for a broker where there is none."""

    url: str


@pytest.fixture(scope="session")
def redis_broker() -> Iterator[Redis]:
    """The Redis server that tests share. Leave it running: break one of your `own`."""
    with Redis() as broker:
        yield broker


@pytest.fixture(scope="session")
def rabbitmq_broker() -> Iterator[RabbitMQ]:
    """The RabbitMQ node that tests share. Leave it running: break one of your `own`, or a proxy before it."""
    with RabbitMQ() as broker:
        yield broker


@pytest.fixture(scope="session")
def nats_broker() -> Iterator[Nats]:
    """The NATS server (with JetStream) that tests share. Leave it running: break one of your `own`."""
    with Nats() as broker:
        yield broker


@pytest.fixture(scope="session")
def kafka_broker() -> Iterator[Kafka]:
    """The Kafka-protocol broker that tests share. Leave it running: break one of your `own`."""
    with Kafka() as broker:
        yield broker


@pytest.fixture(scope="session")
def zmq_proxy() -> Iterator[ZmqProxy]:
    """The ZeroMQ proxy that tests share. Leave it running: break one of your `own`."""
    with ZmqProxy() as proxy:
        yield proxy


@pytest.fixture(scope="session")
def local_broker() -> Iterator[LocalDirectory]:
    """A directory that tests share in place of a broker."""
    with TemporaryDirectory(prefix="asyncsock-test-") as folder:
        yield LocalDirectory(f"local://{folder}")


@pytest.fixture
def apache_kafka() -> Iterator[ApacheKafka]:
    """Apache Kafka, the test's own. No package that the tests may install has it, so CI skips it too."""
    if not installed():
        pytest.skip("missing part: Apache Kafka (kafka-server-start.sh)")
    with ApacheKafka() as broker:
        yield broker


@pytest.fixture
def own() -> Iterator[Own[object]]:
    """Opens a broker or a proxy for this test alone, and closes it after it: `own(Redis(durable=True))`."""
    with ExitStack() as stack:
        yield stack.enter_context


@pytest.fixture
def channel() -> str:
    """A channel name that no other test uses on the shared brokers."""
    return f"channel-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is silent for one second is given up."""
    monkeypatch.setattr(members, "LOOK", 0.1)
    monkeypatch.setattr(cluster, "LOOK", 0.1)
    monkeypatch.setattr(members, "SILENCE", 1.0)
    monkeypatch.setattr(cluster, "SIGN_OF_LIFE", 0.3)

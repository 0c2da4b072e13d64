"""Several hosts behind a proxy that sends each request to the next of them, with a broker between them.

A server that was started by itself stands for a host: it shares no listening socket with another one.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.broker_process import Broker
from tests.support.brokers import Redis
from tests.support.nginx import nginx, round_robin
from tests.support.ports import free_port
from tests.support.python_socketio_client import connected
from tests.support.raw_clients import RawSocket
from tests.support.server_log import trouble
from tests.support.server_process import Server, serve
from tests.support.sessions_elsewhere import acknowledged, answer, exchange, opened
from tests.support.worker_load import KINDS, MODES, Load, troubles, under_load
from tests.support.worker_processes import wait_for_workers

APP = "tests.apps.workers:asgi"
FEW = {
    "redis": ["v4-polling", "v4-upgrade", "sync-polling"],
    "rabbitmq": ["v4-upgrade", "async-polling"],
    "nats": ["v3-polling", "v4-upgrade", "async-upgrade"],
}
WHOLE = "WHOLE_TABLE" in os.environ
ALL = {name: [f"{kind}-{mode}" for kind, mode in itertools.product(KINDS, MODES)] for name in FEW}
CASES = [(broker, way) for broker, ways in (ALL if WHOLE else FEW).items() for way in ways]
LOAD = Load(clients=50, acks=100, broadcasts=300) if WHOLE else Load(clients=8, acks=20, broadcasts=40)
WORKERS = {"redis": 2, "rabbitmq": 1, "nats": 1}  # on each host
UNKNOWN = '{"code":1,"message":"Session ID unknown"}'


class Hosts(NamedTuple):
    """Two hosts, and the proxy before them."""

    proxy: Server
    servers: list[Server]


@contextmanager
def two_hosts(folder: Path, broker: Broker, workers: int = 1) -> Iterator[Hosts]:
    environment = {"QUEUE": broker.url, "CHANNEL": f"hosts-{folder.name}"}
    with ExitStack() as stack:
        serving = [serve(APP, args=["--workers", str(workers)], env=environment) for _ in range(2)]
        servers = [stack.enter_context(each) for each in serving]
        for server in servers:
            wait_for_workers(server, workers, "websocket door")
        port = free_port()
        site = round_robin(port, [f"127.0.0.1:{server.port}" for server in servers])
        yield Hosts(stack.enter_context(nginx(folder, port, site)), servers)


@pytest.fixture(scope="module")
def hosts_at(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Hosts]]:
    """A function that starts two hosts with a broker, unless they run already."""
    with ExitStack() as stack:
        running: dict[str, Hosts] = {}

        def start(name: str) -> Hosts:
            if name not in running:
                stack.close()
                running.clear()
                broker = request.getfixturevalue(f"{name}_broker")
                folder = tmp_path_factory.mktemp("hosts")
                running[name] = stack.enter_context(two_hosts(folder, broker, WORKERS[name]))
            return running[name]

        yield start


@pytest.mark.parametrize(("broker", "way"), CASES)
async def test_clients_do_not_notice_that_there_are_several_hosts(
    hosts_at: Callable[[str], Hosts], broker: str, way: str
) -> None:
    hosts = hosts_at(broker)
    kind, mode = way.split("-")
    async with under_load(hosts.proxy, kind, mode, LOAD) as running:
        wrong = troubles(await running.finish(), LOAD, mode)
    assert not wrong, "\n".join([f"{len(wrong)} things went wrong:", *wrong[:20]])
    for server in hosts.servers:
        assert not trouble(server)


async def test_a_megabyte_passes_through_another_host_in_both_directions(
    hosts_at: Callable[[str], Hosts],
) -> None:
    hosts = hosts_at("nats")  # which takes the smallest messages
    for mode in MODES:
        async with connected(hosts.proxy.url, mode=mode) as one, connected(hosts.proxy.url, mode=mode) as two:
            large = ["x" * 900_000, "y" * 900_001]
            for _ in range(3):
                answers = await asyncio.gather(one.call("echo", large[0]), two.call("echo", large[1]))
                assert [answer["data"] for answer in answers] == large


@contextmanager
def own_hosts(folder: Path, broker: Broker) -> Iterator[list[Server]]:
    with two_hosts(folder, broker) as hosts:
        yield hosts.servers


async def test_requests_for_sessions_of_a_host_that_was_killed_are_refused(
    redis_broker: Redis, tmp_path: Path
) -> None:
    with own_hosts(tmp_path, redis_broker) as (owner, other):
        async with await RawSocket.connect(owner) as there, await RawSocket.connect(other) as here:
            session = await opened(there)
            assert await exchange(here, session.post('42["nobody handles this"]')) == (200, "ok")
            os.killpg(owner.process.pid, signal.SIGKILL)
            for _ in range(2):  # the second one at once
                assert await exchange(here, session.get()) == (400, UNKNOWN)
        assert not trouble(other)


async def test_a_host_that_stops_answers_the_polls_that_wait_for_other_hosts(
    redis_broker: Redis, tmp_path: Path
) -> None:
    with own_hosts(tmp_path, redis_broker) as (owner, other):
        async with (
            await RawSocket.connect(owner) as there,
            await RawSocket.connect(other) as here,
            await RawSocket.connect(other) as waiting,
        ):
            session = await opened(there)
            await waiting.send(session.get())
            assert await exchange(here, session.post('42["nobody handles this"]')) == (200, "ok")
            other.process.send_signal(signal.SIGTERM)
            assert await answer(waiting) == (200, "6")
            assert (await acknowledged(there, session, "who"))["worker"] == session.worker
        await asyncio.to_thread(other.process.wait, 20)
        assert not trouble(other)
        assert not trouble(owner)

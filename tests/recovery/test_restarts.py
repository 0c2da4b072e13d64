"""What clients miss when the processes that serve them, and emit, stop or are killed: nothing."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from asyncsock import SocketIO
from tests.support import numbered_events
from tests.support.launchers import START_TIME, wait_for_workers, workers_of
from tests.support.recovery_load import (
    CHANNEL,
    QUEUES,
    Losing,
    Running,
    Seen,
    losing,
    one_server,
    queue_of,
    running_itself,
    two_hosts,
)
from tests.support.server_log import trouble
from tests.support.server_process import Server
from tests.support.server_restarts import restarted

WHOLE = "RECOVERY" in os.environ
WORKERS = 4 if WHOLE else 2
LOAD = Losing(clients=9, closes=0, events=0, drivers=0, early=False)
LOSING = replace(LOAD, closes=10_000, pause=500)
HOSTS = [*QUEUES, "local"] if WHOLE else ["redis streams"]
pytestmark = [pytest.mark.javascript, pytest.mark.timeout(300 if WHOLE else 120)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the processes that emit meet."""
    (tmp_path / "sids").touch()
    return tmp_path


async def stopped(folder: Path, running: Running) -> list[Seen]:
    """Stop the events, and say what the clients have seen of them."""
    return await running.finish(await asyncio.to_thread(numbered_events.stop, folder))


async def ended(process: int) -> None:
    """Wait until a process has ended."""

    async def wait() -> None:
        while Path(f"/proc/{process}/exe").exists():
            await asyncio.sleep(0.05)

    await asyncio.wait_for(wait(), START_TIME)


def assert_nothing_is_missed(seen: Sequence[Seen], servers: Sequence[Server]) -> None:
    wrong = [text for client in seen for text in client.wrong]
    assert not wrong, "\n".join([f"{len(wrong)} things went wrong:", *wrong[:20]])
    assert len(seen) == LOAD.clients
    for server in servers:
        assert not trouble(server)


async def test_all_workers_are_replaced_and_every_client_is_recovered_with_all_events(folder: Path) -> None:
    with running_itself(WORKERS, FLOW=str(folder)) as server:
        async with losing([server], LOAD) as running:
            old = workers_of(server)
            server.process.send_signal(signal.SIGHUP)
            await asyncio.to_thread(wait_for_workers, server, 2 * WORKERS)
            for process in old:
                await ended(process)
            seen = await stopped(folder, running)
        assert_nothing_is_missed(seen, [server])
        assert [client for client in seen if client.unrecovered or not client.recovered] == []


@pytest.mark.skipif(not WHOLE, reason="one of `make recovery`")
async def test_the_same_while_the_clients_lose_their_connections_again_and_again(folder: Path) -> None:
    with running_itself(WORKERS, FLOW=str(folder)) as server:
        async with losing([server], LOSING) as running:
            server.process.send_signal(signal.SIGHUP)
            await asyncio.to_thread(wait_for_workers, server, 2 * WORKERS)
            seen = await stopped(folder, running)
        assert_nothing_is_missed(seen, [server])
        assert [client for client in seen if client.unrecovered or not client.recovered] == []


async def seen_as_a_host_ends(name: str, folder: Path, number: signal.Signals) -> list[Seen]:
    """What clients have seen that lose their connections to two hosts, one of which gets a signal."""
    with queue_of(name) as queue, two_hosts(queue, FLOW=str(folder)) as servers:
        outside = SocketIO(message_queue=queue, channel=CHANNEL)
        with numbered_events.emitting(outside.emit, folder):
            async with losing(servers, LOSING) as running:
                await asyncio.sleep(1)  # of events
                servers[0].process.send_signal(number)
                await ended(servers[0].process.pid)
                await asyncio.sleep(1)
                seen = await stopped(folder, running)
        assert_nothing_is_missed(seen, servers)
        return seen


@pytest.mark.parametrize("name", HOSTS)
async def test_one_of_two_hosts_stops_and_every_client_is_recovered_with_all_events(
    name: str, folder: Path
) -> None:
    seen = await seen_as_a_host_ends(name, folder, signal.SIGTERM)
    assert [client for client in seen if client.unrecovered] == []
    assert any(client.recovered for client in seen)


@pytest.mark.parametrize("name", HOSTS)
async def test_one_of_two_hosts_is_killed_and_no_client_that_is_recovered_misses_an_event(
    name: str, folder: Path
) -> None:
    await seen_as_a_host_ends(name, folder, signal.SIGKILL)


@pytest.mark.parametrize("name", ["none", "redis streams"] if WHOLE else ["none"])
async def test_a_worker_is_killed_and_no_client_that_is_recovered_misses_an_event(
    name: str, folder: Path
) -> None:
    with queue_of(name) as queue, running_itself(WORKERS, FLOW=str(folder), QUEUE=queue) as server:
        async with losing([server], LOSING) as running:
            await asyncio.sleep(1)
            os.kill(workers_of(server)[0], signal.SIGKILL)
            await asyncio.to_thread(wait_for_workers, server, WORKERS + 1)
            await asyncio.sleep(1)
            seen = await stopped(folder, running)
        assert_nothing_is_missed(seen, [server])


@pytest.mark.parametrize("name", ["redis streams", "nats", "kafka"] if WHOLE else ["redis streams"])
async def test_a_host_that_is_alone_is_restarted_and_every_client_is_recovered_with_all_events(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with queue_of(name) as queue:
        for variable, value in {"QUEUE": queue, "CHANNEL": CHANNEL, "FLOW": str(folder)}.items():
            monkeypatch.setenv(variable, value)
        outside = SocketIO(message_queue=queue, channel=CHANNEL)
        with one_server() as (server,), numbered_events.emitting(outside.emit, folder):
            async with losing([server], LOAD) as running:
                await asyncio.sleep(1)  # of events
                with restarted(server):
                    await asyncio.sleep(1)
                    seen = await stopped(folder, running)
            assert_nothing_is_missed(seen, [server])
        assert [client for client in seen if client.unrecovered or not client.recovered] == []

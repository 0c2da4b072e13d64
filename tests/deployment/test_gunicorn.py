"""Several processes at one port: gunicorn with uvicorn's worker, and `uvicorn --workers`."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support import raw_clients
from tests.support.brokers import Redis
from tests.support.python_socketio_client import arrived, connected
from tests.support.server_process import Server
from tests.support.worker_processes import SUPERVISORS, clients_of_both, supervised


@pytest.fixture(scope="module", params=list(SUPERVISORS))
def two_workers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Redis() as redis:
        environment = {"QUEUE": redis.url, "CHANNEL": "workers"}
        folder = tmp_path_factory.mktemp("workers")
        with supervised(request.param, "tests.apps.deployed:asgi", 2, folder, environment) as server:
            yield server


async def test_events_reach_the_clients_of_the_other_worker(two_workers: Server) -> None:
    async with AsyncExitStack() as stack:
        clients = await clients_of_both(two_workers, stack)
        heard = [client.arrivals("said") for client in clients]
        for number, client in enumerate(clients):
            await client.emit("say", number)
            assert [await arrived(queue) for queue in heard] == [(number,)] * 2


async def test_a_proxy_on_the_same_machine_is_believed(two_workers: Server) -> None:
    headers = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}
    async with connected(two_workers.url, mode="websocket", headers=headers) as client:
        seen: dict[str, Any] = await client.call("where")
    assert (seen["address"], seen["scheme"]) == ("203.0.113.7", "https")


async def test_a_poll_that_reaches_the_other_worker_is_answered(two_workers: Server) -> None:
    async with AsyncExitStack() as stack:
        # Each keeps one connection, and so one worker.
        clients: dict[int, raw_clients.Polling] = {}
        while len(clients) < 2:
            polling = await stack.enter_async_context(raw_clients.Polling(two_workers, "/socket.io/"))
            clients[(await polling.http.get("/where")).json()["process"]] = polling
        first, second = clients.values()
        await first.open()
        await first.send("40")
        second.sid = first.sid
        answer = await second.get()
    assert (answer.status_code, answer.text[:2]) == (200, "40")


@pytest.mark.parametrize("name", SUPERVISORS)
async def test_sigterm_lets_the_handlers_of_a_worker_end_and_closes_its_clients(
    name: str, tmp_path: Path
) -> None:
    with supervised(name, "tests.apps.stopping:asgi", 2, tmp_path, {}) as server:
        async with connected(server.url, mode="websocket") as client:
            sid, gone = client.socket.get_sid(), client.arrivals("disconnect")
            answer = asyncio.ensure_future(client.call("slow", 0.5))
            await asyncio.to_thread(server.wait_for_log, "slow began")
            server.process.send_signal(signal.SIGTERM)
            assert await answer == "finished"
            await arrived(gone)
        assert await asyncio.to_thread(server.process.wait, 30) == 0
        assert f"gone {sid} server disconnect" in server.log()
        assert "Traceback" not in server.log()

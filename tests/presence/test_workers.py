"""Who is online at the workers of one server and on several hosts, where one of them is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.support.brokers import Redis
from tests.support.python_socketio_client import Client, connected
from tests.support.server_process import Server, serve
from tests.support.worker_processes import supervised

APP = "tests.apps.presence:asgi"
STARTED = "Application startup complete"
GIVEN_UP = 10.0  # seconds after the last sign of life
ROOM = "room"


class Watcher:
    """A client that keeps a list of who is in the room, as a page does."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.people: dict[str, list[Any]] = {}
        self.seen: list[tuple[str, str]] = []
        self._news = asyncio.Event()
        client.socket.on("presence_diff", self._changed)

    async def watch(self) -> None:
        self.people = await self.client.call("watch", ROOM)

    def _changed(self, diff: dict[str, Any], room: str) -> None:
        for key in diff["leaves"]:
            del self.people[key]
            self.seen.append(("leaves", key))
        for key, metas in diff["joins"].items():
            self.people[key] = metas
            self.seen.append(("joins", key))
        self._news.set()

    async def sees(self, people: dict[str, list[Any]], seconds: float = 30) -> None:
        """Wait until it sees these and no others."""

        async def wait() -> None:
            while self.people != people:
                self._news.clear()
                await self._news.wait()

        await asyncio.wait_for(wait(), seconds)


async def clients_of_each(server: Server, stack: AsyncExitStack, workers: int) -> dict[int, Client]:
    """A client of each worker, by process."""
    clients: dict[int, Client] = {}
    for _ in range(400):
        client = await stack.enter_async_context(connected(server.url, mode="websocket"))
        if clients.setdefault((await client.call("where"))["process"], client) is not client:
            await client.disconnect()
        if len(clients) == workers:
            return clients
    raise AssertionError("some workers serve nobody")


@pytest.fixture
def three_workers(tmp_path: Path) -> Iterator[Server]:
    with TemporaryDirectory(prefix="asyncsock-test-") as runtime:
        with supervised("uvicorn", APP, 3, tmp_path, {"XDG_RUNTIME_DIR": runtime}, STARTED) as server:
            yield server


async def test_a_worker_that_is_killed_takes_its_people_with_it_and_the_next_one_knows_the_others(
    three_workers: Server,
) -> None:
    async with AsyncExitStack() as stack:
        clients = await clients_of_each(three_workers, stack, 3)
        (_, one), (_, two), (killed, three) = clients.items()
        watcher = Watcher(one)
        await watcher.watch()
        await two.call("track", "two", 2, ROOM)
        await three.call("track", "two", 2, ROOM)
        await three.call("track", "three", 3, ROOM)
        await watcher.sees({"two": [2], "three": [3]})
        gone = three.arrivals("disconnect")
        os.kill(killed, signal.SIGKILL)
        await gone.get()
        await watcher.sees({"two": [2]}, GIVEN_UP + 5)
        assert watcher.seen == [("joins", "two"), ("joins", "three"), ("leaves", "three")]
        await asyncio.to_thread(wait_for_another_worker, three_workers)
        again = await clients_of_each(three_workers, stack, 3)
        (new,) = again.keys() - clients.keys()
        late = Watcher(again[new])
        await late.watch()
        await late.sees({"two": [2]})


def wait_for_another_worker(server: Server) -> None:
    deadline = time.monotonic() + 30
    while server.log().count(STARTED) < 4 and time.monotonic() < deadline:
        time.sleep(0.05)


@pytest.fixture
async def two_hosts(redis_broker: Redis, channel: str) -> AsyncIterator[list[Server]]:
    environment = {"QUEUE": redis_broker.url, "CHANNEL": channel}
    async with AsyncExitStack() as stack:
        serving = [serve(APP, env=environment) for _ in range(2)]
        yield [await asyncio.to_thread(stack.enter_context, each) for each in serving]


async def test_the_people_of_a_host_that_is_killed_leave_when_it_is_given_up(two_hosts: list[Server]) -> None:
    stays, killed = two_hosts
    async with connected(stays.url) as one, connected(killed.url) as two:
        watcher = Watcher(one)
        await watcher.watch()
        await two.call("track", "two", 2, ROOM)
        await watcher.sees({"two": [2]})
        gone = two.arrivals("disconnect")
        os.kill(killed.process.pid, signal.SIGKILL)
        await gone.get()
        await watcher.sees({}, GIVEN_UP + 5)
        assert await one.call("watch", ROOM) == {}


async def test_a_host_that_stops_takes_its_people_with_it_at_once(two_hosts: list[Server]) -> None:
    stays, stopped = two_hosts
    async with connected(stays.url) as one, connected(stopped.url) as two:
        watcher = Watcher(one)
        await watcher.watch()
        await two.call("track", "two", 2, ROOM)
        await watcher.sees({"two": [2]})
        stopped.process.terminate()
        await watcher.sees({}, 5)

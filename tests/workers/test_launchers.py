"""Every client and every way of it at the workers of every launcher.

Ordinarily a few clients meet a few launchers. `make test-launchers` runs the whole table, with many clients.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack

import pytest

from tests.support.launchers import LAUNCHERS, WHOLE_TABLE, launched
from tests.support.python_socketio_client import Client, arrived, connected
from tests.support.server_log import trouble
from tests.support.server_process import Server
from tests.support.worker_load import KINDS, MODES, Load, troubles, under_load

FEW = {
    "uvicorn": ["v4-polling", "v4-upgrade", "sync-polling"],
    "uvicorn wsproto": ["v3-upgrade"],
    "uvicorn TLS": ["v4-upgrade", "async-polling"],
    "uvicorn uds": ["v3-polling"],
    "gunicorn": ["async-upgrade"],
    "hypercorn": ["v4-websocket"],
    "granian": ["sync-upgrade"],
    "systemd": ["v4-upgrade"],
    "run": ["v4-polling", "sync-upgrade"],
    "two ports": ["v4-upgrade"],
}
ALL = {name: [f"{kind}-{mode}" for kind, mode in itertools.product(KINDS, MODES)] for name in LAUNCHERS}
TABLE = ALL if WHOLE_TABLE else FEW
WORKERS = 4 if WHOLE_TABLE else 2
LOAD = Load(clients=50, acks=100, broadcasts=300) if WHOLE_TABLE else Load(clients=8, acks=20, broadcasts=40)
# python-socketio's threaded client loses its WebSocket over TLS now and then, at their own server too.
LEFT_OUT = {("uvicorn TLS", "sync-websocket"), ("uvicorn TLS", "sync-upgrade")}
CASES = [
    (launcher, way) for launcher, ways in TABLE.items() for way in ways if (launcher, way) not in LEFT_OUT
]


@pytest.fixture(scope="module")
def start() -> Iterator[Callable[[str], Server]]:
    """A function that starts the workers of a launcher, unless they are those of the test before."""
    with ExitStack() as stack:
        running: dict[str, Server] = {}

        def start(launcher: str) -> Server:
            if launcher not in running:
                stack.close()
                running.clear()
                running[launcher] = stack.enter_context(launched(launcher, WORKERS))
            return running[launcher]

        yield start


async def test_a_handler_asks_and_disconnects_a_client_of_another_worker(
    start: Callable[[str], Server],
) -> None:
    server = await asyncio.to_thread(start, "uvicorn")
    async with AsyncExitStack() as stack:
        clients: dict[int, Client] = {}
        while len(clients) < 2:
            client = await stack.enter_async_context(connected(server.url, mode="websocket"))
            clients[(await client.call("who"))["worker"]] = client
        asking, asked = clients.values()
        asked.answer("question", lambda question: ["answered", question])
        assert await asking.call("ask", asked.socket.get_sid(), 1) == ["answered", 1]
        gone = asked.arrivals("disconnect")
        await asking.call("kick", asked.socket.get_sid())
        assert await arrived(gone) == ("server disconnect",)


@pytest.mark.parametrize(("launcher", "way"), CASES)
async def test_clients_do_not_notice_that_there_are_several_workers(
    start: Callable[[str], Server], launcher: str, way: str
) -> None:
    server = await asyncio.to_thread(start, launcher)
    kind, mode = way.split("-")
    async with under_load(server, kind, mode, LOAD) as running:
        wrong = troubles(await running.finish(), LOAD, mode)
    assert not wrong, "\n".join([f"{len(wrong)} things went wrong:", *wrong[:20]])
    assert not trouble(server)

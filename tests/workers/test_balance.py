"""How new sessions are spread over four workers, and what is left of clients that have gone."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.launchers import launched, workers_of
from tests.support.raw_clients import RawSocket, upgrade_request
from tests.support.server_process import Server
from tests.support.workers_in_process import until

WEBSOCKETS = int(os.environ.get("WEBSOCKETS", "200"))
AT_ONCE = 20


@pytest.fixture(scope="module", params=["uvicorn"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with launched(request.param, 4) as server:
        yield server


def open_files(server: Server) -> int:
    """How many descriptors the workers have."""
    return sum(len(os.listdir(f"/proc/{process}/fd")) for process in workers_of(server))


async def opened(server: Server) -> tuple[RawSocket, str]:
    """A WebSocket, and the id of its session."""
    raw = await RawSocket.connect(server)
    await raw.send(upgrade_request("/socket.io/"))
    assert (await raw.response_head())[0] == 101
    return raw, json.loads((await raw.read_frame())[1][1:])["sid"]


async def test_each_of_four_workers_has_its_share_of_the_websockets(server: Server) -> None:
    files = open_files(server)
    clients: list[tuple[RawSocket, str]] = []
    for begin in range(0, WEBSOCKETS, AT_ONCE):
        some = range(begin, min(begin + AT_ONCE, WEBSOCKETS))
        clients += await asyncio.gather(*[opened(server) for _ in some])
    shares = Counter(sid[:4] for _, sid in clients)
    assert len(shares) == 4
    assert min(shares.values()) >= WEBSOCKETS * 0.2, shares
    assert max(shares.values()) <= WEBSOCKETS * 0.3, shares
    for raw, _ in clients:
        raw.writer.close()
    await until(lambda: open_files(server) <= files + 4 * 4)  # what each has of the others stays


async def test_websockets_that_go_to_their_owner_leave_no_descriptor(server: Server) -> None:
    gone, sid = await opened(server)
    gone.writer.close()
    files = open_files(server)
    for _ in range(200):
        async with await RawSocket.connect(server) as raw:
            await raw.send(upgrade_request("/socket.io/", {"sid": sid}))
            assert (await raw.response_head())[0] == 400
    await until(lambda: open_files(server) <= files + 4 * 4)
